"""Names and other texts from outside are written as they are, and steer neither a terminal nor a spreadsheet."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import shutil
import socketserver
import threading
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import cv2
import pytest
from hypothesis import given
from hypothesis import strategies as st
from program import run
from rich.table import Table

from edgeleuk._text import LONGEST, MOST_BYTES, cell_text, escaped, file_name
from edgeleuk.errors import EdgeleukError, InputError
from edgeleuk.models import registry
from edgeleuk.render.rich_console import PlainConsole
from edgeleuk.types import Frame

NAMES = (
    b"caf\xe9.jpg", b"\xff\xfe.jpg", b"[red]e.jpg", b"d[/b].jpg", b"[link=http://x]y[/link].jpg", b":smile:.jpg",
    b"=f.jpg", b"+1.jpg", b"-x.jpg", b"@SUM(A1).jpg", b"x;=1+1.jpg", b"\t=1.jpg", b"a\nb.jpg", b"a\rb.jpg",
    b"\x1b[31mred.jpg", b"\x1b]0;title\x07.jpg", b"\x9b31m.jpg", "\u202egpj.exe.jpg".encode(), "\u2028line.jpg".encode(),
    b"a,b\"c'd.jpg", b"n" * 251 + b".jpg", "涂".encode() * 83 + b".jpg", "می\u200cخواهم.jpg".encode(), b" .jpg", b"CON.jpg", b"a:b?.jpg",
    b"%s%n{0}.jpg", b"~.jpg", b"A.jpg", b"a.jpg",
)  # fmt: skip
STEERING = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")
"""Nothing of it, but line breaks, may come to a terminal."""


@pytest.fixture(scope="module")
def named(tmp_path_factory: pytest.TempPathFactory, demo_frame: Frame) -> Path:
    """A folder with a small picture by each of NAMES that the file system takes."""
    folder = tmp_path_factory.mktemp("named")
    data = cv2.imencode(".jpg", cv2.cvtColor(demo_frame.pixels[:400, :400], cv2.COLOR_RGB2BGR))[1].tobytes()
    for name in NAMES:
        try:
            Path(os.fsdecode(os.fsencode(folder) + b"/" + name)).write_bytes(data)
        except OSError:
            continue
    return folder


def test_any_name_goes_through_every_output(named: Path, tmp_path: Path) -> None:
    """Terminal, notices, CSV, JSON, annotated pictures, the kept session and its export: each picture is in each."""
    out, store, number = tmp_path / "out", tmp_path / "s.db", len(list(named.iterdir()))
    done = run(
        "analyze",
        named,
        "--um-per-px",
        0.1,
        "--out",
        out,
        "--details",
        "--separate",
        "--store",
        store,
        "--threads",
        1,
    )
    assert done.returncode == 0, done.stderr
    assert not STEERING.search(done.stdout + done.stderr)
    assert "[red]e.jpg" in done.stdout
    assert max(map(len, done.stdout.splitlines())) <= 80
    document = json.loads((out / "results.json").read_text())
    paths = {each["path"] for each in document["images"]}
    assert paths == {str(path) for path in named.iterdir()}  # exactly, also what is no UTF-8
    overlays = {each["overlay"] for each in document["images"]}
    assert len({name.casefold() for name in overlays}) == number
    assert overlays == {path.name for path in out.glob("*.overlay.jpg")}
    assert all(len(name.encode()) <= MOST_BYTES and name[0] not in "-. " for name in overlays)
    for path in out.glob("*.csv"):
        assert not STEERING.search(path.read_text())
        assert not [cell for cell in cells_of(path.read_text()) if re.match(r"\s*[=+@]|-[^0-9.]", cell)]
    pictures = csv.DictReader(io.StringIO((out / "pictures.csv").read_text()))
    assert len({row["path"] for row in pictures}) == number
    session = re.search(r"kept as session (\S+):", done.stderr)
    assert session
    for words in (("list",), ("show", session[1]), ("export", session[1], "--out", tmp_path / "exported")):
        said = run("sessions", *words, "--store", store)
        assert said.returncode == 0, said.stderr
        assert not STEERING.search(said.stdout + said.stderr)


def cells_of(text: str) -> list[str]:
    return [cell for row in csv.reader(io.StringIO(text)) for cell in row]


def test_what_a_user_types_is_shown_as_it_was_typed(tmp_path: Path, demo_frame: Frame) -> None:
    """Slide, operator, site, device and notes, of a picture and afterwards; JSON has them exactly."""
    store, picture = tmp_path / "s.db", tmp_path / "a.png"
    cv2.imwrite(str(picture), demo_frame.pixels[:400, :400, ::-1])
    typed = {
        "slide": "\x1b[31m[red]x[/]", "operator": "=cmd|'/C calc'!A0", "site": "a\nerror: b", "device": "\u202eslide",
        "notes": ":warning:\x07\x1b]0;t\x07",
    }  # fmt: skip
    said = [part for word, text in typed.items() for part in (f"--{word}", text)]
    done = run("analyze", picture, "--um-per-px", 0.1, "--store", store, *said, "--json")
    about = json.loads(done.stdout)["result"]
    assert all(about[name] == typed[name] for name in ("slide", "operator", "site", "device"))
    session = re.search(r"kept as session (\S+):", done.stderr)
    assert session
    shown = run("sessions", "show", session[1], "--store", store)
    changed = run("sessions", "set", session[1], "--slide", "\x1b[2J\n[b]", "--site", "x", "--store", store)
    listed = run("sessions", "list", "--store", store)
    for each in (done, shown, changed, listed):
        assert each.returncode == 0
        assert not STEERING.search(each.stderr + (each.stdout if each is not done else ""))
    assert all(escaped(text) in shown.stdout for text in typed.values())
    assert len(changed.stdout.splitlines()) == 1


@pytest.mark.parametrize(
    "words",
    [
        ("analyze", "\x1b[31m[red]gone\n.jpg"), ("analyze", "\x1b[31m*[x"), ("\x1b[31mcommand",), ("analyze", "--\x1b[31m"),
        ("analyze", "--um-per-px", "\x1b[31m", "x"), ("sessions", "show", "\x1b[2J", "--store", "\x1b[2J.db"),
        ("models", "show", "\x1b[31m"), ("live", "--source", "\x1b[31mx[red]"), ("profiles", "show", "\x1b[31m"),
        ("analyze", "--demo", "--rules", "\x1b[31m.toml"), ("analyze", "--demo", "--model", "\x1b[31m"),
    ],
)  # fmt: skip
def test_a_mistake_on_the_command_line_is_told_as_it_was_typed(
    words: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Errors quote what they are about, and no more."""
    monkeypatch.chdir(tmp_path)
    done = run(*words)
    assert done.returncode
    assert "Traceback" not in done.stderr
    assert not STEERING.search(done.stdout + done.stderr)


