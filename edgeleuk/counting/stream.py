"""Selection of stream frames to count.

It decides which frames count, at what scale, and where they lie.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

from edgeleuk.analysis.analyser import Analyser
from edgeleuk.analysis.observation import Observation
from edgeleuk.counting.gate import Gate, Meters
from edgeleuk.counting.scale_policy import ScalePolicy, Size, file_size
from edgeleuk.counting.session_scale import SessionScale
from edgeleuk.counting.view_tracker import ViewTracker
from edgeleuk.counting.zoom import Zoom
from edgeleuk.errors import QualityError, ScaleError
from edgeleuk.quality.measures import Look
from edgeleuk.results.slide_result import refusal
from edgeleuk.slidemap import SlideMap
from edgeleuk.system.wording import option
from edgeleuk.types import Field, Placement, Refusal, Scale, TimedFrame

ALIKE = 0.05
"""Relative difference of frames considered alike.

Maximum for sharpness and for light, between two frames of one place.
"""
PAUSED = "paused"
"""Hold reason that applies to every frame.

Other reasons hold only frames that would count.
"""
BLURRED = "it is much less sharp than the best frame of this session."
DOUBTFUL = (
    "red cells seem {:.2f} times as large as before, as after a change of the zoom: show a few more fields."
)

Hold = Callable[[], str]
"""Callback that returns why not to count.

