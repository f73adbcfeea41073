"""Cells of fields to counts. Percentages and what to make of them is the differential's business."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache

from edgeleuk.rules import Rules
from edgeleuk.types import WHITE_CELL, Box, Field, Place, Tally


@dataclass(frozen=True, slots=True)
class WhiteCell:
    """What a tally takes from a white cell that was read."""

    label: str
    box: Box
    number: int
    """Of the cell in its picture."""
    attributes: tuple[tuple[str, str], ...]
    """Name and value of those to be counted."""


@dataclass(frozen=True, slots=True)
class FieldCount:
    """What a tally takes from a field. Small: a live count keeps one for each, and adds them up after every field."""

    name: str
    kinds: tuple[tuple[str, int], ...]
    white: tuple[WhiteCell, ...]
    cut: int
    unread: int
    not_counted: frozenset[str]


def tally(fields: Iterable[Field], rules: Rules) -> Tally:
    """Count the cells of any number of fields. A cell that lies in two fields counts twice."""
    return total(count(field, rules) for field in fields)


def count(field: Field, rules: Rules) -> FieldCount:
    """Count the cells of one field."""
    white, cut, unread = [], 0, 0
    for cell in field.of(WHITE_CELL):
        if cell.reading is None:
            cut, unread = cut + (not cell.whole), unread + cell.whole
            continue
        label = cell.reading.label
        inside = label not in rules.not_counted
        sure = (_shared(name, a.value) for name, a in cell.reading.attributes.items() if inside and a.sure)
        white.append(WhiteCell(label, cell.box, cell.number, tuple(sure)))
    kinds = Counter(cell.kind for cell in field.cells)
    return FieldCount(field.name, tuple(kinds.items()), tuple(white), cut, unread, field.not_counted)


@cache
def _shared(name: str, value: str) -> tuple[str, str]:
    """The two together, the same object for every cell: there are some twenty in all."""
    return name, value


def total(counts: Iterable[FieldCount]) -> Tally:
    """The tally of fields that were counted."""
    kinds: Counter[str] = Counter()
    white: Counter[str] = Counter()
    places: defaultdict[str, list[Place]] = defaultdict(list)
    attributes: defaultdict[str, Counter[str]] = defaultdict(Counter)
    number = cut = unread = 0
    not_counted: set[str] = set()
    for field in counts:
        number, cut, unread = number + 1, cut + field.cut, unread + field.unread
        not_counted |= field.not_counted
        for kind, cells in field.kinds:
            kinds[kind] += cells
        for cell in field.white:
            white[cell.label] += 1
            places[cell.label].append(Place(field.name, cell.box, cell.number))
            for name, value in cell.attributes:
                attributes[name][value] += 1
    return Tally(
        fields=number,
        white=dict(white),
        kinds=dict(kinds),
        attributes={name: dict(values) for name, values in attributes.items()},
        places={label: tuple(found) for label, found in places.items()},
        cut=cut,
        unread=unread,
        not_counted=frozenset(not_counted),
    )
