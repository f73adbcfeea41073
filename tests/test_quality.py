"""Light, focus and cover of a frame."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeleuk.quality import Look, look, sharpness
from edgeleuk.sources.simulated import Optics, Smear, Stage
from edgeleuk.types import Image


@pytest.fixture(scope="module")
def smear() -> Smear:
    return Smear.generate(3, 140.0, 85.0, {"neutrophil": 2, "lymphocyte": 1})


def seen(smear: Smear, defocus_um: float = 0.0) -> Image:
    return Stage(smear, 0.1, 1280, 720, optics=Optics(defocus_um=defocus_um)).field().pixels


def test_an_ordinary_field_is_well_lit_and_a_third_covered(smear: Smear) -> None:
    """The background lies high, nothing is clipped, red cells leave most of the slide free."""
    measured = look(seen(smear))
    assert 0.8 < measured.light < 0.95
    assert measured.clipped < 0.01
    assert 0.2 < measured.coverage < 0.5
    assert measured.contrast > 0.1


def test_sharpness_falls_with_every_step_out_of_focus(smear: Smear) -> None:
    """Each quarter micrometre at 100x is told from the one before."""
    ladder = [look(seen(smear, defocus)).sharpness for defocus in (0.0, 0.25, 0.5, 0.75, 1.0, 1.5)]
    assert ladder == sorted(ladder, reverse=True)
    assert ladder[0] > 1.5 * ladder[2]


@given(st.floats(0.5, 1.0))
def test_sharpness_does_not_depend_on_exposure(factor: float) -> None:
    """Half the light gives the same density, and so the same sharpness, but for the camera's steps."""
    picture = np.full((90, 160, 3), 220, np.uint8)
    picture[30:60, 50:90] = 90
    darker = (picture * factor).astype(np.uint8)
    assert look(darker).sharpness == pytest.approx(look(picture).sharpness, rel=0.05)


def test_a_sharp_edge_has_the_ratio_of_the_blurs() -> None:
    """The sharpness of an ideal edge is that of its two blurred copies, 3."""
    picture = np.zeros((64, 64), np.float32)
    picture[:, 32:] = 1
    assert sharpness(picture) == pytest.approx(3.0, rel=0.15)


def test_a_blank_picture_has_no_sharpness() -> None:
    """Without any gradient the measure is 1, not a division by zero."""
    assert sharpness(np.zeros((32, 32), np.float32)) == 1.0


@pytest.mark.parametrize(
    ("level", "light", "clipped"), [(0, 1 / 255, 0.0), (128, 128 / 255, 0.0), (255, 1.0, 1.0)]
)
def test_an_even_picture_has_its_level_as_light(level: int, light: float, clipped: float) -> None:
    """Nothing covers it, whatever its brightness."""
    measured = look(np.full((72, 128, 3), level, np.uint8))
    assert measured == Look(pytest.approx(light), clipped, 0.0, pytest.approx(0.0), 1.0)
