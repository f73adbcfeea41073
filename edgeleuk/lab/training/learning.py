"""Evaluation of `teach` and `adapt` in unknown laboratories.

A reader does not know these laboratories: either readers that were trained without some laboratories read
these, or the published reader reads simulated ones. Those are pictures of known laboratories in the stain of
another one and out of focus.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from edgeleuk.adaptation.adapting import Views, adapted, guard_score
from edgeleuk.adaptation.cells import Cells, guarding, kinds_of
from edgeleuk.adaptation.fields import MOST_CELLS
from edgeleuk.adaptation.fitting import Design, Fitter
from edgeleuk.adaptation.scoring import SURE, Printing, Score, best_temperature, threshold_for
from edgeleuk.adaptation.teaching import FOLDS, STRICTEST, Teacher, balanced, folds_of
from edgeleuk.adaptation.writing import guard_of
from edgeleuk.errors import InputError
from edgeleuk.lab.evaluation.cells import CellLoader, middle, read_cell
from edgeleuk.lab.evaluation.datasets import CellSample, data_root, load_cells, of_split
from edgeleuk.lab.evaluation.restain import draw, restain
from edgeleuk.lab.training.across import left_out_readers
from edgeleuk.lab.training.cells import NOT_A_CELL, PLATELET_TYPE
from edgeleuk.lab.training.export import load_trained
from edgeleuk.lab.training.guard import guard_cells
from edgeleuk.lab.training.labels import Labels
from edgeleuk.lab.training.lenses import lens_of, through
from edgeleuk.lab.training.recipe import Recipe
from edgeleuk.lab.training.selfadapting import How, trained_reader
from edgeleuk.lab.training.selftraining import build, self_recipe
from edgeleuk.models.heads import Head
from edgeleuk.models.manifest import ReaderManifest
from edgeleuk.models.registry import Model
from edgeleuk.networks.reader import Reader
from edgeleuk.types import Image, Scale

NUMBERS = (25, 50, 100, 200)
"""Numbers of corrected cells."""
FLIPPED = 0.2
"""Share of wrong corrections in the check of their harm."""
MOST = 60
"""Maximum cells of a type in a simulated laboratory."""
LEAST = 10
"""Minimum cells of a type that is measured."""
LEAST_LEFT = 60
"""Minimum cells that must be left to measure on."""
SIMULATED = {
    "pbc, restained and blurred by 3 px": ("pbc", 11, 3.0),
    "pbc, restained and blurred by 4 px": ("pbc", 14, 4.0),
    "deepapl, restained and blurred by 2.5 px": ("deepapl", 12, 2.5),
    "krd, restained and blurred by 3.5 px": ("krd", 13, 3.5),
}
"""Source of the cells, seed of the stain and blur (standard deviation, pixels) of simulated laboratories."""
ORACLE_PULL = 0.1
NO_WHITE_CELLS = (NOT_A_CELL, PLATELET_TYPE)


@dataclass(frozen=True, slots=True)
class SelfTrained:
    """Another reader of the same cells."""

    manifest: ReaderManifest
    head: Head
    features: NDArray[np.float32]
    """(N, F) features of the laboratory's cells."""


@dataclass(frozen=True, slots=True)
class Foreign:
    """A laboratory that a reader does not know."""

    name: str
    manifest: ReaderManifest
    head: Head
    guard: Cells
    cells: Cells
    """All its cells of types with LEAST cells."""
    views: Views
    """Features of these in several views."""
    self_trained: SelfTrained | None = None
    """A reader that was trained on its own readings of the laboratory; None if there is none."""

    def in_turns(self) -> Foreign:
        """Return the laboratory with the features that a taught reader takes, of four quarter turns."""
        mean = ((self.views.plain + self.views.turned) / 2).astype(np.float32)
        return replace(self, cells=replace(self.cells, features=mean))


