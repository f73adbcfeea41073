"""`edgeleuk bench` as a user meets it: each result as soon as it is there, in a pipe too."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from program import run

from edgeleuk.models import registry

QUICK = ("--width", "640", "--height", "480", "--frames", "3", "--threads", "1", "--no-remember")


def test_each_objective_is_printed_as_soon_as_it_is_measured(tmp_path: Path) -> None:
    """Into a pipe: the first table and its line come while the second objective is being measured."""
    for name in ("40x", "100x"):
        (tmp_path / name).symlink_to(registry.load(name).folder)
    environment = {**os.environ, "COLUMNS": "80", "EDGELEUK_MODELS": str(tmp_path)}
    command = [sys.executable, "-m", "edgeleuk", "bench", *QUICK]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    ) as process:
        assert process.stdout
        first = next(line for line in process.stdout if line.startswith("edgeleuk "))
        assert "bench" in first
        assert process.poll() is None
        rest, said = process.communicate(timeout=120)
    assert process.returncode == 0, said
    assert rest.splitlines()[-1].startswith("edgeleuk ")
    assert rest.count("median ms") == 1
    # Without a terminal a line for each part of the work says what is being done.
    assert [line.split(" ")[1] for line in said.splitlines()] == ["drawing", "timing"] * 2


def test_json_alone_is_on_stdout() -> None:
    """One document, whatever is said meanwhile."""
    done = run("bench", "--mag", "100x", *QUICK, "--json")
    assert done.returncode == 0, done.stderr
    (measured,) = json.loads(done.stdout)["magnifications"]
    assert measured["magnification"] == "100x"
    assert {each["threads"] for each in measured["settings"]} == {1}
