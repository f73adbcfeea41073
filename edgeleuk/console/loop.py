"""Main loop of a live count.

It takes frames from the camera's thread and keys from the operator, and passes states to the view.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType
from typing import Protocol

from edgeleuk.console.systemd_watchdog import Watchdog
from edgeleuk.counting.live import LiveCounter
from edgeleuk.counting.requests import Command, Mark, NextSlide, Request
from edgeleuk.counting.state import CameraState, Event, LiveState
from edgeleuk.errors import EdgeleukError
from edgeleuk.results import slide_id
from edgeleuk.types import Frame, TimedFrame

WAIT_S = 0.1
"""Longest wait for a frame, seconds.

Keys and the view are served after it, so a key is answered within this time.
"""
SHOWN_S = 0.125
"""Minimum time between two states of the view, seconds.

Nobody reads faster, and a terminal over SSH is slow.
"""


class Frames(Protocol):
    """Source of frames, such as `sources.capture.Capture`."""

    @property
    def ended(self) -> bool: ...

    def next(self, timeout: float) -> TimedFrame | None: ...

    def state(self) -> CameraState: ...


class View(Protocol):
    """View of states: terminal or nothing."""

    def update(self, state: LiveState) -> None: ...


@dataclass(frozen=True, slots=True)
class LoopOptions:
    """What a loop does beside counting, and when it ends."""

    requests: Callable[[], Iterator[Request]] = lambda: iter(())
    """Returns what the operator asked for since the last call."""
    show_frame: Callable[[Frame, LiveState], None] | None = None
    """Called with each shown frame and its state, for a preview."""
    on_event: Callable[[Event], None] = lambda _: None
    """Called with events of the camera."""
    watchdog: Watchdog | None = None
    """Watchdog of a service manager."""
    waits: bool = False
    """Whether the source waits until the last frame was taken.

    A video file or a folder does. A frame that could not be stored is then tried again before another one is
    taken.
    """
    next_slides: bool = False
    """Whether the operator may begin the next slide: only a camera that goes on can show one."""
    until_target: bool = False
    """Whether to stop when the target is reached."""
    most_seconds: float | None = None
    """Time limit, seconds; None for no limit."""


class Loop:
    """Loop over frames, keys and the view.

    It runs until the source ends, the operator finishes, a signal arrives, or the target or the time limit is
    reached.
    """

    def __init__(
        self,
        frames: Frames,
        counter: LiveCounter,
        view: View,
        options: LoopOptions = LoopOptions(),  # frozen
    ) -> None:
        """Prepare a loop.

        Args:
            frames: Source of frames.
            counter: Live count that assesses each frame.
            view: View that shows the states.
            options: What to do beside counting, and when to end.
        """
        self.frames, self.counter, self.view = frames, counter, view
        self._waits = options.waits
        self._unkept: TimedFrame | None = None
        self._requests, self._show_frame, self._on_event = (
            options.requests,
            options.show_frame,
            options.on_event,
        )
        self._watchdog = options.watchdog or Watchdog(None)
        self._until_target, self._most_seconds = options.until_target, options.most_seconds
        self._next_slides = options.next_slides
        self.next_slide: str | None = None
        """Id of the slide that the operator asked for next; None for none."""
        self._stop = ""
        self._camera = "starting"
        self._shown = 0.0
        self._damage_told = False

    def run(self) -> str:
        """Run the count and return briefly why it ended."""
        with _signals(self._asked_to_stop):
            while not self._stop:
                timed = self._next()
                if timed:
                    verdict = self.counter.frame(timed)
                    if timed is self._unkept and verdict == "move":
                        verdict = self.counter.frame(
                            timed
                        )  # the map forgot the unstored frame: compared with itself, it is still
                    unkept = verdict == "paused" and self.counter.refused_by_disk
                    self._unkept = timed if self._waits and unkept else None
                self._obey()
                self._report(timed)
                self._stop = self._stop or self._reason(timed)
        return self._stop

    def _next(self) -> TimedFrame | None:
        """Return the next frame, or the unstored one to retry.

        None when no frame arrived in time, or before it is time to retry.
        """
        if self._unkept is None:
            return self.frames.next(WAIT_S)
        if self.counter.paused and not self.counter.tries_disk:
            time.sleep(WAIT_S)
            return None
        return self._unkept

    def _asked_to_stop(self, name: str) -> None:
        self._stop = f"stopped by {name}"

    def _reason(self, timed: TimedFrame | None) -> str:
        if timed is None and self._unkept is None and self.frames.ended:
            return "the source came to its end"
        if self._until_target and self.counter.differential().n >= self.counter.target:
            return "the target was reached"
        if self._most_seconds is not None and self.counter.seconds >= self._most_seconds:
            return "the time was over"
        return ""

    def _obey(self) -> None:
        for request in self._requests():
            try:
                self._do(request)
            except EdgeleukError as error:
                self.counter.message = str(error)

    def _do(self, request: Request) -> None:
        counter = self.counter
        match request:
            case Command.PAUSE:
                counter.pause()
            case Command.COUNT:
                counter.count_now()
            case Command.UNDO:
                counter.undo()
            case Command.ARTEFACT:
                counter.mark_last("artefact")
            case Mark(identity, label):
                counter.mark(identity, label)
            case Command.FINISH:
                self._stop = "finished by the operator"
            case NextSlide(slide) if self._next_slides:
                self.next_slide, self._stop = slide_id.checked(slide), "the next slide was begun"
            case NextSlide():
                counter.message = "The next slide needs a count of its own here: end this one."
            case str():
                counter.note(request)

    def _report(self, timed: TimedFrame | None) -> None:
        camera = self.frames.state()
        counted = f"{self.counter.differential().n} of {self.counter.target} white cells counted."
        held_up = self.counter.message if self.counter.paused else ""
        self._watchdog.turn(timed is not None, camera, held_up or counted)
        if camera.unreadable and not self._damage_told:
            self._damage_told = True
            text = "a damaged picture was refused. More of them are counted, and told at the end."
            self._on_event(Event("warning", self.counter.seconds, text))
        if camera.word != self._camera:
            self._camera = camera.word
            text = camera.text or f"the camera is {camera.word}."
            self._on_event(Event("camera", self.counter.seconds, text, {"state": camera.word}))
        now = time.monotonic()
        if now - self._shown < SHOWN_S:
            return
        self._shown = now
        state = self.counter.state(camera)
        self.view.update(state)
        if timed and self._show_frame:
            self._show_frame(timed.frame, state)


@contextmanager
def _signals(stop: Callable[[str], None]) -> Iterator[None]:
    """Stop the loop on SIGINT, SIGTERM or SIGHUP.

    It stops between two frames, so that Ctrl-C or a service manager's request interrupts nothing halfway.
    """

    def heard(number: int, _: FrameType | None) -> None:
        stop({signal.SIGINT: "Ctrl-C"}.get(signal.Signals(number), signal.Signals(number).name))

    wanted = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = {number: signal.signal(number, heard) for number in wanted}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
