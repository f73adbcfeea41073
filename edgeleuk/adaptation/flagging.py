"""New kinds that a laboratory teaches as flags.

A flag is an attribute with the values no and yes: a parasite in a cell, a mitosis. It stands beside the type
of a cell and never changes it, so that a blast stays one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgeleuk.adaptation.cells import NOTHING, Cells
from edgeleuk.adaptation.fitting import Design, Fitter, Floats, softmax
from edgeleuk.adaptation.teaching import LEAST_CELLS, folds_of
from edgeleuk.models.heads import Head
from edgeleuk.statistics.intervals import clopper_pearson

PULL = 1.0
"""Penalty of a flag's weights, pulled towards none."""
FALSE_ALARMS = 0.01
"""Largest share of other cells that may be flagged."""
LEAST_FOUND = 0.5
"""Minimum share of a kind's cells that a flag must find."""
STRICTEST = 0.99


@dataclass(frozen=True, slots=True)
class Flag:
    """Output of a head that tells one new kind from all else."""

    kind: str
    weight: NDArray[np.float64]
    """(F, 2) weights of no and yes."""
    bias: NDArray[np.float64]
    """(2,) biases."""
    threshold: float
    figures: Mapping[str, Any]
    refused: str = ""
    """Why it is not adopted; empty if it is."""


def flags_of(cells: Cells, guard: Cells) -> Iterator[Flag]:
    """Yield a flag per new kind.

    Args:
        cells: All cells; those of new kinds have the label NOTHING.
        guard: Guard cells, of which none is of a new kind.
    """
    for kind in dict.fromkeys(np.array(cells.kinds)[cells.labels == NOTHING].tolist()):
        yield _flag(kind, cells, guard)


def with_flags(head: Head, flags: list[Flag]) -> Head:
    """Return a head with the outputs of flags at its end."""
    weight = np.concatenate([head.weight, *(flag.weight for flag in flags)], axis=1)
    bias = np.concatenate([head.bias, *(flag.bias for flag in flags)])
    return Head(*(each.astype(np.float16).astype(np.float64) for each in (weight, bias)))


def _flag(kind: str, cells: Cells, guard: Cells) -> Flag:
    features = np.concatenate([cells.features, guard.features])
    is_kind = np.zeros(len(features), bool)
    is_kind[: len(cells)] = [each == kind for each in cells.kinds]
    design = Design.of(features)
    rows = design.apply(features)
    products = rows @ rows.T
    folds = np.concatenate([folds_of(each.groups, each.labels + 1) for each in (cells, guard)])
    yes = np.zeros(len(features), np.float32)
    for fold in np.unique(folds[is_kind]).tolist():
        out = folds == fold
        if is_kind[~out].any():
            fitted = _fitted(products[np.ix_(~out, ~out)], is_kind[~out])
            logits = np.asarray(products[np.ix_(out, ~out)] @ fitted, np.float32)
            yes[out] = softmax(logits)[:, 1]
    weight, bias = design.undone(rows.T.astype(np.float64) @ _fitted(products, is_kind))
    threshold = max(0.5, float(np.quantile(yes[~is_kind], 1 - FALSE_ALARMS, method="higher")))
    found, alarms = (int((yes[chosen] > threshold).sum()) for chosen in (is_kind, ~is_kind))
    many, others = int(is_kind.sum()), int((~is_kind).sum())
    figures = {
        "cells": many,
        "found": found,
        "found_interval": list(clopper_pearson(found, many)),
        "others": others,
        "false_alarms": alarms,
        "false_alarms_interval": list(clopper_pearson(alarms, others)),
        "threshold": round(threshold, 4),
    }
    refused = ""
    if many < LEAST_CELLS:
        refused = f"{kind} has {many} cells, and a flag needs {LEAST_CELLS}"
    elif threshold > STRICTEST or found < LEAST_FOUND * many:
        refused = f"{kind} is found in {found} of {many} cells only"
    return Flag(kind, weight, bias, round(threshold, 4), figures, refused)


def _fitted(products: Floats, is_kind: NDArray[np.bool_]) -> Floats:
    """Return coefficients (N, 2); both sides have the same weight."""
    allowed = np.stack([~is_kind, is_kind], axis=1)
    weights = np.where(is_kind, 0.5 / is_kind.mean(), 0.5 / (~is_kind).mean()).astype(np.float32)
    prior = np.zeros((len(is_kind), 2), np.float32)
    return Fitter(products, prior, allowed, weights, np.ones(2, bool)).coefficients(PULL)
