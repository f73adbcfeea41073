"""Training cells in memory: those of `cells.csv`, and white cells of fields whose type is known."""

from __future__ import annotations

import signal
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from multiprocessing import get_context

import numpy as np
from numpy.typing import NDArray
from rich.progress import track

from edgeleuk._pools import leaving
from edgeleuk.evaluation.cells import read_cell
from edgeleuk.evaluation.datasets import (
    CellSample,
    FieldSample,
    annotated_scales,
    data_root,
    load_cells,
    load_fields,
)
from edgeleuk.microscope import Objective, draw, objective, render
from edgeleuk.optics import crop_um, resize
from edgeleuk.sources.folder import read_picture
from edgeleuk.training.loop import console
from edgeleuk.training.recipe import Recipe, held_out, told_by_label
from edgeleuk.types import WHITE_CELL, Image, Scale

CACHE_UM_PER_PX = 0.15
FIELD_CELL_UM = 24.0
"""Side of the square that is cut around a cell of a field."""
UNKNOWN = -1
UNLABELLED = ""


@dataclass(frozen=True, slots=True)
class TrainingCell:
    """A cell in the middle of one or more pictures of it."""

    sample: CellSample
    pictures: tuple[tuple[Image, Scale], ...]
    """As it was taken first, then through other objectives."""
    number: int = 0
    """Among the cells of its file."""

    @property
    def name(self) -> str:
        """The same wherever the data lie, in whatever format."""
        return f"{self.sample.source}/{self.sample.path.stem}/{self.number}"


def training_cells(recipe: Recipe) -> list[TrainingCell]:
    """All labelled cells that a recipe trains on."""
    return in_memory(load_training_cells(recipe, kept_aside=False)) + list(load_field_cells(recipe))


def load_training_cells(recipe: Recipe, kept_aside: bool) -> list[CellSample]:
    """Training cells of a recipe's sources, or those of them kept aside for thresholds and calibration.

    Types are merged as the recipe says. Cells are kept aside by patient where that is known, else by the file's name
    without its ending, or with the one that the recipe gives: that of the files which a published reader learnt from.
    """
    data, root = recipe["data"], data_root() / "cells"
    ending = recipe.sections.get("publish", {}).get("kept_aside_as", "")
    merge, labels = data["merge"], recipe["model"]["labels"]
    samples = []
    told = told_by_label(recipe)
    for sample in load_cells(root / "cells.csv", root / "images", tuple(recipe["attributes"]), told):
        if sample.split != "train" or sample.source not in data["sources"]:
            continue
        if held_out(sample.patient or sample.path.stem + ending, data["held_out"]) != kept_aside:
            continue
        if (label := merge.get(sample.label, sample.label)) in labels:
            samples.append(replace(sample, label=label))
    return samples


def load_field_cells(recipe: Recipe) -> Iterator[TrainingCell]:
    """White cells of the recipe's fields whose subtype is annotated. None of them is kept aside."""
    root, merge = data_root() / "fields", recipe["data"]["merge"]
    for name, settings in recipe["data"].get("fields", {}).items():
        scale = Scale.given(settings["um_per_px"])
        for field in load_fields(root / f"{name}_train.json", root / "images")[0]:
            labels = [merge.get(subtype, subtype) for subtype in field.subtypes]
            chosen = [i for i, label in enumerate(labels) if label in recipe["model"]["labels"]]
            yield from _cut(field, scale, chosen, [str(label) for label in labels])


def unlabelled_cells(recipe: Recipe) -> Iterator[TrainingCell]:
    """White cells of the recipe's [data.unlabelled] cameras, whose type nobody said. None of them is kept aside."""
    root = data_root() / "fields"
    for name, settings in recipe["data"].get("unlabelled", {}).items():
        samples, names = load_fields(root / f"{name}_train.json", root / "images")
        scales = annotated_scales(samples, names)
        for field in samples:
            if field.source in settings["sources"]:
                white = np.flatnonzero(field.kinds == names.index(WHITE_CELL)).tolist()
                yield from _cut(field, scales[field.image_id], white, [UNLABELLED] * len(field.boxes))


