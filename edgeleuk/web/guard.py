"""Outermost layer of the server.

It decides who may ask what, how much, and for how long.
"""

from __future__ import annotations

import asyncio
import hmac
from contextlib import suppress
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import cookie_parser
from starlette.responses import RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from edgeleuk.system.faults import to_user_error
from edgeleuk.system.language import speaking
from edgeleuk.web.access import Access, Browser
from edgeleuk.web.answers import Denied, of_error, problem, refusal
from edgeleuk.web.hosts import host_of
from edgeleuk.web.languages import asked
from edgeleuk.web.peers import is_other_user

SAFE = frozenset({"GET", "HEAD"})
METHODS = SAFE | {"POST"}
PUBLIC = ("/enter", "/api/enter", "/static/")
"""Paths that need no session: where one is let in, and what that page is made of."""
CSRF = "x-csrf-token"
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
}
UNKNOWN_BYTES, UNKNOWN_SECONDS = 65_536, 0.5
"""How much of the body of a request that was not let in is taken, and for how long."""
STRANGER = Denied(
    401, "no_session", "this browser was not let in, or its time is over. Open the address that the program shows."
)  # fmt: skip
OTHER_USER = Denied(403, "other_user", "this server belongs to another user of this computer.")


@dataclass(slots=True)
class _Body:
    """Body of a request, as far as it was read.

    It also has what is known of the request.
    """

    ended: bool
    read: int = 0
    admitted: bool = False
    """Whether its request was let in."""
    fresh: str = ""
    """Cookie of a session that begins with its request."""


