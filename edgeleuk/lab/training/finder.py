"""Training of the finder.

It is trained on crops at its scale, with the cell classes that each source was labelled for.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.utils.data import DataLoader, IterableDataset, get_worker_info

from edgeleuk.lab.evaluation.fields import read_field
from edgeleuk.lab.training.assign import finder_loss
from edgeleuk.lab.training.augment import Colour, Geometry, affine, recolour, warp, warp_boxes
from edgeleuk.lab.training.distillation import DistilledBatches, distilled_loss, load_teacher
from edgeleuk.lab.training.fields import TrainingField, cached, training_samples
from edgeleuk.lab.training.loop import CPU, Checkpoint, Schedule, Task, fit, started
from edgeleuk.lab.training.networks import PAD, build_finder, stride_of
from edgeleuk.lab.training.objectives import virtual_fields
from edgeleuk.lab.training.recipe import Recipe
from edgeleuk.lab.training.teacher import taught

MIN_VISIBLE = 0.3
"""Minimum visible share of a kept box."""


class FinderBatches:
    """Batches of training crops by epoch number.

    Each is (crops, boxes, kinds, known, ignored) on `device`. `workers` processes cut the crops; 0 cuts them in this
    process.
    """

    def __init__(
        self, recipe: Recipe, fields: list[TrainingField], device: torch.device = CPU, workers: int = 0
    ) -> None:
        self.fields, self.device, self.workers = fields, device, workers
        self.loader: DataLoader[tuple[Tensor, ...]] | None = None
        self.expected = -1
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
        """Number of batches per epoch."""
        return int(self.weights.sum()) // self.schedule.batch

    def __call__(self, epoch: int) -> Iterator[tuple[Tensor, ...]]:
        generator = torch.Generator(self.device).manual_seed(self.schedule.seed * 1_000_003 + epoch)
        if self.loader is None or epoch != self.expected:
            self.loader = DataLoader(
                _Epochs(self, epoch),
                batch_size=None,
                num_workers=self.workers,
                persistent_workers=self.workers > 0,
            )
        self.expected = epoch + 1
        for images, inside, *rest in self.loader:
            colours = images.to(self.device).permute(0, 3, 1, 2).float() / 255
            changed = recolour(colours, self.colour, generator)
            shown = torch.where(inside.to(self.device), changed, torch.tensor(PAD, device=self.device))
            yield shown, *(each.to(self.device) for each in rest)

    def drawn(self, epoch: int) -> list[NDArray[np.int64]]:
        """Draw the field indices of each batch."""
        rng, batch = np.random.default_rng((self.schedule.seed, epoch)), self.schedule.batch
        order = rng.choice(len(self.fields), self.steps * batch, p=self.weights / self.weights.sum())
        return [order[start : start + batch] for start in range(0, len(order), batch)]

    def batch(self, epoch: int, number: int, drawn: NDArray[np.int64]) -> tuple[Tensor, ...]:
        """Cut the crops of one batch.

        Args:
            epoch: Epoch number.
            number: Number of the batch within the epoch.
            drawn: (N,) indices of the fields.

        Returns:
            Crops (N, S, S, 3) uint8, whether each pixel lies inside the image (N, 1, S, S), boxes (N, M, 4)
            xyxy in crop pixels, padded, their class indices (N, M), -1 where padded, the known classes (N, K),
            and boxes that are neither cell nor background (N, R, 4), padded.
        """
        rng = np.random.default_rng((self.schedule.seed, epoch, number))
        crops = [self._crop(self.fields[i], rng) for i in drawn]
        most = max(1, *(len(c[2]) for c in crops))
        boxes, kinds = torch.zeros(len(crops), most, 4), torch.full((len(crops), most), -1)
        ignored = torch.zeros(len(crops), max(1, *(len(c[5]) for c in crops)), 4)
        for i, (_, _, box, kind, _, neither) in enumerate(crops):
            ignored[i, : len(neither)] = torch.from_numpy(neither)
            boxes[i, : len(box)] = torch.from_numpy(box)
            kinds[i, : len(kind)] = torch.from_numpy(kind)
        images, inside, known = (torch.from_numpy(np.stack([c[part] for c in crops])) for part in (0, 1, 4))
        return images, inside[:, None], boxes, kinds, known, ignored

    def _crop(self, field: TrainingField, rng: np.random.Generator) -> tuple[NDArray[Any], ...]:
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
        ignored = warp_boxes(field.ignored, matrix).clip(0, self.crop)
        return image, inside, clipped[keep], field.sample.kinds[keep], known, ignored

    def _centre(
        self, field: TrainingField, factor: tuple[float, float], rng: np.random.Generator
    ) -> tuple[float, float]:
        """Choose the centre of a crop.

        It is x y in image pixels. A small image is cropped as a whole; a large one mostly around a cell, each
        class equally often.
        """
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


class _Epochs(IterableDataset[tuple[Tensor, ...]]):
    """Successive epochs, starting at `epoch`.

    The batches are the same however many processes share them.
    """

    def __init__(self, batches: FinderBatches, epoch: int) -> None:
        self.batches, self.epoch = batches, epoch

    def __iter__(self) -> Iterator[tuple[Tensor, ...]]:
        worker = get_worker_info()
        first, step = (0, 1) if worker is None else (worker.id, worker.num_workers)
        epoch, self.epoch = self.epoch, self.epoch + 1
        drawn = self.batches.drawn(epoch)
        for number in range(first, len(drawn), step):
            yield self.batches.batch(epoch, number, drawn[number])


def train(recipe: Recipe, out: Path, device: torch.device = CPU, workers: int = 0) -> nn.Module:
    """Train a finder.

    Args:
        recipe: Recipe of the finder.
        out: Folder of the checkpoint. A network that the recipe starts from lies beside it.
        device: Device to train on.
        workers: Number of processes that prepare the crops; 0 for none.

    Returns:
        The averaged network after the recipe's last epoch.

    Raises:
        ModelMissingError: The network that the recipe starts from has not been trained.
        EdgeleukError: The checkpoint is of another recipe, or the loss is not finite.
    """
    torch.manual_seed(recipe["train"]["seed"])
    network = build_finder(recipe)
    if start := recipe["model"].get("start"):
        _take(network, started(out.parent / start), recipe["model"].get("start_layers"))
    samples = training_samples(recipe, kept_aside=False)
    if "teacher" in recipe.sections:
        samples = taught(recipe, samples, out.parent)
    fields = [cached(read_field(sample), scale, sample, sample.boxes) for sample, scale in samples]
    if "virtual" in recipe.sections:
        fields += virtual_fields(recipe, samples)
    batches = FinderBatches(recipe, fields, device, workers)
    task = Task(batches, batches.steps, partial(finder_loss, stride=stride_of(recipe)))
    if "distil" in recipe.sections:
        settings = recipe["distil"]
        known = np.array([field.sample.source in settings["sources"] for field in fields])
        teacher = load_teacher(recipe, out.parent).to(device)
        distilled = DistilledBatches(batches, batches.drawn, known, teacher)
        loss = partial(distilled_loss, stride=stride_of(recipe), strength=settings["strength"])
        task = Task(distilled, batches.steps, loss)
    return fit(
        network,
        task,
        batches.schedule,
        Checkpoint(out / "checkpoint.pt", recipe.digest),
        device,
    )


def _take(network: nn.Module, weights: Mapping[str, Tensor], layers: Sequence[str] | None) -> None:
    """Load weights of another network into one.

    All weights are loaded, or those of the named layers alone.
    """
    if layers is not None:
        own = network.state_dict()
        weights = own | {name: value for name, value in weights.items() if name.split(".")[0] in layers}
    network.load_state_dict(weights)
