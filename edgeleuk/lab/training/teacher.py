"""Cells that a trained finder adds to incomplete annotations.

On some fields only one class was annotated, and not every cell of it. A finder that was trained before adds what
it finds there, so that the next one learns all classes under the light and stain of these fields. What it finds
with little certainty is neither cell nor background.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.progress import track

from edgeleuk.lab.evaluation.datasets import FieldSample
from edgeleuk.lab.evaluation.fields import read_field
from edgeleuk.lab.training.export import exported, manifest_part
from edgeleuk.lab.training.loop import console
from edgeleuk.lab.training.recipe import Recipe, load_recipe
from edgeleuk.models import registry
from edgeleuk.models.manifest import finder_manifest
from edgeleuk.networks.finder import Finder
from edgeleuk.types import Boxes, Detections, Scale


def taught(
    recipe: Recipe, samples: Sequence[tuple[FieldSample, Scale]], runs: Path
) -> list[tuple[FieldSample, Scale]]:
    """Add the cells that the recipe's [teacher] finds.

    Args:
        recipe: Recipe of the finder that learns.
        samples: Training fields with their scales.
        runs: Folder with one subfolder per training, that of the teacher among them.

    Returns:
        All fields; those of the sources that [teacher] names, and those that are not complete, are annotated for
        all classes.

    Raises:
        ModelMissingError: The teacher has not been trained.
        EdgeleukError: Its training is unfinished or of another recipe.
    """
    settings = recipe["teacher"]
    names: list[str] = recipe["model"]["classes"]
    finder = _teacher(settings, runs)
    more = []
    for sample, scale in track(samples, "looking for cells that nobody annotated", console=console):
        if sample.source in settings["fields"] or not sample.complete:
            found = finder.find(read_field(sample), scale, floor=settings.get("doubt", settings["from"]))
            sure = found.scores >= settings["from"]
            sample = with_doubts(sample, found.boxes[~sure], settings["apart_iou"])
            sample = with_found(sample, found.where(sure), names, settings["apart_iou"])
        more.append((sample, scale))
    return more


def with_found(sample: FieldSample, found: Detections, names: Sequence[str], apart_iou: float) -> FieldSample:
    """Return a field with found cells beside its annotated ones.

    Args:
        sample: Annotated field.
        found: What the finder found in it.
        names: Names of the classes, by the index that `sample.kinds` holds.
        apart_iou: A cell is another one if it overlaps each annotated one by no more than this IoU.

    Returns:
        The field, annotated for all classes.
    """
    boxes, kinds = [sample.boxes], [sample.kinds]
    for kind, name in enumerate(names):
        own, more = sample.boxes[sample.kinds == kind], found.of(name).boxes
        new = more[~_same(more, own, apart_iou) & ~_same(more, sample.ignored, apart_iou)]
        boxes.append(new)
        kinds.append(np.full(len(new), kind, np.int64))
    labels = (*sample.subtypes, *[None] * (sum(map(len, kinds)) - len(sample.kinds)))
    return replace(
        sample,
        labelled=frozenset(names),
        boxes=np.concatenate(boxes).astype(np.float32),
        kinds=np.concatenate(kinds),
        subtypes=labels,
    )


def with_doubts(sample: FieldSample, doubtful: Boxes, apart_iou: float) -> FieldSample:
    """Return a field in which doubtful finds are neither cell nor background.

    Args:
        sample: Annotated field.
        doubtful: (D, 4) boxes of what a finder was not sure of.
        apart_iou: A find is another thing if it overlaps each annotated cell by no more than this IoU.
    """
    new = doubtful[~_same(doubtful, sample.boxes, apart_iou)]
    return replace(sample, ignored=np.concatenate([sample.ignored, new]).astype(np.float32))


def _same(boxes: Boxes, others: Boxes, apart_iou: float) -> NDArray[np.bool_]:
    """Return which boxes overlap one of the others.

    An overlap is an IoU above `apart_iou`.
    """
    low = np.maximum(boxes[:, None, :2], others[None, :, :2])
    high = np.minimum(boxes[:, None, 2:], others[None, :, 2:])
    inter = (high - low).clip(0).prod(axis=2)
    areas, theirs = ((each[:, 2:] - each[:, :2]).prod(axis=1) for each in (boxes, others))
    same: NDArray[np.bool_] = (inter > apart_iou * (areas[:, None] + theirs - inter)).any(axis=1)
    return same


def _teacher(settings: Mapping[str, Any], runs: Path) -> Finder:
    """Open the finder of a recipe.

    It is one that was trained, or one that ships.
    """
    if "model" in settings:
        return Finder(registry.load(settings["model"]).finder)
    return _opened(settings["recipe"], runs)


def _opened(name: str, runs: Path) -> Finder:
    recipe = load_recipe(name, "finder")
    with tempfile.TemporaryDirectory() as folder:
        network = exported(recipe, runs, Path(folder))
        return Finder(finder_manifest(Path(folder), manifest_part(recipe, network)))
