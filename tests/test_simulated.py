"""The simulated smear: what it promises about truth, repeatability and geometry."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from edgeleuk.cli import app
from edgeleuk.errors import UsageError
from edgeleuk.simulation import paint, smear_layout
from edgeleuk.simulation.smear import Camera, Optics, Smear, Stage, demo, truth_document
from edgeleuk.simulation.smear_layout import WHITE_TYPES
from edgeleuk.types import RED_CELL_UM

WHITE = dict.fromkeys(WHITE_TYPES, 1)
NOISELESS = Camera(electrons=1e12)
EVEN = Optics(vignette=0.0)


@pytest.fixture(scope="module")
def smear() -> Smear:
    return Smear.generate(3, 90.0, 80.0, WHITE, red_cells_per_mm2=6000, platelets_per_mm2=1000)


@pytest.fixture(scope="module")
def sample() -> Stage:
    return demo()


def small(smear: Smear, **options: object) -> Stage:
    return Stage(smear, um_per_px=0.2, size=(240, 200), camera=NOISELESS, optics=EVEN, **options)  # type: ignore[arg-type]


def test_the_same_seed_gives_the_same_smear_and_the_same_picture(smear: Smear) -> None:
    """Truth and pixels are a function of the seed and the request."""
    again = Smear.generate(3, 90.0, 80.0, WHITE, red_cells_per_mm2=6000, platelets_per_mm2=1000)
    assert again == smear
    first, second = (Stage(s, 0.2, (240, 200), camera=Camera(seed=4)).field() for s in (smear, again))
    np.testing.assert_array_equal(first.pixels, second.pixels)


def test_another_seed_gives_another_smear(smear: Smear) -> None:
    """The seed moves the cells."""
    other = Smear.generate(4, 90.0, 80.0, WHITE, red_cells_per_mm2=6000, platelets_per_mm2=1000)
    assert other.cells[0].x_um != smear.cells[0].x_um


def test_counts_equal_the_request(smear: Smear) -> None:
    """7,200 um2 at 6,000 and 1,000 per mm2 hold 43 red cells and 7 platelets, beside the white cells asked for."""
    assert Counter(cell.kind for cell in smear.cells) == {"WBC": 6, "RBC": 43, "Platelet": 7}
    assert Counter(cell.label for cell in smear.of("WBC")) == WHITE


def test_ids_are_unique(smear: Smear) -> None:
    """A cell is known by its id."""
    assert [cell.id for cell in smear.cells] == list(range(len(smear.cells)))


def test_red_cells_have_the_size_of_real_ones() -> None:
    """Mean 7.2 um, spread about 0.4."""
    smear = Smear.generate(1, 300.0, 300.0, {}, red_cells_per_mm2=4000, platelets_per_mm2=0)
    diameters = [cell.diameter_um for cell in smear.cells]
    assert np.mean(diameters) == pytest.approx(RED_CELL_UM, abs=0.1)
    assert np.std(diameters) == pytest.approx(paint.RED_CELL_SD_UM, abs=0.08)


@pytest.mark.parametrize("label", WHITE_TYPES)
def test_white_cells_have_the_size_of_their_type(smear: Smear, label: str) -> None:
    """The diameter lies in the type's range and the nucleus is smaller than the cell."""
    (cell,) = (cell for cell in smear.cells if cell.label == label)
    low, high = paint.HABITS[label].diameter_um
    assert low - 0.01 <= cell.diameter_um <= high + 0.01
    assert cell.nucleus_area_um2 is not None
    assert 0.25 < cell.nucleus_area_um2 / (np.pi * cell.diameter_um**2 / 4) < 0.95


def test_lobes_follow_the_type(smear: Smear) -> None:
    """Three or four in a neutrophil, two in an eosinophil, one in a mononuclear cell."""
    lobes = {cell.label: cell.lobes for cell in smear.of("WBC")}
    assert lobes["neutrophil"] in (3, 4)
    assert lobes["eosinophil"] == 2
    assert lobes["lymphocyte"] == lobes["monocyte"] == lobes["blast"] == 1


