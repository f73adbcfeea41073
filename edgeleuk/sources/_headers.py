"""What a picture file says of itself before it is decoded: format, size, orientation, whether all of it is there.

A decoder fills the missing part of a cut file with grey and calls that success, and allocates whatever size a
header claims; both must be known before it runs. Orientation is read here too, because which formats a decoder
turns upright differs between its versions.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

from edgeleuk.sources._strips import FIELDS, OFFSETS, SIZES, Strips

CUT_SHORT = "is cut short: its end is missing. Copy or take it again."
WRONG_CHECKSUM = "is damaged: a checksum in it is wrong. Copy or take it again."
UNKNOWN_INKS = "is a CMYK JPEG that does not say how its inks are coded. Save it as RGB and try again."

EXIF = b"Exif\0\0"
ORIENTATION, EXTRA_SAMPLES = 274, 338
WIDTH, HEIGHT, BITS, TILES, TILE_SIZES = 256, 257, 258, 324, 325
WANTED = FIELDS | {OFFSETS, SIZES, TILES, TILE_SIZES, ORIENTATION}
INTEGERS = {1: "B", 3: "H", 4: "I"}
"""Integer types of TIFF and EXIF fields, as `struct` spells them."""
STRAIGHT_ALPHA = 2
"""Value of EXTRA_SAMPLES for colours that were not multiplied by their opacity."""


@dataclass(frozen=True, slots=True)
class Header:
    """What is known of a picture file; sizes in pixels as claimed and as stored, before it is turned upright."""

    format: str
    width: int
    height: int
    fault: str | None = None
    """Why it must not be decoded, to follow the file's name in a sentence."""
    orientation: int = 1
    """EXIF orientation that the decoder leaves to us, 1 to 8. A TIFF's the decoder applies itself."""
    alpha: bool = False
    """Whether a PNG or WebP has opacity; of a TIFF the decoder tells."""
    premultiplied: bool = False
    """Whether colours come multiplied by their opacity."""
    strips: Strips | None = None
    """Of a TIFF that can be decoded in parts."""


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
    return data[4:8] == b"ftyp" and data[8:11] in (b"hei", b"hev", b"mif", b"msf", b"avi")


def _jpeg(data: bytes) -> Header | None:
    """Walk the segments to the frame header and the scan; the end marker must follow the scan.

    Only 0xFFD9 after the scan counts: an embedded thumbnail has an end marker of its own.
    """
    position, orientation, adobe = 2, 1, False
    frame: tuple[int, int, int] | None = None
    while 0 <= (position := data.find(b"\xff", position)) < len(data) - 1:
        marker = data[position + 1]
        if marker in (0xFF, 0x01) or 0xD0 <= marker <= 0xD8:  # fill byte, or a marker without a segment
            position += 1 if marker == 0xFF else 2
            continue
        if position + 4 > len(data):
            break
        (length,) = struct.unpack_from(">H", data, position + 2)
        body = data[position + 4 : position + 2 + length]
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            frame = struct.unpack_from(">HHB", body, 1)
        elif marker == 0xE1 and body.startswith(EXIF):
            orientation = _orientation(body)
        elif marker == 0xEE and body.startswith(b"Adobe"):
            adobe = True
        elif marker == 0xDA and frame:
            fault = CUT_SHORT if data.find(b"\xff\xd9", position) == -1 else None
            inks = UNKNOWN_INKS if frame[2] == 4 and not adobe else None
            return Header("JPEG", frame[1], frame[0], fault or inks, orientation)
        position += 2 + length
    return Header("JPEG", frame[1], frame[0], CUT_SHORT) if frame else None


def _png(data: bytes) -> Header:
    """Walk the chunks, each with its checksum, to IEND."""
    width, height, _depth, colour = struct.unpack_from(">IIBB", data, 16)
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
            orientation = _orientation(data[position + 8 : end])
        alpha |= kind == b"tRNS"
        if kind == b"IEND":
            fault = None
            break
        position = end + 4
    return Header("PNG", width, height, fault, orientation, alpha)


