"""Live count of a slide.

Each frame gets a verdict; a frame that is counted adds its new cells to the tally.
"""

from __future__ import annotations

import time
from collections import Counter as Counts
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Protocol

from edgeleuk.counting import slide
from edgeleuk.counting.interruptions import SPACE_AGAIN, StoreRetry, WallClock, behind_text, set_text
from edgeleuk.counting.pace import Pace
from edgeleuk.counting.requests import Command, Mark, Question, asked
from edgeleuk.counting.slide import SlideCount
from edgeleuk.counting.state import CameraState, Event, EventKind, LastCell, LiveState, Verdict
from edgeleuk.differential.differential import Differential
from edgeleuk.errors import StoreError, UnforeseenError, UsageError
from edgeleuk.system import machine
from edgeleuk.types import CountedField, Field, Refusal, Scale, TimedFrame, spoken

ARTEFACT = "artefact"
"""Mark for a cell that is not a white cell."""


class Recorder(slide.Recorder, Protocol):
    """Recorder of a session, such as `sessions.Session`."""

    id: str

    def note(self, text: str) -> None: ...


WORDS: Mapping[str, Verdict] = {
    "dark": "dark",
    "bright": "bright",
    "empty": "empty",
    "focus": "focus",
    "motion": "move",
    "move": "move",
    "pale": "stain",
    "dense": "stain",
    "thick": "thick",
    "domain": "foreign",
    "colours": "foreign",
    "drawn": "foreign",
    "seen": "seen",
    "scale": "scale",
    "ScaleError": "scale",
    "paused": "paused",
    "manual": "manual",
}
"""Verdict on the screen for each refusal code."""


