"""Damage to a file of sessions costs what lies there, and no more; what is lost is named. By the real commands."""

from __future__ import annotations

import json
import sqlite3
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

import pytest
from counted import counted_field, started

from edgeleuk.cli import main
from edgeleuk.errors import DamagedError, StoreError
from edgeleuk.sessions import open_store

PAGE = 4096
FIELDS = 6


class Kept(NamedTuple):
    """A file of three sessions."""

    content: bytes
    ids: list[str]
    """From the first session to the last."""
    pages: dict[str, list[int]]
    """Of each table and index, by its name and the kind of page."""


Damage = Callable[[Kept, Path], bytes]
"""The file as it is afterwards; the path is for those that need one."""


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Kept:
    """Made once."""
    path = tmp_path_factory.mktemp("kept") / "sessions.db"
    ids = []
    with open_store(path) as store:
        for _ in range(3):
            session = started(store)
            ids.append(session.id)
            for number in range(1, FIELDS + 1):
                session.add(counted_field(number))
            session.mark(3, "artefact")
            session.note("a remark")
            session.finish("done")
    pages: dict[str, list[int]] = {}
    with closing(sqlite3.connect(path)) as connection:
        try:
            for name, page, kind in connection.execute(
                "SELECT name, pageno, pagetype FROM dbstat ORDER BY pageno"
            ):
                pages.setdefault(f"{name} {kind}", []).append(page)
        except sqlite3.OperationalError as error:
            pytest.skip(f"this SQLite does not tell which page is whose: {error}")
    return Kept(path.read_bytes(), ids, pages)


def page(name: str, which: int = 0, filling: int = 0) -> Damage:
    """A page that a failing disk gives back as zeros or as ones."""

    def damage(kept: Kept, _: Path) -> bytes:
        first = (kept.pages[name][which] - 1) * PAGE
        return kept.content[:first] + bytes([filling]) * PAGE + kept.content[first + PAGE :]

    return damage


def row(*statements: str) -> Damage:
    """A row that says what none can say; $ID is the second session."""

    def damage(kept: Kept, path: Path) -> bytes:
        path.write_bytes(kept.content)
        with closing(sqlite3.connect(path, isolation_level=None)) as connection:
            for statement in statements:
                connection.execute(statement.replace("$ID", f"'{kept.ids[1]}'"))
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        return path.read_bytes()

    return damage


def loosened(column: str) -> tuple[str, ...]:
    """Statements that let any value into a column."""
    return (
        "PRAGMA writable_schema = ON",
        "UPDATE sqlite_schema SET sql = replace(replace(sql, 'STRICT', ''),"
        f" '{column} NOT NULL', '{column.split()[0]}') WHERE name = 'sessions'",
        "PRAGMA writable_schema = RESET",
    )


