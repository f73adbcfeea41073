"""`edgeleuk train` and `publish`: model folders from recipes.

They need the extra `train`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from edgeleuk.cli._console import notices, print_json, results, tell, writable_folder
from edgeleuk.cli._model import MagOption, ModelOption, chosen
from edgeleuk.cli._options import DataOption, JsonOption
from edgeleuk.cli._rules import standards
from edgeleuk.cli._selftraining import adapt
from edgeleuk.cli._training import Device, Threads, need_torch
from edgeleuk.errors import InputError, UsageError
from edgeleuk.system import user_paths

if TYPE_CHECKING:
    import torch
    from rich.table import Table

    from edgeleuk.lab.evaluation.leftout import LeftOut
    from edgeleuk.lab.training.recipe import Recipe

app = typer.Typer(help="Train a network by its recipe (extra: train).", no_args_is_help=True)
app.command()(adapt)

CONTROL = "finder-100x-long"
"""Recipe of the finder that saw all cameras.

It is trained like the finders for which one camera was left out.
"""

Out = Annotated[
    Path, typer.Option("--out", help="Folder for checkpoints; a stopped training goes on from there.")
]
RecipeOption = Annotated[str, typer.Option("--recipe", help="Name of a recipe that ships, or a .toml file.")]
RunsOption = Annotated[Path, typer.Option("--runs", help="Folder given to `train --out`.")]

Without = Annotated[
    list[str] | None,
    typer.Option(
        "--without",
        help="Laboratory to leave out, to measure how it is read by a reader that never saw it. Repeatable.",
        show_default=False,
    ),
]


@app.command()
def finder(
    recipe: RecipeOption = "finder-100x",
    out: Out = Path("runs"),
    threads: Threads = None,
    device: Device = "cpu",
    workers: Annotated[
        int, typer.Option(min=0, help="Processes that prepare crops beside the training; for a fast device.")
    ] = 0,
) -> None:
    """Train a finder on the fields that EDGELEUK_DATA holds."""
    begun = _begun("finder", recipe, out, threads, device)
    from edgeleuk.lab.training.finder import train

    train(*begun, workers)
    _trained(begun)


@app.command()
def reader(
    recipe: RecipeOption = "reader-100x",
    without: Without = None,
    across: Annotated[
        bool,
        typer.Option(
            "--across",
            help="Train the networks that leave laboratories or slides out, as the recipe names them.",
        ),
    ] = False,
    out: Out = Path("runs"),
    threads: Threads = None,
    device: Device = "cpu",
) -> None:
    """Train a reader on the cells that EDGELEUK_DATA holds."""
    begun = _begun("reader", recipe, out, threads, device, without or ())
    from edgeleuk.lab.training.reader import train, train_across

    if across:
        loaded, _, where = begun
        for own in train_across(loaded, out, where):
            tell(f"trained {own.name}")
        return
    train(*begun)
    _trained(begun)


@app.command()
def leukemiaattri(
    data: DataOption,
    out: Annotated[
        Path,
        typer.Option(
            "--out", help="Model folder; a stopped training goes on from there.", show_default=False
        ),
    ],
    mag: Annotated[str, typer.Option("--mag", help="Objective: 100x, 40x or 10x.")] = "100x",
    subset: Annotated[
        list[str] | None,
        typer.Option(
            "--subset",
            help="Subset to learn from, such as H_100X_C1; repeat for more.",
            show_default="all of the objective",
        ),
    ] = None,
    epochs: Annotated[
        int | None,
        typer.Option(min=1, help="Epochs of either network.", show_default="as the recipes say"),
    ] = None,
    threads: Threads = None,
    device: Device = "cpu",
) -> None:
    """Train finder and reader on an imported LeukemiaAttri, and write a model folder (14 types, 7 attributes).

    `analyze --model OUT` and all other commands use it as any model.
    """
    need_torch()
    import torch

    from edgeleuk.differential.rules import Standards
    from edgeleuk.imaging.objectives import objective
    from edgeleuk.lab.evaluation.datasets import rooted
    from edgeleuk.lab.training.leukemiaattri import Wanted, train
    from edgeleuk.lab.training.loop import device_named

    objective(mag)
    if threads:
        torch.set_num_threads(threads)
    wanted = Wanted(mag, tuple(subset or ()), epochs)
    data = user_paths.expanded(data, "--data", InputError)
    if not data.is_dir():
        raise InputError(
            f"{data} is no folder. Make one with `edgeleuk data import leukemiaattri DIR --out {data}`."
        )
    with rooted(data):
        folder = train(wanted, writable_folder(out), Standards(*standards()), device_named(device))
    results().print(f"trained {folder}")


@app.command()
def restore(
    recipe: Annotated[
        str, typer.Option("--recipe", help="Recipe that the published network was trained by.")
    ],
    models: Annotated[
        Path | None, typer.Option("--models", help="Folder with <magnification>/.", show_default="what ships")
    ] = None,
    out: Out = Path("runs"),
) -> None:
    """Make the checkpoint of a published network again from its INT8 file, to train or to publish from."""
    loaded, folder, _ = _begun(None, recipe, out, None, "cpu")
    from edgeleuk.lab.training.restore import restored

    restored(loaded, models, folder)
    tell(f"restored; checkpoint in {folder}.")


@app.command()
def variants(
    recipe: RecipeOption,
    runs: RunsOption = Path("runs"),
) -> None:
    """Compare ways to quantize a trained network, on training pictures kept aside."""
    need_torch()
    from rich.table import Table

    from edgeleuk.lab.training.recipe import load_recipe
    from edgeleuk.lab.training.variants import compare

    loaded = load_recipe(recipe)
    work = _beside(runs, f"variants-{loaded.name}")
    table = Table("variant", "kB", box=None, title=loaded.name)
    for outcome in compare(loaded, runs, work, standards()[0]):
        if len(table.columns) == 2:
            for name in outcome.figures:
                table.add_column(name, justify="right")
        tell(f"done: {outcome.name}")
        table.add_row(outcome.name, str(outcome.kilobytes), *(f"{v:.4f}" for v in outcome.figures.values()))
    results().print(table)


@app.command()
def leftout(
    source: Annotated[
        str, typer.Option("--source", help="Camera that the recipe left out: chula or raabin.")
    ],
    reader: Annotated[
        str | None, typer.Option("--reader", help="Recipe of a reader that never saw the camera either.")
    ] = None,
    runs: RunsOption = Path("runs"),
    as_json: JsonOption = False,
) -> None:
    """Measure what a device profile is worth on a camera that a finder never saw."""
    need_torch()
    from edgeleuk.lab.training.leftout import LeftOutRecipes, left_out
    from edgeleuk.lab.training.recipe import load_recipe

    recipe, control = (load_recipe(name, "finder") for name in (f"finder-100x-no-{source}", CONTROL))
    left_out_recipe = None if reader is None else load_recipe(reader, "reader")
    work = _beside(runs, f"leftout-{source}")
    recipes = LeftOutRecipes(recipe, control, left_out_recipe)
    found = left_out(recipes, source, runs, work, lambda name: tell(f"measuring: {name}"))
    if as_json:
        print_json(found.as_json())
    else:
        results().print(_left_out(found))


@app.command()
def across(
    recipe: RecipeOption = "reader-100x-base",
    runs: RunsOption = Path("runs"),
    as_json: JsonOption = False,
) -> None:
    """Measure a reader's recipe in laboratories that its networks never saw.

    Train one network for each group of laboratories first, with `train reader --without`; the recipe's [publish] names the
    groups as `across`.
    """
    need_torch()
    from edgeleuk.lab.training.across import measure
    from edgeleuk.lab.training.publish import ACROSS
    from edgeleuk.lab.training.recipe import load_recipe
    from edgeleuk.system import file_io

    loaded = load_recipe(recipe, "reader")
    work = _beside(runs, f"across-{loaded.name}")
    found = {}
    for laboratory, figures in measure(loaded, runs, work, standards()[0]):
        tell(f"measured: {laboratory}")
        found[laboratory] = figures
    file_io.write_whole(work / ACROSS, json.dumps(found, indent=2).encode())
    if as_json:
        print_json(found)
    else:
        results().print(_across(found))


@app.command()
def learning(
    runs: Annotated[
        Path | None,
        typer.Option(
            "--runs",
            help="Folder given to `train --out`: measure readers trained without laboratories (extra train).",
            show_default="simulated laboratories",
        ),
    ] = None,
    recipe: Annotated[
        str, typer.Option("--recipe", help="With --runs: name of a recipe that ships, or a .toml file.")
    ] = "reader-100x-base",
    mag: MagOption = None,
    model_folder: ModelOption = None,
    self_train: Annotated[
        bool,
        typer.Option(
            "--self-train", help="With --runs: train each network on the laboratory's unlabelled cells too."
        ),
    ] = False,
    seeds: Annotated[int, typer.Option("--seeds", min=2, help="Draws of corrected cells.")] = 5,
    into: Annotated[
        Path | None,
        typer.Option(
            "--into",
            help="With --runs: published model folder whose manifest and card get the figures.",
            show_default=False,
        ),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Measure `teach` and `adapt` in laboratories that the reader does not know.

    Source only, adapted, taught with 25, 50, 100 and 200 cells, with a fifth of them wrong, and an oracle that learnt all other
    cells; with --self-train also self-trained, as `train adapt` does it. It needs the extra `train`. With --runs each network reads the laboratories that it was trained without; else the model reads simulated ones.
    """
    need_torch()
    from edgeleuk.lab.render.learning import render_learning
    from edgeleuk.lab.training import learning as work

    def measured(laboratories: Iterator[work.Foreign]) -> Mapping[str, Any]:
        return work.evaluate(laboratories, seeds, lambda name: tell(f"measured: {name}"))

    if runs:
        from edgeleuk.lab.training.publish import add_learning, published
        from edgeleuk.lab.training.recipe import load_recipe

        loaded = load_recipe(recipe, "reader")
        folder = _beside(runs, f"learning-{loaded.name}")
        if into:
            published(into)  # before the work, which takes a quarter of an hour
        found = measured(work.left_out(loaded, runs, folder, self_train))
        if into:
            add_learning(into, loaded, found, seeds)
    elif self_train or into:
        given = "--self-train" if self_train else "--into"
        raise UsageError(f"{given} needs --runs: a published reader has learnt the simulated laboratories.")
    else:
        found = measured(work.simulated(chosen(model_folder, mag)))
    if as_json:
        print_json(found)
    else:
        results().print(render_learning(found))


