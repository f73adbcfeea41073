"""One slide: frames in, counted fields or refusals out, and one result.

Pictures, live frames, evaluation and stored sessions all come through here: the scale, the quality limits, the slide map,
the rules and the reader's error model are in one object, and whoever supplies the frames decides nothing.
"""

from __future__ import annotations

import itertools
import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Protocol

from edgeleuk import __version__
from edgeleuk.counting.scale import ScaleChoice, ScalePolicy
from edgeleuk.counting.stream import Hold, Stream, timed
from edgeleuk.differential import Differential
from edgeleuk.errors import EdgeleukError, StoreError
from edgeleuk.estimates import estimate
from edgeleuk.faults import unforeseen
from edgeleuk.judge import judge_by
from edgeleuk.observation import Observation
from edgeleuk.pipeline import Analyser
from edgeleuk.results import Provenance, SlideResult, identify, refusal
from edgeleuk.rules import Reference, Rules
from edgeleuk.slidemap import SlideMap
from edgeleuk.sources.folder import read_picture
from edgeleuk.types import CountedField, Field, Frame, Placement, Refusal, Scale, Shot, Tally
from edgeleuk.verdict import Pictures, Verdict, reach, told_apart

OTHER_ZOOM = (
    "red cells have another size than in the pictures before, at the scale that was given: another objective or zoom. "
    "The scale was measured on them instead."
)


