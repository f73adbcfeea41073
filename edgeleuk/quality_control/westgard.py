"""Westgard rules for the counts of a control slide.

Westgard, Barry, Hunt and Groth, A multi-rule Shewhart chart for quality control in clinical chemistry,
Clin Chem 1981;27:493-501:

- 1-2s, a warning: one value is more than 2 SD from the mean.
- 1-3s, a rejection: one value is more than 3 SD from the mean.
- 2-2s, a rejection: two runs in a row are more than 2 SD from the mean, on the same side.

A differential is a count, and a count of n cells has a binomial error of its own: two counts of the same
slide differ by it even if nothing else does (Rumke, The statistically expected variability in differential
leukocyte counting, in Koepke (ed.), Differential Leukocyte Counting, 1978). An SD below that error would
reject good runs, so it is the floor of the SD. Where so few cells are expected that the normal distribution
is a poor one (n p (1 - p) < 9), a deviation is never larger than the exact binomial probability makes it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from math import copysign, sqrt
from statistics import NormalDist

from edgeleuk.quality_control.control import (
    Control,
    ControlRun,
    EvaluatedValue,
    Expected,
    Measured,
    RunRule,
    State,
)
from edgeleuk.quality_control.quantities import PER_1000_RED_CELLS
from edgeleuk.statistics.intervals import binomial_tail

WARNING_SD, REJECTION_SD = 2.0, 3.0
NORMAL_FROM = 9.0
"""Minimum n p (1 - p) for the normal approximation.

A usual rule: the mean is then at least three SD from either end.
"""
LEAST_SHARE_CELLS = 0.5
"""Cells expected at least, and at least missing.

A share of 0 or 100 % was only measured to the nearest cell.
"""
_TINY = 1e-300


def evaluate(measured: Measured, expected: Expected, before: EvaluatedValue | None = None) -> EvaluatedValue:
    """Evaluate one value by the three rules.

    Args:
        measured: Value of this run.
        expected: Expected value of the same quantity.
        before: Evaluated value of the run before it; None for the first.
    """
    sd, deviation = expected.sd, 0.0
    if measured.count is not None and measured.of:
        sd = max(sd, count_sd(expected, measured.of))
    if difference := measured.value - expected.mean:
        deviation = difference / sd if sd else copysign(float(10**6), difference)
        if measured.count is not None and measured.of:
            deviation = _exactly(deviation, measured, expected)
    rule = _rule(deviation, before)
    return EvaluatedValue(
        measured.quantity, measured.value, expected.mean, sd, deviation, rule, measured.count, measured.of
    )


def evaluate_run(
    control: Control, measured: Iterable[Measured], run: ControlRun, before: ControlRun | None = None
) -> ControlRun:
    """Evaluate a run by all expected values of its control.

    Args:
        control: Control slide with its expected values.
        measured: Values of the run.
        run: Facts of the run; its state and values are set here.
        before: Last evaluated run since the expected values were set; None without one.
    """
    if run.cells < control.least_cells:
        return _with(run, "not_evaluated", ())
    if not control.expected:
        return _with(run, "collected", ())
    own = {each.quantity: each for each in measured}
    past = _by_quantity(before.values if before else ())
    values = tuple(
        evaluate(own[each.quantity], each, past.get(each.quantity))
        for each in control.expected
        if each.quantity in own
    )
    if not values:
        return _with(run, "not_evaluated", ())
    evaluated = _with(run, "in_control", values)
    return _with(
        run, "rejected" if evaluated.rejected else "warning" if evaluated.warned else "in_control", values
    )


def count_sd(expected: Expected, of: int) -> float:
    """Return the error that a count alone has.

    Args:
        expected: Expected value, whose unit the result has.
        of: Number of cells among which is counted; at least 1.
    """
    share = _share(expected, of)
    sd = sqrt(share * (1 - share) / of)
    if expected.quantity == PER_1000_RED_CELLS:  # odds, not a share: d(odds)/d(share) = 1 / (1 - share)^2
        return 1000 * sd / (1 - share) ** 2
    return 100 * sd


def chance_of_warning(quantities: int) -> float:
    """Return how often chance alone warns, 0 to 1.

    Args:
        quantities: Number of quantities, taken as independent.
    """
    inside = 1 - 2 * (1 - NormalDist().cdf(WARNING_SD))
    return 1 - float(inside**quantities)


def _share(expected: Expected, of: int) -> float:
    """Return the expected share of the counted cells, 0 to 1."""
    share = expected.mean / 100
    if expected.quantity == PER_1000_RED_CELLS:
        share = expected.mean / (1000 + expected.mean)
    least = min(LEAST_SHARE_CELLS / of, 0.5)
    return min(max(share, least), 1 - least)


def _exactly(deviation: float, measured: Measured, expected: Expected) -> float:
    """Limit a deviation to what the exact probability gives."""
    count, of = measured.count or 0, measured.of
    share = _share(expected, of)
    if of * share * (1 - share) >= NORMAL_FROM:
        return deviation
    tail = binomial_tail(count, of, share) if deviation > 0 else binomial_tail(of - count, of, 1 - share)
    exact = -NormalDist().inv_cdf(min(max(tail, _TINY), 0.5))
    return copysign(min(abs(deviation), exact), deviation)


def _rule(deviation: float, before: EvaluatedValue | None) -> RunRule:
    if abs(deviation) > REJECTION_SD:
        return "1-3s"
    if abs(deviation) <= WARNING_SD:
        return ""
    twice = before is not None and abs(before.deviation) > WARNING_SD and before.deviation * deviation > 0
    return "2-2s" if twice else "1-2s"


def _by_quantity(values: Sequence[EvaluatedValue]) -> Mapping[str, EvaluatedValue]:
    return {each.quantity: each for each in values}


def _with(run: ControlRun, state: State, values: tuple[EvaluatedValue, ...]) -> ControlRun:
    return ControlRun(run.session, state, run.cells, values, run.model_version, run.operator, run.counted)
