"""Whether a picture's numbers are red, green and blue light: other colour spaces, false colours, swaps and negatives."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
import pytest

from edgeleuk.analysis.analyser import Analyser
from edgeleuk.errors import EdgeleukError, QualityError
from edgeleuk.models.registry import Model
from edgeleuk.quality.channels import channels, nuclei
from edgeleuk.types import Frame, Image, Scale

Turn = Callable[[Image], Image]
MEASURED: dict[str, Turn] = {
    "LAB": lambda rgb: cv2.cvtColor(rgb, cv2.COLOR_RGB2LAB),
    "YCrCb": lambda rgb: cv2.cvtColor(rgb, cv2.COLOR_RGB2YCrCb),
    "Luv": lambda rgb: cv2.cvtColor(rgb, cv2.COLOR_RGB2LUV),
    "HSV": lambda rgb: cv2.cvtColor(rgb, cv2.COLOR_RGB2HSV),
    "HSV of all levels": lambda rgb: cv2.cvtColor(rgb, cv2.COLOR_RGB2HSV_FULL),
    "jet": lambda rgb: np.ascontiguousarray(cv2.applyColorMap(rgb[..., 1], cv2.COLORMAP_JET)[..., ::-1]),
    "viridis": lambda rgb: np.ascontiguousarray(
        cv2.applyColorMap(rgb[..., 1], cv2.COLORMAP_VIRIDIS)[..., ::-1]
    ),
    "green alone": lambda rgb: rgb * np.array([0, 1, 0], np.uint8),
    "red and green": lambda rgb: rgb * np.array([1, 1, 0], np.uint8),
}
READ: dict[str, Turn] = {
    "BGR": lambda rgb: np.ascontiguousarray(rgb[..., ::-1]),
    "negative": lambda rgb: cv2.bitwise_not(rgb),
    "negative BGR": lambda rgb: cv2.bitwise_not(np.ascontiguousarray(rgb[..., ::-1])),
}


@pytest.fixture(scope="module")
def part(demo_frame: Frame) -> Image:
    return np.ascontiguousarray(demo_frame.pixels[:700, :900])


@pytest.mark.parametrize("how", [*MEASURED, *READ])
def test_what_is_no_rgb_is_refused_as_such(model: Model, part: Image, how: str) -> None:
    """The reason is the colours, and it comes first."""
    image = (MEASURED | READ)[how](part)
    with pytest.raises(EdgeleukError) as raised:
        Analyser(model, refusing=True).analyse(Frame(image, how), Scale.given(0.0984))
    assert isinstance(raised.value, QualityError)
    assert raised.value.findings[0].code == "colours"


def test_other_swaps_are_told(analyser: Analyser, part: Image) -> None:
    """Green and blue swapped leave few white cells, and of one alone there is a warning."""
    swapped = np.ascontiguousarray(part[..., [0, 2, 1]])
    findings = analyser.analyse(Frame(swapped, "RBG"), Scale.given(0.0984)).assessment.findings
    assert "colours" in {finding.code for finding in findings}


@pytest.mark.parametrize("cast", [(1, 1, 1), (1, 0.8, 0.6), (0.6, 0.8, 1), (0.7, 1, 0.75)])
def test_the_colour_of_the_lamp_says_nothing(part: Image, cast: tuple[float, float, float]) -> None:
    """Channels go together under light of any colour."""
    seen = channels((part * np.array(cast)).astype(np.uint8))
    assert seen is not None
    assert seen.opposed < 0.9
    assert not seen.chroma
    assert seen.weakest > 0.2


def test_a_blank_picture_says_nothing() -> None:
    """There is nothing whose channels could go together."""
    assert channels(np.full((120, 160, 3), (230, 222, 205), np.uint8)) is None


@pytest.mark.parametrize(
    ("colour", "blue", "green"),
    [((80, 40, 140), False, True), ((140, 40, 80), True, True), ((80, 140, 40), True, False)],
)
def test_nuclei_keep_back_red_more_than_blue(colour: tuple[int, int, int], blue: bool, green: bool) -> None:
    """A violet disc is a nucleus, the same with channels swapped is none."""
    image = np.full((200, 200, 3), 235, np.uint8)
    cv2.circle(image, (100, 100), 40, colour, -1)
    told = nuclei(image, np.array([[50, 50, 150, 150]], np.float32), np.array([0.9], np.float32))
    assert told is not None
    assert (told.blue > 0.2, told.green > 0) == (blue, green)


def test_a_cell_that_is_not_sure_tells_no_hue() -> None:
    """Its nucleus may be dirt."""
    image = np.full((200, 200, 3), 100, np.uint8)
    assert nuclei(image, np.array([[50, 50, 150, 150]], np.float32), np.array([0.4], np.float32)) is None
