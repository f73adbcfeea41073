"""Merging exports: whatever the order, the same database; what contradicts is resolved by rule and told."""

from __future__ import annotations

import io
import itertools
import json
import shutil
import sqlite3
import tempfile
import zipfile
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from counted import counted_field, started
from exported import BEGIN, fingerprints, packed, programme, run, slide, uuid_of, written
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner, Result

from edgeleuk.cli import app
from edgeleuk.errors import InputError, StoreError, UsageError
from edgeleuk.programme import archive
from edgeleuk.programme.conflicts import Conflict, codes, resolve
from edgeleuk.programme.documents import SlideDocument, encode
from edgeleuk.programme.figures import COLUMNS, figures, rows
from edgeleuk.programme.merging import documents, merge, programme_of
from edgeleuk.programme.page import page
from edgeleuk.render import slides_table
from edgeleuk.sessions import open_store
from edgeleuk.sessions.merged import MergedSessions, SessionState, contains


def command(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, [*map(str, arguments)])


def conflicts_of(*slides: SlideDocument) -> dict[str, Conflict]:
    """Conflicts by kind, of slides that were merged."""
    found = resolve(("", each) for each in sorted(slides, key=lambda each: each.uuid))
    return {each.kind: each for each in found.conflicts}


# --- Order ------------------------------------------------------------------------------------------------------------

states = st.builds(
    lambda session, history, ended, verdict: replace(
        slide(session),
        history="".join(sorted(fingerprints(session, each, count=1) for each in history)),
        row=slide(session).row | {"ended": ended, "verdict": verdict},
    ),
    st.integers(1, 3),
    st.frozensets(st.integers(0, 3)),
    st.sampled_from([None, "2026-01-06T10:00:00.000+00:00", "2026-01-07T10:00:00.000+00:00"]),
    st.sampled_from(["nothing_flagged", "look_again"]),
)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.lists(states, max_size=4), min_size=1, max_size=4), st.randoms(use_true_random=False))
def test_any_order_gives_the_same_database(exports: list[list[SlideDocument]], rng: object) -> None:
    """Also where some of it is merged twice: the same content, figures and conflicts."""
    one_a_session = [[*{each.uuid: each for each in export}.values()] for export in exports]
    archives = [packed(each) for each in one_a_session]
    again = [*archives, archives[0]]
    rng.shuffle(again)  # type: ignore[attr-defined]
    with tempfile.TemporaryDirectory() as folder:
        told = [_merged(Path(folder) / str(number), order) for number, order in enumerate((archives, again))]
    assert told[0] == told[1]


def _merged(folder: Path, archives: Sequence[bytes]) -> tuple[str, str, str]:
    folder.mkdir()
    with MergedSessions(folder / "m.db", create=True) as database:
        merge(written(folder, archives), database)
        found = programme_of(database)
        return database.content_hash(), slides_table.csv(rows(found), COLUMNS), page(found)


@given(st.lists(states, min_size=3, max_size=3))
def test_containing_is_a_partial_order(some: list[SlideDocument]) -> None:
    """Otherwise what is left would depend on the order of arrival."""
    a, b, c = (replace(each, uuid="u").state_of(encode(replace(each, uuid="u"))) for each in some)
    assert contains(a, a)
    if contains(a, b) and contains(b, a):
        assert a.hash == b.hash
    if contains(a, b) and contains(b, c):
        assert contains(a, c)


def test_a_programme_with_faults_is_the_same_in_any_order(tmp_path: Path) -> None:
    """A cloned card with the same clock, an export copied twice: every order of some sites' exports."""
    archives = programme(sites=3, slides=4).archives
    told = {
        _merged(tmp_path / str(number), order)[:2]
        for number, order in enumerate(itertools.permutations(archives))
    }
    assert len(told) == 1


# --- What a state is to another ---------------------------------------------------------------------------------------


def test_a_later_state_replaces_an_earlier_one(tmp_path: Path) -> None:
    """As after an amended revision; merging the earlier one again changes nothing."""
    earlier = slide(1)
    later = replace(earlier, history=earlier.history + fingerprints("amended", count=1), corrected=0)
    with MergedSessions(tmp_path / "m.db", create=True) as database:
        assert database.add([earlier.state_of(encode(earlier))]) == {earlier.uuid: "new"}
        assert database.add([earlier.state_of(encode(earlier))]) == {earlier.uuid: "same"}
        assert database.add([later.state_of(encode(later))]) == {earlier.uuid: "later"}
        assert database.add([earlier.state_of(encode(earlier))]) == {earlier.uuid: "older"}
        assert [document for _, document in documents(database)] == [later]


