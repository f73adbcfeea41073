"""The report as an HL7 FHIR R4 document: valid by HL7's schema, with pinned codes and units."""

from __future__ import annotations

import base64
import hashlib
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from reported import BLASTS, MOSTLY_UNKNOWN, faults, made, report_now, resources, result_of, reviewing
from reviewed import store_at

from edgeleuk.differential.differential import SecondLevel
from edgeleuk.differential.per_microlitre import Estimates, PerMicrolitre
from edgeleuk.render.report import codes
from edgeleuk.render.report.fhir import bundle
from edgeleuk.results.slide_result import SlideResult
from edgeleuk.statistics.intervals import Share

PINNED = {
    "neutrophil": ("26511-6", "%"),
    "segmented_neutrophil": ("26505-8", "%"),
    "band_neutrophil": ("26508-2", "%"),
    "lymphocyte": ("26478-8", "%"),
    "atypical_lymphocyte": ("13046-8", "%"),
    "monocyte": ("26485-3", "%"),
    "eosinophil": ("26450-7", "%"),
    "basophil": ("30180-4", "%"),
    "metamyelocyte": ("28541-1", "%"),
    "myelocyte": ("26498-6", "%"),
    "promyelocyte": ("26524-9", "%"),
    "blast": ("26446-5", "%"),
    "smudge": ("34992-8", "%"),
    "white cells": ("49498-9", "/uL"),
}
NUMBERS_PER_VOLUME = {"26474-7", "26499-4", "26484-6", "26449-9", "26444-0", "26464-8", "26515-7"}
"""Counts per volume of lymphocytes, neutrophils and others, which are often taken for percentages."""


@pytest.fixture(scope="module")
def blasts(tmp_path_factory: pytest.TempPathFactory) -> SlideResult:
    return result_of(
        tmp_path_factory.mktemp("store"),
        BLASTS,
        slide="S-7",
        site="Post 3",
        operator="A. Banda",
        device="bench 2",
        profile="b2",
    )


