"""Training data of the finder: crops at its scale, with what each source was labelled for."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from edgeleuk.evaluation.fields import read_field
from edgeleuk.training.assign import finder_loss
from edgeleuk.training.augment import Colour, Geometry, affine, recolour, warp, warp_boxes
from edgeleuk.training.fields import TrainingField, cached, training_samples
from edgeleuk.training.loop import Schedule, fit, started
from edgeleuk.training.networks import FinderNet
from edgeleuk.training.recipe import Recipe
from edgeleuk.training.virtual import virtual_fields

PAD = 0.5
"""What lies outside a picture, the same as the runtime pads with."""

MIN_VISIBLE = 0.3
"""A box is kept when this share of it lies in the crop."""


class FinderBatches:
    """Epoch number to batches of (crops, boxes, kinds, known)."""

    def __init__(self, recipe: Recipe, fields: list[TrainingField]) -> None:
        self.fields = fields
        self.names: list[str] = recipe["model"]["classes"]
        self.um_per_px: float = recipe["model"]["um_per_px"]
        self.crop: int = recipe["data"]["crop"]
        self.schedule = Schedule(**recipe["train"])
        self.usual = Geometry(**recipe["geometry"], rotate=False)
        self.wide = Geometry(**recipe["geometry_wide"], rotate=False)
        self.wide_share: float = recipe["data"]["wide_share"]
        self.colour = Colour(**recipe["colour"])
        repeat = {name: source["repeat"] for name, source in recipe["data"]["sources"].items()}
        self.weights = np.array([repeat[f.sample.source] * f.weight for f in fields], np.float64)

    @property
    def steps(self) -> int:
        return int(self.weights.sum()) // self.schedule.batch

    def __call__(self, epoch: int) -> Iterator[tuple[Tensor, ...]]:
        rng = np.random.default_rng((self.schedule.seed, epoch))
        generator = torch.Generator().manual_seed(self.schedule.seed * 1_000_003 + epoch)
        batch = self.schedule.batch
        order = rng.choice(len(self.fields), self.steps * batch, p=self.weights / self.weights.sum())
        for start in range(0, len(order), batch):
            crops = [self._crop(self.fields[i], rng) for i in order[start : start + batch]]
            yield self._collate(crops, generator)

    def _crop(self, field: TrainingField, rng: np.random.Generator) -> tuple[NDArray, ...]:
        geometry = self.wide if rng.random() < self.wide_share else self.usual
        height, width = field.image.shape[:2]
        factor = (field.scale.um_per_px_x / self.um_per_px, field.scale.um_per_px_y / self.um_per_px)
        centre = self._centre(field, factor, rng)
        matrix = affine(rng, geometry, factor, centre, self.crop)
        image = warp(field.image, matrix, self.crop, round(PAD * 255))
        inside = warp(np.full((height, width), 255, np.uint8), matrix, self.crop, 0) > 127
        mapped = warp_boxes(field.boxes, matrix)
        clipped = mapped.clip(0, self.crop)
        visible = (clipped[:, 2:] - clipped[:, :2]).prod(axis=1) / (mapped[:, 2:] - mapped[:, :2]).prod(
            axis=1
        )
        keep = (visible >= MIN_VISIBLE) & ((clipped[:, 2:] - clipped[:, :2]).min(axis=1) >= 2)
        known = np.array([name in field.sample.labelled for name in self.names], np.float32)
        return image, inside, clipped[keep], field.sample.kinds[keep], known

    def _centre(
        self, field: TrainingField, factor: tuple[float, float], rng: np.random.Generator
    ) -> tuple[float, float]:
        """A small picture as a whole; in a large one mostly around a cell, the kinds equally often."""
        height, width = field.image.shape[:2]
        span = self.crop / np.array(factor)
        if width < 1.2 * span[0] and height < 1.2 * span[1]:
            return width / 2, height / 2
        if len(field.boxes) and rng.random() < 0.75:
            kind = rng.choice(np.unique(field.sample.kinds))
            x1, y1, x2, y2 = field.boxes[rng.choice(np.flatnonzero(field.sample.kinds == kind))]
            jitter = rng.uniform(-0.3, 0.3, 2) * span
            return (x1 + x2) / 2 + jitter[0], (y1 + y2) / 2 + jitter[1]
        return rng.uniform(0, width), rng.uniform(0, height)

    def _collate(self, crops: list[tuple[NDArray, ...]], generator: torch.Generator) -> tuple[Tensor, ...]:
        images = torch.from_numpy(np.stack([c[0] for c in crops])).permute(0, 3, 1, 2).float() / 255
        inside = torch.from_numpy(np.stack([c[1] for c in crops]))[:, None]
        images = torch.where(inside, recolour(images, self.colour, generator), torch.tensor(PAD))
        most = max(1, *(len(c[2]) for c in crops))
        boxes, kinds = torch.zeros(len(crops), most, 4), torch.full((len(crops), most), -1)
        for i, (_, _, box, kind, _) in enumerate(crops):
            boxes[i, : len(box)] = torch.from_numpy(box)
            kinds[i, : len(kind)] = torch.from_numpy(kind)
        return images, boxes, kinds, torch.from_numpy(np.stack([c[4] for c in crops]))


def build(recipe: Recipe) -> FinderNet:
    model = recipe["model"]
    return FinderNet(len(model["classes"]), model["widths"], model["neck"])


def train(recipe: Recipe, out: Path) -> nn.Module:
    """The averaged network after the recipe's last epoch."""
    torch.manual_seed(recipe["train"]["seed"])
    network = build(recipe)
    if start := recipe["model"].get("start"):
        network.load_state_dict(started(out.parent / start))
    samples = training_samples(recipe, kept_aside=False)
    fields = [cached(read_field(sample), scale, sample, sample.boxes) for sample, scale in samples]
    if "virtual" in recipe.sections:
        fields += virtual_fields(recipe, samples)
    batches = FinderBatches(recipe, fields)
    return fit(
        network, batches, batches.steps, finder_loss, batches.schedule, out / "checkpoint.pt", recipe.digest
    )
