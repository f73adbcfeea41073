"""The list of what a bundle holds: every wheel and every file of a model, in the form that other programs read."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import jsonschema
import pytest

DEPLOY = Path(__file__).parents[1] / "deploy"
pytestmark = pytest.mark.skipif(not DEPLOY.is_dir(), reason="this comes with a checkout")

COMPONENT: dict[str, Any] = {
    "type": "object",
    "required": ["type", "name", "bom-ref"],
    "properties": {
        "type": {"enum": ["application", "library", "machine-learning-model", "file"]},
        "bom-ref": {"type": "string", "minLength": 1},
        "name": {"type": "string", "minLength": 1},
        "version": {"type": "string"},
        "purl": {"type": "string", "pattern": r"^pkg:(pypi|generic)/[a-z0-9-]+@[A-Za-z0-9.%_-]+$"},
        "hashes": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["alg", "content"],
                "properties": {"alg": {"const": "SHA-256"}, "content": {"pattern": "^[a-f0-9]{64}$"}},
                "additionalProperties": False,
            },
        },
        "licenses": {
            "oneOf": [
                {"type": "array", "maxItems": 1, "items": {"required": ["expression"], "additionalProperties": False,
                 "properties": {"expression": {"type": "string", "minLength": 1}}}},
                {"type": "array", "items": {"required": ["license"], "additionalProperties": False,
                 "properties": {"license": {"type": "object", "required": ["name"]}}}},
            ]
        },
        "components": {"type": "array", "items": {"$ref": "#/$defs/component"}},
        "properties": {"type": "array", "items": {"type": "object", "required": ["name", "value"]}},
    },
    "additionalProperties": False,
}  # fmt: skip
ESSENTIALS: dict[str, Any] = {
    "$defs": {"component": COMPONENT},
    "type": "object",
    "required": [
        "bomFormat",
        "specVersion",
        "serialNumber",
        "version",
        "metadata",
        "components",
        "dependencies",
    ],
    "properties": {
        "$schema": {"const": "http://cyclonedx.org/schema/bom-1.6.schema.json"},
        "bomFormat": {"const": "CycloneDX"},
        "specVersion": {"const": "1.6"},
        "serialNumber": {
            "pattern": "^urn:uuid:[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$"
        },
        "version": {"const": 1},
        "metadata": {
            "required": ["component"],
            "properties": {
                "component": {"$ref": "#/$defs/component"},
                "timestamp": {"pattern": r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$"},
            },
            "additionalProperties": False,
        },
        "components": {"type": "array", "uniqueItems": True, "items": {"$ref": "#/$defs/component"}},
        "dependencies": {
            "type": "array",
            "items": {
                "required": ["ref"],
                "properties": {
                    "ref": {"type": "string"},
                    "dependsOn": {"type": "array", "uniqueItems": True},
                },
                "additionalProperties": False,
            },
        },
    },
    "additionalProperties": False,
}
"""What bom-1.6.schema.json asks of the parts that are written here."""
NETWORK, CARD = b"a network", b"# A card"


def wheel(folder: Path, name: str, version: str, metadata: str = "", **files: bytes) -> Path:
    """A wheel with what a description needs; `files` by path, with __ for a slash."""
    path = folder / f"{name.replace('-', '_')}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        info = f"{name.replace('-', '_')}-{version}.dist-info"
        head = f"Metadata-Version: 2.4\nName: {name}\nVersion: {version}\n"
        archive.writestr(zipfile.ZipInfo(f"{info}/METADATA"), head + metadata)
        for place, content in files.items():
            archive.writestr(zipfile.ZipInfo(place.replace("__", "/")), content)
    return path


@pytest.fixture
def wheels(tmp_path: Path) -> Path:
    """A bundle's wheels: the program with two models, and libraries that state their licences in each way."""
    folder = tmp_path / "wheels"
    folder.mkdir()
    models = {}
    for model, version in (("100x", "1.2"), ("40x", "2")):
        models |= {
            f"edgeleuk/_models/{model}/model.json": json.dumps({"version": version}).encode(),
            f"edgeleuk/_models/{model}/finder.onnx": NETWORK + model.encode(),
            f"edgeleuk/_models/{model}/README.md": CARD,
        }
    wheel(
        folder, "edgeleuk", "0.1.0",
        "License-Expression: Apache-2.0\nRequires-Dist: Some.Library >=1\nRequires-Dist: absent ; extra == 'x'\n", **models,
    )  # fmt: skip
    wheel(folder, "some-library", "1.0+cpu", "Classifier: License :: OSI Approved :: BSD License\n")
    wheel(folder, "Other_Library", "3", f"License: {'a whole text ' * 30}\nRequires-Dist: some_library\n")
    wheel(folder, "pip", "26.0", "License-Expression: MIT AND BSD-3-Clause\n")
    return folder


