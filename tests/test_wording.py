"""Messages name options and commands as the command line knows them, and only the command line knows them."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
import typer

import edgeleuk
from edgeleuk.cli import WORDING, app
from edgeleuk.system import wording

ROOT = Path(edgeleuk.__file__).parent
TITLES = {"console/parts.py", "console/screen.py"}
"""The terminal view is headed by the name of its command."""


def _options_and_commands() -> tuple[set[str], set[str]]:
    options, commands = set(), set()

    def walk(command: click.Command, path: str) -> None:
        options.update(name for each in command.params for name in (*each.opts, *each.secondary_opts))
        for name, each in getattr(command, "commands", {}).items():
            commands.add(f"{path}{name}")
            walk(each, f"{path}{name} ")

    walk(typer.main.get_command(app), "")
    return {each for each in options if each.startswith("-")}, commands


OPTIONS, COMMANDS = _options_and_commands()
OWN = re.compile(
    rf"(?<![\w-])({'|'.join(sorted((name for name in OPTIONS if name.startswith('--')), key=len, reverse=True))})(?![\w-])"
    rf"|edgeleuk ({'|'.join(sorted({each.split()[0] for each in COMMANDS}))})(?![\w-])"
)


def _below() -> Iterator[tuple[str, ast.Module]]:
    for path in sorted(ROOT.rglob("*.py")):
        name = path.relative_to(ROOT).as_posix()
        if not name.startswith("cli/"):
            yield name, ast.parse(path.read_text(encoding="utf-8"))


def _strings(tree: ast.Module) -> Iterator[str]:
    """Every string that is no docstring."""
    described = {id(each.value) for each in ast.walk(tree) if isinstance(each, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in described:
            yield node.value


def test_no_string_below_the_command_line_names_its_options_or_commands() -> None:
    """They are named by key; other programs' options are theirs."""
    found = [
        (name, text)
        for name, tree in _below()
        if name not in TITLES
        for text in _strings(tree)
        if OWN.search(text)
    ]
    assert found == []


@pytest.mark.parametrize("function", ["option", "command"])
def test_each_key_is_one_of_the_command_line(function: str) -> None:
    """No message names what does not exist."""
    for name, tree in _below():
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == function:
                (key,) = node.args
                assert isinstance(key, ast.Constant) and isinstance(key.value, str), name
                known = (
                    WORDING.option(key.value) in OPTIONS if function == "option" else key.value in COMMANDS
                )
                assert known, (name, key.value)


def test_another_front_end_has_its_own_words(monkeypatch: pytest.MonkeyPatch) -> None:
    """The command line's here; without a front end the plain names."""
    assert (wording.option("um-per-px"), wording.command("sessions list")) == (
        "--um-per-px",
        "edgeleuk sessions list",
    )
    monkeypatch.setattr(wording, "_wording", wording.Wording())
    assert (wording.option("um-per-px"), wording.command("sessions list")) == ("um per px", "sessions list")
