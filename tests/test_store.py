"""Sessions on the disk: what is written comes back the same, and one process writes a session or holds a camera."""

from __future__ import annotations

import re
import sqlite3
from contextlib import closing
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from counted import counted_field, same, started

from edgeleuk.errors import StoreError, UsageError
from edgeleuk.store import Store, claim_source, default_path, migrations, open_store
from edgeleuk.types import Assessment, Cell, Morphometry, Placement


@pytest.fixture
def store(tmp_path: Path) -> Store:
    with open_store(tmp_path / "sessions.db") as opened:
        yield opened


def test_counted_fields_come_back_exactly(store: Store) -> None:
    """Every value of a field, its thumbnail and its crops equal what was written, bit by bit, in order."""
    session = started(store)
    for number in range(1, 6):
        session.add(counted_field(number))
    restored = list(session.counted())
    assert [field.number for field in restored] == [1, 2, 3, 4, 5]
    assert all(same(field, counted_field(field.number)) for field in restored)


def test_a_field_without_cells_comes_back(store: Store) -> None:
    """A field where nothing was found is a counted field."""
    field = counted_field(1)
    empty = replace(field, field=replace(field.field, cells=()), identities=(), fresh=frozenset(), crops={})
    session = started(store)
    session.add(empty)
    assert same(next(session.counted()), empty)


def test_a_reading_keeps_what_is_not_known(store: Store) -> None:
    """None in a morphometry, an absent morphometry and an absent reading are three different things."""
    field = counted_field(1)
    box = (0.1, 1 / 3, 7.0, 9.5)
    cells = (
        Cell("WBC", box, 0.5, morphometry=Morphometry()),
        Cell("WBC", box, 0.5),
        Cell("Parasite", box, 0.25, whole=False),
    )
    odd = replace(
        field,
        field=replace(field.field, cells=cells),
        identities=(3, 2**40, 7),
        fresh=frozenset({2**40, 7}),
        crops={2: b"not looked into"},
    )
    session = started(store)
    session.add(odd)
    assert same(next(session.counted()), odd)


def test_numbers_of_numpy_are_kept_as_numbers(store: Store) -> None:
    """A caller that leaves numpy's scalars in a field gets equal numbers back."""
    field = counted_field(2)
    given = replace(
        field,
        number=np.int64(2),
        sharpness=np.float32(0.1),
        identities=tuple(np.int64(i) for i in field.identities),
        placement=Placement(np.int64(1), np.float32(0.1), np.float64(0.2)),
    )
    session = started(store)
    session.add(given)
    assert same(next(session.counted()), given)


def test_another_process_reads_while_one_writes(store: Store) -> None:
    """What was added is there at once for whoever opens the file, whose reading does not disturb the writer."""
    session = started(store)
    session.add(counted_field(1))
    with open_store(store.path) as other:
        seen = other.get(session.id)
        session.add(counted_field(2))
        assert [field.number for field in seen.counted()] == [1, 2]
        assert seen.summary.state == "running"


def test_undo_takes_the_last_field_and_its_number_is_free_again(store: Store) -> None:
    """After undo the field is not among the counted ones, and the next takes its number."""
    session = started(store)
    for number in (1, 2):
        session.add(counted_field(number))
    session.undo()
    again = replace(counted_field(3), number=2)
    session.add(again)
    assert [field.field.name for field in session.counted()] == ["simulated-1", "simulated-3"]
    assert session.summary.fields == 2


def test_undo_keeps_the_record(store: Store) -> None:
    """What was taken back is still in the file, with the time."""
    session = started(store)
    session.add(counted_field(1))
    session.undo()
    with sqlite3.connect(store.path) as raw:
        assert raw.execute("SELECT number, undone IS NOT NULL FROM fields").fetchall() == [(1, 1)]
    raw.close()


def test_undo_takes_back_marks_of_cells_that_the_field_was_first_to_show(store: Store) -> None:
    """The map gives such a number again, to another cell, which must not inherit the mark."""
    session = started(store)
    field = counted_field(3)
    white = [i for cell, i in zip(field.field.cells, field.identities, strict=True) if cell.kind == "WBC"]
    old, new = 10_000, white[0]
    session.mark(old, "artefact")
    session.add(replace(field, fresh=frozenset({new})))
    session.mark(new, "smudge_cell")
    assert session.marks() == {old: "artefact", new: "smudge_cell"}
    session.undo()
    assert session.marks() == {old: "artefact"}


def test_undo_of_nothing_is_refused(store: Store) -> None:
    """A session without fields says so."""
    with pytest.raises(UsageError, match="no field to take back"):
        started(store).undo()


