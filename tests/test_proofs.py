"""The instruments of the proofs in `deploy/`: they see what they are there to see."""

from __future__ import annotations

import copy
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from counted import counted_field, started

from edgeleuk.sessions import open_store

DEPLOY = Path(__file__).parents[1] / "deploy"
pytestmark = pytest.mark.skipif(not DEPLOY.is_dir(), reason="this comes with a checkout")

CELL = {
    "kind": "WBC", "box": [10.0, 20.0, 110.0, 120.0], "label": "neutrophil", "score": 0.9,
    "probabilities": {"neutrophil": 0.9, "lymphocyte": 0.1},
}  # fmt: skip
PLATELET = {
    "kind": "platelet",
    "box": [300.0, 300.0, 320.0, 320.0],
    "label": None,
    "score": 0.5,
    "probabilities": None,
}
RESULT = {"images": [{"path": "a/smear.jpg", "cells": [CELL, PLATELET]}]}


def same(tmp_path: Path, one: dict[str, Any], other: dict[str, Any]) -> tuple[int, str]:
    paths = [tmp_path / "one.json", tmp_path / "other.json"]
    for path, document in zip(paths, (one, other), strict=True):
        path.write_text(json.dumps(document))
    done = subprocess.run(
        [sys.executable, str(DEPLOY / "same_results.py"), *map(str, paths)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.stderr == ""
    return done.returncode, done.stdout


def relabel(cells: list[dict[str, Any]]) -> None:
    cells[0]["label"] = "lymphocyte"


def move(cells: list[dict[str, Any]]) -> None:
    cells[0]["box"][2] += 1.5


def doubt(cells: list[dict[str, Any]]) -> None:
    cells[0]["probabilities"] = {"neutrophil": 0.87, "lymphocyte": 0.13}


def lose(cells: list[dict[str, Any]]) -> None:
    del cells[1]


def within(cells: list[dict[str, Any]]) -> None:
    cells[0]["box"][0] -= 0.9
    cells[0]["probabilities"] = {"neutrophil": 0.885, "lymphocyte": 0.115}
    cells.reverse()


@pytest.mark.parametrize(
    ("change", "code", "words"),
    [
        (relabel, 1, "1 of another type"),
        (move, 1, "1 beyond 1;"),
        (doubt, 1, "1 beyond 0.02"),
        (lose, 1, "1 on one side only"),
        (within, 0, "2 cells, 1 white; 0 on one side only, 0 of another type"),
    ],
)
def test_results_differ_by_what_the_tolerances_say(
    change: Callable[[list[dict[str, Any]]], None], code: int, words: str, tmp_path: Path
) -> None:
    """A type, a box, a probability or a cell; the order of the cells and rounding do not count."""
    other: dict[str, Any] = copy.deepcopy(RESULT)
    change(other["images"][0]["cells"])
    found, said = same(tmp_path, RESULT, other)
    assert (found, words in said) == (code, True), said


def test_figures_of_an_evaluation_must_be_the_same(tmp_path: Path) -> None:
    """Each one that differs is named."""
    one = {"accuracy5": {"count": 11, "of": 11}, "read": 11}
    assert same(tmp_path, one, one) == (0, "3 figures, 0 differ\n")
    code, said = same(tmp_path, one, {"accuracy5": {"count": 10, "of": 11}, "read": 11})
    assert (code, "accuracy5.count: 11 here, 10 there" in said) == (1, True)


@pytest.mark.parametrize(("told", "code"), [((1, 2), 0), ((1, 2, 3), 1), ((2, 1), 1), ((1,), 0), ((), 1)])
def test_a_field_that_was_announced_and_not_kept_is_found(
    told: tuple[int, ...], code: int, tmp_path: Path
) -> None:
    """So is a wrong order; a field that was kept and not yet announced is none lost."""
    with open_store(tmp_path / "sessions.db") as store:
        session = started(store)
        session.add(counted_field(1))
        session.add(counted_field(2))
    lines = [f" 0:00:00  started   usb:0, session {session.id}. Research use only. Not a diagnosis."]
    lines += [f" 0:00:0{n}  field     field {n}: no new white cell. 0 of 200 counted." for n in told]
    done = subprocess.run(
        [sys.executable, str(DEPLOY / "nothing_lost.py"), str(tmp_path / "sessions.db")],
        input="\n".join(lines), capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (code, ""), done.stdout
