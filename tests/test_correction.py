"""Proportions corrected for the reader's confusion: exact where they can be, and honest where they cannot."""

from __future__ import annotations

import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from edgeleuk.statistics import correction
from edgeleuk.statistics.correction import (
    MIN_CELLS,
    Confusion,
    Correction,
    Estimate,
    correct,
    maximum_likelihood,
)
from edgeleuk.statistics.intervals import clopper_pearson
from edgeleuk.types import UNCLASSIFIED

LABELS = ("neutrophil", "lymphocyte", "monocyte", "blast", "smudge")
OUTSIDE = ("smudge", UNCLASSIFIED)
RATES = np.array(
    [
        [0.93, 0.00, 0.01, 0.00, 0.01, 0.05],
        [0.00, 0.89, 0.01, 0.02, 0.03, 0.05],
        [0.01, 0.01, 0.90, 0.02, 0.01, 0.05],
        [0.00, 0.05, 0.03, 0.75, 0.02, 0.15],
        [0.00, 0.02, 0.00, 0.02, 0.86, 0.10],
    ]
)
"""(5, 6) how a reader might err: 2 % of the lymphocytes and monocytes are read as blasts."""


def confusion(counts: NDArray[np.float64], labels: tuple[str, ...] = LABELS) -> Confusion:
    rows = tuple(tuple(int(cells) for cells in row) for row in counts.round())
    return Confusion("cells of a test", labels, (*labels, UNCLASSIFIED), rows)


LARGE = confusion(RATES * 1e6)
PERFECT = confusion(np.eye(5, 6) * 1e6)


def corrected(white: dict[str, int], by: Confusion = LARGE) -> Correction:
    found = correct(white, by, OUTSIDE)
    assert found is not None
    return found


def share(found: Correction, *labels: str) -> Estimate:
    estimate = found.of(labels)
    assert estimate is not None
    return estimate


# The estimate


def test_errors_never_seen_are_drawn_as_rarely_as_the_prior_says() -> None:
    """Of 40 + 40 cells none was read wrong. Half a cell over three columns makes 1/6 of 40 1/3: 0.4 % are drawn, and
    10 blasts among 200 cells then are 0.61 to 8.81 %."""
    clean = Confusion(
        "cells", ("lymphocyte", "blast"), ("lymphocyte", "blast", UNCLASSIFIED), ((40, 0, 0), (0, 40, 0))
    )
    found = correct({"lymphocyte": 190, "blast": 10}, clean, OUTSIDE)
    assert found is not None
    rows, _ = correction._drawn(("lymphocyte", "blast"), clean)
    assert rows[:, 0, 1].mean() == pytest.approx((1 / 6) / (40 + 1 / 3), abs=0.0015)
    estimate = share(found, "blast")
    assert (estimate.percent, estimate.low, estimate.high) == pytest.approx(
        (5.0, 0.6101347, 8.8117954), abs=1e-6
    )


def test_a_perfect_reader_needs_no_correction() -> None:
    """With no confusion the corrected shares are the raw ones, of the white cells."""
    found = corrected(
        {"neutrophil": 120, "lymphocyte": 60, "monocyte": 18, "blast": 2, "smudge": 30}, PERFECT
    )
    shares = [share(found, label).percent for label in LABELS]
    assert shares == pytest.approx([60, 30, 9, 1, 15])


def test_known_shares_come_back_from_what_is_expected_of_them() -> None:
    """Counts as the confusion makes them of 100,000 cells give the 100,000 cells back."""
    truth = np.array([0.5, 0.3, 0.1, 0.01, 0.09])
    expected = 100_000 * truth @ RATES
    found = corrected(dict(zip((*LABELS, UNCLASSIFIED), expected.round().astype(int).tolist(), strict=True)))
    np.testing.assert_allclose(found.cells, 100_000 * truth, atol=2)
    assert share(found, "blast").percent == pytest.approx(100 * 0.01 / 0.91, abs=0.002)


