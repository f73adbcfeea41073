"""Training loop shared by both networks.

It has warm-up, a cosine schedule, averaged weights, checkpoints and resuming.
"""

from __future__ import annotations

import copy
import io
import math
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import torch
from rich.console import Console
from torch import Tensor, nn

from edgeleuk.errors import EdgeleukError, ModelMissingError, UsageError
from edgeleuk.system import file_io, machine
from edgeleuk.system.wording import option

console = Console(stderr=True)
CPU = torch.device("cpu")


@dataclass(frozen=True, slots=True)
class Schedule:
    """The [train] section of a recipe."""

    epochs: int
    batch: int
    learning_rate: float
    weight_decay: float = 0.02
    warmup: float = 0.03
    """Warm-up, as a share of all steps."""
    average: float = 0.998
    """Decay of the averaged weights, which are published."""
    bf16: bool = True
    """Whether to compute convolutions in bfloat16.

    Only where the processor supports it: three to four times faster, the same to within noise.
    """
    seed: int = 1


Batches = Callable[[int], Iterable[tuple[Tensor, ...]]]
"""Function from an epoch number to that epoch's batches.

The first tensor of a batch is the input.
"""
Loss = Callable[..., dict[str, Tensor]]
"""Function that returns named parts of the loss.

It is given the network's output and the other tensors of the batch. The parts are added up.
"""


