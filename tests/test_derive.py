"""A derived model is its parent with the changes, names where it came from, and is there whole or not at all."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from typer.testing import CliRunner

from edgeleuk.analysis.analyser import Analyser
from edgeleuk.cli import app
from edgeleuk.errors import EdgeleukError, ModelAlteredError, ModelMissingError, OutputError, UsageError
from edgeleuk.models import registry
from edgeleuk.models.derive import SCHEMA, Changes, derive
from edgeleuk.types import Field, Frame

AT = datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC)
NOTHING = Changes("0.1.0+site-7", "a copy")


def written(folder: Path) -> dict[str, Any]:
    document: dict[str, Any] = json.loads((folder / "model.json").read_text(encoding="utf-8"))
    return document


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def told(*arguments: str) -> str:
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 0, done.output
    return done.stdout


def test_without_changes_everything_stays(
    model: registry.Model, tmp_path: Path, demo_frame: Frame, demo_field: Field
) -> None:
    """The same networks, the same numbers, the same cells of the demo; only the version and the line differ."""
    folder = tmp_path / "new"
    copy = derive(model, folder, NOTHING, AT)
    for one, other in ((model.finder, copy.finder), (model.reader, copy.reader)):
        assert one.path.read_bytes() == other.path.read_bytes()
    head, same = model.reader.head, copy.reader.head
    assert head and same and head.path.read_bytes() == same.path.read_bytes()
    assert replace(model.finder, path=copy.finder.path) == copy.finder
    guard, kept = model.reader.guard, copy.reader.guard
    assert guard and kept and guard.path.read_bytes() == kept.path.read_bytes()
    knows, known = model.reader.known, copy.reader.known
    assert knows and known and knows.file.path.read_bytes() == known.file.path.read_bytes()
    assert replace(model.reader, path=copy.reader.path, head=same, guard=kept, known=known) == copy.reader
    assert (copy.version, copy.magnification) == ("0.1.0+site-7", "100x")
    assert replace(Analyser(copy).analyse(demo_frame), seconds={}) == replace(demo_field, seconds={})
    before = written(model.folder)
    after = written(folder)
    assert after.pop("lineage")
    assert after == before | {"version": "0.1.0+site-7"}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["new"]


def test_a_step_names_parent_changes_data_and_time(model: registry.Model, tmp_path: Path) -> None:
    """With the hashes of the parent's manifest and networks, and valid under the schema."""
    changes = Changes(
        "2", "taught", "120 cells of bench 7", reader={"threshold": 0.8, "input": {"density": {"dark": 0.04}}},
    )  # fmt: skip
    taught = derive(model, tmp_path / "new", changes, AT)
    assert taught.reader.threshold == 0.8
    assert taught.reader.density == replace(model.reader.density, dark=0.04)  # type: ignore[type-var]
    document = written(tmp_path / "new")
    jsonschema.validate(document, json.loads(SCHEMA.read_text(encoding="utf-8")))
    assert document["lineage"] == [
        {
            "magnification": "100x",
            "version": "0.2.0",
            "manifest_sha256": sha256(model.folder / "model.json"),
            "finder_sha256": model.finder.sha256,
            "reader_sha256": model.reader.sha256,
            "changed": {"reader": {"threshold": 0.8, "input": {"density": {"dark": 0.04}}}, "networks": []},
            "reason": "taught",
            "data": "120 cells of bench 7",
            "at": "2026-03-04T05:06:07+00:00",
        }
    ]


def test_a_chain_names_its_whole_line(model: registry.Model, tmp_path: Path) -> None:
    """The parent first; `models show` prints it, and `models verify` opens it."""
    first = derive(
        model, tmp_path / "one", Changes("1-adapted", "adapted", "40 fields", finder={"nms_iou": 0.5})
    )
    second = derive(
        first, tmp_path / "two", Changes("2-taught", "taught", "99 cells", reader={"threshold": 0.7})
    )
    assert [step["version"] for step in second.lineage] == ["1-adapted", "0.2.0"]
    assert second.lineage[0]["manifest_sha256"] == sha256(tmp_path / "one" / "model.json")
    assert (second.finder.nms_iou, second.reader.threshold) == (0.5, 0.7)
    shown = told("models", "show", "--model", str(tmp_path / "two"))
    for text in (
        "version 1-adapted",
        "version 0.2.0",
        "finder: nms_iou",
        "reader: threshold",
        "40 fields",
        "99 cells",
    ):
        assert text in shown
    assert shown.index("version 1-adapted") < shown.index("Derived from the 100x model, version 0.2.0")
    assert "version 2-taught" in told("models", "verify", "--model", str(tmp_path / "two"))


