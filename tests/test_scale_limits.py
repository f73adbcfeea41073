"""Limits of the scale from red cells: how many, how alike and how sure they must be, from both sides."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from numpy.typing import NDArray

from edgeleuk.errors import ScaleError
from edgeleuk.imaging.resampling import Resampling
from edgeleuk.scale.agreement import disagreeing
from edgeleuk.scale.red_cells import _Attempt, _conclude, _middle, _size, _squeeze, estimate_scale
from edgeleuk.types import RED_CELL_UM, Detections, FieldOfView, Frame, Image, Scale

BOX_UM = 7.78
GUESS = Scale(0.1, 0.1, "red cells", 1.0)
NONE: NDArray[np.float64] = np.empty(0)
UM_PER_PX = 0.1
PICTURE = np.zeros((600, 600, 3), np.uint8)
"""60 um wide."""


class KnowingFinder:
    """Finds red cells in any picture that it is shown at about the true scale."""

    um_per_px = 0.25
    manifest = SimpleNamespace(cameras=(0.031, 0.138), red_cell_box_um=BOX_UM)

    def __init__(self, cells: int = 20, score: float = 0.9, times: float | None = None) -> None:
        """`times`: size of its boxes over what red cells have, whatever scale it is shown the picture at."""
        self.cells, self.score, self.times = cells, score, times

    def find_resampled(self, small: Image, resampling: Resampling) -> Detections:
        guess = self.um_per_px * resampling.factor_x
        cells = self.cells if abs(np.log(guess / UM_PER_PX)) < 0.3 else 0
        side = BOX_UM * self.times / guess if self.times else BOX_UM / UM_PER_PX
        middle = small.shape[0] / 2 / resampling.factor_x
        box = np.array([-side, -side, side, side], np.float32) / 2 + np.float32(middle)
        kinds = np.zeros(cells, np.int64)
        return Detections(np.tile(box, (cells, 1)), np.full(cells, self.score, np.float32), kinds, ("RBC",))


def attempt(widths: int = 40, heights: int = 40, **parts: NDArray[np.float64]) -> _Attempt:
    """So many red cells that measure what they should."""
    sides = np.full(widths, BOX_UM), np.full(heights, BOX_UM)
    return _Attempt(GUESS, *sides, parts.get("leans", NONE), parts.get("diameters", NONE), BOX_UM, 1.0)


@pytest.mark.parametrize(
    ("widths", "heights", "enough"), [(1, 1, False), (2, 1, True), (0, 3, True), (0, 2, False)]
)
def test_three_sides_make_a_measure(widths: int, heights: int, enough: bool) -> None:
    """Widths and heights together; with fewer there is no merit."""
    assert attempt(widths, heights).enough is enough
    assert (attempt(widths, heights).merit > 0) is enough


@pytest.mark.parametrize(("widths", "by_axis"), [(3, False), (4, True)])
def test_four_of_each_side_make_a_measure_of_each_axis(widths: int, by_axis: bool) -> None:
    """Fewer are taken together as round."""
    assert attempt(widths, 40).by_axis is by_axis


def test_cells_that_lean_far_off_are_left_out_of_the_mean() -> None:
    """Three tenths from the median and more: two cells in one box."""
    assert _middle(np.array([0.0, 0.0, 0.0, 0.29])) == pytest.approx(0.29 / 4)
    assert _middle(np.array([0.0, 0.0, 0.0, 0.31])) == 0


@pytest.mark.parametrize(
    ("cells", "lean", "squeezed"),
    [(100, 0.119, False), (100, 0.121, True), (4, 0.2, False), (4, 0.202, True), (3, 0.5, False)],
)
def test_a_picture_is_squeezed_where_red_cells_surely_lean(cells: int, lean: float, squeezed: bool) -> None:
    """By more than an ordinary smear's do, by four standard errors, and at least four of them."""
    found = _squeeze(attempt(leans=np.full(cells, lean)), False, None)
    assert found == pytest.approx(np.exp(lean) if squeezed else 1.0)


