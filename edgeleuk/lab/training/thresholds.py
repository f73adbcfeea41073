"""Choice of operating points.

They are chosen on training images kept aside, never on those that figures are reported on.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from edgeleuk.lab.evaluation.datasets import FieldSample
from edgeleuk.lab.evaluation.fields import match
from edgeleuk.networks.finder import Finder
from edgeleuk.types import WHITE_CELL, Image, Scale

GRID = np.round(np.arange(0.1, 0.9, 0.01), 2)
WHITE_RECALL_WEIGHT = 4.0
"""Beta of the F-beta score for white cells.

A missed white cell is lost; a false one is still examined by the reader.
"""
LEAST_ANNOTATED = 20
"""Minimum annotated cells of a source that a count is compared with."""


def finder_thresholds(
    finder: Finder,
    samples: Sequence[FieldSample],
    names: Sequence[str],
    scales: Mapping[int, Scale],
    read: Callable[[FieldSample], Image],
) -> dict[str, float]:
    """Choose a finder's threshold for each cell class.

    White cells get the threshold of the best F4 score. Classes that are only counted get the threshold at or
    above which as many cells are found as were annotated; every source weighs alike, whatever its number of cells.

    Args:
        finder: The finder.
        samples: Annotated fields.
        names: Names of the class indices in `samples`.
        scales: Scales of the fields, by `image_id`.
        read: Function that reads a field's image.
    """
    scores: dict[str, list[NDArray[np.float32]]] = {name: [] for name in finder.names}
    hits: dict[str, list[NDArray[np.bool_]]] = {name: [] for name in finder.names}
    truth: dict[str, list[tuple[str, int]]] = {name: [] for name in finder.names}
    for sample in samples:
        found = finder.find(read(sample), scales[sample.image_id], floor=float(GRID[0]))
        for name in sample.labelled.intersection(finder.names):
            boxes, mine = sample.boxes[sample.kinds == names.index(name)], found.of(name)
            scores[name].append(mine.scores)
            hits[name].append(match(boxes, mine.boxes) >= 0)
            truth[name].append((sample.source, len(boxes)))
    return {
        name: _best_found(
            np.concatenate(scores[name]), np.concatenate(hits[name]), sum(n for _, n in truth[name])
        )
        if name == WHITE_CELL
        else _best_counted(scores[name], truth[name])
        for name in finder.names
    }


def _best_counted(scores: Sequence[NDArray[np.float32]], truth: Sequence[tuple[str, int]]) -> float:
    """Return the threshold whose counts are closest to the annotated ones.

    The distance is the mean square, over the sources, of the logarithm of the ratio of both counts.

    Args:
        scores: Scores of the found cells, by field.
        truth: Source and number of annotated cells, by field.
    """
    found: dict[str, NDArray[np.int64]] = {}
    annotated: dict[str, int] = {}
    for each, (source, number) in zip(scores, truth, strict=True):
        found[source] = found.get(source, np.zeros(len(GRID), np.int64)) + np.array(
            [(each >= t).sum() for t in GRID]
        )
        annotated[source] = annotated.get(source, 0) + number
    enough = [source for source, number in annotated.items() if number >= LEAST_ANNOTATED] or list(annotated)
    ratios = [np.log((found[source] + 1) / (annotated[source] + 1)) for source in enough]
    return float(GRID[np.square(ratios).mean(axis=0).argmin()])


def _best_found(scores: NDArray[np.float32], hits: NDArray[np.bool_], truth: int) -> float:
    """Return the threshold of the best F-beta score."""
    counts = np.array([(scores >= t).sum() for t in GRID])
    found = np.array([hits[scores >= t].sum() for t in GRID])
    beta = WHITE_RECALL_WEIGHT**2
    return float(GRID[((1 + beta) * found / (beta * truth + counts)).argmax()])


def temperature(logits: NDArray[np.floating], allowed: NDArray[np.bool_]) -> float:
    """Fit the temperature of least negative log-likelihood.

    Guo et al., ICML 2017; by a fine grid. `logits` are (N, types), `allowed` (N, types) the types that each
    cell's label allows.
    """
    grid = np.exp(np.linspace(np.log(0.3), np.log(4), 200))

    def loss(t: float) -> float:
        powers = np.exp((logits - logits.max(axis=1, keepdims=True)) / t)
        shares = (powers * allowed).sum(axis=1) / powers.sum(axis=1)
        return float(-np.log(shares.clip(1e-12)).mean())

    return float(min(grid, key=loss))


def rejection_threshold(
    confidence: NDArray[np.float32], right: NDArray[np.bool_], accuracy: float, least: float
) -> float:
    """Return the smallest threshold that reaches an accuracy.

    Args:
        confidence: (N,) probabilities of the best types, 0 to 1.
        right: (N,) whether the best type is the true one.
        accuracy: Share of accepted cells that must be right.
        least: Minimum threshold.

    Returns:
        The threshold, in steps of 0.01; 0.99 if none reaches the accuracy.
    """
    for threshold in np.arange(least, 0.99, 0.01):
        accepted = confidence >= threshold
        if accepted.any() and right[accepted].mean() >= accuracy:
            return round(float(threshold), 2)
    return 0.99
