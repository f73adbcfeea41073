"""Ctrl-C and SIGTERM: what was done is there, one line says how far it came, and the exit code says why it ended."""

from __future__ import annotations

import csv
import json
import os
import pty
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import cv2
import numpy as np
import pytest
import typer
from program import run
from test_batch import batch_of
from typer.testing import CliRunner

from edgeleuk.analysis.analyser import Analyser
from edgeleuk.cli._stop import Commands
from edgeleuk.counting.pictures import Analysed
from edgeleuk.system.pools import leaving
from edgeleuk.types import Frame, PictureFile

NUMBER = 30


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory, demo_frame: Frame) -> Path:
    """A folder of many pictures, more than are analysed before a signal comes."""
    folder = tmp_path_factory.mktemp("pictures")
    cv2.imwrite(str(folder / "00.png"), demo_frame.pixels[:800, :900, ::-1])
    for number in range(1, NUMBER):
        shutil.copy(folder / "00.png", folder / f"{number:02}.png")
    return folder


@contextmanager
def running(*arguments: object, **environment: str) -> Iterator[subprocess.Popen[str]]:
    """The program at work, and ended for sure."""
    command = [sys.executable, "-m", "edgeleuk", *map(str, arguments)]
    env = {**os.environ, "COLUMNS": "80", "NO_COLOR": "1", **environment}
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=env, stdin=subprocess.DEVNULL
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def until(happened: Callable[[], bool]) -> None:
    """Wait for a minute at most."""
    end = time.monotonic() + 60
    while not happened() and time.monotonic() < end:
        time.sleep(0.01)
    assert happened()


def overlays(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.overlay.jpg"))


@pytest.mark.parametrize(("asked", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_what_was_analysed_is_written_out(
    asked: signal.Signals, code: int, pictures: Path, tmp_path: Path
) -> None:
    """Overlays, tables, JSON and session hold the same pictures; the last line says how many, and of how many."""
    out, store = tmp_path / "out", tmp_path / "sessions.db"
    with running(
        "analyze", pictures, "--um-per-px", 0.1, "--out", out, "--store", store, "--separate", "--threads", 1
    ) as process:
        until(lambda: bool(overlays(out)))
        process.send_signal(asked)
        printed, said = process.communicate(timeout=60)
    assert process.returncode == code
    document = json.loads((out / "results.json").read_text())
    done = len(document["images"])
    assert 0 < done < NUMBER
    assert len(overlays(out)) == done
    with (out / "pictures.csv").open(newline="") as file:
        assert len(list(csv.DictReader(file))) == done
    assert not list(out.glob(".*.partial"))
    assert "white cells recognised in" in printed
    last = said.splitlines()[-1]
    assert last == f"interrupted: {done} of {NUMBER} pictures were analysed; the result is of these alone."
    assert document["result"]["ended"] is None
    (session,) = json.loads(run("sessions", "list", "--json", "--store", store).stdout)["sessions"]
    assert (session["state"], session["fields"], session["uuid"]) == (
        "interrupted",
        done,
        document["result"]["id"],
    )
    assert f"kept as session {session['id']}" in said


def test_a_second_ctrl_c_ends_at_once(pictures: Path, tmp_path: Path, demo_frame: Frame) -> None:
    """Also where a picture takes long: nothing more is written, and there is no traceback."""
    out, long = tmp_path / "out", tmp_path / "long.jpg"
    cv2.imwrite(str(long), np.tile(demo_frame.pixels[:, :, ::-1], (6, 5, 1)))
    with running(
        "analyze", pictures / "00.png", long, "--um-per-px", 0.1, "--out", out, "--no-keep", "--threads", 1
    ) as process:
        until(lambda: bool(overlays(out)))
        for _ in range(2):
            time.sleep(0.3)
            assert process.poll() is None
            process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Traceback" not in said
    assert not (out / "results.json").exists()


def test_ctrl_c_before_the_first_picture_writes_no_result(pictures: Path, tmp_path: Path) -> None:
    """The folder stays as it was, and the line says that none was analysed."""
    store, out = tmp_path / "sessions.db", tmp_path / "out"
    with running("analyze", pictures, "--out", out, "--threads", 1, "--store", store) as process:
        until(store.exists)
        process.send_signal(signal.SIGINT)
        printed, said = process.communicate(timeout=60)
    assert (process.returncode, printed) == (130, "")
    assert said.splitlines()[-1] == f"interrupted: 0 of {NUMBER} pictures were analysed; there is no result."
    assert not list(out.iterdir())


@pytest.mark.parametrize(
    "words",
    [
        ("bench", "--frames", "500", "--no-remember"),
        ("eval", "live", "--minutes", "60"),
        ("eval", "calibration"),
    ],
    ids=" ".join,
)
def test_other_long_commands_end_with_one_line(words: tuple[str, ...]) -> None:
    """And with the same exit code, whatever they were at."""
    with running(*words) as process:
        # A command loads it, and only once it runs.
        until(lambda: "onnxruntime" in Path(f"/proc/{process.pid}/maps").read_text())
        time.sleep(3)
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=60)
    assert process.returncode == 130
    assert said.splitlines()[-1] == "interrupted"
    assert "Traceback" not in said


def test_ctrl_c_at_a_question_ends_with_one_line(tmp_path: Path) -> None:
    """As anywhere else; the end of the input does not."""
    leader, follower = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "edgeleuk", "calibrate", "bench"],
        stdin=follower,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "EDGELEUK_PROFILES": str(tmp_path)},
    )
    os.close(follower)
    assert process.stderr
    assert "Files" in process.stderr.readline()
    time.sleep(0.5)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    os.close(leader)
    assert process.returncode == 130
    assert said.splitlines()[-1] == "interrupted"


