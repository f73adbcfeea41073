"""A laboratory's own head from cells that a person labelled.

The types of the head are fitted again, pulled towards the head that they come from, on the labelled cells and
with a small weight on the guard cells. How strong the pull is, whether the result is better and how sure it
is are decided by cross-validation over slides, or over cells where there is one slide.

Heads are compared, not readers: both take the same features, of labelled cells in the turns of a taught reader, and of
guard cells in those of the published one. What more turns gain is in no figure.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgeleuk.adaptation.cells import Cells
from edgeleuk.adaptation.fitting import Design, Fitter, Floats, losses
from edgeleuk.adaptation.scoring import (
    SURE,
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
GUARD_WEIGHT = 0.2
"""Weight of a guard cell beside 1 of a labelled cell."""
MORE_WEIGHT = 4.0
"""Factor of the weight of guard cells that a head would lose."""
ROUNDS = 6
"""Number of times that the weight of lost guard cells is raised."""
ERRORS = 1.0
"""Standard errors by which the likelihood of the labelled cells must rise.

Of a hundred cells a few are read otherwise, which alone tells little. How probable the labels are tells more,
of every cell; so many right as before is a condition beside it.
"""
MOST_LOST = 0.05
"""Largest loss of mean recall on guard cells by heads that were fitted without them.