def test_red_cells_and_platelets_have_no_nucleus(smear: Smear) -> None:
    """What a kind does not have is None in its truth."""
    assert all(c.label is c.lobes is c.nucleus_area_um2 is None for c in smear.cells if c.kind != "WBC")


def test_without_nuclei_nothing_is_painted_and_the_cells_are_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """So that a live count of a simulated slide begins at once on a small computer."""
    whole = Smear.generate(5, 60.0, 60.0, {"neutrophil": 1, "lymphocyte": 1})
    monkeypatch.setattr(smear_layout, "paint", None)
    bare = Smear.place(5, 60.0, 60.0, {"neutrophil": 1, "lymphocyte": 1})
    assert bare.cells == tuple(replace(cell, nucleus_area_um2=None, lobes=None) for cell in whole.cells)


def test_white_cells_lie_apart(smear: Smear) -> None:
    """Nothing lies on a white cell."""
    for one in smear.of("WBC"):
        for other in smear.cells:
            distance = np.hypot(one.x_um - other.x_um, one.y_um - other.y_um)
            assert other is one or distance >= 0.999 * (one.diameter_um + other.diameter_um) / 2


def test_an_unknown_label_names_those_that_exist() -> None:
    """The message says which white cells can be asked for."""
    with pytest.raises(UsageError, match=r"no simulated plasma_cell.*neutrophil"):
        Smear.generate(0, 50, 50, {"plasma_cell": 1})


def test_too_many_cells_are_refused() -> None:
    """A smear is never silently short of cells."""
    with pytest.raises(UsageError, match="do not fit"):
        Smear.generate(0, 40, 40, {"monocyte": 40})


def test_boxes_lie_on_paint(smear: Smear) -> None:
    """The middle half of each true box absorbs green light, and an empty corner of the field does not."""
    stage = small(smear)
    pixels = stage.field().pixels
    empty = np.percentile(pixels[..., 1], 95)
    for cell, (x1, y1, x2, y2) in stage.truth():
        inset_x, inset_y = (x2 - x1) / 4, (y2 - y1) / 4
        patch = pixels[
            max(round(y1 + inset_y), 0) : round(y2 - inset_y),
            max(round(x1 + inset_x), 0) : round(x2 - inset_x),
        ]
        if patch.size:
            assert patch[..., 1].mean() < 0.9 * empty, cell


def test_paint_ends_at_the_box() -> None:
    """A lone cell darkens its box right up to the sides and nothing beyond them."""
    smear = Smear.generate(5, 40, 40, {"neutrophil": 1}, red_cells_per_mm2=0, platelets_per_mm2=0)
    stage = Stage(smear, 0.1, (400, 400), camera=Camera(electrons=1e12, sharpen=0), optics=EVEN)
    dark = stage.field().pixels[..., 1] < 0.95 * 230 * 0.98
    ((_, box),) = stage.truth()
    rows, columns = np.flatnonzero(dark.any(axis=1)), np.flatnonzero(dark.any(axis=0))
    measured = (columns[0], rows[0], columns[-1] + 1, rows[-1] + 1)
    np.testing.assert_allclose(measured, box, atol=3)


def test_a_cell_looks_the_same_from_two_positions(smear: Smear) -> None:
    """Without noise and falloff the fields agree where they overlap, to the rounding of levels."""
    stage = small(smear)
    x, y = stage.position_um
    here = stage.field().pixels
    stage.move_to(x + 10.0, y - 6.0)
    there = stage.field().pixels
    # 50 pixels to the right, 30 up; 8 pixels in from each side, where the blur does not see the frame's edge.
    np.testing.assert_allclose(here[8:162, 58:232].astype(int), there[38:192, 8:182].astype(int), atol=1)


