"""Sessions on the disk: what is written comes back the same, and one process writes a session or holds a camera."""

from __future__ import annotations

import re
import sqlite3
import time
from contextlib import closing
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from uuid import UUID

import numpy as np
import old_store
import pytest
from counted import MODEL, counted_field, same, started

from edgeleuk.errors import StoreError, UsageError
from edgeleuk.results.slide_result import ModelIdentity
from edgeleuk.sessions import NewSession, Store, claim_source, default_path, migrations, open_store
from edgeleuk.types import Assessment, Cell, Finding, Morphometry, Placement, Refusal, numbered


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
        field=replace(field.field, cells=numbered(cells)),
        identities=(3, 2**40, 7),
        fresh=frozenset({2**40, 7}),
        crops={2: b"not looked into"},
    )
    session = started(store)
    session.add(odd)
    assert same(next(session.counted()), odd)


def test_cells_that_were_kept_without_numbers_get_them(store: Store) -> None:
    """Records of version 1 have none: the same are given to them as to new pictures."""
    field = counted_field(1)
    plain = replace(
        field, field=replace(field.field, cells=tuple(replace(c, number=0) for c in field.field.cells))
    )
    session = started(store)
    session.add(plain)
    assert [c.number for c in next(session.counted()).field.cells] == [c.number for c in field.field.cells]
    assert max(c.number for c in field.field.cells) > 1


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


def test_what_is_said_of_a_session_can_be_changed(store: Store) -> None:
    """A note with the time keeps each change; what was so already is none."""
    session = started(store, slide="S-7")
    changes = session.describe({"slide": "S-8", "operator": "ab", "site": ""})
    assert [str(change) for change in changes] == [
        'slide changed from "S-7" to "S-8".', 'operator set to "ab".',
    ]  # fmt: skip
    assert [str(change) for change in session.describe({"operator": ""})] == ['operator "ab" removed.']
    assert (session.summary.slide, session.summary.operator, session.summary.about.slide) == (
        "S-8",
        "",
        "S-8",
    )
    assert [note.text for note in session.notes()] == [
        'slide changed from "S-7" to "S-8".', 'operator set to "ab".', 'operator "ab" removed.',
    ]  # fmt: skip


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


def test_a_file_of_old_records_is_brought_up_to_date(tmp_path: Path) -> None:
    """Its fields come back cell for cell, its session goes on, and new fields stand beside them."""
    path = tmp_path / "s.db"
    old_store.write(path, map(counted_field, range(1, 13)))
    with open_store(path) as store:
        (summary,) = store.list()
        assert (summary.fields, summary.kind, summary.slide, summary.operator) == (12, "live", "S-1", "ab")
        assert UUID(summary.uuid).version == 4
        read = (
            identity
            for number in range(1, 13)
            for cell, identity in zip(
                counted_field(number).field.cells, counted_field(number).identities, strict=True
            )
            if cell.reading
        )
        assert summary.white_cells == len({*read})
        session = store.resume(summary.id)
        session.add(counted_field(13))
        restored = list(session.counted())
        assert [field.number for field in restored] == list(range(1, 14))
        assert all(same(field, counted_field(field.number)) for field in restored)
        assert session.unassessed() == frozenset()
        assert session.summary.about.started == "2026-01-01T10:10:10.000+00:00"
        assert session.summary.about.model == ModelIdentity("40x", "1", "", "", "")


def test_an_old_field_is_taken_back_with_its_marks(tmp_path: Path) -> None:
    """As it would have been by the edgeleuk that wrote it; its number is free again."""
    path = tmp_path / "s.db"
    field = counted_field(1)
    white = next(
        i
        for i, cell in zip(field.identities, field.field.cells, strict=True)
        if cell.kind == "WBC" and i in field.fresh
    )
    old_store.write(path, [field])
    with open_store(path) as store:
        session = store.resume("2026")
        session.mark(white, "artefact")
        session.undo()
        assert session.marks() == {}
        assert list(session.counted()) == []
        session.add(counted_field(1))
        assert same(next(session.counted()), counted_field(1))


