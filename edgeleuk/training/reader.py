"""Training data of the reader: one white cell a crop, its type, and what is known of its attributes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from edgeleuk.evaluation.cells import middle, read_cell
from edgeleuk.evaluation.datasets import CellSample
from edgeleuk.reader import Reader, prepare
from edgeleuk.training.augment import Colour, Geometry, affine, recolour, warp
from edgeleuk.training.cells import (
    UNKNOWN,
    TrainingCell,
    encode,
    in_memory,
    load_field_cells,
    load_training_cells,
    through_objective,
)
from edgeleuk.training.loop import Loss, Schedule, fit, started
from edgeleuk.training.networks import ReaderNet
from edgeleuk.training.recipe import Recipe


class ReaderBatches:
    """Epoch number to batches of (crops, targets)."""

    def __init__(self, recipe: Recipe, cells: list[TrainingCell]) -> None:
        self.cells = cells
        samples = [cell.sample for cell in cells]
        self.targets = encode(samples, recipe)
        self.size: int = recipe["model"]["size"]
        self.um_per_px: float = recipe["model"]["um_per_px"]
        self.normalise: str | None = recipe["model"].get("normalise")
        self.as_taken: float = recipe.sections.get("virtual", {}).get("as_taken", 1.0)
        self.schedule = Schedule(**recipe["train"])
        self.geometry = Geometry(**recipe["geometry"])
        self.colour = Colour(**recipe["colour"])
        self.draws: int = recipe["data"]["draws"]
        # Rare types are drawn more often than they occur, frequent ones less, by the root of their number.
        numbers = Counter((s.source, s.label) for s in samples)
        repeat = recipe["data"].get("repeat", {})
        weights = np.array([repeat.get(s.source, 1) * numbers[s.source, s.label] ** -0.5 for s in samples])
        self.share = weights / weights.sum()

    @property
    def steps(self) -> int:
        return self.draws // self.schedule.batch

    def __call__(self, epoch: int) -> Iterator[tuple[Tensor, ...]]:
        rng = np.random.default_rng((self.schedule.seed, epoch))
        generator = torch.Generator().manual_seed(self.schedule.seed * 1_000_003 + epoch)
        batch = self.schedule.batch
        order = rng.choice(len(self.cells), self.steps * batch, p=self.share)
        for start in range(0, len(order), batch):
            chosen = order[start : start + batch]
            crops = np.stack([self._crop(self.cells[i], rng) for i in chosen])
            images = torch.from_numpy(crops).permute(0, 3, 1, 2).float() / 255
            changed = recolour(images, self.colour, generator)
            # Levels again, as a camera stores them, for the very preparation of the runtime.
            levels = (changed * 255).round().byte().permute(0, 2, 3, 1).numpy()
            yield torch.from_numpy(prepare(levels, self.normalise)), torch.from_numpy(self.targets[chosen])

    def _crop(self, cell: TrainingCell, rng: np.random.Generator) -> NDArray[np.uint8]:
        first = len(cell.pictures) == 1 or rng.random() < self.as_taken
        image, scale = cell.pictures[0 if first else rng.integers(1, len(cell.pictures))]
        height, width = image.shape[:2]
        factor = (scale.um_per_px_x / self.um_per_px, scale.um_per_px_y / self.um_per_px)
        matrix = affine(rng, self.geometry, factor, (width / 2, height / 2), self.size)
        return warp(image, matrix, self.size, None)


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
    return ReaderNet(head_sizes(recipe), model["widths"], model["dropout"], model.get("half_instance", 0))


def train(recipe: Recipe, out: Path) -> nn.Module:
    """The averaged network after the recipe's last epoch."""
    torch.manual_seed(recipe["train"]["seed"])
    network = build(recipe)
    if start := recipe["model"].get("start"):
        _start_from(network, started(out.parent / start))
    cells = in_memory(load_training_cells(recipe, kept_aside=False))
    cells += load_field_cells(recipe)
    if "virtual" in recipe.sections:
        cells = through_objective(recipe, cells)
    batches = ReaderBatches(recipe, cells)
    loss = reader_loss(recipe, batches.targets)
    return fit(network, batches, batches.steps, loss, batches.schedule, out / "checkpoint.pt", recipe.digest)


def _start_from(network: nn.Module, weights: dict[str, Tensor]) -> None:
    """All layers of the same shape: where types are merged, the last one starts anew."""
    own = network.state_dict()
    network.load_state_dict(
        own | {name: value for name, value in weights.items() if own[name].shape == value.shape}
    )