def test_a_network_is_replaced_with_its_hash(model: registry.Model, tmp_path: Path) -> None:
    """The other one stays byte for byte."""
    other = tmp_path / "trained.onnx"
    other.write_bytes(b"another network")
    made = derive(model, tmp_path / "new", Changes("2", "trained", "x", networks={"reader": other}))
    assert made.reader.path.read_bytes() == b"another network"
    assert made.reader.sha256 == sha256(other)
    assert made.finder.sha256 == model.finder.sha256
    assert made.lineage[0]["changed"] == {"networks": ["reader"]}


def test_none_takes_a_key_away(model: registry.Model, tmp_path: Path) -> None:
    """As a reader whose confusion is not known any more; what was an object is merged, not replaced."""
    patch = {"confusion": None, "largest_um": {"platelet": None, "smudge": 30.0}}
    made = derive(model, tmp_path / "new", Changes("2", "tuned", reader=patch))
    assert made.reader.confusion is None
    assert made.reader.largest_um == {"smudge": 30.0}


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        (Changes("0.2.0", "x"), "needs a version of its own; its parent is 0.2.0 already"),
        (Changes("a/b", "x"), "'a/b' is no version"),
        (Changes("2", "x", reader={"treshold": 0.5}), "a manifest has no reader.treshold"),
        (Changes("2", "x", reader={"input": {"dencity": {}}}), "a manifest has no reader.input.dencity"),
        (Changes("2", "x", finder={"sha256": "0" * 64}), "finder.sha256 follows from the network"),
        (Changes("2", "x", reader={"threshold": 2}), "the changes make no model: in the reader, 2 is not between 0 and 1"),
        (Changes("2", "x", finder={"thresholds": {"RBC": None}}), "the changes make no model: the finder lacks 'RBC'"),
        (Changes("2", "x", networks={"painter": Path("x")}), "a model has no network 'painter'"),
        (Changes("2", "x", networks={"head": None}), "a model needs its head"),
    ],
)  # fmt: skip
def test_changes_that_make_no_model_are_a_usage_error(
    model: registry.Model, tmp_path: Path, changes: Changes, text: str
) -> None:
    """Told before anything is written."""
    with pytest.raises(UsageError) as caught:
        derive(model, tmp_path / "new", changes)
    assert text in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_there_stays_as_it_is(model: registry.Model, tmp_path: Path) -> None:
    """Also an empty one, and a link to nowhere."""
    (tmp_path / "empty").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    for name in ("empty", "link"):
        with pytest.raises(UsageError, match=f"{name} is there already"):
            derive(model, tmp_path / name, NOTHING)
    assert list((tmp_path / "empty").iterdir()) == []


def test_a_parent_that_was_altered_has_no_children(model: registry.Model, tmp_path: Path) -> None:
    """Nor has one whose new network is not there."""
    shutil.copytree(model.folder, tmp_path / "parent")
    parent = registry.read_manifest(tmp_path / "parent")
    with pytest.raises(ModelMissingError, match=r"gone\.onnx cannot be read"):
        derive(parent, tmp_path / "new", Changes("2", "x", networks={"finder": tmp_path / "gone.onnx"}))
    with parent.reader.path.open("ab") as file:
        file.write(b"x")
    with pytest.raises(ModelAlteredError, match="is not the one published"):
        derive(parent, tmp_path / "new", NOTHING)
    assert not (tmp_path / "new").exists()


def test_where_nothing_can_be_written_it_says_so(model: registry.Model, tmp_path: Path) -> None:
    """A file in the way of the folder."""
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(OutputError, match="cannot write the derived model"):
        derive(model, tmp_path / "file" / "new", NOTHING)


