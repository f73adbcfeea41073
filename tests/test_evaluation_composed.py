"""Cells lifted from narrow fields and laid down in wide ones."""

from __future__ import annotations

from itertools import combinations

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgeleuk.lab.evaluation.composed import MOST_COVERED, Emptied, compose, lift, wide_fields, wide_sample
from edgeleuk.lab.evaluation.datasets import FieldSample, annotated_scales, load_fields
from edgeleuk.lab.evaluation.fields import read_field
from edgeleuk.types import Scale

UM = 0.2
BACKGROUND = (220, 200, 210)
RED = (180, 120, 130)


def picture(
    *centres: tuple[int, int], radius: int = 18, side: int = 200
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Flat discs on a flat background, their boxes and kinds."""
    image = np.full((side, side, 3), BACKGROUND, np.uint8)
    for centre in centres:
        cv2.circle(image, centre, radius, RED, cv2.FILLED)
    boxes = np.array(
        [[x - radius, y - radius, x + radius + 1, y + radius + 1] for x, y in centres], np.float32
    )
    return image, boxes.reshape(-1, 4), np.ones(len(centres), np.int64)


def emptied(*centres: tuple[int, int]) -> Emptied:
    image, boxes, kinds = picture(*centres)
    return lift(image, Scale.given(UM), boxes, kinds, UM)


def test_a_lifted_cell_has_its_density_and_its_box() -> None:
    """The middle of a cell absorbs what its colour lacks of the background's."""
    cell = emptied((60, 80)).cells[0]
    height, width = cell.mask.shape
    wanted = np.log(np.array(BACKGROUND) / np.array(RED))
    assert cell.density[height // 2, width // 2] == pytest.approx(wanted, abs=0.02)
    assert cell.box[2:] - cell.box[:2] == pytest.approx([37, 37])


def test_a_cell_at_the_edge_is_left_behind() -> None:
    """What a picture cuts never stands in the middle of another."""
    assert len(emptied((60, 80), (5, 150)).cells) == 1


def test_a_cell_under_another_is_left_behind() -> None:
    """Of two that nearly coincide neither is whole; two that touch both are."""
    assert len(emptied((60, 80), (68, 80)).cells) == 0
    assert len(emptied((60, 80), (98, 80)).cells) == 2


@settings(deadline=None, max_examples=25)
@given(seed=st.integers(0, 10_000))
def test_boxes_go_with_their_cells(seed: int) -> None:
    """However a cell is turned and wherever it lies, its box holds just its absorbing pixels."""
    pool = emptied((60, 80), (140, 120)).cells
    wide, used = compose(
        pool, np.array([0.8, 0.8, 0.8], np.float32), (300, 240), 0.9, np.random.default_rng(seed)
    )
    assert used == 2
    dark = wide.image.min(axis=2) < 190
    for x1, y1, x2, y2 in np.rint(wide.boxes).astype(int):
        assert dark[y1 + 3 : y2 - 3, x1 + 3 : x2 - 3].mean() > 0.75
        dark[max(0, y1 - 1) : y2 + 1, max(0, x1 - 1) : x2 + 1] = False
    assert not dark.any()


def test_cells_hardly_overlap() -> None:
    """Centres of composed discs keep nearly a diameter's distance."""
    pool = emptied((60, 80), (140, 120)).cells * 12
    wide, _ = compose(pool, np.ones(3, np.float32), (400, 400), 0.4, np.random.default_rng(3))
    centres = (wide.boxes[:, :2] + wide.boxes[:, 2:]) / 2
    assert len(centres) > 15
    assert min(np.hypot(*(a - b)) for a, b in combinations(centres, 2)) > 0.75 * 37


def test_every_cell_is_used_once() -> None:
    """The fields of one camera together hold every whole cell, none twice."""
    pictures = [emptied((60, 80), (140, 120)), emptied((50, 50), (150, 150), (100, 100))]
    fields = list(wide_fields(pictures, 100, UM, np.random.default_rng(1)))
    assert sum(len(field.boxes) for field in fields) == 5
    assert all(field.image.shape == (500, 500, 3) for field in fields)


def test_fields_are_no_denser_than_places_at_random_allow() -> None:
    """A crowded source gives a monolayer."""
    crowded = Emptied(emptied((60, 80), (140, 120)).cells * 60, np.ones(3, np.float32), 0.9)
    field = next(wide_fields([crowded], 100, UM, np.random.default_rng(1)))
    assert (field.image.min(axis=2) < 200).mean() < MOST_COVERED + 0.05


def test_no_pictures_give_no_fields() -> None:
    """Nothing in, nothing out."""
    assert list(wide_fields([], 100, UM, np.random.default_rng(1))) == []
    assert list(wide_fields([emptied()], 100, UM, np.random.default_rng(1))) == []


def test_real_cells_keep_their_colour(data) -> None:  # type: ignore[no-untyped-def]
    """White cells of real fields stay darker than red ones once composed."""
    samples, names = load_fields(data / "fields" / "txl_val.json", data / "fields" / "images")
    scales = annotated_scales(samples, names)
    own: list[FieldSample] = [s for s in samples if s.source == "pbc"][:6]
    pictures = [lift(read_field(s), scales[s.image_id], s.boxes, s.kinds, 0.15) for s in own]
    wide = next(wide_fields(pictures, 60, 0.15, np.random.default_rng(1)))
    sample = wide_sample(wide, own[0], 7)
    assert (sample.image_id, sample.width, sample.labelled) == (7, 400, own[0].labelled)
    means = {
        name: np.mean(
            [
                np.quantile(wide.image[y1:y2, x1:x2, 1], 0.1)
                for x1, y1, x2, y2 in wide.boxes[wide.kinds == names.index(name)].astype(int)
            ]
        )
        for name in ("WBC", "RBC")
    }
    assert means["WBC"] < means["RBC"] - 30
