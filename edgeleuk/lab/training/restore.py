"""Checkpoints restored from published networks.

The INT8 weights become floating-point numbers. So training can go on from a model without its checkpoint, for
instance with cells of another microscope. The loss by quantization remains: half a step of 1/127 of each
channel's largest weight. Batch norms, which the export folds into the convolutions before them, are estimated
from training cells.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import TypeVar

import numpy as np
import onnx
import torch
from onnx import numpy_helper
from torch import Tensor, nn

from edgeleuk.errors import EdgeleukError, InputError, ModelError
from edgeleuk.lab.evaluation.fields import read_field
from edgeleuk.lab.training import finder, reader
from edgeleuk.lab.training.batches import ReaderBatches
from edgeleuk.lab.training.cells import in_memory, load_training_cells, through_objective
from edgeleuk.lab.training.fields import cached, training_samples
from edgeleuk.lab.training.loop import CPU, save
from edgeleuk.lab.training.networks import FeaturesAlone, FinderNet, ReaderNet, build_finder
from edgeleuk.lab.training.objectives import virtual_fields
from edgeleuk.lab.training.recipe import Recipe
from edgeleuk.models import heads, registry
from edgeleuk.models.manifest import ReaderManifest

CELLS, FIELDS, BATCHES = 600, 150, 4
"""Sample sizes for the norms' statistics."""

T = TypeVar("T")
Network = FinderNet | ReaderNet


def restored(recipe: Recipe, models: Path | None, out: Path) -> None:
    """Write a checkpoint restored from a published network.

    It is as close to the checkpoint of the training as the published file allows.

    Args:
        recipe: Recipe of the published network.
        models: Folder of model folders by magnification; None for the shipped ones.
        out: Folder of the checkpoint.

    Raises:
        ModelError: The published network has another shape, or no head.
        EdgeleukError: The published network is of another recipe.
    """
    kind, magnification = recipe["model"]["kind"], recipe["model"]["magnification"]
    folder = registry.shipped()[magnification] if models is None else models / magnification
    model = registry.read_manifest(folder)
    manifest = model.finder if kind == "finder" else model.reader
    if manifest.raw.get("recipe_digest") != recipe.digest:
        raise EdgeleukError(
            f"the {kind} in {folder} was trained by recipe {manifest.raw.get('recipe')} with digest "
            f"{manifest.raw.get('recipe_digest')}, not by {recipe.name} with {recipe.digest}. Give that recipe's file."
        )
    network = (build_finder if kind == "finder" else reader.build)(recipe)
    restore(network, manifest.path)
    if isinstance(network, ReaderNet):
        restore_head(network, model.reader)
    estimate_norms(network, _finder_inputs(recipe) if kind == "finder" else _reader_inputs(recipe))
    state = network.state_dict()
    save(out / "checkpoint.pt", recipe.digest, recipe["train"]["epochs"], state, state)


def shipped_network(recipe: Recipe, magnification: str, out: Path) -> None:
    """Write a checkpoint of the shipped network that a recipe starts from.

    It needs no data but the recipe's own: the statistics of its norms are estimated on these. A reader's head
    is not taken, as its types are others.

    Args:
        recipe: Recipe that starts from it, of the same shape.
        magnification: Magnification of the shipped model.
        out: Folder of the checkpoint; one that is there stays.

    Raises:
        ModelError: The shipped network has another shape.
    """
    if (out / "checkpoint.pt").is_file():
        return
    out.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(recipe["train"]["seed"])
    model, kind = registry.read_manifest(registry.shipped()[magnification]), recipe["model"]["kind"]
    network = (build_finder if kind == "finder" else reader.build)(recipe)
    restore(network, (model.finder if kind == "finder" else model.reader).path)
    estimate_norms(network, _finder_inputs(recipe) if kind == "finder" else _reader_inputs(recipe))
    state = network.state_dict()
    save(out / "checkpoint.pt", recipe.digest, recipe["train"]["epochs"], state, state)


def _reader_inputs(recipe: Recipe) -> Iterator[Tensor]:
    """Return batches of inputs from a few training cells."""
    cells = in_memory(_some(load_training_cells(recipe, kept_aside=False), CELLS, recipe))
    if "virtual" in recipe.sections:
        cells = through_objective(recipe, cells)
    return _few(ReaderBatches(recipe, cells, CPU)(0))


def _finder_inputs(recipe: Recipe) -> Iterator[Tensor]:
    """Return batches of inputs from a few training fields."""
    samples = _some(training_samples(recipe, kept_aside=False), FIELDS, recipe)
    fields = [cached(read_field(sample), scale, sample, sample.boxes) for sample, scale in samples]
    if "virtual" in recipe.sections:
        fields += virtual_fields(recipe, samples)
    return _few(finder.FinderBatches(recipe, fields)(0))


def _some(samples: Sequence[T], number: int, recipe: Recipe) -> list[T]:
    chosen = np.random.default_rng(recipe["train"]["seed"]).permutation(len(samples))[:number]
    return [samples[i] for i in chosen]


