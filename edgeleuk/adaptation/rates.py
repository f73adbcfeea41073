"""Error rates of a head, as a manifest has them.

A parent's rates are of the parent's head. They are measured again, on cells that the new head did not learn
from: each is read by a head that was fitted without its slide or patient.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgeleuk.adaptation.scoring import Score
from edgeleuk.differential.healthy import adult_proportions, likeness_of_healthy
from edgeleuk.differential.rules import Reference
from edgeleuk.models.manifest import ReaderManifest
from edgeleuk.statistics.correction import Confusion


def measured(score: Score, threshold: float, manifest: ReaderManifest, of: str) -> dict[str, Any]:
    """Return the entries of a manifest that a new head changes.

    Args:
        score: Cells read by heads that were fitted without them.
        threshold: Minimum probability of a recognised cell.
        manifest: Parent reader, whose types and groups are measured.
        of: Description of the cells.
    """
    labels = np.array(score.labels)
    truth, read = labels[score.truth], labels[score.read]
    sure = score.probabilities.max(axis=1) >= threshold
    mature = sure & np.isin(truth, list(manifest.mature))
    raw = manifest.raw.get("possible", {})
    entries: dict[str, Any] = {
        "false_positive_rates": {
            name: _false_positives(rate.get("labels", (name,)), truth[mature], read[mature])
            | ({"labels": list(rate["labels"])} if rate.get("labels") else {})
            for name, rate in manifest.false_positive_rates.items()
        },
        "false_positives_of": f"accepted cells of the mature types, {of}",
        "confusion": Confusion.from_cells(of, score.labels, score.truth, score.read, sure).as_json(),
    }
    if raw:
        least = manifest.possible_from
        entries["possible"] = {
            "from": least,
            "of": of,
            "missed": {name: _missed(score, sure, [name], least) for name in raw.get("missed", {})},
            "missed_groups": {
                name: _missed(score, sure, group["labels"], least) | {"labels": list(group["labels"])}
                for name, group in raw.get("missed_groups", {}).items()
            },
        }
    return entries


def healthy(
    score: Score, threshold: float, manifest: ReaderManifest, taught: NDArray[np.bool_], reference: Reference
) -> list[dict[str, Any]]:
    """Return the entry "healthy" of a manifest.

    It is empty where it cannot be measured.

    Args:
        score: Cells read by heads that were fitted without them.
        threshold: Minimum probability of a recognised cell.
        manifest: Parent reader.
        taught: (N,) whether a cell was taught; the others are guard cells.
        reference: Reference values of a healthy adult.
    """
    labels = np.array(score.labels)
    proportions = adult_proportions(reference, manifest.mature)
    if not manifest.healthy or not {*proportions} & {*labels[score.truth].tolist()}:
        return []
    blast_like = score.probabilities[:, np.isin(labels, manifest.blast_like)].sum(axis=1)
    unsure = score.probabilities.max(axis=1) < threshold
    found = likeness_of_healthy(blast_like, unsure, labels[score.truth], taught, proportions)
    return [{"of": "mature cells taught and guard cells in a healthy adult's proportions", **found}]


def _false_positives(own: Sequence[str], truth: NDArray[np.str_], read: NDArray[np.str_]) -> dict[str, int]:
    others = ~np.isin(truth, list(own))
    return {"errors": int(np.isin(read[others], list(own)).sum()), "cells": int(others.sum())}


def _missed(score: Score, sure: NDArray[np.bool_], own: Sequence[str], least: float) -> dict[str, int]:
    """Count the missed cells of some labels.

    A missed cell was neither recognised as one of these labels nor left possible.
    """
    labels = np.array(score.labels)
    there = np.isin(labels[score.truth], list(own))
    may_be = score.probabilities[:, np.isin(labels, list(own))].sum(axis=1) >= least
    found = np.where(sure, np.isin(labels[score.read], list(own)), may_be)
    return {"missed": int((there & ~found).sum()), "cells": int(there.sum())}
