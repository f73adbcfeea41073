"""Quantities of a session that a control slide checks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from statistics import fmean, median, stdev

from edgeleuk.differential.differential import Differential
from edgeleuk.errors import UsageError
from edgeleuk.quality_control.control import Expected, Measured
from edgeleuk.results.slide_result import SlideResult

NOT_RECOGNISED = "not_recognised"
"""White cells that were not recognised, percent of those found.

A stain, a lamp or a focus that drifts shows here first.
"""
PER_1000_RED_CELLS = "platelets_per_1000_red_cells"
UM_PER_PX = "um_per_px"
"""Scale as the red cells tell it: another objective, zoom or camera mode."""
LEAST_SESSIONS = 10
"""Minimum number of sessions for established values.

CLSI C24 (Statistical Quality Control for Quantitative Measurement Procedures) asks for at least 10
measurements on different days; 20 are better.
"""


def measure(result: SlideResult) -> tuple[Measured, ...]:
    """Return every quantity of a slide's result."""
    found = [*_counts(result.differential)]
    scales = [each.field.scale for each in result.counted]
    if measured := [each.um_per_px for each in scales if each.source == "red cells"]:
        found.append(Measured(UM_PER_PX, median(measured)))
    return tuple(found)


def _counts(result: Differential) -> Iterator[Measured]:
    for label, share in result.types.items():
        yield Measured(label, share.percent, share.count, share.of)
    if of := result.white_cells:
        yield Measured(NOT_RECOGNISED, 100 * result.not_recognised / of, result.not_recognised, of)
    if result.platelets is not None and result.red_cells:
        together = result.platelets + result.red_cells
        yield Measured(
            PER_1000_RED_CELLS, 1000 * result.platelets / result.red_cells, result.platelets, together
        )


def establish(sessions: Sequence[Sequence[Measured]]) -> tuple[Expected, ...]:
    """Return the mean and SD of every quantity.

    Only quantities that all sessions have are established.

    Args:
        sessions: Quantities of each session, LEAST_SESSIONS of them at least.

    Raises:
        UsageError: There are too few sessions.
    """
    if len(sessions) < LEAST_SESSIONS:
        raise UsageError(
            f"{len(sessions)} sessions of the control slide are too few to tell how far its counts differ;"
            f" {LEAST_SESSIONS} are the least, 20 are better."
        )
    tables = [{each.quantity: each.value for each in session} for session in sessions]
    common = [name for name in tables[0] if all(name in table for table in tables)]
    columns = {name: [table[name] for table in tables] for name in common}
    return tuple(
        Expected(name, fmean(values), stdev(values), len(sessions)) for name, values in columns.items()
    )
