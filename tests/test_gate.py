"""Which frames of a live view count, and the word for those that do not."""

from __future__ import annotations

from dataclasses import replace

import pytest
from edgeleuk.live.gate import Gate

from edgeleuk.quality import Look
from edgeleuk.types import Assessment, Finding, Placement

GOOD = Look(light=0.9, clipped=0.0, coverage=0.35, contrast=0.2, sharpness=3.0)
STILL = Placement(island=1, x_um=0.0, y_um=0.0, new_ground=1.0, moved_um=0.0)


def unfit(gate: Gate, look: Look) -> str | None:
    return gate.unfit(look, gate.meters(look))


def test_a_good_frame_counts() -> None:
    """Light, focus and cover in order, standing still on new ground: nothing speaks against it."""
    gate = Gate()
    assert unfit(gate, GOOD) is None
    assert gate.unwanted(STILL, 0.1) is None


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"light": 0.1}, "dark"),
        ({"clipped": 0.6}, "bright"),
        ({"coverage": 0.01}, "empty"),
        ({"coverage": 0.05, "contrast": 0.03}, "empty"),
        ({"coverage": 0.95}, "thick"),
    ],
)
def test_a_bad_frame_has_its_word(change: dict[str, float], word: str) -> None:
    """Each fault has its own word, whatever the focus."""
    assert unfit(Gate(), replace(GOOD, **change)) == word


def test_focus_is_judged_against_the_best_of_the_session() -> None:
    """A frame far below the sharpest one seen does not count; the same one before it would."""
    gate, soft = Gate(), replace(GOOD, sharpness=1.4)
    assert unfit(gate, soft) is None
    for _ in range(10):
        gate.meters(GOOD)
    assert unfit(gate, soft) == "focus"
    assert gate.meters(soft).focus == pytest.approx(0.2, abs=0.01)


def test_one_odd_frame_does_not_set_the_mark() -> None:
    """A speck of dust that looks three times as sharp lets ordinary frames go on counting."""
    gate = Gate()
    for _ in range(10):
        gate.meters(GOOD)
    gate.meters(replace(GOOD, sharpness=6.0))
    assert unfit(gate, GOOD) is None


def test_an_empty_frame_does_not_set_the_mark() -> None:
    """The noise of an empty frame is sharp, and means nothing."""
    gate = Gate()
    gate.meters(replace(GOOD, coverage=0.0, sharpness=9.0))
    assert gate.meters(GOOD).focus == 1.0


@pytest.mark.parametrize("moved", [None, 0.3])
def test_a_moving_stage_does_not_count(moved: float | None) -> None:
    """More than two pixels between frames, or a leap to somewhere else, is movement."""
    assert Gate().unwanted(replace(STILL, moved_um=moved), 0.1) == "move"


def test_old_ground_does_not_count() -> None:
    """A frame that counted fields cover but for a sliver has been seen."""
    assert Gate().unwanted(replace(STILL, new_ground=0.05), 0.1) == "seen"


def test_stills_need_neither_rest_nor_a_common_focus() -> None:
    """The pictures of a folder were taken standing still, perhaps by several cameras."""
    gate = Gate(stills=True)
    gate.meters(GOOD)
    assert unfit(gate, replace(GOOD, sharpness=1.2)) is None
    assert gate.unwanted(replace(STILL, moved_um=None), 0.1) is None


@pytest.mark.parametrize(("code", "word"), [("thick", "thick"), ("domain", "foreign"), ("pale", None)])
def test_found_cells_tell_what_coverage_does_not(code: str, word: str | None) -> None:
    """Cells over each other, or no smear at all, do not count; a pale stain does, and so does what only warns."""
    finding = Finding(code, True, 1.0, 0.5, "text.")
    assert Gate().unsound(Assessment((finding,))) == word
    assert Gate().unsound(Assessment((replace(finding, severe=False),))) is None
