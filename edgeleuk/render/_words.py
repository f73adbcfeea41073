"""Small things that several texts share: names, times, numbers and how severe flags look."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from edgeleuk.rules import Severity
from edgeleuk.types import UNCLASSIFIED

SEVERITY_STYLES: Mapping[Severity, str] = {"alert": "bold red", "warning": "yellow", "note": "cyan"}


def spoken(name: str) -> str:
    """A label, attribute or code as a person writes it."""
    return "not recognised" if name == UNCLASSIFIED else name.replace("_", " ")


def flag_title(code: str) -> str:
    """A flag's code as words. What has no vowel, as NRBC, is an abbreviation and stays one."""
    words = [word.lower() if set(word) & set("AEIOUY") else word for word in code.split("_")]
    return f"{words[0][:1].upper()}{' '.join(words)[1:]}"


def short(name: str, width: int) -> str:
    """The end of a path tells more than its beginning."""
    name = Path(name).name if len(name) > width else name
    return name if len(name) <= width else "..." + name[3 - width :]


def clean(text: str) -> str:
    """Without line breaks and the control characters by which a file's name could steer a terminal."""
    return "".join(char if char.isprintable() else " " for char in text)


def elapsed(seconds: float) -> str:
    """Hours, minutes and seconds: 0:12:34."""
    minutes, second = divmod(int(seconds), 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours}:{minute:02}:{second:02}"
