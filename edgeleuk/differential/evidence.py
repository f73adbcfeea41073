"""Counts of white cells, and their weight against the reader's errors."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from edgeleuk.differential.rules import Group
from edgeleuk.statistics.bounds import BoundInputs, Bounds
from edgeleuk.statistics.correction import Correction, Estimate
from edgeleuk.statistics.intervals import CONFIDENCE, Share, binomial_tail, clopper_pearson, poisson
from edgeleuk.types import UNCLASSIFIED, Place


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
class WhiteCounts:
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
    bound_inputs: BoundInputs | None = None
    """Inputs for the bounds over all white cells.

    None if too few cells were recognised for any bound, or the pictures are not usable.
    """
    doubtful: Mapping[str, int] = field(default_factory=dict)
    """Cells of `white` in doubtful pictures.

    Under the warning of such a picture nothing is called present.
    """
    unread: int = 0
    """Number of whole, unread white cells."""
    labelled: Mapping[str, int] = field(default_factory=dict)
    """Cells of `white` that a person labelled or confirmed."""
    usable: bool = True
    """Whether the pictures are usable; if not, there are no `bound_inputs` either."""

    @property
    def supported(self) -> bool:
        """Whether the slide's shares are known at all."""
        return self.bound_inputs is not None

    def bounds(self, labels: Iterable[str], key: str = "") -> Bounds | None:
        """Return the bounds of a share, as `BoundInputs.of`."""
        return self.bound_inputs.of(tuple(labels), key) if self.bound_inputs else None

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
            high = tenth_above(100.0 if bounds.high is None else bounds.high)
            between = f", between {tenth_below(bounds.low):.1f} and {high:.1f} % of all found"
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


def tenth_below(percent: float) -> float:
    return math.floor(percent * 10) / 10


def tenth_above(percent: float) -> float:
    return math.ceil(percent * 10) / 10