def test_an_old_session_is_deleted_with_all_that_is_its_own(tmp_path: Path) -> None:
    """Its old records too; the other session keeps everything."""
    path = tmp_path / "s.db"
    old_store.write(path, [counted_field(1), counted_field(2)])
    old_store.write(path, [counted_field(3)], id="20260202-202020-bb")
    with open_store(path) as store:
        store.delete("20260101")
        (left,) = store.list()
        assert same(next(store.get(left.id).counted()), counted_field(3))
        for table in ("fields", "old_fields"):
            assert len(store._database.query(f"SELECT 1 FROM {table}")) == 1
        kept = len([cell for cell in counted_field(3).field.cells if cell.kind == "WBC"])
        assert len(store._database.query("SELECT 1 FROM white_cells")) == kept


def test_a_damaged_old_field_says_so(tmp_path: Path) -> None:
    """In one sentence, and the session's other fields can be read."""
    path = tmp_path / "s.db"
    old_store.write(path, [counted_field(1), counted_field(2)])
    with open_store(path) as store:
        store._database._connection.execute("UPDATE other_cells SET cells = x'00' WHERE field = 2")
        fields = store.get("2026").counted()
        assert same(next(fields), counted_field(1))
        with pytest.raises(StoreError, match=r"a counted field \(record 2\) is damaged"):
            next(fields)


def test_a_file_from_before_quality_was_kept_is_brought_up_to_date(tmp_path: Path) -> None:
    """Its fields stay as they were but for what was not kept of them, which is told; a new field has it all."""
    path = tmp_path / "s.db"
    old_store.write(path, [counted_field(3), counted_field(4)], steps=old_store.UNASSESSED)
    with open_store(path) as store:
        session = store.resume("2026")
        session.add(counted_field(8))
        *before, after = session.counted()
        assert session.unassessed() == {3, 4}
    assert same(after, counted_field(8))
    for each in before:
        was = counted_field(each.number)
        field = replace(was.field, assessment=Assessment(), field_of_view=None, profile=None)
        assert same(each, replace(was, field=field))


def test_a_damaged_record_says_so(store: Store) -> None:
    """One byte of a field on the disk is another one."""
    session = started(store)
    session.add(counted_field(1))
    record = store._database.query("SELECT record FROM fields")[0]["record"]
    damaged = record[:-9] + bytes([record[-9] ^ 1]) + record[-8:]
    store._database._connection.execute("UPDATE fields SET record = ?", (damaged,))
    with pytest.raises(StoreError, match=r"a counted field \(record 1\): the record is damaged"):
        next(session.counted())


