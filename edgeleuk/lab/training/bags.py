"""Training on slides with known counts.

The cells of the slides are unlabelled. A bag holds crops of one slide and the annotated proportions of its
types. Each training step takes some crops of one slide and compares the network's mean prediction with the
annotated proportions (learning from label proportions: Quadrianto, Smola, Caetano, Le, Estimating labels from
label proportions, JMLR 2009; as a loss of a network: Ardehaly, Culotta, Co-training for demographic
classification using deep learning from label proportions, 2017).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from rich.progress import track
from torch import Tensor
from torch.nn import functional as F

from edgeleuk.errors import ScaleError, UsageError
from edgeleuk.imaging.resampling import crop_um
from edgeleuk.lab.evaluation.datasets import data_root
from edgeleuk.lab.evaluation.slides import SlideSample, load_slides
from edgeleuk.lab.training.augment import Colour, Geometry, affines, recolour
from edgeleuk.lab.training.batches import ReaderBatches
from edgeleuk.lab.training.cells import CACHE_UM_PER_PX, FIELD_CELL_UM
from edgeleuk.lab.training.labels import Labels
from edgeleuk.lab.training.loop import Loss, console
from edgeleuk.lab.training.pictures import Pictures, prepare
from edgeleuk.lab.training.recipe import Recipe, head_sizes, learns_from
from edgeleuk.models import registry
from edgeleuk.networks.finder import Finder
from edgeleuk.scale.red_cells import estimate_scale
from edgeleuk.sources.pictures.reading import read_picture
from edgeleuk.types import WHITE_CELL, Image

ARTEFACTS = "none"
"""Annotators' label of artefacts and unnameable cells."""


@dataclass(frozen=True, slots=True)
class Bag:
    """White cells and annotated proportions of a slide.

    The white cells are those that the finder found.
    """

    slide: str
    crops: tuple[Image, ...]
    """Squares of FIELD_CELL_UM at CACHE_UM_PER_PX."""
    proportions: NDArray[np.float32]
    """(types,) annotated proportions of white cells, summing to 1."""
    artefacts: float
    """Share of artefacts among all annotations."""


def load_bags(recipe: Recipe) -> list[Bag]:
    """Load the bags of a recipe's [bags].

    Slides that the recipe leaves out are skipped.

    Raises:
        UsageError: The recipe leaves out every slide.
    """
    settings, root = recipe["bags"], data_root() / "slides"
    finder = Finder(registry.load(settings["finder"]).finder)
    slides = load_slides(root / f"{settings['slides']}.json", root / "images")
    chosen = [
        slide for slide in slides if slide.name in settings["names"] and learns_from(recipe, slide.name)
    ]
    if not chosen:
        raise UsageError(f"recipe {recipe.name} leaves out every slide of its bags.")
    labels = Labels.of(recipe)
    return [_bag(slide, finder, labels, settings["most"], recipe["train"]["seed"]) for slide in chosen]


def _bag(slide: SlideSample, finder: Finder, labels: Labels, most: int, seed: int) -> Bag:
    crops = list(white_cells(slide, finder))
    chosen = np.random.default_rng(seed).permutation(len(crops))[:most]
    counts = np.array([slide.counts.get(each, 0) for each in labels.types], np.float32)
    total, artefacts = counts.sum(), slide.counts.get(ARTEFACTS, 0)
    return Bag(
        slide.name, tuple(crops[i] for i in chosen), counts / total, float(artefacts / (total + artefacts))
    )


def white_cells(slide: SlideSample, finder: Finder) -> Iterator[Image]:
    """Yield square crops around found white cells.

    White cells cut by an edge are skipped, and so are fields whose scale cannot be estimated.
    """
    side = round(FIELD_CELL_UM / CACHE_UM_PER_PX)
    for path in track(slide.fields, f"looking for white cells of {slide.name}", console=console):
        image = read_picture(path).pixels
        try:
            scale = estimate_scale(image, finder)
        except ScaleError:
            continue
        height, width = image.shape[:2]
        for x1, y1, x2, y2 in finder.find(image, scale).of(WHITE_CELL).boxes.tolist():
            if min(x1, y1) > 2 and x2 < width - 2 and y2 < height - 2:
                yield crop_um(image, scale, ((x1 + x2) / 2, (y1 + y2) / 2), CACHE_UM_PER_PX, side)


