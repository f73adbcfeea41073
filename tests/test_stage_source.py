"""The simulated slide under a moving stage: repeatable frames, and a truth to count against."""

from __future__ import annotations

import itertools
import math

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeleuk.errors import UsageError
from edgeleuk.simulation.smear import Camera, Smear
from edgeleuk.simulation.stage_script import Pose
from edgeleuk.sources import open_source
from edgeleuk.sources.simulated import (
    OVERLAP_UM,
    Exposure,
    Focus,
    Jump,
    Move,
    Script,
    StageSettings,
    StageSource,
    Stop,
    serpentine,
    smear_light,
)
from edgeleuk.types import Image, TimedFrame

HERE, THERE = (40.0, 35.0), (75.0, 50.0)


@pytest.fixture(scope="module")
def smear() -> Smear:
    return Smear.generate(3, 120.0, 90.0, {"neutrophil": 2, "lymphocyte": 2}, 5000.0, 500.0)


def stage(
    smear: Smear, *segments: object, start: tuple[float, float] = HERE, **options: object
) -> StageSource:
    """A 40x stage with a small camera: fields of 60 x 40 um."""
    script = Script(start, segments)  # type: ignore[arg-type]
    return StageSource(3, "40x", 240, 160, StageSettings(smear=smear, script=script, fps=2.0, **options))  # type: ignore[arg-type]


def frames(source: StageSource) -> list[TimedFrame]:
    frames = []
    while timed := source.read(1):
        frames.append(timed)
    return frames


def sharpness(image: Image) -> float:
    return float(cv2.Laplacian(cv2.GaussianBlur(image, (0, 0), 2), cv2.CV_32F).var())


def test_a_script_is_followed_in_time() -> None:
    """Moving at its speed, then standing, turning the focus, the lamp, and jumping."""
    script = Script(
        (0.0, 0.0),
        (Move((30.0, 40.0), 10.0), Stop(2.0), Focus(3.0, 1.0), Exposure(0.5, 2.0), Jump((7.0, 8.0))),
    )
    assert script.seconds == 10.0
    assert script.at(0.0) == Pose((0.0, 0.0), (6.0, 8.0))
    assert script.at(2.5) == Pose((15.0, 20.0), (6.0, 8.0))
    assert script.at(5.0) == script.at(6.9) == Pose((30.0, 40.0))
    assert script.at(7.5).focus_um == 1.5
    assert script.at(9.0) == Pose((30.0, 40.0), (0.0, 0.0), 3.0, 0.75)
    assert script.at(10.0) == script.at(99.0) == Pose((7.0, 8.0), (0.0, 0.0), 3.0, 0.5)


def test_a_jump_takes_no_time() -> None:
    """The next frame is elsewhere, and what follows goes on from there."""
    script = Script((0.0, 0.0), (Stop(1.0), Jump((5.0, 5.0)), Stop(1.0), Move((5.0, 10.0), 5.0)))
    assert [script.at(t).at for t in (0.5, 1.0, 1.9, 3.0)] == [(0, 0), (5, 5), (5, 5), (5, 10)]


@given(st.tuples(st.floats(60, 3000), st.floats(60, 3000)), st.tuples(st.floats(50, 900), st.floats(50, 700)))
def test_a_serpentine_leaves_no_cell_uncovered(
    slide: tuple[float, float], field: tuple[float, float]
) -> None:
    """Every spot as large as a cell lies wholly in a field, and no field leaves the slide."""
    slide = (max(slide[0], field[0]), max(slide[1], field[1]))
    way = serpentine(slide, field)
    for axis in (0, 1):
        middles = sorted({point[axis] for point in way})
        assert middles[0] == pytest.approx(field[axis] / 2)
        assert middles[-1] == pytest.approx(slide[axis] - field[axis] / 2) or len(middles) == 1
        assert all(b - a <= field[axis] - OVERLAP_UM + 1e-6 for a, b in itertools.pairwise(middles))
    assert len(set(way)) == len(way)
    turns = [math.dist(a, b) for a, b in itertools.pairwise(way)]
    assert all(step <= max(field) for step in turns), "each field is next to the one before"


def test_the_same_seed_gives_the_same_frames(smear: Smear) -> None:
    """Pixels, times and names."""
    one, other = (frames(stage(smear, Stop(1), Move(THERE, 40), focus_drift_um=1.0)) for _ in range(2))
    assert [(s.seconds, s.number, s.frame.name) for s in one] == [
        (s.seconds, s.number, s.frame.name) for s in other
    ]
    for a, b in zip(one, other, strict=True):
        np.testing.assert_array_equal(a.frame.pixels, b.frame.pixels)


def test_a_camera_that_stands_still_is_not_frozen(smear: Smear) -> None:
    """Its noise differs from frame to frame, and little else does."""
    first, second = frames(stage(smear, Stop(0.5)))
    assert not np.array_equal(first.frame.pixels, second.frame.pixels)
    assert np.abs(first.frame.pixels.astype(int) - second.frame.pixels).mean() < 3


