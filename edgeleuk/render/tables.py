"""Results as plain values for JSON and as CSV."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from dataclasses import fields as fields_of
from typing import Any

from edgeleuk.differential.differential import as_json
from edgeleuk.differential.per_microlitre import PerMicrolitre
from edgeleuk.differential.verdict import as_json as verdict_json
from edgeleuk.errors import QualityError
from edgeleuk.render._csv import csv_text, rows_of
from edgeleuk.render.identity import identified
from edgeleuk.results.slide_result import SlideResult
from edgeleuk.statistics.intervals import Share
from edgeleuk.types import (
    PLATELET,
    RED_CELL,
    WHITE_CELL,
    Cell,
    CountedField,
    FieldOfView,
    Finding,
    Morphometry,
    Reading,
    Refusal,
)

SCHEMA = "edgeleuk-analysis/1"
RESEARCH_USE = "Research use only. Not a diagnosis."


def document(result: SlideResult) -> dict[str, Any]:
    """Return the document that `analyze --json` prints.

    `edgeleuk schema` describes it. `with_overlays` adds the names of annotated pictures.
    """
    return {
        "schema": SCHEMA,
        "edgeleuk": result.about.program,
        "notice": RESEARCH_USE,
        "verdict": verdict_json(result.verdict),
        "result": about(result),
        "model": asdict(result.about.model),
        "images": [each | {"overlay": None} for each in images(result)],
        "failures": [_failure(each) for each in result.refused if each.exit_code],
        "refused": [refused(each) for each in result.not_counted],
        "left_out": left_out(result),
        "overlaps": overlaps_of(result),
        "area_mm2": result.area_mm2,
        "differential": as_json(result.differential),
        "estimates": result.estimates.as_json(),
    }


def with_overlays(told: dict[str, Any], drawn: Mapping[int, str]) -> dict[str, Any]:
    """Add the names of annotated pictures to a document.

    `drawn`: names by the number of the counted field.
    """
    return told | {"images": [each | {"overlay": drawn.get(each["number"])} for each in told["images"]]}


def about(result: SlideResult) -> dict[str, Any]:
    """Return who counted which slide, when and with what."""
    names = ("id", "slide", "operator", "site", "device", "started", "ended", "source", "profile")
    return {name: getattr(result.about, name) for name in names}


def overlaps_of(result: SlideResult) -> list[dict[str, Any]]:
    """Return which pictures overlap or are copies."""
    names = {each.number: each.field.name for each in result.counted}
    return [
        asdict(each) | {"path": names[each.number], "other_path": names[each.other]}
        for each in result.overlaps
    ]


def images(result: SlideResult) -> list[dict[str, Any]]:
    """Return each counted field with all of its cells.

    Positions are in pixels of the field's file.
    """
    names = {each.number: each.field.name for each in result.counted}
    copies = {each.number: names[each.other] for each in result.overlaps if each.kind == "copy"}
    shown = zip(result.counted, result.as_counted(), strict=True)
    counted = (replace(each, field=field) for each, field in shown)
    return [_image(each) | {"copy_of": copies.get(each.number)} for each in counted]


def _failure(refusal: Refusal) -> dict[str, Any]:
    """Return a refusal with the name of its error.

    Refusals because of quality have many codes, but one error.
    """
    error = QualityError.__name__ if refusal.exit_code == QualityError.exit_code else refusal.code
    told = refused(refusal)
    return {name: told[name] for name in ("path", "text", "exit_code", "findings")} | {"error": error}


def refused(refusal: Refusal) -> dict[str, Any]:
    """Return a refused picture with the reason.

    It may also be a frame.
    """
    return {
        "path": refusal.name,
        "code": refusal.code,
        "text": refusal.text,
        "exit_code": refusal.exit_code,
        "findings": [_finding(each) for each in refusal.findings],
    }


def left_out(result: SlideResult) -> list[dict[str, Any]]:
    """Return what was left out of the analysis.

    It lay beside the pictures, or in their files.
    """
    return [{"path": each.name, "code": each.code, "reason": each.text} for each in result.left_out]


def _image(counted: CountedField) -> dict[str, Any]:
    field, scale = counted.field, counted.field.scale
    return {
        "number": counted.number,
        "at": counted.at,
        "placement": asdict(counted.placement),
        "path": field.name,
        "width": field.width,
        "height": field.height,
        "scale": {
            "um_per_px_x": scale.um_per_px_x,
            "um_per_px_y": scale.um_per_px_y,
            "source": scale.source,
            "relative_error": scale.relative_error,
            "red_cells": scale.red_cells,
        },
        "profile": field.profile,
        "area_mm2": field.area_mm2,
        "area_um2": round(field.area_mm2 * 1e6, 1),
        "aperture": _field_of_view(field.field_of_view),
        "cells": [_counted_cell(counted, i) for i in range(len(field.cells))],
        "counts": dict(Counter(cell.kind for cell in field.cells)),
        "not_counted": sorted(field.not_counted),
        "warnings": list(field.warnings),
        "quality": {
            "verdict": field.assessment.verdict,
            "forced": field.assessment.forced,
            "findings": [_finding(each) for each in field.assessment.findings],
        },
        "seconds": {stage: round(value, 4) for stage, value in field.seconds.items()},
    }


def _field_of_view(field_of_view: FieldOfView | None) -> dict[str, Any] | None:
    if field_of_view is None:
        return None
    lengths = {
        name: round(getattr(field_of_view, name), 2) for name in ("x", "y", "semi_major", "semi_minor")
    }
    shape = {} if field_of_view.is_ellipse else {"shape": field_of_view.shape}
    return lengths | {"angle": round(field_of_view.angle, 5)} | shape


def _finding(finding: Finding) -> dict[str, Any]:
    return {
        "code": finding.code,
        "severe": finding.severe,
        "measure": float(f"{finding.measure:.4g}"),
        "threshold": finding.threshold,
        "text": finding.text,
    }


def _counted_cell(counted: CountedField, index: int) -> dict[str, Any]:
    """Return a cell with its map number.

    It counts in the field that showed it first.
    """
    identity = counted.identities[index]
    fresh = identity in counted.fresh
    return _cell(counted.field.cells[index], fresh) | {"cell": identity or None, "fresh": fresh}


def _cell(cell: Cell, counted: bool) -> dict[str, Any]:
    reading = cell.reading
    return {
        "number": cell.number or None,
        "kind": cell.kind,
        "box": [round(value, 2) for value in cell.box],
        "label": reading.label if reading else None,
        "score": round(cell.score, 4),
        "whole": cell.whole,
        "counted": counted,
        "probability": round(reading.probability, 4) if reading else None,
        "probabilities": {name: round(p, 4) for name, p in reading.probabilities.items()}
        if reading
        else None,
        "attributes": _attributes(reading),
        "morphometry": _morphometry(cell.morphometry),
    }


def _attributes(reading: Reading | None) -> dict[str, Any] | None:
    if reading is None:
        return None
    return {
        name: {"value": each.value, "probability": round(each.probability, 4), "sure": each.sure}
        for name, each in reading.attributes.items()
    }


def _morphometry(measured: Morphometry | None) -> dict[str, Any] | None:
    if measured is None:
        return None
    return {
        "diameter_um": _rounded(measured.diameter_um, 2),
        "cell_area_um2": _rounded(measured.cell_area_um2, 1),
        "nucleus_area_um2": _rounded(measured.nucleus_area_um2, 1),
        "nc_ratio": _rounded(measured.nc_ratio, 3),
        "lobes": measured.lobes,
        "not_measurable": measured.reason,
    }


def _rounded(value: float | None, digits: int) -> float | None:
    return None if value is None else round(value, digits)


def cells_csv(result: SlideResult, attributes: Iterable[str]) -> str:
    """Return a CSV row per cell.

    A cell has the reading with which it counts. Unknown values are empty. Attribute values are given only
    where the reader was sure.
    """
    return csv_text(identified(result.about, cell_rows(result, list(attributes))))


def cell_rows(result: SlideResult, attributes: Sequence[str]) -> Iterator[Iterable[Any]]:
    """Yield the rows of `cells_csv` without the identity, their head first."""
    head = (
        "path",
        "number",
        "kind",
        "label",
        "probability",
        "score",
        "x1",
        "y1",
        "x2",
        "y2",
        "whole",
        "counted",
    )
    measures = ("diameter_um", "nucleus_area_um2", "nc_ratio", "lobes")
    yield (*head, *measures, *attributes)
    for counted, field in zip(result.counted, result.as_counted(), strict=True):
        each = replace(counted, field=field)
        for i, cell in enumerate(field.cells):
            row = _counted_cell(each, i)
            known, measured = row["attributes"] or {}, row["morphometry"] or {}
            sure = (
                known[name]["value"] if name in known and known[name]["sure"] else None for name in attributes
            )
            yield (
                field.name, row["number"], cell.kind, row["label"], row["probability"], row["score"], *row["box"],
                int(cell.whole), int(row["counted"]), *(measured.get(name) for name in measures), *sure,
            )  # fmt: skip


def pictures_csv(result: SlideResult) -> str:
    """Return a CSV row per picture with its quality.

    The row has the quality verdict and its reasons. Pictures that were not analysed come last.
    """
    return csv_text(identified(result.about, _picture_rows(result)))


def _picture_rows(result: SlideResult) -> Iterator[Iterable[Any]]:
    kinds = (WHITE_CELL, RED_CELL, PLATELET)
    yield ("path", "verdict", "forced", "reasons", "text", "um_per_px", *kinds)
    for field in (each.field for each in result.counted):
        assessment, counts = field.assessment, Counter(cell.kind for cell in field.cells)
        numbers = (None if kind in field.not_counted else counts[kind] for kind in kinds)
        row = (field.name, assessment.verdict, int(assessment.forced), *_reasons(assessment.findings))
        yield (*row, round(field.scale.um_per_px, 5), *numbers)
    for each in result.refused:
        codes, _ = _reasons(each.findings)
        error = _failure(each)["error"]
        verdict = "refused" if error == QualityError.__name__ else "failed" if each.exit_code else "left out"
        yield (each.name, verdict, 0, codes or error, each.text, *[None] * 4)


def _reasons(findings: Iterable[Finding]) -> tuple[str, str]:
    """Return codes and texts, the most severe first."""
    told = list(findings)
    return " ".join(each.code for each in told), " ".join(each.text for each in told)


def verdict_csv(result: SlideResult) -> str:
    """Return verdict and reasons as CSV.

    The verdict is in the first row. Then comes one row for each cell of each reason, or one for a reason
    without cells.
    """
    verdict = result.verdict
    rows: list[tuple[Any, ...]] = [
        ("code", "text", "path", "number"),
        (verdict.code, verdict.text, None, None),
    ]
    for reason in verdict.reasons:
        for place in reason.cells or (None,):
            where = (place.picture, place.number or None) if place else (None, None)
            rows.append((reason.code, reason.text, *where))
    return csv_text(identified(result.about, rows))


def differential_csv(result: SlideResult) -> str:
    """Return a CSV row per cell type.

    A row has the count, the percentage of the recognised cells, and the bounds of the share of all white
    cells found, empty if the data support no bound. `recognised_low` and `recognised_high` are the exact
    interval over the recognised cells alone. The values of a type's second level follow it as type/value,
    over its cells where the reader was sure. If shares are corrected, three more columns have them. Labels
    outside the denominator come last. If no share is supported, there are counts alone.
    """
    found = result.differential
    row_of = _share_row if found.supported else _count_row
    names = ["type", "count", "of", "percent", "low", "high", "recognised_low", "recognised_high"]
    names += ["corrected", "corrected_low", "corrected_high"] if found.corrected else []
    rows: list[dict[str, Any]] = []
    for label, share in found.types.items():
        row = row_of(label, share)
        if bounds := found.bounds.get(label):
            row |= {
                "low": round(bounds.low, 3),
                "high": None if bounds.high is None else round(bounds.high, 3),
            }
        if estimate := found.corrected.get(label):
            row["corrected"] = round(estimate.percent, 3)
        if estimate and label in found.bounds:
            row |= {"corrected_low": round(estimate.low, 3), "corrected_high": round(estimate.high, 3)}
        rows.append(row)
        if level := found.subtypes.get(label):
            rows += [row_of(f"{label}/{value}", part) for value, part in level.values.items()]
            rows.append({"type": f"{label}/unsure", "count": level.unsure})
    rows += [{"type": label, "count": count} for label, count in found.outside.items()]
    return csv_text(identified(result.about, rows_of(names, rows)))


def estimates_csv(result: SlideResult) -> str:
    """Return a CSV row per estimate.

    It has the cells per uL with their 95 % interval, and the basis of the estimate.
    """
    names = [each.name for each in fields_of(PerMicrolitre)]
    return csv_text(identified(result.about, rows_of(names, result.estimates.as_json()["values"])))


def _count_row(name: str, share: Share) -> dict[str, Any]:
    return {"type": name, "count": share.count, "of": share.of}


def _share_row(name: str, share: Share) -> dict[str, Any]:
    return _count_row(name, share) | {
        "percent": round(share.percent, 3),
        "recognised_low": round(share.low, 3),
        "recognised_high": round(share.high, 3),
    }
