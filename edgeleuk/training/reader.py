"""Training data of the reader: one white cell a crop, its type, and what is known of its attributes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from edgeleuk.evaluation.cells import middle, read_cell
from edgeleuk.evaluation.datasets import CellSample
from edgeleuk.reader import Reader
from edgeleuk.rules import Rules
from edgeleuk.training.augment import Colour, Geometry, affines, recolour
from edgeleuk.training.cells import (
    UNKNOWN,
    TrainingCell,
    encode,
    through_objective,
    training_cells,
)
from edgeleuk.training.lessons import with_lessons
from edgeleuk.training.loop import CPU, Loss, Schedule, fit, started
from edgeleuk.training.networks import ReaderNet
from edgeleuk.training.pictures import Pictures, prepare
from edgeleuk.training.recipe import Recipe, density_of


class ReaderBatches:
    """Epoch number to batches of (crops, targets, what the teachers say, whether they do)."""

    def __init__(
        self, recipe: Recipe, cells: list[TrainingCell], device: torch.device, taught: Tensor | None = None
    ) -> None:
        samples = [cell.sample for cell in cells]
        self.targets = torch.from_numpy(encode(samples, recipe)).to(device)
        self.taught = None if taught is None else taught.to(device)
        self.size: int = recipe["model"]["size"]
        self.um_per_px: float = recipe["model"]["um_per_px"]
        self.density = density_of(recipe)
        self.as_taken: float = recipe.sections.get("virtual", {}).get("as_taken", 1.0)
        self.schedule = Schedule(**recipe["train"])
        self.geometry = Geometry(**recipe["geometry"])
        self.colour = Colour(**recipe["colour"])
        self.draws: int = recipe["data"]["draws"]
        self.share = shares(recipe, samples)
        self.device = device
        # First every cell as it was taken, then what the objective showed of them, cell by cell.
        shots = [cell.pictures[1:] for cell in cells]
        views = [cell.pictures[0] for cell in cells] + [view for own in shots for view in own]
        self.pictures = Pictures([image for image, _ in views], device)
        self.factors = np.array([[at.um_per_px_x, at.um_per_px_y] for _, at in views]) / self.um_per_px
        self.shots = np.array([len(own) for own in shots])
        self.first_shot = len(cells) + np.cumsum(self.shots) - self.shots

    @property
    def steps(self) -> int:
        return self.draws // self.schedule.batch

    def __call__(self, epoch: int) -> Iterator[tuple[Tensor, ...]]:
        rng = np.random.default_rng((self.schedule.seed, epoch))
        generator = torch.Generator(self.device).manual_seed(self.schedule.seed * 1_000_003 + epoch)
        batch = self.schedule.batch
        order = rng.choice(len(self.targets), self.steps * batch, p=self.share)
        for start in range(0, len(order), batch):
            chosen = order[start : start + batch]
            crops = recolour(self._crops(chosen, rng), self.colour, generator)
            which = torch.from_numpy(chosen).to(self.device)
            lessons = (
                [self.targets[which]] if self.taught is None else [self.targets[which], self.taught[which]]
            )
            yield prepare(crops, self.density), *lessons

    def _crops(self, chosen: NDArray[np.int64], rng: np.random.Generator) -> Tensor:
        through = (self.shots[chosen] > 0) & (rng.random(len(chosen)) >= self.as_taken)
        shot = self.first_shot[chosen] + (rng.random(len(chosen)) * self.shots[chosen]).astype(np.int64)
        views = np.where(through, shot, chosen)
        maps = affines(rng, self.geometry, self.factors[views], self.pictures.centres[views], self.size)
        return self.pictures.crops(views, maps, self.size)


def shares(recipe: Recipe, samples: Sequence[CellSample]) -> NDArray[np.float64]:
    """How often each cell is drawn: rare types more often than they occur, frequent ones less, by the root of their number."""
    numbers = Counter((s.source, s.label) for s in samples)
    repeat = recipe["data"].get("repeat", {})
    weights = np.array([repeat.get(s.source, 1) * numbers[s.source, s.label] ** -0.5 for s in samples])
    share: NDArray[np.float64] = weights / weights.sum()
    return share


def runtime_crop(reader: Reader, sample: CellSample) -> NDArray[np.uint8]:
    """A cell exactly as the runtime crops it."""
    return middle(reader, *read_cell(sample))


def reader_loss(recipe: Recipe, targets: NDArray[np.int64], device: torch.device) -> Loss:
    """Cross-entropy of the type and, where known, of each attribute, whose rare values weigh more.

    Where teachers taught a cell, the recipe's [taught] share of its type's target is theirs, and all of it where the type
    is not known. They teach attributes of labelled cells alike.
    """
    heads = head_sizes(recipe)
    smoothing, strength = recipe["loss"]["smoothing"], recipe["loss"]["attributes"]
    share = recipe.sections.get("taught", {}).get("share", 0.0)
    weights = []
    for column, size in zip(targets.T[1:], heads[1:], strict=True):
        counts = np.bincount(column[column != UNKNOWN], minlength=size).clip(min=1)
        balance = counts**-0.5
        weights.append(
            torch.tensor(
                balance / (balance * counts).sum() * counts.sum(), dtype=torch.float32, device=device
            )
        )

    def loss(output: Tensor, target: Tensor, taught: Tensor | None = None) -> dict[str, Tensor]:
        parts = output.float().split(heads, dim=1)
        lessons = [None] * len(parts) if taught is None else taught.split(heads, dim=1)
        kind = _mixed(parts[0], target[:, 0], lessons[0], share, smoothing, None)
        attributes = [
            _mixed(part, column, lesson, share, 0.02, weight)
            for part, column, lesson, weight in zip(
                parts[1:], target.T[1:], lessons[1:], weights, strict=True
            )
        ]
        return {"type": kind, "attributes": strength * torch.stack(attributes).mean()}

    return loss


def _mixed(
    logits: Tensor,
    target: Tensor,
    lesson: Tensor | None,
    share: float,
    smoothing: float,
    weight: Tensor | None,
) -> Tensor:
    """Mean cross-entropy against labels (N,), UNKNOWN where there is none, and a teacher's probabilities (N, K).

    A cell without a lesson, whose probabilities sum to 0, learns its label; one without a label its lesson.
    """
    known = target != UNKNOWN
    labels = F.cross_entropy(
        logits, target, weight, ignore_index=UNKNOWN, label_smoothing=smoothing, reduction="none"
    )
    if lesson is None:
        total = (known if weight is None else known * weight[target.clamp(min=0)]).sum()
        return labels.sum() / total.clamp(min=1e-6)
    heavy = torch.ones_like(labels) if weight is None else weight[target.clamp(min=0)]
    heavy = torch.where(known, heavy, torch.ones_like(heavy))
    taught = (lesson.sum(dim=1) > 0).float()
    theirs = -(lesson * F.log_softmax(logits, dim=1)).sum(dim=1) * heavy
    mine = torch.where(known, 1 - share * taught, torch.zeros_like(taught))
    yours = torch.where(known, share * taught, taught)
    total = ((mine + yours) * heavy).sum()
    return (mine * labels + yours * theirs).sum() / total.clamp(min=1e-6)


def head_sizes(recipe: Recipe) -> list[int]:
    """Outputs of each head: the types, then each attribute's values."""
    return [len(recipe["model"]["labels"]), *(len(values) for values in recipe["attributes"].values())]