def _across(found: Mapping[str, Any]) -> Table:
    from rich.table import Table

    table = Table(box=None, title="Laboratories that the network never saw")
    headings = (
        "laboratory",
        "cells",
        "recall",
        "accuracy",
        "named",
        "of named",
        "blasts",
        "AUROC",
        "read so",
    )
    for name in headings:
        table.add_column(name, justify="left" if name == "laboratory" else "right")
    for laboratory, parts in found.items():
        for name in ("val", "all"):
            if name not in parts:
                continue
            own = parts[name]
            blasts = own["by_source"][laboratory]["blast_like"]
            numbers = (
                own["by_source"][laboratory]["mean_recall_mature"],
                own["accuracy"],
            )
            shown = [_three(number) for number in numbers]
            of_blasts = [str(blasts["n"]), _three(blasts["auroc"]), _three(blasts["recognised"])]
            table.add_row(f"{laboratory} {name}", str(own["n"]), *shown, *of_blasts)
    return table


def _three(number: float | None) -> str:
    return "–" if number is None else f"{number:.3f}"


def _left_out(found: LeftOut) -> Table:
    from rich.table import Table

    share = "no gap" if found.recovered is None else f"{found.recovered:.0%} of the gap"
    table = Table(
        box=None, title=f"WBC on {found.source}, which the finder never saw: a profile recovers {share}"
    )
    for name in ("", "fields", "no scale", "AP50", "recall", "precision", "5-part"):
        table.add_column(name, justify="right" if name else "left")
    for row in found.rows:
        figures = row.as_json()
        numbers = (figures[name] for name in ("ap50", "recall", "precision"))
        shown = ("–" if number is None else f"{number:.3f}" for number in numbers)
        five = "–" if row.read is None else f"{row.read.count} of {row.read.of}"
        table.add_row(row.name, str(row.result.images), str(row.unscaled), *shown, five)
    return table