def test_states_that_went_different_ways_are_both_kept(tmp_path: Path) -> None:
    """The one with more signed revisions counts, whichever came first, and what to do is told, without a hash."""
    common = slide(1)
    signed = replace(
        common,
        history=common.history + fingerprints("a", count=1),
        review=common.review | {"signed": True, "revisions": [{"number": 1, "by": "ab", "at": common.last}]},
    )
    longer = replace(common, history=common.history + fingerprints("b", count=4))
    for order in ((signed, longer), (longer, signed)):
        path = tmp_path / f"{order[0].signed}.db"
        with MergedSessions(path, create=True) as database:
            outcomes = [[*database.add([each.state_of(encode(each))]).values()] for each in order]
            assert outcomes == [["new"], ["diverged"]]
            found = programme_of(database)
        assert [each.signed for each in found.slides.counted] == [1]
        (conflict,) = found.slides.conflicts
        assert conflict.kind == "diverged"
        assert "sign or amend it on its machine" in conflict.text
        assert not any(each.state_of(encode(each)).hash[:8] in conflict.text for each in order)
        assert rows(found)[0]["conflicts"] == "diverged"


# --- Conflicts --------------------------------------------------------------------------------------------------------


def test_a_cloned_card_is_noticed_by_numbers_given_twice() -> None:
    """All sessions count; those of before the copy are one session each."""
    own = [slide(number) for number in range(1, 5)]
    clone = [slide(number, started=BEGIN + timedelta(hours=5 * number, seconds=9)) for number in (3, 4)]
    found = conflicts_of(*own, *clone)
    assert set(found) == {"cloned"}
    assert set(found["cloned"].sessions) == {each.uuid for each in (*own[2:], *clone)}
    assert "from session 3 on" in found["cloned"].text


def test_one_name_for_two_machines_is_noticed_where_they_count_at_once() -> None:
    """A card that replaced another one is no conflict."""
    own = [slide(number) for number in (1, 2, 3)]
    other = [slide(number, store=uuid_of("other")) for number in (1, 2, 3)]
    assert set(conflicts_of(*own, *other)) == {"same_device"}
    after = [
        slide(number, store=uuid_of("new"), started=BEGIN + timedelta(days=9 + number)) for number in (1, 2)
    ]
    assert conflicts_of(*own, *after) == {}


def test_a_clock_that_was_set_back_is_noticed() -> None:
    """Between two sessions of a machine, or within one."""
    back = slide(3, started=BEGIN - timedelta(days=365))
    assert conflicts_of(slide(1), slide(2), back, slide(4))["clock"].sessions == (back.uuid,)
    within = replace(slide(2), clock_set_back=True)
    assert conflicts_of(slide(1), within)["clock"].sessions == (within.uuid,)


def test_the_same_fields_under_other_uuids_count_once() -> None:
    """As of a card that was copied before it was upgraded; the smallest UUID counts."""
    one = slide(1, store=uuid_of("a"))
    other = replace(slide(1, store=uuid_of("b")), history=one.history)
    first, second = sorted((one, other), key=lambda each: each.uuid)
    found = resolve([("", first), ("", second)])
    assert [each.uuid for each in found.counted] == [first.uuid]
    assert codes(found.conflicts) == {one.uuid: "duplicate", other.uuid: "duplicate"}


def test_sessions_without_a_name_are_told_of() -> None:
    """With the command that gives them one."""
    nameless = slide(1, site="")
    assert "site --site NAME --device NAME --fill" in conflicts_of(nameless)["unnamed"].text


def test_one_session_has_the_singular() -> None:
    """And several the plural."""
    back = [slide(number, started=BEGIN - timedelta(days=365 + number)) for number in (2, 3)]
    for count, said in ((1, "1 session began"), (2, "2 sessions began")):
        assert said in conflicts_of(slide(1), *back[:count])["clock"].text
    for count, said in ((1, "1 session says"), (2, "2 sessions say")):
        nameless = [slide(number, site="") for number in range(count)]
        assert said in conflicts_of(*nameless)["unnamed"].text
    found = figures(resolve([("", slide(1))]), [])
    assert "Programme: 1 site, 1 slide</h1>" in page(found)


# --- Histories of a store ---------------------------------------------------------------------------------------------


