"""Range checks for numbers in a record.

Each check raises ValueError with a description of the error.
"""

from __future__ import annotations

from collections.abc import Iterable
from math import isfinite

import numpy as np
from numpy.typing import ArrayLike

ROUNDING = 1e-5
"""Rounding tolerance by which a 32-bit probability may exceed 1."""


def require(holds: bool, otherwise: str) -> None:
    """Raise ValueError with the text `otherwise` unless `holds`."""
    if not holds:
        raise ValueError(otherwise)


def at_least(least: float, value: float, what: str) -> None:
    """Require `value` to be `least` or more.

    Args:
        least: Smallest value allowed.
        value: Value to check.
        what: Name of the value for the error message.

    Raises:
        ValueError: `value` is less than `least`.
    """
    require(value >= least, f"{what} is {value}")


def finite(what: str, *values: float) -> None:
    """Require all values to be finite."""
    for value in values:
        require(isfinite(value), f"{what} is {value}")


def positive(value: float, what: str) -> None:
    """Require a finite value above 0."""
    require(0 < value < np.inf, f"{what} is {value}")


def counts(values: Iterable[int], what: str) -> None:
    """Require all values to be 0 or more."""
    for value in values:
        at_least(0, value, what)


def share(values: ArrayLike, what: str) -> None:
    """Require all values to be from 0 to 1.

    They may exceed 1 by ROUNDING.
    """
    array = np.asarray(values, np.float64)
    inside = (array >= 0) & (array <= 1 + ROUNDING)
    require(bool(inside.all()), f"{what} is {array[~inside][:1].tolist()}, not 0 to 1")
