"""CSV of this program: UTF-8, commas, one line a row, and no cell that a spreadsheet would calculate."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from edgeleuk._text import cell_text


def csv_text(rows: Iterable[Iterable[Any]]) -> str:
    """Rows as CSV, the names of the columns first. None is an empty cell."""
    target = io.StringIO()
    writer = csv.writer(target, lineterminator="\n")
    writer.writerows([_cell(value) for value in row] for row in rows)
    return target.getvalue()


def csv_of(names: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> str:
    """Rows by the names of their columns. What a row has not is an empty cell."""
    return csv_text([names, *([row.get(name) for name in names] for row in rows)])


def _cell(value: Any) -> Any:
    return cell_text(value) if isinstance(value, str) else value
