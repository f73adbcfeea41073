"""Bounds of a share among all white cells found: what each kind of cell does to either end."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from edgeleuk.differential.rules import load_rules
from edgeleuk.models import registry
from edgeleuk.statistics.bounds import BoundInputs, Bounds, Missed, group_kind
from edgeleuk.statistics.correction import Confusion
from edgeleuk.statistics.intervals import clopper_pearson
from edgeleuk.types import UNCLASSIFIED, NotRecognised

INSIDE = ("neutrophil", "lymphocyte", "myelocyte", "blast")
BESIDE = ("erythroblast", "smudge")
LABELS = (*INSIDE, *BESIDE)
OUTSIDE = frozenset({*BESIDE, UNCLASSIFIED})
MANY = 10**9
"""Held-out cells of each type: so many that the rates are known for sure."""


def confusion(**errors: Mapping[str, float]) -> Confusion:
    """A reader right on all held-out cells but for `errors`: shares of a type that are read as others."""
    rows = []
    for true in LABELS:
        wrong = {read: round(MANY * share) for read, share in errors.get(true, {}).items()}
        wrong[true] = MANY - sum(wrong.values())
        rows.append(tuple(wrong.get(read, 0) for read in (*LABELS, UNCLASSIFIED)))
    return Confusion("cells of a test", LABELS, (*LABELS, UNCLASSIFIED), tuple(rows))


FAULTLESS = BoundInputs({}, NotRecognised(), 0, OUTSIDE, dict.fromkeys(LABELS, Missed(0, MANY)), confusion())
"""A reader that misses nothing and errs never, before it saw a cell."""


def seen(white: Mapping[str, int], doubts: NotRecognised | None = None, unread: int = 0) -> BoundInputs:
    """What the faultless reader saw."""
    doubts = doubts or NotRecognised()
    unsure = {UNCLASSIFIED: doubts.cells} if doubts.cells else {}
    return replace(FAULTLESS, white={**white, **unsure}, not_recognised=doubts, unread=unread)


def bounds(of: BoundInputs, *labels: str, key: str = "") -> Bounds:
    found = of.of(labels, key)
    assert found is not None
    return found


def percent(count: int, of: int) -> Bounds:
    """The exact interval."""
    low, high = clopper_pearson(count, of)
    return Bounds(pytest.approx(100 * low, abs=1e-4), pytest.approx(100 * high, abs=1e-4))


# Slides of which everything was recognised


def test_a_faultless_reader_that_recognised_all_gives_the_exact_interval() -> None:
    """Clopper and Pearson's, for types that were seen, for those that were not, and for the only one."""
    slide = seen({"neutrophil": 150, "lymphocyte": 45, "blast": 5})
    assert bounds(slide, "blast") == percent(5, 200)
    assert bounds(slide, "myelocyte") == percent(0, 200)
    assert bounds(seen({"blast": 200}), "blast") == percent(200, 200)


def test_the_upper_end_is_divided_by_what_is_not_missed() -> None:
    """No blast among 200 is up to 1.83 %; of a reader that misses 1 of 27 and so up to 18.97 %, 2.26 %."""
    slide = replace(seen({"neutrophil": 200}), missed={"blast": Missed(1, 27), "neutrophil": Missed(0, MANY)})
    assert Missed(1, 27).most == clopper_pearson(1, 27)[1] == pytest.approx(0.18971, abs=1e-5)
    expected = clopper_pearson(0, 200)[1] / (1 - clopper_pearson(1, 27)[1])
    assert bounds(slide, "blast").high == pytest.approx(100 * expected)
    assert bounds(slide, "blast").high == pytest.approx(2.2553, abs=1e-4)
    assert bounds(slide, "neutrophil").high == 100


def test_the_lower_end_is_less_what_others_are_read_as_the_type() -> None:
    """2 % of 150 neutrophils and 4 % of 30 lymphocytes read as blasts are 2.1 % of 200 cells."""
    errors = confusion(neutrophil={"blast": 0.02}, lymphocyte={"blast": 0.04})
    slide = replace(seen({"neutrophil": 150, "lymphocyte": 30, "blast": 20}), confusion=errors)
    assert bounds(slide, "blast").low == pytest.approx(100 * clopper_pearson(20, 200)[0] - 2.1, abs=1e-3)
    assert bounds(slide, "blast").high == percent(20, 200).high


def test_the_lower_end_is_never_below_nothing() -> None:
    """Where the errors explain all that was read, none may be there."""
    slide = replace(seen({"neutrophil": 195, "blast": 5}), confusion=confusion(neutrophil={"blast": 0.02}))
    assert bounds(slide, "blast").low == 0


