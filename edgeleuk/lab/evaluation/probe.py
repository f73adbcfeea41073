"""Measure how well features reveal a cell's source.

A reader might learn the source instead of the cell. A linear probe (Alain and Bengio, Understanding
intermediate layers using linear classifier probes, ICLR 2017 workshop) is fitted for each type that both
sources have, so that only the source is left to predict. Chance is 0.5; the further above it, the more the
features reveal the laboratory.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgeleuk.lab.evaluation.metrics import auroc

Features = NDArray[np.floating[Any]]
Names = NDArray[np.str_]

FOLDS = 5

MIN_CELLS = 20
"""Minimum cells of a type in each source.

With fewer, the figures of the probe would be noise.
"""

PENALTY = 1.0
"""Penalty of the squared weights.

It is relative to the summed log-likelihood of the cells; features have unit variance.
"""

STEPS = 50
TOLERANCE = 1e-6
"""Largest final weight change of Newton's method.

The method ends when no weight changes more, or after STEPS steps; 5 to 10 are usual.
"""

SEED = 0
"""Seed of the folds."""


@dataclass(frozen=True, slots=True)
class TypeProbe:
    """Probe result on the cells of one type.

    Each cell is predicted by a probe that saw no cell of its group.
    """

    cells: Mapping[str, int]
    """Number of cells by source."""
    balanced_accuracy: float
    """Mean share of right predictions over both sources."""
    auroc: float

    def as_json(self) -> dict[str, Any]:
        return {
            "cells": dict(self.cells),
            "balanced_accuracy": self.balanced_accuracy,
            "auroc": self.auroc,
        }


@dataclass(frozen=True, slots=True)
class ProbeReport:
    """Result of separating two sources by features."""

    sources: tuple[str, str]
    types: Mapping[str, TypeProbe]
    left_out: Mapping[str, str]
    """Types that could not be probed, with the reason."""

    @property
    def balanced_accuracy(self) -> float | None:
        """Mean balanced accuracy over types; None without any."""
        return float(np.mean([t.balanced_accuracy for t in self.types.values()])) if self.types else None

    @property
    def auroc(self) -> float | None:
        """Mean AUROC over types; None without any."""
        return float(np.mean([t.auroc for t in self.types.values()])) if self.types else None

    def as_json(self) -> dict[str, Any]:
        return {
            "sources": list(self.sources),
            "balanced_accuracy": self.balanced_accuracy,
            "auroc": self.auroc,
            "by_type": {label: result.as_json() for label, result in self.types.items()},
            "left_out": dict(self.left_out),
        }


def probe_sources(
    features: Features, sources: Sequence[str], types: Sequence[str], groups: Sequence[str]
) -> ProbeReport:
    """Probe each cell type for its source.

    Args:
        features: (N, D) features of the cells.
        sources: (N,) source of each cell.
        types: (N,) type of each cell.
        groups: (N,) group of each cell: a patient, or else a file. A group is of one source, and its cells
            stay in one fold.

    Raises:
        ValueError: If there are not exactly two sources.
    """
    source, label, group = (np.array(names, str) for names in (sources, types, groups))
    names = np.unique(source).tolist()
    if len(names) != 2:
        raise ValueError(f"a probe tells two sources apart, not {len(names)}: {', '.join(names) or 'none'}")
    probed: dict[str, TypeProbe] = {}
    left_out: dict[str, str] = {}
    for each in np.unique(label).tolist():
        own = label == each
        if reason := _too_few(names, source[own], group[own]):
            left_out[each] = reason
        else:
            probed[each] = _probe(features[own].astype(np.float64), source[own], names, group[own])
    return ProbeReport((names[0], names[1]), probed, left_out)


def folds_by_group(sources: Names, groups: Names) -> NDArray[np.int64]:
    """Assign each cell to a fold.

    A group stays together, and each source is spread evenly. Source by source, the largest groups are
    assigned first, each to the fold that has the fewest cells of its source. The result is (N,), 0 to FOLDS -
    1.
    """
    rng = np.random.default_rng(SEED)
    fold = np.zeros(len(groups), np.int64)
    for source in np.unique(sources):
        own = sources == source
        names, sizes = np.unique(groups[own], return_counts=True)
        dealt = np.zeros(FOLDS, np.int64)
        for i in np.lexsort((rng.random(len(names)), -sizes)):
            emptiest = int(dealt.argmin())
            dealt[emptiest] += sizes[i]
            fold[own & (groups == names[i])] = emptiest
    return fold


def fit_logistic(features: Features, positive: NDArray[np.bool_]) -> tuple[Features, float]:
    """Fit a logistic regression with balanced classes.

    `positive` (N,) is regressed on `features` (N, D); the result is the weights, (D,), and the intercept.

    The method is Newton's, that is iteratively reweighted least squares (Hastie, Tibshirani and Friedman, The
    Elements of Statistical Learning, 2nd edition, 4.4.1). The squared weights are penalised by PENALTY, the
    intercept is not. Cells are weighted so that both classes count alike.
    """
    design = np.column_stack([features, np.ones(len(features))])
    weight = np.where(positive, 0.5 / positive.mean(), 0.5 / (~positive).mean())
    ridge = np.append(np.full(features.shape[1], PENALTY), 1e-9)
    beta = np.zeros(design.shape[1])

    def loss(at: Features) -> float:
        signed = np.where(positive, -1, 1) * (design @ at)
        return float(weight @ np.logaddexp(0, signed) + ridge @ at**2 / 2)

    for _ in range(STEPS):
        chance = np.exp(-np.logaddexp(0, -(design @ beta)))
        slope = design.T @ (weight * (positive - chance)) - ridge * beta
        curve = (design.T * (weight * chance * (1 - chance))) @ design + np.diag(ridge)
        step = np.linalg.solve(curve, slope)
        while loss(beta + step) > loss(beta) and np.abs(step).max() >= TOLERANCE:
            step /= 2  # far from the optimum a full step may overshoot
        beta += step
        if np.abs(step).max() < TOLERANCE:
            break
    return beta[:-1], float(beta[-1])


def _probe(features: Features, source: Names, names: Sequence[str], groups: Names) -> TypeProbe:
    positive = source == names[1]
    fold = folds_by_group(source, groups)
    scores = np.zeros(len(features))
    for k in range(FOLDS):
        seen, unseen = features[fold != k], features[fold == k]
        mean, spread = seen.mean(axis=0), seen.std(axis=0)
        spread[spread == 0] = 1.0
        weights, intercept = fit_logistic((seen - mean) / spread, positive[fold != k])
        scores[fold == k] = (unseen - mean) / spread @ weights + intercept
    told = (scores > 0) == positive
    area = auroc(scores, positive)
    assert area is not None  # both sources have MIN_CELLS
    return TypeProbe(
        cells=dict(Counter(source.tolist())),
        balanced_accuracy=float((told[positive].mean() + told[~positive].mean()) / 2),
        auroc=area,
    )


def _too_few(names: Sequence[str], source: Names, groups: Names) -> str | None:
    """Return why a type cannot be probed, or None."""
    for name in names:
        own = source == name
        if own.sum() < MIN_CELLS:
            return f"{own.sum()} cells of {name}, fewer than {MIN_CELLS}"
        if len(np.unique(groups[own])) < FOLDS:
            return f"{len(np.unique(groups[own]))} groups of {name}, fewer than the {FOLDS} folds"
    return None