def build(recipe: Recipe) -> ReaderNet:
    model = recipe["model"]
    return ReaderNet(head_sizes(recipe), model["widths"], model["dropout"], model.get("half_instance", 0))


def train(recipe: Recipe, out: Path, rules: Rules, device: torch.device = CPU) -> nn.Module:
    """The averaged network after the recipe's last epoch."""
    torch.manual_seed(recipe["train"]["seed"])
    network = build(recipe)
    if start := recipe["model"].get("start"):
        _start_from(network, started(out.parent / start))
    cells = training_cells(recipe)
    taught = None
    if "taught" in recipe.sections:
        cells, taught = with_lessons(recipe, cells, out.parent, rules)
    if "virtual" in recipe.sections:
        cells = through_objective(recipe, cells)
    batches = ReaderBatches(recipe, cells, device, taught)
    loss = reader_loss(recipe, encode([cell.sample for cell in cells], recipe), device)
    return fit(
        network, batches, batches.steps, loss, batches.schedule, out / "checkpoint.pt", recipe.digest, device
    )


def _start_from(network: nn.Module, weights: dict[str, Tensor]) -> None:
    """All layers of the same shape: where types are merged, the last one starts anew."""
    own = network.state_dict()
    network.load_state_dict(
        own | {name: value for name, value in weights.items() if own[name].shape == value.shape}
    )
