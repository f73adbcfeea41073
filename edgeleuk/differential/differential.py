"""White-cell differential: proportions, exact intervals and flags.

It also states what the count can exclude. Percentages are of identified white cells. `data/rules.toml`
states which labels that leaves out, and what is flagged with which source. The raw percentages are what a
person can recount; if the reader's confusion was measured, corrected ones are given beside them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from edgeleuk.differential.evidence import Rates, WhiteCounts
from edgeleuk.differential.flags import Flag, raise_flags, statements
from edgeleuk.differential.labelled import NOBODY, Labelled
from edgeleuk.differential.rules import Reference, Rules, Standards
from edgeleuk.errors import InputError
from edgeleuk.statistics.bounds import BoundInputs, Bounds, Missed
from edgeleuk.statistics.correction import Confusion, Estimate, correct
from edgeleuk.statistics.intervals import PerHundred, Share, clopper_pearson
from edgeleuk.statistics.likeness import BlastLikeness, HealthyCells, compare, suitable
from edgeleuk.types import PLATELET, RED_CELL, UNCLASSIFIED, Tally

WITH_SHARES = ("types", "groups", "lineages", "subtypes", "per_100_white_cells", "attributes")
"""Parts of the JSON with shares of white cells."""
SHARES = frozenset({"percent", "per_100", "low", "high"})
"""Keys of a share in these parts."""


@dataclass(frozen=True, slots=True)
class Errors:
    """Measured errors of a reader.

    Every field is optional: what is absent was not measured.
    """

    rates: Rates = field(default_factory=dict)
    """False-positive rates by label, or by group key."""
    confusion: Confusion | None = None
    missed: Mapping[str, Missed] = field(default_factory=dict)
    """Missed held-out cells by label or group key.

    These cells were neither recognised nor left possible.
    """
    healthy: tuple[HealthyCells, ...] = ()
    """Blast-likeness of healthy slides' cells.

    The reader's own laboratory comes first, then others.
    """


@dataclass(frozen=True, slots=True)
class Familiarity:
    """How familiar a slide's white cells are to the reader.

    See `models.known`.
    """

    cells: int
    mean: float
    """Mean familiarity of these cells."""
    least: float
    """Minimum mean of a slide from a learnt laboratory."""
    accuracy_elsewhere: float | None
    """Share of recognised cells that were right in laboratories never learnt.

    None where that was not measured.
    """

    @property
    def is_foreign(self) -> bool:
        """Whether the slide looks like none of a learnt laboratory."""
        return self.mean < self.least


@dataclass(frozen=True, slots=True)
class Lineage:
    """White cells of one lineage.

    Also those whose type was not recognised, where the probabilities of its types together are as high as that of
    a recognised type.
    """

    untyped: int
    """Number of these cells whose type was not recognised."""
    share: Share
    """Share of the lineage.

    It is of the cells whose type or lineage is known.
    """
    bounds: Bounds
    """Bounds of its share of all white cells found.

    Exact 95 % limits; the cells of unknown lineage may be of any. The reader's errors are not in them.
    """


@dataclass(frozen=True, slots=True)
class SecondLevel:
    """Subdivision of a cell type.

    For example, neutrophils are divided into band and segmented ones.
    """

    attribute: str
    values: Mapping[str, Share]
    """Shares by value.

    They are of the type's cells where the reader was sure; empty if it was sure of none.
    """
    unsure: int


@dataclass(frozen=True, slots=True)
class Differential:
    """White cells of any number of fields by type.

    It also holds what follows from the counts.
    """

    n: int
    """Number of identified white cells: the denominator."""
    types: Mapping[str, Share]
    """Shares by label of the reader.

    Labels without a cell are included. Empty if `n` is 0.
    """
    groups: Mapping[str, Share]
    """Shares by group of the rules.

    For example, the immature granulocytes are a group.
    """
    corrected: Mapping[str, Estimate]
    """`types` corrected for the reader's confusion.

    Empty if that was not measured.
    """
    corrected_groups: Mapping[str, Estimate]
    """`groups` corrected for the reader's confusion."""
    corrected_per_100: Mapping[str, Estimate]
    """`per_100` corrected for the reader's confusion."""
    subtypes: Mapping[str, SecondLevel]
    """Second levels of the types that have one."""
    outside: Mapping[str, int]
    """Cells read but outside the denominator, by label.

    "unclassified" is among the labels.
    """
    per_100: Mapping[str, PerHundred]
    """Outside cells per 100 identified white cells.

    They are those cells of `outside` that are reported in this way.
    """
    cut: int
    """Number of unread white cells at the picture's edge."""
    unread: int
    """Number of whole, unread white cells."""
    red_cells: int | None
    platelets: int | None
    """Number of platelets as counted by the finder.

    Platelets so large that the finder took them for white cells are in `outside`. `red_cells` and
    `platelets` are None if a field was too coarse to count them.
    """
    attributes: Mapping[str, Mapping[str, Share]]
    """Shares by attribute and value.

    They are of the identified white cells where the reader was sure. Those of `subtypes` are left out.
    """
    flags: tuple[Flag, ...]
    """Flags, most severe first."""
    adequacy: tuple[str, ...]
    """Plain statements of what the count can exclude.

    They also state what it cannot exclude.
    """
    reference: str
    """Name of the reference ranges."""
    supported: bool = True
    """Whether shares can be stated.

    If too few white cells were recognised, or the pictures are not usable, only counts are given.
    """
    bounds: Mapping[str, Bounds] = field(default_factory=dict)
    """Bounds by label.

    They are bounds of the share of all white cells found. A label is absent if the data support no bound.
    """
    group_bounds: Mapping[str, Bounds] = field(default_factory=dict)
    """Bounds by group, as in `bounds`."""
    bounds_per_100: Mapping[str, Bounds] = field(default_factory=dict)
    """Bounds of `per_100`."""
    blast_likeness: BlastLikeness | None = None
    """Blast-likeness of the slide.

    None if it was not measured on healthy cells, or there is no white cell.
    """
    lineages: Mapping[str, Lineage] = field(default_factory=dict)
    """White cells by lineage of the reader.

    Lineages without a cell are left out.
    """
    dismissed: int = 0
    """Number of cells found as white cells and read as none.

    They were read as platelets, debris or other things. Those that a person labelled are not among them.
    """
    familiarity: Familiarity | None = None
    """Familiarity of the slide.

    None if the model does not measure it, or too few cells were read.
    """

    @property
    def not_recognised(self) -> int:
        """Number of white cells below the reader's threshold."""
        return self.outside.get(UNCLASSIFIED, 0)

    @property
    def of_known_lineage(self) -> int:
        """Number of unrecognised white cells whose lineage is sure."""
        return sum(each.untyped for each in self.lineages.values())

    @property
    def white_cells(self) -> int:
        """Number of white cells found and read.

        They are those identified and those not recognised.
        """
        return self.n + self.not_recognised

    @property
    def platelets_per_red_cell(self) -> float | None:
        """Ratio of platelets to red cells.

        None if there is no red cell, or one of the two was not counted.
        """
        return self.platelets / self.red_cells if self.red_cells and self.platelets is not None else None


