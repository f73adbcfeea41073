"""The scale of a stream's frames: from how many red cells and frames on it is known, and when it is measured again."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import pytest

from edgeleuk.analysis.analyser import Analyser
from edgeleuk.analysis.observation import Observation
from edgeleuk.counting.scale_policy import ScalePolicy
from edgeleuk.counting.session_scale import ENOUGH_RED_CELLS, MOST_SCALE_FRAMES, SessionScale
from edgeleuk.errors import ScaleError
from edgeleuk.quality.measures import Look
from edgeleuk.types import Field, Frame, Scale

LOOK = Look(light=0.9, clipped=0.0, coverage=0.5, contrast=0.4, sharpness=2.0)
FEW = Scale(0.1, 0.1, "red cells", 0.07, 5)
PROFILE = Scale(0.11, 0.11, "profile", 0.0)


def frame(width: int = 64, height: int = 48) -> Observation:
    """A frame that shows nothing: what its red cells tell is made up."""
    return Observation(Frame(np.zeros((height, width, 3), np.uint8), "frame"), None, LOOK)


def red_cells(number: int, um_per_px: float = 0.1) -> Scale:
    return replace(FEW, um_per_px_x=um_per_px, um_per_px_y=um_per_px, red_cells=number)


class Estimates:
    """Gives what it was told to, frame by frame, the last one over and over; counts how often it was asked."""

    def __init__(self, *answers: Scale | ScaleError) -> None:
        self.answers, self.asked = answers, 0

    def __call__(self, seen: Observation) -> Scale:
        del seen
        answer = self.answers[min(self.asked, len(self.answers) - 1)]
        self.asked += 1
        if isinstance(answer, ScaleError):
            raise answer
        return answer


@pytest.fixture
def session(analyser: Analyser) -> Callable[..., SessionScale]:
    """A session's scale without profile; the given scale and the frames' own as a test wants them."""

    def made(*answers: Scale | ScaleError, given: Scale | None = None) -> SessionScale:
        return SessionScale(analyser, ScalePolicy(analyser, given), Estimates(*answers))

    return made


def told(scale: SessionScale, frames: Sequence[Observation]) -> list[Scale | None]:
    return [scale.of(each) for each in frames]


# When it is known


def test_the_limits_are_those_that_the_tests_drive() -> None:
    """Sixty red cells, or six frames."""
    assert (ENOUGH_RED_CELLS, MOST_SCALE_FRAMES) == (60, 6)


def test_sixty_red_cells_in_one_frame_are_enough(session: Callable[..., SessionScale]) -> None:
    """The first frame tells the scale."""
    assert session(red_cells(60)).of(frame()) == red_cells(60)


def test_fifty_nine_red_cells_are_not(session: Callable[..., SessionScale]) -> None:
    """Another frame is needed; red cells of both count together."""
    first, second = told(session(red_cells(59)), [frame(), frame()])
    assert first is None
    assert second is not None
    assert second.red_cells == 118


def test_the_sixth_frame_tells_the_scale_however_few_its_red_cells(
    session: Callable[..., SessionScale],
) -> None:
    """And the fifth does not."""
    scales = told(session(FEW), [frame()] * 6)
    assert scales[:5] == [None] * 5
    assert scales[5] is not None
    assert scales[5].red_cells == 30


def test_a_known_scale_is_not_measured_again(session: Callable[..., SessionScale]) -> None:
    """Frames after it cost no search."""
    estimates = Estimates(red_cells(60), red_cells(60, 0.2))
    scale = session(FEW)
    scale._estimate = estimates
    assert told(scale, [frame()] * 5) == [red_cells(60)] * 5
    assert estimates.asked == 1


def test_frames_without_red_cells_do_not_count_and_are_told(session: Callable[..., SessionScale]) -> None:
    """Why there is no scale is the message; it goes when there is one."""
    scale = session(ScaleError("no red cells"), red_cells(60))
    assert scale.of(frame()) is None
    assert scale.message == "no red cells"
    assert scale.of(frame()) == red_cells(60)
    assert scale.message == ""


def test_six_frames_are_six_that_have_red_cells(session: Callable[..., SessionScale]) -> None:
    """A frame that tells nothing is none of them."""
    scales = told(session(ScaleError("no red cells"), FEW), [frame()] * 7)
    assert scales[:6] == [None] * 6
    assert scales[6] is not None


# Another size


def test_a_frame_of_another_size_starts_anew_and_is_told(session: Callable[..., SessionScale]) -> None:
    """Its scale is its own; the first frame is no change, nor is one of the same size."""
    scale = session(red_cells(60), red_cells(60), red_cells(59, 0.2))
    assert scale.of(frame()) == red_cells(60)
    assert scale.change == ""
    assert scale.of(frame(32, 24)) == red_cells(60)
    assert "32 x 24 px now" in scale.change
    assert "measured again" in scale.change
    assert scale.of(frame(16, 12)) is None
    assert scale.current is None
    assert scale.of(frame(16, 12)) == replace(
        red_cells(118, 0.2), relative_error=pytest.approx(0.07, abs=0.01)
    )
    assert scale.change == ""


def test_frames_of_another_size_are_not_mixed(session: Callable[..., SessionScale]) -> None:
    """Five frames of each of two sizes tell neither scale; the sixth of each does."""
    scale = session(FEW)
    alternating = [frame(), frame(32, 24)] * 6
    assert [each is not None for each in told(scale, alternating)] == [False] * 10 + [True] * 2


def test_a_size_that_was_known_is_taken_from_before(session: Callable[..., SessionScale]) -> None:
    """A camera that goes back to its first size needs no measuring, and it is told."""
    scale = session(red_cells(60), red_cells(60, 0.2), red_cells(60, 0.3))
    assert told(scale, [frame(), frame(32, 24), frame()]) == [
        red_cells(60),
        red_cells(60, 0.2),
        red_cells(60),
    ]
    assert scale.change == "frames have 64 x 48 px now; their scale is known from before."


# A contradiction


def test_a_scale_that_was_contradicted_is_measured_again(session: Callable[..., SessionScale]) -> None:
    """Not one frame of before is used for it."""
    scale = session(FEW, FEW, red_cells(60), red_cells(59, 0.2))
    assert told(scale, [frame()] * 3)[2] is not None
    scale.forget(frame())
    assert scale.current is None
    assert scale.of(frame()) is None
    again = scale.of(frame())
    assert again is not None
    assert again.um_per_px == pytest.approx(0.2)


def test_a_given_scale_that_was_contradicted_is_not_used_again(session: Callable[..., SessionScale]) -> None:
    """From then on red cells tell, for frames of that size."""
    given = Scale.given(0.1)
    scale = session(red_cells(60, 0.2), given=given)
    assert scale.of(frame()) == given
    scale.forget(frame())
    assert told(scale, [frame(), frame()]) == [red_cells(60, 0.2)] * 2


def test_a_profile_scale_that_was_contradicted_is_not_used_again(
    analyser: Analyser, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Likewise; a frame of another size may still have the profile's."""
    monkeypatch.setattr(Analyser, "known_scale", lambda *_: (PROFILE, ""))
    scale = SessionScale(analyser, ScalePolicy(analyser), Estimates(red_cells(60, 0.2)))
    assert scale.of(frame()) == PROFILE
    scale.forget(frame())
    assert scale.of(frame()) == red_cells(60, 0.2)
    assert scale.of(frame(32, 24)) == PROFILE


def test_what_speaks_against_the_profile_is_told(analyser: Analyser, monkeypatch: pytest.MonkeyPatch) -> None:
    """While the red cells tell the scale."""
    monkeypatch.setattr(Analyser, "known_scale", lambda *_: (None, "another device"))
    scale = SessionScale(analyser, ScalePolicy(analyser), Estimates(red_cells(60)))
    assert scale.of(frame()) == red_cells(60)
    assert scale.message == "another device"


# Going on


def test_a_session_goes_on_with_the_scale_of_its_last_field(session: Callable[..., SessionScale]) -> None:
    """Nothing is measured for frames of that field's size; others are."""
    scale = session(red_cells(60, 0.2))
    scale.take_up(Field("field", 64, 48, red_cells(31), ()))
    assert scale.current == red_cells(31)
    assert scale.of(frame()) == red_cells(31)
    assert scale.change == ""
    assert scale.of(frame(32, 24)) == red_cells(60, 0.2)
    assert scale.change != ""
