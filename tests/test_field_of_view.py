"""The eyepiece's field of view: found in what a phone sees, not found in ordinary fields, and everything outside it left out."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from standard import RULES

from edgeleuk.analysis.analyser import Analyser
from edgeleuk.imaging.field_of_view import (
    boxes_inside,
    cut_by_rim,
    fill_surround,
    find_ellipse,
    inside,
    middle,
)
from edgeleuk.imaging.resampling import resize
from edgeleuk.lab.evaluation.datasets import load_fields
from edgeleuk.models import registry
from edgeleuk.scale.red_cells import estimate_scale
from edgeleuk.slidemap import CountFacts, SlideMap
from edgeleuk.sources.pictures.reading import read_picture
from edgeleuk.types import Field, FieldOfView, Frame, Image, Scale

WIDTH, HEIGHT = 640, 480
ROUND_VIEW = FieldOfView(300.0, 250.0, 260.0, 200.0, 0.4)


@pytest.fixture(scope="module")
def smear(demo_frame: Frame) -> Image:
    return resize(demo_frame.pixels, WIDTH, HEIGHT)


def in_black(smear: Image, field_of_view: FieldOfView, seed: int = 0) -> Image:
    """What lies outside the field of view is nearly black, with noise and two reflections; the rim is a pixel or two wide."""
    rng = np.random.default_rng(seed)
    height, width = smear.shape[:2]
    dark = rng.normal(8, 3, smear.shape).clip(0, 40).astype(np.float32)
    for _ in range(2):
        angle = rng.uniform(0, 2 * np.pi)
        at = (
            int(field_of_view.x + 1.2 * field_of_view.semi_major * np.cos(angle)),
            int(field_of_view.y + 1.2 * field_of_view.semi_major * np.sin(angle)),
        )
        cv2.ellipse(dark, (at, (40, 15), float(rng.uniform(0, 180))), (150, 130, 180), -1)
    share = cv2.GaussianBlur(inside(field_of_view, width, height).astype(np.float32), (0, 0), 1.0)[..., None]
    return (smear * share + dark * (1 - share)).astype(np.uint8)


ellipses = st.builds(
    FieldOfView,
    x=st.floats(-50, 250),
    y=st.floats(-50, 200),
    semi_major=st.floats(60, 300),
    semi_minor=st.floats(40, 60),
    angle=st.floats(-4, 4),
)


@given(ellipses)
def test_what_lies_inside_is_the_same_told_by_points_and_by_rows(field_of_view: FieldOfView) -> None:
    """The mask of a picture says of each pixel's middle what the ellipse says of that point."""
    mask = inside(field_of_view, 200, 150)
    y, x = np.mgrid[:150, :200] + 0.5
    points = np.stack([x.ravel(), y.ravel()], axis=1)
    inner, outer = (
        replace(
            field_of_view, semi_major=field_of_view.semi_major * by, semi_minor=field_of_view.semi_minor * by
        ).covers(points)
        for by in (1 - 1e-9, 1 + 1e-9)
    )
    clear = inner == outer  # a pixel's middle may lie on the rim itself
    np.testing.assert_array_equal(mask.ravel()[clear], inner[clear])
    assert field_of_view.share(200, 150) == pytest.approx(mask.mean(), abs=0.01)


@given(ellipses)
def test_the_bounds_hold_all_that_shows(field_of_view: FieldOfView) -> None:
    """Nothing of the field of view lies outside its bounds, which are not empty even where the picture shows none of it."""
    left, top, right, bottom = field_of_view.bounds(200, 150)
    assert 0 <= left < right <= 200
    assert 0 <= top < bottom <= 150
    rows, columns = np.nonzero(inside(field_of_view, 200, 150))
    assert ((columns >= left) & (columns < right) & (rows >= top) & (rows < bottom)).all()


@given(ellipses, st.floats(0.3, 3), st.floats(0.3, 3))
def test_a_stretched_view_covers_the_stretched_points(
    field_of_view: FieldOfView, across: float, down: float
) -> None:
    """Whatever lay inside lies inside when field of view and picture are squeezed together, and so does what lay outside."""
    y, x = np.mgrid[:150:7, :200:7] + 0.5
    points = np.stack([x.ravel(), y.ravel()], axis=1)
    stretched = field_of_view.stretched(across, down)
    assert stretched.semi_major >= stretched.semi_minor
    assert (stretched.covers(points * [across, down]) == field_of_view.covers(points)).mean() > 0.99