def test_an_error_never_seen_is_not_taken_for_impossible() -> None:
    """Of a reader without an error in 100 cells of each type the lower end leaves room for some."""
    rows = tuple(tuple(100 * (read == true) for read in (*LABELS, UNCLASSIFIED)) for true in LABELS)
    small = Confusion("few cells", LABELS, (*LABELS, UNCLASSIFIED), rows)
    slide = replace(seen({"neutrophil": 180, "blast": 20}), confusion=small)
    exact = 100 * clopper_pearson(20, 200)[0]
    assert exact - 2 < bounds(slide, "blast").low < exact - 0.1


def test_false_readings_are_a_share_of_the_cells_that_the_type_is_a_share_of() -> None:
    """1 % of 300 smudge cells read as blasts are 3 in 100 white cells, not 3 in 400 cells."""
    slide = replace(
        seen({"neutrophil": 80, "blast": 20, "smudge": 300}), confusion=confusion(smudge={"blast": 0.01})
    )
    assert bounds(slide, "blast").low == pytest.approx(100 * clopper_pearson(20, 100)[0] - 3, abs=0.01)


# Cells that were not recognised


def test_a_cell_not_recognised_counts_towards_each_type_that_it_may_be_of() -> None:
    """Ten cells that may be blasts and lymphocytes raise the upper end of both, and of no other type."""
    kinds = {"blast": 10, "lymphocyte": 10, "neutrophil": 0, "myelocyte": 0}
    doubts = NotRecognised(10, {}, kinds, dict.fromkeys(kinds, 10))
    slide = seen({"neutrophil": 150, "lymphocyte": 40}, doubts)
    assert bounds(slide, "blast").high == percent(10, 200).high
    assert bounds(slide, "lymphocyte").high == percent(50, 200).high
    assert bounds(slide, "neutrophil").high == percent(150, 200).high
    assert bounds(slide, "myelocyte").high == percent(0, 200).high


def test_a_cell_not_recognised_counts_for_no_type_at_the_lower_end() -> None:
    """It is in the denominator alone, whatever it may be."""
    doubts = NotRecognised(100, {}, {"blast": 100}, {"blast": 100})
    assert bounds(seen({"neutrophil": 90, "blast": 10}, doubts), "blast").low == percent(10, 200).low


def test_a_cell_that_is_likely_none_of_the_white_cells_makes_no_upper_end_smaller() -> None:
    """Of 100 cells 60 may be white cells: only they are in the denominator of what they are not."""
    doubts = NotRecognised(100, {}, {"blast": 0}, {"blast": 60})
    slide = seen({"neutrophil": 100}, doubts)
    assert bounds(slide, "blast") == Bounds(0.0, percent(0, 160).high)


def test_an_unread_cell_may_be_anything() -> None:
    """It is a candidate for every type, and in every denominator."""
    slide = seen({"neutrophil": 190, "blast": 5}, unread=5)
    assert bounds(slide, "blast") == Bounds(percent(5, 200).low, percent(10, 200).high)
    assert bounds(slide, "myelocyte").high == percent(5, 200).high


def test_where_every_cell_may_be_of_a_type_all_may() -> None:
    """No share is excluded then."""
    doubts = NotRecognised(50, {"blast": 4.0}, {"blast": 50}, {"blast": 50})
    assert bounds(seen({}, doubts), "blast") == Bounds(0.0, 100.0)


def test_what_was_not_recognised_is_weighed_in_where_errors_come_from() -> None:
    """100 cells that are likely neutrophils are taken for blasts as often as those that were recognised."""
    errors = confusion(neutrophil={"blast": 0.02})
    doubts = NotRecognised(100, {"neutrophil": 100.0}, {}, {})
    slide = replace(seen({"neutrophil": 60, "blast": 40}, doubts), confusion=errors)
    assert bounds(slide, "blast").low == pytest.approx(100 * clopper_pearson(40, 200)[0] - 1.6, abs=1e-3)


# What was not measured


def test_types_never_measured_may_all_be_mistakes() -> None:
    """10 cells read as a type of which no cell was held out, and 5 expected of it, are 15 that may be read as blasts."""
    unmeasured = Confusion(
        "cells of a test",
        LABELS,
        (*LABELS, UNCLASSIFIED),
        tuple(
            (0,) * len(row) if label == "myelocyte" else row
            for label, row in zip(LABELS, confusion().counts, strict=True)
        ),
    )
    doubts = NotRecognised(10, {"myelocyte": 5.0}, {}, {})
    slide = replace(seen({"neutrophil": 140, "myelocyte": 10, "blast": 40}, doubts), confusion=unmeasured)
    exact = 100 * clopper_pearson(40, 200)[0]
    assert bounds(slide, "blast").low == pytest.approx(exact - 7.5, abs=1e-3)
    assert bounds(slide, "neutrophil").low == pytest.approx(
        100 * clopper_pearson(140, 200)[0] - 7.5, abs=1e-3
    )


