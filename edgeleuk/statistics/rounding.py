"""Rounding of percentages, the same wherever they are printed."""

from __future__ import annotations

import math

MANY_CELLS = 200
"""Minimum cells for percentages with a decimal."""


def decimals(cells: int) -> int:
    """Return a percentage's number of decimals.

    One of fewer than MANY_CELLS cells is more than half a per cent.
    """
    return 1 if cells >= MANY_CELLS else 0


def floor(value: float, digits: int) -> str:
    """Round a lower bound down."""
    return f"{math.floor(value * 10**digits) / 10**digits:.{digits}f}"


def ceil(value: float, digits: int) -> str:
    """Round an upper bound up, to 100 at most."""
    return f"{min(100.0, math.ceil(value * 10**digits) / 10**digits):.{digits}f}"
