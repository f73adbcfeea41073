"""Rules of the differential and reference ranges.

The dataclasses mirror the TOML files and are their whole schema. Both files ship under `data/`, where each
states its sources; a laboratory replaces either by a file of its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Annotated, Literal

from edgeleuk.system.toml_tables import load_table
from edgeleuk.types import UNCLASSIFIED

RULES = Path(__file__).parents[1] / "data" / "rules.toml"
REFERENCE = Path(__file__).parents[1] / "data" / "reference_adult.toml"

Severity = Literal["note", "warning", "alert"]
Schema = Literal[1]
RulesSchema = Literal[2]
"""Version of the rules file.

Version 2 has the verdict, and short texts with their details apart.
"""


@dataclass(frozen=True, slots=True)
class Outside:
    """Labels outside the denominator.

    With those of them reported per 100 white cells, and those that are no white cells.
    """

    labels: tuple[str, ...]
    per_100: tuple[str, ...]
    no_white_cells: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Adequacy:
    """Number of white cells that a statement requires."""

    cells: float
    code: str
    severity: Severity
    text: Annotated[str, "n cells"]
    provisional: Annotated[str, "n cells"]
    """Text added to flags where the cells are fewer.

    To flags that rest on the percentages.
    """
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
    """Rule that flags the presence of a group."""

    code: str
    group: str
    severity: Severity
    sources: tuple[str, ...]
    over_percent: float = 0.0
    """Minimum share of the white cells to be exceeded, percent."""
    suspects: bool = False
    """Whether cells that reader errors may explain are flagged."""
    remark: str = ""


@dataclass(frozen=True, slots=True)
class Presence:
    """Presence of groups, tested against the reader's errors."""

    p_value: float
    least: int
    """Minimum number of cells for a group to be present."""
    present: Annotated[str, "cells name"]
    suspect: Annotated[str, "cells name them"]
    unmeasured: Annotated[str, "cells name them"]
    corrected: Annotated[str, "cells name them"]
    """Text where the corrected share may be below the rule's.

    The count passes the test, but the corrected share is not surely above the rule's.
    """
    doubtful: Annotated[str, "cells name them"]
    """Text where the test depends on pictures with a warning.

    The count passes only with cells of such pictures.
    """
    unsure: Annotated[str, "cells name them"]
    """Text for a slide with too few recognised cells.

    Too few to call anything present.
    """
    detail: Annotated[str, "cells of expected explained"]
    rules: tuple[PresenceRule, ...]
    labelled: Annotated[str, "cells name more"] = (
        "{cells} labelled as {name} by a person{more}. Confirm under the microscope."
    )
    """Text where a person labelled enough cells so.

    No reading error is possible then.
    """


@dataclass(frozen=True, slots=True)
class ThresholdRule:
    """Rule that flags a group from a share on."""

    code: str
    group: str
    percent: float
    severity: Severity
    sources: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Threshold:
    """Groups that matter by their share."""

    sure: Annotated[str, "name low"]
    possible: Annotated[str, "name percent"]
    detail: Annotated[str, "cells amount"]
    rules: tuple[ThresholdRule, ...]


@dataclass(frozen=True, slots=True)
class RangeTexts:
    """Texts for types outside their reference range."""

    severity: Severity
    above: Annotated[str, "name limit low high"]
    below: Annotated[str, "name limit low high"]
    detail: Annotated[str, "amount"]
    sources: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class RatioRule:
    """Rule for a frequent label outside the denominator.

    Per 100 white cells.
    """

    code: str
    label: str
    over: float
    severity: Severity
    text: Annotated[str, "count n"]
    sources: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Statement:
    """Texts on what a count can and cannot exclude."""

    unseen: Annotated[str, "list high"]
    unseen_each: Annotated[str, "list high"]
    unbounded: Annotated[str, "list"]
    unknown: Annotated[str, "list"]
    nothing: str
    unsupported: Annotated[str, "n of"]
    unseen_several: Annotated[str, "list"] = "None seen, but possible among the white cells: {list}."
    """Text on several groups that were not seen, with bounds that differ."""
    unseen_one: Annotated[str, "name high"] = "{name} up to {high} %"
    """Part of `unseen_several` on a group of one type."""
    unseen_group: Annotated[str, "name high"] = "{name} up to {high} % together"
    """Part of `unseen_several` on a group of several types."""
    not_usable: str = (
        "The count excludes nothing, and percentages would mislead: the pictures are not usable."
    )


