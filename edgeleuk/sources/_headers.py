"""What a picture file says of itself before it is decoded: its format, its size, whether its end is there.

A decoder fills the missing part of a cut file with grey and calls that success, and allocates whatever size a
header claims; both must be known before it runs.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Header:
    """Format and claimed size in pixels of a picture file."""

    format: str
    width: int
    height: int
    complete: bool = True
    alpha: bool = False


def read_header(data: bytes) -> Header | None:
    """The header of JPEG, PNG, TIFF, BMP or WebP bytes; None where it is none of these or makes no sense."""
    try:
        if data[:3] == b"\xff\xd8\xff":
            return _jpeg(data)
        if data[:8] == b"\x89PNG\r\n\x1a\n":
            return _png(data)
        if data[:4] in (b"II*\0", b"MM\0*"):
            return _tiff(data)
        if data[:2] == b"BM":
            return _bmp(data)
        if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
            return _webp(data)
    except (struct.error, IndexError):
        pass
    return None


def is_heif(data: bytes) -> bool:
    """Whether these are the bytes of a HEIC, HEIF or AVIF file."""
    return data[4:8] == b"ftyp" and data[8:12] in (b"heic", b"heix", b"hevc", b"mif1", b"msf1", b"avif")


def _jpeg(data: bytes) -> Header | None:
    """Walk the segments to the frame header and the scan; the end marker must follow the scan.

    Only 0xFFD9 after the scan counts: an embedded thumbnail has an end marker of its own.
    """
    position, size = 2, None
    while position < len(data):
        if data[position] != 0xFF:
            position += 1
            continue
        marker = data[position + 1]
        if marker in (0xFF, 0x01) or 0xD0 <= marker <= 0xD8:
            position += 1 if marker == 0xFF else 2
            continue
        (length,) = struct.unpack_from(">H", data, position + 2)
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            height, width = struct.unpack_from(">HH", data, position + 5)
            size = (width, height)
        if marker == 0xDA and size:
            return Header("JPEG", *size, complete=data.find(b"\xff\xd9", position) != -1)
        position += 2 + length
    return Header("JPEG", *size, complete=False) if size else None


def _png(data: bytes) -> Header:
    width, height, _depth, colour = struct.unpack_from(">IIBB", data, 16)
    return Header("PNG", width, height, complete=b"IEND" in data[-64:], alpha=colour in (4, 6))


def _bmp(data: bytes) -> Header:
    (size,) = struct.unpack_from("<I", data, 2)
    width, height = struct.unpack_from("<ii", data, 18)
    return Header("BMP", width, abs(height), complete=len(data) >= size)


def _webp(data: bytes) -> Header | None:
    (size,) = struct.unpack_from("<I", data, 4)
    complete, kind = len(data) >= size + 8, data[12:16]
    if kind == b"VP8 ":
        width, height = struct.unpack_from("<HH", data, 26)
        return Header("WebP", width & 0x3FFF, height & 0x3FFF, complete)
    if kind == b"VP8L":
        (bits,) = struct.unpack_from("<I", data, 21)
        return Header("WebP", (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1, complete, bool(bits >> 28 & 1))
    if kind == b"VP8X":
        width = int.from_bytes(data[24:27], "little") + 1
        height = int.from_bytes(data[27:30], "little") + 1
        return Header("WebP", width, height, complete, bool(data[20] & 0x10))
    return None


def _tiff(data: bytes) -> Header | None:
    order = "<" if data[:2] == b"II" else ">"
    (start,) = struct.unpack_from(order + "I", data, 4)
    (entries,) = struct.unpack_from(order + "H", data, start)
    values = {}
    for i in range(entries):
        at = start + 2 + 12 * i
        tag, kind = struct.unpack_from(order + "HH", data, at)
        values[tag] = struct.unpack_from(order + ("H" if kind == 3 else "I"), data, at + 8)[0]
    if 256 not in values or 257 not in values:
        return None
    return Header("TIFF", values[256], values[257], alpha=values.get(277) == 4 and values.get(262) == 2)
