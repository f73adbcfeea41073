"""Arrays in plain `.npz` files.

They lie beside a network: a reader's head, its guard and known cells. A file is read whole, within a limit, and only in
the form that `to_bytes` writes: stored entries, no objects of Python.
"""

from __future__ import annotations

import hashlib
import io
import stat
import zipfile
from collections.abc import Collection, Mapping
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgeleuk.errors import ModelAlteredError, ModelMissingError
from edgeleuk.models.zip_errors import MALFORMED_ZIP
from edgeleuk.system import file_io

_PLAIN = (1, 0)
"""Version of the `.npy` format.

See https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html
"""
MALFORMED: tuple[type[Exception], ...] = (*MALFORMED_ZIP, SyntaxError)
"""Exceptions of `from_bytes` for malformed bytes."""


def read(path: Path, sha256: str, most: int) -> bytes:
    """Read a file of a model and verify it.

    Args:
        path: File to read.
        sha256: Hash of the file as published.
        most: Maximum size, bytes.

    Raises:
        ModelMissingError: The file cannot be read.
        ModelAlteredError: The file is not the one published.
    """
    try:
        content = file_io.read_bytes(path, most)
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
    return content


def to_bytes(arrays: Mapping[str, NDArray[Any]]) -> bytes:
    """Return arrays as a `.npz` file.

    The same arrays give the same bytes.
    """
    written = io.BytesIO()
    with zipfile.ZipFile(written, "w", zipfile.ZIP_STORED) as archive:
        for name, array in arrays.items():
            info = zipfile.ZipInfo(f"{name}.npy")  # dated 1980, whenever it is written
            info.create_system = 3  # Unix, wherever it is written
            info.external_attr = (stat.S_IFREG | 0o644) << 16
            entry = io.BytesIO()
            np.lib.format.write_array(entry, array, _PLAIN, allow_pickle=False)
            archive.writestr(info, entry.getvalue())
    return written.getvalue()


def from_bytes(content: bytes, kinds: Mapping[str, Collection[np.dtype[Any]]]) -> list[NDArray[Any]]:
    """Return the arrays of a `.npz` file.

    Args:
        content: The file.
        kinds: Names of the arrays, each with its allowed types of numbers.

    Raises:
        ValueError: It holds other arrays, or is not of the plain form; so do the others of MALFORMED.
    """
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        infos = {info.filename: info for info in archive.infolist()}
        if len(archive.infolist()) != len(kinds) or {*infos} != {f"{name}.npy" for name in kinds}:
            raise ValueError(f"it holds something else than the arrays {' and '.join(kinds)}")
        for name, info in infos.items():
            if info.compress_type != zipfile.ZIP_STORED or info.file_size > len(content):
                raise ValueError(f"{name} in it is compressed")
        return [_array(archive.read(f"{name}.npy"), allowed) for name, allowed in kinds.items()]


def _array(entry: bytes, kinds: Collection[np.dtype[Any]]) -> NDArray[Any]:
    """Read an array whose header matches its length.

    The check comes first, because memory is allocated by the header.
    """
    stream = io.BytesIO(entry)
    if np.lib.format.read_magic(stream) != _PLAIN:
        raise ValueError("an array of it has another version of the format")
    shape, _, kind = np.lib.format.read_array_header_1_0(stream)
    if kind not in kinds:
        raise ValueError(f"an array of it is {kind}, not {' or '.join(each.name for each in kinds)}")
    if prod(shape) * kind.itemsize != len(entry) - stream.tell():
        raise ValueError("an array of it has not the length that it says")
    array: NDArray[Any] = np.load(io.BytesIO(entry), allow_pickle=False)
    return array
