"""What a picture file says of itself before it is decoded: format, size, orientation, whether all of it is there.

A decoder fills the missing part of a cut file with grey and calls that success, and allocates whatever size a
header claims; both must be known before it runs. Orientation is read here too, because which formats a decoder
turns upright differs between its versions.
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass
from typing import BinaryIO

from edgeleuk.sources import _jpeg, _tiff
from edgeleuk.sources import _webp as _webp_file
from edgeleuk.sources._directory import orientation_of
from edgeleuk.sources._jpeg import CUT_SHORT

ANIMATED = "is an animation. Save one of its pictures as JPEG or PNG and try again."
WRONG_CHECKSUM = "is damaged: a checksum in it is wrong. Copy or take it again."


@dataclass(frozen=True, slots=True)
class Header:
    """What is known of a picture file; sizes in pixels as claimed and as stored, before it is turned upright."""

    format: str
    width: int
    height: int
    fault: str | None = None
    """Why it must not be decoded, to follow the file's name in a sentence."""
    orientation: int = 1
    """EXIF orientation, 1 to 8, which is left to us."""
    alpha: bool = False
    """Whether it has opacity."""
    premultiplied: bool = False
    """Whether colours come multiplied by their opacity."""
    bytes_per_pixel: int = 3
    """When decoded."""
    jpeg: _jpeg.Layout | None = None
    tiff: _tiff.Layout | None = None


def read_header(data: bytes) -> Header | None:
    """The header of JPEG, PNG, BMP or WebP bytes; None where it is none of these or makes no sense."""
    try:
        if data[:3] == b"\xff\xd8\xff":
            return _of_jpeg(data)
        if data[:8] == b"\x89PNG\r\n\x1a\n":
            return _png(data)
        if data[:2] == b"BM":
            return _bmp(data)
        if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
            return _webp(data)
    except (struct.error, IndexError):
        pass
    return None


def is_heif(data: bytes) -> bool:
    """Whether these are the bytes of a HEIC, HEIF or AVIF file."""
    return data[4:8] == b"ftyp" and data[8:11] in (b"hei", b"hev", b"mif", b"msf", b"avi")


def read_tiff_header(file: BinaryIO, size: int, place: int | None = None) -> Header:
    """The header of a page of a TIFF of so many bytes: of the one whose directory stands at `place`, or of the first."""
    layout = _tiff.read_layout(file, place)
    if isinstance(layout, str):
        return Header("TIFF", 0, 0, layout)
    pixel = -(-layout.samples * layout.bits // 8)
    return Header(
        "TIFF", layout.width, layout.height, _tiff.fault(layout, size), layout.orientation,
        premultiplied=layout.premultiplied, bytes_per_pixel=pixel, tiff=layout,
    )  # fmt: skip


def _of_jpeg(data: bytes) -> Header | None:
    layout = _jpeg.read_layout(data)
    if layout is None:
        return None
    return Header("JPEG", layout.width, layout.height, layout.fault, layout.orientation, jpeg=layout)


def _png(data: bytes) -> Header:
    """Walk the chunks, each with its checksum, to IEND."""
    width, height, depth, colour = struct.unpack_from(">IIBB", data, 16)
    fault: str | None = CUT_SHORT
    orientation, alpha, position = 1, colour in (4, 6), 8
    while position + 12 <= len(data):
        (length,) = struct.unpack_from(">I", data, position)
        kind, end = data[position + 4 : position + 8], position + 8 + length
        if end + 4 > len(data):
            break
        if zlib.crc32(memoryview(data)[position + 4 : end]) != struct.unpack_from(">I", data, end)[0]:
            fault = WRONG_CHECKSUM
            break
        if kind == b"eXIf":
            orientation = orientation_of(data[position + 8 : end])
        alpha |= kind == b"tRNS"
        if kind == b"IEND":
            fault = None
            break
        position = end + 4
    pixel = (3 + alpha) * (2 if depth == 16 else 1)
    return Header("PNG", width, height, fault, orientation, alpha, bytes_per_pixel=pixel)


def _bmp(data: bytes) -> Header:
    (size,) = struct.unpack_from("<I", data, 2)
    (header_size,) = struct.unpack_from("<I", data, 14)
    # The header of OS/2 and Windows 2 has 16-bit sizes; all later ones have signed 32-bit sizes.
    width, height = struct.unpack_from("<HH" if header_size == 12 else "<ii", data, 18)
    bits, packing = struct.unpack_from("<HI", data, 28) if header_size >= 40 else (24, 0)
    (start,) = struct.unpack_from("<I", data, 10)
    rows = (width * bits + 31) // 32 * 4 * abs(height) if packing == 0 else 0
    cut = len(data) < max(size, start + rows)
    return Header("BMP", max(width, 0), abs(height), CUT_SHORT if cut else None)


def _webp(data: bytes) -> Header | None:
    layout = _webp_file.read_layout(data)
    if layout is None:
        return None
    fault = CUT_SHORT if layout.cut else ANIMATED if layout.animated else None
    return Header(
        "WebP", layout.width, layout.height, fault, layout.orientation, layout.alpha,
        bytes_per_pixel=3 + layout.alpha,
    )  # fmt: skip
