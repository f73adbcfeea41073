"""Review of one session, open for actions."""

from __future__ import annotations

from collections.abc import Collection

from edgeleuk.counting.kept import Kept
from edgeleuk.differential.rules import Reference, Rules
from edgeleuk.review.review import Review
from edgeleuk.sessions import Store
from edgeleuk.types import Box


class OpenReview:
    """Review of one session of a store.

    Each action is on the disk when it returns, and returns the review after it. Several processes may review
    a session at once: their actions follow each other, and each is checked against what the others did. Use
    from the thread that opened the store.
    """

    def __init__(self, store: Store, kept: Kept, rules: Rules, reference: Reference) -> None:
        """Open a review.

        Args:
            store: The file of sessions.
            kept: The session as `counting.kept.restored` gives it; it may be kept between requests, since
                nothing here changes it.
            rules: Rules of the differential.
            reference: Reference ranges.
        """
        raise NotImplementedError

    def review(self) -> Review:
        """Return the review as of now, from the disk."""
        raise NotImplementedError

    def reclassify(self, who: str, cells: Collection[int], label: str | None, why: str = "") -> Review:
        """Give one or several cells another label.

        They are one group, undone together. A cell that has the label already gets no entry.

        Args:
            who: Name of the reviewer.
            cells: Numbers of cells on the map, or of cells added by hand (negative).
            label: One of `choices`; None to go back to the label before the review.
            why: Reason; may be empty.

        Raises:
            UsageError: An unknown cell or label, or no name.
            StoreError: It cannot be kept, or the session is being counted.
        """
        raise NotImplementedError

    def look(self, who: str, cells: Collection[int]) -> Review:
        """Record that cells were on the reviewer's screen.

        Only what was shown large enough to be judged: such a cell counts as confirmed. Cells that were
        looked at before, and a signed revision, get no entry.
        """
        raise NotImplementedError

    def add(self, who: str, label: str, field: int, box: Box, why: str = "") -> Review:
        """Add a cell that the program missed.

        Args:
            who: Name of the reviewer.
            label: One of `choices`.
            field: Number of the field.
            box: Box in that field, x1 y1 x2 y2, pixels of the file.
            why: Reason; may be empty.

        Raises:
            UsageError: An unknown label or field, or a box outside the field.
        """
        raise NotImplementedError

    def note(self, who: str, text: str) -> Review:
        """Add a note to the review."""
        raise NotImplementedError

    def undo(self, who: str) -> Review:
        """Undo this reviewer's last action in this revision.

        A reclassification, an added cell or a note. The undoing is an entry of its own; nothing is erased.

        Raises:
            UsageError: If there is none.
        """
        raise NotImplementedError

    def sign(self, who: str, seen: int, *, pin: str = "", why: str = "") -> Review:
        """Sign the present revision.

        Args:
            who: Name of the reviewer; of an operator, where the store has operators.
            seen: Number of the last entry that the reviewer saw (`Review.last`).
            pin: PIN of the operator; not needed where the store has no operators.
            why: Remark; may be empty.

        Raises:
            UsageError: If it is signed, the trail went on since `seen`, or it has faults.
            StoreError: If the PIN is wrong or the operator locked.
        """
        raise NotImplementedError

    def amend(self, who: str, why: str) -> Review:
        """Open the next revision of a signed review, with a reason.

        A change does so by itself.

        Raises:
            UsageError: If the revision is not signed, or no reason is given.
        """
        raise NotImplementedError
