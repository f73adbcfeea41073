"""One slide: frames in, counted fields or refusals out, and one result.

Pictures, live frames, evaluation and stored sessions all come through here: the scale, the quality limits, the slide map,
the rules and the reader's error model are in one object, and whoever supplies the frames decides nothing.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Protocol

from edgeleuk.counting.disc import Disc
from edgeleuk.counting.gate import Gate, Meters
from edgeleuk.counting.scale import ScaleChoice, ScalePolicy
from edgeleuk.counting.session_scale import SessionScale
from edgeleuk.differential import Differential
from edgeleuk.errors import EdgeleukError, QualityError, ScaleError, StoreError
from edgeleuk.estimates import estimate
from edgeleuk.judge import judge_by
from edgeleuk.observation import Observation
from edgeleuk.pipeline import Analyser
from edgeleuk.quality import Look
from edgeleuk.results import Provenance, SlideResult
from edgeleuk.rules import Reference, Rules
from edgeleuk.slidemap import SlideMap
from edgeleuk.sources.folder import read_picture
from edgeleuk.types import CountedField, Field, Frame, Placement, Refusal, Scale, Shot, Tally

ALIKE = 0.05
"""Relative difference of sharpness or light up to which a frame of a place looks as the one before it did."""

OTHER_ZOOM = (
    "red cells have another size than in the pictures before, at the scale that was given: another objective or zoom. "
    "The scale was measured on them instead."
)

Hold = Callable[[], str]
"""Why the driver does not want a frame counted now ("paused", "manual"); empty where it does."""


class Recorder(Protocol):
    """What keeps a slide as it is counted; `store.Session` does."""

    def add(self, counted: CountedField) -> None:
        """Keep a counted field. Raises StoreError where it cannot; the field is then not counted."""

    def undo(self) -> None: ...
    def mark(self, identity: int, label: str) -> None: ...


@dataclass(frozen=True, slots=True)
class Examined:
    """A picture that was analysed and is not counted yet."""

    seen: Observation
    field: Field
    """In pixels of the frame."""


@dataclass(frozen=True, slots=True)
class SlideOptions:
    """How a slide is counted."""

    stills: bool = True
    """Whether each frame is a picture of its own, taken standing still; else they are frames of a stream."""
    overlapping: bool = True
    """False where pictures are known to show different places: cells seen twice then count twice."""
    red_cells: float | None = None
    """Of the blood, 10^12 per litre, where cells per microlitre are to be estimated."""
    crops: bool = True
    """Whether counted fields carry pictures of their white cells."""


class SlideCount:
    """The count of one slide. `examine` may be called from several threads, everything else from one."""

    def __init__(
        self,
        analyser: Analyser,
        rules: Rules,
        reference: Reference,
        scale: ScalePolicy,
        options: SlideOptions | None = None,
        recorder: Recorder | None = None,
    ) -> None:
        """Raises InputError where `reference` names labels outside the percentages, when a result is asked for."""
        self.analyser, self.rules, self.scale = analyser, rules, scale
        self.options = options or SlideOptions()
        self.recorder = recorder
        self.map = SlideMap.of(analyser.model, rules, self.options.stills, apart=not self.options.overlapping)
        self.seconds: dict[str, float] = {}
        """Wall time by stage of the last frame: look, place, map, and those of the analysis where it was made."""
        self.message = ""
        """Why the scale of the last frame is not known, or what speaks against it; empty for nothing."""
        self.change = ""
        """What changed in the stream with the last frame, as its size or zoom, and what follows; empty for nothing."""
        usual = analyser.profile.usual if analyser.profile else None
        self.gate = Gate(analyser.quality.limits.stream, usual.sharpness if usual else 1.0)
        self.meters = Meters(0.0, 0.0)
        self.session_scale = SessionScale(analyser, scale)
        self._judge = judge_by(analyser.model.reader, rules, reference)
        self._disc = Disc()
        self._refusals: list[Refusal] = []
        self._number = 0
        self._held: tuple[Refusal, Look] | None = None
        """What the analysis of the last frame at this place refused it for, and how that frame looked."""
        self._tally: Tally | None = None
        self._differential: Differential | None = None

    # Frames in

    def consider(
        self, frame: Frame | Shot, hold: Hold = lambda: "", *, standing: bool = False
    ) -> CountedField | Refusal:
        """Count a frame, or say why it does not count. Raises StoreError where the recorder does not keep it.

        `hold` is asked for frames that would count otherwise. `standing`: the driver knows that the stage stands still on
        new ground.
        """
        shot = frame if isinstance(frame, Shot) else Shot(frame, float(self._number), self._number)
        self.seconds, self.message, self.change = {}, "", ""
        if not self.options.stills:
            return self._in_stream(shot, hold, standing)
        if held := hold():
            return Refusal(shot.frame.name, held, "")
        try:
            with self._timed("look"):
                seen = self.scale.observe(shot.frame)
            return self.counted(self.examine(seen), shot.seconds)[1]
        except EdgeleukError as error:
            if isinstance(error, StoreError):
                raise
            return self.refuse(shot.frame.name, error)

    def examine(self, seen: Observation) -> Examined:
        """Analyse a picture at the scale that the slide's policy has for it. Raises ScaleError, QualityError.

        In a worker's thread: nothing of the count changes.
        """
        choice = self.scale.choose(seen)
        field = self._analysed(seen, choice)
        if choice.scale and field.scale != choice.scale and seen.frame.shrunk > 1:
            # Another lens took it, and the size that was enough for the others may not be for this one.
            return self._on_its_own(seen)
        return Examined(seen, field)

    def _analysed(self, seen: Observation, choice: ScaleChoice) -> Field:
        field = self.analyser.analyse(seen.frame, choice.scale, vouched=choice.vouched, seen=seen)
        return _warned(field, choice.warning)

    def _on_its_own(self, seen: Observation, warning: str = "") -> Examined:
        """Analyse a picture by its own red cells, decoded as large as it needs."""
        if seen.frame.file and seen.frame.shrunk > 1:
            seen = Observation.of(read_picture(seen.frame.file))
        return Examined(seen, _warned(self.analyser.analyse(seen.frame, seen=seen), warning))

    def counted(self, examined: Examined, seconds: float | None = None) -> tuple[Examined, CountedField]:
        """Count a picture that was examined; gives what it was examined as in the end, and what was counted.

        To be called in the order of the pictures. Raises ScaleError, QualityError and StoreError.
        """
        if self.scale.contradicts(examined.seen, examined.field):
            examined = self._on_its_own(examined.seen, OTHER_ZOOM)
        elif doubt := self.scale.doubt():
            examined = replace(examined, field=_warned(examined.field, doubt))
        seen, field = examined.seen, examined.field
        with self._timed("place"):
            placement = self.map.locate(seen.frame.pixels, field)
        return examined, self._add(seen, field, placement, self._number + 1.0 if seconds is None else seconds)

    def refuse(self, name: str, error: EdgeleukError) -> Refusal:
        """Keep that a picture is left out, with the reason."""
        findings = error.findings if isinstance(error, QualityError) else ()
        code = next((each.code for each in findings if each.severe), type(error).__name__)
        code = "scale" if isinstance(error, ScaleError) else code
        refusal = Refusal(name, code, str(error), findings, error.exit_code)
        self._refusals.append(refusal)
        return refusal

    # Frames of a stream

    def _in_stream(self, shot: Shot, hold: Hold, standing: bool) -> CountedField | Refusal:
        frame = shot.frame
        with self._timed("look"):
            seen = Observation.within(frame, self._disc.of(shot))
            unfit = self.analyser.quality.refusal(seen.measures)
            self.meters = self.gate.meters(seen.look, sound=unfit is None)
        if unfit:
            return Refusal(frame.name, unfit.code, unfit.text, (unfit,))
        if self.gate.blurred(self.meters) and not standing:
            return Refusal(frame.name, "focus", "much less sharp than the best frame of this session.")
        before = self.session_scale.current
        scale = self.session_scale.of(seen)
        self.message, self.change = self.session_scale.message, self.session_scale.change
        if scale is None:
            return Refusal(frame.name, "scale", self.message)
        if before is None or scale != before:
            self._held = None
        with self._timed("place"):
            placement = self.map.place(frame.pixels, scale, seen.field_of_view)
        reason = hold() or (None if standing else self._not_here(shot, seen, scale, placement))
        if reason:
            return reason if isinstance(reason, Refusal) else Refusal(frame.name, reason, "")
        return self._counted_in_stream(shot, seen, scale, placement)

    def _not_here(
        self, shot: Shot, seen: Observation, scale: Scale, placement: Placement
    ) -> Refusal | str | None:
        """Why a good frame does not count at its place."""
        if not self.gate.still(placement, scale.um_per_px):
            self._held = None
        if unwanted := self.gate.unwanted(placement, scale.um_per_px):
            return unwanted
        if self._held and _alike(self._held[1], seen.look):
            return self._held[0]  # the same view was analysed and refused just now
        return "move" if self._disc.moved(shot) else None

    def _counted_in_stream(
        self, shot: Shot, seen: Observation, scale: Scale, placement: Placement
    ) -> CountedField | Refusal:
        if seen.field_of_view != self._disc.last:
            seen = replace(seen, field_of_view=self._disc.last)
        try:
            field = self.analyser.analyse(
                shot.frame, scale, vouched=self.session_scale.vouched(scale), seen=seen
            )
        except (QualityError, ScaleError) as error:
            return self._hold_off(seen, _refusal(shot.frame.name, error))
        if severe := next((each for each in field.assessment.findings if each.severe), None):
            return self._hold_off(
                seen, Refusal(shot.frame.name, severe.code, severe.text, field.assessment.findings)
            )
        if field.scale != scale or self.scale.contradicts(seen, field):
            self.session_scale.forget(seen)
            self.message = self.change = (
                f"red cells are {scale.um_per_px / field.scale.um_per_px:.2f} times as large as before: another zoom or "
                "objective. The scale is measured again; check --mag."
                if field.scale != scale
                else "red cells have another size than before, at the scale that was given: another zoom or objective. "
                "The scale is measured on them from now on; check --mag."
            )
            return Refusal(shot.frame.name, "scale", self.message)
        return self._add(seen, _warned(field, self.scale.doubt()), placement, shot.seconds)

    def _hold_off(self, seen: Observation, refusal: Refusal) -> Refusal:
        """Refuse a view, and the frames after it that look the same, without analysing each of them."""
        self._held = (refusal, seen.look)
        return refusal

    # The count

    def _add(self, seen: Observation, field: Field, placement: Placement, seconds: float) -> CountedField:
        with self._timed("map"):
            counted = self.map.add(
                field.enlarged(seen.frame.shrunk),
                placement,
                number=self._number + 1,
                seconds=seconds,
                at=datetime.now(UTC).isoformat(timespec="milliseconds"),
                sharpness=seen.look.sharpness,
                image=seen.frame.pixels,
                shrunk=seen.frame.shrunk,
                crops=self.options.crops,
            )
        if self.recorder:
            try:
                self.recorder.add(counted)
            except StoreError:
                self.map.undo()
                raise
        self.seconds |= field.seconds
        self._number += 1
        self._changed()
        return counted

    def undo(self) -> CountedField | None:
        """Take back the field that was counted last; None where there is none. Raises StoreError."""
        if self.recorder and self._number:
            self.recorder.undo()
        counted = self.map.undo()
        if counted:
            self._number, self._held = self._number - 1, None
            self._changed()
        return counted

    def mark(self, identity: int, label: str) -> None:
        """Overrule the type of a white cell. Raises StoreError."""
        if self.recorder:
            self.recorder.mark(identity, label)
        self.map.mark(identity, label)
        self._changed()

    def restore(
        self, counted: Iterable[CountedField], marks: Mapping[int, str], refused: Iterable[Refusal] = ()
    ) -> None:
        """Continue from what was stored: the same map, the same tally, the same scale."""
        self._refusals = list(refused)
        self.map.restore(counted, marks)
        if last := self.map.last:
            self._number = last.number
            self.session_scale.take_up(last.field)
        self._changed()

    def _changed(self) -> None:
        self._tally = self._differential = None

    # Results out

    @property
    def refused(self) -> tuple[Refusal, ...]:
        """Pictures that were left out, in their order."""
        return tuple(self._refusals)

    @property
    def number(self) -> int:
        """Fields that were counted."""
        return self._number

    @property
    def current_scale(self) -> Scale | None:
        """Of the stream's last frame; None until it is known."""
        return self.session_scale.current

    def tally(self) -> Tally:
        """Cells by type, each counted once. Costs little after a new field."""
        if self._tally is None:
            self._tally = self.map.tally()
        return self._tally

    def differential(self) -> Differential:
        """Proportions, intervals and flags of everything counted so far."""
        if self._differential is None:
            self._differential = self._judge(self.tally())
        return self._differential

    def result(self, about: Provenance) -> SlideResult:
        """Everything that is known of the slide."""
        fields, area_mm2 = self.map.fields(), self.map.area_mm2
        return SlideResult(
            about=about,
            counted=tuple(self.map.counted()),
            fields=fields,
            tally=self.tally(),
            differential=self.differential(),
            area_mm2=area_mm2,
            refused=self.refused,
            overlaps=self.map.overlaps,
            marks=self.map.marks,
            estimates=estimate(fields, area_mm2, self.rules, self.options.red_cells),
        )

    @contextmanager
    def _timed(self, stage: str) -> Iterator[None]:
        began = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[stage] = time.perf_counter() - began


def _refusal(name: str, error: QualityError | ScaleError) -> Refusal:
    if isinstance(error, ScaleError):
        return Refusal(name, "scale", str(error), (), error.exit_code)
    code = next((each.code for each in error.findings if each.severe), "quality")
    return Refusal(name, code, str(error), error.findings, error.exit_code)


def _warned(field: Field, text: str) -> Field:
    return replace(field, warnings=(*field.warnings, text)) if text else field


def _alike(one: Look, other: Look) -> bool:
    return (
        abs(one.sharpness - other.sharpness) <= ALIKE * one.sharpness
        and abs(one.light - other.light) <= ALIKE * one.light
    )
