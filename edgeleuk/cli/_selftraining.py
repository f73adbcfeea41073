"""`edgeleuk train adapt`: a model for a microscope, trained on its own readings of unlabelled fields.

It needs the extra `train`.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from edgeleuk.cli._console import progress_bar, tell, writable_folder
from edgeleuk.cli._learning import (
    FieldsArgument,
    FieldsScaleOption,
    FiguresOption,
    NameOption,
    OutOption,
    Target,
    finish,
    require_learnable,
)
from edgeleuk.cli._model import MagOption, ModelOption, chosen
from edgeleuk.cli._options import RecursiveOption
from edgeleuk.cli._profile import ProfileOption, device
from edgeleuk.cli._training import Device, Threads, need_torch


def adapt(
    fields: FieldsArgument,
    name: NameOption,
    mag: MagOption = None,
    um_per_px: FieldsScaleOption = None,
    recursive: RecursiveOption = False,
    profile_name: ProfileOption = None,
    out: OutOption = None,
    model_folder: ModelOption = None,
    runs: Annotated[
        Path,
        typer.Option(
            "--runs", help="Folder for checkpoints; a stopped training of the same cells goes on from there."
        ),
    ] = Path("runs"),
    epochs: Annotated[
        int | None, typer.Option(min=1, help="Epochs of the training.", show_default="as the settings say")
    ] = None,
    as_json: FiguresOption = False,
    threads: Threads = None,
    device_name: Device = "cpu",
) -> None:
    """Adapt a model to a microscope by training its reader on what it reads itself in fields that nobody labelled.

    It takes the fields that `edgeleuk adapt` takes, needs the extra `train` and minutes to an hour, and changes the whole network. Cells of known
    laboratories are learnt beside them where EDGELEUK_DATA holds them; without them the new model has no error rates and
    no guard cells. The new model is written only if views of cells that it did not learn agree more often, cells that were sure stay
    what they were, blasts stay blasts, and known cells lose no more than 5 points of mean recall; else the exit code is 13 and nothing is written.
    """
    need_torch()
    import torch

    from edgeleuk.adaptation import fields as of_fields
    from edgeleuk.analysis.analyser import Analyser
    from edgeleuk.lab.training.loop import device_named
    from edgeleuk.lab.training.selfadapting import How, self_adapted
    from edgeleuk.networks.reader import Reader
    from edgeleuk.sources.pictures.listing import pictures

    if threads:
        torch.set_num_threads(threads)
    where = device_named(device_name)
    profile, _ = device(profile_name, mag)
    model = chosen(model_folder, mag, profile)
    require_learnable(model)
    target = Target.of(model, name, out)
    with progress_bar("looking at fields", shown=not as_json) as progress:
        found = of_fields.gathered(
            Analyser(model, threads, profile=profile), list(pictures(fields, recursive)), um_per_px, progress
        )
    known = bool(os.environ.get("EDGELEUK_DATA"))
    if not known:
        tell("EDGELEUK_DATA is not set: known cells are neither learnt nor checked.")
    how = How(writable_folder(runs / f"adapt-{name}"), known, epochs, where)
    lesson = self_adapted(model, Reader(model.reader, threads), found, how)
    finish(target, lesson, found.failures, as_json)
