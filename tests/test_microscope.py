"""The virtual microscope: places and sizes are kept, detail is lost as the objective's aperture says."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgeleuk.errors import UsageError
from edgeleuk.imaging.objectives import OBJECTIVES, objective
from edgeleuk.imaging.resampling import point_spread_um
from edgeleuk.simulation.microscope import Conditions, draw, render, round_view, sampling
from edgeleuk.types import Boxes, Frame, Image, Scale

FINE = Scale.given(0.1)
PLAIN = Conditions(um_per_px=0.1)


def square(side: int = 200, low: int = 80, high: int = 120) -> Image:
    """A grey square on white, its edges at `low` and `high` pixels."""
    image = np.full((side, side, 3), 255, np.uint8)
    image[low:high, low:high] = 100
    return image


def spread_of_edge(image: Image, scale: Scale, channel: int = 1) -> float:
    """Standard deviation, um, of the point spread that made a hard edge along x soft (levels to light first)."""
    light = (image[image.shape[0] // 2, :, channel] / 255.0) ** 2.2
    slope = np.abs(np.diff(light))[: len(light) // 2]
    place = np.arange(len(slope)) * scale.um_per_px_x
    middle = (slope * place).sum() / slope.sum()
    return float(np.sqrt((slope * (place - middle) ** 2).sum() / slope.sum()))


def test_in_focus_the_point_spread_is_zhangs() -> None:
    """0.21 wavelength / NA: 0.174 um for a 40x/0.65 in green."""
    assert point_spread_um(0.65, 0.54) == pytest.approx(0.17446, abs=1e-5)


def test_defocus_adds_the_cones_disc() -> None:
    """Ten um out of focus at NA 0.6 in air: a disc of radius 7.5 um, so 3.75 um along an axis."""
    assert point_spread_um(0.6, 1e-9, 10.0) == pytest.approx(3.75)


@pytest.mark.parametrize(("name", "fine", "coarse"), [("40x", 0.0775, 0.345), ("10x", 0.31, 1.38)])
def test_sampling_ranges_follow_from_pixel_and_adapter(name: str, fine: float, coarse: float) -> None:
    """Pixel / (magnification x 0.5)."""
    assert OBJECTIVES[name].um_per_px == pytest.approx((fine, coarse))


@pytest.mark.parametrize("name", ["40x", "10x"])
def test_an_edge_becomes_as_soft_as_the_aperture_says(name: str) -> None:
    """The measured spread of a hard edge is the objective's, less what the source had lost already."""
    lens = OBJECTIVES[name]
    seen = render(square(400, 150, 400), FINE, lens, PLAIN)
    own, source = point_spread_um(lens.numerical_aperture, 0.54), point_spread_um(1.25, 0.54, index=1.515)
    assert spread_of_edge(seen.image, seen.scale) == pytest.approx(np.sqrt(own**2 - source**2), rel=0.1)


def test_the_same_objective_in_focus_changes_nothing() -> None:
    """A 100x picture seen by a 100x at its own sampling is itself."""
    image = np.random.default_rng(1).integers(0, 256, (64, 96, 3), np.uint8)
    seen = render(image, FINE, OBJECTIVES["100x"], PLAIN).image
    assert (seen == image).all()


@settings(max_examples=40, deadline=None)
@given(
    st.integers(40, 1500), st.integers(40, 1500), st.floats(0.05, 0.3), st.floats(0.3, 1.4), st.floats(0.5, 2)
)
def test_micrometres_are_kept(width: int, height: int, fine: float, coarse: float, squeeze: float) -> None:
    """Whatever the sampling and the squeeze, a picture shows as many um across and down as before."""
    scale = Scale.given(fine)
    to, seen = sampling(width, height, scale, Conditions(coarse, squeeze=squeeze))
    assert to.width * seen.um_per_px_x == pytest.approx(width * fine)
    assert to.height * seen.um_per_px_y == pytest.approx(height * fine)
    corner: Boxes = np.array([[0, 0, width, height]], np.float32)
    assert to.forward(corner) == pytest.approx(np.array([[0, 0, to.width, to.height]]))


def test_a_squeezed_shot_makes_round_things_narrow() -> None:
    """Squeeze is width over height: a square of 40 px shows 0.5625 as wide as high."""
    seen = render(square(), FINE, OBJECTIVES["100x"], replace(PLAIN, squeeze=0.5625))
    dark = seen.image[..., 1] < 180
    wide, high = np.ptp(np.flatnonzero(dark.any(axis=0))) + 1, np.ptp(np.flatnonzero(dark.any(axis=1))) + 1
    assert wide / high == pytest.approx(0.5625, abs=0.03)
    assert seen.scale.squeeze == pytest.approx(0.5625, abs=0.01)


