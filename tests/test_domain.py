"""What tells a blood smear from other pictures."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from edgeleuk.analysis.analyser import Analyser
from edgeleuk.errors import EdgeleukError, QualityError
from edgeleuk.models.registry import Model
from edgeleuk.quality.smear_likeness import likeness, measure_smear
from edgeleuk.types import Field, Frame, Image, Scale

NONE = np.empty(0, np.float32)
NO_BOXES = np.empty((0, 4), np.float32)


def test_even_cells_and_little_else_look_like_a_smear() -> None:
    """Likeness rises with a sure white cell and with red cells, and falls with what is unexplained or uneven."""
    sure, faint = np.array([0.85, 0.5], np.float32), np.array([0.4], np.float32)
    assert likeness(20, sure, 0.05, 0.15) > 0.9
    assert likeness(20, NONE, 0.05, 0.15) > 0.2
    assert likeness(400, NONE, 0.9, 0.4) < 0.01
    assert likeness(20, sure, 0.1, 0.2) > likeness(20, faint, 0.1, 0.2) > likeness(20, NONE, 0.1, 0.2)
    assert likeness(20, faint, 0.2, 0.2) > likeness(20, faint, 0.8, 0.2)
    assert likeness(20, faint, 0.2, 0.1) > likeness(20, faint, 0.2, 0.5)
    assert likeness(200, faint, 0.2, 0.2) > likeness(20, faint, 0.2, 0.2)


def test_ink_has_no_dye_and_two_dyes_have_few_hues() -> None:
    """Grey shapes on tinted paper measure 0, pink and blue ones more, shapes of every colour most hues."""
    paper = np.full((120, 160, 3), (236, 220, 200), np.uint8)
    printed, stained, colourful = paper.copy(), paper.copy(), paper.copy()
    printed[20:90, 20:60] = paper[0, 0] * 0.3
    stained[20:90, 20:60] = (200, 120, 170)
    stained[20:90, 80:120] = (90, 60, 150)
    for i, colour in enumerate(((255, 40, 40), (40, 255, 40), (40, 40, 255), (20, 20, 20))):
        colourful[20:90, 36 * i : 36 * i + 32] = colour
    grey, pink, many = (
        measure_smear(each, 0.25, NO_BOXES, 0, NONE, 0.0) for each in (printed, stained, colourful)
    )
    assert grey.dye == pytest.approx(0, abs=0.02)
    assert pink.dye and pink.dye > 0.2
    assert pink.hues and many.hues and many.hues > pink.hues


def test_blue_and_green_prints_keep_back_red_light_alone() -> None:
    """Shapes of cyan ink measure near 1; pink and violet ones, and those of grey, well below the limit."""
    paper = np.full((120, 160, 3), 240, np.uint8)
    measured = []
    for colour in ((40, 200, 235), (200, 120, 170), (90, 60, 150), (70, 70, 70)):
        image = paper.copy()
        image[20:90, 20:90] = colour
        measured.append(measure_smear(image, 0.25, NO_BOXES, 0, NONE, 0.0).cyan)
    ink, *others = (value or 0.0 for value in measured)
    assert ink > 0.95
    assert max(others) < 0.7


def test_an_empty_picture_tells_nothing() -> None:
    """No colours, no texture, and the likeness of nothing found."""
    nothing = measure_smear(np.full((64, 64, 3), 230, np.uint8), 0.25, NO_BOXES, 0, NONE, 0.0)
    assert (nothing.dye, nothing.cyan, nothing.hues) == (None, None, None)
    assert (nothing.texture, nothing.relief, nothing.fullness) == (None, None, None)
    assert nothing.likeness == likeness(0, NONE, 0.0, None)


def test_a_drawn_disc_is_even_and_a_grainy_one_is_not() -> None:
    """Texture is 0 for a flat face, and that of its noise for another."""
    flat = np.full((80, 80, 3), 230, np.uint8)
    cv2.circle(flat, (40, 40), 15, (200, 130, 160), -1)
    rng = np.random.default_rng(1)
    grainy = np.clip(flat + rng.normal(0, 12, flat.shape), 0, 255).astype(np.uint8)
    box = np.array([[25, 25, 56, 56]], np.float32)
    even, rough = (measure_smear(each, 0.25, box, 1, NONE, 0.0).texture for each in (flat, grainy))
    assert even is not None and even < 0.01
    assert rough is not None and rough > 0.05


def test_a_dish_has_relief_and_a_ring_is_hollow() -> None:
    """A cell that is pale in its middle is no flat disc, though as even along any ring; only a letter's middle is empty."""
    flat = np.full((80, 80, 3), 230, np.uint8)
    cv2.circle(flat, (40, 40), 15, (200, 130, 160), -1)
    dish, ring = flat.copy(), flat.copy()
    cv2.circle(dish, (40, 40), 5, (215, 180, 195), -1)
    cv2.circle(ring, (40, 40), 5, (230, 230, 230), -1)
    box = np.array([[25, 25, 56, 56]], np.float32)
    kins = [measure_smear(each, 0.25, box, 1, NONE, 0.0) for each in (flat, dish, ring)]
    assert all(kin.texture is not None and kin.texture < 0.02 for kin in kins)
    even, paler, hollow = kins
    assert even.relief is not None and even.relief < 0.02
    assert paler.relief is not None and paler.relief > 0.1
    assert even.fullness == pytest.approx(1, abs=0.02)
    assert paler.fullness is not None and 0.2 < paler.fullness < 0.8
    assert hollow.fullness == pytest.approx(0, abs=0.02)


def page() -> Image:
    """Lines of dark letters on yellowish paper."""
    image = np.full((420, 560, 3), (240, 228, 205), np.uint8)
    for row in range(12):
        cv2.putText(
            image,
            "the quick brown fox jumps over it",
            (8, 30 + 34 * row),
            0,
            0.9,
            (60, 56, 50),
            2,
            cv2.LINE_AA,
        )
    return image


def clouds() -> Image:
    """Soft coloured noise, as of a wall or the sky."""
    noise = cv2.GaussianBlur(
        np.random.default_rng(3).normal(0, 1, (420, 560, 3)).astype(np.float32), (0, 0), 5
    )
    return np.clip(150 + 45 * noise / noise.std(), 0, 255).astype(np.uint8)


def board() -> Image:
    """Squares of two colours, as large as red cells."""
    y, x = np.mgrid[:420, :560] // 70 % 2
    return np.where((x ^ y)[..., None] == 1, (240, 225, 235), (180, 90, 150)).astype(np.uint8)


@pytest.mark.parametrize("picture", [page, clouds, board])
@pytest.mark.parametrize("scale", [None, Scale.given(0.1)])
def test_what_is_no_smear_is_refused(model: Model, picture: object, scale: Scale | None) -> None:
    """Text, noise and a pattern are refused, whether a scale is told or not."""
    assert callable(picture)
    with pytest.raises(EdgeleukError) as raised:
        Analyser(model, refusing=True).analyse(Frame(picture(), "other"), scale)
    if scale:
        assert isinstance(raised.value, QualityError)
        assert "domain" in {finding.code for finding in raised.value.findings if finding.severe}


def test_the_simulated_smear_is_one(demo_field: Field) -> None:
    """Nothing of the demo is foreign."""
    assert "domain" not in {finding.code for finding in demo_field.assessment.findings}