def test_the_estimate_of_two_types_is_that_of_rogan_and_gladen() -> None:
    """Sensitivity 0.9, specificity 0.8 and 38 % read as positive: (0.38 + 0.8 - 1) / (0.9 + 0.8 - 1)."""
    rows = np.array([[0.9, 0.1], [0.2, 0.8]])
    shares = maximum_likelihood(np.array([38.0, 62.0]), rows, 5000, 1e-12)
    np.testing.assert_allclose(shares, [0.18 / 0.7, 1 - 0.18 / 0.7], atol=1e-6)


@pytest.mark.parametrize(("cells", "low"), [(1, 21.3), (100, 96.4)])
def test_cells_of_one_type_leave_room_for_one_of_another(cells: int, low: float) -> None:
    """The lower end is that of n cells beside an exponential one: n / (n + 3.69), near Clopper and Pearson's."""
    estimate = share(corrected({"neutrophil": cells}, PERFECT), "neutrophil")
    assert (estimate.percent, estimate.high) == (100, 100)
    assert estimate.low == pytest.approx(low, abs=1.5)


def test_fewer_than_the_errors_explain_are_none() -> None:
    """2 blasts beside 100 lymphocytes and monocytes of this reader are no blasts, and may still be some."""
    estimate = share(corrected({"neutrophil": 98, "lymphocyte": 70, "monocyte": 30, "blast": 2}), "blast")
    assert (estimate.percent, estimate.low) == (0, 0)
    assert 1 < estimate.high < 5


def test_missed_cells_are_added() -> None:
    """A reader that loses a quarter of the blasts shows fewer than there are."""
    assert share(corrected({"neutrophil": 120, "blast": 80}), "blast").percent > 40


def test_unclassified_cells_make_no_type() -> None:
    """A blurred slide does not fill up with the types that are named least often."""
    white = {"neutrophil": 120, "lymphocyte": 60, "monocyte": 15, "blast": 5}
    sharp, blurred = corrected(white | {UNCLASSIFIED: 10}), corrected(white | {UNCLASSIFIED: 400})
    assert [share(sharp, label) for label in LABELS] == [share(blurred, label) for label in LABELS]


@pytest.mark.parametrize("white", [{}, {UNCLASSIFIED: 50}])
def test_without_a_named_cell_nothing_is_estimated(white: dict[str, int]) -> None:
    """No cells, or unclassified ones only."""
    assert correct(white, LARGE, OUTSIDE) is None


def test_without_white_cells_there_is_no_share() -> None:
    """Smudge cells alone have nothing to relate to."""
    assert corrected({"smudge": 20}, PERFECT).of(["smudge"]) is None


def test_cells_outside_the_denominator_are_per_100_white_cells() -> None:
    """30 smudge cells beside 20 white cells are 150 per 100, and not a share."""
    estimate = share(corrected({"neutrophil": 20, "smudge": 30}, PERFECT), "smudge")
    assert estimate.percent == pytest.approx(150)
    assert estimate.high > 150


def test_labels_of_both_sides_have_no_common_share() -> None:
    """Blasts and smudge cells together are asked of nobody."""
    with pytest.raises(ValueError, match="both sides"):
        corrected({"neutrophil": 20}).of(["blast", "smudge"])


# Types that were not measured


def unmeasured_blasts(cells: int) -> Confusion:
    counts = RATES * 1e6
    counts[3] = [0, 0, 0, cells, 0, 0]
    return confusion(counts)


def test_too_few_held_out_cells_are_no_measurement() -> None:
    """19 named cells of a type measure nothing, 20 do."""
    white = {"neutrophil": 150, "blast": 50}
    assert not share(corrected(white, unmeasured_blasts(MIN_CELLS - 1)), "blast").measured
    assert share(corrected(white, unmeasured_blasts(MIN_CELLS)), "blast").measured


@pytest.mark.parametrize("unread", [0, 100])
def test_an_unmeasured_type_stays_as_it_was_read(unread: int) -> None:
    """Where no error explains it, it neither vanishes nor grows, however often the other types are unclassified."""
    counts = np.diag([1000.0, 1000, 1000, 0, 1000]) @ np.eye(5, 6)
    counts[:3, 5] = unread
    estimate = share(corrected({"neutrophil": 150, "blast": 50}, confusion(counts)), "blast")
    assert (estimate.percent, estimate.measured) == (pytest.approx(25), False)


