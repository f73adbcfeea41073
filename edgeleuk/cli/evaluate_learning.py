"""`edgeleuk eval learning`: what teaching and adapting do in laboratories that a reader does not know."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from edgeleuk.cli._console import print_json, results, tell, writable_folder
from edgeleuk.cli._model import MagOption, ModelOption, chosen
from edgeleuk.cli.evaluate import Json
from edgeleuk.cli.train import need_torch


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
    seeds: Annotated[int, typer.Option("--seeds", min=2, help="Draws of corrected cells.")] = 5,
    as_json: Json = False,
) -> None:
    """Measure `teach` and `adapt` in laboratories that the reader does not know.

    Source only, adapted, taught with 25, 50, 100 and 200 cells, with a fifth of them wrong, and an oracle that learnt all other
    cells. It needs the extra `train`. With --runs each network reads the laboratories that it was trained without; else the model reads simulated ones.
    """
    need_torch()
    from edgeleuk.lab.render.learning import render_learning
    from edgeleuk.lab.training import learning as work

    if runs:
        from edgeleuk.lab.training.recipe import load_recipe

        loaded = load_recipe(recipe, "reader")
        laboratories = work.left_out(loaded, runs, writable_folder(runs / f"learning-{loaded.name}"))
    else:
        laboratories = work.simulated(chosen(model_folder, mag))
    found = work.evaluate(laboratories, seeds, lambda name: tell(f"measured: {name}"))
    if as_json:
        print_json(found)
    else:
        results().print(render_learning(found))
