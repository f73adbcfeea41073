"""The command line as a user meets it: what is printed where, exit codes, and what is left on disk."""

from __future__ import annotations

import csv
import io
import json
import os
import pty
import re
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import cv2
import jsonschema
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from program import Run, processed, run

from edgeleuk import cli
from edgeleuk.cli._console import json_text
from edgeleuk.cli.analyze import demo_picture
from edgeleuk.types import Frame

DATA = Path(cli.__file__).parents[1] / "data"


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> tuple[Run, Path]:
    """`analyze --demo --json --out`, once for all tests that look at its results."""
    out = tmp_path_factory.mktemp("demo") / "out"
    return processed("analyze", "--demo", "--out", out), out


@pytest.fixture(scope="module")
def document(demo: tuple[Run, Path]) -> dict:
    return json.loads((demo[1] / "results.json").read_text())


@pytest.fixture
def small(demo_frame: Frame, tmp_path: Path) -> Path:
    """A corner of the demo smear as a file: quick to analyse."""
    path = tmp_path / "small.png"
    cv2.imwrite(str(path), cv2.cvtColor(demo_frame.pixels[:600, :700], cv2.COLOR_RGB2BGR))
    return path


def test_demo_prints_a_differential_within_80_columns(demo: tuple[Run, Path]) -> None:
    """The demo ends well, shows a differential and the research notice, and no line is wider than a terminal."""
    done = demo[0]
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(" LOOK AGAIN  1 cell read as a blast.")
    assert "12 white cells recognised in 1 picture" in done.stdout
    assert "Research use only" in done.stdout
    assert max(map(len, done.stdout.splitlines())) <= 80


def test_demo_leaves_json_csv_and_overlay(demo: tuple[Run, Path]) -> None:
    """--out without further wishes holds everything, and no half-written file."""
    marker, *names = sorted(path.name for path in demo[1].iterdir())
    assert marker == ".edgeleuk-results.json"
    assert names == [
        *("cells.csv", "demo.overlay.jpg", "differential.csv", "pictures.csv", "results.json", "verdict.csv")
    ]
    assert cv2.imread(str(demo[1] / "demo.overlay.jpg")).shape[1] >= 1000


def test_json_follows_the_published_schema(document: dict) -> None:
    """What `analyze` writes is valid under `edgeleuk schema`."""
    jsonschema.validate(document, json.loads((DATA / "analysis.schema.json").read_text()))


def test_percentages_are_of_identified_white_cells(document: dict) -> None:
    """Counts of the differential add up to its denominator, and percent to 100."""
    result = document["differential"]
    assert sum(each["count"] for each in result["types"].values()) == result["n"] > 0
    assert sum(each["percent"] for each in result["types"].values()) == pytest.approx(100)


def test_csv_has_a_row_for_every_cell(demo: tuple[Run, Path], document: dict) -> None:
    """cells.csv and the JSON hold the same cells."""
    rows = list(csv.DictReader(io.StringIO((demo[1] / "cells.csv").read_text())))
    assert len(rows) == sum(len(image["cells"]) for image in document["images"])


def test_json_alone_is_on_stdout(small: Path) -> None:
    """Notices go elsewhere: stdout can be piped."""
    done = run("analyze", small, "--json", "--um-per-px", 0.1)
    assert done.returncode == 0, done.stderr
    parsed = json.loads(done.stdout)
    assert parsed["images"][0]["scale"]["source"] == "given"
    assert parsed["images"][0]["width"] == 700


def test_bad_file_does_not_end_the_batch(small: Path, tmp_path: Path) -> None:
    """The good picture is analysed, each bad one gets one line, the exit code is the first failure's."""
    (tmp_path / "notes.jpg").write_text("not a picture")
    (tmp_path / "empty.png").touch()
    done = run("analyze", tmp_path, tmp_path / "missing.jpg", "--json", "--um-per-px", 0.1)
    assert done.returncode == 3
    parsed = json.loads(done.stdout)
    assert [image["path"] for image in parsed["images"]] == [str(small)]
    assert len(parsed["failures"]) == 3
    assert "Traceback" not in done.stderr
    for text in ("notes.jpg is not a picture", "empty.png is empty", "missing.jpg does not exist"):
        assert text in done.stderr


