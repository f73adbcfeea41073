"""Model folders of adapted and taught readers."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgeleuk.errors import ModelError
from edgeleuk.models import guard, heads, known
from edgeleuk.models.derive import HEAD, KNOWN, Changes, derive
from edgeleuk.models.guard import Guard
from edgeleuk.models.heads import Head
from edgeleuk.models.manifest import ReaderManifest
from edgeleuk.models.registry import Model
from edgeleuk.system.wording import command

OF_PARENT = ("figures", "figures_fp32", "source_probe", "across", "lineage")
"""Measurements of the parent's reader that do not hold with another head."""


@dataclass(frozen=True, slots=True)
class NewReader:
    """What an adapted or taught reader has other than its parent."""

    head: Head
    patch: Mapping[str, Any]
    """Entries of the reader's part of the manifest, each whole."""
    reason: str
    data: str
    """Data that it was learnt from."""
    networks: Mapping[str, Path | None] = field(default_factory=dict)
    """Further files by what they replace, see `derive.Changes`."""
    learnt: Sequence[NDArray[np.float32]] = ()
    """Features (N, F) of the learnt cells, by type.

    The new reader knows these cells, see `models.known`.
    """


def guard_of(model: Model) -> Guard:
    """Return the guard cells of a model.

    Raises:
        ModelError: It has none, or they cannot be trusted.
    """
    if model.reader.guard is None or model.reader.head is None:
        raise ModelError(
            f"the {model.magnification} model {model.version} has no guard cells, by which a new head is checked, so it"
            f" cannot be taught or adapted. Use a newer model: `{command('models list')}` shows those here."
        )
    return guard.load(model.reader.guard.path, model.reader.guard.sha256, len(model.reader.labels))


def without_figures(manifest: ReaderManifest) -> dict[str, Any]:
    """Return the entries that remove the measurements of another head.

    `figures` and `figures_fp32` become empty objects, since a manifest must have them.
    """
    there = [name for name in OF_PARENT if name in manifest.raw]
    return {name: {} if name.startswith("figures") else None for name in there}


def _replacing(old: Any, new: Any) -> Any:
    """Return the merge patch that makes `old` equal to `new`."""
    if not isinstance(old, Mapping) or not isinstance(new, Mapping):
        return new
    return {name: None for name in old if name not in new} | {
        name: _replacing(old.get(name), value) for name, value in new.items()
    }


def write(parent: Model, folder: Path, version: str, new: NewReader) -> Model:
    """Write the model folder of a new reader.

    Args:
        parent: Model that it comes from.
        folder: Folder to write; it must not exist yet.
        version: Version of the new model.
        new: What differs.

    Raises:
        UsageError: The folder exists already, or the version is not valid.
        ModelError: The parent cannot be trusted.
        OutputError: The folder cannot be written.
    """
    with tempfile.TemporaryDirectory(prefix="edgeleuk-") as place:
        path = Path(place) / "head.npz"
        heads.save(path, new.head.weight, new.head.bias)
        networks: dict[str, Path | None] = {**new.networks, HEAD: path}
        if (there := parent.reader.known) and new.learnt:
            own = networks[KNOWN] = Path(place) / "known.npz"
            width, labels = new.learnt[0].shape[1], len(parent.reader.labels)
            before = known.load(there.file.path, there.file.sha256, width, labels)
            means = np.concatenate([before.means, *map(known.clusters, new.learnt)])
            known.save(own, replace(before, means=means))
        raw = parent.reader.raw
        patch = {name: _replacing(raw.get(name), value) for name, value in new.patch.items()}
        changes = Changes(version, new.reason, new.data, reader=patch, networks=networks)
        return derive(parent, folder, changes)