def written(wheels: Path, *epoch: str) -> str:
    out = wheels.parent / "sbom.cdx.json"
    done = subprocess.run(
        [sys.executable, str(DEPLOY / "sbom.py"), str(wheels), str(out), *epoch],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout + done.stderr) == (0, "")
    return out.read_text()


def test_it_follows_the_schema(wheels: Path) -> None:
    """And no two components have one reference, and every dependency is one of them."""
    document = json.loads(written(wheels, "1700000000"))
    jsonschema.validate(document, ESSENTIALS)
    parts = [document["metadata"]["component"], *document["components"]]
    every = [*parts, *(file for part in parts for file in part.get("components", ()))]
    refs = [each["bom-ref"] for each in every]
    assert len(set(refs)) == len(refs)
    named = {each["ref"] for each in document["dependencies"]}
    named |= {ref for each in document["dependencies"] for ref in each["dependsOn"]}
    assert named <= set(refs)


def test_every_wheel_is_there_with_its_hash_and_licence(wheels: Path) -> None:
    """By the name of its metadata; a licence that only its text tells is left out."""
    document = json.loads(written(wheels))
    found = {each["name"]: each for each in document["components"] if each["type"] == "library"}
    assert document["metadata"]["component"]["name"] == "edgeleuk"
    assert {name: (each["version"], each["purl"], each.get("licenses")) for name, each in found.items()} == {
        "some-library": (
            "1.0+cpu",
            "pkg:pypi/some-library@1.0%2Bcpu",
            [{"license": {"name": "BSD License"}}],
        ),
        "Other_Library": ("3", "pkg:pypi/other-library@3", None),
        "pip": ("26.0", "pkg:pypi/pip@26.0", [{"expression": "MIT AND BSD-3-Clause"}]),
    }
    for each in (document["metadata"]["component"], *found.values()):
        file = wheels / each["properties"][0]["value"]
        assert each["hashes"] == [
            {"alg": "SHA-256", "content": hashlib.sha256(file.read_bytes()).hexdigest()}
        ]
    needs = {each["ref"]: each["dependsOn"] for each in document["dependencies"]}
    assert needs["edgeleuk@0.1.0"] == ["model-100x@1.2", "model-40x@2", "some-library@1.0+cpu"]
    assert needs["other-library@3"] == ["some-library@1.0+cpu"]


def test_every_file_of_a_model_is_there_with_its_hash(wheels: Path) -> None:
    """Also those that are no network; the model has its own version."""
    models = [
        each for each in json.loads(written(wheels))["components"] if each["type"] == "machine-learning-model"
    ]
    assert [(each["name"], each["version"]) for each in models] == [
        ("edgeleuk model 100x", "1.2"),
        ("edgeleuk model 40x", "2"),
    ]
    files = {file["name"]: file["hashes"][0]["content"] for each in models for file in each["components"]}
    assert len(files) == 6
    assert files["edgeleuk/_models/40x/finder.onnx"] == hashlib.sha256(NETWORK + b"40x").hexdigest()
    assert files["edgeleuk/_models/100x/README.md"] == hashlib.sha256(CARD).hexdigest()


def test_the_same_wheels_give_the_same_document(wheels: Path) -> None:
    """Byte for byte; other wheels, or another commit's time, give another serial number."""
    first = written(wheels, "1700000000")
    assert written(wheels, "1700000000") == first
    wheel(wheels, "another", "1")
    serials = {json.loads(text)["serialNumber"] for text in (first, written(wheels, "1700000000"))}
    assert len(serials) == 2


def test_the_bundle_and_the_installer_carry_it() -> None:
    """It is made from the wheels of the bundle, and lies beside the installed program."""
    assert '"$here/sbom.py" "$bundle/wheels" "$bundle/sbom.cdx.json"' in (DEPLOY / "bundle.sh").read_text()
    assert "sbom.cdx.json" in (DEPLOY / "install.sh").read_text()
