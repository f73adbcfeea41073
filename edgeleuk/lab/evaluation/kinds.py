"""Map labels of data to a reader's types.

The reader's types may be finer or coarser.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal

from edgeleuk.system.toml_tables import load_table

TABLE = Path(__file__).parents[2] / "data" / "coarse_labels.toml"


@dataclass(frozen=True, slots=True)
class CoarseLabels:
    """Table of labels that stand for several types.

    Raises:
        ValueError: If a label allows itself, in any number of steps.
    """

    schema: Literal[1]
    allows: Mapping[str, tuple[str, ...]]
    """Types and labels that each label stands for."""

    def __post_init__(self) -> None:
        for label in self.allows:
            try:
                within = self.within(label)
            except RecursionError as error:
                raise ValueError(f"{label!r} leads to a label that allows itself") from error
            if label in within:
                raise ValueError(f"{label!r} allows itself")

    def within(self, label: str) -> frozenset[str]:
        """Return all types and labels that a label allows.

        Labels are followed in any number of steps. The result is empty for a label that names one type.
        """
        own = self.allows.get(label, ())
        return frozenset(own).union(*(self.within(each) for each in own))


@cache
def shipped() -> CoarseLabels:
    """Load the table of the package.

    Raises:
        InputError: If it is malformed.
    """
    return load_table(CoarseLabels, TABLE, like=TABLE)


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """A reader's labels, related to labels of data."""

    labels: tuple[str, ...]
    merge: Mapping[str, str]
    """Reader's label by data label, see `ReaderManifest.merge`."""
    coarse: CoarseLabels

    def own(self, label: str) -> str:
        """Return the reader's name for a label."""
        return self.merge.get(label, label)

    def allowed(self, label: str) -> frozenset[str] | None:
        """Return the reader's labels right for a cell.

        These are the cell's own label and those that it allows. If the reader has none of them, it is the
        first label of the table that allows the cell's label and that the reader has.

        Returns:
            The right labels; empty for a label of the table that no type of the reader fits, None for an
            unknown label.
        """
        right = {self.own(each) for each in (label, *self.coarse.within(label))}.intersection(self.labels)
        if right:
            return frozenset(right)
        for coarser in self.coarse.allows:
            if label in self.coarse.within(coarser) and self.own(coarser) in self.labels:
                return frozenset([self.own(coarser)])
        return frozenset() if label in self.coarse.allows else None

    def among(self, label: str, types: Collection[str]) -> bool | None:
        """Return whether a label is of `types`, or None.

        It is None where the label leaves that open.
        """
        if label in types or self.own(label) in types:
            return True
        if any(label in self.coarse.within(each) for each in types):
            return True
        inside = [each in types for each in self.coarse.within(label)]
        if any(inside) and not all(inside):
            return None
        return any(inside)
