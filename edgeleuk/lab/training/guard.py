"""Guard cells of a published reader.

They are cells kept aside of its training, so that it did not learn from them; what is no white cell comes from
training fields, since nothing of it is kept aside.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgeleuk.errors import ModelError
from edgeleuk.lab.evaluation.cells import CellLoader, middle, read_cell
from edgeleuk.lab.evaluation.datasets import CellSample
from edgeleuk.lab.training.cells import NOT_A_CELL, load_training_cells, non_white_cells
from edgeleuk.lab.training.evidence import KEPT_ASIDE
from edgeleuk.lab.training.labels import Labels
from edgeleuk.lab.training.lenses import lens_of, through
from edgeleuk.lab.training.recipe import Recipe, load_recipe
from edgeleuk.models import guard
from edgeleuk.models.guard import Guard
from edgeleuk.models.manifest import reader_manifest
from edgeleuk.networks.reader import Reader
from edgeleuk.system import file_io
from edgeleuk.types import Image, Scale

FILE = "reader-guard.npz"
MOST = 30
"""Maximum cells of a printed label.

20 of them must be recognised for the label's errors to count as measured (`correction.MIN_CELLS`).
"""
NOT_CELLS_OF = ("bccd",)
"""Source of the fields from which what is no white cell is cut: the smallest one."""


def guard_cells(recipe: Recipe, reader: Reader, not_cells_of: tuple[str, ...] = NOT_CELLS_OF) -> Guard:
    """Return the guard cells of a reader.

    Args:
        recipe: Recipe of the reader.
        reader: Reader whose features are taken.
        not_cells_of: Sources of the fields from which what is no white cell is cut.
    """
    labels, lens = Labels.of(recipe), lens_of(recipe)
    samples = load_training_cells(recipe, kept_aside=True)
    cut = [] if not not_cells_of else list(non_white_cells(recipe, not_cells_of))
    pictures = {id(each.sample): each.pictures[0] for each in cut}

    def read(sample: CellSample) -> tuple[Image, Scale]:
        return pictures[id(sample)] if id(sample) in pictures else read_cell(sample)

    samples += [each.sample for each in cut if each.sample.label == NOT_A_CELL]
    truth = labels.printed_index(samples)
    rng = np.random.default_rng(recipe["train"]["seed"])
    chosen = np.concatenate([rng.permutation(np.flatnonzero(truth == i))[:MOST] for i in np.unique(truth)])
    own = [samples[i] for i in chosen.tolist()]
    groups = [sample.patient or sample.path.stem for sample in own]
    return Guard(
        _features(reader, own, through(lens, read)),
        np.array([reader.labels.index(labels.printing[i]) for i in truth[chosen].tolist()]),
        np.unique(groups, return_inverse=True)[1],
    )


def guard_part(recipe: Recipe, reader: Reader, folder: Path) -> dict[str, Any]:
    """Write the guard cells of a reader; return the manifest's entry."""
    cells = guard_cells(recipe, reader)
    return {
        "file": FILE,
        "sha256": guard.save(folder / FILE, cells),
        "of": f"{len(cells.labels)} {KEPT_ASIDE}",
    }


def add_guard(magnification: str, models: Path) -> Path:
    """Make the guard cells of a published model again; return its folder.

    Args:
        magnification: Magnification of the model, such as "40x".
        models: Folder of the model folders.

    Raises:
        ModelError: There is no such model.
    """
    folder = models / magnification
    try:
        document: dict[str, Any] = file_io.read_json(folder / "model.json")
    except (OSError, ValueError) as error:
        raise ModelError(f"no published model in {folder}: {error}.") from error
    part = document["reader"]
    entry = guard_part(load_recipe(part["recipe"], "reader"), Reader(reader_manifest(folder, part)), folder)
    document["reader"] = part | {"guard": entry}
    (folder / "model.json").write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
    return folder


def _features(reader: Reader, samples: list[CellSample], load_cell: CellLoader) -> NDArray[np.float32]:
    return reader.features(np.stack([middle(reader, *load_cell(sample)) for sample in samples]))