@settings(max_examples=25, deadline=None)
@given(
    x=st.floats(200, 440),
    y=st.floats(160, 320),
    size=st.floats(150, 330),
    shape=st.floats(0.56, 1.0),
    angle=st.floats(0, 3.2),
    seed=st.integers(0, 99),
)
def test_a_view_is_found_where_it_is(
    smear: Image, x: float, y: float, size: float, shape: float, angle: float, seed: int
) -> None:
    """Whole or cut by the picture's edges, round or not, with reflections beside it: its area is right within 3 %."""
    field_of_view = FieldOfView(x, y, size, size * shape, angle)
    found = find_ellipse(in_black(smear, field_of_view, seed))
    assert found
    assert found.share(WIDTH, HEIGHT) == pytest.approx(field_of_view.share(WIDTH, HEIGHT), rel=0.03)


@pytest.mark.parametrize("cast", [(1.0, 0.75, 0.4), (0.5, 0.7, 1.0), (0.6, 1.0, 0.6)])
def test_a_colour_cast_hides_no_view(smear: Image, cast: tuple[float, float, float]) -> None:
    """Under a yellow lamp, a blue or a green one."""
    picture = (in_black(smear, ROUND_VIEW) * np.array(cast)).astype(np.uint8)
    found = find_ellipse(picture)
    assert found
    assert found.share(WIDTH, HEIGHT) == pytest.approx(ROUND_VIEW.share(WIDTH, HEIGHT), rel=0.01)


@pytest.mark.parametrize("strength", [0.0, 0.5, 0.9])
def test_a_vignette_is_no_view(smear: Image, strength: float) -> None:
    """A field that fills the picture has none, however dark its corners are."""
    y, x = np.mgrid[-1 : 1 : HEIGHT * 1j, -1 : 1 : WIDTH * 1j]
    light = 1 - strength * (x**2 + y**2) / 2
    assert find_ellipse((smear * light[..., None]).astype(np.uint8)) is None


def test_pictures_of_other_things_have_no_view() -> None:
    """Neither noise, nor black, nor white, nor a dark blot on bright ground, nor a bright square on black."""
    rng = np.random.default_rng(0)
    blot, square = np.full((300, 400, 3), 220, np.uint8), np.full((300, 400, 3), 5, np.uint8)
    cv2.circle(blot, (60, 60), 120, (90, 20, 120), -1)
    square[60:240, 100:300] = 220
    pictures = [rng.integers(0, 255, (300, 400, 3)).astype(np.uint8), blot, square]
    pictures += [np.full((300, 400, 3), level, np.uint8) for level in (0, 255)]
    assert [find_ellipse(picture) for picture in pictures] == [None] * 5


@pytest.mark.parametrize("size", [(64, 64), (64, 2000), (3000, 80)])
def test_any_size_can_be_looked_at(size: tuple[int, int]) -> None:
    """Small and long pictures are no mistake."""
    assert find_ellipse(np.full((*size, 3), 200, np.uint8)) is None


def test_a_cell_that_the_rim_cuts_is_cut() -> None:
    """Boxes well inside are clear, those at the rim are cut, those whose middle lies outside are not seen."""
    field_of_view = FieldOfView(100, 100, 80, 80)
    boxes = np.array(
        [[90, 90, 110, 110], [160, 90, 180, 110], [150, 90, 170, 110], [175, 90, 195, 110]], np.float32
    )
    assert cut_by_rim(boxes, field_of_view).tolist() == [False, True, False, True]
    assert boxes_inside(boxes, field_of_view).tolist() == [True, True, True, False]
    assert cut_by_rim(boxes[:0], field_of_view).shape == (0,)


def test_the_surround_is_filled_with_ground_and_the_view_kept(smear: Image) -> None:
    """A copy without black: inside nothing changes, outside is one bright colour."""
    picture = in_black(smear, ROUND_VIEW)
    copy, shown = fill_surround(picture, ROUND_VIEW), inside(ROUND_VIEW, WIDTH, HEIGHT)
    np.testing.assert_array_equal(copy[shown], picture[shown])
    outside = copy[~shown]
    assert (outside == outside[0]).all()
    assert outside[0].min() > 180


