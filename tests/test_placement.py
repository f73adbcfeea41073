"""A frame's place on its island: there and back, and one place after another."""

from __future__ import annotations

import json
from dataclasses import asdict

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeleuk.types import Field, Placement, Scale

UM = st.floats(-5000, 5000)
PLACES = st.builds(
    Placement,
    st.integers(1, 9),
    UM,
    UM,
    st.floats(-7, 7),
    zoom=st.floats(0.25, 4),
    mirrored=st.booleans(),
)
POINTS = st.lists(st.tuples(UM, UM), min_size=1, max_size=5).map(np.array)


@given(PLACES, POINTS)
def test_there_and_back_returns_to_its_place(place: Placement, points: np.ndarray) -> None:
    """A point of the frame, put on the island and taken back."""
    assert place.in_frame(place.on_island(points)) == pytest.approx(points, abs=1e-6)


@given(PLACES, PLACES, POINTS)
def test_a_carried_place_is_one_after_the_other(place: Placement, by: Placement, points: np.ndarray) -> None:
    """To the island, and with it to another one: the same as at once."""
    carried = place.carried(by)
    assert carried.island == by.island
    assert carried.on_island(points) == pytest.approx(by.on_island(place.on_island(points)), abs=1e-6)


@given(PLACES, POINTS)
def test_an_inverse_place_undoes_it(place: Placement, points: np.ndarray) -> None:
    """Carried by its own inverse, a frame lies where it is."""
    there = place.carried(place.inverse(7))
    assert there.island == 7
    assert there.on_island(points) == pytest.approx(points, abs=1e-6)
    assert place.inverse(7).on_island(points) == pytest.approx(place.in_frame(points), abs=1e-6)


def test_a_mirrored_frame_is_mirrored_before_it_is_turned() -> None:
    """Its x runs to the left; by a quarter clockwise, up."""
    place = Placement(1, 10.0, 20.0, np.pi / 2, zoom=2.0, mirrored=True)
    assert place.on_island(np.array([[1.0, 0.0], [0.0, 1.0]])) == pytest.approx(np.array([[10, 18], [8, 20]]))


def test_a_place_that_was_stored_before_places_had_a_zoom_is_read() -> None:
    """It is straight, as it was."""
    kept = asdict(Placement(1, 2.0, 3.0, 0.1))
    old = {name: kept[name] for name in ("island", "x_um", "y_um", "angle", "new_ground", "moved_um")}
    assert Placement(**json.loads(json.dumps(old))) == Placement(1, 2.0, 3.0, 0.1)


def test_the_ground_of_a_field_is_told_by_the_scale_of_its_island() -> None:
    """Twice as many micrometres a side are four times the ground."""
    field = Field("a", 1000, 500, Scale.given(0.1), ())
    assert Placement(1, 0.0, 0.0, zoom=2.0).area_mm2(field) == pytest.approx(4 * 0.005)
