"""Notifications to a service manager: readiness, status, watchdog.

The watchdog is fed only while frames really arrive. The protocol is that of sd_notify(3): a datagram of lines
KEY=VALUE to the Unix socket that NOTIFY_SOCKET names. Without that variable, on a terminal or in a test,
nothing here does anything.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from math import inf
from types import TracebackType

from edgeleuk.counting.state import CameraState

STATUS_S = 10.0
"""Minimum time between two status lines, seconds.

It applies where only the numbers differ: `systemctl status` is read by people.
"""


class Notifier:
    """Socket of a service manager.

    It never raises: a manager that does not listen must not stop a count.
    """

    def __init__(self, address: str) -> None:
        """Open a socket to `address`, given as in NOTIFY_SOCKET.

        That is a path, or @ and a name in Linux's abstract namespace.
        """
        self._address = f"\0{address[1:]}" if address.startswith("@") else address
        self._socket: socket.socket | None = None
        with suppress(OSError):
            self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
            # A full queue must not block the count: a message that is not taken is repeated soon.
            self._socket.setblocking(False)

    def send(self, **values: str) -> None:
        """Send values, one line each; later lines are dropped."""
        lines = "\n".join(f"{key}={(value.splitlines() or [''])[0]}" for key, value in values.items())
        if self._socket:
            with suppress(OSError):
                self._socket.sendto(lines.encode("utf-8", "replace"), self._address)

    def close(self) -> None:
        if self._socket:
            self._socket.close()
            self._socket = None


class Watchdog:
    """Watchdog of one count, fed by its frames.

    A context manager; use from one thread. Only a frame of a running camera feeds it: not a loop without
    frames, not a camera that repeats the same picture, not black frames. If nothing is counted, for whatever
    reason, the manager hears nothing and restarts the program.
    """

    def __init__(
        self,
        notifier: Notifier | None,
        interval_s: float | None = None,
        *,
        paced: bool = True,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Prepare a watchdog.

        Args:
            notifier: Socket of the service manager; None for no manager.
            interval_s: Timeout of the manager's watchdog, seconds; None for no watchdog.
            paced: False for a source that may be quiet for hours, such as a watched folder: it feeds the
                watchdog while the loop runs and the source answers.
            clock: Monotonic clock, seconds.
        """
        self._notifier, self._paced, self._clock = notifier, paced, clock
        # sd_watchdog_enabled(3) advises half of the timeout. A quarter, since counting a field takes seconds
        # on a small computer, and nothing can be sent meanwhile.
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
        """Return the watchdog that the environment requests.

        The service manager sets NOTIFY_SOCKET, WATCHDOG_USEC and WATCHDOG_PID. Without them the watchdog does
        nothing.
        """
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
        """Announce the end of the count.

        Otherwise the manager could take what follows (writing, closing) for a hang.
        """
        if self._notifier:
            self._notifier.send(STOPPING="1", STATUS="finishing the session.")
            self._notifier.close()
            self._notifier = None

    def turn(self, arrived: bool, camera: CameraState, summary: str) -> None:
        """Report one turn of the loop to the service manager.

        Args:
            arrived: Whether a frame arrived.
            camera: State of the camera.
            summary: The count in a few words.
        """
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
        """Send a changed status.

        Trouble with the camera, and its end, is sent at once; anything else at most every STATUS_S seconds.
        """
        now = self._clock()
        trouble = camera.text if camera.word != "running" else ""
        status = trouble or summary
        urgent = bool(trouble) != self._troubled
        if status != self._status and (urgent or now - self._said >= STATUS_S):
            self._status, self._said, self._troubled = status, now, bool(trouble)
            notifier.send(STATUS=status)
