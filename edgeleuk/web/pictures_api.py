"""Pictures that a phone sends: received, analysed elsewhere, counted once."""

from __future__ import annotations

import asyncio
import math
import os
import tempfile
from collections.abc import Sequence
from typing import IO

from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response

from edgeleuk.differential.verdict import as_json
from edgeleuk.errors import DiskFullError, EdgeleukError, StoreError
from edgeleuk.models.registry import same_objective
from edgeleuk.render._words import counted_text
from edgeleuk.sources.pictures.kinds import ADVICE, HEAD, kind_of
from edgeleuk.system import private_files
from edgeleuk.system.language import _
from edgeleuk.system.sentences import guarded, said
from edgeleuk.types import PLATELET, RED_CELL, WHITE_CELL, CountedField
from edgeleuk.web import bodies
from edgeleuk.web.analysis import Analysis, Outcome, Picture
from edgeleuk.web.answers import Denied, of_error
from edgeleuk.web.desk import Desk, NewSlide, Plan
from edgeleuk.web.guard import browser_of
from edgeleuk.web.pages import Templates
from edgeleuk.web.settings import Settings

RESERVE_BYTES = 100_000_000
"""Bytes that a received picture leaves free on the disk."""
SCALES = (0.005, 5.0)
"""Range of a scale that may be given, um per pixel."""


