"""A folder of results holds one result, and results are never taken for pictures."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import cv2
import pytest
from program import run

from edgeleuk.cli._results import ResultFolder, Run, key_of
from edgeleuk.errors import UsageError
from edgeleuk.system.result_marks import MARKER, listed, mark_of, marked
from edgeleuk.types import Frame

ONE = Run("00000000-0000-0000-0000-000000000001", "one", "slide 1", "2026-11-30T06:00:00+00:00")
AGAIN = Run("00000000-0000-0000-0000-000000000002", "one", "slide 1", "2026-11-30T07:00:00+00:00")
OTHER = Run("00000000-0000-0000-0000-000000000003", "other", "slide 2", "2026-11-30T08:00:00+00:00")
JPEG = cv2.imencode(".jpg", cv2.UMat(80, 96, cv2.CV_8UC3).get())[1].tobytes()
TABLES = ["cells.csv", "differential.csv", "pictures.csv", "results.json", "verdict.csv"]


@pytest.fixture
def slide(tmp_path: Path, demo_frame: Frame) -> Path:
    """A folder of two pictures."""
    folder = tmp_path / "slide"
    folder.mkdir()
    for number in range(2):
        part = demo_frame.pixels[:500, 600 * number : 600 * number + 600, ::-1]
        cv2.imwrite(str(folder / f"{number}.jpg"), part)
    return folder


def analyze(*words: object) -> tuple[int, str]:
    done = run("analyze", *words, "--um-per-px", 0.1, "--no-keep", "--threads", 1)
    return done.returncode, done.stderr


def white_cells(folder: Path) -> int:
    document = json.loads((folder / "results.json").read_text())
    return sum(
        cell["kind"] == "WBC" and cell["counted"] for each in document["images"] for cell in each["cells"]
    )


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.glob("[!.]*"))


@pytest.mark.parametrize(
    ("out", "words"), [("slide", ()), ("slide/results", ("-r",)), ("slide/a/b", ("-r",)), ("results", ())]
)
def test_results_in_the_folder_of_pictures_are_no_pictures(
    out: str, words: tuple[str, ...], slide: Path, tmp_path: Path
) -> None:
    """The same command again counts the same, takes the place of the first result, and tells what it left out."""
    target = tmp_path / out
    assert analyze(slide, *words, "--out", target)[0] == 0
    before, files = white_cells(target), names(target)
    assert analyze(slide, *words, "--out", target)[0] == 0
    assert (white_cells(target), names(target)) == (before, files)
    document = json.loads((target / "results.json").read_text())
    assert [each["overlay"] for each in document["images"]] == ["0.overlay.jpg", "1.overlay.jpg"]
    left_out = {each["path"] for each in document["left_out"] if each["code"] == "result"}
    inside = target.is_relative_to(slide)
    assert left_out == ({str(target / name) for name in names(target) if name[0] not in "01" or "overlay" in name} - {
        str(target / "a"), str(target / "results")} if inside else set())  # fmt: skip


def test_a_folder_of_another_result_is_refused(slide: Path, tmp_path: Path) -> None:
    """Nothing of the first result is changed, and the message names it."""
    out, other = tmp_path / "out", tmp_path / "other"
    shutil.copytree(slide, other)
    (other / "0.jpg").rename(other / "2.jpg")
    assert analyze(slide, "--out", out)[0] == 0
    before = {path.name: path.read_bytes() for path in out.iterdir()}
    code, said = analyze(other, "--out", out)
    assert code == 2
    assert f"{out} holds the result of {slide}" in said
    assert "Name another folder by --out" in said
    assert {path.name: path.read_bytes() for path in out.iterdir()} == before
    assert analyze(other, "--out", tmp_path / "out2")[0] == 0


def test_other_forms_of_the_same_result_replace_it(slide: Path, tmp_path: Path) -> None:
    """No file of the first run stays beside those of the second."""
    out = tmp_path / "out"
    assert analyze(slide, "--out", out)[0] == 0
    assert names(out) == ["0.overlay.jpg", "1.overlay.jpg", *TABLES]
    assert analyze(slide, "--out", out, "--csv")[0] == 0
    assert names(out) == [name for name in TABLES if name.endswith("csv")]


@pytest.mark.parametrize("change", ["a picture more", "a picture less", "another picture by a name"])
def test_other_pictures_are_another_result(change: str, slide: Path) -> None:
    """A folder of a camera is used for one patient after the other."""
    files = sorted(slide.iterdir())
    before = key_of(files)
    assert key_of(reversed(files)) == before
    if change == "a picture more":
        files.append(Path(shutil.copy(files[0], slide / "2.jpg")))
    elif change == "a picture less":
        files.pop()
    else:
        shutil.copy(files[1], files[0])
        os.utime(files[0], ns=(1, 1))
    assert key_of(files) != before


def test_an_export_and_an_analysis_do_not_mix(slide: Path, tmp_path: Path) -> None:
    """Neither goes where another result is; an export of the same session takes the place of the older one."""
    store, out = tmp_path / "s.db", tmp_path / "out"
    for number in range(2):
        run("analyze", slide / f"{number}.jpg", "--um-per-px", 0.1, "--store", store)
    listing = json.loads(run("sessions", "list", "--json", "--store", store).stdout)
    one, two = (each["id"] for each in listing["sessions"])
    for _ in range(2):
        done = run("sessions", "export", one, "--out", out, "--store", store)
        assert done.returncode == 0, done.stderr
    before = {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}
    for words in (
        ("sessions", "export", two, "--store", store),
        ("analyze", slide, "--um-per-px", 0.1, "--no-keep"),
    ):
        done = run(*words, "--out", out)
        assert done.returncode == 2
        assert f"holds the result of session {one}" in done.stderr
    assert {path: path.read_bytes() for path in out.rglob("*") if path.is_file()} == before
    done = run("analyze", out, "-r", "--no-keep")
    assert done.returncode == 3
    assert "no picture is among what was named" in done.stderr
    assert "results of this program" in done.stderr


@pytest.mark.parametrize("name", ["results.json", "cells.csv", "session.json"])
def test_a_folder_with_results_that_nothing_is_known_of_is_refused(name: str, tmp_path: Path) -> None:
    """As an older version left them, or another program: they are not written over."""
    (tmp_path / name).write_text("mine")
    with pytest.raises(UsageError, match=f"holds {name} of another result"):
        ResultFolder(tmp_path, ONE)


@pytest.mark.parametrize(
    "text", ["", "{", "[]", '{"schema": "x"}', "[" * 100_000, '{"schema": "edgeleuk-results/1"}', "\0"]
)
def test_a_damaged_marker_is_of_another_result(text: str, tmp_path: Path) -> None:
    """Nothing is replaced on its word."""
    (tmp_path / MARKER).write_text(text)
    with pytest.raises(UsageError, match="holds the result of another slide"):
        ResultFolder(tmp_path, ONE)
    assert listed(tmp_path) == frozenset()


def test_two_that_begin_at_once_do_not_mix(tmp_path: Path) -> None:
    """The folder is asked again before the first file."""
    one, other = ResultFolder(tmp_path, ONE), ResultFolder(tmp_path, OTHER)
    one.write("results.json", "1")
    with pytest.raises(UsageError, match="holds the result of slide 1"):
        other.write("cells.csv", "2")
    assert names(tmp_path) == ["results.json"]


def test_nothing_is_there_before_something_is_written(tmp_path: Path) -> None:
    """A run that ends early leaves an older result as it is."""
    ResultFolder(tmp_path / "out", ONE).close()
    assert not list((tmp_path / "out").iterdir())


def test_only_what_is_ours_is_taken_away(tmp_path: Path) -> None:
    """A marker lists what somebody else put there since, and files outside: they stay."""
    out, outside = tmp_path / "out", tmp_path / "outside.jpg"
    folder = ResultFolder(out, ONE)
    folder.write("a.overlay.jpg", JPEG)
    folder.write("b.overlay.jpg", JPEG)
    folder.write("cells.csv", "x")
    folder.close()
    outside.write_bytes(marked(JPEG, ONE.result))
    (out / "a.overlay.jpg").write_bytes(JPEG)  # somebody's own picture by that name
    (out / "link.jpg").symlink_to(outside)
    marker = json.loads((out / MARKER).read_text())
    marker["files"] += ["../outside.jpg", str(outside), "link.jpg", "notes.txt"]
    (out / MARKER).write_text(json.dumps(marker))
    (out / "notes.txt").write_text("mine")
    again = ResultFolder(out, AGAIN)
    again.write("results.json", "{}")
    again.close()
    assert names(out) == ["a.overlay.jpg", "link.jpg", "notes.txt", "results.json"]
    assert outside.exists()
    assert listed(out) == {"results.json"}


def test_a_picture_of_somebody_else_is_not_written_over(tmp_path: Path) -> None:
    """An annotated picture then gets a number; names that differ in case only are one on a memory card."""
    (tmp_path / "a.overlay.jpg").write_bytes(JPEG)
    folder = ResultFolder(tmp_path, ONE)
    first = folder.picture_name("a", ".overlay.jpg")
    folder.write(first, JPEG)
    assert first == "a-2.overlay.jpg"
    folder.write("B.overlay.jpg", JPEG)
    assert folder.picture_name("b", ".overlay.jpg") == "b-2.overlay.jpg"
    assert (tmp_path / "a.overlay.jpg").read_bytes() == JPEG
    assert mark_of((tmp_path / first).read_bytes()) == ONE.result


@pytest.mark.parametrize(
    "data", [JPEG, b"\xff\xd8\xff\xdb" + JPEG[24:], b"\x89PNG", b"", b"\xff\xd8\xff\xfe", b"\xff\xd8" * 300]
)
def test_a_mark_is_found_where_it_was_made(data: bytes) -> None:
    """And nowhere else, whatever the bytes are."""
    assert mark_of(data) is None
    if data[:3] == b"\xff\xd8\xff" and len(data) > 20:
        assert mark_of(marked(data, ONE.result)) == ONE.result
