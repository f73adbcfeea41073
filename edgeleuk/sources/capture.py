"""Read a source in a thread of its own.

A capture gives the newest frame, has a watchdog, and a state that can always be read.

OpenCV is known to block for ever in `read` and to report success after a camera was unplugged; picamera2's
captures hang. A thread that hangs cannot be stopped: it is abandoned, and the source is opened anew in
another.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from types import TracebackType

from edgeleuk.errors import CameraError, EdgeleukError, NoPictureYetError
from edgeleuk.sources._frame_health import FrameAssessor, Pace, Patience
from edgeleuk.sources.camera import CameraState, CameraWord, Source, SourceInfo
from edgeleuk.system.faults import to_user_error
from edgeleuk.types import TimedFrame

__all__ = ["Capture", "Patience"]

CLOSE_S = 1.0
"""Time limit for closing the source, seconds."""
MOST_FAULTS = 3
"""Maximum consecutive pictures that fail for unforeseen reasons.

After more, the source is given up, or opened again.
"""
FAULTS: dict[CameraWord, str] = {
    "frozen": "the camera gives the same picture again and again; opening it again.",
    "black": "the pictures are black: check the lamp and the light path. Opening the camera again.",
}


@dataclass(frozen=True, slots=True)
class _Status:
    """State that any thread reads without a lock.

    It is always replaced as a whole.
    """

    word: CameraWord
    since: float
    text: str = ""


class Capture:
    """Context manager that reads ahead in a thread.

    Of a live source only the newest frame is kept: what was not taken in time is dropped and counted. A
    source that is not live waits until each frame was taken. A live source that fails is opened again, with
    growing pauses; a video or a folder never is, as it would begin anew.
    """

    def __init__(
        self,
        open: Callable[[], Source],
        *,
        clock: Callable[[], float] = time.monotonic,
        patience: Patience | None = None,
        stall_s: float | None = None,
    ) -> None:
        """Prepare the capture without opening the source.

        Args:
            open: Opener of the source; it is called in another thread.
            clock: Monotonic clock, seconds.
            patience: Time limits of the watchdog.
            stall_s: Replacement for Patience.stall alone, seconds.
        """
        chosen = patience or Patience()
        self._patience = chosen if stall_s is None else replace(chosen, stall=stall_s)
        self._open, self._clock = open, clock
        self._assessor, self._pace = FrameAssessor(self._patience), Pace(self._patience)
        self._changed = threading.Condition()
        self._slot: TimedFrame | None = None
        self._info: SourceInfo | None = None
        self._thread: _ReaderThread | None = None
        self._watchdog: threading.Thread | None = None
        self._closing = False
        self._status = _Status("starting", clock())
        self._last_good = clock()
        self._origin: float | None = None
        """Zero of the shots' time, on `clock`."""
        self._number = 0
        self._seconds = 0.0
        self._failures = 0
        """Openings since the last good frame."""
        self.reopened = 0
        self.dropped = 0
        self._trouble = ""
        self.unreadable = 0
        """Number of frames that could not be decoded.

        The state's text gives the reason for the last one.
        """

    def __enter__(self) -> Capture:
        """Open the source and begin to read.

        Raises:
            CameraError: If opening hangs; errors of the opening are raised as they are.
        """
        thread = self._begin()
        with self._changed:
            self._changed.wait_for(lambda: thread.opened or thread.over, self._patience.open)
        if not thread.opened:
            self.close()
            raise thread.error or CameraError(
                f"the source did not open within {self._patience.open:g} s. "
                "Check the cable or the address, and try again."
            )
        self._watchdog = threading.Thread(target=self._watch, name="edgeleuk-watchdog", daemon=True)
        self._watchdog.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def info(self) -> SourceInfo:
        """Description of the source as last opened.

        It is available from the start on.
        """
        if self._info is None:
            raise RuntimeError("the capture has not begun: use it in a `with` statement")
        return self._info

    @property
    def ended(self) -> bool:
        """Whether no more frames will come.

        The source has then ended and its last frame was taken.
        """
        return self._slot is None and (self._closing or self._status.word == "ended")

    def next(self, timeout: float) -> TimedFrame | None:
        """Return the newest frame not yet returned.

        Returns None where none came within `timeout` seconds, or at the end.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._slot is not None or self.ended, timeout)
            timed, self._slot = self._slot, None
            self._changed.notify_all()
            return timed

    def state(self) -> CameraState:
        """Return the camera's state.

        It never blocks, from any thread.
        """
        now, status = self._clock(), self._status
        quiet_since = self._quiet_since()
        if status.word == "running" and now - quiet_since > self._pace.usual:
            status = _Status("waiting", quiet_since, f"no picture for {now - quiet_since:.0f} s.")
        since = max(0.0, now - status.since)
        return CameraState(status.word, since, status.text, self.reopened, self.dropped, self.unreadable)

    def close(self) -> None:
        """Stop and close the source.

        It is safe to call twice, and takes about a second, also where the source hangs.
        """
        with self._changed:
            self._closing = True
            self._slot = None
            if self._thread:
                self._thread.abandoned = True
            self._changed.notify_all()
        for thread in (self._watchdog, self._thread):
            if thread:
                thread.join(CLOSE_S)

    def _quiet_since(self) -> float:
        """Return the time of the last good frame.

        A source that is not live is late only while it is being asked for a frame.
        """
        thread = self._thread
        if self._info is None or self._info.live or thread is None:
            return self._last_good
        asked = thread.asked
        return self._clock() if asked is None else asked

    def _begin(self) -> _ReaderThread:
        thread = _ReaderThread(self)
        self._thread = thread
        thread.start()
        return thread

    def _say(self, word: CameraWord, text: str = "") -> None:
        """Set the state, keeping `since` if only the text changes."""
        since = self._status.since if self._status.word == word else self._clock()
        self._status = _Status(word, since, text)

    # These run in the watchdog's thread.

    def _watch(self) -> None:
        """Watch one life of the source after the other."""
        while not self._closing:
            thread = self._thread
            assert thread is not None
            if not self._lives(thread):
                if thread.ended or self._closing:
                    return
                self._rest()
                self._reopen()

    def _lives(self, thread: _ReaderThread) -> bool:
        """Wait for a while, and abandon a thread that hangs.

        Returns False where this life of the source is over.
        """
        with self._changed:
            self._changed.wait_for(lambda: thread.over or self._closing, self._patience.stall / 4)
            if thread.over or self._closing:
                return False
            if not self._hangs(thread):
                return True
            thread.abandoned = True
            self._say("lost", "the camera does not answer; opening it again.")
            return False

    def _hangs(self, thread: _ReaderThread) -> bool:
        """Return whether the source hangs.

        It then blocks its thread for longer than it may.
        """
        asked = thread.asked
        if asked is None:
            return False
        if not thread.opened:
            return self._clock() - asked > self._patience.reopen
        # A source that is not live has no pace against which it could be late.
        return self.info.live and self._clock() - asked > 2 * self._patience.stall

    def _rest(self) -> None:
        with self._changed:
            self._changed.wait_for(lambda: self._closing, self._patience.pause(self._failures))
            self._failures += 1

    def _reopen(self) -> None:
        with self._changed:
            if not self._closing:
                self.reopened += 1
                self._begin()

    # These run in the source's thread. An abandoned life changes nothing any more.

    def _opened(self, thread: _ReaderThread, info: SourceInfo) -> None:
        with self._changed:
            if not thread.abandoned:
                thread.opened, self._info = True, info
                self._assessor.begin(self._clock())
                self._pace = Pace(self._patience)
                self._last_good = self._clock()
                self._changed.notify_all()

    def _arrived(self, thread: _ReaderThread, timed: TimedFrame) -> bool:
        """Accept a frame; return False to close the source."""
        with self._changed:
            if thread.abandoned:
                return False
            if not self.info.live:
                self._say("running", self._trouble)
                self._slot = timed
                self._changed.notify_all()
                self._changed.wait_for(lambda: self._slot is None or thread.abandoned)
                return True
            fault, lasting = self._assessor.assess(timed.frame.pixels, self._clock())
            if fault and lasting:
                self._say(fault, FAULTS[fault])
                return False
            if not fault:
                self._failures = 0
                self._say("running")
            self._last_good = self._clock()
            self._pace.good(self._last_good)
            self.dropped += self._slot is not None
            self._slot = self._continued(thread, timed)
            self._changed.notify_all()
            return True

    def _continued(self, thread: _ReaderThread, timed: TimedFrame) -> TimedFrame:
        """Continue time and numbers across reopenings.

        A source that was opened again begins at 0.
        """
        now = self._clock()
        if self._origin is None:
            self._origin = now - timed.seconds
        if thread.offset is None:
            thread.offset = now - self._origin - timed.seconds
        self._seconds = max(self._seconds, timed.seconds + thread.offset)
        self._number += 1
        return TimedFrame(timed.frame, self._seconds, self._number - 1)

    def _unreadable(self, thread: _ReaderThread, error: EdgeleukError) -> bool:
        """Note an unreadable frame; return False to reopen.

        Returns False where there has been no good frame for too long.
        """
        with self._changed:
            if thread.abandoned:
                return False
            self.unreadable += 1
            self._pace.bad()
            self._trouble = f"{self.unreadable} could not be read. The last one: {error}"
            self._say(self._status.word, self._trouble)
            if not self.info.live or not self._pace.only_bad(self._clock() - self._last_good):
                return True
            self._say(
                "lost", f"no picture of the stream can be read; opening it again. The last one: {error}"
            )
            return False

    def _waits(self, thread: _ReaderThread, error: CameraError) -> bool:
        """Handle a slow camera; return False to reopen.

        Returns False where it has been silent for longer than its pace allows.
        """
        with self._changed:
            silent = self._clock() - self._last_good >= self._pace.bearable
        return self._late(thread, error) if silent else not thread.abandoned

    def _late(self, thread: _ReaderThread, error: CameraError) -> bool:
        """Handle a missing frame; return False to reopen.

        A folder is asked again instead.
        """
        with self._changed:
            if thread.abandoned:
                return False
            live = self.info.live
            self._say("lost" if live else "waiting", f"{error} Opening it again." if live else str(error))
            return not live

    def _over(self, thread: _ReaderThread) -> None:
        with self._changed:
            if not thread.abandoned and thread.opened and thread.error and not self.info.live:
                thread.ended = True  # opened again it would begin anew, and count frames twice
                self._trouble = f"{to_user_error(thread.error)}"
            if not thread.abandoned and thread.ended:
                self._say("ended", self._trouble)
            elif not thread.abandoned and thread.error:
                self._say("lost", f"{thread.error} Opening it again.")
            thread.over = True
            self._changed.notify_all()


class _ReaderThread(threading.Thread):
    """Thread from one opening of the source to its closing.

    This thread alone touches the source.
    """

    def __init__(self, capture: Capture) -> None:
        super().__init__(name="edgeleuk-camera", daemon=True)
        self._capture = capture
        self.asked: float | None = None
        """Time of the pending call into the source.

        It is None while no call is pending.
        """
        self.offset: float | None = None
        self.faults = 0
        """Consecutive unforeseen faults of the source or its decoder."""
        self.opened = self.over = self.ended = self.abandoned = False
        self.error: Exception | None = None

    def run(self) -> None:
        try:
            self._live()
        except Exception as error:  # noqa: BLE001  # of any library: a camera's thread must not die unseen
            self.error = error
        self._capture._over(self)

    def _live(self) -> None:
        capture = self._capture
        self.asked = capture._clock()
        source = capture._open()
        try:
            capture._opened(self, source.info)
            while not self.abandoned and self._read(source):
                pass
        finally:
            self.asked = capture._clock()
            source.close()

    def _read(self, source: Source) -> bool:
        """Read one frame; return False at the end."""
        capture = self._capture
        self.asked = capture._clock()
        try:
            timed = source.read(capture._patience.stall)
        except NoPictureYetError as error:
            return capture._waits(self, error)
        except CameraError as error:
            return capture._late(self, error)
        except EdgeleukError as error:
            return capture._unreadable(self, error)
        except Exception as error:
            self.faults += 1
            if self.faults > MOST_FAULTS:
                raise
            return capture._unreadable(self, to_user_error(error, "a picture"))
        self.asked, self.faults = None, 0
        if timed is None:
            self.ended = True
            return False
        return capture._arrived(self, timed)
