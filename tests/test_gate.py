"""Which frames of a stream count by what only a comparison tells: focus, rest, new ground."""

from __future__ import annotations

from dataclasses import replace

import pytest

from edgeleuk.counting.gate import Gate
from edgeleuk.quality.assessment import StreamLimits
from edgeleuk.quality.measures import Look
from edgeleuk.types import Placement

LIMITS = StreamLimits(focus_of_best=0.3, still_px=2.0, new_ground=0.08)
GOOD = Look(light=0.9, clipped=0.0, coverage=0.35, contrast=0.2, sharpness=3.0)
STILL = Placement(island=1, x_um=0.0, y_um=0.0, new_ground=1.0, moved_um=0.0)


def blurred(gate: Gate, look: Look) -> bool:
    return gate.blurred(gate.meters(look))


def test_a_good_frame_counts() -> None:
    """In focus, standing still on new ground: nothing speaks against it."""
    gate = Gate(LIMITS)
    assert not blurred(gate, GOOD)
    assert gate.unwanted(STILL, 0.1) is None


def test_focus_is_judged_against_the_best_of_the_session() -> None:
    """A frame far below the sharpest one seen does not count; the same one before it would."""
    gate, soft = Gate(LIMITS), replace(GOOD, sharpness=1.4)
    assert not blurred(gate, soft)
    for _ in range(10):
        gate.meters(GOOD)
    assert blurred(gate, soft)
    assert gate.meters(soft).focus == pytest.approx(0.2, abs=0.01)


@pytest.mark.parametrize(("sharpness", "refused"), [(1.6, False), (1.59, True)])
def test_the_share_of_the_best_focus_is_the_limit(sharpness: float, refused: bool) -> None:
    """.3 of the best (3.0, where 1 is no detail at all) counts, anything less does not."""
    gate = Gate(LIMITS, best=3.0)
    assert blurred(gate, replace(GOOD, sharpness=sharpness)) is refused


def test_one_odd_frame_does_not_set_the_mark() -> None:
    """A speck of dust that looks three times as sharp lets ordinary frames go on counting."""
    gate = Gate(LIMITS)
    for _ in range(10):
        gate.meters(GOOD)
    gate.meters(replace(GOOD, sharpness=6.0))
    assert not blurred(gate, GOOD)


def test_an_unsound_frame_does_not_set_the_mark() -> None:
    """The noise of an empty frame is sharp, and means nothing."""
    gate = Gate(LIMITS)
    gate.meters(replace(GOOD, sharpness=9.0), sound=False)
    assert gate.meters(GOOD).focus == 1.0


@pytest.mark.parametrize(("moved", "word"), [(None, "move"), (0.3, "move"), (0.2, None)])
def test_a_moving_stage_does_not_count(moved: float | None, word: str | None) -> None:
    """More than two pixels between frames, or a leap to somewhere else, is movement."""
    assert Gate(LIMITS).unwanted(replace(STILL, moved_um=moved), 0.1) == word


@pytest.mark.parametrize(("ground", "word"), [(0.05, "seen"), (0.08, None)])
def test_old_ground_does_not_count(ground: float, word: str | None) -> None:
    """A frame that counted fields cover but for a sliver has been seen."""
    assert Gate(LIMITS).unwanted(replace(STILL, new_ground=ground), 0.1) == word
