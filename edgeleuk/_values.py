"""Checks of single values from JSON: each gives the value, or raises TypeError or ValueError with what is wrong."""

from __future__ import annotations

from math import inf
from pathlib import Path
from typing import Any


def inside(folder: Path, name: str) -> Path:
    """A file of the model folder by its plain name; ValueError for any other path."""
    if name in ("", "..") or Path(name).name != name:
        raise ValueError(f"file {name!r} is not a plain name inside the model folder")
    return folder / name


def text(value: Any) -> str:
    """`value`; TypeError where it is no text."""
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is not a text")
    return value


def texts(value: Any) -> dict[str, str]:
    """Texts by name."""
    return {name: text(each) for name, each in value.items()}


def names(value: Any) -> tuple[str, ...]:
    """At least one name, each once."""
    if not isinstance(value, list | tuple) or not value or len(set(map(text, value))) < len(value):
        raise ValueError(f"{value!r} is not a list of different names")
    return tuple(value)


def positive(value: Any) -> float:
    """A number above 0."""
    number = float(value)
    if not 0 < number < inf:
        raise ValueError(f"{value!r} is not a positive number")
    return number


def within(low: float, high: float, value: Any) -> float:
    """A number from `low` to `high`."""
    number = float(value)
    if not low <= number <= high:
        raise ValueError(f"{value!r} is not from {low:g} to {high:g}")
    return number


def not_negative(value: Any) -> float:
    """A number from 0."""
    number = float(value)
    if not 0 <= number < inf:
        raise ValueError(f"{value!r} is not a number from 0")
    return number


def share(value: Any) -> float:
    """A number from 0 to 1."""
    number = float(value)
    if not 0 <= number <= 1:
        raise ValueError(f"{value!r} is not between 0 and 1")
    return number


def span(value: Any) -> tuple[float, float]:
    """Two positive numbers, the smaller first."""
    low, high = map(positive, value)
    if low > high:
        raise ValueError(f"{value!r} does not run from the smaller to the larger")
    return low, high


def count(value: Any, least: int = 1) -> int:
    """A whole number from `least`."""
    if type(value) is not int or value < least:
        raise ValueError(f"{value!r} is not a whole number from {least}")
    return value
