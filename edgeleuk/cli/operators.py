"""`edgeleuk operators`: who may sign, each with a PIN."""

from __future__ import annotations

import sys
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from edgeleuk._text import escaped
from edgeleuk.cli._console import print_json, results, tell
from edgeleuk.cli._options import JsonOption
from edgeleuk.cli._who import StoreOption
from edgeleuk.errors import UsageError
from edgeleuk.system import file_io
from edgeleuk.system.language import _
from edgeleuk.system.sentences import said

if TYPE_CHECKING:
    from edgeleuk.sessions.operators import Operator

app = typer.Typer(
    help="Operators who may sign reports, each with a PIN.\n\n"
    "Without any, everybody signs with a name alone. Once there is one, names are taken and reports signed with a PIN"
    " only. They are kept in the file of the sessions; of a PIN there is a hash.",
    no_args_is_help=True,
)
Name = Annotated[str, typer.Argument(metavar="NAME", help="Name that signatures carry.", show_default=False)]
LONGEST_LINE = 1000
"""Maximum characters of a line that a PIN is read from."""


@app.command("list")
def list_operators(as_json: JsonOption = False, store: StoreOption = None) -> None:
    """List the operators, disabled ones too."""
    from edgeleuk.sessions import default_path, open_store

    found: tuple[Operator, ...] = ()
    if store or not file_io.is_absent(default_path()):
        with open_store(store, create=False) as opened:
            found = opened.operators.list()
    if as_json:
        print_json({"operators": [asdict(each) for each in found]})
        return
    for each in found:
        results().print(escaped(f"{each.name}{_(': ')}{said(_state(each))}"), markup=False, soft_wrap=True)
    if not found:
        tell("no operators: everybody signs with a name alone. `edgeleuk operators add NAME` adds the first.")


@app.command()
def add(name: Name, as_json: JsonOption = False, store: StoreOption = None) -> None:
    """Add an operator, or give one a new PIN, which also ends a lock and enables a disabled one.

    The PIN is asked for twice; without a terminal it is the first line of the standard input.
    """
    from edgeleuk.sessions import open_store
    from edgeleuk.sessions.operators import name_of

    known = name_of(name)  # before a PIN is asked for nothing
    pin = _pin()
    with open_store(store) as opened:
        first = not opened.operators.needed()
        added = opened.operators.add(known, pin)
    _told(added, as_json)
    if first:
        tell("from now on reports of this file are signed with a PIN only.")


@app.command()
def disable(name: Name, as_json: JsonOption = False, store: StoreOption = None) -> None:
    """Disable an operator, who then cannot sign. Earlier signatures stay as they are.

    To disable the last one does not open the file to everybody; `add` enables an operator again.
    """
    from edgeleuk.sessions import open_store

    with open_store(store, create=False) as opened:
        disabled = opened.operators.disable(name)
    _told(disabled, as_json)


def _told(operator: Operator, as_json: bool) -> None:
    if as_json:
        print_json({"operator": asdict(operator)})
    else:
        tell(f"operator {operator.name}: {_state(operator)}")


def _state(operator: Operator) -> str:
    if operator.disabled:
        return f"disabled since {operator.disabled[:10]}"
    able = f"may sign, since {operator.added[:10]}"
    return f"{able}, locked after wrong PINs until {operator.locked_until}" if operator.locked_until else able


def _pin() -> str:
    """Return the PIN that is typed twice.

    From a pipe, it is the first line.

    Raises:
        UsageError: There is none.
    """
    if sys.stdin.isatty():
        typed: str = typer.prompt("PIN", hide_input=True, confirmation_prompt=True, err=True)
        return typed
    line = sys.stdin.readline(LONGEST_LINE).rstrip("\r\n")
    if not line:
        raise UsageError("no PIN. Type it on a terminal, or give it as the first line of the standard input.")
    return line
