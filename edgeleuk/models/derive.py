"""Derivation of a new model folder from an existing one.

The new model has other values or other networks, and a manifest that states its lineage. A folder is
written complete or not at all: it is written beside its place, read back, and then renamed.
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

from edgeleuk.errors import ModelMissingError, OutputError, UsageError
from edgeleuk.models import registry
from edgeleuk.models.manifest import finder_manifest, reader_manifest
from edgeleuk.models.registry import Model
from edgeleuk.models.updates.update import check_version
from edgeleuk.system import file_io
from edgeleuk.system.wording import command

PARTS = ("finder", "reader")
HEAD, GUARD, KNOWN = "head", "guard", "known"
"""Names of the reader's head, guard cells and known cells among the networks."""
SCHEMA = Path(__file__).parents[1] / "data" / "model.schema.json"
COMPUTED = frozenset({"file", "sha256", HEAD, GUARD, KNOWN})
"""Keys that follow from a part's files.

The reader's files stay as they are, also with another network, unless others are given.
"""


@dataclass(frozen=True, slots=True)
class Changes:
    """Changes from the parent model, and their reason.

    `finder` and `reader` are JSON merge patches of these parts of model.json (RFC 7396): objects are merged
    key by key, None removes a key, everything else replaces the old value. Measurements of the parent that
    no longer hold, such as error rates by type, must be changed by the caller too.
    """

    version: str
    """Version of the new model."""
    reason: str
    """What was done, in words."""
    data: str = ""
    """Data used for the change; empty if none."""
    finder: Mapping[str, Any] = field(default_factory=dict)
    reader: Mapping[str, Any] = field(default_factory=dict)
    networks: Mapping[str, Path | None] = field(default_factory=dict)
    """Files by what they replace.

    "finder" and "reader" (ONNX), "head" (see `heads`), "guard" (see `guard`), "known" (see `known`). None for guard or
    known cells removes them.
    """

    def patch(self, part: str) -> Mapping[str, Any]:
        return self.finder if part == "finder" else self.reader


def derive(model: Model, folder: Path, changes: Changes, at: datetime | None = None) -> Model:
    """Write a changed model to a new folder.

    Args:
        model: Parent model.
        folder: Folder to write; it must not exist yet.
        changes: Changes from the parent.
        at: Time stated in the lineage; now by default.

    Returns:
        The new model as read back.

    Raises:
        UsageError: The folder exists already, or the changes make no valid model.
        ModelError: The parent or a new network cannot be read or trusted.
        OutputError: The folder cannot be written.
    """
    if os.path.lexists(folder):
        raise UsageError(f"{folder} is there already. Name a new folder for the derived model.")
    model.verify()
    source = registry.manifest_bytes(model.folder)
    files = _networks(model, changes)
    document = _document(file_io.parse_json(source), changes)
    for part in PARTS:
        document[part]["sha256"] = _sha256(files[document[part]["file"]])
    for part in {HEAD, GUARD, KNOWN} & {*changes.networks}:
        if changes.networks[part] is None:
            del document["reader"][part]
        else:
            document["reader"][part]["sha256"] = _sha256(files[document["reader"][part]["file"]])
    if changes.networks and "real_slides" in document:
        document["real_slides"] = None  # they were read by the parent's networks
    document["lineage"] = [
        _step(model, source, changes, at or datetime.now(UTC)),
        *document.get("lineage", ()),
    ]
    _check(document, folder)
    files["model.json"] = (json.dumps(document, indent=2, ensure_ascii=False) + "\n").encode()
    _write(folder, files)
    return registry.load_folder(folder)


def _networks(model: Model, changes: Changes) -> dict[str, bytes]:
    """Return the new model's networks by file name.

    The reader's head, guard cells and known cells are among them.
    """
    own = {"finder": model.finder.path, "reader": model.reader.path}
    if model.reader.head:
        own[HEAD] = model.reader.head.path
    if model.reader.guard:
        own[GUARD] = model.reader.guard.path
    if model.reader.known:
        own[KNOWN] = model.reader.known.file.path
    if unknown := sorted({*changes.networks} - {*own}):
        raise UsageError(f"a model has no network {unknown[0]!r}. It has {' and '.join(own)}.")
    files = {}
    for part, there in own.items():
        path = changes.networks.get(part, there)
        if path is None:
            if part not in (GUARD, KNOWN):
                raise UsageError(f"a model needs its {part}. Name a file for it.")
            continue
        try:
            files[there.name] = file_io.read_bytes(path, registry.MOST_NETWORK_BYTES)
        except OSError as error:
            raise ModelMissingError(
                f"the network {path} cannot be read: {error.strerror}. Name a file for the {part}."
            ) from error
    return files


