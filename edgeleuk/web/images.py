"""Pictures of cells and fields, from the store."""

from __future__ import annotations

from collections.abc import Callable

from starlette.requests import Request
from starlette.responses import Response

from edgeleuk.errors import UsageError
from edgeleuk.web.desk import Desk
from edgeleuk.web.view_picture import jpeg

THUMBNAIL_QUALITY = 88


class Images:
    """JPEGs of one slide."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    async def crop(self, request: Request) -> Response:
        """Return the best picture of a cell."""
        session, identity = request.path_params["session"], request.path_params["cell"]

        def work() -> bytes:
            cell = self._desk.slide(session).kept.cells.get(identity)
            if cell is None:
                raise UsageError(f"there is no cell {identity} on this slide.")
            number, index = cell.picture
            picture = self._desk.field(session, number).crops.get(index)
            if picture is None:
                raise UsageError(f"no picture of cell {identity} was kept.")
            return picture

        return await self._jpeg(work)

    async def field(self, request: Request) -> Response:
        """Return the picture of a field: its view, else its thumbnail."""
        session, number = request.path_params["session"], request.path_params["field"]

        def work() -> bytes:
            self._desk.summary(session)
            view = self._desk.view(session, number)
            return view or jpeg(self._desk.field(session, number).thumbnail, THUMBNAIL_QUALITY)

        return await self._jpeg(work)

    async def _jpeg(self, work: Callable[[], bytes]) -> Response:
        return Response(await self._desk.run(work), media_type="image/jpeg")