@pytest.mark.parametrize("text", [r"\u001b[31m", r"\u202e", r"\n\n[red]"])
def test_texts_of_files_of_settings_are_cleaned(text: str, tmp_path: Path) -> None:
    """What a table of rules says instead of what it should."""
    rules = Path(registry.__file__).parents[1] / "data/rules.toml"
    path = tmp_path / "rules.toml"
    path.write_text(
        re.sub(r"^schema = .*$", lambda _: f'schema = "{text}"', rules.read_text(), flags=re.MULTILINE)
    )
    done = run("analyze", "--demo", "--rules", path)
    assert done.returncode == 3
    assert not STEERING.search(done.stderr)
    assert len(done.stderr.splitlines()) == 1


def test_names_of_a_model_are_cleaned(tmp_path: Path, model: registry.Model, demo_frame: Frame) -> None:
    """A type by a name that is a formula, with an escape sequence, in a model of somebody else."""
    folder, picture, out = tmp_path / "model", tmp_path / "a.png", tmp_path / "out"
    shutil.copytree(model.folder, folder)
    text = (folder / "model.json").read_text().replace('"neutrophil"', r'"=n\u001b[31m[red]"')
    (folder / "model.json").write_text(text)
    cv2.imwrite(str(picture), demo_frame.pixels[:, :, ::-1])
    shown = run("models", "show", "--model", folder)
    done = run(
        "analyze", picture, "--model", folder, "--out", out, "--no-keep", "--details", "--um-per-px", 0.1
    )
    assert done.returncode == 0, done.stderr
    assert not STEERING.search(shown.stdout + done.stdout + done.stderr)
    for path in out.glob("*.csv"):
        assert not [cell for cell in cells_of(path.read_text()) if cell.startswith("=") or "\x1b" in cell]


