"""Light and colour put right, on pictures whose light and stain are known."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_field_of_view import in_black

from edgeleuk.device import colour
from edgeleuk.types import FieldOfView, Image

GREY: colour.Rgb = (230.0, 230.0, 230.0)


def shaded(width: int, height: int, corner: float, tilt: float, cast: colour.Rgb) -> Image:
    """An empty field that loses the share `corner` of its light in the corners."""
    x, y = np.linspace(-1, 1, width)[None], np.linspace(-1, 1, height)[:, None]
    light = (1 - corner * (x**2 + y**2) / 2) * (1 + tilt * x)
    levels: Image = np.rint(light[..., None] * np.array(cast)).clip(0, 255).astype(np.uint8)
    return levels


@settings(deadline=None, max_examples=40)
@given(
    st.integers(90, 300),
    st.integers(90, 300),
    st.floats(0, 0.5),
    st.floats(-0.08, 0.08),
    st.tuples(*[st.floats(120, 225)] * 3),
)
def test_an_empty_field_becomes_even(
    width: int, height: int, corner: float, tilt: float, cast: colour.Rgb
) -> None:
    """Whatever the shading and the lamp, what was fitted on an empty field makes it even and grey: to two
    levels, and what half a level of the darkest corner is once it is brightened."""
    image = shaded(width, height, corner, tilt, cast)
    flat = colour.corrected(image, colour.fit_light([image]).grid, GREY).astype(int)
    assert np.quantile(np.abs(flat - 230), 0.99) <= 2 + 230 * 0.5 / image.min()
    assert abs(np.median(flat) - 230) <= 1


def test_dust_does_not_bend_the_light() -> None:
    """A dark speck on one of three blank pictures, and one on all of them, leave the fit where it was."""
    clean = shaded(300, 200, 0.3, 0.0, (220.0, 210.0, 180.0))
    dusty = clean.copy()
    dusty[40:52, 60:75] //= 3
    alone = dusty.copy()
    alone[100:140, 100:150] = 60
    fit, dirty = colour.fit_light([clean]), colour.fit_light([dusty, alone, dusty])
    assert np.abs(dirty.grid / fit.grid - 1).max() < 0.01
    assert dirty.off < 0.02
    assert colour.fit_light([alone]).off > 0.02


def test_what_surrounds_the_disc_of_an_eyepiece_is_no_field() -> None:
    """Black corners are left out of the fit, and not brightened without end."""
    image = shaded(300, 300, 0.2, 0.0, (200.0, 200.0, 200.0))
    x, y = np.linspace(-1, 1, 300)[None], np.linspace(-1, 1, 300)[:, None]
    image[x**2 + y**2 > 0.8] = 3
    fit = colour.fit_light([image])
    flat = colour.corrected(image, fit.grid, GREY)
    assert np.abs(flat[x**2 + y**2 < 0.78].astype(int) - 230).max() <= 4
    assert flat[0, 0].max() < 40


def test_the_rim_of_a_disc_is_no_dirt() -> None:
    """Where light fades into the black of an eyepiece, and where the black reflects, the empty slide is not darker."""
    field_of_view = FieldOfView(150.0, 150.0, 130.0, 130.0)
    clean = shaded(300, 300, 0.2, 0.0, (200.0, 190.0, 150.0))
    image = cv2.GaussianBlur(in_black(clean, field_of_view), (0, 0), 2.0)
    fit = colour.fit_light([image], field_of_view)
    assert fit.off < 0.01 < colour.fit_light([image]).off
    middle = np.s_[3:-3, 4:-4]
    assert np.abs(fit.grid[middle] / colour.fit_light([clean]).grid[middle] - 1).max() < 0.02


CELL, NUCLEUS = (0.22, 0.33, 0.19), (0.92, 2.0, 0.43)


def test_colours_that_are_right_stay() -> None:
    """A device that shows red cells and nuclei as the models know them is left alone."""
    assert colour.stain_gains(CELL, NUCLEUS, CELL, NUCLEUS) == pytest.approx((1, 1, 1))


@given(st.floats(0.5, 2.0), st.tuples(*[st.floats(0.75, 1.3)] * 3))
def test_strength_of_each_channel_is_put_right(strength: float, apart: colour.Rgb) -> None:
    """However strong the stain, and however unlike channels see it within MOST_APART, both colours come back."""
    seen = tuple(strength * each for each in apart)
    cell, nucleus = ((each[0] * seen[0], each[1] * seen[1], each[2] * seen[2]) for each in (CELL, NUCLEUS))
    gains = np.array(colour.stain_gains(cell, nucleus, CELL, NUCLEUS))
    np.testing.assert_allclose(gains * nucleus, NUCLEUS, rtol=1e-4)
    np.testing.assert_allclose(gains * cell, CELL, rtol=1e-4)


@given(st.floats(0.001, 0.05))
def test_a_channel_that_hardly_sees_a_dye_is_not_blown_up(faint: float) -> None:
    """Its gain stays within twice what all channels need together."""
    gains = colour.stain_gains((0.2, 0.3, 0.2), (0.9, 2.0, faint), CELL, NUCLEUS)
    assert gains[2] < 2.6


def test_an_even_light_gives_what_the_long_way_gives() -> None:
    """The table and the arithmetic by place agree to a level."""
    image = np.random.default_rng(2).integers(20, 240, (80, 120, 3), dtype=np.uint8)
    even = colour.level_grid((220.0, 210.0, 190.0))
    nearly = even.copy()
    nearly[0, 0] += 1e-3
    one, other = (
        colour.corrected(image, light, GREY, (1.2, 0.8, 1.5)).astype(int) for light in (even, nearly)
    )
    assert np.abs(one - other).max() <= 1


def test_strips_show_no_seam() -> None:
    """A picture larger than one strip comes out as if it were done in one piece."""
    rng = np.random.default_rng(1)
    image = rng.integers(60, 240, (900, 1300, 3), dtype=np.uint8)
    light = colour.fit_light([shaded(260, 180, 0.4, 0.05, (220.0, 200.0, 180.0))]).grid
    whole = colour.corrected(image, light, GREY)
    dense = colour.density(image, light)
    by_hand = np.rint(np.minimum(230 * np.exp(-dense), 255)).astype(int)
    assert np.abs(whole.astype(int) - by_hand).max() <= 1
