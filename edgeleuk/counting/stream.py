"""Frames of a stream on their way to a count: which of them counts, at what scale, and where it lies."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

from edgeleuk.counting.disc import Disc
from edgeleuk.counting.gate import Gate, Meters
from edgeleuk.counting.scale import ScalePolicy, Size, file_size
from edgeleuk.counting.session_scale import SessionScale
from edgeleuk.counting.zoom import Zoom
from edgeleuk.errors import QualityError, ScaleError
from edgeleuk.observation import Observation
from edgeleuk.pipeline import Analyser
from edgeleuk.quality import Look
from edgeleuk.results import refusal
from edgeleuk.slidemap import SlideMap
from edgeleuk.types import Field, Placement, Refusal, Scale, Shot

ALIKE = 0.05
"""Relative difference of sharpness or light up to which a frame of a place looks as the one before it did."""
PAUSED = "paused"
"""What a driver holds every frame for; other reasons hold only frames that would count."""
BLURRED = "it is much less sharp than the best frame of this session."
GIVEN_CONTRADICTED = (
    "red cells have another size than before, at the scale that was given: another zoom or objective. The scale is measured "
    "on them from now on; check --mag."
)
CHANGED = "red cells are {:.2f} times as large as before: another zoom or objective. The scale is measured again; check --mag."
DOUBTFUL = (
    "red cells seem {:.2f} times as large as before, as after a change of the zoom: show a few more fields."
)

Hold = Callable[[], str]
"""Why the driver does not want a frame counted now (PAUSED, "manual"); empty where it does."""


@dataclass(frozen=True, slots=True)
class Ready:
    """A frame that counts unless its analysis speaks against it."""

    seen: Observation
    scale: Scale
    placement: Placement
    forced: bool = False


class Stream:
    """What is known of one stream from its frames so far."""

    def __init__(
        self, analyser: Analyser, policy: ScalePolicy, slide_map: SlideMap, seconds: dict[str, float]
    ) -> None:
        """`seconds` is told the wall time of each stage."""
        self._analyser, self._policy, self._map, self._seconds = analyser, policy, slide_map, seconds
        usual = analyser.profile.usual if analyser.profile else None
        self.gate = Gate(analyser.quality.limits.stream, usual.sharpness if usual else 1.0)
        self.meters = Meters(0.0, 0.0)
        self.scale = SessionScale(analyser, policy)
        self.message = ""
        """Why the scale of the last frame is not known, or what speaks against it; empty for nothing."""
        self.change = ""
        """What changed with the last frame, as its size or zoom, and what follows; empty for nothing."""
        self._zoom = Zoom(analyser)
        self._size: Size | None = None
        self._disc = Disc()
        self._refused: tuple[Refusal, Look] | None = None
        """What the analysis of the last frame at this place refused it for, and how that frame looked."""

    def ready(self, shot: Shot, hold: Hold, forced: bool = False) -> Ready | Refusal:
        """Look at a frame, and say whether it is worth an analysis.

        `hold` is asked for frames that are fit. `forced`: the frame is, whatever speaks against its quality or its place.
        """
        self.message = self.change = ""
        name = shot.frame.name
        before, self._size = self._size, file_size(shot.frame)
        if before not in (None, self._size):
            self.gate.begin()  # pixels of another size are sharp in another measure
        with timed(self._seconds, "look"):
            seen = Observation.within(shot.frame, self._disc.of(shot))
            unfit = self._analyser.quality.refusal(seen.measures)
            self.meters = self.gate.meters(seen.look, sound=unfit is None)
        if unfit and not forced:
            return Refusal(name, unfit.code, unfit.text, (unfit,))
        if self.gate.blurred(self.meters) and not forced:
            return self._zoomed_out_of_focus(seen, shot) or Refusal(name, "focus", BLURRED)
        if (scale := self._scale(seen)) is None:
            return Refusal(name, "scale", self.message)
        with timed(self._seconds, "place"):
            placement = self._map.place(shot.frame.pixels, scale, seen.field_of_view)
        held = hold()
        reason = PAUSED if held == PAUSED else self._not_here(shot, seen, scale, placement, forced) or held
        if reason:
            return reason if isinstance(reason, Refusal) else Refusal(name, reason, "")
        return Ready(replace(seen, field_of_view=self._disc.last), scale, placement, forced)

    def _scale(self, seen: Observation) -> Scale | None:
        before, scale = self.scale.current, self.scale.of(seen)
        self.message, self.change = self.scale.message, self.scale.change
        if scale != before:
            self.forget_view()
            self._zoom.begin()
        return scale

    def _not_here(
        self, shot: Shot, seen: Observation, scale: Scale, placement: Placement, forced: bool
    ) -> Refusal | str | None:
        """Why a good frame does not count at its place."""
        if forced:
            return None
        if not self.gate.still(placement, scale.um_per_px):
            self.forget_view()
        if unwanted := self.gate.unwanted(placement, scale.um_per_px):
            return unwanted
        if self._refused and _alike(self._refused[1], seen.look):
            return self._refused[0]  # the same view was analysed and refused just now
        return "move" if self._disc.moved(shot) else None

    def forget_view(self) -> None:
        """Analyse the next frame that is fit, whatever became of the one before it."""
        self._refused = None

    def analysed(self, ready: Ready) -> Field | Refusal:
        """Analyse a frame. A view that is refused is not analysed again until it changes."""
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

    def _zoomed_out_of_focus(self, seen: Observation, shot: Shot) -> Refusal | None:
        """What a blurred frame is refused for where red cells say that the zoom made it so; None for the focus."""
        known = self.scale.current
        if known is None or not self._zoom.is_due(shot.seconds):
            return None
        return self._zoomed(seen, known)

    def _zoomed(self, seen: Observation, scale: Scale, field: Field | None = None) -> Refusal | None:
        """What a frame is refused for where its red cells have another size than those before; None where not."""
        found = self._zoom.judge(seen, scale, field)
        if found == "same":
            return None
        if found == "changed":
            given = scale.source == "given"
            return self._measured_again(
                seen, GIVEN_CONTRADICTED if given else CHANGED.format(self._zoom.times)
            )
        self.message = DOUBTFUL.format(self._zoom.times)
        return Refusal(seen.frame.name, "scale", self.message)

    def _measured_again(self, seen: Observation, why: str) -> Refusal:
        """Drop the scale of frames of this size, and tell why."""
        self.scale.forget(seen)
        self.gate.begin()
        self._zoom.begin()
        self.message = self.change = why
        return Refusal(seen.frame.name, "scale", why)

    def _keep_refused(self, seen: Observation, left_out: Refusal) -> Refusal:
        self._refused = (left_out, seen.look)
        return left_out

    def _contradiction(self, seen: Observation, scale: Scale, field: Field) -> str:
        """What the red cells of a field say against the scale it was to be analysed at; empty for nothing."""
        if field.scale != scale:
            return CHANGED.format(scale.um_per_px / field.scale.um_per_px)
        return GIVEN_CONTRADICTED if self._policy.contradicts(seen, field) else ""


@contextmanager
def timed(seconds: dict[str, float], stage: str) -> Iterator[None]:
    """Write the wall time of a block under the name of its stage."""
    began = time.perf_counter()
    try:
        yield
    finally:
        seconds[stage] = time.perf_counter() - began


def _alike(one: Look, other: Look) -> bool:
    return (
        abs(one.sharpness - other.sharpness) <= ALIKE * one.sharpness
        and abs(one.light - other.light) <= ALIKE * one.light
    )