def test_a_disk_that_fails_at_the_last_moment_leaves_nothing(
    model: registry.Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither a folder nor a half of one."""

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "rename", full)
    with pytest.raises(OutputError, match="No space left on device"):
        derive(model, tmp_path / "new", NOTHING)
    assert list(tmp_path.iterdir()) == []


def renamed(model: registry.Model) -> Mapping[str, Any]:
    """Patch of a reader whose every type, attribute and value has a name that the program never heard of."""
    part = written(model.folder)["reader"]
    types = {label: f"kind-{i}" for i, label in enumerate(part["labels"])}
    fine = {name: types.get(name, f"fine-{i}") for i, name in enumerate(part["types"])}
    attributes = {name: f"trait-{i}" for i, name in enumerate(part["attributes"])}
    values = {
        name: [f"{new}-{v}" for v in range(len(part["attributes"][name]))] for name, new in attributes.items()
    }

    def rekeyed(names: Mapping[str, str], by: Mapping[str, Any]) -> dict[str, Any]:
        return dict.fromkeys(by) | {names[name]: value for name, value in by.items() if name in names}

    return {
        "labels": list(types.values()),
        "types": list(fine.values()),
        "printed": dict.fromkeys(part["printed"])
        | {fine[name]: types[label] for name, label in part["printed"].items()},
        "merge": dict.fromkeys(part["merge"]),
        "largest_um": rekeyed(types, part["largest_um"]),
        "mature": [types[label] for label in part["mature"]],
        "groups": dict.fromkeys(part["groups"]) | {"all": list(types.values())},
        "told_by_label": dict.fromkeys(part["told_by_label"]),
        "attributes": dict.fromkeys(part["attributes"]) | {attributes[n]: v for n, v in values.items()},
        "attribute_thresholds": rekeyed(attributes, part["attribute_thresholds"]),
        "attributes_assessed_on": [types[label] for label in part["attributes_assessed_on"]],
        "false_positive_rates": rekeyed(types, part["false_positive_rates"]),
        "subtypes": dict.fromkeys(part["subtypes"])
        | {types[label]: attributes[name] for label, name in part["subtypes"].items()},
        "confusion": {
            "labels": [types[label] for label in part["confusion"]["labels"]],
            "read": [types.get(label, label) for label in part["confusion"]["read"]],
        },
        "unknown_laboratory": None,
    }


def test_any_set_of_types_and_attributes_runs_end_to_end(model: registry.Model, tmp_path: Path) -> None:
    """The network that ships under names that nobody knows: the same cells, by those names, in every output."""
    folder = tmp_path / "made-up"
    made = derive(model, folder, Changes("made-up", "renamed", reader=renamed(model)))
    names = dict(zip(model.reader.labels, made.reader.labels, strict=True))
    reference = tmp_path / "none.toml"
    reference.write_text('schema = 1\nname = "none"\nsources = []\nranges = []\n', encoding="utf-8")
    out = tmp_path / "out"
    told("analyze", "--demo", "--model", str(folder), "--reference", str(reference), "--out", str(out))
    theirs = json.loads(told("analyze", "--demo", "--json"))["images"][0]["cells"]
    mine = json.loads((out / "results.json").read_text(encoding="utf-8"))["images"][0]["cells"]
    assert [each["box"] for each in mine] == [each["box"] for each in theirs]
    read = [each["label"] for each in theirs if each.get("probability")]
    assert len(read) >= 13
    assert [each["label"] for each in mine if each.get("probability")] == [
        names.get(label, label) for label in read
    ]
    rows = (out / "cells.csv").read_text(encoding="utf-8")
    assert "trait-0" in rows
    assert "neutrophil" not in rows
    assert (out / "demo.overlay.jpg").stat().st_size > 0


def test_every_error_is_the_users(model: registry.Model, tmp_path: Path) -> None:
    """Whatever stands in a patch: no traceback."""
    for value in (None, [], {}, "x", -1, {"a": {"b": []}}, float("inf")):
        for name in ("labels", "confusion", "input", "attributes", "merge", "largest_um", "subtypes"):
            folder = tmp_path / f"{name}-{value!r}"[:40].replace("/", "")
            try:
                derive(model, folder, Changes("2", "x", reader={name: value}))
            except EdgeleukError:
                assert not folder.exists()
