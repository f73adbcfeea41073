"""Model folders: found by magnification, read strictly, and trusted only while every byte is as published."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from edgeleuk.errors import ModelAlteredError, ModelError, ModelMissingError, UsageError
from edgeleuk.models import registry

FINDER, READER = b"the finder's network", b"the reader's network"
Document = dict[str, Any]
Edit = Callable[[Document], object]


def manifest(magnification: str = "100x") -> Document:
    """A small whole model.json for two files that are never opened."""
    return {
        "schema": 1,
        "magnification": magnification,
        "version": "1.2.3",
        "finder": {
            "file": "finder.onnx",
            "sha256": hashlib.sha256(FINDER).hexdigest(),
            "um_per_px": 0.25,
            "stride": 4,
            "input": {"multiple": 32, "pad": 0.5},
            "classes": ["WBC", "RBC"],
            "thresholds": {"WBC": 0.4, "RBC": 0.5},
            "nms_iou": 0.6,
            "figures": {"map50": 0.9},
        },
        "reader": {
            "file": "reader.onnx",
            "sha256": hashlib.sha256(READER).hexdigest(),
            "um_per_px": 0.2,
            "input": {"size": 96},
            "labels": ["neutrophil", "lymphocyte", "blast"],
            "merge": {"band": "neutrophil"},
            "temperature": 1.5,
            "threshold": 0.6,
            "attributes": {"nuclear_chromatin": ["open", "coarse"]},
            "attribute_thresholds": {"nuclear_chromatin": 0.7},
            "attributes_assessed_on": ["neutrophil"],
            "false_positive_rates": {"blast": {"errors": 3, "cells": 1000}},
        },
    }


def write(root: Path, magnification: str, document: object | None = None) -> Path:
    folder = root / magnification
    folder.mkdir(parents=True)
    (folder / "finder.onnx").write_bytes(FINDER)
    (folder / "reader.onnx").write_bytes(READER)
    text = json.dumps(manifest(magnification) if document is None else document)
    (folder / "model.json").write_text(text, encoding="utf-8")
    return folder


@pytest.fixture
def models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder that EDGELEUK_MODELS names, still without a model."""
    root = tmp_path / "models"
    root.mkdir()
    monkeypatch.setenv("EDGELEUK_MODELS", str(root))
    return root


# Finding


@pytest.mark.parametrize("asked", ["100x", "100", "100X", " 100x "])
def test_a_model_is_found_by_its_magnification(models: Path, asked: str) -> None:
    """However a person writes 100x."""
    folder = write(models, "100x")
    model = registry.load(asked)
    assert (model.magnification, model.version, model.folder) == ("100x", "1.2.3", folder)


def test_models_are_listed_weakest_objective_first(models: Path) -> None:
    """10x, 40x, 100x; folders that are no magnification or have no manifest are no models."""
    for name in ("100x", "10x", "40x", "old"):
        write(models, name)
    (models / "20x").mkdir()
    assert list(registry.available()) == ["10x", "40x", "100x"]


def test_without_the_variable_the_models_that_ship_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """The package's own models come first, then the checkout's; an empty variable is none."""
    monkeypatch.setenv("EDGELEUK_MODELS", "")
    package = Path(registry.__file__).parents[1]
    assert registry.roots() == [package / "_models", package.parent / "models"]
    assert "100x" in registry.available()


def test_an_unknown_magnification_names_those_that_exist(models: Path) -> None:
    """A typing error is a wrong use, answered with the known magnifications and the models at hand."""
    write(models, "40x")
    write(models, "100x")
    message = "unknown magnification '63x'. Known: 10x, 40x, 100x; models here: 40x, 100x. Use one of these with --mag."
    with pytest.raises(UsageError, match=f"^{re.escape(message)}$"):
        registry.load("63x")


@pytest.mark.parametrize("asked", ["", "x", "../100x", "100xx", "-100x", "١٠٠x", "1e2x"])
def test_what_is_no_magnification_is_a_wrong_use(models: Path, asked: str) -> None:
    """Nothing a person types reaches the file system as a path."""
    write(models, "100x")
    with pytest.raises(UsageError, match="unknown magnification"):
        registry.load(asked)


