"""Adaptation of a reader to an unlabelled microscope.

A reader that does not know a microscope, stain or camera reads some cells of a type right and similar ones wrong.
The cells are therefore labelled by their likeness (`propagating`), from the mean of their features as they are,
turned and sharpened, and the head is fitted again to these labels, pulled towards the head that it comes from,
with a small weight on the guard cells, as `teaching` does with a person's labels. First each cell takes the label
of the nearest mean, unless that changes too many; then it takes over what the nearest cells are read as.

The labels come from several views, and the new head reads one, as fast as before. What was measured, and what
did not help, is in METHOD.md, "Learning a laboratory".
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from edgeleuk.adaptation.cells import Cells
from edgeleuk.adaptation.fitting import Design, Fitter, Floats
from edgeleuk.adaptation.propagating import by_centre, propagated
from edgeleuk.adaptation.scoring import Printing, Score
from edgeleuk.adaptation.teaching import GUARD_WEIGHT, balanced
from edgeleuk.models.heads import Head
from edgeleuk.models.manifest import ReaderManifest
from edgeleuk.networks.reader import Reader

PULL = 0.3
"""Penalty on the difference from the parent's head, as in `fitting`.

With 1.0 simulated slides gained .034 of mean recall on average, with 0.3 and 0.1 .043; with 0.1 the worst of
them lost more.
"""
MOST_RECENTRED = 0.2
"""Largest share of cells that the nearest mean may relabel.

Simulated slides of which it changed 14 % or less gained as a rule; one of which it changed 25 % lost .12.
"""
CENTRE_CONFIDENCE = 0.9
"""Weight of a label by the nearest mean.

Other labels weigh as much as they are probable.
"""
SHARPENING = 1.5
SHARPENED_UM = 0.3
"""Strength of the sharpened view, and standard deviation of its blur, um."""
WARMTHS = np.geomspace(1, 5, 41)
"""Factors of the temperature that are tried.

A head that learnt its own labels calls more cells sure, right or wrong.
"""
GAIN = 0.005
"""Minimum rise of agreement between views."""
KEPT = 0.98
"""Minimum agreement with the parent on cells that both call sure."""
MOST_CHANGED = 0.5
"""Largest share of cells that may be read otherwise.

A reader was wrong about 29 to 49 % of the cells of laboratories that it did not know.
"""
BLASTS = 0.05
BLASTS_KEPT = 0.9
"""Mean probability of blast-like types that is protected, and the share kept.

What a patient has must not be taken for the microscope: of a slide of blasts no blast may become a mature cell.
"""
MOST_MATURED = 0.02
"""Largest rise of the mean probability of mature types.

