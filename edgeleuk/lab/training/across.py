"""Evaluation of a recipe on left-out laboratories.

One network is trained without each group of laboratories. These networks are not published. Their readings
of the laboratories left out show how the published network, which was trained on all of them, will perform in
a new laboratory: the blast-likeness of healthy cells is measured on them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from edgeleuk.differential.rules import Rules
from edgeleuk.lab.evaluation.cells import evaluate_reader, read_cell
from edgeleuk.lab.evaluation.datasets import CellSample, data_root, load_cells
from edgeleuk.lab.training.cells import field_cells, non_white_cells, of_one_label
from edgeleuk.lab.training.export import exported, manifest_part, quantized
from edgeleuk.lab.training.labels import Labels
from edgeleuk.lab.training.recipe import Recipe, load_recipe, told_by_label, without
from edgeleuk.models.manifest import reader_manifest
from edgeleuk.networks.reader import Reader
from edgeleuk.types import Image, Scale

SPLITS = ("train", "val")


@dataclass(frozen=True, slots=True)
class ForeignCells:
    """Cells of left-out laboratories, with their images."""

    samples: tuple[CellSample, ...]
    pictures: dict[int, tuple[Image, Scale]]
    """Images and scales of field cells, by `id(sample)`."""

    def load_cell(self, sample: CellSample) -> tuple[Image, Scale]:
        """Return a sample's image and scale."""
        return self.pictures[id(sample)] if id(sample) in self.pictures else read_cell(sample)

    def of(self, laboratory: str) -> list[CellSample]:
        """Return the samples of one laboratory."""
        return [sample for sample in self.samples if sample.source == laboratory]


def groups(recipe: Recipe) -> list[list[str]]:
    """Return the groups of laboratories to leave out.

    One network is trained without each group. The list is empty if the recipe names no groups.
    """
    return [list(each) for each in recipe["publish"].get("across", ())]


def foreign_cells(
    recipe: Recipe, laboratories: Sequence[str], splits: Sequence[str] = SPLITS
) -> ForeignCells:
    """Load all typed cells of some laboratories.

    The cells come from `cells.csv` and from fields. Cells whose type the recipe does not know are dropped.

    Args:
        recipe: Recipe whose types, merges and attributes apply.
        laboratories: Sources of the cells.
        splits: Splits to load. "train" includes the crops of `non_white_cells`.
    """
    root, labels, merge = data_root() / "cells", Labels.of(recipe), recipe["data"]["merge"]
    told = told_by_label(recipe)
    rows = load_cells(root / "cells.csv", root / "images", tuple(recipe["attributes"]), told)
    own = [each for each in rows if each.source in laboratories and each.split in splits]
    merged = [replace(each, label=merge.get(each.label, each.label)) for each in own]
    samples = of_one_label([each for each in merged if labels.knows(each)])
    cut = [cell for split in splits for cell in field_cells(recipe, split, laboratories)]
    if "train" in splits:
        cut += non_white_cells(recipe, laboratories)
    pictures = {id(cell.sample): cell.pictures[0] for cell in cut}
    return ForeignCells((*samples, *(cell.sample for cell in cut)), pictures)


@dataclass(frozen=True, slots=True)
class LeftOutReader:
    """A reader and its left-out laboratories' cells."""

    recipe: Recipe
    laboratories: tuple[str, ...]
    reader: Reader
    cells: ForeignCells


def left_out_readers(
    recipe: Recipe, runs: Path, work: Path, splits: Sequence[str] = SPLITS
) -> Iterator[LeftOutReader]:
    """Yield a reader per group of left-out laboratories.

    The networks are those of the recipe itself, or of the recipe that its [publish] names as `across_by`.
    They are quantized like the published one.

    Args:
        recipe: Recipe of the published reader.
        runs: Folder with one subfolder per training.
        work: Folder for the exported networks.
        splits: Splits of the cells to load.

    Raises:
        ModelMissingError: A network has not been trained.
        EdgeleukError: A training is unfinished or of another recipe.
    """
    for left_out in groups(recipe):
        by = recipe["publish"].get("across_by")
        base = load_recipe(by, "reader") if by else recipe
        own = without(base, left_out)
        folder = work / own.name
        folder.mkdir(parents=True, exist_ok=True)
        part = manifest_part(own, quantized(own, exported(own, runs, folder)))
        reader = Reader(reader_manifest(folder, part))
        yield LeftOutReader(own, tuple(left_out), reader, foreign_cells(recipe, left_out, splits))


def measure(recipe: Recipe, runs: Path, work: Path, rules: Rules) -> Iterator[tuple[str, dict[str, Any]]]:
    """Measure the readers on their left-out laboratories.

    Args:
        recipe: Recipe of the published reader.
        runs: Folder with one subfolder per training.
        work: Folder for the exported networks.
        rules: Rules by which the readings are evaluated.

    Yields:
        Each laboratory and its figures: the recipe under "network", and the output of `eval reader --json`
        under "all", and under "val" if the laboratory has validation cells.

    Raises:
        ModelMissingError: A network has not been trained.
        EdgeleukError: A training is unfinished or of another recipe.
    """
    for each in left_out_readers(recipe, runs, work):
        for laboratory in each.laboratories:
            own = [s for s in each.cells.of(laboratory) if s.label not in rules.outside.no_white_cells]
            parts = {"all": own, "val": [sample for sample in own if sample.split == "val"]}
            yield (
                laboratory,
                {
                    "network": each.recipe.name,
                    **{
                        name: evaluate_reader(each.reader, part, rules, None, each.cells.load_cell).as_json()
                        for name, part in parts.items()
                        if part
                    },
                },
            )
