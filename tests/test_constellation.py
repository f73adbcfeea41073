"""How fields lie to each other by nothing but the places of their cells."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgeleuk.slidemap.alignment import agreement, alignments, matches
from edgeleuk.slidemap.constellation import Constellation
from edgeleuk.slidemap.lookup import Lookup
from edgeleuk.types import Placement

SIDE = 120.0


def slide(seed: int, side: float = 400.0) -> np.ndarray:
    """Middles (N, 2) of cells that keep 6 um apart."""
    rng = np.random.default_rng(seed)
    cells: list[np.ndarray] = []
    for point in rng.uniform(0, side, (round(side**2 / 60), 2)):
        if all(np.hypot(*(point - each)) > 6 for each in cells):
            cells.append(point)
    return np.array(cells)


SLIDE = slide(1)


def view(place: Placement, seed: int = 0, error_um: float = 0.3) -> Constellation:
    """What a field at a place of the slide shows: nine cells of ten, each a little off."""
    rng = np.random.default_rng(seed)
    points = place.in_frame(SLIDE) + rng.normal(0, error_um, SLIDE.shape)
    inside = ((points > 4) & (points < SIDE - 4)).all(axis=1) & (rng.random(len(points)) < 0.9)
    return Constellation(points[inside] @ (1, 1j), (SIDE, SIDE))


FIRST = Placement(1, 100.0, 100.0)
PLACES = st.builds(
    Placement,
    st.just(1),
    st.floats(80, 120),
    st.floats(80, 120),
    st.sampled_from([0.0, math.pi / 2, math.pi, -math.pi / 2]),
    zoom=st.floats(0.9, 1.1),
    mirrored=st.booleans(),
)


def about(place: Placement) -> Placement:
    """The same turned, enlarged and mirrored around the middle of the first view, not around its own corner."""
    there = place.on_island(np.array([[SIDE / 2, SIDE / 2]]))[0]
    x, y = np.array([place.x_um, place.y_um]) + SIDE / 2 - (there - np.array([place.x_um, place.y_um]))
    return Placement(1, float(x), float(y), place.angle, zoom=place.zoom, mirrored=place.mirrored)


@settings(deadline=None, max_examples=30)
@given(PLACES)
def test_a_similarity_is_found_by_the_cells(place: Placement) -> None:
    """Whatever way the second picture is turned, mirrored and enlarged: to a micrometre at its corners."""
    place = about(place)
    found = alignments(view(FIRST, 1), view(place, 2), place.mirrored)
    assert found
    corners = np.array([[0, 0], [SIDE, 0], [0, SIDE], [SIDE, SIDE]])
    there = FIRST.on_island(found[0].place.on_island(corners))
    assert np.abs(there - place.on_island(corners)).max() < 1.5


def test_unrelated_fields_are_not_aligned() -> None:
    """The likeliest similarity of two other places says less than that of a quarter of the same."""
    known = view(FIRST)
    other = [view(Placement(1, x, y), 3) for x, y in ((0, 0), (240, 0), (0, 240), (240, 240))]
    best = [
        found.log_odds for each in other for way in (False, True) for found in alignments(known, each, way)
    ]
    true = alignments(known, view(Placement(1, 160.0, 160.0), 4), False)
    assert true[0].log_odds > 20 > max(best, default=0.0)


def test_cells_that_should_be_there_and_are_not_speak_against_a_place() -> None:
    """A field is no likelier to lie where its cells meet none."""
    known, seen = view(FIRST), view(FIRST, 5)
    assert agreement(known, seen, Placement(0, 0.0, 0.0)) > 100
    assert agreement(known, seen, Placement(0, 15.0, 3.0)) < -20


@pytest.mark.parametrize("cells", [0, 1, 3])
def test_too_few_cells_say_nothing(cells: int) -> None:
    """No group, no similarity, and no error."""
    few = Constellation(np.arange(cells) * (10 + 3j), (SIDE, SIDE))
    assert alignments(view(FIRST), few, False) == []
    lookup = Lookup()
    lookup.add(1, few)
    assert lookup.candidates(few) == []


def test_cells_of_one_place_have_no_shape() -> None:
    """Boxes on one middle make no group, and no division by zero."""
    assert len(Constellation(np.full(9, 5 + 5j), (SIDE, SIDE)).groups.codes) == 0


@pytest.mark.parametrize("mirrored", [False, True])
def test_a_field_is_looked_up_among_a_hundred(mirrored: bool) -> None:
    """Turned and mirrored: the first candidate is the one that shows the same ground."""
    lookup = Lookup()
    for number in range(100):
        cells = slide(100 + number, SIDE) @ (1, 1j)
        lookup.add(number, Constellation(cells, (SIDE, SIDE)))
    lookup.add(100, view(FIRST, 1))
    seen = view(about(Placement(1, 100.0, 100.0, math.pi / 2, mirrored=mirrored)), 2)
    assert lookup.candidates(seen)[0][:2] == (100, mirrored)
    assert 100 not in [number for number, *_ in lookup.candidates(seen, but=[100])]


def test_a_packed_constellation_is_the_same() -> None:
    """To a thousandth of a micrometre, which nothing measures."""
    cells = view(FIRST)
    again = Constellation.unpacked(cells.packed())
    assert again.points == pytest.approx(cells.points, abs=1e-3)
    assert again.size_um == cells.size_um


def test_matches_are_those_within_a_width() -> None:
    """Row of the probe, and position of what it finds."""
    rows, positions = matches(np.array([1, 3, 3, 7, 8]), np.array([[3, 0], [7, 9]]), 2)
    assert list(zip(rows.tolist(), positions.tolist(), strict=True)) == [
        (0, 1), (0, 2), (0, 0), (1, 3), (1, 4),
    ]  # fmt: skip
