"""`edgeleuk sessions` as a user meets it: what is listed, shown, exported and deleted, and what is refused."""

from __future__ import annotations

import csv
import json
import os
import pty
import shutil
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import old_store
import program
import pytest
from counted import counted_field, started

from edgeleuk.cli import sessions
from edgeleuk.cli._kept import reviewed
from edgeleuk.cli._rules import standards
from edgeleuk.counting.kept import restored
from edgeleuk.differential.rules import RULES
from edgeleuk.errors import ModelError, UsageError
from edgeleuk.models import registry
from edgeleuk.models.derive import Changes, derive
from edgeleuk.results.codec import read_result
from edgeleuk.results.slide_result import without_pictures
from edgeleuk.review import OpenReview
from edgeleuk.sessions import open_store
from edgeleuk.system.result_marks import marked

FIELDS = 4


def run(*arguments: object, stdin: int | None = None, **environment: str) -> program.Run:
    """`edgeleuk sessions`, with times in UTC."""
    return program.run("sessions", *arguments, stdin=stdin, **{"TZ": "UTC"} | environment)


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A file with a finished session of four fields and an interrupted empty one, and the id of the first."""
    path = tmp_path_factory.mktemp("store") / "sessions.db"
    with open_store(path) as store:
        session = started(store, slide="S-2026/17 second smear \x1b[31m of a long name", source="usb:0")
        for number in range(1, FIELDS + 1):
            session.add(counted_field(number))
        session.mark(_white(1)[0], "../artefact")
        session.note("oil renewed")
        session.finish("the target was reached")
        # An id is the second of its start and two digits by chance: in another second, a shorter one is still this one's.
        while session.id.startswith(f"{datetime.now(UTC):%Y%m%d-%H%M%S}"):
            time.sleep(0.05)
        started(store)
    return path, session.id


@pytest.fixture
def copy(kept: tuple[Path, str], tmp_path: Path) -> tuple[Path, str]:
    """The same file, to be changed."""
    return shutil.copy(kept[0], tmp_path / "copy.db"), kept[1]


def _white(number: int) -> list[int]:
    """Numbers on the map of the white cells of a field that were read."""
    field = counted_field(number)
    return [i for cell, i in zip(field.field.cells, field.identities, strict=True) if cell.reading]


def test_a_session_is_judged_by_the_model_and_the_rules_that_are_named(
    kept: tuple[Path, str], tmp_path: Path
) -> None:
    """A folder's model of its objective, rules of one's own; a model of another objective is a usage error."""
    path, session = kept
    folder = tmp_path / "derived"
    derive(registry.load("40x"), folder, Changes("2", "a copy"))
    rules = tmp_path / "rules.toml"
    text = RULES.read_text(encoding="utf-8").replace(
        'labels = ["erythroblast", ', 'labels = ["neutrophil", "erythroblast", '
    )
    rules.write_text(text, encoding="utf-8")
    reference = tmp_path / "none.toml"
    reference.write_text('schema = 1\nname = "none"\nsources = []\nranges = []\n', encoding="utf-8")
    own = ("--model", folder, "--rules", rules, "--reference", reference)
    usual, ours = (run("show", session, "--json", "--store", path, *more) for more in ((), own))
    assert "and the one here is 2" in ours.stderr
    shown = [json.loads(each.stdout)["differential"] for each in (usual, ours)]
    assert shown[1]["reference"] == "none"
    assert "neutrophil" in shown[0]["types"]
    assert shown[1]["outside"]["neutrophil"] == shown[0]["types"]["neutrophil"]["count"]
    assert "neutrophil" not in shown[1]["types"]
    other = run("show", session, "--store", path, "--model", registry.shipped()["100x"])
    assert (other.returncode, "was counted at 40x, and" in other.stderr) == (2, True)


@pytest.fixture(scope="module")
def exported(kept: tuple[Path, str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of `sessions export`."""
    path, session = kept
    out = tmp_path_factory.mktemp("export") / "out"
    done = run("export", session, "--out", out, "--store", path)
    assert done.returncode == 0, done.stderr
    assert done.stdout == ""
    return out


