"""Flags: findings in a differential that a person should check.

The rules come from a file. A flag states counts, shares and what to do. It never names a disease.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from edgeleuk.differential.rules import Group, PresenceRule, Reference, Rules, Severity, ThresholdRule
from edgeleuk.statistics.bounds import Bounding, Bounds
from edgeleuk.statistics.correction import Correction, Estimate
from edgeleuk.statistics.intervals import (
    CONFIDENCE,
    PerHundred,
    Share,
    binomial_tail,
    clopper_pearson,
    largest_explained,
    poisson,
)
from edgeleuk.types import UNCLASSIFIED, Place

_SEVEREST_FIRST: tuple[Severity, ...] = ("alert", "warning", "note")
_MILDER: Mapping[Severity, Severity] = {"alert": "warning", "warning": "note", "note": "note"}
"""Severity where the reader's errors may explain a flag."""


@dataclass(frozen=True, slots=True)
class Flag:
    """One finding to check."""

    code: str
    text: str
    severity: Severity
    places: tuple[Place, ...] = ()
    """Cells behind the flag.

    Empty if they are too many to be looked at one by one.
    """
    sources: tuple[str, ...] = ()
    detail: str = ""
    """Reasoning behind the flag; may be empty.

    It is empty if the text says all.
    """


@dataclass(frozen=True, slots=True)
class FalsePositiveRate:
    """Held-out cells of other types read as this one."""

    errors: int
    cells: int
    labels: tuple[str, ...] = ()
    """Types of a group as measured.

    Empty for a single type, or if an older model does not state them.
    """


@dataclass(frozen=True, slots=True)
class Counted:
    """White-cell counts as the flags use them."""

    n: int
    """Number of identified white cells: the denominator."""
    labels: tuple[str, ...]
    """Labels of the reader, and other counted ones."""
    white: Mapping[str, int]
    outside: frozenset[str]
    """Labels outside the denominator."""
    places: Mapping[str, tuple[Place, ...]]
    correction: Correction | None = None
    bounding: Bounding | None = None
    """Inputs for the bounds over all white cells.

    None if too few cells were recognised for any bound.
    """
    doubtful: Mapping[str, int] = field(default_factory=dict)
    """Cells of `white` in doubtful pictures.

    Under the warning of such a picture nothing is called present.
    """
    unread: int = 0
    """Number of whole, unread white cells."""
    labelled: Mapping[str, int] = field(default_factory=dict)
    """Cells of `white` that a person labelled or confirmed."""

    @property
    def supported(self) -> bool:
        """Whether the slide's shares are known at all."""
        return self.bounding is not None

    def bounds(self, labels: Iterable[str], key: str = "") -> Bounds | None:
        """Return the bounds of a share, as `Bounding.of`."""
        return self.bounding.of(tuple(labels), key) if self.bounding else None

    def known(self, labels: Iterable[str]) -> tuple[str, ...]:
        """Return the labels that the reader can give."""
        return tuple(label for label in labels if label in self.labels)

    def count(self, labels: Iterable[str]) -> int:
        return sum(self.white.get(label, 0) for label in labels)

    def certain(self, labels: Iterable[str]) -> int:
        """Count the cells that a person labelled so."""
        return sum(self.labelled.get(label, 0) for label in labels)

    def of(self, labels: Iterable[str]) -> int:
        """Count the cells that could be read as `labels`.

        Without those that a person labelled.
        """
        beside = [label for label in self.labelled if label not in self.outside or label in {*labels}]
        return self.n + self.count(self.outside.intersection(labels)) - self.certain(beside)

    def share(self, labels: Iterable[str]) -> Share:
        """Return the share of the identified white cells.

        Raises:
            ValueError: There are no such cells, or a label is outside the denominator.
        """
        return Share(self.count(labels), self.n)

    def corrected(self, labels: Iterable[str]) -> Estimate | None:
        """Return the share corrected for the reader's errors.

        It is that of `Correction.of`, with an interval as wide as the bounds. The result is None if the
        errors were not measured, or the data support no share. Cells that a person labelled are not corrected:
        they are added to what the correction makes of the others.
        """
        if not self.correction or not self.n or not self.supported:
            return None
        chosen = tuple(labels)
        estimate, bounds = self._with_labelled(self.correction.of(chosen), chosen), self.bounds(chosen)
        if estimate is None or bounds is None or bounds.high is None:
            return estimate
        return replace(estimate, low=min(estimate.low, bounds.low), high=max(estimate.high, bounds.high))

    def _with_labelled(self, estimate: Estimate | None, labels: Sequence[str]) -> Estimate | None:
        """Return a share of all cells from that of the unlabelled."""
        known = sum(n for label, n in self.labelled.items() if label not in self.outside)
        if estimate is None or not self.certain(self.labelled):
            return estimate
        others, count = self.n - known + self.white.get(UNCLASSIFIED, 0), self.certain(labels)
        beside = not self.outside.isdisjoint(labels)
        low, high = poisson(count) if beside else (known * end for end in clopper_pearson(count, known))
        each = ((estimate.percent, count), (estimate.low, low), (estimate.high, high))
        percent, low, high = ((others * read + 100 * sure) / (others + known) for read, sure in each)
        return replace(estimate, percent=percent, low=low, high=high)

    def amount(self, labels: Iterable[str], key: str = "") -> str:
        """Describe a share with its bounds.

        The share is of the recognised white cells, the bounds are those of all found.
        """
        chosen = tuple(labels)
        bounds = self.bounds(chosen, key)
        between = ""
        if bounds is not None:
            high = _tenth_above(100.0 if bounds.high is None else bounds.high)
            between = f", between {_tenth_below(bounds.low):.1f} and {high:.1f} % of all found"
        return f"{self.share(chosen).percent:.1f} % of those recognised{between}"

    def where(self, labels: Iterable[str]) -> tuple[Place, ...]:
        return tuple(place for label in labels for place in self.places.get(label, ()))