@dataclass(frozen=True, slots=True)
class Task:
    """What a network learns."""

    batches: Batches
    """Batches of each epoch, on the device of the training."""
    steps_per_epoch: int
    """Number of batches in each epoch."""
    loss: Loss
    """Loss of an output."""
    before_epoch: Callable[[nn.Module], None] | None = None
    """Called with the averaged network before each epoch; None for nothing."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """File that is written after each epoch."""

    path: Path
    digest: str
    """Digest of the recipe."""


def fit(
    network: nn.Module,
    task: Task,
    schedule: Schedule,
    checkpoint: Checkpoint,
    device: torch.device = CPU,
) -> nn.Module:
    """Train a network and return its averaged copy.

    Training resumes from `checkpoint` if the file exists.

    Args:
        network: Network to train, in place.
        task: Batches, on `device`, and their loss.
        schedule: Settings of the training.
        checkpoint: File that is written after each epoch.
        device: Device to train on.

    Returns:
        The averaged network on the CPU, in eval mode.

    Raises:
        EdgeleukError: The checkpoint is of another recipe, or the loss is not finite.
    """
    cast(Any, network).to(device, memory_format=torch.channels_last)  # torch's stubs lack it
    average = copy.deepcopy(network).requires_grad_(False)
    optimizer = torch.optim.AdamW(_groups(network, schedule.weight_decay), lr=schedule.learning_rate)
    start = _resume(checkpoint.path, checkpoint.digest, network, average, optimizer)
    total = schedule.epochs * task.steps_per_epoch
    step = start * task.steps_per_epoch
    halved = schedule.bf16 and (device.type != "cpu" or bfloat16_here())
    follow = _follower(average, network)
    for epoch in range(start, schedule.epochs):
        if task.before_epoch:
            task.before_epoch(average)
        network.train()
        began, count = time.monotonic(), 0
        sums: dict[str, Tensor] = {}
        for inputs, *rest in task.batches(epoch):
            for group in optimizer.param_groups:
                group["lr"] = schedule.learning_rate * _rate(step / total, schedule.warmup)
            inputs = inputs.contiguous(memory_format=torch.channels_last)
            with torch.autocast(device.type, dtype=torch.bfloat16, enabled=halved):
                output = network(inputs)
            parts = task.loss(output, *rest)
            value = torch.stack(list(parts.values())).sum()
            optimizer.zero_grad(set_to_none=True)
            torch.autograd.backward(value)
            nn.utils.clip_grad_norm_(network.parameters(), 10.0)
            optimizer.step()
            step += 1
            count += 1
            follow(min(schedule.average, step / (step + 20)))
            for (
                name,
                part,
            ) in parts.items():  # read only once per epoch, since each read makes the GPU wait
                sums[name] = sums.get(name, torch.zeros((), device=device)) + part.detach()
        means = {name: float(value) / max(count, 1) for name, value in sums.items()}
        if not all(math.isfinite(value) for value in means.values()):
            raise EdgeleukError(
                f"the loss is not finite in epoch {epoch}. Lower learning_rate in the recipe."
            )
        shown = "  ".join(f"{name} {value:.4f}" for name, value in means.items())
        console.print(
            f"epoch {epoch + 1}/{schedule.epochs}  {shown}  {time.monotonic() - began:.0f} s", highlight=False
        )
        states = (each.state_dict() for each in (network, average, optimizer))
        save(checkpoint.path, checkpoint.digest, epoch + 1, *states)
    return average.cpu().eval()


def bfloat16_here() -> bool:
    """Return whether this CPU has bfloat16 instructions.

    Without them bfloat16 is emulated, nine times slower than float32.
    """
    return bool(machine.flags() & {"avx512_bf16", "amx_bf16", "bf16"})


def device_named(name: str) -> torch.device:
    """Return a PyTorch device by name.

    Raises:
        UsageError: The device is not available.
    """
    try:
        device = torch.device(name)
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError) as error:  # torch built without CUDA asserts
        reason = str(error).splitlines()[0].rstrip(".")
        raise UsageError(f"cannot train on {name}: {reason}. Use {option('device')} cpu.") from error
    return device


def started(run: Path) -> dict[str, Tensor]:
    """Load the averaged weights of a finished training.

    Another training starts from them.

    Raises:
        ModelMissingError: There is no checkpoint in the folder `run`.
    """
    path = run / "checkpoint.pt"
    if not path.is_file():
        raise ModelMissingError(f"no checkpoint {path} to start from. Train the recipe {run.name} first.")
    weights: dict[str, Tensor] = torch.load(path, weights_only=True, map_location=CPU)["average"]
    return weights


def _groups(network: nn.Module, decay: float) -> list[dict[str, Any]]:
    """Group the trained parameters; norms and biases are not decayed."""
    trained = [p for p in network.parameters() if p.requires_grad]
    matrices = [p for p in trained if p.ndim > 1]
    vectors = [p for p in trained if p.ndim <= 1]
    return [{"params": matrices, "weight_decay": decay}, {"params": vectors, "weight_decay": 0.0}]


def _rate(progress: float, warmup: float) -> float:
    if progress < warmup:
        return progress / warmup
    return 0.5 * (1 + math.cos(math.pi * (progress - warmup) / (1 - warmup))) * 0.99 + 0.01


def _follower(average: nn.Module, network: nn.Module) -> Callable[[float], None]:
    """Return a function that updates the averaged weights.

    Given the decay, it moves them one step towards the network's.
    """
    pairs = list(zip(average.state_dict().values(), network.state_dict().values(), strict=True))
    kept, new = (list(side) for side in zip(*(p for p in pairs if p[0].is_floating_point()), strict=True))
    counters = [pair for pair in pairs if not pair[0].is_floating_point()]

    @torch.no_grad()
    def follow(decay: float) -> None:
        torch._foreach_lerp_(kept, new, 1 - decay)
        for mine, theirs in counters:
            mine.copy_(theirs)

    return follow


def save(
    path: Path,
    digest: str,
    epoch: int,
    network: Mapping[str, Tensor],
    average: Mapping[str, Tensor],
    optimizer: Mapping[str, Any] | None = None,
) -> None:
    """Write a checkpoint.

    Args:
        path: File to write.
        digest: Digest of the recipe.
        epoch: Number of finished epochs.
        network: State of the network.
        average: State of the averaged network.
        optimizer: State of the optimizer; None if the training is over.
    """
    state = {
        "digest": digest,
        "epoch": epoch,
        "network": dict(network),
        "average": dict(average),
        "optimizer": optimizer or {},
    }
    content = io.BytesIO()
    torch.save(state, content)
    file_io.write_whole(path, content.getvalue())


def _resume(
    path: Path, digest: str, network: nn.Module, average: nn.Module, optimizer: torch.optim.Optimizer
) -> int:
    if not path.is_file():
        path.parent.mkdir(parents=True, exist_ok=True)
        return 0
    state = torch.load(path, weights_only=True, map_location=CPU)
    if state["digest"] != digest:
        raise EdgeleukError(f"{path} is of another recipe. Remove it, or give another {option('out')}.")
    network.load_state_dict(state["network"])
    average.load_state_dict(state["average"])
    if state["optimizer"]:  # absent if restored from a published network, whose training is over
        optimizer.load_state_dict(state["optimizer"])
    console.print(f"goes on from epoch {state['epoch']} of {path}")
    return int(state["epoch"])
