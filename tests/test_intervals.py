"""Exact binomial statistics, against closed forms, exact fractions and high-precision sums."""

from __future__ import annotations

from decimal import Decimal, localcontext
from fractions import Fraction
from math import comb

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgeleuk.statistics.intervals import PerHundred, Share, binomial_tail, clopper_pearson, largest_explained


@st.composite
def counts(draw: st.DrawFn, most: int = 2000) -> tuple[int, int]:
    """A count and the number it is among."""
    n = draw(st.integers(1, most))
    return draw(st.integers(0, n)), n


def exact_tail(count: int, n: int, probability: Fraction) -> Fraction:
    """P(X >= count), summed in whole fractions."""
    rest = 1 - probability
    return sum((comb(n, k) * probability**k * rest ** (n - k) for k in range(count, n + 1)), Fraction(0))


def decimal_tail(count: int, n: int, probability: float) -> float:
    """P(X >= count) in 60 digits, term by term until terms no longer matter."""
    with localcontext() as context:
        context.prec = 60
        p = Decimal(probability)
        term = Decimal(comb(n, count)) * p**count * (1 - p) ** (n - count)
        total = Decimal(0)
        for k in range(count, n + 1):
            total += term
            term *= (n - k) * p / ((k + 1) * (1 - p))
            if term < total * Decimal("1e-30"):
                break
        return float(total)


def test_none_of_200_may_be_up_to_1_8_percent() -> None:
    """No cell in 200 leaves room for 1.8275 %: 1 - 0.025 ** (1 / 200)."""
    low, high = clopper_pearson(0, 200)
    assert low == 0
    assert high == pytest.approx(1 - 0.025 ** (1 / 200), rel=1e-12)
    assert round(100 * high, 4) == 1.8275


def test_all_of_200_may_be_down_to_98_2_percent() -> None:
    """All cells in 200 mirror none of them."""
    assert clopper_pearson(200, 200) == pytest.approx((0.025 ** (1 / 200), 1), rel=1e-12)


@pytest.mark.parametrize(
    ("count", "n", "low", "high"),
    [
        # The defining equations solved by sums of 40 digits.
        (3, 10, 0.06673951117773454, 0.652452850059997),
        (2, 200, 0.0012133490137360837, 0.0356546683972393),
        (30, 200, 0.10354952352186299, 0.2071587036685505),
        (50, 100_000, 0.00037113170178030994, 0.0006591351958732394),
        (50_000, 100_000, 0.49689606249176754, 0.5031039375082325),
    ],
)
def test_limits_are_exact_to_nine_digits(count: int, n: int, low: float, high: float) -> None:
    """Limits agree with values from 40-digit arithmetic, at 10 cells and at 100,000."""
    assert clopper_pearson(count, n) == pytest.approx((low, high), abs=1e-12)


@pytest.mark.parametrize(("count", "n"), [(3, 10), (37, 100), (1, 200), (199, 200), (700, 100_000)])
def test_limits_solve_their_equations(count: int, n: int) -> None:
    """At the lower limit so many or more have a chance of 2.5 %; at the upper, so few or fewer."""
    low, high = clopper_pearson(count, n)
    assert decimal_tail(count, n, low) == pytest.approx(0.025, rel=1e-9)
    assert decimal_tail(count + 1, n, high) == pytest.approx(0.975, rel=1e-9)


def test_of_no_cells_nothing_is_known() -> None:
    """The interval of 0 of 0 is everything."""
    assert clopper_pearson(0, 0) == (0, 1)


@pytest.mark.parametrize(("count", "n"), [(-1, 5), (6, 5)])
def test_an_impossible_count_is_refused(count: int, n: int) -> None:
    """A count outside 0 to n is a bug of the caller, said aloud."""
    with pytest.raises(ValueError, match=f"{count} is no count among {n}"):
        clopper_pearson(count, n)


@settings(deadline=None)
@given(counts())
def test_the_interval_holds_the_share(case: tuple[int, int]) -> None:
    """low <= share <= high, within 0 and 1."""
    count, n = case
    low, high = clopper_pearson(count, n)
    assert 0 <= low <= count / n <= high <= 1


