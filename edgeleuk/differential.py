"""Counts of cells to a differential: proportions, exact intervals, flags, and what the count can exclude.

Percentages are of identified white cells. Which labels that leaves out, and what is flagged with which
source, is written in `data/rules.toml`. The raw percentages are what a person can recount; where the reader's
confusion was measured, corrected ones stand beside them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from edgeleuk.correction import Confusion, Estimate, correct
from edgeleuk.errors import InputError
from edgeleuk.flags import Counted, Flag, Rates, raise_flags, statements
from edgeleuk.intervals import PerHundred, Share
from edgeleuk.rules import Reference, Rules
from edgeleuk.types import PLATELET, RED_CELL, UNCLASSIFIED, Tally


@dataclass(frozen=True, slots=True)
class SecondLevel:
    """A type divided further, as neutrophils into band and segmented ones."""

    attribute: str
    values: Mapping[str, Share]
    """Of the type's cells where the reader was sure; empty where it was of none."""
    unsure: int


@dataclass(frozen=True, slots=True)
class Differential:
    """The white cells of any number of fields by type, and what to make of them."""

    n: int
    """Identified white cells: the denominator."""
    types: Mapping[str, Share]
    """By label of the reader, those it did not see included. Empty where n is 0."""
    groups: Mapping[str, Share]
    """By group of the rules, such as immature granulocytes."""
    corrected: Mapping[str, Estimate]
    """`types` corrected for the reader's confusion. Empty where that was not measured."""
    corrected_groups: Mapping[str, Estimate]
    """`groups` likewise."""
    corrected_per_100: Mapping[str, Estimate]
    """`per_100` likewise."""
    subtypes: Mapping[str, SecondLevel]
    """By type, of the types that have a second level."""
    outside: Mapping[str, int]
    """Cells read, yet outside the denominator, by label; "unclassified" among them."""
    per_100: Mapping[str, PerHundred]
    """Those of them that are reported per 100 identified white cells."""
    cut: int
    """White cells at the picture's edge, not read."""
    unread: int
    """Whole white cells, not read."""
    red_cells: int | None
    platelets: int | None
    """As the finder counts them: platelets so large that it took them for white cells are in `outside`. None of
    either where a field was too coarse to count them."""
    attributes: Mapping[str, Mapping[str, Share]]
    """By attribute and value, of the identified white cells where the reader was sure; not those of `subtypes`."""
    flags: tuple[Flag, ...]
    """Most severe first."""
    adequacy: tuple[str, ...]
    """What the count can and cannot exclude, in plain words."""
    reference: str
    """Name of the reference ranges used."""

    @property
    def platelets_per_red_cell(self) -> float | None:
        """None where there is no red cell, or one of the two was not counted."""
        return self.platelets / self.red_cells if self.red_cells and self.platelets is not None else None


def differential(
    tally: Tally,
    *,
    labels: Sequence[str],
    rules: Rules,
    reference: Reference,
    false_positive_rates: Rates | None = None,
    confusion: Confusion | None = None,
    subtypes: Mapping[str, tuple[str, Sequence[str]]] | None = None,
) -> Differential:
    """The differential of a tally, by a reader that can give `labels`.

    A group of `rules` is called present only where its count exceeds what the reader's `false_positive_rates`
    (by label, or by group key) explain; without a rate it is never called present. With the reader's `confusion`
    the corrected proportions are given too, and decide along with the rates. `subtypes` names the types with a
    second level, each with the attribute that tells it and that attribute's values. InputError where `reference`
    gives a range for a label that `rules` leave outside the percentages.
    """
    outside = rules.not_counted
    _check_ranges(reference, rules)
    every = tuple(dict.fromkeys([*labels, *tally.white]))
    n = sum(count for label, count in tally.white.items() if label not in outside)
    correction = correct(tally.white, confusion, outside, every) if confusion else None
    counted = Counted(n, every, tally.white, outside, tally.places, correction)
    inside = [label for label in every if label not in outside] if n else []
    groups = {group.key: counted.known(group.labels) for group in rules.groups}
    groups = {key: known for key, known in groups.items() if known and {*known} <= {*inside}}
    second = {head for head, _ in subtypes.values()} if subtypes else set()
    per_100 = counted.known(rules.outside.per_100)
    return Differential(
        n=n,
        types={label: counted.share([label]) for label in inside},
        groups={key: counted.share(known) for key, known in groups.items()},
        corrected=_corrected(counted, {label: [label] for label in inside}),
        corrected_groups=_corrected(counted, groups),
        corrected_per_100=_corrected(counted, {label: [label] for label in per_100}),
        subtypes={
            label: _second_level(tally, label, *level)
            for label, level in (subtypes or {}).items()
            if label in inside
        },
        outside={label: tally.white.get(label, 0) for label in every if label in outside},
        per_100={label: PerHundred(tally.white.get(label, 0), n) for label in per_100},
        cut=tally.cut,
        unread=tally.unread,
        red_cells=_counted(tally, RED_CELL),
        platelets=_counted(tally, PLATELET),
        attributes={name: _shares(values) for name, values in tally.attributes.items() if name not in second},
        flags=raise_flags(counted, false_positive_rates or {}, rules, reference),
        adequacy=statements(counted, rules),
        reference=reference.name,
    )


