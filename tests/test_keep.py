"""What `analyze` counts is kept like a session: exactly, also what was refused, and never at the price of the result."""

from __future__ import annotations

import csv
import io
import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import cv2
import jsonschema
import numpy as np
import pytest
from counted import FOCUS, MODEL, counted_field
from program import run
from standard import slide_of
from test_cli import DATA

from edgeleuk.analysis.analyser import Analyser
from edgeleuk.cli._keep import Keeper
from edgeleuk.cli._kept import reviewed
from edgeleuk.cli._rules import standards
from edgeleuk.counting.pictures import Analysed, Batch
from edgeleuk.errors import DiskFullError
from edgeleuk.models import registry
from edgeleuk.render import tables
from edgeleuk.results.slide_result import SlideResult
from edgeleuk.sessions import NewSession, Session, open_store
from edgeleuk.types import CountedField, Frame, Image, Overlap, PictureFile, Refusal, Scale

NEW = NewSession(source="test", model=MODEL, kind="pictures")


def saved(path: Path, image: Image) -> Path:
    cv2.imwrite(str(path), cv2.cvtColor(image, cv2.COLOR_RGB2BGR))
    return path


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, demo_frame: Frame) -> Path:
    """Two pictures that share ground, and a file that is none."""
    folder = tmp_path_factory.mktemp("slide")
    saved(folder / "1.png", demo_frame.pixels[:600, :700])
    saved(folder / "2.png", demo_frame.pixels[:600, 300:1000])
    (folder / "3.png").write_bytes(b"nothing")
    return folder


