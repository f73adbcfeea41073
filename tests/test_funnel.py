"""Funnel plots and changes of shares: exact values, and what is called unusual."""

from __future__ import annotations

import random
from math import sqrt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeleuk.statistics.funnel import ALARM_SDS, LEAST_FIRST, RECENT, Funnel, change, funnel

counts = st.tuples(st.integers(0, 300), st.integers(0, 300)).map(lambda n: (n[0], n[0] + n[1]))


def test_limits_are_those_of_the_normal_approximation() -> None:
    """20 % of 100 with no spread beyond chance: 20 +- 1.96 x 4."""
    found = Funnel(0.2, 1.0, supported=True)
    assert found.limits(100, 1.96) == pytest.approx((0.1216, 0.2784))
    assert found.limits(4, 3.09) == (0.0, pytest.approx(0.818))
    assert found.deviation((28, 100)) == pytest.approx(2.0)
    assert Funnel(0.2, 4.0, supported=True).deviation((28, 100)) == pytest.approx(1.0)


def test_the_spread_of_the_sites_widens_the_limits() -> None:
    """By the mean square of their deviations, the outer tenth drawn in."""
    sites = [(10, 100), (30, 100)] * 5 + [(20, 100)] * 2
    found = funnel(sites)
    assert found.share == pytest.approx(0.2)
    assert found.dispersion == pytest.approx(10 * 6.25 / 12)


def test_one_odd_site_does_not_widen_its_own_limits() -> None:
    """It is drawn in before the spread is measured."""
    sites = [(10 + place % 3, 100) for place in range(20)] + [(60, 100)]
    found = funnel(sites)
    assert found.dispersion < 2
    assert (found.deviation((60, 100)) or 0) > ALARM_SDS


def test_few_sites_have_no_limits() -> None:
    """And sites where nothing was counted take no part."""
    assert not funnel([(1, 10)] * 4 + [(0, 0)] * 9).supported
    assert funnel([(1, 10)] * 5).supported
    assert funnel([]) == Funnel(0.0, 1.0, supported=False)


@given(st.lists(counts, max_size=30))
def test_any_counts_give_limits_around_the_common_share(sites: list[tuple[int, int]]) -> None:
    """Whatever the order of the sites."""
    found = funnel(sites)
    low, high = found.limits(50, ALARM_SDS)
    assert 0 <= low <= found.share <= high <= 1
    assert found.dispersion >= 1
    again = funnel(sites[::-1])
    assert again.dispersion == pytest.approx(found.dispersion)


def test_a_change_is_measured_in_the_spread_of_the_first_slides() -> None:
    """Slides of 10 and 30 % in turn: moving ranges of 5 SD, of which 1.128 are one."""
    first = [(10, 100), (30, 100)] * (LEAST_FIRST // 2)
    found = change([*first, *[(50, 100)] * RECENT])
    assert found is not None
    assert (found.before, found.after) == ((200, 1000), (500, 1000))
    assert found.spread == pytest.approx(5 / 1.128)
    assert found.deviation == pytest.approx(0.3 / (5 / 1.128 * sqrt(0.16 * 2 / 1000)))
    assert found.is_drift


def test_too_few_slides_say_nothing() -> None:
    """Nor do slides where nothing was counted, nor first ones without a single cell of the kind."""
    assert change([(10, 100)] * (LEAST_FIRST + RECENT - 1)) is None
    assert change([(10, 100)] * 15 + [(0, 0)] * 30) is None
    assert change([(0, 100)] * 15 + [(50, 100)] * 15) is None
    assert change([]) is None


def test_a_steady_site_seldom_drifts() -> None:
    """Of 200 sites whose slides differ by more than chance, few; Shewhart's limit promises 1 of 370 of normal values."""
    rng = random.Random(5)
    drifts = 0
    for _ in range(200):
        shares = [max(0.01, rng.gauss(0.1, 0.03)) for _ in range(60)]
        slides = [(sum(rng.random() < share for _ in range(200)), 200) for share in shares]
        found = change(slides)
        drifts += found is not None and found.is_drift
    assert drifts <= 6