def test_list_fits_80_columns_and_says_where_the_file_lies(kept: tuple[Path, str]) -> None:
    """A line a session with its counts and its state; a control character in a name does not reach the terminal."""
    path, session = kept
    done = run("list", "--store", path)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    row = next(line for line in lines if session in line).split()
    assert row[-3:-1] == [str(FIELDS), str(len({i for n in range(1, FIELDS + 1) for i in _white(n)}))]
    assert row[-1] == "finished"
    assert max(map(len, lines[:-1])) <= 80
    assert "interrupted" in done.stdout
    assert str(path) in done.stdout.replace("\n", "")
    assert "\x1b" not in done.stdout


def test_list_as_json_has_every_fact(kept: tuple[Path, str]) -> None:
    """Newest first, for programs."""
    path, session = kept
    document = json.loads(run("list", "--json", "--store", path).stdout)
    assert document["path"] == str(path)
    newest, finished = document["sessions"]
    assert (newest["fields"], newest["state"]) == (0, "interrupted")
    assert (finished["id"], finished["fields"], finished["reason"]) == (
        session,
        FIELDS,
        "the target was reached",
    )


def test_list_without_any_session_makes_no_file(tmp_path: Path) -> None:
    """It says that there are none and where they will lie."""
    path = tmp_path / "data" / "sessions.db"
    done = run("list", EDGELEUK_SESSIONS=str(path))
    assert done.returncode == 0, done.stderr
    assert "No sessions yet" in done.stdout
    assert not path.parent.exists()


def test_help_says_where_the_file_lies() -> None:
    """And which variable moves it."""
    done = run("--help")
    assert "EDGELEUK_SESSIONS" in done.stdout
    assert "edgeleuk/sessions.db" in done.stdout


def test_show_gives_the_differential_of_unique_cells(kept: tuple[Path, str]) -> None:
    """The session's facts, its notes and the differential, within 80 columns."""
    path, session = kept
    done = run("show", session[:-1], "--store", path)
    assert done.returncode == 0, done.stderr
    for text in (
        session,
        "oil renewed",
        "the target was reached",
        "white cells recognised in",
        "Research use only",
    ):
        assert text in done.stdout
    assert max(map(len, done.stdout.splitlines())) <= 80
    assert "\x1b" not in done.stdout


def test_show_as_json_counts_each_cell_once(kept: tuple[Path, str]) -> None:
    """Types add up to the unique white cells, without those that are outside the percentages."""
    path, session = kept
    document = json.loads(run("show", session, "--json", "--store", path).stdout)
    result = document["differential"]
    unique = {i for n in range(1, FIELDS + 1) for i in _white(n)}
    marked = _white(1)[0]
    assert document["marks"] == {str(marked): "../artefact"}
    assert result["n"] + sum(result["outside"].values()) == len(unique)
    assert sum(each["count"] for each in result["types"].values()) == result["n"]


def test_show_tells_quality_and_area(kept: tuple[Path, str]) -> None:
    """Verdicts with what was found, and how much of the slide was looked at, in text and in JSON."""
    path, session = kept
    text = " ".join(run("show", session, "--store", path).stdout.split())
    assert "quality 3 accepted, 1 counted although `analyze` would refuse them (out of focus 1)" in text
    assert "1 through an eyepiece" in text
    document = json.loads(run("show", session, "--json", "--store", path).stdout)
    assert document["quality"] == {
        "accepted": 3, "warned": 0, "refused": 1, "not_kept": 0, "findings": {"focus": 1},
    }  # fmt: skip
    each = [counted_field(number) for number in range(1, FIELDS + 1)]
    areas = [one.field.area_mm2 * one.placement.new_ground for one in each]
    assert document["area_mm2"] == pytest.approx(sum(areas))


def test_quality_that_was_not_kept_is_not_called_good(tmp_path: Path) -> None:
    """Of a field that an older edgeleuk counted, the export has no verdict."""
    path, session = tmp_path / "old.db", "20260101-101010-aa"
    old_store.write(path, map(counted_field, range(1, FIELDS + 1)))
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE fields SET assessment = NULL WHERE number = 2")
    assert "1 of an older edgeleuk" in " ".join(run("show", session, "--store", path).stdout.split())
    assert run("export", session, "--out", tmp_path / "out", "--store", path).returncode == 0
    fields = json.loads((tmp_path / "out" / "session.json").read_text())["fields"]
    verdicts = [field["quality"] and field["quality"]["verdict"] for field in fields]
    assert verdicts == ["accepted", None, "accepted", "refused"]
    assert [field["aperture"] is not None for field in fields] == [False, False, True, False]
    assert [field["profile"] for field in fields] == ["bench-2", None, "bench-2", None]


