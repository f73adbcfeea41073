"""Scale from red cells: the demo smear, whose scale is known, in many guises."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from edgeleuk.analysis.analyser import Analyser
from edgeleuk.errors import ScaleError
from edgeleuk.imaging.field_of_view import find_ellipse
from edgeleuk.imaging.resampling import resize
from edgeleuk.lab.evaluation.datasets import annotated_scales, load_fields
from edgeleuk.lab.evaluation.photographs import View, photograph
from edgeleuk.models.manifest import RED_CELL_BOX_UM
from edgeleuk.scale.agreement import common, contradicted, pooled
from edgeleuk.scale.red_cells import SYSTEMATIC_ERROR, _measured, estimate_scale, guesses
from edgeleuk.sources.pictures.reading import read_picture
from edgeleuk.types import Detections, FieldOfView, Frame, Scale

DEMO_UM_PER_PX = 0.1


@pytest.mark.parametrize("factor", [0.4, 1.0, 1.7])
def test_scale_is_found_whatever_the_size(analyser: Analyser, demo_frame: Frame, factor: float) -> None:
    """The red cells give the scale within 6 % when the picture is shrunk or enlarged."""
    image = resize(demo_frame.pixels, round(demo_frame.width * factor), round(demo_frame.height * factor))
    scale = estimate_scale(image, analyser.finder)
    assert scale.um_per_px == pytest.approx(DEMO_UM_PER_PX / factor, rel=0.06)
    assert scale.source == "red cells"
    assert scale.um_per_px_x == scale.um_per_px_y


@pytest.mark.parametrize("squeeze", [0.5625, 0.75, 1.5])
def test_squeezed_picture_is_recognised(analyser: Analyser, demo_frame: Frame, squeeze: float) -> None:
    """A picture squeezed in x gets its own scale along each axis; their ratio is right within 4 %."""
    image = resize(demo_frame.pixels, round(demo_frame.width * squeeze), demo_frame.height)
    scale = estimate_scale(image, analyser.finder)
    assert scale.squeeze == pytest.approx(squeeze, rel=0.04)
    assert scale.um_per_px_y == pytest.approx(DEMO_UM_PER_PX, rel=0.08)


def test_a_frame_made_square_has_the_squeeze_of_its_shape(analyser: Analyser, demo_frame: Frame) -> None:
    """16:9 made square is 9/16 exactly, though the red cells of one picture lean a little."""
    wide = demo_frame.pixels[: demo_frame.width * 9 // 16]
    image = resize(wide, wide.shape[0], wide.shape[0])
    assert estimate_scale(image, analyser.finder).squeeze == pytest.approx(9 / 16)


def test_error_covers_the_truth(analyser: Analyser, demo_frame: Frame) -> None:
    """The reported relative error is not smaller than the error made."""
    scale = estimate_scale(demo_frame.pixels, analyser.finder)
    assert abs(scale.um_per_px / DEMO_UM_PER_PX - 1) < scale.relative_error < 0.2


def test_no_red_cells_is_refused_with_a_remedy(analyser: Analyser) -> None:
    """An empty lit field has no scale, and the error says how to give one."""
    image = np.full((400, 500, 3), (235, 225, 215), np.uint8)
    with pytest.raises(ScaleError, match=r"cannot tell the scale of blank\.png.*Focus.*--um-per-px"):
        estimate_scale(image, analyser.finder, "blank.png")


def test_noise_is_refused(analyser: Analyser) -> None:
    """A picture of noise has no red cells to measure."""
    image = np.random.default_rng(1).integers(0, 255, (400, 500, 3), np.uint8)
    with pytest.raises(ScaleError):
        estimate_scale(image, analyser.finder)


def test_cut_cell_still_shows_its_uncut_side() -> None:
    """A red cell cut by the left edge gives its height, one cut to a sliver gives nothing."""
    boxes = np.array([[10, 10, 40, 38], [0, 50, 25, 80], [0, 90, 5, 110]], np.float32)
    widths, heights, leans = _measured(boxes, 100, 200)
    assert widths.tolist() == [30]
    assert heights.tolist() == [28, 30]
    assert leans.tolist() == [np.log(30 / 28)]


@pytest.mark.data
def test_real_fields_are_scaled_within_fifteen_percent(analyser: Analyser, data: Path) -> None:
    """On a spread of validation fields the median error is under 5 %, and nine in ten are within 15 %."""
    samples, names = load_fields(data / "fields" / "txl_val.json", data / "fields" / "images")
    samples = samples[::12]
    truth = annotated_scales(samples, names)
    errors = []
    for sample in samples:
        scale = estimate_scale(read_picture(sample.path).pixels, analyser.finder)
        errors.append(abs(scale.um_per_px / truth[sample.image_id].um_per_px - 1))
    assert np.median(errors) < 0.05
    assert np.mean(np.array(errors) < 0.15) >= 0.9


def test_guesses_start_where_the_cameras_of_the_objective_are() -> None:
    """At 100x as fine as 0.03 and as coarse as a phone's 0.59; at 10x nothing that fine."""
    at_100x, at_10x = guesses((0.031, 0.138)), guesses((0.31, 1.38))
    assert at_100x[0] == pytest.approx(0.063, abs=0.001)
    assert (min(at_100x), max(at_100x)) == pytest.approx((0.03, 0.586), abs=0.001)
    assert at_10x[0] == pytest.approx(0.586, abs=0.001)
    assert (min(at_10x), max(at_10x)) == pytest.approx((0.133, 1.787), abs=0.001)


