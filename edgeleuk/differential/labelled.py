"""Cells of a tally that a person labelled."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Labelled:
    """White cells whose label a person gave or confirmed.

    They have no reader's error. The tally that they belong to counts them too.
    """

    white: Mapping[str, int] = field(default_factory=dict)
    """Number of cells by the person's label; "unclassified" is none."""
    unsure: int = 0
    """Number of them that the reader had not recognised."""

    @property
    def cells(self) -> int:
        return sum(self.white.values())


NOBODY = Labelled()
"""Value for a tally of which no person labelled a cell."""
