"""Verdicts and bounds on slides put together from cells, and on groups of real pictures."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from rich.console import Console
from standard import REFERENCE, RULES

from edgeleuk.analysis.analyser import Analyser
from edgeleuk.cli.analyze import demo_picture
from edgeleuk.errors import InputError, UsageError
from edgeleuk.lab.evaluation.datasets import CellSample
from edgeleuk.lab.evaluation.screen import evaluate_screen, load_screen
from edgeleuk.lab.evaluation.verdicts import Plan, Pool, VerdictsReport, evaluate_pool
from edgeleuk.lab.render.verdicts import render_screen, render_verdicts
from edgeleuk.networks.reader import Reader

PLAN = Plan("well", "ill", healthy=20, few=10, bounded=30, cells=100)


def pool(analyser: Analyser, blasts_recognised: bool = True) -> Pool:
    """Ten cells of each mature type, read right, and a patient of twenty blasts, recognised or half recognised."""
    reader = analyser.reader
    samples = [
        CellSample(Path("x"), "well", "val", "", label, 0.1) for label in reader.mature for _ in range(10)
    ]
    samples += [CellSample(Path("x"), "ill", "val", "P 1", "blast", 0.1)] * 20
    types = np.stack(
        [_types(reader, each.label, each.label != "blast" or blasts_recognised) for each in samples]
    )
    return Pool(reader, types, samples, RULES)


def _types(reader: Reader, label: str, sure: bool) -> NDArray[np.float32]:
    """Probabilities of which the rest is the lymphocytes', else the neutrophils'."""
    types = np.full(len(reader.labels), 0.0001, np.float32)
    rest = "neutrophil" if label == "lymphocyte" else "lymphocyte"
    types[reader.labels.index(label)] = 0.98 if sure else 0.6
    types[reader.labels.index(rest)] += np.float32(1 - types.sum())
    return types


def report(analyser: Analyser, blasts_recognised: bool = True) -> VerdictsReport:
    return evaluate_pool(pool(analyser, blasts_recognised), PLAN, RULES, REFERENCE)


def test_healthy_slides_read_right_have_nothing_flagged(analyser: Analyser) -> None:
    """And none is to be looked at because of blasts."""
    found = report(analyser)
    assert sum(found.healthy.values()) == 20
    assert found.healthy_blasts == 0
    assert set(found.healthy) <= {"nothing_flagged", "look_again", "too_few_cells"}


@pytest.mark.parametrize("recognised", [True, False])
def test_a_patient_full_of_blasts_is_looked_at_again(analyser: Analyser, recognised: bool) -> None:
    """Whether they are recognised or half recognised."""
    found = report(analyser, recognised)
    assert [(each.patient, each.blast_like, each.verdict.code) for each in found.patients] == [
        ("P 1", 20, "look_again")
    ]
    assert found.patients[0].not_recognised == (0 if recognised else 20)


def test_bounds_cover_the_truth_and_are_no_narrower_than_exact(analyser: Analyser) -> None:
    """On slides with and without blasts."""
    found = report(analyser)
    for each in found.coverage.values():
        assert (each.slides, each.above) == (30, 0)
    assert min(found.widths.values()) >= 1


def test_figures_are_json_and_fit_80_columns(analyser: Analyser) -> None:
    """No line is longer than a terminal."""
    found = report(analyser)
    json.dumps(found.as_json(), allow_nan=False)
    console = Console(width=80, record=True, file=io.StringIO())
    console.print(render_verdicts(found))
    assert max(map(len, console.export_text().splitlines())) <= 80


def screen_file(folder: Path, **changed: str) -> Path:
    entry = {"file": demo_picture(), "source": "simulated", "group": "a", "truth": "a blast"} | changed
    (folder / "screen.json").write_text(json.dumps([entry]))
    return folder / "screen.json"


def test_each_group_of_pictures_is_a_slide(tmp_path: Path, analyser: Analyser) -> None:
    """With its verdict, and how much of it was recognised."""
    groups = load_screen(screen_file(tmp_path), Path("/"), "a blast")
    found = evaluate_screen(analyser, groups, RULES, REFERENCE)
    document = found.as_json()
    assert document["look_again_for_blasts"]["count"] == 1
    assert document["by_source"]["simulated"]["white_cells"] == 14
    assert document["groups"]["simulated a"]["verdict"] == "look_again"
    console = Console(width=80, record=True, file=io.StringIO())
    console.print(render_screen(found))
    assert "LOOK AGAIN for blasts on 1 of 1 slides." in console.export_text()


def test_pictures_of_another_truth_are_named(tmp_path: Path) -> None:
    """What there is, and what each picture needs."""
    with pytest.raises(UsageError, match=r"has the truth 'none'\. There are: a blast"):
        load_screen(screen_file(tmp_path), tmp_path, "none")
    (tmp_path / "other.json").write_text("[1]")
    with pytest.raises(InputError, match="Each needs file, source, group and truth"):
        load_screen(tmp_path / "other.json", tmp_path, "none")
