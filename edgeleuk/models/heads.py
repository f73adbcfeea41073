"""Reader heads: matrices that map cell features to logits.

A head lies beside its network in a file of its own, a plain `.npz` with the arrays `weight` (F, O) and
`bias` (O,). It is read whole, within a limit, and only in the form that `save` writes: stored entries, no
objects of Python.
"""

from __future__ import annotations

import hashlib
import io
import stat
import zipfile
from dataclasses import dataclass
from math import prod
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edgeleuk.errors import ModelAlteredError, ModelError, ModelMissingError
from edgeleuk.models.zip_errors import MALFORMED_ZIP
from edgeleuk.system import file_io

MOST_BYTES = 16_000_000
"""Maximum file size of a head.

2,000 features to 100 values take 0.4 MB.
"""
NAMES = ("weight", "bias")
KINDS = (np.dtype("<f2"), np.dtype("<f4"))
_PLAIN = (1, 0)
"""Version of the `.npy` format.

See https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html
"""
_MALFORMED: tuple[type[Exception], ...] = (*MALFORMED_ZIP, SyntaxError)
"""Exceptions of zipfile and numpy for malformed bytes."""


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
    try:
        content = file_io.read_bytes(path, MOST_BYTES)
    except OSError as error:
        raise ModelMissingError(
            f"model file {path} cannot be read: {error.strerror}. Install the model again."
        ) from error
    digest = hashlib.sha256(content).hexdigest()
    if digest != sha256:
        raise ModelAlteredError(
            f"model file {path} is not the one published (SHA-256 {digest[:12]}..., expected {sha256[:12]}...). "
            "Install the model again; its results cannot be trusted."
        )
    try:
        return _head(*_arrays(content))
    except _MALFORMED as error:
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
        arrays = [np.ascontiguousarray(each, dtype="<f2") for each in (weight, bias)]
    _head(*arrays)
    written = io.BytesIO()
    with zipfile.ZipFile(written, "w", zipfile.ZIP_STORED) as archive:
        for name, array in zip(NAMES, arrays, strict=True):
            info = zipfile.ZipInfo(f"{name}.npy")  # dated 1980, whenever it is written
            info.create_system = 3  # Unix, wherever it is written
            info.external_attr = (stat.S_IFREG | 0o644) << 16
            entry = io.BytesIO()
            np.lib.format.write_array(entry, array, _PLAIN, allow_pickle=False)
            archive.writestr(info, entry.getvalue())
    content = written.getvalue()
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


def _arrays(content: bytes) -> tuple[NDArray[np.floating], NDArray[np.floating]]:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        infos = {info.filename: info for info in archive.infolist()}
        if len(archive.infolist()) != len(NAMES) or {*infos} != {f"{name}.npy" for name in NAMES}:
            raise ValueError(f"it holds something else than the arrays {' and '.join(NAMES)}")
        for name, info in infos.items():
            if info.compress_type != zipfile.ZIP_STORED or info.file_size > len(content):
                raise ValueError(f"{name} in it is compressed")
        weight, bias = (_array(archive.read(f"{name}.npy")) for name in NAMES)
    return weight, bias


def _array(entry: bytes) -> NDArray[np.floating]:
    """Read an array whose header matches its length.

    The check comes first, because memory is allocated by the header.
    """
    stream = io.BytesIO(entry)
    if np.lib.format.read_magic(stream) != _PLAIN:
        raise ValueError("an array of it has another version of the format")
    shape, _, kind = np.lib.format.read_array_header_1_0(stream)
    if kind not in KINDS:
        raise ValueError(f"an array of it is {kind}, not float16 or float32")
    if prod(shape) * kind.itemsize != len(entry) - stream.tell():
        raise ValueError("an array of it has not the length that it says")
    array: NDArray[np.floating] = np.load(io.BytesIO(entry), allow_pickle=False)
    return array


def _shape(array: NDArray[np.floating]) -> str:
    return " x ".join(map(str, array.shape)) or "one number"
