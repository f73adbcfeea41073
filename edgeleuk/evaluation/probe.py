"""How well the source of a cell can be told from its features: what a reader might learn instead of the cell.

A linear probe (Alain and Bengio, Understanding intermediate layers using linear classifier probes, ICLR 2017
workshop) is fitted for each type that both sources have, so that nothing but the source is left to tell. Chance is
0.5; the more above it, the more the features say of the laboratory.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgeleuk.evaluation.metrics import auroc

Features = NDArray[np.floating[Any]]
Names = NDArray[np.str_]

FOLDS = 5

MIN_CELLS = 20
"""Cells of a type that either source needs; of fewer the probe's figures would be noise."""

PENALTY = 1.0
"""Of the squared weights against the summed log-likelihood of the cells, features being of unit variance."""

STEPS = 50
TOLERANCE = 1e-6
"""Newton's method ends when no weight moves more, or after so many steps; 5 to 10 are usual."""

SEED = 0
"""Of the folds."""


@dataclass(frozen=True, slots=True)
class TypeProbe:
    """The probe on the cells of one type, each judged by a probe that saw no cell of its group."""

    cells: Mapping[str, int]
    """By source."""
    balanced_accuracy: float
    """Mean over both sources of the share told right."""
    auroc: float

    def as_json(self) -> dict[str, Any]:
        return {
            "cells": dict(self.cells),
            "balanced_accuracy": self.balanced_accuracy,
            "auroc": self.auroc,
        }


@dataclass(frozen=True, slots=True)
class ProbeReport:
    """How well two sources can be told apart."""

    sources: tuple[str, str]
    types: Mapping[str, TypeProbe]
    left_out: Mapping[str, str]
    """Types that could not be probed, with the reason."""

    @property
    def balanced_accuracy(self) -> float | None:
        """Mean over the types; None where none could be probed."""
        return float(np.mean([t.balanced_accuracy for t in self.types.values()])) if self.types else None

    @property
    def auroc(self) -> float | None:
        """Likewise."""
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
    """Probes each type for its source.

    `features` is (N, D); `sources`, `types` and `groups` have N names. Cells of one group (a patient, or else a file),
    which is of one source, stay in one fold. ValueError unless there are two sources just.
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
    """The fold of each cell, (N,), 0 to FOLDS - 1: a group stays together, each source is spread evenly.

    Source by source the largest groups are dealt first, each to the fold that has fewest of its source's cells.
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
    """Weights (D,) and intercept of the logistic regression of `positive` (N,) on `features` (N, D).

    Newton's method, that is iteratively reweighted least squares (Hastie, Tibshirani and Friedman, The Elements of
    Statistical Learning, 2nd edition, 4.4.1), with the squared weights penalised by PENALTY, the intercept not.
    Cells weigh so that both classes count alike.
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
    """Why cells of one type cannot be probed; None where they can."""
    for name in names:
        own = source == name
        if own.sum() < MIN_CELLS:
            return f"{own.sum()} cells of {name}, fewer than {MIN_CELLS}"
        if len(np.unique(groups[own])) < FOLDS:
            return f"{len(np.unique(groups[own]))} groups of {name}, fewer than the {FOLDS} folds"
    return None