It holds where there are blast-like cells.
"""
MOST_LOST = 0.01
"""Largest loss of mean recall on the guard cells."""


@dataclass(frozen=True, slots=True)
class Views:
    """Features of N cells in several views."""

    plain: Floats
    """(N, F) as they are."""
    turned: Floats
    """(N, F) turned by a quarter."""
    sharpened: Floats
    """(N, F) sharpened."""

    @classmethod
    def of(cls, reader: Reader, crops: NDArray[np.uint8]) -> Views:
        """Read the features of crops (N, size, size, 3)."""
        sharp = _sharpened(crops, SHARPENED_UM / reader.manifest.um_per_px)
        return cls(reader.features(crops), reader.features(crops, turn=1), reader.features(sharp))

    @property
    def mean(self) -> Floats:
        """Mean features (N, F), half of them of the sharpened view."""
        result: Floats = ((self.plain + self.turned) / 4 + self.sharpened / 2).astype(np.float32)
        return result


@dataclass(frozen=True, slots=True)
class Judgement:
    """What a head says of unlabelled cells."""

    agreement: float
    """Share of views that have the label of the plain one."""
    sure: float
    """Share of cells recognised with one label in all views."""
    read: NDArray[np.int64]
    """(N,) labels."""
    is_sure: NDArray[np.bool_]
    """(N,) whether a cell is recognised."""
    blast_like: float
    mature: float
    """Mean probabilities of the blast-like and of the mature types."""


@dataclass(frozen=True, slots=True)
class Adapted:
    """Result of an adaptation."""

    head: Head
    temperature: float
    """Temperature at which no more cells are recognised than by the parent."""
    figures: Mapping[str, Any]
    refused: str = ""
    """Reason against adoption, a clause; empty for none."""


def adapted(manifest: ReaderManifest, head: Head, guard: Cells, views: Views) -> Adapted:
    """Adapt a head to unlabelled cells.

    Args:
        manifest: Parent reader.
        head: Its head.
        guard: Guard cells.
        views: Features of the unlabelled cells.
    """
    before = judged(manifest, head, views)
    made = _learnt(manifest, head, guard, views)
    warm, after = _calibrated(manifest, made, views, before)
    known_before, known_after = (guard_score(manifest, each, guard) for each in (head, made))
    doubt, figures = compared(before, after, warm.temperature)
    doubt = doubt or loss_on_guard(manifest, known_before, known_after)
    figures["guard_cells"] = {"before": known_before.mean_recall, "after": known_after.mean_recall}
    if doubt:
        return Adapted(head, manifest.temperature, figures, doubt)
    return Adapted(made, warm.temperature, figures)


def compared(before: Judgement, after: Judgement, temperature: float) -> tuple[str, dict[str, Any]]:
    """Compare what a reader and its parent say of the same cells.

    Args:
        before: What the parent says.
        after: What the other one says.
        temperature: That of the other one.

    Returns:
        Why the other is no better, empty if it is; the figures of both.
    """
    return _doubt(before, after), _figures(before, after, temperature)


def judged(manifest: ReaderManifest, head: Head, views: Views) -> Judgement:
    """Return what a head says of unlabelled cells."""
    plain = _shares(manifest, head, views.plain)
    read = plain.argmax(axis=1)
    same = np.stack(
        [_shares(manifest, head, each).argmax(axis=1) == read for each in (views.turned, views.sharpened)]
    )
    stable: NDArray[np.bool_] = np.count_nonzero(same, axis=0) == len(same)
    is_sure = plain.max(axis=1) >= np.float32(manifest.threshold)
    blast_like, mature = (
        float(plain[:, chosen].sum(axis=1).mean()) for chosen in (_blast_like(manifest), _mature(manifest))
    )
    return Judgement(float(same.mean()), float((is_sure & stable).mean()), read, is_sure, blast_like, mature)


def _learnt(manifest: ReaderManifest, head: Head, guard: Cells, views: Views) -> Head:
    """Return the head fitted to labels by likeness.

    A cell that the parent reads as blast-like stays what it is read as. Among many of these, no cell becomes a
    mature one.
    """
    features = views.mean
    shares = _shares(manifest, head, features)
    read, blast_like, mature = shares.argmax(axis=1), _blast_like(manifest), _mature(manifest)
    many_blasts = shares[:, blast_like].sum(axis=1).mean() >= BLASTS

    def fitted(labels: NDArray[np.int64], confidence: Floats) -> Head:
        kept = blast_like[read]
        if many_blasts:
            kept |= mature[labels] & ~mature[read]
        return _fitted(manifest, head, guard, views.plain, (np.where(kept, read, labels), confidence))

    made = head
    centred = by_centre(shares, features)
    if (centred != read).mean() <= MOST_RECENTRED:
        made = fitted(centred, np.full(len(centred), CENTRE_CONFIDENCE, np.float32))
    else:
        spread = propagated(shares, features)
        made = fitted(spread.argmax(axis=1), spread.max(axis=1))
    spread = propagated(_shares(manifest, made, features), features)
    return fitted(spread.argmax(axis=1), spread.max(axis=1))


def _fitted(
    manifest: ReaderManifest,
    head: Head,
    guard: Cells,
    features: Floats,
    labelled: tuple[NDArray[np.int64], Floats],
) -> Head:
    """Return the head fitted to labels, as 16-bit numbers hold it.

    Args:
        manifest: Parent reader.
        head: Its head.
        guard: Guard cells.
        features: (N, F) features of the unlabelled cells.
        labelled: (N,) their labels, and (N,) how probable these are.
    """
    labels, confidence = labelled
    printing, types = Printing.of(manifest), len(manifest.types)
    both = np.concatenate([features, guard.features])
    design = Design.of(guard.features)
    rows = design.apply(both)
    prior = (head.logits(both)[:, :types] / manifest.temperature).astype(np.float32)
    allowed = np.concatenate([printing.matrix.T[labels].astype(bool), guard.allowed])
    own = balanced(labels) * confidence
    weights = np.concatenate([own / own.mean(), np.full(len(guard), GUARD_WEIGHT)]).astype(np.float32)
    fitter = Fitter(rows @ rows.T, prior, allowed, weights, np.ones(types, bool))
    change = rows.T.astype(np.float64) @ fitter.coefficients(PULL) * manifest.temperature
    return design.added(change, head)


def _shares(manifest: ReaderManifest, head: Head, features: Floats) -> Floats:
    """Return the probabilities (N, K) of the printed labels."""
    logits = head.logits(features)[:, : len(manifest.types)] / np.float32(manifest.temperature)
    return Printing.of(manifest).probabilities(logits)


def guard_score(manifest: ReaderManifest, head: Head, guard: Cells) -> Score:
    """Return the figures of a head on guard cells."""
    return Score(manifest.labels, guard.labels, _shares(manifest, head, guard.features))


def _blast_like(manifest: ReaderManifest) -> NDArray[np.bool_]:
    return np.isin(np.array(manifest.labels), list(manifest.blast_like))


def _mature(manifest: ReaderManifest) -> NDArray[np.bool_]:
    return np.isin(np.array(manifest.labels), list(manifest.mature))


def _doubt(before: Judgement, after: Judgement) -> str:
    """Return why an adapted head is no better; empty if it is."""
    both = before.is_sure & after.is_sure
    kept = float((before.read == after.read)[both].mean()) if both.any() else 0.0
    changed = float((before.read != after.read).mean())
    fewer = after.blast_like < BLASTS_KEPT * before.blast_like
    if before.blast_like >= BLASTS and (fewer or after.mature > before.mature + MOST_MATURED):
        return (
            f"blast-like types would go from {before.blast_like:.0%} of the cells to {after.blast_like:.0%}, and mature ones from"
            f" {before.mature:.0%} to {after.mature:.0%}: what the patients have would be taken for the microscope. Take fields"
            " of healthy slides"
        )
    if kept < KEPT:
        return f"it contradicts the model on {1 - kept:.0%} of the cells that both are sure of"
    if changed > MOST_CHANGED:
        return f"it would read {changed:.0%} of the cells otherwise. Label some cells instead"
    if after.agreement < before.agreement + GAIN:
        return f"turned and sharpened, {after.agreement:.1%} of the views of a cell agree (before {before.agreement:.1%}); more must"
    return ""


def loss_on_guard(manifest: ReaderManifest, before: Score, after: Score, most: float = MOST_LOST) -> str:
    """Return why a reader is worse on guard cells; empty if it is not.

    Args:
        manifest: Parent reader.
        before: Its figures.
        after: Those of the other one, perhaps on other cells. Labels without cells on either side are left out.
        most: Largest loss of mean recall, of all cells and of the blast-like ones.
    """
    both = np.intersect1d(before.truth, after.truth)
    blasts = np.intersect1d(both, np.flatnonzero(_blast_like(manifest)))
    for name, labels in (("", both), (" that are blast-like", blasts)):
        old, new = (each.where(np.isin(each.truth, labels)).mean_recall for each in (before, after))
        if new < old - most:
            return f"it reads the guard cells{name} worse: mean recall {new:.3f}, before {old:.3f}"
    return ""


def _calibrated(
    manifest: ReaderManifest, head: Head, views: Views, before: Judgement
) -> tuple[ReaderManifest, Judgement]:
    """Return a new temperature, and what the head says at it.

    No more cells are recognised than by the parent: without labels nothing tells that more may be.
    """
    for factor in WARMTHS.tolist():
        warm = replace(manifest, temperature=manifest.temperature * factor)
        after = judged(warm, head, views)
        if after.is_sure.sum() <= before.is_sure.sum():
            break
    return warm, after


def _figures(before: Judgement, after: Judgement, temperature: float) -> dict[str, Any]:
    both = before.is_sure & after.is_sure
    same = int((before.read == after.read)[both].sum())
    return {
        "cells": len(before.read),
        "read_otherwise": int((before.read != after.read).sum()),
        "agreement_of_views": {"before": before.agreement, "after": after.agreement},
        "sure_in_all_views": {"before": before.sure, "after": after.sure},
        "same_where_both_are_sure": {"cells": int(both.sum()), "same": same},
        "blast_like": {"before": before.blast_like, "after": after.blast_like},
        "temperature": temperature,
    }


def _sharpened(crops: NDArray[np.uint8], blur: float) -> NDArray[np.uint8]:
    """Return crops (N, size, size, 3) with an unsharp mask.

    `blur`: standard deviation of the mask, pixels.
    """
    levels = crops.astype(np.float32)
    soft = np.stack([cv2.GaussianBlur(each, (0, 0), blur) for each in levels])
    result: NDArray[np.uint8] = (levels + SHARPENING * (levels - soft)).round().clip(0, 255).astype(np.uint8)
    return result