def left_out(recipe: Recipe, runs: Path, work: Path, self_train: bool = False) -> Iterator[Foreign]:
    """Yield the laboratories that networks of a recipe were trained without.

    Temperature and threshold are chosen on the guard cells, which are cells kept aside.

    Args:
        recipe: Recipe of the published reader.
        runs: Folder with one subfolder per training.
        work: Folder for the exported networks.
        self_train: Whether to train each network on the laboratory's training cells without their labels too.

    Raises:
        ModelMissingError: A network has not been trained.
        EdgeleukError: A training is unfinished or of another recipe.
    """
    for each in left_out_readers(recipe, runs, work):
        guard = guarding(guard_cells(each.recipe, each.reader, ()), each.reader.manifest)
        reader = Reader(_calibrated(each.reader, guard))
        load_cell = through(lens_of(each.recipe), each.cells.load_cell)
        for laboratory in each.laboratories:
            samples = each.cells.of(laboratory)
            found, crops = _foreign(laboratory, reader, guard, samples, load_cell, Labels.of(each.recipe))
            if self_train:
                unlabelled = [s for s in samples if s.split == "train" and s.label not in NO_WHITE_CELLS]
                own = np.stack([middle(reader, *load_cell(s)) for s in unlabelled[:MOST_CELLS]])
                found = replace(
                    found, self_trained=_self_trained(each.recipe, runs, work / laboratory, own, crops, found)
                )
            yield found


def simulated(model: Model) -> Iterator[Foreign]:
    """Yield simulated laboratories for a model's reader, of validation cells."""
    reader, root = Reader(model.reader), data_root() / "cells"
    guard = guarding(guard_of(model), model.reader)
    every = of_split(load_cells(root / "cells.csv", root / "images"), "val")
    for name, (source, seed, blur) in SIMULATED.items():
        laboratory = draw(np.random.default_rng(seed))

        def load_cell(sample: CellSample, blur: float = blur, by: Any = laboratory) -> tuple[Image, Scale]:
            image, scale = read_cell(sample)
            blurred: Image = cv2.GaussianBlur(restain(image, by), (0, 0), blur)
            return blurred, scale

        samples = [each for each in every if each.source == source]
        yield _foreign(name, reader, guard, samples, load_cell, None)[0]


def measure(foreign: Foreign, seeds: int) -> dict[str, Any]:
    """Measure what teaching and adapting do in one laboratory.

    Args:
        foreign: The laboratory.
        seeds: Number of draws of corrected cells.

    Returns:
        Figures by "source only", "adapted", "self-trained", "taught with N", "taught with N, a fifth wrong" and "oracle":
        mean recall and sure cells on cells that were not corrected, with the range over the draws.
    """
    cells, manifest = foreign.cells, foreign.manifest
    every = np.ones(len(cells), bool)
    found = {"source only": _figures([_scored(foreign, foreign.head, manifest, every)])}
    result = adapted(manifest, foreign.head, foreign.guard, foreign.views)
    own = replace(manifest, temperature=result.temperature)
    found["adapted"] = _figures([_scored(foreign, result.head, own, every)]) | {"refused": result.refused}
    if own_reader := foreign.self_trained:
        by_it = replace(foreign, cells=replace(cells, features=own_reader.features))
        found["self-trained"] = _figures([_scored(by_it, own_reader.head, own_reader.manifest, every)])
    for number in NUMBERS:
        if len(cells) - number < LEAST_LEFT:
            continue
        for share, name in (
            (0.0, f"taught with {number}"),
            (FLIPPED, f"taught with {number}, a fifth wrong"),
        ):
            done = [_taught(foreign, number, seed, share) for seed in range(seeds)]
            found[name] = _figures([each for each, _, _ in done]) | {
                "before": _figures([each for _, each, _ in done])["mean_recall"],
                "adopted": sum(each for _, _, each in done),
            }
    found["oracle"] = _figures([_oracle(foreign.in_turns())])
    return found


