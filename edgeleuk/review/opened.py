"""Review of one session, open for actions."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence

from edgeleuk.counting.kept import Kept
from edgeleuk.differential.rules import Reference, Rules
from edgeleuk.errors import UsageError
from edgeleuk.review import signing
from edgeleuk.review.computing import Computing
from edgeleuk.review.ledger import Ledger
from edgeleuk.review.review import Review
from edgeleuk.review.states import after, opens_revision
from edgeleuk.sessions import Store
from edgeleuk.sessions.operators import name_of
from edgeleuk.sessions.trail import Entry, NewEntry
from edgeleuk.types import Box, spoken

LONGEST_TEXT = 2000
"""Maximum characters of a reason or note."""
Make = Callable[[Ledger, tuple[Entry, ...]], Sequence[NewEntry]]


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
        self._store, self._kept = store, kept
        self._trail = store.trail(kept.summary.id)
        self._computing = Computing(kept, rules, reference)
        self._ledger, self._taken = Ledger(), 0
        self._review: Review | None = None

    def review(self, lost: list[str] | None = None) -> Review:
        """Return the review as of now, from the disk.

        `lost` takes a sentence on what a damaged file does not give; such a review has faults.

        Raises:
            DamagedError: If a part of the trail cannot be read and `lost` is None.
        """
        return self._as_of(self._trail.entries(lost))

    def reclassify(self, who: str, cells: Collection[int], label: str | None, why: str = "") -> Review:
        """Give one or several cells another label.

        They are one group, undone together. A cell that a reviewer gave the label already gets no entry.

        Args:
            who: Name of the reviewer.
            cells: Numbers of cells on the map, or of cells added by hand (negative).
            label: One of `choices`; None to go back to the label before the review.
            why: Reason; may be empty.

        Raises:
            UsageError: An unknown cell or label, or no name.
            StoreError: It cannot be kept, or the session is being counted.
        """
        if label is not None:
            self._require_label(label)
        chosen = [int(cell) for cell in dict.fromkeys(cells)]
        name, reason = name_of(who), _text(why)

        def make(ledger: Ledger, _: tuple[Entry, ...]) -> Sequence[NewEntry]:
            self._require_cells(chosen, ledger)
            revision = _revision_of_change(ledger)
            return [
                NewEntry(
                    who=name,
                    action="reclassify",
                    revision=revision,
                    cell=cell,
                    before=self._label(cell, ledger),
                    after=label,
                    why=reason,
                )
                for cell in chosen
                if label != (given.label if (given := ledger.given(cell)) else None)
            ]

        return self._changed(make, name, reason)

    def look(self, who: str, cells: Collection[int]) -> Review:
        """Record that cells were on the reviewer's screen.

        Only what was shown large enough to be recognised: such a cell counts as confirmed. Cells that were
        looked at before, and a signed revision, get no entry.

        Raises:
            UsageError: An unknown cell, or no name.
            StoreError: It cannot be kept, or the session is being counted.
        """
        name, chosen = name_of(who), {int(cell) for cell in cells}

        def make(ledger: Ledger, _: tuple[Entry, ...]) -> Sequence[NewEntry]:
            self._require_cells(chosen, ledger)
            new = tuple(sorted(cell for cell in chosen - ledger.looked if cell > 0))
            if ledger.standing.signed or not new:
                return []
            return [NewEntry(who=name, action="looked_at", revision=ledger.revision, cells=new)]

        if self._is_seen(chosen):
            return self.review()
        return self._append(make)

    def add(self, who: str, label: str, field: int, box: Box, why: str = "") -> Review:
        """Add a cell that the program missed.

        Args:
            who: Name of the reviewer.
            label: One of `choices`.
            field: Number of the field.
            box: Box in that field, x1 y1 x2 y2, pixels of the file.
            why: Reason; may be empty.

        Raises:
            UsageError: An unknown label or field, or a box that is not inside the field.
            StoreError: It cannot be kept, or the session is being counted.
        """
        self._require_label(label)
        place = self._inside(int(field), box)
        name, reason = name_of(who), _text(why)

        def make(ledger: Ledger, _: tuple[Entry, ...]) -> Sequence[NewEntry]:
            return [
                NewEntry(
                    who=name,
                    action="add",
                    revision=_revision_of_change(ledger),
                    cell=ledger.next_added,
                    after=label,
                    why=reason,
                    field=int(field),
                    box=place,
                )
            ]

        return self._changed(make, name, reason)

    def note(self, who: str, text: str) -> Review:
        """Add a note to the review.

        Raises:
            UsageError: An empty or too long text, or no name.
            StoreError: It cannot be kept, or the session is being counted.
        """
        name, said = name_of(who), _text(text)
        if not said:
            raise UsageError("an empty note. Write what is to be kept.")
        return self._changed(
            lambda ledger, _: [
                NewEntry(who=name, action="note", revision=_revision_of_change(ledger), why=said)
            ],
            name,
            "",
        )

    def undo(self, who: str) -> Review:
        """Undo this reviewer's last action in this revision.

        A reclassification, an added cell or a note. The undoing is an entry of its own; nothing is erased.

        Raises:
            UsageError: If there is none.
            StoreError: It cannot be kept, or the session is being counted.
        """
        name = name_of(who)

        def make(ledger: Ledger, entries: tuple[Entry, ...]) -> Sequence[NewEntry]:
            after(ledger.standing, "undo")
            if not (undone := ledger.last_of(name)):
                raise UsageError(f"{name} has nothing to undo in revision {ledger.revision}.")
            group, cells = undone[0].group, tuple(each.cell for each in undone if each.cell is not None)
            cell = cells[0] if len(cells) == 1 else None
            left = Ledger.of(entries)
            left.take_back(group)
            return [
                NewEntry(
                    who=name,
                    action="undo",
                    revision=ledger.revision,
                    cell=cell,
                    before=None if cell is None else self._label(cell, ledger),
                    after=None if cell is None else self._label(cell, left),
                    cells=cells,
                    undoes=group,
                )
            ]

        return self._append(make)

    def sign(self, who: str, seen: int, *, pin: str = "", why: str = "") -> Review:
        """Sign the present revision.

        Args:
            who: Name of the reviewer; of an operator, where the store has operators.
            seen: Number of the last entry that the reviewer saw (`Review.last`).
            pin: PIN of the operator; not needed where the store has no operators.
            why: Remark; may be empty.

        Raises:
            UsageError: If the PIN is wrong, the revision is signed, the trail went on since `seen`, or it
                has faults.
            StoreError: It cannot be kept, or the session is being counted.
        """
        name, reason = name_of(who), _text(why)
        after(self._refreshed().standing, "sign")  # before a PIN is asked for nothing
        if self._store.operators.needed():
            name = self._store.operators.check(name, pin).name

        def make(ledger: Ledger, entries: tuple[Entry, ...]) -> Sequence[NewEntry]:
            after(ledger.standing, "sign")
            if (entries[-1].number if entries else 0) != seen:
                others = ", ".join(dict.fromkeys(each.who for each in entries[max(seen, 0) :])) or "somebody"
                raise UsageError(
                    f"the review was changed since you looked at it, by {others}. Look at it again, then sign."
                )
            review = self._computing.review(entries, ledger)
            if review.faults:
                raise UsageError(f"the review cannot be signed: {review.faults[0]}")
            covered = signing.signed(
                self._kept,
                review.result,
                entries[-1].hash if entries else "",
                ledger.revision,
                review.added_counts,
                review.reviewed,
            )
            return [NewEntry(who=name, action="sign", revision=ledger.revision, why=reason, signed=covered)]

        return self._append(make)

    def amend(self, who: str, why: str) -> Review:
        """Open the next revision of a signed review, with a reason.

        A change does so by itself.

        Raises:
            UsageError: If the revision is not signed, or no reason is given.
            StoreError: It cannot be kept, or the session is being counted.
        """
        name, reason = name_of(who), _text(why)
        if not reason:
            raise UsageError("no reason to amend a signed revision. Say why.")
        return self._append(lambda ledger, _: [_amendment(ledger, name, reason)])

    # The trail

    def _changed(self, make: Make, who: str, why: str) -> Review:
        """Append changes, in the next revision if this one is signed."""

        def with_amendment(ledger: Ledger, entries: tuple[Entry, ...]) -> Sequence[NewEntry]:
            made = make(ledger, entries)
            opens = made and opens_revision(ledger.standing, "change")
            return [_amendment(ledger, who, why), *made] if opens else made

        return self._append(with_amendment)

    def _append(self, make: Make) -> Review:
        def build(entries: tuple[Entry, ...]) -> Sequence[NewEntry]:
            return make(self._taken_in(entries), entries)

        return self._as_of(self._trail.append(build))

    def _refreshed(self) -> Ledger:
        return self._taken_in(self._trail.entries())

    def _taken_in(self, entries: tuple[Entry, ...]) -> Ledger:
        """Return the ledger of a trail, which grew since."""
        for entry in entries[self._taken :]:
            self._ledger.add(entry)
        self._taken = len(entries)
        return self._ledger

    def _as_of(self, entries: tuple[Entry, ...]) -> Review:
        if self._review is None or self._review.last != len(entries):
            self._review = self._computing.review(entries, self._taken_in(entries))
        return self._review

    # Checks

    def _is_seen(self, cells: Collection[int]) -> bool:
        """Return whether looking at cells changes nothing.

        So that a page that is looked at again writes nothing.
        """
        ledger = self._refreshed()
        self._require_cells(cells, ledger)
        return ledger.standing.signed or ledger.looked.issuperset(cell for cell in cells if cell > 0)

    def _label(self, cell: int, ledger: Ledger) -> str | None:
        if cell < 0:
            return ledger.label_of_added(cell)
        given = ledger.given(cell)
        return given.label if given else self._computing.start(cell)

    def _require_label(self, label: str) -> None:
        if label not in self._computing.labels:
            names = ", ".join(map(spoken, self._computing.labels))
            raise UsageError(f"no type {label!r}. Types here: {names}.")

    def _require_cells(self, cells: Collection[int], ledger: Ledger) -> None:
        for cell in cells:
            if cell not in self._kept.cells and cell not in ledger.added:
                raise UsageError(
                    f"session {self._kept.summary.id} has no white cell {cell}. Load the page or the list of cells again."
                )

    def _inside(self, number: int, box: Box) -> Box:
        x1, y1, x2, y2 = map(float, box)
        for counted in self._kept.result.counted:
            if counted.number == number:
                if 0 <= x1 < x2 <= counted.field.width and 0 <= y1 < y2 <= counted.field.height:
                    return x1, y1, x2, y2
                raise UsageError(
                    f"the box is not inside field {number}, which is {counted.field.width} x {counted.field.height} pixels."
                    " Draw it around the cell."
                )
        raise UsageError(
            f"session {self._kept.summary.id} has no field {number}. Its fields are 1 and following."
        )


def _amendment(ledger: Ledger, who: str, why: str) -> NewEntry:
    after(ledger.standing, "amend")
    return NewEntry(who=who, action="amend", revision=ledger.revision + 1, why=why)


def _revision_of_change(ledger: Ledger) -> int:
    return ledger.revision + opens_revision(ledger.standing, "change")


def _text(text: str) -> str:
    text = text.strip()
    if len(text) > LONGEST_TEXT:
        raise UsageError(f"a text has {LONGEST_TEXT} characters at most. Shorten it.")
    return text
