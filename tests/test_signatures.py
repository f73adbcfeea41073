"""Functions take few parameters; what belongs together travels as a value."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Iterator
from pathlib import Path

import typer

import edgeleuk
from edgeleuk.cli import app

ROOT = Path(edgeleuk.__file__).parent
MOST = 6
"""Maximum number of parameters, `self` and `cls` aside. A command has one for each of its options."""


def commands(group: typer.Typer) -> Iterator[tuple[str, str]]:
    """File and name of each function that is a command."""
    for command in group.registered_commands:
        assert command.callback is not None
        callback = inspect.unwrap(command.callback)
        yield Path(inspect.getfile(callback)).relative_to(ROOT).as_posix(), callback.__name__
    for each in group.registered_groups:
        assert each.typer_instance is not None
        yield from commands(each.typer_instance)


def long_signatures() -> Iterator[tuple[str, str]]:
    for path in ROOT.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                given = node.args
                own = [each.arg for each in (*given.posonlyargs, *given.args, *given.kwonlyargs)]
                number = len(own) - (own[:1] in (["self"], ["cls"]))
                if number + (given.vararg is not None) + (given.kwarg is not None) > MOST:
                    yield path.relative_to(ROOT).as_posix(), node.name


def test_only_commands_take_more_than_six_parameters() -> None:
    """The others take a value."""
    assert sorted({*long_signatures()} - {*commands(app)}) == []