def test_truth_moves_with_the_stage(smear: Smear) -> None:
    """A cell's box moves against the stage, pixel for pixel."""
    stage = small(smear)
    x, y = stage.position_um
    before = {cell.id: box for cell, box in stage.truth()}
    stage.move_to(x + 10.0, y - 6.0)
    after = {cell.id: box for cell, box in stage.truth()}
    common = before.keys() & after.keys()
    assert common
    for key in common:
        np.testing.assert_allclose(np.array(after[key]) - before[key], [-50, 30, -50, 30], atol=1e-6)


@settings(max_examples=25, deadline=None)
@given(st.floats(0, 1), st.floats(0, 1), st.sampled_from([0.5625, 0.8, 1.0, 1.25]))
def test_boxes_map_back_to_the_slide(smear: Smear, right: float, down: float, squeeze: float) -> None:
    """Frame pixels, scale and position give each cell's place on the slide."""
    stage = small(smear, squeeze=squeeze)
    x1, y1, x2, y2 = stage.limits_um
    stage.move_to(x1 + right * (x2 - x1), y1 + down * (y2 - y1))
    x, y = stage.position_um
    for cell, box in stage.truth():
        px, py = (box[0] + box[2]) / 2 - stage.width / 2, (box[1] + box[3]) / 2 - stage.height / 2
        middle = np.array([cell.box_um[0] + cell.box_um[2], cell.box_um[1] + cell.box_um[3]]) / 2
        np.testing.assert_allclose([x, y] + np.array([px, py]) * stage.um_per_px, middle, atol=1e-6)


def test_squeeze_narrows_the_boxes(smear: Smear) -> None:
    """At 0.5 every cell is as high as ever and half as wide, as Scale.squeeze has it."""
    stage = Stage(smear, um_per_px=0.2, size=(200, 200), squeeze=0.5)
    for cell, (x1, y1, x2, y2) in stage.truth():
        assert y2 - y1 == pytest.approx((cell.box_um[3] - cell.box_um[1]) / 0.2)
        assert x2 - x1 == pytest.approx((cell.box_um[2] - cell.box_um[0]) / 0.2 * 0.5)


def test_squeezed_paint_lies_in_the_squeezed_box() -> None:
    """The picture is squeezed as the truth is."""
    smear = Smear.generate(5, 60, 60, {"neutrophil": 1}, red_cells_per_mm2=0, platelets_per_mm2=0)
    stage = Stage(smear, 0.15, (200, 400), squeeze=0.5, camera=Camera(electrons=1e12, sharpen=0), optics=EVEN)
    dark = stage.field().pixels[..., 1] < 0.95 * 230 * 0.98
    ((_, box),) = stage.truth()
    rows, columns = np.flatnonzero(dark.any(axis=1)), np.flatnonzero(dark.any(axis=0))
    np.testing.assert_allclose((columns[0], rows[0], columns[-1] + 1, rows[-1] + 1), box, atol=3)


def test_the_stage_stays_on_the_smear(smear: Smear) -> None:
    """It goes to its limits and refuses to go beyond, naming them."""
    stage = small(smear)
    x1, y1, x2, y2 = stage.limits_um
    for place in ((x1, y1), (x2, y2)):
        stage.move_to(*place)
        assert stage.position_um == pytest.approx(place, abs=0.11)
    with pytest.raises(UsageError, match="x can be 24 to 66, y 20 to 60"):
        stage.move_to(x2 + 5, y1)


def test_a_field_larger_than_the_smear_is_refused(smear: Smear) -> None:
    """There is no slide to show beyond the smear."""
    with pytest.raises(UsageError, match="does not fit a smear of 90 x 80 um"):
        Stage(smear, 0.1, (1000, 700))


