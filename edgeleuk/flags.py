"""Flags: what in a differential a person should look at, by the rules of a file.

A flag states counts, shares and what to do. It never names a disease.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from edgeleuk.correction import Correction, Estimate
from edgeleuk.intervals import (
    CONFIDENCE,
    PerHundred,
    Share,
    binomial_tail,
    clopper_pearson,
    largest_explained,
)
from edgeleuk.rules import Group, PresenceRule, Reference, Rules, Severity, ThresholdRule
from edgeleuk.types import Place

_SEVEREST_FIRST: tuple[Severity, ...] = ("alert", "warning", "note")
_MILDER: Mapping[Severity, Severity] = {"alert": "warning", "warning": "note", "note": "note"}
"""What a flag's severity becomes where the reader's errors may explain it."""


@dataclass(frozen=True, slots=True)
class Flag:
    """One thing to look at."""

    code: str
    text: str
    severity: Severity
    places: tuple[Place, ...] = ()
    """The cells it is about, where they are few enough to be looked at one by one."""
    sources: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class FalsePositiveRate:
    """Of `cells` held-out cells of other types, the reader read `errors` as this one."""

    errors: int
    cells: int


@dataclass(frozen=True, slots=True)
class Counted:
    """White cells as the flags see them."""

    n: int
    """Identified white cells: the denominator."""
    labels: tuple[str, ...]
    """Every label the reader can give, and any other that was counted."""
    white: Mapping[str, int]
    outside: frozenset[str]
    """Labels that `n` leaves out."""
    places: Mapping[str, tuple[Place, ...]]
    correction: Correction | None = None

    def known(self, labels: Iterable[str]) -> tuple[str, ...]:
        """Those of `labels` that the reader can give."""
        return tuple(label for label in labels if label in self.labels)

    def count(self, labels: Iterable[str]) -> int:
        return sum(self.white.get(label, 0) for label in labels)

    def of(self, labels: Iterable[str]) -> int:
        """How many cells could have been read as one of `labels`."""
        return self.n + self.count(self.outside.intersection(labels))

    def share(self, labels: Iterable[str]) -> Share:
        """Of the identified white cells. ValueError where there are none, or a label is outside them."""
        return Share(self.count(labels), self.n)

    def corrected(self, labels: Iterable[str]) -> Estimate | None:
        """The share corrected for the reader's errors, as `Correction.of`; None where they were not measured."""
        return self.correction.of(labels) if self.correction and self.n else None

    def amount(self, labels: Iterable[str]) -> str:
        """The share with its interval; for labels outside the denominator, the number per 100 white cells."""
        if not self.n:
            return "no identified white cell to relate to"
        if not self.outside.isdisjoint(labels):
            beside = PerHundred(self.count(labels), self.n)
            interval = f"{beside.low:.1f} to {beside.high:.1f}"
            return f"{beside.per_100:.1f} per 100 white cells, 95 % interval {interval}"
        share = self.share(labels)
        return f"{share.percent:.1f} %, 95 % interval {share.low:.1f} to {share.high:.1f}"

    def where(self, labels: Iterable[str]) -> tuple[Place, ...]:
        return tuple(place for label in labels for place in self.places.get(label, ()))


@dataclass(frozen=True, slots=True)
class Evidence:
    """A group's count against the reader's own errors."""

    count: int
    of: int
    error: float | None
    """Upper limit of the share of other cells read as the group, 0 to 1; None where that was not measured."""
    p_value: float

    @property
    def present(self) -> bool:
        """Whether the errors alone would hardly give so many cells. Never where they were not measured."""
        return self.error is not None and binomial_tail(self.count, self.of, self.error) < self.p_value


Rates = Mapping[str, FalsePositiveRate]
"""By label, or by the key of a group."""


def error_limit(group: Group, labels: tuple[str, ...], rates: Rates) -> float | None:
    """Upper end of the 95 % interval of the share of other cells read as one of `labels`, 0 to 1.

    A rate under the group's own key counts first. Else the labels' rates are added, each limit at the level
    that keeps 95 % for their sum (Bonferroni): too high rather than too low, since it also counts as errors
    the confusions within the group. None unless every label was measured.
    """
    parts = [rates[group.key]] if group.key in rates else [rates[label] for label in labels if label in rates]
    if not parts or (group.key not in rates and len(parts) < len(labels)):
        return None
    confidence = 1 - (1 - CONFIDENCE) / len(parts)
    return min(1.0, sum(clopper_pearson(rate.errors, rate.cells, confidence)[1] for rate in parts))


def raise_flags(counted: Counted, rates: Rates, rules: Rules, reference: Reference) -> tuple[Flag, ...]:
    """All flags, the most severe first."""
    weighed = {group.key: _weigh(counted, group, rates, rules) for group in rules.groups}
    flags = [*_too_few(counted, rules)]
    for presence in rules.presence.rules:
        flags += _presence(counted, presence, weighed[presence.group], rules)
    for threshold in rules.threshold.rules:
        flags += _threshold(counted, threshold, weighed[threshold.group], rules)
    flags += [*_ratios(counted, rules), *_ranges(counted, rules, reference)]
    return tuple(sorted(flags, key=lambda flag: _SEVEREST_FIRST.index(flag.severity)))


