"""Exact statistics of counts: Clopper-Pearson interval and binomial tail.

They need no scipy. Both rest on one identity: for X ~ Binomial(n, p), P(X >= c) = I_p(c, n - c + 1), the
regularized incomplete beta function (Abramowitz and Stegun, Handbook of Mathematical Functions, 1964,
26.5.24).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from math import exp, expm1, lgamma, log, log1p

CONFIDENCE = 0.95
MANY = 100_000
"""Trials that approximate a Poisson count.

Among so many a binomial count is a Poisson one to a ten-thousandth.
"""
_ROUNDING = 1e-15
_TINY = 1e-300


@dataclass(frozen=True, slots=True)
class Share:
    """A count among `of` cells.

    The percentage and its exact 95 % interval follow from the two numbers, 0 to 100.
    """

    count: int
    of: int

    def __post_init__(self) -> None:
        if not 0 <= self.count <= self.of or self.of == 0:
            raise ValueError(f"{self.count} of {self.of} cells is no share")

    @property
    def percent(self) -> float:
        return 100 * self.count / self.of

    @property
    def low(self) -> float:
        return 100 * clopper_pearson(self.count, self.of)[0]

    @property
    def high(self) -> float:
        return 100 * clopper_pearson(self.count, self.of)[1]


@dataclass(frozen=True, slots=True)
class PerHundred:
    """Cells counted per 100 white cells.

    These cells are counted beside the white cells; unlike a share the number may exceed 100.

    The interval is exact given the sum of both counts: the cells beside are then a binomial part of that
    sum, and its Clopper-Pearson limits turn into odds (Przyborowski and Wilenski, Homogeneity of results in
    testing samples from Poisson series, Biometrika 1940;31:313-323).
    """

    count: int
    white: int

    @property
    def per_100(self) -> float | None:
        """Number per 100; None without white cells."""
        return 100 * self.count / self.white if self.white else None

    @property
    def low(self) -> float:
        part = clopper_pearson(self.count, self.count + self.white)[0]
        return 100 * part / (1 - part)

    @property
    def high(self) -> float | None:
        """Upper limit; None (no limit) without white cells."""
        part = clopper_pearson(self.count, self.count + self.white)[1]
        return 100 * part / (1 - part) if self.white else None


@lru_cache(maxsize=512)  # for a few differentials: a view repeats them until a field is counted
def clopper_pearson(count: int, n: int, confidence: float = CONFIDENCE) -> tuple[float, float]:
    """Return the exact two-sided interval of a proportion.

    Clopper and Pearson, The use of confidence or fiducial limits illustrated in the case of the binomial,
    Biometrika 1934;26:404-413.

    Args:
        count: Number of successes.
        n: Number of trials.
        confidence: Confidence level, 0 to 1.

    Returns:
        (low, high), 0 to 1. It is (0, 1) for no cells: nothing is known.

    Raises:
        ValueError: Not 0 <= count <= n.
    """
    if not 0 <= count <= n:
        raise ValueError(f"{count} is no count among {n}")
    if n == 0:
        return 0.0, 1.0
    return _lower_limit(count, n, (1 - confidence) / 2), 1 - _lower_limit(n - count, n, (1 - confidence) / 2)


def poisson(count: int, confidence: float = CONFIDENCE) -> tuple[float, float]:
    """Return the exact two-sided interval of a Poisson mean.

    Garwood, Fiducial limits for the Poisson distribution, Biometrika 1936;28:437-442. It is computed as
    that of a binomial count among so many trials that it makes no difference.
    """
    low, high = clopper_pearson(count, count + MANY, confidence)
    return low / (1 - low) * MANY, high / (1 - high) * MANY


def binomial_tail(count: int, n: int, probability: float) -> float:
    """Return P(X >= count) for X ~ Binomial(n, probability).

    It is how often chance alone gives so many, or more.

    Args:
        count: Number of successes.
        n: Number of trials.
        probability: Success probability of a trial, 0 to 1.
    """
    if count <= 0:
        return 1.0
    if count > n:
        return 0.0
    return _incomplete_beta(float(count), float(n - count + 1), probability)


def largest_explained(n: int, probability: float, p_value: float) -> int:
    """Return the largest count that chance explains.

    Chance reaches or passes it with a probability of at least `p_value`.

    Args:
        n: Number of trials.
        probability: Success probability of a trial, 0 to 1.
        p_value: Minimum probability of reaching the count.
    """
    low, high = 0, n + 1
    while high - low > 1:
        middle = (low + high) // 2
        if binomial_tail(middle, n, probability) >= p_value:
            low = middle
        else:
            high = middle
    return low


def _lower_limit(count: int, n: int, tail: float) -> float:
    """Return the proportion whose binomial tail is `tail`.

    With it, `count` or more among `n` have exactly that probability.
    """
    if count == 0:
        return 0.0
    if count == n:
        return exp(log(tail) / n)
    if count == 1:
        return -expm1(log1p(-tail) / n)
    return _bisect(lambda proportion: binomial_tail(count, n, proportion) - tail, 0.0, count / n)


def _bisect(rising: Callable[[float], float], low: float, high: float) -> float:
    """Return the root of a rising function.

    It lies between `low` and `high`, and is exact to the last bit.
    """
    while low < (middle := (low + high) / 2) < high:
        if rising(middle) < 0:
            low = middle
        else:
            high = middle
    return high


def _incomplete_beta(a: float, b: float, x: float) -> float:
    """Return I_x(a, b) for 0 <= x <= 1.

    It is computed by the continued fraction on its quickly converging side. DLMF (NIST Digital Library of
    Mathematical Functions) 8.17.4 for the symmetry, 8.17.22 for the fraction.
    """
    if x <= 0 or x >= 1:
        return float(x >= 1)
    front = exp(lgamma(a + b) - lgamma(a) - lgamma(b) + a * log(x) + b * log1p(-x))
    if x < (a + 1) / (a + b + 2):
        return front / (a * _fraction(a, b, x))
    return 1 - front / (b * _fraction(b, a, 1 - x))


def _fraction(a: float, b: float, x: float) -> float:
    """Return the continued fraction of DLMF 8.17.23.

    It is 1 + d1/(1 + d2/(1 + ...)), by Lentz's method as modified by Thompson and Barnett (Coulomb and
    Bessel functions of complex arguments and order, J Comput Phys 1986;64:490-509). It takes about
    sqrt(max(a, b)) rounds.
    """
    value = numerator = 1.0
    denominator, rounds = 0.0, 0
    while True:
        rounds += 1
        m = rounds // 2
        if rounds % 2:
            step = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        else:
            step = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        denominator = 1 / ((1 + step * denominator) or _TINY)
        numerator = (1 + step / numerator) or _TINY
        value *= numerator * denominator
        if abs(numerator * denominator - 1) < _ROUNDING:
            return value
