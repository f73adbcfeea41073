"""Where a file says sizes, counts, kinds and offsets: the bytes whose change asks most of a decoder."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import NamedTuple

MOST_ENTRIES = 64


class Place(NamedTuple):
    """A number in a file."""

    at: int
    """First byte."""
    form: str
    """As `struct` spells it, with its byte order."""


def places(data: bytes) -> list[Place]:
    """Every field that is known of a whole file of its format; empty for another format."""
    for begins, find in _FINDERS.items():
        if data.startswith(begins):
            return [place for place in find(data) if place.at + struct.calcsize(place.form) <= len(data)]
    return list(_boxes(data, 0, len(data))) if data[4:8] == b"ftyp" else []


def sides(data: bytes) -> list[tuple[Place, Place]]:
    """Where a whole picture says its width and its height; empty for a format of which that is not known."""
    if data.startswith(b"\xff\xd8\xff"):
        frames = [at for at, _ in segments(data) if 0xC0 <= data[at + 1] <= 0xC3]
        return [(Place(at + 7, ">H"), Place(at + 5, ">H")) for at in frames]
    if data.startswith(b"\x89PNG"):
        return [(Place(16, ">I"), Place(20, ">I"))]
    if data.startswith(b"BM"):
        return [(Place(18, "<I"), Place(22, "<I"))]
    if data.startswith((b"II*\0", b"MM\0*")):
        found: dict[int, Place] = {}
        for order, at, entries in directories(data):
            for entry in range(at + 2, at + 2 + 12 * entries, 12):
                tag, kind = struct.unpack_from(order + "HH", data, entry)
                found.setdefault(tag, Place(entry + 8, order + ("H" if kind == 3 else "I")))
        return [(found[256], found[257])] if {256, 257} <= found.keys() else []
    if (at := data.find(b"ispe")) > 0:
        return [(Place(at + 8, ">I"), Place(at + 12, ">I"))]
    return [(Place(26, "<H"), Place(28, "<H"))] if data[12:16] == b"VP8 " else []


def segments(data: bytes) -> Iterator[tuple[int, int]]:
    """Where the segments of a JPEG before its first scan begin, and how long each is with its marker."""
    at = 2
    while at + 4 <= len(data) and data[at] == 0xFF and data[at + 1] != 0xDA:
        size = 2 + int.from_bytes(data[at + 2 : at + 4], "big")
        yield at, size
        at += size


def chunks(data: bytes) -> Iterator[tuple[int, int]]:
    """Where the chunks of a PNG or WebP begin, and how long each is as a whole."""
    png = data.startswith(b"\x89PNG")
    at, beside = (8, 12) if png else (12, 8)
    while at + 8 <= len(data):
        size = struct.unpack_from(">I" if png else "<I", data, at if png else at + 4)[0]
        size += beside + (0 if png else size % 2)
        yield at, size
        at += size


def directories(data: bytes, base: int = 0) -> Iterator[tuple[str, int, int]]:
    """Byte order, first byte and number of entries of each directory of a TIFF or EXIF block at `base`."""
    order = "<" if data[base : base + 2] == b"II" else ">"
    if base + 8 > len(data):
        return
    (at,) = struct.unpack_from(order + "I", data, base + 4)
    while at > 0 and base + at + 2 <= len(data):
        (entries,) = struct.unpack_from(order + "H", data, base + at)
        yield order, base + at, entries
        end = base + at + 2 + 12 * entries
        at = struct.unpack_from(order + "I", data, end)[0] if end + 4 <= len(data) else 0


def _jpeg(data: bytes) -> Iterator[Place]:
    for at, size in segments(data):
        yield Place(at + 1, "B")
        yield Place(at + 2, ">H")
        if 0xC0 <= data[at + 1] <= 0xCF:
            yield Place(at + 5, ">H")
            yield Place(at + 7, ">H")
            yield from (Place(each, "B") for each in range(at + 4, at + min(size + 2, 24)))
        if data[at + 4 : at + 10] == b"Exif\0\0":
            yield from _tiff(data, at + 10)


def _png(data: bytes) -> Iterator[Place]:
    for at, _ in chunks(data):
        yield Place(at, ">I")
    yield from (Place(16, ">I"), Place(20, ">I"))
    yield from (Place(at, "B") for at in range(24, 29))


def _webp(data: bytes) -> Iterator[Place]:
    yield Place(4, "<I")
    for at, size in chunks(data):
        yield Place(at + 4, "<I")
        yield from (Place(each, "<H") for each in range(at + 8, at + min(size, 24), 2))


def _tiff(data: bytes, base: int = 0) -> Iterator[Place]:
    order = "<" if data[base : base + 2] == b"II" else ">"
    yield Place(base + 2, order + "H")
    yield Place(base + 4, order + "I")
    for _, at, entries in directories(data, base):
        yield Place(at, order + "H")
        for entry in range(at + 2, at + 2 + 12 * min(entries, MOST_ENTRIES), 12):
            yield from (Place(entry, order + "H"), Place(entry + 2, order + "H"))
            yield from (Place(entry + 4, order + "I"), Place(entry + 8, order + "I"))
        yield Place(at + 2 + 12 * entries, order + "I")


def _bmp(_: bytes) -> Iterator[Place]:
    yield from (Place(at, "<I") for at in (2, 10, 14, 18, 22, 30, 34, 46, 50))
    yield from (Place(at, "<H") for at in (26, 28))


def _zip(data: bytes) -> Iterator[Place]:
    for begins, shorts, longs in (
        (b"PK\x03\x04", (4, 6, 8, 26, 28), (14, 18, 22)),
        (b"PK\x01\x02", (4, 6, 8, 10, 28, 30, 32, 34, 36), (16, 20, 24, 38, 42)),
        (b"PK\x05\x06", (4, 6, 8, 10, 20), (12, 16)),
    ):
        at = data.find(begins)
        while at >= 0:
            yield from (Place(at + each, "<H") for each in shorts)
            yield from (Place(at + each, "<I") for each in longs)
            at = data.find(begins, at + 4)


def _sqlite(data: bytes) -> Iterator[Place]:
    """The header of the file, and those of its first pages of trees."""
    yield from (Place(at, ">H") for at in (16, 18, 100))
    yield from (Place(at, ">I") for at in range(24, 100, 4))
    size = int.from_bytes(data[16:18], "big") or 4096
    for page in range(min(len(data) // size, 32)):
        start = page * size + (100 if page == 0 else 0)
        yield Place(start, "B")
        yield from (Place(start + each, ">H") for each in (1, 3, 5, 8, 10, 12))


def _boxes(data: bytes, start: int, end: int, depth: int = 0) -> Iterator[Place]:
    """Of an ISO base media file, as HEIC is."""
    at = start
    while at + 8 <= end:
        size, kind = int.from_bytes(data[at : at + 4], "big"), data[at + 4 : at + 8]
        yield Place(at, ">I")
        if size < 8:
            return
        if kind in (b"meta", b"iprp", b"ipco", b"iinf") and depth < 4:
            yield from _boxes(
                data, at + {b"meta": 12, b"iinf": 14}.get(kind, 8), min(at + size, end), depth + 1
            )
        elif kind != b"mdat":
            yield from (Place(each, ">H") for each in range(at + 8, at + min(size, 72), 2))
        at += size


_FINDERS = {
    b"\xff\xd8\xff": _jpeg,
    b"\x89PNG": _png,
    b"II*\0": _tiff,
    b"MM\0*": _tiff,
    b"BM": _bmp,
    b"RIFF": _webp,
    b"PK\x03\x04": _zip,
    b"SQLite format 3\0": _sqlite,
}
