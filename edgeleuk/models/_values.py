"""Checks of single values from JSON.

Each check returns the value, or raises TypeError or ValueError with what is wrong.
"""

from __future__ import annotations

from math import inf
from pathlib import Path
from typing import Any


def inside(folder: Path, name: str) -> Path:
    """Return the path of a plain file name inside a model folder.

    Raises:
        ValueError: The name is any other path.
    """
    if name in ("", "..") or Path(name).name != name:
        raise ValueError(f"file {name!r} is not a plain name inside the model folder")
    return folder / name


def text(value: Any) -> str:
    """Return `value`, which must be a text.

    Raises:
        TypeError: It is not.
    """
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is not a text")
    return value


def texts(value: Any) -> dict[str, str]:
    """Return a mapping of names to texts."""
    return {name: text(each) for name, each in value.items()}


def names(value: Any) -> tuple[str, ...]:
    """Return a non-empty list of distinct names as a tuple."""
    if not isinstance(value, list | tuple) or not value or len(set(map(text, value))) < len(value):
        raise ValueError(f"{value!r} is not a list of different names")
    return tuple(value)


def positive(value: Any) -> float:
    """Return a finite number above 0."""
    number = float(value)
    if not 0 < number < inf:
        raise ValueError(f"{value!r} is not a positive number")
    return number


def within(low: float, high: float, value: Any) -> float:
    """Return a number from `low` to `high`.

    Args:
        low: Smallest value allowed.
        high: Largest value allowed.
        value: Number, or text of a number.

    Raises:
        ValueError: It is outside, or not a number.
        TypeError: It is neither a number nor a text.
    """
    number = float(value)
    if not low <= number <= high:
        raise ValueError(f"{value!r} is not from {low:g} to {high:g}")
    return number


def not_negative(value: Any) -> float:
    """Return a finite number of at least 0."""
    number = float(value)
    if not 0 <= number < inf:
        raise ValueError(f"{value!r} is not a number from 0")
    return number


def share(value: Any) -> float:
    """Return a number from 0 to 1."""
    number = float(value)
    if not 0 <= number <= 1:
        raise ValueError(f"{value!r} is not between 0 and 1")
    return number


def span(value: Any) -> tuple[float, float]:
    """Return two positive numbers, the smaller first."""
    low, high = map(positive, value)
    if low > high:
        raise ValueError(f"{value!r} does not run from the smaller to the larger")
    return low, high


def count(value: Any, least: int = 1) -> int:
    """Return a whole number of at least `least`."""
    if type(value) is not int or value < least:
        raise ValueError(f"{value!r} is not a whole number from {least}")
    return value
