"""Imports point downward, heavy libraries stay where they belong, and the command line starts without them."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

import edgeleuk

PACKAGE = Path(edgeleuk.__file__).parent
LAYERS = (
    "_text", "errors", "_addresses", "_files", "_marks", "_private", "_pools", "folders", "faults", "machine", "types", "_tables", "intervals", "correction", "bounds", "likeness", "rules", "flags", "_values", "heads", "manifest", "zoo", "modelstore", "derive", "optics", "colour", "eyepiece", "bars", "profiles",
    "microscope", "_session", "tiling", "suppression", "finder", "reader", "rims", "scale", "pooling", "outline", "morphometry", "tallies", "differential", "estimates", "verdict", "judge", "channels", "quality", "domain", "drawings", "assessment", "observation",
    "slidemap", "results", "codec", "pipeline", "sources", "calibration", "counting", "batch", "store", "live", "evaluation", "bench", "doctor", "render", "training", "cli",
)  # fmt: skip
"""Lowest first. A module or subpackage imports from itself and from what stands before it."""
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


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_imports_point_downward(path: Path) -> None:
    """A module imports only from its own subpackage and from the layers below it."""
    own = name_of(path).split(".")[0]
    used = {name.split(".")[1] for name in imported(path) if name.startswith("edgeleuk.")} - {"__version__"}
    below = set() if own == "__init__" else set(LAYERS[: LAYERS.index(own) + 1])
    assert used <= below, f"{own} must not import {', '.join(sorted(used - below))}"


def test_only_one_module_opens_networks() -> None:
    """onnxruntime is imported in one place; training quantizes with it too."""
    assert importers("onnxruntime") == {"_session", "training.quantize"}
    assert importers("onnxruntime") - importers("onnxruntime.quantization") == {"_session"}


def test_only_the_store_opens_databases() -> None:
    """sqlite3 is imported where sessions are kept, and nowhere else."""
    found = importers("sqlite3")
    assert found
    assert {name.split(".")[0] for name in found} == {"store"}


def test_only_signatures_need_cryptography() -> None:
    """It is an extra, imported when there is a key or a signature."""
    assert importers("cryptography") == {"modelstore.signing"}


def test_only_commands_load_rules() -> None:
    """Rules and reference ranges are handed down: nothing below the command loads them by itself."""
    loaders = {"load_rules", "load_reference"}
    users = set()
    for path in MODULES:
        names = {
            getattr(node, "attr", getattr(node, "id", ""))
            for node in ast.walk(ast.parse(path.read_text("utf-8")))
        }
        if loaders & names or any(f"edgeleuk.rules.{name}" in imported(path) for name in loaders):
            users.add(name_of(path))
    assert users == {"cli._rules"}


@pytest.mark.parametrize("library", ["torch", "onnx"])
def test_only_training_needs_the_training_libraries(library: str) -> None:
    """Outside training only the command that starts it asks whether they are installed."""
    assert {name for name in importers(library) if not name.startswith("training")} <= {"cli.train"}


def test_nothing_but_the_command_line_imports_training() -> None:
    """The runtime works without it, and so does evaluation."""
    outside = {name for name in importers("edgeleuk.training") if not name.startswith("training")}
    assert outside == {"cli.train"}


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
