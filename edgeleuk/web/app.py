"""The application: routes, and what they need."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from importlib import resources
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from edgeleuk.errors import EdgeleukError, UsageError
from edgeleuk.system.faults import to_user_error
from edgeleuk.web import openapi
from edgeleuk.web.access import Access
from edgeleuk.web.analysis import Analysis
from edgeleuk.web.answers import Denied, of_error, problem, refusal
from edgeleuk.web.desk import Desk
from edgeleuk.web.doors import Doors
from edgeleuk.web.guard import Guard
from edgeleuk.web.hosts import own_names
from edgeleuk.web.images import Images
from edgeleuk.web.live import LiveHub
from edgeleuk.web.live_api import LiveApi
from edgeleuk.web.pages import Pages, Templates
from edgeleuk.web.pictures_api import PicturesApi
from edgeleuk.web.reports_api import ReportsApi
from edgeleuk.web.review_api import ReviewApi
from edgeleuk.web.settings import Settings

STATIC = {".js": "text/javascript; charset=utf-8", ".css": "text/css; charset=utf-8", ".svg": "image/svg+xml"}


@dataclass(frozen=True, slots=True)
class Server:
    """Application with the parts that a command needs of it."""

    app: ASGIApp
    access: Access
    analysis: Analysis


def make(
    settings: Settings, *, on_token: Callable[[str], None] = lambda _: None, live: LiveHub | None = None
) -> Server:
    """Make the application.

    Args:
        settings: Settings of the server.
        on_token: Called with each new token, to show it.
        live: Running count, where there is one.
    """
    desk = Desk(settings.store, settings.rules, settings.reference, settings.load)
    analysis = Analysis(settings.limits, settings.rules_file, settings.reference_file)
    access = Access(
        settings.limits, open_to_all=not settings.lan, on_token=on_token, operator=settings.operator
    )
    templates = Templates(settings, live=live is not None)
    pages = Pages(desk, settings, templates)
    routes = _routes(
        pages,
        Doors(access, desk, settings, pages, templates),
        ReviewApi(desk, templates),
        PicturesApi(desk, analysis, settings, templates),
        Images(desk),
        ReportsApi(desk),
    )
    if live:
        routes += _live_routes(LiveApi(live, pages, templates))

    @asynccontextmanager
    async def lifespan(_: Any) -> AsyncIterator[None]:
        yield
        analysis.close()
        desk.close()

    handlers = {Denied: _denied, EdgeleukError: _failed, HTTPException: _http, Exception: _fault}
    app = Starlette(routes=routes, exception_handlers=handlers, lifespan=lifespan)
    app.router.redirect_slashes = False
    guard = Guard(app, access, own_names(settings.host, lan=settings.lan), settings.cookie)
    return Server(guard, access, analysis)


def _routes(
    pages: Pages, doors: Doors, review: ReviewApi, pictures: PicturesApi, images: Images, reports: ReportsApi
) -> list[Route]:
    slide = "/api/slides/{session}"
    posts = {
        "reclassify": review.reclassify, "look": review.look, "add": review.add, "note": review.note,
        "undo": review.undo, "sign": review.sign, "amend": review.amend,
    }  # fmt: skip
    return [
        Route("/", pages.home),
        Route("/enter", pages.enter),
        Route("/camera", pages.camera),
        Route("/devices", doors.devices),
        Route("/slides/{session}", pages.slide),
        Route("/slides/{session}/standing", pages.standing),
        Route("/slides/{session}/cells/{cell:int}.jpg", images.crop),
        Route("/slides/{session}/fields/{field:int}.jpg", images.field),
        Route("/slides/{session}/cells/{cell:int}", pages.cell),
        Route("/slides/{session}/fields/{field:int}", pages.field),
        Route("/slides/{session}/report.{form}", reports.report),
        Route("/static/{name}", static),
        Route("/openapi.json", described),
        Route("/api/enter", doors.enter, methods=["POST"]),
        Route("/api/leave", doors.leave, methods=["POST"]),
        Route("/api/operator", doors.operator, methods=["POST"]),
        Route("/api/tokens", doors.token, methods=["POST"]),
        Route("/api/pictures", pictures.receive, methods=["POST"]),
        Route(slide, review.state),
        *(Route(f"{slide}/{name}", call, methods=["POST"]) for name, call in posts.items()),
    ]


def _live_routes(live: LiveApi) -> list[Route]:
    return [
        Route("/live", live.page),
        Route("/live/frame.jpg", live.frame),
        Route("/live/cells/{cell:int}.jpg", live.crop),
        Route("/api/live", live.state),
        Route("/api/live/commands", live.command, methods=["POST"]),
    ]


async def static(request: Request) -> Response:
    """Return a script, a style sheet or the icon.

    The name is looked up among those that ship; it is no path.
    """
    name = request.path_params["name"]
    folder = resources.files("edgeleuk.web") / "static"
    for each in folder.iterdir():
        suffix = f".{each.name.rpartition('.')[2]}"
        if each.name == name and suffix in STATIC:
            return Response(each.read_bytes(), media_type=STATIC[suffix])
    raise Denied(404, "not_found", "there is no such file.")


async def described(_: Request) -> Response:
    """Return the description of the API."""
    return JSONResponse(openapi.document())


async def _denied(_: Request, error: Exception) -> Response:
    assert isinstance(error, Denied)
    return refusal(error)


async def _failed(_: Request, error: Exception) -> Response:
    assert isinstance(error, EdgeleukError)
    if isinstance(error, UsageError):
        return problem(404, "not_found", str(error))
    return of_error(error)


async def _fault(_: Request, error: Exception) -> Response:
    return of_error(to_user_error(error, "the request", "answered"))


async def _http(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    text = {404: "there is no such page.", 405: "that is not possible here."}.get(
        error.status_code, "that failed."
    )
    return problem(
        error.status_code, "not_found" if error.status_code == 404 else "method", text, error.headers
    )
