"""Report as an HL7 FHIR R4 document.

A Bundle of the type "document" (https://hl7.org/fhir/R4/documents.html) with a Composition, a
DiagnosticReport, an Observation for each type, the Specimen and the Devices. Identifiers follow from the
result and its revision: the same report gives the same bytes. No patient is named, and nothing is concluded:
`conclusion` has the verdict's words.
"""

from __future__ import annotations

import hashlib
from base64 import b64encode
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from html import escape
from typing import Any
from uuid import UUID, uuid5

from edgeleuk._text import escaped
from edgeleuk.render.report.codes import BESIDE, ESTIMATES, LOINC, STAGES, TYPES, UCUM, Code
from edgeleuk.render.report.page import status_words
from edgeleuk.render.tables import RESEARCH_USE
from edgeleuk.reports.report import Report, TypeRow
from edgeleuk.statistics.bounds import Bounds
from edgeleuk.types import spoken

Resource = dict[str, Any]
URI = "urn:ietf:rfc:3986"
ABSENT = "http://terminology.hl7.org/CodeSystem/data-absent-reason"
CATEGORY = "http://terminology.hl7.org/CodeSystem/observation-category"
SECTION = "http://terminology.hl7.org/CodeSystem/v2-0074"
DOCUMENT = Code("11502-2", "Laboratory report", "")
TITLE = "White-cell differential of a blood smear"
NO_SHARES = "too few white cells were recognised for percentages"


def identifier(report: Report) -> str:
    """Return the UUID of the document.

    A signed revision has one; a preliminary one has another as soon as it says something else.
    """
    standing = report.standing
    if standing.signed_by:
        return _uuid(report, f"bundle {standing.revision} {standing.status}")
    said = repr((standing, report.rows, report.outside, report.verdict, report.remarks))
    digest = hashlib.sha256(said.encode("utf-8", "surrogatepass")).hexdigest()
    return _uuid(report, f"bundle {standing.revision} preliminary {digest}")


def bundle(report: Report, pdf: bytes | None = None) -> Resource:
    """Return the report as a FHIR document Bundle.

    `pdf`: the report as PDF, which is then a part of it.
    """
    made = _Document(report)
    observations = [*made.observations()]
    resources = [
        made.composition([each["id"] for each in observations]),
        made.diagnostic_report([each["id"] for each in observations], pdf),
        *observations,
        made.specimen(),
        *made.devices(),
        *made.people(),
    ]
    return {
        "resourceType": "Bundle",
        "id": identifier(report),
        "identifier": {"system": URI, "value": f"urn:uuid:{identifier(report)}"},
        "type": "document",
        "timestamp": made.time,
        "entry": [{"fullUrl": f"urn:uuid:{each['id']}", "resource": each} for each in resources],
    }


def _uuid(report: Report, role: str) -> str:
    try:
        own = UUID(report.about.id)
    except ValueError:  # a result of a program that gave none
        own = uuid5(UUID(int=0), report.about.id)
    return str(uuid5(own, role))


def _string(text: str) -> str:
    """Return a text that FHIR takes: no control characters, and not empty."""
    return escaped(text).strip() or "-"


def _instant(time: str) -> str:
    """Return a time as a FHIR instant, with seconds and its zone."""
    return datetime.fromisoformat(time).isoformat(timespec="milliseconds")


def _code(code: Code) -> Resource:
    return {"coding": [{"system": LOINC, "code": code.code, "display": code.display}], "text": code.display}


def _text(text: str) -> Resource:
    return {"text": _string(text)}


def _quantity(value: float, unit: str, code: str) -> Resource:
    return {"value": _number(value), "unit": unit, "system": UCUM, "code": code}


def _number(value: float) -> float | int:
    """Return a number as JSON shows it: whole ones without a point."""
    return int(value) if float(value).is_integer() else value


def _cells(value: int, name: str) -> Resource:
    return {"code": _text(name), "valueQuantity": _quantity(value, "cells", "{cells}")}


