"""Known cells of a published reader, and its errors where it knows none.

The known cells are training cells of every laboratory. The limit below which a slide is unfamiliar is chosen on cells
kept aside. Both are tested with networks that never saw a laboratory: these should call its slides unfamiliar.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgeleuk.differential.rules import Rules
from edgeleuk.lab.evaluation.cells import CellLoader, middle, read_cell
from edgeleuk.lab.evaluation.datasets import CellSample
from edgeleuk.lab.training.across import ForeignCells, left_out_readers
from edgeleuk.lab.training.cells import NOT_A_CELL, load_field_cells, load_training_cells
from edgeleuk.lab.training.doubts import possible
from edgeleuk.lab.training.evidence import Evidence
from edgeleuk.lab.training.labels import Labels
from edgeleuk.lab.training.lenses import lens_of, through
from edgeleuk.lab.training.measure import false_positives
from edgeleuk.lab.training.recipe import Recipe
from edgeleuk.models import known
from edgeleuk.networks.reader import Reader
from edgeleuk.statistics.correction import Confusion

FILE = "reader-known.npz"
MOST = 15
"""Maximum cells of a laboratory and printed label that the means are of."""
CELLS = 10
"""Number of white cells from which a slide can be unfamiliar.

The mean familiarity of ten cells of one laboratory varies by a few hundredths.
"""
DRAWS = 400
SHARE = 0.05
"""Share of draws of CELLS cells from a learnt laboratory that are called unfamiliar.

It is that of the laboratory which looks least like its own known cells; of most others it is far smaller.
"""
MOST_MEASURED = 200
"""Maximum cells of a laboratory on which this is tested."""
ELSEWHERE = "cells of laboratories left out, read by networks that never saw them"

Floats = NDArray[np.float32]


def known_part(recipe: Recipe, reader: Reader, runs: Path, folder: Path) -> dict[str, Any]:
    """Write the known cells of a reader; return the manifest's entry.

    Args:
        recipe: Recipe of the reader.
        reader: The reader as it is published.
        runs: Folder with one subfolder per training.
        folder: Folder that gets the file, and the networks of left-out laboratories.
    """
    means = known_means(recipe, reader)
    sha256 = known.save(folder / FILE, means)
    means = known.load(folder / FILE, sha256, means.shape[1])
    least, told = limit(recipe, reader, means)
    elsewhere = {}
    for each in left_out_readers(recipe, runs, folder):
        own = known.unit(known_means(each.recipe, each.reader))
        its_least, _ = limit(each.recipe, each.reader, own)
        load_cell = through(lens_of(recipe), each.cells.load_cell)
        for laboratory in each.laboratories:
            samples = _white(each.cells.of(laboratory))
            drawn = _draws(each.reader, samples, load_cell, own)
            elsewhere[laboratory] = {"unfamiliar": float((drawn < its_least).mean())}
    return {
        "file": FILE,
        "sha256": sha256,
        "least": least,
        "cells": CELLS,
        "of": f"{len(means)} means of training cells",
        "told": {"learnt": told, "never seen": elsewhere},
    }


def known_means(recipe: Recipe, reader: Reader) -> Floats:
    """Return means (N, F) of a recipe's training cells, by laboratory and label."""
    labels, rng = Labels.of(recipe), np.random.default_rng(recipe["train"]["seed"])
    fields = list(load_field_cells(recipe))
    pictures = {id(each.sample): each.pictures[0] for each in fields}
    samples = _white([*load_training_cells(recipe, kept_aside=False), *(each.sample for each in fields)])
    load_cell = through(lens_of(recipe), ForeignCells(tuple(samples), pictures).load_cell)
    by: defaultdict[tuple[str, int], list[CellSample]] = defaultdict(list)
    printed = labels.printed_index(samples)
    for i in rng.permutation(len(samples)).tolist():
        if len(own := by[samples[i].source, int(printed[i])]) < MOST:
            own.append(samples[i])
    return np.concatenate([known.clusters(_features(reader, own, load_cell)) for own in by.values()])


def limit(recipe: Recipe, reader: Reader, means: Floats) -> tuple[float, dict[str, Any]]:
    """Choose the familiarity below which a slide is unfamiliar.

    Args:
        recipe: Recipe of the reader.
        reader: The reader.
        means: (N, F) means of its known cells, each of length 1.

    Returns:
        The limit, and by laboratory the share of draws that it calls unfamiliar, all of cells kept aside.
    """
    by: defaultdict[str, list[CellSample]] = defaultdict(list)
    for sample in _white(load_training_cells(recipe, kept_aside=True)):
        by[sample.source].append(sample)
    load_cell = through(lens_of(recipe), read_cell)
    drawn = {source: _draws(reader, own, load_cell, means) for source, own in by.items() if len(own) >= CELLS}
    least = min(round(float(np.quantile(own, SHARE)), 3) for own in drawn.values())
    return least, {source: {"unfamiliar": float((own < least).mean())} for source, own in drawn.items()}


def unknown_laboratory(reader: Reader, evidence: Evidence, rules: Rules) -> dict[str, Any]:
    """Measure the errors in laboratories that networks never saw.

    Args:
        reader: The reader as it is published, whose temperature and threshold apply.
        evidence: Held-out cells and their logits.
        rules: Rules with the groups of types.
    """
    chosen = evidence.foreign & np.array([each.label != NOT_A_CELL for each in evidence.samples])
    own = evidence.where(chosen)
    types, truth = own.printed(reader.manifest.temperature), own.truth
    read, accepted = types.argmax(axis=1), types.max(axis=1) >= reader.threshold
    mature = np.isin(truth, [reader.labels.index(name) for name in reader.mature])
    return {
        "of": ELSEWHERE,
        "n": len(truth),
        "recognised": float(accepted.mean()),
        "accuracy": float((read == truth)[accepted].mean()),
        "false_positive_rates": false_positives(reader.labels, truth, read, mature & accepted, rules),
        "confusion": Confusion.from_cells(ELSEWHERE, reader.labels, truth, read, accepted).as_json(),
        "possible": possible(reader, own, rules) | {"of": ELSEWHERE},
    }


def _draws(reader: Reader, samples: Sequence[CellSample], load_cell: CellLoader, means: Floats) -> Floats:
    """Return the mean familiarity of draws of CELLS cells, of one patient each where patients are known."""
    rng = np.random.default_rng(0)
    chosen = [samples[i] for i in rng.permutation(len(samples))[:MOST_MEASURED].tolist()]
    familiar = known.familiarity(_features(reader, chosen, load_cell), means)
    by: defaultdict[str, list[float]] = defaultdict(list)
    for sample, value in zip(chosen, familiar.tolist(), strict=True):
        by[sample.patient or ""].append(value)
    patients = [own for own in by.values() if len(own) >= CELLS] or [familiar.tolist()]
    return np.array([rng.choice(patients[i % len(patients)], CELLS).mean() for i in range(DRAWS)], np.float32)


def _white(samples: Sequence[CellSample]) -> list[CellSample]:
    return [each for each in samples if each.label != NOT_A_CELL]


def _features(reader: Reader, samples: Sequence[CellSample], load_cell: CellLoader) -> Floats:
    return np.concatenate([*_batches(reader, samples, load_cell)])


def _batches(reader: Reader, samples: Sequence[CellSample], load_cell: CellLoader) -> Iterator[Floats]:
    """Yield the features of samples, averaged over the reader's turns."""
    for start in range(0, len(samples), 64):
        crops = np.stack([middle(reader, *load_cell(each)) for each in samples[start : start + 64]])
        yield reader.features(crops)
