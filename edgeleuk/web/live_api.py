"""Pages and requests of a running count."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from edgeleuk._text import tamed
from edgeleuk.counting.requests import Command, Mark, NextSlide
from edgeleuk.counting.requests import Request as Wanted
from edgeleuk.counting.state import LiveState
from edgeleuk.render._words import read_text, spoken
from edgeleuk.system.language import _, msgid
from edgeleuk.system.sentences import said
from edgeleuk.web import bodies, shown
from edgeleuk.web.answers import Denied
from edgeleuk.web.live import LiveHub
from edgeleuk.web.pages import Pages, Templates

COMMANDS: Mapping[str, Wanted] = {"pause": Command.PAUSE, "count": Command.COUNT, "undo": Command.UNDO}
"""Requests by their names: those that keys make too."""
WORDS = {
    "counted": msgid("counted"),
    "move": msgid("hold still for a moment"),
    "focus": msgid("focus"),
    "dark": msgid("too dark: lamp or exposure"),
    "bright": msgid("too bright: lamp or exposure"),
    "empty": msgid("nothing there: move to the monolayer"),
    "thick": msgid("cells over each other: move to the monolayer"),
    "stain": msgid("stain too pale or too dark: another place"),
    "foreign": msgid("does not look like a smear: check objective and camera"),
    "seen": msgid("this ground was counted: move on"),
    "scale": msgid("the scale is not known yet: a field with red cells in focus"),
    "paused": msgid("paused"),
    "manual": msgid("press Count"),
    "unreadable": msgid("the picture cannot be read"),
}
"""What to do, by the word of a frame."""
FRAME_WAIT_S = 4.0


class LiveApi:
    """View of a running count."""

    def __init__(self, hub: LiveHub, pages: Pages, templates: Templates) -> None:
        self._hub, self._pages, self._templates = hub, pages, templates

    async def page(self, request: Request) -> Response:
        """Show the running count."""
        return self._templates.page(request, "live.html")

    async def frame(self, request: Request) -> Response:
        """Return the newest frame; wait for one that is newer than `after`."""
        try:
            after = int(request.query_params.get("after", "0")[:12])
        except ValueError as error:
            raise Denied(400, "malformed", "after is no number.") from error
        until = asyncio.get_running_loop().time() + FRAME_WAIT_S
        number, picture = self._hub.picture
        while number == after and asyncio.get_running_loop().time() < until:
            await asyncio.sleep(0.05)
            number, picture = self._hub.picture
        if not picture:
            return Response(status_code=204)
        return Response(picture, media_type="image/jpeg", headers={"x-frame": str(number)})

    async def crop(self, request: Request) -> Response:
        """Return the picture of a cell that was just counted."""
        picture = self._hub.crop(request.path_params["cell"])
        if picture is None:
            raise Denied(404, "not_found", "the picture of that cell is not at hand.")
        return Response(picture, media_type="image/jpeg")

    async def state(self, _request: Request) -> Response:
        """Return the state of the count."""
        state = self._hub.state
        if state is None:
            return JSONResponse({"starting": True})
        return JSONResponse(self._shown(state))

    async def command(self, request: Request) -> Response:
        """Ask something of the count, as its keys do."""
        body = await bodies.read(request, bodies.LiveCommand)
        wanted: Wanted | None = COMMANDS.get(body.command)
        if body.command == "artefact":
            if body.cell not in self._hub.newest:
                raise Denied(409, "no_cell", "that cell is not among the last ones; mark it in the review.")
            wanted = Mark(body.cell)
        elif body.command == "note" and tamed(body.text, 400):
            wanted = tamed(body.text, 400)
        elif body.command == "next_slide":
            wanted = self._next_slide(body.text)
        if wanted is None:
            names = ", ".join((*COMMANDS, "artefact", "note", "next_slide"))
            raise Denied(400, "command", f"the request is one of {names}.")
        if not self._hub.ask(wanted):
            raise Denied(503, "busy", "the count does not answer. Look at its screen.")
        return JSONResponse({"asked": True})

    def _next_slide(self, text: str) -> NextSlide:
        """Return the request for the next slide.

        Raises:
            Denied: It has no id or a too long one, or this count can have none.
        """
        if not self._hub.next_slides:
            raise Denied(409, "no_camera", "only the count of a camera goes on with another slide.")
        if not (slide := bodies.slide_id_of(text)):
            raise Denied(400, "no_slide", "type the id of the next slide.")
        return NextSlide(slide)

    def _shown(self, state: LiveState) -> dict[str, Any]:
        result = state.differential
        flagged = {place for reason in state.slide_verdict.reasons for place in reason.cells}
        values = {
            "verdict": state.slide_verdict,
            "rows": list(shown.rows(result, result, self._hub.labels)),
            "supported": result.supported,
            "n": result.n,
            "target": state.target,
            "not_recognised": result.not_recognised,
            "fields": state.fields,
            "reasons": state.slide_verdict.others,
            "newest": self._hub.newest,
            "last_cell": state.last_cell,
            "last_text": read_text(state.last_cell.label, state.last_cell.probability)
            if state.last_cell
            else "",
            "added": _(", ").join(f"{spoken(name)} {n}" for name, n in state.last_added.items()),
            "camera": state.camera.text,
            "flagged": len(flagged),
        }
        return {
            "starting": False,
            "word": state.verdict,
            "text": _(WORDS.get(state.verdict, state.verdict)),
            "message": said(state.message),
            "paused": state.paused,
            "manual": state.manual,
            "fields": state.fields,
            "n": result.n,
            "target": state.target,
            "session": state.session,
            "next_slide": self._hub.next_slides,
            "html": self._templates.part("live_state.html", **values),
        }
