"""Trail of a review on the disk: it only grows, tells changes, survives `kill -9`, and serves several processes."""

from __future__ import annotations

import multiprocessing
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from functools import partial
from pathlib import Path

import audit
import old_store
import pytest
from counted import counted_field
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from reviewed import LABELS, keep, kept, opened, reading, store_at
from standard import REFERENCE, RULES

from edgeleuk.errors import DamagedError, StoreError, UsageError
from edgeleuk.review import OpenReview
from edgeleuk.review.ledger import Ledger
from edgeleuk.sessions import Entry, NewEntry, Store, open_store
from edgeleuk.sessions.trail import digest
from edgeleuk.types import UNCLASSIFIED


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with store_at(tmp_path) as opened_store:
        yield opened_store


@pytest.fixture
def review(store: Store) -> OpenReview:
    return opened(store, [reading(label) for label in ("neutrophil", "lymphocyte", UNCLASSIFIED, "blast")])


def execute(store: Store, *statements: str) -> None:
    """As another program does."""
    with closing(sqlite3.connect(store.path)) as connection:
        for statement in statements:
            connection.execute(statement)
        connection.commit()


def read_again(store: Store, review: OpenReview) -> OpenReview:
    return OpenReview(store, kept(store, review.review().session), RULES, REFERENCE)


def test_a_trail_comes_back_exactly(store: Store, review: OpenReview) -> None:
    """Every part of every kind of entry, read by another opening of the file."""
    review.look("ann", [1, 2])
    review.reclassify("ann", [1, 3], "blast", 'because "it" is; – ok')
    review.add("bo", "monocyte", 1, (0.1, 1 / 3, 20.0, 30.5), "missed")
    review.note("bo", "a note\nof two lines")
    review.undo("bo")
    review.sign("ann", review.review().last, why="done")
    grown = review.amend("ann", "again")
    with open_store(store.path) as other:
        assert other.trail(grown.session).entries() == grown.trail
    assert read_again(store, review).review() == grown


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE trail SET who = 'eve' WHERE number = 1",
        "UPDATE trail SET hash = ''",
        "DELETE FROM trail WHERE number = 2",
        "DELETE FROM trail",
        "INSERT OR REPLACE INTO trail SELECT session, number, at, 'eve', action, revision, part_of, cell, before,"
        " after, why, details, hash FROM trail WHERE number = 1",
        "INSERT INTO trail SELECT session, number + 5, at, who, action, revision, part_of, cell, before, after, why,"
        " details, hash FROM trail WHERE number = 2",
    ],
)
def test_no_program_changes_or_removes_an_entry(store: Store, review: OpenReview, statement: str) -> None:
    """The file itself refuses it."""
    before = review.reclassify("ann", [1, 2], "blast").trail
    with pytest.raises(sqlite3.IntegrityError, match="entry of a trail"):
        execute(store, statement)
    assert read_again(store, review).review().trail == before


def test_a_trail_goes_with_its_session(store: Store, review: OpenReview) -> None:
    """The trails of others stay."""
    other = keep(store, [reading("blast")], "S-2")
    store.trail(other).append(lambda _: [NewEntry(who="ann", action="note", revision=1, why="stays")])
    session = review.reclassify("ann", [1], "blast").session
    store.delete(session)
    assert store._database.query("SELECT session, why FROM trail")[0][:] == (other, "stays")


@pytest.mark.parametrize(
    ("statement", "said"),
    [
        ("UPDATE trail SET after = 'lymphocyte' WHERE number = 1", "entry 1 of the review, or one before it"),
        ("UPDATE trail SET who = 'eve' WHERE number = 2", "entry 2 of the review, or one before it"),
        ("DELETE FROM trail WHERE number = 1", "entry 1 of the review is missing"),
        ("DELETE FROM trail WHERE number = 2", "entry 2 of the review is missing"),
    ],
)
def test_a_changed_trail_is_told_when_it_is_opened(
    store: Store, review: OpenReview, statement: str, said: str
) -> None:
    """Also if the triggers were removed first; and such a review is not signed."""
    review.reclassify("ann", [1], "blast")
    review.reclassify("ann", [2], "blast")
    review.reclassify("ann", [3], "blast")
    execute(store, "DROP TRIGGER trail_is_not_changed", "DROP TRIGGER trail_is_not_shortened", statement)
    again = read_again(store, review)
    assert said in again.review().faults[0]
    with pytest.raises(UsageError, match="cannot be signed: entry"):
        again.sign("ann", again.review().last)


def test_a_changed_signature_is_told(store: Store, review: OpenReview) -> None:
    """Even if the hash of its entry was computed anew."""
    signed = review.sign("ann", review.reclassify("ann", [1], "blast").last)
    entry = signed.trail[-1]
    forged = replace(entry, signed=entry.signed.replace('"blast": 2', '"blast": 1'))
    assert forged.signed != entry.signed
    with closing(sqlite3.connect(store.path)) as connection:
        connection.execute("DROP TRIGGER trail_is_not_changed")
        details = connection.execute(
            "SELECT details FROM trail WHERE number = ?", (entry.number,)
        ).fetchone()[0]
        connection.execute(
            "UPDATE trail SET details = ?, hash = ? WHERE number = ?",
            (
                details.replace('\\"blast\\": 2', '\\"blast\\": 1'),
                digest(signed.trail[-2].hash, forged),
                entry.number,
            ),
        )
        connection.commit()
    assert "the signature of revision 1, signed by ann" in read_again(store, review).review().faults[0]


