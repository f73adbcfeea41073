"""Correction of a slide's proportions for the reader's confusion.

It estimates what the slide holds from what the reader named. A reader that takes 2 % of the lymphocytes for
blasts finds blasts on every slide. Its errors were measured on held-out cells of known type, so they can be
taken out again: the true shares are those that make the cells as read most likely, given the measured
confusion. They are found by expectation maximization (Saerens, Latinne and Decaestecker, Adjusting the
outputs of a classifier to new a priori probabilities, Neural Computation 2002;14:21-41), here on the names
that a tally stores, not on probabilities. For two types this is the estimate of Rogan and Gladen (Am J
Epidemiol 1978;107:71-76); unlike theirs it is held within 0 to 1.

Three decisions avoid inventing cells:

- **Unclassified cells are no evidence of a type.** A blurred slide has many of them, of every type. Weighed
  with the rest they would be taken for the types that the reader names least often: a simulated healthy
  slide with two fifths of its cells unclassified came out at 27 % promyelocytes. So the shares are
  estimated among the named cells, and each type is then divided by how often the reader names it at all. If
  no cell is named, nothing is estimated.
- **A type without measurement stays as it was read**, less what the measured errors on other types explain.
  Its cells are taken as read right and as named as often as the slide's others: it is not dropped, and
  never raised. `Estimate.measured` is False then, because nobody knows how many such cells are missed.
- **Nothing seen does not mean nothing there.** The upper end of every interval counts one more cell than
  was seen, as that of Clopper and Pearson does, of the type that is missed most often; the lower end counts
  one more of the others.

All cells read are included, also those outside the differential's denominator, because a blast may be read
as a smudge cell. Shares are then given of the white cells, which are those inside the denominator.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgeleuk.statistics.intervals import CONFIDENCE
from edgeleuk.types import UNCLASSIFIED

MIN_CELLS = 20
"""Minimum number of named held-out cells per type.

With fewer the errors of the type count as not measured. This project's choice: of 20 cells without an error
the rate may still be 17 % (Clopper and Pearson).
"""

PRIOR = 0.5
"""Prior cells per confusion row.

They are added when the confusion is drawn again, spread evenly over its columns. Small against the 20 cells
or more that were counted: an error never seen can be drawn, and stays rare.
"""

DRAWS = 500
SEED = 2002
"""Seed of all draws.

The same count gives the same interval.
"""

ROUNDS = 5000
DRAW_ROUNDS = 100
"""Maximum number of rounds of the estimation.

20 to 50 are usual.
"""
TOLERANCE = 1e-10
DRAW_TOLERANCE = 1e-6
"""Maximum change of a share at convergence."""

SHARE_DECIMALS = 9
"""Decimals to which shares are rounded before cells are drawn."""
NOTHING = 0.01
"""Number of cells below which a type is absent.

