"""Verdicts counted, ladders climbed, and where both meet."""

from __future__ import annotations

import io
import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from rich.console import Console
from typer.testing import CliRunner

from edgeleuk.cli import app
from edgeleuk.cli.analyze import demo_picture
from edgeleuk.lab.evaluation.ladders import LADDERS, Picture
from edgeleuk.lab.evaluation.quality import Climb, QualityReport, Rung, Verdicts
from edgeleuk.lab.render.quality import render_quality
from edgeleuk.types import Assessment, Finding, Frame, Scale

WARNED = Assessment((Finding("pale", False, 0.05, 0.06, "pale."),))
REFUSED = Assessment((Finding("focus", True, 0.9, 0.6, "soft."), *WARNED.findings), forced=True)


@pytest.fixture(scope="module")
def picture(demo_frame: Frame) -> Picture:
    """A part of the demo with two boxes in it."""
    boxes = np.array([[100, 100, 180, 180], [300, 50, 390, 140]], np.float32)
    return Picture(demo_frame.pixels[:300, :400].copy(), boxes, np.array([0, 1]), Scale.given(0.0966))


def climb(*rungs: tuple[float, float]) -> Climb:
    """A ladder of recalls and shares that are flagged; none is refused."""
    return Climb("steps", tuple(Rung(i, recall, flagged, 0.0) for i, (recall, flagged) in enumerate(rungs)))


def test_each_picture_is_refused_once_and_may_be_warned_of_twice() -> None:
    """A refused picture counts under its first reason, and its warnings do not count."""
    verdicts = Verdicts.of([("a", Assessment()), ("b", WARNED), ("c", REFUSED), ("d", "scale")])
    assert (verdicts.pictures, verdicts.refusals, verdicts.warned_at_all) == (4, 2, 1)
    assert verdicts.refused == {"focus": 1, "scale": 1}
    assert verdicts.warned == {"pale": 1}
    assert verdicts.names == ("c: focus", "d: scale")


def test_a_ladder_agrees_within_one_rung() -> None:
    """Recall falls by 3 points on the second rung; flagged on the third is near enough, on the fourth not."""
    near = climb((0.95, 0.0), (0.91, 0.2), (0.8, 0.6), (0.5, 1.0))
    assert (near.falls, near.flagged, near.refused, near.agrees) == (1, 2, None, True)
    late = climb((0.95, 0.0), (0.91, 0.2), (0.8, 0.4), (0.5, 1.0))
    assert (late.falls, late.flagged, late.agrees) == (1, 3, False)
    assert climb((0.95, 0.0), (0.94, 0.1)).agrees


@pytest.mark.parametrize("name", ["focus", "motion", "dark", "bright", "pale", "dense"])
def test_boxes_stay_where_the_picture_only_becomes_worse(picture: Picture, name: str) -> None:
    """The last rung has another look and the same size and boxes."""
    shown = LADDERS[name].show(picture, LADDERS[name].rungs[-1], [])
    assert shown.image.shape == picture.image.shape
    np.testing.assert_array_equal(shown.boxes, picture.boxes)
    assert np.abs(shown.image.astype(int) - picture.image).mean() > 3


def test_layers_bring_their_cells(picture: Picture) -> None:
    """Two layers have both pictures' boxes and are darker; of half a layer there are fewer than of a whole."""
    other = Picture(picture.image[::-1].copy(), picture.boxes, picture.kinds, picture.scale)
    two = LADDERS["thick"].show(picture, 2.0, [other])
    assert len(two.boxes) == len(two.kinds) == 4
    assert two.image.mean() < picture.image.mean() - 5
    assert 2 <= len(LADDERS["thick"].show(picture, 1.25, [other]).boxes) <= 4


def test_table_fits_80_columns() -> None:
    """No line is longer than a terminal."""
    verdicts = Verdicts.of([("a", WARNED), ("b", REFUSED), *[("c", Assessment())] * 98])
    report = QualityReport({"raabin": verdicts}, verdicts, {"focus": climb((0.95, 0.0), (0.9, 0.7))})
    console = Console(width=80, record=True, file=io.StringIO())
    console.print(render_quality(report))
    text = console.export_text()
    assert max(map(len, text.splitlines())) <= 80
    assert "within one step" in text and "focus 1; pale 1" in text


def test_the_command_runs_end_to_end(tmp_path: Path) -> None:
    """The demo is accepted, a page of text is not, and no ladder is climbed without pictures for it."""
    demo, others = Path(demo_picture()), tmp_path / "others"
    others.mkdir()
    cv2.imwrite(str(others / "grey.png"), np.full((100, 100, 3), 200, np.uint8))
    table = tmp_path / "fields.json"
    size = {"width": 1600, "height": 1200}
    document = {
        "images": [{"id": 1, "file_name": demo.name, "source": "demo", **size}],
        "annotations": [],
        "categories": [{"id": 1, "name": "WBC"}],
    }
    table.write_text(json.dumps(document))
    wish = ["eval", "quality", str(table), "--images", str(demo.parent), "--strangers", str(others), "--json"]
    done = CliRunner().invoke(app, wish)
    assert done.exit_code == 0, done.output
    report = json.loads(done.stdout)
    assert (report["sources"]["demo"]["accepted"], report["strangers"]["refusals"]) == (1, {"file": 1})
    assert report["ladders"] == {}
