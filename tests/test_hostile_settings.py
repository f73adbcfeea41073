"""Whatever settings, tables, models and paths hold: the documented exit code, and one sentence."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from test_files import BROKEN_JSON, BROKEN_TOML, special

from edgeleuk.cli import main
from edgeleuk.differential.rules import REFERENCE, RULES
from edgeleuk.errors import InputError, ModelError
from edgeleuk.lab.training.recipe import load_recipe
from edgeleuk.models import registry

Command = Callable[..., tuple[int, str]]
PROFILE = """
schema = 1
name = "bench"
magnification = "100x"
made = "2026-01-01T00:00:00+00:00"
[picture]
width = 1600
height = 1200
[scale]
um_per_px_x = 0.1
um_per_px_y = 0.1
relative_error = 0.01
measured_on = "given"
"""
ANALYZE = ("analyze", "--demo", "--no-keep", "--threads", 1)
NO_NUMBERS = ("nan", "-inf", "-1", "1e308", "true", '"1"', "[]", "{}", "1979-05-27", "9" * 400)
"""In place of a number, in TOML."""
MODEL_VALUES = (None, -1, 1e308, 10**18, "x" * 3000, [], {}, [1] * 5, True)
"""In place of any value of a manifest."""
COCO = {
    "a list": "[]",
    "a text": '"images"',
    "no images": '{"images": 1, "annotations": [], "categories": []}',
    "images of texts": '{"images": ["a"], "annotations": [], "categories": []}',
    "a box of texts": (
        '{"images": [{"id": 1, "file_name": "a", "width": 1, "height": 1}], "categories": [{"id": 1, "name": "WBC"}],'
        ' "annotations": [{"image_id": 1, "category_id": 1, "bbox": ["a", "b", "c", "d"]}]}'
    ),
    "a list for an id": '{"images": [], "annotations": [{"image_id": []}], "categories": []}',
    "categories without order": '{"images": [], "annotations": [], "categories": [{"id": 1}, {"id": "b"}]}',
}


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    """Runs the program as its entry point does; gives the exit code and what it said of errors."""

    def run(*arguments: object) -> tuple[int, str]:
        monkeypatch.setattr(sys, "argv", ["edgeleuk", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            main()
        return int(ended.value.code or 0), capsys.readouterr().err

    return run


def is_one_sentence(told: str) -> bool:
    """Whether an error is one line of bearable length, and no traceback."""
    return told.startswith("error: ") and len(told.splitlines()) == 1 and len(told) < 700


@pytest.mark.parametrize(
    ("option", "name"),
    [
        *(("--rules", name) for name in BROKEN_TOML),
        *(
            (option, name)
            for option in ("--reference", "--profile")
            for name in ("tables", "400 digits", "UTF-16")
        ),
    ],
)
def test_a_broken_file_of_settings_is_refused(
    command: Command, tmp_path: Path, option: str, name: str
) -> None:
    """With exit code 3, whichever setting it is."""
    content, word = BROKEN_TOML[name]
    (tmp_path / "x.toml").write_bytes(content)
    code, told = command(*ANALYZE, option, tmp_path / "x.toml")
    assert code == 3
    assert word in told
    assert is_one_sentence(told)


@pytest.mark.parametrize("name", BROKEN_TOML)
def test_a_broken_recipe_is_refused(tmp_path: Path, name: str) -> None:
    """With exit code 3, before any library of training is loaded."""
    content, word = BROKEN_TOML[name]
    (tmp_path / "x.toml").write_bytes(content)
    with pytest.raises(InputError, match=word):
        load_recipe(str(tmp_path / "x.toml"))


@pytest.mark.parametrize("value", NO_NUMBERS)
@pytest.mark.parametrize(
    ("option", "text", "number"),
    [
        ("--profile", PROFILE, "um_per_px_x = 0.1"),
        ("--profile", PROFILE, "width = 1600"),
        ("--rules", RULES.read_text(), "schema = 2"),
        ("--reference", REFERENCE.read_text(), "schema = 1"),
    ],
    ids=["scale", "width", "rules", "reference"],
)
def test_what_is_no_number_is_refused(
    command: Command, tmp_path: Path, option: str, text: str, number: str, value: str
) -> None:
    """Where a number is expected, a date, a text or a number without end is named."""
    assert number in text
    key = number.split(" = ")[0]
    (tmp_path / "x.toml").write_text(text.replace(number, f"{key} = {value}", 1))
    code, told = command(*ANALYZE, option, tmp_path / "x.toml")
    assert code == 3
    assert is_one_sentence(told)


@pytest.mark.parametrize("name", BROKEN_JSON)
def test_a_broken_manifest_is_refused(command: Command, tmp_path: Path, name: str) -> None:
    """With exit code 4."""
    content, word = BROKEN_JSON[name]
    (tmp_path / "model.json").write_bytes(content)
    code, told = command(*ANALYZE, "--model", tmp_path)
    assert code == 4
    assert word in told
    assert is_one_sentence(told)


@pytest.mark.parametrize(
    "keys",
    [
        ("schema",), ("magnification",), ("lineage",), ("finder",), ("finder", "um_per_px"), ("finder", "classes"),
        ("finder", "input"), ("finder", "tiling"), ("reader", "labels"), ("reader", "temperature"), ("reader", "attributes"),
        ("reader", "confusion"),
    ],
    ids=".".join,
)  # fmt: skip
def test_a_senseless_manifest_is_refused(tmp_path: Path, keys: tuple[str, ...]) -> None:
    """Or means nothing; there is never another error, and no message without end."""
    document = json.loads((registry.shipped()["100x"] / "model.json").read_text())
    part = document
    for key in keys[:-1]:
        part = part[key]
    for value in MODEL_VALUES:
        part[keys[-1]] = value
        (tmp_path / "model.json").write_text(json.dumps(document))
        with pytest.raises(ModelError) as caught:  # the networks are missing, at the latest
            registry.load_folder(tmp_path)
        assert len(str(caught.value)) < 700


@pytest.mark.parametrize(
    ("part", "name"),
    [
        *(("finder", name) for name in (*BROKEN_JSON, *COCO)),
        *(
            (part, name)
            for part in ("slides", "screen")
            for name in ("objects", "UTF-16", "a text", "images of texts")
        ),
    ],
)
def test_a_broken_table_is_refused(command: Command, tmp_path: Path, part: str, name: str) -> None:
    """Labelled data for evaluation: exit code 3."""
    content = BROKEN_JSON[name][0] if name in BROKEN_JSON else COCO[name].encode()
    (tmp_path / "x.json").write_bytes(content)
    table = ("--screen",) if part == "screen" else ()
    code, told = command("eval", part, *table, tmp_path / "x.json", "--images", tmp_path)
    assert code == 3
    assert is_one_sentence(told)


@pytest.mark.parametrize("name", ["fifo", "link", "device", "socket", "folder", "ring", "long"])
@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("sessions", "list", "--store"), 9),
        ((*ANALYZE, "--rules"), 3),
        ((*ANALYZE, "--reference"), 3),
        ((*ANALYZE, "--profile"), 2),
        ((*ANALYZE, "--model"), 4),
        (("models", "install"), 3),
        (("models", "trust"), 3),
        (("models", "pack", "100x", "--out"), 6),
    ],
    ids=["store", "rules", "reference", "profile", "model", "install", "trust", "pack"],
)
def test_a_path_that_leads_to_no_file_is_refused(
    command: Command, tmp_path: Path, arguments: tuple[str, ...], code: int, name: str
) -> None:
    """At once, with the code of what it was given for."""
    given, told = command(*arguments, special(tmp_path)[name][0])
    assert given == code
    assert is_one_sentence(told.replace(str(tmp_path), "")) or name == "long"


@pytest.mark.parametrize("name", ["fifo", "device", "socket", "ring", "long"])
def test_results_go_into_no_such_path(command: Command, tmp_path: Path, name: str) -> None:
    """--out is a folder, or becomes one."""
    code, told = command(*ANALYZE, "--out", special(tmp_path)[name][0])
    assert code == 6
    assert told.startswith("error: ")


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("sessions", "list", "--store"), 9),
        ((*ANALYZE, "--rules"), 3),
        ((*ANALYZE, "--profile"), 2),
        ((*ANALYZE, "--model"), 4),
        ((*ANALYZE, "--out"), 6),
    ],
)
def test_a_home_folder_of_nobody_is_named(command: Command, arguments: tuple[str, ...], code: int) -> None:
    """A shell leaves ~nosuchuser as it is."""
    given, told = command(*arguments, "~nosuchuser/x.toml")
    assert given == code
    assert "there is no home folder of ~nosuchuser" in told
    assert is_one_sentence(told)


@pytest.mark.parametrize("name", ["fifo", "device", "ring", "long", "nobody"])
@pytest.mark.parametrize(
    ("variable", "arguments", "codes"),
    [
        ("EDGELEUK_SESSIONS", ("sessions", "list"), {9}),
        ("EDGELEUK_MODELS", ("models", "list"), {0, 4}),
        ("EDGELEUK_MODEL_STORE", ("models", "list"), {0, 4}),
        ("EDGELEUK_KEYS", ("models", "trust"), {0, 4}),
        ("EDGELEUK_PROFILES", ("profiles", "list"), {0, 2}),
        ("EDGELEUK_MACHINE", ("models", "verify", "10x"), {0}),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_variable_may_name_anything(
    command: Command,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    variable: str,
    arguments: tuple[str, ...],
    codes: set[int],
    name: str,
) -> None:
    """A folder that is none holds nothing; what must be used is refused with its code."""
    monkeypatch.setenv(variable, "~nosuchuser/x" if name == "nobody" else str(special(tmp_path)[name][0]))
    code, told = command(*arguments)
    assert code in codes
    assert code == 0 or told.startswith("error: ")


def test_a_program_without_its_folder_says_so(tmp_path: Path) -> None:
    """The folder that it was started in was removed: a relative path cannot be meant."""
    gone = tmp_path / "gone"
    gone.mkdir()
    script = 'cd "$0" && rmdir "$0" && exec "$@"'
    command = [sys.executable, "-m", "edgeleuk", "sessions", "list", "--store", "x.db"]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    done = subprocess.run(
        ["sh", "-c", script, str(gone), *command],
        capture_output=True,
        text=True,
        env=environment,
        check=False,
    )
    assert done.returncode == 9
    assert "the folder that this program was started in is gone" in done.stderr
    assert is_one_sentence(done.stderr)


def test_a_sparse_network_is_not_read(command: Command, tmp_path: Path) -> None:
    """A file of a terabyte takes no disk, and would take an hour."""
    shutil.copy(registry.shipped()["100x"] / "model.json", tmp_path)
    (tmp_path / "reader.onnx").touch()
    with (tmp_path / "finder.onnx").open("wb") as file:
        file.truncate(10**12)
    code, told = command(*ANALYZE, "--model", tmp_path)
    assert code == 4
    assert "at most 256 MB are read" in told
