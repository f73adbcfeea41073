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

from edgeleuk.render.report._observations import Observations
from edgeleuk.render.report._resources import Resource, coded, instant, narrative, string, told, uuid_of
from edgeleuk.render.report.codes import DOCUMENT
from edgeleuk.render.report.page import status_words
from edgeleuk.render.tables import RESEARCH_USE
from edgeleuk.reports.report import Report
from edgeleuk.system.language import SOURCE, speaking

URI = "urn:ietf:rfc:3986"
SECTION = "http://terminology.hl7.org/CodeSystem/v2-0074"
TITLE = "White-cell differential of a blood smear"


def identifier(report: Report) -> str:
    """Return the UUID of the document.

    A signed revision has one; a preliminary one has another as soon as it says something else.
    """
    standing = report.standing
    if standing.signed_by:
        return uuid_of(report, f"bundle {standing.revision} {standing.status}")
    said = repr((standing, report.rows, report.outside, report.verdict, report.remarks))
    digest = hashlib.sha256(said.encode("utf-8", "surrogatepass")).hexdigest()
    return uuid_of(report, f"bundle {standing.revision} preliminary {digest}")


def bundle(report: Report, pdf: bytes | None = None) -> Resource:
    """Return the report as a FHIR document Bundle.

    `pdf`: the report as PDF, which is then a part of it.
    """
    made = _Whole(report)
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


@dataclass(frozen=True, slots=True)
class _Whole(Observations):
    """All resources of one report."""

    def composition(self, observations: list[str]) -> Resource:
        report, standing = self.report, self.report.standing
        lines = [report.verdict.line, *(each.text for each in report.statements if not each.told)]
        entries = [self.ref("report"), *({"reference": f"urn:uuid:{each}"} for each in observations)]
        entries += [
            self.ref("specimen"),
            *({"reference": f"urn:uuid:{each['id']}"} for each in self.devices()),
        ]
        signer = self.ref("signer") if standing.signed_by else None
        attester = (
            [{"mode": "professional", "time": instant(standing.signed_at), "party": signer}] if signer else []
        )
        site = self.ref("site") if report.about.site else None
        return self.resource(
            "Composition",
            "composition",
            text=narrative(TITLE, [_state(report), *lines, RESEARCH_USE]),
            identifier={"system": URI, "value": f"urn:uuid:{report.about.id}"},
            status=self.status,
            type=coded(DOCUMENT),
            date=self.time,
            author=[self.ref("program"), *([signer] if signer else [])],
            title=string(f"{TITLE} {report.about.slide}"),
            attester=attester,
            custodian=site,
            relatesTo=self._replaces(),
            section=[
                {
                    "title": TITLE,
                    "text": narrative(TITLE, [*lines, *report.differential.adequacy]),
                    "entry": entries,
                },
                {"title": "Use", "text": narrative("Use", [RESEARCH_USE])},
            ],
        )

    def _replaces(self) -> list[Resource]:
        """Return the last signed revision, where this one is signed after it."""
        standing = self.report.standing
        if not standing.signed_by or not standing.earlier:
            return []
        number = standing.earlier[-1][0]
        status = "final" if len(standing.earlier) == 1 else "amended"
        before = uuid_of(self.report, f"bundle {number} {status}")
        target = {"system": URI, "value": f"urn:uuid:{before}"}
        return [{"code": "replaces", "targetIdentifier": target}]

    def diagnostic_report(self, observations: list[str], pdf: bytes | None) -> Resource:
        report, about = self.report, self.report.about
        lines = [report.verdict.line, *(each.text for each in report.statements if not each.told)]
        period = {"start": instant(about.started)} | ({"end": instant(about.ended)} if about.ended else {})
        signer = [self.ref("signer")] if report.standing.signed_by else []
        return self.resource(
            "DiagnosticReport",
            "report",
            text=narrative(TITLE, [_state(report), *lines, RESEARCH_USE]),
            identifier=[{"system": URI, "value": f"urn:uuid:{about.id}"}],
            status=self.status,
            category=[{"coding": [{"system": SECTION, "code": "HM", "display": "Hematology"}]}],
            code=told(TITLE),
            effectivePeriod=period,
            issued=self.time,
            performer=[self.ref("site")] if about.site else None,
            resultsInterpreter=signer,
            specimen=[self.ref("specimen")],
            result=[{"reference": f"urn:uuid:{each}"} for each in observations],
            conclusion=string(" ".join([*lines, _state(report), RESEARCH_USE])),
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
            "title": string(f"{TITLE} {self.report.about.slide}"),
            "creation": self.time,
        }

    def specimen(self) -> Resource:
        slide = self.report.about.slide
        named = {"value": string(slide)} if slide else None
        return self.resource(
            "Specimen", "specimen", accessionIdentifier=named, status="available", type=told("Blood smear")
        )

    def devices(self) -> Iterator[Resource]:
        """Yield the program, and the microscope if it is named.

        The program comes with its models' hashes.
        """
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
            type=told("Image analysis software, research use only"),
            version=_versions(versions),
        )
        if about.device or about.profile:
            yield self.resource(
                "Device",
                "microscope",
                deviceName=[
                    {"name": string(about.device or about.profile or ""), "type": "user-friendly-name"}
                ],
                type=told("Microscope with camera"),
                version=_versions({"device profile": about.profile or ""}),
            )

    def people(self) -> Iterator[Resource]:
        """Yield the site, the operator and the signer.

        Those that are not named are left out.
        """
        about, signer = self.report.about, self.report.standing.signed_by
        if about.site:
            yield self.resource("Organization", "site", name=string(about.site))
        for role, name in (("operator", about.operator), ("signer", signer)):
            if name:
                yield self.resource("Practitioner", role, name=[told(name)])


def _versions(named: Mapping[str, str]) -> list[Resource]:
    return [{"type": told(name), "value": value} for name, value in named.items() if value]


def _state(report: Report) -> str:
    with speaking(SOURCE):
        words = status_words(report)
    opened = report.standing.amendments
    reason = f" Reason: {opened[-1].why}" if opened and opened[-1].why else ""
    return f"{words[:1].upper()}{words[1:]}.{reason}"