def test_a_changed_count_is_told_after_the_signature(store: Store, review: OpenReview) -> None:
    """A field that was taken back behind the program's back is no longer what was signed."""
    review.sign("ann", 0)
    execute(store, "UPDATE sessions SET finder_sha256 = 'other'")
    assert "the program's result is not the one of revision 1" in read_again(store, review).review().faults[0]


def test_a_damaged_entry_is_told(store: Store, review: OpenReview) -> None:
    """It is an error, and no traceback."""
    review.look("ann", [1])
    execute(store, "DROP TRIGGER trail_is_not_changed", "UPDATE trail SET details = '{'")
    with pytest.raises(DamagedError, match="entry 1 of the review"):
        read_again(store, review).review()


def test_an_entry_is_synced_before_it_is_confirmed(store: Store) -> None:
    """SQLite syncs its log at the end of each transaction."""
    assert store._database.query("PRAGMA synchronous")[0][0] == 2
    assert store._database.query("PRAGMA journal_mode")[0][0] == "wal"


def test_a_killed_process_loses_no_confirmed_entry(tmp_path: Path) -> None:
    """`python tests/audit.py kill 50` kills more."""
    found = [*audit.killed(10, 3, tmp_path)]
    assert [each.lost for each in found] == [0] * 10
    assert all(each.sound for each in found)
    # One may be written and not yet confirmed at each kill.
    assert all(each.kept <= each.confirmed + 1 for each in found)


def test_two_openings_of_a_file_follow_each_other(store: Store, review: OpenReview) -> None:
    """Each action is checked against what the other did."""
    with open_store(store.path) as other_store:
        other = read_again(other_store, review)
        review.reclassify("ann", [1], "blast")
        assert other.reclassify("bo", [2], "blast").trail[0].who == "ann"
        assert other.review() == review.review()
        review.sign("ann", review.review().last)
        with pytest.raises(UsageError, match="signed already"):
            other.sign("bo", other.review().last)


def test_processes_that_add_at_once_lose_nothing(store: Store, review: OpenReview) -> None:
    """Their entries are one chain."""
    session = review.review().session
    context = multiprocessing.get_context("fork")
    ways = [context.Process(target=_add_many, args=(store.path, session, f"p{i}")) for i in range(3)]
    for each in ways:
        each.start()
    for each in ways:
        each.join(60)
    assert [each.exitcode for each in ways] == [0, 0, 0]
    found = read_again(store, review).review()
    assert (len(found.trail), found.faults) == (60, ())
    assert {entry.who for entry in found.trail} == {"p0", "p1", "p2"}


def _add_many(path: Path, session: str, who: str) -> None:
    with open_store(path, create=False) as store:
        trail = store.trail(session)
        for number in range(20):
            note = NewEntry(who=who, action="note", revision=1, why=str(number))
            trail.append(partial(_one, note))


def _one(entry: NewEntry, _: tuple[Entry, ...]) -> list[NewEntry]:
    return [entry]


def test_a_session_that_another_process_writes_is_not_reviewed(store: Store, review: OpenReview) -> None:
    """A clear error; it can still be looked at."""
    session = review.review().session
    holder = store.annotate(session)
    with open_store(store.path) as other_store, pytest.raises(StoreError, match="Finish that first"):
        read_again(other_store, review).reclassify("bo", [1], "blast")
    holder.release()
    assert review.reclassify("bo", [1], "blast").last == 1


def test_an_older_file_gets_a_trail(tmp_path: Path) -> None:
    """Its session is reviewed as any other, and reads as before."""
    path = tmp_path / "sessions.db"
    old_store.write(path, [counted_field(1)])
    with open_store(path) as store:
        review = OpenReview(store, kept(store, "20260101-101010-aa"), RULES, REFERENCE)
        first = next(iter(review.review().cells))
        assert review.reclassify("ann", [first], "blast").cells[first].label == "blast"
        assert [field.number for field in store.get("20260101-101010-aa").counted()] == [1]


numbers = st.integers(0, 999)
random_steps = st.lists(st.tuples(st.sampled_from(audit.ACTIONS), numbers, numbers, numbers), max_size=25)


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(random_steps)
def test_any_sequence_gives_the_same_from_the_trail_alone(store: Store, steps: list[audit.Step]) -> None:
    """Of reclassify, look, add, note, undo, sign and amend. `python tests/audit.py 10000` takes more steps."""
    review = opened(store, [reading(label) for label in ("neutrophil", "lymphocyte", UNCLASSIFIED, "blast")])
    player = audit.Player(review, LABELS)
    for step in steps:
        player.play(step)
    assert not audit.difference(player.review, read_again(store, review).review())


@given(st.integers(0, 2**32))
@settings(max_examples=5, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_trail_can_be_read_in_parts(store: Store, seed: int) -> None:
    """The sum of a trail does not depend on when it was read."""
    review = opened(store, [reading(label) for label in ("neutrophil", "lymphocyte", UNCLASSIFIED, "blast")])
    player = audit.Player(review, LABELS)
    for step in audit.steps(seed, 15):
        player.play(step)
    trail = player.review.trail
    in_parts = Ledger.of(trail[: len(trail) // 2])
    for entry in trail[len(trail) // 2 :]:
        in_parts.add(entry)
    assert vars(in_parts) == vars(Ledger.of(trail))
