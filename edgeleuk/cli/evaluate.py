"""`edgeleuk eval`: measurements on labelled data.

It measures the finder, the reader and the whole pipeline. The finder needs the extra `eval`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Protocol, TypeVar

import typer

from edgeleuk.cli._console import print_json, progress_bar, results
from edgeleuk.cli._model import MagOption, ModelOption, chosen
from edgeleuk.cli._options import JsonOption, NetworkThreadsOption, UmPerPxOption
from edgeleuk.cli._rules import ReferenceOption, RulesOption, standards
from edgeleuk.errors import UsageError

if TYPE_CHECKING:
    from rich.console import RenderableType

    from edgeleuk.lab.evaluation.cells import CellLoader
    from edgeleuk.lab.evaluation.datasets import CellSample

app = typer.Typer(
    help="Measure the finder, the reader or the whole pipeline on labelled data.", no_args_is_help=True
)

Cells = Annotated[Path, typer.Argument(help="Table of cells (CSV: file, label, ...).", show_default=False)]
Coco = Annotated[Path, typer.Argument(help="COCO file with boxes.", show_default=False)]
Images = Annotated[
    Path, typer.Option("--images", help="Folder that the file names are relative to.", show_default=False)
]
Plot = Annotated[
    Path | None,
    typer.Option("--plot", help="Also draw the figures: a .png, .svg or .pdf file.", show_default=False),
]
Split = Annotated[str, typer.Option("--split", help="Use only rows of this split.")]
Limit = Annotated[
    int | None,
    typer.Option("--limit", min=1, help="Use only so many pictures, evenly spread.", show_default=False),
]
Virtual = Annotated[
    str | None,
    typer.Option(
        "--virtual",
        help="First render each picture as this objective would show it: 40x or 10x.",
        show_default=False,
    ),
]


class ScaleOption(StrEnum):
    """Origin of the scale."""

    TRUTH = "truth"
    ESTIMATE = "estimate"


HealthySlides = Annotated[int, typer.Option("--slides", min=1, help="Healthy slides to simulate.")]
CellsPerSlide = Annotated[int, typer.Option("--cells", min=1, help="White cells on each of them.")]
HealthySource = Annotated[
    str, typer.Option("--healthy-source", help="Source whose cells the healthy slides are made of.")
]
PatientsSource = Annotated[
    str, typer.Option("--patients-source", help="Source whose patients with blasts should be flagged.")
]


@app.command()
def finder(
    coco: Coco,
    images: Images,
    mag: MagOption = None,
    model_folder: ModelOption = None,
    scale: Annotated[
        ScaleOption,
        typer.Option(
            "--scale", help="Scale by the annotated red cells (truth), or as analyze measures it (estimate)."
        ),
    ] = ScaleOption.TRUTH,
    um_per_px: Annotated[
        float | None,
        typer.Option(
            "--um-per-px", help="Scale of pictures without annotated red cells.", show_default=False
        ),
    ] = None,
    as_json: JsonOption = False,
    virtual: Virtual = None,
    composed: Annotated[
        bool,
        typer.Option("--composed", help="With --virtual: compose wide fields of the pictures' whole cells."),
    ] = False,
    plot: Plot = None,
    limit: Limit = None,
    threads: NetworkThreadsOption = None,
) -> None:
    """Measure the finder: average precision, recall, precision and counts by cell class."""
    from edgeleuk.lab.evaluation.datasets import load_fields
    from edgeleuk.lab.evaluation.fields import evaluate_finder
    from edgeleuk.lab.evaluation.scales import ScaleRule, estimate_by
    from edgeleuk.lab.render.evaluation import render_finder
    from edgeleuk.networks.finder import Finder

    model = chosen(model_folder, mag)
    samples, names = load_fields(coco, images)
    samples = samples[:: _step(len(samples), limit)]
    if not samples:
        raise UsageError(f"{coco} lists no pictures. Give a file with some.")
    if composed and not virtual:
        raise UsageError(
            "--composed shows what a weaker objective sees of many cells. Add --virtual 40x or 10x."
        )
    found = Finder(model.finder, threads)
    rule = ScaleRule.of(scale.value, samples, names, estimate_by(found), um_per_px)
    read = None
    if virtual:
        from edgeleuk.imaging.objectives import objective
        from edgeleuk.lab.evaluation.objectives import composed_fields, virtual_fields

        lens = objective(virtual)
        samples, rule, read = (
            composed_fields(samples, names, rule, lens) if composed else virtual_fields(samples, rule, lens)
        )
    with progress_bar("finding") as progress:
        report = evaluate_finder(found, samples, names, rule, progress, read)
    if plot:
        from edgeleuk.lab.evaluation.plots import plot_finder

        plot_finder(report, plot)
    _print(report, render_finder, as_json)


@app.command()
def reader(
    cells: Cells,
    images: Images,
    mag: MagOption = None,
    model_folder: ModelOption = None,
    split: Annotated[
        str | None, typer.Option("--split", help="Use only rows of this split.", show_default=False)
    ] = None,
    source: Annotated[
        list[str] | None,
        typer.Option("--source", help="Use only rows of this source; repeat for more.", show_default="all"),
    ] = None,
    as_json: JsonOption = False,
    virtual: Virtual = None,
    restain: Annotated[
        int | None,
        typer.Option(
            "--restain",
            min=0,
            help="First re-stain each picture as another laboratory would; the number draws the laboratories.",
            show_default=False,
        ),
    ] = None,
    plot: Plot = None,
    limit: Limit = None,
    threads: NetworkThreadsOption = None,
    rules: RulesOption = None,
) -> None:
    """Measure the reader: accuracy by type and source, confusion, attributes and blasts."""
    from edgeleuk.lab.evaluation.cells import evaluate_reader
    from edgeleuk.lab.evaluation.datasets import load_cells
    from edgeleuk.lab.render.evaluation import render_reader
    from edgeleuk.networks.reader import Reader

    model = chosen(model_folder, mag)
    rule_set, _ = standards(rules)
    every = load_cells(cells, images, tuple(model.reader.attributes), model.reader.told_by_label)
    picked = _of(every, split, source or (), cells)
    picked = picked[:: _step(len(picked), limit)]
    with progress_bar("reading") as progress:
        report = evaluate_reader(
            Reader(model.reader, threads), picked, rule_set, progress, _cell_loader(virtual, restain)
        )
    if plot:
        from edgeleuk.lab.evaluation.plots import plot_reader

        plot_reader(report, plot)
    _print(report, render_reader, as_json)


@app.command()
def slides(
    table: Annotated[
        Path, typer.Argument(help="JSON list of slides: slide, fields, cell_counts.", show_default=False)
    ],
    images: Images,
    mag: MagOption = None,
    model_folder: ModelOption = None,
    as_json: JsonOption = False,
    limit: Limit = None,
    threads: NetworkThreadsOption = None,
    rules: RulesOption = None,
    reference: ReferenceOption = None,
) -> None:
    """Compare whole slides with annotated counts: the leading group and the share of blast-like cells."""
    from dataclasses import replace

    model = chosen(model_folder, mag)
    from edgeleuk.analysis.analyser import Analyser
    from edgeleuk.lab.evaluation.slides import evaluate_slides, load_slides
    from edgeleuk.lab.render.evaluation import render_slides

    loaded = standards(rules, reference)
    samples = load_slides(table, images)
    if not samples:
        raise UsageError(f"{table} lists no slides. Give a file with some.")
    samples = [replace(s, fields=s.fields[:: _step(len(s.fields), limit)]) for s in samples]
    with progress_bar("analysing") as progress:
        report = evaluate_slides(Analyser(model, threads, refusing=True), samples, *loaded, progress)
    _print(report, render_slides, as_json)


@app.command()
def whole(
    coco: Coco,
    images: Images,
    mag: MagOption = None,
    model_folder: ModelOption = None,
    um_per_px: UmPerPxOption = None,
    as_json: JsonOption = False,
    limit: Limit = None,
    threads: NetworkThreadsOption = None,
    rules: RulesOption = None,
    reference: ReferenceOption = None,
) -> None:
    """Measure finder and reader together: white cells of whole fields found, and read correctly."""
    from edgeleuk.analysis.analyser import Analyser
    from edgeleuk.counting.scale_policy import ScalePolicy
    from edgeleuk.counting.slide import SlideCount
    from edgeleuk.lab.evaluation.datasets import load_fields
    from edgeleuk.lab.evaluation.end_to_end import evaluate_whole
    from edgeleuk.lab.render.evaluation import render_whole
    from edgeleuk.types import Scale

    model = chosen(model_folder, mag)
    samples, names = load_fields(coco, images)
    samples = samples[:: _step(len(samples), limit)]
    analyser = Analyser(model, threads, refusing=True)
    scale = ScalePolicy(analyser, None if um_per_px is None else Scale.given(um_per_px))
    slide = SlideCount(analyser, *standards(rules, reference), scale)
    with progress_bar("analysing") as progress:
        report = evaluate_whole(samples, names, slide, progress)
    _print(report, render_whole, as_json)


@app.command()
def phone(
    coco: Coco,
    images: Images,
    mag: MagOption = None,
    model_folder: ModelOption = None,
    view: Annotated[
        list[str] | None,
        typer.Option("--view", help="Only this way to hold the phone; repeat for more.", show_default="all"),
    ] = None,
    composed: Annotated[
        bool,
        typer.Option(
            "--composed", help="Compose fields as wide as an eyepiece shows of the pictures' whole cells."
        ),
    ] = False,
    as_json: JsonOption = False,
    limit: Limit = None,
    threads: NetworkThreadsOption = None,
) -> None:
    """Measure pictures as a phone at the eyepiece takes them: field of view, scale and white cells."""
    from edgeleuk.analysis.analyser import Analyser
    from edgeleuk.lab.evaluation.datasets import load_fields
    from edgeleuk.lab.evaluation.objectives import round_fields
    from edgeleuk.lab.evaluation.phone import evaluate_phone
    from edgeleuk.lab.render.evaluation import render_phone

    model = chosen(model_folder, mag)
    samples, names = load_fields(coco, images)
    wide = round_fields(samples, names) if composed else None
    samples = wide.samples if wide else samples
    samples = samples[:: _step(len(samples), limit)]
    analyser = Analyser(model, threads)
    with progress_bar("analysing") as progress:
        report = evaluate_phone(analyser, samples, names, view or (), progress, wide)
    _print(report, render_phone, as_json)


@app.command()
def alarms(
    cells: Cells,
    images: Images,
    mag: MagOption = None,
    model_folder: ModelOption = None,
    split: Split = "val",
    slides: HealthySlides = 1000,
    per_slide: CellsPerSlide = 200,
    healthy: HealthySource = "pbc",
    patients: PatientsSource = "deepapl",
    as_json: JsonOption = False,
    virtual: Virtual = None,
    limit: Limit = None,
    threads: NetworkThreadsOption = None,
    rules: RulesOption = None,
    reference: ReferenceOption = None,
) -> None:
    """Count blast flags: on simulated healthy slides, and on patients with 10 % blasts or more."""
    from edgeleuk.differential.for_reader import differential_function
    from edgeleuk.differential.rules import Standards
    from edgeleuk.lab.evaluation.alarms import Draws, evaluate_alarms
    from edgeleuk.lab.evaluation.cells import CellReading
    from edgeleuk.lab.evaluation.datasets import load_cells, of_split
    from edgeleuk.lab.render.evaluation import render_alarms
    from edgeleuk.networks.reader import Reader

    model = chosen(model_folder, mag)
    rule_set, ranges = standards(rules, reference)
    manifest = model.reader
    picked = of_split(load_cells(cells, images), split)
    picked = picked[:: _step(len(picked), limit)]
    draws = Draws(healthy, slides, per_slide)
    reader, to_differential, load_cell = (
        Reader(manifest, threads),
        differential_function(manifest, rule_set, ranges),
        _cell_loader(virtual),
    )
    with progress_bar("reading") as progress:
        reading, measured_by = CellReading(reader, load_cell, progress), Standards(rule_set, ranges)
        report = evaluate_alarms(reading, to_differential, picked, draws, patients, measured_by)
    _print(report, render_alarms, as_json)


@app.command()
def verdicts(
    cells: Cells,
    images: Images,
    mag: MagOption = None,
    model_folder: ModelOption = None,
    split: Split = "val",
    slides: HealthySlides = 1000,
    per_slide: CellsPerSlide = 200,
    healthy: HealthySource = "pbc",
    patients: PatientsSource = "deepapl",
    as_json: JsonOption = False,
    virtual: Virtual = None,
    limit: Limit = None,
    threads: NetworkThreadsOption = None,
    rules: RulesOption = None,
    reference: ReferenceOption = None,
) -> None:
    """Count verdicts on healthy slides, on patients and on slides with few blasts; check the bounds of blasts."""
    from edgeleuk.differential.rules import Standards
    from edgeleuk.lab.evaluation.datasets import load_cells, of_split
    from edgeleuk.lab.evaluation.verdicts import Plan, evaluate_verdicts
    from edgeleuk.lab.render.verdicts import render_verdicts
    from edgeleuk.networks.reader import Reader

    model = chosen(model_folder, mag)
    picked = of_split(load_cells(cells, images), split)
    picked = picked[:: _step(len(picked), limit)]
    plan = Plan(healthy, patients, healthy=slides, bounded=2 * slides, cells=per_slide)
    with progress_bar("reading") as progress:
        report = evaluate_verdicts(
            Reader(model.reader, threads),
            picked,
            plan,
            Standards(*standards(rules, reference)),
            progress,
            _cell_loader(virtual),
        )
    _print(report, render_verdicts, as_json)


@app.command()
def screen(
    table: Annotated[
        Path,
        typer.Option("--screen", help="JSON list of pictures with source, group and truth.", exists=True),
    ],
    images: Images,
    mag: MagOption = None,
    model_folder: ModelOption = None,
    truth: Annotated[
        str, typer.Option("--truth", help="Only pictures of patients of whom this is known.")
    ] = "no leukaemia",
    as_json: JsonOption = False,
    threads: NetworkThreadsOption = None,
    rules: RulesOption = None,
    reference: ReferenceOption = None,
) -> None:
    """Count verdicts on pictures of patients whose diagnosis is known; each group is a slide."""
    from edgeleuk.analysis.analyser import Analyser
    from edgeleuk.lab.evaluation.screen import evaluate_screen, load_screen
    from edgeleuk.lab.render.verdicts import render_screen

    analyser = Analyser(chosen(model_folder, mag), threads, refusing=True)
    groups = load_screen(table, images, truth)
    with progress_bar("reading") as progress:
        report = evaluate_screen(analyser, groups, *standards(rules, reference), progress)
    _print(report, render_screen, as_json)


R = TypeVar("R", bound="Report")


class Report(Protocol):
    """Report of an evaluation command."""

    def as_json(self) -> dict[str, Any]: ...


def _print(report: R, render: Callable[[R], RenderableType], as_json: bool) -> None:
    if as_json:
        print_json(report.as_json())
    else:
        results().print(render(report))


def _step(count: int, limit: int | None) -> int:
    return max(1, count // limit) if limit else 1


T = TypeVar("T")


def evenly(items: Sequence[T], limit: int | None) -> Sequence[T]:
    """Return about `limit` items, evenly spread.

    All of them if there is no limit.
    """
    return items[:: _step(len(items), limit)]


def _of(
    every: Sequence[CellSample], split: str | None, wanted: Collection[str], table: Path
) -> list[CellSample]:
    """Select the cells of a split and of the wanted sources.

    None, or no sources, selects all.

    Raises:
        UsageError: No cell is left, or a source has none.
    """
    picked = [s for s in every if split in (None, s.split) and (not wanted or s.source in wanted)]
    if not picked or {*wanted} - {s.source for s in picked}:
        splits = ", ".join(sorted({s.split for s in every})) or "none"
        sources = ", ".join(sorted({s.source for s in every})) or "none"
        raise UsageError(
            f"no row of {table} is of this split and of each source. Splits: {splits}; sources: {sources}."
        )
    return picked


def _cell_loader(virtual: str | None, restain: int | None = None) -> CellLoader:
    """Return the function that reads a cell's image.

    The image is shown as it is or through an objective, and is then re-stained if wanted.
    """
    from edgeleuk.imaging.objectives import objective
    from edgeleuk.lab.evaluation.cells import read_cell
    from edgeleuk.lab.evaluation.objectives import virtual_cells
    from edgeleuk.lab.evaluation.restain import restained_cells

    load_cell = virtual_cells(objective(virtual)) if virtual else read_cell
    return load_cell if restain is None else restained_cells(restain, load_cell)
