"""Read image file headers before decoding.

A header gives format, size, orientation, and whether the file is complete.

A decoder fills the missing part of a cut file with grey and reports success, and allocates whatever size a
header claims; both must be known before it runs. Orientation is read here too, because decoder versions
differ in which formats they turn upright.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import BinaryIO

from edgeleuk.sources.pictures import jpeg as jpeg_format
from edgeleuk.sources.pictures import png as png_format
from edgeleuk.sources.pictures import tiff as tiff_format
from edgeleuk.sources.pictures import webp as webp_format
from edgeleuk.sources.pictures.faults import CUT_SHORT

WEBP_BYTES = 12
"""Bytes that the WebP decoder keeps per pixel."""
ANIMATED = "is an animation. Save one of its pictures as JPEG or PNG and try again."


@dataclass(frozen=True, slots=True)
class Header:
    """Header of an image file.

    Sizes are in pixels as claimed and as stored, before the image is turned upright.
    """

    format: str
    width: int
    height: int
    fault: str | None = None
    """Reason not to decode it, or None.

    The text continues a sentence that begins with the file's name.
    """
    orientation: int = 1
    """EXIF orientation, 1 to 8, not yet applied."""
    alpha: bool = False
    """Whether the image has an opacity channel."""
    premultiplied: bool = False
    """Whether colours are premultiplied by their opacity."""
    bytes_per_pixel: int = 3
    """Bytes per decoded pixel."""
    jpeg: jpeg_format.Layout | None = None
    png: png_format.Layout | None = None
    tiff: tiff_format.Layout | None = None
    webp: webp_format.Layout | None = None


def read_header(data: bytes) -> Header | None:
    """Read the header of a JPEG, PNG, BMP or WebP.

    Returns None where the data are none of these, or invalid.
    """
    try:
        if data[:3] == b"\xff\xd8\xff":
            return _of_jpeg(data)
        if data[:8] == png_format.MAGIC:
            return _of_png(data)
        if data[:2] == b"BM":
            return _of_bmp(data)
        if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
            return _of_webp(data)
    except (struct.error, IndexError):
        pass
    return None


def is_heif(data: bytes) -> bool:
    """Return whether data are HEIC, HEIF or AVIF."""
    return data[4:8] == b"ftyp" and data[8:11] in (b"hei", b"hev", b"mif", b"msf", b"avi")


def read_tiff_header(file: BinaryIO, size: int, place: int | None = None) -> Header:
    """Read the header of a TIFF page.

    Args:
        file: Open TIFF.
        size: Size of the file, bytes.
        place: Byte position of the page's directory; None for the first page.
    """
    layout = tiff_format.read_layout(file, place)
    if isinstance(layout, str):
        return Header("TIFF", 0, 0, layout)
    pixel = -(-layout.samples * layout.bits // 8)
    return Header(
        "TIFF", layout.width, layout.height, tiff_format.fault(layout, size), layout.orientation,
        premultiplied=layout.premultiplied, bytes_per_pixel=pixel, tiff=layout,
    )  # fmt: skip


def _of_jpeg(data: bytes) -> Header | None:
    layout = jpeg_format.read_layout(data)
    if layout is None:
        return None
    return Header("JPEG", layout.width, layout.height, layout.fault, layout.orientation, jpeg=layout)


def _of_png(data: bytes) -> Header | None:
    layout = png_format.read_layout(data)
    if layout is None:
        return None
    pixel = (3 + layout.alpha) * (2 if layout.depth == 16 else 1)
    return Header(
        "PNG", layout.width, layout.height, layout.fault, layout.orientation, layout.alpha,
        bytes_per_pixel=pixel, png=layout,
    )  # fmt: skip


def _of_bmp(data: bytes) -> Header:
    (size,) = struct.unpack_from("<I", data, 2)
    (header_size,) = struct.unpack_from("<I", data, 14)
    # The header of OS/2 and Windows 2 has 16-bit sizes; all later ones have signed 32-bit sizes.
    width, height = struct.unpack_from("<HH" if header_size == 12 else "<ii", data, 18)
    bits, packing = struct.unpack_from("<HI", data, 28) if header_size >= 40 else (24, 0)
    (start,) = struct.unpack_from("<I", data, 10)
    rows = (width * bits + 31) // 32 * 4 * abs(height) if packing == 0 else 0
    cut = len(data) < (start + rows if rows else size)
    return Header("BMP", max(width, 0), abs(height), CUT_SHORT if cut else None)


def _of_webp(data: bytes) -> Header | None:
    layout = webp_format.read_layout(data)
    if layout is None:
        return None
    fault = CUT_SHORT if layout.cut else ANIMATED if layout.animated else None
    return Header(
        "WebP", layout.width, layout.height, fault, layout.orientation, layout.alpha,
        bytes_per_pixel=WEBP_BYTES, webp=layout,
    )  # fmt: skip
