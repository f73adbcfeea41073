"""Adaptation of a published reader by self-training.

From unlabelled cells of a microscope to what a new model has: the network, its head, its guard cells, and the
measurements that hold with them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from edgeleuk.adaptation import rates
from edgeleuk.adaptation.adapting import Views, compared, guard_score, judged, loss_on_guard
from edgeleuk.adaptation.cells import Cells, guarding
from edgeleuk.adaptation.fields import UnlabelledCells
from edgeleuk.adaptation.learning import Lesson
from edgeleuk.adaptation.scoring import Score, best_temperature
from edgeleuk.adaptation.teaching import MOST_LOST
from edgeleuk.adaptation.writing import NewReader, guard_of, without_figures
from edgeleuk.errors import ModelError
from edgeleuk.lab.training import quantize
from edgeleuk.lab.training.batches import shares
from edgeleuk.lab.training.cells import (
    TrainingCell,
    in_memory,
    load_field_cells,
    load_training_cells,
    non_white_cells,
    through_objective,
)
from edgeleuk.lab.training.export import HEAD, exported, sha256_of
from edgeleuk.lab.training.guard import FILE, NOT_CELLS_OF, guard_cells
from edgeleuk.lab.training.inputs import reader_inputs
from edgeleuk.lab.training.loop import CPU, save
from edgeleuk.lab.training.norms import SettledReader
from edgeleuk.lab.training.recipe import Recipe, changed, head_sizes, load_recipe
from edgeleuk.lab.training.restore import restore, restore_head
from edgeleuk.lab.training.selftraining import build, self_recipe, self_trained
from edgeleuk.models import guard as guards
from edgeleuk.models import heads
from edgeleuk.models.derive import GUARD, KNOWN
from edgeleuk.models.manifest import PartFile, ReaderManifest
from edgeleuk.models.registry import Model
from edgeleuk.networks.reader import Reader, prepare

MEASURED_SHARE = 0.2
"""Share of the cells that are not learnt from.

The student learns that views agree, so that only other cells can show it. They are the last ones, of other fields.
"""
KNOWN_CELLS = 2500
"""Number of known single cells that are loaded.

More than are drawn would only take time to read.
"""
SHARES = (1.0, 0.75, 0.5, 0.25)
"""Shares of the weights' change that are tried, the largest first."""
MEASURED_ON = "guard cells, which were not learnt from"


@dataclass(frozen=True, slots=True)
class How:
    """Circumstances of a self-training."""

    work: Path
    """Folder for the checkpoint and the files of the new model."""
    known: bool
    """Whether the known laboratories' cells are learnt from beside the new ones."""
    epochs: int | None = None
    """Number of epochs; None for the setting that ships."""
    device: torch.device = CPU


