"""Is a review what its trail says? Random actions of two reviewers, and `kill -9` of a process that adds entries.

    python tests/audit.py [STEPS] [SEED]            so many steps, in reviews of forty each; ends with 1 at a difference
    python tests/audit.py kill [KILLS] [SEED]       a line a kill, then the sum; ends with 1 where an entry is lost

A review that grew step by step is compared with one that is read from the file alone, and its counts with those
of a plain reading of the trail, written here once more.
"""

from __future__ import annotations

import os
import random
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from edgeleuk.errors import UsageError
from edgeleuk.review import OpenReview, Review
from edgeleuk.sessions import Entry, NewEntry, NewSession, open_store
from edgeleuk.sessions.trail import faults
from edgeleuk.types import NOT_A_CELL, UNCLASSIFIED

STEPS = 40
"""Actions of one review."""
ACTIONS = ("reclassify", "back", "look", "add", "note", "undo", "sign", "amend")
Step = tuple[str, int, int, int]
"""Action, reviewer, cell and label, each a number that is taken by its remainder."""


class Player:
    """Carries out steps in an open review; what a review refuses is a step all the same."""

    def __init__(self, opened: OpenReview, labels: Sequence[str]) -> None:
        self._opened, self._labels = opened, labels
        self.review: Review = opened.review()
        self.refused = 0

    def play(self, step: Step) -> None:
        try:
            self.review = self._played(*step)
        except UsageError:
            self.refused += 1
            self.review = self._opened.review()

    def _played(self, action: str, who: int, cell: int, label: int) -> Review:
        opened, name = self._opened, ("ann", "bo")[who % 2]
        cells = [*self.review.cells, *(each.identity for each in self.review.added)]
        chosen = [cells[(cell + further) % len(cells)] for further in range(1 + label % 3)]
        given = self._labels[label % len(self._labels)]
        match action:
            case "reclassify":
                return opened.reclassify(name, chosen, given)
            case "back":
                return opened.reclassify(name, chosen, None)
            case "look":
                return opened.look(name, chosen)
            case "add":
                return opened.add(name, given, 1, (1.0, 2.0, 3.0 + cell, 4.0 + label))
            case "note":
                return opened.note(name, f"note {cell}")
            case "undo":
                return opened.undo(name)
            case "sign":
                return opened.sign(name, self.review.last)
            case _:
                return opened.amend(name, "looked again")


def steps(seed: int, number: int) -> Iterator[Step]:
    """Random steps; signatures are rarer than labels, as in practice."""
    moments = random.Random(seed)
    weights = (8, 2, 3, 2, 1, 4, 1, 1)
    for action in moments.choices(ACTIONS, weights, k=number):
        yield action, moments.randrange(2), moments.randrange(1000), moments.randrange(1000)


def plain(
    trail: Sequence[Entry], starts: Mapping[int, str | None]
) -> tuple[Counter[str | None], Counter[str]]:
    """Labels of the program's cells and of those added by hand, by a plain reading of a trail."""
    undone = {entry.undoes for entry in trail if entry.action == "undo"}
    labels, added = dict(starts), dict[int, str]()
    for entry in trail:
        if entry.group in undone or entry.cell is None:
            continue
        if entry.action == "add":
            added[entry.cell] = entry.after or ""
    first = dict(added)
    for entry in trail:
        if entry.action == "reclassify" and entry.group not in undone and entry.cell is not None:
            if entry.cell in added:
                added[entry.cell] = entry.after or first[entry.cell]
            elif entry.cell in labels:
                labels[entry.cell] = entry.after or starts[entry.cell]
    return Counter(labels.values()), Counter(label for label in added.values() if label != NOT_A_CELL)


def difference(grown: Review, read: Review) -> str:
    """What a review that grew and one read from the file differ in; empty for nothing."""
    if grown != read:
        names = [name for name in Review.__slots__ if getattr(grown, name) != getattr(read, name)]
        return f"after entry {grown.last}: {', '.join(names)}"
    if grown.faults:
        return grown.faults[0]
    starts = {identity: cell.start for identity, cell in grown.cells.items()}
    labels, added = plain(grown.trail, starts)
    white = Counter(grown.result.tally.white)
    if white != Counter({label: n for label, n in labels.items() if label}):
        return f"after entry {grown.last}: {white} is not {labels}"
    return "" if Counter(grown.added_counts) == added else f"after entry {grown.last}: cells added by hand"