@dataclass(frozen=True, slots=True)
class Evidence:
    """A group's count compared with the reader's errors."""

    count: int
    of: int
    error: float | None
    """Upper limit of the false-positive rate.

    It is the share, 0 to 1, of other cells read as the group; None if that was not measured.
    """
    p_value: float

    @property
    def present(self) -> bool:
        """Whether errors alone would hardly explain the count.

        False if the errors were not measured.
        """
        return self.error is not None and binomial_tail(self.count, self.of, self.error) < self.p_value


Rates = Mapping[str, FalsePositiveRate]
"""False-positive rates by label, or by group key."""


def error_limit(group: Group, labels: tuple[str, ...], rates: Rates) -> float | None:
    """Return the upper limit of a group's false-positive rate.

    It is the upper end, 0 to 1, of the 95 % interval of the share of other cells read as one of `labels`. A
    rate under the group's own key is used if it was measured for exactly these types. Otherwise the labels'
    rates are added, each limit at the level that keeps 95 % for their sum (Bonferroni): too high rather
    than too low, since it also counts as errors the confusions within the group.

    Args:
        group: Group of the rules.
        labels: Types of the group that the reader can give.
        rates: Measured rates.

    Returns:
        The limit; None unless every label, or the group itself, was measured.
    """
    own = rates.get(group.key)
    measured = own is not None and (not own.labels or {*own.labels} == {*labels})
    parts = [own] if own and measured else [rates[label] for label in labels if label in rates]
    if not parts or (not measured and len(parts) < len(labels)):
        return None
    confidence = 1 - (1 - CONFIDENCE) / len(parts)
    return min(1.0, sum(clopper_pearson(rate.errors, rate.cells, confidence)[1] for rate in parts))


def raise_flags(counted: Counted, rates: Rates, rules: Rules, reference: Reference) -> tuple[Flag, ...]:
    """Return all flags, the most severe first.

    Args:
        counted: Counts of the slide.
        rates: Measured false-positive rates of the reader.
        rules: Rules that raise flags.
        reference: Reference ranges.
    """
    flags = [*_too_few(counted, rules)]
    for presence in rules.presence.rules:
        flags += _presence(counted, presence, rates, rules)
    if counted.supported:
        for threshold in rules.threshold.rules:
            flags += _threshold(counted, threshold, rules)
        flags += [*_ratios(counted, rules), *_ranges(counted, rules, reference)]
    return tuple(sorted(flags, key=lambda flag: _SEVEREST_FIRST.index(flag.severity)))