@dataclass(frozen=True, slots=True)
class VerdictTexts:
    """Texts of the verdict and its reasons."""

    no_pictures: Annotated[str, "reasons"]
    unreadable: str
    foreign: Annotated[str, "n of reason"]
    not_recognised: Annotated[str, "n of"]
    hint: Annotated[str, "n of"]
    doubtful: Annotated[str, "n of"]
    blast_like: str
    blast_like_unknown: str
    blast_like_detail: Annotated[str, "sum percent cells limit"]
    dismissed: Annotated[str, "n of"]
    unfamiliar: str
    unfamiliar_detail: Annotated[str, "cells mean least"]
    unfamiliar_right: Annotated[str, "percent"]
    too_few: Annotated[str, "cells more"]
    nothing: Annotated[str, "n of list"]
    no_cells: str
    cells: Annotated[str, "list"]
    more_cells: Annotated[str, "list n"]


@dataclass(frozen=True, slots=True)
class VerdictRules:
    """Rules for a slide that is unusable or needs another look."""

    not_recognised_percent: float
    """Maximum share of unrecognised white cells, percent.

    Where the interval's lower limit is above it, no share of any type is known.
    """
    dismissed_percent: float
    """Maximum share of cells found as white cells and read as none, percent.

    Where the interval's lower limit is above it, the cells are to be looked at.
    """
    doubtful: tuple[str, ...]
    """Codes of findings that prevent calling anything present.

    They apply to single pictures.
    """
    foreign: Mapping[str, str]
    """Texts on pictures the model was not made for, by code.

    In a few words what is wrong with them.
    """
    hints: tuple[str, ...]
    """Codes of findings added to any verdict.

    They are reported where most pictures have them.
    """
    likeness_p_value: float
    likeness_least: float
    """Minimum summed blast-like probability that is flagged, cells."""
    not_looked_for: str
    texts: VerdictTexts

    @property
    def doubtful_pictures(self) -> frozenset[str]:
        return frozenset(self.doubtful)


@dataclass(frozen=True, slots=True)
class Rules:
    """Complete rules file."""

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
        for name in ("not_recognised_percent", "dismissed_percent"):
            if not 0 <= (share := getattr(self.verdict, name)) <= 100:
                raise ValueError(f"verdict.{name} is {share}, no share")

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
        """Check that labels fit the denominator.

        Shares need labels inside it, numbers per 100 white cells labels outside it.
        """
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
        """Labels that are no identified white cell.

        "unclassified" is one of them.
        """
        return frozenset({*self.outside.labels, UNCLASSIFIED})

    @property
    def dismissing(self) -> frozenset[str]:
        """Labels of things that a finder of white cells should not find.

        Nucleated red cells are none of them: they are reported.
        """
        return frozenset(self.outside.no_white_cells).difference(self.outside.per_100)

    def group(self, key: str) -> Group:
        return next(group for group in self.groups if group.key == key)

    def cite(self, keys: tuple[str, ...]) -> tuple[str, ...]:
        """Return the sources in full."""
        return tuple(self.sources[key] for key in keys)


@dataclass(frozen=True, slots=True)
class Range:
    """Reference range, in percent of identified white cells.

    Of one type, or of several counted as one.
    """

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
    """Complete file of reference ranges."""

    schema: Schema
    name: str
    sources: tuple[str, ...]
    ranges: tuple[Range, ...]


@dataclass(frozen=True, slots=True)
class Standards:
    """Rules of a count and its reference ranges."""

    rules: Rules
    reference: Reference


def load_rules(path: Path | None = None) -> Rules:
    """Load rules from a file, or the ones that ship.

    Raises:
        InputError: The file cannot be read or is malformed.
    """
    return load_table(Rules, path, like=RULES) if path else _shipped_rules()


def load_reference(path: Path | None = None) -> Reference:
    """Load reference ranges from a file, or the adult ones that ship.

    Raises:
        InputError: The file cannot be read or is malformed.
    """
    return load_table(Reference, path, like=REFERENCE) if path else _shipped_reference()


@cache
def _shipped_rules() -> Rules:
    return load_table(Rules, RULES, like=RULES)


@cache
def _shipped_reference() -> Reference:
    return load_table(Reference, REFERENCE, like=REFERENCE)
