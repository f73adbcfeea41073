"""Tells a service manager that the count works: ready, what it does, and a sign of life while frames really arrive.

The protocol is that of sd_notify(3): a datagram of lines KEY=VALUE to the Unix socket that NOTIFY_SOCKET names.
Without that variable, on a terminal or in a test, nothing here does anything.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from math import inf
from types import TracebackType

from edgeleuk.live.state import CameraState

STATUS_S = 10.0
"""Least time between two status lines that say the same in other numbers: `systemctl status` is read by people."""


class Notifier:
    """The socket of a service manager. A manager that does not listen is no reason to stop a count: never raises."""

    def __init__(self, address: str) -> None:
        """`address` as in NOTIFY_SOCKET: a path, or a name in Linux' abstract namespace after an @."""
        self._address = f"\0{address[1:]}" if address.startswith("@") else address
        self._socket: socket.socket | None = None
        with suppress(OSError):
            self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
            # A full queue must not hold the count up: what is not taken at once is said again soon.
            self._socket.setblocking(False)

    def send(self, **values: str) -> None:
        """Each value must be of one line; what comes after a line's end is left out."""
        lines = "\n".join(f"{key}={(value.splitlines() or [''])[0]}" for key, value in values.items())
        if self._socket:
            with suppress(OSError):
                self._socket.sendto(lines.encode("utf-8", "replace"), self._address)

    def close(self) -> None:
        if self._socket:
            self._socket.close()
            self._socket = None


class Watchdog:
    """Feeds the service manager's watchdog from one count's frames. A context manager; use from one thread.

    Only a frame of a camera that runs feeds it: neither the loop that turns without frames, nor the frames of a
    camera that shows the same picture for ever, nor black ones. So a manager that hears nothing knows that nothing
    is being counted, whatever the reason, and starts the program again.
    """

    def __init__(
        self,
        notifier: Notifier | None,
        interval_s: float | None = None,
        *,
        paced: bool = True,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`interval_s` is the manager's patience, None for none. Not `paced` is a source that may rightly be quiet
        for hours, as a folder that is watched: it is fed while the loop turns and the source answers."""
        self._notifier, self._paced, self._clock = notifier, paced, clock
        # Twice as often as the half of the patience that sd_watchdog_enabled(3) advises: a counted field takes
        # seconds on a small computer, and no sign can be given meanwhile.
        self._every = None if interval_s is None else interval_s / 4
        self._fed: float | None = None
        self._ready = False
        self._status = ""
        self._said = -inf
        self._troubled = False

    @classmethod
    def from_environment(
        cls, *, paced: bool = True, environment: Mapping[str, str] | None = None
    ) -> Watchdog:
        """As the service manager asks in NOTIFY_SOCKET, WATCHDOG_USEC and WATCHDOG_PID; silent where it does not."""
        asked = os.environ if environment is None else environment
        address = asked.get("NOTIFY_SOCKET", "")
        if not address:
            return cls(None)
        mine = asked.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
        microseconds = asked.get("WATCHDOG_USEC", "")
        watched = mine and microseconds.isascii() and microseconds.isdigit() and int(microseconds) > 0
        return cls(Notifier(address), int(microseconds) / 1e6 if watched else None, paced=paced)

    def __enter__(self) -> Watchdog:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Say that the count ends, so that what follows (writing, closing) is not taken for a hang."""
        if self._notifier:
            self._notifier.send(STOPPING="1", STATUS="finishing the session.")
            self._notifier.close()
            self._notifier = None

    def turn(self, arrived: bool, camera: CameraState, summary: str) -> None:
        """Once a turn of the loop: whether a frame came, how the camera is, and the count in a few words."""
        if self._notifier is None:
            return
        if self._lives(arrived, camera):
            self._feed(self._notifier)
        self._tell(self._notifier, camera, summary)

    def _lives(self, arrived: bool, camera: CameraState) -> bool:
        if self._paced:
            return arrived and camera.word == "running"
        return camera.word in ("running", "waiting")

    def _feed(self, notifier: Notifier) -> None:
        now = self._clock()
        if not self._ready:
            self._ready, self._fed = True, now
            notifier.send(READY="1", WATCHDOG="1")
        elif self._every is not None and (self._fed is None or now - self._fed >= self._every):
            self._fed = now
            notifier.send(WATCHDOG="1")

    def _tell(self, notifier: Notifier, camera: CameraState, summary: str) -> None:
        """A trouble of the camera and its end are told at once, other words every few seconds."""
        now = self._clock()
        trouble = camera.text if camera.word != "running" else ""
        status = trouble or summary
        urgent = bool(trouble) != self._troubled
        if status != self._status and (urgent or now - self._said >= STATUS_S):
            self._status, self._said, self._troubled = status, now, bool(trouble)
            notifier.send(STATUS=status)
