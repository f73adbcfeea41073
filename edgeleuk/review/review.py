"""Review of one slide: the program's answer and the person's."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from edgeleuk.results.slide_result import SlideResult
from edgeleuk.review.states import State
from edgeleuk.sessions.trail import Entry
from edgeleuk.types import UNCLASSIFIED, Box, Morphometry, Reading


@dataclass(frozen=True, slots=True)
class ReviewedCell:
    """White cell with the program's answer and the person's."""

    identity: int
    """Number of the cell on the map, from 1."""
    reading: Reading | None
    """The program's own reading, whatever people said; None if not read."""
    mark: str | None
    """Label that the operator gave while counting."""
    person: str | None
    """Label that a reviewer gave; None if none did, or it was taken back."""
    by: str
    """Who gave `person`; empty if nobody."""
    looked_at: bool
    """Whether a reviewer had it on the screen, or labelled it."""
    morphometry: Morphometry | None
    whole: bool
    field: int
    """Number of the field that showed it first."""
    name: str
    """Name of that field."""
    number: int
    """Number of the cell in that field, by which the verdict names it."""
    box: Box
    """Box in that field, x1 y1 x2 y2, pixels of the file."""
    picture: tuple[int, int]
    """Number of the field with its best picture, and index there (`CountedField.crops`)."""
    views: int
    """Number of fields that show it."""
    flagged: bool
    """Whether a flag or reason of the present verdict names it."""
    flagged_by_program: bool
    """Whether a flag or reason of the program's own result names it."""
    blast_like: float
    """The program's probability of the blast-like types, 0 to 1."""
    finding: bool
    """Whether its label before the review is a type whose presence a rule flags."""

    @property
    def program(self) -> str | None:
        """The program's own label; None if it did not read the cell."""
        return self.reading.label if self.reading else None

    @property
    def start(self) -> str | None:
        """Label before the review: the operator's mark, else the program's."""
        return self.mark or self.program

    @property
    def label(self) -> str | None:
        """Label that counts now: the person's, else `start`."""
        return self.person or self.start

    @property
    def sure(self) -> bool:
        """Whether a person labelled it or left its label.

        A label is left if the person looked at the cell and did not change it. A reader's error is then not
        counted with. To leave a finding as it is confirms nothing: a cell of a type that a flag would tell of
        must be labelled. No cell is sure that not even a person could tell.
        """
        if self.label in (None, UNCLASSIFIED):
            return False
        return self.person is not None or (self.looked_at and not self.finding)

    @property
    def certainty(self) -> float:
        """Certainty of the label, 0 to 1.

        1 where a person gave or confirmed it; 0 for a cell that was not read.
        """
        if self.sure or self.mark:
            return 1.0
        return self.reading.probability if self.reading else 0.0


@dataclass(frozen=True, slots=True)
class Added:
    """Missed cell that a reviewer added by hand.

    It is counted apart, never among what the program found.
    """

    identity: int
    """-1, -2 and so on: no cell of the map has such a number."""
    label: str
    field: int
    """Number of the field."""
    name: str
    """Name of the field."""
    box: Box
    """Box in that field, x1 y1 x2 y2, pixels of the file."""
    by: str
    at: str
    why: str


@dataclass(frozen=True, slots=True)
class Revision:
    """Signed revision."""

    number: int
    """Number of the revision, from 1."""
    by: str
    at: str
    """Time, UTC, ISO 8601."""
    why: str
    snapshot: str
    """SHA-256 over the trail up to the signature and the program's result."""
    entry: int
    """Number of the signing entry."""
    counts: Mapping[str, int]
    """White cells by label as signed."""
    verdict: str
    """Line of the verdict as signed."""
    faults: tuple[str, ...] = ()
    """What does not agree with the signature, a sentence each; empty if it holds."""


@dataclass(frozen=True, slots=True)
class Review:
    """Review of one slide as of one entry of its trail."""

    session: str
    program: SlideResult
    """The program's own result, as without a review."""
    result: SlideResult
    """The same with the persons' labels.

    Fields, tally, differential, verdict and estimates follow them: show these.
    """
    cells: Mapping[int, ReviewedCell]
    """White cells of the map by number."""
    added: tuple[Added, ...]
    """Cells added by hand, without those taken back or labelled "not a cell"."""
    notes: tuple[Entry, ...]
    """Notes of reviewers, without those taken back."""
    state: State
    signed: bool
    """Whether the present revision is signed."""
    revision: int
    """Number of the present revision, from 1."""
    revisions: tuple[Revision, ...]
    """Signed revisions, in order."""
    trail: tuple[Entry, ...]
    """All entries, in order."""
    labels: tuple[str, ...] = ()
    """Labels that a reviewer can give, in order."""
    faults: tuple[str, ...] = ()
    """What is wrong with the trail or the signature, a sentence each: show them first."""

    @property
    def reviewed(self) -> int:
        """Number of white cells that a reviewer looked at."""
        return sum(cell.looked_at for cell in self.cells.values())

    @property
    def changed(self) -> tuple[ReviewedCell, ...]:
        """Cells whose label now differs from the program's."""
        return tuple(cell for cell in self.cells.values() if cell.label != cell.program)

    @property
    def signature(self) -> Revision | None:
        """Signature of the present revision; None if it is not signed."""
        return self.revisions[-1] if self.signed and self.revisions else None

    @property
    def amendments(self) -> tuple[Entry, ...]:
        """Entries that opened a further revision, in order."""
        return tuple(entry for entry in self.trail if entry.action == "amend")

    @property
    def added_counts(self) -> Mapping[str, int]:
        """Cells added by hand, by label."""
        counts: dict[str, int] = {}
        for cell in self.added:
            counts[cell.label] = counts.get(cell.label, 0) + 1
        return counts

    @property
    def last(self) -> int:
        """Number of the last entry; 0 for an empty trail."""
        return self.trail[-1].number if self.trail else 0