def _cut(
    field: FieldSample, scale: Scale, chosen: Iterable[int], labels: list[str]
) -> Iterator[TrainingCell]:
    """Squares of FIELD_CELL_UM around the chosen boxes of a field."""
    side = round(FIELD_CELL_UM / CACHE_UM_PER_PX)
    image = None
    for i in chosen:
        image = read_picture(field.path).pixels if image is None else image
        x1, y1, x2, y2 = field.boxes[i].tolist()
        crop = crop_um(image, scale, ((x1 + x2) / 2, (y1 + y2) / 2), CACHE_UM_PER_PX, side)
        sample = CellSample(field.path, field.source, "train", field.group, labels[i], CACHE_UM_PER_PX)
        yield TrainingCell(sample, ((crop, Scale.given(CACHE_UM_PER_PX)),), i)


def in_memory(samples: list[CellSample]) -> list[TrainingCell]:
    """The cells, their pictures made coarser where they are finer than CACHE_UM_PER_PX."""
    with leaving(ThreadPoolExecutor()) as pool:  # what decodes a picture lets other threads run
        pictures = pool.map(lambda sample: _coarse(*read_cell(sample)), samples)
        told = track(pictures, "reading cells", total=len(samples), console=console)
        return [TrainingCell(sample, (picture,)) for sample, picture in zip(samples, told, strict=True)]


def through_objective(recipe: Recipe, cells: list[TrainingCell]) -> list[TrainingCell]:
    """Every cell with `shots` more pictures through the recipe's [virtual] objective, each with its own camera."""
    lens = objective(recipe["virtual"]["objective"])
    shoot = partial(_shot, lens, recipe["virtual"]["shots"], recipe["train"]["seed"])
    taken = [cell.pictures[0] for cell in cells]
    # Processes, not threads: most of a rendering is many small steps of numpy.
    with leaving(_processes()) as pool:
        shots = pool.map(shoot, range(len(cells)), taken, chunksize=64)
        told = track(shots, "rendering cells", total=len(cells), console=console)
        return [replace(c, pictures=(*c.pictures, *views)) for c, views in zip(cells, told, strict=True)]


def _processes() -> ProcessPoolExecutor:
    """Processes that leave Ctrl-C to this one, which then ends them."""
    ignoring = {"initializer": signal.signal, "initargs": (signal.SIGINT, signal.SIG_IGN)}
    return ProcessPoolExecutor(mp_context=get_context("spawn"), **ignoring)


def _shot(
    lens: Objective, shots: int, seed: int, number: int, taken: tuple[Image, Scale]
) -> list[tuple[Image, Scale]]:
    image, scale = taken
    rng = np.random.default_rng((seed, lens.magnification, number))
    views = [render(image, scale, lens, draw(lens, rng, finest=scale.um_per_px)) for _ in range(shots)]
    return [(view.image, view.scale) for view in views]


def encode(samples: list[CellSample], recipe: Recipe) -> NDArray[np.int64]:
    """Targets (N, 1 + attributes): index of the type, then of each attribute's value; UNKNOWN where not labelled."""
    labels = recipe["model"]["labels"]
    columns = [[UNKNOWN if s.label == UNLABELLED else labels.index(s.label) for s in samples]]
    for name, values in recipe["attributes"].items():
        columns.append(
            [values.index(s.attributes[name]) if name in s.attributes else UNKNOWN for s in samples]
        )
    return np.array(columns, np.int64).T


def _coarse(image: Image, scale: Scale) -> tuple[Image, Scale]:
    factor = min(1.0, scale.um_per_px / CACHE_UM_PER_PX)
    width, height = round(image.shape[1] * factor), round(image.shape[0] * factor)
    return resize(image, width, height), Scale.given(scale.um_per_px * image.shape[1] / width)
