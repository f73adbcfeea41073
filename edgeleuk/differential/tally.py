"""Counting of the cells of fields.

Percentages and their interpretation are in `differential`.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache, lru_cache
from heapq import heappush, heapreplace
from typing import Self

from edgeleuk.differential.rules import Rules
from edgeleuk.models.manifest import ReaderManifest
from edgeleuk.statistics.bounds import group_kind
from edgeleuk.types import UNCLASSIFIED, WHITE_CELL, Box, Cell, Field, NotRecognised, Place, Reading, Tally

LIKELY = 0.5
"""Minimum probability of a cell recognised as blast-like.

No other type can be likelier.
"""
SHOWN = 12
"""Maximum number of blast-like cells that a tally names.

As many as a person looks at one by one.
"""


@dataclass(frozen=True, slots=True)
class UnrecognisedRules:
    """Settings for adding up unrecognised white cells."""

    possible_from: float = 1.0
    """Minimum probability for a cell to be possibly of a kind.

    A kind is a type or a group.
    """
    kinds: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Reader types of each type, and of each group by `group_kind`."""
    blast_like: tuple[str, ...] = ()
    """Types whose summed probability makes a cell blast-like.

    In a fixed order, so that sums are the same to the last bit.
    """
    lineages: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Reader types of each lineage."""
    sure_from: float = 1.0
    """Minimum summed probability of a sure lineage.

    It is the minimum probability of a recognised type.
    """

    @classmethod
    def of(cls, reader: ReaderManifest, rules: Rules) -> Self:
        """Build from a reader's types and the groups of the rules.

        Includes the reader's blast-like types.
        """
        groups = {
            group.key: tuple(label for label in group.labels if label in reader.labels)
            for group in rules.groups
        }
        kinds: dict[str, tuple[str, ...]] = {label: (label,) for label in reader.labels}
        kinds |= {group_kind(key): own for key, own in groups.items() if own}
        lineages = {
            name: tuple(label for label in own if label in reader.labels)
            for name, own in reader.groups.items()
        }
        return cls(reader.possible_from, kinds, reader.blast_like, lineages, reader.threshold)


NO_UNRECOGNISED_RULES = UnrecognisedRules()
"""Settings for a reader of which nothing was measured.

Nothing is added up.
"""


ALL_RECOGNISED = NotRecognised()
"""Shared value for fields with all white cells recognised.

