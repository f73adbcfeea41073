"""A TIFF in parts: some of its strips at a time, each part a small TIFF that the decoder gets from memory.

Of a whole file the decoder maps every byte and makes room for a whole strip, and some programs write a picture as one. Of
48 megapixels of 16 bits each of the two has up to 288 MB, beside those of the picture.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any, BinaryIO, Self

import cv2
import numpy as np
from numpy.typing import NDArray

WIDTH, HEIGHT, BITS, COMPRESSION, COLOURS, OFFSETS = 256, 257, 258, 259, 262, 273
SAMPLES, ROWS, SIZES, PLANES = 277, 278, 279, 284
FILL_ORDER, PREDICTOR, EXTRA_SAMPLES, SAMPLE_FORMAT = 266, 317, 338, 339
FIELDS = frozenset(
    {WIDTH, HEIGHT, BITS, COMPRESSION, COLOURS, SAMPLES, ROWS, PLANES}
    | {FILL_ORDER, PREDICTOR, EXTRA_SAMPLES, SAMPLE_FORMAT}
)
"""What the decoder must know of the pixels (TIFF 6.0, Adobe 1992)."""
NONE, OLD_JPEG, JPEG = 1, 6, 7
"""Values of COMPRESSION. The strips of a JPEG share tables."""
RGB, TOGETHER = 2, 1
"""Values of COLOURS and PLANES."""
LONG = 4
PART = 1 << 22
"""Bytes that are decoded at a time, about: as they stand in the file, or of the picture where these are more."""

Fields = Mapping[int, tuple[int, ...]]
Place = tuple[int, int]
"""First byte of a strip in its file, and number of bytes."""


@dataclass(frozen=True, slots=True)
class Strips:
    """Where the rows of a picture stand in its file."""

    order: bytes
    """The file's byte order, as it begins: II or MM."""
    fields: Fields
    """FIELDS that it has."""
    rows: int
    """Of each strip; the last has what is left."""
    row: int
    """Bytes of one when decoded."""
    places: tuple[Place, ...]

    @classmethod
    def of(cls, order: bytes, fields: Fields) -> Self | None:
        """From a file's directory; None of a kind of picture that is better decoded as a whole."""
        (width,), (height,) = fields[WIDTH][:1], fields[HEIGHT][:1]
        compression, samples, bits = (
            max(fields.get(tag) or (none,)) for tag, none in ((COMPRESSION, NONE), (SAMPLES, 1), (BITS, 1))
        )
        rows = min((fields.get(ROWS) or (height,))[0], height)
        places = tuple(zip(fields.get(OFFSETS, ()), fields.get(SIZES, ()), strict=False))
        usual = fields.get(COLOURS) == (RGB,) and fields.get(PLANES, (TOGETHER,)) == (TOGETHER,)
        row = width * samples * bits // 8
        if not usual or not row or rows < 1 or len(places) != -(-height // rows):
            return None
        if compression in (OLD_JPEG, JPEG):
            return None
        if compression == NONE:
            if any(size < min(rows, height - n * rows) * row for n, (_, size) in enumerate(places)):
                return None
            rows, places = _cut(places, rows, height, row)
        if len(places) == 1:
            return None
        return cls(order, {tag: fields[tag] for tag in FIELDS & fields.keys()}, rows, row, places)


def decode_strips(file: BinaryIO, strips: Strips) -> NDArray[Any] | None:
    """(H, W, C) as OpenCV gives it unchanged; None where it is damaged."""
    height = strips.fields[HEIGHT][0]
    image: NDArray[Any] | None = None
    done = 0
    for places in _parts(strips):
        rows = min(len(places) * strips.rows, height - done)
        small = _small_tiff(file, strips, places, rows)
        part = cv2.imdecode(np.frombuffer(small, np.uint8), cv2.IMREAD_UNCHANGED)
        if part is None or len(part) != rows:
            return None
        if image is None:
            image = np.empty((height, *part.shape[1:]), part.dtype)
        image[done : done + rows] = part
        done += rows
    return image


def _cut(places: Sequence[Place], rows: int, height: int, row: int) -> tuple[int, tuple[Place, ...]]:
    """Strips of `rows` rows that are not compressed, cut to fewer rows each, so that they fit into PART."""
    fewer = max(1, min(rows, PART // row))
    if len(places) > 1:
        fewer = next(n for n in range(fewer, 0, -1) if rows % n == 0)
    cut = []
    for number, (first, _) in enumerate(places):
        own = min(rows, height - number * rows)
        cut += [(first + top * row, min(fewer, own - top) * row) for top in range(0, own, fewer)]
    return fewer, tuple(cut)


def _parts(strips: Strips) -> Iterator[list[Place]]:
    """Strips, together, as many at a time as make PART, one at least."""
    part: list[Place] = []
    bytes_ = 0
    for place in strips.places:
        own = max(place[1], strips.rows * strips.row)
        if part and bytes_ + own > PART:
            yield part
            part, bytes_ = [], 0
        part.append(place)
        bytes_ += own
    yield part


def _small_tiff(file: BinaryIO, strips: Strips, places: Sequence[Place], rows: int) -> bytes:
    """A file of some strips alone: its header, its directory, the lists of numbers that this points to, and the strips."""
    order = "<" if strips.order == b"II" else ">"
    sizes = tuple(size for _, size in places)
    fields = {**strips.fields, HEIGHT: (rows,), ROWS: (min(strips.rows, rows),), SIZES: sizes, OFFSETS: sizes}
    lists = 8 + 2 + 12 * len(fields) + 4
    start = lists + sum(4 * len(values) for values in fields.values() if len(values) > 1)
    fields[OFFSETS] = tuple(accumulate(sizes[:-1], initial=start))
    directory, apart = struct.pack(order + "H", len(fields)), b""
    for tag, values in sorted(fields.items()):
        written = struct.pack(f"{order}{len(values)}I", *values)
        place = written if len(values) == 1 else struct.pack(order + "I", lists + len(apart))
        apart += written if len(values) > 1 else b""
        directory += struct.pack(order + "HHI", tag, LONG, len(values)) + place
    head = strips.order + struct.pack(order + "HI", 42, 8)
    return b"".join([head, directory, bytes(4), apart, *_read(file, places)])


def _read(file: BinaryIO, places: Sequence[Place]) -> Iterator[bytes]:
    for first, size in places:
        file.seek(first)
        yield file.read(size)
