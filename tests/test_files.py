"""Files of settings and models are read in one place, within limits, and written whole."""

from __future__ import annotations

import ast
import os
import re
import socket
from pathlib import Path

import pytest

import edgeleuk
from edgeleuk.system import file_io
from edgeleuk.system.file_io import UnreadableError, read_json, read_text, read_toml, write_whole

PACKAGE = Path(edgeleuk.__file__).parent
READERS = {"system/file_io.py", "sessions/old_records.py"}
"""`old_records` parses what a database holds, which is read no more widely than it was written."""

BROKEN_JSON = {
    "arrays": (b"[" * 10_000 + b"]" * 10_000, "nested"),
    "objects": (b'{"a":' * 5_000 + b"1" + b"}" * 5_000, "nested"),
    "one level too many": (b"[" * 66 + b"]" * 66, "nested"),
    "open arrays": (b"[" * 100_000, "nested"),
    "400 digits": (b"9" * 400, "400 digits"),
    "5000 digits": (b"9" * 5000, "4300 digits"),
    "a minus and 20 digits": (b"-" + b"9" * 20, "20 digits"),
    "NaN": (b"[NaN]", "NaN"),
    "infinity": (b"[-Infinity]", "Infinity"),
    "1e999": (b"[1e999]", "too large"),
    "a key twice": (b'{"a": 1, "b": {"c": 1, "c": 2}}', "'c' twice"),
    "UTF-16": ('{"a": 1}'.encode("utf-16"), "UTF-8"),
    "Latin-1": ('{"a": "\xe9"}'.encode("latin-1"), "UTF-8"),
    "a zero byte": (b'{"a": 1}\0', "no JSON file"),
    "nothing": (b"", "no JSON file"),
}
BROKEN_TOML = {
    "arrays": (b"a = " + b"[" * 10_000 + b"]" * 10_000, "nested"),
    "tables": (b"a = " + b"{a = " * 10_000 + b"1" + b"}" * 10_000, "nested"),
    "a key of 10,000 parts": (b"a." * 10_000 + b"a = 1", "dots"),
    "a header of 10,000 parts": (b"[" + b"a." * 10_000 + b"a]", "dots"),
    "400 digits": (b"a = " + b"9" * 400, "400 digits"),
    "5000 digits": (b"a = " + b"9" * 5000, "4300 digits"),
    "5000 digits of base 16": (b"a = 0x" + b"f" * 5000, "digits"),
    "a key twice": (b"a = 1\na = 2", "no TOML file"),
    "UTF-16": ("a = 1".encode("utf-16"), "UTF-8"),
    "a zero byte": (b"a = 1\n\0", "no TOML file"),
}


@pytest.mark.parametrize("name", BROKEN_JSON)
def test_broken_json_is_refused_in_a_clause(tmp_path: Path, name: str) -> None:
    """Neither the stack, nor memory, nor time runs out."""
    content, word = BROKEN_JSON[name]
    (tmp_path / "x.json").write_bytes(content)
    with pytest.raises(UnreadableError, match=word) as caught:
        read_json(tmp_path / "x.json")
    assert len(str(caught.value)) < 200


@pytest.mark.parametrize("name", BROKEN_TOML)
def test_broken_toml_is_refused_in_a_clause(tmp_path: Path, name: str) -> None:
    """Likewise."""
    content, word = BROKEN_TOML[name]
    (tmp_path / "x.toml").write_bytes(content)
    with pytest.raises(UnreadableError, match=word) as caught:
        read_toml(tmp_path / "x.toml")
    assert len(str(caught.value)) < 200


def test_what_editors_put_at_the_beginning_is_no_fault(tmp_path: Path) -> None:
    """The mark of UTF-8 (BOM)."""
    (tmp_path / "x").write_bytes(b"\xef\xbb\xbfa = 1")
    assert read_toml(tmp_path / "x") == {"a": 1}


def special(folder: Path) -> dict[str, tuple[Path, str]]:
    """What is no regular file, and how it is called."""
    os.mkfifo(folder / "fifo")
    (folder / "link to it").symlink_to("fifo")
    (folder / "one").symlink_to("other")
    (folder / "other").symlink_to("one")
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(str(folder / "socket"))
    return {
        "fifo": (folder / "fifo", "a pipe"),
        "link": (folder / "link to it", "a pipe"),
        "device": (Path("/dev/zero"), "a device"),
        "socket": (folder / "socket", "a socket"),
        "folder": (folder, "a folder"),
        "ring": (folder / "one", "symbolic links"),
        "long": (folder / ("x" * 300), "too long"),
    }


@pytest.mark.parametrize("name", ["fifo", "link", "device", "socket", "folder", "ring", "long"])
def test_what_is_no_file_is_neither_read_nor_written(tmp_path: Path, name: str) -> None:
    """It is named before it is opened: a pipe would wait for ever, and a device has no end."""
    path, word = special(tmp_path)[name]
    with pytest.raises(OSError, match=word):
        read_text(path)
    with pytest.raises(OSError, match=word):
        write_whole(path, b"x")
    assert not file_io.is_regular(path)


@pytest.mark.parametrize("size", [1001, 10**12])
def test_a_file_is_read_up_to_its_limit(tmp_path: Path, size: int) -> None:
    """Also a sparse one, which takes no disk and all of the memory."""
    path = tmp_path / "x"
    with path.open("wb") as file:
        file.truncate(size)
    with pytest.raises(OSError, match=r"at most 0\.001 MB are read"):
        file_io.read_bytes(path, 1000)
    with pytest.raises(OSError, match="at most"):
        file_io.sha256_of(path, 1000)


def test_a_temporary_file_follows_no_link(tmp_path: Path) -> None:
    """A link at any name beside the target leads nowhere, and one at the target is replaced itself."""
    victim = tmp_path / "victim"
    victim.write_text("mine")
    for name in (".x.partial", "x.partial", "x"):
        (tmp_path / name).symlink_to(victim)
    write_whole(tmp_path / "x", b"new")
    assert victim.read_text() == "mine"
    assert not (tmp_path / "x").is_symlink()
    assert (tmp_path / "x").read_bytes() == b"new"


def test_nothing_is_left_of_what_could_not_be_written(tmp_path: Path) -> None:
    """No temporary file beside the old one."""
    (tmp_path / "x").mkdir()
    with pytest.raises(OSError, match="a folder"):
        write_whole(tmp_path / "x", b"new")
    assert [each.name for each in tmp_path.iterdir()] == ["x"]


def parsers(text: str) -> set[str]:
    """What a module uses of tomllib, and of json to read."""
    if not re.search(r"\b(tomllib|loads?)\b", text):
        return set()
    nodes = [*ast.walk(ast.parse(text))]
    used = {
        f"{node.value.id}.{node.attr}"
        for node in nodes
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name)
    }
    imports = {
        alias.name for node in nodes if isinstance(node, ast.Import | ast.ImportFrom) for alias in node.names
    }
    return used & {"json.load", "json.loads", "tomllib.load", "tomllib.loads"} | imports & {
        "tomllib",
        "load",
        "loads",
    }


def test_no_other_module_parses_files() -> None:
    """tomllib and json.load(s) are used in one place, which has the limits."""
    found = {
        name: used
        for path in sorted(PACKAGE.rglob("*.py"))
        if (name := path.relative_to(PACKAGE).as_posix()) not in READERS
        and (used := parsers(path.read_text(encoding="utf-8")))
    }
    assert found == {}
    assert parsers((PACKAGE / "system" / "file_io.py").read_text(encoding="utf-8"))