@dataclass(frozen=True, slots=True)
class ReaderTypes:
    """Types that a reader can give."""

    labels: Sequence[str]
    subtypes: Mapping[str, tuple[str, Sequence[str]]] = field(default_factory=dict)
    """Types with a second level, each with the attribute that tells it and that attribute's values."""
    lineages: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """Types of each lineage."""


def differential(
    tally: Tally,
    *,
    types: ReaderTypes,
    standards: Standards,
    errors: Errors | None = None,
    labelled: Labelled = NOBODY,
    usable: bool = True,
) -> Differential:
    """Compute the differential of a tally.

    A group of the rules is called present only if its count exceeds what the reader's `errors` explain;
    without a measured rate it is never called present. With a confusion, the corrected proportions and the
    bounds over all white cells are given too, and are used with the rates in that decision.

    Cells that a person `labelled` are taken as they are: the reader's errors concern the others alone. Where a
    person labelled all of them, nothing is corrected and the bounds are those of Clopper and Pearson.

    Args:
        tally: Counts of a slide.
        types: Types that the reader can give.
        standards: Rules for groups, flags and the denominator, and reference ranges.
        errors: Measured errors of the reader; None if nothing was measured.
        labelled: Cells of `tally` that a person labelled or confirmed.
        usable: False for pictures that are not usable: no share is then supported.

    Raises:
        InputError: There is a reference range for a label that the rules leave outside the percentages.
    """
    errors, labels, subtypes = errors or Errors(), types.labels, types.subtypes
    rules, reference = standards.rules, standards.reference
    outside = rules.not_counted
    _check_ranges(reference, rules)
    every = tuple(dict.fromkeys([*labels, *tally.white]))
    n = sum(count for label, count in tally.white.items() if label not in outside)
    supported = usable and enough_recognised(n, tally.white.get(UNCLASSIFIED, 0) + tally.unread, rules)
    as_read = {label: count - labelled.white.get(label, 0) for label, count in tally.white.items()}
    correction = correct(as_read, errors.confusion, outside, every) if errors.confusion else None
    bound_inputs = BoundInputs(
        tally.white,
        tally.not_recognised,
        tally.unread,
        outside,
        errors.missed,
        errors.confusion,
        labelled.white,
    )
    counted = WhiteCounts(
        n,
        every,
        tally.white,
        outside,
        tally.places,
        correction,
        bound_inputs if supported else None,
        tally.doubtful,
        tally.unread,
        labelled.white,
        usable,
    )
    inside = [label for label in every if label not in outside] if n else []
    groups = {group.key: counted.known(group.labels) for group in rules.groups}
    groups = {key: known for key, known in groups.items() if known and {*known} <= {*inside}}
    second = {head for head, _ in subtypes.values()}
    per_100 = counted.known(rules.outside.per_100)
    singly = {label: (label,) for label in every}
    grouped = _bounded(counted, groups)
    # A group of one type has the bound of that type: pages show both.
    alone = {known[0]: key for key, known in groups.items() if len(known) == 1 and key in grouped}
    own = _bounded(counted, {label: singly[label] for label in inside})
    own |= {label: grouped[key] for label, key in alone.items()}
    bounds = _within(own, grouped, groups)
    grouped |= {key: bounds[label] for label, key in alone.items()}
    return Differential(
        n=n,
        types={label: counted.share([label]) for label in inside},
        groups={key: counted.share(known) for key, known in groups.items()},
        corrected=_corrected(counted, {label: [label] for label in inside}),
        corrected_groups=_corrected(counted, groups),
        corrected_per_100=_corrected(counted, {label: [label] for label in per_100}),
        subtypes={
            label: _second_level(tally, label, *level) for label, level in subtypes.items() if label in inside
        },
        outside={label: tally.white.get(label, 0) for label in every if label in outside},
        per_100={label: PerHundred(tally.white.get(label, 0), n) for label in per_100},
        cut=tally.cut,
        unread=tally.unread,
        red_cells=_counted(tally, RED_CELL),
        platelets=_counted(tally, PLATELET),
        attributes={name: _shares(values) for name, values in tally.attributes.items() if name not in second},
        flags=raise_flags(counted, errors.rates, rules, reference),
        adequacy=statements(counted, rules, bounds, grouped),
        reference=reference.name,
        supported=supported,
        bounds=bounds,
        group_bounds=grouped,
        bounds_per_100=_bounded(counted, {label: singly[label] for label in per_100}),
        blast_likeness=_likeness(tally, n, labelled, errors.healthy, rules),
        lineages=_lineages(tally, types.lineages, n),
        dismissed=sum(as_read.get(label, 0) for label in rules.dismissing),
    )


