"""Heads of readers: written the same every time, read only where nothing is wrong with them, and applied by the reader."""

from __future__ import annotations

import hashlib
import io
import json
import os
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import packed
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper
from test_reader import LABELS, SIZE, opened

from edgeleuk.errors import ModelAlteredError, ModelError, ModelMissingError, UsageError
from edgeleuk.models import heads, registry, updates
from edgeleuk.models.derive import SCHEMA, Changes, derive
from edgeleuk.models.manifest import reader_manifest
from edgeleuk.networks.reader import BATCH, Reader, softmax

TYPES = ["neutrophil", "lymphocyte", "lymphoblast", "myeloblast", "not_a_cell"]
PRINTED = {"lymphoblast": "blast", "myeloblast": "blast"}
WEIGHT = np.array([[4, 0, 0, 1, 0], [0, 3, 0, 1, 0], [0, 0, 2, 1, -1]], np.float32)
BIAS = np.array([0, 0.5, 0, 0.25, 0], np.float32)
RED = np.full((1, SIZE, SIZE, 3), (255, 0, 0), np.uint8)


def digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def npz(**arrays: NDArray[Any]) -> bytes:
    """An archive as numpy itself writes it."""
    written = io.BytesIO()
    np.savez(written, **arrays)  # type: ignore[arg-type]  # numpy's stubs take the names for its own options
    return written.getvalue()