def publish(
    finder_recipe: Annotated[
        str | None, typer.Option("--finder", help="Recipe of the finder; without it the published one stays.")
    ] = None,
    reader_recipe: Annotated[
        str | None, typer.Option("--reader", help="Recipe of the reader; without it the published one stays.")
    ] = None,
    runs: RunsOption = Path("runs"),
    models: Annotated[Path, typer.Option("--models", help="Folder that gets <magnification>/.")] = Path(
        "models"
    ),
    remeasure: Annotated[
        str | None,
        typer.Option(
            "--remeasure",
            metavar="MAG",
            help="Only measure again what the verdicts of a published model rest on.",
            show_default=False,
        ),
    ] = None,
    guard: Annotated[
        str | None,
        typer.Option(
            "--guard",
            metavar="MAG",
            help="Only make the guard cells of a published model again, by which `teach` and `adapt` check a new head.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Quantize trained networks to INT8, choose their thresholds, measure them and write a model folder."""
    need_torch()
    from edgeleuk.differential.rules import Standards
    from edgeleuk.lab.training import publish as publishing

    measured_by = Standards(*standards())
    if (remeasure or guard) and (finder_recipe or reader_recipe or (remeasure and guard)):
        raise UsageError(
            "--remeasure and --guard take a published model as it is. Give one of them, without --finder and --reader."
        )
    if guard:
        from edgeleuk.lab.training.guard import add_guard

        folder = add_guard(guard, models)
    elif remeasure:
        folder = publishing.remeasure(remeasure, models, runs, measured_by)
    else:
        folder = publishing.publish(
            finder_recipe, reader_recipe, _existing(runs), writable_folder(models), measured_by
        )
    results().print(f"published {folder}")


def _begun(
    kind: str | None,
    name: str,
    out: Path,
    threads: int | None,
    device: str,
    laboratories: Sequence[str] = (),
) -> tuple[Recipe, Path, torch.device]:
    """Load the recipe, folder and device of a training."""
    need_torch()
    import torch

    from edgeleuk.lab.evaluation.datasets import data_root
    from edgeleuk.lab.training.loop import device_named
    from edgeleuk.lab.training.recipe import load_recipe, without

    if threads:
        torch.set_num_threads(threads)
    recipe, where = load_recipe(name, kind), device_named(device)
    if laboratories:
        recipe = without(recipe, laboratories)
    if kind:
        data_root()  # a wrong one is told before a folder is made
    return recipe, writable_folder(out / recipe.name), where


def _existing(runs: Path) -> Path:
    """Return a folder of trainings.

    Raises:
        InputError: It is none.
    """
    runs = user_paths.expanded(runs, "--runs", InputError)
    if not runs.is_dir():
        raise InputError(f"{runs} is no folder. Name the one given to `edgeleuk train --out`.")
    return runs


def _beside(runs: Path, name: str) -> Path:
    """Make a folder for measurements beside the trainings, which must be there."""
    return writable_folder(_existing(runs) / name)


def _trained(begun: tuple[Recipe, Path, torch.device]) -> None:
    _, folder, _ = begun
    notices.print(
        f"trained; checkpoint in {folder}. `edgeleuk publish --runs {folder.parent}` makes the model.",
        markup=False,
    )
