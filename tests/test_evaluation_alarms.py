"""Blast flags on simulated healthy slides and on patients, by readers whose every answer is written down."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from rich.console import Console
from standard import REFERENCE, RULES, judged
from typer.testing import CliRunner

from edgeleuk.cli import app
from edgeleuk.differential.differential import Differential, Errors
from edgeleuk.differential.evidence import FalsePositiveRate
from edgeleuk.differential.for_reader import differential_function
from edgeleuk.differential.healthy import adult_proportions
from edgeleuk.differential.rules import Standards
from edgeleuk.errors import UsageError
from edgeleuk.lab.evaluation.alarms import (
    AlarmsReport,
    Draws,
    draw_slides,
    evaluate_alarms,
)
from edgeleuk.lab.evaluation.cells import CellReading
from edgeleuk.lab.evaluation.datasets import CellSample
from edgeleuk.lab.render.evaluation import render_alarms
from edgeleuk.models.registry import Model
from edgeleuk.statistics.intervals import clopper_pearson
from edgeleuk.types import Image, Scale, Tally

LABELS = ("neutrophil", "lymphocyte", "monocyte", "eosinophil", "basophil", "blast", "smudge")
MATURE = LABELS[:5]
STANDARDS = Standards(RULES, REFERENCE)


class ByColour:
    """A reader that names each picture by its red: the place of a type among LABELS; unsure where green is 0."""

    labels = LABELS
    merge: Mapping[str, str] = {}
    mature = MATURE
    attributes: Mapping[str, tuple[str, ...]] = {}
    subtypes: Mapping[str, str] = {}
    threshold = 0.6

    def crop(self, image: Image, scale: Scale, centre: tuple[float, float]) -> Image:
        del scale, centre
        return image

    def probabilities(
        self, crops: NDArray[np.uint8]
    ) -> tuple[NDArray[np.float32], dict[str, NDArray[np.float32]]]:
        types = np.full((len(crops), len(LABELS)), 0.01, np.float32)
        types[np.arange(len(crops)), crops[:, 0, 0, 0]] = np.where(crops[:, 0, 0, 1], 0.94, 0.4)
        return types, {}


def to_differential(tally: Tally) -> Differential:
    """As by a reader that took none of 600 other cells for a blast."""
    return judged(tally, labels=LABELS, errors=Errors(rates={"blasts": FalsePositiveRate(0, 600)}))


def cells(
    folder: Path, label: str, n: int = 1, *, read: str | None = None, sure: bool = True, patient: str = ""
) -> list[CellSample]:
    """Cells of one label that are read as another, or as that label; those of no patient are healthy."""
    path = folder / f"{read or label}-{sure}.png"
    cv2.imwrite(str(path), np.full((64, 64, 3), (0, 255 * sure, LABELS.index(read or label)), np.uint8))
    return [CellSample(path, "ill" if patient else "well", "val", patient, label, 0.1)] * n


def healthy(folder: Path) -> list[CellSample]:
    return [cell for label in MATURE for cell in cells(folder, label, 4)]


def evaluate(samples: list[CellSample], slides: int = 20) -> AlarmsReport:
    return evaluate_alarms(
        CellReading(ByColour()), to_differential, samples, Draws("well", slides, 100), "ill", STANDARDS
    )


def test_a_reader_without_errors_raises_no_false_alarm(tmp_path: Path) -> None:
    """No healthy slide is flagged, and the interval says how many might be."""
    document = evaluate(healthy(tmp_path)).as_json()["healthy"]
    assert document["alarms"] == {
        "count": 0,
        "of": 20,
        "share": 0.0,
        "interval": list(clopper_pearson(0, 20)),
    }
    assert document["read_as_blasts"]["count"] == 0
    assert document["pool"] == dict.fromkeys(MATURE, 4)


def test_a_reader_that_takes_lymphocytes_for_blasts_raises_false_alarms(tmp_path: Path) -> None:
    """Two of six lymphocytes read as blasts make about 10 % blasts: present on every slide, 20 % on none."""
    report = evaluate([*healthy(tmp_path), *cells(tmp_path, "lymphocyte", 2, read="blast")])
    assert report.false_alarms == 20
    assert report.healthy.raised["BLASTS_20_PERCENT"] == 0
    assert report.as_json()["healthy"]["read_as_blasts"]["count"] == 2


def test_an_unsure_blast_is_no_blast(tmp_path: Path) -> None:
    """Below the reader's threshold a cell is unclassified and raises nothing."""
    report = evaluate([*healthy(tmp_path), *cells(tmp_path, "lymphocyte", read="blast", sure=False)])
    assert report.healthy.misread == 0
    assert set(report.healthy.raised.values()) == {0}


