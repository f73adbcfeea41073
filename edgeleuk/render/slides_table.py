"""Table with one row a slide.

`edgeleuk batch`, `sessions export --zip` and `programme` write it. A row is a mapping from the names of the
columns to plain values; `csv` makes a table of rows of different models.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from statistics import median
from typing import Any

from edgeleuk.differential.differential import Differential
from edgeleuk.errors import EdgeleukError
from edgeleuk.render._csv import csv_of
from edgeleuk.render.identity import COLUMNS as IDENTITY
from edgeleuk.render.identity import Identity
from edgeleuk.results.slide_result import SlideResult
from edgeleuk.types import UNCLASSIFIED

Row = dict[str, Any]
FAILED = "failed"
"""`verdict` of a slide that could not be counted at all."""
COLUMNS = (
    *IDENTITY, "ended", "operator", "source", "objective", "model", "model_sha256", "profile", "program", "verdict",
    "verdict_text", "reasons", "flags", "pictures", "pictures_warned", "pictures_refused", "refused_codes",
    "warned_codes", "um_per_px", "scale_source", "area_mm2", "white_cells", "recognised", "not_recognised", "red_cells",
    "platelets", "exit_code",
)  # fmt: skip
"""Columns of every row; those of the types follow."""
TYPE = "n_"
"""Prefix of the columns with the count of one type."""


def row(result: SlideResult, identity: Identity | None = None) -> Row:
    """Return the row of a counted slide.

    Args:
        result: Result of the slide.
        identity: Identity to state; None for the one of the result.

    Returns:
        COLUMNS, and TYPE with a label for each type of the reader. A class of cells that was not counted is
        None, as is what needs a counted picture.
    """
    about, found = result.about, result.differential
    fields = [each.field for each in result.counted]
    warned = Counter(finding.code for each in fields for finding in each.assessment.findings)
    refused = Counter(each.code for each in result.not_counted)
    return {
        **asdict(identity or Identity.of(about)),
        "ended": about.ended,
        "operator": about.operator,
        "source": about.source,
        "objective": about.model.magnification,
        "model": about.model.version,
        "model_sha256": about.model.manifest_sha256,
        "profile": about.profile,
        "program": about.program,
        "verdict": result.verdict.code,
        "verdict_text": result.verdict.text,
        "reasons": " ".join(each.code for each in result.verdict.reasons),
        "flags": " ".join(each.code for each in found.flags),
        "pictures": len(fields),
        "pictures_warned": sum(bool(each.assessment.findings) for each in fields),
        "pictures_refused": len(result.not_counted),
        "refused_codes": _counts(refused),
        "warned_codes": _counts(warned),
        "um_per_px": round(median(each.scale.um_per_px for each in fields), 5) if fields else None,
        "scale_source": ", ".join(sorted({each.scale.source for each in fields})),
        "area_mm2": float(f"{result.area_mm2:.5g}"),
        "white_cells": found.white_cells,
        "recognised": found.n,
        "not_recognised": found.not_recognised,
        "red_cells": found.red_cells,
        "platelets": found.platelets,
        "exit_code": 0,
        **types(found),
    }


def failed(identity: Identity, error: EdgeleukError, source: str = "") -> Row:
    """Return the row of a slide that could not be counted.

    Args:
        identity: What is known of the slide.
        error: Reason; its sentence is `verdict_text`.
        source: Pictures or folder.
    """
    known = {**asdict(identity), "source": source, "verdict": FAILED, "verdict_text": str(error)}
    return dict.fromkeys(COLUMNS) | known | {"exit_code": error.exit_code}


def types(found: Differential) -> Row:
    """Return the counts of the types, in and outside the percentages.

    The cells that were not recognised are no type.
    """
    counts = {label: share.count for label, share in found.types.items()} | dict(found.outside)
    return {f"{TYPE}{label}": count for label, count in counts.items() if label != UNCLASSIFIED}


def columns(rows: Iterable[Mapping[str, Any]], further: Sequence[str] = ()) -> tuple[str, ...]:
    """Return the columns of a table, whatever the order of its rows.

    Args:
        rows: Rows of the table; each may have types of its own.
        further: Columns that the caller adds between COLUMNS and the types.
    """
    known = {name for each in rows for name in each if name.startswith(TYPE)}
    return (*COLUMNS, *further, *sorted(known))


def csv(rows: Sequence[Mapping[str, Any]], further: Sequence[str] = ()) -> str:
    """Return rows as CSV.

    `further` is as in `columns`. A type that a slide's reader does not know is an empty cell.
    """
    return csv_of(columns(rows, further), rows)


def _counts(codes: Mapping[str, int]) -> str:
    """Return counts by code as text, such as "focus 2 thick 1"."""
    return " ".join(f"{code} {count}" for code, count in sorted(codes.items()))
