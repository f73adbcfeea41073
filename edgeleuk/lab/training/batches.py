"""Batches of labelled cells.

The cells are cropped, rotated, recoloured, and prepared as the runtime prepares them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from edgeleuk.lab.evaluation.datasets import CellSample
from edgeleuk.lab.training.augment import Colour, Geometry, affines, recolour
from edgeleuk.lab.training.cells import TrainingCell, encode
from edgeleuk.lab.training.loop import Schedule
from edgeleuk.lab.training.pictures import Pictures, prepare
from edgeleuk.lab.training.recipe import Recipe, density_of


class ReaderBatches:
    """Batches of (crops, targets) by epoch number."""

    def __init__(self, recipe: Recipe, cells: list[TrainingCell], device: torch.device) -> None:
        samples = [cell.sample for cell in cells]
        self.targets = torch.from_numpy(encode(samples, recipe)).to(device)
        self.size: int = recipe["model"]["size"]
        self.um_per_px: float = recipe["model"]["um_per_px"]
        self.density = density_of(recipe)
        virtual = recipe.sections.get("virtual")
        self.as_taken: float = virtual["as_taken"] if virtual else 1.0
        self.schedule = Schedule(**recipe["train"])
        self.geometry = Geometry(**recipe["geometry"])
        self.colour = Colour(**recipe["colour"])
        self.draws: int = recipe["data"]["draws"]
        self.share = shares(recipe, samples)
        self.device = device
        # First every cell as it was taken, then the images through the objective, cell by cell.
        shots = [cell.pictures[1:] for cell in cells]
        views = [cell.pictures[0] for cell in cells] + [view for own in shots for view in own]
        self.pictures = Pictures([image for image, _ in views], device)
        self.factors = np.array([[at.um_per_px_x, at.um_per_px_y] for _, at in views]) / self.um_per_px
        self.shots = np.array([len(own) for own in shots])
        self.first_shot = len(cells) + np.cumsum(self.shots) - self.shots

    @property
    def steps(self) -> int:
        """Number of batches per epoch."""
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
            yield prepare(crops, self.density), self.targets[which]

    def _crops(self, chosen: NDArray[np.int64], rng: np.random.Generator) -> Tensor:
        through = (self.shots[chosen] > 0) & (rng.random(len(chosen)) >= self.as_taken)
        shot = self.first_shot[chosen] + (rng.random(len(chosen)) * self.shots[chosen]).astype(np.int64)
        views = np.where(through, shot, chosen)
        maps = affines(rng, self.geometry, self.factors[views], self.pictures.centres[views], self.size)
        return self.pictures.crops(views, maps, self.size)


def shares(recipe: Recipe, samples: Sequence[CellSample]) -> NDArray[np.float64]:
    """Return the probability of drawing each cell.

    It is proportional to the source's `repeat`, and inversely to the root of the number of cells of the same
    source and type: rare types are drawn more often than they occur, frequent ones less.
    """
    numbers = Counter((s.source, s.label) for s in samples)
    repeat = recipe["data"].get("repeat", {})
    times = [repeat.get(f"{s.source}/{s.label}", repeat.get(s.source, 1)) for s in samples]
    rarity = [numbers[s.source, s.label] ** -0.5 for s in samples]
    weights = np.array(times) * np.array(rarity)
    share: NDArray[np.float64] = weights / weights.sum()
    return share
