"""Cells of fields to counts. Percentages and what to make of them is the differential's business."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache, lru_cache
from heapq import heappush, heapreplace
from typing import Self

from edgeleuk.bounds import group_kind
from edgeleuk.manifest import ReaderManifest
from edgeleuk.rules import Rules
from edgeleuk.types import UNCLASSIFIED, WHITE_CELL, Box, Cell, Field, NotRecognised, Place, Reading, Tally

LIKELY = 0.5
"""Probability from which a recognised cell was recognised as blast-like: no other type can be likelier."""
SHOWN = 12
"""Most blast-like cells that a tally names: as many as a person looks at one by one."""


@dataclass(frozen=True, slots=True)
class Doubts:
    """What is added up of white cells that were not recognised."""

    possible_from: float = 1.0
    """Least probability at which a cell may be of a type or group."""
    kinds: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """The reader's types of each type, and of each group by `group_kind`."""
    blast_like: tuple[str, ...] = ()
    """The types whose summed probability makes a cell blast-like; in one order, so that sums are the same to the last bit."""

    @classmethod
    def of(cls, reader: ReaderManifest, rules: Rules) -> Self:
        """Each type of a reader, each group of the rules, and the blast-like types."""
        groups = {
            group.key: tuple(label for label in group.labels if label in reader.labels)
            for group in rules.groups
        }
        kinds: dict[str, tuple[str, ...]] = {label: (label,) for label in reader.labels}
        kinds |= {group_kind(key): own for key, own in groups.items() if own}
        return cls(reader.possible_from, kinds, reader.blast_like)


NO_DOUBTS = Doubts()
"""Nothing is added up: of a reader of which nothing was measured."""


ALL_RECOGNISED = NotRecognised()
"""The same for every field in which each white cell was recognised: most of them."""


@dataclass(frozen=True, slots=True)
class WhiteCell:
    """What a tally takes from a white cell that was read."""

    label: str
    box: Box
    number: int
    """Of the cell in its picture."""
    attributes: tuple[tuple[str, str], ...]
    """Name and value of those to be counted."""
    blast_like: float = 0.0
    """Probability of a blast-like type; 0 for a cell recognised as something beside the white cells."""


@dataclass(frozen=True, slots=True)
class FieldCount:
    """What a tally takes from a field. Small: a live count keeps one for each, and adds them up after every field."""

    name: str
    kinds: tuple[tuple[str, int], ...]
    white: tuple[WhiteCell, ...]
    cut: int
    unread: int
    not_counted: frozenset[str]
    not_recognised: NotRecognised = field(default_factory=NotRecognised)
    findings: tuple[str, ...] = ()
    """Codes of what limits the picture."""
    doubtful: bool = False
    """Whether one of them keeps its cells from being called present."""


def tally(fields: Iterable[Field], rules: Rules, doubts: Doubts = NO_DOUBTS) -> Tally:
    """Count the cells of any number of fields. A cell that lies in two fields counts twice."""
    return total(count(field, rules, doubts) for field in fields)


def count(field: Field, rules: Rules, doubts: Doubts = NO_DOUBTS) -> FieldCount:
    """Count the cells of one field."""
    white, cut, unread, unsure = [], 0, 0, []
    for cell in field.of(WHITE_CELL):
        if cell.reading is None:
            cut, unread = cut + (not cell.whole), unread + cell.whole
            continue
        white.append(_white_cell(cell, cell.reading, rules, doubts))
        if cell.reading.label == UNCLASSIFIED:
            unsure.append(cell.reading.probabilities)
    codes = tuple(finding.code for finding in field.assessment.findings)
    return FieldCount(
        name=field.name,
        kinds=numbers_of(cell.kind for cell in field.cells),
        white=tuple(white),
        cut=cut,
        unread=unread,
        not_counted=field.not_counted,
        not_recognised=_added_up(unsure, rules, doubts),
        findings=codes,
        doubtful=field.assessment.forced or not rules.verdict.doubtful_pictures.isdisjoint(codes),
    )


def _white_cell(cell: Cell, reading: Reading, rules: Rules, doubts: Doubts) -> WhiteCell:
    inside = reading.label not in rules.not_counted
    sure = (_shared(name, a.value) for name, a in reading.attributes.items() if inside and a.sure)
    blast_like = 0.0
    if inside or reading.label == UNCLASSIFIED:
        blast_like = sum(reading.probabilities.get(label, 0.0) for label in doubts.blast_like)
    return WhiteCell(reading.label, cell.box, cell.number, _together_shared(tuple(sure)), blast_like)


