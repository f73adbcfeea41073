"""The rules of the differential and its reference ranges, as dataclasses that mirror their TOML files.

What is written here is the files' whole schema. Both ship under `data/`, where each states its sources; a
laboratory replaces either by a file of its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Annotated, Literal

from edgeleuk._tables import load_table
from edgeleuk.types import UNCLASSIFIED

RULES = Path(__file__).parent / "data" / "rules.toml"
REFERENCE = Path(__file__).parent / "data" / "reference_adult.toml"

Severity = Literal["note", "warning", "alert"]
Schema = Literal[1]
RulesSchema = Literal[2]
"""Version 2 has the verdict, and short texts with their details apart."""


@dataclass(frozen=True, slots=True)
class Outside:
    """Labels outside the denominator, those of them reported per 100 white cells, and those that are none."""

    labels: tuple[str, ...]
    per_100: tuple[str, ...]
    no_white_cells: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Adequacy:
    """How many white cells a statement takes."""

    cells: float
    code: str
    severity: Severity
    text: Annotated[str, "n cells"]
    provisional: Annotated[str, "n cells"]
    """Follows the flags that rest on the percentages where the cells are fewer."""
    sources: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Group:
    """Labels that are named together."""

    key: str
    one: str
    many: str
    labels: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class PresenceRule:
    """A group whose presence is flagged."""

    code: str
    group: str
    severity: Severity
    sources: tuple[str, ...]
    over_percent: float = 0.0
    """Flagged only above this share of the white cells."""
    suspects: bool = False
    """Whether cells are flagged that the reader's errors may explain."""
    remark: str = ""


@dataclass(frozen=True, slots=True)
class Presence:
    """Groups weighed against the reader's errors."""

    p_value: float
    least: int
    """Cells from which on a group can be present."""
    present: Annotated[str, "cells name"]
    suspect: Annotated[str, "cells name them"]
    unmeasured: Annotated[str, "cells name them"]
    corrected: Annotated[str, "cells name them"]
    """Where the count passes the test, but the corrected share is not surely above the rule's."""
    doubtful: Annotated[str, "cells name them"]
    """Where it passes only with cells of pictures that have a warning."""
    unsure: Annotated[str, "cells name them"]
    """On a slide of which too few cells were recognised to call anything present."""
    detail: Annotated[str, "cells of expected explained"]
    rules: tuple[PresenceRule, ...]


@dataclass(frozen=True, slots=True)
class ThresholdRule:
    """A group flagged from a share on."""

    code: str
    group: str
    percent: float
    severity: Severity
    sources: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Threshold:
    """Groups that matter by their size."""

    sure: Annotated[str, "name low"]
    possible: Annotated[str, "name percent"]
    detail: Annotated[str, "cells amount"]
    rules: tuple[ThresholdRule, ...]


@dataclass(frozen=True, slots=True)
class RangeTexts:
    """How a type outside its reference range is flagged."""

    severity: Severity
    above: Annotated[str, "name limit low high"]
    below: Annotated[str, "name limit low high"]
    detail: Annotated[str, "amount"]
    sources: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class RatioRule:
    """A label outside the denominator that is flagged where it is frequent, per 100 white cells."""

    code: str
    label: str
    over: float
    severity: Severity
    text: Annotated[str, "count n"]
    sources: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Statement:
    """What a count can and cannot exclude, in words."""

    unseen: Annotated[str, "list high"]
    unseen_each: Annotated[str, "list high"]
    unbounded: Annotated[str, "list"]
    unknown: Annotated[str, "list"]
    nothing: str
    unsupported: Annotated[str, "n of"]


@dataclass(frozen=True, slots=True)
class VerdictTexts:
    """How the verdict and its reasons are worded."""

    no_pictures: Annotated[str, "reasons"]
    unreadable: str
    foreign: Annotated[str, "n of reason"]
    not_recognised: Annotated[str, "n of"]
    hint: Annotated[str, "n of"]
    doubtful: Annotated[str, "n of"]
    blast_like: str
    blast_like_unknown: str
    blast_like_detail: Annotated[str, "sum percent cells limit"]
    too_few: Annotated[str, "cells more"]
    nothing: Annotated[str, "n of list"]
    no_cells: str
    cells: Annotated[str, "list"]
    more_cells: Annotated[str, "list n"]


