"""`edgeleuk calibrate`: a device profile from a few images.

The images are asked for step by step, or named as options.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from edgeleuk.cli._console import notices, print_json, report, results, tell, warn
from edgeleuk.cli._interview import Interview, files
from edgeleuk.cli._model import MagOption, in_use
from edgeleuk.cli._options import NetworkThreadsOption
from edgeleuk.errors import UsageError

if TYPE_CHECKING:
    from edgeleuk.calibration.device import Calibrated


def calibrate(
    name: Annotated[str, typer.Argument(help="Name of the profile, as bench-2.", show_default=False)],
    mag: MagOption = None,
    micrometer: Annotated[
        list[str] | None,
        typer.Option(
            "--micrometer", help="Picture of a stage micrometer or counting chamber.", show_default=False
        ),
    ] = None,
    spacing_um: Annotated[
        float | None,
        typer.Option(
            "--spacing-um",
            min=0.1,
            max=2000,
            help="Distance between its finest lines, micrometres.",
            show_default=False,
        ),
    ] = None,
    red_cells: Annotated[
        list[str] | None,
        typer.Option("--red-cells", help="Smear fields to measure the scale on.", show_default=False),
    ] = None,
    blank: Annotated[
        list[str] | None, typer.Option("--blank", help="Pictures of an empty field.", show_default=False)
    ] = None,
    smear: Annotated[
        list[str] | None,
        typer.Option("--smear", help="Smear fields to measure stain and sharpness on.", show_default=False),
    ] = None,
    source: Annotated[
        str | None,
        typer.Option(
            "--source",
            help="Camera for questions that are answered by `camera`, as usb:0; see `edgeleuk cameras`.",
            show_default="the first camera",
        ),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace a profile of this name.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the profile as JSON.")] = False,
    threads: NetworkThreadsOption = None,
) -> None:
    """Measure a microscope with its camera once, for use with --profile.

    Without pictures it asks for them, step by step, and takes them from the camera where you wish. Each option takes a
    file, a folder or a pattern in quotes, and may be repeated. Pictures must be whole, as the camera gives them. One that
    cannot be read is named at the end, and the others are measured; the exit code is then that of its error.
    """
    from dataclasses import asdict

    from edgeleuk.device import profiles
    from edgeleuk.render import profiles as render

    path = profiles.path_of(name)
    if path.exists() and not force:
        raise UsageError(
            f"there is a profile {name} already. Choose another name, or replace it with --force "
            f"(`edgeleuk profiles show {name}` shows it)."
        )
    profiles.require_writable(path)
    if any(named := (micrometer, red_cells, blank, smear)):
        if source:
            raise UsageError(
                "--source is for questions, and with pictures none is asked. Leave one of them out."
            )
        done = _measured(name, mag, named, spacing_um, threads)
    elif sys.stdin.isatty():
        done = Interview(name, mag, spacing_um, source, threads).held()
    else:
        raise UsageError(
            "nothing to calibrate with, and no terminal to ask on. Give --micrometer, --red-cells, --blank or --smear."
        )
    profiles.save(done.profile, path)
    for note in done.notes:
        warn(note)
    if as_json:
        print_json(asdict(done.profile))
    else:
        results().print(render.card(done.profile, path))
    for failure in done.failures:
        report(failure)
    tell(f"saved. Use it with `edgeleuk analyze ... --profile {name}`")
    if done.failures:
        raise typer.Exit(done.failures[0].exit_code)


def _measured(
    name: str,
    mag: str | None,
    named: Sequence[Sequence[str] | None],
    spacing_um: float | None,
    threads: int | None,
) -> Calibrated:
    """Calibrate with the files that the options name."""
    from edgeleuk.calibration.device import Pictures, calibrate
    from edgeleuk.networks.finder import Finder

    model = in_use(mag or "100x")
    pictures = Pictures(*(files(each or []) for each in named))
    with notices.status("measuring", spinner="line"):
        return calibrate(name, model.magnification, pictures, spacing_um, Finder(model.finder, threads))
