"""The reference of commands is what the program says of itself."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SCRIPT, REFERENCE = ROOT / "deploy" / "commands.py", ROOT / "deploy" / "COMMANDS.md"
pytestmark = pytest.mark.skipif(not SCRIPT.is_file(), reason="this comes with a checkout")


def written() -> str:
    """What the script would write now."""
    spec = importlib.util.spec_from_file_location("commands", SCRIPT)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return str(module.document())


def test_the_reference_is_up_to_date() -> None:
    """`python deploy/commands.py` writes it; a new or changed command needs that."""
    assert REFERENCE.read_text(encoding="utf-8") == written(), (
        "run `python deploy/commands.py`, and commit the file"
    )


def test_the_reference_has_every_command_and_no_place_of_a_machine() -> None:
    """Each with a line of what it does; nothing that differs from machine to machine; wrapped."""
    text = written()
    for command in (
        "analyze",
        "live",
        "sessions export",
        "models install",
        "eval live",
        "train reader",
        "qc run",
    ):
        assert f"\n## edgeleuk {command}\n" in text
    assert str(Path.home()) not in text.replace("~", "") or str(Path.home()) == "/"
    assert str(ROOT) not in text
    assert max(map(len, text.splitlines())) <= 120


def test_help_breaks_lines_where_the_terminal_does() -> None:
    """Not where the source does: at 80 columns no line but a paragraph's last one is short."""
    command = [sys.executable, "-m", "edgeleuk", "analyze", "--help"]
    env = {"COLUMNS": "80", "PATH": "/usr/bin", "NO_COLOR": "1", "TERM": "dumb"}
    shown = subprocess.run(command, capture_output=True, text=True, env=env, check=True).stdout
    paragraph = (
        next(each for each in shown.split("\n \n") if "Several pictures" in each)
        if "\n \n" in shown
        else shown
    )
    lines = [line.rstrip() for line in paragraph.splitlines()]
    start = next(i for i, line in enumerate(lines) if "Several pictures" in line)
    end = next(i for i in range(start, len(lines)) if not lines[i])
    assert all(len(line) > 65 for line in lines[start : end - 1]), lines[start:end]