def test_errors_of_the_others_are_taken_off_an_unmeasured_type() -> None:
    """5 of 250 lymphocytes read as blasts are what 2 % make of them."""
    estimate = share(corrected({"lymphocyte": 223, "blast": 5}, unmeasured_blasts(0)), "blast")
    assert estimate.percent == pytest.approx(0, abs=0.1)


def test_a_label_from_elsewhere_counts_as_unmeasured() -> None:
    """A type that no confusion knows stays as it was counted."""
    estimate = share(corrected({"neutrophil": 30, "hairy_cell": 10}, PERFECT), "hairy_cell")
    assert (estimate.percent, estimate.measured) == (pytest.approx(25), False)


def test_a_type_never_read_right_is_unmeasured() -> None:
    """Of a type whose every cell was read as another nothing can be told from the readings."""
    counts = RATES * 1e6
    counts[3] = [0, 1e6, 0, 0, 0, 0]
    estimate = share(corrected({"lymphocyte": 150, "blast": 50}, confusion(counts)), "blast")
    assert (estimate.measured, estimate.percent > 20) == (False, True)


# The interval


def test_the_same_count_has_the_same_interval() -> None:
    """The draws are no lottery."""
    white = {"neutrophil": 120, "lymphocyte": 60, "blast": 9}
    assert share(corrected(white), "blast") == share(corrected(white), "blast")


@given(st.integers(0, 2**32 - 1))
def test_rounding_of_the_last_bit_draws_the_same_readings(seed: int) -> None:
    """Processors differ in it; equal shares, and types of no share at the end, once made all draws depend on it."""
    weights = np.array([0.1422, 0, 0.2857, 0.2819, 0.0006, 0.2858, 0.0019, 0.0019, 0, 0])
    nearly = weights * (1 + 1e-15 * np.random.default_rng(seed).standard_normal(len(weights)))
    np.testing.assert_array_equal(
        correction._readings_drawn(9, weights), correction._readings_drawn(9, nearly)
    )


def test_nothing_seen_is_not_nothing_there() -> None:
    """0 blasts of 200 read without error are up to 1.8 %, as the exact interval has it."""
    estimate = share(corrected({"neutrophil": 200}, PERFECT), "blast")
    assert (estimate.percent, estimate.low) == (0, 0)
    assert estimate.high == pytest.approx(100 * clopper_pearson(0, 200)[1], abs=0.3)


def test_without_confusion_the_interval_is_near_the_exact_one() -> None:
    """20 of 200 are 6.2 to 15.0 %."""
    estimate = share(corrected({"neutrophil": 180, "blast": 20}, PERFECT), "blast")
    low, high = clopper_pearson(20, 200)
    assert (estimate.low, estimate.high) == (
        pytest.approx(100 * low, abs=0.6),
        pytest.approx(100 * high, abs=0.6),
    )


def test_a_confusion_of_few_cells_makes_a_wider_interval() -> None:
    """The same rates measured on 50 cells a type say less than on a million."""
    white = {"neutrophil": 100, "lymphocyte": 80, "blast": 20}
    few, many = share(corrected(white, confusion(RATES * 50)), "blast"), share(corrected(white), "blast")
    assert few.high - few.low > 1.1 * (many.high - many.low)


@pytest.mark.parametrize("measured_on", [1_000_000, 200])
def test_nineteen_intervals_of_twenty_hold_a_rare_type(measured_on: int) -> None:
    """Over 200 simulated slides of 200 cells with 2 % blasts, at least 90 %, also by a confusion of 200 cells a type."""
    rng = np.random.default_rng(7)
    truth = np.array([0.57, 0.31, 0.07, 0.02, 0.03])
    held = 0
    for _ in range(200):
        by = confusion(np.array([rng.multinomial(measured_on, row) for row in RATES]).astype(float))
        read = rng.multinomial(200, truth @ RATES)
        found = corrected(dict(zip((*LABELS, UNCLASSIFIED), read.tolist(), strict=True)), by)
        estimate = share(found, "blast")
        held += estimate.low <= 100 * 0.02 / 0.97 <= estimate.high
    assert held >= 180