def _foreign(
    name: str,
    reader: Reader,
    guard: Cells,
    samples: Sequence[CellSample],
    load_cell: CellLoader,
    labels: Labels | None,
) -> tuple[Foreign, NDArray[np.uint8]]:
    """Read the cells of a laboratory; return it and the crops of the cells.

    `labels`: meaning of coarse labels; None for the names that the reader knows.
    """
    manifest = reader.manifest
    assert reader.head is not None  # readers of this program's recipes have one
    known, types = kinds_of(manifest), list(manifest.types)
    rng = np.random.default_rng(0)
    by_label: dict[int, list[tuple[CellSample, tuple[str, ...]]]] = {}
    for i in rng.permutation(len(samples)).tolist():
        sample = samples[i]
        own = labels.allows.get(f"{sample.source}/{sample.label}", ()) if labels else ()
        if allowed := own or known.get(sample.label, ()):
            by_label.setdefault(manifest.labels.index(manifest.printed[allowed[0]]), []).append(
                (sample, allowed)
            )
    chosen = [(i, *one) for i, some in by_label.items() if len(some) >= LEAST for one in some[:MOST]]
    if not chosen:
        raise InputError(f"{name} has no type with {LEAST} cells that the reader knows.")
    crops = np.stack([middle(reader, *load_cell(sample)) for _, sample, _ in chosen])
    views = Views.of(reader, crops)
    patients = [sample.patient or str(sample.path) for _, sample, _ in chosen]
    cells = Cells(
        views.plain,
        np.array([i for i, _, _ in chosen]),
        np.array([[each in allowed for each in types] for _, _, allowed in chosen]),
        tuple(sample.label for _, sample, _ in chosen),
        np.unique(patients, return_inverse=True)[1],
        1,
    )
    return Foreign(name, manifest, reader.head, guard, cells, views), crops


def _self_trained(
    recipe: Recipe,
    runs: Path,
    work: Path,
    unlabelled: NDArray[np.uint8],
    crops: NDArray[np.uint8],
    foreign: Foreign,
) -> SelfTrained:
    """Train a left-out network on unlabelled cells.

    Args:
        recipe: Recipe of the left-out network.
        runs: Folder with one subfolder per training.
        work: Folder for the checkpoint and the new network.
        unlabelled: (M, S, S, 3) cells to learn from.
        crops: (N, S, S, 3) cells to read.
        foreign: The laboratory as the network reads it.
    """
    work.mkdir(parents=True, exist_ok=True)
    own, manifest = self_recipe(recipe), foreign.manifest
    network = build(own)
    load_trained(network, recipe, runs)
    before = guard_score(manifest, foreign.head, foreign.guard)
    reader = trained_reader(own, network, manifest, unlabelled, How(work, known=True), before).reader
    assert reader.head is not None  # `trained_reader` made one
    guard = guarding(guard_cells(recipe, reader, ()), manifest)
    return SelfTrained(_calibrated(reader, guard), reader.head, reader.features(crops))


def _calibrated(reader: Reader, guard: Cells) -> ReaderManifest:
    """Return a manifest with temperature and threshold chosen on guard cells."""
    assert reader.head is not None  # readers of this program's recipes have one
    manifest = reader.manifest
    logits = reader.head.logits(guard.features)[:, : len(manifest.types)]
    warmth = best_temperature(logits, guard.allowed)
    printed = Printing.of(manifest).probabilities(logits / np.float32(warmth))
    score = Score(manifest.labels, guard.labels, printed)
    threshold = threshold_for(score, manifest.mature, SURE) or STRICTEST
    return replace(manifest, temperature=warmth, threshold=threshold)


def _scored(
    foreign: Foreign, head: Head, manifest: ReaderManifest, chosen: NDArray[np.bool_]
) -> tuple[Score, float]:
    logits = head.logits(foreign.cells.features[chosen])[:, : len(manifest.types)]
    printed = Printing.of(manifest).probabilities(logits / np.float32(manifest.temperature))
    return Score(manifest.labels, foreign.cells.labels[chosen], printed), manifest.threshold