def test_export_has_a_row_for_each_cell_of_each_field(exported: Path) -> None:
    """cells.csv names field and cell, and marks what the operator marked."""
    with (exported / "cells.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    expected = [(str(n), str(i)) for n in range(1, FIELDS + 1) for i in counted_field(n).identities]
    assert [(row["field"], row["cell"]) for row in rows] == expected
    marked = [row for row in rows if row["cell"] == str(_white(1)[0])]
    assert {(row["marked"], row["type"]) for row in marked} == {("../artefact", "../artefact")}
    assert {row["kind"] for row in rows} == {"WBC", "RBC", "Platelet"}


def test_export_has_every_field_with_its_place(exported: Path) -> None:
    """session.json has the placements and each cell's number on the map."""
    document = json.loads((exported / "session.json").read_text())
    assert document["schema"] == "edgeleuk-session/1"
    for number, field in enumerate(document["fields"], 1):
        counted = counted_field(number)
        assert field["number"] == number
        assert field["placement"]["x_um"] == counted.placement.x_um
        assert [cell["cell"] for cell in field["cells"]] == list(counted.identities)


def test_export_sorts_the_crops_by_type(exported: Path) -> None:
    """One crop a cell, of its sharpest field, as it was kept, with the mark of a result; no label leads out of the folder."""
    written = {path.name: path for path in (exported / "crops").rglob("*.jpg")}
    best: dict[int, tuple[float, str, bytes]] = {}
    for number in range(1, FIELDS + 1):
        field = counted_field(number)
        for position, crop in field.crops.items():
            identity = field.identities[position]
            view = (field.sharpness, f"{identity:05d}-{number:04d}.jpg", crop)
            best[identity] = max(view, best.get(identity, view))
    expected = {name: crop for _, name, crop in best.values()}
    assert len(expected) < sum(len(counted_field(number).crops) for number in range(1, FIELDS + 1))
    result = json.loads((exported / "session.json").read_text())["result"]["id"]
    assert {name: path.read_bytes() for name, path in written.items()} == {
        name: marked(crop, result) for name, crop in expected.items()
    }
    assert cv2.imdecode(np.frombuffer(next(iter(expected.values())), np.uint8), cv2.IMREAD_COLOR) is not None
    assert "_artefact" in {path.parent.name for path in written.values()}
    assert sorted(path.name for path in exported.iterdir()) == [
        ".edgeleuk-results.json",
        "cells.csv",
        "crops",
        "differential.csv",
        "pictures.csv",
        "result.edgeleuk",
        "session.json",
        "verdict.csv",
    ]


def test_the_exported_result_is_read_back_equal(kept: tuple[Path, str], exported: Path) -> None:
    """Every number of it, and what the session says of itself."""
    result = read_result(exported / "result.edgeleuk")
    with open_store(kept[0]) as store:
        summary = store.get(kept[1]).summary
        assert result == reviewed(store, kept[1], None, *standards())[0].result
    assert result.about == summary.about
    bare = [without_pictures(counted_field(number)) for number in range(1, FIELDS + 1)]
    assert [replace(each, fresh=frozenset()) for each in result.counted] == [
        replace(each, fresh=frozenset()) for each in bare
    ]
    document = json.loads((exported / "session.json").read_text())
    assert document["differential"]["n"] == result.differential.n
    assert document["result"]["id"] == summary.uuid


def test_delete_asks_and_a_no_keeps_the_session(copy: tuple[Path, str]) -> None:
    """The question names what would be lost."""
    path, session = copy
    keyboard, terminal = pty.openpty()
    os.write(keyboard, b"n\n")
    done = run("delete", session, "--store", path, stdin=terminal)
    os.close(keyboard)
    os.close(terminal)
    assert done.returncode == 1
    assert f"with {FIELDS} fields" in done.stderr
    with open_store(path) as store:
        assert len(store.list()) == 2


def test_delete_without_a_terminal_needs_yes(copy: tuple[Path, str]) -> None:
    """A script does not delete by accident; with --yes it does."""
    path, session = copy
    assert run("delete", session, "--store", path).returncode == 2
    assert run("delete", session, "--yes", "--store", path).returncode == 0
    with open_store(path) as store:
        assert session not in {summary.id for summary in store.list()}


@pytest.mark.parametrize(
    "command",
    [
        sessions.show,
        partial(sessions.set_facts, slide="S"),
        sessions.resume,
        sessions.export,
        sessions.delete,
    ],
    ids=["show", "set", "resume", "export", "delete"],
)
def test_an_unknown_id_is_wrong_usage(kept: tuple[Path, str], command: Callable[..., None]) -> None:
    """The message has the ids that exist."""
    path, session = kept
    with pytest.raises(UsageError, match=session):
        command("1999", store=path)


def test_set_changes_a_finished_session_and_keeps_what_was(copy: tuple[Path, str]) -> None:
    """The session stays finished; its notes say what it was called before, and the remark is added to them."""
    path, session = copy
    done = run(
        "set", session, "--slide", "S-9", "--site", "Pokhara", "--notes", "label was wrong", "--store", path
    )
    assert done.returncode == 0, done.stderr
    assert f'session {session}: slide changed from "S-2026/17' in done.stdout
    assert 'to "S-9". site set to "Pokhara". remark added.' in done.stdout
    document = json.loads(run("show", session, "--json", "--store", path).stdout)
    summary = document["session"]
    assert (summary["slide"], summary["site"], summary["state"]) == ("S-9", "Pokhara", "finished")
    texts = [note["text"] for note in document["notes"]]
    assert texts[0] == "oil renewed"
    assert texts[1].endswith('to "S-9".')
    assert texts[2:] == ['site set to "Pokhara".', "label was wrong"]


def test_set_as_json_has_each_change(copy: tuple[Path, str]) -> None:
    """For programs: the session as it is now, and what it was."""
    path, session = copy
    arguments = ("set", session, "--operator", "ab", "--json", "--store", path)
    document = json.loads(run(*arguments).stdout)
    assert document["session"]["operator"] == "ab"
    assert document["session"]["state"] == "finished"
    assert document["changes"] == [{"name": "operator", "before": "", "after": "ab"}]
    assert json.loads(run(*arguments).stdout)["changes"] == []


def test_set_takes_nothing_from_the_environment(copy: tuple[Path, str]) -> None:
    """A variable for new counts must not rename an old one."""
    path, session = copy
    named = {"EDGELEUK_OPERATOR": "zz", "EDGELEUK_SITE": "elsewhere", "EDGELEUK_DEVICE": "other"}
    assert run("set", session, "--slide", "S-9", "--store", path, **named).returncode == 0
    with open_store(path) as store:
        summary = store.get(session).summary
    assert (summary.operator, summary.site, summary.device) == ("", "", "")


def test_set_without_anything_to_set_is_wrong_usage(copy: tuple[Path, str]) -> None:
    """The message names what can be given."""
    done = run("set", copy[1], "--store", copy[0])
    assert done.returncode == 2
    assert "--slide, --operator, --site, --device, --notes" in " ".join(done.stderr.split())


def test_a_running_session_cannot_be_set(copy: tuple[Path, str]) -> None:
    """Its own process writes it; the message says which, and nothing changed."""
    path, session = copy
    with open_store(path) as store:
        writing = store.annotate(session)
        done = run("set", session, "--slide", "S-9", "--store", path)
        writing.release()
        assert (done.returncode, f"process {os.getpid()}" in done.stderr) == (9, True)
        assert store.get(session).summary.slide != "S-9"


def test_a_model_of_other_types_is_refused(tmp_path: Path) -> None:
    """Views of a cell cannot be put together by a reader that does not know its types; the message says what can."""
    counted = counted_field(1)
    cells = tuple(
        replace(cell, reading=replace(cell.reading, probabilities={"sickle": 1.0})) if cell.reading else cell
        for cell in counted.field.cells
    )
    path = tmp_path / "sessions.db"
    with open_store(path) as store:
        session = started(store)
        session.add(replace(counted, field=replace(counted.field, cells=cells)))
    with pytest.raises(ModelError, match="edgeleuk models use 40x 1"):
        sessions.show(session.id, store=path)


def test_an_absent_or_foreign_file_is_named(tmp_path: Path) -> None:
    """Exit codes 2 and 9, each one line, and nothing is made or changed."""
    absent, foreign = tmp_path / "absent.db", tmp_path / "notes.txt"
    foreign.write_text("not a database")
    for path, code in ((absent, 2), (foreign, 9)):
        done = run("list", "--store", path)
        assert (done.returncode, len(done.stderr.splitlines())) == (code, 1)
        assert str(path) in done.stderr
    assert foreign.read_text() == "not a database"
    assert not absent.exists()


def test_a_review_is_shown_beside_the_programs_figures(copy: tuple[Path, str]) -> None:
    """In a line, and in JSON with its trail; the figures are those of before."""
    path, session = copy
    before = json.loads(run("show", session, "--json", "--store", path).stdout)
    assert "review " not in run("show", session, "--store", path).stdout
    with open_store(path) as store:
        review = OpenReview(
            store, restored(store.get(session), registry.load("40x"), *standards()), *standards()
        )
        cell = _white(2)[0]
        review.reclassify("A. B.", [cell], "blast", "large nucleoli")
        review.sign("A. B.", 1)
    after = json.loads(run("show", session, "--json", "--store", path).stdout)
    told = after.pop("review")
    assert before.pop("review")["trail"] == []
    assert after == before
    assert (told["state"], told["signed"], told["revision"], told["reviewed"]) == ("final", True, 1, 1)
    assert [entry["action"] for entry in told["trail"]] == ["reclassify", "sign"]
    assert told["trail"][0]["why"] == "large nucleoli"
    text = " ".join(run("show", session, "--store", path).stdout.split())
    assert "review final, revision 1 signed by A. B. on " in text
    assert "marked cells reviewed, " in text
    assert "verdict and table are the program's own; `edgeleuk report` has the reviewed ones" in text
    resumed = run("resume", session, "--store", path)
    assert (resumed.returncode, "was signed by A. B." in resumed.stderr) == (2, True)


def counted_twice(path: Path) -> list[str]:
    """A file in which slide S-9 has two sessions; their ids."""
    ids = []
    with open_store(path) as store:
        for _ in range(2):
            session = started(store, slide="S-9")
            session.add(counted_field(1))
            session.finish("done")
            ids.append(session.id)
    return ids


def test_a_slide_id_names_the_session_to_change_or_export(copy: tuple[Path, str], tmp_path: Path) -> None:
    """As it names the one to show."""
    path, session = copy
    run("set", session, "--slide", "S-7", "--store", path)
    done = run("set", "S-7", "--site", "Pokhara", "--json", "--store", path)
    assert json.loads(done.stdout)["session"]["id"] == session
    for where in (("--out", tmp_path / "out"), ("--zip", tmp_path / "out.zip")):
        exported = run("export", "S-7", *where, "--store", path)
        assert exported.returncode == 0, exported.stderr
    assert json.loads((tmp_path / "out" / "session.json").read_text())["session"]["id"] == session
    assert "1 session in" in exported.stderr


def test_a_slide_with_several_sessions_is_not_changed_by_its_id(tmp_path: Path) -> None:
    """Neither set nor resumed: which one is meant must be said. To export, the newest is taken, with a warning."""
    path = tmp_path / "sessions.db"
    ids = counted_twice(path)
    for command in (("set", "S-9", "--site", "Pokhara"), ("resume", "S-9")):
        refused = run(*command, "--store", path)
        said = " ".join(refused.stderr.split())
        assert (refused.returncode, refused.stdout) == (2, "")
        assert "error: slide S-9 has more than one session: " in said
        assert said.endswith("Name one by its session id.")
        assert all(each in said for each in ids)
    refused = program.run("live", "--resume", "S-9", "--source", "simulated", "--store", path)
    assert (refused.returncode, "more than one session" in refused.stderr) == (2, True)
    done = run("export", "S-9", "--out", tmp_path / "out", "--store", path)
    assert done.returncode == 0
    assert "slide S-9 has 2 sessions; this is the newest" in " ".join(done.stderr.split())


def test_a_slide_id_shows_its_newest_session(tmp_path: Path) -> None:
    """As `report` takes it; the older ones are named, and an unknown text says which slides there are."""
    path = tmp_path / "sessions.db"
    ids = counted_twice(path)
    newest = json.loads(run("list", "--json", "--store", path).stdout)["sessions"][0]["id"]
    done = run("show", "S-9", "--json", "--store", path)
    assert json.loads(done.stdout)["session"]["id"] == newest
    assert "slide S-9 has 2 sessions; this is the newest" in " ".join(done.stderr.split())
    assert json.loads(run("show", ids[0], "--json", "--store", path).stdout)["session"]["id"] == ids[0]
    refused = run("show", "S-8", "--store", path)
    assert refused.returncode == 2
    assert "Slides here: S-9." in " ".join(refused.stderr.split())
