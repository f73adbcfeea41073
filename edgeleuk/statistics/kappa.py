"""Agreement of two readers beyond chance."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from math import sqrt

NORMAL_975 = 1.959964
"""97.5 % point of the normal distribution."""


@dataclass(frozen=True, slots=True)
class Kappa:
    """Cohen's kappa with its 95 % interval.

    Cohen, A coefficient of agreement for nominal scales, Educational and Psychological Measurement 1960;20:37-46;
    the standard error is that of Fleiss, Cohen and Everitt, Large sample standard errors of kappa and weighted
    kappa, Psychological Bulletin 1969;72:323-327.
    """

    n: int
    """Number of cells that both labelled."""
    agreed: int
    """Number of cells with the same label."""
    kappa: float | None
    """1 for full agreement, 0 for that of chance; None if only one label occurs, or no cell."""
    low: float | None
    """Lower bound; None where there is no kappa."""
    high: float | None


def kappa(pairs: Iterable[tuple[str, str]]) -> Kappa:
    """Return the agreement of two readers.

    `pairs`: for each cell the label of the one and of the other.
    """
    counts = Counter(pairs)
    n = sum(counts.values())
    agreed = sum(count for (one, other), count in counts.items() if one == other)
    if not n:
        return Kappa(0, 0, None, None, None)
    ones: Counter[str] = Counter()
    others: Counter[str] = Counter()
    for (one, other), count in counts.items():
        ones[one] += count
        others[other] += count
    observed = agreed / n
    chance = sum(ones[label] * others[label] for label in ones) / n**2
    if chance == 1:
        return Kappa(n, agreed, None, None, None)
    value = (observed - chance) / (1 - chance)
    # Fleiss, Cohen and Everitt 1969, equation 13; the marginals of the one are rows, of the other columns.
    same = sum(
        counts[label, label] / n * ((1 - chance) - (ones[label] + others[label]) / n * (1 - observed)) ** 2
        for label in ones
    )
    different = sum(
        count / n * ((others[one] + ones[other]) / n) ** 2
        for (one, other), count in counts.items()
        if one != other
    )
    rest = (observed * chance - 2 * chance + observed) ** 2
    variance = (same + (1 - observed) ** 2 * different - rest) / (n * (1 - chance) ** 4)
    half = NORMAL_975 * sqrt(max(0.0, variance))
    return Kappa(n, agreed, value, max(-1.0, value - half), min(1.0, value + half))
