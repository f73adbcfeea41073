"""Known cells of a reader, and its errors elsewhere.

The known cells are training cells of every laboratory. How similar cells of each type are to them, and the limit below
which a slide is unfamiliar, are measured on cells kept aside. Networks that never saw a laboratory show whether its
slides are called unfamiliar, and how often a reader errs on them.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgeleuk.differential.rules import Rules
from edgeleuk.imaging.objectives import Objective
from edgeleuk.lab.evaluation.cells import CellLoader, middle, read_cell
from edgeleuk.lab.evaluation.datasets import CellSample
from edgeleuk.lab.training.across import ForeignCells, foreign_cells, left_out_readers
from edgeleuk.lab.training.bags import load_bags
from edgeleuk.lab.training.cells import CACHE_UM_PER_PX, NOT_A_CELL, load_field_cells, load_training_cells
from edgeleuk.lab.training.doubts import possible
from edgeleuk.lab.training.evidence import Evidence
from edgeleuk.lab.training.labels import Labels
from edgeleuk.lab.training.lenses import lens_of, through
from edgeleuk.lab.training.measure import false_positives
from edgeleuk.lab.training.recipe import Recipe
from edgeleuk.models import known
from edgeleuk.models.known import Known
from edgeleuk.networks.reader import Reader
from edgeleuk.statistics.correction import Confusion
from edgeleuk.types import Image, Scale

FILE = "reader-known.npz"
MOST = 15
"""Maximum cells per laboratory and label for the means."""
MOST_OF_SLIDE = 60
"""Maximum cells of a slide whose counts were learnt, for the means."""
CELLS = 10
"""Number of white cells from which a slide can be unfamiliar.

The mean of ten ranks has a standard deviation of about 0.09.
"""
DRAWS = 400
SHARE = 0.05
"""Share of a learnt laboratory's draws that are called unfamiliar.

