"""Cells per microlitre: the two methods on hand-made counts, their intervals, and when nothing is estimated."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from standard import RULES

from edgeleuk.differential.per_microlitre import AREA_ERROR, RATIO_ERROR, check, estimate
from edgeleuk.errors import UsageError
from edgeleuk.statistics.intervals import poisson
from edgeleuk.types import Cell, Field, Reading, Scale

RULER = Scale(0.1, 0.1, "red cells", 0.08, 50)


def field(white: int, red: int, platelets: int = 0, cut: int = 0, scale: Scale = RULER) -> Field:
    """A field of so many cells; `cut` of the white ones are cut by its edge."""
    cells = [Cell("WBC", (0, 0, 9, 9), 0.9, whole=i >= cut) for i in range(white)]
    cells += [Cell("RBC", (0, 0, 9, 9), 0.9)] * red + [Cell("Platelet", (0, 0, 2, 2), 0.9)] * platelets
    return Field("f.jpg", 1000, 1000, scale, tuple(cells))


def read_as(label: str) -> Cell:
    return Cell("WBC", (0, 0, 9, 9), 0.9, reading=Reading(label, 0.9, {}, {}))


def test_nothing_is_estimated_unless_asked() -> None:
    """Without a red-cell count, and at a scale that red cells gave, there are neither values nor refusals."""
    found = estimate([field(3, 900)] * 20, 0.2, RULES)
    assert (found.values, found.refused) == ((), ())


def test_by_red_cells() -> None:
    """10 white cells and 100 platelets among 5,000 red ones of 5 x 10^12/L: 10,000 and 100,000 per uL."""
    white, platelets = estimate([field(1, 500, 10)] * 10, 0.1, RULES, red_cells=5.0).values
    assert (white.kind, white.method, white.counted, white.of) == ("white cells", "red cells", 10, 5000)
    assert white.per_ul == pytest.approx(10_000)
    assert platelets.per_ul == pytest.approx(100_000)
    assert white.formula == "10 white cells / 5,000 red cells x 5 10^12/L"


def test_the_interval_holds_the_counts_and_the_methods_error() -> None:
    """With very many cells the method's error remains; with few the count's dominates."""
    many, _ = estimate([field(100_000, 1_000_000)], 0.1, RULES, red_cells=4.0).values
    assert many.high / many.per_ul == pytest.approx(1 + RATIO_ERROR["WBC"], rel=0.01)
    assert many.per_ul / many.low == pytest.approx(1 + RATIO_ERROR["WBC"], rel=0.01)
    few, none = estimate([field(2, 2000)], 0.1, RULES, red_cells=4.0).values
    assert few.high / few.per_ul > 3
    assert (none.per_ul, none.low) == (0, 0)
    assert none.high == pytest.approx(3.69 / 2000 * 4e6 * (1 + RATIO_ERROR["Platelet"]), rel=0.01)


def test_a_cell_that_an_edge_cuts_counts_half() -> None:
    """So does any kind: on average half of it lies in the field."""
    (white, _) = estimate([field(4, 2000, cut=2)], 0.1, RULES, red_cells=5.0).values
    assert white.counted == 3


@pytest.mark.parametrize(
    ("label", "counted"),
    [("erythroblast", 1), ("artefact", 1), ("not_a_cell", 1), ("smudge", 2), ("blast", 2)],
)
def test_what_the_reader_takes_for_no_white_cell_is_none(label: str, counted: int) -> None:
    """Nucleated red cells and artefacts are left out; smudges were white cells and stay."""
    one = field(1, 2000)
    (white, _) = estimate(
        [replace(one, cells=(*one.cells, read_as(label)))], 0.1, RULES, red_cells=5.0
    ).values
    assert white.counted == counted


def test_by_area() -> None:
    """One white cell in each 40x field of 0.196 mm2 is between 2,000 and 2,700 per uL; the area must be of a known scale."""
    fields = [field(1, 10, scale=Scale.given(0.1))] * 10
    white, platelets = estimate(fields, 1.9635, RULES).values
    assert white.method == "area"
    assert 2000 < white.per_ul < 2700
    assert white.low < 2000 / (1 + AREA_ERROR["WBC"])
    assert white.high > 2700 * (1 + AREA_ERROR["WBC"])
    assert platelets.per_ul == 0
    assert not estimate(fields[:9], 1.9635, RULES).values


def test_platelets_of_a_field_by_area() -> None:
    """Ten in each 100x field of 0.0314 mm2 are between 150,000 and 200,000 per uL."""
    fields = [field(0, 10, platelets=10, scale=Scale.given(0.1))] * 10
    _, platelets = estimate(fields, 10 * 0.0314159, RULES).values
    assert 150_000 < platelets.per_ul < 200_000


def test_too_few_red_cells_are_refused_with_a_remedy() -> None:
    """A ratio to 300 red cells says little of blood."""
    found = estimate([field(3, 300)], 0.1, RULES, red_cells=5.0)
    assert not found.values
    assert "300 red cells were seen, and it takes 1,000. Add fields" in found.refused[0]


def test_where_red_cells_are_not_counted_nothing_is_estimated() -> None:
    """As under a 10x objective: the refusal says to use a stronger one."""
    coarse = replace(field(30, 0), not_counted=frozenset({"RBC", "Platelet"}))
    found = estimate([coarse], 3.0, RULES, red_cells=5.0)
    assert not found.values
    assert "red cells were not counted in every picture. Use a stronger objective" in found.refused[0]


@pytest.mark.parametrize("red_cells", [0.0, -1.0, 48.0, 4_800_000.0])
def test_no_blood_has_so_many_red_cells(red_cells: float) -> None:
    """A count in another unit is a mistake, named with the right one."""
    with pytest.raises(UsageError, match=r"10\^12 per litre, such as 4\.8"):
        check(red_cells)


@given(st.integers(0, 2000))
def test_the_poisson_interval_holds_its_count(count: int) -> None:
    """It rises with the count, and is about two roots wide on either side."""
    low, high = poisson(count)
    assert low <= count < high
    assert high - count == pytest.approx(1.96 * count**0.5 + 2.5, abs=2.0 + 0.01 * count)


@pytest.mark.parametrize(
    ("count", "low", "high"), [(0, 0, 3.689), (1, 0.0253, 5.572), (10, 4.795, 18.39), (100, 81.36, 121.6)]
)
def test_poisson_limits_are_garwoods(count: int, low: float, high: float) -> None:
    """Against the published table."""
    assert poisson(count) == pytest.approx((low, high), rel=1e-3)
