"""Names of settings and commands in messages.

A message that says what to do names settings by key, such as "um-per-px". The front end registers how its
users know them: the command line as `--um-per-px`. Without a front end they have their plain names.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Wording:
    """How a front end calls its settings and commands."""

    option: Callable[[str], str] = lambda key: key.replace("-", " ")
    command: Callable[[str], str] = lambda words: words


_wording = Wording()


def register(wording: Wording) -> None:
    """Set the wording of the front end of this process."""
    global _wording
    _wording = wording


def option(key: str) -> str:
    """Return the name of a setting, such as "um-per-px"."""
    return _wording.option(key)


def command(words: str) -> str:
    """Return the name of a command, such as "sessions list"."""
    return _wording.command(words)
