"""Terminals, pipes and file names that have not every letter: nothing ends the program, and nothing that is kept is lost."""

from __future__ import annotations

import csv
import io
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import cv2
import program
import pytest
import typer
from hypothesis import given
from hypothesis import strategies as st

from edgeleuk import cli
from edgeleuk._text import readable
from edgeleuk.cli._encoding import ERRORS, show_what_can_be_shown
from edgeleuk.cli.analyze import demo_picture
from edgeleuk.sessions import claim_source
from edgeleuk.types import Frame

ENCODINGS = ("ascii", "latin-1", "cp1252", "cp437")
FOREIGN = "涂片 µ Jürgen.png"
NO_TEXT = b"slide \xff.png"
"""A file's name on a disk that came from an older computer."""


def run(*arguments: str | bytes | Path, **environment: str) -> subprocess.CompletedProcess[bytes]:
    """The program in a process of its own; what it prints, as bytes."""
    env = {**os.environ, "COLUMNS": "80", "NO_COLOR": "1", **environment}
    # -P: the program that the tests import, not the one of the working folder.
    command = [sys.executable, "-P", "-m", "edgeleuk", *arguments]
    return subprocess.run(command, capture_output=True, env=env, check=False, stdin=subprocess.DEVNULL)


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory, demo_frame: Frame) -> Path:
    """A folder with a picture under a name that most encodings lack, and one under a name that is no text."""
    folder = tmp_path_factory.mktemp("pictures")
    cv2.imwrite(str(folder / "plain.png"), demo_frame.pixels[:400, :500, ::-1])
    shutil.copy(folder / "plain.png", folder / FOREIGN)
    (folder / "plain.png").rename(os.fsdecode(os.path.join(os.fsencode(folder), NO_TEXT)))  # noqa: PTH118  # bytes
    return folder


def shown(text: str, encoding: str) -> str:
    show_what_can_be_shown()
    return text.encode(encoding, ERRORS).decode(encoding)


@pytest.mark.parametrize(
    ("text", "encoding", "expected"),
    [
        ("7.2 µm ±7 %, 3 – 5 …", "ascii", "7.2 um +/-7 %, 3 - 5 ..."),
        ("7.2 µm ±7 %, 3 – 5 …", "latin-1", "7.2 µm ±7 %, 3 - 5 ..."),
        ("7.2 µm ±7 %, 3 – 5 …", "cp1252", "7.2 µm ±7 %, 3 – 5 …"),
        ("7.2 µm ±7 %, 3 – 5 …", "cp437", "7.2 µm ±7 %, 3 - 5 ..."),
        ("━━╌╌ █░ • ╭─╮ ┏┃", "ascii", "==-- #. * +-+ +|"),
        ("━━╌╌ █░ • ╭─╮", "cp437", "==-- █░ * +─+"),
        ("Rümke, Łódź, 12²", "ascii", "Rumke, Lodz, 122"),
        ("涂片 ⠋ x", "latin-1", "???? * x"),
        ("a\udcffb", "utf-8", "a\\xffb"),
        ("\udcc2\udcb5m", "utf-8", "µm"),
        ("\udcc2\udcb5m", "ascii", "um"),
        ("\ud800", "utf-8", "\\xed\\xa0\\x80"),
    ],
)
def test_what_is_near_stands_for_what_is_lacking(text: str, encoding: str, expected: str) -> None:
    """And what the encoding has stays; a byte that is no text is told, and text that was taken for bytes is text again."""
    assert shown(text, encoding) == expected


@given(
    st.text(st.characters(), max_size=30), st.sampled_from((*ENCODINGS, "utf-8", "utf-16", "cp850", "gbk"))
)
def test_no_letter_is_an_error(text: str, encoding: str) -> None:
    """In any encoding, also half of a surrogate pair."""
    shown(text + "\udcff\ud800", encoding)


@given(st.binary(max_size=20))
def test_any_name_of_a_file_can_be_written_down(name: bytes) -> None:
    """As UTF-8; one that is text already stays as it is."""
    text = readable(name.decode("utf-8", "surrogateescape"))
    assert text.encode().decode() == text
    assert readable(text) == text


