"""The scale from ruled glass, against rulings rendered at a known one."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from edgeleuk.calibration import micrometer
from edgeleuk.calibration.micrometer import measure, rulings
from edgeleuk.errors import InputError
from edgeleuk.lab.evaluation.ruled_glass import Ruled, draw, ruled
from edgeleuk.types import Frame

WITHIN = 0.005


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("grid", [False, True], ids=["lines", "grid"])
def test_scale_of_any_ruling_is_within_half_a_percent(seed: int, grid: bool) -> None:
    """In any orientation, bright or dark, blurred, noisy, vignetted; of a grid along both axes, squeezed or not."""
    glass = replace(draw(np.random.default_rng((seed, grid)), grid), width=800, height=600)
    found = measure([ruled(glass)], glass.spacing_um, ["ruling"])
    assert found.scale.um_per_px_x == pytest.approx(glass.um_per_px[0], rel=WITHIN)
    assert found.scale.um_per_px_y == pytest.approx(glass.um_per_px[1], rel=WITHIN)
    assert found.both_axes == grid


def test_two_pictures_of_one_ruling_tell_both_axes() -> None:
    """A stage micrometer laid across and then down does what a chamber's grid does."""
    glass = Ruled((0.1, 0.13), width=640, height=480)
    across, down = ruled(glass), ruled(replace(glass, angle=np.pi / 2))
    found = measure([across, down], glass.spacing_um, ["across", "down"])
    assert found.both_axes
    assert (found.scale.um_per_px_x, found.scale.um_per_px_y) == pytest.approx((0.1, 0.13), rel=WITHIN)


def test_lines_are_counted_and_the_error_is_honest() -> None:
    """A picture of 64 um shows seven lines ten micrometres apart, and the true pitch lies within the error given."""
    (found,) = rulings(ruled(Ruled((0.1, 0.1), width=640, height=480, angle=0.1)), "ruling")
    assert found.lines == 7
    assert found.pitch == pytest.approx(100, rel=max(found.error, 0.001))


def test_a_large_picture_is_measured_in_its_own_pixels() -> None:
    """It is worked on smaller; the scale is that of the file."""
    glass = Ruled((0.04, 0.04), spacing_um=20, line_um=3, width=2400, height=900, angle=0.4)
    assert measure([ruled(glass)], 20, ["large"]).scale.um_per_px == pytest.approx(0.04, rel=WITHIN)


def test_a_slope_has_no_pitch() -> None:
    """Far points of it differ, some a little less than others: such peaks lie below zero and are no lines."""
    for seed in (1, 2, 3, 4, 5):  # of sixty tried, 26 have such peaks alone
        profile = np.linspace(17, 14, 200) + 0.2 * np.random.default_rng(seed).standard_normal(200)
        assert micrometer._pitch(profile) == (0.0, 0.0)


def test_what_is_no_ruling_is_refused(demo_frame: Frame) -> None:
    """Cells, noise and an empty field have no even spacing, and say what to photograph."""
    noise = np.random.default_rng(0).integers(0, 255, (300, 400, 3), dtype=np.uint8)
    for image in (demo_frame.pixels[:700, :900], noise, np.full((300, 400, 3), 200, np.uint8)):
        with pytest.raises(InputError, match="shows no ruling"):
            rulings(image, "picture")