class PicturesApi:
    """Reception of pictures.

    Several may be received at a time; they are analysed one after another.
    """

    def __init__(self, desk: Desk, analysis: Analysis, settings: Settings, templates: Templates) -> None:
        self._desk, self._analysis, self._settings, self._templates = desk, analysis, settings, templates
        self._waiting = 0
        self._turn = asyncio.Lock()

    async def receive(self, request: Request) -> Response:
        """Take a picture and count it."""
        asked = self._asked(request)
        if self._waiting >= self._settings.limits.uploads:
            raise Denied(
                503, "busy", "other pictures are being analysed. Try again in a moment.", {"retry-after": "5"}
            )
        self._waiting += 1
        try:
            with self._file() as file:
                await self._stored(request, file)
                async with self._turn:
                    return await self._counted(asked, file)
        except ClientDisconnect:
            return Response(status_code=400)
        except EdgeleukError as error:
            return of_error(error)
        finally:
            self._waiting -= 1

    def _asked(self, request: Request) -> tuple[str, NewSlide, str]:
        """Return session, facts of a new one, and name of the picture.

        Raises:
            Denied: One of them is not acceptable.
        """
        given = request.query_params
        settings, um_per_px = self._settings, None
        magnification = next(
            (
                each
                for each in settings.magnifications
                if same_objective(each, given.get("mag", settings.magnification))
            ),
            None,
        )
        if magnification is None:
            raise Denied(400, "objective", f"the objective is one of {', '.join(settings.magnifications)}.")
        if text := given.get("um_per_px", ""):
            try:
                um_per_px = float(text)
            except ValueError:
                um_per_px = math.nan
            if not SCALES[0] <= um_per_px <= SCALES[1]:
                raise Denied(
                    400, "scale", f"the scale is a number from {SCALES[0]} to {SCALES[1]} um per pixel."
                )
        new = NewSlide(
            slide=bodies.slide_id_of(given.get("slide", "")),
            magnification=magnification,
            um_per_px=um_per_px,
            operator=browser_of(request).operator,
            site=settings.site,
            device=settings.device,
            profile=settings.profile,
        )
        return given.get("session", ""), new, given.get("name", "")

    def _file(self) -> IO[bytes]:
        """Return a file without a name, beside the sessions.

        Raises:
            StoreError: The disk does not take it.
        """
        folder = self._desk.path.parent
        try:
            private_files.make_folder(folder)
            return tempfile.TemporaryFile(dir=folder)
        except OSError as error:
            raise StoreError(f"{folder} takes no picture: {error.strerror}.") from error

    async def _stored(self, request: Request, file: IO[bytes]) -> None:
        """Write the request's body to a file.

        What is no picture by its first bytes is refused.
        """
        head = b""
        try:
            async for chunk in request.stream():
                if len(head) < HEAD:
                    head += chunk[: HEAD - len(head)]
                    if len(head) == HEAD:
                        _require_picture(head)
                room = os.fstatvfs(file.fileno())
                if room.f_bavail * room.f_frsize < RESERVE_BYTES:
                    raise DiskFullError("the disk is nearly full; the picture was not kept. Free some space.")
                file.write(chunk)
            file.flush()
        except OSError as error:
            raise DiskFullError(f"the picture could not be received: {error.strerror}.") from error
        if len(head) < HEAD:
            _require_picture(head)

    async def _counted(self, asked: tuple[str, NewSlide, str], file: IO[bytes]) -> Response:
        session, new, name = asked
        most = self._settings.limits.pictures_of_slide
        plan = await self._desk.run(lambda: self._desk.plan(session, new, name, most))
        facts = plan.new
        picture = Picture(
            file.fileno(),
            plan.label,
            plan.session,
            plan.number,
            facts.magnification,
            facts.um_per_px,
            facts.profile,
        )

        def analysed() -> Outcome:
            return self._analysis.run(
                picture, lambda: self._desk.wait(lambda: self._desk.fields(plan.session))
            )

        outcome = await asyncio.to_thread(analysed)
        try:
            kept = await self._desk.run(lambda: self._desk.keep(plan, outcome))
        except EdgeleukError:
            self._analysis.forget()
            raise
        self._analysis.kept_as(kept)
        return await self._desk.run(lambda: self._told(kept, plan, outcome))

    def _told(self, session: str, plan: Plan, outcome: Outcome) -> Response:
        """Return what became of a picture, with the slide's result so far."""
        if outcome.refused and not plan.number:
            problem = {
                "code": outcome.refused.code,
                "text": guarded(outcome.refused.text),
                "session": session,
            }
            return JSONResponse({"error": problem}, 422)
        slide = self._desk.slide(session)
        review = slide.opened.review()
        counted = outcome.counted
        return JSONResponse(
            {
                "session": session,
                "counted": counted is not None,
                "text": told(counted)
                if counted
                else guarded(outcome.refused.text)
                if outcome.refused
                else "",
                "warnings": warnings_of(counted) if counted else [],
                "remark": said(plan.remark),
                "summary": self._templates.changed(slide.kept, review).summary,
                "verdict": as_json(review.result.verdict),
                "white_cells": review.result.differential.white_cells,
            }
        )


def told(counted: CountedField) -> str:
    """Return what a counted picture showed, in a line."""
    cells = list(zip(counted.field.cells, counted.identities, strict=True))
    white = [identity for cell, identity in cells if cell.kind == WHITE_CELL]
    again = sum(identity not in counted.fresh for identity in white)
    before = _(" ({n} seen before)").format(n=again) if again else ""
    parts = [counted_text(len(white), "white cell") + before]
    for kind, name in ((RED_CELL, "red cell"), (PLATELET, "platelet")):
        some = sum(cell.kind == kind for cell, _identity in cells)
        parts.append(counted_text(None if kind in counted.field.not_counted else some, name))
    text = _(", ").join(parts) + _(".")
    return " ".join([text, *map(guarded, warnings_of(counted))])


def warnings_of(counted: CountedField) -> Sequence[str]:
    """Return a counted picture's warnings."""
    return [*counted.field.warnings, *(each.text for each in counted.field.assessment.findings)]


def _require_picture(head: bytes) -> None:
    kind = kind_of("", head)
    if kind != "picture":
        text = "that file is empty." if not head else f"that file {ADVICE.get(kind, ADVICE['other'])}"
        raise Denied(415, "no_picture", f"{text} Send a JPEG, PNG, TIFF, BMP, WebP or HEIC.")
