"""Decode HEIC and HEIF images of phones.

This is the only module that imports pillow_heif (the extra `heif`).

The decoder turns images upright by their own properties (irot, imir). The orientation that their EXIF block
repeats is not applied again, as the standard says (ISO/IEC 23008-12, annex A).
"""

from __future__ import annotations

import io
import re
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgeleuk.errors import MissingExtraError, NotAnImageError
from edgeleuk.sources.pictures.headers import Header

EMPTY = re.compile(rb"\x00{2048}")
"""Run of zeros that intact coded data never contain.

Coded data have at most two consecutive zeros (ISO/IEC 23008-2, 7.4.2); a camera's notes have some hundred.
"""
AV1 = (b"avif", b"avis")
"""Brands of AVIF images, which use the same container."""


def read_header(data: bytes, name: str) -> Header:
    """Read a file's upright size without decoding it.

    Raises:
        MissingExtraError: If pillow_heif is not installed.
        NotAnImageError: If the file is damaged, or an AVIF.
    """
    if data[8:12] in AV1:
        raise NotAnImageError(f"{name} is an AVIF picture, which is not read. Save it as JPEG and try again.")
    with _translated(name):
        width, height = _opened(data, name).size
    return Header("HEIC", width, height)


def decode(data: bytes, name: str) -> NDArray[np.uint8]:
    """Decode a file to an upright, read-only image.

    The decoder can only decode the whole image.

    Returns:
        (H, W, 3) BGR, or (H, W, 4) with opacity.

    Raises:
        MissingExtraError: If pillow_heif is not installed.
        NotAnImageError: If the file is damaged.
    """
    if EMPTY.search(data, max(data.find(b"mdat"), 0)):
        raise NotAnImageError(f"{name} is damaged: a part of its data is empty. Copy or take it again.")
    with _translated(name):
        pixels: NDArray[np.uint8] = np.asarray(_opened(data, name))
    return pixels


def _opened(data: bytes, name: str) -> Any:
    try:
        import pillow_heif
    except ImportError as error:
        raise MissingExtraError(
            f"{name} is a HEIC picture, and what reads these is not installed. Run: pip install 'edgeleuk[heif]', or "
            "save it as JPEG."
        ) from error
    return pillow_heif.open_heif(io.BytesIO(data), bgr_mode=True)


@contextmanager
def _translated(name: str) -> Iterator[None]:
    try:
        yield
    except (ValueError, EOFError, SyntaxError, RuntimeError, OSError, LookupError, struct.error) as error:
        raise NotAnImageError(
            f"{name} is a damaged HEIC file, or one of a rare kind. Copy or take it again, or save it as JPEG."
        ) from error
