"""Labels of unlabelled cells from the likeness of their features.

A reader that does not know a microscope still gives like features to cells of one type. There are two ways to
make use of it:

- Each cell takes the label whose mean features are nearest, and the means are computed again (Liang, Hu and Feng,
  Do we really need to access the source data? ICML 2020). A rare label counts as much as a frequent one.
- Each cell takes over what its nearest cells are read as (Zhou, Bousquet, Lal, Weston and Schölkopf, Learning with
  local and global consistency, NIPS 2003). Labels of few, scattered cells disappear.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edgeleuk.adaptation.fitting import Design, Floats

NEIGHBOURS = 7
"""Nearest cells that a cell is joined with."""
SPREADING = 0.8
"""Share of a cell's label that comes from its neighbours (alpha of Zhou et al.).

On simulated slides .8 gained as much as .9 and lost less; .95 was worse.
"""
ROUNDS = 3
LEAST_CELLS = 5
LEAST_SHARE = 0.02
"""Minimum number and share of the cells, as sums of probabilities, of a label that cells may take."""


def by_centre(shares: Floats, features: Floats) -> NDArray[np.int64]:
    """Return the label (N,) of the nearest mean features.

    Args:
        shares: (N, K) probabilities of the labels.
        features: (N, F) features of the cells.
    """
    rows, weights = _directions(features), shares
    there = shares.sum(axis=0) >= max(LEAST_CELLS, LEAST_SHARE * len(shares))
    if not there.any():
        first: NDArray[np.int64] = shares.argmax(axis=1)
        return first
    for _ in range(ROUNDS):
        centres = weights.T @ rows
        centres /= np.linalg.norm(centres, axis=1, keepdims=True).clip(1e-9)
        labels: NDArray[np.int64] = np.where(there, rows @ centres.T, -np.inf).argmax(axis=1)
        weights = np.eye(shares.shape[1], dtype=np.float32)[labels]
    return labels


def propagated(shares: Floats, features: Floats) -> Floats:
    """Return probabilities that follow those of similar cells.

    Args:
        shares: (N, K) probabilities of the labels.
        features: (N, F) features of the cells.

    Returns:
        (N, K) probabilities.
    """
    joined = _neighbours(features)
    spread = np.eye(len(shares)) - SPREADING * joined
    result = np.linalg.solve(spread, shares.astype(np.float64)).clip(0)
    normalised: Floats = (result / result.sum(axis=1, keepdims=True)).astype(np.float32)
    return normalised


def _neighbours(features: Floats) -> NDArray[np.float64]:
    """Return the normalised weights (N, N) between cells.

    Cells are joined where one is among the nearest of the other.
    """
    rows = _directions(features)
    likeness = (rows @ rows.T).astype(np.float64)
    np.fill_diagonal(likeness, -np.inf)
    nearest = np.argsort(-likeness, axis=1, kind="stable")[:, : min(NEIGHBOURS, len(rows) - 1)]
    weights = np.zeros_like(likeness)
    np.put_along_axis(weights, nearest, np.take_along_axis(likeness, nearest, axis=1).clip(0), axis=1)
    weights = np.maximum(weights, weights.T)
    root = np.sqrt(weights.sum(axis=1).clip(1e-9))
    result: NDArray[np.float64] = weights / root[:, None] / root
    return result


def _directions(features: Floats) -> Floats:
    """Return standardised features (N, F), each of length 1."""
    design = Design.of(features)
    rows: Floats = (features - design.mean) / design.spread
    rows /= np.linalg.norm(rows, axis=1, keepdims=True).clip(1e-9)
    return rows