def _lineages(tally: Tally, lineages: Mapping[str, Sequence[str]], n: int) -> dict[str, Lineage]:
    """Count white cells by lineage.

    `n`: number of identified white cells.
    """
    untyped = tally.not_recognised.lineages
    known = n + sum(untyped.get(name, 0) for name in lineages)
    found = n + tally.white.get(UNCLASSIFIED, 0) + tally.unread
    result = {}
    for name, labels in lineages.items():
        own = untyped.get(name, 0)
        if count := own + sum(tally.white.get(label, 0) for label in labels):
            low, high = clopper_pearson(count, found)[0], clopper_pearson(count + found - known, found)[1]
            result[name] = Lineage(own, Share(count, known), Bounds(100 * low, 100 * high))
    return result


def enough_recognised(n: int, unsure: int, rules: Rules) -> bool:
    """Return whether enough white cells were recognised for shares.

    The share of the `unsure` ones, beside `n` recognised ones, must not be surely above the rules' limit.
    """
    low, _ = clopper_pearson(unsure, n + unsure)
    return 100 * low <= rules.verdict.not_recognised_percent


def _likeness(
    tally: Tally, n: int, labelled: Labelled, healthy: Sequence[HealthyCells], rules: Rules
) -> BlastLikeness | None:
    """Compare the slide's blast-likeness with healthy slides.

    A cell that a person labelled is a blast or none. It stays among the slide's cells, since people look first
    at those most like blasts: without them the others would be no slide. How well the reader recognises the
    slide's cells is a matter of its own answers.
    """
    unsure = tally.white.get(UNCLASSIFIED, 0)
    cells = n + unsure
    beside = suitable(healthy, min(unsure + labelled.unsure, cells), cells)
    if beside is None or not cells or labelled.cells == sum(tally.white.values()):
        return None
    p_value = rules.verdict.likeness_p_value
    return compare(tally.blast_like, tally.blast_like_doubted, cells, beside, p_value)