def statements(counted: Counted, rules: Rules) -> tuple[str, ...]:
    """State what the count can and cannot exclude."""
    texts = rules.statement
    if not counted.supported:
        unsure = counted.white.get(UNCLASSIFIED, 0) + counted.unread
        return (texts.unsupported.format(n=unsure, of=counted.n + unsure),)
    if not counted.n:
        return (texts.nothing,)
    groups = [rules.group(rule.group) for rule in rules.presence.rules]
    unknown = [group.many for group in groups if not counted.known(group.labels)]
    said = [*_unseen(counted, groups, rules)]
    if unknown:
        said.append(texts.unknown.format(list=_listed(unknown)))
    return tuple(said)


def _unseen(counted: Counted, groups: Iterable[Group], rules: Rules) -> Iterator[str]:
    """Yield statements on groups that were not seen."""
    texts, bounded, unbounded = rules.statement, {}, []
    for group in groups:
        labels = counted.known(group.labels)
        if not labels or not counted.outside.isdisjoint(labels) or counted.count(labels):
            continue
        if bounds := counted.bounds(labels, group.key):
            bounded[group.many] = bounds.high or 0.0
        else:
            unbounded.append(group.many)
    if bounded:
        template = texts.unseen if len(bounded) == 1 else texts.unseen_each
        yield template.format(list=_listed(bounded), high=_up(max(bounded.values())))
    if unbounded:
        yield texts.unbounded.format(list=_listed(unbounded))


def _listed(names: Iterable[str]) -> str:
    *first, last = names
    return f"{', '.join(first)} or {last}" if first else last


def _too_few(counted: Counted, rules: Rules) -> Iterator[Flag]:
    rule = rules.adequacy
    if counted.n < rule.cells:
        text = rule.text.format(n=counted.n, cells=f"{rule.cells:g}")
        yield Flag(rule.code, text, rule.severity, sources=rules.cite(rule.sources))


def _presence(counted: Counted, rule: PresenceRule, rates: Rates, rules: Rules) -> Iterator[Flag]:
    group, texts = rules.group(rule.group), rules.presence
    labels = counted.known(group.labels)
    count = counted.count(labels)
    if not count or 100 * count <= rule.over_percent * counted.n:
        return
    certain = counted.certain(labels)
    sure = bool(certain) and 100 * certain > rule.over_percent * counted.n
    error = error_limit(group, labels, rates)
    evidence = Evidence(count - certain, counted.of(labels), error, texts.p_value)
    clear = replace(evidence, count=evidence.count - _doubtful(counted, labels))
    estimate = counted.corrected(labels)
    remains = counted.supported and (estimate is None or estimate.low > rule.over_percent)
    present = sure or (clear.present and remains and clear.count >= texts.least)
    if sure:
        template = texts.labelled
    elif error is None:
        template = texts.unmeasured
    elif present:
        template = texts.present
    elif evidence.present and remains and evidence.count >= texts.least:
        template = texts.doubtful
    elif rule.suspects:
        template = _suspected(counted, evidence, rules)
    else:
        return
    code, severity = (
        (f"{rule.code}_PRESENT", rule.severity)
        if present
        else (f"{rule.code}_SUSPECT", _MILDER[rule.severity])
    )
    words = _words(certain if sure else count, group)
    more = f", and {count - certain} more read so" if count > certain else ""
    text = template.format(**words, more=more) + (f" {rule.remark}" if rule.remark and present else "")
    yield Flag(
        code,
        text,
        severity,
        counted.where(labels),
        rules.cite(rule.sources),
        _weighed(evidence, group, rules),
    )


def _suspected(counted: Counted, evidence: Evidence, rules: Rules) -> str:
    """Return the template for suspected cells.

    It states why such cells are not called present.
    """
    texts = rules.presence
    if not counted.supported:
        return texts.unsure
    return texts.corrected if evidence.present and evidence.count >= texts.least else texts.suspect


def _doubtful(counted: Counted, labels: Iterable[str]) -> int:
    return sum(counted.doubtful.get(label, 0) for label in labels)


