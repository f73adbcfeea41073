"""Decode JPEG images strictly.

What libjpeg would silently repair counts as damage here. This is the only module that imports simplejpeg.

OpenCV's decoder fills what is missing with grey and reports it only on stderr. libjpeg-turbo's own interface
returns its warnings, and the pixels are the same.
"""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass

import numpy as np
import simplejpeg
from numpy.typing import NDArray

from edgeleuk.sources.pictures import damage
from edgeleuk.sources.pictures.directory import EXIF, orientation_of
from edgeleuk.sources.pictures.faults import CUT_SHORT, DamagedError
from edgeleuk.types import Image

UNKNOWN_INKS = "is a CMYK JPEG that does not say how its inks are coded. Save it as RGB and try again."
RARE = "is a JPEG of a rare kind. Save it as an ordinary JPEG or as PNG and try again."
COSTLY = "is a progressive JPEG that would take too much memory or time. Save it as an ordinary JPEG and try again."

MARKER = re.compile(rb"\xff+([^\x00\x01\xff\xd0-\xd7])", re.DOTALL)
"""Start, end or segment marker.

FF 00 is data, and restart markers lie inside of it.
"""
START, END, SCAN, INTERVAL, TABLES = 0xD8, 0xD9, 0xDA, 0xDD, 0xC4
APPLICATION_1, APPLICATION_14 = 0xE1, 0xEE
FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
USUAL = frozenset({0xC0, 0xC1, 0xC2, 0xC9, 0xCA})
"""Frame types that are decoded.

Baseline, extended, progressive, and the two with arithmetic coding.
"""
SEQUENTIAL = frozenset({0xC0, 0xC1, 0xC9})
MOST_SEGMENTS = 2000
MOST_KEPT = 330_000_000
"""Maximum bytes of coefficients.

A decoder keeps all coefficients where an image has several scans.
"""
MOST_WORK = 1_500_000_000
"""Maximum pixels times scans: five seconds of one core."""
ZEROS = re.compile(rb"\x00{48}")
"""Run of zeros that only flat areas contain."""


@dataclass(frozen=True, slots=True)
class Layout:
    """Structure of a JPEG up to its end marker."""

    width: int
    height: int
    components: int
    unit: tuple[int, int] = (8, 8)
    """Width and height of a coding unit, pixels."""
    scans: int = 0
    restart: int = 0
    """Units after which coding restarts; 0 for never."""
    coded: tuple[int, int] = (0, 0)
    """Positions of the first scan and the end marker."""
    sequential: bool = True
    blank: bool = True
    """Whether zeros code the end of a block.

    A flat area may then be a run of zeros.
    """
    orientation: int = 1
    fault: str | None = None
    """Reason not to decode it, or None.

    The text continues a sentence that begins with the file's name.
    """


def read_layout(data: bytes) -> Layout | None:
    """Parse the segments of a JPEG.

    Walks them as libjpeg does, up to the end marker. Returns None where the frame header is absent or
    invalid.
    """
    frame: Layout | None = None
    orientation, restart, scans, adobe, first = 1, 0, 0, False, 0
    position, fault, sequential, blank = 2, CUT_SHORT, True, True
    for _ in range(MOST_SEGMENTS):
        if (found := MARKER.search(data, position)) is None:
            break
        marker, position = found[1][0], found.end()
        if marker == END:
            fault, position = "" if scans else RARE, found.start()
            break
        if position + 2 > len(data):
            break
        (length,) = struct.unpack_from(">H", data, position)
        body = data[position + 2 : position + length]
        if marker == START or length < 2 or (marker in FRAMES and frame):
            fault = RARE
            break
        if marker in FRAMES:
            if (frame := _frame(body)) is None:
                return None
            if marker not in USUAL:
                fault = RARE
                break
            sequential = marker in SEQUENTIAL
        elif marker == APPLICATION_1 and body.startswith(EXIF):
            orientation = orientation_of(body)
        elif marker == APPLICATION_14 and body.startswith(b"Adobe"):
            adobe = True
        elif marker == TABLES:
            blank = blank and _blank(body)
        elif marker == INTERVAL and len(body) == 2:
            (restart,) = struct.unpack(">H", body)
        elif marker == SCAN:
            scans += 1
            first = first or position + length
        position += length
    else:
        fault = RARE
    if frame is None:
        return None
    inks = UNKNOWN_INKS if frame.components == 4 and not adobe else ""
    return Layout(
        frame.width, frame.height, frame.components, frame.unit, scans, restart, (first, position), sequential, blank, orientation,
        fault or inks or _cost(frame, scans) or None,
    )  # fmt: skip


