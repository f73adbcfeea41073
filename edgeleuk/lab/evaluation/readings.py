"""Readings of labelled cells and derived figures.

Only the probabilities are stored; every figure derives from them.
"""

from __future__ import annotations

from collections.abc import Container
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgeleuk.lab.evaluation import metrics
from edgeleuk.statistics.intervals import clopper_pearson


@dataclass(frozen=True, slots=True)
class Readings:
    """Truth and probabilities of N cells.

    A share is None if there is no cell to compute it from.
    """

    labels: tuple[str, ...]
    truth: NDArray[np.int64]
    """True type: (N,), index into `labels`.

    If a cell's label allows several types, it is the most probable of these.
    """
    probabilities: NDArray[np.float32]
    """(N, K) calibrated probabilities over `labels`."""
    threshold: float
    """Minimum probability at which a type is named.

    Below it `analyze` says "unclassified".
    """
    mature: tuple[str, ...]
    """Cell types of the five-part differential."""
    single: NDArray[np.bool_]
    """(N,) whether the label allows one type only.

    Figures by type use these cells only; accuracy, rejection and calibration use all.
    """

    def where(self, mask: NDArray[np.bool_]) -> Readings:
        """Return the cells where `mask` (N,) is true."""
        return replace(
            self,
            truth=self.truth[mask],
            probabilities=self.probabilities[mask],
            single=self.single[mask],
        )

    @property
    def n(self) -> int:
        return len(self.truth)

    @property
    def predicted(self) -> NDArray[np.int64]:
        """(N,) index of the best type, however unsure."""
        best: NDArray[np.int64] = self.probabilities.argmax(axis=1)
        return best

    @property
    def correct(self) -> NDArray[np.bool_]:
        """(N,) whether the best type is right."""
        right: NDArray[np.bool_] = self.predicted == self.truth
        return right

    @property
    def correct5(self) -> NDArray[np.bool_]:
        """(n5,) whether the best mature type is right.

        Only cells of these five types are included.
        """
        five = self._indices(self.mature)
        mature = self.single & np.isin(self.truth, five)
        if not mature.any():
            return np.zeros(0, bool)
        right: NDArray[np.bool_] = (
            five[self.probabilities[mature][:, five].argmax(axis=1)] == self.truth[mature]
        )
        return right

    @property
    def confidence(self) -> NDArray[np.float32]:
        """(N,) probability of the best type."""
        confidence: NDArray[np.float32] = self.probabilities.max(axis=1)
        return confidence

    @property
    def accepted(self) -> NDArray[np.bool_]:
        """(N,) whether the reader names the type."""
        return self.confidence >= self.threshold

    @property
    def confusion(self) -> NDArray[np.int64]:
        """(K, K) cells: row truth, column best type."""
        return metrics.confusion(self.truth[self.single], self.predicted[self.single], len(self.labels))

    @property
    def macro_f1(self) -> float | None:
        """Mean F1 over the types in the truth."""
        counts = self.confusion
        scores = metrics.f1_scores(counts)[counts.sum(axis=1) > 0]
        return float(scores.mean()) if len(scores) else None

    @property
    def reliability(self) -> metrics.Reliability:
        return metrics.reliability(self.confidence, self.correct)

    def by_type(self) -> dict[str, dict[str, Any]]:
        """Return the figures of each type.

        Only types in the truth or in the readings are included. `false_positives` counts the cells of other
        types, and those of them that the reader names this type, at its threshold.
        """
        counts = self.confusion
        columns = (metrics.recalls(counts), metrics.precisions(counts), metrics.f1_scores(counts))
        occurs = counts.sum(axis=0) + counts.sum(axis=1) > 0
        figures = {}
        for i in np.flatnonzero(occurs):
            others = self.single & (self.truth != i)
            named = others & self.accepted & (self.predicted == i)
            recall, precision, f1 = (_number(column[i]) for column in columns)
            figures[self.labels[i]] = {
                "n": int(counts[i].sum()),
                "recall": recall,
                "precision": precision,
                "f1": f1,
                "false_positives": {"cells": int(others.sum()), "errors": int(named.sum())},
            }
        return figures

    def recalls(self) -> dict[str, dict[str, Any]]:
        """Return the recall of each type in the truth.

        Each has its number of cells and the exact 95 % interval.
        """
        right = self.correct
        own = {label: self.single & (self.truth == i) for i, label in enumerate(self.labels)}
        return {
            label: {"n": int(mask.sum()), **_share("recall", right[mask])}
            for label, mask in own.items()
            if mask.any()
        }

    @property
    def mean_recall_mature(self) -> float | None:
        """Mean recall over mature types in the truth."""
        recalls = [each["recall"] for label, each in self.recalls().items() if label in self.mature]
        return float(np.mean(recalls)) if recalls else None

    def as_json(self) -> dict[str, Any]:
        counts = self.confusion
        return {
            "n": self.n,
            **_share("accuracy", self.correct),
            "n5": len(self.correct5),
            **_share("accuracy5", self.correct5),
            "mean_recall_mature": self.mean_recall_mature,
            "macro_f1": self.macro_f1,
            "by_type": self.by_type(),
            "confusion": {
                self.labels[i]: {self.labels[j]: int(counts[i, j]) for j in np.flatnonzero(counts[i])}
                for i in np.flatnonzero(counts.sum(axis=1))
            },
            "rejection": {
                "threshold": self.threshold,
                "coverage": _mean(self.accepted),
                **_share("accuracy", self.correct[self.accepted]),
            },
            "expected_calibration_error": self.reliability.error,
        }

    def _indices(self, labels: Container[str]) -> NDArray[np.int64]:
        return np.array([i for i, label in enumerate(self.labels) if label in labels], np.int64)


def proportion(count: int, of: int) -> dict[str, Any]:
    """Return count, share and interval for JSON.

    The share and the exact 95 % interval are 0 to 1; both are None if `of` is 0.
    """
    return {
        "count": count,
        "of": of,
        "share": count / of if of else None,
        "interval": list(clopper_pearson(count, of)) if of else None,
    }


def _share(name: str, right: NDArray[np.bool_]) -> dict[str, Any]:
    """Return a share and its exact 95 % interval."""
    interval = list(clopper_pearson(int(right.sum()), len(right))) if len(right) else None
    return {name: _mean(right), f"{name}_interval": interval}


def _mean(flags: NDArray[np.bool_]) -> float | None:
    return float(flags.mean()) if len(flags) else None


def _number(value: np.floating[Any]) -> float | None:
    return None if np.isnan(value) else float(value)