def _added_up(cells: Iterable[Mapping[str, float]], rules: Rules, doubts: Doubts) -> NotRecognised:
    """Of cells that were not recognised, by their probabilities; kinds that none may be of are absent."""
    number = 0
    expected: defaultdict[str, float] = defaultdict(float)
    possible: Counter[str] = Counter()
    counted: Counter[str] = Counter()
    for probabilities in cells:
        number += 1
        for label, probability in probabilities.items():
            expected[label] += probability
        beside = sum(p for label, p in probabilities.items() if label in rules.not_counted)
        # Else it may be no white cell, and counts only where it may be of the kind.
        inside = beside < doubts.possible_from
        for kind, labels in doubts.kinds.items():
            may_be = sum(probabilities.get(label, 0.0) for label in labels) >= doubts.possible_from
            possible[kind] += may_be
            counted[kind] += may_be or inside
    if not number:
        return ALL_RECOGNISED
    # Without zeros: a live count keeps one of these for each field.
    return NotRecognised(number, dict(expected), dict(+possible), dict(+counted))


@cache
def _shared(name: str, value: str) -> tuple[str, str]:
    """The two together, the same object for every cell: there are some twenty in all."""
    return name, value


def numbers_of(kinds: Iterable[str]) -> tuple[tuple[str, int], ...]:
    """How many there are of each kind."""
    return tuple(_pair(kind, number) for kind, number in Counter(kinds).items())


@lru_cache(maxsize=4096)
def _pair(kind: str, number: int) -> tuple[str, int]:
    """The two together, the same object for every field that has as many."""
    return kind, number


@lru_cache(maxsize=4096)
def _together_shared(sure: tuple[tuple[str, str], ...]) -> tuple[tuple[str, str], ...]:
    """All of a cell, the same object for cells that are alike: most are like many others."""
    return sure


def total(counts: Iterable[FieldCount]) -> Tally:
    """The tally of fields that were counted."""
    kinds: Counter[str] = Counter()
    white: Counter[str] = Counter()
    doubtful: Counter[str] = Counter()
    findings: Counter[str] = Counter()
    places: defaultdict[str, list[Place]] = defaultdict(list)
    attributes: defaultdict[str, Counter[str]] = defaultdict(Counter)
    unsure: list[NotRecognised] = []
    notable: list[tuple[float, int, Place]] = []
    number = cut = unread = poor = found = 0
    blast_like = doubted = read = 0.0
    not_counted: set[str] = set()
    for each in counts:
        number, cut, unread = number + 1, cut + each.cut, unread + each.unread
        poor += each.doubtful
        not_counted |= each.not_counted
        findings.update(dict.fromkeys(each.findings, 1))
        unsure.append(each.not_recognised)
        for kind, cells in each.kinds:
            kinds[kind] += cells
        for cell in each.white:
            place = Place(each.name, cell.box, cell.number)
            found += 1
            white[cell.label] += 1
            doubtful[cell.label] += each.doubtful
            places[cell.label].append(place)
            blast_like += cell.blast_like
            if cell.label == UNCLASSIFIED:
                doubted += cell.blast_like
            elif cell.blast_like >= LIKELY:
                read += cell.blast_like
            if len(notable) < SHOWN or cell.blast_like > notable[0][0]:
                # The earlier one of two alike comes first. A list of all would be as long as the slide has cells.
                keep = heappush if len(notable) < SHOWN else heapreplace
                keep(notable, (cell.blast_like, -found, place))
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
        not_recognised=_together(unsure),
        blast_like=blast_like,
        blast_like_doubted=doubted,
        blast_like_read=read,
        most_blast_like=tuple((p, place) for p, _, place in sorted(notable, reverse=True) if p),
        doubtful={label: n for label, n in doubtful.items() if n},
        findings=dict(findings),
        doubtful_pictures=poor,
    )


def _together(parts: Iterable[NotRecognised]) -> NotRecognised:
    cells = 0
    sums: tuple[defaultdict[str, float], ...] = (defaultdict(float), defaultdict(float), defaultdict(float))
    for part in parts:
        cells += part.cells
        for into, own in zip(sums, (part.expected, part.possible, part.counted), strict=True):
            for kind, value in own.items():
                into[kind] += value
    expected, possible, counted = sums
    return NotRecognised(
        cells,
        dict(expected),
        {k: int(n) for k, n in possible.items()},
        {k: int(n) for k, n in counted.items()},
    )
