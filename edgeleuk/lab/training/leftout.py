"""Evaluation of finders on a left-out camera.

The finders are used as they come from training, not quantized, and measured with a profile of the camera.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from edgeleuk.lab.evaluation.datasets import data_root, load_fields
from edgeleuk.lab.evaluation.leftout import LeftOut, Networks, calibrated, evaluate_left_out, unlabelled
from edgeleuk.lab.training.export import exported, manifest_part
from edgeleuk.lab.training.recipe import Recipe
from edgeleuk.models import registry
from edgeleuk.models.manifest import finder_manifest, reader_manifest
from edgeleuk.networks.finder import Finder
from edgeleuk.networks.reader import Reader

FILES = {"raabin": "txl", "pbc": "txl", "bccd": "txl", "chula": "chula", "phone": "phone"}
"""Data file of each source's fields."""


@dataclass(frozen=True, slots=True)
class LeftOutRecipes:
    """Recipes of the networks that are compared."""

    finder: Recipe
    """Recipe of the finder that never saw the camera."""
    control: Recipe
    """Recipe of a finder trained alike that saw it."""
    reader: Recipe | None = None
    """Recipe of a reader that never saw it.

    It is compared with the shipped reader; None for no reader.
    """


def left_out(
    recipes: LeftOutRecipes, source: str, runs: Path, work: Path, progress: Callable[[str], None]
) -> LeftOut:
    """Evaluate a finder on a left-out camera.

    The finder never saw the camera. It is compared, in float, with a control that saw it.

    Args:
        recipes: Recipes of the networks to compare.
        source: Source that the camera took, a key of FILES.
        runs: Folder with one subfolder per training.
        work: Folder for the exported networks.
        progress: Called with messages on the progress.

    Raises:
        ModelMissingError: A network has not been trained.
        EdgeleukError: A training is unfinished or of another recipe.
    """
    unseen, seen = (
        Networks(_trained(each, runs, work / each.name)) for each in (recipes.finder, recipes.control)
    )
    if recipes.reader is not None:
        path = exported(recipes.reader, runs, work)
        mine = Reader(reader_manifest(work, manifest_part(recipes.reader, path)))
        shipped = Reader(registry.load(recipes.reader["model"]["magnification"]).reader)
        unseen, seen = replace(unseen, reader=mine), replace(seen, reader=shipped)
    folder = data_root() / "fields"
    training, _ = load_fields(folder / f"{FILES[source]}_train.json", folder / "images")
    validation, names = load_fields(folder / f"{FILES[source]}_val.json", folder / "images")
    profile = calibrated(unlabelled(training, source), unseen.finder)
    own = [sample for sample in validation if sample.source == source]
    return evaluate_left_out(unseen, seen, profile, own, names, progress)


def _trained(recipe: Recipe, runs: Path, work: Path) -> Finder:
    work.mkdir(parents=True, exist_ok=True)
    return Finder(finder_manifest(work, manifest_part(recipe, exported(recipe, runs, work))))
