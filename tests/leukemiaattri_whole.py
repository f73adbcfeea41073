"""From a release like LeukemiaAttri to a model that `analyze` uses, on the painted miniature.

    python tests/leukemiaattri_whole.py FOLDER [--patients 30] [--fields 1] [--epochs 3] [--mag 100x]

Takes minutes on one core. The report of the import is held against the truth, with all files, with COCO or text
alone, and without a subset. What was learnt is held against chance on patients that were not learnt from. Ends
with 1 where anything differs.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from leukemiaattri import UM_PER_PX, Miniature, make

SCALE = ("--um-per-px-x", str(UM_PER_PX[0]), "--um-per-px-y", str(UM_PER_PX[1]))
TRAPS = {
    "empty_subset", "archive_labels", "no_coco", "wrong_ids", "learnt_ids", "none", "code_4", "patch", "incomplete",
    "recurring", "moved", "alone",
}  # fmt: skip
LEAST = {"type_accuracy": 0.5, "attribute_macro_f1": 0.7, "map50": 0.3}
"""What chance does not give: one of fourteen types, one of two values."""
failures: list[str] = []


def edgeleuk(*arguments: str | Path) -> str:
    """Run a command; its notices are shown."""
    command = [sys.executable, "-m", "edgeleuk", *map(str, arguments)]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout


def expect(right: bool, what: str) -> None:
    print(f"{'ok  ' if right else 'FAIL'} {what}", flush=True)
    if not right:
        failures.append(what)


def imported(release: Path, out: Path) -> dict[str, Any]:
    report = json.loads(edgeleuk("data", "import", "leukemiaattri", release, "--out", out, "--json", *SCALE))
    assert isinstance(report, dict)
    return report


def check_imports(made: Miniature, folder: Path) -> Path:
    """Import the release whole and in parts; return the whole import."""
    whole, truth = imported(made.root, folder / "imported"), made.truth()
    found = {each["code"] for each in whole["findings"]}
    expect(whole["types"] == made.types(), "boxes by type and split are those of the truth")
    expect(whole["fields"] == truth["fields"], f"{whole['fields']} fields")
    expect(found >= TRAPS, f"traps told: {', '.join(sorted(found))}")
    for kind, pattern in (("text", "*.json"), ("COCO", "*.txt")):
        subset = folder / f"{kind} alone" / "H_100X_C1"
        shutil.copytree(made.root / "H_100X_C1", subset, ignore=shutil.ignore_patterns(pattern))
        part = imported(subset, folder / f"imported {kind} alone")
        expect(part["boxes"] * len(made.subsets) == whole["boxes"], f"{kind} alone: all boxes")
        expect(
            ("untyped" in part["types"]) == (kind == "text"),
            f"{kind} alone: types only where COCO names them",
        )
    less = folder / "without a subset"
    shutil.copytree(made.root, less, ignore=shutil.ignore_patterns("L_*"))
    told = {each["code"]: each["count"] for each in imported(less, folder / "imported H")["findings"]}
    expect(told["missing_subset"] == 6, "six missing subsets told")
    return folder / "imported"


def check_model(data: Path, model: Path, mag: str) -> None:
    """Hold what was learnt against chance, and read a field with it."""
    subset = f"H_{mag.upper()}_C1"
    given = ("eval", "leukemiaattri", "--data", data, "--model", model, "--subset", subset)
    print(edgeleuk(*given))
    (own,) = json.loads(edgeleuk(*given, "--json"))["models"].values()
    figures = own["subsets"][subset]
    for name, least in LEAST.items():
        expect(figures[name] > least, f"{name} {figures[name]:.3f}, over {least}")
    field = next((data / "fields" / "images" / subset).glob("*.png"))
    result = json.loads(edgeleuk("analyze", field, "--model", model, "--no-keep", "--json"))
    expect(bool(result), "analyze reads a field with the model")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--patients", type=int, default=30)
    parser.add_argument("--fields", type=int, default=1)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--mag", default="100x")
    given = parser.parse_args()
    made = make(given.folder, given.patients, given.fields)
    data, model = check_imports(made, given.folder), given.folder / "model"
    edgeleuk("train", "leukemiaattri", "--mag", given.mag, "--data", data, "--out", model,
             "--epochs", str(given.epochs), "--threads", "1")  # fmt: skip
    check_model(data, model, given.mag)
    sys.exit(bool(failures))


if __name__ == "__main__":
    main()