@pytest.mark.parametrize(
    ("squeeze", "square", "told"),
    [(0.6, True, 9 / 16), (0.6, False, 0.6), (0.5, True, 9 / 16), (0.49, True, 0.49), (0.7, True, 3 / 4)],
)
def test_a_square_picture_was_most_likely_a_frame(squeeze: float, square: bool, told: float) -> None:
    """Of 16:9 or 4:3, where red cells lean by about as much."""
    found = _squeeze(attempt(leans=np.full(100, np.log(squeeze))), square, None)
    assert found == pytest.approx(told)


@pytest.mark.parametrize(("across", "squeezed"), [(1.05, False), (1.06, True)])
def test_an_eyepieces_disc_tells_a_squeeze(across: float, squeezed: bool) -> None:
    """Beyond what a tilted camera makes of it."""
    field_of_view = FieldOfView(300, 300, 250 * across, 250)
    assert _squeeze(attempt(), False, field_of_view) == pytest.approx(across if squeezed else 1.0)


@pytest.mark.parametrize(("cells", "told"), [(19, False), (20, True)])
def test_rims_tell_beside_boxes_from_twenty_cells_on(cells: int, told: bool) -> None:
    """The mean of both, in logarithms."""
    rims = attempt(diameters=np.full(cells, RED_CELL_UM / 1.1))
    assert _size(rims, 0.1) == pytest.approx(0.1 * np.sqrt(1.1) if told else 0.1)


@pytest.mark.parametrize(
    ("times", "believed"), [(1.19, True), (1.21, False), (1 / 1.19, True), (1 / 1.21, False)]
)
def test_rims_that_differ_by_a_fifth_are_none(times: float, believed: bool) -> None:
    """Boxes alone are then believed."""
    rims = attempt(diameters=np.full(40, RED_CELL_UM / times))
    assert _size(rims, 0.1) == pytest.approx(0.1 * np.sqrt(times) if believed else 0.1)


def test_the_error_is_that_of_the_median_and_of_the_ruler() -> None:
    """1.96 x 1.2533 x .08 / root of the sides x root 2, beside 7 % of the ruler's own."""
    alone = _conclude(attempt(widths=8, heights=8), False, None).relative_error
    sampling = 1.96 * 1.2533 * 0.08 / np.sqrt(16) * np.sqrt(2)
    assert alone == pytest.approx(np.hypot(sampling, 0.07))


def test_a_finder_that_knows_the_scale_tells_it() -> None:
    """As the tests below need it."""
    scale = estimate_scale(PICTURE, KnowingFinder())  # type: ignore[arg-type]
    assert scale.um_per_px == pytest.approx(0.1, rel=5e-3)
    assert scale.red_cells == 20


@pytest.mark.parametrize(("times", "believed"), [(1.19, True), (1.2, False)])
def test_what_never_measures_what_red_cells_do_is_none(times: float, believed: bool) -> None:
    """However the scale is corrected: agreement below six tenths."""
    finder = KnowingFinder(cells=40, times=times)
    if believed:
        assert estimate_scale(PICTURE, finder).red_cells == 40  # type: ignore[arg-type]
    else:
        with pytest.raises(ScaleError, match="cannot tell the scale"):
            estimate_scale(PICTURE, finder)  # type: ignore[arg-type]


@pytest.mark.parametrize(("merit", "disagrees"), [(0.34, False), (0.36, True)])
def test_few_and_faint_red_cells_do_not_disagree(merit: float, disagrees: bool) -> None:
    """With a scale under which none is found; merit is their summed scores per 100 square micrometres."""
    finder = KnowingFinder(score=merit * 60 * 60 / 100 / 20)
    empty = Detections(np.empty((0, 4), np.float32), np.empty(0, np.float32), np.empty(0, np.int64), ("RBC",))
    frame = Frame(PICTURE, "frame")
    told = disagreeing(Scale.given(0.2), empty, frame, None, finder)  # type: ignore[arg-type]
    assert bool(told) is disagrees
