"""Westgard rules on counts, expected values, and what the log of control slides says."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from math import sqrt
from pathlib import Path

import pytest
from counted import counted_field
from standard import slide_of

from edgeleuk.analysis.analyser import Analyser
from edgeleuk.errors import DamagedError, StoreError, UsageError
from edgeleuk.models import registry
from edgeleuk.quality_control import log
from edgeleuk.quality_control.control import Control, ControlRun, EvaluatedValue, Expected, Measured
from edgeleuk.quality_control.log import Entry, standings
from edgeleuk.quality_control.quantities import establish, measure
from edgeleuk.quality_control.westgard import chance_of_warning, evaluate, evaluate_run
from edgeleuk.sessions import open_store

NEUTROPHIL = Expected("neutrophil", 60.0, 5.0)
CONTROL = Control("c1", "c1", "100x", (NEUTROPHIL,))
NOON = datetime(2026, 11, 30, 12, tzinfo=UTC)


def share(count: int, of: int, quantity: str = "neutrophil") -> Measured:
    return Measured(quantity, 100 * count / of, count, of)


@pytest.mark.parametrize(
    ("percent", "rule", "deviation"),
    [
        (60.0, "", 0.0),
        (70.0, "", 2.0),
        (70.1, "1-2s", 2.02),
        (49.9, "1-2s", -2.02),
        (75.0, "1-2s", 3.0),
        (75.1, "1-3s", 3.02),
        (44.9, "1-3s", -3.02),
    ],
)
def test_a_value_breaks_a_rule_only_beyond_its_limit(percent: float, rule: str, deviation: float) -> None:
    """Exactly 2 or 3 SD is within; of 1,000 cells the binomial error (1.55) is below the SD of 5."""
    found = evaluate(share(round(percent * 10), 1000), NEUTROPHIL)
    assert found.rule == rule
    assert found.deviation == pytest.approx(deviation)
    assert (found.sd, found.low, found.high) == (5.0, 50.0, 70.0)


@pytest.mark.parametrize(
    ("before", "percent", "rule"),
    [
        (71.0, 71.0, "2-2s"),
        (71.0, 49.0, "1-2s"),
        (70.0, 71.0, "1-2s"),
        (76.0, 71.0, "2-2s"),
        (71.0, 76.0, "1-3s"),
    ],
)
def test_two_runs_in_a_row_beyond_2_sd_on_one_side_reject(before: float, percent: float, rule: str) -> None:
    """A single one only warns, and so do two on opposite sides."""
    first = evaluate(share(round(before * 10), 1000), NEUTROPHIL)
    assert evaluate(share(round(percent * 10), 1000), NEUTROPHIL, first).rule == rule


@pytest.mark.parametrize(
    ("of", "sd"), [(100, 100 * sqrt(0.24 / 100)), (400, 100 * sqrt(0.24 / 400)), (10_000, 0.5)]
)
def test_the_error_of_the_count_is_the_least_sd(of: int, sd: float) -> None:
    """An SD of 0.5 % cannot hold for 100 cells, of which 60 % are 4.9 % off by chance."""
    found = evaluate(share(of * 7 // 10, of), Expected("neutrophil", 60.0, 0.5))
    assert found.sd == pytest.approx(sd)
    assert found.deviation == pytest.approx(10 / sd)


@pytest.mark.parametrize(
    ("cells", "rule"), [(0, ""), (1, ""), (2, ""), (3, "1-2s"), (4, "1-2s"), (5, "1-3s")]
)
def test_a_type_that_is_never_there_is_judged_exactly(cells: int, rule: str) -> None:
    """Of half a cell expected, chance shows 3 or more in 1.4 %, 4 or more in .17 %, 5 or more in .017 %."""
    assert evaluate(share(cells, 100, "blast"), Expected("blast", 0.0, 0.0)).rule == rule


def test_a_ratio_to_red_cells_has_the_error_of_both_counts() -> None:
    """Of 50 platelets to 1,000 red cells: 50 sqrt(1/50 + 1/1000), the usual error of a ratio of counts."""
    measured = Measured("platelets_per_1000_red_cells", 80.0, 80, 1080)
    found = evaluate(
        replace(measured, of=1050, count=78), Expected("platelets_per_1000_red_cells", 50.0, 1.0)
    )
    assert found.sd == pytest.approx(50 * sqrt(1 / 50 + 1 / 1000), rel=1e-6)


def test_a_quantity_that_is_no_count_has_its_own_sd_alone() -> None:
    """The scale: 0.110 is 2.5 SD from 0.100."""
    found = evaluate(Measured("um_per_px", 0.110), Expected("um_per_px", 0.100, 0.004))
    assert (found.rule, found.sd) == ("1-2s", 0.004)
    assert found.deviation == pytest.approx(2.5)


def test_a_run_is_the_worst_of_its_values() -> None:
    """A rejection outweighs a warning; what is not expected is not evaluated."""
    control = replace(CONTROL, expected=(NEUTROPHIL, Expected("lymphocyte", 30.0, 5.0)))
    run = ControlRun("s", "collected", 1000)
    values = [share(610, 1000), share(450, 1000, "lymphocyte"), share(5, 1000, "blast")]
    evaluated = evaluate_run(control, values, run)
    assert (evaluated.state, [each.rule for each in evaluated.values]) == ("warning", ["", "1-2s"])
    assert evaluate_run(control, [share(800, 1000), *values[1:]], run).state == "rejected"
    assert (
        evaluate_run(control, [share(600, 1000), share(300, 1000, "lymphocyte")], run).state == "in_control"
    )


def test_too_few_cells_are_not_evaluated() -> None:
    """A count of 99 cells neither passes nor fails: its own error would hide a drift."""
    evaluated = evaluate_run(CONTROL, [share(90, 99)], ControlRun("s", "collected", 99))
    assert (evaluated.state, evaluated.values) == ("not_evaluated", ())


def test_values_are_established_from_ten_sessions() -> None:
    """The mean and the sample SD of the sessions; a quantity that one of them lacks has none."""
    sessions = [[Measured("neutrophil", 55.0 + i), Measured("um_per_px", 0.1)] for i in range(10)]
    sessions[3] = sessions[3][:1]
    (found,) = establish(sessions)
    assert found == Expected("neutrophil", 59.5, pytest.approx(3.0276503540974917), 10)
    with pytest.raises(UsageError, match="are too few"):
        establish(sessions[:9])


@pytest.mark.parametrize(("quantities", "chance"), [(1, 0.04550), (6, 0.24377), (14, 0.47897)])
def test_the_chance_of_a_false_warning_is_told(quantities: int, chance: float) -> None:
    """Independent normal quantities: 1 - .9545 to their number."""
    assert chance_of_warning(quantities) == pytest.approx(chance, abs=1e-5)


def test_quantities_are_those_of_the_result() -> None:
    """Types, what was not recognised, platelets and the scale, as the differential has them."""
    count = slide_of(Analyser(registry.load("40x"), threads=1))
    count.restore([counted_field(number) for number in range(1, 5)], {}, ())
    result = count.result()
    found = {each.quantity: each for each in measure(result)}
    told = result.differential
    assert found["neutrophil"].count == told.types["neutrophil"].count
    assert found["not_recognised"].value == pytest.approx(100 * told.not_recognised / told.white_cells)
    assert found["um_per_px"].value == pytest.approx(sqrt(0.2 * 0.2 / 3))
    assert "platelets_per_1000_red_cells" not in found  # every second field was too coarse for them


def entry(number: int, value: Control | ControlRun | str, hour: int = 8, kind: str = "run") -> Entry:
    at = f"2026-11-30T{hour:02d}:00:00+00:00"
    kind = "set" if isinstance(value, Control) else kind
    return log.decode(number, at, "c1", kind, log.encode(value))


def evaluated(state: str) -> ControlRun:
    values = (EvaluatedValue("neutrophil", 80.0, 60.0, 5.0, 4.0, "1-3s"),)
    return ControlRun("s", state, 200, values if state != "not_evaluated" else ())  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("states", "failed"),
    [
        (["in_control"], False),
        (["rejected"], True),
        (["rejected", "not_evaluated"], True),
        (["rejected", "warning"], False),
        (["rejected", "in_control", "rejected"], True),
        (["warning"], False),
    ],
)
def test_a_failure_holds_until_a_good_run(states: list[str], failed: bool) -> None:
    """A run of too few cells does not end it, and neither do new expected values."""
    entries = [entry(1, CONTROL), *(entry(2 + i, evaluated(state)) for i, state in enumerate(states))]
    entries.append(entry(9, replace(CONTROL, least_cells=50)))
    (found,) = standings(entries, NOON)
    assert (found.failed is not None) is failed


@pytest.mark.parametrize(("every", "overdue"), [(None, None), (4.0, None), (3.9, 4.0), (24.0, None)])
def test_a_control_is_overdue_after_its_interval(every: float | None, overdue: float | None) -> None:
    """Counted at 8, it is noon: four hours, which is not more than four."""
    entries = [entry(1, replace(CONTROL, every_hours=every), 6), entry(2, evaluated("in_control"), 8)]
    assert standings(entries, NOON)[0].overdue_hours == overdue


def test_a_control_that_was_never_counted_is_overdue_from_when_it_was_set() -> None:
    """A run without enough cells does not count either."""
    entries = [entry(1, replace(CONTROL, every_hours=2.0), 8), entry(2, evaluated("not_evaluated"), 11)]
    assert standings(entries, NOON)[0].overdue_hours == 4.0


def test_a_retired_control_has_no_state() -> None:
    """It warns no more, and may be begun anew."""
    entries = [entry(1, CONTROL), entry(2, evaluated("rejected")), entry(3, "faded", kind="retire")]
    assert standings(entries, NOON) == []
    assert standings([*entries, entry(4, CONTROL)], NOON)[0].failed is None


def test_a_damaged_entry_is_named() -> None:
    with pytest.raises(DamagedError, match="entry 7 of the log of control slides"):
        log.decode(7, "2026-11-30T08:00:00+00:00", "c1", "run", b"\xc1")


def test_the_log_is_only_added_to(tmp_path: Path) -> None:
    """The file itself refuses to change or to remove an entry, and gives back what was entered."""
    with open_store(tmp_path / "s.db") as store:
        store.add_to_control_log("c1", "set", log.encode(CONTROL))
        store.add_to_control_log("c1", "run", log.encode(evaluated("rejected")))
        for statement in (
            "DELETE FROM quality_control",
            "UPDATE quality_control SET record = x'00'",
            "INSERT OR REPLACE INTO quality_control VALUES (2, '2026-11-30', 'c1', 'run', x'00')",
        ):
            with (
                pytest.raises(StoreError, match="only added to"),
                store._database.transaction() as connection,
            ):
                connection.execute(statement)
    with open_store(tmp_path / "s.db") as store:
        values = [log.decode(e.number, e.at, e.control, e.kind, e.record).value for e in store.control_log()]
    assert values == [CONTROL, evaluated("rejected")]
