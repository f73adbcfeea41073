"""Training cells in memory.

They are the cells of `cells.csv`, and the white cells of fields whose type is known.
"""

from __future__ import annotations

import hashlib
import signal
from collections.abc import Collection, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from multiprocessing import get_context

import numpy as np
from numpy.typing import NDArray
from rich.progress import track

from edgeleuk.imaging.objectives import Objective, objective
from edgeleuk.imaging.resampling import crop_um, resize
from edgeleuk.lab.evaluation.cells import read_cell
from edgeleuk.lab.evaluation.datasets import (
    CellSample,
    FieldSample,
    annotated_scales,
    data_root,
    load_cells,
    load_fields,
)
from edgeleuk.lab.evaluation.fields import read_field
from edgeleuk.lab.training.labels import Labels
from edgeleuk.lab.training.loop import console
from edgeleuk.lab.training.recipe import Recipe, is_aside, learns_from, told_by_label
from edgeleuk.models import registry
from edgeleuk.networks.finder import Finder
from edgeleuk.simulation.microscope import draw, render
from edgeleuk.sources.pictures.reading import read_picture
from edgeleuk.system.pools import leaving
from edgeleuk.types import PLATELET, RED_CELL, WHITE_CELL, Boxes, Image, Scale

CACHE_UM_PER_PX = 0.15
FIELD_CELL_UM = 24.0
"""Side of the square around a field's cell, um."""
UNKNOWN = -1
PLATELET_TYPE = "platelet"
NOT_A_CELL = "not_a_cell"
"""Type of red cells, debris, torn nuclei and dirt."""


@dataclass(frozen=True, slots=True)
class TrainingCell:
    """A cell and images centred on it."""

    sample: CellSample
    pictures: tuple[tuple[Image, Scale], ...]
    """One or more images with scales.

    The first is as it was taken, the others are through other objectives.
    """
    number: int = 0
    """Index among the cells of its file."""

    @property
    def name(self) -> str:
        """Name of the cell.

        It depends on neither the data folder nor the file format.
        """
        return f"{self.sample.source}/{self.sample.path.stem}/{self.number}"


def training_cells(recipe: Recipe) -> list[TrainingCell]:
    """Load all training cells of a recipe.

    They include the things that it learns are no white cells.
    """
    cells = in_memory(load_training_cells(recipe, kept_aside=False))
    return [*cells, *load_field_cells(recipe), *non_white_cells(recipe)]


def load_training_cells(recipe: Recipe, kept_aside: bool) -> list[CellSample]:
    """Load training cells of a recipe's sources.

    With `kept_aside`, load instead the cells kept aside for thresholds and calibration. Cells are kept aside
    by patient if known, else by the file's name without its extension. Types are merged as the recipe says.
    Images with two labels are dropped.
    """
    data, root, labels = recipe["data"], data_root() / "cells", Labels.of(recipe)
    samples = []
    told = told_by_label(recipe)
    for sample in load_cells(root / "cells.csv", root / "images", tuple(recipe["attributes"]), told):
        if sample.split != "train" or sample.source not in data["sources"]:
            continue
        if not learns_from(recipe, sample.source):
            continue
        if is_aside(recipe, sample.patient or sample.path.stem) != kept_aside:
            continue
        merged = replace(sample, label=data["merge"].get(sample.label, sample.label))
        if labels.knows(merged):
            samples.append(merged)
    return of_one_label(samples)


def of_one_label(samples: Sequence[CellSample]) -> list[CellSample]:
    """Drop samples whose image has several labels."""
    pictures = [hashlib.sha256(sample.path.read_bytes()).digest() for sample in samples]
    given: dict[bytes, set[str]] = {}
    for sample, picture in zip(samples, pictures, strict=True):
        given.setdefault(picture, set()).add(sample.label)
    return [each for each, picture in zip(samples, pictures, strict=True) if len(given[picture]) == 1]


def load_field_cells(recipe: Recipe) -> Iterator[TrainingCell]:
    """Yield typed white cells of training fields.

    Their subtypes are annotated. None of them is kept aside.
    """
    named = [name for name in recipe["data"].get("fields", {}) if learns_from(recipe, name)]
    yield from field_cells(recipe, "train", named)