def test_a_history_only_grows(tmp_path: Path) -> None:
    """Whatever is done to a session: its fields, an undo, marks, notes, other facts."""
    with open_store(tmp_path / "s.db") as store:
        session = started(store)
        seen = [session.history()]

        def grown() -> None:
            seen.append(session.history())
            assert seen[-2] < seen[-1]

        session.add(counted_field(1))
        grown()
        session.add(counted_field(2))
        grown()
        session.undo()
        grown()
        session.mark(1, "blast")
        grown()
        session.mark(1, "blast")
        grown()
        session.unmark(1)
        grown()
        for _ in range(2):
            session.note("the same remark")
            grown()
        session.describe({"slide": "S-9"})
        grown()


def test_a_copy_of_a_store_has_the_same_history_until_both_go_on(tmp_path: Path) -> None:
    """Then neither has all of the other's."""
    path = tmp_path / "s.db"
    with open_store(path) as store:
        session = started(store)
        session.add(counted_field(1))
        session.finish("done")
    shutil.copy(path, tmp_path / "copy.db")
    histories = []
    for number, each in enumerate((path, tmp_path / "copy.db"), 2):
        with open_store(each) as store:
            before = store.get(session.id).history()
            again = store.resume(session.id)
            again.add(replace(counted_field(number), number=2))
            histories.append((before, again.history()))
    assert histories[0][0] == histories[1][0]
    assert not histories[0][1] <= histories[1][1]
    assert not histories[1][1] <= histories[0][1]


# --- Files ------------------------------------------------------------------------------------------------------------


def test_the_same_content_gives_the_same_bytes() -> None:
    """Whatever the order, and at any time."""
    slides = [slide(number) for number in range(1, 4)]
    assert packed(slides) == packed(slides[::-1])


def test_an_archive_is_read_as_it_was_written(tmp_path: Path) -> None:
    (path,) = written(tmp_path, [packed([slide(1), slide(2)], [run("north", 1, "rejected")])])
    contents = archive.read(path)
    assert {each.uuid: each for each, _ in contents.slides} == {
        each.uuid: each for each in (slide(1), slide(2))
    }
    assert [entry for entry, _ in contents.controls] == [run("north", 1, "rejected")]


def _altered(name: str, old: bytes, new: bytes) -> bytes:
    """An archive with one member changed, its manifest as before."""
    folder = Path(tempfile.mkdtemp())
    (source,) = written(folder, [packed([slide(1)])])
    target = folder / "altered.zip"
    with zipfile.ZipFile(source) as one, zipfile.ZipFile(target, "w") as other:
        for each in one.namelist():
            content = one.read(each)
            other.writestr(each, content.replace(old, new) if each.endswith(name) else content)
    content = target.read_bytes()
    shutil.rmtree(folder)
    return content


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "not a zip file"),
        (packed([slide(1)])[:-40], "not a zip file"),
        (_altered("slide.json", b"north-1", b"south-1"), "was changed after it was written"),
        (
            _altered("manifest.json", b"edgeleuk-export/1", b"edgeleuk-export/9"),
            "should say edgeleuk-export/1",
        ),
        (_altered("manifest.json", b'"files"', b'"filed"'), "has no hashes"),
        (packed([replace(slide(1), looked_at=1, corrected=2)]), "counts contradict each other"),
        (packed([replace(slide(1), last="2026-01-05T10:00:00")]), "has no zone"),
        (packed([slide(1, white_cells=-3)]), "white_cells is no count"),
        (packed([slide(1, session="another")]), "its row is of another session"),
    ],
)
def test_a_file_that_is_not_right_is_refused_whole(content: bytes, said: str, tmp_path: Path) -> None:
    """With the reason; nothing of it is merged, and the others are."""
    good, bad = written(tmp_path, [packed([slide(1), slide(2)]), content])
    with pytest.raises(InputError, match=said):
        archive.read(bad)
    done = command("merge", bad, good, "--into", tmp_path / "m.db", "--json")
    assert done.exit_code == InputError.exit_code
    told = json.loads(done.stdout)
    assert (told["files"], told["sessions"]) == (1, {"new": 2})
    assert [each["path"] for each in told["failed"]] == [str(bad)]
    assert said in " ".join(done.stderr.split())


MEMBERS = {
    f"slides/{slide(1).uuid}/slide.json": encode(slide(1)),
    f"slides/{slide(1).uuid}/verdict.csv": b"verdict\nnothing flagged\n",
    f"slides/{slide(1).uuid}/differential.csv": b"type,cells\nneutrophil,60\n",
    f"slides/{slide(1).uuid}/cells.csv": b"cell,type\n1,neutrophil\n",
    f"pictures/{slide(1).uuid}/neutrophil/1.png": bytes(range(256)),
    "controls/00000000-0000-4000-8000-000000000000/000001.json": encode(run("north", 1, "rejected")),
    "slides.csv": b"slide\nnorth-1\n",
}
"""Members of an export with pictures."""