@settings(deadline=None)
@given(counts())
def test_the_interval_is_symmetric(case: tuple[int, int]) -> None:
    """The interval of the cells that are not so mirrors that of the cells that are."""
    count, n = case
    low, high = clopper_pearson(count, n)
    assert clopper_pearson(n - count, n) == pytest.approx((1 - high, 1 - low), abs=1e-12)


@settings(deadline=None)
@given(counts(500))
def test_more_cells_raise_both_limits(case: tuple[int, int]) -> None:
    """One cell more of the same n moves both limits up."""
    count, n = case
    here, more = clopper_pearson(count, n), clopper_pearson(count + 1, n + 1)
    assert more[0] > here[0] or count == n
    assert clopper_pearson(count, n + 1)[1] < here[1]


@settings(deadline=None)
@given(counts(60), st.integers(1, 99))
def test_the_tail_is_the_sum_of_its_terms(case: tuple[int, int], hundredths: int) -> None:
    """The incomplete beta function gives the sum of binomial terms."""
    count, n = case
    exact = float(exact_tail(count, n, Fraction(hundredths, 100)))
    assert binomial_tail(count, n, hundredths / 100) == pytest.approx(exact, rel=1e-9, abs=1e-15)


def test_the_tail_of_a_hundred_thousand_is_accurate() -> None:
    """Among 100,000 the tail still has nine digits."""
    assert binomial_tail(1000, 100_000, 0.0095) == pytest.approx(
        decimal_tail(1000, 100_000, 0.0095), rel=1e-9
    )


def test_the_tail_at_its_ends() -> None:
    """None or more is certain, more than all impossible; so are they at probabilities 0 and 1."""
    assert binomial_tail(0, 10, 0.3) == 1
    assert binomial_tail(11, 10, 0.3) == 0
    assert binomial_tail(1, 10, 0.0) == 0
    assert binomial_tail(10, 10, 1.0) == 1


@settings(deadline=None)
@given(st.integers(0, 400), st.floats(0, 1))
def test_the_largest_explained_count_is_the_last(n: int, probability: float) -> None:
    """Chance explains that count and not the next."""
    count = largest_explained(n, probability, 0.01)
    assert binomial_tail(count, n, probability) >= 0.01
    assert binomial_tail(count + 1, n, probability) < 0.01


def test_a_share_is_in_percent() -> None:
    """30 of 200 are 15 %, from 10.355 to 20.716."""
    share = Share(30, 200)
    assert share.percent == 15
    assert (round(share.low, 3), round(share.high, 3)) == (10.355, 20.716)


@pytest.mark.parametrize(("count", "of"), [(0, 0), (3, 2), (-1, 2)])
def test_no_share_of_nothing(count: int, of: int) -> None:
    """A share needs cells, and no more than there are."""
    with pytest.raises(ValueError, match="is no share"):
        Share(count, of)


def test_per_hundred_is_odds_of_the_sum() -> None:
    """15 beside 200 are 7.5 per 100, and the limits are the odds of 15 in 215."""
    beside = PerHundred(15, 200)
    low, high = clopper_pearson(15, 215)
    assert beside.per_100 == 7.5
    assert beside.low == pytest.approx(100 * low / (1 - low))
    assert beside.high == pytest.approx(100 * high / (1 - high))


def test_per_hundred_may_exceed_a_hundred() -> None:
    """More nucleated red cells than white ones is a finding, not an error."""
    assert PerHundred(300, 100).per_100 == 300


def test_per_hundred_of_no_white_cells_has_no_upper_limit() -> None:
    """Without white cells only the lower limit is known."""
    beside = PerHundred(3, 0)
    assert (beside.per_100, beside.high) == (None, None)
    assert beside.low == pytest.approx(100 * 0.025 ** (1 / 3) / (1 - 0.025 ** (1 / 3)))
    assert PerHundred(0, 0).low == 0
