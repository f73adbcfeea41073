"""Access to the server.

One-time tokens, browser sessions and the limit on wrong tries decide who is let in.
"""

from __future__ import annotations

import hashlib
import secrets
import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass

from edgeleuk.web.limits import Limits

MOST_ADDRESSES = 1024
"""Maximum number of addresses whose wrong tries are remembered."""


def _digest(secret: str) -> bytes:
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).digest()


@dataclass(slots=True)
class Browser:
    """Browser that was let in."""

    csrf: str
    """Token that every change has to carry."""
    until: float
    """End of its session, on the monotonic clock."""
    operator: str = ""
    """Name of the operator who signed in on it; empty for none."""


class Tries:
    """Limit on wrong tries, for each address."""

    def __init__(self, most: int, seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._most, self._seconds, self._clock = most, seconds, clock
        self._wrong: OrderedDict[str, deque[float]] = OrderedDict()
        self._all: deque[float] = deque()

    def wait(self, address: str) -> float:
        """Return how long an address has to wait, seconds.

        The time is 0 if it need not wait.
        """
        now = self._clock()
        own = self._wrong.get(address, deque())
        return max(self._left(own, self._most, now), self._left(self._all, 10 * self._most, now))

    def wrong(self, address: str) -> None:
        """Note a wrong try.

        Those of all addresses together are limited too: a network may have many.
        """
        now = self._clock()
        own = self._wrong.setdefault(address, deque(maxlen=self._most))
        self._wrong.move_to_end(address)
        own.append(now)
        self._all.append(now)
        while len(self._all) > 10 * self._most:
            self._all.popleft()
        while len(self._wrong) > MOST_ADDRESSES:
            self._wrong.popitem(last=False)

    def right(self, address: str) -> None:
        """Forget the wrong tries of an address."""
        self._wrong.pop(address, None)

    def _left(self, tries: deque[float], most: int, now: float) -> float:
        while tries and now - tries[0] > self._seconds:
            tries.popleft()
        return tries[0] + self._seconds - now if len(tries) >= most else 0.0


class Access:
    """Tokens and browser sessions of one server.

    Secrets are kept as hashes. May be used from several threads.
    """

    def __init__(
        self,
        limits: Limits,
        *,
        open_to_all: bool,
        on_token: Callable[[str], None] = lambda _: None,
        operator: str = "",
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Prepare the access.

        Args:
            limits: Times and numbers.
            open_to_all: Whether a browser is let in without a token, as on the loopback.
            on_token: Called with each new token, to show it.
            operator: Reviewer that a browser begins with.
            clock: Monotonic clock, seconds.
        """
        self.limits, self.open_to_all = limits, open_to_all
        self._on_token, self._clock, self._operator = on_token, clock, operator
        self._tokens: OrderedDict[bytes, float] = OrderedDict()
        self._browsers: OrderedDict[bytes, Browser] = OrderedDict()
        self.tries = Tries(limits.wrong_tokens, limits.wrong_seconds, clock)
        self._lock = threading.Lock()

    def new_token(self, *, told: bool = True) -> str:
        """Make a token that lets one browser in.

        `told`: whether to show it where the program runs.
        """
        token = secrets.token_urlsafe(18)
        with self._lock:
            self._tokens[_digest(token)] = self._clock() + self.limits.token_seconds
            while len(self._tokens) > 8:
                self._tokens.popitem(last=False)
        if told:
            self._on_token(token)
        return token

    @property
    def has_token(self) -> bool:
        """Whether some token can still be used."""
        with self._lock:
            return any(until > self._clock() for until in self._tokens.values())

    def enter(self, token: str) -> str | None:
        """Use up a token; return the new session's cookie.

        None for a token that is unknown, used or too old.
        """
        with self._lock:
            until = self._tokens.pop(_digest(token), 0.0)
        if until <= self._clock():
            return None
        cookie = self.let_in()
        if not self.has_token:
            self.new_token()
        return cookie

    def let_in(self) -> str:
        """Start a browser session; return its cookie.

        The one that was used longest ago ends where there are too many.
        """
        cookie = secrets.token_urlsafe(32)
        browser = Browser(
            secrets.token_urlsafe(24), self._clock() + self.limits.session_seconds, self._operator
        )
        with self._lock:
            self._browsers[_digest(cookie)] = browser
            while len(self._browsers) > self.limits.sessions:
                self._browsers.popitem(last=False)
        return cookie

    def browser(self, cookie: str) -> Browser | None:
        """Return the session of a cookie; None if there is none."""
        key = _digest(cookie)
        with self._lock:
            found = self._browsers.get(key)
            if found is None:
                return None
            if found.until <= self._clock():
                del self._browsers[key]
                return None
            self._browsers.move_to_end(key)
            return found

    def leave(self, cookie: str) -> None:
        """End the session of a cookie."""
        with self._lock:
            self._browsers.pop(_digest(cookie), None)