def _scale(x: float, y: float, error: float = 0.1, cells: int = 20) -> Scale:
    return Scale(x, y, "red cells", error, cells)


def test_the_pooled_scale_is_the_median_of_each_axis() -> None:
    """One picture that misleads does not move the scale of its slide."""
    scales = [_scale(0.25, 0.14), _scale(0.26, 0.15), _scale(0.9, 0.9)]
    found = pooled(scales)
    assert (found.um_per_px_x, found.um_per_px_y) == pytest.approx((0.26, 0.15))
    assert found.red_cells == 60


def test_pictures_with_few_red_cells_weigh_little() -> None:
    """Three pictures of five cells each give way to two of fifty."""
    few, many = [_scale(0.17, 0.1, cells=5)] * 3, [_scale(0.23, 0.13, cells=50)] * 2
    assert pooled([*few, *many]).um_per_px_x == pytest.approx(0.23)


def test_only_the_half_with_most_red_cells_is_pooled() -> None:
    """Fields of few red cells that are off together do not pull a slide's scale over."""
    few = [_scale(0.18, 0.10, cells=30 + i) for i in range(8)]
    many = [_scale(0.24, 0.135, cells=60 + i) for i in range(9)]
    assert pooled([*few, *many]).um_per_px_x == pytest.approx(0.24)


def test_pictures_of_one_camera_have_a_common_scale() -> None:
    """One picture that is off by a quarter is taken at the scale of the others."""
    found = common([_scale(0.174, 0.174), _scale(0.176, 0.176), _scale(0.18, 0.18), _scale(0.22, 0.22)])
    assert found
    assert found.um_per_px == pytest.approx(0.176)


def test_pictures_of_several_cameras_have_none() -> None:
    """Where every picture says another scale, each keeps its own."""
    assert common([_scale(each, each) for each in (0.05, 0.08, 0.12, 0.2, 0.3)]) is None


@pytest.mark.parametrize(("factor", "expected"), [(1.0, False), (1.25, False), (1.4, True), (0.7, True)])
def test_red_cells_contradict_the_scale_of_another_zoom(factor: float, expected: bool) -> None:
    """Boxes that would be of 1.4 times a red cell's size were taken through another lens."""
    side = RED_CELL_BOX_UM / 0.1 * factor
    boxes = np.array([[100 * i, 0, 100 * i + side, side] for i in range(12)], np.float32)
    ones = np.ones(12, np.float32)
    found = Detections(boxes, ones, np.zeros(12, np.int64), ("RBC",))
    assert contradicted(Scale.given(0.1), found, RED_CELL_BOX_UM) is expected
    assert not contradicted(Scale.given(0.1), found.where(np.arange(5)), RED_CELL_BOX_UM)


def test_pooling_lessens_the_error_but_not_that_of_the_ruler() -> None:
    """Nine pictures are three times as good as one, down to what is known of red cells themselves."""
    one, nine = pooled([_scale(0.1, 0.1)]), pooled([_scale(0.1, 0.1)] * 9)
    assert one.relative_error == pytest.approx(0.1)
    assert SYSTEMATIC_ERROR < nine.relative_error < 0.08


def test_a_scale_that_was_given_needs_no_pooling() -> None:
    """What the user vouches for is not averaged with measurements."""
    assert pooled([_scale(0.2, 0.2), Scale.given(0.1)]) == Scale.given(0.1)


def test_behind_an_eyepiece_blur_does_not_change_the_scale(analyser: Analyser, demo_frame: Frame) -> None:
    """Of the simulated smear, whose scale is known, within 4 %, sharp or blurred."""
    height, width = demo_frame.pixels.shape[:2]
    field_of_view = FieldOfView(width / 2, height / 2, height * 0.48, height * 0.48)
    for blur in (0.0, 3.0):
        pixels = cv2.GaussianBlur(demo_frame.pixels, (0, 0), blur) if blur else demo_frame.pixels
        taken = photograph(pixels, field_of_view, View())
        shrunk = (
            taken.field_of_view.semi_major * taken.field_of_view.semi_minor
        ) ** 0.5 / field_of_view.semi_major
        found = estimate_scale(taken.image, analyser.finder, field_of_view=find_ellipse(taken.image))
        assert found.um_per_px == pytest.approx(DEMO_UM_PER_PX / shrunk, rel=0.04)
