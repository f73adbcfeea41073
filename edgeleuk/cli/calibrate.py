"""`edgeleuk calibrate`: from a handful of pictures to a device profile, asked for step by step or named as options."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from edgeleuk.cli._console import notices, print_json, results, warn
from edgeleuk.errors import EdgeleukError, UsageError

MICROMETER = (
    "Scale. Put a stage micrometer or a counting chamber under the microscope, focus on its lines and take a picture, "
    "with the camera as you will use it. Without one, leave this empty: red cells will do, to about 7 %."
)
BLANK = (
    "Light. Move to an empty part of a slide, defocus a little, and take one to three pictures: they tell the shading "
    "of the field and the colour of the lamp. Leave this empty to skip it."
)
SMEAR = (
    "Stain. Take three to ten fields of ordinary smears, in focus, red cells mostly apart, each with a white cell: they "
    "tell the colours of your stain, and how sharp a good picture is. Leave this empty to skip it."
)


def calibrate(
    name: Annotated[str, typer.Argument(help="Of the profile, as bench-2.", show_default=False)],
    mag: Annotated[
        str | None, typer.Option("--mag", help="Objective: 100x, 40x or 10x.", show_default="100x")
    ] = None,
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
            help="Between its finest lines, micrometres.",
            show_default=False,
        ),
    ] = None,
    red_cells: Annotated[
        list[str] | None,
        typer.Option("--red-cells", help="Smear fields to tell the scale from.", show_default=False),
    ] = None,
    blank: Annotated[
        list[str] | None, typer.Option("--blank", help="Pictures of an empty field.", show_default=False)
    ] = None,
    smear: Annotated[
        list[str] | None,
        typer.Option("--smear", help="Smear fields to tell stain and sharpness from.", show_default=False),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace a profile of this name.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the profile as JSON.")] = False,
    threads: Annotated[
        int | None, typer.Option(min=1, help="Threads of the network.", show_default="all cores")
    ] = None,
) -> None:
    """Measure one microscope with its camera once, and use it with --profile from then on.

    Without pictures it asks for them, step by step. Each option takes a file, a folder or a pattern in quotes, and may
    be repeated. Pictures must be whole, as the camera gives them.
    """
    from dataclasses import asdict

    from edgeleuk import profiles, zoo
    from edgeleuk.calibration.device import Pictures, calibrate
    from edgeleuk.finder import Finder
    from edgeleuk.render import profiles as render

    path = profiles.path_of(name)
    if path.exists() and not force:
        raise UsageError(
            f"there is a profile {name} already. Choose another name, or replace it with --force "
            f"(`edgeleuk profiles show {name}` shows it)."
        )
    if not any((micrometer, red_cells, blank, smear)):
        mag, micrometer, spacing_um, blank, smear = _asked(mag, spacing_um)
    model = zoo.load(mag or "100x")
    parts = (_files(each) for each in (micrometer, red_cells, blank, smear))
    pictures = Pictures(*parts)
    with notices.status("measuring"):
        done = calibrate(name, model.magnification, pictures, spacing_um, Finder(model.finder, threads))
    profiles.save(done.profile, path)
    for note in done.notes:
        warn(note)
    if as_json:
        print_json(asdict(done.profile))
    else:
        results().print(render.card(done.profile, path))
    notices.print(f"saved. Use it with `edgeleuk analyze ... --profile {name}`", markup=False)


def _files(named: Sequence[str] | None) -> list[Path]:
    """The files that an option names. Raises the first error among them."""
    from edgeleuk.sources.folder import expand

    files = []
    for each in expand(named or []):
        if isinstance(each, EdgeleukError):
            raise each
        files.append(each)
    return files


def _asked(
    mag: str | None, spacing_um: float | None
) -> tuple[str, list[str], float | None, list[str], list[str]]:
    """What a person answers: objective, micrometer, its spacing, blank fields, smear fields."""
    if not sys.stdin.isatty():
        raise UsageError(
            "nothing to calibrate with, and no terminal to ask on. Give --micrometer, --red-cells, --blank or --smear."
        )
    notices.print("Files, folders or patterns; several are separated by spaces.\n")
    mag = mag or typer.prompt("Objective (100x, 40x or 10x)", default="100x", err=True)
    ruled = _pictures(MICROMETER, "Pictures of the ruling")
    if ruled and spacing_um is None:
        spacing_um = typer.prompt(
            "Distance of its finest lines, micrometres", type=float, default=10.0, err=True
        )
    return mag, ruled, spacing_um, _pictures(BLANK, "Empty fields"), _pictures(SMEAR, "Smear fields")


def _pictures(explanation: str, question: str) -> list[str]:
    """Asks until what is answered can be found; an empty answer is none."""
    import shlex

    notices.print(f"\n{explanation}", markup=False)
    while True:
        answer = typer.prompt(question, default="", show_default=False, err=True)
        try:
            named = shlex.split(answer)
            _files(named)
        except (EdgeleukError, ValueError) as error:
            notices.print(str(error), markup=False)
            continue
        return named
