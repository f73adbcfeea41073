"""The finder: network output to boxes, duplicates suppressed, large fields in tiles as in one piece."""

from __future__ import annotations

import copy
import hashlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from onnx import TensorProto, helper

from edgeleuk.analysis.analyser import Analyser
from edgeleuk.errors import ModelError, ScaleError
from edgeleuk.imaging.resampling import Resampling
from edgeleuk.models import registry
from edgeleuk.models.manifest import MAX_CANDIDATES, TILING, FinderManifest, finder_manifest
from edgeleuk.networks.finder import Finder, decode, prepare
from edgeleuk.networks.tiling import tiles
from edgeleuk.scale.red_cells import estimate_scale
from edgeleuk.sources.pictures.reading import read_picture
from edgeleuk.types import Detections, Frame, Image, Scale

NEVER = -99.0


def logit(score: float) -> float:
    return float(np.log(score / (1 - score)))


# Decoding


def grids(classes: int, height: int, width: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Network output that finds nothing: logits (K, h, w), and distances (4, h, w) of one stride each."""
    return np.full((classes, height, width), NEVER, np.float32), np.zeros((4, height, width), np.float32)


def test_a_cell_of_the_grid_becomes_a_box_around_its_centre() -> None:
    """Class 1 at row 2, column 5 of a grid of stride 4: left, top, right, bottom of 1, 2, 3 and 4 strides."""
    logits, distances = grids(2, 6, 8)
    logits[1, 2, 5] = logit(0.75)
    distances[:, 2, 5] = np.log([1, 2, 3, 4])
    found = decode(logits, distances, np.array([0.5, 0.5], np.float32), 4, MAX_CANDIDATES)
    np.testing.assert_allclose(found.boxes, [[22 - 4, 10 - 8, 22 + 12, 10 + 16]], rtol=1e-6)
    np.testing.assert_allclose(found.scores, [0.75], rtol=1e-6)
    assert found.kinds.tolist() == [1]
    assert (found.boxes.dtype, found.scores.dtype, found.kinds.dtype) == (np.float32, np.float32, np.int64)


def test_each_class_has_its_own_floor() -> None:
    """What does not reach the floor of its class is dropped; one grid cell may hold two classes."""
    logits, distances = grids(2, 1, 3)
    logits[:, 0, :] = [[logit(0.6), logit(0.4), logit(0.6)], [logit(0.6), logit(0.8), logit(0.9)]]
    found = decode(logits, distances, np.array([0.5, 0.7], np.float32), 4, MAX_CANDIDATES)
    assert sorted(zip(found.kinds.tolist(), (found.boxes[:, 0] // 4).tolist(), strict=True)) == [
        (0, -1 + 0.0),
        (0, 1.0),
        (1, 0.0),
        (1, 1.0),
    ]


def test_a_score_at_the_floor_is_found() -> None:
    """Thresholds are the least score, not the first one too low."""
    logits, distances = grids(1, 1, 1)
    logits[0, 0, 0] = 0.0
    assert len(decode(logits, distances, np.array([0.5], np.float32), 4, MAX_CANDIDATES).scores) == 1


def test_nothing_found_is_an_empty_result() -> None:
    """An empty field gives arrays of shape (0, 4) and (0,)."""
    found = decode(*grids(3, 4, 4), np.full(3, 0.01, np.float32), 4, MAX_CANDIDATES)
    assert (found.boxes.shape, found.scores.shape, found.kinds.shape) == ((0, 4), (0,), (0,))


def test_extreme_outputs_overflow_nothing() -> None:
    """Logits and distances beyond float32's exponential give scores of 0 and 1 and a large, finite box."""
    logits, distances = grids(1, 1, 2)
    logits[0, 0] = [-1e30, 1e30]
    distances[:, 0] = [[-1e30, 1e30]] * 4
    found = decode(logits, distances, np.array([0.5], np.float32), 4, MAX_CANDIDATES)
    assert found.scores.tolist() == [1.0]
    assert np.isfinite(found.boxes).all()


def test_of_too_many_candidates_the_best_stay() -> None:
    """A grid that is all one cell is cut to the best candidates, not to the first ones."""
    logits, distances = grids(1, 200, 200)
    logits[0] = np.random.default_rng(0).permutation(200 * 200).reshape(200, 200) / 200**2 * 4
    found = decode(logits, distances, np.array([0.5], np.float32), 4, MAX_CANDIDATES)
    best = np.sort(1 / (1 + np.exp(-logits.ravel())))[-MAX_CANDIDATES:]
    np.testing.assert_allclose(np.sort(found.scores), best, rtol=1e-6)


# Preparing


def test_padding_stands_right_and_below() -> None:
    """RGB in planes from 0 to 1, with the pad value outside the picture."""
    image = np.arange(3 * 5 * 3, dtype=np.uint8).reshape(3, 5, 3)
    batch = prepare(image, 4, 0.5)
    assert (batch.shape, batch.dtype) == ((1, 3, 4, 8), np.float32)
    np.testing.assert_array_equal(batch[0, :, :3, :5], image.transpose(2, 0, 1).astype(np.float32) / 255)
    assert (batch[0, :, 3, :] == 0.5).all()
    assert (batch[0, :, :, 5:] == 0.5).all()


def test_a_size_that_fits_is_not_padded() -> None:
    """White is 1, and a whole multiple stays as large as it is."""
    batch = prepare(np.full((64, 32, 3), 255, np.uint8), 32, 0.0)
    assert batch.shape == (1, 3, 64, 32)
    assert (batch == 1).all()


# With a network whose answers are known

SIDES = (10.0, 14.0)
"""Width and height of every box of the plain network, input pixels."""


def plain_network(classes: int = 2, distances: int = 4) -> onnx.ModelProto:
    """A network that finds class 0 where the picture is red and class 1 where it is green, always of one size.

    Each cell of its grid, 4 x 4 pixels, is judged by its own mean colour: logit 16 x (red or green - 3/4).
    """
    weights = np.zeros((classes, 3, 4, 4), np.float32)
    for k in range(classes):
        weights[k, k % 3] = 16 / 16
    log_sides = np.log(np.array([SIDES[0], SIDES[1], SIDES[0], SIDES[1]][:distances]) / 2 / 4).astype(
        np.float32
    )
    constants = {
        "weights": weights,
        "bias": np.full(classes, -12, np.float32),
        "zeros": np.zeros((distances, 3, 4, 4), np.float32),
        "log_sides": log_sides,
    }
    convolution = {"kernel_shape": [4, 4], "strides": [4, 4]}
    graph = helper.make_graph(
        [
            helper.make_node("Conv", ["image", "weights", "bias"], ["classes"], **convolution),
            helper.make_node("Conv", ["image", "zeros", "log_sides"], ["distances"], **convolution),
        ],
        "plain",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, 3, "h", "w"])],
        [
            helper.make_tensor_value_info("classes", TensorProto.FLOAT, [1, classes, "y", "x"]),
            helper.make_tensor_value_info("distances", TensorProto.FLOAT, [1, distances, "y", "x"]),
        ],
        [onnx.numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def manifest(folder: Path, data: bytes, **changes: object) -> FinderManifest:
    """Of a network of two classes; `changes` replace its keys."""
    (folder / "finder.onnx").write_bytes(data)
    return finder_manifest(
        folder,
        {
            "file": "finder.onnx",
            "sha256": hashlib.sha256(data).hexdigest(),
            "um_per_px": 0.25,
            "stride": 4,
            "input": {"multiple": 32, "pad": 1.0},
            "classes": ["WBC", "RBC"],
            "thresholds": {"WBC": 0.9, "RBC": 0.6},
            "nms_iou": 0.5,
        }
        | changes,
    )


def with_numbers(finder: Finder, **numbers: object) -> Finder:
    """The same network under other numbers."""
    other = copy.copy(finder)
    other.manifest = replace(finder.manifest, **numbers)  # type: ignore[arg-type]
    return other


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Finder:
    return Finder(manifest(tmp_path_factory.mktemp("plain"), plain_network().SerializeToString()), threads=1)


def field(width: int, height: int, marks: dict[tuple[int, int], tuple[int, int, int]]) -> Image:
    """A black field with coloured 4 x 4 marks, each in one cell of the network's grid, by column and row."""
    image = np.zeros((height, width, 3), np.uint8)
    for (column, row), colour in marks.items():
        image[4 * row : 4 * row + 4, 4 * column : 4 * column + 4] = colour
    return image


def listed(found: Detections) -> list[tuple[str, list[float]]]:
    """Kind and box of each, to a thousandth of a pixel."""
    boxes = found.boxes.round(3).tolist()
    return [(found.names[kind], box) for kind, box in zip(found.kinds, boxes, strict=True)]


def test_what_reaches_its_threshold_is_found_best_first(plain: Finder) -> None:
    """A green cell at 0.98 comes first, then a red one at 0.95; a red one at 0.88 is under its class's threshold."""
    image = field(100, 80, {(5, 5): (240, 0, 0), (12, 5): (0, 255, 0), (12, 15): (225, 0, 0)})
    found = plain.find(image, Scale.given(0.25))
    assert listed(found) == [("RBC", [45, 15, 55, 29]), ("WBC", [17, 15, 27, 29])]
    assert found.scores == pytest.approx(
        [1 / (1 + np.exp(-4)), 1 / (1 + np.exp(12 - 16 * 240 / 255))], rel=1e-4
    )


def test_with_a_floor_everything_above_it_is_found(plain: Finder) -> None:
    """For average precision the thresholds of the classes do not count, and one thing may have two names."""
    image = field(100, 80, {(5, 5): (200, 0, 0), (12, 5): (255, 255, 0)})
    assert len(plain.find(image, Scale.given(0.25), floor=0.5)) == 3
    assert len(plain.find(image, Scale.given(0.25))) == 1


@pytest.mark.parametrize(("most", "names"), [(0.42, ["WBC"]), (0.43, ["WBC", "RBC"])])
def test_two_classes_that_overlap_are_one_thing_from_the_manifests_overlap_on(
    plain: Finder, most: float, names: list[str]
) -> None:
    """Boxes of 10 x 14 pixels, 4 apart, share 6 of 16 columns: 84 of 196 pixels, 0.4286."""
    image = field(100, 80, {(5, 5): (255, 0, 0), (6, 5): (0, 240, 0)})
    found = with_numbers(plain, same_thing_iou=most).find(image, Scale.given(0.25))
    assert [found.names[kind] for kind in found.kinds] == names


@pytest.mark.parametrize(("share", "white"), [(None, 2), (0.61, 2), (0.59, 1)])
def test_nested_white_cells_count_once_from_the_manifests_share_on(
    plain: Finder, share: float | None, white: int
) -> None:
    """Boxes of 10 x 14 pixels whose middles are 4 apart share 0.6 of each, and not enough to be suppressed."""
    image = field(
        100, 80, {(5, 5): (255, 0, 0), (6, 5): (250, 0, 0), (20, 5): (0, 255, 0), (21, 5): (0, 250, 0)}
    )
    found = with_numbers(plain, nested_share=share, nms_iou=0.5).find(image, Scale.given(0.25))
    assert (len(found.of("WBC")), len(found.of("RBC"))) == (white, 2)
    assert found.of("WBC").scores.max() == pytest.approx(1 / (1 + np.exp(-4)), rel=1e-4)


def test_without_nested_boxes_nothing_changes(analyser: Analyser, demo_frame: Frame) -> None:
    """To the last bit: the demo smear has none."""
    finder = analyser.finder
    assert finder.manifest.nested_share == 0.9
    one = finder.find(demo_frame.pixels, Scale.given(0.1))
    other = with_numbers(finder, nested_share=None).find(demo_frame.pixels, Scale.given(0.1))
    assert (one.boxes.tobytes(), one.scores.tobytes()) == (other.boxes.tobytes(), other.scores.tobytes())
    assert (one.kinds == other.kinds).all()


@pytest.mark.data
def test_no_white_cell_of_a_real_slide_is_boxed_twice(data: Path) -> None:
    """Three fields of 40x slides, where one cell in thirteen had two; the cells beside them stay."""
    model = registry.load("40x")
    finder = Finder(model.finder)
    before = after = 0
    for name in ("patient24_088202b4", "patient24_b0f71fb4", "patient27_e5540f4e"):
        pixels = read_picture(data / "slides" / "images" / "lld40x" / f"{name}.jpg").pixels
        scale = estimate_scale(pixels, finder)
        before += len(with_numbers(finder, nested_share=None).find(pixels, scale).of("WBC"))
        white = finder.find(pixels, scale).of("WBC")
        after += len(white)
        sides = np.minimum(white.boxes[:, None, 2:], white.boxes[:, 2:]) - np.maximum(
            white.boxes[:, None, :2], white.boxes[:, :2]
        )
        areas = (white.boxes[:, 2:] - white.boxes[:, :2]).prod(axis=1)
        shared = sides.clip(0).prod(axis=2) / np.minimum(areas[:, None], areas)
        assert (shared[~np.eye(len(white), dtype=bool)] < 0.9).all()
    assert 2 <= before - after <= 4  # of 39; a score near its threshold may fall on either side elsewhere


def test_classes_have_the_names_that_they_stand_for(tmp_path: Path) -> None:
    """The program's own, everywhere behind the manifest; one that stands for none keeps its own name."""
    data = plain_network().SerializeToString()
    classes = {"classes": ["leukocyte", "parasite"], "thresholds": {"leukocyte": 0.9, "parasite": 0.6}}
    renamed = manifest(
        tmp_path, data, **classes, cell_classes={"leukocyte": "WBC"}, counted_to={"leukocyte": 0.3}
    )
    assert (renamed.classes, renamed.counted_to) == (("WBC", "parasite"), {"WBC": 0.3})
    image = field(100, 80, {(5, 5): (255, 0, 0), (12, 5): (0, 255, 0)})
    found = Finder(renamed, threads=1).find(image, Scale.given(0.25))
    assert [found.names[kind] for kind in found.kinds] == ["WBC", "parasite"]
    assert (len(found.of("WBC")), len(found.of("Platelet"))) == (1, 0)


def test_nothing_comes_from_the_padding(plain: Finder) -> None:
    """The pad value of this network is white, which looks like two kinds of cell; the picture is black."""
    assert len(plain.find(np.zeros((70, 70, 3), np.uint8), Scale.given(0.25), floor=0.01)) == 0


def test_boxes_end_at_the_picture(plain: Finder) -> None:
    """A box that reaches over the edge is cut there, in the picture's own pixels."""
    found = plain.find(field(68, 68, {(0, 0): (255, 0, 0), (16, 16): (255, 0, 0)}), Scale.given(0.25))
    assert listed(found) == [("WBC", [0, 0, 7, 9]), ("WBC", [61, 59, 68, 68])]


def test_boxes_come_back_in_the_pixels_of_a_squeezed_picture(plain: Finder) -> None:
    """A picture of 0.125 x 0.0625 um per pixel is shrunk by 2 and 4; boxes are 2 and 4 times as large in it."""
    image = field(50, 40, {(5, 5): (255, 0, 0)}).repeat(2, axis=1).repeat(4, axis=0)
    found = plain.find(image, Scale(0.125, 0.0625, "red cells", 0.05))
    assert listed(found) == [("WBC", [34, 60, 54, 116])]


@settings(max_examples=25, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 199), st.integers(0, 219)), min_size=1, max_size=12))
def test_tiles_find_what_one_piece_finds_wherever_it_lies(
    plain: Finder, places: list[tuple[int, int]]
) -> None:
    """A picture of 800 x 880 pixels in four tiles gives exactly the cells of the whole, each once."""
    image = field(800, 880, dict.fromkeys(places, (255, 0, 0)))
    quarters, whole = replace(TILING, largest=512 * 544), replace(TILING, largest=800 * 880)
    assert [len(list(tiles(800, 880, cut))) for cut in (quarters, whole)] == [4, 1]
    in_tiles = with_numbers(plain, tiling=quarters).find(image, Scale.given(0.25))
    in_one = with_numbers(plain, tiling=whole).find(image, Scale.given(0.25))
    assert sorted(listed(in_tiles)) == sorted(listed(in_one))
    assert len(in_one) >= 1


