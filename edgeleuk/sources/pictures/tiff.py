"""Read, check and decode one page of a TIFF.

Our own parser reads the directory; the page is decoded some chunks at a time.

The decoder never sees the file: each part is a small TIFF of its own with a directory made here, so that what
a forged directory asks for reaches no library. Given a whole file, the decoder would also map every byte and
allocate a whole strip: for 48 megapixels of 16 bits each takes up to 288 MB, beside those of the image.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate, islice
from typing import Any, BinaryIO

import cv2
import numpy as np
from numpy.typing import NDArray

from edgeleuk.sources.pictures import damage, jpeg, unpacked
from edgeleuk.sources.pictures.directory import (
    MAGIC,
    ORIENTATION,
    Entry,
    byte_order,
    orientation_in,
    read_directory,
)
from edgeleuk.sources.pictures.faults import CUT_SHORT, DamagedError

WIDTH, HEIGHT, BITS, COMPRESSION, COLOURS, OFFSETS = 256, 257, 258, 259, 262, 273
SAMPLES, ROWS, SIZES, PLANES = 277, 278, 279, 284
TILE_WIDTH, TILE_HEIGHT, TILE_OFFSETS, TILE_SIZES = 322, 323, 324, 325
EXTRA_SAMPLES, FORMAT, TABLES = 338, 339, 347
DESCRIBING = frozenset({258, 259, 262, 266, 277, 284, 301, 317, 320, 332, 339, 529, 530, 531, 532})
"""Pixel tags copied to a chunk's own file.

They are depth, packing, colours, fill order, predictor, palette, inks and format.
"""
WANTED = DESCRIBING | {
    WIDTH, HEIGHT, OFFSETS, ROWS, SIZES, TILE_WIDTH, TILE_HEIGHT, TILE_OFFSETS, TILE_SIZES, EXTRA_SAMPLES, TABLES, ORIENTATION,
}  # fmt: skip
BIG = (b"II+\0", b"MM\0+")
"""Magic bytes of a BigTIFF, with 64-bit places."""
LONG, SHORT = 4, 3
RGB, INKS, YCBCR, LAB, ICC_LAB, ITU_LAB, RAW, LINEAR_RAW = 2, 5, 6, 8, 9, 10, 32803, 34892
"""Values of COLOURS (TIFF 6.0; DNG 1.4)."""
OLD_JPEG, JPEG = 6, 7
MULTIPLIED, STRAIGHT = 1, 2
"""Values of EXTRA_SAMPLES for the opacity channel.

`MULTIPLIED` means colours already multiplied by their opacity, `STRAIGHT` others, which libtiff would
multiply.
"""
PART = 1 << 22
"""Approximate bytes decoded at a time.

They are counted as stored in the file, or in the image where these are more.
"""
MOST_PER_SAMPLE = 64
MOST_TILES = 20_000
"""Maximum tiles, as each is decoded by itself.

48 megapixels have 12,000 of the smallest usual ones, 64 x 64.
"""
MOST_SLACK = 1 << 16
"""Bytes of a packed chunk allowed beyond twice its content.

