"""Teachers: large readers that say of cells they never saw what they look like, for a small reader to learn.

A label is one person's word and names one type; a metamyelocyte on its way from a myelocyte is a little of both. Each of
a few teachers is trained without one part of the cells and reads that part, so that what is said of a cell comes from all
others (cross-fitting), and white cells without a label are read by all teachers together. A small network learns more
from such shares than from names alone (Hinton, Vinyals, Dean, Distilling the knowledge in a neural network, 2015), and
from cells of microscopes that nobody labelled (Xie et al., Self-training with noisy student, CVPR 2020).
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from edgeleuk.training.augment import Geometry, affines
from edgeleuk.training.cells import UNLABELLED, encode, training_cells, unlabelled_cells
from edgeleuk.training.lessons import LESSONS, Lessons
from edgeleuk.training.loop import CPU, console, fit
from edgeleuk.training.pictures import prepare
from edgeleuk.training.reader import ReaderBatches, build, head_sizes, reader_loss
from edgeleuk.training.recipe import Recipe

VIEWS = 8
"""Turned and mirrored views whose probabilities are averaged."""
BATCH = 512


def teach(recipe: Recipe, out: Path, device: torch.device = CPU) -> Lessons:
    """Train the recipe's [folds] teachers and write what they say of its cells to `out`, see `teachers`."""
    folds: int = recipe["folds"]["number"]
    cells = [*training_cells(recipe), *unlabelled_cells(recipe)]
    samples = [cell.sample for cell in cells]
    unlabelled = np.array([sample.label == UNLABELLED for sample in samples])
    fold = np.array([fold_of(sample.patient or sample.path.stem, folds) for sample in samples])
    batches, heads = ReaderBatches(recipe, cells, device), head_sizes(recipe)
    targets = encode(samples, recipe)
    said = np.zeros((len(cells), sum(heads)), np.float32)
    drawn = batches.share
    for number in range(folds):
        console.print(f"teacher {number + 1} of {folds}")
        learns = ~unlabelled & (fold != number)
        batches.share = np.where(learns, drawn, 0) / drawn[learns].sum()
        torch.manual_seed(recipe["train"]["seed"] + number)
        network = fit(
            build(recipe),
            batches,
            batches.steps,
            reader_loss(recipe, targets[learns], device),
            batches.schedule,
            out / f"fold-{number}.pt",
            f"{recipe.digest}-{number}",
            device,
        )
        own = ~unlabelled & (fold == number)
        said[own] = read(network, batches, np.flatnonzero(own), heads)
        right = said[own, : heads[0]].argmax(axis=1) == targets[own, 0]
        console.print(f"of {own.sum()} cells it never saw, {right.mean():.3f} as labelled", highlight=False)
        if unlabelled.any():
            said[unlabelled] += read(network, batches, np.flatnonzero(unlabelled), heads) / folds
    lessons = Lessons(
        tuple(cell.name for cell in cells),
        tuple(recipe["model"]["labels"]),
        {name: tuple(values) for name, values in recipe["attributes"].items()},
        said,
    )
    lessons.save(out / LESSONS)
    return lessons


def fold_of(group: str, folds: int) -> int:
    """Which teacher does not see a patient's or a file's cells. Not the hash by which cells are kept aside."""
    return int(hashlib.sha256(f"fold of {group}".encode()).hexdigest()[:8], 16) % folds


@torch.no_grad()
def read(
    network: nn.Module, batches: ReaderBatches, which: NDArray[np.int64], heads: Sequence[int]
) -> NDArray[np.float32]:
    """Probabilities (N, outputs) of the cells `which` of `batches`, as they were taken, the mean of VIEWS views."""
    device = batches.device
    network.to(device).eval()
    rng = np.random.default_rng(batches.schedule.seed)
    still = Geometry(scale=0, squeeze=0, rotate=False)
    parts = []
    for start in range(0, len(which), BATCH):
        chosen = which[start : start + BATCH]
        seen = []
        for _ in range(VIEWS):
            maps = affines(
                rng, still, batches.factors[chosen], batches.pictures.centres[chosen], batches.size
            )
            crops = prepare(batches.pictures.crops(chosen, maps, batches.size), batches.density)
            with torch.autocast(device.type, torch.bfloat16, enabled=device.type != "cpu"):
                logits = network(crops)
            seen.append(torch.cat([p.softmax(dim=1) for p in logits.float().split(list(heads), dim=1)], 1))
        parts.append(torch.stack(seen).mean(dim=0).cpu().numpy())
    return np.concatenate(parts).astype(np.float32)
