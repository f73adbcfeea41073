"""Training cells in memory: those of `cells.csv`, and white cells of fields whose type is known."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from rich.progress import track

from edgeleuk.evaluation.cells import read_cell
from edgeleuk.evaluation.datasets import CellSample, data_root, load_cells, load_fields
from edgeleuk.microscope import draw, objective, render
from edgeleuk.optics import crop_um, resize
from edgeleuk.sources.folder import read_picture
from edgeleuk.training.loop import console
from edgeleuk.training.recipe import Recipe, held_out
from edgeleuk.types import Image, Scale

CACHE_UM_PER_PX = 0.15
FIELD_CELL_UM = 24.0
"""Side of the square that is cut around a cell of a field."""
UNKNOWN = -1


@dataclass(frozen=True, slots=True)
class TrainingCell:
    """A cell in the middle of one or more pictures of it."""

    sample: CellSample
    pictures: tuple[tuple[Image, Scale], ...]
    """As it was taken first, then through other objectives."""


def load_training_cells(recipe: Recipe, kept_aside: bool) -> list[CellSample]:
    """Training cells of a recipe's sources, or those of them kept aside for thresholds and calibration.

    Types are merged as the recipe says. Cells are kept aside by patient where that is known, else by file.
    """
    data, root = recipe["data"], data_root() / "cells"
    merge, labels = data["merge"], recipe["model"]["labels"]
    samples = []
    for sample in load_cells(root / "cells.csv", root / "images", tuple(recipe["attributes"])):
        if sample.split != "train" or sample.source not in data["sources"]:
            continue
        if held_out(sample.patient or sample.path.name, data["held_out"]) != kept_aside:
            continue
        if (label := merge.get(sample.label, sample.label)) in labels:
            samples.append(replace(sample, label=label))
    return samples


def load_field_cells(recipe: Recipe) -> Iterator[TrainingCell]:
    """White cells of the recipe's fields whose subtype is annotated. None of them is kept aside."""
    root, merge = data_root() / "fields", recipe["data"]["merge"]
    for name, settings in recipe["data"].get("fields", {}).items():
        scale = Scale.given(settings["um_per_px"])
        side = round(FIELD_CELL_UM / CACHE_UM_PER_PX)
        for field in load_fields(root / f"{name}_train.json", root / "images")[0]:
            image = read_picture(field.path).pixels
            for box, subtype in zip(field.boxes, field.subtypes, strict=True):
                if (label := merge.get(subtype, subtype)) not in recipe["model"]["labels"]:
                    continue
                centre = (float(box[0] + box[2]) / 2, float(box[1] + box[3]) / 2)
                crop = crop_um(image, scale, centre, CACHE_UM_PER_PX, side)
                sample = CellSample(field.path, field.source, "train", field.group, label, CACHE_UM_PER_PX)
                yield TrainingCell(sample, ((crop, Scale.given(CACHE_UM_PER_PX)),))


def in_memory(samples: list[CellSample]) -> list[TrainingCell]:
    """The cells, their pictures made coarser where they are finer than CACHE_UM_PER_PX."""
    return [
        TrainingCell(sample, (_coarse(*read_cell(sample)),))
        for sample in track(samples, "reading cells", console=console)
    ]


def through_objective(recipe: Recipe, cells: list[TrainingCell]) -> list[TrainingCell]:
    """Every cell with `shots` more pictures through the recipe's [virtual] objective, each with its own camera."""
    lens, shots = objective(recipe["virtual"]["objective"]), recipe["virtual"]["shots"]
    rng = np.random.default_rng((recipe["train"]["seed"], lens.magnification))
    seen = []
    for cell in track(cells, "rendering cells", console=console):
        image, scale = cell.pictures[0]
        views = [render(image, scale, lens, draw(lens, rng, finest=scale.um_per_px)) for _ in range(shots)]
        seen.append(replace(cell, pictures=(*cell.pictures, *((view.image, view.scale) for view in views))))
    return seen


def encode(samples: list[CellSample], recipe: Recipe) -> NDArray[np.int64]:
    """Targets (N, 1 + attributes): index of the type, then of each attribute's value; UNKNOWN where not labelled."""
    columns = [[recipe["model"]["labels"].index(s.label) for s in samples]]
    for name, values in recipe["attributes"].items():
        columns.append(
            [values.index(s.attributes[name]) if name in s.attributes else UNKNOWN for s in samples]
        )
    return np.array(columns, np.int64).T


def _coarse(image: Image, scale: Scale) -> tuple[Image, Scale]:
    factor = min(1.0, scale.um_per_px / CACHE_UM_PER_PX)
    width, height = round(image.shape[1] * factor), round(image.shape[0] * factor)
    return resize(image, width, height), Scale.given(scale.um_per_px * image.shape[1] / width)