def test_a_session_says_who_and_what(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """All that it began with, and times on the clock of the place where it was counted."""
    monkeypatch.setenv("TZ", "Asia/Kathmandu")
    time.tzset()
    new = NewSession(
        source="usb:0",
        model=MODEL,
        target=100,
        um_per_px=0.1,
        slide="S-7",
        operator="ab",
        site="Pokhara",
        device="bench 2",
        profile="bench-2",
        red_cells=4.8,
        notes="thin",
    )
    session = store.start(new)
    session.finish("done")
    monkeypatch.setenv("TZ", "America/New_York")
    time.tzset()
    about = session.summary.about
    assert about.started == new.started
    assert about.started.endswith("+05:45")
    assert about.ended.endswith("+05:45")
    assert about.id == new.uuid
    assert about.model == MODEL
    assert (about.source, about.slide, about.operator) == ("usb:0", "S-7", "ab")
    assert (about.site, about.device, about.profile) == ("Pokhara", "bench 2", "bench-2")
    summary = session.summary
    assert summary.started.endswith("+00:00")
    assert (summary.notes, summary.red_cells, summary.target, summary.um_per_px) == ("thin", 4.8, 100, 0.1)
    monkeypatch.undo()
    time.tzset()


def test_the_beginning_of_a_uuid_is_enough(store: Store) -> None:
    """Where no id begins with it, in whatever letters."""
    one, other = started(store), started(store)
    assert store.get(one.summary.uuid[:13].upper()).id == one.id
    assert store.get(other.summary.uuid).id == other.id


def test_a_name_that_is_no_text_is_kept(store: Store) -> None:
    """A field of a file whose name is no UTF-8 comes back; a source is kept as far as it is text."""
    session = store.start(NewSession(source="folder-\udcff", model=MODEL))
    counted = counted_field(1)
    odd = replace(counted, field=replace(counted.field, name="a\udcffb.jpg"))
    session.add(odd)
    assert same(next(session.counted()), odd)
    assert session.summary.source == "folder-\\xff"


def test_refusals_come_back_in_order(store: Store) -> None:
    """Each with its findings; they are no fields."""
    session = store.start(NewSession(source="folder", model=MODEL, kind="pictures"))
    refusals = (
        Refusal("a.jpg", "focus", "out of focus.", (Finding("focus", True, 1 / 3, 0.5, "out of focus"),), 10),
        Refusal("b.jpg", "NotAnImageError", "damaged.", exit_code=3),
    )
    for refusal in refusals:
        session.refuse(refusal)
    assert session.refused() == refusals
    assert (session.summary.refused, session.summary.fields) == (2, 0)


def test_a_session_of_pictures_is_not_resumed(store: Store) -> None:
    """There is no camera to go on with; the message says what to do, and its end stays."""
    session = store.start(NewSession(source="folder", model=MODEL, kind="pictures"))
    session.finish("analysed 3 pictures")
    with pytest.raises(UsageError, match=r"counted from pictures.*analyze"):
        store.resume(session.id)
    assert session.summary.reason == "analysed 3 pictures"


def test_a_finished_session_is_marked_without_losing_its_end(store: Store) -> None:
    """Marks and remarks of a review are taken, also taken back; fields are not, and its end stays."""
    session = started(store)
    session.add(counted_field(1))
    session.mark(7, "artefact")
    session.finish("the target was reached")
    before = session.summary
    noted = store.annotate(session.id)
    assert noted.summary.state == "running"
    noted.mark(7, "monocyte")
    noted.note("seen by a second reader")
    assert session.marks() == {7: "monocyte"}
    noted.unmark(7)
    assert session.marks() == {7: "artefact"}
    for write in (
        lambda: noted.add(counted_field(2)),
        lambda: noted.refuse(Refusal("a", "b", "c")),
        noted.undo,
        lambda: noted.finish("again"),
    ):
        with pytest.raises(StoreError, match="marks and remarks only"):
            write()
    noted.release()
    assert session.summary == before
    assert [note.text for note in session.notes()] == ["seen by a second reader"]


def test_only_a_marked_cell_is_unmarked(store: Store) -> None:
    """Else the message says so."""
    with pytest.raises(UsageError, match=r"cell 3 of session .* has no mark"):
        started(store).unmark(3)


def test_one_process_annotates_at_a_time(store: Store) -> None:
    """As one writes."""
    session = started(store)
    with open_store(store.path) as other, pytest.raises(StoreError, match="is being written by process"):
        other.annotate(session.id)


def test_an_upgraded_file_keeps_every_session_and_gives_each_an_identity(tmp_path: Path) -> None:
    """From 0.1.0: a UUID and a number in the order of counting, and one UUID for the file."""
    path = tmp_path / "s.db"
    for number in (1, 2, 3):
        old_store.write(path, [counted_field(number)], id=f"2026010{number}-101010-aa")
    with open_store(path) as store:
        kept = store.list()
        assert [(each.sequence, each.id[:8]) for each in kept] == [
            (3, "20260103"),
            (2, "20260102"),
            (1, "20260101"),
        ]
        assert len({UUID(each.uuid) for each in kept} | {UUID(store.uuid)}) == 4
        assert same(next(store.get("20260102").counted()), counted_field(2))
        identity = store.uuid, [each.uuid for each in kept]
    with open_store(path) as store:
        assert (store.uuid, [each.uuid for each in store.list()]) == identity


def test_the_number_of_a_deleted_session_is_not_given_again(store: Store) -> None:
    """Otherwise a file that was copied could not be told from one whose sessions were deleted."""
    numbers = []
    for _ in range(2):
        session = started(store)
        numbers.append(session.summary.sequence)
        session.finish("done")
        store.delete(session.id)
    assert numbers == [1, 2]