def _rewritten(folder: Path, changed: dict[str, bytes], left_out: str = "") -> Path:
    """An archive whose members were replaced after it was written, with right checksums of its own."""
    path = folder / "rewritten.zip"
    with zipfile.ZipFile(io.BytesIO(archive.pack(MEMBERS))) as one, zipfile.ZipFile(path, "w") as other:
        for name, content in ({each: one.read(each) for each in one.namelist()} | changed).items():
            if name != left_out:
                other.writestr(name, content)
    return path


def _refused(path: Path, said: str, database: Path) -> None:
    """Check that a merge names the file, and that the database has what it had."""
    before = database.read_bytes()
    done = command("merge", path, "--into", database, "--json")
    assert done.exit_code == InputError.exit_code == 3
    told = json.loads(done.stdout)
    assert (told["files"], told["sessions"], told["control_entries"]) == (0, {}, 0)
    assert said in told["failed"][0]["error"]
    assert database.read_bytes() == before


@pytest.fixture
def database(tmp_path: Path) -> Path:
    """A database of another session."""
    with MergedSessions(tmp_path / "m.db", create=True) as merged:
        merged.add([slide(2).state_of(encode(slide(2)))])
    return tmp_path / "m.db"


@pytest.mark.parametrize("name", MEMBERS)
def test_a_member_that_was_changed_is_noticed(name: str, tmp_path: Path, database: Path) -> None:
    """Tables and pictures too: one byte of each, by a program that wrote the archive anew."""
    content = bytearray(MEMBERS[name])
    content[len(content) // 2] ^= 1
    _refused(
        _rewritten(tmp_path, {name: bytes(content)}), f"{name} was changed after it was written", database
    )


@pytest.mark.parametrize("name", [archive.MANIFEST, *MEMBERS])
def test_a_flipped_byte_of_a_member_is_noticed(name: str, tmp_path: Path, database: Path) -> None:
    """As of a worn memory card: in the compressed bytes of each member."""
    (path,) = written(tmp_path, [archive.pack(MEMBERS)])
    with zipfile.ZipFile(path) as whole:
        about = whole.getinfo(name)
    content = bytearray(path.read_bytes())
    content[about.header_offset + 30 + len(name) + about.compress_size // 2] ^= 1
    path.write_bytes(content)
    _refused(path, "Copy it again", database)


@pytest.mark.parametrize("name", MEMBERS)
def test_a_member_that_is_gone_is_noticed(name: str, tmp_path: Path, database: Path) -> None:
    _refused(_rewritten(tmp_path, {}, left_out=name), f"it has no {name}", database)


@pytest.mark.parametrize("name", ["notes.txt", f"slides/{slide(3).uuid}/slide.json", "slides/"])
def test_a_member_that_the_manifest_does_not_name_is_refused(
    name: str, tmp_path: Path, database: Path
) -> None:
    _refused(_rewritten(tmp_path, {name: b""}), f"{name} was added after it was written", database)


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_member_that_is_there_twice_is_refused(tmp_path: Path, database: Path) -> None:
    path = _rewritten(tmp_path, {})
    with zipfile.ZipFile(path, "a") as other:
        other.writestr("slides.csv", MEMBERS["slides.csv"])
    _refused(path, "slides.csv was added after it was written", database)


def test_tables_that_unpack_to_too_much_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One of them, and all together."""
    (path,) = written(tmp_path, [archive.pack({"slides.csv": bytes(9000), "more.csv": bytes(9000)})])
    for name, most in (("MOST_BYTES", 8000), ("MOST_CHECKED", 10_000)):
        with monkeypatch.context() as patch:
            patch.setattr(archive, name, most)
            with pytest.raises(InputError, match=r"ha(s|ve) more than"):
                archive.read(path)


def test_an_export_with_all_its_members_is_merged(tmp_path: Path) -> None:
    """Sessions that were left out of it do not matter."""
    contents = archive.read(_rewritten(tmp_path, {}))
    assert ([each for each, _ in contents.slides], len(contents.controls)) == ([slide(1)], 1)


def test_a_file_that_does_not_exist_is_told_of(tmp_path: Path) -> None:
    done = command("merge", tmp_path / "nope.zip", "--into", tmp_path / "m.db")
    assert done.exit_code == InputError.exit_code
    assert "nope.zip does not exist. Check the path." in " ".join(done.stderr.split())


def test_a_merge_of_nothing_makes_no_database(tmp_path: Path) -> None:
    """Nor its folder; a database that was there stays."""
    path = tmp_path / "new" / "m.db"
    (tmp_path / "bad.zip").write_bytes(b"no archive")
    for more in ([], ["--json"]):
        done = command("merge", tmp_path / "bad.zip", tmp_path / "nope.zip", "--into", path, *more)
        assert done.exit_code == InputError.exit_code
        assert not path.parent.exists()
        if more:
            told = json.loads(done.stdout)
            assert (told["files"], told["sha256"], len(told["failed"])) == (0, None, 2)
        else:
            assert "was not made" in done.stdout


def test_a_share_is_refused_with_the_command_for_it(tmp_path: Path) -> None:
    (path,) = written(tmp_path, [archive.pack({"session.json": b"{}"}, archive.SHARE_SCHEMA)])
    with pytest.raises(InputError, match=r"is a session for a second opinion: use .*sessions take.* for it"):
        archive.read(path)


@pytest.mark.parametrize("content", [b"a text\n", b"a text\n" * 500, packed([slide(1)])])
def test_a_file_that_is_no_database_is_told_of(content: bytes, tmp_path: Path) -> None:
    """It has nothing to do with space, and it is not altered."""
    path = tmp_path / "txt.zip"
    path.write_bytes(content)
    with pytest.raises(StoreError, match="is no database of merged sessions") as raised:
        MergedSessions(path, create=False)
    assert "space" not in str(raised.value)
    assert path.read_bytes() == content


@given(st.binary(max_size=400), st.integers(0, 2000))
@settings(max_examples=60, deadline=None)
def test_no_damage_gives_another_error(noise: bytes, at: int) -> None:
    """Bytes that changed on the way are noticed, or do no harm."""
    whole = packed([slide(1)])
    with tempfile.TemporaryDirectory() as folder:
        (path,) = written(Path(folder), [whole[:at] + noise + whole[at + len(noise) :]])
        try:
            contents = archive.read(path)
        except InputError:
            return
    assert [each for each, _ in contents.slides] == [slide(1)]


def test_an_archive_that_unpacks_to_too_much_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One part, and all together: a small file may ask for gigabytes."""
    (path,) = written(tmp_path, [packed([slide(1), slide(2)])])
    size = len(encode(slide(1)))
    for name, most in (("MOST_BYTES", size - 100), ("MOST_TOTAL", size + 100)):
        with monkeypatch.context() as patch:
            patch.setattr(archive, name, most)
            with pytest.raises(InputError, match=r"ha(s|ve) more than"):
                archive.read(path)


def test_what_is_no_merged_database_is_not_altered(tmp_path: Path) -> None:
    """A file of sessions, or of another program."""
    with open_store(tmp_path / "s.db") as store:
        started(store).finish("done")
    connection = sqlite3.connect(tmp_path / "other.db")
    connection.execute("CREATE TABLE a (b)")
    connection.close()
    for name in ("s.db", "other.db"):
        before = (tmp_path / name).read_bytes()
        with pytest.raises(StoreError, match="no database of merged sessions"):
            MergedSessions(tmp_path / name, create=True)
        assert (tmp_path / name).read_bytes() == before
    with pytest.raises(UsageError, match="there is no database"):
        MergedSessions(tmp_path / "none.db", create=False)
    assert not (tmp_path / "none.db").exists()


def test_a_damaged_database_is_told_of(tmp_path: Path) -> None:
    """The exports have all of it."""
    path = tmp_path / "m.db"
    with MergedSessions(path, create=True) as database:
        database.add([SessionState("u", "", "1", frozenset(), b"{}")])
        database._connection.execute("UPDATE states SET document = x'00'")
        with pytest.raises(StoreError, match="Merge the exports into a new file"):
            list(database.documents())


def test_a_folder_is_merged_with_all_its_files(tmp_path: Path) -> None:
    """As an outbox that was copied; an empty one is an error."""
    written(tmp_path, [packed([slide(1)]), packed([slide(2)])])
    done = command("merge", tmp_path, "--into", tmp_path / "m.db")
    assert done.exit_code == 0
    assert "2 files merged" in done.stdout
    (tmp_path / "empty").mkdir()
    assert isinstance(command("merge", tmp_path / "empty", "--into", tmp_path / "m.db").exception, UsageError)
