"""HTTP connections with limits that uvicorn lacks.

It waits for headers for ever, and has no limit for one address.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any

from uvicorn.protocols.http.h11_impl import H11Protocol

from edgeleuk.web.limits import Limits


def limited(limits: Limits) -> type[H11Protocol]:
    """Return the class of connections with limits of number and time."""
    count: Counter[str] = Counter()

    class Limited(H11Protocol):
        """HTTP/1.1 connection that ends when it is too slow.

        It also ends when it is one too many.
        """

        _timer: asyncio.TimerHandle | None = None
        _from = ""

        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            peer = transport.get_extra_info("peername")
            address = str(peer[0]) if peer else "?"
            if count.total() >= limits.connections or count[address] >= limits.connections_each:
                transport.abort()
                return
            self._from = address
            count[address] += 1
            super().connection_made(transport)
            self._wait_for_headers()

        def connection_lost(self, exc: Exception | None) -> None:
            self._stop_waiting()
            if not self._from:
                return
            count[self._from] -= 1
            count.pop(self._from, None) if count[self._from] <= 0 else None
            self._from = ""
            super().connection_lost(exc)

        def data_received(self, data: bytes) -> None:
            if not self._from:
                return
            before = self.cycle
            if self._timer is None and (before is None or before.response_complete):
                self._wait_for_headers()
            super().data_received(data)
            if self.cycle is not before:
                self._stop_waiting()

        def eof_received(self) -> None:
            if self._from:
                super().eof_received()

        def _wait_for_headers(self) -> None:
            self._timer = asyncio.get_running_loop().call_later(limits.header_seconds, self._give_up)

        def _stop_waiting(self) -> None:
            if self._timer:
                self._timer.cancel()
                self._timer = None

        def _give_up(self) -> None:
            self._timer = None
            if self.transport and not self.transport.is_closing():
                self.transport.abort()

    return Limited


def settings(limits: Limits) -> dict[str, Any]:
    """Return the settings of uvicorn that bound what a client can use."""
    return {
        "http": limited(limits),
        "ws": "none",
        "loop": "asyncio",
        "lifespan": "on",
        "timeout_keep_alive": limits.idle_seconds,
        "timeout_graceful_shutdown": 3,
        "limit_concurrency": limits.connections + 1,
        "h11_max_incomplete_event_size": limits.header_bytes,
        "backlog": 64,
        "server_header": False,
        "date_header": True,
        "proxy_headers": False,
        "access_log": False,
        "log_config": None,
        "log_level": "critical",  # what strangers send is not logged
    }
