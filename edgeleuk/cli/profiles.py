"""`edgeleuk profiles`: device profiles on this machine."""

from __future__ import annotations

from typing import Annotated

import typer

from edgeleuk.cli._console import print_json, results, tell
from edgeleuk.cli._options import JsonOption
from edgeleuk.errors import EdgeleukError, OutputError
from edgeleuk.system.sentences import said

app = typer.Typer(help="Device profiles on this machine: list, show, remove.", no_args_is_help=True)

Name = Annotated[
    str, typer.Argument(help="Name of a profile, see `edgeleuk profiles list`.", show_default=False)
]


@app.command("list")
def list_profiles(as_json: JsonOption = False) -> None:
    """List the device profiles by name."""
    from dataclasses import asdict

    from edgeleuk.device import profiles
    from edgeleuk.render import profiles as render

    found: dict[str, profiles.Profile | EdgeleukError] = {}
    for name in profiles.available():
        try:
            found[name] = profiles.load(name)
        except EdgeleukError as error:
            found[name] = error
    if as_json:
        print_json(
            [
                {"name": name, "error": str(each)} if isinstance(each, EdgeleukError) else asdict(each)
                for name, each in found.items()
            ]
        )
    else:
        results().print(render.listing(found, profiles.folder()))


@app.command()
def show(name: Name, as_json: JsonOption = False) -> None:
    """Show what was measured of a device, and how well."""
    from dataclasses import asdict

    from edgeleuk.device import profiles
    from edgeleuk.render import profiles as render

    profile = profiles.load(name)
    if as_json:
        print_json(asdict(profile))
    else:
        results().print(render.card(profile, profiles.find(name)))


@app.command()
def remove(name: Name, yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False) -> None:
    """Delete a profile's file."""
    from edgeleuk.device import profiles

    path = profiles.find(name)
    if not yes:
        typer.confirm(said(f"delete {path}?"), abort=True, err=True)
    try:
        path.unlink()
    except OSError as error:
        raise OutputError(f"cannot delete {path}: {error.strerror}. Check its permissions.") from error
    tell(f"deleted {path}")
