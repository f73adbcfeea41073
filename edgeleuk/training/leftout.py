"""Finders that never saw one camera, opened as they came from training, and measured on it with a profile of it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from edgeleuk import zoo
from edgeleuk.evaluation.datasets import data_root, load_fields
from edgeleuk.evaluation.leftout import LeftOut, calibrated, evaluate_left_out, unlabelled
from edgeleuk.finder import Finder
from edgeleuk.training.publish import exported, manifest_part
from edgeleuk.training.recipe import Recipe

FILES = {"raabin": "txl", "pbc": "txl", "bccd": "txl", "chula": "chula", "phone": "phone"}
"""The file that holds each source's fields."""


def left_out(recipe: Recipe, source: str, runs: Path, work: Path, progress: Callable[[str], None]) -> LeftOut:
    """The finder of `recipe`, in float, beside the one that ships."""
    path = exported(recipe, runs, work)
    manifest = zoo.finder_manifest(work, manifest_part(recipe, path))
    finder, shipped = Finder(manifest), Finder(zoo.load(recipe["model"]["magnification"]).finder)
    folder = data_root() / "fields"
    training, _ = load_fields(folder / f"{FILES[source]}_train.json", folder / "images")
    validation, names = load_fields(folder / f"{FILES[source]}_val.json", folder / "images")
    profile = calibrated(unlabelled(training, source), finder)
    own = [sample for sample in validation if sample.source == source]
    return evaluate_left_out(finder, shipped, profile, own, names, progress)
