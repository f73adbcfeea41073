"""What a trail amounts to: labels, looks, added cells, revisions.

It is kept entry by entry, and is the same whether it grew with the review or was replayed from the trail.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Self

from edgeleuk.review.states import ACTS, NEXT, PRELIMINARY, Standing
from edgeleuk.sessions.trail import Action, Entry
from edgeleuk.types import NOT_A_CELL

UNDOABLE: frozenset[Action] = frozenset({"reclassify", "add", "note"})


@dataclass(frozen=True, slots=True)
class Given:
    """Label that a reviewer gave a cell."""

    label: str | None
    """None to go back to the label before the review."""
    by: str
    group: int


class Ledger:
    """Sum of a trail's entries."""

    def __init__(self) -> None:
        self.standing: Standing = PRELIMINARY
        self.revision = 1
        self.looked: set[int] = set()
        """Cells that were on the screen."""
        self.signatures: list[Entry] = []
        self.faults: list[str] = []
        """Entries that were not possible, a sentence each."""
        self._given: dict[int, list[Given]] = {}
        """Labels of each cell that were not taken back, the last one holds."""
        self._added: dict[int, Entry] = {}
        self._notes: dict[int, Entry] = {}
        self._groups: dict[int, list[Entry]] = {}
        """Entries that can be undone, by group."""
        self._last_added = 0

    @classmethod
    def of(cls, entries: Iterable[Entry]) -> Self:
        """Return the ledger of a trail."""
        ledger = cls()
        for entry in entries:
            ledger.add(entry)
        return ledger

    def add(self, entry: Entry) -> None:
        """Take an entry into account."""
        if (standing := NEXT.get((self.standing, ACTS[entry.action]))) is None:
            self.faults.append(
                f"entry {entry.number} of the review ({entry.action}) was not possible: the review was {self.standing}."
            )
            return
        self.standing, self.revision = standing, entry.revision
        match entry.action:
            case "reclassify":
                assert entry.cell is not None
                self._given.setdefault(entry.cell, []).append(Given(entry.after, entry.who, entry.group))
            case "looked_at":
                self.looked.update(entry.cells)
            case "add":
                assert entry.cell is not None
                self._added[entry.cell] = entry
                self._last_added = min(self._last_added, entry.cell)
            case "note":
                self._notes[entry.number] = entry
            case "undo":
                self.take_back(entry.undoes or 0)
            case "sign":
                self.signatures.append(entry)
        if entry.action in UNDOABLE:
            self._groups.setdefault(entry.group, []).append(entry)

    def take_back(self, group: int) -> None:
        """Take back the entries of a group."""
        for undone in self._groups.pop(group, ()):
            if undone.action == "add" and undone.cell is not None:
                self._added.pop(undone.cell, None)
            self._notes.pop(undone.number, None)
            if undone.action == "reclassify" and undone.cell is not None:
                left = [each for each in self._given[undone.cell] if each.group != undone.group]
                self._given[undone.cell] = left

    def given(self, cell: int) -> Given | None:
        """Return the label that holds for a cell.

        None if none was given.
        """
        labels = self._given.get(cell)
        return labels[-1] if labels and labels[-1].label is not None else None

    @property
    def added(self) -> dict[int, Entry]:
        """Entries of cells added by hand that were not undone, by number."""
        return dict(self._added)

    @property
    def next_added(self) -> int:
        """Number of the next cell added by hand; none is given twice."""
        return self._last_added - 1

    def label_of_added(self, cell: int) -> str:
        """Return the label of a cell added by hand.

        NOT_A_CELL if it was taken back.
        """
        if entry := self._added.get(cell):
            given = self.given(cell)
            return (given.label if given else entry.after) or NOT_A_CELL
        return NOT_A_CELL

    @property
    def notes(self) -> tuple[Entry, ...]:
        """Notes that were not undone."""
        return tuple(self._notes.values())

    def last_of(self, who: str) -> list[Entry]:
        """Return the last group that a reviewer can undo in this revision.

        Empty if there is none.
        """
        for entries in reversed(self._groups.values()):
            if entries[0].revision != self.revision:
                break
            if entries[0].who == who:
                return entries
        return []