def coded(document: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Observations by their LOINC code."""
    found = resources(document, "Observation")
    return {each["code"]["coding"][0]["code"]: each for each in found if "coding" in each["code"]}


def test_codes_and_units_are_pinned() -> None:
    """One table, each code once, and none that counts per volume stands for a percentage."""
    every = {**codes.TYPES, **codes.BESIDE, **codes.ESTIMATES}
    assert {name: (each.code, each.unit) for name, each in every.items()} == PINNED
    assert len({each.code for each in every.values()}) == len(PINNED)
    assert NUMBERS_PER_VOLUME.isdisjoint(each.code for each in every.values())
    assert codes.DOCUMENT.code == "11502-2"


def test_a_document_is_valid(blasts: SlideResult) -> None:
    """By HL7's schema; a field that R4 does not know, or a wrong type, is found by the same check."""
    document = bundle(made(blasts), b"%PDF-1.7")
    assert faults(document) == []
    broken = json.loads(json.dumps(document))
    broken["entry"][1]["resource"]["status"] = "finished"
    broken["entry"][2]["resource"]["valueQuantity"]["value"] = "60"
    broken["entry"][3]["resource"]["colour"] = "red"
    assert len(faults(broken)) == 3


def test_a_document_has_the_parts_that_r4_asks_for(blasts: SlideResult) -> None:
    """The Composition first, each entry once, each reference to an entry, and each entry referred to."""
    document = bundle(made(blasts), b"%PDF-1.7")
    assert document["type"] == "document"
    assert document["identifier"]["value"].startswith("urn:uuid:")
    assert document["entry"][0]["resource"]["resourceType"] == "Composition"
    urls = [entry["fullUrl"] for entry in document["entry"]]
    assert len({*urls}) == len(urls)
    assert all(entry["fullUrl"] == f"urn:uuid:{entry['resource']['id']}" for entry in document["entry"])
    named = _references(document)
    assert named <= {*urls}
    assert {*urls[1:]} <= named
    kinds = {entry["resource"]["resourceType"] for entry in document["entry"]}
    assert kinds == {
        "Composition", "DiagnosticReport", "Observation", "Specimen", "Device", "Practitioner", "Organization",
    }  # fmt: skip


def _references(value: Any) -> set[str]:
    if isinstance(value, dict):
        own = {value["reference"]} if isinstance(value.get("reference"), str) else set()
        return own.union(*map(_references, value.values()))
    return set().union(*map(_references, value)) if isinstance(value, list) else set()


def test_each_percentage_is_the_results(blasts: SlideResult) -> None:
    """Value, unit in UCUM, count, bounds and reference range."""
    found = coded(bundle(made(blasts)))
    for label, share in blasts.differential.types.items():
        if label in codes.TYPES:
            each = found[PINNED[label][0]]
            assert each["valueQuantity"] == {
                "value": share.percent, "unit": "%", "system": "http://unitsofmeasure.org", "code": "%"
            }  # fmt: skip
            counts = {part["code"]["text"]: part.get("valueQuantity") for part in each["component"]}
            assert counts["cells counted"]["value"] == share.count
            assert counts["white cells recognised"]["value"] == share.of
    blast = found["26446-5"]
    (between,) = [part["valueRange"] for part in blast["component"] if "valueRange" in part]
    bounds = blasts.differential.bounds["blast"]
    assert (between["low"]["value"], between["high"]["value"]) == (bounds.low, bounds.high)
    assert found["26511-6"]["referenceRange"][0]["high"]["value"] == 80


def test_types_without_a_code_are_told_as_text(blasts: SlideResult) -> None:
    """A plasma cell has none."""
    texts = [each["code"] for each in resources(bundle(made(blasts)), "Observation")]
    assert {"text": "plasma cell, share of the white cells"} in texts


def test_no_percentage_is_sent_where_none_is_stated(tmp_path: Path) -> None:
    """Of a slide of which less than half was recognised: counts, and why there is no value."""
    document = bundle(made(result_of(tmp_path, MOSTLY_UNKNOWN)))
    assert faults(document) == []
    for code, each in coded(document).items():
        assert "valueQuantity" not in each, code
        assert each["dataAbsentReason"]["coding"][0]["code"] == "unknown"
        assert not [part for part in each["component"] if "valueRange" in part]
    assert '"%"' not in json.dumps(document)


def test_counts_per_volume_are_sent_only_where_a_total_was_entered(blasts: SlideResult) -> None:
    """An estimate has its own code and unit; without one nothing is given per volume."""
    assert "/uL" not in json.dumps(bundle(made(blasts)))
    estimate = PerMicrolitre(
        "white cells", "red cells", 8200.0, 5400.0, 12300.0, 120.0, 70000.0, "120 / 70,000 x 4.8"
    )
    document = bundle(made(replace(blasts, estimates=Estimates((estimate,)))))
    assert faults(document) == []
    each = coded(document)["49498-9"]
    assert each["valueQuantity"] == {
        "value": 8200, "unit": "/uL", "system": "http://unitsofmeasure.org", "code": "/uL"
    }  # fmt: skip


@pytest.mark.parametrize(("unsure", "percent"), [(0, 100 * 6 / 120), (3, None)])
def test_bands_are_a_share_of_the_white_cells_only_where_all_were_told(
    blasts: SlideResult, unsure: int, percent: float | None
) -> None:
    """Else their share of the cells that were told would be taken for that of all."""
    level = SecondLevel(
        "neutrophil_stage",
        {"band": Share(6, 60 - unsure), "segmented": Share(54 - unsure, 60 - unsure)},
        unsure,
    )
    found = replace(blasts.differential, subtypes={"neutrophil": level})
    each = coded(bundle(made(replace(blasts, differential=found))))["26508-2"]
    assert each.get("valueQuantity", {}).get("value") == percent
    assert ("dataAbsentReason" in each) == (percent is None)


@pytest.mark.parametrize("unsure", [0, 3])
@pytest.mark.parametrize("code", ["26508-2", "26505-8"])
def test_bands_have_their_denominators(blasts: SlideResult, unsure: int, code: str) -> None:
    """The white cells recognised, and the neutrophils whose stage the reader told."""
    sure = 60 - unsure
    values = {"band": Share(6, sure), "segmented": Share(sure - 6, sure)}
    level = {"neutrophil": SecondLevel("neutrophil_stage", values, unsure)}
    found = replace(blasts.differential, subtypes=level)
    document = bundle(made(replace(blasts, differential=found)))
    assert faults(document) == []
    each = coded(document)[code]
    counts = {part["code"]["text"]: part["valueQuantity"]["value"] for part in each["component"]}
    assert counts == {
        "cells counted": 6 if code == "26508-2" else sure - 6,
        "white cells recognised": 120,
        "neutrophils of which the reader was sure": sure,
        "neutrophils of which the reader was not sure": unsure,
    }
    notes = [note["text"] for note in each.get("note", [])]
    assert notes == (["The percentage is of the 120 white cells recognised."] if not unsure else [])


def test_the_device_has_the_models_hashes(blasts: SlideResult) -> None:
    """So that a result can be traced to the networks that read it."""
    device = next(resources(bundle(made(blasts)), "Device"))
    versions = {each["type"]["text"]: each["value"] for each in device["version"]}
    model = blasts.about.model
    assert versions["reader network, SHA-256"] == model.reader_sha256
    assert versions["finder network, SHA-256"] == model.finder_sha256
    assert versions["program"] == blasts.about.program


def test_the_pdf_is_the_presented_form(blasts: SlideResult) -> None:
    """Whole, with its size and its SHA-1; without the extra there is none."""
    (report,) = resources(bundle(made(blasts), b"%PDF-1.7 x"), "DiagnosticReport")
    (form,) = report["presentedForm"]
    assert base64.b64decode(form["data"]) == b"%PDF-1.7 x"
    assert form["size"] == 10
    assert base64.b64decode(form["hash"]) == hashlib.sha1(b"%PDF-1.7 x", usedforsecurity=False).digest()
    (report,) = resources(bundle(made(blasts)), "DiagnosticReport")
    assert "presentedForm" not in report


def test_nothing_is_concluded(blasts: SlideResult) -> None:
    """The verdict's words, and no code of a diagnosis."""
    (report,) = resources(bundle(made(blasts)), "DiagnosticReport")
    assert report["conclusion"].startswith(blasts.verdict.line)
    assert report["conclusion"].endswith("Research use only. Not a diagnosis.")
    assert "conclusionCode" not in report


def test_the_status_follows_the_signature(tmp_path: Path) -> None:
    """Preliminary, final, amended; an amended document names the one that it replaces."""
    with store_at(tmp_path) as store:
        opened = reviewing(store)
        documents = [bundle(report_now(store, opened))]
        review = opened.look("M. Phiri", range(1, 101))
        documents.append(bundle(report_now(store, opened)))
        opened.sign("M. Phiri", review.last)
        documents.append(bundle(report_now(store, opened)))
        opened.reclassify("M. Phiri", [1], "eosinophil", "second look")
        opened.sign("J. Zulu", opened.review().last)
        documents.append(bundle(report_now(store, opened)))
    assert [faults(each) for each in documents] == [[]] * 4
    states = [next(resources(each, "DiagnosticReport"))["status"] for each in documents]
    assert states == ["preliminary", "preliminary", "final", "amended"]
    assert {each["status"] for each in resources(documents[3], "Observation")} == {"amended"}
    assert len({each["identifier"]["value"] for each in documents}) == 4
    composition = next(resources(documents[3], "Composition"))
    assert composition["relatesTo"] == [{"code": "replaces", "targetIdentifier": documents[2]["identifier"]}]
    assert composition["attester"][0]["party"]["reference"] in _references(documents[3])


@pytest.mark.parametrize("text", ["<script>alert(1)</script>", "\u202ex\x00", " ", "a\nb", "\ud800"])
def test_odd_texts_leave_a_document_valid(blasts: SlideResult, text: str) -> None:
    """Names and ids from outside are escaped, also in the narrative."""
    about = replace(blasts.about, slide=text, operator=text, site=text, device=text)
    document = bundle(made(replace(blasts, about=about)))
    assert faults(document) == []
    json.dumps(document).encode()
    assert "<script" not in next(resources(document, "Composition"))["text"]["div"]


def test_equal_reports_give_equal_documents(blasts: SlideResult) -> None:
    """Byte by byte."""
    assert json.dumps(bundle(made(blasts))) == json.dumps(bundle(made(blasts)))