def _bounded(counted: WhiteCounts, kinds: Mapping[str, Sequence[str]]) -> dict[str, Bounds]:
    found = ((key, counted.bounds(labels, key)) for key, labels in kinds.items())
    return {key: bounds for key, bounds in found if bounds}


def _counted(tally: Tally, kind: str) -> int | None:
    return None if kind in tally.not_counted else tally.kinds.get(kind, 0)


def as_json(result: Differential) -> dict[str, Any]:
    """Return the differential as plain values for JSON.

    They are those of `all_values`. Where shares are not `supported`, counts stay and each share of white
    cells is None, as on the terminal and in reports.
    """
    beside = {"lineages": _lineages_json(result), "familiarity": _familiarity_json(result.familiarity)}
    told = all_values(result) | beside
    return told if result.supported else told | {part: _counts_alone(told[part]) for part in WITH_SHARES}


def _lineages_json(result: Differential) -> dict[str, Any]:
    return {
        name: {
            "count": each.share.count,
            "untyped": each.untyped,
            "of": each.share.of,
            "percent": each.share.percent,
            **_ends(each.bounds),
        }
        for name, each in result.lineages.items()
    }


def _familiarity_json(found: Familiarity | None) -> dict[str, Any] | None:
    if found is None:
        return None
    return {
        "cells": found.cells,
        "mean": found.mean,
        "least": found.least,
        "unfamiliar": found.is_foreign,
        "accuracy_elsewhere": found.accuracy_elsewhere,
    }


