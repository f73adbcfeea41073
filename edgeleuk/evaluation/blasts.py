"""How well cells of some types, such as blasts, are told from all other white cells."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgeleuk.evaluation import metrics
from edgeleuk.evaluation.kinds import Vocabulary
from edgeleuk.rules import Rules

SPECIFICITY = 0.95


@dataclass(frozen=True, slots=True)
class Told:
    """White cells of which is known whether they are of the types, and what the reader made of them."""

    positive: NDArray[np.bool_]
    """(N,) whether a cell is of the types."""
    scores: NDArray[np.float32]
    """(N,) summed probability of the types."""
    called: NDArray[np.bool_]
    """(N,) whether the best label is one of the types."""
    accepted: NDArray[np.bool_]
    """(N,) whether the reader is sure enough of it to name it."""
    sources: NDArray[np.str_]
    """(N,)"""

    def of(self, source: str) -> Told:
        """The cells of one source."""
        mask = self.sources == source
        return Told(
            self.positive[mask], self.scores[mask], self.called[mask], self.accepted[mask], self.sources[mask]
        )

    @property
    def n(self) -> int:
        """Cells of the types."""
        return int(self.positive.sum())

    def separation(self) -> dict[str, float | None]:
        """How well the score tells the cells of the types from the others; None without either."""
        return {
            "auroc": metrics.auroc(self.scores, self.positive),
            "sensitivity_at_95_specificity": metrics.sensitivity_at(self.scores, self.positive, SPECIFICITY),
        }

    def as_json(self) -> dict[str, Any]:
        """`recognised`: share of the cells of the types whose best label is one of them; `sure`: at the threshold."""
        own = self.called[self.positive]
        sure = own & self.accepted[self.positive]
        return {
            "n": self.n,
            "recognised": float(own.mean()) if self.n else None,
            "sure": float(sure.mean()) if self.n else None,
            **self.separation(),
        }


def tell(
    vocabulary: Vocabulary,
    labels: Sequence[str],
    sources: Sequence[str],
    probabilities: NDArray[np.float32],
    types: Collection[str],
    rules: Rules,
    threshold: float,
) -> Told:
    """The cells of `labels` (N,), read with `probabilities` (N, K), by whether they are of `types`.

    Left out are cells beside those that the differential counts (erythroblasts, smudge cells, platelets), and those whose label
    leaves open whether they are of the types.
    """
    among = [
        None if _beside(vocabulary, label, rules) else vocabulary.among(label, types) for label in labels
    ]
    known = np.array([each is not None for each in among], bool)
    own = np.array([label in types for label in vocabulary.labels], bool)
    read = probabilities[known]
    return Told(
        positive=np.array([each for each in among if each is not None], bool),
        scores=read[:, own].sum(axis=1),
        called=own[read.argmax(axis=1)],
        accepted=read.max(axis=1, initial=0) >= threshold,
        sources=np.array(sources, str)[known],
    )


def _beside(vocabulary: Vocabulary, label: str, rules: Rules) -> bool:
    names = {label, *(vocabulary.allowed(label) or ())}
    return not rules.not_counted.isdisjoint(names)