def mean_colour(output: str = "features") -> bytes:
    """A network whose features are a crop's mean red, green and blue, 0 to 1."""
    graph = helper.make_graph(
        [
            helper.make_node("GlobalAveragePool", ["image"], ["mean"]),
            helper.make_node("Flatten", ["mean"], [output]),
        ],
        "colour",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["n", 3, SIZE, SIZE])],
        [helper.make_tensor_value_info(output, TensorProto.FLOAT, ["n", 3])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    data: bytes = model.SerializeToString()
    return data


def with_head(
    folder: Path, weight: NDArray[Any] = WEIGHT, bias: NDArray[Any] = BIAS, data: bytes = b"", **changes: Any
) -> Reader:
    """A reader of features with a head; `changes` replace keys of its manifest."""
    sha256 = heads.save(folder / "reader-head.npz", weight, bias)
    part: dict[str, Any] = {
        "head": {"file": "reader-head.npz", "sha256": sha256},
        "labels": ["neutrophil", "lymphocyte", "blast", "not_a_cell"],
        "types": TYPES,
        "printed": PRINTED,
        "attributes": {},
        "attribute_thresholds": {},
    }
    return opened(folder, data=data or mean_colour(), **(part | changes))


# The file


def test_the_same_head_gives_the_same_bytes(tmp_path: Path) -> None:
    """Whenever and under whatever name it is written; the hash that `save` gives is that of the file."""
    sha256 = heads.save(tmp_path / "one.npz", WEIGHT, BIAS)
    assert heads.save(tmp_path / "two.npz", WEIGHT.astype(np.float64), BIAS) == sha256
    content = (tmp_path / "one.npz").read_bytes()
    assert content == (tmp_path / "two.npz").read_bytes()
    assert digest(content) == sha256


def test_a_head_is_kept_in_16_bits(tmp_path: Path) -> None:
    """What is read is what was written, to the precision of float16; numpy opens the file as any other."""
    weight = np.random.default_rng(0).normal(size=(7, 3))
    head = heads.load(tmp_path / "h.npz", heads.save(tmp_path / "h.npz", weight, np.zeros(3)))
    np.testing.assert_array_equal(head.weight, weight.astype(np.float16))
    assert (head.features, head.outputs) == (7, 3)
    with np.load(tmp_path / "h.npz", allow_pickle=False) as arrays:
        assert {name: array.dtype for name, array in arrays.items()} == {
            "weight": np.float16,
            "bias": np.float16,
        }


def test_a_head_in_32_bits_is_read_too(tmp_path: Path) -> None:
    """As numpy writes it."""
    content = npz(weight=WEIGHT / 3, bias=BIAS / 3)
    (tmp_path / "h.npz").write_bytes(content)
    head = heads.load(tmp_path / "h.npz", digest(content))
    np.testing.assert_array_equal(head.weight.astype(np.float32), WEIGHT / 3)


@pytest.mark.parametrize("weight", [WEIGHT * 1e5, WEIGHT * np.nan, WEIGHT[0], WEIGHT[:, :2], WEIGHT[:0]])
def test_what_is_no_head_is_not_written(tmp_path: Path, weight: NDArray[np.float32]) -> None:
    """Numbers beyond 16 bits, no numbers, and shapes that do not belong together."""
    with pytest.raises(ValueError, match=r"number|weight is"):
        heads.save(tmp_path / "h.npz", weight, BIAS)
    assert not list(tmp_path.iterdir())


def stored(**entries: bytes) -> bytes:
    """An archive of entries that may be anything."""
    return packed.zipped([(f"{name}.npy", content) for name, content in entries.items()])


def npy(array: NDArray[Any], pretended: tuple[int, ...] | None = None) -> bytes:
    """An entry, whose header may promise another shape."""
    written = io.BytesIO()
    header = {"descr": array.dtype.str, "fortran_order": False, "shape": pretended or array.shape}
    np.lib.format.write_array_header_1_0(written, header)  # type: ignore[arg-type]  # a dict of these three
    return written.getvalue() + array.tobytes()


def compressed() -> bytes:
    written = io.BytesIO()
    np.savez_compressed(written, weight=np.zeros((1000, 5), np.float32), bias=BIAS)
    return written.getvalue()


BAD: dict[str, Callable[[], bytes]] = {
    "no archive": lambda: b"weights",
    "empty": lambda: b"",
    "cut off": lambda: npz(weight=WEIGHT, bias=BIAS)[:-30],
    "no bias": lambda: npz(weight=WEIGHT),
    "another array": lambda: npz(weight=WEIGHT, bias=BIAS, scale=BIAS),
    "an array twice": lambda: packed.zipped([("weight.npy", npy(WEIGHT)), ("bias.npy", npy(BIAS))] * 2),
    "of other shapes": lambda: npz(weight=WEIGHT, bias=BIAS[:4]),
    "turned": lambda: npz(weight=WEIGHT.T, bias=BIAS),
    "whole numbers": lambda: npz(weight=WEIGHT.astype(np.int64), bias=BIAS),
    "objects": lambda: npz(weight=np.array([[None] * 5]), bias=BIAS),
    "no numbers": lambda: npz(weight=WEIGHT * np.nan, bias=BIAS),
    "endless": lambda: npz(weight=WEIGHT, bias=BIAS / 0.0),
    "compressed": compressed,
    "a bomb": lambda: stored(weight=npy(WEIGHT, (10**9, 5)), bias=npy(BIAS)),
    "longer than it says": lambda: stored(weight=npy(WEIGHT, (2, 5)), bias=npy(BIAS)),
    "a header of another version": lambda: stored(weight=b"\x93NUMPY\x02" + npy(WEIGHT)[7:], bias=npy(BIAS)),
    "a header that is code": lambda: stored(weight=npy(WEIGHT).replace(b"False", b"f(x)="), bias=npy(BIAS)),
}


@pytest.mark.filterwarnings("ignore:divide by zero", "ignore:invalid value", "ignore:Duplicate name")
@pytest.mark.parametrize("name", BAD)
def test_a_bad_head_is_refused_in_a_sentence(tmp_path: Path, name: str) -> None:
    """Whatever is wrong, also where its hash is right; nothing is unpacked or run for it."""
    content = BAD[name]()
    (tmp_path / "h.npz").write_bytes(content)
    with pytest.raises(ModelError, match=r"h\.npz is no head of a reader: .+\. Publish the model again\.$"):
        heads.load(tmp_path / "h.npz", digest(content))


def test_a_head_that_is_another_one_is_altered(tmp_path: Path) -> None:
    """As a network is."""
    sha256 = heads.save(tmp_path / "h.npz", WEIGHT, BIAS)
    heads.save(tmp_path / "h.npz", -WEIGHT, BIAS)
    with pytest.raises(ModelAlteredError, match=r"is not the one published .* Install the model again"):
        heads.load(tmp_path / "h.npz", sha256)


def test_a_head_that_is_not_there_or_too_large_is_missing(tmp_path: Path) -> None:
    """It is not read whole to find out."""
    with pytest.raises(ModelMissingError, match="cannot be read: No such file"):
        heads.load(tmp_path / "h.npz", "0" * 64)
    (tmp_path / "h.npz").touch()
    os.truncate(tmp_path / "h.npz", heads.MOST_BYTES + 1)
    with pytest.raises(ModelMissingError, match="at most 16 MB are read"):
        heads.load(tmp_path / "h.npz", "0" * 64)


# The reader with a head


def test_features_and_head_give_the_logits(tmp_path: Path) -> None:
    """A red crop has the features 1, 0, 0: its logits are the first row of the weights plus the bias, by temperature."""
    reader = with_head(tmp_path, temperature=2.0)
    types = reader.type_probabilities(RED)
    np.testing.assert_allclose(types, softmax((WEIGHT[:1] + BIAS) / 2), rtol=1e-6)
    assert reader.types == tuple(TYPES)


def test_a_label_has_the_sum_of_its_types(tmp_path: Path) -> None:
    """Labels in the manifest's order; lymphoblast and myeloblast are one of them."""
    reader = with_head(tmp_path)
    labels, attributes = reader.probabilities(RED)
    each = softmax(WEIGHT[:1] + BIAS)[0]
    np.testing.assert_allclose(labels, [[each[0], each[1], each[2] + each[3], each[4]]], rtol=1e-6)
    assert reader.labels == ("neutrophil", "lymphocyte", "blast", "not_a_cell")
    assert attributes == {}


def test_values_of_attributes_follow_the_types(tmp_path: Path) -> None:
    """In the head as in a network that gives logits."""
    weight = np.concatenate([WEIGHT, np.zeros((3, 2), np.float32)], axis=1)
    bias = np.array([*BIAS, 0, 2], np.float32)
    reader = with_head(
        tmp_path, weight, bias, attributes={"vacuoles": ["no", "yes"]}, attribute_thresholds={"vacuoles": 0.8}
    )
    types, attributes = reader.probabilities(RED)
    assert types.shape == (1, 4)
    np.testing.assert_allclose(attributes["vacuoles"], [[1 - 0.8807971, 0.8807971]], rtol=1e-5)


def test_quarter_turns_are_averaged_before_the_head(tmp_path: Path) -> None:
    """It is linear: the mean of the features gives the mean of the logits."""
    once = with_head(tmp_path).probabilities(RED)[0]
    turned = with_head(tmp_path, input={"size": SIZE, "views": 4}).probabilities(RED)[0]
    np.testing.assert_allclose(once, turned, rtol=1e-6)


def test_a_cell_reads_the_same_in_any_company(tmp_path: Path) -> None:
    """To the last bit, however many crops are read with it."""
    generator = np.random.default_rng(1)
    reader = with_head(tmp_path, generator.normal(size=(3, 5)), generator.normal(size=5))
    crops = generator.integers(0, 256, (2 * BATCH + 3, SIZE, SIZE, 3)).astype(np.uint8)
    together = reader.probabilities(crops)[0]
    singly = np.concatenate([reader.probabilities(crop[None])[0] for crop in crops])
    np.testing.assert_array_equal(together, singly)


def test_without_types_the_labels_are_the_types(tmp_path: Path) -> None:
    """As in every model without a head."""
    reader = opened(tmp_path)
    assert reader.types == reader.labels == tuple(LABELS)
    np.testing.assert_array_equal(reader.type_probabilities(RED), reader.probabilities(RED)[0])


def test_a_head_of_another_size_is_refused(tmp_path: Path) -> None:
    """Of other values when the model is opened, of other features when it reads."""
    with pytest.raises(ModelError, match="gives 4 values; the types and attributes of its manifest need 5"):
        with_head(tmp_path, WEIGHT[:, :4], BIAS[:4])
    reader = with_head(tmp_path, np.concatenate([WEIGHT, WEIGHT]))
    with pytest.raises(ModelError, match=r"gives 3 features; its head takes 6\. Publish the model again"):
        reader.probabilities(RED)


def test_a_network_that_gives_logits_has_no_head(tmp_path: Path) -> None:
    """They would be taken for features."""
    with pytest.raises(ModelError, match="gives logits, not features, which its head"):
        with_head(tmp_path, data=mean_colour("logits"))


# The manifest


def part(**changes: Any) -> dict[str, Any]:
    return packed.model_json("1")["reader"] | {"labels": ["neutrophil", "blast"]} | changes


def test_names_of_the_data_are_led_to_the_printed_label() -> None:
    """A type that is printed under another name, and what is merged into it."""
    manifest = reader_manifest(
        Path("x"),
        part(
            types=["myeloblast", "neutrophil", "lymphoblast"],
            printed=PRINTED,
            merge={"band": "neutrophil", "monoblast": "myeloblast"},
        ),
    )
    assert manifest.types == ("myeloblast", "neutrophil", "lymphoblast")
    assert manifest.merge == {
        "myeloblast": "blast", "lymphoblast": "blast", "band": "neutrophil", "monoblast": "blast",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("types", "printed", "said"),
    [
        (["neutrophil", "myeloblast"], {}, "do not match: blast, myeloblast"),
        (["neutrophil"], {}, "do not match: blast"),
        (["neutrophil", "blast", "myeloblast"], {}, "do not match: myeloblast"),
        (["neutrophil", "blast"], {"monoblast": "blast"}, "'monoblast', not one of the types"),
        (["neutrophil", "blast"], {"blast": "neutrophil"}, "do not match: blast"),
        (["neutrophil", "blast", "blast"], {}, "not a list of different names"),
        (["neutrophil", "blast"], {"blast": 3}, "3 is not a text"),
    ],
)
def test_types_that_do_not_make_the_labels_are_refused(
    types: list[str], printed: dict[str, Any], said: str
) -> None:
    """Each type has one label, and each label has a type."""
    with pytest.raises((ValueError, TypeError), match=said):
        reader_manifest(Path("x"), part(types=types, printed=printed))


@pytest.mark.parametrize("head", [{"file": "../h.npz", "sha256": "0"}, {"file": "h.npz", "sha256": 0}])
def test_a_head_lies_in_the_folder_of_its_model(head: dict[str, Any]) -> None:
    """And has a hash."""
    with pytest.raises((ValueError, TypeError), match=r"plain name|not a text"):
        reader_manifest(Path("x"), part(head=head))


# Folders and archives


@pytest.fixture
def headed(tmp_path: Path) -> registry.Model:
    """A small model whose reader has a head."""
    folder = tmp_path / "100x"
    packed.folder(folder, "2.0")
    document = packed.model_json("2.0")
    sha256 = heads.save(folder / "reader-head.npz", WEIGHT[:, :2], BIAS[:2])
    document["reader"]["head"] = {"file": "reader-head.npz", "sha256": sha256}
    (folder / "model.json").write_text(json.dumps(document))
    return registry.load_folder(folder)


def test_a_head_is_verified_as_a_network_is(headed: registry.Model) -> None:
    """Changed or gone, the model is not used."""
    path = headed.folder / "reader-head.npz"
    path.write_bytes(path.read_bytes() + b"!")
    with pytest.raises(ModelAlteredError, match=r"reader-head\.npz is not the one published"):
        registry.load_folder(headed.folder)
    path.unlink()
    with pytest.raises(ModelMissingError, match=r"reader-head\.npz cannot be read"):
        registry.load_folder(headed.folder)


def test_a_head_travels_with_its_model(
    headed: registry.Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Packed and installed, it lies beside the networks."""
    monkeypatch.setenv("EDGELEUK_MODEL_STORE", str(tmp_path / "store"))
    monkeypatch.delenv("EDGELEUK_MODELS", raising=False)
    archive = updates.pack(headed)
    assert [*updates.read(archive).files] == [
        "model.json", "README.md", "finder.onnx", "reader.onnx", "reader-head.npz",
    ]  # fmt: skip
    updates.install(archive, lambda model: model.verify(), unsigned=True)
    installed = tmp_path / "store" / "100x" / "2.0" / "reader-head.npz"
    assert installed.read_bytes() == (headed.folder / "reader-head.npz").read_bytes()


def test_an_archive_with_a_head_that_no_manifest_names_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only the files of the model are in it."""
    monkeypatch.setenv("EDGELEUK_MODEL_STORE", str(tmp_path / "store"))
    monkeypatch.delenv("EDGELEUK_MODELS", raising=False)
    with pytest.raises(ModelError, match=r"do not match \(more\.npz\)"):
        updates.install(packed.archive(more__npz=b"weights"), lambda _: None, unsigned=True)


def test_a_derived_model_keeps_the_head(headed: registry.Model, tmp_path: Path) -> None:
    """It belongs to the network, and is no number to be changed."""
    copy = derive(headed, tmp_path / "new", Changes("3.0", "a copy"))
    assert copy.reader.head
    assert copy.reader.head.path.read_bytes() == (headed.folder / "reader-head.npz").read_bytes()
    changes = Changes("4.0", "none", reader={"head": {"file": "other.npz"}})
    with pytest.raises(UsageError, match="head follows from the network"):
        derive(headed, tmp_path / "other", changes)


def test_the_schema_knows_head_and_types(headed: registry.Model) -> None:
    """Beside everything that a published reader has."""
    reader = json.loads(SCHEMA.read_text(encoding="utf-8"))["properties"]["reader"]
    document = json.loads((registry.shipped()["100x"] / "model.json").read_text())["reader"]
    written = {name: part()[name] for name in ("labels",)} | {"types": TYPES, "printed": PRINTED}
    head = json.loads((headed.folder / "model.json").read_text())["reader"]["head"]
    jsonschema.validate(document | written | {"head": head}, reader)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(document | {"head": {"file": "h.npz"}}, reader)


def test_only_plain_entries_are_written(tmp_path: Path) -> None:
    """Stored, of one date, for no user but to read and to write."""
    heads.save(tmp_path / "h.npz", WEIGHT, BIAS)
    with zipfile.ZipFile(tmp_path / "h.npz") as archive:
        infos = archive.infolist()
    assert {(info.compress_type, info.date_time) for info in infos} == {(0, (1980, 1, 1, 0, 0, 0))}
