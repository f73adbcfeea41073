"""Self-training of a reader on unlabelled cells of a new microscope.

A teacher reads the cells as they are, a student learns what the teacher is sure of from the same cells in other stains and
sharpness, and the teacher is the student's moving average (Tarvainen and Valpola, Mean teachers are better role
models, NeurIPS 2017; Sohn et al., FixMatch, NeurIPS 2020). The thresholds of "sure" are those of each type: what the teacher
is as sure of as it usually is of that type (Wang et al., FreeMatch, ICLR 2023). Known laboratories' cells with
their labels are learnt beside them, as far as they are there; else the weights are pulled towards the parent's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from edgeleuk.errors import NotBetterError
from edgeleuk.lab.training.augment import Colour, Geometry, affines, recolour
from edgeleuk.lab.training.batches import ReaderBatches
from edgeleuk.lab.training.cells import TrainingCell, encode
from edgeleuk.lab.training.labels import Labels
from edgeleuk.lab.training.loop import CPU, Checkpoint, Loss, Schedule, Task, fit
from edgeleuk.lab.training.norms import SettledReader, adapt_norms
from edgeleuk.lab.training.pictures import Pictures, prepare
from edgeleuk.lab.training.reader import reader_loss, type_loss
from edgeleuk.lab.training.recipe import Recipe, changed, density_of, head_sizes
from edgeleuk.lab.training.restore import estimate_norms
from edgeleuk.system import file_io
from edgeleuk.system.wording import command

SETTINGS = Path(__file__).with_name("selftraining.toml")
LEAST_OF_A_TYPE = 5
"""Minimum sure cells of a printed label to learn it from.

A few cells that one type is read in are mistakes as likely as not.
"""
BATCH = 64
"""Crops that a network reads at once."""
NORM_BATCHES = 8
"""Batches of known cells by which the norms of a restored network get their statistics."""


@dataclass(frozen=True, slots=True)
class SelfSettings:
    """The [self] section."""

    norms: float
    draws: int
    least: float
    most: float
    views: int
    attributes: float
    anchor: float


def self_recipe(recipe: Recipe) -> Recipe:
    """Return the recipe of self-training of a recipe's reader."""
    return changed(recipe, f"{recipe.name}-self", file_io.read_toml(SETTINGS))


def settings_of(recipe: Recipe) -> SelfSettings:
    """Return the [self] section of a recipe."""
    return SelfSettings(**{name: value for name, value in recipe["self"].items() if name != "of"})


def build(recipe: Recipe) -> SettledReader:
    """Build the untrained network of a recipe, whose norms keep their statistics."""
    density = density_of(recipe)
    top = density.most_dense if density else 1.0
    return SettledReader(head_sizes(recipe), recipe["model"]["dropout"], top)


@dataclass(frozen=True, slots=True)
class Lesson:
    """What a teacher says of N unlabelled cells."""

    allowed: NDArray[np.bool_]
    """(N, T) types of the label that it reads."""
    share: NDArray[np.float64]
    """(N,) probability of drawing each cell; 0 for those that the teacher is not sure of."""
    logits: Tensor
    """(N, O) mean logits of the views."""