def test_time_is_the_stages(smear: Smear) -> None:
    """Two frames a second of the script, however fast they are taken; then it ends."""
    source = stage(smear, Stop(2.0))
    assert [timed.seconds for timed in frames(source)] == [0.0, 0.5, 1.0, 1.5, 2.0]
    assert source.read(1) is None
    assert (source.info.live, source.info.um_per_px, source.info.fps) == (False, 0.25, 2.0)


def test_movement_blurs_along_itself(smear: Smear) -> None:
    """Over the 1/60 s of a frame: vertical edges are lost when it goes sideways, horizontal ones stay."""
    target = (HERE[0] + 60.0, HERE[1])
    quiet = Camera(electrons=1e9, sharpen=0.0)
    moving = frames(stage(smear, Move(target, 240.0), camera=quiet))[0].frame.pixels.astype(np.float32)
    still = frames(stage(smear, Stop(0.1), camera=quiet))[0].frame.pixels.astype(np.float32)
    across, along = (
        np.square(np.diff(moving, axis=axis)).mean() / np.square(np.diff(still, axis=axis)).mean()
        for axis in (1, 0)
    )
    assert across < 0.6 * along
    assert across < 0.5


def test_light_is_averaged_over_the_path() -> None:
    """A point becomes a line of its own light, in the direction of the movement."""
    light = np.zeros((21, 21, 3), np.float32)
    light[10, 10] = 1
    for x, y, lit in ((7, 0, (10, 13)), (0, -7, (13, 10)), (9, 9, (14, 14)), (9, -9, (6, 14))):
        smeared = smear_light(light, x, y)
        assert smeared.sum() == pytest.approx(3, abs=1e-4)
        assert smeared[lit].max() > 0 and smeared.max() < 0.2
    assert smear_light(light, 0.4, -0.3) is light


def test_out_of_focus_is_less_sharp_and_comes_back(smear: Smear) -> None:
    """Whichever way the knob was turned."""
    taken = frames(stage(smear, Focus(6, 0.5), Focus(-6, 0.5), Focus(0, 0.5)))
    sharp = [sharpness(timed.frame.pixels) for timed in taken]
    assert max(sharp[1:3]) < 0.7 * min(sharp[0], sharp[3])


def test_the_lamp_scales_the_light(smear: Smear) -> None:
    """Half the lamp is half the level, save for sharpening and noise."""
    taken = frames(stage(smear, Exposure(0.5, 0.5)))
    first, last = (timed.frame.pixels.mean() for timed in taken)
    assert last == pytest.approx(first / 2, rel=0.02)


def test_the_truth_is_what_was_wholly_in_view(smear: Smear) -> None:
    """It grows with the frames, holds no cell that an edge cut, and nothing from where the stage only flew over."""
    source = stage(smear, Stop(0.5), Jump(THERE), Stop(0.5))
    assert source.truth() == ()
    source.read(1)
    first = source.truth()
    half = (30.0, 20.0)
    expected = [
        cell
        for cell in smear.cells
        if all(
            cell.box_um[a] >= HERE[a] - half[a] and cell.box_um[a + 2] <= HERE[a] + half[a] for a in (0, 1)
        )
    ]
    assert first == tuple(expected) and first
    frames(source)
    assert set(first) < set(source.truth())


def test_cells_seen_only_on_the_way_are_told_apart(smear: Smear) -> None:
    """`still` leaves out what was in view only while the stage moved."""
    source = stage(smear, Move((80.0, 35.0), 20.0), Stop(0.4))
    frames(source)
    assert set(source.truth(still=True)) < set(source.truth())


def test_a_scan_shows_every_cell_but_those_at_the_rim() -> None:
    """The default way over a small slide, with jumps and a standstill: all white cells come wholly into view."""
    smear = Smear.generate(5, 220.0, 120.0, {"neutrophil": 6, "monocyte": 4}, 300.0, 0.0)
    source = StageSource(5, "100x", settings=StageSettings(smear=smear, fps=0.8, jumps=2, standstill_s=3.0))
    assert sum(isinstance(s, Jump) for s in source.script.segments) == 4
    taken = frames(source)
    assert taken[0].frame.pixels.shape == (720, 1280, 3)
    white = {cell for cell in source.truth() if cell.kind == "WBC"}
    assert len(white) >= 9
    assert len(taken) < 150


def test_the_simulated_source_is_opened_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    """With its seed, its magnification and the camera's size; the scale is known."""
    monkeypatch.setattr("edgeleuk.sources.simulated.WHITE_CELLS", {"neutrophil": 2})
    source = open_source("simulated:7", width=400, height=300, fps=2.0, magnification="100x")
    timed = source.read(1)
    assert timed and timed.frame.pixels.shape == (300, 400, 3)
    assert (source.info.name, source.info.um_per_px, source.info.fps) == ("simulated:7", 0.1, 2.0)


def test_what_cannot_be_simulated_is_told() -> None:
    """The magnifications that can, and the least field."""
    with pytest.raises(UsageError, match="100x, 40x, 10x"):
        StageSource(0, "60x")
    with pytest.raises(UsageError, match="too small"):
        StageSource(0, "100x", 128, 128)