@pytest.fixture(scope="module")
def kept(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[dict, Path]:
    """What `analyze` printed of the folder, and the file that it kept it in."""
    path = tmp_path_factory.mktemp("kept") / "sessions.db"
    who = ("--slide", "S-1", "--site", "Pokhara", "--notes", "thin")
    done = run(
        "analyze", folder, "--um-per-px", 0.1, "--json", "--store", path, *who,
        EDGELEUK_OPERATOR="ab", EDGELEUK_DEVICE="bench 2", EDGELEUK_SITE="not this one",
    )  # fmt: skip
    assert done.returncode == 3, done.stderr
    assert "kept as session " in done.stderr
    return json.loads(done.stdout), path


def test_what_was_printed_is_what_was_kept(kept: tuple[dict, Path], folder: Path) -> None:
    """The same differential, cells, area and identity, and who counted what."""
    document, path = kept
    jsonschema.validate(document, json.loads((DATA / "analysis.schema.json").read_text()))
    shown = json.loads(run("sessions", "show", document["result"]["id"], "--json", "--store", path).stdout)
    assert shown["result"] == document["result"]
    for name, value in {
        "slide": "S-1", "site": "Pokhara", "operator": "ab", "device": "bench 2", "source": str(folder), "profile": None,
    }.items():  # fmt: skip
        assert document["result"][name] == value
    assert shown["differential"] == document["differential"]
    assert shown["area_mm2"] == document["area_mm2"]
    session = shown["session"]
    assert (session["kind"], session["state"], session["reason"], session["notes"]) == (
        "pictures",
        "finished",
        "analysed 2 pictures",
        "thin",
    )
    assert shown["counted_by"] == document["model"]


def test_pictures_and_cells_are_printed_with_their_place_on_the_slide(kept: tuple[dict, Path]) -> None:
    """A cell of both pictures has one number, and is fresh and counted in the first."""
    one, two = kept[0]["images"]
    assert (one["number"], two["number"]) == (1, 2)
    assert one["placement"]["island"] == two["placement"]["island"] == 1
    assert two["placement"]["x_um"] - one["placement"]["x_um"] == pytest.approx(30, abs=1)
    first = {cell["cell"] for cell in one["cells"]}
    assert all(cell["fresh"] and cell["counted"] for cell in one["cells"])
    again = [cell for cell in two["cells"] if cell["cell"] in first]
    assert again
    assert not any(cell["fresh"] or cell["counted"] for cell in again)
    assert all(cell["fresh"] and cell["counted"] for cell in two["cells"] if cell["cell"] not in first)


def test_a_failure_is_kept_and_printed(kept: tuple[dict, Path], folder: Path) -> None:
    """The picture that could not be read, with its error, in both lists and in the store."""
    document, path = kept
    (failure,) = document["failures"]
    (refused,) = document["refused"]
    assert (failure["path"], failure["error"], failure["exit_code"]) == (
        str(folder / "3.png"),
        "NotAnImageError",
        3,
    )
    assert refused == {
        "path": failure["path"], "code": "NotAnImageError", "text": failure["text"], "exit_code": 3, "findings": [],
    }  # fmt: skip
    with open_store(path) as store:
        (summary,) = store.list()
        assert summary.refused == 1
        (told,) = store.get(summary.id).refused()
    assert (told.name, told.code, told.exit_code) == (failure["path"], "NotAnImageError", 3)
    assert "1 picture (not readable 1)" in run("sessions", "show", summary.id, "--store", path).stdout


def test_a_session_of_pictures_is_marked_in_the_list(kept: tuple[dict, Path]) -> None:
    """By a star, within 80 columns."""
    listed = run("sessions", "list", "--store", kept[1]).stdout
    assert "finished*" in listed
    assert "* of pictures" in listed
    assert max(map(len, listed.splitlines()[:-1])) <= 80


def test_white_cells_of_pictures_can_be_looked_at_later(kept: tuple[dict, Path], tmp_path: Path) -> None:
    """Export has one picture of each white cell of the slide, under its number, of the field that shows it whole."""
    document, path = kept
    name = document["result"]["id"][:8]
    done = run("sessions", "export", name, "--store", path, "--out", tmp_path / "out")
    assert done.returncode == 0, done.stderr
    whole: dict[int, set[int]] = {}
    for image in document["images"]:
        for cell in image["cells"]:
            if cell["kind"] == "WBC":
                whole.setdefault(cell["cell"], set()).update({image["number"]} if cell["whole"] else ())
    written = [path.stem.split("-") for path in (tmp_path / "out" / "crops").rglob("*.jpg")]
    assert sorted(int(cell) for cell, _ in written) == sorted(whole)
    assert len(whole) < sum(cell["kind"] == "WBC" for image in document["images"] for cell in image["cells"])
    assert all(int(number) in whole[int(cell)] for cell, number in written if whole[int(cell)])


@pytest.mark.parametrize("command", [("sessions", "resume"), ("live", "--resume")])
def test_pictures_are_not_resumed(kept: tuple[dict, Path], command: tuple[str, ...]) -> None:
    """Wrong usage, with what to do instead."""
    done = run(*command, kept[0]["result"]["id"], "--store", kept[1])
    assert (done.returncode, len(done.stderr.splitlines())) == (2, 1)
    assert "counted from pictures" in done.stderr


def test_no_keep_keeps_nothing(folder: Path, tmp_path: Path) -> None:
    """Not even a file; the result has an identity all the same."""
    path = tmp_path / "sessions.db"
    done = run("analyze", folder / "1.png", "--um-per-px", 0.1, "--json", "--no-keep", "--store", path)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert not path.exists()
    assert len(json.loads(done.stdout)["result"]["id"]) == 36


def _printed(document: dict) -> dict:
    """A result without what differs from run to run."""
    images = [
        {key: value for key, value in image.items() if key not in ("at", "seconds")}
        for image in document["images"]
    ]
    return document | {"images": images, "result": None}


def test_what_cannot_be_kept_is_counted_all_the_same(folder: Path, tmp_path: Path) -> None:
    """One warning with the reason; exit code and result are those of --no-keep."""
    command = ("analyze", folder, "--um-per-px", 0.1, "--json")
    foreign = tmp_path / "notes.txt"
    foreign.write_text("not a database")
    refused, wanted = run(*command, "--store", foreign), run(*command, "--no-keep")
    assert refused.returncode == wanted.returncode == 3
    assert _printed(json.loads(refused.stdout)) == _printed(json.loads(wanted.stdout))
    warning, *rest = refused.stderr.splitlines()
    assert warning.startswith(f"warning: the result is not kept: {foreign} is no file of sessions")
    assert rest == wanted.stderr.splitlines()
    assert foreign.read_text() == "not a database"


def test_a_disk_that_fills_ends_keeping_and_not_the_count(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """One warning; what was kept until then is there as a count that was interrupted."""
    add, taken = Session.add, []

    def until_full(session: Session, counted: CountedField) -> None:
        if taken:
            raise DiskFullError("the disk is full.")
        taken.append(counted)
        add(session, counted)

    monkeypatch.setattr(Session, "add", until_full)
    path = tmp_path / "sessions.db"
    with Keeper(NEW, path) as keeper:
        for number in (1, 2, 3):
            keeper.add(counted_field(number))
        keeper.refuse(Refusal("a", "focus", "out of focus"))
        keeper.finish("analysed 3 pictures")
        assert keeper.about.ended
    assert capsys.readouterr().err.count("the result is not kept: the disk is full.") == 1
    with open_store(path) as store:
        (summary,) = store.list()
        assert (summary.fields, summary.refused, summary.state) == (1, 0, "interrupted")


@pytest.mark.parametrize("most_bytes", [0, 20_000, 150_000])
def test_what_finds_no_room_is_not_called_kept(tmp_path: Path, most_bytes: int) -> None:
    """For real: no file of this process can be larger. The result is printed, the reason is told, and the exit code is 9."""
    limit = f"import resource; resource.setrlimit(resource.RLIMIT_FSIZE, ({most_bytes}, {most_bytes}))"
    code = f"{limit}; import runpy; runpy.run_module('edgeleuk', run_name='__main__')"
    arguments = ["analyze", "--demo", "--json", "--threads", "1", "--store", str(tmp_path / "s.db")]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, env=environment, check=False
    )
    assert done.returncode == 9
    assert json.loads(done.stdout)["images"]
    assert done.stderr.count("warning: the result is not kept") == 1
    assert "kept as session" not in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("after", [0, 1, 2])
def test_what_goes_into_a_removed_folder_is_not_called_kept(
    tmp_path: Path, after: int, capsys: pytest.CaptureFixture[str]
) -> None:
    """A stick that is pulled out, or a folder that somebody tidied away, at any moment of the count."""
    folder = tmp_path / "stick"
    with Keeper(NEW, folder / "sessions.db") as keeper:
        for number in (1, 2):
            if number > after:
                folder.rename(tmp_path / "gone") if folder.exists() else None
            keeper.add(counted_field(number))
        if after == 2:
            folder.rename(tmp_path / "gone")
        keeper.finish("analysed 2 pictures")
        keeper.tell()
    told = capsys.readouterr().err
    assert keeper.failed
    assert told.count("the result is not kept") == 1
    assert "kept as session" not in told


def test_a_count_that_is_left_is_kept_as_interrupted(tmp_path: Path) -> None:
    """With all that was counted until then."""
    path = tmp_path / "sessions.db"
    with pytest.raises(KeyboardInterrupt), Keeper(NEW, path) as keeper:
        keeper.add(counted_field(1))
        raise KeyboardInterrupt
    with open_store(path) as store:
        (summary,) = store.list()
        assert (summary.fields, summary.state, summary.uuid) == (1, "interrupted", NEW.uuid)


def test_the_result_says_of_itself_what_the_session_says(tmp_path: Path) -> None:
    """Bit by bit, the time of its end too."""
    with Keeper(NEW, tmp_path / "sessions.db") as keeper:
        keeper.finish("analysed 0 pictures")
        with open_store(tmp_path / "sessions.db") as store:
            assert store.list()[0].about == keeper.about


class Kept:
    """A recorder that keeps in memory."""

    def __init__(self) -> None:
        self.counted: list[CountedField] = []
        self.refused: list[Refusal] = []

    def add(self, counted: CountedField) -> None:
        self.counted.append(counted)

    def refuse(self, *refusals: Refusal) -> None:
        self.refused += refusals

    def undo(self) -> None: ...

    def mark(self, identity: int, label: str) -> None: ...


@pytest.mark.parametrize("overlapping", [True, False])
def test_a_batch_is_rebuilt_from_what_was_kept(
    analyser: Analyser, demo_frame: Frame, tmp_path: Path, overlapping: bool
) -> None:
    """In pixels of the files, which it decoded eight times smaller: the same fields, each cell once."""
    large = [
        cv2.resize(demo_frame.pixels[:600, at : at + 700], None, fx=4, fy=4, interpolation=cv2.INTER_CUBIC)
        for at in (0, 300)
    ]
    paths = [saved(tmp_path / f"{i}.png", picture) for i, picture in enumerate(large)]
    kept = Kept()
    slide = slide_of(analyser, Scale.given(0.025), overlapping=overlapping)
    slide.recorder = kept
    frames = []
    for done in Batch(slide).analyse_all([PictureFile(path) for path in paths]):
        assert isinstance(done, Analysed)
        frames.append(done.frame)
    assert {frame.shrunk for frame in frames} == {8}
    assert [(each.field.width, each.field.height) for each in kept.counted] == [(2800, 2400)] * 2
    again = slide_of(analyser)
    again.restore(kept.counted, {})
    assert again.map.fields() == slide.map.fields()
    assert again.map.island_count == slide.map.island_count == (1 if overlapping else 2)


def test_pictures_of_white_cells_are_of_the_size_that_was_analysed(
    analyser: Analyser, demo_frame: Frame, tmp_path: Path
) -> None:
    """Each white cell has one, 20 um across as the networks saw them; no other cell has."""
    kept = Kept()
    slide = slide_of(analyser, Scale.given(0.1))
    slide.recorder = kept
    list(Batch(slide).analyse_all([PictureFile(saved(tmp_path / "a.png", demo_frame.pixels[:600, :700]))]))
    (counted,) = kept.counted
    white = [i for i, cell in enumerate(counted.field.cells) if cell.kind == "WBC"]
    assert list(counted.crops) == white
    for jpeg in counted.crops.values():
        assert cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR).shape == (100, 100, 3)