def test_a_type_that_the_reader_cannot_name_may_be_a_mistake_too() -> None:
    """20 cells that an operator marked as hairy cells are of no type that was measured."""
    slide = seen({"neutrophil": 140, "hairy_cell": 20, "blast": 40})
    assert bounds(slide, "blast").low == pytest.approx(100 * clopper_pearson(40, 200)[0] - 10, abs=1e-3)


def test_a_type_without_a_held_out_cell_has_no_bounds() -> None:
    """How many of it are missed is unknown: all may be."""
    assert Missed(0, 0).most == 1
    assert replace(seen({"neutrophil": 200}), missed={"blast": Missed(0, 0)}).of(["blast"]) is None
    assert replace(seen({"neutrophil": 200}), missed={}).of(["blast"]) is None
    assert replace(seen({"neutrophil": 200}), missed={"blast": Missed(3, 3)}).of(["blast"]) is None


def test_without_a_confusion_there_are_no_bounds() -> None:
    """Nothing is known of the false readings."""
    assert replace(seen({"neutrophil": 200}), confusion=None).of(["neutrophil"]) is None


def test_without_cells_there_are_no_bounds() -> None:
    """Nor of no types."""
    assert seen({}).of(["blast"]) is None
    assert seen({"blast": 9}).of([]) is None


def test_more_cells_missed_than_there_were_is_a_fault() -> None:
    """Of a manifest, and told when it is read."""
    with pytest.raises(ValueError, match="4 of 3 held-out cells"):
        Missed(4, 3)


# Groups


def test_a_group_is_bounded_by_its_own_measurements() -> None:
    """Under its key: cells that may be of one type or the other count once, and misses within it are none."""
    both = group_kind("both")
    own = Missed(0, MANY, ("myelocyte", "blast"))
    missed = {"blast": Missed(9, 10), "myelocyte": Missed(9, 10), both: own}
    doubts = NotRecognised(20, {}, {"blast": 20, "myelocyte": 20, both: 20}, {both: 20})
    slide = replace(seen({"neutrophil": 170, "blast": 6, "myelocyte": 4}, doubts), missed=missed)
    assert bounds(slide, "blast", "myelocyte", key="both") == Bounds(
        percent(10, 200).low, percent(30, 200).high
    )


def test_a_group_without_measurements_of_its_own_takes_the_worst_of_its_types() -> None:
    """Cells are added up as far as there are any, and none is known of one unmeasured type."""
    missed = {"blast": Missed(1, 27), "myelocyte": Missed(0, 1000)}
    kinds = {"blast": 15, "myelocyte": 15}
    slide = replace(
        seen({"neutrophil": 180}, NotRecognised(20, {}, kinds, dict.fromkeys(kinds, 20))), missed=missed
    )
    most = clopper_pearson(20, 200)[1] / (1 - Missed(1, 27).most)
    assert bounds(slide, "blast", "myelocyte").high == pytest.approx(100 * most)
    assert slide.of(["blast", "myelocyte", "lymphocyte"]) is None


def test_a_group_measured_for_other_types_takes_the_worst_of_its_own() -> None:
    """Rules that were changed since say nothing of what the reader misses of the new group."""
    missed = {"blast": Missed(1, 27), "myelocyte": Missed(0, 1000)}
    slide = replace(
        seen({"neutrophil": 200}), missed=missed | {group_kind("both"): Missed(0, MANY, ("blast",))}
    )
    most = clopper_pearson(0, 200)[1] / (1 - Missed(1, 27).most)
    assert bounds(slide, "blast", "myelocyte", key="both").high == pytest.approx(100 * most)
    assert bounds(slide, "blast", key="both").high == percent(0, 200).high


def test_a_group_with_a_type_for_its_key_is_not_taken_for_it() -> None:
    """Neither its measurements nor what was not recognised."""
    key = group_kind("blast")
    missed = {"blast": Missed(0, MANY), key: Missed(1, 27, ("blast", "myelocyte"))}
    doubts = NotRecognised(30, {}, {"blast": 10, key: 30}, {"blast": 30, key: 30})
    slide = replace(seen({"neutrophil": 170}, doubts), missed=missed)
    assert bounds(slide, "blast").high == percent(10, 200).high
    most = clopper_pearson(30, 200)[1] / (1 - Missed(1, 27).most)
    assert bounds(slide, "blast", "myelocyte", key="blast").high == pytest.approx(100 * most)