def all_values(result: Differential) -> dict[str, Any]:
    """Return counts and shares as plain values, supported or not.

    Signatures cover these: what they consist of must not change. Percentages are 0 to 100, not rounded.
    `low` and `high` of a type or group are the bounds of its share of all white cells found; those of its
    share of the recognised cells alone are in `recognised`.
    """
    likeness = result.blast_likeness
    return {
        "n": result.n,
        "supported": result.supported,
        "types": {
            label: _bounded_share(share, result.bounds.get(label)) for label, share in result.types.items()
        },
        "groups": {
            key: _bounded_share(share, result.group_bounds.get(key)) for key, share in result.groups.items()
        },
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
            label: {
                "count": each.count,
                "per_100": each.per_100,
                **_ends(result.bounds_per_100.get(label)),
                "recognised": {"low": each.low, "high": each.high},
            }
            for label, each in result.per_100.items()
        },
        "unclassified": result.not_recognised,
        "blast_likeness": likeness
        and {
            "cells": likeness.cells,
            "sum": likeness.sum,
            "not_recognised": likeness.doubted,
            "expected_in_health": likeness.expected,
            "limit_in_health": likeness.limit,
        },
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


def _counts_alone(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return values with None for every share, however deep they lie.

    A cell type or an attribute's value may be named like a share: such a key has values below it.
    """
    return {
        name: _counts_alone(each) if isinstance(each, Mapping) else None if name in SHARES else each
        for name, each in values.items()
    }


def _within(
    bounds: Mapping[str, Bounds], grouped: Mapping[str, Bounds], groups: Mapping[str, Sequence[str]]
) -> dict[str, Bounds]:
    """Limit the bounds of types to those of their groups.

    No upper bound of a type may exceed that of a group it belongs to: what holds for the group holds for
    its types.
    """
    tightest = dict(bounds)
    for key, labels in groups.items():
        if key not in grouped or (high := grouped[key].high) is None:
            continue
        for label in tightest.keys() & {*labels}:
            own = tightest[label]
            tightest[label] = Bounds(own.low, high if own.high is None else min(own.high, high))
    return tightest


def _ends(bounds: Bounds | None) -> dict[str, float | None]:
    return {"low": bounds.low if bounds else None, "high": bounds.high if bounds else None}


def _bounded_share(share: Share, bounds: Bounds | None) -> dict[str, Any]:
    return {
        "count": share.count,
        "of": share.of,
        "percent": share.percent,
        **_ends(bounds),
        "recognised": {"low": share.low, "high": share.high},
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


def _corrected(counted: WhiteCounts, groups: Mapping[str, Sequence[str]]) -> dict[str, Estimate]:
    estimates = ((key, counted.corrected(labels)) for key, labels in groups.items())
    return {key: estimate for key, estimate in estimates if estimate}


def _second_level(tally: Tally, label: str, attribute: str, values: Sequence[str]) -> SecondLevel:
    counts = tally.attributes.get(attribute, {})
    sure = sum(counts.values())
    shares = {value: Share(counts.get(value, 0), sure) for value in dict.fromkeys([*values, *counts]) if sure}
    return SecondLevel(attribute, shares, tally.white.get(label, 0) - sure)


def _corrected_json(result: Differential) -> dict[str, Any] | None:
    """Return the corrected shares for JSON.

    Their intervals are as wide as the bounds, and null if there are none.
    """
    if not result.corrected:
        return None
    parts = {
        "types": (result.corrected, result.bounds),
        "groups": (result.corrected_groups, result.group_bounds),
        "per_100_white_cells": (result.corrected_per_100, result.bounds_per_100),
    }
    return {
        name: {
            key: asdict(estimate) | ({} if key in bounds else {"low": None, "high": None})
            for key, estimate in estimates.items()
        }
        for name, (estimates, bounds) in parts.items()
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
        "detail": flag.detail,
        "severity": flag.severity,
        "places": [
            {"field": place.picture, "number": place.number, "box": list(place.box)} for place in flag.places
        ],
        "sources": list(flag.sources),
    }
