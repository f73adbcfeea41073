"""A slide's report, as the command `report` makes it."""

from __future__ import annotations

import json
from functools import cache
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from edgeleuk._text import file_name
from edgeleuk.render.report import plain
from edgeleuk.render.report.fhir import bundle
from edgeleuk.render.report.page import page
from edgeleuk.render.report.pdf import box_warning, boxes, is_installed
from edgeleuk.render.report.pdf import pdf as printed
from edgeleuk.reports import Report
from edgeleuk.reports.kept import report_of
from edgeleuk.sessions import SessionSummary
from edgeleuk.system import language
from edgeleuk.system.language import SOURCE, current, msgid, speaking
from edgeleuk.web.answers import Denied
from edgeleuk.web.desk import Desk

POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; sandbox allow-modals; frame-ancestors 'none'"
"""Policy of the report: it holds its own style and pictures, and runs nothing."""
TYPES = {
    "html": "text/html; charset=utf-8",
    "pdf": "application/pdf",
    "csv": "text/csv; charset=utf-8",
    "json": "application/json",
    "fhir.json": "application/fhir+json",
}


class ReportsApi:
    """Reports of slides."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    async def report(self, request: Request) -> Response:
        """Return a slide's report in one of its forms."""
        session, form = request.path_params["session"], request.path_params["form"]
        if form not in TYPES or (form == "pdf" and not is_installed()):
            raise Denied(404, "not_found", "there is no such form of the report.")

        def work() -> tuple[str, bytes]:
            kept, review = self._desk.reviewed(session)
            found = self._desk.store.get(session)
            made = report_of(found, kept, review, self._desk.rules, self._desk.reference)
            stem = kept.summary.slide or session
            return file_name(f"{stem}-revision-{review.revision}", f".{form}", lambda _: False), _written(
                made, form
            )

        name, content = await self._desk.run(work)
        headers = {}
        if form == "html":
            headers["content-security-policy"] = POLICY
        else:
            plain_name = "".join(each if each.isascii() and each not in '"\\' else "_" for each in name)
            headers["content-disposition"] = f'attachment; filename="{plain_name}"'
        return Response(content, media_type=TYPES[form], headers=headers)


def _written(made: Report, form: str) -> bytes:
    if form == "html":
        return page(made).encode()
    if form == "pdf":
        return printed(page(made))
    if form == "csv":
        return plain.csv(made).encode()
    if form == "json":
        return _json(plain.document(made))
    with speaking(SOURCE):  # what other programs take is English
        return _json(bundle(made, printed(page(made)) if is_installed() else None))


def _json(document: Any) -> bytes:
    return json.dumps(document, allow_nan=False, indent=1).encode()


def pdf_warning(about: SessionSummary) -> str:
    """Return a warning that the PDF will show boxes.

    Empty if this machine's fonts have the letters of the language and of the session's names.
    """
    if not is_installed():
        return ""
    names = (about.slide, about.operator, about.site, about.device)
    return box_warning(boxes("".join((*names, _letters(current().code)))))


@cache
def _letters(code: str) -> str:
    """Return the characters of a language's texts."""
    return "".join(set().union(*language.load(code).entries.values()))


def links(session: str) -> list[dict[str, Any]]:
    """Return the links to a slide's report for its page."""
    base = f"/slides/{session}/report"
    found: list[dict[str, Any]] = [{"text": msgid("Report"), "href": f"{base}.html", "download": False}]
    if is_installed():
        found.append({"text": "PDF", "href": f"{base}.pdf", "download": True})
    return [*found, {"text": "FHIR", "href": f"{base}.fhir.json", "download": True}]