def _weighed(evidence: Evidence, group: Group, rules: Rules) -> str:
    """Compare a count with the reader's errors in words.

    Empty if the errors were not measured, or a person labelled all of the cells.
    """
    if evidence.error is None or not evidence.count:
        return ""
    explained = largest_explained(evidence.of, evidence.error, evidence.p_value)
    expected = f"{evidence.of * evidence.error:.1f}"
    return rules.presence.detail.format(
        cells=_words(evidence.count, group)["cells"], of=evidence.of, expected=expected, explained=explained
    )


def _threshold(counted: Counted, rule: ThresholdRule, rules: Rules) -> Iterator[Flag]:
    group, texts = rules.group(rule.group), rules.threshold
    labels = counted.known(group.labels)
    if not counted.n or not labels:
        return
    share = counted.corrected(labels) or counted.share(labels)
    bounds = counted.bounds(labels, group.key)
    if share.percent < rule.percent and not (bounds and bounds.low >= rule.percent):
        return
    sure = bounds is not None and bounds.low >= rule.percent and not _doubtful(counted, labels)
    template = texts.sure if sure else texts.possible
    words = _words(counted.count(labels), group)
    low = _down(bounds.low) if bounds else ""
    name = group.many[:1].upper() + group.many[1:]
    text = template.format(name=name, low=low, percent=f"{rule.percent:g}") + _provisional(counted, rules)
    code, severity = (rule.code, rule.severity) if sure else (f"{rule.code}_POSSIBLE", _MILDER[rule.severity])
    detail = texts.detail.format(cells=words["cells"], amount=counted.amount(labels, group.key))
    yield Flag(code, text, severity, counted.where(labels), rules.cite(rule.sources), detail)


def _ratios(counted: Counted, rules: Rules) -> Iterator[Flag]:
    for rule in rules.ratios:
        count = counted.white.get(rule.label, 0)
        if count and PerHundred(count, counted.n).low > rule.over:
            text = rule.text.format(count=count, n=counted.n)
            yield Flag(rule.code, text, rule.severity, counted.where([rule.label]), rules.cite(rule.sources))


def _ranges(counted: Counted, rules: Rules, reference: Reference) -> Iterator[Flag]:
    sources = (*reference.sources, *rules.cite(rules.range.sources))
    for each in reference.ranges:
        labels = counted.known(each.labels)
        bounds = counted.bounds(labels) if counted.n and labels else None
        if bounds is None or not bounds.excludes(each.low, each.high):
            continue
        above = bounds.low > each.high
        text = (rules.range.above if above else rules.range.below).format(
            name=each.name.capitalize(),
            limit=f"{_tenth_below(bounds.low) if above else _tenth_above(bounds.high or 0.0):g}",
            low=f"{each.low:g}",
            high=f"{each.high:g}",
        )
        code = f"{each.code}_{'HIGH' if above else 'LOW'}"
        detail = rules.range.detail.format(amount=counted.amount(labels))
        places = counted.where(labels) if above else ()
        text += _provisional(counted, rules)
        yield Flag(code, text, rules.range.severity, places, sources, detail)


def _down(percent: float) -> str:
    """Format a lower bound as percent, rounded down.

    It is in whole percent, or in tenths below 2 %; it never exceeds the bound.
    """
    return f"{_tenth_below(percent):g}" if percent < 2 else f"{math.floor(percent)}"


def _up(percent: float) -> str:
    """Format an upper bound as percent, rounded up.

    It is in whole percent, or in tenths below 2 %; it is never less than the bound.
    """
    return f"{_tenth_above(percent):g}" if percent < 2 else f"{math.ceil(percent)}"


def _tenth_below(percent: float) -> float:
    return math.floor(percent * 10) / 10


def _tenth_above(percent: float) -> float:
    return math.ceil(percent * 10) / 10


def _words(count: int, group: Group) -> dict[str, str]:
    return {
        "cells": "1 cell" if count == 1 else f"{count} cells",
        "name": group.one if count == 1 else group.many,
        "them": "it" if count == 1 else "them",
    }


def _provisional(counted: Counted, rules: Rules) -> str:
    """Return a caveat for percentages of too few cells.

    Empty if there are enough cells.
    """
    rule = rules.adequacy
    if counted.n >= rule.cells:
        return ""
    return " " + rule.provisional.format(n=counted.n, cells=f"{rule.cells:g}")
