"""How the known cells of a reader, and its errors where it knows none, are measured. Needs the extra `train`."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from standard import RULES

torch = pytest.importorskip("torch", reason="the extra `train` is not installed")

from edgeleuk.lab.evaluation.datasets import CellSample  # noqa: E402  # torch is looked for first
from edgeleuk.lab.training import familiarity  # noqa: E402
from edgeleuk.lab.training.evidence import Evidence  # noqa: E402
from edgeleuk.lab.training.labels import Labels  # noqa: E402
from edgeleuk.lab.training.recipe import load_recipe  # noqa: E402
from edgeleuk.models import registry  # noqa: E402
from edgeleuk.networks.reader import Reader  # noqa: E402


def test_quantiles_rise_from_the_least_to_the_largest() -> None:
    """Eight cells of a label in equal steps; a label with fewer takes those of all cells."""
    similarity = np.array([*np.linspace(0.2, 0.9, 8), 0.99], np.float32)
    read = np.array([0] * 8 + [1])
    rows = familiarity._quantiles(similarity, read, np.ones(9), 2)
    assert rows.shape == (2, familiarity.QUANTILES)
    assert (np.diff(rows, axis=1) >= 0).all()
    np.testing.assert_allclose(rows[:, 0], 0.2, atol=1e-6)
    np.testing.assert_allclose(rows[:, -1], [0.9, 0.99], atol=1e-6)
    np.testing.assert_allclose(rows[0, familiarity.QUANTILES // 2], 0.55, atol=1e-6)


def test_every_laboratory_weighs_alike_in_quantiles() -> None:
    """One cell of a small one, ten times as heavy, moves the median to itself."""
    similarity = np.array([0.1] * 8 + [0.5], np.float32)
    weights = np.array([0.1] * 8 + [10.0])
    row = familiarity._quantiles(similarity, np.zeros(9, int), weights, 1)[0]
    assert row[familiarity.QUANTILES // 2] == pytest.approx(0.5, abs=0.05)


def test_errors_elsewhere_are_of_cells_of_laboratories_left_out() -> None:
    """Of three sure cells of lmu two are right; what is no white cell, and cells kept aside, do not count."""
    reader = Reader(registry.load("100x").reader, threads=1)
    labels = Labels.of(load_recipe("reader-100x"))
    told = (
        ("lmu", "neutrophil", "neutrophil"),
        ("lmu", "myeloblast", "lymphocyte"),
        ("lmu", "monocyte", "monocyte"),
    )
    beside = (("lmu", "not_a_cell", "lymphocyte"), ("pbc", "neutrophil", "lymphocyte"))
    samples, logits = [], np.full((5, len(labels.types)), -9, np.float32)
    for row, (source, label, read) in enumerate((*told, *beside)):
        samples.append(CellSample(Path("x.jpg"), source, "train", "", label, 0.1))
        logits[row, labels.types.index(read)] = 9
    foreign = np.array([True, True, True, True, False])
    found = familiarity.unknown_laboratory(reader, Evidence(tuple(samples), logits, foreign, labels), RULES)
    assert (found["n"], found["recognised"], found["accuracy"]) == (3, 1.0, pytest.approx(2 / 3))
    confusion = found["confusion"]
    row = confusion["counts"][confusion["labels"].index("blast")]
    assert row[confusion["read"].index("lymphocyte")] == 1
    assert found["false_positive_rates"]["lymphocyte"] == {"errors": 0, "cells": 2}
