"""Comparison of the shares of sites and of slides.

The shares of many sites are compared with each other, and those of one site's slides with its earlier ones.

Sites differ by more than chance even where nothing is wrong: patients and stains differ, and the cells of a
slide are alike. Both comparisons therefore measure the spread before they call something unusual.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import ceil, sqrt

Counts = tuple[int, int]
"""A count, and among how many."""
WARNING_SDS, ALARM_SDS = 1.96, 3.09
"""Limits of 95 % and 99.8 %, in standard deviations.

Spiegelhalter 2005, as below.
"""
WINSORISED = 0.1
"""Share of the sites at either end that is drawn in before the spread is measured."""
LEAST_SITES = 5
"""Minimum number of sites with limits: the spread of fewer is not known."""
DRIFT_SDS = 3.0
"""Change of a site's share that is called drift, in standard deviations; Shewhart's limit."""
RECENT = 10
"""Number of last slides that are compared with the first ones."""
LEAST_FIRST, MOST_FIRST = 10, 30
"""Number of first slides that say how a site began: half of the earlier ones, within these."""
_RANGE_TO_SD = 1.128
"""Mean range of two normal values, in standard deviations."""


@dataclass(frozen=True, slots=True)
class Funnel:
    """Funnel plot of a share.

    Spiegelhalter, Funnel plots for comparing institutional performance, Statistics in Medicine 2005;
    24:1185-1202: limits around the common share by the number of cells, widened by the over-dispersion of the
    winsorised sites.
    """

    share: float
    """Common share of all sites, 0 to 1."""
    dispersion: float
    """Factor of the variance beyond that of chance, at least 1."""
    supported: bool
    """Whether there are sites enough for limits."""

    def limits(self, of: float, sds: float) -> tuple[float, float]:
        """Return the lower and upper limit of a site's share.

        Both are 0 to 1.

        Args:
            of: Number of cells or pictures of the site.
            sds: Distance in standard deviations.
        """
        half = sds * sqrt(self.dispersion * self.share * (1 - self.share) / of)
        return max(0.0, self.share - half), min(1.0, self.share + half)

    def deviation(self, counts: Counts) -> float | None:
        """Return how far a site's share is off, in standard deviations.

        None where nothing was counted, or all sites together have none or all.
        """
        count, of = counts
        error = sqrt(self.dispersion * self.share * (1 - self.share) / of) if of else 0.0
        return (count / of - self.share) / error if error else None


def funnel(sites: Sequence[Counts]) -> Funnel:
    """Return the funnel plot of sites.

    A site where nothing was counted takes no part.
    """
    counted = [(count, of) for count, of in sites if of]
    every = sum(of for _, of in counted)
    share = sum(count for count, _ in counted) / every if every else 0.0
    plain = Funnel(share, 1.0, supported=len(counted) >= LEAST_SITES)
    found = sorted(z for each in counted if (z := plain.deviation(each)) is not None)
    if not plain.supported or not found:
        return plain
    ends = ceil(WINSORISED * len(found))
    low, high = found[min(ends, len(found) // 2)], found[max(-1 - ends, -1 - len(found) // 2)]
    dispersion = sum(min(max(z, low), high) ** 2 for z in found) / len(found)
    return Funnel(share, max(1.0, dispersion), supported=True)


@dataclass(frozen=True, slots=True)
class Change:
    """Change of a site's share over its slides.

    The last slides are compared with the first ones.
    """

    before: Counts
    after: Counts
    deviation: float
    """Size of the change in standard deviations; positive for a rise."""
    spread: float
    """Spread of the first slides beyond that of chance, at least 1."""

    @property
    def is_drift(self) -> bool:
        """Whether it is more than the site's own spread explains."""
        return abs(self.deviation) > DRIFT_SDS


def change(slides: Sequence[Counts]) -> Change | None:
    """Compare a site's last slides with its first ones.

    The spread between slides is that of Laney's p' chart: the mean moving range of their standardised shares
    (Laney, Improved control charts for attributes, Quality Engineering 2002;14:531-537).

    Args:
        slides: Counts of the slides in the order of counting.

    Returns:
        The change; None where there are too few slides, or the first ones have none or all.
    """
    counted = [each for each in slides if each[1]]
    earlier, last = counted[:-RECENT], counted[-RECENT:]
    first = earlier[: max(LEAST_FIRST, min(MOST_FIRST, len(earlier) // 2))]
    if len(first) < LEAST_FIRST:
        return None
    before, after = _sum(first), _sum(last)
    share = before[0] / before[1]
    if not 0 < share < 1:
        return None
    z = [(count / of - share) / sqrt(share * (1 - share) / of) for count, of in first]
    ranges = [abs(b - a) for a, b in pairwise(z)]
    spread = max(1.0, sum(ranges) / len(ranges) / _RANGE_TO_SD)
    error = spread * sqrt(share * (1 - share) * (1 / before[1] + 1 / after[1]))
    return Change(before, after, (after[0] / after[1] - share) / error, spread)


def _sum(counts: Sequence[Counts]) -> Counts:
    return sum(count for count, _ in counts), sum(of for _, of in counts)
