"""Counting of one slide.

Frames go in; counted fields or refusals come out, and one result. Pictures, live frames, evaluation and
stored sessions all use this module. One object holds the scale, the quality limits, the slide map, the rules
and the reader's error model; the supplier of the frames decides nothing.
"""

from __future__ import annotations

import itertools
import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Protocol

from edgeleuk import __version__
from edgeleuk.analysis.analyser import Analyser
from edgeleuk.analysis.observation import Observation
from edgeleuk.counting.scale_policy import ScaleChoice, ScalePolicy
from edgeleuk.counting.stream import Hold, Stream, time_stage
from edgeleuk.differential.conclusion import conclude
from edgeleuk.differential.differential import Differential
from edgeleuk.differential.for_reader import differential_function
from edgeleuk.differential.per_microlitre import estimate
from edgeleuk.differential.rules import Reference, Rules
from edgeleuk.differential.verdict import Pictures, Verdict, told_apart
from edgeleuk.errors import EdgeleukError, StoreError
from edgeleuk.results.slide_result import Provenance, SlideResult, identify, refusal
from edgeleuk.slidemap import CountFacts, SlideMap
from edgeleuk.sources.pictures.reading import read_picture
from edgeleuk.system.faults import to_user_error
from edgeleuk.types import CountedField, Field, Frame, Placement, Refusal, Scale, Tally, TimedFrame

OTHER_ZOOM = (
    "red cells have another size than in the pictures before, at the scale that was given: another objective or zoom. "
    "The scale was measured on them instead."
)


class Recorder(Protocol):
    """Storage of a slide's count.

    `sessions.Session` implements it.
    """

    def add(self, counted: CountedField) -> None:
        """Keep a counted field.

        Raises:
            StoreError: If it cannot be kept; the field is then not counted.
        """

    def refuse(self, *refusals: Refusal) -> None: ...
    def undo(self) -> None: ...
    def mark(self, identity: int, label: str) -> None: ...


@dataclass(frozen=True, slots=True)
class Examined:
    """Analysed picture that is not counted yet."""

    seen: Observation
    field: Field
    """Its analysis, in pixels of the frame."""


@dataclass(frozen=True, slots=True)
class SlideOptions:
    """Options for counting a slide."""

    stills: bool = True
    """Whether frames are separate pictures, taken standing still.

    Otherwise they are frames of a stream.
    """
    overlapping: bool = True
    """Whether pictures may show the same place.

    False if they are known to show different places: cells seen twice then count twice.
    """
    red_cells: float | None = None
    """Red-cell count of the blood, 10^12 per litre.

    Given if cells per microlitre are to be estimated.
    """
    crops: bool = True
    """Whether to keep pictures of white cells."""