def test_a_known_magnification_without_a_model_says_where_to_put_one(models: Path) -> None:
    """The remedy: another objective that there is, or a folder."""
    write(models, "40x")
    message = f"no 10x model. Models here: 40x. Use --mag 40x, or add 10x/ to {models}."
    with pytest.raises(ModelMissingError, match=f"^{re.escape(message)}$"):
        registry.load("10x")


def test_without_any_model_the_variable_is_named(models: Path) -> None:
    """An empty folder, or one that does not exist, is told apart from a missing magnification by "none"."""
    models.rmdir()
    message = f"no 100x model. Models here: none. Set EDGELEUK_MODELS, or add 100x/ to {models}."
    with pytest.raises(ModelMissingError, match=f"^{re.escape(message)}$"):
        registry.load("100x")


# Trust


@pytest.mark.parametrize("name", ["finder.onnx", "reader.onnx"])
@pytest.mark.parametrize(
    "change", [lambda b: b[:-1] + b"!", lambda b: b[:-1], lambda b: b + b"!", lambda _: b""]
)
def test_a_network_altered_by_one_byte_is_refused(
    models: Path, name: str, change: Callable[[bytes], bytes]
) -> None:
    """Changed, cut, longer or empty: the results of such a file cannot be trusted."""
    path = write(models, "100x") / name
    path.write_bytes(change(path.read_bytes()))
    with pytest.raises(
        ModelAlteredError, match=f"{name} is not the one published .* Install the model again"
    ):
        registry.load("100x")


def test_a_model_in_the_folder_of_another_magnification_is_refused(models: Path) -> None:
    """A 100x model copied to 40x/ would look at every cell at the wrong scale."""
    write(models, "40x", manifest("100x"))
    with pytest.raises(ModelError, match="40x holds a 100x model"):
        registry.load("40x")


@pytest.mark.parametrize("name", ["finder.onnx", "reader.onnx"])
def test_a_missing_network_is_named(models: Path, name: str) -> None:
    """A file that a copy left behind is missing, not altered."""
    (write(models, "100x") / name).unlink()
    with pytest.raises(
        ModelMissingError, match=f"{name} cannot be read: No such file.* Install the model again"
    ):
        registry.load("100x")


def test_the_model_that_ships_is_as_published(model: registry.Model) -> None:
    """Both networks of the 100x model match the checksums in its manifest."""
    model.verify()
    assert model.finder.classes == ("WBC", "RBC", "Platelet")


# Reading


def test_a_manifest_is_read_as_written(models: Path) -> None:
    """Every value that the runtime uses arrives, and the part as written with its figures too."""
    folder = write(models, "100x")
    model = registry.read_manifest(folder)
    finder, reader = model.finder, model.reader
    assert (finder.path, finder.um_per_px, finder.stride) == (folder / "finder.onnx", 0.25, 4)
    assert (finder.multiple, finder.pad, finder.nms_iou) == (32, 0.5, 0.6)
    assert (finder.classes, finder.thresholds) == (("WBC", "RBC"), {"WBC": 0.4, "RBC": 0.5})
    assert finder.raw["figures"] == {"map50": 0.9}
    assert (reader.path, reader.um_per_px, reader.size) == (folder / "reader.onnx", 0.2, 96)
    assert (reader.labels, reader.merge) == (("neutrophil", "lymphocyte", "blast"), {"band": "neutrophil"})
    assert (reader.temperature, reader.threshold) == (1.5, 0.6)
    assert reader.attributes == {"nuclear_chromatin": ("open", "coarse")}
    assert reader.attribute_thresholds == {"nuclear_chromatin": 0.7}
    assert reader.attributes_assessed_on == {"neutrophil"}
    assert reader.false_positive_rates == {"blast": {"errors": 3, "cells": 1000, "labels": ()}}


CONFUSION = {
    "of": "training cells kept aside",
    "labels": ["neutrophil", "blast"],
    "read": ["neutrophil", "lymphocyte", "blast", "unclassified"],
    "counts": [[90, 2, 1, 7], [0, 1, 40, 9]],
}