def commands(command: object, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Every command of the program, by its words."""
    yield path
    for name, child in getattr(command, "commands", {}).items():
        yield from commands(child, (*path, name))


class Told(io.TextIOWrapper):
    """A stream of an encoding, and the text that it was given."""

    def __init__(self, encoding: str) -> None:
        super().__init__(io.BytesIO(), encoding)
        self.text = ""

    def write(self, text: str) -> int:
        self.text += text
        return super().write(text)


@pytest.mark.parametrize("words", [*commands(typer.main.get_command(cli.app))], ids=" ".join)
def test_every_command_has_help_in_any_encoding(
    words: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It says what it does, with letters that the encoding has. No encoding but UTF-8 changes the text itself."""
    stream = Told(ENCODINGS[0])
    monkeypatch.setattr(sys, "stdout", stream)
    monkeypatch.setattr(sys, "argv", ["edgeleuk", *words, "--help"])
    monkeypatch.setenv("COLUMNS", "80")
    with pytest.raises(SystemExit, match="0"):
        cli.main()
    stream.flush()
    assert "Usage: " in stream.buffer.getvalue().decode(ENCODINGS[0])
    for encoding in ENCODINGS[1:]:
        assert "Usage: " in shown(stream.text, encoding)


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_help_is_written_in_its_encoding(encoding: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where that is not the least one: the longest help, and the same text as in the least one."""
    monkeypatch.setattr(sys, "argv", ["edgeleuk", "analyze", "--help"])
    monkeypatch.setenv("COLUMNS", "80")
    told = []
    for each in (ENCODINGS[0], encoding):
        monkeypatch.setattr(sys, "stdout", Told(each))
        with pytest.raises(SystemExit, match="0"):
            cli.main()
        sys.stdout.flush()
        told.append(sys.stdout)
    assert told[1].text.rstrip() == told[0].text.rstrip()
    assert "Usage: " in told[1].buffer.getvalue().decode(encoding)


@pytest.mark.parametrize("encoding", ("ascii", "cp437"))  # the least, and one with other bars
@pytest.mark.parametrize(
    "words",
    [
        ("analyze", "--demo", "--no-keep"), ("models", "show", "100x"), ("models", "list"), ("cameras",), ("doctor", "--quick"),
        ("live", "--source", "simulated", "--width", "640", "--height", "360", "--seconds", "0.5", "--no-keep"), ("analyze", FOREIGN), ("profiles", "show", "µ"),
    ],
    ids=lambda words: words[0],
)  # fmt: skip
def test_results_and_errors_are_printed_in_any_encoding(encoding: str, words: tuple[str, ...]) -> None:
    """Without a fault of the program, and nothing in it is foreign to the encoding."""
    done = program.run(*words, encoding=encoding)
    assert "fault in the program" not in done.stderr
    assert done.stdout or done.stderr
    if words[0] == "analyze" and "--demo" in words:
        assert done.returncode == 0
        assert "recognised in 1 picture" in done.stdout


@pytest.mark.parametrize("encoding", ("ascii", "cp437"))
@pytest.mark.parametrize(
    "words", [("models", "show", "100x"), ("profiles", "show", "µ")], ids=lambda words: words[0]
)
def test_a_process_prints_in_the_encoding_of_its_terminal(encoding: str, words: tuple[str, ...]) -> None:
    """What Python was told of the terminal reaches results and errors alike."""
    done = run(*words, PYTHONIOENCODING=encoding)
    assert b"Traceback" not in done.stderr
    here = program.run(*words, encoding=encoding)
    assert (done.returncode, done.stdout.decode(encoding), done.stderr.decode(encoding)) == (
        here.returncode,
        here.stdout,
        here.stderr,
    )


LOCALES = (
    {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
    {"PYTHONIOENCODING": "cp437"},
    {},
)
"""Of an old terminal without any encoding, of one with its own, and of ours."""


def launched(*arguments: str | Path, **locale: str) -> subprocess.CompletedProcess[bytes]:
    """The program as `run` starts it where its process has a locale of its own, else in this process."""
    if locale:
        return run(*arguments, **locale)
    done = program.run(*arguments)
    return subprocess.CompletedProcess(done.args, done.returncode, done.stdout.encode(), done.stderr.encode())


@pytest.mark.parametrize("locale", LOCALES, ids=("C", "cp437", "usual"))
def test_a_redirected_table_has_every_letter(locale: dict[str, str], pictures: Path) -> None:
    """CSV in a pipe is UTF-8 and JSON is ASCII, whatever the terminal: the names are those of the files."""
    table = launched("analyze", pictures, "--csv", "--um-per-px", "0.1", "--no-keep", **locale)
    names = {row["path"] for row in csv.DictReader(io.StringIO(table.stdout.decode("utf-8")))}
    assert names == {str(pictures / FOREIGN), str(pictures / "slide \\xff.png")}
    printed = launched("analyze", pictures, "--json", "--um-per-px", "0.1", "--no-keep", **locale).stdout
    paths = {readable(image["path"]) for image in json.loads(printed.decode("ascii"))["images"]}
    assert paths == names


@pytest.mark.parametrize("locale", LOCALES, ids=("C", "cp437", "usual"))
def test_files_are_utf8_in_any_locale(locale: dict[str, str], pictures: Path, tmp_path: Path) -> None:
    """Those of --out and those of an exported session, with names that are no text, and a slide's name beyond ASCII."""
    store = tmp_path / "sessions.db"
    done = launched(
        "analyze", pictures, "--out", tmp_path / "out", "--um-per-px", "0.1", "--store", store, "--slide", "µ 7", **locale
    )  # fmt: skip
    assert (done.returncode, b"Traceback" in done.stderr) == (0, False), done.stderr
    session = json.loads(program.run("sessions", "list", "--json", "--store", store).stdout)["sessions"][0]
    assert session["slide"] == "µ 7"
    words = ("sessions", "export", session["id"], "--out", tmp_path / "kept", "--store", store)
    assert launched(*words, **locale).returncode == 0
    for path in (*(tmp_path / "out").glob("*.csv"), *(tmp_path / "kept").glob("*.csv")):
        text = path.read_text(encoding="utf-8")
        if path.name == "cells.csv":
            assert FOREIGN in text
            assert "slide \\xff.png" in text


def test_a_source_that_is_no_text_can_be_claimed(tmp_path: Path) -> None:
    """As a folder whose name came from another computer."""
    with claim_source("watch:/media/\udcff", tmp_path):
        assert list(tmp_path.iterdir())


def test_what_is_read_does_not_depend_on_the_locale() -> None:
    """No file is opened in the locale's encoding: Python would warn."""
    done = run("analyze", demo_picture(), "--no-keep", **LOCALES[0], PYTHONWARNDEFAULTENCODING="1")
    assert done.returncode == 0, done.stderr
    warned = [line for line in done.stderr.decode("ascii").splitlines() if "EncodingWarning" in line]
    assert not [line for line in warned if "edgeleuk/" in line.partition(":")[0]]
