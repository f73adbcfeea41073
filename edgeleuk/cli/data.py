"""`edgeleuk data`: labelled data sets in this project's form."""

from __future__ import annotations

import re
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edgeleuk.cli._console import print_json, progress_bar, results, tell
from edgeleuk.errors import InputError, OutputError, UsageError
from edgeleuk.system import user_paths

if TYPE_CHECKING:
    from edgeleuk.types import Scale

app = typer.Typer(help="Bring labelled data sets into this program's form.", no_args_is_help=True)


@app.callback()
def data() -> None:
    """Bring labelled data sets into this program's form."""


class Format(StrEnum):
    """Format of a data set."""

    LEUKEMIAATTRI = "leukemiaattri"
    LLD = "lld"
    VOC = "voc"
    YOLO = "yolo"
    COCO = "coco"


@app.command("import")
def import_data(
    form: Annotated[
        Format,
        typer.Argument(
            metavar="FORMAT",
            help="leukemiaattri or lld (its journal form), as they are released; or pictures with voc, yolo or coco labels.",
            show_default=False,
        ),
    ],
    release: Annotated[
        Path,
        typer.Argument(metavar="DIR", help="Folder that the data set was unpacked to.", show_default=False),
    ],
    out: Annotated[
        Path, typer.Option("--out", help="Folder for fields, cells and report.", show_default=False)
    ],
    names: Annotated[
        Path | None,
        typer.Option(
            "--names",
            help="Names of the class ids of text labels: a .yaml with names, or one a line, from id 0. Not needed where COCO files are.",
            show_default=False,
        ),
    ] = None,
    um_per_px_x: Annotated[
        float | None,
        typer.Option(
            "--um-per-px-x", help="Scale along x. Without it the red cells are measured.", show_default=False
        ),
    ] = None,
    um_per_px_y: Annotated[
        float | None,
        typer.Option("--um-per-px-y", help="Scale along y, if not that along x.", show_default=False),
    ] = None,
    mag: Annotated[
        str, typer.Option("--mag", help="Objective of the pictures, for voc, yolo and coco.")
    ] = "100x",
    patient: Annotated[
        str | None,
        typer.Option(
            "--patient",
            metavar="PATTERN",
            help="Pattern of file names with one group, the patient, for voc, yolo and coco.",
            show_default="each picture is a group of its own",
        ),
    ] = None,
    incomplete: Annotated[
        bool,
        typer.Option("--incomplete", help="Not every cell was annotated; leukemiaattri and lld never are."),
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
) -> None:
    """Read a data set as it is, and write fields and cells that training and evaluation read.

    The report says what was found, what was left out and why; it is also in OUT/import.json. Set EDGELEUK_DATA to OUT to use
    the data with other commands. Fields are linked where the disk allows it, else copied.
    """
    from edgeleuk.lab.importing.importer import Request, run
    from edgeleuk.lab.render.importing import render_import

    request = Request(
        format=form.value,
        release=user_paths.expanded(release, "the command line", InputError),
        out=user_paths.expanded(out, "--out", OutputError),
        names=_names(names) if names else {},
        patient=_pattern(patient) if patient else None,
        magnification=_objective(mag),
        complete=not incomplete,
        scale=_scale(um_per_px_x, um_per_px_y),
    )
    with progress_bar("importing") as progress:
        report = run(request, progress)
    if as_json:
        print_json(report.as_json())
    else:
        results().print(render_import(report))
    tell(f"imported to {request.out}; EDGELEUK_DATA={request.out} uses it")
    if report.findings.unreadable:
        raise InputError(
            f"{report.findings.unreadable} files could not be read; the others were imported. The report names them."
        )


def _scale(x: float | None, y: float | None) -> Scale | None:
    from edgeleuk.models.manifest import UM_PER_PX
    from edgeleuk.types import Scale

    if x is None:
        if y is not None:
            raise UsageError("--um-per-px-y needs --um-per-px-x. Give both, or leave both out.")
        return None
    y = x if y is None else y
    if not all(UM_PER_PX[0] <= each <= UM_PER_PX[1] for each in (x, y)):
        raise UsageError("a scale is 0.001 to 100 um per pixel. A 100x objective gives about 0.1.")
    return Scale(x, y, "given", 0.0)


def _objective(mag: str) -> str:
    from edgeleuk.imaging.objectives import objective

    objective(mag)
    return mag


def _pattern(text: str) -> re.Pattern[str]:
    try:
        pattern = re.compile(text)
    except re.error as error:
        raise UsageError(
            f"--patient {text!r} is no pattern: {error}. An example: --patient '^(\\d+)_'."
        ) from error
    if pattern.groups != 1:
        raise UsageError(
            f"--patient {text!r} has {pattern.groups} groups. Write one, around what tells the patient: '^(\\d+)_'."
        )
    return pattern


def _names(path: Path) -> dict[int, str]:
    """Read the names of class ids.

    The file has `names: [...]` of a .yaml, a list below `names:`, or one name a line.
    """
    from edgeleuk.system import file_io

    try:
        text = file_io.read_text(path)
    except (OSError, file_io.UnreadableError) as error:
        raise InputError(f"cannot read {path}: {file_io.plain(error)}.") from error
    if listed := re.search(r"^names:\s*\[(.*?)\]", text, re.MULTILINE | re.DOTALL):
        found = listed[1].split(",")
    elif block := re.search(r"^names:\s*\n((?:[ \t]+.*\n?|-.*\n?)+)", text, re.MULTILINE):
        found = [re.sub(r"^\s*(?:-|\d+:)", "", line) for line in block[1].splitlines()]
    else:
        found = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
    names = [each.strip().strip("\"'").strip() for each in found]
    return dict(enumerate(name for name in names if name))
