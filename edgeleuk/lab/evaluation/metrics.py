"""Figures of merit as plain functions of arrays.

None means "undefined on these data", never 0.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

BINS = 15
"""Bins of the calibration error (Guo et al.)."""


def confusion(truth: NDArray[np.int64], predicted: NDArray[np.int64], classes: int) -> NDArray[np.int64]:
    """Count the cells by true and predicted class.

    Args:
        truth: (N,) true class, 0 to `classes` - 1.
        predicted: (N,) predicted class, 0 to `classes` - 1.
        classes: Number of classes.

    Returns:
        (classes, classes) counts: row is the truth, column the prediction.
    """
    return np.bincount(truth * classes + predicted, minlength=classes * classes).reshape(classes, classes)


def recalls(counts: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return each class's recall from a confusion matrix.

    `counts` is (K, K). The result is (K,), nan for a class that does not occur in the truth.
    """
    return _ratio(counts.diagonal(), counts.sum(axis=1))


def precisions(counts: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return each class's precision from a confusion matrix.

    `counts` is (K, K). The result is (K,), nan for a class that was never predicted.
    """
    return _ratio(counts.diagonal(), counts.sum(axis=0))


def f1_scores(counts: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return each class's F1 from a confusion matrix.

    F1 is the harmonic mean of recall and precision. `counts` is (K, K). The result is (K,), nan for a class
    that is in neither truth nor prediction.
    """
    return _ratio(2 * counts.diagonal(), counts.sum(axis=0) + counts.sum(axis=1))


def macro_f1(counts: NDArray[np.int64]) -> float | None:
    """Return the mean F1 over occurring classes.

    These are the classes that occur in truth or in prediction.
    """
    scores = f1_scores(counts)
    present = ~np.isnan(scores)
    return float(scores[present].mean()) if present.any() else None


def auroc(scores: NDArray[np.floating], positive: NDArray[np.bool_]) -> float | None:
    """Return the area under the ROC curve.

    It is the probability that a positive scores above a negative, ties counting half: the Mann-Whitney
    statistic (Hanley and McNeil, The meaning and use of the area under a receiver operating characteristic
    (ROC) curve, Radiology 1982;143:29-36). It is None unless there are both positives and negatives.
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
    """Return the sensitivity at a given specificity.

    It is the share of positives above the lowest threshold that at least `specificity` of the negatives do
    not pass.

    Args:
        scores: (N,) score of each cell.
        positive: (N,) whether a cell is positive.
        specificity: Specificity, 0 to 1.

    Returns:
        The sensitivity, 0 to 1; None unless there are both positives and negatives.
    """
    negatives = np.sort(scores[~positive])[::-1]
    if not len(negatives) or not positive.any():
        return None
    passing = int((1 - specificity) * len(negatives) + 1e-9)
    return float((scores[positive] > negatives[passing]).mean()) if passing < len(negatives) else 1.0


@dataclass(frozen=True, slots=True)
class Reliability:
    """Confidence against accuracy in bins of confidence.

    The BINS bins have equal width; bin i spans i/BINS to (i+1)/BINS.
    """

    numbers: NDArray[np.int64]
    """(BINS,) number of cells."""
    confidence: NDArray[np.float64]
    """(BINS,) mean best probability; nan if empty."""
    accuracy: NDArray[np.float64]
    """(BINS,) share of right cells; nan if empty."""

    @property
    def error(self) -> float | None:
        """Expected calibration error; 0 is calibrated.

        It is the mean gap between confidence and accuracy, weighted by the cells of each bin.
        """
        total = int(self.numbers.sum())
        gaps = np.nan_to_num(np.abs(self.confidence - self.accuracy))
        return float((gaps * self.numbers).sum() / total) if total else None


def reliability(confidence: NDArray[np.floating], correct: NDArray[np.bool_]) -> Reliability:
    """Compute the reliability of predicted probabilities.

    Guo, Pleiss, Sun and Weinberger, On Calibration of Modern Neural Networks, ICML 2017.
    """
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
