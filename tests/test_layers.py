"""Imports point downward, heavy libraries stay where they belong, and the command line starts without them."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

import edgeleuk

PACKAGE = Path(edgeleuk.__file__).parent
LAYERS = (
    "_text", "errors", "types",
    "system", "statistics", "imaging", "device", "models", "networks", "simulation", "sources",
    "differential", "results", "sessions", "quality_control", "scale", "slidemap", "quality", "analysis", "counting",
    "calibration", "adaptation", "doctor", "review", "reports", "render", "console", "web", "programme",
    "lab.importing", "lab.evaluation", "lab.training", "lab.render", "cli",
)  # fmt: skip
"""Lowest first. A module imports from its own package and from what stands before it."""
TOP = {"__init__", "__main__", "_text", "errors", "types"}
"""The only modules outside packages."""
MODULES = [path for path in sorted(PACKAGE.rglob("*.py")) if path.name != "__main__.py"]
HEAVY = {"torch", "onnx", "onnxruntime", "matplotlib", "faster_coco_eval", "cv2", "numpy"}


@cache
def imported(path: Path) -> frozenset[str]:
    """Every module a file imports, also inside functions and for type checkers only; members count as modules."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} imports relative to itself; write the whole name"
            names.update(f"{node.module}.{alias.name}" for alias in node.names)
    return frozenset(names)


def name_of(path: Path) -> str:
    return ".".join(path.relative_to(PACKAGE).with_suffix("").parts).removesuffix(".__init__")


def importers(library: str) -> set[str]:
    """The modules that import a library or a part of it."""
    return {
        name_of(path)
        for path in MODULES
        if any(f"{name}.".startswith(f"{library}.") for name in imported(path))
    }


def layer_of(name: str) -> int:
    """Place of a module's package among LAYERS; -1 for what stands in none and imports nothing of this program."""
    return next((i for i, layer in enumerate(LAYERS) if f"{name}.".startswith(f"{layer}.")), -1)


@cache
def known_modules() -> frozenset[str]:
    return frozenset(map(name_of, MODULES))


@cache
def modules_imported(path: Path) -> frozenset[str]:
    """The modules of this program that a file imports from."""
    known, found = known_modules(), set()
    for name in imported(path):
        parts = name.split(".")
        if parts[0] == PACKAGE.name:
            ends = (".".join(parts[1:n]) for n in range(len(parts), 1, -1))
            found.update(next(([end] for end in ends if end in known), []))
    return frozenset(found)


def test_imports_point_downward() -> None:
    """A module imports only from its own package and from the layers below it."""
    upward = [
        f"{own} must not import {each}"
        for path in MODULES
        for own in (name_of(path),)
        for each in sorted(modules_imported(path))
        if layer_of(each) > layer_of(own)
    ]
    assert upward == []


def test_no_module_needs_itself() -> None:
    """There is no circle of imports, also not inside a package."""
    try:
        TopologicalSorter({name_of(path): modules_imported(path) for path in MODULES}).prepare()
    except CycleError as error:
        pytest.fail(" <- ".join(error.args[1]))


def test_few_modules_stand_at_the_top() -> None:
    """Everything else has its place in a package."""
    assert {path.stem for path in PACKAGE.glob("*.py")} == TOP


def test_only_one_module_opens_networks() -> None:
    """onnxruntime is imported in one place; training quantizes with it too."""
    assert importers("onnxruntime") == {"networks.onnx_session", "lab.training.quantize"}
    assert importers("onnxruntime") - importers("onnxruntime.quantization") == {"networks.onnx_session"}


def test_only_the_store_opens_databases() -> None:
    """sqlite3 is imported where sessions are kept, and nowhere else."""
    found = importers("sqlite3")
    assert found
    assert {name.split(".")[0] for name in found} == {"sessions"}


def test_only_signatures_need_cryptography() -> None:
    """It is an extra, imported when there is a key or a signature."""
    assert importers("cryptography") == {"models.updates.signing"}


def test_only_batches_on_a_cluster_need_dask() -> None:
    """It is an extra, imported when a scheduler is named; addresses of pictures are fetched in one place."""
    assert importers("distributed") == {"programme.batch_cluster", "programme.batch_on_worker"}
    assert importers("fsspec") == {"programme.batch_fetch"}
    assert importers("dask") == set()


def test_only_commands_load_rules() -> None:
    """Rules and reference ranges are handed down: nothing below the command loads them by itself."""
    loaders = {"load_rules", "load_reference"}
    users = set()
    for path in MODULES:
        text = path.read_text("utf-8")
        if not any(name in text for name in loaders):
            continue
        names = {getattr(node, "attr", getattr(node, "id", "")) for node in ast.walk(ast.parse(text))}
        if loaders & names or any(
            f"edgeleuk.differential.rules.{name}" in imported(path) for name in loaders
        ):
            users.add(name_of(path))
    assert users == {"cli._rules"}


@pytest.mark.parametrize("library", ["torch", "onnx"])
def test_only_training_needs_the_training_libraries(library: str) -> None:
    """Outside training only the commands that start it ask whether they are installed."""
    outside = {name for name in importers(library) if not name.startswith("lab.training")}
    assert outside <= {"cli.train", "cli._training", "cli._selftraining"}


def test_nothing_but_the_command_line_imports_training() -> None:
    """The runtime works without it, and so does evaluation."""
    outside = {name for name in importers("edgeleuk.lab.training") if not name.startswith("lab.training")}
    assert outside == {"cli.train", "cli._selftraining"}


def test_the_command_line_starts_without_heavy_libraries() -> None:
    """`import edgeleuk.cli` loads no numerical library: help and mistakes are answered at once."""
    code = "import json, sys, edgeleuk.cli; print(json.dumps(sorted(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=True
    )
    assert HEAVY & set(json.loads(done.stdout)) == set()


def test_help_names_every_command() -> None:
    """`edgeleuk --help` works and lists what there is."""
    done = subprocess.run(
        [sys.executable, "-m", "edgeleuk", "--help"], capture_output=True, text=True, check=True
    )
    for command in (
        "analyze",
        "live",
        "bench",
        "cameras",
        "models",
        "eval",
        "train",
        "publish",
        "simulate",
        "schema",
    ):
        assert command in done.stdout
    assert "Research use only" in " ".join(done.stdout.split())
    assert done.stderr == ""
