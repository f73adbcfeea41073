"""`edgeleuk doctor`: checks of this machine, with remedies."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edgeleuk.cli._console import notices, print_json, results, tell, write
from edgeleuk.cli._options import JsonOption
from edgeleuk.system import private_files
from edgeleuk.system.sentences import said

if TYPE_CHECKING:
    from edgeleuk.doctor.findings import Report


def doctor(
    quick: Annotated[
        bool, typer.Option("--quick", help="Run no network and start no camera; seconds instead of a minute.")
    ] = False,
    bundle: Annotated[
        Path | None,
        typer.Option(
            "--bundle",
            metavar="FILE",
            help="Also write a support archive: the report, versions, faults in the service's log; no pictures,"
            " no sessions, no names.",
            show_default=False,
        ),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Examine this machine: processor, memory, models, cameras, permissions, disk, clock, power.

    Each line is ok, a warning or a failure, with the command that fixes it below. The exit code is 0 where there is
    no failure, warnings or not, and 1 where there is one.
    """
    from edgeleuk.doctor.examination import examine

    with notices.status(said("examining")) as status:
        found = examine(
            quick=quick, telling=lambda text: status.update(said(text)) if notices.is_terminal else None
        )
    if as_json:
        print_json(found.as_json())
    else:
        from edgeleuk.render import doctor as render

        results().print(render.report(found), crop=False)  # a command stays whole
    if bundle:
        _write_bundle(found, bundle)
    if not found.works:
        raise typer.Exit(1)


def _write_bundle(found: Report, target: Path) -> None:
    from edgeleuk.doctor.bundle import bundle
    from edgeleuk.render import doctor as render
    from edgeleuk.render.rich_console import PlainConsole

    plain = PlainConsole(width=100, color_system=None)
    with plain.capture() as text:
        plain.print(render.report(found), crop=False)
    write(target, bundle(found, text.get()), private_files.FILE)
    tell(f"{target}: look at it before you send it (unzip -p {target} | less)")
