"""Figures of merit, as plain functions of arrays. None is "undefined on these data", never 0."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

BINS = 15
"""Of the calibration error, as in Guo et al."""


def confusion(truth: NDArray[np.int64], predicted: NDArray[np.int64], classes: int) -> NDArray[np.int64]:
    """Counts (classes, classes): row is the truth, column the prediction."""
    return np.bincount(truth * classes + predicted, minlength=classes * classes).reshape(classes, classes)


def recalls(counts: NDArray[np.int64]) -> NDArray[np.float64]:
    """From a confusion (K, K) the share of each true class recognised, (K,), nan where it does not occur."""
    return _ratio(counts.diagonal(), counts.sum(axis=1))


def precisions(counts: NDArray[np.int64]) -> NDArray[np.float64]:
    """Share of each predicted class that is right, (K,), nan where it was never predicted."""
    return _ratio(counts.diagonal(), counts.sum(axis=0))


def f1_scores(counts: NDArray[np.int64]) -> NDArray[np.float64]:
    """Harmonic mean of recall and precision, (K,), nan where a class is in neither truth nor prediction."""
    return _ratio(2 * counts.diagonal(), counts.sum(axis=0) + counts.sum(axis=1))


def macro_f1(counts: NDArray[np.int64]) -> float | None:
    """Mean F1 over the classes that occur in truth or in prediction."""
    scores = f1_scores(counts)
    present = ~np.isnan(scores)
    return float(scores[present].mean()) if present.any() else None


def auroc(scores: NDArray[np.floating], positive: NDArray[np.bool_]) -> float | None:
    """Chance that a positive scores above a negative, ties counting half; None without both.

    The Mann-Whitney statistic, which is the area under the ROC curve (Hanley and McNeil, The meaning and use
    of the area under a receiver operating characteristic (ROC) curve, Radiology 1982;143:29-36).
    """
    positives, negatives = int(positive.sum()), int((~positive).sum())
    if not positives or not negatives:
        return None
    _, place, numbers = np.unique(scores, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(numbers) - (numbers - 1) / 2)[place]
    above = ranks[positive].sum() - positives * (positives + 1) / 2
    return float(above / (positives * negatives))


def sensitivity_at(
    scores: NDArray[np.floating], positive: NDArray[np.bool_], specificity: float
) -> float | None:
    """Share of positives above the lowest threshold that `specificity` of the negatives do not pass."""
    negatives = np.sort(scores[~positive])[::-1]
    if not len(negatives) or not positive.any():
        return None
    passing = int((1 - specificity) * len(negatives) + 1e-9)
    return float((scores[positive] > negatives[passing]).mean()) if passing < len(negatives) else 1.0


@dataclass(frozen=True, slots=True)
class Reliability:
    """Confidence against accuracy, in BINS bins of equal width; bin i spans i/BINS to (i+1)/BINS."""

    numbers: NDArray[np.int64]
    """(BINS,) cells."""
    confidence: NDArray[np.float64]
    """(BINS,) mean probability of the best type, nan in an empty bin."""
    accuracy: NDArray[np.float64]
    """(BINS,) share that is right, nan in an empty bin."""

    @property
    def error(self) -> float | None:
        """Expected calibration error: mean gap between both, weighted by cells. 0 is calibrated."""
        total = int(self.numbers.sum())
        gaps = np.nan_to_num(np.abs(self.confidence - self.accuracy))
        return float((gaps * self.numbers).sum() / total) if total else None


def reliability(confidence: NDArray[np.floating], correct: NDArray[np.bool_]) -> Reliability:
    """Guo, Pleiss, Sun and Weinberger, On Calibration of Modern Neural Networks, ICML 2017."""
    place = np.minimum((confidence * BINS).astype(np.int64), BINS - 1)
    numbers = np.bincount(place, minlength=BINS)
    return Reliability(
        numbers,
        _ratio(np.bincount(place, weights=confidence, minlength=BINS), numbers),
        _ratio(np.bincount(place, weights=correct, minlength=BINS), numbers),
    )


def _ratio(part: NDArray[np.integer | np.floating], whole: NDArray[np.int64]) -> NDArray[np.float64]:
    result = np.full(len(whole), np.nan)
    np.divide(part, whole, out=result, where=whole > 0)
    return result