class LiveCounter:
    """Driver of a SlideCount with the frames of a source.

    Use it from one thread. It reports through `state` and `on_event` only.
    """

    def __init__(
        self,
        count: SlideCount,
        *,
        source: str,
        target: int = 200,
        manual: bool = False,
        recorder: Recorder | None = None,
        on_event: Callable[[Event], None] = lambda _: None,
    ) -> None:
        """Start a count.

        Args:
            count: Count of the slide; `recorder` becomes its recorder.
            source: Name of the source, for display.
            target: White cells to count.
            manual: Count a frame only after `count_now`.
            recorder: Recorder of the session; None keeps nothing.
            on_event: Called with each event.
        """
        self.slide, self.analyser, self.map = count, count.analyser, count.map
        self.target, self.manual, self.paused = target, manual, False
        self.message = self._of_scale = ""
        self._source, self._recorder, self._on_event = source, recorder, on_event
        count.recorder = recorder
        self._misfit = False
        """Whether a mismatch of frames and profile was reported."""
        self._wanted = False
        self._began = time.monotonic()
        self._store_retry, self._clock = StoreRetry(), WallClock()
        self._pace = Pace()
        self._verdict: Verdict = "paused"
        self._added: Mapping[str, int] = {}
        self._white: Counts[str] = Counts()
        self._last_cell: LastCell | None = None
        self._flags: set[str] = set()
        self._told_target = False
        self._faults: set[str] = set()
        """Messages already shown about unforeseen faults."""

    @property
    def seconds(self) -> float:
        """Seconds since the count began."""
        return time.monotonic() - self._began

    @property
    def scale(self) -> Scale | None:
        """Scale of the last frame.

        None until enough red cells were seen.
        """
        return self.slide.current_scale

    @property
    def refused_by_disk(self) -> bool:
        """Whether storing the last countable field failed."""
        return self._store_retry.refuses

    @property
    def tries_disk(self) -> bool:
        """Whether to try storing again now."""
        return self._store_retry.tries

    def frame(self, timed: TimedFrame) -> Verdict:
        """Assess one frame and count it if it qualifies.

        Never raises StoreError: a full disk pauses the count until it accepts fields again or the operator
        tries.
        """
        with self._pace:
            self._verdict = self._consider(timed)
        if self._verdict == "counted":
            machine.give_back()  # once a field: done less often, 168 MB grew to 207 in between
        return self._verdict

    def _consider(self, timed: TimedFrame) -> Verdict:
        try:
            outcome = self.slide.consider(timed, self._hold_reason)
        except StoreError as error:
            self._not_kept(error)
            return "paused"
        if isinstance(outcome, Refusal):
            if self.slide.options.stills and outcome.exit_code:
                self._kept()  # the store has recorded that this picture is left out
            return self._left_out(outcome)
        self._kept()
        if self.message == self._of_scale:  # a field was counted: the doubt about the scale is over
            self.message = ""
        self._tell_misfit(outcome.field)
        if moved := self._clock.moved():
            self._warn(set_text(moved))
        self._wanted = False
        before = self._white
        self._recount()
        self._added = dict((self._white - before).most_common())
        self._announce(outcome)
        return "counted"

    def _hold_reason(self) -> str:
        """Return why counting is on hold, or ""."""
        if self._store_retry.is_due():
            self.paused = False
        if self.paused:
            return "paused"
        return "manual" if self.manual and not self._wanted else ""

    def _left_out(self, refusal: Refusal) -> Verdict:
        """Report a refused frame; return its verdict.

        A change of the camera's image is reported once.
        """
        verdict = WORDS.get(refusal.code, "unreadable")
        if verdict == "scale" and not self.paused:
            self.message = self._of_scale = self.slide.stream.message
        elif verdict == "unreadable":
            self._warn_once(refusal)
        if self.slide.stream.change and self.slide.number:
            self._warn(self.slide.stream.change)
        return verdict

    def _warn_once(self, refusal: Refusal) -> None:
        """Warn of a refusal.

        An unforeseen fault, which may affect every frame of a stream, is reported only once.
        """
        told = refusal.text.replace(refusal.name, "")
        if refusal.code != UnforeseenError.__name__ or told not in self._faults:
            self._warn(refusal.text)
        self._faults.add(told)

    def _tell_misfit(self, field: Field) -> None:
        """Warn once while frames do not fit the profile.

        Without the warning nobody would notice that the count goes on without the profile's light and colour
        correction.
        """
        misfit = self.analyser.profile is not None and field.profile is None
        if misfit and not self._misfit:
            self._warn(field.warnings[0])  # the first warning says why the profile was not used
        self._misfit = misfit

    def _not_kept(self, error: StoreError) -> None:
        """Pause because a field could not be stored.

        A field that is not stored is not counted, so the tally on the screen and the one on the disk stay the
        same.
        """
        self.paused = True
        self.message = f"{error} Counting is paused, and tried again from time to time."
        if self._store_retry.refused():
            self._tell("warning", self.message)

    def _kept(self) -> None:
        if self._recorder and self._store_retry.taken():
            self.message = ""
            self._tell("warning", SPACE_AGAIN)

    def resume(
        self,
        counted: Iterable[CountedField],
        marks: Mapping[int, str],
        refused: Iterable[Refusal] = (),
        last: int = 0,
    ) -> None:
        """Resume a stored session with its map, tally and scale.

        Args:
            counted: Counted fields of the session.
            marks: Labels that the operator gave to cells, by cell number on the map.
            refused: Refused frames of the session.
            last: As in `SlideCount.restore`.
        """
        self.slide.restore(counted, marks, refused, last)
        if (newest := self.map.last) and (behind := self._clock.behind(newest.at)):
            self._warn(behind_text(behind))
        self._recount()
        machine.give_back()  # memory that reading the session took

    def count_now(self) -> None:
        """Count the next suitable frame in manual mode (--manual)."""
        self._wanted = True

    def pause(self) -> None:
        """Pause or resume counting."""
        self._store_retry.leave()
        self.paused, self.message = not self.paused, ""

    def undo(self) -> None:
        """Take back the last counted field.

        Raises:
            UsageError: There is no counted field.
        """
        counted = self.slide.undo()
        if counted is None:
            raise UsageError("there is no counted field to take back.")
        self._added = {}
        self._recount()
        self.message = f"field {counted.number} was taken back."
        self._tell("undone", self.message, {"field": counted.number})

    def mark(self, identity: int, label: str = ARTEFACT) -> None:
        """Override the type of one white cell.

        Raises:
            UsageError: There is no such cell.
        """
        if identity not in self.map.white_cells:
            raise UsageError(f"there is no white cell {identity} on the map.")
        named = next(
            (str(each) for each in [self._last_cell] if each and each.identity == identity),
            f"cell {identity}",
        )
        self.slide.mark(identity, label)
        self._recount()
        self.message = f"{named} was marked as {label}."
        self._tell("artefact", self.message, {"cell": identity, "label": label})

    def mark_last(self, label: str = ARTEFACT) -> None:
        """Override the reader's type of `last_cell`.

        Raises:
            UsageError: There is no such cell.
        """
        if self._last_cell is None:
            raise UsageError("there is no white cell to mark: none was typed yet, or all are artefacts.")
        self.mark(self._last_cell.identity, label)

    def question(self, command: Command) -> Question | None:
        """Return the question before a command.

        None for a command that runs at once.
        """
        if command is Command.ARTEFACT and self._last_cell:
            mark = Mark(self._last_cell.identity)
            return Question(f"Mark {self._last_cell} as an artefact?", "marks it", "leaves it", mark)
        return asked(command)

    def _recount(self) -> None:
        """Update what follows from the cells.

        Call it after cells were counted, taken back or marked.
        """
        self._white = Counts(self.slide.tally().white)
        self._last_cell = self._last_markable()

    def _last_markable(self) -> LastCell | None:
        """Return the newest white cell to mark.

        It was read, and it is no artefact.
        """
        marks = self.map.marks
        for identity in reversed(self.map.white_cells):
            cell = self.map.cell(identity)
            if cell.reading and marks.get(identity) != ARTEFACT:
                return LastCell(
                    identity, cell.field, cell.number, cell.reading.label, cell.reading.probability
                )
        return None

    def note(self, text: str) -> None:
        """Store a note with the session."""
        if self._recorder:
            self._recorder.note(text)
        self._tell("note", text)

    def differential(self) -> Differential:
        """Return the differential of everything counted so far."""
        return self.slide.differential()

    def state(self, camera: CameraState) -> LiveState:
        """Return the current state for a view."""
        return LiveState(
            magnification=self.analyser.model.magnification,
            source=self._source,
            camera=camera,
            verdict=self._verdict,
            meters=self.slide.stream.meters,
            fps=self._pace.fps,
            latency_ms=self._pace.latency_ms,
            seconds=self.seconds,
            fields=self.slide.number,
            differential=self.differential(),
            slide_verdict=self.slide.verdict(),
            target=self.target,
            last_added=self._added,
            last_cell=self._last_cell,
            um_per_px=self.scale.um_per_px if self.scale else None,
            island_count=self.map.island_count,
            paused=self.paused,
            manual=self.manual,
            message=self.message,
            session=self._recorder.id if self._recorder else "",
        )

    def _announce(self, counted: CountedField) -> None:
        result = self.differential()
        added = ", ".join(f"{spoken(label)} {n}" for label, n in self._added.items())
        self._tell(
            "field",
            f"field {counted.number}: {added or 'no new white cell'}. {result.n} of {self.target} counted.",
            {
                "field": counted.number,
                "source_seconds": counted.seconds,
                "added": dict(self._added),
                "white_cells": result.n,
                "island": counted.placement.island,
                "x_um": counted.placement.x_um,
                "y_um": counted.placement.y_um,
                "new_ground": counted.placement.new_ground,
            },
        )
        for flag in result.flags:
            if flag.code not in self._flags:
                self._tell("flag", flag.text, {"code": flag.code, "severity": flag.severity})
        self._flags = {flag.code for flag in result.flags}
        if result.n >= self.target and not self._told_target:
            self._told_target = True
            self.message = f"{result.n} white cells: the target is reached. q ends the count, or go on."
            self._tell("target", " ".join(result.adequacy), {"white_cells": result.n, "target": self.target})

    def _warn(self, text: str) -> None:
        self.message = text
        self._tell("warning", text)

    def _tell(self, kind: EventKind, text: str, data: Mapping[str, Any] | None = None) -> None:
        self._on_event(Event(kind, self.seconds, text, data or {}))
