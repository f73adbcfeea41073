"""Values of quality control.

A control is a slide with expected values. A run is one count of it, evaluated against them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

State = Literal["in_control", "warning", "rejected", "not_evaluated", "collected"]
"""State of a run.

Warning: a value lies beyond 2 SD, which alone rejects nothing. Not evaluated: too few cells. Collected: the
control has no expected values yet.
"""
RunRule = Literal["", "1-2s", "1-3s", "2-2s"]
"""Westgard rule that a value breaks; empty for none."""
LEAST_CELLS = 100
"""Default minimum of recognised white cells in a run.

Fewer would pass whatever happened: the error of so small a count hides any drift.
"""


@dataclass(frozen=True, slots=True)
class Expected:
    """Expected value of one quantity."""

    quantity: str
    mean: float
    """Unit of the quantity: percent, cells per 1,000 red cells, or um per pixel."""
    sd: float
    """Standard deviation between sessions, same unit."""
    sessions: int = 0
    """Number of sessions it was established from; 0 if entered by hand."""


@dataclass(frozen=True, slots=True)
class Control:
    """Control slide with its expected values."""

    name: str
    slide: str
    """Slide id of its sessions."""
    magnification: str
    expected: tuple[Expected, ...] = ()
    """Expected values; empty while sessions are collected."""
    every_hours: float | None = None
    """Maximum hours between two runs; None without an interval."""
    device: str = ""
    """Device that it controls; empty for every one."""
    least_cells: int = LEAST_CELLS
    model_version: str = ""
    """Model version of established values; empty if entered by hand."""

    def find(self, quantity: str) -> Expected | None:
        """Return the expected value of a quantity, if any."""
        return next((each for each in self.expected if each.quantity == quantity), None)


@dataclass(frozen=True, slots=True)
class Measured:
    """Value of one quantity in one session."""

    quantity: str
    value: float
    """Unit as in `Expected`."""
    count: int | None = None
    """Cells counted; None for a quantity that is no count."""
    of: int = 0
    """Cells among which they were counted."""


@dataclass(frozen=True, slots=True)
class EvaluatedValue:
    """Value of one quantity, evaluated."""

    quantity: str
    value: float
    mean: float
    sd: float
    """Expected SD, or the error of the count itself if that is larger."""
    deviation: float
    """Distance from the mean in SD; negative below it."""
    rule: RunRule = ""
    count: int | None = None
    of: int = 0

    @property
    def low(self) -> float:
        """Mean minus 2 SD, 0 at least."""
        return max(0.0, self.mean - 2 * self.sd)

    @property
    def high(self) -> float:
        """Mean plus 2 SD."""
        return self.mean + 2 * self.sd


@dataclass(frozen=True, slots=True)
class ControlRun:
    """One count of a control slide, evaluated."""

    session: str
    """UUID of the session."""
    state: State
    cells: int
    """White cells recognised."""
    values: tuple[EvaluatedValue, ...] = ()
    """Evaluated values; empty unless the run was evaluated."""
    model_version: str = ""
    operator: str = ""
    counted: str = ""
    """Start of the session, ISO 8601 with the offset from UTC."""

    @property
    def rejected(self) -> tuple[EvaluatedValue, ...]:
        """Values that reject the run."""
        return tuple(each for each in self.values if each.rule in ("1-3s", "2-2s"))

    @property
    def warned(self) -> tuple[EvaluatedValue, ...]:
        """Values that only warn."""
        return tuple(each for each in self.values if each.rule == "1-2s")
