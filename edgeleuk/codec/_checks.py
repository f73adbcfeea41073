"""Ranges of numbers in a record. Each check raises ValueError with what is wrong."""

from __future__ import annotations

from collections.abc import Iterable
from math import isfinite

import numpy as np
from numpy.typing import ArrayLike

ROUNDING = 1e-5
"""By which a probability of 32-bit numbers may pass 1."""


def require(holds: bool, otherwise: str) -> None:
    if not holds:
        raise ValueError(otherwise)


def at_least(least: float, value: float, what: str) -> None:
    require(value >= least, f"{what} is {value}")


def finite(what: str, *values: float) -> None:
    for value in values:
        require(isfinite(value), f"{what} is {value}")


def positive(value: float, what: str) -> None:
    require(0 < value < np.inf, f"{what} is {value}")


def counts(values: Iterable[int], what: str) -> None:
    for value in values:
        at_least(0, value, what)


def share(values: ArrayLike, what: str) -> None:
    """0 to 1."""
    array = np.asarray(values, np.float64)
    inside = (array >= 0) & (array <= 1 + ROUNDING)
    require(bool(inside.all()), f"{what} is {array[~inside][:1].tolist()}, not 0 to 1")