def _few(batches: Iterable[tuple[Tensor, ...]]) -> Iterator[Tensor]:
    return (inputs for inputs, *_ in islice(batches, BATCHES))


def restore(network: Network, path: Path) -> None:
    """Load the weights of a published network, in place.

    In `eval` mode the network's outputs are then those of the file to within the quantization of activations.

    Raises:
        ModelError: The published network has another shape.
    """
    graph = onnx.load(path).graph
    state, eps = network.state_dict(), _eps(network)
    values = _Values(graph)
    for node in graph.node:
        if node.op_type == "Conv":
            module = _module(node.name).removeprefix(f"{FeaturesAlone.NAME}.")
            state[f"{module}.weight"] = values.of(node.input[1])
            if f"{module}.bias" in state:
                state[f"{module}.bias"] = values.of(node.input[2])
            elif len(node.input) > 2:
                state |= _folded(module, values.of(node.input[2]), eps)
    try:
        network.load_state_dict(state)
    except RuntimeError as error:
        raise ModelError(
            f"{path} is no network of this recipe's shape: {str(error).splitlines()[-1].strip()}"
        ) from error
    network.eval()


def restore_head(network: ReaderNet, manifest: ReaderManifest) -> None:
    """Load the head of a published reader, in place.

    Raises:
        ModelError: There is no head beside the published network.
    """
    if manifest.head is None:
        raise ModelError(f"{manifest.path} has no head beside it, so that it is of another recipe.")
    head = heads.load(manifest.head.path, manifest.head.sha256)
    with torch.no_grad():
        network.head.weight.copy_(torch.from_numpy(head.weight.T))
        network.head.bias.copy_(torch.from_numpy(head.bias))


@torch.no_grad()
def estimate_norms(network: Network, batches: Iterable[Tensor]) -> None:
    """Estimate the statistics of folded batch norms.

    These norms only add a bias so far. They get the statistics of their inputs on `batches`, in place; the
    network computes the same as before.

    Raises:
        InputError: There is no batch.
    """
    norms = [module for module in network.modules() if isinstance(module, nn.BatchNorm2d) and _idle(module)]
    seen: dict[nn.Module, list[Tensor]] = {norm: [] for norm in norms}

    def note(norm: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        seen[norm].append(
            torch.stack([inputs[0].mean(dim=(0, 2, 3)), inputs[0].square().mean(dim=(0, 2, 3))])
        )

    hooks = [norm.register_forward_pre_hook(note) for norm in norms]
    for batch in batches:
        network(batch)
    for hook in hooks:
        hook.remove()
    if not all(seen.values()):
        raise InputError(
            "the training data gives less than one batch. Add pictures, or lower batch in the recipe."
        )
    for norm in norms:
        mean, square = torch.stack(seen[norm]).mean(dim=0)
        variance = (square - mean.square()).clamp(min=0)
        norm.weight.copy_((variance + norm.eps).sqrt())
        norm.bias.add_(mean)
        assert norm.running_mean is not None and norm.running_var is not None
        norm.running_mean.copy_(mean)
        norm.running_var.copy_(variance)


def _idle(norm: nn.BatchNorm2d) -> bool:
    assert norm.running_mean is not None
    return not (norm.weight - 1).any() and not norm.running_mean.any()


class _Values:
    """Values of a node's inputs, quantized or not."""

    def __init__(self, graph: onnx.GraphProto) -> None:
        self._constants = {each.name: numpy_helper.to_array(each) for each in graph.initializer}
        self._made_by = {output: node for node in graph.node for output in node.output}

    def of(self, name: str) -> Tensor:
        if name in self._constants:
            return torch.from_numpy(np.array(self._constants[name], np.float32))
        levels, scale, zero = (self._constants[each].astype(np.float32) for each in self._made_by[name].input)
        along = (-1, *[1] * (levels.ndim - 1)) if scale.ndim else ()
        return torch.from_numpy((levels - zero.reshape(along)) * scale.reshape(along))


def _eps(network: Network) -> float:
    """Return the epsilon of all batch norms."""
    (eps,) = {module.eps for module in network.modules() if isinstance(module, nn.BatchNorm2d)}
    return eps


def _folded(module: str, bias: Tensor, eps: float) -> dict[str, Tensor]:
    """Return the state of the norm after a convolution.

    The norm only adds the bias that was folded into the convolution.
    """
    before, _, index = module.rpartition(".")
    norm = f"{before}.{int(index) + 1}"
    one = torch.ones_like(bias)
    return {
        f"{norm}.weight": one,
        f"{norm}.bias": bias,
        f"{norm}.running_mean": torch.zeros_like(bias),
        f"{norm}.running_var": one - eps,
    }


def _module(node: str) -> str:
    """Return the module name of a node.

    "/body/body.1/first/first.0/Conv" is the module "body.1.first.0".
    """
    names: list[str] = []
    for part in node.strip("/").split("/")[:-1]:
        if names and part.startswith(f"{names[-1]}."):
            names.pop()
        names.append(part)
    return ".".join(names)
