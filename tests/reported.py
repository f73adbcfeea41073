"""Reports of kept sessions and of results, made without networks."""

from __future__ import annotations

import json
import lzma
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import cache
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from reviewed import NORMAL, keep, kept, reading, store_at
from standard import REFERENCE, RULES

from edgeleuk.errors import MissingExtraError
from edgeleuk.render.report.pdf import require
from edgeleuk.reports import Context, Report, gather
from edgeleuk.reports.kept import report_of
from edgeleuk.results.slide_result import SlideResult
from edgeleuk.review import OpenReview
from edgeleuk.sessions import Store
from edgeleuk.types import UNCLASSIFIED, Reading

SCHEMA = Path(__file__).parent / "fhir" / "fhir.schema.json.xz"
"""HL7's JSON Schema of FHIR R4 (hl7.org/fhir/R4/fhir.schema.json.zip, CC0), without its descriptions."""
BLASTS = (*NORMAL, *["blast"] * 20)
MOSTLY_UNKNOWN = (*["neutrophil"] * 20, *[UNCLASSIFIED] * 80)
"""Labels of a slide of which less than half is recognised."""


def readings(labels: Sequence[str]) -> list[Reading]:
    return [reading(label, 0.5 if label == UNCLASSIFIED else 0.97, "blast") for label in labels]


def result_of(folder: Path, labels: Sequence[str] = NORMAL, **about: Any) -> SlideResult:
    """The result of a kept session of these cells."""
    with store_at(folder) as store:
        result = kept(store, keep(store, readings(labels))).result
    return replace(result, about=replace(result.about, **about))


def made(result: SlideResult, **context: Any) -> Report:
    """The report of a result by the rules that ship."""
    return gather(result, RULES, REFERENCE, Context(**context))


def reviewing(store: Store, labels: Sequence[str] = NORMAL, slide: str = "S-1") -> OpenReview:
    return OpenReview(store, kept(store, keep(store, readings(labels), slide)), RULES, REFERENCE)


def report_now(store: Store, opened: OpenReview) -> Report:
    """The report of a review as it stands."""
    review = opened.review()
    return report_of(store.get(review.session), kept(store, review.session), review, RULES, REFERENCE)


@cache
def _fhir() -> dict[str, Any]:
    schema: dict[str, Any] = json.loads(lzma.decompress(SCHEMA.read_bytes()))
    return schema


def faults(bundle: dict[str, Any]) -> list[str]:
    """What is wrong with a Bundle and its resources, by HL7's schema."""
    empty = {"resourceType": "Basic", "code": {}}
    shell = bundle | {"entry": [each | {"resource": empty} for each in bundle["entry"]]}
    found = []
    for each in (shell, *(entry["resource"] for entry in bundle["entry"])):
        kind = each["resourceType"]
        # Each resource by its own definition: the schema's choice among all of them gives no reason.
        schema = {"$ref": f"#/definitions/{kind}", "definitions": _fhir()["definitions"]}
        errors = jsonschema.Draft6Validator(schema).iter_errors(each)
        found += [f"{kind} {error.json_path}: {error.message[:300]}" for error in errors]
    return found


def resources(bundle: dict[str, Any], kind: str) -> Iterator[dict[str, Any]]:
    for entry in bundle["entry"]:
        if entry["resource"]["resourceType"] == kind:
            yield entry["resource"]


class Page(HTMLParser):
    """What a page shows: its texts, the rows of its tables, its tags and their attributes."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.rows: list[list[str]] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self._hidden = 0
        self._cell = False
        self.feed(html)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.texts).split())

    def row(self, name: str) -> list[str]:
        """The row whose first cell begins with a name."""
        return next(row for row in self.rows if row and row[0].startswith(name))

    def fact(self, name: str) -> str:
        """The text beside a name in the tables of facts."""
        row = next(row for row in self.rows if name in row)
        return row[row.index(name) + 1]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self._hidden += tag in ("style", "title")
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th") and self.rows:
            self.rows[-1].append("")
            self._cell = True

    def handle_endtag(self, tag: str) -> None:
        self._hidden -= tag in ("style", "title")
        if tag in ("td", "th"):
            self._cell = False

    def handle_data(self, data: str) -> None:
        if self._hidden:
            return
        self.texts.append(data)
        if self._cell:
            self.rows[-1][-1] = f"{self.rows[-1][-1]}{data}".strip()


def need_pdf() -> None:
    """Skip a test where no PDF can be printed."""
    try:
        require()
    except MissingExtraError as error:
        pytest.skip(f"no PDF can be printed here: {error}")
