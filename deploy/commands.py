#!/usr/bin/env python3
"""Write COMMANDS.md, the reference of all commands, from the program itself.

    python deploy/commands.py

It reads the same functions that the command line is made of, so that the reference cannot say anything else.
`tests/test_commands.py` fails while the file is older than they are.
"""

from __future__ import annotations

import inspect
import sys
import textwrap
import typing
from collections.abc import Callable, Iterator
from pathlib import Path
from types import NoneType, UnionType
from typing import Any

import typer
from typer.models import ArgumentInfo, OptionInfo

FILE = Path(__file__).with_name("COMMANDS.md")
WIDTH = 100
HEAD = """\
# Commands

Every command of `edgeleuk` with its options. `edgeleuk COMMAND --help` prints the same.
This file is generated: `python deploy/commands.py` writes it anew.

Values in capitals are to be replaced; what stands in square brackets may be left out, and what is followed by
three dots may be repeated. `-h` or `--help` explains any command, `edgeleuk --version` prints the version, and
`edgeleuk --install-completion` sets up completion for your shell. [Exit codes](../README.md#exit-codes) are the same
for all commands.
"""
WORDS = {str: "TEXT", int: "N", float: "NUMBER", Path: "PATH"}


def document() -> str:
    """Return the reference as Markdown."""
    from edgeleuk.cli import app

    commands = [*_commands(app, "edgeleuk")]
    contents = "".join(
        f"- [`{name}`](#{name.replace(' ', '-')}): {_first(function)}\n" for name, function in commands
    )
    return "\n".join(
        [HEAD, _wrapped_list(contents), *(_section(name, function) for name, function in commands)]
    )


def _commands(app: typer.Typer, path: str) -> Iterator[tuple[str, Callable[..., Any]]]:
    """Yield every command with its whole name, in the order of `--help`."""
    for command in app.registered_commands:
        if command.callback and not command.hidden:
            yield f"{path} {command.name or command.callback.__name__}", command.callback
    for group in app.registered_groups:
        if group.typer_instance:
            yield from _commands(group.typer_instance, f"{path} {group.name}")


def _first(function: Callable[..., Any]) -> str:
    """Return the first sentence of what a command does."""
    line = (inspect.getdoc(function) or "").split("\n\n")[0].replace("\n", " ")
    return line.split(". ")[0].rstrip(".") + "."


def _wrapped_list(text: str) -> str:
    return "".join(f"{_fill(line, '  ', first='')}\n" for line in text.splitlines())


def _section(name: str, function: Callable[..., Any]) -> str:
    arguments, options = _parameters(function)
    usage = " ".join([name, *(each[0] for each in arguments), *(["[OPTIONS]"] if options else [])])
    text = "\n\n".join(
        _fill(" ".join(part.split()), "", first="") for part in (inspect.getdoc(function) or "").split("\n\n")
    )
    rows = [_fill(f"- `{head}`: {said}", "  ", first="") for head, said in (*arguments, *options)]
    return f"## {name}\n\n    {usage}\n\n{text}\n" + (("\n" + "\n".join(rows) + "\n") if rows else "")


def _parameters(function: Callable[..., Any]) -> tuple[list[tuple[str, str]], list[tuple[str, str]]]:
    """Return arguments and options, each as its form and its meaning."""
    arguments, options = [], []
    hints = typing.get_type_hints(function, include_extras=True)
    for parameter in inspect.signature(function).parameters.values():
        hint = hints[parameter.name]
        extras = typing.get_args(hint)[1:] if typing.get_origin(hint) is typing.Annotated else ()
        infos = [each for each in (*extras, parameter.default) if isinstance(each, ArgumentInfo | OptionInfo)]
        if not infos or infos[0].hidden:
            continue
        info = infos[0]
        # `Annotated[str, Option("--slide")]` keeps the option's name where `= Option("x", "--slide")` has the default.
        default = info.default if parameter.default is info else parameter.default
        kind, repeated = _kind(hint)
        if isinstance(info, OptionInfo):
            options.append(_option(parameter.name, info, kind, repeated, default))
        else:
            arguments.append(_argument(parameter.name, info, repeated, default))
    return arguments, options


def _kind(hint: Any) -> tuple[type, bool]:
    """Return the type of one value, and whether there may be several."""
    if typing.get_origin(hint) is typing.Annotated:
        hint = typing.get_args(hint)[0]
    if typing.get_origin(hint) in (typing.Union, UnionType):
        hint = next(each for each in typing.get_args(hint) if each is not NoneType)
    if typing.get_origin(hint) in (list, tuple):
        return typing.get_args(hint)[0], True
    return hint, False


def _argument(name: str, info: ArgumentInfo, repeated: bool, default: Any) -> tuple[str, str]:
    form = (info.metavar or name.upper()).strip("[].")
    if repeated:
        form += "..."
    if default not in (inspect.Parameter.empty, ...):
        form = f"[{form}]"
    return form, _said(info, default)


def _option(name: str, info: OptionInfo, kind: type, repeated: bool, default: Any) -> tuple[str, str]:
    own = [info.default] if isinstance(info.default, str) and info.default.startswith("-") else []
    names = [*own, *(info.param_decls or ())] or [f"--{name.replace('_', '-')}"]
    form = ", ".join(sorted(names, key=len))
    if kind is not bool:
        form += f" {info.metavar or WORDS.get(kind, 'TEXT')}"
    return form + ("..." if repeated and kind is not bool else ""), _said(info, default)


def _said(info: ArgumentInfo | OptionInfo, default: Any) -> str:
    """Return help, limits, default and environment variable."""
    parts = [" ".join((info.help or "").split())]
    if info.min is not None or info.max is not None:
        parts.append(f"From {info.min:g}." if info.max is None else f"From {info.min:g} to {info.max:g}.")
    if isinstance(info.show_default, str):
        parts.append(f"Default: {info.show_default}.")
    elif info.show_default and default not in (None, inspect.Parameter.empty, ..., False, True, "", [], ()):
        parts.append(f"Default: {default}.")
    if isinstance(info, OptionInfo) and default in (inspect.Parameter.empty, ...):
        parts.append("Required.")
    if info.envvar:
        parts.append(f"Environment: {info.envvar}.")
    return " ".join(filter(None, parts))


def _fill(text: str, indent: str, *, first: str) -> str:
    return textwrap.fill(
        text,
        WIDTH,
        initial_indent=first,
        subsequent_indent=indent,
        break_long_words=False,
        break_on_hyphens=False,
    )


if __name__ == "__main__":
    sys.path.insert(0, str(FILE.parents[1]))  # the checkout's own program, whichever is installed
    FILE.write_text(document(), encoding="utf-8")
    print(f"wrote {FILE}")
