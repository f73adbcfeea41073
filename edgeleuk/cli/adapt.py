"""`edgeleuk adapt`: a model for a microscope, from its unlabelled fields."""

from __future__ import annotations

from edgeleuk.cli._console import progress_bar
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
from edgeleuk.cli._options import NetworkThreadsOption, RecursiveOption
from edgeleuk.cli._profile import ProfileOption, device


def adapt(
    fields: FieldsArgument,
    name: NameOption,
    mag: MagOption = None,
    um_per_px: FieldsScaleOption = None,
    recursive: RecursiveOption = False,
    profile_name: ProfileOption = None,
    out: OutOption = None,
    model_folder: ModelOption = None,
    as_json: FiguresOption = False,
    threads: NetworkThreadsOption = None,
) -> None:
    """Adapt a model to a microscope and stain, from fields that nobody labelled.

    Give ten fields or more with at least sixty white cells, mostly mature ones; three slides of different healthy people are best.
    Cells that are alike get one label, and the types are fitted again to these labels. No more cells are recognised than before, but
    more of them rightly. The new model is written only if the views of a cell, turned and sharpened, agree more often, cells that were
    sure stay what they were, known cells are read no worse, and blasts stay blasts; else the exit code is 13 and nothing is written.
    It does not know what is right: labelled cells (`edgeleuk teach`) help more.
    """
    from edgeleuk.adaptation import fields as of_fields
    from edgeleuk.adaptation import learning
    from edgeleuk.analysis.analyser import Analyser
    from edgeleuk.networks.reader import Reader
    from edgeleuk.sources.pictures.listing import pictures

    profile, _ = device(profile_name, mag)
    model = chosen(model_folder, mag, profile)
    require_learnable(model)
    target = Target.of(model, name, out)
    with progress_bar("looking at fields", shown=not as_json) as progress:
        found = of_fields.gathered(
            Analyser(model, threads, profile=profile), list(pictures(fields, recursive)), um_per_px, progress
        )
    lesson = learning.adapted_to(model, Reader(model.reader, threads), found)
    finish(target, lesson, found.failures, as_json)