def _taught(
    foreign: Foreign, number: int, seed: int, wrong: float
) -> tuple[tuple[Score, float], tuple[Score, float], bool]:
    """Return the figures of a taught head and its parent.

    They are of the cells that were not drawn. The last value is whether the head is adopted.
    """
    rng = np.random.default_rng((seed, number))
    turned = foreign.in_turns()
    cells, manifest = turned.cells, foreign.manifest
    drawn = np.zeros(len(cells), bool)
    drawn[rng.permutation(len(cells))[:number]] = True
    own = replace(cells.where(drawn), groups=np.arange(number))
    if wrong:
        own = _with_wrong_labels(own, manifest, rng, wrong)
    result = Teacher(manifest, foreign.head, own, foreign.guard).taught()
    new = replace(manifest, temperature=result.temperature, threshold=result.threshold)
    before = _scored(foreign, foreign.head, manifest, ~drawn)
    return _scored(turned, result.head, new, ~drawn), before, not result.refused


def _with_wrong_labels(
    cells: Cells, manifest: ReaderManifest, rng: np.random.Generator, share: float
) -> Cells:
    """Return cells of which a share has another of their labels."""
    labels, allowed = cells.labels.copy(), cells.allowed.copy()
    there = np.unique(labels)
    for i in rng.permutation(len(labels))[: round(share * len(labels))].tolist():
        labels[i] = rng.choice(there[there != labels[i]])
        own = manifest.labels[labels[i]]
        allowed[i] = [printed == own for printed in manifest.printed.values()]
    return replace(cells, labels=labels, allowed=allowed)


def _oracle(foreign: Foreign) -> tuple[Score, float]:
    """Return the figures of heads that learnt the laboratory.

    Each head learnt all other cells of the laboratory, in five folds.
    """
    cells, manifest = foreign.cells, foreign.manifest
    rows = Design.of(cells.features).apply(cells.features)
    products = rows @ rows.T
    prior = (foreign.head.logits(cells.features)[:, : len(manifest.types)] / manifest.temperature).astype(
        np.float32
    )
    folds, logits = folds_of(np.arange(len(cells)), cells.labels), prior.copy()
    for fold in range(FOLDS):
        out = folds == fold
        free = np.ones(prior.shape[1], bool)
        fitter = Fitter(
            products[np.ix_(~out, ~out)], prior[~out], cells.allowed[~out], balanced(cells.labels[~out]), free
        )
        logits[out] += products[np.ix_(out, ~out)] @ fitter.coefficients(ORACLE_PULL)
    printed = Printing.of(manifest).probabilities(logits)
    return Score(manifest.labels, cells.labels, printed), manifest.threshold


def _figures(scores: Sequence[tuple[Score, float]]) -> dict[str, Any]:
    """Return means over draws, with the lowest and highest."""
    recalls = [score.mean_recall for score, _ in scores]
    sure = [score.accuracy_of_sure(threshold) for score, threshold in scores]
    cells = sum(len(score.truth) for score, _ in scores)
    right, accepted = sum(each[0] for each in sure), sum(each[1] for each in sure)
    one, threshold = scores[0]
    return {
        "mean_recall": float(np.mean(recalls)),
        "range": [min(recalls), max(recalls)],
        "interval": one.as_json(threshold)["mean_recall_interval"]
        if len(scores) == 1
        else _interval(recalls),
        "sure": accepted / cells,
        "right_of_sure": right / accepted if accepted else None,
    }


def _interval(values: Sequence[float]) -> list[float]:
    """Return the 95 % interval of a mean by its standard error."""
    error = 1.96 * float(np.std(values, ddof=1)) / len(values) ** 0.5
    return [float(np.mean(values)) - error, float(np.mean(values)) + error]


def evaluate(
    laboratories: Iterator[Foreign], seeds: int, tell: Callable[[str], None]
) -> Mapping[str, Mapping[str, Any]]:
    """Measure all laboratories.

    Args:
        laboratories: The laboratories, one at a time.
        seeds: Number of draws of corrected cells, two at least.
        tell: Called with the name of each one that is measured.
    """
    found = {}
    for each in laboratories:
        found[each.name] = {"cells": len(each.cells), **measure(each, seeds)}
        tell(each.name)
    return found
