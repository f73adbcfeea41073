"""`--model DIR`: exactly that model, or a plain reason why not; and `--rules`, which judge in place of those that ship."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from edgeleuk.cli import app
from edgeleuk.differential.rules import RULES
from edgeleuk.models import registry

COCO = ["fields.json", "--images", "."]
CONTRADICTED = {
    "analyze": ["analyze", "--demo"],
    "live": ["live", "--source", "simulated", "--no-keep"],
    "bench": ["bench"],
    "eval finder": ["eval", "finder", *COCO],
    "eval reader": ["eval", "reader", *COCO],
    "eval slides": ["eval", "slides", *COCO],
    "eval whole": ["eval", "whole", *COCO],
    "eval phone": ["eval", "phone", *COCO],
    "eval alarms": ["eval", "alarms", *COCO],
    "eval quality": ["eval", "quality", *COCO],
    "eval live": ["eval", "live"],
    "eval calibration": ["eval", "calibration"],
    "models verify": ["models", "verify"],
}


def run(*arguments: str) -> tuple[int, str, str]:
    done = CliRunner().invoke(app, arguments)
    code = getattr(done.exception, "exit_code", done.exit_code) if done.exception else done.exit_code
    told = (
        str(done.exception) if done.exception and not isinstance(done.exception, SystemExit) else done.stderr
    )
    return code, done.stdout, told


@pytest.mark.parametrize("command", CONTRADICTED.values(), ids=CONTRADICTED.keys())
def test_a_folder_of_another_objective_is_a_usage_error(command: list[str]) -> None:
    """It names the folder with its objective, and what --mag says; nothing is read before."""
    folder = registry.shipped()["40x"]
    said = ["100x"] if command[0] == "models" else ["--mag", "100x"]
    code, _, told = run(*command, "--model", str(folder), *said)
    assert code == 2
    assert f"{folder} holds a 40x model, --mag says 100x." in told


def test_the_folder_says_the_objective() -> None:
    """Without --mag, and with one that means the same."""
    folder = registry.shipped()["10x"]
    for said in ([], ["--mag", "10"]):
        code, out, told = run(
            "analyze", "--demo", "--force", "--json", "--um-per-px", "0.1", "--model", str(folder), *said
        )
        assert code == 0, told
        assert json.loads(out)["model"]["magnification"] == "10x"


def test_a_folder_gives_what_the_model_in_use_gives(tmp_path: Path) -> None:
    """The same files anywhere else are the same model."""
    shutil.copytree(registry.shipped()["100x"], tmp_path / "copy")
    results = [
        json.loads(run("analyze", "--demo", "--json", *more)[1])
        for more in ([], ["--model", str(tmp_path / "copy")])
    ]
    assert results[0]["images"][0]["cells"] == results[1]["images"][0]["cells"]
    assert results[0]["differential"] == results[1]["differential"]


@pytest.mark.parametrize(
    ("name", "data", "text"),
    [
        ("reader.onnx", b"other", "is not the one published"),
        ("model.json", b"{", "cannot read"),
        ("model.json", None, "it has no model.json"),
        ("finder.onnx", None, "cannot be read"),
    ],
)
def test_a_folder_that_cannot_be_trusted_is_not_used(
    tmp_path: Path, name: str, data: bytes | None, text: str
) -> None:
    """As with every model, and never another one in its place."""
    folder = tmp_path / "copy"
    shutil.copytree(registry.shipped()["100x"], folder)
    (folder / name).unlink()
    if data is not None:
        (folder / name).write_bytes(data)
    code, _, told = run("analyze", "--demo", "--model", str(folder))
    assert code == 4
    assert text in told


def test_a_profile_of_another_objective_is_a_usage_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """Both are named."""
    from edgeleuk.device import profiles

    class Bench:
        name, magnification = "bench-2", "40x"

    monkeypatch.setattr(profiles, "load", lambda _: Bench())
    folder = registry.shipped()["100x"]
    code, _, told = run("analyze", "--demo", "--profile", "bench-2", "--model", str(folder))
    assert code == 2
    assert told.startswith(f"{folder} holds a 100x model, profile bench-2 is of a 40x objective.")


def test_a_laboratory_brings_its_own_rules(tmp_path: Path) -> None:
    """Where monocytes are left out of the percentages, they are no white cell that these are about."""
    path = tmp_path / "ours.toml"
    text = RULES.read_text(encoding="utf-8").replace(
        'labels = ["erythroblast", ', 'labels = ["monocyte", "erythroblast", '
    )
    path.write_text(text, encoding="utf-8")
    reference = tmp_path / "none.toml"
    reference.write_text('schema = 1\nname = "none"\nsources = []\nranges = []\n', encoding="utf-8")
    arguments = ["analyze", "--demo", "--json", "--reference", str(reference)]
    usual, ours = (
        json.loads(run(*arguments, *more)[1])["differential"] for more in ([], ["--rules", str(path)])
    )
    monocytes = usual["types"]["monocyte"]["count"]
    assert monocytes > 0
    assert ours["n"] == usual["n"] - monocytes
    assert ours["outside"]["monocyte"] == monocytes


def _odd(document: dict[str, Any], place: str, value: object) -> None:
    *path, last = place.split("/")
    for name in path:
        document = document[name]
    document[last] = value


@pytest.mark.parametrize(
    ("place", "value"),
    [
        ("real_slides", {"slides": {"Patient 1": {}}}), ("real_slides", [1]), ("real_slides", 0.5), ("finder/figures", {"here": 3}),
        ("reader/figures", {"here": {"accuracy": "good"}}), ("reader/figures", [0.9]),
        ("lineage", [{"magnification": "40x", "version": "1", "reason": "r", "data": "d", "at": "a", "changed": 5}]),
    ],
)  # fmt: skip
def test_figures_that_make_no_sense_are_named(place: str, value: object, tmp_path: Path) -> None:
    """A manifest is read without looking at them; showing them fails with the file's name, not with a traceback."""
    folder = shutil.copytree(registry.shipped()["40x"], tmp_path / "40x")
    document = json.loads((folder / "model.json").read_text(encoding="utf-8"))
    _odd(document, place, value)
    (folder / "model.json").write_text(json.dumps(document), encoding="utf-8")
    code, _, told = run("models", "show", "--model", str(folder))
    assert (code, str(folder / "model.json") in told) == (4, True), told
