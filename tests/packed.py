"""Small models whose networks nobody opens, and archives of them, well formed or not."""

from __future__ import annotations

import hashlib
import io
import json
import os
import stat
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from edgeleuk.models import registry, updates
from edgeleuk.models.updates.update import FORMAT

Document = dict[str, Any]
FINDER, READER, CARD = b"the finder's network", b"the reader's network", b"# The card\n"


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def model_json(
    version: str, magnification: str = "100x", finder: bytes = FINDER, reader: bytes = READER
) -> Document:
    """A whole model.json for two networks."""
    return {
        "schema": 1,
        "magnification": magnification,
        "version": version,
        "finder": {
            "file": "finder.onnx", "sha256": sha256(finder), "um_per_px": 0.25, "stride": 4,
            "input": {"multiple": 32, "pad": 0.5}, "classes": ["WBC"], "thresholds": {"WBC": 0.4}, "nms_iou": 0.6,
        },
        "reader": {
            "file": "reader.onnx", "sha256": sha256(reader), "um_per_px": 0.2, "input": {"size": 96},
            "labels": ["neutrophil", "blast"], "merge": {}, "temperature": 1.5, "threshold": 0.6,
            "attributes": {}, "attribute_thresholds": {}, "attributes_assessed_on": [], "false_positive_rates": {},
        },
    }  # fmt: skip


def files(version: str, magnification: str = "100x") -> dict[str, bytes]:
    """The files of a small model."""
    text = json.dumps(model_json(version, magnification)).encode()
    return {"model.json": text, "README.md": CARD, "finder.onnx": FINDER, "reader.onnx": READER}


def folder(place: Path, version: str, magnification: str = "100x") -> registry.Model:
    """A small model in a folder."""
    place.mkdir(parents=True)
    for name, content in files(version, magnification).items():
        (place / name).write_bytes(content)
    return registry.read_manifest(place)


def update(contents: Mapping[str, bytes], version: str, magnification: str = "100x") -> Document:
    """update.json for some files."""
    listed = {name: {"bytes": len(content), "sha256": sha256(content)} for name, content in contents.items()}
    return {"format": FORMAT, "magnification": magnification, "version": version, "files": listed}


def entry(
    name: str, mode: int = stat.S_IFREG | 0o644, compression: int = zipfile.ZIP_STORED
) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name)
    info.create_system, info.external_attr, info.compress_type = 3, mode << 16, compression
    return info


def zipped(entries: Sequence[tuple[zipfile.ZipInfo | str, bytes]], comment: bytes = b"") -> bytes:
    """A zip of entries as they are given, also of two by one name."""
    written = io.BytesIO()
    with zipfile.ZipFile(written, "w") as archive:
        for info, content in entries:
            archive.writestr(entry(info) if isinstance(info, str) else info, content)
        archive.comment = comment
    return written.getvalue()


def archive(version: str = "2.0", magnification: str = "100x", **changes: bytes | None) -> bytes:
    """The archive of a small model; `changes` replace files by name, dots written as __, or leave them out (None)."""
    contents = files(version, magnification)
    for name, content in changes.items():
        contents.pop(name.replace("__", "."), None)
        if content is not None:
            contents[name.replace("__", ".")] = content
    manifest = json.dumps(update(contents, version, magnification)).encode()
    return zipped([(updates.update.MANIFEST, manifest), *contents.items()])


def tree(place: Path) -> dict[str, object]:
    """Everything under a folder: what is there, of which kind, and of files the content and when they were changed."""
    found: dict[str, object] = {}
    for parent, names, others in os.walk(place):
        for name in (*names, *others):
            path = Path(parent, name)
            state = path.lstat()
            content = (state.st_mtime_ns, path.read_bytes()) if stat.S_ISREG(state.st_mode) else None
            found[str(path.relative_to(place))] = (state.st_mode, content)
    return found
