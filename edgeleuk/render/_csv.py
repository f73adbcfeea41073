"""CSV output that is safe to open in a spreadsheet.

UTF-8, commas, one line per row, and no cell that a spreadsheet would calculate.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
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
    return csv_text(rows_of(names, rows))


def rows_of(names: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> Iterator[Sequence[Any]]:
    """Yield `names`, then the values of each mapping under them.

    What a row lacks is None.
    """
    yield names
    for row in rows:
        yield [row.get(name) for name in names]


def _cell(value: Any) -> Any:
    return cell_text(value) if isinstance(value, str) else value