def test_picture_without_cells(tmp_path: Path) -> None:
    """It is refused as empty; by force its scale cannot be told, and with one, nothing is found and said."""
    path = tmp_path / "blank.png"
    image = np.full((300, 300, 3), (210, 225, 235), np.uint8)
    cv2.imwrite(str(path), image)
    refused = run("analyze", path)
    assert refused.returncode == 10
    assert "nothing stained" in refused.stderr
    forced = run("analyze", path, "--force")
    assert forced.returncode == 5
    assert "--um-per-px" in forced.stderr
    told = run("analyze", path, "--um-per-px", 0.1, "--force")
    assert told.returncode == 0
    assert "no cells found" in told.stderr
    assert "No white cell was found." in told.stdout


@pytest.mark.parametrize(
    ("arguments", "code", "text"),
    [
        (["analyze", "x.jpg", "--mag", "20x"], 2, "unknown magnification '20x'"),
        (["analyze"], 2, "--demo"),
        (["analyze", "--demo", "x.jpg"], 2, "not both"),
        (["analyze", "x.jpg", "--um-per-px", "-1"], 2, "--um-per-px"),
        (["analyze", "x.jpg", "--json", "--csv"], 2, "Give --out DIR"),
        (["analyze", "x.jpg"], 3, "x.jpg does not exist"),
        (["models", "show", "7x"], 2, "unknown magnification"),
        (["eval", "finder", "no.json", "--images", "."], 3, "no.json"),
        (["eval", "reader", "no.csv", "--images", "."], 3, "no.csv"),
        (["eval", "whole", "no.json", "--images", "."], 3, "no.json"),
        (["eval", "alarms", "no.csv", "--images", "."], 3, "no.csv"),
    ],
)
def test_wrong_requests_say_what_to_do(arguments: list[str], code: int, text: str, tmp_path: Path) -> None:
    """One clear line and the documented exit code, never a traceback."""
    done = run(*arguments, cwd=tmp_path)
    assert done.returncode == code
    assert text in done.stderr
    assert "Traceback" not in done.stderr


def test_unwritable_out_is_refused_before_work(small: Path, tmp_path: Path) -> None:
    """A file in the place of --out is told at once."""
    blocked = tmp_path / "file"
    blocked.touch()
    done = run("analyze", small, "--out", blocked / "results")
    assert done.returncode == 6
    assert "cannot make the folder" in done.stderr


def test_a_magnification_without_a_model_names_those_that_are_here(tmp_path: Path) -> None:
    """And what to do about it."""
    from edgeleuk.models import registry

    (tmp_path / "100x").symlink_to(registry.load("100x").folder)
    done = run("analyze", "x.jpg", "--mag", "40x", EDGELEUK_MODELS=str(tmp_path))
    assert done.returncode == 4
    assert "no 40x model. Models here: 100x. Use --mag 100x" in done.stderr


@pytest.mark.parametrize("magnification", ["40x", "10x"])
def test_the_demo_through_a_weaker_objective(magnification: str, tmp_path: Path) -> None:
    """The sample, rendered as that objective shows it, is analysed at the right scale; the white cells are found."""
    from edgeleuk.imaging.objectives import objective
    from edgeleuk.simulation.microscope import Conditions, render
    from edgeleuk.simulation.smear import demo
    from edgeleuk.sources.pictures.reading import read_picture
    from edgeleuk.types import Scale

    lens = objective(magnification)
    um_per_px = 1.5 * lens.um_per_px[0]
    sharp = read_picture(Path(demo_picture())).pixels
    seen = render(sharp, Scale.given(0.1), lens, Conditions(um_per_px)).image
    cv2.imwrite(str(tmp_path / "demo.png"), seen[..., ::-1])
    done = run("analyze", tmp_path / "demo.png", "--mag", magnification, "--json")
    picture = json.loads(done.stdout)["images"][0]
    assert picture["scale"]["um_per_px_x"] == pytest.approx(um_per_px, rel=0.12)
    truth = sum(true.kind == "WBC" for true, _ in demo().truth())
    assert picture["counts"]["WBC"] == pytest.approx(truth, abs=2)