The estimation approaches zero and never reaches it.
"""


@dataclass(frozen=True, slots=True)
class Confusion:
    """Held-out cells by true and read type."""

    of: str
    """Description of the held-out cells."""
    labels: tuple[str, ...]
    """True types (rows)."""
    read: tuple[str, ...]
    """Types the reader can name (columns), and "unclassified".

    All of `labels` are among them.
    """
    counts: tuple[tuple[int, ...], ...]
    """Number of cells by row, each as long as `read`."""

    def __post_init__(self) -> None:
        if not {*self.labels} <= {*self.read} - {UNCLASSIFIED}:
            raise ValueError("a confusion has true types that its reader cannot name")
        if len(self.counts) != len(self.labels) or any(len(row) != len(self.read) for row in self.counts):
            raise ValueError(f"a confusion is not {len(self.labels)} rows of {len(self.read)} counts")

    @classmethod
    def from_cells(
        cls,
        of: str,
        labels: Sequence[str],
        truth: NDArray[np.int64],
        read: NDArray[np.int64],
        accepted: NDArray[np.bool_],
    ) -> Confusion:
        """Count the confusion of N cells.

        Args:
            of: Description of the cells.
            labels: Types that `truth` and `read` refer to.
            truth: (N,) index of the true type.
            read: (N,) index of the best type as read.
            accepted: (N,) False for unclassified cells.
        """
        column = np.where(accepted, read, len(labels))
        counts = np.zeros((len(labels), len(labels) + 1), np.int64)
        np.add.at(counts, (truth, column), 1)
        return cls(of, tuple(labels), (*labels, UNCLASSIFIED), tuple(tuple(row) for row in counts.tolist()))

    def as_json(self) -> dict[str, Any]:
        """Return the content of reader.confusion in model.json."""
        return {
            "of": self.of,
            "labels": list(self.labels),
            "read": list(self.read),
            "counts": [list(row) for row in self.counts],
        }


@dataclass(frozen=True, slots=True)
class Estimate:
    """A corrected share with its 95 % interval.

    It is in percent of the white cells. For labels outside the denominator it is the number per 100 white
    cells, which may exceed 100.
    """

    percent: float
    low: float
    high: float
    measured: bool
    """Whether the reader's errors were measured.

    False if those on one of the types were not: how many cells it misses is unknown.
    """


@dataclass(frozen=True, slots=True)
class Correction:
    """Estimated true composition of a slide.

    It includes DRAWS draws of what else the composition might be.
    """

    labels: tuple[str, ...]
    """K cell types."""
    inside: NDArray[np.bool_]
    """(K,) whether the denominator includes the type."""
    measured: NDArray[np.bool_]
    """(K,) whether the reader's errors were measured."""
    rates: NDArray[np.float64]
    """(K, K) confusion rates.

    How often a cell of the row's type is named as the column's, 0 to 1; 1 minus a row's sum is the rate of
    unclassified cells.
    """
    cells: NDArray[np.float64]
    """(K,) estimated true cells, including unclassified ones."""
    drawn: NDArray[np.float64]
    """(DRAWS, K) estimated true cells of each draw."""

    def of(self, labels: Iterable[str]) -> Estimate | None:
        """Return the combined share of `labels`.

        The result is None if none of them is known or there are no white cells.

        Raises:
            ValueError: Some of `labels` are inside the denominator and some outside.
        """
        chosen = np.isin(self.labels, list(labels))
        white = float(self.cells[self.inside].sum())
        if not chosen.any() or white <= 0:
            return None
        inside = bool(self.inside[chosen].all())
        if not inside and self.inside[chosen].any():
            raise ValueError(f"{list(labels)} are on both sides of the denominator")
        percent = 100 * float(self.cells[chosen].sum()) / white
        low, high = self._interval(chosen, inside)
        return Estimate(percent, min(low, percent), max(high, percent), bool(self.measured[chosen].all()))

    def _interval(self, chosen: NDArray[np.bool_], inside: bool) -> tuple[float, float]:
        """Return the interval of a share, percent.

        The upper end adds one cell: a count of c has the upper limit Gamma(c + 1), which is c drawn again
        plus one exponential draw. One cell named as one of the chosen types stands for 1 / detected true
        cells. The lower end adds one cell to the others in the same way; else a slide of one type would
        have no uncertainty.
        """
        detected = float(self.rates[np.ix_(chosen, chosen)].sum(axis=1).min())
        one = _exponential(len(self.drawn))
        more = one / detected
        some, white = self.drawn[:, chosen].sum(axis=1), self.drawn[:, self.inside].sum(axis=1)
        tail = (1 - CONFIDENCE) / 2
        lower = some / np.maximum(white + one * inside, NOTHING)
        upper = (some + more) / np.maximum(white + more * inside, NOTHING)
        # The quantile's lower neighbour; counted from the other end it is the upper quantile's upper neighbour.
        lowest = int(tail * (len(lower) - 1))
        return 100 * float(np.sort(lower)[lowest]), 100 * float(np.sort(upper)[-1 - lowest])


@cache
def _exponential(draws: int) -> NDArray[np.float64]:
    """Draw (draws,) standard exponential values."""
    return np.random.default_rng(SEED).standard_exponential(draws)


def correct(
    white: Mapping[str, int], confusion: Confusion, outside: Iterable[str], labels: Iterable[str] = ()
) -> Correction | None:
    """Estimate the true composition behind cells as read.

    The interval comes from a parametric bootstrap: DRAWS times both the readings (multinomial, from the
    fitted shares) and the rows of the confusion (Dirichlet, from its counts and PRIOR) are drawn again and
    estimated anew.

    Args:
        white: Number of cells by label as read.
        confusion: Measured confusion of the reader.
        outside: Labels outside the denominator.
        labels: Further types that the reader can name.

    Returns:
        The correction; None if no cell was named.
    """
    names = tuple(n for n in dict.fromkeys([*labels, *white, *confusion.read]) if n != UNCLASSIFIED)
    readings = np.array([white.get(name, 0) for name in names], np.float64)
    if not readings.sum():
        return None
    counts, measured = _counts(names, confusion)
    rates = counts / counts.sum(axis=1, keepdims=True)
    rows, named = _split(rates)
    shares = maximum_likelihood(readings, rows, ROUNDS, TOLERANCE)
    drawn_rows, drawn_named = _drawn(names, confusion)
    total = int(readings.sum())
    drawn = _readings_drawn(total, shares @ rows)
    # Columns without a reading in any draw do not affect the estimation, and are left out.
    seen = drawn.any(axis=0)
    drawn_shares = maximum_likelihood(drawn[:, seen], drawn_rows[..., seen], DRAW_ROUNDS, DRAW_TOLERANCE)
    cells = _undo_rejection(total * shares, named, measured)
    rates[~measured] *= total / cells.sum()
    return Correction(
        labels=names,
        inside=~np.isin(names, list(outside)),
        measured=measured,
        rates=rates[:, :-1],
        cells=cells,
        drawn=_undo_rejection(total * drawn_shares, drawn_named, measured),
    )