It is that of the laboratory which looks least like its own known cells; of most others it is far smaller.
"""
MOST_MEASURED = 200
"""Maximum cells of a laboratory on which this is tested."""
QUANTILES = 21
"""Number of quantiles per label, in steps of 0.05."""
LEAST = 8
"""Minimum cells read as a label for quantiles of its own."""
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
    lens = lens_of(recipe)
    familiar = known_cells(recipe, reader, lens)
    sha256 = known.save(folder / FILE, familiar)
    least = limit(recipe, reader, familiar, lens)
    learnt = {*recipe["data"]["sources"], *recipe["data"].get("fields", {})}
    validation = foreign_cells(recipe, sorted(learnt), ("val",))
    told = {
        laboratory: _told(
            reader, validation.of(laboratory), through(lens, validation.load_cell), familiar, least
        )
        for laboratory in sorted(learnt)
    }
    elsewhere = {}
    for each in left_out_readers(recipe, runs, folder):
        own = known_cells(each.recipe, each.reader, lens)
        its_least, load_cell = limit(each.recipe, each.reader, own, lens), through(lens, each.cells.load_cell)
        for laboratory in each.laboratories:
            elsewhere[laboratory] = _told(each.reader, each.cells.of(laboratory), load_cell, own, its_least)
    return {
        "file": FILE,
        "sha256": sha256,
        "least": least,
        "cells": CELLS,
        "of": f"{len(familiar.means)} means of training cells",
        "told": {"learnt": _there(told), "never seen": _there(elsewhere)},
    }


def known_cells(recipe: Recipe, reader: Reader, lens: Objective | None) -> Known:
    """Return what a recipe's cells look like to a reader.

    The means are of training cells, by laboratory and label, and of each slide whose counts it learnt. The similarities
    are of cells kept aside, in which every laboratory weighs alike.

    Args:
        recipe: Recipe of the reader's network.
        reader: The reader.
        lens: Objective that labelled cells are seen through; None for as they were taken.
    """
    labels, rng = Labels.of(recipe), np.random.default_rng(recipe["train"]["seed"])
    fields = list(load_field_cells(recipe))
    cells = [*load_training_cells(recipe, kept_aside=False), *(each.sample for each in fields)]
    load_cell = ForeignCells((), {id(each.sample): each.pictures[0] for each in fields}).load_cell
    by: defaultdict[tuple[str, int], list[CellSample]] = defaultdict(list)
    printed = labels.printed_index(cells)
    for i in rng.permutation(len(cells)).tolist():
        if len(own := by[cells[i].source, int(printed[i])]) < MOST:
            own.append(cells[i])
    means = [known.clusters(_features(reader, own, through(lens, load_cell))) for own in by.values()]
    means += [
        known.clusters(_features_of(reader, bag.crops[:MOST_OF_SLIDE]))
        for bag in (load_bags(recipe) if "bags" in recipe.sections else ())
    ]
    only_means = Known(np.concatenate(means), np.zeros((len(reader.labels), 2), np.float32))
    found = [_read(reader, own, through(lens, read_cell), only_means) for own in _aside(recipe).values()]
    similarity, read = (np.concatenate(part) for part in zip(*found, strict=True))
    weights = np.concatenate([np.full(len(own), 1 / len(own)) for own, _ in found])
    return replace(only_means, similarities=_quantiles(similarity, read, weights, len(reader.labels)))


def limit(recipe: Recipe, reader: Reader, familiar: Known, lens: Objective | None) -> float:
    """Choose the mean familiarity below which a slide is unfamiliar.

    It is chosen on cells kept aside: of the laboratory that looks least like its own known cells, SHARE of the draws of
    CELLS cells lie below. `familiar` is the result of `known_cells`, and the other arguments are the same.
    """
    load_cell = through(lens, read_cell)
    drawn = (_draws(reader, own, load_cell, familiar) for own in _aside(recipe).values() if len(own) >= CELLS)
    return min(round(float(np.quantile(own, SHARE)), 3) for own in drawn)


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
    lineages = [[label in names for label in reader.labels] for names in reader.manifest.groups.values()]
    of_lineage = types @ np.array(lineages, np.float32).T
    told = of_lineage.max(axis=1) >= reader.threshold
    right = np.array(lineages)[of_lineage.argmax(axis=1), truth]
    return {
        "of": ELSEWHERE,
        "n": len(truth),
        "recognised": float(accepted.mean()),
        "accuracy": float((read == truth)[accepted].mean()),
        "lineage": {"known": float(told.mean()), "accuracy": float(right[told].mean())},
        "false_positive_rates": false_positives(reader.labels, truth, read, mature & accepted, rules),
        "confusion": Confusion.from_cells(ELSEWHERE, reader.labels, truth, read, accepted).as_json(),
        "possible": possible(reader, own, rules) | {"of": ELSEWHERE},
    }


def _aside(recipe: Recipe) -> dict[str, list[CellSample]]:
    """Return the cells kept aside by laboratory."""
    by: defaultdict[str, list[CellSample]] = defaultdict(list)
    for sample in load_training_cells(recipe, kept_aside=True):
        by[sample.source].append(sample)
    return dict(by)


def _quantiles(
    similarity: Floats, read: NDArray[np.int64], weights: NDArray[np.float64], labels: int
) -> Floats:
    """Return rising quantiles (K, QUANTILES) of similarities, by label.

    A label that fewer than LEAST cells are read as takes those of all cells.

    Args:
        similarity: (N,) similarities of the cells.
        read: (N,) label that each is read as.
        weights: (N,) weights of the cells.
        labels: Number of labels, K.
    """
    shares = np.linspace(0, 1, QUANTILES)
    rows = []
    for label in range(labels):
        own = read == label
        own = own if own.sum() >= LEAST else np.ones(len(read), bool)
        order = np.argsort(similarity[own])
        values, beside = similarity[own][order], weights[own][order]
        at = (beside.cumsum() - beside / 2) / beside.sum()
        rows.append(np.interp(shares, at, values))
    return np.array(rows, np.float32)


def _told(
    reader: Reader, samples: Sequence[CellSample], load_cell: CellLoader, familiar: Known, least: float
) -> dict[str, Any] | None:
    """Return the share of draws called unfamiliar; None for too few cells."""
    own = [each for each in samples if each.label != NOT_A_CELL]
    if len(own) < CELLS:
        return None
    drawn = _draws(reader, own, load_cell, familiar)
    return {"unfamiliar": float((drawn < least).mean()), "mean": round(float(drawn.mean()), 3)}


def _there(found: Mapping[str, dict[str, Any] | None]) -> dict[str, dict[str, Any]]:
    return {name: value for name, value in found.items() if value is not None}


def _draws(
    reader: Reader, samples: Sequence[CellSample], load_cell: CellLoader, familiar: Known
) -> NDArray[np.float64]:
    """Return the mean familiarity of DRAWS draws of cells.

    Each draw has CELLS cells, of one patient where patients are known.
    """
    rng = np.random.default_rng(0)
    chosen = [samples[i] for i in rng.permutation(len(samples))[:MOST_MEASURED].tolist()]
    similarity, read = _read(reader, chosen, load_cell, familiar)
    each = familiar.rank(similarity, read)
    by: defaultdict[str, list[float]] = defaultdict(list)
    for sample, value in zip(chosen, each.tolist(), strict=True):
        by[sample.patient or ""].append(value)
    patients = [own for own in by.values() if len(own) >= CELLS] or [each.tolist()]
    return np.array([rng.choice(patients[i % len(patients)], CELLS).mean() for i in range(DRAWS)])


def _read(
    reader: Reader, samples: Sequence[CellSample], load_cell: CellLoader, familiar: Known
) -> tuple[Floats, NDArray[np.int64]]:
    """Return the similarity (N,) of cells, and the label (N,) each is read as."""
    features = _features(reader, samples, load_cell)
    return familiar.similarity(features), reader.labels_of(features).argmax(axis=1)


def _features(reader: Reader, samples: Sequence[CellSample], load_cell: CellLoader) -> Floats:
    return np.concatenate([*_batches(reader, samples, load_cell)])


def _features_of(reader: Reader, crops: Sequence[Image]) -> Floats:
    """Return the features of a bag's crops, averaged over the reader's turns."""
    scale = Scale.given(CACHE_UM_PER_PX)
    return reader.features(np.stack([middle(reader, crop, scale) for crop in crops]))


def _batches(reader: Reader, samples: Sequence[CellSample], load_cell: CellLoader) -> Iterator[Floats]:
    """Yield the features of samples, averaged over the reader's turns."""
    for start in range(0, len(samples), 64):
        crops = np.stack([middle(reader, *load_cell(each)) for each in samples[start : start + 64]])
        yield reader.features(crops)