def test_the_middle_of_a_view_is_all_slide(smear: Image) -> None:
    """The rectangle that is looked at holds none of the black; without a field of view, and of a tiny one, all is looked at."""
    picture = in_black(smear, ROUND_VIEW)
    part, (left, top) = middle(picture, ROUND_VIEW)
    np.testing.assert_array_equal(part, picture[top : top + part.shape[0], left : left + part.shape[1]])
    assert inside(ROUND_VIEW, WIDTH, HEIGHT)[top : top + part.shape[0], left : left + part.shape[1]].all()
    assert part.shape[0] * part.shape[1] > 0.5 * ROUND_VIEW.share(WIDTH, HEIGHT) * WIDTH * HEIGHT
    for field_of_view in (None, replace(ROUND_VIEW, semi_major=30.0, semi_minor=30.0)):
        assert middle(picture, field_of_view)[0] is picture


def test_only_what_the_view_shows_is_counted(analyser: Analyser, demo_frame: Frame) -> None:
    """No cell lies outside, those at the rim are not read, and the area is the field of view's."""
    field_of_view = FieldOfView(
        demo_frame.width * 0.45, demo_frame.height * 0.5, demo_frame.height * 0.4, demo_frame.height * 0.4
    )
    picture = in_black(demo_frame.pixels, field_of_view)
    field = analyser.analyse(Frame(picture, "phone.jpg"))
    assert field.field_of_view
    boxes = np.array([cell.box for cell in field.cells], np.float32)
    assert len(boxes) > 30
    assert boxes_inside(boxes, field.field_of_view).all()
    at_rim = cut_by_rim(boxes, field.field_of_view)
    assert not any(
        cell.whole or cell.reading for cell, touches in zip(field.cells, at_rim, strict=True) if touches
    )
    assert field.scale.um_per_px == pytest.approx(0.1, rel=0.06)
    share = field_of_view.share(demo_frame.width, demo_frame.height)
    whole = replace(field, field_of_view=None).area_mm2
    assert field.area_mm2 == pytest.approx(share * whole, rel=0.02)


@pytest.mark.parametrize("squeeze", [0.9, 0.65])
def test_a_squeezed_view_tells_the_squeeze(analyser: Analyser, demo_frame: Frame, squeeze: float) -> None:
    """Of a few red cells, too: the field of view was round."""
    wide = in_black(
        np.ascontiguousarray(demo_frame.pixels[300:700, 300:800]), FieldOfView(250, 200, 190, 190)
    )
    image = resize(wide, round(500 * squeeze), 400)
    found = find_ellipse(image)
    assert found
    scale = estimate_scale(image, analyser.finder, field_of_view=found)
    assert scale.squeeze == pytest.approx(squeeze, rel=0.02)
    assert scale.um_per_px_y == pytest.approx(0.1, rel=0.08)


def test_pictures_are_placed_by_the_slide_and_not_by_the_rim(
    model: registry.Model, demo_frame: Frame
) -> None:
    """Other ground in the same field of view is another place; the same ground, moved, lies where it was moved to."""
    field_of_view, scale = FieldOfView(320, 320, 300, 300), Scale.given(0.1)

    def at(x: int, y: int) -> Image:
        return in_black(np.ascontiguousarray(demo_frame.pixels[y : y + 640, x : x + 640]), field_of_view)

    slide = SlideMap.of(model, RULES, stills=True)
    first = at(0, 0)
    place = slide.place(first, scale, field_of_view)
    field = Field("first", 640, 640, scale, (), field_of_view=field_of_view)
    slide.add(field, place, CountFacts(1, 0, "", 1), first, crops=False)
    moved = slide.place(at(150, 90), scale, field_of_view)
    assert moved.island == place.island
    assert (moved.x_um, moved.y_um) == pytest.approx((15, 9), abs=0.5)
    assert slide.place(at(900, 500), scale, field_of_view).island != place.island


@pytest.mark.data
def test_real_phone_pictures_have_a_view_and_ordinary_fields_none(data: Path) -> None:
    """On a spread of validation pictures of every source."""
    for name, expected in (("phone_val", True), ("txl_val", False), ("chula_val", False)):
        samples, _ = load_fields(data / "fields" / f"{name}.json", data / "fields" / "images")
        found = [find_ellipse(read_picture(s.path).pixels) for s in samples[:: max(1, len(samples) // 12)]]
        assert [field_of_view is not None for field_of_view in found] == [expected] * len(found)