def field_cells(recipe: Recipe, split: str, laboratories: Collection[str]) -> Iterator[TrainingCell]:
    """Yield typed white cells of some fields.

    Their subtypes are annotated.

    Args:
        recipe: Recipe whose [data.fields] and types apply.
        split: Split of the fields, such as "train".
        laboratories: Names of [data.fields] to take cells from; others are skipped.
    """
    root, merge, labels = data_root() / "fields", recipe["data"]["merge"], Labels.of(recipe)
    for name, settings in recipe["data"].get("fields", {}).items():
        if name not in laboratories:
            continue
        samples, names = load_fields(root / f"{name}_{split}.json", root / "images")
        scales = annotated_scales(samples, names)
        for field in samples:
            nominal = settings.get("um_per_px")
            scale = Scale.given(nominal) if nominal else scales[field.image_id]
            kinds = [str(merge.get(subtype, subtype)) for subtype in field.subtypes]
            known = [i for i, kind in enumerate(kinds) if kind in labels.names]
            for cell in _cut(field, scale, known, kinds):
                yield replace(cell, sample=replace(cell.sample, split=split))


def non_white_cells(recipe: Recipe, laboratories: Collection[str] | None = None) -> Iterator[TrainingCell]:
    """Yield crops of other things than white cells.

    They are false positives of the recipe's finder and annotated red cells, from fields on which all cells
    are annotated. The fields are those of `laboratories`; None means all that the recipe learns from.
    """
    settings = recipe["data"].get("not_cells")
    if not settings:
        return
    root, rng = data_root() / "fields", np.random.default_rng(recipe["train"]["seed"])
    finder = Finder(registry.load(settings["finder"]).finder)
    for name in settings["fields"]:
        samples, names = load_fields(root / f"{name}_train.json", root / "images")
        scales = annotated_scales(samples, names)
        white, red, platelet = (names.index(kind) for kind in (WHITE_CELL, RED_CELL, PLATELET))
        for field in track(samples, f"looking for what is no white cell in {name}", console=console):
            known = (
                learns_from(recipe, field.source) if laboratories is None else field.source in laboratories
            )
            if not known or field.image_id not in scales:
                continue
            scale = scales[field.image_id]
            found = finder.find(read_field(field), scale, floor=settings["from"]).of(WHITE_CELL)
            cells = field.boxes[field.kinds == white]
            # Higher scores were often white cells that nobody annotated.
            doubtful = found.boxes[found.scores < settings["below"]]
            boxes = doubtful[_apart(doubtful, cells) & _inside(doubtful, field)]
            reds = field.boxes[(field.kinds == red) & _inside(field.boxes, field)]
            reds = reds[_apart(reds, cells)]
            reds = reds[rng.permutation(len(reds))[: settings["red_cells"]]]
            small = _are(boxes, field.boxes[field.kinds == platelet])
            kinds = [*(PLATELET_TYPE if near else NOT_A_CELL for near in small), *[NOT_A_CELL] * len(reds)]
            both = replace(field, boxes=np.concatenate([boxes, reds]).astype(np.float32))
            yield from _cut(both, scale, range(len(kinds)), kinds)


def _apart(boxes: Boxes, others: Boxes) -> NDArray[np.bool_]:
    """Return which boxes are far from others.

    (N,), true if no other box's centre lies within the box, nor its own within another box enlarged by half.
    """
    held, holding = np.any(_holds(boxes, others), axis=1), np.any(_holds(others, boxes, 1.5), axis=0)
    return np.logical_not(held | holding)


def _are(boxes: Boxes, others: Boxes) -> NDArray[np.bool_]:
    """Return which boxes coincide with another one.

    (N,), true if the box and another one, enlarged to twice its size, contain each other's centre.
    """
    are: NDArray[np.bool_] = np.any(_holds(boxes, others) & _holds(others, boxes, 2.0).T, axis=1)
    return are


def _holds(boxes: Boxes, others: Boxes, grown: float = 1.0) -> NDArray[np.bool_]:
    """Return which boxes contain others' centres.

    (N, M); the N boxes are first enlarged about their centres by the factor `grown`.
    """
    middle, half = (boxes[:, :2] + boxes[:, 2:]) / 2, (boxes[:, 2:] - boxes[:, :2]) / 2 * grown
    theirs = (others[:, :2] + others[:, 2:]) / 2
    within: NDArray[np.bool_] = np.all(np.abs(theirs[None] - middle[:, None]) < half[:, None], axis=2)
    return within