def test_types_of_a_group_read_as_each_other_are_right() -> None:
    """A myelocyte read as a blast is no false one of both."""
    slide = replace(
        seen({"neutrophil": 100, "myelocyte": 50, "blast": 50}),
        confusion=confusion(myelocyte={"blast": 0.2}),
    )
    assert bounds(slide, "blast").low == pytest.approx(100 * clopper_pearson(50, 200)[0] - 5, abs=1e-3)
    assert bounds(slide, "blast", "myelocyte").low == percent(100, 200).low


# Labels beside the denominator


def odds(count: int, of: int) -> Bounds:
    """Per 100 of the others."""
    low, high = clopper_pearson(count, of)
    each = [pytest.approx(100 * part / (1 - part), abs=1e-3) for part in (low, high)]
    return Bounds(*each)


def test_cells_beside_the_white_cells_are_bounded_per_100_of_these() -> None:
    """15 nucleated red cells beside 200 white cells: 15 of 215, as odds."""
    slide = seen({"neutrophil": 200, "erythroblast": 15})
    assert bounds(slide, "erythroblast") == odds(15, 215)
    assert bounds(slide, "erythroblast").low < 7.5 < bounds(slide, "erythroblast").high


def test_other_cells_beside_them_change_nothing() -> None:
    """300 smudge cells are neither white cells that are counted nor nucleated red cells."""
    slide = seen({"neutrophil": 100, "erythroblast": 10, "smudge": 300})
    assert bounds(slide, "erythroblast") == odds(10, 110)
    assert bounds(slide, "neutrophil") == percent(100, 100)


def test_cells_not_recognised_may_lie_beside_the_white_cells_too() -> None:
    """20 of 30 may be nucleated red cells; 5 of the others are likelier to be no white cell."""
    doubts = NotRecognised(30, {}, {"erythroblast": 20}, {"erythroblast": 25})
    slide = seen({"neutrophil": 100, "erythroblast": 10}, doubts)
    assert bounds(slide, "erythroblast") == Bounds(odds(10, 140).low, odds(30, 135).high)


def test_without_a_certain_white_cell_there_is_no_upper_end() -> None:
    """Any number per 100 is possible."""
    assert bounds(seen({"erythroblast": 10}), "erythroblast").high is None


def test_a_group_on_both_sides_of_the_denominator_has_no_share() -> None:
    """It is a fault of the caller."""
    with pytest.raises(ValueError, match="on both sides of the denominator"):
        seen({"blast": 1}).of(["blast", "smudge"])


# Use of bounds


@pytest.mark.parametrize(
    ("found", "excluded"),
    [
        (Bounds(41, 60), True),
        (Bounds(5, 19), True),
        (Bounds(40, 60), False),
        (Bounds(5, 20), False),
        (Bounds(0, 100), False),
        (Bounds(30, None), False),
        (Bounds(41, None), True),
    ],
)
def test_a_range_is_excluded_where_no_share_within_the_bounds_is_in_it(found: Bounds, excluded: bool) -> None:
    """Ends that touch it leave it open; without an upper end only the lower one excludes."""
    assert found.excludes(20, 40) is excluded


AMOUNTS = st.dictionaries(st.sampled_from(LABELS), st.integers(0, 300))


@settings(deadline=None, max_examples=200)
@given(
    AMOUNTS, st.integers(0, 300), st.integers(0, 300), st.integers(0, 9), st.sampled_from(LABELS), st.data()
)
def test_bounds_are_in_order_and_hold_the_share(
    white: dict[str, int], possible: int, others: int, unread: int, label: str, data: st.DataObject
) -> None:
    """And one more cell that may be of the type never makes its upper end lower, nor its lower end higher."""

    def with_possible(more: int) -> Bounds | None:
        cells = possible + others + more
        doubts = NotRecognised(cells, {}, {label: possible + more}, {label: counted + more})
        errors = confusion(neutrophil={"blast": 0.01, "smudge": 0.02})
        return replace(seen(white, doubts, unread), confusion=errors).of([label], label)

    counted = possible + data.draw(st.integers(0, others))
    before, after = with_possible(0), with_possible(1)
    if before is None or after is None:
        assert not sum(white.values()) + possible + others + unread
        return
    assert 0 <= before.low <= (np.inf if before.high is None else before.high)
    assert after.low <= before.low
    assert after.high is None or (before.high is not None and before.high <= after.high + 1e-9)


