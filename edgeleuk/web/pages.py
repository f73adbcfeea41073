"""Pages: what a browser shows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

import jinja2
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response

from edgeleuk import __version__
from edgeleuk.counting.kept import Kept
from edgeleuk.errors import UsageError
from edgeleuk.render._words import counted_text, unchecked_notice
from edgeleuk.render.markup import guarded_markup
from edgeleuk.render.tables import RESEARCH_USE
from edgeleuk.render.typography import typeset
from edgeleuk.results import slide_id
from edgeleuk.review import Review
from edgeleuk.slidemap.slide_map import CROP_UM
from edgeleuk.system.language import _, current, ngettext, pgettext, word
from edgeleuk.system.sentences import said
from edgeleuk.types import WHITE_CELL
from edgeleuk.web import shown
from edgeleuk.web.desk import Desk
from edgeleuk.web.guard import browser_of
from edgeleuk.web.languages import bold, coded, script_words
from edgeleuk.web.reports_api import links, pdf_warning
from edgeleuk.web.settings import Settings

SHOWN_SLIDES = 200
"""Number of slides on the first page."""


@dataclass(frozen=True, slots=True)
class Texts:
    """Parts of a slide's page that an action changes, HTML."""

    summary: str
    state: str
    by_hand: str


@cache
def _environment() -> jinja2.Environment:
    engine = jinja2.Environment(
        loader=jinja2.FunctionLoader(_source),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    engine.filters |= {"guarded": guarded_markup, "said": said, "word": word, "coded": coded}
    engine.globals |= {
        "_": _,
        "bold": bold,
        "guarded": guarded_markup,
        "language": current,
        "ngettext": ngettext,
        "most_slide_id": slide_id.MOST,
        "number": counted_text,
        "pgettext": pgettext,
        "research_use": RESEARCH_USE,
        "script_words": script_words,
        "unchecked": unchecked_notice,
    }
    return engine


def _source(name: str) -> str:
    return (resources.files("edgeleuk.web") / "templates" / name).read_text(encoding="utf-8")


class Templates:
    """Templates with what every page knows."""

    def __init__(self, settings: Settings, *, live: bool) -> None:
        self._settings, self._live = settings, live
        self.version = __version__

    def page(self, request: Request, name: str, operators: Sequence[str] = (), **values: Any) -> Response:
        """Return a page."""
        browser = browser_of(request)
        known = {
            "csrf": browser.csrf,
            "operator": browser.operator,
            "operators": list(operators),
            "lan": self._settings.lan,
            "live": self._live,
            "version": self.version,
        }
        return HTMLResponse(typeset(_environment().get_template(name).render(**known, **values)))

    def part(self, name: str, **values: Any) -> str:
        """Return a part of a page."""
        return typeset(_environment().get_template(name).render(**values))

    def changed(self, kept: Kept, review: Review) -> Texts:
        """Return the parts of a slide's page that an action changes."""
        s = shown.summary(kept, review)
        by_hand = self.part("by_hand.html", s=s, by_hand=shown.added(kept, review), crop_um=CROP_UM)
        return Texts(self.part("summary.html", s=s), self.part("state.html", s=s), by_hand)


class Pages:
    """Pages of slides, pictures and devices."""

    def __init__(self, desk: Desk, settings: Settings, templates: Templates) -> None:
        self._desk, self._settings, self._templates = desk, settings, templates

    async def home(self, request: Request) -> Response:
        """List the slides."""

        def work() -> tuple[list[Any], list[str]]:
            found = [(slide, [shown.row_of(each) for each in some]) for slide, some in self._desk.grouped()]
            return found, self.operators()

        slides, operators = await self._desk.run(work)
        more = sum(len(sessions) for _, sessions in slides[SHOWN_SLIDES:])
        return self._templates.page(request, "home.html", operators, slides=slides[:SHOWN_SLIDES], more=more)

    async def enter(self, request: Request) -> Response:
        """Show where a token is typed.

        A browser that is in goes on.
        """
        if getattr(request.state, "browser", None):
            return RedirectResponse("/", 303)
        return HTMLResponse(self._templates.part("enter.html", version=self._templates.version))

    async def camera(self, request: Request) -> Response:
        """Show where pictures are taken."""
        session = request.query_params.get("session", "")

        def work() -> tuple[Any, list[str]]:
            about = shown.row_of(self._desk.summary(session)) if session else None
            return about, self.operators()

        about, operators = await self._desk.run(work)
        return self._templates.page(
            request,
            "camera.html",
            operators,
            about=about,
            most_bytes=self._settings.limits.picture_bytes,
            magnification=self._settings.magnification,
            magnifications=self._settings.magnifications,
        )

    async def slide(self, request: Request) -> Response:
        """Show a slide's result and its cells."""
        session = request.path_params["session"]

        def work() -> dict[str, Any]:
            kept, review = self._desk.reviewed(session)
            own = kept.summary
            others = [
                shown.row_of(each)
                for each in self._desk.summaries()
                if own.slide and each.slide == own.slide and each.id != session
            ]
            fields = [
                {
                    "number": each.number,
                    "name": kept.spoken.get(each.field.name, each.field.name),
                    "white": len(each.field.of(WHITE_CELL)),
                }
                for each in review.program.counted
            ]
            return {
                "s": shown.summary(kept, review),
                "about": shown.row_of(own),
                "others": others,
                "fields": fields,
                "groups": [each for each in shown.cell_groups(kept, review) if each["cells"]],
                "by_hand": shown.added(kept, review),
                "choices": shown.choices_of(kept),
                "crop_um": round(CROP_UM),
                "bar_um": shown.BAR_UM,
                "links": links(session),
                "pdf_warning": pdf_warning(own),
                "operators": self.operators(),
            }

        values = await self._desk.run(work)
        return self._templates.page(request, "slide.html", **values)

    async def standing(self, request: Request) -> Response:
        """Return a slide's verdict and the state of its review.

        Both are for the list of slides.
        """
        session = request.path_params["session"]
        return JSONResponse(await self._desk.run(lambda: self._desk.standing(session)))

    async def cell(self, request: Request) -> Response:
        """Return the part of a page that shows one cell."""
        session, identity = request.path_params["session"], request.path_params["cell"]

        def work() -> str:
            kept, review = self._desk.reviewed(session)
            cell = review.cells.get(identity)
            if cell is None:
                raise UsageError(f"there is no cell {identity} on this slide.")
            names = {
                each.number: kept.spoken.get(each.field.name, each.field.name)
                for each in review.program.counted
            }
            field = self._field(session, kept, review, cell.field)
            return self._templates.part(
                "cell.html",
                s=shown.summary(kept, review),
                c=shown.panel(kept, review, cell, names),
                f=field,
                here=identity,
            )

        return HTMLResponse(await self._desk.run(work))

    async def field(self, request: Request) -> Response:
        """Return the part of a page that shows one field."""
        session, number = request.path_params["session"], request.path_params["field"]

        def work() -> str:
            kept, review = self._desk.reviewed(session)
            return self._templates.part(
                "field.html",
                s=shown.summary(kept, review),
                f=self._field(session, kept, review, number),
                here=0,
                choices=shown.choices_of(kept),
            )

        return HTMLResponse(await self._desk.run(work))

    def operators(self) -> list[str]:
        """Return the names of those who may sign; none where anybody may."""
        if not self._desk.exists:
            return []
        return [each.name for each in self._desk.store.operators.list() if not each.disabled]

    def _field(self, session: str, kept: Kept, review: Review, number: int) -> dict[str, Any]:
        try:
            field = shown.field_of(kept, review, number)
        except KeyError:
            raise UsageError(f"there is no field {number} on this slide.") from None
        return field | {"coloured": self._desk.view(session, number) is not None}
