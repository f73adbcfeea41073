"""Known cells: what the white cells of learnt laboratories look like to a reader.

A reader is less accurate in laboratories that it did not learn from, and as sure. Its features tell them apart: those
of a cell lie near those of other cells from the same stain and camera. The known cells of each laboratory and type are
summed up by the means of a few clusters, and a cell has the cosine similarity of its features to the nearest mean
(nearest-neighbour detection of unknown inputs: Sun et al., Out-of-distribution detection with deep nearest neighbors,
ICML 2022). Some types vary more than others. So the familiarity of a cell is the share of held-out cells read as the
same type that are no more similar: a conformal p-value (Bates et al., Testing for outliers with conformal p-values,
Annals of Statistics 2023), of which cells of learnt laboratories have 0.5 on average.
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
from edgeleuk.models.levels import packed, unpacked
from edgeleuk.system import file_io

MOST_BYTES = 2_000_000
"""Maximum file size.

140 means of 1,280 features take 0.2 MB.
"""
CLUSTERS = 3
"""Maximum clusters of the cells of one laboratory and type.

This project's choice: two to four told laboratories apart much alike, one less well.
"""
ROUNDS = 20
"""Number of rounds of K-means; few cells settle in fewer."""
KINDS: Mapping[str, Collection[np.dtype[Any]]] = {
    "levels": (np.dtype("u1"),),
    "low": (np.dtype("<f4"),),
    "step": (np.dtype("<f4"),),
    "similarities": (np.dtype("<f4"),),
}


@dataclass(frozen=True, slots=True)
class Known:
    """Known cells of a reader."""

    means: NDArray[np.float32]
    """(M, F) means of clusters, each of length 1."""
    similarities: NDArray[np.float32]
    """(K, Q) rising quantiles of the similarity of held-out cells, by the label that they are read as.

    From the least to the largest, in equal steps.
    """

    def similarity(self, features: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the cosine similarity (N,) of cells to the nearest mean.

        `features`: (N, F).
        """
        nearest: NDArray[np.float32] = (unit(features) @ self.means.T).max(axis=1)
        return nearest

    def familiarity(
        self, features: NDArray[np.float32], read: NDArray[np.integer[Any]]
    ) -> NDArray[np.float32]:
        """Return the familiarity (N,) of cells, 0 to 1.

        Args:
            features: (N, F) features of the cells.
            read: (N,) index of the label that each is read as, recognised or not.
        """
        return self.rank(self.similarity(features), read)

    def rank(self, similarity: NDArray[np.float32], read: NDArray[np.integer[Any]]) -> NDArray[np.float32]:
        """Return the familiarity (N,) by similarity (N,) and label (N,)."""
        shares = np.linspace(0, 1, self.similarities.shape[1])
        each = [np.interp(s, self.similarities[i], shares) for s, i in zip(similarity, read, strict=True)]
        return np.array(each, np.float32)


def load(path: Path, sha256: str, features: int, labels: int) -> Known:
    """Load the known cells of a reader.

    Args:
        path: File to read.
        sha256: Hash of the file as published.
        features: Number of the reader's features.
        labels: Number of its labels.

    Raises:
        ModelMissingError: The file cannot be read.
        ModelAlteredError: The file is not the one published.
        ModelError: It holds no known cells of this reader.
    """
    content = arrays.read(path, sha256, MOST_BYTES)
    try:
        *levels, similarities = arrays.from_bytes(content, KINDS)
        means = unpacked(*levels)
        if means.shape[1] != features:
            raise ValueError(f"it has {means.shape[1]} features and the reader {features}")
        if similarities.ndim != 2 or len(similarities) != labels or similarities.shape[1] < 2:
            raise ValueError("it has no similarities of each label")
        if not (np.isfinite(similarities).all() and (np.diff(similarities, axis=1) >= 0).all()):
            raise ValueError("its similarities do not rise")
    except arrays.MALFORMED as error:
        raise ModelError(
            f"{path} holds no known cells of this reader: {str(error)[:200]}. Publish the model again."
        ) from error
    return Known(unit(means), similarities)


def save(path: Path, known: Known) -> str:
    """Write known cells; return the SHA-256 of the file.

    Raises:
        ValueError: There are too many.
        OSError: The file cannot be written.
    """
    content = arrays.to_bytes({**packed(known.means), "similarities": known.similarities.astype("<f4")})
    if len(content) > MOST_BYTES:
        raise ValueError(
            f"the known cells have {len(content) / 1e6:.1f} MB, more than {MOST_BYTES / 1e6:.0f}"
        )
    file_io.write_whole(path, content)
    return hashlib.sha256(content).hexdigest()


def clusters(features: NDArray[np.float32], most: int = CLUSTERS) -> NDArray[np.float32]:
    """Return the means (K, F) of the clusters of N cells, each of length 1.

    They are K-means by cosine similarity from evenly spread cells; `most` clusters at most, one cell at least in each.
    """
    cells = unit(features)
    means = cells[np.linspace(0, len(cells) - 1, min(most, len(cells))).round().astype(int)]
    for _ in range(ROUNDS):
        nearest = (cells @ means.T).argmax(axis=1)
        sums = np.stack([cells[nearest == i].sum(axis=0) for i in range(len(means))])
        means = unit(np.where(np.any(sums, axis=1, keepdims=True), sums, means))
    return means


def unit(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return rows scaled to length 1; a row of zeros stays."""
    scaled: NDArray[np.float32] = rows / np.linalg.norm(rows, axis=1, keepdims=True).clip(1e-9)
    return scaled