@contextmanager
def answering(reason: bytes) -> Iterator[str]:
    """A server with a status line of its own."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.wfile.write(b"HTTP/1.0 404 " + reason + b"\r\n\r\n")

        def log_message(self, *_: object) -> None:
            """Nothing."""

    with socketserver.TCPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}/video"
        server.shutdown()


@pytest.mark.parametrize(
    "reason", [b"\x1b[2J\x1b[31mOwned", b"[red]x[/red]", b"\xe2\x80\xaex\x9b1m", b"x" * 30_000]
)
def test_what_a_server_says_is_cleaned(reason: bytes) -> None:
    """The reason of its refusal, in the one line of the error."""
    with answering(reason) as url:
        done = run("live", "--source", url, "--plain", "--no-keep", "--seconds", 5)
    assert done.returncode == 8
    assert not STEERING.search(done.stdout + done.stderr)
    assert len(done.stderr) < 2 * LONGEST


@given(st.text(max_size=80))
def test_an_escaped_text_steers_nothing(text: str) -> None:
    """It is one line of UTF-8, the same when it is escaped again, and a plain text stays as it is."""
    said = escaped(text)
    said.encode()
    assert not STEERING.search(said)
    assert "\n" not in said
    assert escaped(said) == said
    assert said == text or any(unicodedata.category(each) in {"Cc", "Cf", "Cs", "Zl", "Zp"} for each in text)


@given(st.text(max_size=300), st.sets(st.integers(1, 5)))
def test_a_file_name_fits_and_is_new(stem: str, numbers: set[int]) -> None:
    """Any file system takes it, and no other file has it."""
    first = file_name(stem, ".overlay.jpg", lambda _: False)
    taken = {
        file_name(stem, f"-{n}.overlay.jpg" if n > 1 else ".overlay.jpg", lambda _: False) for n in numbers
    }
    name = file_name(stem, ".overlay.jpg", taken.__contains__)
    assert name not in taken
    for each in (first, name):
        assert 0 < len(each.encode()) <= MOST_BYTES
        assert not re.search(r'[\x00-\x1f<>:"/\\|?*]', each)
        assert each[0] not in "-. "


@pytest.mark.parametrize(
    ("text", "cell"),
    [
        ("=1", "'=1"), ("+1", "'+1"), ("-1", "'-1"), ("@x", "'@x"), ("\t=1", "\\t=1"), ("  =1", "  '=1"), ("a=1", "a=1"),
        ("x;=1", "x;'=1"), ("x; -1", "x; '-1"), ("＝1", "'＝1"), ("\r=1", "\\r=1"), ("plain.jpg", "plain.jpg"), ("", ""),
    ],
)  # fmt: skip
def test_a_cell_is_never_calculated(text: str, cell: str) -> None:
    """A quotation mark stands before what would be."""
    assert cell_text(text) == cell


def test_errors_are_one_line_of_bounded_length() -> None:
    """Whatever they quote; a program still gets the text."""
    error = InputError("a\nb\x1b[31m" + "x" * 100_000)
    assert str(error).startswith("a\\nb\\x1b[31mxxx")
    assert len(str(error)) < LONGEST + 50
    assert isinstance(error, EdgeleukError)


def test_a_console_takes_every_text_as_it_is() -> None:
    """In tables, titles and lines: no markup, no emoji by name, no sequences."""
    target = io.StringIO()
    console = PlainConsole(file=target, force_terminal=True, width=80, color_system=None)
    table = Table("[red]head[/]", title=":smile:")
    table.add_row("\x1b[31m[b]cell[/b]")
    console.print(table)
    console.print("[bold]line[/bold] \u202e")
    said = target.getvalue()
    assert not STEERING.search(said)
    for text in ("[red]head[/]", ":smile:", "\\x1b[31m[b]cell[/b]", "[bold]line[/bold] \\u202e"):
        assert text in said
