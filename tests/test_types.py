"""Values that travel between the parts."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeleuk.types import Assessment, Cell, Field, FieldOfView, Finding, Scale, numbered

SHIFTS = st.floats(-150, 150)


@given(SHIFTS, SHIFTS, st.floats(20, 200), st.floats(0.5, 1), st.floats(-3, 3))
def test_a_view_covers_the_share_it_says(
    x: float, y: float, major: float, ratio: float, angle: float
) -> None:
    """The share of a picture inside, computed by chords, is that of the pixels whose centres lie inside."""
    field_of_view = FieldOfView(100 + x, 80 + y, major, major * ratio, angle)
    down, across = np.mgrid[:160, :200] + 0.5
    inside = field_of_view.covers(np.stack([across.ravel(), down.ravel()], axis=1))
    assert field_of_view.share(200, 160) == pytest.approx(inside.mean(), abs=0.006)


def test_a_view_inside_a_picture_has_the_area_of_a_circle() -> None:
    """Of a field with an aperture only what lies inside was looked at, in mm2."""
    scale = Scale.given(0.5)
    whole = Field("a", 1000, 800, scale, ())
    field_of_view = Field("a", 1000, 800, scale, (), field_of_view=FieldOfView(500, 400, 300, 300))
    assert whole.area_mm2 == pytest.approx(0.2)
    assert field_of_view.area_mm2 == pytest.approx(math.pi * 0.15**2, rel=1e-4)


def test_enlarging_a_field_keeps_its_area() -> None:
    """Pixels of the file instead of a smaller copy: another scale, the same ground."""
    field = Field("a", 400, 300, Scale.given(0.4), (), field_of_view=FieldOfView(150, 140, 120, 100, 0.3))
    assert field.enlarged(4).area_mm2 == pytest.approx(field.area_mm2, rel=1e-3)


def test_the_worst_finding_is_the_verdict() -> None:
    """One severe finding refuses a picture; others warn."""
    pale = Finding("pale", False, 0.1, 0.2, "pale.")
    blurred = Finding("focus", True, 0.1, 0.2, "blurred.")
    assert Assessment().verdict == "accepted"
    assert Assessment((pale,)).verdict == "warned"
    assert Assessment((pale, blurred)).verdict == "refused"


def at(x: float, y: float, kind: str = "WBC") -> Cell:
    return Cell(kind, (x, y, x + 10, y + 10), 0.9)


def test_white_cells_are_numbered_as_one_reads() -> None:
    """From the top, and of one height from the left; their order in the picture stays."""
    cells = numbered([at(50, 30), at(10, 5), at(90, 5), at(10, 30), at(0, 31)])
    assert [cell.number for cell in cells] == [4, 1, 2, 3, 5]
    assert [cell.box[:2] for cell in cells] == [(50, 30), (10, 5), (90, 5), (10, 30), (0, 31)]


def test_only_white_cells_have_a_number() -> None:
    """Red cells and platelets are too many to be named; white cells that were not read have one."""
    cells = numbered([at(0, 0, "RBC"), at(5, 5), at(9, 0, "Platelet"), at(0, 50)])
    assert [cell.number for cell in cells] == [0, 1, 0, 2]


def test_numbering_again_changes_nothing() -> None:
    """Whatever numbers there were; cells at one place keep their order."""
    cells = numbered([at(50, 30), at(0, 0), at(0, 0)])
    assert [cell.number for cell in cells] == [3, 1, 2]
    assert numbered(cells) == cells
    assert numbered([]) == ()
