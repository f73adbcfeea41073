"""Bounds of a cell type's share among all white cells.

All white cells count, recognised or not. A cell below the reader's threshold may be of any type that its
probabilities leave possible, and leaving such cells out would call a slide of half-recognised blasts free
of blasts. So each bound treats these cells in the way that widens it:

- **Upper bound.** A cell is a candidate for a type if it was recognised as that type, or if it was not
  recognised and its probability of the type reaches `possible_from`. The reader misses some held-out cells
  of the type even so; with the upper limit of that share as the miss rate m, the true share is at most
  CP(candidates) / (1 - m).
- **Lower bound.** Only recognised cells count, among all. With f, the share of other types' cells that the
  reader takes for the type, the true share is at least CP(recognised) - f. The rates of f are drawn from
  the measured confusion (Dirichlet, from its counts and `correction.PRIOR`) and weighted with the slide's
  composition as read.

Cells that a person labelled have no reader's error. Of them the upper bound needs no miss rate and the lower
bound no f: with U candidates among the u cells that only the reader saw, the upper bound is CP(candidates) +
m / (1 - m) CP(U of u) u / all, which is CP(candidates) / (1 - m) where no person labelled a cell, and
CP(candidates) where one labelled all.

CP is the limit of Clopper and Pearson. Both bounds are the estimate of Rogan and Gladen (Am J Epidemiol
1978;107:71-76), where of the two error rates the one that would make the bound tighter is taken at its
worst. For intervals that also cover the measurement of the error rates see Lang and Reiczigel (Prev Vet Med
2014;113:13-22).

Neither bound assumes how many of the cells that were not recognised are of which type, and each of these
counts as a white cell only where that widens the bound. Both assume that the reader errs as measured: a
slide of which it recognises less than half has no bounds, see `rules.Verdict`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from edgeleuk.statistics.correction import DRAWS, PRIOR, SEED, Confusion
from edgeleuk.statistics.intervals import CONFIDENCE, clopper_pearson
from edgeleuk.types import UNCLASSIFIED, NotRecognised


@dataclass(frozen=True, slots=True)
class Bounds:
    """Bounds of a share, in percent.

    The share is of all white cells. For cells outside the denominator the bounds are per 100 white cells.
    """

    low: float
    high: float | None
    """Upper bound; None if there is no limit.

    Cells outside the denominator have no upper bound if no white cell is certain.
    """

    def excludes(self, low: float, high: float) -> bool:
        """Check that the share is surely outside the range.

        The range is `low` to `high`.
        """
        return self.low > high or (self.high is not None and self.high < low)


@dataclass(frozen=True, slots=True)
class Missed:
    """Held-out cells that the reader misses.

    A cell is missed if it is neither recognised as its type nor left possible.
    """

    missed: int
    cells: int
    labels: tuple[str, ...] = ()
    """Types of a group as measured.

    Empty for a single type.
    """

    def __post_init__(self) -> None:
        if not 0 <= self.missed <= self.cells:
            raise ValueError(f"{self.missed} of {self.cells} held-out cells cannot have been missed")

    @property
    def most(self) -> float:
        """Upper limit of the missed share.

        It is 0 to 1, and 1 if no cell was available.
        """
        return clopper_pearson(self.missed, self.cells)[1]


def group_kind(key: str) -> str:
    """Return the key of a group among types.

    The prefix makes it differ from every type, whatever the group's key is.
    """
    return f"group {key}"


@dataclass(frozen=True, slots=True)
class Bounding:
    """Inputs for the bounds of a slide's shares."""

    white: Mapping[str, int]
    """Number of cells by label."""
    not_recognised: NotRecognised
    unread: int
    """Number of whole, unread white cells."""
    outside: frozenset[str]
    """Labels outside the denominator."""
    missed: Mapping[str, Missed]
    """Missed held-out cells by type, or by `group_kind`."""
    confusion: Confusion | None
    labelled: Mapping[str, int] = field(default_factory=dict)
    """Cells of `white` that a person labelled or confirmed."""

    def of(self, labels: Collection[str], key: str = "") -> Bounds | None:
        """Return the bounds of some types' combined share.

        `key` is the group's key if the types form a group. The result is None if the reader's errors on one
        of them were not measured.

        Raises:
            ValueError: Some of `labels` are inside the denominator and some outside.
        """
        beside = self.outside.intersection(labels)
        if beside and len(beside) < len(labels):
            raise ValueError(f"{sorted(labels)} are on both sides of the denominator")
        miss_rate = self._miss_rate(labels, key) if self._unlabelled else 0.0
        unmeasured = self._unlabelled and self.confusion is None
        if unmeasured or miss_rate >= 1 or not self._cells:
            return None
        low, high = self._low(labels), self._high(labels, key, miss_rate)
        if beside:
            return Bounds(100 * low / (1 - low), 100 * high / (1 - high) if high < 1 else None)
        return Bounds(100 * low, 100 * high)

    @property
    def _cells(self) -> int:
        return sum(self.white.values()) + self.unread

    @property
    def _unlabelled(self) -> int:
        """Number of cells that no person labelled."""
        return self._cells - sum(self.labelled.values())

    @property
    def _as_read(self) -> Mapping[str, int]:
        """Cells by label of the reader alone."""
        return {label: n - self.labelled.get(label, 0) for label, n in self.white.items()}

    def _recognised(self, labels: Collection[str], white: Mapping[str, int]) -> int:
        """Count recognised cells of the denominator or `labels`."""
        return sum(n for label, n in white.items() if label not in self.outside or label in labels)

    def _miss_rate(self, labels: Collection[str], key: str) -> float:
        """Return the upper limit of the miss rate.

        A group that was not measured with exactly these types takes the worst of its types.
        """
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
        unsure = self._possible(self.not_recognised.possible, labels, key) + self.unread
        counted = self._possible(self.not_recognised.counted, labels, key) + self.unread
        candidates, of = self._candidates(labels, self.white, unsure, counted)
        high = clopper_pearson(candidates, of)[1]
        if not any(self.labelled.values()) or not of:
            return min(1.0, high / (1 - miss_rate))
        candidates, unlabelled = self._candidates(labels, self._as_read, unsure, counted)
        missed = clopper_pearson(candidates, unlabelled)[1] * miss_rate / (1 - miss_rate)
        return min(1.0, high + missed * unlabelled / of)

    def _candidates(
        self, labels: Collection[str], white: Mapping[str, int], unsure: int, counted: int
    ) -> tuple[int, int]:
        """Return the candidates for `labels`, and the cells they are among."""
        candidates = sum(white.get(label, 0) for label in labels) + unsure
        return candidates, max(self._recognised(labels, white) + counted, candidates)

    def _low(self, labels: Collection[str]) -> float:
        found = sum(self.white.get(label, 0) for label in labels)
        of = self._recognised(labels, self.white) + self.not_recognised.cells + self.unread
        if not found:
            return 0.0
        # No more cells can have been taken for the type than the reader named so.
        taken = min(self._taken_for(labels), sum(self._as_read.get(label, 0) for label in labels))
        return max(0.0, clopper_pearson(found, of)[0] - taken / of)

    def _taken_for(self, labels: Collection[str]) -> float:
        """Return the upper limit of false positives.

        These are cells of other types that were recognised as one of `labels`. All cells that seem to be of
        a type without measurement may be false positives.
        """
        if self.confusion is None:
            return 0.0  # a person labelled every cell
        rates = _drawn_rates(self.confusion)
        own = np.isin(self.confusion.read, list(labels))
        cells = np.array([self._expected(label) for label in self.confusion.labels])
        cells[np.isin(self.confusion.labels, list(labels))] = 0
        drawn = rates[:, :, own].sum(axis=2) @ cells
        strange = sum(
            self._expected(label) for label in self._unmeasured(self.confusion) if label not in labels
        )
        return float(np.quantile(drawn, (1 + CONFIDENCE) / 2)) + strange

    def _unmeasured(self, confusion: Confusion) -> set[str]:
        """Return types without held-out cells.

        Types that the reader cannot name are among them.
        """
        measured = {label for label, row in zip(confusion.labels, confusion.counts, strict=True) if sum(row)}
        return {*self.white, *self.not_recognised.expected} - measured - {UNCLASSIFIED}

    def _expected(self, label: str) -> float:
        """Return the expected number of a type's cells that nobody labelled."""
        return self._as_read.get(label, 0) + self.not_recognised.expected.get(label, 0.0)


@lru_cache(maxsize=4)
def _drawn_rates(confusion: Confusion) -> NDArray[np.float64]:
    """Draw confusion rates (DRAWS, K, R).

    K are the true types and R what a cell may be read as. Types without a held-out cell have rates of zero.
    """
    counts = np.array(confusion.counts, np.float64)
    weights = np.where(counts.sum(axis=1, keepdims=True) > 0, counts + PRIOR / counts.shape[1], 0)
    drawn = np.random.default_rng(SEED).standard_gamma(weights, (DRAWS, *counts.shape))
    total = drawn.sum(axis=2, keepdims=True)
    rates: NDArray[np.float64] = np.divide(drawn, total, out=np.zeros_like(drawn), where=total > 0)
    return rates
