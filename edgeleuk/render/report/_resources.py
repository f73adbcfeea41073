"""Data types and resources of FHIR R4, as plain values."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from html import escape
from typing import Any
from uuid import UUID, uuid5

from edgeleuk._text import escaped
from edgeleuk.render.report.codes import LOINC, UCUM, Code
from edgeleuk.reports.report import Report

Resource = dict[str, Any]


def uuid_of(report: Report, role: str) -> str:
    try:
        own = UUID(report.about.id)
    except ValueError:  # a result of a program that gave none
        own = uuid5(UUID(int=0), report.about.id)
    return str(uuid5(own, role))


def string(text: str) -> str:
    """Return a text that FHIR takes: no control characters, and not empty."""
    return escaped(text).strip() or "-"


def instant(time: str) -> str:
    """Return a time as a FHIR instant, with seconds and its zone."""
    return datetime.fromisoformat(time).isoformat(timespec="milliseconds")


def coded(code: Code) -> Resource:
    return {"coding": [{"system": LOINC, "code": code.code, "display": code.display}], "text": code.display}


def told(text: str) -> Resource:
    return {"text": string(text)}


def quantity(value: float, unit: str, code: str) -> Resource:
    return {"value": number(value), "unit": unit, "system": UCUM, "code": code}


def number(value: float) -> float | int:
    """Return a number as JSON shows it: whole ones without a point."""
    return int(value) if float(value).is_integer() else value


def cells(value: int, name: str) -> Resource:
    return {"code": told(name), "valueQuantity": quantity(value, "cells", "{cells}")}


def narrative(title: str, lines: list[str]) -> Resource:
    body = "".join(f"<p>{escape(string(line))}</p>" for line in lines)
    div = f'<div xmlns="http://www.w3.org/1999/xhtml"><p><b>{escape(string(title))}</b></p>{body}</div>'
    return {"status": "generated", "div": div}


@dataclass(frozen=True, slots=True)
class Document:
    """Resources of one report: their identifiers, and what all of them state."""

    report: Report

    @property
    def time(self) -> str:
        """Time of the report: of its signature, else of the count."""
        about = self.report.about
        return instant(self.report.standing.signed_at or about.ended or about.started)

    @property
    def status(self) -> str:
        return self.report.standing.status

    def id(self, role: str) -> str:
        return uuid_of(self.report, f"{role} {self.report.standing.revision} {self.status}")

    def ref(self, role: str) -> Resource:
        return {"reference": f"urn:uuid:{self.id(role)}"}

    def resource(self, kind: str, role: str, **parts: Any) -> Resource:
        kept = {name: value for name, value in parts.items() if value not in (None, [], "")}
        return {"resourceType": kind, "id": self.id(role), **kept}
