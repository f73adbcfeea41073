"""Finders that never saw one camera, opened as they came from training, and measured on it with a profile of it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from edgeleuk import zoo
from edgeleuk.evaluation.datasets import data_root, load_fields
from edgeleuk.evaluation.leftout import LeftOut, calibrated, evaluate_left_out, unlabelled
from edgeleuk.finder import Finder
from edgeleuk.manifest import finder_manifest, reader_manifest
from edgeleuk.reader import Reader
from edgeleuk.training.export import exported, manifest_part
from edgeleuk.training.recipe import Recipe

FILES = {"raabin": "txl", "pbc": "txl", "bccd": "txl", "chula": "chula", "phone": "phone"}
"""The file that holds each source's fields."""


def left_out(
    recipe: Recipe,
    control: Recipe,
    unseeing: Recipe | None,
    source: str,
    runs: Path,
    work: Path,
    progress: Callable[[str], None],
) -> LeftOut:
    """The finder of `recipe`, in float, beside that of `control`, which was trained alike and saw the camera.

    `unseeing` is the recipe of a reader that never saw it; beside it stands the reader that ships.
    """
    finder, saw = (_trained(each, runs, work / each.name) for each in (recipe, control))
    readers = None
    if unseeing is not None:
        path = exported(unseeing, runs, work)
        mine = Reader(reader_manifest(work, manifest_part(unseeing, path)))
        readers = mine, Reader(zoo.load(unseeing["model"]["magnification"]).reader)
    folder = data_root() / "fields"
    training, _ = load_fields(folder / f"{FILES[source]}_train.json", folder / "images")
    validation, names = load_fields(folder / f"{FILES[source]}_val.json", folder / "images")
    profile = calibrated(unlabelled(training, source), finder)
    own = [sample for sample in validation if sample.source == source]
    return evaluate_left_out(finder, saw, profile, own, names, progress, readers)


def _trained(recipe: Recipe, runs: Path, work: Path) -> Finder:
    work.mkdir(parents=True, exist_ok=True)
    return Finder(finder_manifest(work, manifest_part(recipe, exported(recipe, runs, work))))