class SlideCount:
    """Count of one slide.

    `examine` may be called from several threads, everything else from one.
    """

    def __init__(
        self,
        analyser: Analyser,
        rules: Rules,
        reference: Reference,
        scale: ScalePolicy,
        options: SlideOptions | None = None,
        recorder: Recorder | None = None,
    ) -> None:
        """Start an empty count.

        Args:
            analyser: Analyses the frames; its model also sets the scale of the map.
            rules: Rules of counting and of the verdict.
            reference: Reference ranges of the percentages.
            scale: Scales of the slide's frames.
            options: Defaults to those for separate pictures.
            recorder: Keeps the count as it goes on; None to keep nothing.

        Raises:
            InputError: If `reference` names labels outside the percentages; raised when a result is asked
                for.
        """
        self.analyser, self.rules, self.scale = analyser, rules, scale
        self.options = options or SlideOptions()
        self.recorder = recorder
        self.map = SlideMap.of(analyser.model, rules, self.options.stills, apart=not self.options.overlapping)
        self.seconds: dict[str, float] = {}
        """Wall time of the last frame, by stage.

        The stages are look, place, map, and those of the analysis if one was made.
        """
        self.stream = Stream(analyser, scale, self.map, self.seconds)
        """State of a stream.

        What is known from its frames so far.
        """
        self._to_differential = differential_function(analyser.model.reader, rules, reference)
        self._refusals: list[Refusal] = []
        self._number = 0
        self._names: dict[str, None] = {}
        """Names of the counted fields, in order."""
        self._started = datetime.now().astimezone().isoformat(timespec="milliseconds")
        self._tally: Tally | None = None
        self._conclusion: tuple[Differential, Verdict] | None = None

    # Frames in

    def consider(
        self, frame: Frame | TimedFrame, hold: Hold = lambda: "", *, forced: bool = False
    ) -> CountedField | Refusal:
        """Count a frame, or return why it does not count.

        Args:
            frame: A picture, or a frame of a stream with its time.
            hold: Asked for frames that would count otherwise.
            forced: Count a frame of a stream whatever speaks against its quality, its rest or its place.

        Returns:
            The counted field, or the reason why there is none.

        Raises:
            StoreError: If the recorder does not keep it.
        """
        timed = (
            frame if isinstance(frame, TimedFrame) else TimedFrame(frame, float(self._number), self._number)
        )
        self.seconds.clear()
        if not self.options.stills:
            try:
                return self._in_stream(timed, hold, forced)
            except EdgeleukError:
                raise
            except Exception as error:  # noqa: BLE001  # a fault in one frame must not end the stream
                return refusal(timed.frame.name, to_user_error(error, timed.frame.name))
        if held := hold():
            return Refusal(timed.frame.name, held, "")
        try:
            with time_stage(self.seconds, "look"):
                seen = self.scale.observe(timed.frame)
            return self.count_examined(self.examine(seen), timed.seconds)[1]
        except StoreError:
            raise
        except Exception as error:  # noqa: BLE001  # a fault in one picture must not end the count
            return self.refuse(timed.frame.name, to_user_error(error, timed.frame.name))

    def examine(self, seen: Observation) -> Examined:
        """Analyse a picture at the scale that the policy chooses.

        May be called in a worker's thread: nothing of the count changes.

        Raises:
            ScaleError: If its scale cannot be told.
            QualityError: If it is too poor to be analysed.
        """
        choice = self.scale.choose(seen)
        field = self._analysed(seen, choice)
        if choice.scale and field.scale != choice.scale and seen.frame.shrunk > 1:
            # Another lens took it: the decoded size that suits the others may be too small for this one.
            return self._on_its_own(seen)
        return Examined(seen, field)

    def _analysed(self, seen: Observation, choice: ScaleChoice) -> Field:
        field = self.analyser.analyse(seen.frame, choice.scale, vouched=choice.vouched, seen=seen)
        return _warned(field, choice.warning)

    def _on_its_own(self, seen: Observation, warning: str = "") -> Examined:
        """Analyse a picture by its red cells.

        It is decoded again, as large as it needs, if it was decoded smaller.
        """
        if seen.frame.file and seen.frame.shrunk > 1:
            seen = Observation.of(read_picture(seen.frame.file))
        return Examined(seen, _warned(self.analyser.analyse(seen.frame, seen=seen), warning))

    def count_examined(
        self, examined: Examined, seconds: float | None = None
    ) -> tuple[Examined, CountedField]:
        """Count an examined picture.

        Call this in the order of the pictures. Returns the examination that counts in the end, possibly
        repeated at another scale, and the counted field.

        Raises:
            ScaleError: If its scale cannot be told.
            QualityError: If it is too poor to be analysed.
            StoreError: If the recorder does not keep it.
        """
        if self.scale.contradicts(examined.seen, examined.field):
            examined = self._on_its_own(examined.seen, OTHER_ZOOM)
        elif doubt := self.scale.doubt():
            examined = replace(examined, field=_warned(examined.field, doubt))
        seen, field = examined.seen, examined.field
        with time_stage(self.seconds, "place"):
            placement = self.map.locate(seen.frame.pixels, field)
        return examined, self._add(seen, field, placement, self._number + 1.0 if seconds is None else seconds)

    def leave_out(self, left_out: Sequence[Refusal]) -> None:
        """Record files that are no pictures, with the reasons.

        Raises:
            StoreError: If the recorder does not keep them.
        """
        if left_out:
            self._refusals += left_out
            if self.recorder:
                self.recorder.refuse(*left_out)

    def refuse(self, name: str, error: EdgeleukError) -> Refusal:
        """Record that a picture is left out, and why."""
        left_out = refusal(name, error)
        if self.recorder:
            self.recorder.refuse(left_out)  # first: a picture that cannot be recorded is offered again
        self._refusals.append(left_out)
        self._conclusion = None
        return left_out

    def _in_stream(self, timed: TimedFrame, hold: Hold, forced: bool) -> CountedField | Refusal:
        ready = self.stream.ready(timed, hold, forced)
        if isinstance(ready, Refusal):
            return ready
        field = self.stream.analysed(ready)
        if isinstance(field, Refusal):
            return field
        return self._add(ready.seen, _warned(field, self.scale.doubt()), ready.placement, timed.seconds)

    # The count

    def _add(self, seen: Observation, field: Field, placement: Placement, seconds: float) -> CountedField:
        with time_stage(self.seconds, "map"):
            at = datetime.now(UTC).isoformat(timespec="milliseconds")
            counted = self.map.add(
                self._named_alone(field).enlarged(seen.frame.shrunk),
                placement,
                CountFacts(self._number + 1, seconds, at, seen.look.sharpness),
                seen.frame.pixels,
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
        """Return the field with a unique name.

        No field before has that name. Cameras restart their frame numbers when they are opened again.
        """
        if field.name not in self._names:
            return field
        again = (f"{field.name} ({number})" for number in itertools.count(2))
        return replace(field, name=next(name for name in again if name not in self._names))

    def _about(self) -> Provenance:
        """Return the count's own provenance.

        When it was made, and with what.
        """
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
        """Take back the last counted field.

        Returns the field; None if there is none.

        Raises:
            StoreError: If the recorder does not keep the change.
        """
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
        """Overrule the type of a white cell.

        Raises:
            StoreError: If the recorder does not keep it.
        """
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
        """Continue from a stored count.

        The map, the tally and the scale are then the same as before.

        Args:
            counted: The stored fields, in order.
            marks: Labels that the operator gave, by cell identity.
            refused: Pictures that were left out.
            last: Number of the last field, if that one cannot be read any more.
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
        self._tally = self._conclusion = None

    # Results out

    @property
    def refused(self) -> tuple[Refusal, ...]:
        """Pictures that were left out, in order."""
        return tuple(self._refusals)

    @property
    def number(self) -> int:
        """Number of counted fields."""
        return self._number

    @property
    def current_scale(self) -> Scale | None:
        """Scale of the stream's last frame; None until known."""
        return self.stream.scale.current

    def tally(self) -> Tally:
        """Return cell counts by type, each cell counted once.

        Costs little after a new field.
        """
        if self._tally is None:
            self._tally = self.map.tally()
        return self._tally

    def differential(self) -> Differential:
        """Return proportions, intervals and flags so far."""
        return self._concluded()[0]

    def verdict(self) -> Verdict:
        """Return in one line what the count supports.

        The result is to be shown first.
        """
        return self._concluded()[1]

    def _concluded(self) -> tuple[Differential, Verdict]:
        if self._conclusion is None:
            refused = [each for each in self._refusals if each.exit_code]
            pictures = Pictures(self._number, refused, self.spoken())
            self._conclusion = conclude(self.tally(), self._to_differential, pictures, self.rules)
        return self._conclusion

    def spoken(self) -> dict[str, str]:
        """Return the name that users know each picture by.

        The name of a file, or the field number for a frame of a stream.
        """
        if not self.options.stills:
            return {name: f"field {number}" for number, name in enumerate(self._names, start=1)}
        return told_apart(self._names)

    def result(self, about: Provenance | None = None) -> SlideResult:
        """Return everything known of the slide.

        `about` says who counted it, if a driver knows; by default only when and with what.
        """
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
