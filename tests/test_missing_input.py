"""An input that does not exist: one sentence, the documented exit code, and nothing is made."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from program import run

WRONG = [
    ("analyze", "missing.jpg", "--out", "out"),
    ("analyze", "missing.jpg", "missing*.png", "--out", "out/of/two"),
    ("analyze", "missing", "-r", "--overlay"),
    ("analyze", "missing.jpg", "--report", "--csv"),
    ("batch", "missing", "--out", "out"),
    ("batch", "missing.csv", "--out", "out", "--jobs", "1"),
    ("adapt", "missing", "--name", "bench-1", "--out", "out"),
    ("teach", "missing", "--name", "bench-1", "--out", "out"),
    *(("data", "import", form, "missing", "--out", "out") for form in ("leukemiaattri", "voc", "yolo", "coco")),
    ("merge", "missing.zip", "--into", "out.db"),
    ("programme", "missing.db", "--csv", "out.csv", "--html", "out.html"),
    ("report", "missing.json", "--html", "out.html"),
    ("sessions", "export", "missing", "--out", "out"),
    ("sessions", "share", "missing", "--out", "out.zip"),
    ("sessions", "take", "missing.zip"),
    ("live", "--source", "missing.mp4", "--plain"),
    ("models", "pack", "missing", "--out", "out.zip"),
    ("calibrate", "bench-1", "--smear", "missing.jpg"),
]  # fmt: skip


@pytest.mark.parametrize("command", WRONG, ids=" ".join)
def test_nothing_is_made_where_the_input_does_not_exist(
    command: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither the folder that was named for results, nor a file of sessions."""
    monkeypatch.setenv("EDGELEUK_SESSIONS", str(tmp_path / "sessions.db"))
    done = run(*command, cwd=tmp_path)
    assert done.returncode in (2, 3, 4, 9), done.stderr
    assert done.stderr.count("error: ") >= 1, done.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_data_set_without_a_picture_makes_no_folder(tmp_path: Path) -> None:
    """It exists, and there is nothing in it to import."""
    (tmp_path / "in").mkdir()
    assert run("data", "import", "coco", "in", "--out", "out", cwd=tmp_path).returncode == 3
    assert not (tmp_path / "out").exists()


def test_one_wrong_name_among_pictures_costs_only_that_one(tmp_path: Path) -> None:
    """The others are analysed, and their results are in the folder."""
    (tmp_path / "1.jpg").write_bytes((Path(__file__).parents[1] / "edgeleuk/data/demo.jpg").read_bytes())
    done = run(
        "analyze", "1.jpg", "2.jpg", "--csv", "--out", "out", "--no-keep", "--threads", 1, cwd=tmp_path
    )
    assert done.returncode == 3
    assert (tmp_path / "out" / "verdict.csv").is_file()


def test_a_control_slide_that_is_not_there_is_no_count(tmp_path: Path) -> None:
    """No session is kept, and the log has no run."""
    store = tmp_path / "s.db"
    run("qc", "set", "c1", "--store", store)
    done = run("qc", "run", "c1", tmp_path / "missing", "--store", store)
    assert (done.returncode, "does not exist" in done.stderr) == (3, True)
    assert json.loads(run("sessions", "list", "--json", "--store", store).stdout)["sessions"] == []
    assert len(json.loads(run("qc", "log", "--json", "--store", store).stdout)["log"]) == 1