def _bmp(data: bytes) -> Header:
    (size,) = struct.unpack_from("<I", data, 2)
    (header_size,) = struct.unpack_from("<I", data, 14)
    # The header of OS/2 and Windows 2 has 16-bit sizes; all later ones have signed 32-bit sizes.
    width, height = struct.unpack_from("<HH" if header_size == 12 else "<ii", data, 18)
    return Header("BMP", width, abs(height), CUT_SHORT if len(data) < size else None)


def _webp(data: bytes) -> Header | None:
    (size,) = struct.unpack_from("<I", data, 4)
    fault, kind = CUT_SHORT if len(data) < size + 8 else None, data[12:16]
    if kind == b"VP8 ":
        width, height = struct.unpack_from("<HH", data, 26)
        return Header("WebP", width & 0x3FFF, height & 0x3FFF, fault)
    if kind == b"VP8L":
        (bits,) = struct.unpack_from("<I", data, 21)
        return Header(
            "WebP", (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1, fault, alpha=bool(bits >> 28 & 1)
        )
    if kind == b"VP8X" and len(data) >= 30:
        width = int.from_bytes(data[24:27], "little") + 1
        height = int.from_bytes(data[27:30], "little") + 1
        exif = next((body for name, body in _riff_chunks(data) if name == b"EXIF"), b"")
        return Header("WebP", width, height, fault, _orientation(exif), bool(data[20] & 0x10))
    return None


def _riff_chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    position = 12
    while position + 8 <= len(data):
        (length,) = struct.unpack_from("<I", data, position + 4)
        yield data[position : position + 4], data[position + 8 : position + 8 + length]
        position += 8 + length + length % 2


def _tiff(data: bytes) -> Header | None:
    try:
        fields = _directory(data)
    except struct.error:  # the directory of a TIFF may stand at its very end
        return Header("TIFF", 0, 0, CUT_SHORT)
    if not fields.get(WIDTH) or not fields.get(HEIGHT):
        return None
    offsets = fields.get(OFFSETS) or fields.get(TILES, ())
    sizes = fields.get(SIZES) or fields.get(TILE_SIZES, ())
    end = max((offset + size for offset, size in zip(offsets, sizes, strict=False)), default=0)
    # OpenCV reads 8-bit TIFFs through libtiff's RGBA interface, which multiplies by the opacity.
    straight = max(fields.get(BITS) or (1,)) > 8 and fields.get(EXTRA_SAMPLES) == (STRAIGHT_ALPHA,)
    return Header(
        "TIFF",
        fields[WIDTH][0],
        fields[HEIGHT][0],
        CUT_SHORT if end > len(data) else None,
        premultiplied=not straight,
        strips=Strips.of(data[:2], fields) if fields.get(ORIENTATION, (1,)) == (1,) else None,
    )


def _orientation(exif: bytes) -> int:
    """Orientation in an EXIF block, 1 where there is none or no sense in it."""
    try:
        value = _directory(exif.removeprefix(EXIF)).get(ORIENTATION, (1,))
    except struct.error:
        return 1
    return value[0] if len(value) == 1 and 1 <= value[0] <= 8 else 1


def _directory(data: bytes) -> dict[int, tuple[int, ...]]:
    """The WANTED integer fields of the first directory of a TIFF or EXIF block. struct.error where it is cut."""
    order = "<" if data[:2] == b"II" else ">"
    (start,) = struct.unpack_from(order + "I", data, 4)
    (entries,) = struct.unpack_from(order + "H", data, start)
    fields: dict[int, tuple[int, ...]] = {}
    for at in range(start + 2, start + 2 + 12 * entries, 12):
        tag, kind, count = struct.unpack_from(order + "HHI", data, at)
        if tag not in WANTED or kind not in INTEGERS:
            continue
        form = f"{order}{count}{INTEGERS[kind]}"
        place = at + 8 if struct.calcsize(form) <= 4 else struct.unpack_from(order + "I", data, at + 8)[0]
        fields.setdefault(tag, struct.unpack_from(form, data, place))
    return fields
