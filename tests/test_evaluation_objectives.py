"""Evaluating through another objective: boxes and scales go along, and the same picture is always shot alike."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from typer.testing import CliRunner

from edgeleuk.cli import app
from edgeleuk.errors import UsageError
from edgeleuk.imaging.objectives import OBJECTIVES
from edgeleuk.lab.evaluation.datasets import load_fields
from edgeleuk.lab.evaluation.objectives import FIELD_UM, ROUNDS, composed_fields, round_fields, virtual_fields
from edgeleuk.lab.evaluation.scales import ScaleRule
from edgeleuk.types import Image, Scale

BOX = (40, 60, 70, 80)
"""x, y, width, height of the one white cell of `coco`."""


def coco(folder: Path) -> Path:
    """One picture of 200 x 160 pixels with one white cell and no red ones."""
    cv2.imwrite(str(folder / "field.png"), np.full((160, 200, 3), (235, 215, 225), np.uint8))
    table = folder / "fields.json"
    document = {
        "images": [{"id": 1, "file_name": "field.png", "width": 200, "height": 160, "labelled": ["WBC"]}],
        "annotations": [{"id": 1, "image_id": 1, "category_id": 1, "bbox": BOX}],
        "categories": [{"id": 1, "name": "WBC"}, {"id": 2, "name": "RBC"}],
    }
    table.write_text(json.dumps(document))
    return table


def no_estimate(_: Image) -> Scale:
    raise AssertionError("the scale is known")


def test_boxes_cover_the_same_micrometres(tmp_path: Path) -> None:
    """A box is as large on the slide before and after, along both axes, and the picture has the announced size."""
    samples, names = load_fields(coco(tmp_path), tmp_path)
    rule = ScaleRule.of("truth", samples, names, no_estimate, 0.1)
    shown, through, read = virtual_fields(samples, rule, OBJECTIVES["10x"])
    image = read(shown[0])
    assert image.shape[:2] == (shown[0].height, shown[0].width)
    scale = through(shown[0], image)
    x1, y1, x2, y2 = shown[0].boxes[0]
    assert (x2 - x1) * scale.um_per_px_x == pytest.approx(7.0, rel=1e-5)
    assert (y2 - y1) * scale.um_per_px_y == pytest.approx(8.0, rel=1e-5)
    assert 0.31 <= scale.um_per_px <= 1.45


def test_every_run_shoots_a_picture_alike(tmp_path: Path) -> None:
    """Figures are repeatable: noise, defocus and sampling depend on the file name alone."""
    samples, names = load_fields(coco(tmp_path), tmp_path)
    rule = ScaleRule.of("truth", samples, names, no_estimate, 0.1)
    first, second = (
        read(shown[0])
        for shown, _, read in (virtual_fields(samples, rule, OBJECTIVES["40x"]) for _ in range(2))
    )
    assert (first == second).all()


def test_without_a_scale_it_is_refused(tmp_path: Path) -> None:
    """Blur is in micrometres, so a picture of unknown scale cannot be shown through another lens."""
    samples, names = load_fields(coco(tmp_path), tmp_path)
    with pytest.raises(UsageError, match="Give its scale with --um-per-px"):
        virtual_fields(samples, ScaleRule.of("truth", samples, names, no_estimate), OBJECTIVES["40x"])


def test_an_unknown_objective_is_one_line(tmp_path: Path) -> None:
    """`--virtual 63x` names the objectives there are, in one line, and exits 2."""
    command = ["eval", "finder", str(coco(tmp_path)), "--images", str(tmp_path), "--um-per-px", "0.1"]
    done = subprocess.run(
        [sys.executable, "-m", "edgeleuk", *command, "--virtual", "63x"], capture_output=True, text=True
    )
    assert done.returncode == 2
    assert done.stdout == ""
    assert "no objective '63x'. Objectives: 100x, 40x, 10x." in " ".join(done.stderr.split())


def test_a_weaker_objective_costs_small_things_most(data: Path) -> None:
    """On real fields a virtual 10x leaves the white cells findable and costs most of the platelets."""
    fields = data / "fields"
    command = ["eval", "finder", str(fields / "txl_val.json"), "--images", str(fields / "images")]
    done = CliRunner().invoke(app, [*command, "--virtual", "10x", "--limit", "20", "--json"])
    classes = json.loads(done.stdout)["classes"]
    assert classes["WBC"]["ap50"] > 0.9
    assert classes["Platelet"]["recall"] < 0.6


def test_reading_through_a_weaker_objective_runs(data: Path) -> None:
    """`eval reader --virtual 10x` reads the same cells, and no better than as they are."""
    cells = data / "cells"
    command = ["eval", "reader", str(cells / "cells.csv"), "--images", str(cells / "images")]
    command += ["--split", "val", "--source", "pbc", "--limit", "60", "--json"]
    plain, weak = (
        json.loads(CliRunner().invoke(app, [*command, *more]).stdout) for more in ([], ["--virtual", "10x"])
    )
    assert weak["n"] == plain["n"]
    assert weak["accuracy5"] <= plain["accuracy5"]


def test_composed_fields_need_a_weaker_objective(tmp_path: Path) -> None:
    """--composed alone is refused with what to add."""
    result = CliRunner().invoke(
        app, ["eval", "finder", str(coco(tmp_path)), "--images", str(tmp_path), "--composed"]
    )
    assert isinstance(result.exception, UsageError)
    assert "--virtual" in str(result.exception)


def test_composed_fields_need_every_class_annotated(tmp_path: Path) -> None:
    """Where only white cells are boxed, the red ones would be missing from the field."""
    samples, names = load_fields(coco(tmp_path), tmp_path)
    rule = ScaleRule("truth", {1: Scale.given(0.1)}, None, no_estimate)
    with pytest.raises(UsageError, match="labelled for WBC only"):
        composed_fields(samples, names, rule, OBJECTIVES["40x"])


def test_composed_fields_are_wide_and_the_same_in_every_run(data: Path) -> None:
    """Every whole cell stands in ROUNDS fields of the size that the objective shows."""
    samples, names = load_fields(data / "fields" / "txl_val.json", data / "fields" / "images")
    few = [sample for sample in samples if sample.source == "pbc"][:4]
    rule = ScaleRule.of("truth", few, names, no_estimate)
    (first, rule_of, read), (again, _, _) = (
        composed_fields(few, names, rule, OBJECTIVES["40x"]) for _ in range(2)
    )
    assert [field.boxes.tolist() for field in first] == [field.boxes.tolist() for field in again]
    side = 100 / 40 * FIELD_UM
    for field in first:
        assert field.width * rule_of.truth[field.image_id].um_per_px_x == pytest.approx(side, rel=0.01)
        assert read(field).shape == (field.height, field.width, 3)
    whole = sum(len(field.boxes) for field in first)
    assert whole % ROUNDS == 0
    assert 0 < whole / ROUNDS < sum(len(sample.boxes) for sample in few)


@pytest.mark.data
def test_eyepiece_fields_hold_as_many_cells_as_a_real_one(data: Path) -> None:
    """Every camera's cells lie in fields of their own, 180 um across, with more red cells than any single picture has."""
    samples, names = load_fields(data / "fields" / "txl_train.json", data / "fields" / "images")
    wide = round_fields(samples[:60], names)
    first = wide.samples[0]
    assert wide.read(first).shape == (900, 900, 3)
    assert wide.truth[first.image_id].um_per_px == pytest.approx(0.2)
    assert (first.kinds == names.index("RBC")).sum() > 200
    assert {sample.source for sample in wide.samples} <= {sample.source for sample in samples[:60]}
