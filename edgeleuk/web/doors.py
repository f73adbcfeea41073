"""Ways in: tokens, operators, and codes for another device."""

from __future__ import annotations

import io
import math

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from edgeleuk._text import tamed
from edgeleuk.errors import EdgeleukError
from edgeleuk.web import bodies
from edgeleuk.web.access import Access
from edgeleuk.web.answers import Denied
from edgeleuk.web.desk import Desk
from edgeleuk.web.guard import browser_of, cookie_text
from edgeleuk.web.pages import Pages, Templates
from edgeleuk.web.settings import Settings


class Doors:
    """Lets browsers and operators in."""

    def __init__(
        self, access: Access, desk: Desk, settings: Settings, pages: Pages, templates: Templates
    ) -> None:
        self._access, self._desk, self._settings = access, desk, settings
        self._pages, self._templates = pages, templates

    async def enter(self, request: Request) -> Response:
        """Let a browser in by a token."""
        body = await bodies.read(request, bodies.Enter)
        address = request.client.host if request.client else "?"
        self._require_patience(address)
        cookie = self._access.enter(body.token)
        if cookie is None:
            self._access.tries.wrong(address)
            raise Denied(
                403,
                "token",
                "that token is wrong, used or too old. Use the newest one that the program shows.",
            )
        self._access.tries.right(address)
        answer = JSONResponse({"entered": True})
        value = cookie_text(self._settings.cookie, cookie, self._settings.limits.session_seconds)
        answer.headers["set-cookie"] = value
        return answer

    async def leave(self, request: Request) -> Response:
        """End the browser's session."""
        await bodies.read(request, bodies.Empty)
        self._access.leave(request.state.cookie)
        answer = JSONResponse({"left": True})
        answer.headers["set-cookie"] = cookie_text(self._settings.cookie, "", 0)
        return answer

    async def operator(self, request: Request) -> Response:
        """Set who reviews in this browser."""
        body = await bodies.read(request, bodies.Operator)
        name = tamed(body.name, 60)
        if not name:
            raise Denied(400, "no_name", "the name is empty.")
        address = f"pin {request.client.host if request.client else '?'}"
        self._require_patience(address)

        def check() -> str:
            if self._pages.operators():
                return self._desk.store.operators.check(name, body.pin).name
            return name

        try:
            known = await self._desk.run(check)
        except EdgeleukError as error:
            self._access.tries.wrong(address)
            raise Denied(403, "pin", str(error)) from error
        browser_of(request).operator = known
        return JSONResponse({"name": known})

    async def devices(self, request: Request) -> Response:
        """Show a code that lets another device in."""
        operators = await self._desk.run(self._pages.operators)
        return self._templates.page(
            request, "devices.html", operators, minutes=round(self._access.limits.token_seconds / 60)
        )

    async def token(self, request: Request) -> Response:
        """Make a token for another device, with its code as SVG."""
        await bodies.read(request, bodies.Empty)
        token = self._access.new_token(told=False)
        address = f"http://{request.headers['host']}/enter#{token}"
        return JSONResponse({"address": address, "svg": svg_of(address)})

    def _require_patience(self, address: str) -> None:
        if wait := self._access.tries.wait(address):
            seconds = math.ceil(wait)
            text = f"too many wrong tries. Wait {seconds} s."
            raise Denied(429, "too_many", text, {"retry-after": str(seconds)})


def svg_of(address: str) -> str:
    """Return a QR code as SVG."""
    import segno

    to = io.BytesIO()
    segno.make(address, error="m").save(
        to, kind="svg", xmldecl=False, svgns=True, scale=4, border=3, light="#fff"
    )
    return to.getvalue().decode()