def test_what_a_manifest_may_leave_out(models: Path) -> None:
    """Without a confusion there is none, and without second levels no type has one."""
    reader = registry.read_manifest(write(models, "100x")).reader
    assert (reader.confusion, reader.subtypes) == (None, {})


def test_a_confusion_and_second_levels_are_read(models: Path) -> None:
    """Both arrive as written; a type without held-out cells has no row."""
    document = manifest()
    document["reader"] |= {"confusion": CONFUSION, "subtypes": {"neutrophil": "nuclear_chromatin"}}
    reader = registry.read_manifest(write(models, "100x", document)).reader
    assert reader.confusion is not None
    assert reader.confusion.as_json() == CONFUSION
    assert reader.subtypes == {"neutrophil": "nuclear_chromatin"}


def test_the_published_schema_knows_confusion_and_second_levels() -> None:
    """What the program reads is valid under `edgeleuk schema model`, and a column fewer is not."""
    schema = json.loads((Path(registry.__file__).parents[1] / "data" / "model.schema.json").read_text())
    known = schema["properties"]["reader"]["properties"]
    jsonschema.validate(CONFUSION, known["confusion"])
    jsonschema.validate({"neutrophil": "neutrophil_stage"}, known["subtypes"])
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(CONFUSION | {"read": ["neutrophil", "lymphocyte", "blast"]}, known["confusion"])


def test_names_are_data(models: Path) -> None:
    """A reader of other types and more attributes drops in without a change of code."""
    document = manifest()
    names = [f"attribute {i}" for i in range(7)]
    document["reader"] |= {
        "labels": [f"type {i}" for i in range(14)],
        "attributes": {name: ["no", "yes", "unclear"] for name in names},
        "attribute_thresholds": dict.fromkeys(names, 0.5),
    }
    reader = registry.read_manifest(write(models, "100x", document)).reader
    assert (len(reader.labels), len(reader.attributes)) == (14, 7)


def without(*keys: str) -> Edit:
    """An edit that removes a key, given with those it lies under."""

    def remove(document: Document) -> None:
        for key in keys[:-1]:
            document = document[key]
        del document[keys[-1]]

    return remove


def with_(value: object, *keys: str) -> Edit:
    """An edit that sets a key, given with those it lies under."""

    def change(document: Document) -> None:
        for key in keys[:-1]:
            document = document[key]
        document[keys[-1]] = value

    return change


def refusal(root: Path, edit: Edit) -> str:
    """The message with which a model of an edited manifest is refused."""
    document = manifest()
    edit(document)
    write(root, "100x", document)
    with pytest.raises(ModelError) as caught:
        registry.load("100x")
    assert type(caught.value) is ModelError
    return str(caught.value)


PARTS = [(part, key) for part in ("finder", "reader") for key in manifest()[part] if key != "figures"]


@pytest.mark.parametrize("keys", [("schema",), ("finder",), ("reader",), ("version",), *PARTS])
def test_a_missing_key_is_named(models: Path, keys: tuple[str, ...]) -> None:
    """A manifest that lacks something is refused with its name and where to look it up."""
    message = refusal(models, without(*keys))
    assert message.endswith(f"model.json lacks '{keys[-1]}'. Compare it with `edgeleuk schema model`.")


