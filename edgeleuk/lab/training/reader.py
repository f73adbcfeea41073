"""Training of the reader.

It covers the network, its loss, and its initial weights.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from edgeleuk.lab.training.bags import Bag, BagBatches, bag_loss, load_bags
from edgeleuk.lab.training.batches import ReaderBatches
from edgeleuk.lab.training.cells import UNKNOWN, TrainingCell, encode, through_objective, training_cells
from edgeleuk.lab.training.efficientnet import load_imagenet
from edgeleuk.lab.training.labels import Labels
from edgeleuk.lab.training.loop import CPU, Checkpoint, Loss, Task, fit, started
from edgeleuk.lab.training.networks import ReaderNet
from edgeleuk.lab.training.norms import SettledReader
from edgeleuk.lab.training.recipe import Recipe, density_of, head_sizes, learns_from, left_outs


def reader_loss(recipe: Recipe, targets: NDArray[np.int64], device: torch.device) -> Loss:
    """Return the loss of types and attributes.

    It is the cross-entropy of the type and, where known, of each attribute. Rare values of an attribute weigh
    more. For a coarse label the probabilities of the types that it stands for are summed.

    Args:
        recipe: Recipe of the reader.
        targets: (N, 1 + attributes) all training targets, see `encode`; they set the weights.
        device: Device of the batches.
    """
    heads = head_sizes(recipe)
    smoothing, strength = recipe["loss"]["smoothing"], recipe["loss"]["attributes"]
    allowed = torch.from_numpy(Labels.of(recipe).masks).to(device)
    weights = []
    for column, size in zip(targets.T[1:], heads[1:], strict=True):
        counts = np.bincount(column[column != UNKNOWN], minlength=size).clip(min=1)
        balance = counts**-0.5
        weights.append(
            torch.tensor(
                balance / (balance * counts).sum() * counts.sum(), dtype=torch.float32, device=device
            )
        )

    def loss(output: Tensor, target: Tensor) -> dict[str, Tensor]:
        parts = torch.split(output.float(), heads, dim=1)
        attributes = [
            _known(part, column, weight)
            for part, column, weight in zip(parts[1:], target.T[1:], weights, strict=True)
        ]
        return {
            "type": type_loss(parts[0], allowed[target[:, 0]], smoothing).mean(),
            "attributes": strength * torch.stack(attributes).mean(),
        }

    return loss


def type_loss(logits: Tensor, allowed: Tensor, smoothing: float) -> Tensor:
    """Return the negative log-probability (N,) of the allowed types.

    The probabilities of the allowed types are summed.

    Args:
        logits: (N, types).
        allowed: (N, types) bool, whether the cell's label allows a type.
        smoothing: Share of the target that is spread over all types.
    """
    log = F.log_softmax(logits, dim=1)
    mass = log.masked_fill(~allowed, -torch.inf).logsumexp(dim=1)
    return -(1 - smoothing) * mass - smoothing * log.mean(dim=1)


def _known(logits: Tensor, target: Tensor, weight: Tensor) -> Tensor:
    """Return the mean cross-entropy of an attribute's known values.

    The mean is weighted; it is 0 if no value of the batch is known.
    """
    known = target != UNKNOWN
    losses = F.cross_entropy(
        logits, target, weight, ignore_index=UNKNOWN, label_smoothing=0.02, reduction="none"
    )
    total = (known * weight[target.clamp(min=0)]).sum()
    return losses.sum() / total.clamp(min=1e-6)


def build(recipe: Recipe) -> ReaderNet:
    """Build the untrained network of a recipe."""
    density = density_of(recipe)
    top = density.most_dense if density else 1.0
    kind = SettledReader if recipe["model"].get("keep_norms") else ReaderNet
    return kind(head_sizes(recipe), recipe["model"]["dropout"], top)


def train(recipe: Recipe, out: Path, device: torch.device = CPU) -> nn.Module:
    """Train a reader.

    Args:
        recipe: Recipe of the reader.
        out: Folder of the checkpoint. A network that the recipe starts from lies beside it.
        device: Device to train on.

    Returns:
        The averaged network after the recipe's last epoch.

    Raises:
        ModelMissingError: The weights that the recipe starts from are missing.
        EdgeleukError: The checkpoint is of another recipe, or the loss is not finite.
    """
    return _train(recipe, *learnt_from(recipe), out, device)


def train_across(recipe: Recipe, runs: Path, device: torch.device = CPU) -> Iterator[Recipe]:
    """Train a recipe's network, then its left-out variants.

    The variants leave laboratories or slides out.

    Args:
        recipe: Recipe of the published reader.
        runs: Folder that gets one subfolder per training.
        device: Device to train on.

    Yields:
        The recipe of each network when its training is done.

    Raises:
        ModelMissingError: The weights that a recipe starts from are missing.
        EdgeleukError: A checkpoint is of another recipe, or a loss is not finite.
    """
    cells, bags = learnt_from(recipe)
    for own in (recipe, *left_outs(recipe)):
        mine = [cell for cell in cells if learns_from(own, cell.sample.source)]
        _train(own, mine, [bag for bag in bags if learns_from(own, bag.slide)], runs / own.name, device)
        yield own


def learnt_from(recipe: Recipe) -> tuple[list[TrainingCell], list[Bag]]:
    """Load a recipe's labelled cells and bags.

    The bags are of slides whose counts it learns.
    """
    cells = training_cells(recipe)
    if "virtual" in recipe.sections:
        cells = through_objective(recipe, cells)
    return cells, load_bags(recipe) if "bags" in recipe.sections else []


def _train(
    recipe: Recipe, cells: list[TrainingCell], bags: list[Bag], out: Path, device: torch.device
) -> nn.Module:
    torch.manual_seed(recipe["train"]["seed"])
    network = build(recipe)
    if start := recipe["model"].get("start"):
        _start_from(network, started(out.parent / start))
    else:
        load_imagenet(network.backbone)
    if frozen := recipe["model"].get("frozen_blocks"):
        network.backbone.freeze(frozen)
    own = ReaderBatches(recipe, cells, device)
    batches: ReaderBatches | BagBatches = own
    loss = reader_loss(recipe, encode([cell.sample for cell in cells], recipe), device)
    if bags:
        batches, loss = BagBatches(recipe, own, bags), bag_loss(recipe, loss)
    return fit(
        network,
        Task(batches, batches.steps, loss),
        batches.schedule,
        Checkpoint(out / "checkpoint.pt", recipe.digest),
        device,
    )


def _start_from(network: nn.Module, weights: dict[str, Tensor]) -> None:
    """Load the weights of layers whose shapes match.

    Where types are merged, the last layer keeps its new weights.
    """
    own = network.state_dict()
    network.load_state_dict(
        own | {name: value for name, value in weights.items() if own[name].shape == value.shape}
    )
