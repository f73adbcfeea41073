"""The rims of drawn cells, whose place and blur are known."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from edgeleuk.imaging.cell_edges import above_surroundings, crossed
from edgeleuk.types import Boxes, Image

UM_PER_PX = 0.25
DIAMETER_UM = 7.2
PLACES = ((60.0, 60.0), (130.5, 70.2), (75.3, 140.7), (150.8, 145.1))
"""Middles, pixels."""


def drawn(sigma_um: float) -> Image:
    """Four stained discs of DIAMETER_UM, their edges blurred by so much."""
    y, x = np.mgrid[:210, :220] + 0.5
    out = np.min([np.hypot(x - at_x, y - at_y) for at_x, at_y in PLACES], axis=0)
    density = 0.2 * np.clip(0.5 + DIAMETER_UM / 2 / UM_PER_PX - out, 0, 1)
    blurred = cv2.GaussianBlur(density, (0, 0), sigma_um / UM_PER_PX)
    return np.repeat((230 * 10**-blurred)[..., None], 3, axis=2).round().astype(np.uint8)


def boxes(times: float) -> Boxes:
    """Around each of the discs, so many times as large as they are."""
    half = times * DIAMETER_UM / 2 / UM_PER_PX
    return np.array([(x - half, y - half, x + half, y + half) for x, y in PLACES], np.float32)


@pytest.mark.parametrize("times", [1.0, 1.08, 1.15])
@pytest.mark.parametrize("sigma_um", [0.25, 0.45])
def test_a_diameter_depends_on_neither_box_nor_blur(times: float, sigma_um: float) -> None:
    """Within a fiftieth, for boxes as far off as annotators draw them."""
    rims = crossed(above_surroundings(drawn(sigma_um), UM_PER_PX), boxes(times), UM_PER_PX)
    assert rims is not None
    assert len(rims.diameters_um) == len(PLACES)
    assert np.median(rims.diameters_um) == pytest.approx(DIAMETER_UM, rel=0.02)


def test_the_width_of_a_rim_is_its_blur() -> None:
    """What a Gaussian did to an edge is measured as that Gaussian."""
    rims = crossed(above_surroundings(drawn(0.45), UM_PER_PX), boxes(1.08), UM_PER_PX)
    assert rims is not None
    assert rims.width_um == pytest.approx(0.45, rel=0.15)


def test_where_no_rim_shows_nothing_is_told() -> None:
    """An even picture has none, and neither has one without cells."""
    even = above_surroundings(np.full((210, 220, 3), 220, np.uint8), UM_PER_PX)
    assert crossed(even, boxes(1.08), UM_PER_PX) is None
    assert crossed(even, np.empty((0, 4), np.float32), UM_PER_PX) is None
