"""Measure the separation of blasts from other cells.

Blasts, or any other chosen set of cell types, are measured against all other white cells.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgeleuk.differential.rules import Rules
from edgeleuk.lab.evaluation import metrics
from edgeleuk.lab.evaluation.kinds import Vocabulary

SPECIFICITY = 0.95


@dataclass(frozen=True, slots=True)
class Detection:
    """Truth and readings for detecting chosen cell types.

    Holds only white cells for which it is known whether they are of the types.
    """

    positive: NDArray[np.bool_]
    """(N,) whether a cell is of the types."""
    scores: NDArray[np.float32]
    """(N,) summed probability of the types."""
    called: NDArray[np.bool_]
    """(N,) whether the best label is of the types."""
    accepted: NDArray[np.bool_]
    """(N,) whether the best probability reaches the threshold."""
    sources: NDArray[np.str_]
    """(N,) source of each cell."""

    def of(self, source: str) -> Detection:
        """Return the cells of one source."""
        return self.where(self.sources == source)

    def where(self, mask: NDArray[np.bool_]) -> Detection:
        """Return the cells that a mask (N,) selects."""
        return Detection(
            self.positive[mask], self.scores[mask], self.called[mask], self.accepted[mask], self.sources[mask]
        )

    @property
    def n(self) -> int:
        """Number of cells of the types."""
        return int(self.positive.sum())

    def separation(self) -> dict[str, float | None]:
        """Return AUROC, and sensitivity at 95 % specificity.

        Both are None unless there are cells of the types and others.
        """
        return {
            "auroc": metrics.auroc(self.scores, self.positive),
            "sensitivity_at_95_specificity": metrics.sensitivity_at(self.scores, self.positive, SPECIFICITY),
        }

    def as_json(self) -> dict[str, Any]:
        """Return all figures for JSON.

        `recognised` is the share of the cells of the types whose best label is one of the types; `sure` is
        the share that reaches the threshold as well.
        """
        own = self.called[self.positive]
        sure = own & self.accepted[self.positive]
        return {
            "n": self.n,
            "recognised": float(own.mean()) if self.n else None,
            "sure": float(sure.mean()) if self.n else None,
            **self.separation(),
        }


@dataclass(frozen=True, slots=True)
class ReadCells:
    """Labelled cells with their readings."""

    labels: Sequence[str]
    """(N,) labels of the data."""
    sources: Sequence[str]
    """(N,) source of each cell."""
    probabilities: NDArray[np.float32]
    """(N, K) probabilities over the labels of the reader."""


def detect_types(
    vocabulary: Vocabulary,
    cells: ReadCells,
    types: Collection[str],
    rules: Rules,
    threshold: float,
) -> Detection:
    """Compare readings and labels for chosen types.

    Cells that the differential does not count (erythroblasts, smudge cells, platelets) are left out. So are
    cells whose label leaves open whether they are of the types.

    Args:
        vocabulary: Labels of the reader and their relation to labels of the data.
        cells: Cells, read by the reader.
        types: Cell types to detect.
        rules: Rules that name the cells that are not counted.
        threshold: Minimum probability at which the reader names a type.
    """
    among = [
        None if _beside(vocabulary, label, rules) else vocabulary.among(label, types)
        for label in cells.labels
    ]
    known = np.array([each is not None for each in among], bool)
    own = np.array([label in types for label in vocabulary.labels], bool)
    read = cells.probabilities[known]
    return Detection(
        positive=np.array([each for each in among if each is not None], bool),
        scores=read[:, own].sum(axis=1),
        called=own[read.argmax(axis=1)],
        accepted=read.max(axis=1, initial=0) >= threshold,
        sources=np.array(cells.sources, str)[known],
    )


def _beside(vocabulary: Vocabulary, label: str, rules: Rules) -> bool:
    names = {label, *(vocabulary.allowed(label) or ())}
    return not rules.not_counted.isdisjoint(names)
