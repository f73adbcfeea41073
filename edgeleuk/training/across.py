"""How a recipe reads in laboratories that it never saw: one network for each group of laboratories left out.

These networks are not published. What they say of the cells of the laboratories that they never saw tells how the published
one, which saw them all, reads in the next laboratory: the threshold and the temperature are chosen on it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from edgeleuk.evaluation.cells import evaluate_reader, read_cell
from edgeleuk.evaluation.datasets import CellSample, data_root, load_cells
from edgeleuk.manifest import reader_manifest
from edgeleuk.reader import Reader
from edgeleuk.rules import Rules
from edgeleuk.training.cells import field_cells, of_one_label, things_beside
from edgeleuk.training.export import exported, manifest_part, quantized
from edgeleuk.training.labels import Labels
from edgeleuk.training.recipe import Recipe, load_recipe, told_by_label, without
from edgeleuk.types import Image, Scale

SPLITS = ("train", "val")


@dataclass(frozen=True, slots=True)
class ForeignCells:
    """Cells of laboratories that a reader never saw, and how to look at them."""

    samples: tuple[CellSample, ...]
    pictures: dict[int, tuple[Image, Scale]]
    """Of cells of fields, by the sample's identity."""

    def look(self, sample: CellSample) -> tuple[Image, Scale]:
        """A sample's picture and scale."""
        return self.pictures[id(sample)] if id(sample) in self.pictures else read_cell(sample)

    def of(self, laboratory: str) -> list[CellSample]:
        return [sample for sample in self.samples if sample.source == laboratory]


def groups(recipe: Recipe) -> list[list[str]]:
    """The laboratories that each of the recipe's networks is kept from; none where the recipe names none."""
    return [list(each) for each in recipe["publish"].get("across", ())]


def foreign_cells(
    recipe: Recipe, laboratories: Sequence[str], splits: Sequence[str] = SPLITS
) -> ForeignCells:
    """All typed cells of the laboratories in `splits`, of `cells.csv` and of fields, whose type the recipe knows."""
    root, labels, merge = data_root() / "cells", Labels.of(recipe), recipe["data"]["merge"]
    told = told_by_label(recipe)
    rows = load_cells(root / "cells.csv", root / "images", tuple(recipe["attributes"]), told)
    own = [each for each in rows if each.source in laboratories and each.split in splits]
    merged = [replace(each, label=merge.get(each.label, each.label)) for each in own]
    samples = of_one_label([each for each in merged if labels.knows(each)])
    cut = [cell for split in splits for cell in field_cells(recipe, split, laboratories)]
    if "train" in splits:
        cut += things_beside(recipe, laboratories)
    pictures = {id(cell.sample): cell.pictures[0] for cell in cut}
    return ForeignCells((*samples, *(cell.sample for cell in cut)), pictures)


@dataclass(frozen=True, slots=True)
class Unseeing:
    """A reader and the cells of the laboratories that it never saw."""

    recipe: Recipe
    laboratories: tuple[str, ...]
    reader: Reader
    cells: ForeignCells


def unseeing(recipe: Recipe, runs: Path, work: Path, splits: Sequence[str] = SPLITS) -> Iterator[Unseeing]:
    """One for each of the recipe's groups of laboratories, quantized like the published one.

    They are networks of the recipe itself, or of the one that its [publish] names as `across_by`. Raises ModelMissingError where a network has not been trained.
    """
    base = load_recipe(recipe["publish"].get("across_by", recipe.name), "reader")
    for left_out in groups(recipe):
        own = without(base, left_out)
        folder = work / own.name
        folder.mkdir(parents=True, exist_ok=True)
        part = manifest_part(own, quantized(own, exported(own, runs, folder)))
        reader = Reader(reader_manifest(folder, part))
        yield Unseeing(own, tuple(left_out), reader, foreign_cells(recipe, left_out, splits))


def measure(recipe: Recipe, runs: Path, work: Path, rules: Rules) -> Iterator[tuple[str, dict[str, Any]]]:
    """By laboratory, what `eval reader --json` says of its cells: under "all", and under "val" where there are some."""
    for each in unseeing(recipe, runs, work):
        for laboratory in each.laboratories:
            own = [s for s in each.cells.of(laboratory) if s.label not in rules.outside.no_white_cells]
            parts = {"all": own, "val": [sample for sample in own if sample.split == "val"]}
            yield (
                laboratory,
                {
                    "network": each.recipe.name,
                    **{
                        name: evaluate_reader(each.reader, part, rules, None, each.cells.look).as_json()
                        for name, part in parts.items()
                        if part
                    },
                },
            )