HEALTHY = {"neutrophil": 118, "lymphocyte": 62, "monocyte": 14, "eosinophil": 4, "basophil": 2}


@pytest.mark.parametrize("magnification", ["100x", "40x"])
def test_bounds_of_a_healthy_slide_are_little_wider_than_the_exact_interval(magnification: str) -> None:
    """By each model that ships, 200 cells all recognised: around the interval of each type, at most 1.5 times as wide."""
    reader, rules = registry.load(magnification).reader, load_rules()
    slide = BoundInputs(HEALTHY, NotRecognised(), 0, rules.not_counted, reader.missed, reader.confusion)
    bounded = {
        label: found
        for label in reader.labels
        if label not in rules.not_counted and (found := slide.of([label], label))
    }
    assert bounded.keys() >= {*HEALTHY, "blast", "promyelocyte", "myelocyte", "metamyelocyte"}
    for label, found in bounded.items():
        low, high = (100 * end for end in clopper_pearson(HEALTHY.get(label, 0), 200))
        assert found.low <= low
        assert found.high is not None
        assert high <= found.high
        assert found.high - found.low <= 1.5 * (high - low), label


# A simulated reader

TYPES = ("neutrophil", "lymphocyte", "blast")
THRESHOLD, POSSIBLE = 0.9, 0.01
HELD_OUT, CELLS = 400, 200


def probabilities(
    truth: NDArray[np.int64], clearness: float, rng: np.random.Generator
) -> NDArray[np.float64]:
    """(N, 3) what a reader says of cells of types `truth` (N,): the less clear they are, the less sure and right."""
    logits = rng.normal(0, 1.6, (len(truth), len(TYPES)))
    logits[np.arange(len(truth)), truth] += clearness
    shares = np.exp(logits)
    return shares / shares.sum(axis=1, keepdims=True)


def measured(clearness: float, rng: np.random.Generator) -> BoundInputs:
    """What publishing measures of that reader, on cells of its own."""
    truth = np.repeat(np.arange(len(TYPES)), HELD_OUT)
    read = probabilities(truth, clearness, rng)
    sure = read.max(axis=1) >= THRESHOLD
    counts = Confusion.from_cells("simulated cells", TYPES, truth, read.argmax(axis=1), sure)
    missed = {}
    for i, label in enumerate(TYPES):
        own = truth == i
        found = np.where(sure, read.argmax(axis=1) == i, read[:, i] >= POSSIBLE)
        missed[label] = Missed(int((own & ~found).sum()), HELD_OUT)
    return BoundInputs({}, NotRecognised(), 0, frozenset({UNCLASSIFIED}), missed, counts)


def counted(
    truth: NDArray[np.int64], reader: BoundInputs, clearness: float, rng: np.random.Generator
) -> BoundInputs:
    """A slide of cells of types `truth` as that reader counts it."""
    read = probabilities(truth, clearness, rng)
    sure = read.max(axis=1) >= THRESHOLD
    best = read.argmax(axis=1)
    white = {label: int((sure & (best == i)).sum()) for i, label in enumerate(TYPES)}
    unsure = read[~sure]
    possible = {label: int((unsure[:, i] >= POSSIBLE).sum()) for i, label in enumerate(TYPES)}
    expected = dict(zip(TYPES, unsure.sum(axis=0).tolist(), strict=True))
    doubts = NotRecognised(len(unsure), expected, possible, dict.fromkeys(TYPES, len(unsure)))
    return replace(reader, white=white | {UNCLASSIFIED: len(unsure)}, not_recognised=doubts)


@pytest.mark.parametrize(("clearness", "unsure"), [(3.2, 0.5), (6.5, 0.1)])
def test_bounds_hold_the_true_share_of_simulated_slides(clearness: float, unsure: float) -> None:
    """From 0 to 30 % blasts, of a reader that leaves half or a tenth of the cells: each end errs on at most 5 % of the slides."""
    rng = np.random.default_rng(7)
    reader = measured(clearness, rng)
    below, above, left = [], [], []
    for share in np.tile(np.linspace(0, 0.3, 16), 20):
        truth = rng.choice(len(TYPES), CELLS, p=[0.65 * (1 - share), 0.35 * (1 - share), share])
        slide = counted(truth, reader, clearness, rng)
        found = bounds(slide, "blast")
        assert found.high is not None
        below.append(found.low > 100 * share)
        above.append(found.high < 100 * share)
        left.append(slide.not_recognised.cells / CELLS)
    assert np.mean(left) == pytest.approx(unsure, abs=0.05)
    assert np.mean(above) <= 0.05
    assert np.mean(below) <= 0.05