class BagBatches:
    """Batches of labelled cells and a slide's crops.

    Calling it with an epoch number yields (crops, targets, known). The crops are those of the labelled cells,
    then those of one slide. `known` holds the slide's proportions and, last, its share of artefacts.
    """

    def __init__(self, recipe: Recipe, cells: ReaderBatches, bags: Sequence[Bag]) -> None:
        settings = recipe["bags"]
        self.cells = cells
        self.steps = cells.steps
        self.schedule = cells.schedule
        self.crops: int = settings["crops"]
        self.colour = Colour(**settings["colour"])
        self.geometry = Geometry(**recipe["geometry"])
        self.bags = bags
        self.pictures = [Pictures(bag.crops, cells.device) for bag in bags]

    def __call__(self, epoch: int) -> Iterator[tuple[Tensor, ...]]:
        rng = np.random.default_rng((self.schedule.seed, epoch, len(self.bags)))
        generator = torch.Generator(self.cells.device).manual_seed(self.schedule.seed * 7_000_003 + epoch)
        for inputs, targets in self.cells(epoch):
            number = int(rng.integers(len(self.bags)))
            bag, pictures = self.bags[number], self.pictures[number]
            chosen = rng.choice(len(bag.crops), self.crops, len(bag.crops) < self.crops)
            factors = np.full((self.crops, 2), CACHE_UM_PER_PX / self.cells.um_per_px)
            maps = affines(rng, self.geometry, factors, pictures.centres[chosen], self.cells.size)
            crops = recolour(pictures.crops(chosen, maps, self.cells.size), self.colour, generator)
            known = torch.from_numpy(np.append(bag.proportions, np.float32(bag.artefacts)))
            yield (
                torch.cat([inputs, prepare(crops, self.cells.density)]),
                targets,
                known.to(self.cells.device),
            )


def bag_loss(recipe: Recipe, cells_loss: Loss) -> Loss:
    """Return the loss of `BagBatches`.

    It adds the loss of the slide's proportions to `cells_loss` of the labelled cells, which come first.
    """
    settings, labels = recipe["bags"], Labels.of(recipe)
    kinds = head_sizes(recipe)[0]
    beside = torch.tensor([each in settings["artefact_types"] for each in labels.types])

    def loss(output: Tensor, target: Tensor, known: Tensor) -> dict[str, Tensor]:
        own, theirs = output[: len(target)], output[len(target) :, :kinds].float()
        return {
            **cells_loss(own, target),
            "bag": settings["strength"]
            * proportions_loss(
                theirs,
                known[:-1],
                known[-1],
                beside.to(output.device),
                settings["artefact_weight"],
                settings["doubt_weight"],
            ),
        }

    return loss


def proportions_loss(
    logits: Tensor,
    proportions: Tensor,
    artefacts: Tensor,
    beside: Tensor,
    artefact_weight: float,
    doubt_weight: float,
) -> Tensor:
    """Compare a bag's mean probabilities with annotated proportions.

    The loss is the sum of the cross-entropy of the proportions against the mean probabilities of white cells,
    `artefact_weight` times the binary cross-entropy of the artefacts, and `doubt_weight` times the crops' mean
    entropy, so that each crop is read as something.

    Args:
        logits: (N, types) of the bag's crops.
        proportions: (types,) annotated proportions of the slide's white cells.
        artefacts: Share of artefacts among all annotations.
        beside: (types,) bool, true for types that are no white cells.
        artefact_weight: Weight of the artefacts. Under a small one, cells of an unknown look are read as none.
        doubt_weight: Weight of the entropy. Under a small one, each crop of a slide is read as all that is on it.
    """
    each = logits.softmax(dim=1)
    mean = each.mean(dim=0)
    outside = mean[beside].sum().clamp(1e-4, 1 - 1e-4)
    white = (mean / (1 - outside)).masked_fill(beside, 0)
    types = -(proportions * white.clamp(min=1e-4).log()).sum()
    dirt = F.binary_cross_entropy(outside, artefacts)
    entropy = -(each * each.clamp(min=1e-8).log()).sum(dim=1).mean()
    return types + artefact_weight * dirt + doubt_weight * entropy