def test_a_network_of_other_classes_than_its_manifest_is_refused(tmp_path: Path) -> None:
    """A class too few or too many would rename every cell."""
    image = field(64, 64, {})
    for classes, distances in ((1, 4), (3, 4), (2, 3)):
        wrong = Finder(manifest(tmp_path, plain_network(classes, distances).SerializeToString()))
        with pytest.raises(ModelError, match=r"finder\.onnx gives .* Publish the model again"):
            wrong.find(image, Scale.given(0.25))


@pytest.mark.parametrize("data", [b"", b"no network", plain_network().SerializeToString()[:-100]])
def test_a_file_that_is_no_network_is_a_model_error(tmp_path: Path, data: bytes) -> None:
    """What onnxruntime cannot open is told in one line of our own."""
    with pytest.raises(ModelError, match=r"^onnxruntime cannot open .*finder\.onnx: [^\n]*$"):
        Finder(manifest(tmp_path, data))


def test_a_network_file_that_is_gone_is_a_model_error(tmp_path: Path) -> None:
    """Also when it vanishes after it was verified."""
    gone = manifest(tmp_path, b"")
    gone.path.unlink()
    with pytest.raises(ModelError, match="cannot open"):
        Finder(gone)


def test_a_mistaken_scale_is_refused(plain: Finder) -> None:
    """100 um per pixel would make a small picture larger than any memory."""
    with pytest.raises(ScaleError, match="Check --um-per-px"):
        plain.find(field(100, 100, {}), Scale.given(100))


