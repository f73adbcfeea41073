"""HEIC and HEIF pictures, as phones save them. The only importer of pillow_heif, the extra `heif`.

Turned upright they come by their own properties (irot, imir), which the decoder applies; the orientation that their
EXIF block repeats is not applied again, as the standard says (ISO/IEC 23008-12, annex A).
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
from edgeleuk.sources._headers import Header

EMPTY = re.compile(rb"\x00{2048}")
"""Of coded data no more than two zeros follow each other (ISO/IEC 23008-2, 7.4.2); a camera's notes have some hundred."""
AV1 = (b"avif", b"avis")
"""Brands of pictures in this container that hold another kind of film frame."""


def read_header(data: bytes, name: str) -> Header:
    """Size and kind of a file, upright, without decoding it. Raises MissingExtraError, NotAnImageError."""
    if data[8:12] in AV1:
        raise NotAnImageError(f"{name} is an AVIF picture, which is not read. Save it as JPEG and try again.")
    with _translated(name):
        width, height = _opened(data, name).size
    return Header("HEIC", width, height)


def decode(data: bytes, name: str) -> NDArray[np.uint8]:
    """(H, W, 3) BGR or (H, W, 4) with opacity, upright, read-only; the decoder can do no less than the whole of it.

    Raises MissingExtraError, NotAnImageError.
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
