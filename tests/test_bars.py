"""Bars beside a picture: left out of the field, of the area and of what is judged."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from edgeleuk.analysis.analyser import Analyser
from edgeleuk.imaging.bars import find_field_of_view, without_bars
from edgeleuk.types import FieldOfView, Frame, Image, Scale

UM_PER_PX = 0.0984
Colour = tuple[int, int, int]
SIDES = ((90, 90, 0, 0), (0, 0, 120, 60), (70, 0, 0, 0), (8, 40, 12, 200))
"""Rows above and below, columns to the left and right."""
COLOURS = ((0, 0, 0), (255, 255, 255), (128, 128, 128), (16, 14, 18))


def barred(image: Image, sides: tuple[int, int, int, int], colour: Colour) -> Image:
    """A picture between bars, as a JPEG."""
    wide = cv2.copyMakeBorder(image, *sides, cv2.BORDER_CONSTANT, value=colour)
    data = cv2.imencode(".jpg", wide[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 90])[1]
    return np.ascontiguousarray(cv2.imdecode(data, cv2.IMREAD_COLOR)[..., ::-1])


@pytest.fixture(scope="module")
def part(demo_frame: Frame) -> Image:
    return np.ascontiguousarray(demo_frame.pixels[100:700, 200:1000])


@pytest.mark.parametrize("sides", SIDES)
@pytest.mark.parametrize("colour", COLOURS)
def test_bars_of_any_colour_and_side_are_found(
    part: Image, sides: tuple[int, int, int, int], colour: Colour
) -> None:
    """To two pixels, which JPEG blends."""
    top, _, left, _ = sides
    height, width = part.shape[:2]
    found = without_bars(barred(part, sides, colour))
    assert found == pytest.approx((left, top, left + width, top + height), abs=2)


def test_words_in_a_bar_do_not_end_it(part: Image) -> None:
    """A microscope's strip below the picture bears the magnification."""
    image = barred(part, (0, 80, 0, 0), (255, 255, 255))
    cv2.putText(image, "100x  oil  20 um", (30, 655), 0, 1.2, (0, 0, 0), 2)
    assert without_bars(image)[3] == pytest.approx(600, abs=2)


def test_a_field_has_no_bars(part: Image) -> None:
    """Nor have shade, blank slides and frames of one colour."""
    y, x = np.mgrid[:480, :640]
    shade = 1 - 0.4 * (((y - 240) / 240) ** 2 + ((x - 320) / 320) ** 2)
    blank = (shade[..., None] * np.array([230.0, 222.0, 205.0])).astype(np.uint8)
    for image in (part, blank, np.full((480, 640, 3), 255, np.uint8), np.zeros((480, 640, 3), np.uint8)):
        assert without_bars(image) == (0, 0, image.shape[1], image.shape[0])


def test_a_view_between_bars_is_a_view(part: Image) -> None:
    """What an eyepiece shows in a picture that stands between white bars."""
    y, x = np.mgrid[:600, :800]
    image = part.copy()
    image[np.hypot(x - 400, y - 300) > 280] = 8
    view = find_field_of_view(barred(image, (0, 0, 150, 150), (255, 255, 255)))
    assert view is not None
    assert view.is_ellipse
    assert (view.x, view.y, view.semi_major) == pytest.approx((550, 300, 280), abs=5)


def test_cells_beside_a_bar_are_those_at_a_picture_s_edge(analyser: Analyser, part: Image) -> None:
    """The same cells, the same area and the same verdict as without bars; the boxes are moved."""
    plain = analyser.analyse(Frame(part, "plain"), Scale.given(UM_PER_PX))
    sides = (120, 60, 0, 90)
    image = cv2.copyMakeBorder(part, *sides, cv2.BORDER_CONSTANT, value=(0, 0, 0))
    between = analyser.analyse(Frame(image, "bars"), Scale.given(UM_PER_PX))
    assert between.field_of_view is not None
    assert not between.field_of_view.is_ellipse
    assert between.area_mm2 == pytest.approx(plain.area_mm2, rel=0.01)
    assert between.assessment.verdict == plain.assessment.verdict == "accepted"
    for kind in ("WBC", "RBC", "Platelet"):
        assert len(between.of(kind)) == pytest.approx(len(plain.of(kind)), abs=1)
    assert sum(c.whole for c in between.of("WBC")) == sum(c.whole for c in plain.of("WBC"))
    assert min(cell.box[1] for cell in between.cells) >= 119


def test_a_rectangle_is_a_view_like_an_ellipse() -> None:
    """It covers, has chords, moves and grows as it should, and is cut by no angle."""
    box = FieldOfView.between(10, 20, 110, 60)
    points = np.array([[11.0, 21.0], [109.0, 59.0], [9.0, 40.0], [50.0, 61.0]])
    assert box.covers(points).tolist() == [True, True, False, False]
    assert [side.tolist() for side in box.chords(np.array([40.0, 70.0]))] == [[10, 60], [110, 60]]
    assert [side.tolist() for side in box.chords(np.array([50.0, 5.0]), down=True)] == [[20, 40], [60, 40]]
    assert box.share(200, 100) == pytest.approx(0.2)
    assert box.half_sides() == box.halves == (50, 20)
    assert box.bounds(200, 100) == (10, 20, 110, 60)
    assert box.enlarged(2) == FieldOfView.between(20, 40, 220, 120)
    assert box.stretched(2, 0.5) == FieldOfView.between(20, 10, 220, 30)
    assert box.moved(5, -5) == FieldOfView.between(15, 15, 115, 55)
