"""Held-out cells for choosing a reader's thresholds.

The reader's bounds are chosen on them too. No network reads cells that it has learnt from.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgeleuk.differential.rules import Rules
from edgeleuk.lab.evaluation.blasts import Detection
from edgeleuk.lab.evaluation.cells import CellLoader, middle
from edgeleuk.lab.evaluation.datasets import CellSample
from edgeleuk.lab.evaluation.readings import Readings
from edgeleuk.lab.training.across import left_out_readers
from edgeleuk.lab.training.cells import NOT_A_CELL, load_training_cells
from edgeleuk.lab.training.labels import Labels
from edgeleuk.lab.training.lenses import cell_loader_of, lens_of, through
from edgeleuk.lab.training.recipe import Recipe
from edgeleuk.networks.reader import Reader, softmax

MOST = 100
"""Maximum cells per type and left-out laboratory.

The limit keeps a large laboratory from dominating.
"""
KEPT_ASIDE = "training cells kept aside"


@dataclass(frozen=True, slots=True)
class Evidence:
    """N held-out cells and their predictions."""

    samples: tuple[CellSample, ...]
    logits: NDArray[np.float32]
    """(N, types) log-probabilities at temperature 1."""
    foreign: NDArray[np.bool_]
    """(N,) whether a cell's laboratory was left out.

    Such a cell is read by a network that never saw its laboratory, the others by the published network.
    """
    labels: Labels

    @property
    def home(self) -> Evidence:
        """Cells kept aside, read by the published reader.

        With them what is no white cell, of which nothing is kept aside, as left-out networks read it.
        """
        chosen = ~self.foreign | np.array([each.label == NOT_A_CELL for each in self.samples])
        return self.where(chosen)

    def where(self, chosen: NDArray[np.bool_]) -> Evidence:
        """Return some of the cells; `chosen`: (N,)."""
        samples = tuple(each for each, one in zip(self.samples, chosen, strict=True) if one)
        return Evidence(samples, self.logits[chosen], self.foreign[chosen], self.labels)

    @property
    def truth(self) -> NDArray[np.int64]:
        """(N,) indices of the printed labels."""
        return self.labels.printed_index(self.samples)

    @property
    def allowed(self) -> NDArray[np.bool_]:
        """(N, types) whether a cell's label allows a type."""
        mask: NDArray[np.bool_] = self.labels.masks[[self.labels.index(each) for each in self.samples]]
        return mask

    def printed(self, temperature: float) -> NDArray[np.float32]:
        """Return probabilities (N, printed labels) at a temperature."""
        sums: NDArray[np.float32] = softmax(self.logits / temperature) @ self.labels.printing_matrix
        return sums


def gather(recipe: Recipe, reader: Reader, runs: Path, work: Path) -> Evidence:
    """Read the held-out cells of a recipe.

    They are its cells kept aside, read by `reader`, and cells of each laboratory that one of its networks
    left out, read by that network.

    Args:
        recipe: Recipe of the reader.
        reader: The published reader, at temperature 1.
        runs: Folder with one subfolder per training.
        work: Folder for the exported networks.

    Raises:
        ModelMissingError: A network of the recipe's `across` has not been trained.
        EdgeleukError: A training is unfinished or of another recipe.
    """
    aside = load_training_cells(recipe, kept_aside=True)
    samples, parts = list(aside), [_logits(reader, aside, cell_loader_of(recipe))]
    rng = np.random.default_rng(recipe["train"]["seed"])
    for each in left_out_readers(recipe, runs, work, ("train",)):
        load_cell = through(lens_of(recipe), each.cells.load_cell)
        for laboratory in each.laboratories:
            chosen = _few_of_each(each.cells.of(laboratory), rng)
            samples += chosen
            parts.append(_logits(each.reader, chosen, load_cell))
    foreign = np.arange(len(samples)) >= len(aside)
    return Evidence(tuple(samples), np.concatenate(parts), foreign, Labels.of(recipe))


def _few_of_each(samples: list[CellSample], rng: np.random.Generator) -> list[CellSample]:
    """Draw up to MOST samples of each label."""
    kept: Counter[str] = Counter()
    chosen = []
    for i in rng.permutation(len(samples)).tolist():
        kept[samples[i].label] += 1
        if kept[samples[i].label] <= MOST:
            chosen.append(samples[i])
    return chosen


def _logits(reader: Reader, samples: list[CellSample], load_cell: CellLoader) -> NDArray[np.float32]:
    crops = np.stack([middle(reader, *load_cell(sample)) for sample in samples])
    said: NDArray[np.float32] = np.log(reader.type_probabilities(crops).clip(1e-12))
    return said


def by_laboratory(evidence: Evidence, reader: Reader, rules: Rules) -> dict[str, Any]:
    """Return figures on the cells of each laboratory left out.

    The layout is that of `across.measure`, under "sample": the evidence has a few cells of each type only.

    Args:
        evidence: The cells, with the logits of networks that never saw their laboratory.
        reader: The published reader, with its temperature and threshold.
        rules: Which types are no white cells.
    """
    types, truth = evidence.printed(reader.manifest.temperature), evidence.truth
    best, labels = types.argmax(axis=1), np.array(reader.labels)
    accepted = types.max(axis=1) >= reader.threshold
    chosen = np.isin(labels, reader.manifest.blast_like)
    white = evidence.foreign & ~np.isin(labels[truth], rules.outside.no_white_cells)
    counted = white & ~np.isin(labels[truth], list(rules.not_counted))
    sources = np.array([sample.source for sample in evidence.samples])
    single = np.ones(len(truth), bool)
    readings = Readings(reader.labels, truth, types, reader.threshold, reader.mature, single)
    told = Detection(chosen[truth], types[:, chosen].sum(axis=1), chosen[best], accepted, sources)
    found = {}
    for laboratory in np.unique(sources[white]).tolist():
        own = sources == laboratory
        figures = readings.where(own & white).as_json()
        figures["blast_like"] = told.where(own & counted).as_json()
        found[laboratory] = {"sample": {"by_source": {laboratory: figures}}}
    return found