def test_defocus_blurs(smear: Smear) -> None:
    """Two micrometres out of focus take most of the fine detail away."""
    sharp, blurred = (
        Stage(smear, 0.2, (240, 200), camera=NOISELESS, optics=Optics(defocus_um=z))
        .field()
        .pixels.astype(float)
        for z in (0.0, 2.0)
    )
    assert np.abs(np.diff(blurred[..., 1])).mean() < 0.4 * np.abs(np.diff(sharp[..., 1])).mean()


def test_the_corners_are_darker_by_the_vignette() -> None:
    """An empty slide has the lamp's colour in the middle and loses the stated share in the corners."""
    smear = Smear.generate(0, 60, 60, {}, red_cells_per_mm2=0, platelets_per_mm2=0)
    camera = Camera(exposure=0.5, sharpen=0, electrons=1e12)
    optics = Optics(light_rgb=(200, 180, 160), vignette=0.2)
    pixels = Stage(smear, 0.2, (300, 300), camera=camera, optics=optics).field().pixels
    np.testing.assert_allclose(pixels[150, 150], [100, 90, 80], atol=1)
    np.testing.assert_allclose(pixels[0, 0], [80, 72, 64], atol=1)


def test_noise_changes_from_field_to_field(smear: Smear) -> None:
    """Two fields of one place differ, but only by the noise."""
    stage = Stage(smear, 0.2, (240, 200))
    first, second = stage.field().pixels.astype(int), stage.field().pixels.astype(int)
    assert 0 < np.abs(first - second).mean() < 4


def test_overlapping_cells_add_in_density() -> None:
    """Two red cells over each other absorb the square of what one lets through (Beer-Lambert)."""
    single = Smear.generate(8, 40, 40, {}, red_cells_per_mm2=625, platelets_per_mm2=0)
    (cell,) = single.cells
    double = Smear(single.seed, 40, 40, (cell, cell))
    bare, one, two = (
        Stage(s, 0.1, (400, 400), camera=Camera(electrons=1e12, sharpen=0), optics=EVEN)
        .field()
        .pixels.astype(float)
        for s in (Smear(single.seed, 40, 40, ()), single, double)
    )
    x, y = round(cell.x_um * 10), round(cell.y_um * 10)
    inside = np.s_[y - 20 : y + 20, x - 20 : x + 20]
    np.testing.assert_allclose(two[inside] / bare[inside], (one[inside] / bare[inside]) ** 2, atol=0.02)


def test_the_demo_holds_what_a_demonstration_needs(sample: Stage) -> None:
    """Fourteen whole white cells of the five mature types and one blast, many red cells, some platelets."""
    truth = sample.truth()
    labels = Counter(cell.label for cell, _ in truth if cell.kind == "WBC")
    assert labels.total() == 14
    assert set(labels) == set(WHITE_TYPES)
    assert labels["blast"] == 1
    assert all(_whole(box, sample) for cell, box in truth if cell.kind == "WBC")
    assert sum(cell.kind == "RBC" for cell, _ in truth) >= 120
    assert sum(cell.kind == "Platelet" for cell, _ in truth) >= 5
    assert sample.field().pixels.shape == (1200, 1600, 3)


def test_truth_document_is_json(sample: Stage) -> None:
    """The truth survives a round trip through JSON, boxes as lists."""
    document = truth_document(sample)
    assert json.loads(json.dumps(document)) == document
    assert len(document["cells"]) == len(sample.truth())
    assert document["um_per_px_x"] == document["um_per_px_y"] == 0.1


def test_a_field_without_room_names_the_options_that_make_it_larger(tmp_path: Path) -> None:
    """The number of cells is no option of the command."""
    arguments = ["simulate", "--seed", "1", "--width", "800", "--height", "600", "--out", str(tmp_path)]
    done = CliRunner().invoke(app, arguments)
    assert isinstance(done.exception, UsageError)
    assert "larger values of --width, --height or --um-per-px" in str(done.exception)


def _whole(box: tuple[float, float, float, float], stage: Stage) -> bool:
    return box[0] >= 0 and box[1] >= 0 and box[2] <= stage.width and box[3] <= stage.height