def decode(data: bytes, layout: Layout, shrunk: int = 1) -> Image:
    """Decode to RGB (H, W, 3) as stored, not turned.

    Args:
        data: Bytes of the file.
        layout: Its structure.
        shrunk: Factor by which the image is decoded smaller.

    Raises:
        DamagedError: If the data are damaged.
    """
    smaller = {"min_width": -(-layout.width // shrunk), "min_height": -(-layout.height // shrunk)}
    pixels: Image = _strict(data, layout, "RGB", **(smaller if shrunk > 1 else {}))
    first, end = layout.coded
    found = ZEROS.search(data, first, end)
    zeros = found is not None and bool(data[found.start() : end].strip(b"\0"))  # some cameras pad with zeros
    if zeros and layout.sequential and not layout.blank:
        raise DamagedError(f"is damaged: {damage.EMPTY}. Copy or take it again.")
    if sign := damage.in_blocks(pixels, layout.unit, layout.restart, shrunk, zeros=zeros):
        raise DamagedError(f"is damaged: {sign}. Copy or take it again.")
    return pixels


def check_inks(data: bytes, layout: Layout) -> None:
    """Check a four-component JPEG that another decoder reads.

    It is checked at an eighth of its size only.

    Raises:
        DamagedError: If the data are damaged.
    """
    _strict(data, layout, "CMYK", min_width=-(-layout.width // 8), min_height=-(-layout.height // 8))


def _strict(data: bytes, layout: Layout, colours: str, **smaller: int) -> NDArray[np.uint8]:
    try:
        try:
            return _decoded(data, layout, colours, **smaller)
        except ValueError as error:
            mended = _mended(data, layout, str(error))
            if mended is None:
                raise
            return _decoded(mended, layout, colours, **smaller)
    except DamagedError:
        raise
    except (ValueError, MemoryError) as error:
        raise DamagedError(f"is damaged: {_said(error)}. Copy or take it again.") from error


def _decoded(data: bytes, layout: Layout, colours: str, **smaller: int) -> NDArray[np.uint8]:
    """Decode, or raise on libjpeg's first warning.

    Raises:
        ValueError: With libjpeg's first warning or error.
        DamagedError: If the decoder finds another size.
    """
    height, width, *_ = simplejpeg.decode_jpeg_header(data)
    if (width, height) != (layout.width, layout.height):
        raise DamagedError("is damaged: it has two sizes. Copy or take it again.")
    pixels: NDArray[np.uint8] = simplejpeg.decode_jpeg(data, colours, **smaller)
    return pixels


def _mended(data: bytes, layout: Layout, warning: str) -> bytes | None:
    """Repair a harmless fault that some cameras write.

    Removes what libjpeg warns of where none of the image is lost. Returns None for every other warning.
    """
    first, end = layout.coded
    if "extraneous bytes before marker 0xd9" in warning:  # zeros that pad the data
        return data[:first] + data[first:end].rstrip(b"\0") + data[end:]
    if "Invalid SOS parameters" in warning and layout.sequential:  # a sequential decoder ignores them
        mended = bytearray(data)
        for found in re.finditer(rb"\xff\xda", data):
            if found.end() + 3 > end:
                break
            (length,) = struct.unpack_from(">H", data, found.end())
            if length in (8, 10, 12) and length == 6 + 2 * data[found.end() + 2]:
                mended[found.end() + length - 3 : found.end() + length] = b"\0\x3f\0"
        return bytes(mended)
    if "JFIF revision" in warning and data[2:4] == b"\xff\xe0":
        return data[:11] + b"\1\1" + data[13:]
    return None


def _said(error: Exception) -> str:
    """Return libjpeg's message, reworded if common."""
    text = str(error)
    if "remature end" in text:
        return "a part of its data is missing"
    if "Corrupt JPEG data" in text or "Huffman" in text:
        return "its data make no sense"
    return f"its decoder says “{text[:80] or type(error).__name__}”"


def _frame(body: bytes) -> Layout | None:
    """Parse a frame header.

    It holds precision, height, width, number of components, and the sampling of each.
    """
    if len(body) < 6:
        return None
    _, height, width, components = struct.unpack_from(">BHHB", body)
    sampling = body[7 : 6 + 3 * components : 3]
    if not height or not width or not components or len(sampling) != components:
        return None
    unit = (8 * max(each >> 4 for each in sampling), 8 * max(each & 15 for each in sampling))
    if components == 1 or 0 in unit:  # a single component is coded block by block
        unit = (8, 8)
    return Layout(width, height, components, unit)


def _blank(body: bytes) -> bool:
    """Return whether zeros end blocks in all AC tables.

    `body` is a segment of Huffman tables; in every AC table the code of zeros alone must stand for the end of
    a block.
    """
    at = 0
    while at + 17 <= len(body):
        number = sum(body[at + 1 : at + 17])
        if body[at] >> 4 and number and body[at + 17 : at + 18] != b"\0":
            return False
        at += 17 + number
    return True


def _cost(frame: Layout, scans: int) -> str:
    """Return why decoding costs too much, or "".

    A few kilobytes can ask for hours of decoding.
    """
    pixels = frame.width * frame.height
    kept = 2 * pixels * frame.components * (scans > 1)
    return COSTLY * (kept > MOST_KEPT or (scans > 1 and pixels * scans > MOST_WORK))


def in_tiff(tables: bytes, chunk: bytes, colours_as_stored: bool) -> bytes:
    """Return a TIFF chunk as a standalone JPEG.

    See Adobe's TIFF technote 2.

    Args:
        tables: Tables that all chunks share.
        chunk: JPEG data of the chunk.
        colours_as_stored: Whether the chunk holds RGB, without a colour transform.
    """
    transform = b"\xff\xee\0\x0eAdobe\0\x64\0\0\0\0" + (b"\0" if colours_as_stored else b"\1")
    shared = tables[2:-2] if tables[:2] == b"\xff\xd8" else b""
    return chunk[:2] + transform + shared + chunk[2:]