@dataclass(frozen=True, slots=True)
class VerdictRules:
    """When a slide is not usable, and when it is to be looked at again."""

    not_recognised_percent: float
    """Share of the white cells above which, by the interval's lower limit, no share of any type is known."""
    doubtful: tuple[str, ...]
    """Codes of findings about pictures in which nothing is called present."""
    foreign: Mapping[str, str]
    """By code, what is wrong with pictures that the model was not made for, in a few words."""
    hints: tuple[str, ...]
    """Codes of findings that are told behind any verdict, where most pictures have them."""
    likeness_p_value: float
    likeness_least: float
    """Least summed probability of blast-like types that is flagged, cells."""
    not_looked_for: str
    texts: VerdictTexts

    @property
    def doubtful_pictures(self) -> frozenset[str]:
        return frozenset(self.doubtful)


@dataclass(frozen=True, slots=True)
class Rules:
    """A whole rules file."""

    schema: RulesSchema
    sources: Mapping[str, str]
    outside: Outside
    adequacy: Adequacy
    groups: tuple[Group, ...]
    presence: Presence
    threshold: Threshold
    range: RangeTexts
    ratios: tuple[RatioRule, ...]
    statement: Statement
    verdict: VerdictRules

    def __post_init__(self) -> None:
        self._check_references()
        self._check_sides()
        if not 0 < self.presence.p_value < 1:
            raise ValueError(f"presence.p_value is {self.presence.p_value}, not between 0 and 1")
        if not 0 < self.verdict.likeness_p_value < 1:
            raise ValueError(
                f"verdict.likeness_p_value is {self.verdict.likeness_p_value}, not between 0 and 1"
            )
        if not 0 <= self.verdict.not_recognised_percent <= 100:
            raise ValueError(
                f"verdict.not_recognised_percent is {self.verdict.not_recognised_percent}, no share"
            )

    def _check_references(self) -> None:
        keys = {group.key for group in self.groups}
        rules: tuple[PresenceRule | ThresholdRule, ...] = (*self.presence.rules, *self.threshold.rules)
        for rule in rules:
            if rule.group not in keys:
                raise ValueError(f"{rule.code} names a group {rule.group!r} that is not there")
        cited = [rule.sources for rule in (*rules, *self.ratios)]
        for key in sum((*cited, self.range.sources, self.adequacy.sources), ()):
            if key not in self.sources:
                raise ValueError(f"[sources] has no {key!r}, which a rule cites")

    def _check_sides(self) -> None:
        """Shares need labels inside the denominator, numbers per 100 white cells labels outside it."""
        for group in self.groups:
            if 0 < len(self.not_counted.intersection(group.labels)) < len(group.labels):
                raise ValueError(f"group {group.key!r} has labels inside and outside the denominator")
        for rule in self.threshold.rules:
            if not self.not_counted.isdisjoint(self.group(rule.group).labels):
                raise ValueError(f"{rule.code} asks the share of a group outside the denominator")
        for label in (*self.outside.per_100, *(ratio.label for ratio in self.ratios)):
            if label not in self.not_counted:
                raise ValueError(f"{label!r} is reported per 100 white cells, but is not in outside.labels")

    @property
    def not_counted(self) -> frozenset[str]:
        """Labels that are no identified white cell, "unclassified" among them."""
        return frozenset({*self.outside.labels, UNCLASSIFIED})

    def group(self, key: str) -> Group:
        return next(group for group in self.groups if group.key == key)

    def cite(self, keys: tuple[str, ...]) -> tuple[str, ...]:
        """The sources in full."""
        return tuple(self.sources[key] for key in keys)


@dataclass(frozen=True, slots=True)
class Range:
    """The reference range of one type, or of several counted as one: percent of identified white cells."""

    code: str
    name: str
    labels: tuple[str, ...]
    low: float
    high: float

    def __post_init__(self) -> None:
        if not 0 <= self.low < self.high <= 100:
            raise ValueError(f"range {self.code} is {self.low} to {self.high}, not two rising percentages")


@dataclass(frozen=True, slots=True)
class Reference:
    """A whole file of reference ranges."""

    schema: Schema
    name: str
    sources: tuple[str, ...]
    ranges: tuple[Range, ...]


def load_rules(path: Path | None = None) -> Rules:
    """The rules of a file, or those that ship. InputError where it cannot be read or is malformed."""
    return load_table(Rules, path, like=RULES) if path else _shipped_rules()


def load_reference(path: Path | None = None) -> Reference:
    """The reference ranges of a file, or the adult ones that ship. InputError as in `load_rules`."""
    return load_table(Reference, path, like=REFERENCE) if path else _shipped_reference()


@cache
def _shipped_rules() -> Rules:
    return load_table(Rules, RULES, like=RULES)


@cache
def _shipped_reference() -> Reference:
    return load_table(Reference, REFERENCE, like=REFERENCE)
