"""Writes what a bundle holds as a CycloneDX document: `sbom.py WHEELS OUT.json [EPOCH]`.

Each wheel is a component with its version, package URL, SHA-256 and licence; each model that the program brings is one, with
the SHA-256 of each of its files. The same wheels and the same EPOCH (seconds, of the commit) give the same bytes. The
format is https://cyclonedx.org/docs/1.6/json/; only the standard library is needed.
"""

from __future__ import annotations

import hashlib
import json
import re
import sys
import uuid
import zipfile
from collections.abc import Iterator
from datetime import UTC, datetime
from email.message import Message
from email.parser import HeaderParser
from pathlib import Path
from typing import Any
from urllib.parse import quote

from licences import stated

PROGRAM = "edgeleuk"
SPACE = uuid.UUID("9b0a1f6e-52f4-5d0c-9a83-6d0a6f2f1c11")
"""Of the documents' serial numbers, which follow from their content."""
MODEL_FILE = re.compile(r"edgeleuk/_models/(?P<model>[^/]+)/[^/]+")
Component = dict[str, Any]


def document(wheels: Path, epoch: int | None = None) -> Component:
    """The whole document of a folder of wheels."""
    every = sorted(wheels.glob("*.whl"))
    described = [_described(wheel) for wheel in every]
    refs = {_normal(metadata["Name"]): component["bom-ref"] for metadata, component in described}
    program = next(component for metadata, component in described if metadata["Name"] == PROGRAM)
    others = [component for _, component in described if component is not program]
    models = [model for wheel in every if wheel.name.startswith(f"{PROGRAM}-") for model in _models(wheel)]
    needs = {component["bom-ref"]: _needs(metadata, refs) for metadata, component in described}
    needs[program["bom-ref"]] += [model["bom-ref"] for model in models]
    metadata: Component = {"component": program}
    if epoch is not None:
        metadata["timestamp"] = f"{datetime.fromtimestamp(epoch, UTC):%Y-%m-%dT%H:%M:%SZ}"
    content = {
        "version": 1,
        "metadata": metadata,
        "components": others + models,
        "dependencies": [{"ref": ref, "dependsOn": sorted(needs[ref])} for ref in sorted(needs)],
    }
    serial = uuid.uuid5(SPACE, json.dumps(content, sort_keys=True))
    head = {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
    }
    return head | {"serialNumber": f"urn:uuid:{serial}"} | content


def _described(wheel: Path) -> tuple[Message, Component]:
    """What a wheel says of itself, and its component."""
    with zipfile.ZipFile(wheel) as archive:
        name = next(each for each in archive.namelist() if re.fullmatch(r"[^/]+\.dist-info/METADATA", each))
        metadata = HeaderParser().parsestr(archive.read(name).decode("utf-8"))
    package = _normal(metadata["Name"])
    # The program itself is on no index; its name there, if it were somebody's, would be another program.
    kind = "generic" if package == PROGRAM else "pypi"
    component = {
        "type": "application" if package == PROGRAM else "library",
        "bom-ref": f"{package}@{metadata['Version']}",
        "name": metadata["Name"],
        "version": metadata["Version"],
        "purl": f"pkg:{kind}/{package}@{quote(metadata['Version'], safe='')}",
        "hashes": _hashes(wheel.read_bytes()),
        "properties": [{"name": "edgeleuk:wheel", "value": wheel.name}],
    }
    return metadata, component | _licences(metadata)


def _licences(metadata: Message) -> Component:
    """As the wheel states it: an SPDX expression, or a name; nothing where only its texts tell."""
    if expression := metadata["License-Expression"]:
        return {"licenses": [{"expression": expression}]}
    name = stated(metadata)
    return {} if name == "see the texts" else {"licenses": [{"license": {"name": name}}]}


def _models(wheel: Path) -> Iterator[Component]:
    """The models in the program's own wheel."""
    with zipfile.ZipFile(wheel) as archive:
        files: dict[str, list[str]] = {}
        for name in sorted(archive.namelist()):
            if found := MODEL_FILE.fullmatch(name):
                files.setdefault(found["model"], []).append(name)
        for model, names in sorted(files.items()):
            version = json.loads(archive.read(f"{PROGRAM}/_models/{model}/model.json"))["version"]
            yield {
                "type": "machine-learning-model",
                "bom-ref": f"model-{model}@{version}",
                "name": f"{PROGRAM} model {model}",
                "version": version,
                "components": [
                    {"type": "file", "bom-ref": name, "name": name, "hashes": _hashes(archive.read(name))} for name in names
                ],
            }  # fmt: skip


def _needs(metadata: Message, refs: dict[str, str]) -> list[str]:
    """The wheels of the bundle that a wheel asks for."""
    asked = (re.match(r"[A-Za-z0-9._-]+", each) for each in metadata.get_all("Requires-Dist", []))
    names = {_normal(each[0]) for each in asked if each}
    return [refs[name] for name in names & refs.keys()]


def _normal(name: str) -> str:
    """As https://packaging.python.org/en/latest/specifications/name-normalization/ says."""
    return re.sub(r"[-_.]+", "-", name).lower()


def _hashes(content: bytes) -> list[Component]:
    return [{"alg": "SHA-256", "content": hashlib.sha256(content).hexdigest()}]


def main(wheels: str, out: str, epoch: str = "") -> None:
    text = json.dumps(document(Path(wheels), int(epoch) if epoch else None), indent=2) + "\n"
    Path(out).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
