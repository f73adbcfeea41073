"""Changes of a review, as JSON."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from edgeleuk.errors import EdgeleukError
from edgeleuk.review import OpenReview, Review
from edgeleuk.web import bodies
from edgeleuk.web.answers import Denied, of_error
from edgeleuk.web.desk import Desk, Slide
from edgeleuk.web.guard import browser_of
from edgeleuk.web.pages import Templates
from edgeleuk.web.shown import tile

MISSED_UM = 14.0
"""Side of the box of a cell added by hand, um: about that of a white cell."""
Action = Callable[[OpenReview, str], Review]


class ReviewApi:
    """Actions on one slide. Each answers with what it changed."""

    def __init__(self, desk: Desk, templates: Templates) -> None:
        self._desk, self._templates = desk, templates
        self._shown: dict[str, Review] = {}
        """Review of each slide as it was answered last."""

    async def state(self, request: Request) -> Response:
        """Return a slide's review."""

        def work() -> dict[str, Any]:
            slide = self._desk.slide(request.path_params["session"])
            review = self._remember(slide.opened.review())
            return self._changed(slide, None, review)

        return await self._answer(work)

    async def reclassify(self, request: Request) -> Response:
        """Give cells another label."""
        body = await bodies.read(request, bodies.Reclassify)
        return await self._act(
            request, body, lambda review, who: review.reclassify(who, body.cells, body.label, body.why)
        )

    async def look(self, request: Request) -> Response:
        """Record cells that were on the screen."""
        body = await bodies.read(request, bodies.Look)
        return await self._act(request, body, lambda review, who: review.look(who, body.cells))

    async def add(self, request: Request) -> Response:
        """Add a missed cell."""
        body = await bodies.read(request, bodies.Add)

        def add(review: OpenReview, who: str) -> Review:
            return review.add(who, body.label, body.field, self._box(request, body), body.why)

        return await self._act(request, body, add)

    async def note(self, request: Request) -> Response:
        """Add a note."""
        body = await bodies.read(request, bodies.NoteBody)
        return await self._act(request, body, lambda review, who: review.note(who, body.text))

    async def undo(self, request: Request) -> Response:
        """Undo the reviewer's last action."""
        body = await bodies.read(request, bodies.Undo)
        return await self._act(request, body, lambda review, who: review.undo(who))

    async def sign(self, request: Request) -> Response:
        """Sign the revision."""
        body = await bodies.read(request, bodies.Sign)
        return await self._act(
            request, body, lambda review, who: review.sign(who, body.seen, pin=body.pin, why=body.why)
        )

    async def amend(self, request: Request) -> Response:
        """Open the next revision."""
        body = await bodies.read(request, bodies.Amend)
        return await self._act(request, body, lambda review, who: review.amend(who, body.why))

    def _box(self, request: Request, body: bodies.Add) -> tuple[float, float, float, float]:
        """Return the box around a clicked point, inside its field.

        Raises:
            Denied: There is no such field, or the point lies outside it.
        """
        result = self._desk.slide(request.path_params["session"]).kept.result
        field = next((each.field for each in result.counted if each.number == body.field), None)
        if field is None or not (0 <= body.x <= field.width and 0 <= body.y <= field.height):
            raise Denied(409, "outside", "that place lies outside the field's picture.")
        across, down = MISSED_UM / 2 / field.scale.um_per_px_x, MISSED_UM / 2 / field.scale.um_per_px_y
        return (
            max(0.0, body.x - across),
            max(0.0, body.y - down),
            min(float(field.width), body.x + across),
            min(float(field.height), body.y + down),
        )

    async def _act(self, request: Request, body: bodies.Base, action: Action) -> Response:
        who = browser_of(request).operator
        if not who:
            raise Denied(409, "no_name", "say first who reviews.")

        def work() -> dict[str, Any]:
            slide = self._desk.slide(request.path_params["session"])
            before = self._shown.get(slide.kept.summary.id) or slide.opened.review()
            after = self._remember(action(slide.opened, who))
            return self._changed(slide, before if before.last == body.last else None, after)

        return await self._answer(work)

    async def _answer(self, work: Callable[[], dict[str, Any]]) -> Response:
        try:
            return JSONResponse(await self._desk.run(work))
        except EdgeleukError as error:
            return of_error(error)

    def _remember(self, review: Review) -> Review:
        if len(self._shown) > 8:
            self._shown.clear()
        self._shown[review.session] = review
        return review

    def _changed(self, slide: Slide, before: Review | None, after: Review) -> dict[str, Any]:
        """Return what an action changed.

        All cells are returned where it is not known what the page shows.
        """
        old = before.cells if before else {}
        cells = [
            tile(slide.kept, cell) for identity, cell in after.cells.items() if old.get(identity) != cell
        ]
        texts = self._templates.changed(*self._desk.controlled(slide, after))
        by_hand = None if before is not None and before.added == after.added else texts.by_hand
        return {
            "cells": cells,
            "summary": texts.summary,
            "state": texts.state,
            "by_hand": by_hand,
            "last": after.last,
            "signed": after.signed,
            "revision": after.revision,
            "reviewed": after.reviewed,
            "standing": after.state,
            "counts": {label: share.count for label, share in after.result.differential.types.items()},
            "added": dict(after.added_counts),
        }