class Recorder(Protocol):
    """What keeps a slide as it is counted; `store.Session` does."""

    def add(self, counted: CountedField) -> None:
        """Keep a counted field. Raises StoreError where it cannot; the field is then not counted."""

    def refuse(self, *refusals: Refusal) -> None: ...
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
        self.stream = Stream(analyser, scale, self.map, self.seconds)
        """What is known of a stream from its frames so far."""
        self._judge = judge_by(analyser.model.reader, rules, reference)
        self._refusals: list[Refusal] = []
        self._number = 0
        self._names: dict[str, None] = {}
        """Of the counted fields, in order."""
        self._started = datetime.now().astimezone().isoformat(timespec="milliseconds")
        self._tally: Tally | None = None
        self._differential: Differential | None = None
        self._verdict: Verdict | None = None

    # Frames in

    def consider(
        self, frame: Frame | Shot, hold: Hold = lambda: "", *, forced: bool = False
    ) -> CountedField | Refusal:
        """Count a frame, or say why it does not count. Raises StoreError where the recorder does not keep it.

        `hold` is asked for frames that would count otherwise. `forced`: a frame of a stream counts whatever speaks against
        its quality, its rest or its place.
        """
        shot = frame if isinstance(frame, Shot) else Shot(frame, float(self._number), self._number)
        self.seconds.clear()
        if not self.options.stills:
            try:
                return self._in_stream(shot, hold, forced)
            except EdgeleukError:
                raise
            except Exception as error:  # noqa: BLE001  # a frame's fault is that frame's
                return refusal(shot.frame.name, unforeseen(error, shot.frame.name))
        if held := hold():
            return Refusal(shot.frame.name, held, "")
        try:
            with timed(self.seconds, "look"):
                seen = self.scale.observe(shot.frame)
            return self.counted(self.examine(seen), shot.seconds)[1]
        except StoreError:
            raise
        except Exception as error:  # noqa: BLE001  # a picture's fault is that picture's
            return self.refuse(shot.frame.name, unforeseen(error, shot.frame.name))

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
        with timed(self.seconds, "place"):
            placement = self.map.locate(seen.frame.pixels, field)
        return examined, self._add(seen, field, placement, self._number + 1.0 if seconds is None else seconds)

    def leave_out(self, left_out: Sequence[Refusal]) -> None:
        """Keep what lay beside the pictures and is none, with the reasons. Raises StoreError."""
        if left_out:
            self._refusals += left_out
            if self.recorder:
                self.recorder.refuse(*left_out)

    def refuse(self, name: str, error: EdgeleukError) -> Refusal:
        """Keep that a picture is left out, with the reason."""
        left_out = refusal(name, error)
        if self.recorder:
            self.recorder.refuse(left_out)  # first: what cannot be kept comes again
        self._refusals.append(left_out)
        self._verdict = None
        return left_out

    def _in_stream(self, shot: Shot, hold: Hold, forced: bool) -> CountedField | Refusal:
        ready = self.stream.ready(shot, hold, forced)
        if isinstance(ready, Refusal):
            return ready
        field = self.stream.analysed(ready)
        if isinstance(field, Refusal):
            return field
        return self._add(ready.seen, _warned(field, self.scale.doubt()), ready.placement, shot.seconds)

    # The count

    def _add(self, seen: Observation, field: Field, placement: Placement, seconds: float) -> CountedField:
        with timed(self.seconds, "map"):
            counted = self.map.add(
                self._named_alone(field).enlarged(seen.frame.shrunk),
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
            except Exception:
                self.map.undo()
                raise
        for stage, took in field.seconds.items():
            self.seconds.setdefault(stage, took)
        self._number += 1
        self._names[counted.field.name] = None
        self._changed()
        return counted

    def _named_alone(self, field: Field) -> Field:
        """The field by a name that none before has: cameras number their frames anew when they are opened again."""
        if field.name not in self._names:
            return field
        again = (f"{field.name} ({number})" for number in itertools.count(2))
        return replace(field, name=next(name for name in again if name not in self._names))

    def _about(self) -> Provenance:
        """What the count knows of itself: when, and with what."""
        profile = self.analyser.profile
        return Provenance(
            id=str(uuid.uuid4()),
            program=__version__,
            model=identify(self.analyser.model),
            started=self._started,
            ended=datetime.now().astimezone().isoformat(timespec="milliseconds"),
            profile=profile.name if profile else None,
        )

    def undo(self) -> CountedField | None:
        """Take back the field that was counted last; None where there is none. Raises StoreError."""
        if self.recorder and self._number:
            self.recorder.undo()
        counted = self.map.undo()
        if counted:
            self._number -= 1
            self._names.pop(counted.field.name, None)
            self.stream.forget_view()
            self._changed()
        return counted

    def mark(self, identity: int, label: str) -> None:
        """Overrule the type of a white cell. Raises StoreError."""
        if self.recorder:
            self.recorder.mark(identity, label)
        self.map.mark(identity, label)
        self._changed()

    def restore(
        self,
        counted: Iterable[CountedField],
        marks: Mapping[int, str],
        refused: Iterable[Refusal] = (),
        last: int = 0,
    ) -> None:
        """Continue from what was stored: the same map, the same tally, the same scale.

        `last` is the number of the last field where that one cannot be read any more.
        """
        self._refusals = list(refused)
        self.map.restore(counted, marks)
        self._names = dict.fromkeys(self.map.names)
        self._number = last
        if newest := self.map.last:
            self._number = max(newest.number, last)
            self.stream.scale.take_up(newest.field)
        self._changed()

    def _changed(self) -> None:
        self._tally = self._differential = self._verdict = None

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
        return self.stream.scale.current

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

    def verdict(self) -> Verdict:
        """What the count allows to say, first and in one line."""
        if self._verdict is None:
            refused = [each for each in self._refusals if each.exit_code]
            pictures = Pictures(self._number, refused, self._spoken())
            self._verdict = reach(self.tally(), self.differential(), pictures, self.rules)
        return self._verdict

    def _spoken(self) -> dict[str, str]:
        """What a person calls each picture: a file by its name, a frame of a stream by the number of its field."""
        if not self.options.stills:
            return {name: f"field {number}" for number, name in enumerate(self._names, start=1)}
        return told_apart(self._names)

    def result(self, about: Provenance | None = None) -> SlideResult:
        """Everything that is known of the slide. `about`: who counted it, where a driver knows."""
        fields, area_mm2 = self.map.fields(), self.map.area_mm2
        return SlideResult(
            about=about or self._about(),
            counted=tuple(self.map.counted()),
            fields=fields,
            tally=self.tally(),
            differential=self.differential(),
            verdict=self.verdict(),
            area_mm2=area_mm2,
            refused=self.refused,
            overlaps=self.map.overlaps,
            marks=self.map.marks,
            estimates=estimate(fields, area_mm2, self.rules, self.options.red_cells),
        )


def _warned(field: Field, text: str) -> Field:
    return replace(field, warnings=(*field.warnings, text)) if text else field
