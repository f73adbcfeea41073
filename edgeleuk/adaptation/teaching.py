"""A laboratory's own head from cells that a person labelled.

The types of the head are fitted again, pulled towards the head that they come from, on the labelled cells and
with a small weight on the guard cells. How strong the pull is, whether the result is better and how sure it
is are decided by cross-validation over slides, or over cells where there is one slide.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgeleuk.adaptation.cells import Cells
from edgeleuk.adaptation.fitting import Design, Fitter, Floats, loss
from edgeleuk.adaptation.scoring import (
    Printing,
    Score,
    best_temperature,
    compared,
    stated_accuracy,
    threshold_for,
)
from edgeleuk.models.heads import Head
from edgeleuk.models.manifest import ReaderManifest

LEAST_CELLS = 5
"""Minimum labelled cells of a type; with fewer it keeps its weights."""
ENOUGH = 100
"""Minimum labelled cells, and sure mature ones, for a threshold below the parent's.

Of 100 sure cells without an error up to 3.6 % may be wrong (Clopper and Pearson).
"""
PULLS = (10.0, 3.0, 1.0, 0.3, 0.1)
"""Penalties that are tried, the strongest first."""
GUARD_WEIGHTS = (0.2, 1.0)
"""Weights of a guard cell, beside 1 of a labelled cell, that are tried."""
FOLDS = 5
SEED = 1
STRICTEST = 0.99
"""Threshold where no lower one is right often enough."""


@dataclass(frozen=True, slots=True)
class Fit:
    """A way to fit a head, and what such heads read without having learnt it."""

    pull: float
    guard_weight: float
    taught: Floats
    """(N, T) calibrated logits of the labelled cells, by heads fitted without their slides."""
    guard: Floats
    """(G, T) the same of the guard cells."""


@dataclass(frozen=True, slots=True)
class Taught:
    """Result of teaching."""

    head: Head
    temperature: float
    threshold: float
    figures: Mapping[str, Any]
    """Figures of both heads, for the manifest and the user."""
    refused: str = ""
    """Why the head is not to be adopted; empty if it is."""
    held_out: Score | None = None
    """Labelled cells, then guard cells, each read by a head that was fitted without it."""
    types: tuple[str, ...] = ()
    """Types whose weights changed."""


class Teacher:
    """Fits heads of one reader to labelled cells."""

    def __init__(self, manifest: ReaderManifest, head: Head, cells: Cells, guard: Cells) -> None:
        """Prepare.

        Args:
            manifest: Parent reader.
            head: Its head.
            cells: Labelled cells, of the reader's labels only.
            guard: Guard cells.
        """
        self._manifest, self._head, self._cells, self._guard = manifest, head, cells, guard
        self._printing = Printing.of(manifest)
        self._design = Design.of(guard.features)
        both = np.concatenate([cells.features, guard.features])
        self._rows = self._design.apply(both)
        self._prior: Floats = (head.logits(both)[:, : len(manifest.types)] / manifest.temperature).astype(
            np.float32
        )
        self._allowed = np.concatenate([cells.allowed, guard.allowed])
        self._free: NDArray[np.bool_] = cells.allowed.sum(axis=0) >= LEAST_CELLS
        self._is_taught = np.arange(len(both)) < len(cells)
        self._balance = balanced(cells.labels)

    @property
    def types(self) -> tuple[str, ...]:
        """Types with enough labelled cells to change."""
        return tuple(np.array(self._manifest.types)[self._free].tolist())

    @cached_property
    def _products(self) -> Floats:
        return self._rows @ self._rows.T

    def taught(self) -> Taught:
        """Return the best head, and whether it is to be adopted."""
        before, guard_before = self._scores(self._prior)
        if not self._free.any():
            reason = (
                f"no type has {LEAST_CELLS} labelled cells. Label more cells of the types that are misread"
            )
            return self._refused(reason, before, guard_before)
        fits = sorted(self._cross_validated(), key=lambda fit: self._loss(fit.taught))
        refusals = []
        for fit in fits:
            after, _ = self._scores(np.concatenate([fit.taught, fit.guard]))
            head = self._fitted(fit)
            if reason := self._doubt(fit, before, after) or self._below_guard(head, guard_before):
                refusals.append((reason, fit))
            else:
                return self._adopted(head, fit)
        reason, fit = refusals[0]
        return self._refused(reason, before, guard_before, fit)

    # Fitting

    def _cross_validated(self) -> Iterator[Fit]:
        """Yield a fit per pull and weight of the guard cells."""
        folds = np.concatenate(
            [
                folds_of(self._cells.groups, self._cells.labels),
                folds_of(self._guard.groups, self._guard.labels),
            ]
        )
        many = len(self._cells)
        for guard_weight in GUARD_WEIGHTS:
            logits = {pull: self._prior.copy() for pull in PULLS}
            for fold in np.unique(folds[self._is_taught]).tolist():
                out = folds == fold
                fitter = self._fitter(~out, guard_weight)
                across = self._products[np.ix_(out, ~out)]
                for pull in PULLS:
                    logits[pull][out] += across @ fitter.coefficients(pull)
            for pull, each in logits.items():
                yield Fit(pull, guard_weight, each[:many], each[many:])

    def _fitter(self, chosen: NDArray[np.bool_], guard_weight: float) -> Fitter:
        weights = np.full(len(self._rows), guard_weight, np.float32)
        weights[self._is_taught] = self._balance
        products = self._products[np.ix_(chosen, chosen)]
        return Fitter(products, self._prior[chosen], self._allowed[chosen], weights[chosen], self._free)

    def _fitted(self, fit: Fit) -> Head:
        """Return the head fitted on all cells, as 16-bit numbers hold it."""
        fitter = self._fitter(np.ones(len(self._rows), bool), fit.guard_weight)
        coefficients = fitter.coefficients(fit.pull)
        change = self._rows.T.astype(np.float64) @ coefficients * self._manifest.temperature
        weight, bias = self._design.undone(change)
        new_weight, new_bias = self._head.weight.copy(), self._head.bias.copy()
        new_weight[:, : weight.shape[1]] += weight
        new_bias[: len(bias)] += bias
        return Head(*(each.astype(np.float16).astype(np.float64) for each in (new_weight, new_bias)))

    # Judging

    def _scores(self, logits: Floats, temperature: float = 1.0) -> tuple[Score, Score]:
        """Return the figures of logits on the labelled cells and on the guard cells."""
        probabilities = self._printing.probabilities(logits / np.float32(temperature))
        truth = np.concatenate([self._cells.labels, self._guard.labels])
        both = Score(self._manifest.labels, truth, probabilities)
        return both.where(self._is_taught), both.where(~self._is_taught)

    def _loss(self, logits: Floats) -> float:
        return loss(logits, self._cells.allowed, self._balance)

    def _doubt(self, fit: Fit, before: Score, after: Score) -> str:
        """Return why a fit is no better on the labelled cells; empty if it is."""
        if self._loss(fit.taught) >= self._loss(self._prior[self._is_taught]):
            return "heads that were taught without a part of the cells do not read that part better"
        counts = compared(before, after)
        if counts["gained"] <= counts["lost"] or after.mean_recall <= before.mean_recall:
            return (
                f"in cross-validation it reads {counts['gained']} cells right that were wrong before, and"
                f" {counts['lost']} wrong that were right"
            )
        return ""

    def _below_guard(self, head: Head, before: Score) -> str:
        """Return why a head is worse on the guard cells; empty if it is not."""
        after = self._on_guard(head)
        blasts = np.isin(np.array(after.labels)[after.truth], list(self._manifest.blast_like))
        for name, chosen in (("", np.ones(len(blasts), bool)), (" that are blast-like", blasts)):
            old, new = before.where(chosen).mean_recall, after.where(chosen).mean_recall
            if new < old - 1e-9:
                return f"it reads the guard cells{name} worse: mean recall {new:.3f}, before {old:.3f}"
        return ""

    def _on_guard(self, head: Head) -> Score:
        logits = head.logits(self._guard.features)[:, : len(self._manifest.types)]
        probabilities = self._printing.probabilities(logits / np.float32(self._manifest.temperature))
        return Score(self._manifest.labels, self._guard.labels, probabilities)

    def _adopted(self, head: Head, fit: Fit) -> Taught:
        logits = np.concatenate([fit.taught, fit.guard])
        warmth, threshold = self._operating_point(fit)
        taught, guard = self._scores(logits, warmth)
        return Taught(
            head=head,
            temperature=self._manifest.temperature * warmth,
            threshold=threshold,
            figures=self._figures(taught, self._on_guard(head), threshold, fit, guard),
            held_out=Score(
                taught.labels,
                np.concatenate([taught.truth, guard.truth]),
                np.concatenate([taught.probabilities, guard.probabilities]),
            ),
            types=self.types,
        )

    def _operating_point(self, fit: Fit) -> tuple[float, float]:
        """Return the factor of the temperature, and the threshold.

        They may become less strict only where there are enough cells to show that sure cells stay right as
        often as the parent states.
        """
        manifest = self._manifest
        warmth = best_temperature(fit.taught, self._cells.allowed)
        if len(self._cells) < ENOUGH:
            warmth = max(1.0, warmth)
        score, _ = self._scores(np.concatenate([fit.taught, fit.guard]), warmth)
        threshold = threshold_for(score, manifest.mature, stated_accuracy(manifest)) or STRICTEST
        mature = np.isin(np.array(score.labels)[score.truth], list(manifest.mature))
        _, sure = score.where(mature).accuracy_of_sure(threshold)
        if sure < ENOUGH:
            threshold = max(threshold, manifest.threshold)
        return warmth, threshold

    def _refused(self, reason: str, before: Score, guard: Score, fit: Fit | None = None) -> Taught:
        manifest = self._manifest
        after = self._scores(np.concatenate([fit.taught, fit.guard]))[0] if fit else before
        figures = self._figures(after, guard, manifest.threshold, fit, guard)
        return Taught(self._head, manifest.temperature, manifest.threshold, figures, reason)

    def _figures(
        self, after: Score, guard: Score, threshold: float, fit: Fit | None, guard_held_out: Score
    ) -> dict[str, Any]:
        before, guard_before = self._scores(self._prior)
        own = self._manifest.threshold
        return {
            "cells": len(self._cells),
            "slides": self._cells.slides,
            "cross_validated_over": "slides" if self._cells.slides > 1 else "cells",
            "pull": fit.pull if fit else None,
            "guard_weight": fit.guard_weight if fit else None,
            "types": list(self.types),
            "corrected_cells": {
                "before": before.as_json(own),
                "after": after.as_json(threshold),
                **compared(before, after),
            },
            "guard_cells": {
                "before": guard_before.as_json(own),
                "after": guard.as_json(threshold),
                "cross_validated": guard_held_out.as_json(threshold),
            },
        }


def balanced(labels: NDArray[np.int64]) -> Floats:
    """Return weights (N,) of mean 1, smaller for cells of frequent labels.

    By the inverse square root of the label's frequency: between one weight per cell and one per label.
    """
    weights = 1 / np.sqrt(np.bincount(labels)[labels])
    result: Floats = (weights / weights.mean()).astype(np.float32)
    return result


def folds_of(groups: NDArray[np.int64], labels: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the fold (N,) of each cell, by groups that are not split.

    Groups are dealt out in the order of their first label, at random within it, so that each fold has cells
    of each label.

    Args:
        groups: (N,) numbers of slides, patients or cells.
        labels: (N,) labels.
    """
    names, first = np.unique(groups, return_index=True)
    order = np.lexsort((np.random.default_rng(SEED).permutation(len(names)), labels[first]))
    fold = {int(names[i]): place % FOLDS for place, i in enumerate(order.tolist())}
    return np.array([fold[group] for group in groups.tolist()])
