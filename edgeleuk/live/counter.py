"""The live count: a frame in, a verdict out, and a tally that grows by what nobody counted before."""

from __future__ import annotations

import time
from collections import Counter as Counts
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, Protocol

from edgeleuk import machine
from edgeleuk.assessment import Glance
from edgeleuk.differential import Differential
from edgeleuk.errors import StoreError, UsageError
from edgeleuk.judge import Judge
from edgeleuk.live.disc import Disc
from edgeleuk.live.gate import Gate
from edgeleuk.live.pace import Pace
from edgeleuk.live.scale import SessionScale
from edgeleuk.live.setbacks import SPACE_AGAIN, Disk, WallClock, behind_text, set_text
from edgeleuk.live.state import CameraState, Event, EventKind, LiveState, Meters, Verdict
from edgeleuk.pipeline import Analyser
from edgeleuk.rules import Rules
from edgeleuk.slidemap import SlideMap
from edgeleuk.types import CountedField, Field, Placement, Scale, Shot, Tally


class Recorder(Protocol):
    """What keeps a session; `store.Session` does."""

    id: str

    def add(self, counted: CountedField) -> None: ...
    def undo(self) -> None: ...
    def mark(self, identity: int, label: str) -> None: ...
    def note(self, text: str) -> None: ...