def statements(counted: Counted, rules: Rules) -> tuple[str, ...]:
    """What the count can and cannot exclude, in plain words."""
    texts = rules.statement
    if not counted.n:
        return (texts.nothing,)
    groups = [rules.group(rule.group) for rule in rules.presence.rules]
    unknown = [group.many for group in groups if not counted.known(group.labels)]
    unseen = [
        f"0 {group.many}"
        for group in groups
        if (labels := counted.known(group.labels))
        and counted.outside.isdisjoint(labels)
        and not counted.count(labels)
    ]
    said = []
    if unseen:
        text = texts.unseen_one if len(unseen) == 1 else texts.unseen
        said.append(text.format(list=", ".join(unseen), n=counted.n, high=f"{Share(0, counted.n).high:.1f}"))
    if unknown:
        said.append(texts.unknown.format(list=" or ".join(unknown)))
    return tuple(said)


def _weigh(counted: Counted, group: Group, rates: Rates, rules: Rules) -> Evidence:
    labels = counted.known(group.labels)
    error = error_limit(group, labels, rates)
    return Evidence(counted.count(labels), counted.of(labels), error, rules.presence.p_value)


def _too_few(counted: Counted, rules: Rules) -> Iterator[Flag]:
    rule = rules.adequacy
    if counted.n < rule.cells:
        text = rule.text.format(n=counted.n, cells=f"{rule.cells:g}")
        yield Flag(rule.code, text, rule.severity, sources=rules.cite(rule.sources))


def _presence(counted: Counted, rule: PresenceRule, evidence: Evidence, rules: Rules) -> Iterator[Flag]:
    group, texts = rules.group(rule.group), rules.presence
    labels = counted.known(group.labels)
    if not evidence.count or 100 * evidence.count <= rule.over_percent * counted.n:
        return
    estimate = counted.corrected(labels)
    remains = estimate is None or estimate.low > rule.over_percent
    present = evidence.present and remains
    words = _words(counted, group, rules) | {"of": str(evidence.of), "over": f"{rule.over_percent:g}"}
    if evidence.error is None:
        template = texts.unmeasured
    else:
        words["expected"] = f"{evidence.of * evidence.error:.1f}"
        words["explained"] = str(largest_explained(evidence.of, evidence.error, evidence.p_value))
        beyond_errors = texts.present if remains else texts.corrected
        template = beyond_errors if evidence.present else texts.suspect
    code, severity = (
        (f"{rule.code}_PRESENT", rule.severity)
        if present
        else (f"{rule.code}_SUSPECT", _MILDER[rule.severity])
    )
    remark = f" {rule.remark}" if rule.remark and present else ""
    text = template.format(**words) + remark
    yield Flag(code, text, severity, counted.where(labels), rules.cite(rule.sources))


def _threshold(counted: Counted, rule: ThresholdRule, evidence: Evidence, rules: Rules) -> Iterator[Flag]:
    group, texts = rules.group(rule.group), rules.threshold
    labels = counted.known(group.labels)
    if not counted.n:
        return
    share = counted.corrected(labels) or counted.share(labels)
    if share.percent < rule.percent:
        return
    if share.low < rule.percent:
        template, sure = texts.interval, False
    elif not evidence.present:
        template, sure = texts.errors, False
    else:
        template, sure = texts.sure, True
    text = template.format(**_words(counted, group, rules), percent=f"{rule.percent:g}")
    text += _provisional(counted, rules)
    code, severity = (rule.code, rule.severity) if sure else (f"{rule.code}_POSSIBLE", _MILDER[rule.severity])
    yield Flag(code, text, severity, counted.where(labels), rules.cite(rule.sources))


def _ratios(counted: Counted, rules: Rules) -> Iterator[Flag]:
    for rule in rules.ratios:
        count = counted.white.get(rule.label, 0)
        if count and PerHundred(count, counted.n).low > rule.over:
            text = rule.text.format(count=count, amount=counted.amount([rule.label]))
            yield Flag(rule.code, text, rule.severity, counted.where([rule.label]), rules.cite(rule.sources))


def _ranges(counted: Counted, rules: Rules, reference: Reference) -> Iterator[Flag]:
    sources = (*reference.sources, *rules.cite(rules.range.sources))
    for each in reference.ranges:
        labels = counted.known(each.labels)
        if not counted.n or not labels:
            continue
        share = counted.share(labels)
        if not (above := share.low > each.high) and share.high >= each.low:
            continue
        text = (rules.range.above if above else rules.range.below).format(
            name=each.name.capitalize(),
            amount=counted.amount(labels),
            low=f"{each.low:g}",
            high=f"{each.high:g}",
        )
        code = f"{each.code}_{'HIGH' if above else 'LOW'}"
        yield Flag(code, text + _provisional(counted, rules), rules.range.severity, sources=sources)


def _words(counted: Counted, group: Group, rules: Rules) -> dict[str, str]:
    labels = counted.known(group.labels)
    count, amount = counted.count(labels), counted.amount(labels)
    if estimate := counted.corrected(labels):
        unit = "%" if counted.outside.isdisjoint(labels) else "per 100 white cells"
        corrected = f"{estimate.percent:.1f} {unit}, 95 % interval {estimate.low:.1f} to {estimate.high:.1f}"
        amount = rules.correction.amount.format(raw=amount, corrected=corrected)
    return {
        "cells": "1 cell" if count == 1 else f"{count} cells",
        "name": group.one if count == 1 else group.many,
        "amount": amount,
    }


def _provisional(counted: Counted, rules: Rules) -> str:
    """A sentence for flags that rest on percentages, where the cells are too few."""
    rule = rules.adequacy
    if counted.n >= rule.cells:
        return ""
    return " " + rule.provisional.format(n=counted.n, cells=f"{rule.cells:g}")