class Unlabelled:
    """Batches of unlabelled cells, with what the teacher says of them."""

    def __init__(
        self, recipe: Recipe, crops: NDArray[np.uint8], known: ReaderBatches | None, device: torch.device
    ) -> None:
        """Prepare.

        Args:
            recipe: Recipe of the self-training.
            crops: (N, S, S, 3) RGB, cells in the middle, at the reader's scale.
            known: Batches of labelled cells, as large as those of `recipe`; None if there are none.
            device: Device of the batches.
        """
        self._settings, self._schedule = settings_of(recipe), Schedule(**recipe["train"])
        self._geometry, self._colour = Geometry(**recipe["geometry"]), Colour(**recipe["colour"])
        self._density, self._size, self._device = density_of(recipe), recipe["model"]["size"], device
        self._printing = Labels.of(recipe).printing_matrix
        self._types = len(self._printing)
        self._crops, self._known = crops, known
        self._pictures = Pictures([*crops], device)
        self._lesson: Lesson | None = None

    @property
    def steps(self) -> int:
        """Number of batches per epoch."""
        return self._settings.draws // self._schedule.batch

    def plain(self, turn: int = 0) -> Iterator[Tensor]:
        """Yield all cells as they are, prepared; `turn` counts quarter turns."""
        for start in range(0, len(self._crops), BATCH):
            some = np.ascontiguousarray(np.rot90(self._crops[start : start + BATCH], turn, (1, 2)))
            levels = torch.from_numpy(some).permute(0, 3, 1, 2).float().to(self._device) / 255
            yield prepare(levels, self._density)

    @torch.no_grad()
    def learn(self, teacher: nn.Module) -> None:
        """Let a teacher read all cells; the next epochs learn what it says."""
        teacher.eval()
        views = range(0, 4, 4 // self._settings.views)
        logits = torch.stack(
            [torch.cat([teacher(each) for each in self.plain(turn)]) for turn in views]
        ).mean(0)
        shares = F.softmax(logits[:, : self._types], dim=1).cpu().numpy() @ self._printing
        self._lesson = lesson_of(shares, self._printing, logits, self._settings)

    def __call__(self, epoch: int) -> Iterator[tuple[Tensor, ...]]:
        lesson = self._lesson
        assert lesson is not None  # `fit` lets the teacher read before each epoch
        rng = np.random.default_rng((self._schedule.seed, epoch))
        generator = torch.Generator(self._device).manual_seed(self._schedule.seed * 1_000_003 + epoch)
        batch = self._schedule.batch
        order = rng.choice(len(lesson.share), self.steps * batch, p=lesson.share)
        known = self._known(epoch) if self._known else None
        for start in range(0, len(order), batch):
            chosen = order[start : start + batch]
            factors = np.ones((batch, 2))
            maps = affines(rng, self._geometry, factors, self._pictures.centres[chosen], self._size)
            strong = recolour(self._pictures.crops(chosen, maps, self._size), self._colour, generator)
            inputs = prepare(strong, self._density)
            allowed = torch.from_numpy(lesson.allowed[chosen]).to(self._device)
            said = lesson.logits[torch.from_numpy(chosen).to(self._device)]
            if known is None:
                yield inputs, allowed, said
            else:
                others, targets = next(known)
                yield torch.cat([inputs, others]), allowed, said, targets


def lesson_of(
    shares: NDArray[np.float32], printing: NDArray[np.float32], logits: Tensor, settings: SelfSettings
) -> Lesson:
    """Choose the cells to learn from, and how often each is drawn.

    A cell is sure if its label is at least as probable as the label's cells are on average, within `least` and
    `most`. Labels of few cells are drawn more often than they occur, frequent ones less, as in training.

    Args:
        shares: (N, K) probabilities of printed labels.
        printing: (T, K) 1 for a type's printed label, else 0.
        logits: (N, O) logits behind them.
        settings: Smallest and largest threshold.

    Raises:
        NotBetterError: No label has enough cells.
    """
    read, confidence = shares.argmax(axis=1), shares.max(axis=1)
    weights = np.zeros(len(read))
    for label in np.unique(read).tolist():
        own = read == label
        threshold = min(max(float(confidence[own].mean()), settings.least), settings.most)
        chosen = own & (confidence >= threshold)
        if chosen.sum() >= LEAST_OF_A_TYPE:
            weights[chosen] = chosen.sum() ** -0.5
    if not weights.any():
        raise NotBetterError(
            f"nothing was written: the reader is sure of fewer than {LEAST_OF_A_TYPE} cells of each type, so that it has"
            f" nothing to learn from. Add fields, or label cells for `{command('teach')}`."
        )
    return Lesson(printing.T[read] > 0, weights / weights.sum(), logits)


def self_loss(recipe: Recipe, known: Loss | None, parent: nn.Module) -> Loss:
    """Return the loss of self-training.

    The first cells of a batch are unlabelled ones, as many as targets are given for them; the others are known.

    Args:
        recipe: Recipe of the self-training.
        known: Loss of known cells; None if there are none.
        parent: Network that is trained, as it is before.
    """
    heads, settings = head_sizes(recipe), settings_of(recipe)
    smoothing = recipe["loss"]["smoothing"]

    def loss(
        output: Tensor, allowed: Tensor, said: Tensor, targets: Tensor | None = None
    ) -> dict[str, Tensor]:
        own = output[: len(allowed)].float()
        parts = torch.split(own, heads, dim=1)
        theirs = torch.split(said, heads, dim=1)
        attributes = [
            F.cross_entropy(mine, F.softmax(other, dim=1))
            for mine, other in zip(parts[1:], theirs[1:], strict=True)
        ]
        found = {
            "self": type_loss(parts[0], allowed, smoothing).mean(),
            "said": settings.attributes * torch.stack(attributes).mean(),
        }
        if known is not None and targets is not None:
            found |= known(output[len(allowed) :], targets)
        return found

    if known is not None:
        return loss
    pull = anchored(parent, settings.anchor)

    def alone(output: Tensor, *rest: Tensor) -> dict[str, Tensor]:
        return loss(output, *rest) | {"anchor": pull()}

    return alone


def anchored(network: nn.Module, strength: float) -> Callable[[], Tensor]:
    """Return the penalty on the distance of a network's weights from those it has now.

    Li, Grandvalet, Davoine, Explicit inductive bias for transfer learning with convolutional networks, ICML 2018.
    """
    pairs = [(each, each.detach().clone()) for each in network.parameters() if each.requires_grad]

    def pull() -> Tensor:
        return strength / 2 * torch.stack([(now - then).square().sum() for now, then in pairs]).sum()

    return pull


def self_trained(
    recipe: Recipe,
    network: SettledReader,
    crops: NDArray[np.uint8],
    known: Sequence[TrainingCell],
    checkpoint: Path,
    device: torch.device = CPU,
) -> nn.Module:
    """Train a reader on unlabelled cells; return the teacher.

    Args:
        recipe: Recipe of the self-training.
        network: Parent network, changed in place.
        crops: (N, S, S, 3) RGB unlabelled cells at the reader's scale.
        known: Labelled cells of known laboratories; may be empty.
        checkpoint: File that is written after each epoch; training goes on from it.
        device: Device to train on.
    """
    torch.manual_seed(recipe["train"]["seed"])
    settings = settings_of(recipe)
    beside, loss = None, None
    if known:
        beside = ReaderBatches(
            changed(recipe, recipe.name, {"data": {"draws": settings.draws}}), list(known), device
        )
        loss = reader_loss(recipe, encode([cell.sample for cell in known], recipe), device)
    unlabelled = Unlabelled(recipe, crops, beside, device)
    if settings.norms and beside:
        estimate_norms(network, (inputs for inputs, *_ in islice(beside(0), NORM_BATCHES)))
        adapt_norms(network, unlabelled.plain(), settings.norms)
    network.backbone.freeze(recipe["model"]["frozen_blocks"])
    task = Task(unlabelled, unlabelled.steps, self_loss(recipe, loss, network), unlabelled.learn)
    return fit(network, task, Schedule(**recipe["train"]), Checkpoint(checkpoint, recipe.digest), device)