class Guard:
    """ASGI layer around the application."""

    def __init__(self, app: ASGIApp, access: Access, hosts: frozenset[str], cookie: str) -> None:
        """Guard an application.

        Args:
            app: The application.
            access: Tokens and browser sessions.
            hosts: Host names that requests may carry, in lower case.
            cookie: Name of the session's cookie.
        """
        self._app, self._access, self._hosts, self._cookie = app, access, hosts, cookie
        self._limits = access.limits

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection's request."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
        elif scope["type"] == "http":
            with speaking(asked(Headers(scope=scope).get("accept-language", ""))):
                await self._serve(scope, receive, send)
        else:
            await send({"type": "websocket.close", "code": 1008})

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = Headers(scope=scope)
        body = _Body("transfer-encoding" not in headers and headers.get("content-length", "0") == "0")
        measured = self._measured(scope, body, receive)
        started = False

        async def sent(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                await self._drain(scope, body, measured)
                self._dress(scope, message, body)
            async with asyncio.timeout(self._limits.stall_seconds):
                await send(message)

        try:
            async with asyncio.timeout(self._limits.request_seconds):
                body.fresh = self._admit(scope, headers)
                body.admitted = True
                await self._app(scope, measured, sent)
                return
        except Denied as denied:
            answer = _page_or(scope, denied)
        except TimeoutError:
            answer = problem(408, "too_slow", "the request took too long. Try again, with a smaller picture.")
        except Exception as error:  # noqa: BLE001  # one request must never end the server
            answer = of_error(to_user_error(error, "the request", "answered"))
        if not started:
            await answer(scope, receive, sent)

    async def _drain(self, scope: Scope, body: _Body, receive: Receive) -> None:
        """Take the rest of a body that is not needed.

        It is taken within its limits. Closed with something unread, a connection is reset, and the client
        never sees the answer.
        """
        most = self.most_bytes(scope["path"]) if body.admitted else UNKNOWN_BYTES
        seconds = self._limits.stall_seconds if body.admitted else UNKNOWN_SECONDS
        with suppress(Denied, TimeoutError):
            async with asyncio.timeout(seconds):
                while not body.ended and body.read < most:
                    if (await receive())["type"] != "http.request":
                        return

    def _admit(self, scope: Scope, headers: Headers) -> str:
        """Check a request before anything of it is used.

        Puts the browser's session into the scope. Returns the cookie of a session that begins with it.

        Raises:
            Denied: It is refused.
        """
        self._check_form(scope, headers)
        method, path, fresh = scope["method"], scope["path"], ""
        site = headers.get("sec-fetch-site", "none")
        crossing = site not in ("same-origin", "none")
        if crossing and (method not in SAFE or headers.get("sec-fetch-mode") != "navigate"):
            raise Denied(403, "other_site", "the request came from a page of another site.")
        cookie = cookie_parser(headers.get("cookie", "")).get(self._cookie, "")
        browser = self._access.browser(cookie) if cookie else None
        if browser is None and self._access.open_to_all and method in SAFE:
            if is_other_user(scope.get("client")):
                raise OTHER_USER
            cookie = fresh = self._access.let_in()
            browser = self._access.browser(fresh)
        if browser is None and not path.startswith(PUBLIC):
            raise STRANGER
        if method not in SAFE:
            self._check_origin(headers)
            self._check_csrf(headers, browser, path)
        scope.setdefault("state", {})
        scope["state"]["browser"], scope["state"]["cookie"] = browser, cookie
        return fresh

    def _check_form(self, scope: Scope, headers: Headers) -> None:
        """Check host, method and lengths.

        Raises:
            Denied: One of them is not acceptable.
        """
        named = headers.getlist("host")
        if len(named) != 1 or host_of(named[0]) not in self._hosts:
            raise Denied(
                421, "host", "this server does not answer for that host. Use the address that it shows."
            )
        if scope["method"] not in METHODS:
            raise Denied(
                405, "method", "that method is not used here.", {"allow": ", ".join(sorted(METHODS))}
            )
        if (
            len(scope.get("raw_path") or b"") + len(scope.get("query_string", b""))
            > self._limits.target_bytes
        ):
            raise Denied(414, "target", "the address of the request is too long.")
        if headers.get("content-encoding", "identity") != "identity":
            raise Denied(415, "encoding", "compressed requests are not read.")
        length = headers.get("content-length", "0")
        if not length.isascii() or not length.isdigit() or len(length) > 15:
            raise Denied(400, "length", "the length of the request is no number.")
        if int(length) > self.most_bytes(scope["path"]):
            raise self._too_large(scope["path"])

    def _check_origin(self, headers: Headers) -> None:
        origin = headers.get("origin")
        if origin is None:
            return
        parts = urlsplit(origin)
        if parts.scheme not in ("http", "https") or parts.netloc.lower() != headers["host"].lower():
            raise Denied(403, "other_site", "the request came from a page of another site.")

    def _check_csrf(self, headers: Headers, browser: Browser | None, path: str) -> None:
        """Check the token that only a page of this server knows.

        Where one is let in there is no session yet: any value of the header will do, as pages of other sites cannot
        set it.
        """
        given = headers.get(CSRF, "")
        expected = given if browser is None and path.startswith(PUBLIC) else browser.csrf if browser else ""
        if not given or not hmac.compare_digest(given.encode(), expected.encode()):
            raise Denied(403, "csrf", "the page is too old. Load it again.")

    def most_bytes(self, path: str) -> int:
        """Return the maximum bytes of a request to a path."""
        return self._limits.picture_bytes if path == "/api/pictures" else self._limits.json_bytes

    def _too_large(self, path: str) -> Denied:
        most = self.most_bytes(path)
        size = f"{most / 1e6:.0f} MB" if most >= 1_000_000 else f"{most / 1e3:.0f} kB"
        return Denied(413, "too_large", f"that is more than {size}. Send a smaller picture.")

    def _measured(self, scope: Scope, body: _Body, receive: Receive) -> Receive:
        """Return `receive` with the limits of a body.

        The limits are its size, its pauses and its time.
        """
        most = self.most_bytes(scope["path"])
        clock = asyncio.get_running_loop().time
        until = clock() + self._limits.body_seconds

        async def received() -> Message:
            if body.ended:
                return await receive()
            try:
                async with asyncio.timeout(min(self._limits.stall_seconds, until - clock())):
                    message = await receive()
            except TimeoutError:
                raise Denied(408, "too_slow", "the request came too slowly. Try again.") from None
            body.read += len(message.get("body", b""))
            body.ended = not message.get("more_body", False)
            if body.read > most:
                body.ended = False
                raise self._too_large(scope["path"])
            return message

        return received

    def _dress(self, scope: Scope, message: Message, body: _Body) -> None:
        """Add the headers of every answer.

        The cookie of a new session is added, too.
        """
        headers = MutableHeaders(scope=message)
        for name, value in HEADERS.items():
            headers.setdefault(name, value)
        static = scope["path"].startswith("/static/") and message["status"] < 400
        headers.setdefault("cache-control", "no-cache" if static else "no-store")
        if not body.ended:  # the rest of it is not waited for
            headers["connection"] = "close"
        if body.fresh:
            headers.append("set-cookie", cookie_text(self._cookie, body.fresh, self._limits.session_seconds))


def cookie_text(name: str, value: str, seconds: float) -> str:
    """Return the value of a Set-Cookie header.

    A script cannot read the cookie, and no other site's page can make a browser send it.
    """
    return f"{name}={value}; Path=/; Max-Age={seconds:.0f}; HttpOnly; SameSite=Strict"


def _page_or(scope: Scope, denied: Denied) -> Response:
    """Return the answer to a denied request.

    A page that was asked for without a session gives the page that lets one in, all else the error.
    """
    wants_page = scope["method"] in SAFE and not scope["path"].startswith("/api/")
    if denied.status == 401 and wants_page:
        return RedirectResponse("/enter", 303)
    return refusal(denied)


def browser_of(request: Any) -> Browser:
    """Return the browser session of a request."""
    browser: Browser = request.state.browser
    return browser
