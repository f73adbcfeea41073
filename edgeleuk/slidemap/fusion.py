"""Fusion of several views of one cell."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import numpy as np

from edgeleuk.models.manifest import ReaderManifest
from edgeleuk.types import UNCLASSIFIED, AttributeReading, Reading

LEAST_PROBABILITY = 1e-6
"""Minimum probability of a type in one view.

It stands for zero: one view alone cannot rule a type out for good.
"""


def fuse(readings: Sequence[Reading], weights: Sequence[float], manifest: ReaderManifest) -> Reading:
    """Fuse several readings into one.

    Log-probabilities are averaged, not added: two views of one cell show the same stain, the same neighbours
    and the same bias of the reader, so that a second one is hardly new evidence and must not make the reader
    surer than a single good picture would. The average removes the chance effects of focus, noise and crop.

    Args:
        readings: Readings of at least one view.
        weights: Quality of each view, at least one above 0.
        manifest: Labels and thresholds of the reader.
    """
    if len(readings) == 1:
        return readings[0]
    shares = np.asarray(weights, np.float64) / np.sum(weights)
    labels = manifest.labels
    each = np.array([[reading.probabilities[label] for label in labels] for reading in readings])
    mean = np.exp(shares @ np.log(np.maximum(each, LEAST_PROBABILITY)))
    mean /= mean.sum()
    best = int(mean.argmax())
    label = labels[best] if mean[best] >= manifest.threshold else UNCLASSIFIED
    return Reading(
        label=label,
        probability=float(mean[best]),
        probabilities=dict(zip(labels, mean.tolist(), strict=True)),
        attributes=_attributes(label, readings, shares.tolist(), manifest),
        familiarity=_familiarity(readings, shares.tolist()),
    )


def _familiarity(readings: Sequence[Reading], shares: Sequence[float]) -> float | None:
    """Return the mean familiarity by the weights of the views; None if a view has none."""
    each = [reading.familiarity for reading in readings]
    known = [value for value in each if value is not None]
    return (
        sum(share * value for share, value in zip(shares, known, strict=True))
        if len(known) == len(each)
        else None
    )


def _attributes(
    label: str, readings: Sequence[Reading], shares: Sequence[float], manifest: ReaderManifest
) -> dict[str, AttributeReading]:
    """Fuse attributes by the weights of their views.

    A value's share counts the views that lack it as 0.
    """
    votes: defaultdict[str, defaultdict[str, float]] = defaultdict(lambda: defaultdict(float))
    present: defaultdict[str, float] = defaultdict(float)
    for reading, share in zip(readings, shares, strict=True):
        for name, attribute in reading.attributes.items():
            votes[name][attribute.value] += share * attribute.probability
            present[name] += share
    own, second_levels = manifest.subtypes.get(label), frozenset(manifest.subtypes.values())
    assessed = label in manifest.attributes_assessed_on
    fused = {}
    for name in manifest.attributes:
        if name not in votes or (name in second_levels and name != own):
            continue
        value = max(votes[name], key=lambda each: votes[name][each])
        probability = votes[name][value] / present[name]
        sure = (assessed or name == own) and probability >= manifest.attribute_thresholds[name]
        fused[name] = AttributeReading(value, probability, sure)
    return fused
