"""Cells of a healthy adult: their proportions, and how blast-like they are."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgeleuk.differential.rules import Reference
from edgeleuk.errors import UsageError

EDGES = (0, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.001)
"""Bin edges of blast-likeness.

Each bin keeps its mean, so that the sum over many cells stays the same.
"""


def adult_proportions(reference: Reference, mature: Collection[str]) -> dict[str, float]:
    """Return a healthy adult's share of each mature type.

    Each share is the middle of the type's reference range divided by the sum of all middles; they sum to 1.

    Raises:
        UsageError: If `reference` has no range for one of the `mature` types.
    """
    middles = {
        label: (each.low + each.high) / 2
        for each in reference.ranges
        for label in each.labels
        if label in mature
    }
    if missing := sorted({*mature} - middles.keys()):
        raise UsageError(
            f"reference ranges {reference.name!r} have none for {missing[0]}. Add it to the file."
        )
    return {label: middle / sum(middles.values()) for label, middle in middles.items()}


def likeness_of_healthy(
    blast_like: NDArray[np.floating],
    unsure: NDArray[np.bool_],
    labels: NDArray[np.str_],
    laboratories: NDArray[Any],
    proportions: dict[str, float],
) -> dict[str, Any]:
    """Estimate the blast-likeness of a healthy adult's slide.

    The result is its distribution over the cells. Each mature type has its share of a healthy adult. Within a
    type each laboratory has the same weight, so that no large one dominates.

    Args:
        blast_like: (N,) probabilities of the blast-like types, 0 to 1.
        unsure: (N,) whether a cell is below the reader's threshold.
        labels: (N,) true labels.
        laboratories: (N,) laboratories of the cells.
        proportions: Share of each mature type, see `adult_proportions`.

    Returns:
        The entries `not_recognised`, `probabilities` and `shares` of a manifest's "healthy".
    """
    weights = np.zeros(len(labels))
    for kind, share in proportions.items():
        there = np.unique(laboratories[labels == kind])
        for laboratory in there:
            own = (labels == kind) & (laboratories == laboratory)
            weights[own] = share / len(there) / own.sum()
    weights /= weights.sum()
    part = np.digitize(blast_like, EDGES) - 1
    filled = [i for i in range(len(EDGES) - 1) if weights[part == i].sum() > 0]
    shares = [float(weights[part == i].sum()) for i in filled]
    means = [float(np.average(blast_like[part == i], weights=weights[part == i])) for i in filled]
    return {
        "not_recognised": round(float(weights[unsure].sum()), 6),
        "probabilities": [round(value, 6) for value in means],
        "shares": [round(value, 6) for value in shares],
    }