def self_adapted(model: Model, reader: Reader, found: UnlabelledCells, how: How) -> Lesson:
    """Adapt a model's reader to a microscope by self-training.

    Args:
        model: Parent model.
        reader: Its reader.
        found: White cells of the microscope's fields.
        how: Circumstances.

    Raises:
        ModelError: The reader has no head or no guard cells, or it is of no recipe that ships.
        EdgeleukError: A checkpoint is of other cells or settings, or the loss is not finite.
    """
    manifest, known_guard = model.reader, guarding(guard_of(model), model.reader)
    assert reader.head is not None  # `guard_of` required it
    recipe = recipe_of(manifest, reader.head, found.crops, how)
    learnt = len(found.crops) - round(MEASURED_SHARE * len(found.crops))
    views = Views.of(reader, found.crops[learnt:])
    before = judged(manifest, reader.head, views)
    network = build(recipe)
    restore(network, manifest.path)
    restore_head(network, manifest)
    guard_before = guard_score(manifest, reader.head, known_guard)
    result = trained_reader(recipe, network, manifest, found.crops[:learnt], how, guard_before)
    new = result.reader
    assert new.head is not None  # `trained_reader` made one
    after = judged(new.manifest, new.head, Views.of(new, found.crops[learnt:]))
    doubt, figures = compared(before, after, new.manifest.temperature)
    doubt = doubt or result.lost
    figures |= {"fields": found.fields, "learnt_cells": learnt, "share_of_change": result.share}
    figures |= {"self_training": _settings(recipe, how)}
    patch: dict[str, Any] = {"temperature": new.manifest.temperature, "threshold": manifest.threshold}
    if result.guard is not None:
        figures["guard_cells"] = {
            "before": guard_before.mean_recall,
            "after": result.guard.mean_recall,
        }
        patch |= rates.measured(result.guard, manifest.threshold, manifest, MEASURED_ON)
    else:
        patch |= _unmeasured(manifest)
    if doubt:
        return Lesson(None, doubt, figures)
    patch |= {
        **without_figures(manifest),
        "healthy": [],
        "adapted": figures,
        "microscope": found.microscope.as_json(),
    }
    files: dict[str, Path | None] = {
        "reader": new.manifest.path,
        GUARD: how.work / FILE if how.known else None,
        **({KNOWN: None} if manifest.known else {}),  # features of the parent's network
    }
    data = f"{learnt} unlabelled cells of {found.fields} fields"
    return Lesson(
        NewReader(new.head, patch, "adapted: reader trained on its own readings", data, files), "", figures
    )


def recipe_of(manifest: ReaderManifest, head: heads.Head, crops: NDArray[np.uint8], how: How) -> Recipe:
    """Return the recipe of the self-training of a reader.

    Its digest depends on the parent and on the cells, so that a checkpoint belongs to them.

    Raises:
        ModelError: The reader is of no recipe that ships, or it has other outputs than its recipe.
    """
    name = manifest.raw.get("recipe")
    if not name:
        raise ModelError(
            f"{manifest.path} says no recipe, so that it cannot be trained. Use a model that ships."
        )
    base = load_recipe(name, "reader")
    if sum(head_sizes(base)) != head.outputs:
        raise ModelError(
            f"{manifest.path} has other types or attributes than its recipe {name}, such as taught flags. Use its parent."
        )
    recipe = self_recipe(base)
    cells = hashlib.sha256(np.ascontiguousarray(crops).tobytes()).hexdigest()
    of = {"parent": manifest.sha256, "cells": cells, "known": how.known}
    train = {"epochs": how.epochs} if how.epochs else {}
    return changed(recipe, recipe.name, {"self": {"of": of}, "train": train})


@dataclass(frozen=True, slots=True)
class TrainedReader:
    """A reader that was trained on its own readings."""

    reader: Reader
    guard: Score | None
    """Figures on its guard cells; None without known cells."""
    share: float
    """Share of the weights' change that was kept."""
    lost: str
    """Why it is worse on known cells; empty if it is not."""


def trained_reader(
    recipe: Recipe,
    network: SettledReader,
    manifest: ReaderManifest,
    crops: NDArray[np.uint8],
    how: How,
    guard_before: Score,
) -> TrainedReader:
    """Train a reader's network on unlabelled cells, quantize it and open it.

    Of the change of the weights so much is kept as the guard cells bear (Wortsman et al., Robust fine-tuning of
    zero-shot models, CVPR 2022).

    Args:
        recipe: Recipe of the self-training.
        network: Network of the parent reader, changed in place.
        manifest: Parent reader.
        crops: (N, S, S, 3) RGB unlabelled cells.
        how: Circumstances.
        guard_before: Figures of the parent on its guard cells.
    """
    before = {name: value.clone() for name, value in network.state_dict().items()}
    known = known_cells(recipe) if how.known else []
    path = how.work / recipe.name / "checkpoint.pt"
    after = self_trained(recipe, network, crops, known, path, how.device).state_dict()
    for share in SHARES:
        reader = _quantized(recipe, blended(before, after, share), manifest, crops, how)
        if not how.known:
            break
        guard = guard_cells(recipe, reader)
        guards.save(how.work / FILE, guard)
        cells = guarding(guard, manifest)
        reader = _calibrated(reader, cells)
        assert reader.head is not None  # `_quantized` made one
        score = guard_score(reader.manifest, reader.head, cells)
        if not (lost := loss_on_guard(manifest, guard_before, score, MOST_LOST)) or share == SHARES[-1]:
            return TrainedReader(reader, score, share, lost)
    return TrainedReader(reader, None, 1.0, "")


