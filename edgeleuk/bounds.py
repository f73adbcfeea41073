"""Bounds of a type's share among all white cells, recognised or not.

A cell below the reader's threshold may be of any type that its probabilities leave possible, and leaving such cells out
would call a slide of half-recognised blasts free of blasts. So each end of a bound takes them the other way:

- **Upper end.** A cell may be of a type where it was recognised as one, or was not recognised and its probability of the type
  reaches `possible_from`. Of held-out cells of the type the reader left some out even so; with the upper limit of that
  share as the miss rate m, the true share is at most CP(candidates) / (1 - m).
- **Lower end.** Only recognised cells count, among all. Less the share of other types' cells that the reader takes for the
  type, the true share is at least CP(recognised) - f. The rates of f are drawn from the measured confusion (Dirichlet, of
  its counts and `correction.PRIOR`) and weighted with the slide's composition as read.

CP is the limit of Clopper and Pearson. Both ends are the estimate of Rogan and Gladen (Am J Epidemiol 1978;107:71-76), each
with the one of its two error rates taken at its worst that would make the bound tighter; for intervals that count the
measurement of the error rates too see Lang and Reiczigel (Prev Vet Med 2014;113:13-22). Neither end supposes how many of the
cells that were not recognised are of which type, and each of these counts as a white cell only where that widens the bound. Both suppose that the reader errs as it was measured: of a slide of which
it recognises less than half there are no bounds, see `rules.Verdict`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from edgeleuk.correction import DRAWS, PRIOR, SEED, Confusion
from edgeleuk.intervals import CONFIDENCE, clopper_pearson
from edgeleuk.types import UNCLASSIFIED, NotRecognised


@dataclass(frozen=True, slots=True)
class Bounds:
    """Lower and upper bound of a share of the white cells, percent.

    For cells outside the denominator they count per 100 white cells.
    """

    low: float
    high: float | None
    """None where there is no limit.

    Cells outside the denominator have none where no white cell is certain.
    """

    def excludes(self, low: float, high: float) -> bool:
        """Whether the share is surely below `low` or above `high`."""
        return self.low > high or (self.high is not None and self.high < low)


@dataclass(frozen=True, slots=True)
class Missed:
    """How many held-out cells of a type the reader misses.

    A cell is missed when it is neither recognised as its type nor left possible.
    """

    missed: int
    cells: int
    labels: tuple[str, ...] = ()
    """The types of a group, as measured; empty for a single type."""

    def __post_init__(self) -> None:
        if not 0 <= self.missed <= self.cells:
            raise ValueError(f"{self.missed} of {self.cells} held-out cells cannot have been missed")

    @property
    def most(self) -> float:
        """Upper limit of the share, 0 to 1; 1 where no cell was at hand."""
        return clopper_pearson(self.missed, self.cells)[1]


def group_kind(key: str) -> str:
    """Name of a group among types, which it differs from whatever its key is."""
    return f"group {key}"


@dataclass(frozen=True, slots=True)
class Bounding:
    """What the bounds of a slide rest on."""

    white: Mapping[str, int]
    """Cells by label."""
    not_recognised: NotRecognised
    unread: int
    """Whole white cells of which nothing is known but that they are there."""
    outside: frozenset[str]
    missed: Mapping[str, Missed]
    """By type, or by `group_kind`."""
    confusion: Confusion | None

    def of(self, labels: Collection[str], key: str = "") -> Bounds | None:
        """Bounds of the share of some types together, `key` where they are a group.

        None where the reader's errors on one of them were not measured. ValueError where some of `labels` are inside the
        denominator and some outside.
        """
        beside = self.outside.intersection(labels)
        if beside and len(beside) < len(labels):
            raise ValueError(f"{sorted(labels)} are on both sides of the denominator")
        miss_rate = self._miss_rate(labels, key)
        if self.confusion is None or miss_rate >= 1 or not self._cells:
            return None
        low, high = self._low(labels), self._high(labels, key, miss_rate)
        if beside:
            return Bounds(100 * low / (1 - low), 100 * high / (1 - high) if high < 1 else None)
        return Bounds(100 * low, 100 * high)

    @property
    def _cells(self) -> int:
        return sum(self.white.values()) + self.unread

    def _recognised(self, labels: Collection[str]) -> int:
        """Cells recognised as `labels`, or as what the denominator counts."""
        return sum(n for label, n in self.white.items() if label not in self.outside or label in labels)

    def _miss_rate(self, labels: Collection[str], key: str) -> float:
        """Upper limit; that of a group that was not measured with these very types is the worst of its types."""
        own = self.missed.get(group_kind(key))
        if own and {*own.labels} == {*labels}:
            return own.most
        return max((self.missed[each].most if each in self.missed else 1.0 for each in labels), default=1.0)

    def _possible(self, amounts: Mapping[str, int], labels: Iterable[str], key: str) -> int:
        most = self.not_recognised.cells
        if (kind := group_kind(key)) in amounts:
            return amounts[kind]
        return min(most, sum(amounts.get(each, 0) for each in labels))

    def _high(self, labels: Collection[str], key: str, miss_rate: float) -> float:
        found = sum(self.white.get(label, 0) for label in labels)
        candidates = found + self._possible(self.not_recognised.possible, labels, key) + self.unread
        counted = self._possible(self.not_recognised.counted, labels, key)
        of = self._recognised(labels) + self.unread + counted
        return min(1.0, clopper_pearson(candidates, max(of, candidates))[1] / (1 - miss_rate))

    def _low(self, labels: Collection[str]) -> float:
        found = sum(self.white.get(label, 0) for label in labels)
        of = self._recognised(labels) + self.not_recognised.cells + self.unread
        if not found:
            return 0.0
        return max(0.0, clopper_pearson(found, of)[0] - self._taken_for(labels) / of)

    def _taken_for(self, labels: Collection[str]) -> float:
        """Upper limit of the slide's cells that are of other types and were recognised as one of these.

        Cells that seem to be of a type that was never measured may all be so.
        """
        assert self.confusion is not None
        rates = _drawn_rates(self.confusion)
        own = np.isin(self.confusion.read, list(labels))
        cells = np.array([self._as_read(label) for label in self.confusion.labels])
        cells[np.isin(self.confusion.labels, list(labels))] = 0
        drawn = rates[:, :, own].sum(axis=2) @ cells
        strange = sum(
            self._as_read(label) for label in self._unmeasured(self.confusion) if label not in labels
        )
        return float(np.quantile(drawn, (1 + CONFIDENCE) / 2)) + strange

    def _unmeasured(self, confusion: Confusion) -> set[str]:
        """Types without a held-out cell, those that the reader cannot name among them."""
        measured = {label for label, row in zip(confusion.labels, confusion.counts, strict=True) if sum(row)}
        return {*self.white, *self.not_recognised.expected} - measured - {UNCLASSIFIED}

    def _as_read(self, label: str) -> float:
        """How many of the slide's cells are of a type."""
        return self.white.get(label, 0) + self.not_recognised.expected.get(label, 0.0)


@lru_cache(maxsize=4)
def _drawn_rates(confusion: Confusion) -> NDArray[np.float64]:
    """(DRAWS, K, R) of what a cell of each true type may be read as; zero for types without a held-out cell."""
    counts = np.array(confusion.counts, np.float64)
    weights = np.where(counts.sum(axis=1, keepdims=True) > 0, counts + PRIOR / counts.shape[1], 0)
    drawn = np.random.default_rng(SEED).standard_gamma(weights, (DRAWS, *counts.shape))
    total = drawn.sum(axis=2, keepdims=True)
    rates: NDArray[np.float64] = np.divide(drawn, total, out=np.zeros_like(drawn), where=total > 0)
    return rates