def test_altered_model_is_refused(small: Path, tmp_path: Path) -> None:
    """One byte off, and nothing is analysed."""
    from edgeleuk.models import registry

    folder = tmp_path / "models" / "100x"
    folder.mkdir(parents=True)
    for path in registry.load("100x").folder.iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    network = bytearray((folder / "reader.onnx").read_bytes())
    network[len(network) // 2] ^= 1
    (folder / "reader.onnx").write_bytes(network)
    for arguments in (["analyze", small], ["models", "verify"]):
        done = run(*arguments, EDGELEUK_MODELS=str(tmp_path / "models"))
        assert done.returncode == 4
        assert "not the one published" in done.stderr


def test_models_are_listed_shown_and_verified() -> None:
    """The three commands about models run and name those that ship."""
    listed = run("models", "list").stdout
    assert all(magnification in listed for magnification in ("100x", "40x", "10x"))
    assert "neutrophil" in run("models", "show", "100x").stdout
    done = run("models", "verify")
    assert (done.returncode, "as published" in done.stdout) == (0, True)


def test_manifest_follows_the_published_schema() -> None:
    """model.json is valid under `edgeleuk schema model`."""
    manifest = json.loads(run("models", "show", "--json").stdout)
    jsonschema.validate(manifest, json.loads(run("schema", "model").stdout))


def test_every_command_has_help() -> None:
    """No command or option is without a word of help."""
    import typer

    def walk(command: object, path: str) -> None:
        assert command.help, path
        for name, child in getattr(command, "commands", {}).items():
            walk(child, f"{path} {name}")
        for parameter in command.params:
            assert getattr(parameter, "help", None), f"{path} {parameter.name}"

    walk(typer.main.get_command(cli.app), "edgeleuk")


def test_sample_ships() -> None:
    """The demo picture lies in the package."""
    assert Path(demo_picture()).is_file()


def test_notices_break_between_words_on_a_terminal_only(tmp_path: Path) -> None:
    """In 60 columns no word is cut, the prefix counted; a pipe gets the error as one line."""
    command = [sys.executable, "-m", "edgeleuk", "analyze", "missing.jpg"]
    piped = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)
    leader, follower = pty.openpty()
    environment = {**os.environ, "COLUMNS": "60", "TERM": "xterm", "NO_COLOR": "1"}
    subprocess.run(
        command, stderr=follower, stdout=subprocess.PIPE, env=environment, check=False, cwd=tmp_path
    )
    os.close(follower)
    shown = os.read(leader, 65536).decode().splitlines()
    os.close(leader)
    (line,) = piped.stderr.splitlines()
    assert " ".join(shown).split() == line.split()
    assert len(shown) > 1


def test_json_has_a_line_for_each_cell(demo: tuple[Run, Path]) -> None:
    """A person reads one, and 50,000 are written fast; a program reads what was there."""
    text = (demo[1] / "results.json").read_text()
    cells = json.loads(text)["images"][0]["cells"]
    lines = [line.strip().removesuffix(",") for line in text.splitlines()]
    assert [json.loads(line) for line in lines if line.startswith('{"number"')] == cells


@given(
    st.recursive(
        st.none()
        | st.booleans()
        | st.integers()
        | st.floats(allow_nan=False, allow_infinity=False)
        | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    )
)
def test_json_in_lines_is_the_same_json(value: object) -> None:
    """Whatever is in it, and however deep."""
    text = json_text(value)
    assert json.loads(text) == value
    assert text.endswith("\n")


@pytest.mark.parametrize("depth", range(7))
def test_json_refuses_what_json_does_not_have(depth: int) -> None:
    """NaN is an error of the program, at every depth."""
    value: object = float("nan")
    for _ in range(depth):
        value = [value]
    with pytest.raises(ValueError, match="not JSON compliant"):
        json_text(value)


def test_progress_is_counted_on_a_terminal(demo_frame: Frame, tmp_path: Path) -> None:
    """While the scale is measured, and while pictures are analysed: how many are done, and of how many."""
    for i in range(3):
        cv2.imwrite(str(tmp_path / f"{i}.png"), demo_frame.pixels[:600, :700, ::-1])
    leader, follower = pty.openpty()
    environment = {**os.environ, "COLUMNS": "80", "TERM": "xterm", "NO_COLOR": "1"}
    command = [sys.executable, "-m", "edgeleuk", "analyze", str(tmp_path), "--no-keep"]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=follower, env=environment) as process:
        os.close(follower)
        shown = b""
        with suppress(OSError):  # how a terminal says that nobody writes any more
            while part := os.read(leader, 65536):
                shown += part
        os.close(leader)
    assert process.returncode == 0
    for text in ("measuring the scale", "analysing"):
        counts = re.findall(rf"{text}[^\r\n]*?(\d)/3", shown.decode())
        assert counts
        assert counts == sorted(counts)
