"""Adaptation of a reader to an unlabelled microscope.

A new camera, lamp or stain shifts and stretches the features of all cells alike. The shift is estimated within
the mature types that the reader is sure of, with the same weight for each, so that a slide with many
lymphocytes is no shift; it is compared with the guard cells, and taken out of the head as an affine map of its features
(after Li, Wang, Shi, Hou and Liu, Adaptive batch normalization for practical domain adaptation, Pattern
Recognition 2018;80:109-117, who do so inside the network).

Guard cells that are moved to the new microscope by the inverse map are read exactly as before: error rates on
known cells stay those of the parent.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgeleuk.adaptation.cells import Cells
from edgeleuk.adaptation.fitting import Floats
from edgeleuk.adaptation.scoring import THRESHOLDS, Printing, stated_accuracy
from edgeleuk.models.heads import Head
from edgeleuk.models.manifest import ReaderManifest
from edgeleuk.networks.reader import Reader

LEAST_SURE = 5
"""Minimum sure cells of a type on either side.

A shift is estimated by such types.
"""
LEAST_TYPES = 2
"""Minimum number of such mature types.

One alone would be taken for the shift itself.
"""
LEAST_MATURE = 2 / 3
"""Minimum share of the cells whose likeliest type is a mature one.

What a patient has would else be taken for the shift: a slide of blasts, of which some are surely read as
lymphocytes, is no other microscope. Cells of a laboratory of blasts alone were read worse after that (mean
recall .51 before, .40 after).
"""
STRENGTHS = (1.0, 0.75, 0.5, 0.25)
"""Shares of the shift that are tried."""
STRETCHES = (0.0, 0.5)
"""Shares of the stretch that are tried, as powers."""
MOST_STRETCH = 1.5
"""Largest ratio of spreads that is undone."""
SHRINKING = 10.0
"""Cells at which a type's own mean counts half."""
ROUNDS = 2
GAIN = 0.005
"""Minimum rise of agreement between views, and of sure cells."""
KEPT = 0.98
"""Minimum agreement with the parent on cells that both call sure."""
STRICTEST = 0.99
GAINS = ((1.1, 1.0, 0.92), (0.92, 1.0, 1.08))
"""Factors of optical density by channel of two slightly other stains."""


@dataclass(frozen=True, slots=True)
class Views:
    """Features of N cells in several views."""

    plain: Floats
    """(N, F) as they are."""
    others: tuple[Floats, ...]
    """(N, F) each: turned by a quarter, and in slightly other stains."""

    @classmethod
    def of(cls, reader: Reader, crops: NDArray[np.uint8]) -> Views:
        """Read the features of crops (N, size, size, 3)."""
        stained = (reader.features(_restained(crops, gains)) for gains in GAINS)
        return cls(reader.features(crops), (reader.features(crops, turn=1), *stained))


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
    confidence: Floats
    """(N,) probabilities of the labels."""
    stable: NDArray[np.bool_]
    """(N,) whether all views have one label."""


@dataclass(frozen=True, slots=True)
class Adapted:
    """Result of an adaptation."""

    head: Head
    threshold: float
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
    if reason := of_patients(manifest, before):
        return Adapted(head, manifest.threshold, _figures(before, before, manifest.threshold), reason)
    tried = []
    for candidate in _candidates(manifest, head, guard, views.plain):
        after = judged(manifest, candidate, views)
        tried.append((_doubt(before, after), after.agreement + after.sure, candidate, after))
    if not tried:
        reason = (
            f"fewer than {LEAST_TYPES} mature types have {LEAST_SURE} cells that the model is sure of, so that nothing tells the"
            " microscope from the patients. Add fields of healthy slides"
        )
        return Adapted(head, manifest.threshold, _figures(before, before, manifest.threshold), reason)
    doubt, _, best, after = max(tried, key=lambda each: (not each[0], each[1]))
    if doubt:
        return Adapted(head, manifest.threshold, _figures(before, after, manifest.threshold), doubt)
    threshold = _threshold(manifest, after)
    return Adapted(best, threshold, _figures(before, after, threshold))


def of_patients(manifest: ReaderManifest, judgement: Judgement) -> str:
    """Return why cells tell no microscope; empty if they do.

    Too few of them are read as mature types.
    """
    mature = float(np.isin(np.array(manifest.labels)[judgement.read], list(manifest.mature)).mean())
    if mature >= LEAST_MATURE:
        return ""
    return (
        f"{mature:.0%} of the cells are read as mature types, {LEAST_MATURE:.0%} are needed: what the patients have would"
        " be taken for the microscope. Take fields of healthy slides"
    )


def compared(
    manifest: ReaderManifest, before: Judgement, after: Judgement
) -> tuple[str, float, dict[str, Any]]:
    """Compare what a reader and its parent say of the same cells.

    Args:
        manifest: Parent reader.
        before: What it says.
        after: What the other one says.

    Returns:
        Why the other is no better, empty if it is; its threshold; the figures of both.
    """
    doubt = _doubt(before, after)
    threshold = manifest.threshold if doubt else _threshold(manifest, after)
    return doubt, threshold, _figures(before, after, threshold)