# With the network that ships


def by_place(found: Detections) -> Detections:
    return found.where(np.lexsort((found.boxes[:, 0].round(), found.boxes[:, 1].round(), found.kinds)))


def overlap(a: NDArray[np.float32], b: NDArray[np.float32]) -> float:
    """Intersection over union."""
    sides = np.clip(np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2]), 0, None)
    shared = sides[0] * sides[1]
    return float(shared / ((a[2:] - a[:2]).prod() + (b[2:] - b[:2]).prod() - shared))


def test_a_large_field_is_found_in_tiles_as_in_one_piece(analyser: Analyser, demo_frame: Frame) -> None:
    """The demo smear in twelve small tiles has the same cells as in one piece, but for scores that a threshold parts."""
    finder = analyser.finder
    resampling = Resampling.to_scale(demo_frame.width, demo_frame.height, Scale.given(0.1), finder.um_per_px)
    small = resampling.apply(demo_frame.pixels)
    one = finder.find_resampled(small, resampling)
    cut = replace(TILING, largest=270 * 270)
    assert len(list(tiles(small.shape[1], small.shape[0], cut))) == 12
    many = with_numbers(finder, tiling=cut).find_resampled(small, resampling)
    assert len(one) > 100
    for first, second in ((one, many), (many, one)):
        for box, kind, score in zip(first.boxes, first.kinds, first.scores, strict=True):
            same = second.where(second.kinds == kind)
            near = max((overlap(box, other) for other in same.boxes), default=0)
            assert near > 0.8 or score < finder.thresholds[finder.names[kind]] + 0.05