def _readings_drawn(total: int, weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """Draw DRAWS slides of as many cells as were read.

    Shares are rounded first. Their last bits differ between processors, and a draw from a multinomial
    distribution branches on them: where types have equal shares, and after the last type of any share.

    Args:
        total: Number of cells of a slide.
        weights: (K,) weights of the types, as read.

    Returns:
        Numbers of cells (DRAWS, K).
    """
    rounded = np.round(weights / weights.sum(), SHARE_DECIMALS)
    likely = rounded > 0
    drawn = np.zeros((DRAWS, len(weights)))
    shares = rounded[likely] / math.fsum(rounded)
    drawn[:, likely] = np.random.default_rng(SEED).multinomial(total, shares, DRAWS)
    return drawn


@lru_cache(maxsize=4)
def _drawn(names: tuple[str, ...], confusion: Confusion) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Draw DRAWS confusions over `names`.

    They are split as by `_split`, and the same for every count of a session.
    """
    counts, measured = _counts(names, confusion)
    weights = np.where(measured[:, None], counts + PRIOR / counts.shape[1], counts)
    return _split(np.random.default_rng(SEED + 1).standard_gamma(weights, (DRAWS, *counts.shape)))


def maximum_likelihood(
    readings: NDArray[np.float64], rows: NDArray[np.float64], rounds: int, tolerance: float
) -> NDArray[np.float64]:
    """Estimate type shares (..., K) by maximum likelihood.

    Each round distributes every reading among the types by how likely each gave it, and takes the sums as
    the new shares (expectation maximization of a mixture with known components; the likelihood has one
    maximum at most). Types of less than NOTHING cells are set to zero.

    Args:
        readings: (..., R) number of cells by type as read. Every reading needs a type that can give it.
        rows: (..., K, R) rate at which type k is read as r.
        rounds: Maximum number of rounds.
        tolerance: Change of a share per round that ends the estimation.
    """
    total = readings.sum(axis=-1, keepdims=True)
    types, read = rows.shape[-2:]
    # Many small problems at once: with the problems on the last axis, sums over types are vectorized along it.
    observed = (readings / total).reshape(-1, read).T
    each = np.ascontiguousarray(np.moveaxis(rows.reshape(-1, types, read), 0, -1))
    found = np.full((types, observed.shape[1]), 1 / types)
    for _ in range(rounds):
        expected = np.einsum("kn,krn->rn", found, each)
        ratio = np.divide(observed, expected, out=np.zeros_like(observed), where=expected > 0)
        before, found = found, found * np.einsum("rn,krn->kn", ratio, each)
        if np.abs(found - before).max() < tolerance:
            break
    shares = found.T.reshape(rows.shape[:-1])
    shares = np.where(shares * total < NOTHING, 0, shares)
    result: NDArray[np.float64] = shares / shares.sum(axis=-1, keepdims=True)
    return result


def _counts(names: tuple[str, ...], confusion: Confusion) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Return confusion counts, and which were measured.

    The counts are (K, K + 1), the last column unclassified; the second result is (K,). Rows without
    measurement are taken as always read right. A type never read right counts as not measured.
    """
    columns = {name: i for i, name in enumerate([*names, UNCLASSIFIED])}
    where = [columns[name] for name in confusion.read]
    counts = np.zeros((len(names), len(names) + 1))
    for label, row in zip(confusion.labels, confusion.counts, strict=True):
        counts[columns[label], where] = row
    measured = (counts[:, :-1].sum(axis=1) >= MIN_CELLS) & (counts.diagonal() > 0)
    counts[~measured] = np.eye(*counts.shape)[~measured]
    return counts, measured


def _split(weights: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Split weights into named rates and shares.

    The weights are (..., K, K + 1), the rates (..., K, K) and the shares (..., K).
    """
    named = weights[..., :-1].sum(axis=-1)
    return weights[..., :-1] / named[..., None], named / weights.sum(axis=-1)


def _undo_rejection(
    cells: NDArray[np.float64], named: NDArray[np.float64], measured: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """Scale named cells (..., K) to all cells.

    Types without measurement are taken as named as often as the slide's others.
    """
    there = cells / named
    before, after = (part[..., measured].sum(axis=-1, keepdims=True) for part in (cells, there))
    typical = np.divide(after, before, out=np.ones_like(after), where=before > 0)
    result: NDArray[np.float64] = np.where(measured, there, cells * typical)
    return result
