"""Light, focus and cover of a frame."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeleuk.quality.measures import Look, inspect, look, sharpness
from edgeleuk.simulation.smear import Optics, Smear, Stage
from edgeleuk.types import Boxes, Image


@pytest.fixture(scope="module")
def smear() -> Smear:
    return Smear.generate(3, 140.0, 85.0, {"neutrophil": 2, "lymphocyte": 1})


def seen(smear: Smear, defocus_um: float = 0.0) -> Image:
    return Stage(smear, 0.1, (1280, 720), optics=Optics(defocus_um=defocus_um)).field().pixels


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


def cells(apart_um: float) -> tuple[Image, Boxes]:
    """Four pairs of evenly stained discs 7 um across, the two of a pair so far apart, and their boxes: 0.25 um per pixel."""
    y, x = np.mgrid[:240, :240] + 0.5
    density, boxes = np.zeros((240, 240)), []
    for at_x, at_y in ((60, 60), (180, 60), (60, 180), (180, 180)):
        for side in (-0.5, 0.5):
            middle = at_x + side * apart_um / 0.25
            density += 0.2 * (np.hypot(x - middle, y - at_y) < 14)
            boxes.append((middle - 14, at_y - 14, middle + 14, at_y + 14))
    image = np.repeat((230 * 10**-density)[..., None], 3, axis=2).round().astype(np.uint8)
    return image, np.array(boxes, np.float32)


def test_where_cells_lie_over_each_other_light_passes_two() -> None:
    """Discs that touch have no layer; of two discs half a diameter apart the lens that both cover is one."""
    none = np.empty((0, 4), np.float32)
    touching, over = (
        inspect(*shown, none) for shown in ((c[0], 0.25, c[1]) for c in (cells(7.25), cells(3.5)))
    )
    assert touching.layered == 0
    # The lens of two unit circles whose middles are 1 apart, over their union: 1.228 / (2 pi - 1.228).
    assert over.layered == pytest.approx(0.243, abs=0.03)


def test_a_dark_rim_is_no_layer() -> None:
    """A line of twice the density around each cell, half a micrometre wide, is narrower than any place two cells share."""
    image, boxes = cells(9.0)
    for x1, y1, x2, y2 in boxes.tolist():
        middle = round((x1 + x2) / 2), round((y1 + y2) / 2)
        cv2.circle(image, middle, 13, (90, 90, 90), 2)
    assert inspect(image, 0.25, boxes, np.empty((0, 4), np.float32)).layered == 0
