"""Guard cells: features of cells of known laboratories.

They come with a reader. A head that is taught or adapted must not read them worse than the head that shipped.
Both take these same features, which are of the quarter turns that the reader took when it was published: the pictures
do not ship, and a taught reader that takes more turns cannot read them again.
A file holds 8-bit features, see `levels`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgeleuk.errors import ModelError
from edgeleuk.models import arrays
from edgeleuk.models.levels import LEVELS, packed, unpacked
from edgeleuk.system import file_io

MOST_BYTES = 4_000_000
"""Maximum file size.

400 cells of 1,280 features take 0.5 MB.
"""
KINDS: Mapping[str, Collection[np.dtype[Any]]] = {
    "levels": (np.dtype("u1"),),
    "low": (np.dtype("<f4"),),
    "step": (np.dtype("<f4"),),
    "labels": (np.dtype("u1"),),
    "groups": (np.dtype("<u2"),),
}


@dataclass(frozen=True, slots=True)
class Guard:
    """Guard cells of a reader."""

    features: NDArray[np.float32]
    """(N, F) features, averaged over the turns of the published reader."""
    labels: NDArray[np.int64]
    """(N,) true labels, indices into the reader's labels."""
    groups: NDArray[np.int64]
    """(N,) numbers of patients or files, which must not be split."""


def load(path: Path, sha256: str, label_count: int) -> Guard:
    """Load guard cells from a file.

    Args:
        path: File to read.
        sha256: Hash of the file as published.
        label_count: Number of the reader's labels.

    Raises:
        ModelMissingError: The file cannot be read.
        ModelAlteredError: The file is not the one published.
        ModelError: It holds no guard cells of this reader.
    """
    content = arrays.read(path, sha256, MOST_BYTES)
    try:
        levels, low, step, labels, groups = arrays.from_bytes(content, KINDS)
        features = unpacked(levels, low, step)
        if labels.shape != levels.shape[:1] or groups.shape != labels.shape:
            raise ValueError("its labels or groups are not one per cell")
        if labels.max() >= label_count:
            raise ValueError("it has a label that the reader has not")
    except arrays.MALFORMED as error:
        raise ModelError(
            f"{path} holds no guard cells of this reader: {str(error)[:200]}. Publish the model again."
        ) from error
    return Guard(features, labels.astype(np.int64), groups.astype(np.int64))


def save(path: Path, guard: Guard) -> str:
    """Write guard cells; return the SHA-256 of the file.

    Raises:
        ValueError: There are too many cells, labels or groups.
        OSError: The file cannot be written.
    """
    if guard.labels.max() > LEVELS or guard.groups.max() >= 1 << 16:
        raise ValueError("guard cells have too many labels or groups for their file")
    content = arrays.to_bytes(
        {
            **packed(guard.features),
            "labels": guard.labels.astype("u1"),
            "groups": guard.groups.astype("<u2"),
        }
    )
    if len(content) > MOST_BYTES:
        raise ValueError(
            f"the guard cells have {len(content) / 1e6:.1f} MB, more than {MOST_BYTES / 1e6:.0f}"
        )
    file_io.write_whole(path, content)
    return hashlib.sha256(content).hexdigest()
