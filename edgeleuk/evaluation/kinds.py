"""What labels of data mean to a reader that has finer or coarser types."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal

from edgeleuk._tables import load_table

TABLE = Path(__file__).parent.parent / "data" / "coarse_labels.toml"


@dataclass(frozen=True, slots=True)
class CoarseLabels:
    """The whole table. ValueError where a label allows itself, in however many steps."""

    schema: Literal[1]
    allows: Mapping[str, tuple[str, ...]]
    """By label, the types and labels that it stands for."""

    def __post_init__(self) -> None:
        for label in self.allows:
            try:
                within = self.within(label)
            except RecursionError as error:
                raise ValueError(f"{label!r} leads to a label that allows itself") from error
            if label in within:
                raise ValueError(f"{label!r} allows itself")

    def within(self, label: str) -> frozenset[str]:
        """Everything that a label allows, in however many steps; nothing where it names one type."""
        own = self.allows.get(label, ())
        return frozenset(own).union(*(self.within(each) for each in own))


@cache
def shipped() -> CoarseLabels:
    """The table that ships. InputError where it is malformed."""
    return load_table(CoarseLabels, TABLE, like=TABLE)


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """A reader's labels, and what a label of the data can be among them."""

    labels: tuple[str, ...]
    merge: Mapping[str, str]
    """Names of the data to the reader's labels, see `ReaderManifest.merge`."""
    coarse: CoarseLabels

    def own(self, label: str) -> str:
        """A label of the data by the reader's name for it."""
        return self.merge.get(label, label)

    def allowed(self, label: str) -> frozenset[str] | None:
        """The reader's labels that are right for a cell.

        Its own label and those that it allows; without any, the first label of the table that allows it and that the reader
        has. Empty for a label of the table that no type of the reader fits; None for a label that is unknown.
        """
        right = {self.own(each) for each in (label, *self.coarse.within(label))}.intersection(self.labels)
        if right:
            return frozenset(right)
        for coarser in self.coarse.allows:
            if label in self.coarse.within(coarser) and self.own(coarser) in self.labels:
                return frozenset([self.own(coarser)])
        return frozenset() if label in self.coarse.allows else None

    def among(self, label: str, types: Collection[str]) -> bool | None:
        """Whether a cell is of some types; None where its label leaves that open."""
        if label in types or self.own(label) in types:
            return True
        if any(label in self.coarse.within(each) for each in types):
            return True
        inside = [each in types for each in self.coarse.within(label)]
        if any(inside) and not all(inside):
            return None
        return any(inside)
