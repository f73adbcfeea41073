"""Blast-likeness of a slide, compared with healthy slides.

It is the sum of its cells' probabilities of blast-like types.

A reader that half recognises blasts names none of them, because each alone is below its threshold. Together
they add up: the sum over all white cells is compared with its distribution on healthy slides of as many
cells. Such a slide is drawn cell by cell from held-out mature cells, in the proportions of a healthy adult;
`publish` measures how blast-like these are, and the distribution of the sum is their N-fold convolution,
which is exact for cells that are drawn independently.

Slides of one foreign laboratory are not drawn independently: if its cells are more blast-like than the mean
of those that were measured, more of its healthy slides reach the limit than its name says.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from edgeleuk.statistics.intervals import clopper_pearson

STEP = 0.01
"""Grid step of probability sums.

A probability between two steps is divided between them so that its mean stays.
"""
MOST_CELLS = 20_000
"""Maximum number of cells in a sum.

The sum of more cells is compared as if there were so many, with the same mean.
"""


@dataclass(frozen=True, slots=True)
class HealthyCells:
    """Blast-likeness of single cells of healthy slides."""

    of: str
    """Description of the cells."""
    probabilities: tuple[float, ...]
    """Probabilities of the blast-like types together, 0 to 1."""
    shares: tuple[float, ...]
    """Share of the cells by probability, summing to 1."""
    not_recognised: float = 0.0
    """Share of cells below the reader's threshold, 0 to 1."""

    def __post_init__(self) -> None:
        if len(self.probabilities) != len(self.shares) or not self.shares:
            raise ValueError("healthy cells have not as many probabilities as shares")
        if not all(0 <= each <= 1 for each in (*self.probabilities, *self.shares)):
            raise ValueError("a probability or share of healthy cells is not between 0 and 1")
        if abs(sum(self.shares) - 1) > 1e-3:
            raise ValueError(f"the shares of healthy cells add up to {sum(self.shares):g}, not 1")


@dataclass(frozen=True, slots=True)
class BlastLikeness:
    """Blast-likeness of a slide's white cells together."""

    cells: int
    sum: float
    """Sum of the cells' probabilities of blast-like types.

    It is the approximate number of blasts.
    """
    doubted: float
    """Part of `sum` from cells not recognised."""
    expected: float
    """Mean of the sum on healthy slides.

    The slides have as many cells.
    """
    limit: float
    """Sum exceeded by the share `p_value` of healthy slides."""

    @property
    def percent(self) -> float:
        """Mean probability of the cells, percent."""
        return 100 * self.sum / self.cells if self.cells else 0.0


def suitable(healthy: Sequence[HealthyCells], unsure: int, cells: int) -> HealthyCells | None:
    """Choose the healthy cells to compare with.

    They are those that the reader recognises as well as the cells of the slide.

    Args:
        healthy: Cells of the reader's own laboratory first, then of laboratories that it never saw, where
            healthy cells are more like blasts to it. Those are used if the slide is recognised surely worse
            than at home.
        unsure: Number of the slide's cells that were not recognised.
        cells: Number of the slide's cells.

    Returns:
        The healthy cells; None if there are none.
    """
    low, _ = clopper_pearson(unsure, cells)
    return next((each for each in healthy if low <= each.not_recognised), healthy[-1] if healthy else None)


def compare(
    summed: float, doubted: float, cells: int, healthy: HealthyCells, p_value: float
) -> BlastLikeness:
    """Compare a slide's blast-likeness with healthy slides.

    The healthy slides have as many cells.

    Args:
        summed: Sum of the cells' probabilities of blast-like types.
        doubted: Part of the sum from cells that were not recognised.
        cells: Number of the slide's white cells.
        healthy: Cells that healthy slides are drawn from.
        p_value: Share of healthy slides that pass the limit.
    """
    many = max(cells / MOST_CELLS, 1.0)
    expected = cells * float(np.dot(healthy.probabilities, healthy.shares)) / sum(healthy.shares)
    least = many * limit(healthy, min(cells, MOST_CELLS), p_value)
    return BlastLikeness(cells, summed, doubted, expected, least)


@lru_cache(maxsize=64)
def limit(healthy: HealthyCells, cells: int, p_value: float) -> float:
    """Return the sum that few healthy slides reach.

    Args:
        healthy: Cells that healthy slides are drawn from.
        cells: Number of cells of a slide.
        p_value: The probability of reaching the sum is less than this.
    """
    if cells == 0:
        return 0.0
    size = round(cells / STEP) + 2
    transformed = np.fft.rfft(_on_grid(healthy), 1 << (size - 1).bit_length())
    chances = np.fft.irfft(transformed**cells)[:size]
    reached = np.cumsum(chances[::-1])[::-1]  # by step, the probability of this sum or more
    return STEP * int(np.argmax(reached < p_value))


def _on_grid(healthy: HealthyCells) -> NDArray[np.float64]:
    """Return the probability of each step per cell."""
    grid = np.zeros(round(1 / STEP) + 2)
    steps = np.array(healthy.probabilities) / STEP
    below = np.floor(steps).astype(int)
    shares = np.array(healthy.shares) / sum(healthy.shares)
    np.add.at(grid, below, shares * (1 - (steps - below)))
    np.add.at(grid, below + 1, shares * (steps - below))
    return grid
