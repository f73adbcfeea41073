"""Reader heads: matrices that map cell features to logits.

A head lies beside its network in a file of its own, a plain `.npz` with the arrays `weight` (F, O) and
`bias` (O,). It is read whole, within a limit, and only in the form that `save` writes: stored entries, no
objects of Python.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edgeleuk.errors import ModelError
from edgeleuk.models import arrays
from edgeleuk.system import file_io

MOST_BYTES = 16_000_000
"""Maximum file size of a head.

2,000 features to 100 values take 0.4 MB.
"""
NAMES = ("weight", "bias")
KINDS = (np.dtype("<f2"), np.dtype("<f4"))


@dataclass(frozen=True, slots=True)
class Head:
    """A matrix with its bias.

    Sums are 64-bit, so that they do not depend on how many cells are read together.
    """

    weight: NDArray[np.float64]
    """(F, O) matrix."""
    bias: NDArray[np.float64]
    """(O,) bias."""

    @property
    def features(self) -> int:
        return int(self.weight.shape[0])

    @property
    def outputs(self) -> int:
        return int(self.weight.shape[1])

    def logits(self, features: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the logits (N, O) of features (N, F)."""
        result: NDArray[np.float32] = (features @ self.weight + self.bias).astype(np.float32)
        return result


def load(path: Path, sha256: str) -> Head:
    """Load a head from a file.

    Raises:
        ModelMissingError: The file cannot be read.
        ModelAlteredError: The file is not the one published: its SHA-256 is not `sha256`.
        ModelError: The file is no head.
    """
    content = arrays.read(path, sha256, MOST_BYTES)
    try:
        weight, bias = arrays.from_bytes(content, dict.fromkeys(NAMES, KINDS))
        return _head(weight, bias)
    except arrays.MALFORMED as error:
        raise ModelError(
            f"{path} is no head of a reader: {str(error)[:200]}. Publish the model again."
        ) from error


def save(path: Path, weight: NDArray[np.floating], bias: NDArray[np.floating]) -> str:
    """Write a head in 16-bit numbers.

    The same arrays give the same bytes.

    Args:
        path: File to write.
        weight: (F, O) matrix.
        bias: (O,) bias.

    Returns:
        The SHA-256 of the file.

    Raises:
        ValueError: The arrays are no head, or exceed what 16 bits hold.
        OSError: The file cannot be written.
    """
    with np.errstate(over="ignore"):  # _head reports an overflow
        rounded = [np.ascontiguousarray(each, dtype="<f2") for each in (weight, bias)]
    _head(*rounded)
    content = arrays.to_bytes(dict(zip(NAMES, rounded, strict=True)))
    if len(content) > MOST_BYTES:
        raise ValueError(f"the head has {len(content) / 1e6:.1f} MB, more than {MOST_BYTES / 1e6:.0f} MB")
    file_io.write_whole(path, content)
    return hashlib.sha256(content).hexdigest()


def _head(weight: NDArray[np.floating], bias: NDArray[np.floating]) -> Head:
    """Build a head from its arrays.

    Raises:
        ValueError: The arrays do not belong together, or hold values that are no numbers.
    """
    if weight.ndim != 2 or bias.shape != weight.shape[1:] or not weight.size:
        raise ValueError(
            f"weight is {_shape(weight)} and bias {_shape(bias)}, not features x values and values"
        )
    if not (np.isfinite(weight).all() and np.isfinite(bias).all()):
        raise ValueError("it holds what is no number, or none of 16 bits")
    return Head(weight.astype(np.float64), bias.astype(np.float64))


def _shape(array: NDArray[np.floating]) -> str:
    return " x ".join(map(str, array.shape)) or "one number"
