"""Values that travel between the parts."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeleuk.types import Aperture, Assessment, Field, Finding, Scale

SHIFTS = st.floats(-150, 150)


@given(SHIFTS, SHIFTS, st.floats(20, 200), st.floats(0.5, 1), st.floats(-3, 3))
def test_an_aperture_covers_the_share_it_says(
    x: float, y: float, major: float, ratio: float, angle: float
) -> None:
    """The share of a picture inside, computed by chords, is that of the pixels whose centres lie inside."""
    aperture = Aperture(100 + x, 80 + y, major, major * ratio, angle)
    down, across = np.mgrid[:160, :200] + 0.5
    inside = aperture.covers(np.stack([across.ravel(), down.ravel()], axis=1))
    assert aperture.share(200, 160) == pytest.approx(inside.mean(), abs=0.006)


def test_a_disc_inside_a_picture_has_the_area_of_a_circle() -> None:
    """Of a field with an aperture only what lies inside was looked at, in mm2."""
    scale = Scale.given(0.5)
    whole = Field("a", 1000, 800, scale, ())
    disc = Field("a", 1000, 800, scale, (), aperture=Aperture(500, 400, 300, 300))
    assert whole.area_mm2 == pytest.approx(0.2)
    assert disc.area_mm2 == pytest.approx(math.pi * 0.15**2, rel=1e-4)


def test_enlarging_a_field_keeps_its_area() -> None:
    """Pixels of the file instead of a smaller copy: another scale, the same ground."""
    field = Field("a", 400, 300, Scale.given(0.4), (), aperture=Aperture(150, 140, 120, 100, 0.3))
    assert field.enlarged(4).area_mm2 == pytest.approx(field.area_mm2, rel=1e-3)


def test_the_worst_finding_is_the_verdict() -> None:
    """One severe finding refuses a picture; others warn."""
    pale = Finding("pale", False, 0.1, 0.2, "pale.")
    blurred = Finding("focus", True, 0.1, 0.2, "blurred.")
    assert Assessment().verdict == "accepted"
    assert Assessment((pale,)).verdict == "warned"
    assert Assessment((pale, blurred)).verdict == "refused"
