"""CSV output that is safe to open in a spreadsheet.

UTF-8, commas, one line per row, and no cell that a spreadsheet would calculate.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from edgeleuk._text import cell_text


def csv_text(rows: Iterable[Iterable[Any]]) -> str:
    """Return rows as CSV; None becomes an empty cell.

    The first row has the names of the columns.
    """
    target = io.StringIO()
    writer = csv.writer(target, lineterminator="\n")
    writer.writerows([_cell(value) for value in row] for row in rows)
    return target.getvalue()


def csv_of(names: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> str:
    """Return mappings as CSV rows below a head of `names`.

    What a row lacks becomes an empty cell.
    """
    return csv_text([names, *([row.get(name) for name in names] for row in rows)])


def _cell(value: Any) -> Any:
    return cell_text(value) if isinstance(value, str) else value
