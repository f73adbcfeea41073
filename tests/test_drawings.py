"""What was drawn into a picture: told, left out of the count, or refused; and several pictures in one."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
import pytest

from edgeleuk.analysis.analyser import Analyser
from edgeleuk.errors import QualityError
from edgeleuk.models.registry import Model
from edgeleuk.quality.drawings import drawn, strokes
from edgeleuk.types import Frame, Image, Scale

Colour = tuple[int, int, int]
Draw = Callable[[Image], None]
RED, GREEN, BLUE, YELLOW, MAGENTA = (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 0), (255, 0, 255)
SCALE = Scale.given(0.0984)


@pytest.fixture(scope="module")
def part(demo_frame: Frame) -> Image:
    return np.ascontiguousarray(demo_frame.pixels[:700, :900])


def stored(image: Image, quality: int = 90) -> Image:
    """Through a JPEG, which mixes colours of neighbours."""
    data = cv2.imencode(".jpg", image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
    return np.ascontiguousarray(cv2.imdecode(data, cv2.IMREAD_COLOR)[..., ::-1])


def with_circles(image: Image, colour: Colour, number: int = 9, thickness: int = 3) -> Image:
    """Circles over cells, with a measure above each."""
    copy = image.copy()
    for i in range(number):
        x, y = 100 + 85 * i, 120 + (i * 217) % 500
        cv2.circle(copy, (x, y), 45, colour, thickness)
        cv2.putText(copy, f"{7 + i % 4}.1 um", (x - 40, y - 50), 0, 0.7, colour, 2)
    return stored(copy)


@pytest.mark.parametrize("colour", [RED, GREEN, BLUE, YELLOW, MAGENTA])
def test_strokes_of_no_dye_s_colour_are_told(part: Image, colour: Colour) -> None:
    """Whatever saturated colour they have, after JPEG."""
    assert drawn(with_circles(part, colour)).ink > 5


@pytest.mark.parametrize("colour", [(0, 0, 0), (10, 12, 8)])
def test_thin_black_strokes_are_told(part: Image, colour: Colour) -> None:
    """As of a pen, or of words."""
    assert drawn(with_circles(part, colour)).black > 5


def ruled(image: Image, apart: int, thickness: int, colour: Colour) -> Image:
    copy = image.copy()
    copy[apart // 2 :: apart], copy[:, apart // 2 :: apart] = colour, colour
    for more in range(1, thickness):
        copy[apart // 2 + more :: apart], copy[:, apart // 2 + more :: apart] = colour, colour
    return stored(copy)


@pytest.mark.parametrize(("apart", "thickness"), [(300, 2), (150, 2), (220, 3)])
@pytest.mark.parametrize("colour", [(50, 50, 50), (250, 250, 250)])
def test_grids_are_told(part: Image, apart: int, thickness: int, colour: Colour) -> None:
    """A reticle's or a chamber's lines along rows and columns."""
    assert drawn(ruled(part, apart, thickness, colour)).lines > 4


@pytest.mark.parametrize("across", [True, False])
@pytest.mark.parametrize("zoom", [1.3, 1.6, 2.0])
@pytest.mark.parametrize("border", [0, 6])
def test_two_zooms_in_one_picture_are_told(part: Image, across: bool, zoom: float, border: int) -> None:
    """Side by side or one above the other, with and without a border between them."""
    height, width = part.shape[:2]
    nearer = cv2.resize(part, None, fx=zoom, fy=zoom)[:height, :width]
    axis, size = (1, (height, border, 3)) if across else (0, (border, width, 3))
    both = np.concatenate([part, np.full(size, 255, np.uint8), nearer], axis=axis)
    assert drawn(stored(np.ascontiguousarray(both))).seam > 3.2


def test_a_field_has_nothing_drawn_into_it(part: Image) -> None:
    """Not under a cast, nor out of focus, nor shaded."""
    y, x = np.mgrid[:700, :900]
    shade = 1 - 0.5 * (((y - 350) / 350) ** 2 + ((x - 450) / 450) ** 2) / 2
    for image in (
        part,
        (part * np.array([1, 0.8, 0.6])).astype(np.uint8),
        (part * shade[..., None]).astype(np.uint8),
        cv2.GaussianBlur(part, (0, 0), 3),
        stored(part, 40),
    ):
        seen = drawn(image)
        assert seen.ink < 0.5
        assert seen.black < 1
        assert seen.lines < 1
        assert seen.seam < 2.2


def test_a_picture_full_of_measurements_is_refused(model: Model, part: Image) -> None:
    """Strokes hide cells and look like them; the message says what to do."""
    with pytest.raises(QualityError, match="without measurements") as raised:
        Analyser(model, refusing=True).analyse(Frame(with_circles(part, RED), "measured"), SCALE)
    assert raised.value.findings[0].code == "drawn"


def test_what_was_found_on_a_drawing_is_not_counted(analyser: Analyser, part: Image) -> None:
    """One label is warned of: no letter is a platelet, and the other cells stay."""
    labelled = part.copy()
    cv2.putText(labelled, "Patient 12", (600, 680), 0, 1.0, BLUE, 2)
    plain, field = (analyser.analyse(Frame(image, "x"), SCALE) for image in (part, stored(labelled)))
    assert field.assessment.verdict == "warned"
    assert {finding.code for finding in field.assessment.findings} == {"drawn"}
    assert len(field.of("Platelet")) <= len(plain.of("Platelet"))
    assert len(field.of("RBC")) == pytest.approx(len(plain.of("RBC")), abs=4)


def test_strokes_are_measured_by_box() -> None:
    """A box that a stroke crosses has its share; another has none."""
    image = np.full((400, 400, 3), 230, np.uint8)
    image[100:104, :200] = RED
    shares = strokes(image, np.array([[50, 80, 90, 120], [300, 300, 340, 340]], np.float32))
    assert shares[0] == pytest.approx(8 / 40, abs=0.03)  # with what JPEG would mix with it
    assert shares[1] == 0