The content is what the chunk unpacks to.
"""

DAMAGED = "is a damaged TIFF file: {}. Copy or take it again."
RARE = "is a TIFF of a rare kind ({}). Save it as an ordinary TIFF, PNG or JPEG and try again."
LAB_COLOURS = "has CIE-LAB colours. Save it as RGB and try again."
RAW_DATA = (
    "has a sensor's raw data, as a DNG. Export it from the camera's program as JPEG or TIFF and try again."
)

Place = tuple[int, int]
"""First byte and length of a chunk."""


@dataclass(frozen=True, slots=True)
class Layout:
    """Structure of a page.

    A chunk is a strip of rows, or a tile. Where the file stores planes separately, a chunk belongs to one
    plane.
    """

    order: str
    entries: Mapping[int, Entry]
    width: int
    height: int
    samples: int
    bits: int
    compression: int
    colours: int
    planes: int
    """Number of separately stored planes, or 1.

    Each has one channel.
    """
    chunk: tuple[int, int]
    """Width and height of a chunk, pixels."""
    tiled: bool
    places: tuple[Place, ...]
    orientation: int
    premultiplied: bool

    @property
    def across(self) -> int:
        """Number of chunks side by side."""
        return -(-self.width // self.chunk[0])

    @property
    def each(self) -> int:
        """Number of chunks per plane."""
        return self.across * -(-self.height // self.chunk[1])

    @property
    def row(self) -> int:
        """Bytes per decoded row of a chunk."""
        return (self.chunk[0] * (1 if self.planes > 1 else self.samples) * self.bits + 7) // 8

    def lengths(self, number: int) -> frozenset[int]:
        """Return a chunk's possible unpacked lengths, bytes.

        `number` is the chunk's number. The last strip is as long as the others, or ends with the rows.
        """
        rows = self.chunk[1]
        if self.tiled:
            return frozenset({rows * self.row})
        left = self.height - number % self.each * rows
        return frozenset({rows * self.row, min(rows, left) * self.row})


def is_tiff(head: bytes) -> bool:
    """Return whether a file begins as a TIFF does."""
    return head[:4] in MAGIC


def read_layout(file: BinaryIO, place: int | None = None) -> Layout | str:
    """Return the structure of one page.

    `place` is the byte position of its directory; None is the first page. Where the page must not be decoded,
    the reason is returned instead, as the rest of a sentence.
    """

    def read(first: int, count: int) -> bytes:
        file.seek(first)
        return file.read(count)

    head = read(0, 8)
    order = byte_order(head)
    try:
        first = struct.unpack(order + "I", head[4:8])[0] if place is None else place
        entries, _ = read_directory(read, order, first, WANTED)
    except (struct.error, OverflowError):  # a TIFF's directory may stand at its very end
        return CUT_SHORT
    one = {tag: (entry.numbers(order) or (0,)) for tag, entry in entries.items()}
    width, height = (one.get(tag, (0,))[0] for tag in (WIDTH, HEIGHT))
    if not width or not height:
        return DAMAGED.format("it has no size")
    tiled = TILE_OFFSETS in one or TILE_WIDTH in one
    samples = one.get(SAMPLES, (1,))[0]
    return Layout(
        order, entries, width, height, samples,
        max(one.get(BITS, (1,))), one.get(COMPRESSION, (1,))[0], one.get(COLOURS, (RGB,))[0],
        samples if one.get(PLANES, (1,))[0] == 2 else 1,
        (one.get(TILE_WIDTH, (0,))[0], one.get(TILE_HEIGHT, (0,))[0])
        if tiled
        else (width, min(one.get(ROWS, (height,))[0], height)),
        tiled,
        tuple(zip(one.get(TILE_OFFSETS if tiled else OFFSETS, ()), one.get(TILE_SIZES if tiled else SIZES, ()), strict=False)),
        orientation_in(entries, order),
        one.get(EXTRA_SAMPLES, (0,)) != (STRAIGHT,),
    )  # fmt: skip


def fault(layout: Layout, size: int) -> str | None:
    """Return a page's fault, or None.

    A page with a fault must not be decoded. The text is the rest of a sentence. `size` is the file's, in
    bytes.
    """
    if layout.colours in (LAB, ICC_LAB, ITU_LAB):
        return LAB_COLOURS
    if layout.colours in (RAW, LINEAR_RAW):
        return RAW_DATA
    if layout.compression == OLD_JPEG:
        return RARE.format("JPEG of an old kind")
    if layout.compression not in (JPEG, *unpacked.CHECKS):
        return RARE.format("its compression")
    if not 1 <= layout.samples <= 4 + (layout.colours == INKS) or not 1 <= layout.bits <= MOST_PER_SAMPLE:
        return RARE.format(f"{layout.samples} channels of {layout.bits} bits")
    if min(layout.chunk) < 1 or (layout.tiled and max(layout.chunk) > 1 << 14):
        return DAMAGED.format("its parts have no size")
    if len(layout.places) != layout.each * layout.planes:
        return DAMAGED.format(f"it has {len(layout.places)} parts of {layout.each * layout.planes}")
    if max(first + count for first, count in layout.places) > size:
        return CUT_SHORT
    if max(count for _, count in layout.places) > 2 * layout.chunk[1] * layout.row + MOST_SLACK:
        return DAMAGED.format("its parts are too large")
    if layout.tiled and len(layout.places) > MOST_TILES:
        return RARE.format(f"{len(layout.places):,} tiles")
    return None


def decode(file: BinaryIO, layout: Layout) -> NDArray[Any]:
    """Decode a page to (H, W, C).

    It is as stored, not turned, and has OpenCV's channel order and the file's depth.

    Raises:
        DamagedError: If the page is damaged or of a rare kind.
    """
    layout = _finer(layout)
    image: NDArray[Any] | None = None
    for numbers in _parts(layout):
        part = _decoded(file, layout, numbers)
        if layout.each == layout.planes == 1:
            return part[: layout.height, : layout.width]
        if image is None:
            image = np.empty(
                (layout.height, layout.width, layout.planes if layout.planes > 1 else part.shape[2]),
                part.dtype,
            )
        plane, number = divmod(numbers.start, layout.each)
        down, across = divmod(number, layout.across)
        top, left = down * layout.chunk[1], across * layout.chunk[0]
        target = image[top : top + len(part), left : left + part.shape[1]]
        if layout.planes > 1:  # channels in the file are R G B, in OpenCV B G R
            target, part = target[..., [2, 1, 0, 3][plane] if layout.planes >= 3 else plane], part[..., 0]
        target[:] = part[: target.shape[0], : target.shape[1]]
    assert image is not None
    return image


def _finer(layout: Layout) -> Layout:
    """Split unpacked strips to as many rows as make PART.

    Strips that are not packed can be split anywhere.
    """
    most = max(1, PART // layout.row)
    if (
        layout.compression != unpacked.NONE
        or layout.tiled
        or layout.chunk[1] <= most
        or layout.colours == YCBCR
    ):
        return layout
    rows = layout.chunk[1]
    fewer = next(n for n in range(most, 0, -1) if rows % n == 0) if layout.each > 1 else most
    places = []
    for number, (first, size) in enumerate(layout.places):
        own = min(rows, layout.height - number % layout.each * rows)
        if size < own * layout.row:
            raise DamagedError(DAMAGED.format("a part is too short"))
        places += [
            (first + top * layout.row, min(fewer, own - top) * layout.row) for top in range(0, own, fewer)
        ]
    return replace(layout, chunk=(layout.width, fewer), places=tuple(places))


def _parts(layout: Layout) -> Iterator[range]:
    """Yield the numbers of chunks to decode together.

    Strips are as many as make PART, but at least one; tiles are decoded one by one.
    """
    own = max(1, layout.chunk[1] * layout.row)
    most = 1 if layout.tiled or layout.compression == JPEG or layout.colours == YCBCR else max(1, PART // own)
    for plane in range(layout.planes):
        first = plane * layout.each
        for start in range(first, first + layout.each, most):
            yield range(start, min(start + most, first + layout.each))


def _decoded(file: BinaryIO, layout: Layout, numbers: range) -> NDArray[Any]:
    """Decode consecutive chunks to (h, w, C).

    Raises:
        DamagedError: If the chunks are damaged or of a rare kind.
    """
    chunks = []
    for first, size in islice(layout.places, numbers.start, numbers.stop):
        file.seek(first)
        chunks.append(file.read(size))
    number = numbers.start % layout.each
    part: NDArray[Any] | None
    left = layout.height - number // layout.across * layout.chunk[1]
    rows = layout.chunk[1] if layout.tiled else min(len(numbers) * layout.chunk[1], left)
    if layout.compression == JPEG:
        part = _from_jpeg(layout, chunks[0])
    else:
        if layout.colours != YCBCR and not all(
            unpacked.is_whole(layout.compression, chunk, layout.lengths(each))
            for each, chunk in zip(numbers, chunks, strict=True)
        ):
            raise DamagedError(DAMAGED.format("a part of its data makes no sense"))
        part = cv2.imdecode(np.frombuffer(_small_tiff(layout, chunks, rows), np.uint8), cv2.IMREAD_UNCHANGED)
    if part is None or len(part) < rows or part.shape[1] < layout.chunk[0]:
        raise DamagedError(RARE.format("its compression or its colours"))
    part = part[:rows] if part.ndim == 3 else part[:rows, :, None]
    apart = layout.tiled or layout.planes > 1
    if (
        layout.compression == unpacked.NONE
        and apart
        and len(part) == layout.chunk[1]
        and damage.in_rows(part)
    ):
        raise DamagedError(DAMAGED.format(damage.EMPTY_ROWS))
    return part


def _from_jpeg(layout: Layout, chunk: bytes) -> NDArray[Any]:
    tables = layout.entries[TABLES].data if TABLES in layout.entries else b""
    data = jpeg.in_tiff(tables, chunk, layout.colours == RGB)
    inner = jpeg.read_layout(data)
    if inner and inner.components > 3:
        raise DamagedError(RARE.format("JPEG with inks"))
    if inner is None or inner.fault:
        raise DamagedError(DAMAGED.format("a part of its data makes no sense"))
    if inner.width != layout.chunk[0] or inner.height > layout.chunk[1]:
        raise DamagedError(DAMAGED.format("its parts have two sizes"))
    return cv2.cvtColor(jpeg.decode(data, inner), cv2.COLOR_RGB2BGR)


def _small_tiff(layout: Layout, chunks: Sequence[bytes], rows: int) -> bytes:
    """Build a TIFF of some chunks alone.

    It consists of the header, the directory, the values that this points to, and the chunks.
    """
    order, alone = layout.order, layout.planes > 1
    entries = {tag: entry for tag, entry in layout.entries.items() if tag in DESCRIBING}
    sizes = [len(chunk) for chunk in chunks]
    own = {
        WIDTH: (layout.chunk[0],),
        HEIGHT: (rows,),
        ROWS: (min(layout.chunk[1], rows),),
        SIZES: sizes,
        OFFSETS: sizes,
    }
    if alone:
        form = layout.entries[FORMAT].numbers(order)[:1] if FORMAT in layout.entries else ()
        own |= {SAMPLES: (1,), PLANES: (1,), COLOURS: (1,), BITS: (layout.bits,), FORMAT: form or (1,)}
        entries = {tag: entry for tag, entry in entries.items() if entry.count == 1}
    elif EXTRA_SAMPLES in layout.entries:
        entries[EXTRA_SAMPLES] = Entry(SHORT, 1, struct.pack(order + "HH", MULTIPLIED, 0)[:2])
    entries |= {
        tag: Entry(LONG, len(values), struct.pack(f"{order}{len(values)}I", *values))
        for tag, values in own.items()
    }
    lists = 8 + 2 + 12 * len(entries) + 4
    start = lists + sum(
        len(entry.data) + len(entry.data) % 2 for entry in entries.values() if len(entry.data) > 4
    )
    places = tuple(accumulate(sizes[:-1], initial=start))
    entries[OFFSETS] = Entry(LONG, len(places), struct.pack(f"{order}{len(places)}I", *places))
    directory, apart = struct.pack(order + "H", len(entries)), b""
    for tag, entry in sorted(entries.items()):
        value = entry.data.ljust(4, b"\0")
        if len(entry.data) > 4:
            value = struct.pack(order + "I", lists + len(apart))
            apart += entry.data + bytes(len(entry.data) % 2)
        directory += struct.pack(order + "HHI", tag, entry.type, entry.count) + value
    head = (b"II" if order == "<" else b"MM") + struct.pack(order + "HI", 42, 8)
    return b"".join([head, directory, bytes(4), apart, *chunks])