def test_cells_stay_where_the_map_says() -> None:
    """The middle of a dark square lands where the resampling sends it, after blur, motion and sampling."""
    conditions = Conditions(0.35, defocus_um=1.0, motion_um=1.0, motion_angle=0.7)
    seen = render(square(200, 60, 100), FINE, OBJECTIVES["40x"], conditions)
    dark = 255.0 - seen.image[..., 1]
    y, x = np.mgrid[: dark.shape[0], : dark.shape[1]] + 0.5
    middle = (dark * x).sum() / dark.sum(), (dark * y).sum() / dark.sum()
    expected = 80 * seen.resampling.factor_x, 80 * seen.resampling.factor_y
    assert middle == pytest.approx(expected, abs=0.1)


def test_motion_blurs_along_its_way_only() -> None:
    """A stage that moves along y leaves edges along x sharp."""
    along_y = replace(PLAIN, motion_um=2.0, motion_angle=np.pi / 2)
    along_x = replace(along_y, motion_angle=0.0)
    still, y, x = (
        spread_of_edge(render(square(400, 150, 400), FINE, OBJECTIVES["100x"], conditions).image, FINE)
        for conditions in (PLAIN, along_y, along_x)
    )
    assert y == pytest.approx(still, abs=0.01)
    assert x == pytest.approx(2.0 / np.sqrt(12), abs=0.1)


def test_lateral_colour_grows_from_the_middle() -> None:
    """Red is enlarged and blue shrunk around the middle: edges left of it part, red outward."""
    image = square(400, 50, 350)
    seen = render(image, FINE, OBJECTIVES["100x"], replace(PLAIN, lateral_colour=0.02)).image
    left = [int(np.flatnonzero(seen[200, :, i] < 180)[0]) for i in range(3)]
    assert left == [47, 50, 53]


def test_vignette_takes_its_share_in_the_corners() -> None:
    """The middle keeps its light; a corner loses `vignette` of it, in light and not in levels."""
    white = np.full((101, 101, 3), 255, np.uint8)
    seen = render(white, FINE, OBJECTIVES["100x"], replace(PLAIN, vignette=0.4)).image / 255
    assert seen[50, 50] == pytest.approx(1.0, abs=0.01)
    assert seen[0, 0] ** 2.2 == pytest.approx(0.6, abs=0.02)


def test_outside_the_eyepiece_it_is_black() -> None:
    """A phone sees a disc; its corners are dark."""
    white = np.full((60, 80, 3), 255, np.uint8)
    seen = render(white, FINE, OBJECTIVES["100x"], replace(PLAIN, view_radius=0.5)).image
    inside = round_view(80, 60, 0.5)
    assert inside.mean() == pytest.approx(np.pi * 25**2 / 4800, abs=0.01)
    assert (seen[inside] == 255).all()
    assert (seen[~inside] == 0).all()


def test_a_shot_is_repeatable(demo_frame: Frame) -> None:
    """The same settings give the same picture, noise and JPEG included."""
    conditions = draw(OBJECTIVES["40x"], np.random.default_rng(3), finest=0.1)
    first, second = (render(demo_frame.pixels, FINE, OBJECTIVES["40x"], conditions).image for _ in range(2))
    assert (first == second).all()


@given(st.sampled_from(sorted(OBJECTIVES)), st.integers(0, 2**32), st.floats(0, 0.5))
def test_drawn_shots_lie_in_the_cameras_range(name: str, seed: int, finest: float) -> None:
    """Never finer than the source, and never finer or coarser than the cameras, unless the source is coarser still."""
    lens = OBJECTIVES[name]
    conditions = draw(lens, np.random.default_rng(seed), finest)
    assert max(finest, lens.um_per_px[0]) * 0.999 <= conditions.um_per_px
    assert conditions.um_per_px <= max(finest, lens.um_per_px[1]) * 1.001
    assert 0.5625 <= conditions.squeeze <= 1


def test_an_unknown_objective_is_named_with_those_there_are() -> None:
    """A mistake is answered with the choices."""
    with pytest.raises(UsageError, match=r"no objective '63x'\. Objectives: 100x, 40x, 10x"):
        objective("63x")
