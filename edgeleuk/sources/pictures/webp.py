"""Parse WebP files and check them for damage.

From damaged data libwebp makes an image as long as it does not run out of them. An undamaged image needs its
last bytes: if it can be decoded without them, the decoder lost its way.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np

from edgeleuk.sources.pictures.directory import orientation_of

MOST_CHUNKS = 256
LAST = 8
"""Bytes removed for the check; an encoder pads by less."""
ANIMATED, OPAQUE = 0x02, 0x10
"""Flags of an extended file (RFC 9649, section 2.7)."""


@dataclass(frozen=True, slots=True)
class Layout:
    """Structure of a WebP; sizes in pixels as stored."""

    width: int
    height: int
    cut: bool
    """Whether the file is shorter than it claims."""
    orientation: int = 1
    alpha: bool = False
    animated: bool = False


def read_layout(data: bytes) -> Layout | None:
    """Parse the header.

    Returns None where it is invalid.

    Raises:
        struct.error: If the header is cut.
        IndexError: If the header is cut.
    """
    (size,) = struct.unpack_from("<I", data, 4)
    cut, kind = len(data) < size + 8, data[12:16]
    if kind == b"VP8 ":
        width, height = struct.unpack_from("<HH", data, 26)
        return Layout(width & 0x3FFF, height & 0x3FFF, cut)
    if kind == b"VP8L":
        (bits,) = struct.unpack_from("<I", data, 21)
        return Layout((bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1, cut, alpha=bool(bits >> 28 & 1))
    if kind == b"VP8X" and len(data) >= 30:
        width, height = (int.from_bytes(data[at : at + 3], "little") + 1 for at in (24, 27))
        exif = next(
            (data[first : first + count] for name, first, count in _chunks(data) if name == b"EXIF"), b""
        )
        flags = data[20]
        return Layout(width, height, cut, orientation_of(exif), bool(flags & OPAQUE), bool(flags & ANIMATED))
    return None


def is_whole(data: bytes) -> bool:
    """Return whether the pixels decode and need their last bytes.

    Only the pixels of an extended file are checked.
    """
    found = next(((first, size) for name, first, size in _chunks(data) if name in (b"VP8 ", b"VP8L")), None)
    if found is None or found[1] < 4 * LAST:
        return True
    first, size = found
    name, pixels = data[first - 8 : first - 4], data[first : first + size]
    if data[12:16] == b"VP8X" and not _decodes(name, pixels):
        return False
    return not _decodes(name, pixels[:-LAST])


def _decodes(name: bytes, pixels: bytes) -> bool:
    body = b"WEBP" + name + struct.pack("<I", len(pixels)) + pixels + bytes(len(pixels) % 2)
    plain = b"RIFF" + struct.pack("<I", len(body)) + body
    try:
        return cv2.imdecode(np.frombuffer(plain, np.uint8), cv2.IMREAD_UNCHANGED) is not None
    except cv2.error:
        return False


def _chunks(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Yield name, position of content, and size of each chunk."""
    position = 12
    for _ in range(MOST_CHUNKS):
        if position + 8 > len(data):
            return
        (size,) = struct.unpack_from("<I", data, position + 4)
        yield data[position : position + 4], position + 8, size
        position += 8 + size + size % 2