The guard cells take part in a fit, so that no loss on them says little of other known cells.
"""
FOLDS = 5
SEED = 1
STRICTEST = 0.99
"""Threshold where no lower one is right often enough."""


@dataclass(frozen=True, slots=True)
class Fit:
    """Way to fit a head, with held-out logits.

    The logits show what such heads read without having learnt it.
    """

    pull: float
    weights: Floats
    """(N + G,) weights of the cells."""
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
        refusals = []
        weights = np.full(len(self._rows), GUARD_WEIGHT, np.float32)
        weights[self._is_taught] = self._balance
        for fit in sorted(
            self._cross_validated(PULLS, weights), key=lambda each: self._losses(each.taught).sum()
        ):
            if reason := self._doubt(fit, before, guard_before):
                refusals.append((reason, fit))
                continue
            head, kept = self._keeping_guard(fit, guard_before)
            if reason := self._below_guard(head, guard_before) or self._doubt(kept, before, guard_before):
                refusals.append((reason, kept))
            else:
                return self._adopted(head, kept)
        reason, fit = refusals[0]
        return self._refused(reason, before, guard_before, fit)

    # Fitting

    def _cross_validated(self, pulls: Sequence[float], weights: Floats) -> Iterator[Fit]:
        """Yield a fit per pull, the strongest first."""
        folds = np.concatenate(
            [
                folds_of(self._cells.groups, self._cells.labels),
                folds_of(self._guard.groups, self._guard.labels),
            ]
        )
        many = len(self._cells)
        logits = {pull: self._prior.copy() for pull in pulls}
        for fold in np.unique(folds[self._is_taught]).tolist():
            out = folds == fold
            fitter = self._fitter(~out, weights)
            across = self._products[np.ix_(out, ~out)]
            for pull in pulls:
                logits[pull][out] += across @ fitter.coefficients(pull)
        for pull, each in logits.items():
            yield Fit(pull, weights, each[:many], each[many:])

    def _keeping_guard(self, fit: Fit, before: Score) -> tuple[Head, Fit]:
        """Return a head no worse on guard cells, and its fit.

        The weight of guard cells that would be lost is raised until none is, or ROUNDS times.
        """
        weights, head = fit.weights.copy(), self._fitted(fit)
        for _ in range(ROUNDS):
            if not self._below_guard(head, before):
                break
            lost = before.right & ~self._on_guard(head).right
            weights[len(self._cells) :][lost] *= MORE_WEIGHT
            head = self._fitted(replace(fit, weights=weights))
        if np.array_equal(weights, fit.weights):
            return head, fit
        return head, next(self._cross_validated([fit.pull], weights))

    def _fitter(self, chosen: NDArray[np.bool_], weights: Floats) -> Fitter:
        products = self._products[np.ix_(chosen, chosen)]
        return Fitter(products, self._prior[chosen], self._allowed[chosen], weights[chosen], self._free)

    def _fitted(self, fit: Fit) -> Head:
        """Return the head fitted on all cells, as 16-bit numbers hold it."""
        fitter = self._fitter(np.ones(len(self._rows), bool), fit.weights)
        coefficients = fitter.coefficients(fit.pull)
        change = self._rows.T.astype(np.float64) @ coefficients * self._manifest.temperature
        return self._design.added(change, self._head)

    # Judging

    def _scores(self, logits: Floats, temperature: float = 1.0) -> tuple[Score, Score]:
        """Return the scores of logits on labelled and guard cells."""
        probabilities = self._printing.probabilities(logits / np.float32(temperature))
        truth = np.concatenate([self._cells.labels, self._guard.labels])
        both = Score(self._manifest.labels, truth, probabilities)
        return both.where(self._is_taught), both.where(~self._is_taught)

    def _losses(self, logits: Floats) -> NDArray[np.float64]:
        """Return the weighted losses (N,) of the labelled cells."""
        return losses(logits, self._cells.allowed) * self._balance

    def _doubt(self, fit: Fit, before: Score, guard_before: Score) -> str:
        """Return why a fit is no better; empty if it is.

        The fit is judged by cells that it did not learn.
        """
        after, guard = self._scores(np.concatenate([fit.taught, fit.guard]))
        if before.right.all():
            return "all labelled cells are read right already"
        less = self._losses(self._prior[self._is_taught]) - self._losses(fit.taught)
        if less.sum() <= ERRORS * less.std() * len(less) ** 0.5:
            return "heads that were taught without a part of the cells do not read that part surely better"
        counts = compared(before, after)
        if counts["gained"] < counts["lost"] or after.mean_recall < before.mean_recall:
            return (
                f"in cross-validation it reads {counts['gained']} cells right that were wrong before, and"
                f" {counts['lost']} wrong that were right"
            )
        if guard.mean_recall < guard_before.mean_recall - MOST_LOST:
            return (
                f"heads that were taught without a part of the guard cells read it worse: mean recall {guard.mean_recall:.3f},"
                f" before {guard_before.mean_recall:.3f}"
            )
        return ""

    def _below_guard(self, head: Head, before: Score) -> str:
        """Return why a head is worse on the guard cells.

        The text is empty if it is not worse. The parent's head took the same features.
        """
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

        They may become less strict only where there are enough cells to show that sure mature cells are right as
        often as the parent states, and all sure cells as often as its own.
        """
        manifest = self._manifest
        warmth = best_temperature(fit.taught, self._cells.allowed)
        if len(self._cells) < ENOUGH:
            warmth = max(1.0, warmth)
        score, _ = self._scores(np.concatenate([fit.taught, fit.guard]), warmth)
        threshold = threshold_for(score, manifest.mature, stated_accuracy(manifest)) or STRICTEST
        before, _ = self._scores(self._prior)
        right, sure = before.accuracy_of_sure(manifest.threshold)
        as_before = threshold_for(score, manifest.labels, right / sure if sure else SURE) or STRICTEST
        threshold = max(threshold, as_before)
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
            "types": list(self.types),
            "corrected_cells": {
                "before": before.as_json(own),
                "after": after.as_json(threshold),
                **compared(before, after),
                "log_loss": {
                    "before": float(self._losses(self._prior[self._is_taught]).mean()),
                    "after": float(self._losses(fit.taught).mean()) if fit else None,
                },
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
    """Return the fold (N,) of each cell.

    Groups are not split. They are dealt out in the order of their first label, at random within it, so that
    each fold has cells of each label.

    Args:
        groups: (N,) numbers of slides, patients or cells.
        labels: (N,) labels.
    """
    names, first = np.unique(groups, return_index=True)
    order = np.lexsort((np.random.default_rng(SEED).permutation(len(names)), labels[first]))
    fold = {int(names[i]): place % FOLDS for place, i in enumerate(order.tolist())}
    return np.array([fold[group] for group in groups.tolist()])
