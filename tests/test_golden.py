"""Golden outputs: the demo, a slide at each objective and a live session, every number to a stated tolerance.

The files lie in `golden/`, and only `python tests/regenerate_golden.py` writes them. `golden_numbers.TOLERANCES` says by how
much each kind of number may move, `golden_slides` what is counted, `golden_pictures` what it is counted on.
"""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest
import regenerate_golden
from golden_files import FOLDER, LARGEST, path_of, read, written
from golden_numbers import COMMAND, EXACT, Comparison, message, tolerance_of
from golden_slides import CASES, made


@pytest.mark.parametrize("name", CASES)
def test_numbers_are_those_of_the_golden_file(name: str, tmp_path: Path) -> None:
    """Scales, boxes, scores, readings, sizes, places, counts, proportions and quality are what they were."""
    moved = Comparison(read(name), made(name, tmp_path)).moved
    assert not moved, message(name, moved)


# The comparison itself


@pytest.fixture
def document() -> dict[str, Any]:
    """The demo's golden document, to be changed."""
    return copy.deepcopy(read("demo"))


def moved_by(change: Any) -> list[str]:
    """What the comparison says of the demo's document after a change to a copy of it."""
    was = read("demo")
    now = copy.deepcopy(was)
    change(now)
    return [str(each) for each in Comparison(was, now).moved]


def cell_of(document: dict[str, Any], kind: str) -> dict[str, Any]:
    found: dict[str, Any] = next(cell for cell in document["images"][0]["cells"] if cell["kind"] == kind)
    return found


def test_a_number_that_moved_is_told_with_its_path_and_tolerance(document: dict[str, Any]) -> None:
    """What it was, what it is, and by how much it may move."""
    was = document["images"][0]["scale"]["um_per_px_x"]

    def change(now: dict[str, Any]) -> None:
        now["images"][0]["scale"]["um_per_px_x"] = was * 1.01

    (told,) = moved_by(change)
    assert told.startswith(
        f"images[demo.jpg].scale.um_per_px_x: was {was}, is {was * 1.01} (scale, tolerance 0.000"
    )


def test_a_number_within_its_tolerance_is_silent() -> None:
    """A tenth of a pixel is not told, a whole one is."""

    def by(pixels: float) -> list[str]:
        return moved_by(
            lambda now: cell_of(now, "RBC").update(box=[each + pixels for each in cell_of(now, "RBC")["box"]])
        )

    assert not by(0.1)
    assert len(by(1.0)) == 4


@pytest.mark.parametrize(
    ("kind", "change"),
    [
        ("WBC", {"label": "smudge"}),
        ("RBC", {"whole": "no"}),
        ("RBC", {"counted": False}),
        ("WBC", {"attributes": None}),
    ],
)
def test_labels_and_verdicts_are_exact(kind: str, change: dict[str, Any]) -> None:
    """Whatever is no number must be the same."""
    assert len(moved_by(lambda now: cell_of(now, kind).update(change))) == 1


def test_counts_are_exact() -> None:
    """One cell more is told."""
    (told,) = moved_by(lambda now: now["differential"].update(red_cells=now["differential"]["red_cells"] + 1))
    assert "red_cells: was 154, is 155 (exact" in told


def test_a_cell_that_went_is_told_by_its_place() -> None:
    """And none of the others is taken for it."""
    (told,) = moved_by(lambda now: now["images"][0]["cells"].pop())
    assert told.startswith("images[demo.jpg].cells[RBC at ")
    assert "is nothing" in told


def test_the_order_of_cells_does_not_matter() -> None:
    """It follows their scores, of which two may be the same to a digit."""
    assert not moved_by(lambda now: now["images"][0]["cells"].reverse())


def test_numbers_on_the_map_are_names() -> None:
    """Other numbers for the same cells are the same; one number for two cells is not."""

    def renumbered(now: dict[str, Any]) -> None:
        for cell in now["images"][0]["cells"]:
            cell["cell"] += 1000

    def joined(now: dict[str, Any]) -> None:
        first, second, *_ = now["images"][0]["cells"]
        first["cell"] = second["cell"]

    assert not moved_by(renumbered)
    assert moved_by(joined)


def test_words_are_exact_and_numbers_in_them_nearly() -> None:
    """A sentence may round a number otherwise, and no more."""

    def text(now: dict[str, Any], was: str, new: str) -> None:
        flag = now["differential"]["flags"][0]
        flag["text"] = flag["text"].replace(was, new)

    n = read("demo")["differential"]["n"]
    assert not moved_by(lambda now: text(now, f"{n}", f"{n}.1"))
    assert moved_by(lambda now: text(now, f"{n}", f"{n + 2}"))
    assert moved_by(lambda now: text(now, "recognised", "found"))


@pytest.mark.parametrize("name", CASES)
def test_every_number_that_is_not_whole_has_a_tolerance(name: str) -> None:
    """Only limits of rules and percentages of nothing are exact among them."""

    def exact(path: str, value: Any) -> list[str]:
        if isinstance(value, dict):
            return [each for key, part in value.items() for each in exact(f"{path}.{key}", part)]
        if isinstance(value, list):
            return [each for part in value for each in exact(f"{path}[0]", part)]
        return [path] if isinstance(value, float) and tolerance_of(path, value, value) is EXACT else []

    assert {path.rsplit(".", 1)[1] for path in exact("", read(name))} <= {"threshold"}


# The files


@pytest.mark.parametrize("name", CASES)
def test_a_golden_file_is_small_and_reads_back(name: str) -> None:
    """It is written as the command writes it."""
    text = path_of(name).read_text(encoding="utf-8")
    assert len(text) <= LARGEST
    assert written(read(name)) == text


def test_every_golden_file_is_of_a_case() -> None:
    """None is left over."""
    assert {path.stem for path in FOLDER.glob("*.json")} == {*CASES}


# The command


def test_golden_files_are_not_written_where_they_are_tested(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It refuses in CI, with the reason."""
    monkeypatch.setenv("CI", "true")
    assert regenerate_golden.main(["demo"]) == 2
    assert "CI is set" in capsys.readouterr().err


def test_the_command_writes_what_moved_and_says_so(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A file without moved numbers is left as it is, to the byte."""
    import golden_files

    was = read("demo")
    moving, same = copy.deepcopy(was), copy.deepcopy(was)
    moving["differential"]["n"] = 14
    same["images"][0]["scale"]["um_per_px_x"] *= 1.0001
    monkeypatch.delenv("CI", raising=False)
    monkeypatch.setattr(golden_files, "FOLDER", tmp_path)
    (tmp_path / "demo.json").write_text(written(was))
    monkeypatch.setattr(regenerate_golden, "made", lambda *_: same)
    assert regenerate_golden.main(["demo"]) == 0
    assert "left as it is" in capsys.readouterr().out
    assert (tmp_path / "demo.json").read_text() == written(was)
    monkeypatch.setattr(regenerate_golden, "made", lambda *_: moving)
    assert regenerate_golden.main(["demo"]) == 0
    n = was["differential"]["n"]
    assert f"1 values moved\n  differential.n: was {n}, is 14 (exact" in capsys.readouterr().out
    assert json.loads((tmp_path / "demo.json").read_text())["differential"]["n"] == 14


def test_the_message_names_the_command() -> None:
    """Whoever reads a failure knows how the files are written anew."""
    was = read("demo")
    text = message("demo", Comparison(was, {**was, "exit_code": 1}).moved)
    assert "1 values of tests/golden/demo.json moved" in text
    assert "exit_code: was 0, is 1 (exact" in text
    assert COMMAND in text