def test_false_blasts_of_healthy_slides_are_not_above_zero() -> None:
    """Of 200 healthy slides on which the reader makes 1 % blasts, the interval's low end rises on 2 % at most."""
    rng = np.random.default_rng(8)
    truth = np.array([0.59, 0.33, 0.08, 0, 0])
    by = confusion(RATES * 200)
    reads = rng.multinomial(200, truth @ RATES, 200)
    found = [corrected(dict(zip((*LABELS, UNCLASSIFIED), read.tolist(), strict=True)), by) for read in reads]
    assert sum(share(each, "blast").low > 0 for each in found) <= 4


@settings(deadline=None, max_examples=40)
@given(
    st.dictionaries(st.sampled_from((*LABELS, "hairy_cell", UNCLASSIFIED)), st.integers(0, 300)),
    st.lists(st.lists(st.integers(0, 60), min_size=6, max_size=6), min_size=5, max_size=5),
)
def test_any_count_under_any_confusion(white: dict[str, int], counts: list[list[int]]) -> None:
    """Shares of the white cells add up to 100, and each lies in its interval, alone and in groups."""
    found = correct(white, confusion(np.array(counts, float)), OUTSIDE)
    if found is None or found.of(["blast"]) is None:
        return
    inside = [label for label in found.labels if label not in OUTSIDE]
    estimates = [share(found, label) for label in inside] + [share(found, "blast", "monocyte")]
    assert sum(each.percent for each in estimates[:-1]) == pytest.approx(100)
    assert all(0 <= each.low <= each.percent <= each.high <= 100 + 1e-9 for each in estimates)
    assert share(found, *inside).percent == pytest.approx(100)


def test_fifteen_types_take_no_time() -> None:
    """15 types are corrected within a tenth of a second: the best of five, on a machine that may be busy."""
    labels = tuple(f"type {i}" for i in range(15))
    by = confusion(np.full((15, 16), 2.0) + 170 * np.eye(15, 16), labels)
    white = {label: 200 // (i + 1) for i, label in enumerate(labels)}
    seconds = []
    for _ in range(5):
        began = time.perf_counter()
        correct(white, by, OUTSIDE)
        seconds.append(time.perf_counter() - began)
    assert min(seconds) < 0.1


# The confusion


def test_a_confusion_is_counted_from_cells() -> None:
    """Each cell by its true type and what it was read as; below the threshold it is unclassified."""
    found = Confusion.from_cells(
        "four cells",
        ("neutrophil", "blast"),
        truth=np.array([0, 0, 1, 1]),
        read=np.array([0, 1, 1, 0]),
        accepted=np.array([True, True, True, False]),
    )
    assert found.read == ("neutrophil", "blast", UNCLASSIFIED)
    assert found.counts == ((1, 1, 0), (0, 1, 1))
    assert found.as_json() == {
        "of": "four cells",
        "labels": ["neutrophil", "blast"],
        "read": ["neutrophil", "blast", UNCLASSIFIED],
        "counts": [[1, 1, 0], [0, 1, 1]],
    }


@pytest.mark.parametrize(
    ("labels", "counts"),
    [(("blast",), ((1, 2),)), (("blast",), ()), (("hairy_cell",), ((1, 2, 3),)), ((UNCLASSIFIED,), ((1, 2, 3),))],
)  # fmt: skip
def test_a_malformed_confusion_is_refused(
    labels: tuple[str, ...], counts: tuple[tuple[int, ...], ...]
) -> None:
    """Rows and columns must be those it names, and a true type one that can be read."""
    with pytest.raises(ValueError, match="confusion"):
        Confusion("", labels, ("neutrophil", "blast", UNCLASSIFIED), counts)
