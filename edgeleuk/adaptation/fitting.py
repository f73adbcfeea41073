"""Multinomial logistic regression that is pulled towards a given head.

The penalty is on the difference from the given weights, so that without cells the head stays as it is. By the
representer theorem the difference is a sum over the cells, and all is computed from the cells' inner products.

The steps are those of Böhning (Multinomial logistic regression algorithm, Ann Inst Stat Math
1992;44:197-200): the Hessian is replaced by its upper bound, half of the inner products, which is factorised
once. Each step then lowers the loss. A cell whose label allows several types adds a concave term, under which
the bound still holds. Nesterov's acceleration, restarted where it overshoots (O'Donoghue and Candès, Found
Comput Math 2015;15:715-732), takes a tenth of the steps.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgeleuk.models.heads import Head

Floats = NDArray[np.float32]

MOST_STEPS = 150
TOLERANCE = 1e-3
"""Largest change of a logit in a step at which fitting ends."""
BOUND = 0.5
"""Upper bound of the Hessian of log-sum-exp, as a share of the identity (Böhning 1992)."""
SOFTENING = 0.1
"""Added to each feature's standard deviation, so that a feature that hardly varies is not blown up.

Pooled features of this project's readers have standard deviations of 0.01 to 0.7, half of them above 0.26.
"""
BIAS = 5.0
"""Size of the constant feature among standardised ones: a bias is cheaper to change than a weight."""


@dataclass(frozen=True, slots=True)
class Design:
    """Standardisation of features, with a constant for the bias."""

    mean: Floats
    """(F,) means."""
    spread: Floats
    """(F,) divisors."""

    @classmethod
    def of(cls, features: Floats) -> Design:
        """Return the standardisation of features (N, F)."""
        return cls(features.mean(axis=0), features.std(axis=0) + np.float32(SOFTENING))

    def apply(self, features: Floats) -> Floats:
        """Return rows of length about 1 of features.

        Features (N, F) give rows (N, F + 1).
        """
        rows = np.empty((len(features), features.shape[1] + 1), np.float32)
        rows[:, :-1] = (features - self.mean) / self.spread
        rows[:, -1] = BIAS
        rows /= np.float32(np.sqrt(features.shape[1]))
        return rows

    def added(self, change: NDArray[np.float64], head: Head) -> Head:
        """Return a head with a change added to its types, as 16-bit numbers hold it.

        `change`: (F + 1, T), in terms of standardised rows; the types are the head's first T outputs.
        """
        weight, bias = self.undone(change)
        new_weight, new_bias = head.weight.copy(), head.bias.copy()
        new_weight[:, : weight.shape[1]] += weight
        new_bias[: len(bias)] += bias
        return Head(*(each.astype(np.float16).astype(np.float64) for each in (new_weight, new_bias)))

    def undone(self, change: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return the change (F, T) of weights and (T,) of biases.

        `change`: (F + 1, T), in terms of standardised rows.
        """
        scale = np.sqrt(len(change) - 1)
        weight = change[:-1] / self.spread[:, None] / scale
        return weight, change[-1] * BIAS / scale - self.mean @ weight


class Fitter:
    """Fits one set of cells, under several pulls."""

    def __init__(
        self,
        products: Floats,
        prior: Floats,
        allowed: NDArray[np.bool_],
        weights: Floats,
        free: NDArray[np.bool_],
    ) -> None:
        """Factorise the cells' inner products.

        Args:
            products: (N, N) inner products of the cells' rows.
            prior: (N, T) logits of the given head.
            allowed: (N, T) types that each cell's label allows; one at least.
            weights: (N,) weights of the cells, above 0.
            free: (T,) types whose weights may change.
        """
        self._root = np.sqrt(weights.astype(np.float32))[:, None]
        self._products = self._root * products * self._root.T
        self._values, self._vectors = np.linalg.eigh(self._products)
        self._prior, self._allowed, self._free = prior.astype(np.float32), allowed, free
        self._last = np.zeros_like(self._prior)

    def coefficients(self, pull: float) -> Floats:
        """Return coefficients (N, T) of the cells' rows.

        The logits of other cells are their prior ones plus their inner products with these cells times the
        coefficients. The search starts at the previous result.

        Args:
            pull: Penalty on the squared difference from the given head.
        """
        steps = (1 / (BOUND * self._values.clip(0) + pull)).astype(np.float32)[:, None]
        here, ahead, speed = self._last, self._last, 1.0
        for _ in range(MOST_STEPS):
            gradient = self._root * self._residual(ahead) + np.float32(pull) * ahead
            gradient[:, ~self._free] = 0
            there = ahead - self._vectors @ (steps * (self._vectors.T @ gradient))
            moved = there - here
            if float(np.abs(self._products @ moved / self._root).max()) < TOLERANCE:
                here = there
                break
            if float(((ahead - there) * moved).sum()) > 0:
                ahead, speed = there, 1.0
            else:
                faster = (1 + np.sqrt(1 + 4 * speed * speed)) / 2
                ahead, speed = there + np.float32((speed - 1) / faster) * moved, faster
            here = there
        self._last = here
        return self._root * here

    def _residual(self, scaled: Floats) -> Floats:
        """Return the gradient (N, T) of the loss by the logits."""
        logits = self._prior + np.divide(self._products @ scaled, self._root, dtype=np.float32)
        shares = softmax(logits)
        right = np.where(self._allowed, shares, np.float32(0))
        result: Floats = shares - right / right.sum(axis=1, keepdims=True).clip(1e-30)
        return result


def softmax(logits: Floats) -> Floats:
    """Compute softmax along the last axis in 32 bits."""
    shifted = np.exp(logits - logits.max(axis=-1, keepdims=True))
    result: Floats = shifted / shifted.sum(axis=-1, keepdims=True)
    return result


def losses(logits: Floats, allowed: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return the negative log-likelihood (N,) of each cell's label.

    Args:
        logits: (N, T) logits.
        allowed: (N, T) types that each cell's label allows.
    """
    right = (softmax(logits) * allowed).sum(axis=1).clip(1e-12)
    return -np.log(right.astype(np.float64))