PAUSED or "manual"; empty if the driver wants it counted.
"""


@dataclass(frozen=True, slots=True)
class Ready:
    """Frame that counts unless its analysis speaks against it."""

    seen: Observation
    scale: Scale
    placement: Placement
    forced: bool = False


class Stream:
    """State of one stream.

    What is known from its frames so far.
    """

    def __init__(
        self, analyser: Analyser, policy: ScalePolicy, slide_map: SlideMap, seconds: dict[str, float]
    ) -> None:
        """Start before the first frame.

        Args:
            analyser: Analyses the frames; it knows the quality limits and the device profile.
            policy: Scales of the slide.
            slide_map: Map on which the frames are placed.
            seconds: Receives the wall time of each stage, by name.
        """
        self._analyser, self._policy, self._map, self._seconds = analyser, policy, slide_map, seconds
        usual = analyser.profile.usual if analyser.profile else None
        self.gate = Gate(analyser.quality.limits.stream, usual.sharpness if usual else 1.0)
        self.meters = Meters(0.0, 0.0)
        self.scale = SessionScale(analyser, policy)
        self.message = ""
        """Problem with the last frame's scale; empty if none.

        Why it is not known, or what speaks against it.
        """
        self.change = ""
        """Change noticed with the last frame; empty if none.

        For example of its size or zoom, and what follows.
        """
        self._zoom = Zoom(analyser)
        self._size: Size | None = None
        self._view = ViewTracker()
        self._refused: tuple[Refusal, Look] | None = None
        """Last refusal by analysis at this place.

        With the look of the frame that was refused.
        """

    def ready(self, timed: TimedFrame, hold: Hold, forced: bool = False) -> Ready | Refusal:
        """Check whether to analyse a frame.

        Args:
            timed: The frame, with its time.
            hold: Asked for frames that are fit.
            forced: Take the frame, whatever speaks against its quality or its place.

        Returns:
            The frame with its scale and place, or the reason why it does not count.
        """
        self.message = self.change = ""
        name = timed.frame.name
        before, self._size = self._size, file_size(timed.frame)
        if before not in (None, self._size):
            self.gate.begin()  # sharpness is not comparable between pixels of different sizes
        with time_stage(self._seconds, "look"):
            seen = Observation.within(timed.frame, self._view.of(timed))
            unfit = self._analyser.quality.refusal(seen.measures)
            self.meters = self.gate.meters(seen.look, sound=unfit is None)
        if unfit and not forced:
            return Refusal(name, unfit.code, unfit.text, (unfit,))
        if self.gate.blurred(self.meters) and not forced:
            return self._zoomed_out_of_focus(seen, timed) or Refusal(name, "focus", BLURRED)
        if (scale := self._scale(seen)) is None:
            return Refusal(name, "scale", self.message)
        with time_stage(self._seconds, "place"):
            placement = self._map.place(timed.frame.pixels, scale, seen.field_of_view)
        held = hold()
        reason = PAUSED if held == PAUSED else self._not_here(timed, seen, scale, placement, forced) or held
        if reason:
            return reason if isinstance(reason, Refusal) else Refusal(name, reason, "")
        return Ready(replace(seen, field_of_view=self._view.last), scale, placement, forced)

    def _scale(self, seen: Observation) -> Scale | None:
        before, scale = self.scale.current, self.scale.of(seen)
        self.message, self.change = self.scale.message, self.scale.change
        if scale != before:
            self.forget_view()
            self._zoom.begin()
        return scale

    def _not_here(
        self, timed: TimedFrame, seen: Observation, scale: Scale, placement: Placement, forced: bool
    ) -> Refusal | str | None:
        """Return why a good frame does not count."""
        if forced:
            return None
        if not self.gate.still(placement, scale.um_per_px):
            self.forget_view()
        if unwanted := self.gate.unwanted(placement, scale.um_per_px):
            return unwanted
        if self._refused and _alike(self._refused[1], seen.look):
            return self._refused[0]  # the same view was analysed and refused just now
        return "move" if self._view.moved(timed) else None

    def forget_view(self) -> None:
        """Let the next fit frame be analysed.

        Whatever became of the one before it.
        """
        self._refused = None

    def analysed(self, ready: Ready) -> Field | Refusal:
        """Analyse a frame; return the field, or a refusal.

        A view that is refused is not analysed again until it changes.
        """
        seen, scale = ready.seen, ready.scale
        try:
            field = self._analyser.analyse(seen.frame, scale, vouched=scale.source == "given", seen=seen)
        except (QualityError, ScaleError) as error:
            return self._zoomed(seen, scale) or self._keep_refused(seen, refusal(seen.frame.name, error))
        severe = next((each for each in field.assessment.findings if each.severe), None)
        if severe and not ready.forced:
            left_out = Refusal(seen.frame.name, severe.code, severe.text, field.assessment.findings)
            return self._keep_refused(seen, left_out)
        if contradiction := self._contradiction(seen, scale, field):
            return self._measured_again(seen, contradiction)
        return self._zoomed(seen, scale, field) or field

    def _zoomed_out_of_focus(self, seen: Observation, timed: TimedFrame) -> Refusal | None:
        """Return a refusal if a zoom made a frame blurred.

        As its red cells tell; None if the frame is out of focus.
        """
        known = self.scale.current
        if known is None or not self._zoom.is_due(timed.seconds):
            return None
        return self._zoomed(seen, known)

    def _zoomed(self, seen: Observation, scale: Scale, field: Field | None = None) -> Refusal | None:
        """Return a refusal if red cells changed their size.

        None if they have the same size as in the frames before.
        """
        found = self._zoom.compare(seen, scale, field)
        if found == "same":
            return None
        if found == "changed":
            given = scale.source == "given"
            return self._measured_again(
                seen, _given_contradicted() if given else _changed(self._zoom.size_ratio)
            )
        self.message = DOUBTFUL.format(self._zoom.size_ratio)
        return Refusal(seen.frame.name, "scale", self.message)

    def _measured_again(self, seen: Observation, why: str) -> Refusal:
        """Drop the scale of this frame size.

        `why` becomes the message.
        """
        self.scale.forget(seen)
        self.gate.begin()
        self._zoom.begin()
        self.message = self.change = why
        return Refusal(seen.frame.name, "scale", why)

    def _keep_refused(self, seen: Observation, left_out: Refusal) -> Refusal:
        self._refused = (left_out, seen.look)
        return left_out

    def _contradiction(self, seen: Observation, scale: Scale, field: Field) -> str:
        """Return how a field's red cells contradict its scale.

        The scale that it was to be analysed at; empty if they do not.
        """
        if field.scale != scale:
            return _changed(scale.um_per_px / field.scale.um_per_px)
        return _given_contradicted() if self._policy.contradicts(seen, field) else ""


@contextmanager
def time_stage(seconds: dict[str, float], stage: str) -> Iterator[None]:
    """Record the wall time of a block.

    Args:
        seconds: Receives the time.
        stage: Name that it is recorded under.
    """
    began = time.perf_counter()
    try:
        yield
    finally:
        seconds[stage] = time.perf_counter() - began


def _given_contradicted() -> str:
    return (
        "red cells have another size than before, at the scale that was given: another zoom or objective. The scale is"
        f" measured on them from now on; check {option('mag')}."
    )


def _changed(times: float) -> str:
    """Return the message about red cells that are `times` as large."""
    return (
        f"red cells are {times:.2f} times as large as before: another zoom or objective. The scale is measured again;"
        f" check {option('mag')}."
    )


def _alike(one: Look, other: Look) -> bool:
    return (
        abs(one.sharpness - other.sharpness) <= ALIKE * one.sharpness
        and abs(one.light - other.light) <= ALIKE * one.light
    )
