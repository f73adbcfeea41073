"""Columns that say which result a table's row belongs to.

They stand first in every table, so that the tables of many slides and sites can be put one below the other.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import astuple, dataclass
from dataclasses import fields as fields_of
from typing import Any

from edgeleuk.results.slide_result import Provenance


@dataclass(frozen=True, slots=True)
class Identity:
    """Identity of one result."""

    site: str = ""
    device: str = ""
    slide: str = ""
    session: str = ""
    """UUID of the session or of the result; empty where nothing was counted."""
    started: str = ""
    """Time of the start, ISO 8601 with the offset from UTC."""

    @classmethod
    def of(cls, about: Provenance) -> Identity:
        """Return the identity of a result."""
        return cls(about.site, about.device, about.slide, about.id, about.started)


COLUMNS = tuple(each.name for each in fields_of(Identity))


def identified(about: Provenance, rows: Iterable[Iterable[Any]]) -> Iterator[tuple[Any, ...]]:
    """Yield a table's rows with the identity's columns in front.

    The first of `rows` is the head.
    """
    own = astuple(Identity.of(about))
    for number, row in enumerate(rows):
        yield (*(own if number else COLUMNS), *row)
