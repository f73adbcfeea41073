"""What large readers said of cells, kept for small ones to learn from; see `teachers`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from edgeleuk.errors import EdgeleukError, ModelMissingError
from edgeleuk.rules import Rules
from edgeleuk.training.cells import UNKNOWN, TrainingCell, encode, unlabelled_cells
from edgeleuk.training.loop import console
from edgeleuk.training.recipe import Recipe

LESSONS = "lessons.npz"


@dataclass(frozen=True, slots=True)
class Lessons:
    """What teachers say of cells: probabilities of types, then of each attribute's values."""

    names: tuple[str, ...]
    """Of the N cells, see `TrainingCell.name`."""
    labels: tuple[str, ...]
    attributes: Mapping[str, tuple[str, ...]]
    probabilities: NDArray[np.float32]
    """(N, types and values of all attributes)."""

    def save(self, path: Path) -> None:
        columns = [f"/{label}" for label in self.labels]
        columns += [f"{name}/{value}" for name, values in self.attributes.items() for value in values]
        partial = path.with_suffix(".partial.npz")
        np.savez_compressed(
            partial,
            names=np.array(self.names),
            columns=np.array(columns),
            probabilities=self.probabilities.astype(np.float16),
        )
        partial.replace(path)

    @classmethod
    def load(cls, path: Path) -> Lessons:
        """Raises ModelMissingError where there is none."""
        if not path.is_file():
            raise ModelMissingError(
                f"no lessons {path}. Run `edgeleuk train teachers --recipe {path.parent.name}` first."
            )
        with np.load(path) as stored:
            columns = [column.split("/", 1) for column in stored["columns"].tolist()]
            names = tuple(stored["names"].tolist())
            probabilities = stored["probabilities"].astype(np.float32)
        attributes: dict[str, tuple[str, ...]] = {}
        for name, value in columns:
            attributes[name] = (*attributes.get(name, ()), value)
        return cls(names, attributes.pop(""), attributes, probabilities)

    def for_recipe(self, recipe: Recipe) -> NDArray[np.float32]:
        """(N, outputs of the recipe's network): types are merged as the recipe does, attributes it lacks left out.

        Raises EdgeleukError where the recipe has a type or an attribute that the teachers did not learn.
        """
        merge = recipe["data"]["merge"]
        columns: list[NDArray[np.float32]] = []
        for label in recipe["model"]["labels"]:
            own = [i for i, each in enumerate(self.labels) if merge.get(each, each) == label]
            columns.append(self.probabilities[:, own].sum(axis=1))
            if not own:
                raise EdgeleukError(f"the teachers of recipe {recipe.name} do not know the type {label}.")
        starts = np.cumsum([len(self.labels), *(len(values) for values in self.attributes.values())])
        where = dict(zip(self.attributes, starts.tolist(), strict=False))
        for name, values in recipe["attributes"].items():
            if self.attributes.get(name) != tuple(values):
                raise EdgeleukError(f"the teachers of recipe {recipe.name} do not know the attribute {name}.")
            columns.extend(self.probabilities[:, where[name] : where[name] + len(values)].T)
        return np.stack(columns, axis=1)


def with_lessons(
    recipe: Recipe, cells: list[TrainingCell], runs: Path, rules: Rules
) -> tuple[list[TrainingCell], Tensor]:
    """The cells and what their teachers say (N, outputs), with the recipe's unlabelled cells that they are sure of.

    Zeros where nothing is said: of a cell the teachers did not read, and of an attribute that nobody labelled.
    """
    settings = recipe["taught"]
    lessons = Lessons.load(runs / settings["by"] / LESSONS)
    table = lessons.for_recipe(recipe)
    row = {name: i for i, name in enumerate(lessons.names)}
    kinds = len(recipe["model"]["labels"])
    strangers = [cell for cell in unlabelled_cells(recipe) if cell.name in row]
    # Somebody boxed these as white cells: that they are none is not for the teachers to say.
    others = [i for i, label in enumerate(recipe["model"]["labels"]) if label in rules.outside.no_white_cells]
    for cell in strangers:
        types = table[row[cell.name], :kinds]
        types[others] = 0
        types /= max(float(types.sum()), 1e-6)
    sure = [cell for cell in strangers if table[row[cell.name], :kinds].max() >= settings["least"]]
    cells = [*cells, *sure]
    said = np.stack([table[row[c.name]] if c.name in row else np.zeros_like(table[0]) for c in cells])
    targets = encode([cell.sample for cell in cells], recipe)
    start = kinds
    for column, values in zip(targets.T[1:], recipe["attributes"].values(), strict=True):
        said[column == UNKNOWN, start : start + len(values)] = 0
        start += len(values)
    known = sum(c.name in row for c in cells)
    console.print(f"{known} of {len(cells)} cells are taught, {len(sure)} of them without a label")
    return cells, torch.from_numpy(said)