@pytest.mark.parametrize(
    ("value", "keys"),
    [
        (value, keys)
        for keys in [("finder", "um_per_px"), ("reader", "um_per_px"), ("reader", "temperature")]
        for value in (0, -1, float("nan"), float("inf"), "wide", None, [1])
    ]
    + [
        (value, keys)
        for keys in [("finder", "stride"), ("finder", "input", "multiple"), ("reader", "input", "size")]
        for value in (0, -4, 2.5, "4", True, None)
    ]
    + [
        (value, keys)
        for keys in [("finder", "nms_iou"), ("reader", "threshold"), ("finder", "thresholds", "RBC")]
        for value in (-0.1, 1.5, float("nan"), "high", None)
    ]
    + [
        (value, keys)
        for keys in [
            ("finder", "classes"),
            ("reader", "labels"),
            ("reader", "attributes", "nuclear_chromatin"),
        ]
        for value in ("WBC", [], ["a", "a"], [1, 2], None, {"a": 1})
    ]
    + [
        ("WBC", ("finder",)),
        ([], ("reader",)),
        (None, ("finder", "sha256")),
        (5, ("finder", "file")),
        (7, ("magnification",)),
        (["band"], ("reader", "merge")),
        ({"band": 3}, ("reader", "merge")),
        ({"blast": 3}, ("reader", "false_positive_rates")),
        ({"blast": {"errors": "few", "cells": 10}}, ("reader", "false_positive_rates")),
        (5, ("reader", "attributes_assessed_on")),
        (["neutrophil"], ("reader", "subtypes")),
        ({"band": "nuclear_chromatin"}, ("reader", "subtypes")),
        ({"neutrophil": "nuclear_shape"}, ("reader", "subtypes")),
        (None, ("reader", "confusion")),
        (CONFUSION | {"labels": ["eosinophil", "blast"]}, ("reader", "confusion")),
        (CONFUSION | {"labels": ["neutrophil"]}, ("reader", "confusion")),
        (CONFUSION | {"read": ["neutrophil", "lymphocyte", "blast"]}, ("reader", "confusion")),
        (CONFUSION | {"read": ["neutrophil", "lymphocyte", "blast", "none"]}, ("reader", "confusion")),
        (CONFUSION | {"counts": [[90, 2, 1, 7], [0, 1, 40]]}, ("reader", "confusion")),
        (CONFUSION | {"counts": [[90, 2, 1, 7], [0, 1, 40, -9]]}, ("reader", "confusion")),
        (CONFUSION | {"counts": [[90, 2, 1, 7], [0, 1, 40, 0.5]]}, ("reader", "confusion")),
    ],
)
def test_a_senseless_value_is_refused(models: Path, value: object, keys: tuple[str, ...]) -> None:
    """A value of the wrong kind or range is refused when the model is read, not in the middle of an analysis."""
    assert re.search("is not a model manifest|no number in JSON", refusal(models, with_(value, *keys)))


def test_a_threshold_must_be_there_for_every_class(models: Path) -> None:
    """A class without threshold would be found at any score."""
    assert "lacks 'RBC'" in refusal(models, with_({"WBC": 0.5}, "finder", "thresholds"))


@pytest.mark.parametrize("part", ["finder", "reader"])
@pytest.mark.parametrize(
    "name",
    ["../finder.onnx", "/etc/passwd", "sub/finder.onnx", "..", ".", "", "./finder.onnx", "finder.onnx/"],
)
def test_a_network_lies_in_its_own_folder(models: Path, part: str, name: str) -> None:
    """A manifest cannot point the program at files elsewhere."""
    assert "is not a plain name inside the model folder" in refusal(models, with_(name, part, "file"))


@pytest.mark.parametrize("schema", [2, 0, "1", None])
def test_another_schema_is_refused_before_anything_is_read(models: Path, schema: object) -> None:
    """A newer manifest may mean other things by the same keys."""

    def edit(document: Document) -> None:
        document.clear()
        document["schema"] = schema

    assert f"has schema {schema}; this program reads 1. Update edgeleuk or the model." in refusal(
        models, edit
    )


@pytest.mark.parametrize("text", ["", "{", "null", "[]", "3", '"model"', "\xff"])
def test_what_is_no_manifest_is_refused(models: Path, text: str) -> None:
    """An empty, cut or wholly different model.json is an error of the model, with the file's name."""
    (write(models, "100x") / "model.json").write_bytes(text.encode("latin-1"))
    with pytest.raises(ModelError, match=r"100x/model\.json"):
        registry.load("100x")


def test_a_folder_without_manifest_is_missing(models: Path) -> None:
    """Asked for directly, such a folder says what it lacks."""
    (models / "100x").mkdir()
    with pytest.raises(ModelMissingError, match=r"has no model\.json"):
        registry.read_manifest(models / "100x")