def judged(manifest: ReaderManifest, head: Head, views: Views) -> Judgement:
    """Return what a head says of unlabelled cells."""
    printing, types = Printing.of(manifest), len(manifest.types)

    def probabilities(features: Floats) -> Floats:
        return printing.probabilities(head.logits(features)[:, :types] / np.float32(manifest.temperature))

    plain = probabilities(views.plain)
    read, confidence = plain.argmax(axis=1), plain.max(axis=1)
    same = np.stack([probabilities(each).argmax(axis=1) == read for each in views.others])
    stable: NDArray[np.bool_] = np.count_nonzero(same, axis=0) == len(same)
    is_sure = confidence >= np.float32(manifest.threshold)
    return Judgement(float(same.mean()), float((is_sure & stable).mean()), read, is_sure, confidence, stable)


def _candidates(manifest: ReaderManifest, head: Head, guard: Cells, features: Floats) -> Iterator[Head]:
    for stretch in STRETCHES:
        for strength in STRENGTHS:
            made = head
            for _ in range(ROUNDS):
                moved = _map(manifest, made, guard, features, strength, stretch)
                if moved is None:
                    return
                made = _folded(head, *moved)
            yield made


def _map(
    manifest: ReaderManifest, head: Head, guard: Cells, features: Floats, strength: float, stretch: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]] | None:
    """Return factors and offsets that match features to known microscopes.

    Both have the shape (F,) and take features to those of known microscopes. None where too few mature types
    are sure.
    """
    judgement = judged(manifest, head, Views(features, (features,)))
    shifts, weights, here, there = [], [], [], []
    for label in np.unique(judgement.read[judgement.is_sure]).tolist():
        if manifest.labels[label] not in manifest.mature:
            continue
        own = features[judgement.is_sure & (judgement.read == label)].astype(np.float64)
        known = guard.features[guard.labels == label].astype(np.float64)
        if min(len(own), len(known)) >= LEAST_SURE:
            shifts.append(own.mean(axis=0) - known.mean(axis=0))
            weights.append(len(own) / (len(own) + SHRINKING))
            here.append(own.var(axis=0))
            there.append(known.var(axis=0))
    if len(shifts) < LEAST_TYPES:
        return None
    shift = strength * np.average(shifts, axis=0, weights=weights)
    ratio = np.sqrt((np.mean(there, axis=0) + 1e-3) / (np.mean(here, axis=0) + 1e-3))
    factor = ratio.clip(1 / MOST_STRETCH, MOST_STRETCH) ** stretch
    middle = guard.features.mean(axis=0)
    return factor, middle - factor * (middle + shift)


def _folded(head: Head, factor: NDArray[np.float64], offset: NDArray[np.float64]) -> Head:
    """Return a head that includes a factor and an offset.

    It reads features x as `head` reads `factor * x + offset`. Its numbers have 16 bits.
    """
    weight, bias = factor[:, None] * head.weight, head.bias + offset @ head.weight
    return Head(*(each.astype(np.float16).astype(np.float64) for each in (weight, bias)))


def _doubt(before: Judgement, after: Judgement) -> str:
    """Return why an adapted head is no better; empty if it is."""
    both = before.is_sure & after.is_sure
    kept = float((before.read == after.read)[both].mean()) if both.any() else 0.0
    if kept < KEPT:
        return f"it contradicts the model on {1 - kept:.0%} of the cells that both are sure of"
    if after.agreement < before.agreement + GAIN or after.sure < before.sure + GAIN:
        return (
            f"turned and stained otherwise, {after.agreement:.1%} of the views of a cell agree (before {before.agreement:.1%}),"
            f" and {after.sure:.1%} of the cells are sure in all views (before {before.sure:.1%}); both must rise"
        )
    return ""


def _threshold(manifest: ReaderManifest, judgement: Judgement) -> float:
    """Return the smallest threshold at which views of sure cells agree.

    It is not below the parent's. The views must agree as often as the parent says that a sure cell is right:
    without labels nothing else tells.
    """
    stated = stated_accuracy(manifest)
    for threshold in THRESHOLDS[manifest.threshold <= THRESHOLDS].tolist():
        sure = judgement.confidence >= threshold
        if sure.any() and judgement.stable[sure].mean() >= stated:
            return float(threshold)
    return max(STRICTEST, manifest.threshold)


def _figures(before: Judgement, after: Judgement, threshold: float) -> dict[str, Any]:
    both = before.is_sure & after.is_sure
    same = int((before.read == after.read)[both].sum())
    return {
        "cells": len(before.read),
        "agreement_of_views": {"before": before.agreement, "after": after.agreement},
        "sure_in_all_views": {"before": before.sure, "after": after.sure},
        "same_where_both_are_sure": {"cells": int(both.sum()), "same": same},
        "threshold": threshold,
    }


def _restained(crops: NDArray[np.uint8], gains: Sequence[float]) -> NDArray[np.uint8]:
    """Return crops whose optical density is scaled by channel.

    The density is relative to each crop's own white.
    """
    white = np.percentile(crops, 95, axis=(1, 2), keepdims=True).clip(1).astype(np.float32)
    light = (crops.clip(1) / white) ** np.array(gains, np.float32)
    result: NDArray[np.uint8] = (light * white).round().clip(0, 255).astype(np.uint8)
    return result
