"""Figures of a head on cells of known label."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgeleuk.adaptation.fitting import softmax
from edgeleuk.models.manifest import ReaderManifest
from edgeleuk.statistics.intervals import clopper_pearson

Floats = NDArray[np.float32]

DRAWS = 500
SEED = 20
"""Number and seed of the draws of cells behind an interval of the mean recall."""
SURE = 0.99
"""Accuracy that "sure" states where a model has no confusion of held-out cells.

The recipes of this project's readers choose their thresholds for it.
"""
THRESHOLDS = np.round(np.arange(0.5, 0.991, 0.01), 2)


@dataclass(frozen=True, slots=True)
class Printing:
    """Sums types' probabilities to those of printed labels."""

    matrix: Floats
    """(T, K) 1 for a type's label, else 0."""

    @classmethod
    def of(cls, manifest: ReaderManifest) -> Printing:
        printed = manifest.printed.values()
        return cls(np.array([[name == label for label in manifest.labels] for name in printed], np.float32))

    def probabilities(self, logits: Floats) -> Floats:
        """Return probabilities (N, K) of calibrated logits (N, T)."""
        result: Floats = (softmax(logits) @ self.matrix).clip(max=np.float32(1))
        return result


@dataclass(frozen=True, slots=True)
class Score:
    """Figures on N cells."""

    labels: tuple[str, ...]
    truth: NDArray[np.int64]
    """(N,) indices of labels."""
    probabilities: Floats
    """(N, K) calibrated probabilities."""

    @property
    def read(self) -> NDArray[np.int64]:
        """(N,) the best labels."""
        best: NDArray[np.int64] = self.probabilities.argmax(axis=1)
        return best

    @property
    def right(self) -> NDArray[np.bool_]:
        """(N,) whether the best label is the true one."""
        return self.read == self.truth

    @property
    def mean_recall(self) -> float:
        """Mean recall over the labels.

        The recall of a label is the share of its cells that are read right.
        """
        return float(np.mean(list(self.recalls().values()))) if len(self.truth) else 0.0

    def recalls(self) -> dict[str, float]:
        """Return the share of each label's cells that are read right."""
        return {
            self.labels[i]: float(self.right[self.truth == i].mean()) for i in np.unique(self.truth).tolist()
        }

    def where(self, chosen: NDArray[np.bool_]) -> Score:
        """Return the figures on some of the cells, (N,)."""
        return Score(self.labels, self.truth[chosen], self.probabilities[chosen])

    def accuracy_of_sure(self, threshold: float) -> tuple[int, int]:
        """Count the right cells and all cells from a threshold on."""
        sure = self.probabilities.max(axis=1) >= threshold
        return int(self.right[sure].sum()), int(sure.sum())

    def as_json(self, threshold: float) -> dict[str, Any]:
        """Return the figures as plain values.

        `threshold`: minimum probability of a recognised cell.
        """
        right, sure = self.accuracy_of_sure(threshold)
        correct = int(self.right.sum())
        return {
            "n": len(self.truth),
            "accuracy": correct / len(self.truth),
            "accuracy_interval": list(clopper_pearson(correct, len(self.truth))),
            "mean_recall": self.mean_recall,
            "mean_recall_interval": self._interval(),
            "by_type": {
                name: {"n": int((self.truth == self.labels.index(name)).sum()), "recall": recall}
                for name, recall in self.recalls().items()
            },
            "sure": {
                "threshold": threshold,
                "cells": sure,
                "right": right,
                "accuracy_interval": list(clopper_pearson(right, sure)) if sure else None,
            },
        }

    def _interval(self) -> list[float]:
        """Return the 95 % interval of the mean recall.

        It comes from drawing cells again within labels.
        """
        rng = np.random.default_rng(SEED)
        drawn = np.zeros(DRAWS)
        there = np.unique(self.truth)
        for i in there:
            own = self.right[self.truth == i]
            drawn += rng.binomial(len(own), own.mean(), DRAWS) / len(own) / len(there)
        low, high = np.percentile(drawn, [2.5, 97.5]).tolist()
        return [low, high]


def stated_accuracy(manifest: ReaderManifest) -> float:
    """Return the accuracy of sure cells that the manifest states.

    It is how often a sure cell is right, here a mature one: thresholds are chosen on mature cells.
    """
    confusion = manifest.confusion
    if confusion is None:
        return SURE
    read = list(confusion.read)
    right = total = 0
    for label, row in zip(confusion.labels, confusion.counts, strict=True):
        if label in manifest.mature:
            right += row[read.index(label)]
            total += sum(count for name, count in zip(read, row, strict=True) if name in manifest.labels)
    return right / total if total else SURE


def threshold_for(score: Score, mature: Sequence[str], accuracy: float) -> float | None:
    """Return the smallest threshold that reaches an accuracy.

    From it on, sure mature cells are right often enough. None if there is none.

    Args:
        score: Figures on cells that the head did not learn from.
        mature: Labels of mature cells.
        accuracy: Share that must be right.
    """
    own = score.where(np.isin(np.array(score.labels)[score.truth], list(mature)))
    for threshold in THRESHOLDS.tolist():
        right, sure = own.accuracy_of_sure(threshold)
        if sure and right / sure >= accuracy:
            return float(threshold)
    return None


def best_temperature(logits: Floats, allowed: NDArray[np.bool_]) -> float:
    """Return the temperature of least negative log-likelihood.

    Guo et al., On calibration of modern neural networks, ICML 2017; by a fine grid.

    Args:
        logits: (N, T) logits.
        allowed: (N, T) types that each cell's label allows.
    """
    grid = np.exp(np.linspace(np.log(0.5), np.log(4), 60))
    losses = [
        -float(np.log((softmax(logits / np.float32(t)) * allowed).sum(axis=1).clip(1e-12)).mean())
        for t in grid
    ]
    return float(grid[int(np.argmin(losses))])


def compared(before: Score, after: Score) -> Mapping[str, int]:
    """Return how many cells only one of two heads reads right."""
    return {
        "gained": int((after.right & ~before.right).sum()),
        "lost": int((before.right & ~after.right).sum()),
    }