def test_a_kept_result_of_another_model_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The result names the model that counted, not the one that is here."""
    path = tmp_path / "sessions.db"
    new = replace(NEW, model=replace(MODEL, version="0.0.1", manifest_sha256="ab"))
    with open_store(path) as store:
        session = store.start(new)
        session.add(counted_field(1))
        session.finish("analysed 1 picture")
        kept, _, _ = reviewed(store, session.id, None, *standards())
    assert kept.result.about.model.version == "0.0.1"
    assert kept.model.version == registry.load("40x").version
    assert "was counted by version 0.0.1" in capsys.readouterr().err


@pytest.fixture
def copied(tmp_path: Path) -> SlideResult:
    """A slide of two fields, the second a copy of the first, and a picture that was left out, which is no failure."""
    with open_store(tmp_path / "sessions.db") as store:
        session = store.start(NEW)
        for number in (1, 2):
            session.add(counted_field(number))
        result = reviewed(store, session.id, None, *standards())[0].result
    return replace(
        result,
        overlaps=(Overlap(2, 1, "copy", 0.9, 90, True, 2.0),),
        refused=(
            Refusal("seen.jpg", "seen", "it shows what was counted."),
            Refusal("blurred.jpg", "focus", "out of focus.", (FOCUS,), 10),
        ),
    )


def test_copies_and_what_was_left_out_are_printed(copied: SlideResult) -> None:
    """A copy names the other picture; a failure is what a command ends with, and no more."""
    document = tables.document(copied)
    jsonschema.validate(document, json.loads((DATA / "analysis.schema.json").read_text()))
    assert [image["copy_of"] for image in document["images"]] == [None, "simulated-1"]
    assert document["overlaps"] == [
        {
            "number": 2, "other": 1, "kind": "copy", "shared": 0.9, "turned": 90, "mirrored": True, "zoom": 2.0,
            "path": "simulated-2", "other_path": "simulated-1",
        }
    ]  # fmt: skip
    assert [(each["path"], each["code"]) for each in document["refused"]] == [
        ("seen.jpg", "seen"),
        ("blurred.jpg", "focus"),
    ]
    assert [(each["path"], each["error"]) for each in document["failures"]] == [
        ("blurred.jpg", "QualityError")
    ]


def test_pictures_that_were_left_out_have_a_row(copied: SlideResult) -> None:
    """With the verdict and the reason, after those that were counted."""
    rows = list(csv.DictReader(io.StringIO(tables.pictures_csv(copied))))
    assert [(row["path"], row["verdict"], row["reasons"]) for row in rows] == [
        ("simulated-1", "accepted", ""),
        ("simulated-2", "accepted", ""),
        ("seen.jpg", "left out", "seen"),
        ("blurred.jpg", "refused", "focus"),
    ]


def test_a_poorer_copy_is_kept_with_cells_that_count_nowhere(demo_frame: Frame, tmp_path: Path) -> None:
    """What only a copy of a better picture shows has no number; the session gives the same differential as was printed."""
    folder, store = tmp_path / "pictures", tmp_path / "sessions.db"
    folder.mkdir()
    saved(folder / "a.png", demo_frame.pixels[:800, :900])
    poor = cv2.resize(demo_frame.pixels[:800, :900], None, fx=0.45, fy=0.45, interpolation=cv2.INTER_AREA)
    spots = poor.copy()
    for x, y in ((60, 60), (200, 140), (320, 300)):
        cv2.circle(spots, (x, y), 9, (120, 60, 140), -1)
    saved(folder / "b.png", spots)
    done = run("analyze", folder, "--json", "--store", store)
    assert "not kept" not in done.stderr
    document = json.loads(done.stdout)
    assert [each["kind"] for each in document["overlaps"]] == ["copy"]
    assert None in {cell["cell"] for cell in document["images"][1]["cells"]}
    jsonschema.validate(document, json.loads((DATA / "analysis.schema.json").read_text()))
    shown = json.loads(run("sessions", "show", document["result"]["id"], "--json", "--store", store).stdout)
    assert shown["session"]["fields"] == 2
    assert shown["differential"] == document["differential"]
