"""The reader: calibrated probabilities, "unclassified" below the threshold, attributes only where they were learned."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray
from onnx import TensorProto, helper

from edgeleuk.analysis.analyser import Analyser
from edgeleuk.errors import ModelError
from edgeleuk.models import registry
from edgeleuk.models.manifest import DENSITY, Density, reader_manifest
from edgeleuk.networks.reader import BATCH, Reader, prepare, softmax
from edgeleuk.types import UNCLASSIFIED, Boxes, Image, Scale

LABELS = ["neutrophil", "lymphocyte", "blast"]
ATTRIBUTES = {"vacuoles": ["no", "yes"], "chromatin": ["open", "coarse"]}
SIZE = 16
NEUTROPHIL, LYMPHOCYTE, BLAST = (255, 0, 0), (0, 255, 0), (0, 0, 255)


def corner_network() -> bytes:
    """A network that looks at a crop's upper left quarter only: logits of 4 x its red, green, blue."""
    graph = helper.make_graph(
        [
            helper.make_node("Slice", ["image", "starts", "ends", "axes"], ["corner"]),
            helper.make_node("GlobalAveragePool", ["corner"], ["mean"]),
            helper.make_node("Flatten", ["mean"], ["colour"]),
            helper.make_node("Mul", ["colour", "four"], ["logits"]),
        ],
        "corner",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["n", 3, SIZE, SIZE])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["n", 3])],
        [
            onnx.numpy_helper.from_array(np.array(values, kind), name)
            for name, values, kind in [
                ("starts", [0, 0], np.int64),
                ("ends", [SIZE // 2, SIZE // 2], np.int64),
                ("axes", [2, 3], np.int64),
                ("four", 4.0, np.float32),
            ]
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    return model.SerializeToString()


def network(outputs: int) -> bytes:
    """A network that reads a crop's mean colour: logits of 4 x red, green, blue for the three types.

    For each attribute the two logits are 0 and 2: "yes" and "coarse" at exp(2) / (1 + exp(2)) = 0.881.
    """
    weights = np.zeros((3, outputs), np.float32)
    weights[:3, :3] = 4 * np.eye(3)[:, : min(outputs, 3)]
    bias = np.array([0, 0, 0, 0, 2, 0, 2, 0][:outputs], np.float32)
    graph = helper.make_graph(
        [
            helper.make_node("GlobalAveragePool", ["image"], ["mean"]),
            helper.make_node("Flatten", ["mean"], ["colour"]),
            helper.make_node("Gemm", ["colour", "weights", "bias"], ["logits"]),
        ],
        "colour",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["n", 3, SIZE, SIZE])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["n", outputs])],
        [onnx.numpy_helper.from_array(weights, "weights"), onnx.numpy_helper.from_array(bias, "bias")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    return model.SerializeToString()


def opened(folder: Path, outputs: int = 7, data: bytes | None = None, **changes: Any) -> Reader:
    """A reader of that network, or of `data`; `changes` replace keys of its manifest."""
    data = data or network(outputs)
    (folder / "reader.onnx").write_bytes(data)
    part = {
        "file": "reader.onnx",
        "sha256": hashlib.sha256(data).hexdigest(),
        "um_per_px": 0.2,
        "input": {"size": SIZE},
        "labels": LABELS,
        "merge": {"band": "neutrophil"},
        "temperature": 1.0,
        "threshold": 0.8,
        "attributes": ATTRIBUTES,
        "attribute_thresholds": {"vacuoles": 0.85, "chromatin": 0.9},
        "attributes_assessed_on": ["neutrophil", "lymphocyte"],
        "false_positive_rates": {},
    }
    return Reader(reader_manifest(folder, part | changes), threads=1)


@pytest.fixture
def reader(tmp_path: Path) -> Reader:
    return opened(tmp_path)


def cells(*colours: tuple[int, int, int]) -> tuple[Image, Boxes]:
    """A strip of squares of one colour each, and a box in the middle of every one."""
    image = np.concatenate([np.full((40, 40, 3), colour, np.uint8) for colour in colours], axis=1)
    boxes = np.array([[40 * i + 10, 10, 40 * i + 30, 30] for i in range(len(colours))], np.float32)
    return image, boxes


# Probabilities


@given(arrays(np.float32, (3, 4), elements=st.floats(-1e4, 1e4, width=32)), st.floats(-100, 100))
def test_softmax_is_a_distribution(logits: NDArray[np.float32], shift: float) -> None:
    """Rows sum to 1, keep their order, and a shift of all logits changes nothing; large ones overflow nothing."""
    probabilities = softmax(logits)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, rtol=1e-5)
    assert (probabilities >= 0).all()
    rows = np.arange(3)
    np.testing.assert_array_equal(probabilities[rows, logits.argmax(axis=1)], probabilities.max(axis=1))
    shifted = softmax(logits.astype(np.float64) + shift)
    np.testing.assert_allclose(shifted, softmax(logits.astype(np.float64)), atol=1e-9)


def test_softmax_has_exact_values() -> None:
    """Logits of log 1, log 2 and log 5 are shares of 1/8, 2/8 and 5/8."""
    np.testing.assert_allclose(softmax(np.log(np.array([[1.0, 2.0, 5.0]]))), [[0.125, 0.25, 0.625]])


@pytest.mark.parametrize(("views", "seen"), [(1, [1, 0, 0]), (2, [0.5, 0.5, 0]), (4, [0.25, 0.25, 0.5])])
def test_turned_views_of_a_cell_are_averaged(tmp_path: Path, views: int, seen: list[float]) -> None:
    """A crop red in one corner, green in the opposite and blue in the other two: logits are the mean over the turns."""
    reader = opened(
        tmp_path,
        data=corner_network(),
        input={"size": SIZE, "views": views},
        attributes={},
        attribute_thresholds={},
    )
    half = SIZE // 2
    crop = np.full((SIZE, SIZE, 3), BLAST, np.uint8)
    crop[:half, :half], crop[half:, half:] = NEUTROPHIL, LYMPHOCYTE
    types, _ = reader.probabilities(crop[None])
    np.testing.assert_allclose(types, softmax(4 * np.array([seen])), rtol=1e-5)


def test_a_number_of_views_that_are_no_quarter_turns_is_refused(tmp_path: Path) -> None:
    """The manifest says which there are."""
    with pytest.raises(ValueError, match="views 3 is not 1, 2, 4"):
        opened(tmp_path, input={"size": SIZE, "views": 3})


def test_probabilities_are_of_types_and_of_each_attribute(reader: Reader) -> None:
    """One row a crop; the network's outputs are types first, then the values of each attribute in its order."""
    crops = np.stack([np.full((SIZE, SIZE, 3), colour, np.uint8) for colour in (NEUTROPHIL, BLAST)])
    types, attributes = reader.probabilities(crops)
    sure, other = np.exp(4) / (np.exp(4) + 2), 1 / (np.exp(4) + 2)
    np.testing.assert_allclose(types, [[sure, other, other], [other, other, sure]], rtol=1e-5)
    assert list(attributes) == ["vacuoles", "chromatin"]
    for values in attributes.values():
        np.testing.assert_allclose(values, [[1 - 0.8807971, 0.8807971]] * 2, rtol=1e-5)


def test_temperature_flattens_types_and_leaves_attributes(tmp_path: Path) -> None:
    """At temperature 2 the logits of the types count half; attributes have thresholds of their own instead."""
    crops = np.full((1, SIZE, SIZE, 3), NEUTROPHIL, np.uint8)
    types, attributes = opened(tmp_path, temperature=2.0).probabilities(crops)
    assert types[0, 0] == pytest.approx(np.exp(2) / (np.exp(2) + 2), rel=1e-5)
    assert attributes["vacuoles"][0, 1] == pytest.approx(0.8807971, rel=1e-5)


def test_a_batch_reads_as_cells_one_by_one(reader: Reader) -> None:
    """More cells than a batch holds give the same readings in the same order."""
    colours = [(NEUTROPHIL, LYMPHOCYTE, BLAST)[i % 3] for i in range(2 * BATCH + 3)]
    image, boxes = cells(*colours)
    together = reader.read(image, Scale.given(0.2), boxes)
    assert together == [
        reader.read(image, Scale.given(0.2), boxes[i : i + 1])[0] for i in range(len(colours))
    ]
    assert [reading.label for reading in together] == [LABELS[i % 3] for i in range(2 * BATCH + 3)]


# Readings


def test_the_best_type_is_the_label(reader: Reader) -> None:
    """A cell read with 0.96 is named, with the probability of every type."""
    (reading,) = reader.read(*_at(cells(LYMPHOCYTE)))
    assert reading.label == "lymphocyte"
    assert reading.probability == pytest.approx(np.exp(4) / (np.exp(4) + 2), rel=1e-5)
    assert list(reading.probabilities) == LABELS
    assert sum(reading.probabilities.values()) == pytest.approx(1)


def _at(strip: tuple[Image, Boxes]) -> tuple[Image, Scale, Boxes]:
    return strip[0], Scale.given(0.2), strip[1]


def test_below_the_threshold_a_cell_is_unclassified(reader: Reader) -> None:
    """A doubtful cell gets no name; how probable the best type was is still told."""
    (reading,) = reader.read(*_at(cells((255, 200, 0))))
    assert reading.label == UNCLASSIFIED
    assert reading.probability == reading.probabilities["neutrophil"] < 0.8
    assert not any(attribute.sure for attribute in reading.attributes.values())


@pytest.mark.parametrize(("threshold", "label"), [(0.5, "neutrophil"), (0.5000001, UNCLASSIFIED)])
def test_a_probability_at_the_threshold_is_enough(tmp_path: Path, threshold: float, label: str) -> None:
    """Two types equally probable: at a threshold of one half the first of them is the label."""
    reader = opened(
        tmp_path, 2, labels=LABELS[:2], attributes={}, attribute_thresholds={}, threshold=threshold
    )
    (reading,) = reader.read(*_at(cells((255, 255, 0))))
    assert (reading.label, reading.probability, reading.attributes) == (label, 0.5, {})


@pytest.mark.parametrize(("side_um", "label"), [(7.0, "platelet"), (7.4, UNCLASSIFIED)])
def test_a_white_cell_larger_than_a_red_cell_is_no_platelet(
    tmp_path: Path, side_um: float, label: str
) -> None:
    """However sure the network is; what is left is shared by the other types, which here are equally likely."""
    reader = opened(tmp_path, labels=["platelet", "lymphocyte", "blast"])
    image = np.full((100, 100, 3), NEUTROPHIL, np.uint8)  # the colour of the first label
    half = side_um / 0.1 / 2
    box = np.array([[50 - half, 50 - half, 50 + half, 50 + half]], np.float32)
    (reading,) = reader.read(image, Scale.given(0.1), box)
    assert reading.label == label
    assert sum(reading.probabilities.values()) == pytest.approx(1)
    if label == UNCLASSIFIED:
        assert reading.probabilities == pytest.approx({"platelet": 0, "lymphocyte": 0.5, "blast": 0.5})


def test_an_attribute_is_sure_from_its_own_threshold(reader: Reader) -> None:
    """0.881 is sure where 0.85 is asked, and only shown where 0.9 is."""
    (reading,) = reader.read(*_at(cells(NEUTROPHIL)))
    vacuoles, chromatin = reading.attributes["vacuoles"], reading.attributes["chromatin"]
    assert (vacuoles.value, vacuoles.sure) == ("yes", True)
    assert (chromatin.value, chromatin.sure) == ("coarse", False)
    assert vacuoles.probability == chromatin.probability == pytest.approx(0.8807971, rel=1e-5)


def test_attributes_are_never_sure_on_types_they_were_not_learned_on(reader: Reader) -> None:
    """No blast carried attribute labels in training, so nothing is claimed of a blast."""
    (reading,) = reader.read(*_at(cells(BLAST)))
    assert reading.label == "blast"
    assert [attribute.sure for attribute in reading.attributes.values()] == [False, False]
    assert reading.attributes["vacuoles"].value == "yes"


def test_a_second_level_is_read_on_its_type_only(tmp_path: Path) -> None:
    """A stage is sure on a neutrophil by its own threshold, and is not there on any other cell."""
    reader = opened(tmp_path, subtypes={"neutrophil": "vacuoles"}, attributes_assessed_on=["lymphocyte"])
    neutrophil, lymphocyte, unclassified = reader.read(*_at(cells(NEUTROPHIL, LYMPHOCYTE, (255, 200, 0))))
    assert (neutrophil.attributes["vacuoles"].value, neutrophil.attributes["vacuoles"].sure) == ("yes", True)
    assert not neutrophil.attributes["chromatin"].sure
    assert [list(reading.attributes) for reading in (lymphocyte, unclassified)] == [["chromatin"]] * 2


def test_an_unsure_second_level_is_not_called_sure(tmp_path: Path) -> None:
    """0.881 is not enough where 0.9 is asked."""
    (reading,) = opened(tmp_path, subtypes={"neutrophil": "chromatin"}).read(*_at(cells(NEUTROPHIL)))
    assert not reading.attributes["chromatin"].sure


def test_no_cells_give_no_readings(reader: Reader) -> None:
    """A field without white cells is read without a call of the network."""
    assert reader.read(np.zeros((40, 40, 3), np.uint8), Scale.given(0.2), np.zeros((0, 4), np.float32)) == []


def test_a_cell_is_read_at_the_models_scale(reader: Reader) -> None:
    """The same cell in a picture squeezed to 60 % and one of twice the size gives the same reading."""
    image, boxes = cells(BLAST, NEUTROPHIL, LYMPHOCYTE)
    small = image[:, ::2][::2]
    (plain,) = reader.read(image, Scale.given(0.2), boxes[1:2])
    (half,) = reader.read(small, Scale.given(0.4), boxes[1:2] / 2)
    (tall,) = reader.read(image[:, ::2], Scale(0.4, 0.2, "red cells", 0.05), boxes[1:2] / [2, 1, 2, 1])
    assert plain == half == tall
    assert plain.label == "neutrophil"


def test_crops_are_prepared_as_planes_from_0_to_1() -> None:
    """(N, S, S, 3) uint8 becomes (N, 3, S, S) float32, contiguous as the network wants it."""
    crops = np.random.default_rng(0).integers(0, 256, (2, 5, 5, 3)).astype(np.uint8)
    batch = prepare(crops)
    assert (batch.dtype, batch.flags.c_contiguous) == (np.float32, True)
    np.testing.assert_array_equal(batch, crops.transpose(0, 3, 1, 2).astype(np.float32) / 255)


@pytest.mark.parametrize("outputs", [3, 6, 8])
def test_a_network_of_other_labels_than_its_manifest_is_refused(tmp_path: Path, outputs: int) -> None:
    """An output too few or too many would shift every attribute."""
    with pytest.raises(ModelError, match=rf"gives {outputs} values; .* need 7\. Publish the model again"):
        opened(tmp_path, outputs).read(*_at(cells(BLAST)))


def test_a_network_of_another_size_is_a_model_error(tmp_path: Path) -> None:
    """A manifest whose crop size is not the network's is told in one line."""
    reader = opened(tmp_path, input={"size": 2 * SIZE})
    with pytest.raises(ModelError, match=r"^the network failed on an input of \(1, 3, 32, 32\): [^\n]*$"):
        reader.read(*_at(cells(BLAST)))


def test_the_reader_that_ships_agrees_with_its_manifest(analyser: Analyser) -> None:
    """It has the types and attributes that its manifest names, and any picture gives distributions of them."""
    reader = analyser.reader
    crops = np.random.default_rng(0).integers(0, 256, (2, reader.manifest.size, reader.manifest.size, 3))
    types, attributes = reader.probabilities(crops.astype(np.uint8))
    assert types.shape == (2, len(reader.labels))
    assert {name: values.shape for name, values in attributes.items()} == {
        name: (2, len(values)) for name, values in reader.attributes.items()
    }
    np.testing.assert_allclose(types.sum(axis=1), 1, rtol=1e-5)


def stained(rng: np.random.Generator) -> NDArray[np.float64]:
    """A crop's optical density, (64, 64, 3): background, cytoplasm and nucleus."""
    density = np.zeros((64, 64, 3))
    density[10:54, 10:54] = (0.2, 0.3, 0.1)
    density[20:44, 20:44] = (0.9, 1.1, 0.6)
    return density + rng.uniform(0, 0.02, density.shape)


def levels(light: NDArray[np.float64]) -> NDArray[np.uint8]:
    return np.rint(255 * light).clip(0, 255).astype(np.uint8)


@given(
    lamp=st.tuples(*[st.floats(0.6, 1.0)] * 3),
    dye=st.tuples(*[st.floats(0.7, 1.3)] * 3),
    seed=st.integers(0, 100),
)
def test_density_forgets_the_lamp_and_the_strength_of_the_stain(
    lamp: tuple[float, float, float], dye: tuple[float, float, float], seed: int
) -> None:
    """Another white balance and another staining time give the same input but for rounding."""
    density = stained(np.random.default_rng(seed))
    plain = prepare(levels(np.exp(-density))[None], DENSITY)
    other = prepare(levels(np.array(lamp) * np.exp(-density * np.array(dye)))[None], DENSITY)
    assert np.abs(plain - other).max() < 0.12
    assert np.abs(plain - other).mean() < 0.02


RAMP = np.kron(np.arange(100, 200).reshape(10, 10), np.ones((2, 2), int)).astype(np.uint8)
"""(20, 20) levels 100 to 199, each as often: the program looks at every second pixel along both axes, 100 in all."""


def told_by_default(folder: Path) -> Density:
    """How a reader stretches whose manifest says only that it does."""
    density = opened(folder, input={"size": SIZE, "normalise": "density"}).manifest.density
    assert density is not None
    return density


@pytest.mark.parametrize("ships", [True, False])
def test_the_dark_and_the_white_level_are_the_third_and_the_ninety_fifth_percentile(
    model: registry.Model, tmp_path: Path, ships: bool
) -> None:
    """Of levels 100 to 199 they are 103 and 194: 1 and 0 in the network's eyes, and logarithmic in between."""
    density = model.reader.density if ships else told_by_default(tmp_path)
    crop = np.repeat(RAMP[None, ..., None], 3, axis=3)
    batch = prepare(crop, density)[0, 0]
    at = {level: float(batch[level == RAMP][0]) for level in (103, 150, 194, 199)}
    middle = np.log(194 / 150) / np.log(194 / 103)
    assert at == pytest.approx({103: 1.0, 150: middle, 194: 0.0, 199: 0.0}, abs=1e-6)


@pytest.mark.parametrize(
    ("density", "darkest"),
    [
        (Density(0.03, 0.95, 0.15, 1.3), np.log(194 / 100) / np.log(194 / 103)),
        (Density(0.03, 0.95, 2.0, 1.3), np.log(194 / 100) / 2.0),
        (Density(0.5, 0.95, 0.15, 1.3), 1.3),
    ],
)
def test_density_is_stretched_by_the_manifests_numbers(density: Density, darkest: float) -> None:
    """Between the two levels, over no less than the least contrast, and no further than the densest."""
    batch = prepare(np.repeat(RAMP[None, ..., None], 3, axis=3), density)
    assert batch.max() == pytest.approx(darkest)


def test_density_runs_from_background_to_nucleus() -> None:
    """0 where the crop is brightest, about 1 in the nucleus, never more than its end."""
    batch = prepare(levels(np.exp(-stained(np.random.default_rng(1))))[None], DENSITY)
    assert batch.shape == (1, 3, 64, 64)
    assert batch.dtype == np.float32
    assert batch[0, :, :8].mean() == pytest.approx(0, abs=0.03)
    assert batch[0, :, 24:40, 24:40].mean() == pytest.approx(1, abs=0.03)
    assert 0 <= batch.min() <= batch.max() <= DENSITY.most_dense


def test_an_empty_crop_stays_empty() -> None:
    """Sensor noise on a bare background is not stretched into a cell."""
    noise = np.random.default_rng(1).normal(200, 1, (1, 64, 64, 3))
    assert prepare(np.rint(noise).astype(np.uint8), DENSITY).mean() < 0.1