class LiveCounter:
    """One session's count. Use from one thread; everything it tells goes through `state` and `on_event`."""

    def __init__(
        self,
        analyser: Analyser,
        judge: Judge,
        rules: Rules,
        *,
        source: str,
        target: int = 200,
        scale: Scale | None = None,
        stills: bool = False,
        manual: bool = False,
        recorder: Recorder | None = None,
        on_event: Callable[[Event], None] = lambda _: None,
    ) -> None:
        self.analyser, self.map = analyser, SlideMap.of(analyser.model, rules, stills)
        usual = analyser.profile.usual if analyser.profile else None
        self.gate = Gate(stills=stills, best=usual.sharpness if usual else 1.0)
        self.target, self.manual, self.paused = target, manual, False
        self.message = ""
        self._judge, self._source, self._recorder, self._on_event = judge, source, recorder, on_event
        self._scale = SessionScale(analyser, scale)
        self._disc = Disc(stills)
        self._misfit = False
        """Whether it was told that the frames do not fit the profile."""
        self._wanted = False
        self._began = time.monotonic()
        self._disk, self._clock = Disk(), WallClock()
        self._pace = Pace()
        self._verdict: Verdict = "paused"
        self._meters = Meters(0.0, 0.0)
        self._fields = 0
        self._added: Mapping[str, int] = {}
        self._differential: Differential | None = None
        self._counted: Tally | None = None
        self._white: Counts[str] = Counts()
        self._flags: set[str] = set()
        self._told_target = False

    @property
    def seconds(self) -> float:
        """Since the count began."""
        return time.monotonic() - self._began

    @property
    def scale(self) -> Scale | None:
        """Of the session; None until enough red cells were seen."""
        return self._scale.known

    def frame(self, shot: Shot) -> Verdict:
        """Look at one frame, and count it where it counts. Raises StoreError never: a full disk pauses the count, until
        it takes fields again or the operator tries."""
        with self._pace:
            self._verdict = self._consider(shot)
        if self._verdict == "counted":
            machine.give_back()  # when the result is there; only once in a while, 168 MB became 207 in between
        return self._verdict

    def _consider(self, shot: Shot) -> Verdict:
        disc = self._disc.of(shot)
        seen = Glance.of(shot.frame.pixels, disc)
        self._meters = self.gate.meters(seen.look)
        if unfit := self.gate.unfit(seen.look, self._meters):
            return unfit
        if (scale := self.scale or self._settled(shot)) is None:
            return "scale"
        placement = self.map.place(shot.frame.pixels, scale, disc)
        if self._disk.is_due():
            self.paused = False
        if self.paused:
            return "paused"
        if unwanted := self.gate.unwanted(placement, scale.um_per_px):
            return unwanted
        if self.manual and not self._wanted:
            return "manual"
        if self._disc.moved(shot):
            return "move"
        return self._count(shot, scale, placement, replace(seen, disc=self._disc.last))

    def _settled(self, shot: Shot) -> Scale | None:
        scale = self._scale.settle(shot.frame)
        self.message = self._scale.message
        return scale

    def _count(self, shot: Shot, scale: Scale, placement: Placement, seen: Glance) -> Verdict:
        field = self.analyser.analyse(shot.frame, scale, seen=seen)
        if unsound := self.gate.unsound(field.assessment):
            return unsound
        self._tell_misfit(field)
        if moved := self._clock.moved():
            self._warn(set_text(moved))
        counted = self.map.add(
            field,
            placement,
            number=self._fields + 1,
            seconds=shot.seconds,
            at=datetime.now(UTC).isoformat(timespec="milliseconds"),
            sharpness=seen.look.sharpness,
            image=shot.frame.pixels,
        )
        if self._recorder and not self._kept(self._recorder, counted):
            return "paused"
        self._fields, self._wanted = self._fields + 1, False
        before = self._white
        self._changed()
        self._white = Counts(self._tally().white)
        self._added = dict((self._white - before).most_common())
        self._announce(counted)
        return "counted"

    def _tell_misfit(self, field: Field) -> None:
        """Once, until frames fit again: a count that goes on without the profile's light and colour looks the same."""
        misfit = self.analyser.profile is not None and field.profile is None
        if misfit and not self._misfit:
            self._warn(field.warnings[0])  # why the profile was not used stands before all others
        self._misfit = misfit

    def _kept(self, recorder: Recorder, counted: CountedField) -> bool:
        """What is not kept was not counted: the tally on the screen and the one on the disk stay the same."""
        try:
            recorder.add(counted)
        except StoreError as error:
            self.map.undo()
            self.paused = True
            self.message = f"{error} Counting is paused, and tried again from time to time."
            if self._disk.refused():
                self._tell("warning", self.message)
            return False
        if self._disk.taken():
            self.message = ""
            self._tell("warning", SPACE_AGAIN)
        return True

    def resume(self, counted: Iterable[CountedField], marks: Mapping[int, str]) -> None:
        """Go on from a session that was kept: the same map, the same tally, the same scale."""
        self.map.restore(counted, marks)
        if last := self.map.last:
            self._fields, self._scale.known = last.number, last.field.scale
            if behind := self._clock.behind(last.at):
                self._warn(behind_text(behind))
        self._changed()
        self._white = Counts(self._tally().white)
        machine.give_back()  # all that the session was read into

    def count_now(self) -> None:
        """Count the next frame that is fit to be counted, with --manual."""
        self._wanted = True

    def pause(self) -> None:
        """Stop counting, or go on."""
        self._disk.leave()
        self.paused, self.message = not self.paused, ""

    def undo(self) -> None:
        """Take back the last counted field. Raises UsageError where there is none."""
        if self._recorder and self._fields:
            self._recorder.undo()
        counted = self.map.undo()
        if counted is None:
            raise UsageError("there is no counted field to take back.")
        self._fields, self._added = self._fields - 1, {}
        self._changed()
        self._white = Counts(self._tally().white)
        self.message = f"field {counted.number} was taken back."
        self._tell("undone", self.message, {"field": counted.number})

    def mark(self, identity: int, label: str = "artefact") -> None:
        """Overrule what the reader says of one white cell. Raises UsageError where there is no such cell."""
        if identity not in self.map.white_cells:
            raise UsageError(f"there is no white cell {identity} on the map.")
        if self._recorder:
            self._recorder.mark(identity, label)
        self.map.mark(identity, label)
        self._changed()
        self.message = f"cell {identity} was marked as {label}."
        self._tell("artefact", self.message, {"cell": identity, "label": label})

    def mark_last(self, label: str = "artefact") -> None:
        """Overrule what the reader says of the white cell that was found last. Raises UsageError where there is none."""
        if not (white := self.map.white_cells):
            raise UsageError("no white cell was counted yet.")
        self.mark(white[-1], label)

    def note(self, text: str) -> None:
        """Keep a remark with the session."""
        if self._recorder:
            self._recorder.note(text)
        self._tell("note", text)

    def differential(self) -> Differential:
        """Of everything counted so far."""
        if self._differential is None:
            self._differential = self._judge(self._tally())
        return self._differential

    def _tally(self) -> Tally:
        if self._counted is None:
            self._counted = self.map.tally()
        return self._counted

    def state(self, camera: CameraState) -> LiveState:
        """Everything a view needs, as of now."""
        return LiveState(
            magnification=self.analyser.model.magnification,
            source=self._source,
            camera=camera,
            verdict=self._verdict,
            meters=self._meters,
            fps=self._pace.fps,
            latency_ms=self._pace.latency_ms,
            seconds=self.seconds,
            fields=self._fields,
            differential=self.differential(),
            target=self.target,
            last_added=self._added,
            um_per_px=self.scale.um_per_px if self.scale else None,
            islands=self.map.islands,
            paused=self.paused,
            manual=self.manual,
            message=self.message,
            session=self._recorder.id if self._recorder else "",
        )

    def _changed(self) -> None:
        self._differential = self._counted = None

    def _announce(self, counted: CountedField) -> None:
        result = self.differential()
        added = ", ".join(f"{label.replace('_', ' ')} {n}" for label, n in self._added.items())
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
            self.message = f"{result.n} white cells: the target is reached. q finishes, or go on."
            self._tell("target", " ".join(result.adequacy), {"white_cells": result.n, "target": self.target})

    def _warn(self, text: str) -> None:
        self.message = text
        self._tell("warning", text)

    def _tell(self, kind: EventKind, text: str, data: Mapping[str, Any] | None = None) -> None:
        self._on_event(Event(kind, self.seconds, text, data or {}))
