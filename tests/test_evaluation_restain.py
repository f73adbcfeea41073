"""Re-staining: what a laboratory changes and what it leaves, and that the dyes of a picture are found."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from edgeleuk.cli import app
from edgeleuk.lab.evaluation import restain as module
from edgeleuk.lab.evaluation.datasets import CellSample
from edgeleuk.lab.evaluation.restain import (
    Laboratory,
    draw,
    find_dyes,
    laboratory_of,
    restain,
    restained_cells,
    rotation,
)
from edgeleuk.types import Image, Scale

BLUE = np.array([0.70, 0.60, 0.39])
PURPLE = np.array([0.40, 0.90, 0.17])
DYES = np.stack([dye / np.linalg.norm(dye) for dye in (BLUE, PURPLE)])
WHITE = np.array([250.0, 230.0, 205.0])


def stained(seed: int = 0, size: int = 80) -> Image:
    """A picture of an empty border and a middle that holds both dyes in every ratio, pure ones among them."""
    rng = np.random.default_rng(seed)
    amounts = np.zeros((size, size, 2))
    share = np.linspace(0, 1, size // 2)[None, :, None]
    middle = slice(size // 4, size // 4 + size // 2)
    amounts[middle, middle] = np.concatenate([share, 1 - share], axis=2) * rng.uniform(
        0.3, 0.8, (size // 2, 1, 1)
    )
    return (WHITE * 10 ** -(amounts @ DYES)).round().astype(np.uint8)


def density(image: Image) -> np.ndarray:
    levels = image.reshape(-1, 3).astype(float)
    return -np.log10(levels / np.percentile(levels, module.WHITE_PERCENTILE, axis=0))


def test_both_dyes_of_a_picture_are_found() -> None:
    """Mixed of two known dyes, a picture gives them back within two degrees, the bluer one first."""
    found = find_dyes(density(stained()))
    angles = np.degrees(np.arccos((found * DYES).sum(axis=1).clip(-1, 1)))
    assert (angles < 2).all()


def test_the_laboratory_that_changes_nothing_changes_nothing() -> None:
    """Unmixing and mixing again give the picture back to one level."""
    image = stained()
    assert np.abs(restain(image, Laboratory()).astype(int) - image).max() <= 1


def test_strength_multiplies_density() -> None:
    """Twice both dyes is twice the optical density everywhere."""
    image = stained()
    darker = restain(image, Laboratory(strengths=(1.4, 1.4)))
    inside = density(image).sum(axis=1) > 0.3
    ratio = density(darker)[inside].sum(axis=1) / density(image)[inside].sum(axis=1)
    assert np.median(ratio) == pytest.approx(1.4, rel=0.02)


def test_one_dye_changes_without_the_other() -> None:
    """With the first dye at half, a pixel of the second one alone stays as it is."""
    image = stained()
    half = restain(image, Laboratory(strengths=(0.5, 1.0)))
    purple, blue = image[40, 20], image[40, 59]
    assert np.abs(half[40, 20].astype(int) - purple).max() <= 3
    assert half[40, 59].sum() > blue.sum() + 60


def test_the_empty_slide_takes_the_background() -> None:
    """Where no dye is, the new background's levels stand."""
    image = restain(stained(), Laboratory(background=(200.0, 205.0, 160.0)))
    assert image[2, 2].tolist() == [200, 205, 160]


def test_an_empty_picture_stays_empty() -> None:
    """A picture of one colour has no dyes; it becomes the background, without error."""
    image = np.full((20, 20, 3), (240, 230, 210), np.uint8)
    restained = restain(image, Laboratory(strengths=(1.5, 0.6), background=(200.0, 210.0, 220.0)))
    assert (restained == (200, 210, 220)).all()


@given(st.integers(0, 2**32 - 1))
def test_every_laboratory_is_within_the_ranges(seed: int) -> None:
    """Strength, balance, turn and background never leave what the module names."""
    laboratory = draw(np.random.default_rng(seed))
    first, second = laboratory.strengths
    assert module.STRENGTH[0] <= np.sqrt(first * second) <= module.STRENGTH[1]
    assert 1 / module.BALANCE <= first / second <= module.BALANCE
    most = module.COMMON_TURN + module.OWN_TURN
    for turn in laboratory.turns:
        assert np.arccos(np.clip((np.trace(turn) - 1) / 2, -1, 1)) <= most + 1e-6
    assert laboratory.background is not None
    assert 120 < min(laboratory.background) <= max(laboratory.background) <= 255


@given(st.floats(-3, 3), st.integers(0, 1000))
def test_a_rotation_keeps_lengths_and_turns_by_its_angle(angle: float, seed: int) -> None:
    """Orthogonal, of determinant 1, and its trace tells the angle."""
    turn = rotation(np.random.default_rng(seed).normal(size=3), angle)
    assert np.allclose(turn @ turn.T, np.eye(3))
    assert np.linalg.det(turn) == pytest.approx(1)
    assert np.trace(turn) == pytest.approx(1 + 2 * np.cos(angle))


def test_a_picture_has_its_laboratory_by_seed_and_name() -> None:
    """The same file is stained alike in every run; another file or seed is not."""
    same, again, other, name = (
        laboratory_of(Path(path), seed)
        for path, seed in (("a/x.jpg", 1), ("/mnt/a/x.jpg", 1), ("a/x.jpg", 2), ("a/y.jpg", 1))
    )
    assert same.strengths == again.strengths
    assert same.background == again.background
    assert len({same.strengths, other.strengths, name.strengths}) == 3


def test_the_look_is_stained_over(tmp_path: Path) -> None:
    """What another look shows is re-stained at its own scale and size."""
    sample = CellSample(tmp_path / "x.png", "bench", "val", "", "blast", 0.1)
    image, scale = restained_cells(3, lambda _: (stained(), Scale.given(0.4)))(sample)
    assert scale == Scale.given(0.4)
    assert (image == restain(stained(), laboratory_of(sample.path, 3))).all()


def test_the_file_is_the_look_where_none_is_given(tmp_path: Path) -> None:
    """Without another look the sample's own picture and scale are taken."""
    sample = CellSample(tmp_path / "x.png", "bench", "val", "", "blast", 0.1)
    cv2.imwrite(str(sample.path), stained()[..., ::-1])
    image, scale = restained_cells(3)(sample)
    assert scale == Scale.given(0.1)
    assert (image == restain(stained(), laboratory_of(sample.path, 3))).all()


def test_reading_restained_cells_runs(data: Path) -> None:
    """`eval reader --restain` reads the same cells, and tells a seed from another."""
    cells = data / "cells"
    command = ["eval", "reader", str(cells / "cells.csv"), "--images", str(cells / "images")]
    command += ["--split", "val", "--source", "pbc", "--limit", "60", "--json"]
    documents = []
    for more in ([], ["--restain", "1"], ["--restain", "1", "--virtual", "40x"]):
        done = CliRunner().invoke(app, [*command, *more])
        assert done.exit_code == 0, done.output
        documents.append(json.loads(done.stdout))
    assert len({document["n"] for document in documents}) == 1
    assert len({document["expected_calibration_error"] for document in documents}) == 3