def _document(parent: dict[str, Any], changes: Changes) -> dict[str, Any]:
    """Return the parent's manifest with the changes.

    Raises:
        UsageError: The changes name something that a manifest does not have.
    """
    try:
        version = check_version(changes.version)
    except ValueError as error:
        raise UsageError(f"the derived model needs another version: {error}.") from error
    if version == parent["version"]:
        raise UsageError(f"the derived model needs a version of its own; its parent is {version} already.")
    for part in PARTS:
        _known(changes.patch(part), _schema()[part], part)
    patched = {part: _merged(parent[part], changes.patch(part)) for part in PARTS}
    return parent | {"version": version} | patched


@cache
def _schema() -> Mapping[str, Any]:
    """Return the manifest schema by part."""
    properties: Mapping[str, Any] = file_io.read_json(SCHEMA)["properties"]
    return properties


def _known(patch: Mapping[str, Any], schema: Mapping[str, Any], where: str) -> None:
    """Check that a patch has known keys.

    Raises:
        UsageError: A key exists in no manifest, for example a misspelt one, or follows from a network.
    """
    properties = schema.get("properties", {})
    for name, value in patch.items():
        if name in COMPUTED and where in PARTS:
            raise UsageError(f"{where}.{name} follows from the network. Name that among the changes instead.")
        if name not in properties:
            raise UsageError(f"a manifest has no {where}.{name}. See `{command('schema')} model`.")
        if isinstance(value, Mapping) and "properties" in properties[name]:
            _known(value, properties[name], f"{where}.{name}")


def _merged(target: Any, patch: Any) -> Any:
    """Apply a JSON merge patch (RFC 7396)."""
    if not isinstance(patch, Mapping):
        return patch
    merged = dict(target) if isinstance(target, Mapping) else {}
    for name, value in patch.items():
        if value is None:
            merged.pop(name, None)
        else:
            merged[name] = _merged(merged.get(name), value)
    return merged


def _step(model: Model, source: bytes, changes: Changes, at: datetime) -> dict[str, Any]:
    """Return the lineage entry of a derived model.

    It states the parent with its hashes, what was changed, on which data and when.
    """
    changed: dict[str, Any] = {part: changes.patch(part) for part in PARTS if changes.patch(part)}
    return {
        "magnification": model.magnification,
        "version": model.version,
        "manifest_sha256": _sha256(source),
        "finder_sha256": model.finder.sha256,
        "reader_sha256": model.reader.sha256,
        "changed": changed | {"networks": sorted(changes.networks)},
        "reason": changes.reason,
        "data": changes.data,
        "at": at.astimezone(UTC).isoformat(timespec="seconds"),
    }


def _check(document: Mapping[str, Any], folder: Path) -> None:
    """Check that the runtime can read a manifest.

    Raises:
        UsageError: The runtime could not read it.
    """
    for part, make in zip(PARTS, (finder_manifest, reader_manifest), strict=True):
        try:
            make(folder, document[part])
        except KeyError as error:
            raise UsageError(f"the changes make no model: the {part} lacks {error}.") from error
        except (TypeError, ValueError, AttributeError, OverflowError) as error:
            raise UsageError(f"the changes make no model: in the {part}, {error}.") from error


def _write(folder: Path, files: Mapping[str, bytes]) -> None:
    """Write a folder atomically.

    It is moved to its place when all of it is on the disk and was read back.
    """
    partial = folder.parent / f".unfinished-{secrets.token_hex(4)}"
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        partial.mkdir()
        for name, content in files.items():
            file_io.write_new(partial / name, content)
        registry.load_folder(partial)
        file_io.sync_folder(partial)
        partial.rename(folder)
        file_io.sync_folder(folder.parent)
    except OSError as error:
        raise OutputError(
            f"cannot write the derived model to {folder}: {error.strerror}. Nothing was left there; name another folder."
        ) from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