These are most fields.
"""


@dataclass(frozen=True, slots=True)
class WhiteCell:
    """White cell as it enters a tally."""

    label: str
    box: Box
    number: int
    """Number of the cell in its picture."""
    attributes: tuple[tuple[str, str], ...]
    """Name and value of the attributes to count."""
    blast_like: float = 0.0
    """Probability of the blast-like types.

    0 for a cell recognised as something other than a white cell.
    """
    familiarity: float | None = None
    """Familiarity of the reading.

    None if it has none, or for a cell recognised as something other than a white cell.
    """


@dataclass(frozen=True, slots=True)
class FieldCount:
    """Counts of one field as they enter a tally.

    Small: a live count keeps one for each field, and adds them up after every field.
    """

    name: str
    kinds: tuple[tuple[str, int], ...]
    white: tuple[WhiteCell, ...]
    cut: int
    unread: int
    not_counted: frozenset[str]
    not_recognised: NotRecognised = field(default_factory=NotRecognised)
    findings: tuple[str, ...] = ()
    """Codes of findings that limit the picture."""
    doubtful: bool = False
    """Whether a finding prevents calling its cells present."""


def tally(
    fields: Iterable[Field], rules: Rules, unrecognised: UnrecognisedRules = NO_UNRECOGNISED_RULES
) -> Tally:
    """Count the cells of any number of fields.

    A cell that lies in two fields counts twice.

    Args:
        fields: Analysed fields.
        rules: Rules of the differential.
        unrecognised: Settings for unrecognised cells.
    """
    return total(count(field, rules, unrecognised) for field in fields)


def count(field: Field, rules: Rules, unrecognised: UnrecognisedRules = NO_UNRECOGNISED_RULES) -> FieldCount:
    """Count the cells of one field.

    Args:
        field: Analysed field.
        rules: Rules of the differential.
        unrecognised: Settings for unrecognised cells.
    """
    white, cut, unread, unsure = [], 0, 0, []
    for cell in field.of(WHITE_CELL):
        if cell.reading is None:
            cut, unread = cut + (not cell.whole), unread + cell.whole
            continue
        white.append(_white_cell(cell, cell.reading, rules, unrecognised))
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
        not_recognised=_added_up(unsure, rules, unrecognised),
        findings=codes,
        doubtful=field.assessment.forced or not rules.verdict.doubtful_pictures.isdisjoint(codes),
    )


def _white_cell(cell: Cell, reading: Reading, rules: Rules, unrecognised: UnrecognisedRules) -> WhiteCell:
    inside = reading.label not in rules.not_counted
    sure = (_shared(name, a.value) for name, a in reading.attributes.items() if inside and a.sure)
    blast_like, familiarity = 0.0, None
    if inside or reading.label == UNCLASSIFIED:
        blast_like = sum(reading.probabilities.get(label, 0.0) for label in unrecognised.blast_like)
        familiarity = reading.familiarity
    attributes = _together_shared(tuple(sure))
    return WhiteCell(reading.label, cell.box, cell.number, attributes, blast_like, familiarity)


def _added_up(
    cells: Iterable[Mapping[str, float]], rules: Rules, unrecognised: UnrecognisedRules
) -> NotRecognised:
    """Add up the probabilities of unrecognised cells.

    Types and groups that no cell may be of are absent.
    """
    number = 0
    expected: defaultdict[str, float] = defaultdict(float)
    possible: Counter[str] = Counter()
    counted: Counter[str] = Counter()
    lineages: Counter[str] = Counter()
    for probabilities in cells:
        number += 1
        for label, probability in probabilities.items():
            expected[label] += probability
        beside = sum(p for label, p in probabilities.items() if label in rules.not_counted)
        # Otherwise it may be no white cell, and counts only if it may be of the kind.
        inside = beside < unrecognised.possible_from
        for kind, labels in unrecognised.kinds.items():
            may_be = sum(probabilities.get(label, 0.0) for label in labels) >= unrecognised.possible_from
            possible[kind] += may_be
            counted[kind] += may_be or inside
        for name, labels in unrecognised.lineages.items():
            lineages[name] += sum(probabilities.get(label, 0.0) for label in labels) >= unrecognised.sure_from
    if not number:
        return ALL_RECOGNISED
    # Without zeros: a live count keeps one of these for each field.
    return NotRecognised(number, dict(expected), dict(+possible), dict(+counted), dict(+lineages))


@cache
def _shared(name: str, value: str) -> tuple[str, str]:
    """Return the pair, as the same object for every cell.

    There are some twenty pairs in all.
    """
    return name, value


def numbers_of(kinds: Iterable[str]) -> tuple[tuple[str, int], ...]:
    """Count each cell class."""
    return tuple(_pair(kind, number) for kind, number in Counter(kinds).items())


@lru_cache(maxsize=4096)
def _pair(kind: str, number: int) -> tuple[str, int]:
    """Return the pair, as the same object for fields with equal counts."""
    return kind, number


@lru_cache(maxsize=4096)
def _together_shared(sure: tuple[tuple[str, str], ...]) -> tuple[tuple[str, str], ...]:
    """Return a cell's attributes, as one object for equal cells.

    Most cells are like many others.
    """
    return sure


def total(counts: Iterable[FieldCount]) -> Tally:
    """Add up the counts of fields to a tally."""
    kinds: Counter[str] = Counter()
    white: Counter[str] = Counter()
    doubtful: Counter[str] = Counter()
    findings: Counter[str] = Counter()
    places: defaultdict[str, list[Place]] = defaultdict(list)
    attributes: defaultdict[str, Counter[str]] = defaultdict(Counter)
    unsure: list[NotRecognised] = []
    notable: list[tuple[float, int, Place]] = []
    number = cut = unread = poor = found = likened = 0
    blast_like = doubted = read = familiarity = 0.0
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
            if cell.familiarity is not None:
                familiarity, likened = familiarity + cell.familiarity, likened + 1
            if cell.label == UNCLASSIFIED:
                doubted += cell.blast_like
            elif cell.blast_like >= LIKELY:
                read += cell.blast_like
            if len(notable) < SHOWN or cell.blast_like > notable[0][0]:
                # Of two equal ones the earlier comes first. A heap is used, as a list would hold all cells of the slide.
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
        familiarity=familiarity,
        familiarity_cells=likened,
    )


def _together(parts: Iterable[NotRecognised]) -> NotRecognised:
    cells = 0
    sums: tuple[defaultdict[str, float], ...] = tuple(defaultdict(float) for _ in range(4))
    for part in parts:
        cells += part.cells
        for into, own in zip(sums, (part.expected, part.possible, part.counted, part.lineages), strict=True):
            for kind, value in own.items():
                into[kind] += value
    expected, *numbers = sums
    possible, counted, lineages = ({kind: int(n) for kind, n in own.items()} for own in numbers)
    return NotRecognised(cells, dict(expected), possible, counted, lineages)
