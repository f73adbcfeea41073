"""Blast-likeness: the sum of probabilities against healthy slides of as many cells."""

from __future__ import annotations

import itertools
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgeleuk.models import registry
from edgeleuk.statistics.intervals import binomial_tail, clopper_pearson
from edgeleuk.statistics.likeness import (
    MOST_CELLS,
    STEP,
    BlastLikeness,
    HealthyCells,
    compare,
    limit,
    suitable,
)


def cells(*each: tuple[float, float]) -> HealthyCells:
    """Of pairs of a probability and the share of the cells that have it."""
    return HealthyCells(
        "cells of a test", tuple(probability for probability, _ in each), tuple(share for _, share in each)
    )


def all_or_nothing(share: float) -> HealthyCells:
    """Cells of which `share` are surely blasts, and the others surely not."""
    return cells((0.0, 1 - share), (1.0, share))


@pytest.mark.parametrize("number", [1, 20, 200, 1000])
@pytest.mark.parametrize("share", [0.005, 0.05, 0.5])
@pytest.mark.parametrize("p_value", [0.02, 0.001])
def test_the_limit_of_sure_readings_is_the_binomial_one(number: int, share: float, p_value: float) -> None:
    """Sums are whole numbers then, and the limit is a step above the last that chance reaches as often as `p_value`."""
    explained = max(count for count in range(number + 1) if binomial_tail(count, number, share) >= p_value)
    assert limit(all_or_nothing(share), number, p_value) == pytest.approx(explained + STEP)


def test_the_limit_is_that_of_every_slide_there_can_be() -> None:
    """Six cells of three kinds: 729 slides, added up one by one."""
    kinds = ((0.0, 0.7), (0.25, 0.2), (0.8, 0.1))
    slides = [
        (math.fsum(p for p, _ in slide), math.prod(share for _, share in slide))
        for slide in itertools.product(kinds, repeat=6)
    ]

    def reached(at: float) -> float:
        return math.fsum(chance for summed, chance in slides if summed >= at - 1e-9)

    for p_value in (0.2, 0.02, 0.002):
        found = limit(cells(*kinds), 6, p_value)
        assert reached(found) < p_value <= reached(found - STEP)


def test_a_probability_between_two_steps_keeps_its_mean() -> None:
    """Cells that are all 0.004 blasts are shared out to 0 and 0.01: their sum of 1000 is 4, and a little more by chance."""
    assert 4 < limit(cells((0.004, 1.0)), 1000, 0.02) < 4.5
    sharp = cells((0.25, 1.0))
    assert limit(sharp, 8, 0.02) == pytest.approx(2 + STEP)


def test_slides_of_cells_that_are_never_blast_like_have_hardly_a_limit() -> None:
    """One step; of no cells none."""
    never = all_or_nothing(0.0)
    assert limit(never, 500, 0.02) == STEP
    assert limit(never, 0, 0.02) == 0


@pytest.mark.parametrize("magnification", ["100x", "40x", "10x"])
def test_the_limit_rises_with_cells_and_with_certainty(magnification: str) -> None:
    """Of each model that ships; it stays above the mean, and falls relative to it from ten cells on.

    A cell that is rarer than the level is in no limit of one cell, and in that of ten: there it may rise.
    """
    numbers = (1, 10, 100, 200, 400, 1000, 5000)
    for healthy in registry.load(magnification).reader.healthy:
        limits = [limit(healthy, number, 0.02) for number in numbers]
        assert limits == sorted(limits)
        assert len({*limits}) == len(limits)
        each = [high / number for number, high in zip(numbers, limits, strict=True)]
        assert each[1:] == sorted(each[1:], reverse=True)
        for number, high in zip(numbers, limits, strict=True):
            assert compare(0.0, 0.0, number, healthy, 0.02).expected < high <= number + STEP
            assert limit(healthy, number, 0.001) >= high


@settings(deadline=None, max_examples=50)
@given(st.lists(st.tuples(st.floats(0, 1), st.floats(0.01, 1)), min_size=1, max_size=8), st.integers(0, 300))
def test_a_limit_is_no_more_than_all_cells_together(parts: list[tuple[float, float]], number: int) -> None:
    """And never below nothing, whatever the healthy cells are."""
    total = sum(share for _, share in parts)
    healthy = cells(*((probability, share / total) for probability, share in parts))
    most = max(probability for probability, _ in parts)
    assert 0 <= limit(healthy, number, 0.02) <= number * (most + STEP) + STEP