def cut(share: float) -> Damage:
    return lambda kept, _: kept.content[: int(len(kept.content) * share) // PAGE * PAGE]


def run(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *arguments: object
) -> tuple[int, str, str]:
    monkeypatch.setattr(sys, "argv", ["edgeleuk", *map(str, arguments)])
    with pytest.raises(SystemExit) as ended:
        main()
    out, told = capsys.readouterr()
    assert "Traceback" not in told
    return int(ended.value.code or 0), out, told


NOTHING_LOST = {
    "the index of fields": page("records_in_order leaf"),
    "the other index of fields": page("records_of_session leaf", filling=255),
    "the index of sessions": page("sqlite_autoindex_sessions_1 leaf"),
    "the index of UUIDs": page("sessions_by_uuid leaf", filling=255),
    "the index of notes": page("notes_of_session leaf"),
    "the list of migrations": page("migrations leaf"),
}


@pytest.mark.parametrize("name", NOTHING_LOST)
def test_a_damaged_index_loses_nothing(
    kept: Kept, tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The tables have it all."""
    path = tmp_path / "sessions.db"
    path.write_bytes(NOTHING_LOST[name](kept, path))
    code, out, _ = run(monkeypatch, capsys, "sessions", "list", "--json", "--store", path)
    assert code == 0
    assert [(each["id"], each["fields"]) for each in json.loads(out)["sessions"]] == [
        (each, FIELDS) for each in reversed(kept.ids)
    ]
    with open_store(path) as store:
        lost: list[str] = []
        session = store.get(kept.ids[1])
        assert [field.number for field in session.counted(lost)] == [*range(1, FIELDS + 1)]
        assert session.marks(lost) == {3: "artefact"}
        assert [note.text for note in session.notes(lost)] == ["a remark"]
        assert not lost


FIELD_LOST = {
    "a record of one byte": row("UPDATE fields SET record = x'00' WHERE key = 9"),
    "a record that is cut off": row("UPDATE fields SET record = substr(record, 1, 5000) WHERE key = 9"),
    "no record": row("UPDATE fields SET record = NULL WHERE key = 9"),
    "a page of a record": page("fields overflow", 150),
    "another page of a record": page("fields overflow", 170, filling=255),
}


@pytest.mark.parametrize("name", FIELD_LOST)
def test_a_damaged_field_costs_that_field(
    kept: Kept, tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The session is shown and exported without it, the field is named, and counting goes on after the others."""
    path = tmp_path / "sessions.db"
    path.write_bytes(FIELD_LOST[name](kept, path))
    with open_store(path) as store:
        lost: dict[str, list[str]] = {each: [] for each in kept.ids}
        left = {each: len(list(store.get(each).counted(lost[each]))) for each in kept.ids}
    assert sum(left.values()) == 3 * FIELDS - 1
    hurt = next(each for each in kept.ids if left[each] < FIELDS)
    code, out, told = run(monkeypatch, capsys, "sessions", "show", hurt, "--json", "--store", path)
    assert code == 0
    assert json.loads(out)["lost"] == lost[hurt]
    assert f"of session {hurt} is damaged and was left out" in told
    code, _, told = run(
        monkeypatch, capsys, "sessions", "export", hurt, "--store", path, "--out", tmp_path / "out"
    )
    assert code == 0
    assert len(json.loads((tmp_path / "out" / "session.json").read_text())["fields"]) == FIELDS - 1
    assert "is damaged and was left out" in told
    with open_store(path) as store:
        session, missing = store.resume(hurt), []
        there = list(session.counted(missing))
        last = session.drop_unreadable(there, missing)
        assert last == FIELDS
        session.add(counted_field(last + 1))
        session.undo()
        session.add(counted_field(last + 1))
        session.finish("done")
        assert [field.number for field in session.counted([])] == [
            *(each.number for each in there),
            FIELDS + 1,
        ]
        assert missing[0] in [note.text for note in session.notes()]


SESSION_LOST = {
    "a time that is none": row("UPDATE sessions SET started = 'yesterday' WHERE id = $ID"),
    "no time": row(*loosened("started TEXT"), "UPDATE sessions SET started = NULL WHERE id = $ID"),
    "a text for a number": row(
        *loosened("target INTEGER"), "UPDATE sessions SET target = 'many' WHERE id = $ID"
    ),
    "no UUID": row("UPDATE sessions SET uuid = NULL WHERE id = $ID"),
    "an id that is a path": row(
        "PRAGMA foreign_keys = OFF", "UPDATE sessions SET id = '../../x' WHERE id = $ID"
    ),
}


@pytest.mark.parametrize("name", SESSION_LOST)
def test_a_damaged_session_costs_that_session(
    kept: Kept, tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is named, the others are listed, and it is not shown as something that it is not."""
    path = tmp_path / "sessions.db"
    path.write_bytes(SESSION_LOST[name](kept, path))
    code, out, told = run(monkeypatch, capsys, "sessions", "list", "--json", "--store", path)
    assert code == 0
    assert [each["id"] for each in json.loads(out)["sessions"]] == [kept.ids[2], kept.ids[0]]
    assert len(json.loads(out)["lost"]) == 1
    assert "is damaged" in told
    for command in ("show", "resume"):
        code, _, told = run(monkeypatch, capsys, "sessions", command, kept.ids[1], "--store", path)
        assert code in (2, 9)
        assert "error: " in told


def test_a_text_that_is_no_utf_8_is_shown_escaped(
    kept: Kept, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """One byte of a slide's id."""
    path = tmp_path / "sessions.db"
    damage = row("UPDATE sessions SET slide = CAST(x'41ff42' AS TEXT) WHERE id = $ID")
    path.write_bytes(damage(kept, path))
    code, out, _ = run(monkeypatch, capsys, "sessions", "list", "--json", "--store", path)
    assert code == 0
    assert json.loads(out)["sessions"][1]["slide"] == "A\\xffB"


PAGES_LOST = {
    "the root of the fields": (page("fields internal"), 3),
    "the table of white cells": (page("seen_white leaf"), 3),
    "the table of sessions": (page("sessions leaf", filling=255), 0),
    "the table of marks": (page("marks leaf"), 3),
    "half of the file": (cut(0.5), 3),
    "the last page": (cut(0.9999), 3),
    "a third of the file": (cut(0.33), 3),
}


@pytest.mark.parametrize("name", PAGES_LOST)
def test_what_lies_elsewhere_can_be_read(
    kept: Kept, tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of a table that is damaged as a whole, and of a file that was cut off; nothing of it is changed by reading."""
    path = tmp_path / "sessions.db"
    damage, listed = PAGES_LOST[name]
    path.write_bytes(damage(kept, path))
    code, out, _ = run(monkeypatch, capsys, "sessions", "list", "--json", "--store", path)
    assert code == 0
    assert len(json.loads(out)["sessions"]) == listed
    if not listed:
        assert {each for each in kept.ids if each in out} == {*kept.ids}  # each is named as lost
        return
    code, out, told = run(monkeypatch, capsys, "sessions", "show", kept.ids[0], "--json", "--store", path)
    assert code == 0
    shown = json.loads(out)
    assert bool(shown["lost"]) == ("the file of the sessions is damaged" in told)


@pytest.mark.parametrize(
    "damage",
    [
        lambda kept, _: kept.content[: 10 * PAGE],
        lambda kept, _: kept.content[:50],
        lambda kept, _: bytes(PAGE) + kept.content[PAGE:],
        page("sqlite_schema leaf"),
    ],
    ids=["ten pages", "50 bytes", "no first page", "no schema"],
)
def test_a_file_of_which_nothing_can_be_read_is_refused(
    kept: Kept,
    tmp_path: Path,
    damage: Damage,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """With exit code 9, unaltered."""
    path = tmp_path / "sessions.db"
    left = damage(kept, path)
    path.write_bytes(left)
    code, _, told = run(monkeypatch, capsys, "sessions", "list", "--store", path)
    assert code == 9
    assert told.startswith("error: ")
    assert len(told.splitlines()) == 1
    assert path.read_bytes() == left


def test_a_file_that_was_cut_off_is_not_written(kept: Kept, tmp_path: Path) -> None:
    """What is missing would be written over."""
    path = tmp_path / "sessions.db"
    path.write_bytes(cut(0.5)(kept, path))
    with open_store(path) as store:
        for write in (
            lambda: store.resume(kept.ids[1]),
            lambda: store.delete(kept.ids[1]),
            lambda: started(store),
        ):
            with pytest.raises(DamagedError, match="can only be read"):
                write()


GONE: dict[str, Callable[[Path], object]] = {
    "the folder": lambda path: path.parent.rename(path.parent.with_name("moved")),
    "the file": Path.unlink,
    "its log": lambda path: path.with_name(f"{path.name}-wal").unlink(),
    "the file, and another is there": lambda path: (path.unlink(), path.touch()),
}


@pytest.mark.parametrize("name", GONE)
def test_nothing_is_kept_in_a_file_that_was_removed(tmp_path: Path, name: str) -> None:
    """The system lets a process go on writing to it; the next field is refused, and so is the end."""
    path = tmp_path / "folder" / "sessions.db"
    with open_store(path) as store:
        session = started(store)
        session.add(counted_field(1))
        GONE[name](path)
        for write in (
            lambda: session.add(counted_field(2)),
            lambda: session.finish("done"),
            lambda: session.note("x"),
        ):
            with pytest.raises(StoreError, match="was removed or replaced"):
                write()


def test_a_folder_that_comes_back_takes_fields_again(tmp_path: Path) -> None:
    """As a disk that was unplugged: no field that was refused is in it."""
    path = tmp_path / "folder" / "sessions.db"
    with open_store(path) as store:
        session = started(store)
        session.add(counted_field(1))
        path.parent.rename(tmp_path / "away")
        with pytest.raises(StoreError):
            session.add(counted_field(2))
        (tmp_path / "away").rename(path.parent)
        session.add(counted_field(2))
        session.finish("done")
    with open_store(path) as store:
        assert [field.number for field in store.get(session.id).counted()] == [1, 2]
