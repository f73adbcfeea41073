"""What teaching and adapting do in an unknown laboratory is measured on cells that were not corrected."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from test_teach import HEAD, LABELS, MANIFEST, cells

pytest.importorskip("torch", reason="the extra `train` is not installed")

from edgeleuk.lab.render.learning import render_learning
from edgeleuk.lab.training import card, learning, publish
from edgeleuk.lab.training.recipe import load_recipe
from edgeleuk.models.manifest import ReaderManifest


@pytest.fixture(scope="module")
def manifest(model) -> ReaderManifest:  # type: ignore[no-untyped-def]
    """A manifest of the three types of `test_teach`."""
    same = dict(zip(LABELS, LABELS, strict=True))
    return replace(
        model.reader, labels=LABELS, printed=same, mature=MANIFEST.mature, temperature=1.0, threshold=0.9,
        groups={"blast_like": ("blast",)}, confusion=None,
    )  # fmt: skip


@pytest.fixture(scope="module")
def foreign(manifest: ReaderManifest) -> learning.Foreign:
    own = cells(180, 20, foreign=True)
    views = learning.Views(own.features, own.features, own.features)
    return learning.Foreign("elsewhere", manifest, HEAD, cells(60, 21, foreign=False), own, views)


def test_more_corrected_cells_come_nearer_to_the_oracle(foreign: learning.Foreign) -> None:
    """Each row is there where enough cells are left to measure on, and wrong labels do no harm."""
    found = learning.measure(foreign, seeds=2)
    assert [*found] == [
        "source only", "adapted", "taught with 25", "taught with 25, a fifth wrong",
        "taught with 50", "taught with 50, a fifth wrong", "taught with 100", "taught with 100, a fifth wrong", "oracle",
    ]  # fmt: skip
    assert found["source only"]["mean_recall"] < 0.5
    assert found["taught with 100"]["mean_recall"] > 0.7 and found["oracle"]["mean_recall"] > 0.9
    for row in ("taught with 25", "taught with 50, a fifth wrong"):
        assert found[row]["mean_recall"] >= found[row]["before"]
    assert render_learning({"elsewhere": {"cells": 180, **found}}).row_count == len(found)


def test_a_fifth_of_the_labels_is_wrong(manifest: ReaderManifest) -> None:
    """Exactly; each wrong one is another label that occurs."""
    own = cells(50, 22, foreign=True)
    wrong = learning._with_wrong_labels(own, manifest, np.random.default_rng(0), 0.2)
    assert (wrong.labels != own.labels).sum() == 10
    assert (wrong.allowed.argmax(axis=1) == wrong.labels).all() and (wrong.allowed.sum(axis=1) == 1).all()


def test_figures_stand_in_manifest_and_card(tmp_path: Path) -> None:
    """Those of another laboratory stay; a row that was not measured is empty; networks and other figures do not change."""
    folder = tmp_path / "100x"
    shutil.copytree(Path(__file__).parents[1] / "models" / "100x", folder)
    before = json.loads((folder / "model.json").read_text())
    before.pop("learning", None)
    (folder / "model.json").write_text(json.dumps(before))
    row = {"mean_recall": 0.7071, "interval": [0.65, 0.75], "range": [0.7071, 0.7071]}
    taught = {"mean_recall": 0.9, "interval": [0.88, 0.92], "range": [0.87, 0.93], "before": 0.71}
    adapted = {**row, "refused": "views agree less often"}
    recipe = load_recipe("reader-100x-leftout")
    publish.add_learning(
        folder, recipe, {"here": {"cells": 282, "source only": row, "taught with 50": taught}}, 4
    )
    publish.add_learning(folder, recipe, {"there": {"cells": 170, "source only": row, "adapted": adapted}}, 4)
    document = json.loads((folder / "model.json").read_text())
    assert [*document["learning"]["laboratories"]] == ["here", "there"]
    assert {name: document[name] for name in before} == before
    lines = card.card(document)
    assert (folder / "README.md").read_text() == lines
    assert "| | here (282 cells) | there (170 cells) |" in lines
    assert "| source only | 0.707 (0.650 to 0.750) | 0.707 (0.650 to 0.750) |" in lines
    assert "| taught with 50 | 0.710 to 0.900 (0.870 to 0.930) |  |" in lines
    assert "| adapted |  | 0.707 (0.650 to 0.750), refused |" in lines
