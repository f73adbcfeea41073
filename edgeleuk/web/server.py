"""The running server: its socket, its thread, its end."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import uvicorn

from edgeleuk.errors import UsageError
from edgeleuk.system.wording import option
from edgeleuk.web.app import Server
from edgeleuk.web.hosts import is_any, is_loopback
from edgeleuk.web.protocol import settings as limits_of
from edgeleuk.web.settings import Settings

START_S = 30.0


class _Quiet(uvicorn.Server):
    """Server that leaves signals to the command."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def bound(settings: Settings) -> socket.socket:
    """Return a socket that listens where the settings say.

    Raises:
        UsageError: The address is not this machine's, is taken, or is for others without `lan`.
    """
    host = settings.host
    if not settings.lan and not is_loopback(host):
        raise UsageError(
            f"{host} can be reached by other machines. Give {option('lan')} to let them in with a token, or leave"
            f" {option('host')} out."
        )
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    found = socket.socket(family, socket.SOCK_STREAM)
    try:
        found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        found.bind(
            (
                "127.0.0.1"
                if host == "localhost"
                else ""
                if is_any(host) and family == socket.AF_INET
                else host.strip("[]"),
                settings.port,
            )
        )
        found.listen(64)
    except (OSError, OverflowError) as error:
        found.close()
        why = getattr(error, "strerror", None) or str(error)
        raise UsageError(
            f"cannot listen on {host} port {settings.port}: {why}. Give another {option('host')} or"
            f" {option('port')}."
        ) from error
    return found


class Running:
    """Server in a thread of its own, as a context manager."""

    def __init__(self, server: Server, listening: socket.socket, settings: Settings) -> None:
        self._config = uvicorn.Config(server.app, **limits_of(settings.limits))
        self._uvicorn = _Quiet(self._config)
        self._listening = listening
        self._thread = threading.Thread(target=self._serve, name="server", daemon=True)
        self._failed: BaseException | None = None

    def _serve(self) -> None:
        try:
            self._uvicorn.run(sockets=[self._listening])
        except BaseException as error:  # noqa: BLE001  # told by `check`
            self._failed = error

    def __enter__(self) -> Running:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        self._thread.join(timeout=10)
        with suppress(OSError):
            self._listening.close()

    def stop(self) -> None:
        """Ask the server to end."""
        self._uvicorn.should_exit = True

    def wait(self, seconds: float) -> bool:
        """Wait a while; return whether the server still runs.

        Raises:
            UsageError: It could not start.
        """
        self._thread.join(timeout=seconds)
        if self._failed:
            raise UsageError(f"the server ended: {self._failed}.") from self._failed
        return self._thread.is_alive()