def _inside(boxes: Boxes, field: FieldSample) -> NDArray[np.bool_]:
    """Return which boxes touch no edge.

    (N,), true within the field by a margin of 3 px. Every annotator treats cells cut by the edge differently.
    """
    limit = np.array([field.width, field.height], np.float32) - 3
    within: NDArray[np.bool_] = np.all((boxes[:, :2] > 3) & (boxes[:, 2:] < limit), axis=1)
    return within


def _cut(
    field: FieldSample, scale: Scale, chosen: Iterable[int], labels: list[str]
) -> Iterator[TrainingCell]:
    """Yield squares of FIELD_CELL_UM around chosen boxes."""
    side = round(FIELD_CELL_UM / CACHE_UM_PER_PX)
    image = None
    for i in chosen:
        image = read_picture(field.path).pixels if image is None else image
        x1, y1, x2, y2 = field.boxes[i].tolist()
        crop = crop_um(image, scale, ((x1 + x2) / 2, (y1 + y2) / 2), CACHE_UM_PER_PX, side)
        sample = CellSample(field.path, field.source, "train", field.group, labels[i], CACHE_UM_PER_PX)
        yield TrainingCell(sample, ((crop, Scale.given(CACHE_UM_PER_PX)),), i)


def in_memory(samples: list[CellSample]) -> list[TrainingCell]:
    """Read the cells' images into memory.

    Images finer than CACHE_UM_PER_PX are reduced to it.
    """
    with leaving(ThreadPoolExecutor()) as pool:  # decoding an image lets other threads run
        pictures = pool.map(lambda sample: _coarse(*read_cell(sample)), samples)
        told = track(pictures, "reading cells", total=len(samples), console=console)
        return [TrainingCell(sample, (picture,)) for sample, picture in zip(samples, told, strict=True)]


def through_objective(recipe: Recipe, cells: list[TrainingCell]) -> list[TrainingCell]:
    """Add simulated images to every cell.

    Each cell gets `shots` more images through the recipe's [virtual] objective, each with its own camera.
    """
    lens = objective(recipe["virtual"]["objective"])
    shoot = partial(_shot, lens, recipe["virtual"]["shots"], recipe["train"]["seed"])
    taken = [cell.pictures[0] for cell in cells]
    # Processes, not threads: rendering is mostly many small numpy steps.
    with leaving(_processes()) as pool:
        shots = pool.map(shoot, range(len(cells)), taken, chunksize=64)
        told = track(shots, "rendering cells", total=len(cells), console=console)
        return [replace(c, pictures=(*c.pictures, *views)) for c, views in zip(cells, told, strict=True)]


def _processes() -> ProcessPoolExecutor:
    """Create a pool of processes that ignore Ctrl-C.

    This process handles it and then ends them.
    """
    return ProcessPoolExecutor(
        mp_context=get_context("spawn"),
        initializer=signal.signal,
        initargs=(signal.SIGINT, signal.SIG_IGN),
    )


def _shot(
    lens: Objective, shots: int, seed: int, number: int, taken: tuple[Image, Scale]
) -> list[tuple[Image, Scale]]:
    image, scale = taken
    rng = np.random.default_rng((seed, lens.magnification, number))
    views = [render(image, scale, lens, draw(lens, rng, finest=scale.um_per_px)) for _ in range(shots)]
    return [(view.image, view.scale) for view in views]


def encode(samples: Sequence[CellSample], recipe: Recipe) -> NDArray[np.int64]:
    """Encode labels and attributes as targets.

    The targets are (N, 1 + attributes). The first column is the index of the label, see `Labels.names`; the
    others are the index of each attribute's value, UNKNOWN where it is not labelled.
    """
    labels = Labels.of(recipe)
    columns = [[labels.index(sample) for sample in samples]]
    for name, values in recipe["attributes"].items():
        columns.append(
            [values.index(s.attributes[name]) if name in s.attributes else UNKNOWN for s in samples]
        )
    return np.array(columns, np.int64).T


def _coarse(image: Image, scale: Scale) -> tuple[Image, Scale]:
    factor = min(1.0, scale.um_per_px / CACHE_UM_PER_PX)
    width, height = round(image.shape[1] * factor), round(image.shape[0] * factor)
    return resize(image, width, height), Scale.given(scale.um_per_px * image.shape[1] / width)
