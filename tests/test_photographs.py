"""Simulated phone pictures, and what `edgeleuk eval phone` says of them."""

from __future__ import annotations

import json
import subprocess
import sys
from math import radians
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgeleuk.imaging.field_of_view import find_ellipse, inside
from edgeleuk.lab.evaluation.photographs import View, photograph, views
from edgeleuk.types import FieldOfView, Image

ROUND_VIEW = FieldOfView(200.0, 150.0, 140.0, 140.0)


def field() -> Image:
    """Pale, with a dark square in the field of view's middle."""
    image = np.full((300, 400, 3), (220, 200, 210), np.uint8)
    image[130:170, 180:220] = (90, 30, 120)
    return image


@pytest.mark.parametrize("name", views(np.random.default_rng(0)))
def test_the_view_lies_where_the_truth_says(name: str) -> None:
    """Bright within, dark outside, in every view; a point of the field is where the boxes say."""
    taken = photograph(field(), ROUND_VIEW, views(np.random.default_rng(0))[name])
    height, width = taken.image.shape[:2]
    shown = inside(taken.field_of_view, width, height)
    light = taken.image.max(axis=2)
    assert np.median(light[shown]) > 140 > 40 > np.median(light[~shown])
    (x1, y1, x2, y2) = taken.boxes(np.array([[180, 130, 220, 170]], np.float32))[0]
    middle = taken.image[round(float(y1 + y2) / 2), round(float(x1 + x2) / 2)]
    assert middle[1] < 60


@settings(deadline=None, max_examples=12)
@given(squeeze=st.floats(0.6, 1.0), tilt=st.floats(0, 0.2), axis=st.floats(0, 6.3), seed=st.integers(0, 9))
def test_the_middle_and_the_rim_go_where_the_view_goes(
    squeeze: float, tilt: float, axis: float, seed: int
) -> None:
    """Points of the field's rim lie on the photograph's ellipse, whatever the view."""
    view = View(squeeze, tilt, axis, reflections=0, seed=seed)
    taken = photograph(field(), ROUND_VIEW, view)
    turn = np.linspace(0, 2 * np.pi, 20, endpoint=False)
    for share, expected in ((0.98, True), (1.02, False)):
        rim = np.array([ROUND_VIEW.x, ROUND_VIEW.y]) + share * ROUND_VIEW.semi_major * np.stack(
            [np.cos(turn), np.sin(turn)], axis=1
        )
        points = taken.boxes(np.concatenate([rim, rim], axis=1).astype(np.float32))[:, :2]
        assert (taken.field_of_view.covers(points) == expected).all()


def test_a_tilt_of_ten_degrees_makes_one_side_larger() -> None:
    """By a tenth at the far rim, and the near one smaller; the field of view is found all the same."""
    taken = photograph(field(), ROUND_VIEW, View(tilt=radians(10), tilt_axis=np.pi / 2))
    boxes = np.array([[70, 145, 80, 155], [195, 145, 205, 155], [320, 145, 330, 155]], np.float32)
    sides = np.sqrt(np.prod(taken.boxes(boxes)[:, 2:] - taken.boxes(boxes)[:, :2], axis=1))
    assert 1.08 < max(sides) / sides[1] < 1.12
    assert 0.88 < min(sides) / sides[1] < 0.93
    found = find_ellipse(taken.image)
    assert found
    height, width = taken.image.shape[:2]
    assert found.share(width, height) == pytest.approx(taken.field_of_view.share(width, height), rel=0.03)


@pytest.mark.data
def test_eval_phone_reports_each_view(data: Path) -> None:
    """One real picture in one view: the field of view, the scale and the recall are in the JSON."""
    fields = data / "fields"
    command = [sys.executable, "-m", "edgeleuk", "eval", "phone", str(fields / "phone_val.json")]
    command += ["--images", str(fields / "images"), "--limit", "1", "--view", "cut", "--json"]
    report = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    assert list(report["views"]) == ["cut"]
    assert report["views"]["cut"]["pictures"] == report["fields"] == 1
    assert report["together"]["disc_found"] == 1.0
