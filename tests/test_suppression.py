"""Non-maximum suppression: what it keeps, by its definition, and however many boxes there are."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from edgeleuk.networks import suppression
from edgeleuk.networks.suppression import suppress, unnested
from edgeleuk.types import Boxes

Rows = list[tuple[float, float, float, float, float, int]]


def arrays(rows: Rows) -> tuple[Boxes, NDArray[np.float32], NDArray[np.int64]]:
    """Boxes, scores and kinds of rows x1 y1 x2 y2 score kind."""
    table = np.array(rows, np.float32).reshape(-1, 6)
    return table[:, :4], table[:, 4], table[:, 5].astype(np.int64)


def test_of_boxes_that_overlap_too_much_the_best_stays() -> None:
    """Overlaps of 2/3, 1/3 and none at a limit of 0.5: indices of what stays, best first."""
    rows: Rows = [
        (0, 0, 10, 10, 0.6, 0),
        (2, 0, 12, 10, 0.9, 0),  # 8 of 12 with the first
        (7, 0, 17, 10, 0.7, 0),  # 5 of 15 with the second
        (40, 0, 50, 10, 0.8, 0),
    ]
    assert suppress(*arrays(rows), 0.5).tolist() == [1, 3, 2]


def test_kinds_do_not_suppress_each_other() -> None:
    """A platelet on a red cell stays, however much they overlap."""
    rows: Rows = [(0, 0, 10, 10, 0.6, 0), (0, 0, 10, 10, 0.9, 1), (0, 0, 10, 10, 0.7, 2)]
    assert suppress(*arrays(rows), 0.5).tolist() == [1, 2, 0]


def test_suppression_is_greedy() -> None:
    """What is itself suppressed suppresses nothing: the outer two of a chain of three stay."""
    rows: Rows = [(0, 0, 10, 10, 0.9, 0), (3, 0, 13, 10, 0.8, 0), (6, 0, 16, 10, 0.7, 0)]
    assert suppress(*arrays(rows), 0.5).tolist() == [0, 2]


def test_nothing_suppressed_is_nothing() -> None:
    """No boxes give no indices, of an integer type that indexes."""
    kept = suppress(*arrays([]), 0.5)
    assert (kept.shape, kept.dtype) == ((0,), np.int64)


def overlap(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
    sides = np.clip(np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2]), 0, None)
    shared = sides[0] * sides[1]
    return float(shared / ((a[2:] - a[:2]).prod() + (b[2:] - b[:2]).prod() - shared))


@st.composite
def candidates(draw: st.DrawFn) -> Rows:
    """Boxes on a coarse grid, partly outside the picture, of different scores and three kinds."""
    number = draw(st.integers(0, 25))
    scores = draw(st.permutations(range(1, number + 1)))
    whole = st.integers(-20, 60)
    side = st.integers(1, 40)
    return [
        (
            x := draw(whole),
            y := draw(whole),
            x + draw(side),
            y + draw(side),
            score / 32,
            draw(st.integers(0, 2)),
        )
        for score in scores
    ]


@given(candidates(), st.sampled_from([0.0, 0.3, 0.45, 0.6, 0.75, 1.0]))
def test_suppression_follows_its_definition(rows: Rows, limit: float) -> None:
    """Best first, a box stays unless one that stayed, of its kind, overlaps it more than the limit."""
    boxes, scores, kinds = arrays(rows)
    expected: list[int] = []
    exact = boxes.astype(np.float64)
    for i in np.argsort(-scores).tolist():
        if all(kinds[i] != kinds[j] or overlap(exact[i], exact[j]) <= limit for j in expected):
            expected.append(i)
    assert suppress(boxes, scores, kinds, limit).tolist() == expected


def test_many_boxes_are_looked_at_some_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """What stays of three thousand does not depend on how many pairs are held at once."""
    rng = np.random.default_rng(5)
    middles = np.repeat(rng.uniform(0, 400, (400, 2)), 8, axis=0) + rng.normal(0, 1.5, (3200, 2))
    halves = rng.uniform(5, 9, (3200, 2))
    boxes = np.concatenate([middles - halves, middles + halves], axis=1).astype(np.float32)
    scores, kinds = rng.permutation(3200).astype(np.float32), rng.integers(0, 2, 3200)
    whole = suppress(boxes, scores, kinds, 0.6)
    monkeypatch.setattr(suppression, "PAIRS", 50)
    assert 800 < len(whole) < 2500
    assert suppress(boxes, scores, kinds, 0.6).tolist() == whole.tolist()


def test_a_box_without_an_area_neither_suppresses_nor_is_suppressed() -> None:
    """It overlaps nothing, itself included."""
    rows: Rows = [(5, 5, 5, 5, 0.9, 0), (0, 0, 10, 10, 0.8, 0), (5, 5, 5, 5, 0.7, 0)]
    assert suppress(*arrays(rows), 0.5).tolist() == [0, 1, 2]


NESTED: Rows = [
    (0, 0, 100, 100, 0.6, 0),  # round the next one
    (10, 10, 60, 60, 0.8, 0),
    (90, 0, 190, 100, 0.7, 0),  # touches the first: a tenth of it
    (95, 5, 205, 55, 0.5, 0),  # 4750 of 5500 pixels in the one before
]


def test_of_nested_boxes_the_better_score_stays() -> None:
    """A box in a box at 0.9; one of which 0.86 lies inside is another thing, and at 0.8 it is not."""
    boxes, scores, _ = arrays(NESTED)
    assert unnested(boxes, scores, 0.9).tolist() == [False, True, True, True]
    assert unnested(boxes, scores, 0.8).tolist() == [False, True, True, False]


def test_what_goes_takes_nothing_along() -> None:
    """A box round two cells goes by the better one of them, and the other stays, though it is less sure than it."""
    rows: Rows = [(0, 0, 100, 50, 0.6, 0), (0, 0, 50, 50, 0.9, 0), (50, 0, 100, 50, 0.5, 0)]
    assert unnested(*arrays(rows)[:2], 0.9).tolist() == [False, True, True]


def test_equal_scores_leave_one() -> None:
    """The one that came first: as everywhere else."""
    rows: Rows = [(0, 0, 10, 10, 0.5, 0), (0, 0, 10, 10, 0.5, 0)]
    assert unnested(*arrays(rows)[:2], 0.9).tolist() == [True, False]


@given(candidates(), st.sampled_from([0.5, 0.9, 1.0]))
def test_nested_boxes_are_those_by_definition(rows: Rows, share: float) -> None:
    """Best first, a box stays unless one that stayed holds so much of the smaller of both."""
    boxes, scores, _ = arrays(rows)
    kept: list[int] = []
    for i in np.argsort(-scores, kind="stable").tolist():
        sides = [
            np.minimum(boxes[i, 2:], boxes[k, 2:]) - np.maximum(boxes[i, :2], boxes[k, :2]) for k in kept
        ]
        shared = [float(side.clip(0).astype(np.float64).prod()) for side in sides]
        smaller = [
            min(float((boxes[j, 2:] - boxes[j, :2]).astype(np.float64).prod()) for j in (i, k)) for k in kept
        ]
        if not any(part >= share * area > 0 for part, area in zip(shared, smaller, strict=True)):
            kept.append(i)
    assert np.flatnonzero(unnested(boxes, scores, share)).tolist() == sorted(kept)


def test_many_nested_boxes_are_settled_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same result whatever the number of pairs that are looked at together."""
    rng = np.random.default_rng(3)
    corners = rng.uniform(0, 300, (200, 2))
    boxes = np.concatenate([corners, corners + rng.uniform(5, 60, (200, 2))], axis=1).astype(np.float32)
    scores = rng.random(200).astype(np.float32)
    whole = unnested(boxes, scores, 0.9)
    monkeypatch.setattr(suppression, "PAIRS", 1000)
    assert 0 < (~whole).sum() < 100
    assert (unnested(boxes, scores, 0.9) == whole).all()
