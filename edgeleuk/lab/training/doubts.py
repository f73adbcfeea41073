"""Measurements on cells that are not recognised.

Publishing measures which types the reader leaves possible, and how blast-like the cells of healthy slides
are.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgeleuk.differential.healthy import adult_proportions, likeness_of_healthy
from edgeleuk.differential.rules import Reference, Rules
from edgeleuk.lab.evaluation.datasets import CellSample
from edgeleuk.lab.training.evidence import KEPT_ASIDE, Evidence
from edgeleuk.lab.training.recipe import Recipe
from edgeleuk.models.manifest import POSSIBLE_FROM
from edgeleuk.networks.reader import Reader


def measure_doubts(
    recipe: Recipe, reader: Reader, evidence: Evidence, rules: Rules, reference: Reference
) -> dict[str, Any]:
    """Measure "possible" and "healthy" of a reader's manifest.

    Args:
        recipe: Recipe of the reader.
        reader: The reader as it is published.
        evidence: Held-out cells and their logits.
        rules: Rules whose groups of types are measured too.
        reference: Reference values of a healthy adult.
    """
    types = evidence.printed(reader.manifest.temperature)
    laboratories = {*recipe["publish"].get("healthy", recipe["data"]["sources"])}
    own = np.array([each.source in laboratories for each in evidence.samples], bool)
    home = own & ~evidence.foreign

    def part(chosen: NDArray[np.bool_], where: str) -> dict[str, Any]:
        samples = [each for each, one in zip(evidence.samples, chosen, strict=True) if one]
        return healthy(reader, samples, types[chosen], reference, where)

    parts = [part(home, "kept aside of its training")]
    if (own & evidence.foreign).any():
        parts.append(part(own, "also read by networks that never saw the laboratory"))
    return {"possible": possible(reader, evidence.home, rules), "healthy": parts}


def possible(reader: Reader, evidence: Evidence, rules: Rules) -> dict[str, Any]:
    """Count held-out cells neither recognised nor left possible.

    The counts are by type, and by group of the rules.

    Args:
        reader: The reader as it is published.
        evidence: Held-out cells and their logits.
        rules: Rules with the groups of types.
    """
    types, labels = evidence.printed(reader.manifest.temperature), np.array(reader.labels)
    truth = labels[evidence.truth]
    best, sure = labels[types.argmax(axis=1)], types.max(axis=1) >= reader.threshold

    def missed(own: Sequence[str]) -> dict[str, int]:
        there = np.isin(truth, own)
        may_be = types[:, np.isin(labels, own)].sum(axis=1) >= POSSIBLE_FROM
        found = np.where(sure, np.isin(best, own), may_be)
        return {"missed": int((there & ~found).sum()), "cells": int(there.sum())}

    groups = {
        group.key: [label for label in group.labels if label in reader.labels] for group in rules.groups
    }
    return {
        "from": POSSIBLE_FROM,
        "of": KEPT_ASIDE,
        "missed": {label: missed([label]) for label in reader.labels},
        "missed_groups": {key: {**missed(own), "labels": own} for key, own in groups.items() if own},
    }


def healthy(
    reader: Reader,
    samples: Sequence[CellSample],
    types: NDArray[np.float32],
    reference: Reference,
    where: str,
) -> dict[str, Any]:
    """Estimate the blast-likeness of a healthy adult's slide.

    Args:
        reader: The reader as it is published.
        samples: N held-out cells.
        types: (N, K) calibrated probabilities of the cells.
        reference: Reference values of a healthy adult.
        where: Origin of the cells, for the description in the manifest.
    """
    blast_like = types[:, np.isin(reader.labels, reader.manifest.blast_like)].sum(axis=1)
    label = np.array([each.label for each in samples])
    source = np.array([each.source for each in samples])
    laboratories = ", ".join(sorted({each.source for each in samples if each.label in reader.mature}))
    unsure = types.max(axis=1) < reader.threshold
    proportions = adult_proportions(reference, reader.mature)
    return {
        "of": f"mature cells of {laboratories} in a healthy adult's proportions, {where}",
        **likeness_of_healthy(blast_like, unsure, label, source, proportions),
    }
