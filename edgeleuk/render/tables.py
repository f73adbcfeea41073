"""Results as plain values for JSON, and as CSV."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import fields as fields_of
from typing import Any

from edgeleuk import __version__
from edgeleuk.differential import Differential, as_json
from edgeleuk.errors import EdgeleukError, QualityError
from edgeleuk.estimates import NOTHING, Estimates, PerMicrolitre
from edgeleuk.intervals import Share
from edgeleuk.types import (
    PLATELET,
    RED_CELL,
    WHITE_CELL,
    Aperture,
    Cell,
    Field,
    Finding,
    Morphometry,
    Reading,
)
from edgeleuk.zoo import Model

SCHEMA = "edgeleuk-analysis/1"
RESEARCH_USE = "Research use only. Not a diagnosis."


def document(
    fields: Sequence[Field],
    result: Differential,
    model: Model,
    failures: Iterable[tuple[str, EdgeleukError]] = (),
    repeated: Sequence[frozenset[int]] = (),
    estimates: Estimates = NOTHING,
) -> dict[str, Any]:
    """What `analyze --json` prints; `edgeleuk schema` describes it.

    `repeated`: for each of the fields the cells, by index, that an earlier one shows too and that count there.
    """
    return {
        "schema": SCHEMA,
        "edgeleuk": __version__,
        "notice": RESEARCH_USE,
        "model": {"magnification": model.magnification, "version": model.version},
        "images": [_image(*each) for each in zip(fields, _padded(repeated, fields), strict=True)],
        "failures": [
            {
                "path": path,
                "error": type(error).__name__,
                "text": str(error),
                "exit_code": error.exit_code,
                "findings": [_finding(each) for each in _findings(error)],
            }
            for path, error in failures
        ],
        "differential": as_json(result),
        "estimates": estimates.as_json(),
    }


def _padded(repeated: Sequence[frozenset[int]], fields: Sequence[Field]) -> Sequence[frozenset[int]]:
    return repeated or [frozenset()] * len(fields)


def _image(field: Field, repeated: frozenset[int]) -> dict[str, Any]:
    scale = field.scale
    return {
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
        "aperture": _aperture(field.aperture),
        "cells": [_cell(cell, i not in repeated) for i, cell in enumerate(field.cells)],
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


def _aperture(aperture: Aperture | None) -> dict[str, Any] | None:
    if aperture is None:
        return None
    lengths = {name: round(getattr(aperture, name), 2) for name in ("x", "y", "semi_major", "semi_minor")}
    return lengths | {"angle": round(aperture.angle, 5)}


def _finding(finding: Finding) -> dict[str, Any]:
    return {
        "code": finding.code,
        "severe": finding.severe,
        "measure": float(f"{finding.measure:.4g}"),
        "threshold": finding.threshold,
        "text": finding.text,
    }


def _findings(error: EdgeleukError) -> tuple[Finding, ...]:
    return error.findings if isinstance(error, QualityError) else ()


def _cell(cell: Cell, counted: bool) -> dict[str, Any]:
    reading = cell.reading
    return {
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


def cells_csv(
    fields: Sequence[Field], attributes: Iterable[str], repeated: Sequence[frozenset[int]] = ()
) -> str:
    """One row a cell; empty where nothing is known, attribute values only where the reader was sure.

    `repeated` as for `document`.
    """
    names = list(attributes)
    measures = ("diameter_um", "nucleus_area_um2", "nc_ratio", "lobes")
    target = io.StringIO()
    writer = csv.writer(target, lineterminator="\n")
    head = ("path", "kind", "label", "probability", "score", "x1", "y1", "x2", "y2", "whole", "counted")
    writer.writerow([*head, *measures, *names])
    for field, again in zip(fields, _padded(repeated, fields), strict=True):
        for i, cell in enumerate(field.cells):
            row = _cell(cell, i not in again)
            known = row["attributes"] or {}
            measured = row["morphometry"] or {}
            writer.writerow(
                [
                    *(
                        field.name,
                        cell.kind,
                        row["label"],
                        row["probability"],
                        row["score"],
                        *row["box"],
                        int(cell.whole),
                        int(i not in again),
                    ),
                    *(measured.get(name) for name in measures),
                    *(
                        known[name]["value"] if name in known and known[name]["sure"] else None
                        for name in names
                    ),
                ]
            )
    return target.getvalue()


def pictures_csv(fields: Sequence[Field], failures: Iterable[tuple[str, EdgeleukError]] = ()) -> str:
    """One row a picture, with the verdict on its quality and the reasons; those that were not analysed at the end."""
    target = io.StringIO()
    writer = csv.writer(target, lineterminator="\n")
    writer.writerow(
        ("path", "verdict", "forced", "reasons", "text", "um_per_px", WHITE_CELL, RED_CELL, PLATELET)
    )
    for field in fields:
        judged, counts = field.assessment, Counter(cell.kind for cell in field.cells)
        numbers = (
            None if kind in field.not_counted else counts[kind] for kind in (WHITE_CELL, RED_CELL, PLATELET)
        )
        row = (field.name, judged.verdict, int(judged.forced), *_reasons(judged.findings))
        writer.writerow([*row, round(field.scale.um_per_px, 5), *numbers])
    for path, error in failures:
        codes, _ = _reasons(_findings(error))
        verdict = "refused" if isinstance(error, QualityError) else "failed"
        writer.writerow([path, verdict, 0, codes or type(error).__name__, str(error), *[None] * 4])
    return target.getvalue()


def _reasons(findings: Iterable[Finding]) -> tuple[str, str]:
    """Codes and texts, the gravest first."""
    told = list(findings)
    return " ".join(each.code for each in told), " ".join(each.text for each in told)


def differential_csv(result: Differential) -> str:
    """One row a type: count, percent and its 95 % interval; then what lies outside the denominator.

    The values of a type's second level follow it as type/value, of its cells where the reader was sure. Where
    shares are corrected, three more columns have them.
    """
    target = io.StringIO()
    names = ["type", "count", "of", "percent", "low", "high"]
    names += ["corrected", "corrected_low", "corrected_high"] if result.corrected else []
    writer = csv.DictWriter(target, names, lineterminator="\n")
    writer.writeheader()
    for label, share in result.types.items():
        row = _share_row(label, share)
        if estimate := result.corrected.get(label):
            row |= {
                "corrected": round(estimate.percent, 3),
                "corrected_low": round(estimate.low, 3),
                "corrected_high": round(estimate.high, 3),
            }
        writer.writerow(row)
        if level := result.subtypes.get(label):
            writer.writerows(_share_row(f"{label}/{value}", part) for value, part in level.values.items())
            writer.writerow({"type": f"{label}/unsure", "count": level.unsure})
    writer.writerows({"type": label, "count": count} for label, count in result.outside.items())
    return target.getvalue()


def estimates_csv(estimates: Estimates) -> str:
    """One row an estimate: cells per uL with their 95 % interval, and what it rests on."""
    target = io.StringIO()
    writer = csv.DictWriter(target, [each.name for each in fields_of(PerMicrolitre)], lineterminator="\n")
    writer.writeheader()
    writer.writerows(estimates.as_json()["values"])
    return target.getvalue()


def _share_row(name: str, share: Share) -> dict[str, Any]:
    return {
        "type": name,
        "count": share.count,
        "of": share.of,
        "percent": round(share.percent, 3),
        "low": round(share.low, 3),
        "high": round(share.high, 3),
    }