def test_a_signal_that_is_ignored_stays_so(pictures: Path, tmp_path: Path) -> None:
    """As of a job in the background, which a Ctrl-C is not meant for."""
    out = tmp_path / "out"
    command = [
        sys.executable,
        "-m",
        "edgeleuk",
        "analyze",
        str(pictures / "00.png"),
        str(pictures / "01.png"),
    ]
    script = 'trap "" INT; exec "$@"'
    with subprocess.Popen(
        [
            "sh",
            "-c",
            script,
            "sh",
            *command,
            "--out",
            str(out),
            "--no-keep",
            "--um-per-px",
            "0.1",
            "--threads",
            "1",
        ],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    ) as process:
        until(lambda: bool(overlays(out)))
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=60)
    assert process.returncode == 0
    assert len(overlays(out)) == 2


@pytest.mark.parametrize("workers", [1, 2])
def test_a_batch_that_is_stopped_counts_what_was_begun(
    analyser: Analyser, pictures: Path, workers: int
) -> None:
    """In order, without a gap; what was not begun is left."""
    files = [PictureFile(path) for path in sorted(pictures.iterdir())]
    counted: list[Analysed] = []
    batch = batch_of(analyser, 0.1, workers, overlapping=False)
    for done in batch.analyse_all(files, lambda: len(counted) >= 2):
        assert isinstance(done, Analysed)
        counted.append(done)
    assert 2 <= len(counted) <= 2 + workers + 1
    assert [each.counted.field.name for each in counted] == [str(file) for file in files[: len(counted)]]


def test_an_executor_that_is_left_begins_nothing_more() -> None:
    """Of a hundred things to do, the one at work is done."""
    done: list[int] = []

    def work(number: int) -> None:
        time.sleep(0.05)
        done.append(number)

    with pytest.raises(KeyboardInterrupt), leaving(ThreadPoolExecutor(1)) as pool:
        for _ in pool.map(work, range(100)):
            raise KeyboardInterrupt
    assert len(done) <= 2


def test_the_exit_codes_are_documented() -> None:
    """Each of an error, and those of signals, in the help and in the README."""
    from edgeleuk import errors

    every = {each.exit_code for each in vars(errors).values() if hasattr(each, "exit_code")}
    help_text = " ".join(run("--help").stdout.split())
    readme = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")
    for code in every | {0, 130, 143}:
        assert f" {code} " in help_text
        assert f"\n| {code} |" in readme


def test_ctrl_c_while_a_library_is_loaded_is_ctrl_c() -> None:
    """The library makes an import error of it; another import error stays what it is."""
    app = typer.Typer(cls=Commands)

    @app.command()
    def interrupted() -> None:
        raise ImportError("initialization failed") from KeyboardInterrupt()

    @app.command()
    def missing() -> None:
        raise ImportError("no such module")

    with patched_signal():
        assert CliRunner().invoke(app, ["interrupted"]).exit_code == 130
        assert isinstance(CliRunner().invoke(app, ["missing"]).exception, ImportError)


@contextmanager
def patched_signal() -> Iterator[None]:
    """Put the handler of Ctrl-C back afterwards."""
    before = signal.getsignal(signal.SIGINT)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
