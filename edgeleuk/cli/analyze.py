"""`edgeleuk analyze`: pictures in, counts, differential and flags out."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edgeleuk.cli._console import notices, print_json, report, results, warn, writable_folder, write
from edgeleuk.errors import EdgeleukError, UsageError

if TYPE_CHECKING:
    from edgeleuk.differential import Differential
    from edgeleuk.pipeline import Analyser
    from edgeleuk.types import Field, Frame, Scale

Failures = list[tuple[str, EdgeleukError]]


def analyze(
    paths: Annotated[
        list[str] | None, typer.Argument(help="Pictures, folders, or patterns in quotes.", show_default=False)
    ] = None,
    mag: Annotated[str, typer.Option("--mag", help="Objective: 100x, 40x or 10x.")] = "100x",
    um_per_px: Annotated[
        float | None,
        typer.Option(
            "--um-per-px", help="Micrometres per pixel. Without it the red cells tell.", show_default=False
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            help="Folder for results: JSON, CSV and overlays, or those asked for.",
            show_default=False,
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON (see `edgeleuk schema`).")] = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print one CSV row a cell.")] = False,
    overlay: Annotated[
        bool, typer.Option("--overlay", help="Write an annotated copy of each picture to --out.")
    ] = False,
    recursive: Annotated[
        bool, typer.Option("-r", "--recursive", help="Folders with their subfolders.")
    ] = False,
    demo: Annotated[bool, typer.Option("--demo", help="Analyse the simulated smear that ships.")] = False,
    reference: Annotated[
        Path | None,
        typer.Option(
            "--reference", help="TOML file with your laboratory's reference ranges.", show_default=False
        ),
    ] = None,
    threads: Annotated[
        int | None, typer.Option(min=1, help="Threads of the networks.", show_default="all cores")
    ] = None,
) -> None:
    """Count the cells of smear pictures and give the white-cell differential with its uncertainty.

    A picture that cannot be read or scaled is named at the end; the rest is done. The exit code is then that of
    the first such error. Pictures are taken to show different places of the slide: cells seen twice count twice.
    """
    from edgeleuk import zoo
    from edgeleuk.differential import tally
    from edgeleuk.judge import judge_by
    from edgeleuk.pipeline import Analyser
    from edgeleuk.rules import load_reference
    from edgeleuk.types import Scale

    if demo == bool(paths):
        raise UsageError("name pictures to analyse, or --demo for the sample that ships; not both.")
    if um_per_px is not None and not 0.005 <= um_per_px <= 5:
        raise UsageError(
            f"--um-per-px {um_per_px} is outside 0.005 to 5. A 100x objective gives about 0.03 to 0.2."
        )
    if as_json and as_csv and out is None:
        raise UsageError(
            "--json and --csv both print to the same place. Give --out DIR to have both as files."
        )
    folder = writable_folder(out or Path("edgeleuk-results")) if out or overlay else None
    ranges = load_reference(reference) if reference else load_reference()
    analyser = Analyser(zoo.load(mag), threads)
    scale = None if um_per_px is None else Scale.given(um_per_px)
    inputs = [demo_picture()] if demo else paths or []
    write_all = folder is not None and not (as_json or as_csv or overlay)
    draw = folder if overlay or write_all else None

    fields, failures = _analyse_all(analyser, inputs, recursive, scale, draw)
    result = judge_by(analyser.model.reader, ranges)(tally(fields))
    _output(analyser, fields, failures, result, as_json, as_csv, folder, write_all)
    _close(fields, failures, folder)


def demo_picture() -> str:
    """Path of the simulated smear in the package."""
    return str(Path(__file__).parents[1] / "data" / "demo.jpg")


def _analyse_all(
    analyser: Analyser, inputs: Sequence[str], recursive: bool, scale: Scale | None, draw: Path | None
) -> tuple[list[Field], Failures]:
    """Every picture that can be analysed, and the errors of the others; one bad file never ends a batch."""
    from rich.progress import track

    from edgeleuk.sources.folder import expand, read_picture

    found = list(expand(inputs, recursive))
    fields: list[Field] = []
    failures: Failures = []
    taken: set[str] = set()
    bar = track(
        found, "analysing", console=notices, transient=True, disable=len(found) < 2 or not notices.is_terminal
    )
    for item in bar:
        try:
            if isinstance(item, EdgeleukError):
                raise item
            frame = read_picture(item)
            fields.append(analyser.analyse(frame, scale))
        except EdgeleukError as error:
            failures.append((str(item) if isinstance(item, Path) else "", error))
            continue
        for text in fields[-1].warnings:
            warn(f"{frame.name}: {text}")
        if draw:
            _draw(frame, fields[-1], analyser, draw, taken)
    return fields, failures


def _draw(frame: Frame, field: Field, analyser: Analyser, folder: Path, taken: set[str]) -> None:
    """Write the annotated copy; pictures of the same name from different folders get a number."""
    from edgeleuk.render.overlay import draw, encode

    stem, number = Path(frame.name).stem, 1
    name = f"{stem}.overlay.jpg"
    while name in taken:
        number += 1
        name = f"{stem}-{number}.overlay.jpg"
    taken.add(name)
    write(folder / name, encode(draw(frame.pixels, field, analyser.reader.labels)))


def _output(
    analyser: Analyser,
    fields: Sequence[Field],
    failures: Failures,
    result: Differential,
    as_json: bool,
    as_csv: bool,
    folder: Path | None,
    write_all: bool,
) -> None:
    import json

    from edgeleuk.render import tables, terminal

    document = tables.document(fields, result, analyser.model, failures)
    if folder and (as_json or write_all):
        write(folder / "results.json", json.dumps(document, indent=2, allow_nan=False) + "\n")
    if folder and (as_csv or write_all):
        write(folder / "cells.csv", tables.cells_csv(fields, analyser.reader.attributes))
        write(folder / "differential.csv", tables.differential_csv(result))
    if as_json:
        print_json(document)
    elif as_csv and not folder:
        typer.echo(tables.cells_csv(fields, analyser.reader.attributes), nl=False)
    elif fields:
        results().print(terminal.analysis(fields, result, analyser.model))


def _close(fields: Sequence[Field], failures: Failures, folder: Path | None) -> None:
    if folder:
        notices.print(f"results are in {folder}", markup=False)
    for _, error in failures:
        report(error)
    if failures and len(fields) + len(failures) > 1:
        notices.print(f"{len(fields)} analysed, {len(failures)} not", markup=False)
    if failures:
        raise typer.Exit(failures[0][1].exit_code)
