"""What the pictures of a slide say of its scale together, to the limits."""

from __future__ import annotations

import numpy as np
import pytest

from edgeleuk.scale.agreement import common, contradicted, pooled
from edgeleuk.types import Detections, Scale

BOX_UM = 7.78


def scale(um_per_px: float, red_cells: int = 50, across: float | None = None) -> Scale:
    return Scale(across or um_per_px, um_per_px, "red cells", 0.1, red_cells)


def red_cells(number: int, side_um: float, um_per_px: float = 0.1) -> Detections:
    """So many boxes of one size."""
    boxes = np.tile(np.array([0, 0, side_um / um_per_px, side_um / um_per_px], np.float32), (number, 1))
    kinds = np.ones(number, np.int64)
    return Detections(boxes, np.ones(number, np.float32), kinds, ("WBC", "RBC", "Platelet"))


@pytest.mark.parametrize(
    ("times", "contradicts"), [(1.29, False), (1.31, True), (1 / 1.29, False), (1 / 1.31, True)]
)
def test_red_cells_contradict_from_three_tenths_on(times: float, contradicts: bool) -> None:
    """Larger or smaller than the finder's boxes around red cells are."""
    assert contradicted(scale(0.1), red_cells(12, BOX_UM * times), BOX_UM) is contradicts


@pytest.mark.parametrize(("number", "contradicts"), [(11, False), (12, True)])
def test_a_dozen_red_cells_contradict_and_eleven_do_not(number: int, contradicts: bool) -> None:
    """Fewer may be something else."""
    assert contradicted(scale(0.1), red_cells(number, 2 * BOX_UM), BOX_UM) is contradicts


@pytest.mark.parametrize(("times", "agree"), [(1.149, True), (1.151, False)])
@pytest.mark.parametrize("axis", ["both", "across"])
def test_pictures_agree_within_fifteen_per_cent(times: float, agree: bool, axis: str) -> None:
    """Of the pooled scale, along the axis that differs more."""
    other = scale(0.1 * times) if axis == "both" else scale(0.1, across=0.1 * times)
    assert (common([scale(0.1, 100), other]) is not None) is agree


def test_one_picture_has_no_common_scale_and_two_that_agree_have() -> None:
    """Which is the pooled one."""
    assert common([scale(0.1)]) is None
    assert common([scale(0.1), scale(0.1)]) == pooled([scale(0.1), scale(0.1)])


def test_of_three_pictures_all_must_agree_and_of_four_two_thirds() -> None:
    """A majority of three may be chance."""
    near, far = [scale(0.1)] * 2, [scale(0.2)]
    assert common([*near, *far]) is None
    assert common([*near, scale(0.1)]) is not None
    assert common([*near, scale(0.1), *far]) is not None
    assert common([*near, *far, *far]) is None
