"""Table of a live count by cell type.

Each type has a row at a fixed place, with its interval drawn.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from rich.cells import cell_len
from rich.text import Text

from edgeleuk.console.text import SHADE, Piece, fit, line, number, whiskers
from edgeleuk.differential.differential import Differential
from edgeleuk.differential.rules import Reference
from edgeleuk.render._words import spoken
from edgeleuk.render.colours import hexadecimal, of_label
from edgeleuk.statistics.intervals import Share
from edgeleuk.statistics.rounding import ceil, decimals, floor
from edgeleuk.system.language import _, figure, msgid
from edgeleuk.types import NOT_A_CELL, PLATELET, UNCLASSIFIED

COUNT, PERCENT, INTERVAL, RANGE = 6, 7, 15, 11
"""Widths of the columns, terminal cells."""
SHORT_COUNT, SHORT_PERCENT, SHORT_INTERVAL = 5, 6, 9
"""Column widths of narrow shared lines.

These apply where two types share a line.
"""
FEW = 9.9
"""Largest bound with a decimal, percent.

It applies to narrow columns, which have room for two figures.
"""
WITH_RANGE = 96
"""Minimum screen width for the column of reference ranges."""
BESIDE = dict.fromkeys((PLATELET.casefold(), NOT_A_CELL), msgid("no white cell"))
"""Short names of labels outside the percentages."""


@dataclass(frozen=True, slots=True)
class Columns:
    """Column widths; 0 means no such column."""

    name: int
    range: int
    bar: int

    @classmethod
    def of(cls, labels: Sequence[str], width: int) -> Columns:
        """Derive widths from labels and screen.

        They do not depend on counts, so nothing moves while counting.
        """
        name = min(max([cell_len(spoken(label)) for label in labels] + [12]), 24)
        between = RANGE if width >= WITH_RANGE else 0
        bar = width - name - COUNT - PERCENT - INTERVAL - between - 2
        return cls(name, between, bar)


def table(
    result: Differential, labels: Sequence[str], rows: int, width: int, reference: Reference | None
) -> list[Text]:
    """Return the table: a head and `rows` lines.

    If there are more types than lines, two types share a line, without bars.

    Args:
        result: Differential to show.
        labels: All labels of the reader, in its order.
        rows: Lines below the head.
        width: Width of the window, terminal cells.
        reference: Reference ranges to draw; None for none.
    """
    inside = [label for label in labels if label not in result.outside]
    colours = {label: hexadecimal(of_label(label, labels)) for label in inside}
    if len(inside) > rows:
        return list(_dense(result, inside, rows, width))
    ranges = _ranges(reference, inside) if reference and reference.name == result.reference else {}
    columns = Columns.of(labels, width)
    lines = [_head(columns, width, bool(ranges))]
    lines += [_row(result, label, columns, width, colours[label], ranges.get(label)) for label in inside]
    return lines + [line(width)] * (rows + 1 - len(lines))


def outside_counts(result: Differential, labels: Sequence[str], width: int) -> list[Text]:
    """Return the counts outside the percentages.

    These are labels outside the denominator, cells that are not typed, red cells and platelets, each at a
    fixed place.

    Args:
        result: Differential to show.
        labels: All labels of the reader, in its order.
        width: Width of the window, terminal cells.
    """
    named = [UNCLASSIFIED, *(label for label in labels if label in result.outside and label != UNCLASSIFIED)]
    others = sum(count for label, count in result.outside.items() if label not in named)
    counts: Counter[str] = Counter()
    for label in named:
        counts[_named(label)] += result.outside.get(label, 0)
    items: list[tuple[str, int | None]] = [*counts.items()]
    items += [(spoken("artefact"), others)] if "artefact" not in named else []
    items += [(_("not typed"), result.cut + result.unread)]
    items += [(_("red cells"), result.red_cells), (_("platelets"), result.platelets)]
    across = max(width // 20, 1) if width >= 20 * len(items) else 4
    slot = width // across
    name = min(max(cell_len(item[0]) for item in items), 14)
    return [
        line(width, *(piece for item in items[first : first + across] for piece in _slot(*item, name, slot)))
        for first in range(0, len(items), across)
    ]


def _named(label: str) -> str:
    """Return a label's name outside the percentages.

    The finder counts platelets too: what the reader calls one is among what is no white cell.
    """
    beside = BESIDE.get(label.casefold())
    return _(beside) if beside else spoken(label)


def attribute_lines(result: Differential, attributes: Mapping[str, Sequence[str]], width: int) -> list[Text]:
    """Return one or more lines per attribute.

    Args:
        result: Differential with the shares of the values.
        attributes: Values of each attribute; they stand at fixed places.
        width: Width of the window, terminal cells.
    """
    second = {level.attribute: level.values for level in result.subtypes.values()}
    name_width = max([cell_len(spoken(name)) for name in attributes] + [9]) + 2
    lines = []
    for name, values in attributes.items():
        shares = result.attributes.get(name) or second.get(name) or {} if result.supported else {}
        pieces: list[Piece] = [(fit(spoken(name), name_width), "" if shares else "dim")]
        used = name_width
        for value in values:
            share = shares.get(value)
            room = cell_len(spoken(value)) + 8
            if used + room > width and used > name_width:
                lines.append(line(width, *pieces))
                pieces, used = [(" " * name_width, "")], name_width
            pieces += _value(value, share)
            used += room
        lines.append(line(width, *pieces))
    return lines


def _value(value: str, share: Share | None) -> list[Piece]:
    percent = f"{share.percent:>4.0f} %  " if share else "   - %  "
    return [(spoken(value), "dim"), (percent, "" if share and share.count else "dim")]


def _slot(name: str, count: int | None, name_width: int, width: int) -> list[Piece]:
    """Return a name and its aligned count."""
    style = "" if count else "dim"
    shown = "-".rjust(5) if count is None else number(count, 5)
    return [(fit(name, name_width), style), (shown, style), (" " * (width - name_width - 5), "")]


def _head(columns: Columns, width: int, ranges: bool) -> Text:
    mark = f"{SHADE} {_('reference')}" if ranges else "50"
    bar = columns.bar
    axis = "0" + mark.center(bar - 6) + "100 %"
    return line(
        width,
        (fit(_("type"), columns.name), "dim"),
        (fit(_("count"), COUNT, right=True), "dim"),
        ("%".rjust(PERCENT), "dim"),
        (fit(_("between"), INTERVAL, right=True), "dim"),
        (fit(_("reference"), columns.range, right=True), "dim") if columns.range else ("", ""),
        ("  " + axis, "dim"),
    )


def _row(
    result: Differential,
    label: str,
    columns: Columns,
    width: int,
    colour: str,
    normal: tuple[float, float] | None,
) -> Text:
    shown = Shown.of(result, label)
    style = "" if shown.count else "dim"
    between = figure(f"{normal[0]:g} - {normal[1]:g}") if normal else ""
    return line(
        width,
        (fit(spoken(label), columns.name), style),
        (number(shown.count, COUNT), style),
        (shown.share.rjust(PERCENT), style),
        (shown.between.rjust(INTERVAL), style),
        (between.rjust(columns.range), "dim") if columns.range else ("", ""),
        ("  ", ""),
        *whiskers(shown.percent, shown.bounds, columns.bar, colour, normal),
    )


@dataclass(frozen=True, slots=True)
class Shown:
    """Figures of a cell type.

    The count, and the share if the data support one.
    """

    count: int
    percent: float | None
    """Percent of the recognised white cells, or None."""
    bounds: tuple[float, float] | None
    """Bounds of the share of all white cells found, percent.

    None if there are none.
    """
    digits: int = 0
    absent: str = "-"
    """Text in place of a missing percentage."""

    @classmethod
    def of(cls, result: Differential, label: str) -> Shown:
        share, bounds = result.types.get(label), result.bounds.get(label)
        if not result.supported:
            return cls(share.count if share else 0, None, None, absent="")
        if share is None:
            return cls(0, None, None)
        span = None if bounds is None or bounds.high is None else (bounds.low, bounds.high)
        return cls(share.count, share.percent, span, decimals(share.of))

    @property
    def share(self) -> str:
        return self.absent if self.percent is None else figure(f"{self.percent:.{self.digits}f}")

    @property
    def between(self) -> str:
        """Bounds for a column, rounded away from each other."""
        if self.percent is None:
            return self.absent
        if self.bounds is None:
            return _("not known")
        low, high = self.bounds
        return figure(f"{floor(low, self.digits)} - {ceil(high, self.digits):>5}")

    @property
    def figures(self) -> str:
        """Bounds with two figures, such as 1.8-11.

        They fit a narrow column.
        """
        if self.percent is None or self.bounds is None:
            return self.absent if self.percent is None else _("unknown")
        low, high = self.bounds
        small = low < FEW, high <= FEW
        return figure(f"{floor(low, int(small[0])) if low else '0'}-{ceil(high, int(small[1]))}")


@dataclass(frozen=True, slots=True)
class _Half:
    """Column widths of a type that shares its line."""

    name: int
    count: int
    percent: int
    interval: int
    gap: int

    @classmethod
    def of(cls, labels: Sequence[str], width: int) -> _Half:
        """Derive the widths from names and screen.

        Intervals are full if the longest name leaves room for them, else short.
        """
        half = width // 2
        name = half - COUNT - PERCENT - INTERVAL - 2
        if name >= max(cell_len(spoken(label)) for label in labels):
            return cls(name, COUNT, PERCENT, INTERVAL, 2)
        name = half - SHORT_COUNT - SHORT_PERCENT - SHORT_INTERVAL - 1
        return cls(name, SHORT_COUNT, SHORT_PERCENT, SHORT_INTERVAL, 1)

    def head(self, shares: bool = True) -> str:
        return self._line(_("type"), _("count"), *(("%", _("between")) if shares else ("", "")))

    def row(self, result: Differential, label: str) -> Piece:
        shown = Shown.of(result, label)
        between = shown.figures if self.interval < INTERVAL else shown.between
        text = self._line(spoken(label), number(shown.count, self.count), shown.share, between)
        return text, "" if shown.count else "dim"

    def _line(self, name: str, *columns: str) -> str:
        widths = (self.count, self.percent, self.interval)
        numbers = (fit(text.strip(), room, right=True) for text, room in zip(columns, widths, strict=True))
        return fit(name, self.name) + "".join(numbers) + " " * self.gap


def paired(result: Differential, labels: Sequence[str], width: int) -> Iterator[Text]:
    """Yield a head, then two types per line.

    Args:
        result: Differential to show.
        labels: Cell types to show.
        width: Width of the window, terminal cells.
    """
    half = _Half.of(labels, width)
    yield line(width, (half.head(result.supported) * 2, "dim"))
    yield from _pairs(result, labels, half, (len(labels) + 1) // 2, width)


def _dense(result: Differential, inside: Sequence[str], rows: int, width: int) -> Iterator[Text]:
    """Yield a head, then two types per line.

    There are `rows` lines below the head.
    """
    half = _Half.of(inside, width)
    yield line(width, (half.head() * 2, "dim"))
    yield from _pairs(result, inside, half, rows, width)


def _pairs(result: Differential, inside: Sequence[str], half: _Half, rows: int, width: int) -> Iterator[Text]:
    deep = min(rows, (len(inside) + 1) // 2)
    for row in range(rows):
        beside = (*inside[row : min(row + 1, deep)], *inside[row + deep : row + deep + 1])
        yield line(width, *(half.row(result, label) for label in beside))


def _ranges(reference: Reference, inside: Sequence[str]) -> dict[str, tuple[float, float]]:
    """Return the reference ranges of single labels.

    A range of several labels together has no row to draw it on.
    """
    known = [(each, [label for label in each.labels if label in inside]) for each in reference.ranges]
    return {labels[0]: (each.low, each.high) for each, labels in known if len(labels) == 1}
