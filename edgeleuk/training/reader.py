"""Training data of the reader: one white cell a crop, its type, and what is known of its attributes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from rich.progress import track
from torch import Tensor, nn
from torch.nn import functional as F

from edgeleuk.evaluation.cells import middle, read_cell
from edgeleuk.evaluation.datasets import CellSample, data_root, load_cells
from edgeleuk.reader import Reader
from edgeleuk.training.augment import Colour, Geometry, affine, recolour, warp
from edgeleuk.training.loop import Loss, Schedule, console, fit
from edgeleuk.training.networks import ReaderNet
from edgeleuk.training.recipe import Recipe, held_out

CACHE_UM_PER_PX = 0.15
UNKNOWN = -1


def load_training_cells(recipe: Recipe, kept_aside: bool) -> list[CellSample]:
    """Training cells of a recipe's sources, or those of them kept aside for thresholds and calibration.

    Types are merged as the recipe says. Cells are kept aside by patient where that is known, else by file.
    """
    data, root = recipe["data"], data_root() / "cells"
    merge = data["merge"]
    samples = []
    for sample in load_cells(root / "cells.csv", root / "images", tuple(recipe["attributes"])):
        if sample.split != "train" or sample.source not in data["sources"]:
            continue
        if held_out(sample.patient or sample.path.name, data["held_out"]) != kept_aside:
            continue
        if (label := merge.get(sample.label, sample.label)) in recipe["model"]["labels"]:
            samples.append(
                CellSample(
                    sample.path,
                    sample.source,
                    sample.split,
                    sample.patient,
                    label,
                    sample.um_per_px,
                    sample.attributes,
                )
            )
    return samples


def encode(samples: list[CellSample], recipe: Recipe) -> NDArray[np.int64]:
    """Targets (N, 1 + attributes): index of the type, then of each attribute's value; UNKNOWN where not labelled."""
    columns = [[recipe["model"]["labels"].index(s.label) for s in samples]]
    for name, values in recipe["attributes"].items():
        columns.append(
            [values.index(s.attributes[name]) if name in s.attributes else UNKNOWN for s in samples]
        )
    return np.array(columns, np.int64).T


class ReaderBatches:
    """Epoch number to batches of (crops, targets)."""

    def __init__(self, recipe: Recipe, samples: list[CellSample]) -> None:
        self.samples = samples
        self.targets = encode(samples, recipe)
        self.size: int = recipe["model"]["size"]
        self.um_per_px: float = recipe["model"]["um_per_px"]
        self.schedule = Schedule(**recipe["train"])
        self.geometry = Geometry(**recipe["geometry"])
        self.colour = Colour(**recipe["colour"])
        self.draws: int = recipe["data"]["draws"]
        # Rare types are drawn more often than they occur, frequent ones less, by the root of their number.
        numbers = Counter((s.source, s.label) for s in samples)
        weights = np.array([numbers[s.source, s.label] ** -0.5 for s in samples])
        self.share = weights / weights.sum()
        self.images = [_cached(s) for s in track(samples, "reading cells", console=console)]

    @property
    def steps(self) -> int:
        return self.draws // self.schedule.batch

    def __call__(self, epoch: int) -> Iterator[tuple[Tensor, ...]]:
        rng = np.random.default_rng((self.schedule.seed, epoch))
        generator = torch.Generator().manual_seed(self.schedule.seed * 1_000_003 + epoch)
        batch = self.schedule.batch
        order = rng.choice(len(self.samples), self.steps * batch, p=self.share)
        for start in range(0, len(order), batch):
            chosen = order[start : start + batch]
            crops = np.stack([self._crop(i, rng) for i in chosen])
            images = torch.from_numpy(crops).permute(0, 3, 1, 2).float() / 255
            yield recolour(images, self.colour, generator), torch.from_numpy(self.targets[chosen])

    def _crop(self, index: int, rng: np.random.Generator) -> NDArray[np.uint8]:
        image = self.images[index]
        height, width = image.shape[:2]
        factor = CACHE_UM_PER_PX / self.um_per_px
        matrix = affine(rng, self.geometry, (factor, factor), (width / 2, height / 2), self.size)
        return warp(image, matrix, self.size, None)


def _cached(sample: CellSample) -> NDArray[np.uint8]:
    image = cv2.cvtColor(cv2.imread(str(sample.path)), cv2.COLOR_BGR2RGB)
    factor = sample.um_per_px / CACHE_UM_PER_PX
    return cv2.resize(image, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA)


def runtime_crop(reader: Reader, sample: CellSample) -> NDArray[np.uint8]:
    """A cell exactly as the runtime crops it."""
    return middle(reader, *read_cell(sample))


def reader_loss(recipe: Recipe, targets: NDArray[np.int64]) -> Loss:
    """Cross-entropy of the type and, where known, of each attribute, whose rare values weigh more."""
    heads = head_sizes(recipe)
    smoothing, strength = recipe["loss"]["smoothing"], recipe["loss"]["attributes"]
    weights = []
    for column, size in zip(targets.T[1:], heads[1:], strict=True):
        counts = np.bincount(column[column != UNKNOWN], minlength=size).clip(min=1)
        balance = counts**-0.5
        weights.append(torch.tensor(balance / (balance * counts).sum() * counts.sum(), dtype=torch.float32))

    def loss(output: Tensor, target: Tensor) -> dict[str, Tensor]:
        parts = output.float().split(heads, dim=1)
        kind = F.cross_entropy(parts[0], target[:, 0], label_smoothing=smoothing)
        attributes = [
            F.cross_entropy(part, column, weight=weight, ignore_index=UNKNOWN, label_smoothing=0.02)
            for part, column, weight in zip(parts[1:], target.T[1:], weights, strict=True)
            if (column != UNKNOWN).any()
        ]
        return {"type": kind, "attributes": strength * torch.stack(attributes).mean()}

    return loss


def head_sizes(recipe: Recipe) -> list[int]:
    """Outputs of each head: the types, then each attribute's values."""
    return [len(recipe["model"]["labels"]), *(len(values) for values in recipe["attributes"].values())]


def build(recipe: Recipe) -> ReaderNet:
    model = recipe["model"]
    return ReaderNet(head_sizes(recipe), model["widths"], model["dropout"])


def train(recipe: Recipe, out: Path) -> nn.Module:
    """The averaged network after the recipe's last epoch."""
    torch.manual_seed(recipe["train"]["seed"])
    network = build(recipe)
    batches = ReaderBatches(recipe, load_training_cells(recipe, kept_aside=False))
    loss = reader_loss(recipe, batches.targets)
    return fit(network, batches, batches.steps, loss, batches.schedule, out / "checkpoint.pt", recipe.digest)
