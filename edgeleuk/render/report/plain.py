"""Report as plain values for JSON, and as CSV."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from edgeleuk.render._csv import csv_text, rows_of
from edgeleuk.render.identity import identified
from edgeleuk.render.tables import RESEARCH_USE
from edgeleuk.reports.report import FlaggedCell, Report, Standing, TypeRow
from edgeleuk.types import Refusal

SCHEMA = "edgeleuk-report/1"
COLUMNS = (
    "section", "name", "count", "of", "percent", "low", "high", "reference_low", "reference_high", "program_count",
    "program_percent", "text",
)  # fmt: skip


def document(report: Report) -> dict[str, Any]:
    """Return the report as plain values for JSON.

    Percentages are 0 to 100, not rounded, and null where none can be stated. It has no pictures.
    """
    found = report.differential
    return {
        "schema": SCHEMA,
        "notice": RESEARCH_USE,
        "verdict": {
            "code": report.verdict.code,
            "text": report.verdict.text,
            "reasons": [asdict(each) for each in report.statements],
        },
        "program_verdict": report.program_verdict.line if report.program_verdict else None,
        "result": asdict(report.about),
        "session": report.session or None,
        "second_of": report.second_of or None,
        "revision": _standing(report.standing),
        "remarks": [asdict(each) for each in report.remarks],
        "quality": {
            "pictures": [asdict(each) for each in report.pictures],
            "refused": [_refusal(each) for each in report.refused],
            "left_out": [_refusal(each) for each in report.left_out],
            "area_mm2": report.area_mm2,
            "seen_again": dict(
                zip(("white_cells", "red_cells", "platelets"), report.seen_again, strict=True)
            ),
            "copies": report.copies,
            "lost": list(report.lost),
        },
        "differential": {
            "supported": report.supported,
            "white_cells": found.white_cells,
            "recognised": found.n,
            "not_recognised": found.not_recognised,
            "cut_by_edge": found.cut,
            "unread": found.unread,
            "types": {row.label: _row(row) for row in report.rows},
            "beside": {
                label: {
                    "count": count,
                    "per_100": report.per_100[label].per_100 if label in report.per_100 else None,
                    "program_count": report.program_outside.get(label, 0) if report.program else None,
                }
                for label, count in report.outside.items()
            },
            "adequacy": list(found.adequacy),
            "reference": found.reference,
            "reference_known": report.ranges,
        },
        "estimates": report.estimates.as_json(),
        "cells": [_cell(each) for each in report.flagged],
        "cells_in_all": report.flagged_in_all,
        "red_cells": found.red_cells,
        "platelets": found.platelets,
        "platelet_clumps": report.clumps,
        "giant_platelets": report.giant_platelets,
        "not_looked_for": report.not_looked_for,
        "scales": [asdict(each) for each in report.scales],
    }


def _standing(standing: Standing) -> dict[str, Any]:
    earlier = [dict(zip(("revision", "by", "at"), each, strict=True)) for each in standing.earlier]
    return asdict(standing) | {"earlier": earlier, "signed_at": standing.signed_at or None}


def _refusal(each: Refusal) -> dict[str, Any]:
    return {"path": each.name, "code": each.code, "text": each.text, "exit_code": each.exit_code}


def _row(row: TypeRow) -> dict[str, Any]:
    count, percent = row.program if row.program else (None, None)
    level = row.level and {
        "attribute": row.level.attribute,
        "values": {value: share.count for value, share in row.level.values.items()},
        "unsure": row.level.unsure,
    }
    return {
        "count": row.count,
        "of": row.of,
        "percent": row.percent,
        "low": row.bounds.low if row.bounds else None,
        "high": row.bounds.high if row.bounds else None,
        "reference": [row.range.low, row.range.high] if row.range else None,
        "flags": list(row.flags),
        "program": row.program and {"count": count, "percent": percent},
        "second_level": level,
    }


def _cell(cell: FlaggedCell) -> dict[str, Any]:
    names = ("picture", "number", "label", "probability", "likeliest", "program")
    return {name: getattr(cell, name) for name in names} | {"reasons": list(cell.codes)}


def csv(report: Report) -> str:
    """Return the report as one CSV table.

    Each row belongs to a section: verdict, reason, slide, revision, quality, type, lineage, beside, estimate, cell, program.
    """
    return csv_text(identified(report.about, rows_of(COLUMNS, _lines(report))))


def _lines(report: Report) -> Iterator[dict[str, Any]]:
    found, about, standing = report.differential, report.about, report.standing
    yield {"section": "verdict", "name": report.verdict.code, "text": report.verdict.text}
    for each in report.statements:
        yield {"section": "reason", "name": each.code, "text": f"{each.text} {each.where}".strip()}
    for name in ("id", "slide", "site", "device", "operator", "started", "ended", "source", "profile"):
        yield {"section": "slide", "name": name, "text": getattr(about, name)}
    yield {"section": "slide", "name": "session", "text": report.session}
    for name in ("status", "revision", "signed_by", "signed_at"):
        yield {"section": "revision", "name": name, "text": str(getattr(standing, name))}
    for opened in standing.amendments:
        text = f"revision {opened.revision} by {opened.by} at {opened.at}: {opened.why or 'no reason given'}"
        yield {"section": "revision", "name": "opened", "text": text}
    yield {"section": "revision", "name": "reviewed", "count": standing.reviewed, "of": standing.cells}
    yield {"section": "quality", "name": "pictures", "count": len(report.pictures)}
    warned = sum(bool(each.codes) for each in report.pictures)
    yield {"section": "quality", "name": "with a warning", "count": warned}
    yield {"section": "quality", "name": "not counted", "count": len(report.refused)}
    for row in report.rows:
        yield {"section": "type", "name": row.label, **_numbers(row), "text": " ".join(row.flags)}
    yield {"section": "type", "name": "unclassified", "count": found.not_recognised, "of": found.white_cells}
    for name, lineage in found.lineages.items():
        yield {"section": "lineage", "name": name, "count": lineage.share.count, "of": lineage.share.of}
    for label, count in report.outside.items():
        yield {"section": "beside", "name": label, "count": count}
    yield {"section": "beside", "name": "cut by the edge", "count": found.cut}
    yield {"section": "beside", "name": "red cells", "count": found.red_cells}
    yield {"section": "beside", "name": "platelets", "count": found.platelets}
    for text in found.adequacy:
        yield {"section": "reason", "name": "adequacy", "text": text}
    for value in report.estimates.values:
        text = f"{value.per_ul} per uL: {value.formula}"
        yield {"section": "estimate", "name": value.kind, "low": value.low, "high": value.high, "text": text}
    for cell in report.flagged:
        yield {"section": "cell", "name": cell.label, "text": f"{cell.picture} cell {cell.number}"}
    for scale in report.scales:
        text = f"{scale.um_per_px_x} x {scale.um_per_px_y} um per px, {scale.source}"
        yield {"section": "scale", "name": scale.source, "count": scale.pictures, "text": text}
    yield {"section": "program", "name": "edgeleuk", "text": about.program}
    for name, value in asdict(about.model).items():
        yield {"section": "program", "name": name, "text": value}
    yield {"section": "program", "name": "not looked for", "text": report.not_looked_for}
    yield {"section": "program", "name": "use", "text": RESEARCH_USE}


def _numbers(row: TypeRow) -> dict[str, Any]:
    numbers = _row(row)
    reference = numbers["reference"] or (None, None)
    program = numbers["program"] or {}
    return {name: numbers[name] for name in ("count", "of", "percent", "low", "high")} | {
        "reference_low": reference[0],
        "reference_high": reference[1],
        "program_count": program.get("count"),
        "program_percent": program.get("percent"),
    }
