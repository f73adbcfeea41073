"""Flags: findings in a differential that a person should check.

The rules come from a file. A flag states counts, shares and what to do. It never names a disease.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

from edgeleuk.differential.evidence import Evidence, Rates, WhiteCounts, error_limit, tenth_above, tenth_below
from edgeleuk.differential.rules import Group, PresenceRule, Reference, Rules, Severity, ThresholdRule
from edgeleuk.statistics.bounds import Bounds
from edgeleuk.statistics.intervals import PerHundred, largest_explained
from edgeleuk.statistics.rounding import ceil, decimals
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


def raise_flags(counted: WhiteCounts, rates: Rates, rules: Rules, reference: Reference) -> tuple[Flag, ...]:
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


def statements(
    counted: WhiteCounts, rules: Rules, bounds: Mapping[str, Bounds], grouped: Mapping[str, Bounds]
) -> tuple[str, ...]:
    """State what the count can and cannot exclude.

    Args:
        counted: Counts of the slide.
        rules: Rules with the texts.
        bounds: Bounds of each type.
        grouped: Bounds of each group.
    """
    texts = rules.statement
    if not counted.usable:
        return (texts.not_usable,)
    if not counted.supported:
        unsure = counted.white.get(UNCLASSIFIED, 0) + counted.unread
        return (texts.unsupported.format(n=unsure, of=counted.n + unsure),)
    if not counted.n:
        return (texts.nothing,)
    groups = [rules.group(rule.group) for rule in rules.presence.rules]
    unknown = [group.many for group in groups if not counted.known(group.labels)]
    said = [*_unseen(counted, groups, rules, bounds, grouped)]
    if unknown:
        said.append(texts.unknown.format(list=_listed(unknown)))
    return tuple(said)


def _unseen(
    counted: WhiteCounts,
    groups: Iterable[Group],
    rules: Rules,
    bounds: Mapping[str, Bounds],
    grouped: Mapping[str, Bounds],
) -> Iterator[str]:
    """Yield statements on groups that were not seen.

    They share one bound only where their types have no other one: a table beside may give each type's.
    """
    texts, digits = rules.statement, decimals(counted.n)
    shown, parts, bounded, unbounded = set[str](), list[str](), list[tuple[str, str]](), list[str]()
    for group in groups:
        labels = counted.known(group.labels)
        if not labels or not counted.outside.isdisjoint(labels) or counted.count(labels):
            continue
        if group.key not in grouped:
            unbounded.append(group.many)
            continue
        high = ceil(grouped[group.key].high or 0.0, digits)
        types = [bounds[label].high or 0.0 for label in labels if label in bounds]
        shown.update([high, *(ceil(each, digits) for each in types)])
        part = texts.unseen_one if len(labels) == 1 else texts.unseen_group
        parts.append(part.format(name=group.many, high=high))
        bounded.append((group.many, high))
    if len(bounded) > 1 and len(shown) > 1:
        yield texts.unseen_several.format(list=", ".join(parts))
    elif bounded:
        template = texts.unseen if len(bounded) == 1 else texts.unseen_each
        yield template.format(list=_listed(name for name, _ in bounded), high=bounded[0][1])
    if unbounded:
        yield texts.unbounded.format(list=_listed(unbounded))


def _listed(names: Iterable[str]) -> str:
    *first, last = names
    return f"{', '.join(first)} or {last}" if first else last


def _too_few(counted: WhiteCounts, rules: Rules) -> Iterator[Flag]:
    rule = rules.adequacy
    if counted.n < rule.cells:
        text = rule.text.format(n=counted.n, cells=f"{rule.cells:g}")
        yield Flag(rule.code, text, rule.severity, sources=rules.cite(rule.sources))


def _presence(counted: WhiteCounts, rule: PresenceRule, rates: Rates, rules: Rules) -> Iterator[Flag]:
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


def _suspected(counted: WhiteCounts, evidence: Evidence, rules: Rules) -> str:
    """Return the template for suspected cells.

    It states why such cells are not called present.
    """
    texts = rules.presence
    if not counted.supported:
        return texts.unsure if counted.usable else texts.suspect
    return texts.corrected if evidence.present and evidence.count >= texts.least else texts.suspect


def _doubtful(counted: WhiteCounts, labels: Iterable[str]) -> int:
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


def _threshold(counted: WhiteCounts, rule: ThresholdRule, rules: Rules) -> Iterator[Flag]:
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


def _ratios(counted: WhiteCounts, rules: Rules) -> Iterator[Flag]:
    for rule in rules.ratios:
        count = counted.white.get(rule.label, 0)
        if count and PerHundred(count, counted.n).low > rule.over:
            text = rule.text.format(count=count, n=counted.n)
            yield Flag(rule.code, text, rule.severity, counted.where([rule.label]), rules.cite(rule.sources))


def _ranges(counted: WhiteCounts, rules: Rules, reference: Reference) -> Iterator[Flag]:
    sources = (*reference.sources, *rules.cite(rules.range.sources))
    for each in reference.ranges:
        labels = counted.known(each.labels)
        bounds = counted.bounds(labels) if counted.n and labels else None
        if bounds is None or not bounds.excludes(each.low, each.high):
            continue
        above = bounds.low > each.high
        text = (rules.range.above if above else rules.range.below).format(
            name=each.name.capitalize(),
            limit=f"{tenth_below(bounds.low) if above else tenth_above(bounds.high or 0.0):g}",
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
    return f"{tenth_below(percent):g}" if percent < 2 else f"{math.floor(percent)}"


def _words(count: int, group: Group) -> dict[str, str]:
    return {
        "cells": "1 cell" if count == 1 else f"{count} cells",
        "name": group.one if count == 1 else group.many,
        "them": "it" if count == 1 else "them",
    }


def _provisional(counted: WhiteCounts, rules: Rules) -> str:
    """Return a caveat for percentages of too few cells.

    Empty if there are enough cells.
    """
    rule = rules.adequacy
    if counted.n >= rule.cells:
        return ""
    return " " + rule.provisional.format(n=counted.n, cells=f"{rule.cells:g}")
