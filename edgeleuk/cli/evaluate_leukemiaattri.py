"""`edgeleuk eval leukemiaattri`: the tables of its papers."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from edgeleuk.cli._console import print_json, progress_bar, results
from edgeleuk.cli._options import DataOption, JsonOption
from edgeleuk.cli._rules import standards
from edgeleuk.errors import InputError, ModelMissingError, UsageError
from edgeleuk.system import user_paths


def leukemiaattri(
    data: DataOption,
    model: Annotated[
        list[Path],
        typer.Option("--model", metavar="DIR", help="Model folder; repeat to compare.", show_default=False),
    ],
    subset: Annotated[
        list[str] | None,
        typer.Option(
            "--subset", help="Subset to test on; repeat for more.", show_default="all of the objective"
        ),
    ] = None,
    split: Annotated[str, typer.Option("--split", help="Patients to test on: val or train.")] = "val",
    limit: Annotated[
        int | None,
        typer.Option(
            min=1, help="Use only so many fields of each subset, evenly spread.", show_default=False
        ),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Measure models on LeukemiaAttri: detection by type and attributes by subset, and across subsets.

    A model that learnt from one subset, by `train leukemiaattri --subset`, is tested on all others of its objective.
    """
    from edgeleuk.lab.evaluation.leukemiaattri import ImportedData, evaluate
    from edgeleuk.lab.render.leukemiaattri import render_leukemia
    from edgeleuk.models import registry

    models = {}
    for folder in model:
        found = registry.load_folder(user_paths.expanded(folder, "--model", ModelMissingError))
        models[folder.name if folder.name not in models else str(folder)] = found
    objectives = {each.magnification for each in models.values()}
    if len(objectives) > 1:
        raise UsageError(f"models of {' and '.join(sorted(objectives))}. Compare models of one objective.")
    if split not in ("train", "val"):
        raise UsageError(f"no split {split!r}. Splits: val, train.")
    loaded = ImportedData.load(user_paths.expanded(data, "--data", InputError), split, subset or ())
    if not subset:
        loaded = loaded.of_objective(objectives.pop())
    with progress_bar("reading fields") as progress:
        report = evaluate(models, loaded.limited(limit), split, standards()[0], progress)
    if as_json:
        print_json(report.as_json())
    else:
        results().print(render_leukemia(report))