def test_the_last_mark_of_a_cell_holds(store: Store) -> None:
    """A cell marked twice has the later label."""
    session = started(store)
    session.mark(7, "artefact")
    session.mark(7, "monocyte")
    assert session.marks() == {7: "monocyte"}


def test_notes_come_back_in_order(store: Store) -> None:
    """Each with its time."""
    session = started(store)
    session.note("edge of the smear")
    session.note("oil renewed")
    notes = session.notes()
    assert [note.text for note in notes] == ["edge of the smear", "oil renewed"]
    assert notes[0].at <= notes[1].at


def test_a_finished_session_is_resumed_and_goes_on(tmp_path: Path) -> None:
    """Resume gives the fields of before and takes further ones; the session is then not finished any more."""
    path = tmp_path / "sessions.db"
    with open_store(path) as store:
        session = started(store)
        session.add(counted_field(1))
        session.finish("the target was reached")
        summary = session.summary
        assert (summary.state, summary.reason) == ("finished", "the target was reached")
    with open_store(path) as store:
        resumed = store.resume(session.id)
        resumed.add(counted_field(2))
        assert [field.number for field in resumed.counted()] == [1, 2]
        assert (resumed.summary.ended, resumed.summary.state) == (None, "running")


def test_a_session_without_an_end_counts_as_interrupted(tmp_path: Path) -> None:
    """As after a power cut: nobody holds it, and nobody ended it."""
    with open_store(tmp_path / "sessions.db") as store:
        session = started(store)
    with open_store(tmp_path / "sessions.db") as store:
        assert store.get(session.id).summary.state == "interrupted"


def test_a_session_opened_to_read_cannot_be_written(store: Store) -> None:
    """So that nobody writes a session without holding it; a finished one is let go of."""
    session = started(store)
    for reader in (store.get(session.id), session):
        if reader is session:
            session.finish("done")
        with pytest.raises(StoreError, match="Resume it first"):
            reader.add(counted_field(1))


def test_white_cells_of_a_summary_are_unique(store: Store) -> None:
    """A white cell seen in two fields counts once."""
    session = started(store)
    fields = [counted_field(number) for number in range(1, 8)]
    for field in fields:
        session.add(field)
    read = [
        identity
        for field in fields
        for cell, identity in zip(field.field.cells, field.identities, strict=True)
        if cell.reading
    ]
    assert session.summary.white_cells == len(set(read)) < len(read)


def test_ids_are_short_and_sort_by_time(store: Store) -> None:
    """An id is a UTC time and two digits; the list shows the newest first."""
    ids = [started(store).id for _ in range(20)]
    assert all(re.fullmatch(r"\d{8}-\d{6}-[0-9a-f]{2}", each) for each in ids)
    assert len(set(ids)) == 20
    assert [summary.id for summary in store.list()] == ids[::-1]
    assert all(one[:15] <= other[:15] for one, other in pairwise(ids))


def test_the_beginning_of_an_id_is_enough(store: Store) -> None:
    """As long as only one session has it."""
    session = started(store)
    assert store.get(session.id[:-1]).id == session.id


def test_an_unknown_or_ambiguous_id_lists_what_exists(store: Store) -> None:
    """The message has the ids to choose from."""
    with pytest.raises(UsageError, match=r"no sessions in .* yet"):
        store.get("2026")
    one, other = started(store).id, started(store).id
    with pytest.raises(UsageError, match=f"no session x. Sessions here: {other}, {one}"):
        store.get("x")
    with pytest.raises(UsageError, match="2 sessions begin with 20"):
        store.get("20")


def test_a_deleted_session_is_gone_and_gives_its_space_back(store: Store) -> None:
    """Only the other session is left, whole, and the file is smaller by what the deleted one took."""
    kept, deleted = started(store), started(store)
    kept.add(counted_field(1))
    for number in range(1, 21):
        deleted.add(counted_field(number))
    deleted.finish("done")
    store.delete(deleted.id)
    assert [summary.id for summary in store.list()] == [kept.id]
    assert same(next(kept.counted()), counted_field(1))
    assert store.path.stat().st_size < 400_000


def test_a_file_that_cannot_shrink_still_lets_sessions_go(tmp_path: Path) -> None:
    """As one that a repair tool wrote anew, without SQLite's book of who owns which page."""
    path = tmp_path / "sessions.db"
    open_store(path).close()
    with closing(sqlite3.connect(path, isolation_level=None)) as tool:
        tool.execute("PRAGMA journal_mode = DELETE")
        tool.execute("PRAGMA auto_vacuum = NONE")
        tool.execute("VACUUM")
    with open_store(path) as store:
        session = started(store)
        session.add(counted_field(1))
        session.finish("done")
        store.delete(session.id)
        assert store.list() == []


