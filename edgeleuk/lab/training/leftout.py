"""Evaluation of finders on a left-out camera.

The finders are used as they come from training, not quantized, and measured with a profile of the camera.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from edgeleuk.lab.evaluation.datasets import data_root, load_fields
from edgeleuk.lab.evaluation.leftout import LeftOut, calibrated, evaluate_left_out, unlabelled
from edgeleuk.lab.training.export import exported, manifest_part
from edgeleuk.lab.training.recipe import Recipe
from edgeleuk.models import registry
from edgeleuk.models.manifest import finder_manifest, reader_manifest
from edgeleuk.networks.finder import Finder
from edgeleuk.networks.reader import Reader

FILES = {"raabin": "txl", "pbc": "txl", "bccd": "txl", "chula": "chula", "phone": "phone"}
"""Data file of each source's fields."""


def left_out(
    recipe: Recipe,
    control: Recipe,
    left_out_recipe: Recipe | None,
    source: str,
    runs: Path,
    work: Path,
    progress: Callable[[str], None],
) -> LeftOut:
    """Evaluate a finder on a left-out camera.

    The finder never saw the camera. It is compared, in float, with a control that saw it.

    Args:
        recipe: Recipe of the finder that never saw the camera.
        control: Recipe of a finder trained alike that saw it.
        left_out_recipe: Recipe of a reader that never saw it, compared with the shipped reader; None for no reader.
        source: Source that the camera took, a key of FILES.
        runs: Folder with one subfolder per training.
        work: Folder for the exported networks.
        progress: Called with messages on the progress.

    Raises:
        ModelMissingError: A network has not been trained.
        EdgeleukError: A training is unfinished or of another recipe.
    """
    finder, saw = (_trained(each, runs, work / each.name) for each in (recipe, control))
    readers = None
    if left_out_recipe is not None:
        path = exported(left_out_recipe, runs, work)
        mine = Reader(reader_manifest(work, manifest_part(left_out_recipe, path)))
        readers = mine, Reader(registry.load(left_out_recipe["model"]["magnification"]).reader)
    folder = data_root() / "fields"
    training, _ = load_fields(folder / f"{FILES[source]}_train.json", folder / "images")
    validation, names = load_fields(folder / f"{FILES[source]}_val.json", folder / "images")
    profile = calibrated(unlabelled(training, source), finder)
    own = [sample for sample in validation if sample.source == source]
    return evaluate_left_out(finder, saw, profile, own, names, progress, readers)


def _trained(recipe: Recipe, runs: Path, work: Path) -> Finder:
    work.mkdir(parents=True, exist_ok=True)
    return Finder(finder_manifest(work, manifest_part(recipe, exported(recipe, runs, work))))
