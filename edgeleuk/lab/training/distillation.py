"""Training of a small finder on the outputs of a larger one.

Both have the same output grid. On fields of the cameras that the larger one knows, the small one learns its scores
and boxes at every grid cell, beside the annotated boxes (Hinton, Vinyals, Dean, Distilling the knowledge in a neural
network, 2015; dense scores with the quality focal loss of Li et al., Generalized focal loss, NeurIPS 2020).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from edgeleuk.errors import UsageError
from edgeleuk.lab.training.assign import MAX_LOG_DISTANCE, decode, finder_loss, grid_centres, overlap
from edgeleuk.lab.training.loop import Batches, started
from edgeleuk.lab.training.networks import build_finder, stride_of
from edgeleuk.lab.training.recipe import Recipe, load_recipe

Drawn = Callable[[int], list[NDArray[np.int64]]]
"""Function from an epoch number to the field indices of that epoch's batches."""
LEAST_SCORE = 0.05
"""Minimum score of the larger finder at which its box is learnt."""


class DistilledBatches:
    """Batches of the finder with the larger finder's outputs.

    Each gets three more tensors: whether a crop is of a known camera (N,), and the class logits (T, K, H, W) and
    log-distances (T, 4, H, W) of the T crops that are.
    """

    def __init__(self, batches: Batches, drawn: Drawn, known: NDArray[np.bool_], teacher: nn.Module) -> None:
        """Add a larger finder to batches.

        Args:
            batches: Batches of an epoch.
            drawn: Field indices of each batch of an epoch.
            known: (fields,) whether the larger finder knows the camera of each field.
            teacher: The larger finder, on the device of the batches.
        """
        self.batches, self.drawn, self.known = batches, drawn, known
        self.teacher = teacher.eval().requires_grad_(False)

    def __call__(self, epoch: int) -> Iterator[tuple[Tensor, ...]]:
        for (shown, *rest), indices in zip(self.batches(epoch), self.drawn(epoch), strict=True):
            known = torch.from_numpy(self.known[indices]).to(shown.device)
            with torch.no_grad():
                crops = shown[known].contiguous(memory_format=torch.channels_last)
                logits, distances = self.teacher(crops)
            yield shown, *rest, known, logits, distances


def load_teacher(recipe: Recipe, runs: Path) -> nn.Module:
    """Load the larger finder of a recipe's [distil].

    Args:
        recipe: Recipe of the small finder.
        runs: Folder with one subfolder per training, that of the larger finder among them.

    Raises:
        ModelMissingError: The larger finder has not been trained.
        UsageError: Its classes, scale or output grid are not those of the small one.
    """
    teacher = load_recipe(recipe["distil"]["recipe"], "finder")
    for setting in ("classes", "um_per_px"):
        if teacher["model"][setting] != recipe["model"][setting]:
            raise UsageError(
                f"recipe {recipe.name} cannot learn from {teacher.name}: their {setting} differ. Use the same."
            )
    if stride_of(teacher) != stride_of(recipe):
        raise UsageError(
            f"recipe {recipe.name} cannot learn from {teacher.name}: their output grids differ. Use the same stride."
        )
    network = build_finder(teacher)
    network.load_state_dict(started(runs / teacher.name))
    return network


def distilled_loss(
    output: tuple[Tensor, Tensor], *batch: Tensor, stride: int, strength: float
) -> dict[str, Tensor]:
    """Return the finder's loss and that of the larger finder's outputs.

    Args:
        output: Class logits (N, K, H, W) and log-distances (N, 4, H, W) of the small finder.
        batch: What follows the crops in `DistilledBatches`.
        stride: Input pixels per grid cell.
        strength: Weight of the larger finder's outputs.
    """
    *annotated, known, logits, distances = batch
    boxes, kinds, classes, ignored = annotated
    parts = finder_loss(output, boxes, kinds, classes, ignored, stride)
    if not len(logits):
        return parts
    own = tuple(each.float()[known].flatten(2).transpose(1, 2) for each in output)
    theirs = tuple(each.float().flatten(2).transpose(1, 2) for each in (logits, distances))
    height, width = logits.shape[2:]
    centres = grid_centres(height, width, stride, logits.device)
    score = theirs[0].sigmoid()
    difference = (own[0].detach().sigmoid() - score).abs()
    scores = F.binary_cross_entropy_with_logits(own[0], score, reduction="none") * difference
    weight = score.amax(dim=2)
    sure = weight > LEAST_SCORE
    weight = weight[sure]
    total = weight.sum().clamp(min=1.0)
    giou = overlap(decode(own[1], centres, stride)[sure], decode(theirs[1], centres, stride)[sure])[1]
    sides = (own[1][sure] - theirs[1][sure].clamp(max=MAX_LOG_DISTANCE)).abs().mean(dim=1)
    return {
        **parts,
        "scores": strength * scores.sum() / total,
        "boxes": strength * (((1 - giou) + sides) * weight).sum() / total,
    }
