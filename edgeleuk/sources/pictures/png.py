"""Check PNG files completely before decoding.

The decoder gets a file without the parts that it would only comment on: libpng writes on stderr what it finds
wrong, also in colour profiles and notes that do not affect the image.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from edgeleuk.sources.pictures.directory import orientation_of
from edgeleuk.sources.pictures.faults import CUT_SHORT, SENSELESS, WRONG_CHECKSUM

MAGIC = b"\x89PNG\r\n\x1a\n"
DEPTHS = {0: (1, 2, 4, 8, 16), 2: (8, 16), 3: (1, 2, 4, 8), 4: (8, 16), 6: (8, 16)}
"""Allowed bits per sample, by colour type.

See PNG 3rd edition, table 12.
"""
CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
CLEAR = {0: 2, 2: 6}
"""Bytes of the transparent colour, by colour type."""
PASSES = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))
"""Passes of an interlaced image (section 8.2).

First column and row of each pass, and its column and row steps.
"""
FILTERS = 5
MOST_CHUNKS = 100_000
PIECE = 1 << 20
"""Bytes inflated at a time."""


@dataclass(frozen=True, slots=True)
class Layout:
    """Structure of a PNG; sizes in pixels as stored."""

    width: int
    height: int
    depth: int
    colour: int
    interlaced: bool = False
    fault: str | None = None
    """Reason not to decode it, or None.

    The text continues a sentence that begins with the file's name.
    """
    orientation: int = 1
    alpha: bool = False
    needed: tuple[tuple[int, int], ...] = ()
    """Start and end of each chunk that makes the image.

    The end is exclusive.
    """
    data: tuple[tuple[int, int], ...] = ()
    """Start and end of the pixel chunks' contents."""

    @property
    def rows(self) -> Iterator[tuple[int, int]]:
        """Row counts and bytes per row, in stored order.

        The bytes include the filter byte.
        """
        bits = self.depth * CHANNELS[self.colour]
        for left, top, across, down in PASSES if self.interlaced else ((0, 0, 1, 1),):
            columns, lines = -(-(self.width - left) // across), -(-(self.height - top) // down)
            if columns > 0 and lines > 0:
                yield lines, 1 + (columns * bits + 7) // 8


def read_layout(data: bytes) -> Layout | None:
    """Parse the chunks and check their checksums.

    Returns None where the header is invalid.
    """
    if data[8:16] != b"\0\0\0\x0dIHDR" or len(data) < 33:
        return None
    width, height, depth, colour, packing, filtering, interlace = struct.unpack_from(">IIBBBBB", data, 16)
    if (
        depth not in DEPTHS.get(colour, ())
        or packing
        or filtering
        or interlace > 1
        or not width
        or not height
    ):
        return None
    fault, orientation, alpha = CUT_SHORT, 1, colour in (4, 6)
    needed: list[tuple[int, int]] = []
    pixels: list[tuple[int, int]] = []
    palette, position, last = 0, 8, b""
    for _ in range(MOST_CHUNKS):
        if position + 12 > len(data):
            break
        (length,) = struct.unpack_from(">I", data, position)
        kind, first, end = data[position + 4 : position + 8], position + 8, position + 8 + length
        if end + 4 > len(data):
            break
        if zlib.crc32(memoryview(data)[position + 4 : end]) != struct.unpack_from(">I", data, end)[0]:
            fault = WRONG_CHECKSUM
            break
        if kind == b"IEND":
            fault = "" if pixels and (palette or colour != 3) else SENSELESS
            break
        if kind == b"eXIf":
            orientation = orientation_of(data[first:end])
        if kind == b"IDAT":
            pixels.append((first, end))
        elif kind == b"PLTE" and colour == 3:
            palette = length // 3
        wrong = (
            (kind == b"IHDR" and position != 8)
            or (kind == b"IDAT" and last != b"IDAT" and len(pixels) > 1)
            or (
                kind == b"PLTE"
                and colour == 3
                and (length % 3 or not 0 < palette <= 1 << depth or last == b"PLTE" or pixels)
            )
            or (kind == b"tRNS" and (length > palette if colour == 3 else length != CLEAR.get(colour)))
        )
        if (
            wrong
            or (kind == b"tRNS" and alpha)
            or (kind == b"PLTE" and any(data[a + 4 : a + 8] == kind for a, _ in needed))
        ):
            fault = SENSELESS
            break
        alpha |= kind == b"tRNS"
        if kind in (b"IHDR", b"tRNS", b"IDAT") or (kind == b"PLTE" and colour == 3):
            needed.append((position, end + 4))
        last, position = kind, end + 4
    return Layout(
        width,
        height,
        depth,
        colour,
        bool(interlace),
        fault or None,
        orientation,
        alpha,
        tuple(needed),
        tuple(pixels),
    )


def is_whole(data: bytes, layout: Layout) -> bool:
    """Return whether the pixel data are complete.

    They must inflate to as many bytes as the image has, each row with a filter that exists.
    """
    unpacking = zlib.decompressobj()
    filters = _Filters([*layout.rows])
    try:
        for first, end in layout.data:
            rest = data[first:end]
            while rest and not unpacking.eof:
                filters.see(unpacking.decompress(rest, PIECE))
                rest = unpacking.unconsumed_tail
                if not filters.fit:
                    return False
    except zlib.error:
        return False
    return unpacking.eof and not unpacking.unused_data and filters.complete


class _Filters:
    """Check of each row's filter byte, fed in pieces."""

    def __init__(self, rows: Sequence[tuple[int, int]]) -> None:
        self._blocks = []
        """Start and end of each pass, and bytes per row.

        Positions are in the inflated data; the end is exclusive.
        """
        place = 0
        for lines, size in rows:
            self._blocks.append((place, place + lines * size, size))
            place += lines * size
        self._all, self._seen, self.fit = place, 0, True

    @property
    def complete(self) -> bool:
        return self.fit and self._seen == self._all

    def see(self, piece: bytes) -> None:
        begun, ended = self._seen, self._seen + len(piece)
        self._seen = ended
        values = np.frombuffer(piece, np.uint8)
        for place, end, size in self._blocks:
            if place < ended and end > begun:
                first = place + -(-max(begun - place, 0) // size) * size
                self.fit &= bool((values[first - begun : min(end, ended) - begun : size] < FILTERS).all())
        self.fit &= ended <= self._all


def is_plain(data: bytes, layout: Layout) -> bool:
    """Return whether the file holds nothing but the image."""
    return len(data) == len(MAGIC) + sum(end - first for first, end in layout.needed) + 12


def plain(data: bytes, layout: Layout) -> bytes:
    """Return the file reduced to the image.

    Notes, profiles and further images are removed.
    """
    end = struct.pack(">I", 0) + b"IEND" + struct.pack(">I", zlib.crc32(b"IEND"))
    return b"".join([MAGIC, *(data[first:last] for first, last in layout.needed), end])