def _counted(tally: Tally, kind: str) -> int | None:
    return None if kind in tally.not_counted else tally.kinds.get(kind, 0)


def as_json(result: Differential) -> dict[str, Any]:
    """The differential as plain values for JSON; percentages 0 to 100, not rounded."""
    return {
        "n": result.n,
        "types": {label: _share(share) for label, share in result.types.items()},
        "groups": {key: _share(share) for key, share in result.groups.items()},
        "corrected": _corrected_json(result),
        "subtypes": {
            label: {
                "attribute": level.attribute,
                "values": {value: _share(share) for value, share in level.values.items()},
                "unsure": level.unsure,
            }
            for label, level in result.subtypes.items()
        },
        "outside": dict(result.outside),
        "per_100_white_cells": {
            label: {"count": each.count, "per_100": each.per_100, "low": each.low, "high": each.high}
            for label, each in result.per_100.items()
        },
        "unclassified": result.outside.get(UNCLASSIFIED, 0),
        "cut_by_edge": result.cut,
        "unread": result.unread,
        "red_cells": result.red_cells,
        "platelets": result.platelets,
        "platelets_per_red_cell": result.platelets_per_red_cell,
        "attributes": {
            name: {value: _share(share) for value, share in values.items()}
            for name, values in result.attributes.items()
        },
        "flags": [_flag(flag) for flag in result.flags],
        "adequacy": list(result.adequacy),
        "reference": result.reference,
    }


def _check_ranges(reference: Reference, rules: Rules) -> None:
    for each in reference.ranges:
        if beside := sorted(rules.not_counted.intersection(each.labels)):
            raise InputError(
                f"reference ranges {reference.name!r} give one for {beside[0]}, which the rules leave out of"
                " the percentages. Take it out of the range, or out of outside.labels in the rules."
            )


def _shares(counts: Mapping[str, int]) -> dict[str, Share]:
    return {value: Share(count, sum(counts.values())) for value, count in counts.items()}


def _corrected(counted: Counted, groups: Mapping[str, Sequence[str]]) -> dict[str, Estimate]:
    estimates = ((key, counted.corrected(labels)) for key, labels in groups.items())
    return {key: estimate for key, estimate in estimates if estimate}


def _second_level(tally: Tally, label: str, attribute: str, values: Sequence[str]) -> SecondLevel:
    counts = tally.attributes.get(attribute, {})
    sure = sum(counts.values())
    shares = {value: Share(counts.get(value, 0), sure) for value in dict.fromkeys([*values, *counts]) if sure}
    return SecondLevel(attribute, shares, tally.white.get(label, 0) - sure)


def _corrected_json(result: Differential) -> dict[str, Any] | None:
    if not result.corrected:
        return None
    parts = {
        "types": result.corrected,
        "groups": result.corrected_groups,
        "per_100_white_cells": result.corrected_per_100,
    }
    return {
        name: {key: asdict(estimate) for key, estimate in estimates.items()}
        for name, estimates in parts.items()
    }


def _share(share: Share) -> dict[str, float]:
    return {
        "count": share.count,
        "of": share.of,
        "percent": share.percent,
        "low": share.low,
        "high": share.high,
    }


def _flag(flag: Flag) -> dict[str, Any]:
    return {
        "code": flag.code,
        "text": flag.text,
        "severity": flag.severity,
        "places": [
            {"field": place.picture, "number": place.number, "box": list(place.box)} for place in flag.places
        ],
        "sources": list(flag.sources),
    }