def test_a_session_that_is_written_cannot_be_deleted(store: Store) -> None:
    """Whoever counts would lose what is announced as kept."""
    session = started(store)
    with open_store(store.path) as other, pytest.raises(StoreError, match="is being written by process"):
        other.delete(session.id)


def test_a_claimed_source_is_refused_to_others_until_let_go(tmp_path: Path) -> None:
    """The second is told who has it; another source is free; afterwards it can be claimed again."""
    with (
        claim_source("usb:0", tmp_path),
        claim_source("usb:1", tmp_path),
        pytest.raises(StoreError, match=r"usb:0 is in use by process \d+ since 2\d{3}-"),
    ):
        claim_source("usb:0", tmp_path)
    claim_source("usb:0", tmp_path).release()


def test_the_file_lies_where_the_environment_says(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """EDGELEUK_SESSIONS, else the XDG data folder where it is absolute, else ~/.local/share."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("EDGELEUK_SESSIONS", raising=False)
    monkeypatch.setenv("XDG_DATA_HOME", "relative")
    assert default_path() == tmp_path / ".local/share/edgeleuk/sessions.db"
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    assert default_path() == tmp_path / "data/edgeleuk/sessions.db"
    monkeypatch.setenv("EDGELEUK_SESSIONS", "~/mine.db")
    assert default_path() == tmp_path / "mine.db"


def test_an_absent_file_is_made_only_where_that_is_wanted(tmp_path: Path) -> None:
    """Looking at sessions makes no file, and folders are made for a new one."""
    path = tmp_path / "a" / "b" / "sessions.db"
    with pytest.raises(UsageError, match="no file of sessions"):
        open_store(path, create=False)
    assert not path.parent.exists()
    open_store(path).close()
    assert path.exists()


def test_each_commit_is_synced_to_a_log(store: Store) -> None:
    """The two settings that let an announced field survive a power cut are on."""
    assert store._database.query("PRAGMA journal_mode")[0][0] == "wal"
    assert store._database.query("PRAGMA synchronous")[0][0] == 2  # FULL


def test_a_migration_runs_once_and_is_recorded_with_its_version(tmp_path: Path) -> None:
    """A second run finds nothing to do."""
    connection = sqlite3.connect(tmp_path / "s.db", isolation_level=None)
    for _ in range(2):
        migrations.migrate(connection)
    assert [*migrations.applied(connection)] == [step.__name__ for step in migrations.MIGRATIONS]
    connection.close()


def test_a_migration_that_fails_leaves_nothing_behind(tmp_path: Path) -> None:
    """Neither its changes nor a record; the migrations before it stay."""

    def m999_fails(connection: sqlite3.Connection) -> None:
        connection.execute("CREATE TABLE half_done (a)")
        connection.execute("INSERT INTO nowhere VALUES (1)")

    connection = sqlite3.connect(tmp_path / "s.db", isolation_level=None)
    with pytest.raises(sqlite3.OperationalError, match="nowhere"):
        migrations.migrate(connection, [*migrations.MIGRATIONS, m999_fails])
    assert [*migrations.applied(connection)] == [step.__name__ for step in migrations.MIGRATIONS]
    tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_schema")}
    assert "half_done" not in tables
    assert "fields" in tables
    connection.close()


def test_a_file_from_before_quality_was_kept_is_brought_up_to_date(tmp_path: Path) -> None:
    """Its fields stay as they were but for what was not kept of them, which is told; a new field has it all."""
    path = tmp_path / "s.db"
    with open_store(path) as store:
        session = started(store)
        for number in (3, 4):
            session.add(counted_field(number))
        session.finish("test")
    old = sqlite3.connect(path)
    for column in ("assessment", "aperture", "profile"):
        old.execute(f"ALTER TABLE fields DROP COLUMN {column}")
    old.execute("DELETE FROM migrations WHERE name = 'm002_quality'")
    old.commit()
    old.close()
    with open_store(path) as store:
        session = store.resume(session.id)
        session.add(counted_field(8))
        *before, after = session.counted()
        assert session.unassessed() == {3, 4}
    assert same(after, counted_field(8))
    for each in before:
        was = counted_field(each.number)
        field = replace(was.field, assessment=Assessment(), aperture=None, profile=None)
        assert same(each, replace(was, field=field))