def blended(before: Mapping[str, Tensor], after: Mapping[str, Tensor], share: float) -> dict[str, Tensor]:
    """Return weights between two states of a network, `share` of the way."""
    return {
        name: value.lerp(after[name], share) if value.is_floating_point() else after[name]
        for name, value in before.items()
    }


def _quantized(
    recipe: Recipe, state: Mapping[str, Tensor], manifest: ReaderManifest, crops: NDArray[np.uint8], how: How
) -> Reader:
    """Quantize a network of a parent reader's shape and open it."""
    folder = how.work / "kept"
    (folder / recipe.name).mkdir(parents=True, exist_ok=True)
    save(folder / recipe.name / "checkpoint.pt", recipe.digest, recipe["train"]["epochs"], state, state)
    full = exported(recipe, folder, how.work)
    small, head = full.with_name("reader.onnx"), full.with_name(HEAD)
    settings = recipe["quantize"]
    inputs = _inputs(recipe, manifest, crops, how)
    quantize.quantize(full, small, inputs, settings["method"], settings["keep_float"])
    file = PartFile(head, sha256_of(head))
    return Reader(replace(manifest, path=small, sha256=sha256_of(small), head=file, guard=None))


def known_cells(recipe: Recipe) -> list[TrainingCell]:
    """Load known cells to learn beside the new ones, fewer than a whole training takes."""
    samples = load_training_cells(recipe, kept_aside=False)
    rng = np.random.default_rng(recipe["train"]["seed"])
    many = min(KNOWN_CELLS, len(samples))
    chosen = rng.choice(len(samples), many, replace=False, p=shares(recipe, samples)).tolist()
    cells = [*in_memory([samples[i] for i in chosen]), *load_field_cells(recipe)]
    cells += non_white_cells(recipe, NOT_CELLS_OF)
    return through_objective(recipe, cells) if "virtual" in recipe.sections else cells


def _inputs(
    recipe: Recipe, manifest: ReaderManifest, crops: NDArray[np.uint8], how: How
) -> Iterator[NDArray[np.float32]]:
    """Yield inputs to set the ranges of the quantized network by, of new and known cells."""
    rng = np.random.default_rng(recipe["train"]["seed"])
    for i in rng.permutation(len(crops))[: recipe["quantize"]["samples"]].tolist():
        yield prepare(crops[i : i + 1], manifest.density)
    if how.known:
        yield from reader_inputs(recipe, Reader(manifest))


def _calibrated(new: Reader, guard: Cells) -> Reader:
    """Return a reader with the temperature of guard cells.

    A network that learns its own readings becomes surer of them than it should be.
    """
    assert new.head is not None  # `trained_reader` made one
    logits = new.head.logits(guard.features)[:, : len(new.manifest.types)]
    return Reader(replace(new.manifest, temperature=round(best_temperature(logits, guard.allowed), 4)))


def _unmeasured(manifest: ReaderManifest) -> dict[str, Any]:
    """Return the entries that remove error rates.

    Without known cells nobody knows those of the new network, nor when it is sure of an attribute.
    """
    there = [name for name in ("confusion", "possible") if name in manifest.raw]
    return {"false_positive_rates": {}, "attributes_assessed_on": [], **dict.fromkeys(there)}


def _settings(recipe: Recipe, how: How) -> dict[str, Any]:
    """Return the settings that a manifest states."""
    own = {name: value for name, value in recipe["self"].items() if name != "of"}
    return {"known_cells": how.known, "self": own, "train": recipe["train"], "digest": recipe.digest}