def test_patients_are_judged_by_their_own_cells(tmp_path: Path) -> None:
    """Blasts that are read as such raise the alarm; a patient whose blasts are read as lymphocytes is missed."""
    samples = [
        *healthy(tmp_path),
        *cells(tmp_path, "blast", 30, patient="seen"),
        *cells(tmp_path, "neutrophil", 30, patient="seen"),
        *cells(tmp_path, "smudge", 90, patient="seen"),
        *cells(tmp_path, "blast", 9, read="lymphocyte", patient="missed"),
        *cells(tmp_path, "blast", 1, read="blast", sure=False, patient="missed"),
        *cells(tmp_path, "neutrophil", 90, patient="missed"),
    ]
    document = evaluate(samples, slides=1).as_json()["patients"]
    assert document["alarms"]["count"] == 1
    assert document["alarms"]["of"] == 2
    seen, missed = document["by_patient"]["seen"], document["by_patient"]["missed"]
    assert (seen["alarm"], missed["alarm"]) == (True, False)
    assert (seen["annotated"]["share"], seen["read"]["share"]) == (0.5, 0.5)
    assert seen["flags"] == ["BLASTS_PRESENT", "BLASTS_20_PERCENT_POSSIBLE"]
    assert (missed["annotated"]["of"], missed["read"]["of"], missed["read"]["count"]) == (100, 99, 0)


def test_a_patient_with_few_blasts_is_not_asked_for(tmp_path: Path) -> None:
    """One blast among eleven white cells lies below 10 %; smudge cells beside them do not count."""
    few = [*cells(tmp_path, "blast", 1, patient="few"), *cells(tmp_path, "monocyte", 10, patient="few")]
    enough = [
        *cells(tmp_path, "blast", 1, patient="enough"),
        *cells(tmp_path, "monocyte", 9, patient="enough"),
    ]
    report = evaluate([*healthy(tmp_path), *few, *enough, *cells(tmp_path, "smudge", 9, patient="enough")])
    assert [patient.patient for patient in report.patients] == ["enough"]


def test_proportions_are_the_middles_of_the_reference_ranges() -> None:
    """40 to 80, 20 to 40, 2 to 10, 1 to 6 and 0 to 2 %: their middles add up to 100.5."""
    middles = {"neutrophil": 60, "lymphocyte": 30, "monocyte": 6, "eosinophil": 3.5, "basophil": 1}
    assert adult_proportions(REFERENCE, MATURE) == pytest.approx({k: v / 100.5 for k, v in middles.items()})


def test_slides_follow_the_proportions_and_repeat(tmp_path: Path) -> None:
    """Over many cells the types come in their proportions, however many the pool has of each."""
    pool = [*cells(tmp_path, "neutrophil", 1), *cells(tmp_path, "lymphocyte", 9)]
    first, second = (
        draw_slides(pool, {"neutrophil": 0.7, "lymphocyte": 0.3}, Draws("well", 100, 100)) for _ in range(2)
    )
    assert (first == second).all()
    assert first.shape == (100, 100)
    assert (first == 0).mean() == pytest.approx(0.7, abs=0.02)


def test_a_source_that_lacks_a_type_is_refused(tmp_path: Path) -> None:
    """Without basophils there is no healthy slide; the message names the sources."""
    samples = [cell for cell in healthy(tmp_path) if cell.label != "basophil"]
    with pytest.raises(UsageError, match=r"no basophil of source 'well'.*Sources: well"):
        evaluate(samples)


def test_progress_reaches_the_end(tmp_path: Path) -> None:
    """Cells read and slides judged are told as one."""
    told: list[tuple[int, int]] = []
    reading = CellReading(ByColour(), progress=lambda *done: told.append(done))
    evaluate_alarms(reading, to_differential, healthy(tmp_path), Draws("well", 3, 10), "ill", STANDARDS)
    assert told == [(20, 23), (21, 23), (22, 23), (23, 23)]


def test_judging_uses_the_errors_of_the_manifest(model: Model) -> None:
    """Ten blasts in a hundred are more than the errors of the reader that ships explain."""
    judged = differential_function(model.reader, RULES, REFERENCE)(
        Tally(1, {"blast": 10, "neutrophil": 90}, {}, {})
    )
    assert "BLASTS_PRESENT" in {flag.code for flag in judged.flags}
    assert bool(judged.corrected) == (model.reader.confusion is not None)


def test_table_fits_80_columns(tmp_path: Path) -> None:
    """No line is longer than a terminal, and each patient has a row."""
    report = evaluate([*healthy(tmp_path), *cells(tmp_path, "blast", 30, patient="Patient_04 AML")])
    console = Console(width=80, record=True, file=io.StringIO())
    console.print(render_alarms(report))
    text = console.export_text()
    assert max(map(len, text.splitlines())) <= 80
    assert all(word in text for word in ("BLASTS_PRESENT", "Patient_04 AML", "in 1 of 1 patients"))


def test_the_command_runs_on_real_cells(data: Path) -> None:
    """`eval alarms` judges simulated slides and real patients by the reader that ships."""
    folder = data / "cells"
    command = ["eval", "alarms", str(folder / "cells.csv"), "--images", str(folder / "images")]
    done = CliRunner().invoke(app, [*command, "--slides", "5", "--cells", "100", "--limit", "150", "--json"])
    assert done.exit_code == 0, done.output
    document = json.loads(done.stdout)
    assert document["healthy"]["alarms"]["of"] == 5
    assert document["healthy"]["cells_per_slide"] == 100
    assert document["patients"]["alarms"]["of"] == len(document["patients"]["by_patient"]) > 0