def test_a_limit_is_computed_once() -> None:
    """A live count asks for it after each field; equal healthy cells are the same ones."""
    limit.cache_clear()
    first = limit(all_or_nothing(0.01), 123, 0.02)
    assert limit(all_or_nothing(0.01), 123, 0.02) == first
    assert (limit.cache_info().hits, limit.cache_info().misses) == (1, 1)


HOME = HealthyCells("home", (0.0,), (1.0,), 0.05)
ELSEWHERE = HealthyCells("elsewhere", (0.0,), (1.0,), 0.2)


@pytest.mark.parametrize(
    ("unsure", "beside"),
    [(0, HOME), (16, HOME), (17, ELSEWHERE), (40, ELSEWHERE), (200, ELSEWHERE)],
)
def test_a_slide_is_compared_with_cells_that_are_recognised_as_well(
    unsure: int, beside: HealthyCells
) -> None:
    """Those of home, unless surely more than 5 % were not recognised: of 200 cells 17; then those of elsewhere."""
    assert clopper_pearson(16, 200)[0] < 0.05 < clopper_pearson(17, 200)[0]
    assert suitable((HOME, ELSEWHERE), unsure, 200) == beside


def test_the_only_healthy_cells_are_those_to_compare_with() -> None:
    """However little of a slide was recognised; without any there are none."""
    assert suitable((HOME,), 200, 200) == HOME
    assert suitable((), 0, 200) is None


def test_a_slide_is_compared_with_as_many_healthy_cells() -> None:
    """Of 200 cells, 2 % of them blasts, 4 are expected, and more than 9 found on fewer than 2 % of the slides."""
    found = compare(9.5, 7.25, 200, all_or_nothing(0.02), 0.02)
    assert found == BlastLikeness(200, 9.5, 7.25, pytest.approx(4.0), pytest.approx(9 + STEP))
    assert found.percent == 4.75
    assert binomial_tail(9, 200, 0.02) >= 0.02 > binomial_tail(10, 200, 0.02)


def test_no_cells_are_no_blasts() -> None:
    """Without a division by nothing."""
    found = compare(0.0, 0.0, 0, all_or_nothing(0.02), 0.02)
    assert (found.percent, found.expected, found.limit) == (0.0, 0.0, 0.0)


def test_very_many_cells_have_the_limit_of_many() -> None:
    """As many times, which is more than theirs: at the same mean per cell."""
    healthy = all_or_nothing(0.02)
    most = compare(0.0, 0.0, MOST_CELLS, healthy, 0.02)
    twice = compare(0.0, 0.0, 2 * MOST_CELLS, healthy, 0.02)
    assert most.limit == limit(healthy, MOST_CELLS, 0.02)
    assert (twice.expected, twice.limit) == (pytest.approx(2 * most.expected), 2 * most.limit)


@pytest.mark.parametrize(
    ("probabilities", "shares", "fault"),
    [
        ((0.0, 1.0), (1.0,), "not as many probabilities as shares"),
        ((), (), "not as many probabilities as shares"),
        ((0.0, 1.0), (0.5, 0.4), "add up to 0.9, not 1"),
        ((0.0, 1.0), (1.5, -0.5), "not between 0 and 1"),
        ((0.0, 1.1), (0.5, 0.5), "not between 0 and 1"),
        ((-0.1, 1.0), (0.5, 0.5), "not between 0 and 1"),
        ((0.0, math.nan), (0.5, 0.5), "not between 0 and 1"),
        ((0.0, 1.0), (0.5, math.nan), "not between 0 and 1"),
    ],
)
def test_malformed_healthy_cells_are_refused(
    probabilities: tuple[float, ...], shares: tuple[float, ...], fault: str
) -> None:
    """Rather than give limits that mean nothing."""
    with pytest.raises(ValueError, match=fault):
        HealthyCells("cells of a test", probabilities, shares)


def test_shares_that_were_rounded_are_taken() -> None:
    """A manifest has six digits of each; the distribution still adds up to one."""
    rounded = cells((0.0, 0.333333), (0.1, 0.333333), (0.5, 0.333333))
    exact = cells((0.0, 1 / 3), (0.1, 1 / 3), (0.5, 1 / 3))
    assert limit(rounded, 100, 0.02) == pytest.approx(limit(exact, 100, 0.02))
    assert compare(0, 0, 100, rounded, 0.02).expected == pytest.approx(20)