def _narrative(title: str, lines: list[str]) -> Resource:
    body = "".join(f"<p>{escape(_string(line))}</p>" for line in lines)
    div = f'<div xmlns="http://www.w3.org/1999/xhtml"><p><b>{escape(_string(title))}</b></p>{body}</div>'
    return {"status": "generated", "div": div}


@dataclass(frozen=True, slots=True)
class _Document:
    """Resources of one report."""

    report: Report

    @property
    def time(self) -> str:
        """Time of the report: of its signature, else of the count."""
        about = self.report.about
        return _instant(self.report.standing.signed_at or about.ended or about.started)

    @property
    def status(self) -> str:
        return self.report.standing.status

    def id(self, role: str) -> str:
        return _uuid(self.report, f"{role} {self.report.standing.revision} {self.status}")

    def ref(self, role: str) -> Resource:
        return {"reference": f"urn:uuid:{self.id(role)}"}

    def resource(self, kind: str, role: str, **parts: Any) -> Resource:
        kept = {name: value for name, value in parts.items() if value not in (None, [], "")}
        return {"resourceType": kind, "id": self.id(role), **kept}

    def composition(self, observations: list[str]) -> Resource:
        report, standing = self.report, self.report.standing
        lines = [report.verdict.line, *(each.text for each in report.statements if not each.told)]
        entries = [self.ref("report"), *({"reference": f"urn:uuid:{each}"} for each in observations)]
        entries += [self.ref("specimen"), *({"reference": f"urn:uuid:{each['id']}"} for each in self.devices())]
        signer = self.ref("signer") if standing.signed_by else None
        attester = [{"mode": "professional", "time": _instant(standing.signed_at), "party": signer}] if signer else []
        site = self.ref("site") if report.about.site else None
        return self.resource(
            "Composition",
            "composition",
            text=_narrative(TITLE, [_state(report), *lines, RESEARCH_USE]),
            identifier={"system": URI, "value": f"urn:uuid:{report.about.id}"},
            status=self.status,
            type=_code(DOCUMENT),
            date=self.time,
            author=[self.ref("program"), *([signer] if signer else [])],
            title=_string(f"{TITLE} {report.about.slide}"),
            attester=attester,
            custodian=site,
            relatesTo=self._replaces(),
            section=[
                {
                    "title": TITLE,
                    "text": _narrative(TITLE, [*lines, *report.differential.adequacy]),
                    "entry": entries,
                },
                {"title": "Use", "text": _narrative("Use", [RESEARCH_USE])},
            ],
        )

    def _replaces(self) -> list[Resource]:
        """Return the last signed revision, where this one is signed after it."""
        standing = self.report.standing
        if not standing.signed_by or not standing.earlier:
            return []
        number = standing.earlier[-1][0]
        status = "final" if len(standing.earlier) == 1 else "amended"
        before = _uuid(self.report, f"bundle {number} {status}")
        target = {"system": URI, "value": f"urn:uuid:{before}"}
        return [{"code": "replaces", "targetIdentifier": target}]

    def diagnostic_report(self, observations: list[str], pdf: bytes | None) -> Resource:
        report, about = self.report, self.report.about
        lines = [report.verdict.line, *(each.text for each in report.statements if not each.told)]
        period = {"start": _instant(about.started)} | ({"end": _instant(about.ended)} if about.ended else {})
        signer = [self.ref("signer")] if report.standing.signed_by else []
        return self.resource(
            "DiagnosticReport",
            "report",
            text=_narrative(TITLE, [_state(report), *lines, RESEARCH_USE]),
            identifier=[{"system": URI, "value": f"urn:uuid:{about.id}"}],
            status=self.status,
            category=[{"coding": [{"system": SECTION, "code": "HM", "display": "Hematology"}]}],
            code=_text(TITLE),
            effectivePeriod=period,
            issued=self.time,
            performer=[self.ref("site")] if about.site else None,
            resultsInterpreter=signer,
            specimen=[self.ref("specimen")],
            result=[{"reference": f"urn:uuid:{each}"} for each in observations],
            conclusion=_string(" ".join([*lines, _state(report), RESEARCH_USE])),
            presentedForm=[self._attachment(pdf)] if pdf else None,
        )

    def _attachment(self, pdf: bytes) -> Resource:
        digest = hashlib.sha1(pdf, usedforsecurity=False).digest()
        return {
            "contentType": "application/pdf",
            "language": "en",
            "data": b64encode(pdf).decode(),
            "size": len(pdf),
            "hash": b64encode(digest).decode(),
            "title": _string(f"{TITLE} {self.report.about.slide}"),
            "creation": self.time,
        }

    def observations(self) -> Iterator[Resource]:
        """Yield what was measured, the types first."""
        report, found = self.report, self.report.differential
        for row in report.rows:
            yield self._type(row)
            yield from self._stages(row)
        for label, count in report.outside.items():
            yield self._beside(label, count)
        for name, count in (
            ("White cells recognised", found.n),
            ("White cells not recognised", found.not_recognised),
            ("White cells cut by the edge", found.cut),
            ("Red cells counted on the smear", found.red_cells),
            ("Platelets counted on the smear", found.platelets),
        ):
            yield self._count(name, count)
        for each in report.estimates.values:
            code = ESTIMATES.get(each.kind)
            yield self.observation(
                f"estimate {each.kind} {each.method}",
                _code(code) if code else _text(f"{each.kind} per uL by estimate"),
                valueQuantity=_quantity(each.per_ul, "/uL", code.unit if code else "/uL"),
                method=_text(f"{each.formula}; an estimate from a smear"),
                component=self._interval(each.low, each.high, "/uL", "/uL"),
            )
        yield self.observation("verdict", _text("Verdict of the program"), valueString=_string(report.verdict.line))

    def observation(self, role: str, code: Resource, **parts: Any) -> Resource:
        parts = {"method": _text(self._method())} | parts
        return self.resource(
            "Observation",
            f"observation {role}",
            status=self.status,
            category=[{"coding": [{"system": CATEGORY, "code": "laboratory", "display": "Laboratory"}]}],
            code=code,
            effectiveDateTime=_instant(self.report.about.started),
            performer=[self.ref("operator")] if self.report.about.operator else None,
            specimen=self.ref("specimen"),
            device=self.ref("program"),
            **parts,
        )

    def _method(self) -> str:
        looked = self.report.standing
        by = f"a person looked at {looked.reviewed} of {looked.cells} white cells" if looked.is_reviewed else "not reviewed"
        return f"Image analysis of a stained blood smear; {by}"

    def _type(self, row: TypeRow) -> Resource:
        code = TYPES.get(row.label)
        components = [_cells(row.count, "cells counted")]
        if row.of is not None:
            components.append(_cells(row.of, "white cells recognised"))
        if row.bounds:
            components += self._bounds(row.bounds)
        return self.observation(
            row.label,
            _code(code) if code else _text(f"{spoken(row.label)}, share of the white cells"),
            **self._share(row.percent),
            component=components,
            referenceRange=self._range(row),
            note=[{"text": _string(f"Flag: {flag}")} for flag in row.flags],
        )

    def _share(self, percent: float | None, why: str = NO_SHARES) -> Resource:
        if percent is not None:
            return {"valueQuantity": _quantity(percent, "%", "%")}
        return {"dataAbsentReason": {"coding": [{"system": ABSENT, "code": "unknown", "display": "Unknown"}], "text": why}}

    def _bounds(self, bounds: Bounds) -> list[Resource]:
        return self._interval(bounds.low, bounds.high, "%", "%")

    def _interval(self, low: float, high: float | None, unit: str, code: str) -> list[Resource]:
        """Return an interval as one component, open above where it has no end."""
        ends = {"low": _quantity(low, unit, code)}
        if high is not None:
            ends["high"] = _quantity(high, unit, code)
        name = "bounds of the share of all white cells (95 %)" if unit == "%" else "interval (95 %)"
        return [{"code": _text(name), "valueRange": ends}]

    def _range(self, row: TypeRow) -> list[Resource]:
        if row.range is None:
            return []
        low, high = (_quantity(value, "%", "%") for value in (row.range.low, row.range.high))
        return [{"low": low, "high": high, "text": _string(self.report.differential.reference)}]

    def _stages(self, row: TypeRow) -> Iterator[Resource]:
        """Yield the second level of a type.

        Its share of the white cells is stated only where the reader was sure of every cell of the type.
        """
        if row.level is None:
            return
        for value, share in row.level.values.items():
            label = STAGES.get((row.label, value))
            code = TYPES.get(label or "")
            known = row.level.unsure == 0 and row.of
            percent = 100 * share.count / row.of if known and row.of else None
            why = f"{row.level.unsure} of {row.count} are unsure" if row.of else NO_SHARES
            yield self.observation(
                f"{row.label} {value}",
                _code(code) if code else _text(f"{spoken(row.label)}, {spoken(value)}"),
                **self._share(percent, why),
                component=[
                    _cells(share.count, "cells counted"),
                    _cells(row.level.unsure, f"{spoken(row.label)}s of which the reader was not sure"),
                ],
            )

    def _beside(self, label: str, count: int) -> Resource:
        per = self.report.per_100.get(label)
        code, value = BESIDE.get(label), per.per_100 if per else None
        if code is None:
            return self._count(f"{spoken(label)}, cells beside the percentages", count)
        return self.observation(
            f"beside {label}", _code(code), **self._share(value), component=[_cells(count, "cells counted")]
        )

    def _count(self, name: str, count: int | None) -> Resource:
        if count is None:
            absent = {"coding": [{"system": ABSENT, "code": "not-performed", "display": "Not Performed"}]}
            return self.observation(f"count {name}", _text(name), dataAbsentReason=absent)
        return self.observation(
            f"count {name}", _text(name), valueQuantity=_quantity(count, "cells", "{cells}")
        )

    def specimen(self) -> Resource:
        slide = self.report.about.slide
        named = {"value": _string(slide)} if slide else None
        return self.resource(
            "Specimen", "specimen", accessionIdentifier=named, status="available", type=_text("Blood smear")
        )

    def devices(self) -> Iterator[Resource]:
        """Yield the program with its models' hashes, and the microscope if it is named."""
        about, model = self.report.about, self.report.about.model
        versions = {
            "program": about.program,
            f"model {model.magnification}": model.version,
            "finder network, SHA-256": model.finder_sha256,
            "reader network, SHA-256": model.reader_sha256,
            "model settings, SHA-256": model.manifest_sha256,
        }
        yield self.resource(
            "Device",
            "program",
            deviceName=[{"name": "edgeleuk", "type": "model-name"}],
            type=_text("Image analysis software, research use only"),
            version=_versions(versions),
        )
        if about.device or about.profile:
            yield self.resource(
                "Device",
                "microscope",
                deviceName=[{"name": _string(about.device or about.profile or ""), "type": "user-friendly-name"}],
                type=_text("Microscope with camera"),
                version=_versions({"device profile": about.profile or ""}),
            )

    def people(self) -> Iterator[Resource]:
        """Yield the site, the operator and the signer, as far as they are named."""
        about, signer = self.report.about, self.report.standing.signed_by
        if about.site:
            yield self.resource("Organization", "site", name=_string(about.site))
        for role, name in (("operator", about.operator), ("signer", signer)):
            if name:
                yield self.resource("Practitioner", role, name=[_text(name)])


def _versions(named: Mapping[str, str]) -> list[Resource]:
    return [{"type": _text(name), "value": value} for name, value in named.items() if value]


def _state(report: Report) -> str:
    words = status_words(report)
    return f"{words[:1].upper()}{words[1:]}."
