"""Manifest of an archive, `update.json`.

It states which model the archive holds, and every file with its size and SHA-256. It is the text that is
signed, and it stays in the folder of the installed model, so that `registry` can tell whether a byte of it has
changed since.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any

from edgeleuk.errors import EdgeleukError, InputError, ModelAlteredError
from edgeleuk.models import heads, registry
from edgeleuk.system import file_io
from edgeleuk.system.wording import command

FORMAT = "edgeleuk-model-update/1"
MANIFEST, SIGNATURE, MODEL = registry.UPDATE, "update.sig", "model.json"

MAX_FILES = 7
"""Maximum number of files in a model.

A model has up to seven: its manifest, its card, its finder, its reader, and the reader's head, guard cells and known cells.
"""
MAX_NETWORK_BYTES, MAX_TEXT_BYTES = 32_000_000, 2_000_000
"""Maximum size of networks and texts, bytes.

This project's choice, more than ten times what its models need: a Raspberry Pi with a gigabyte holds it
easily.
"""
MAX_MANIFEST_BYTES = 16_000
NETWORKS = {".onnx": MAX_NETWORK_BYTES, ".npz": heads.MOST_BYTES}
"""Maximum file size by a network's suffixes, bytes."""
FILE_NAME = re.compile(r"model\.json|README\.md|[a-z0-9][a-z0-9_-]{0,40}\.(onnx|npz)")
"""Pattern of file names in a model.

No folders, nothing hidden, no two that differ only in case, nothing that can be run.
"""
VERSION = re.compile(r"[0-9A-Za-z][0-9A-Za-z.+_-]{0,62}")
"""Pattern of versions; each is a folder's name."""
_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class Entry:
    """A file's entry in the manifest."""

    size: int
    """Size in bytes."""
    sha256: str

    @classmethod
    def of(cls, content: bytes) -> Entry:
        return cls(len(content), hashlib.sha256(content).hexdigest())


@dataclass(frozen=True, slots=True)
class Update:
    """A checked manifest of an archive."""

    magnification: str
    version: str
    files: Mapping[str, Entry]

    def as_bytes(self) -> bytes:
        """Return the manifest as packed and signed."""
        files = {name: {"bytes": entry.size, "sha256": entry.sha256} for name, entry in self.files.items()}
        document = {
            "format": FORMAT,
            "magnification": self.magnification,
            "version": self.version,
            "files": files,
        }
        return (json.dumps(document, indent=2) + "\n").encode()

    def check(self, files: Mapping[str, bytes]) -> None:
        """Check files against the manifest.

        All files of the manifest must be there, nothing else, and byte for byte.

        Raises:
            InputError: A file is missing, or is not in the manifest.
            ModelAlteredError: A file differs from the manifest.
        """
        if unknown := files.keys() - self.files.keys():
            raise refusal(f"{_some(unknown)} is not in its manifest")
        if missing := self.files.keys() - files.keys():
            raise refusal(f"{_some(missing)} is missing from it")
        for name, content in files.items():
            if Entry.of(content) != self.files[name]:
                raise refusal(f"{name} in it is not the file that its manifest names", ModelAlteredError)


def refusal(what: str, kind: type[EdgeleukError] = InputError) -> EdgeleukError:
    """Return the error for a refused archive.

    `what` is a clause.
    """
    return kind(
        f"the model update is refused: {what}. Nothing was changed. Copy the archive again from where it was made,"
        f" or have it made again with `{command('models pack')}`."
    )


def read_update(text: bytes) -> Update:
    """Parse a manifest.

    Raises:
        InputError: The text is not exactly as `Update.as_bytes` writes it.
    """
    try:
        document = file_io.parse_json(text)
        if type(document) is dict and document.get("format", FORMAT) != FORMAT:
            raise refusal(
                f"its format is {str(document['format'])[:60]!r}, and this program reads {FORMAT!r}; update edgeleuk"
            )
        keys = _fields(document, "format", "magnification", "version", "files")
        return Update(_magnification(keys["magnification"]), check_version(keys["version"]), _listed(keys))
    except (ValueError, TypeError) as error:
        raise refusal(f"its {MANIFEST} is not one ({str(error)[:200]})") from error


def check_version(name: Any) -> str:
    """Check that a version is a valid folder name.

    Returns:
        The version.

    Raises:
        ValueError: It is not valid.
    """
    if not isinstance(name, str) or not VERSION.fullmatch(name) or name.casefold() == registry.BUILTIN:
        raise ValueError(
            f"{str(name)[:60]!r} is no version: up to 63 letters, digits and . + _ -, and not {registry.BUILTIN!r}"
        )
    return name


def limit(name: str) -> int:
    """Return a file's maximum size by name, bytes."""
    return NETWORKS.get(PurePath(name).suffix, MAX_TEXT_BYTES)


def _magnification(value: Any) -> str:
    if value not in registry.MAGNIFICATIONS:
        raise ValueError(
            f"magnification {str(value)[:60]!r} is none of this program's: {', '.join(registry.MAGNIFICATIONS)}"
        )
    return str(value)


def _listed(document: Mapping[str, Any]) -> dict[str, Entry]:
    listed = document["files"]
    if type(listed) is not dict or not 0 < len(listed) <= MAX_FILES or MODEL not in listed:
        raise ValueError(f"files must be {MODEL} and up to {MAX_FILES - 1} others")
    return {name: _entry(name, value) for name, value in listed.items()}


def _entry(name: str, value: Any) -> Entry:
    if not FILE_NAME.fullmatch(name):
        raise ValueError(f"{name[:60]!r} is no file of a model")
    size, digest = (_fields(value, "bytes", "sha256")[key] for key in ("bytes", "sha256"))
    if type(size) is not int or not 0 < size <= limit(name):
        raise ValueError(f"{name} must have from 1 to {limit(name)} bytes")
    if not isinstance(digest, str) or not _SHA256.fullmatch(digest):
        raise ValueError(f"{name} has no SHA-256")
    return Entry(size, digest)


def _fields(value: Any, *names: str) -> dict[str, Any]:
    if type(value) is not dict or {*value} != {*names}:
        raise ValueError(f"{', '.join(names)} and nothing else must be in it")
    return value


def _some(names: set[str]) -> str:
    return ", ".join(sorted(names))