@dataclass(frozen=True, slots=True)
class Killed:
    """What a process had confirmed when it was killed, and what is kept."""

    confirmed: int
    kept: int
    sound: bool
    """Whether the chain of the entries has no fault."""

    @property
    def lost(self) -> int:
        return max(0, self.confirmed - self.kept)


def killed(number: int, seed: int, folder: Path) -> Iterator[Killed]:
    """Kill so many processes that add entries to one trail, one after the other."""
    moments, path = random.Random(seed), folder / "sessions.db"
    with open_store(path) as store:
        session = store.start(_new_session())
        session.finish("all counted")
    for _ in range(number):
        reading, writing = os.pipe()
        if not (process := os.fork()):
            os.close(reading)
            _add_for_ever(path, session.id, writing)
        os.close(writing)
        with os.fdopen(reading, "rb", buffering=0) as told:
            confirmed = told.read(4)  # it works; now it is killed at any moment
            time.sleep(moments.uniform(0, 0.03))
            os.kill(process, signal.SIGKILL)
            os.waitpid(process, 0)
            while part := told.read(1 << 16):
                confirmed += part
        last = int.from_bytes(confirmed[: len(confirmed) // 4 * 4][-4:])
        with open_store(path, create=False) as store:
            entries = store.trail(session.id).entries()
            yield Killed(last, len(entries), not faults(entries))


def _new_session() -> NewSession:
    from counted import MODEL

    return NewSession(source="simulated", model=MODEL, program="0.1.0")


def _add_for_ever(path: Path, session: str, writing: int) -> None:
    try:
        with open_store(path, create=False) as store:
            trail = store.trail(session)
            while True:
                there = trail.append(
                    lambda _: [
                        NewEntry(
                            who="ann",
                            action="reclassify",
                            revision=1,
                            cell=1,
                            before=UNCLASSIFIED,
                            after="blast",
                        )
                    ]
                )
                os.write(writing, there[-1].number.to_bytes(4))
    finally:
        os._exit(1)


def _audit(number: int, seed: int) -> int:
    import reviewed
    from standard import REFERENCE, RULES

    from edgeleuk.counting.kept import restored

    # Without a measured confusion a differential takes a millisecond, and counts all the same.
    reader = replace(reviewed.READER, reader=replace(reviewed.READER.reader, confusion=None))
    started, refused = time.monotonic(), 0
    with tempfile.TemporaryDirectory() as folder, reviewed.store_at(Path(folder)) as store:
        for start in range(0, number, STEPS):
            readings = [
                reviewed.reading(label) for label in ("neutrophil", "lymphocyte", UNCLASSIFIED, "blast") * 3
            ]
            session = reviewed.keep(store, [*readings, None])
            kept = restored(store.get(session), reader, RULES, REFERENCE)
            player = Player(OpenReview(store, kept, RULES, REFERENCE), reviewed.LABELS)
            for step in steps(seed + start, min(STEPS, number - start)):
                player.play(step)
                read = OpenReview(store, kept, RULES, REFERENCE).review()
                if differs := difference(player.review, read):
                    print(f"seed {seed + start}: {differs}")
                    return 1
            refused += player.refused
    print(f"{number} steps in {time.monotonic() - started:.0f} s, {refused} of them refused: no difference")
    return 0


def main(arguments: Sequence[str]) -> int:
    """Run from the command line."""
    if arguments[:1] == ["kill"]:
        number, seed = (*map(int, arguments[1:3]), *(50, 1)[len(arguments) - 1 :])
        lost = 0
        with tempfile.TemporaryDirectory() as folder:
            for each in killed(number, seed, Path(folder)):
                lost += each.lost + (not each.sound)
                print(
                    f"confirmed {each.confirmed}, kept {each.kept}, {'sound' if each.sound else 'NOT SOUND'}"
                )
        print(f"{number} kills, {lost} entries lost")
        return int(bool(lost))
    number, seed = (*map(int, arguments[:2]), *(10_000, 1)[len(arguments) :])
    return _audit(number, seed)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
