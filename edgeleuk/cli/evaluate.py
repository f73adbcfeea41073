"""`edgeleuk eval`: figures of the finder, the reader and the whole pipeline on labelled data. Needs the extra `eval` for the finder."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from edgeleuk.cli._console import notices, print_json, results
from edgeleuk.errors import UsageError

app = typer.Typer(
    help="Measure the finder, the reader or the whole pipeline on labelled data.", no_args_is_help=True
)

Images = Annotated[
    Path, typer.Option("--images", help="Folder the file names start from.", show_default=False)
]
Mag = Annotated[str, typer.Option("--mag", help="Objective: 100x, 40x or 10x.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Plot = Annotated[
    Path | None,
    typer.Option("--plot", help="Also draw the figures: a .png, .svg or .pdf file.", show_default=False),
]
Limit = Annotated[
    int | None,
    typer.Option("--limit", min=1, help="Only so many pictures, evenly spread.", show_default=False),
]
Virtual = Annotated[
    str | None,
    typer.Option(
        "--virtual",
        help="First render what this objective would have seen of each picture: 40x or 10x.",
        show_default=False,
    ),
]
Threads = Annotated[int | None, typer.Option(min=1, help="Threads of the network.", show_default="all cores")]


class ScaleOption(StrEnum):
    """Where the scale comes from."""

    TRUTH = "truth"
    ESTIMATE = "estimate"


@app.command()
def finder(
    coco: Annotated[Path, typer.Argument(help="COCO file with boxes.", show_default=False)],
    images: Images,
    mag: Mag = "100x",
    scale: Annotated[
        ScaleOption,
        typer.Option("--scale", help="truth: the file's annotated red cells; estimate: as analyze does."),
    ] = ScaleOption.TRUTH,
    um_per_px: Annotated[
        float | None,
        typer.Option(
            "--um-per-px", help="Scale of pictures without annotated red cells.", show_default=False
        ),
    ] = None,
    as_json: Json = False,
    virtual: Virtual = None,
    plot: Plot = None,
    limit: Limit = None,
    threads: Threads = None,
) -> None:
    """Average precision, recall, precision and counts by class, through the finder that analyze uses."""
    from edgeleuk import zoo
    from edgeleuk.evaluation.datasets import load_fields
    from edgeleuk.evaluation.fields import evaluate_finder
    from edgeleuk.evaluation.scales import ScaleRule
    from edgeleuk.finder import Finder
    from edgeleuk.scale import estimate_scale

    samples, names = load_fields(coco, images)
    samples = samples[:: _step(len(samples), limit)]
    if not samples:
        raise UsageError(f"{coco} lists no pictures. Give a file with some.")
    found = Finder(zoo.load(mag).finder, threads)
    rule = ScaleRule.of(scale.value, samples, names, lambda image: estimate_scale(image, found), um_per_px)
    read = None
    if virtual:
        from edgeleuk.evaluation.virtual import virtual_fields
        from edgeleuk.microscope import objective

        samples, rule, read = virtual_fields(samples, rule, objective(virtual))
    with _progress("finding") as progress:
        report = evaluate_finder(found, samples, names, rule, progress, read)
    if plot:
        from edgeleuk.evaluation.plots import plot_finder

        plot_finder(report, plot)
    if as_json:
        print_json(report.as_json())
    else:
        from edgeleuk.render.evaluation import render_finder

        results().print(render_finder(report))


@app.command()
def reader(
    cells: Annotated[
        Path, typer.Argument(help="Table of cells (CSV: file, label, ...).", show_default=False)
    ],
    images: Images,
    mag: Mag = "100x",
    split: Annotated[
        str | None, typer.Option("--split", help="Only rows of this split.", show_default=False)
    ] = None,
    source: Annotated[
        str | None, typer.Option("--source", help="Only rows of this source.", show_default=False)
    ] = None,
    as_json: Json = False,
    virtual: Virtual = None,
    plot: Plot = None,
    limit: Limit = None,
    threads: Threads = None,
) -> None:
    """Accuracy by type and source, confusion, attributes and blasts, through the reader that analyze uses."""
    from edgeleuk import zoo
    from edgeleuk.evaluation.cells import evaluate_reader
    from edgeleuk.evaluation.datasets import load_cells
    from edgeleuk.reader import Reader

    model = zoo.load(mag)
    every = load_cells(cells, images, tuple(model.reader.attributes))
    chosen = [s for s in every if split in (None, s.split) and source in (None, s.source)]
    if not chosen:
        splits = ", ".join(sorted({s.split for s in every})) or "none"
        sources = ", ".join(sorted({s.source for s in every})) or "none"
        raise UsageError(
            f"no row of {cells} is of this split and source. Splits: {splits}; sources: {sources}."
        )
    chosen = chosen[:: _step(len(chosen), limit)]
    look = None
    if virtual:
        from edgeleuk.evaluation.virtual import virtual_cells
        from edgeleuk.microscope import objective

        look = virtual_cells(objective(virtual))
    with _progress("reading") as progress:
        report = evaluate_reader(Reader(model.reader, threads), chosen, progress, look)
    if plot:
        from edgeleuk.evaluation.plots import plot_reader

        plot_reader(report, plot)
    if as_json:
        print_json(report.as_json())
    else:
        from edgeleuk.render.evaluation import render_reader

        results().print(render_reader(report))


@app.command()
def slides(
    table: Annotated[
        Path, typer.Argument(help="JSON list of slides: slide, fields, cell_counts.", show_default=False)
    ],
    images: Images,
    mag: Mag = "100x",
    as_json: Json = False,
    limit: Limit = None,
    threads: Threads = None,
) -> None:
    """Whole slides through the pipeline: the leading group and the blast-like share against annotated counts."""
    from dataclasses import replace

    from edgeleuk import zoo
    from edgeleuk.evaluation.slides import evaluate_slides, load_slides
    from edgeleuk.pipeline import Analyser

    samples = load_slides(table, images)
    if not samples:
        raise UsageError(f"{table} lists no slides. Give a file with some.")
    samples = [replace(s, fields=s.fields[:: _step(len(s.fields), limit)]) for s in samples]
    with _progress("analysing") as progress:
        report = evaluate_slides(Analyser(zoo.load(mag), threads), samples, progress)
    if as_json:
        print_json(report.as_json())
    else:
        from edgeleuk.render.evaluation import render_slides

        results().print(render_slides(report))


def _step(count: int, limit: int | None) -> int:
    return max(1, count // limit) if limit else 1


@contextmanager
def _progress(text: str) -> Iterator[Callable[[int, int], None]]:
    """A bar on a terminal's stderr; nothing elsewhere."""
    from rich.progress import Progress

    with Progress(console=notices, transient=True, disable=not notices.is_terminal) as bar:
        task = bar.add_task(text, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)
