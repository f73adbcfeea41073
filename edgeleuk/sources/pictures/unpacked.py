"""Check packed rows of a TIFF for damage.

The checks need bounded memory. libtiff fills what it cannot unpack with black rows, and OpenCV does not
report it. Deflate has a checksum. LZW and PackBits have none, but their data tell how many bytes they stand
for.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Collection, Mapping

import numpy as np
from numpy.typing import NDArray

NONE, LZW, DEFLATE, PACK_BITS, OLD_DEFLATE = 1, 5, 8, 32773, 32946
"""Values of the tag Compression.

See TIFF 6.0, and Adobe Photoshop TIFF technotes 2002.
"""
CLEAR, STOP, FIRST = 256, 257, 258
"""LZW codes for clear, stop, and the first table entry.

A table entry stands for what came before.
"""
LONGEST = 4096
"""Maximum codes between two CLEAR codes.

The table has no room for more.
"""
PIECE = 1 << 20
"""Bytes inflated at a time."""


def is_whole(compression: int, data: bytes, lengths: Collection[int]) -> bool:
    """Return whether packed data look undamaged.

    They must unpack to one of `lengths` bytes. A compression without a check passes.

    Args:
        compression: Value of the tag Compression.
        data: Packed bytes.
        lengths: Allowed numbers of unpacked bytes.
    """
    check = CHECKS.get(compression)
    return check is None or check(data, lengths)


def _stored(data: bytes, lengths: Collection[int]) -> bool:
    return len(data) >= min(lengths)


def _deflated(data: bytes, lengths: Collection[int]) -> bool:
    unpacking, length, rest = zlib.decompressobj(), 0, data
    try:
        while not unpacking.eof and length <= max(lengths):
            piece = unpacking.decompress(rest, PIECE)
            rest = unpacking.unconsumed_tail
            length += len(piece)
            if not piece and not rest:
                break
    except zlib.error:
        return False
    return unpacking.eof and length in lengths


def _packed_bits(data: bytes, lengths: Collection[int]) -> bool:
    at, length, end = 0, 0, len(data)
    while at < end and length < max(lengths):
        head = data[at]
        if head < 128:
            at, length = at + head + 2, length + head + 1
        else:
            at, length = at + 2 - (head == 128), length + (257 - head) * (head != 128)
    return length in lengths and at <= end


def _lzw(data: bytes, lengths: Collection[int]) -> bool:
    """Check LZW data without unpacking them.

    The widths of codes follow from their number since the last CLEAR.
    """
    bits = np.frombuffer(data + bytes(4), np.uint8)
    position, length, most = 0, 0, max(lengths)
    while length <= most:
        codes = _codes(bits, position, 8 * len(data))
        ends = np.flatnonzero((codes == CLEAR) | (codes == STOP))
        own = codes[: ends[0]] if ends.size else codes
        if own.size and (own[0] >= CLEAR or bool((own[1:] > FIRST - 1 + np.arange(1, own.size)).any())):
            return False
        length += int(_lengths(own).sum())
        if not ends.size:  # some programs omit the last STOP
            return length in lengths
        position += int(OFFSETS[ends[0] + 1])
        if codes[ends[0]] == STOP:
            return length in lengths
    return False


def _offsets() -> NDArray[np.int64]:
    """Return the bit position of each code after a CLEAR.

    A code has 9 bits at first, and one more each time that the table is nearly full. TIFF's LZW widens one
    code early (TIFF 6.0, section 13).
    """
    table = FIRST + np.maximum(np.arange(LONGEST) - 1, 0)
    widths = 9 + (table >= 511).astype(np.int64) + (table >= 1023) + (table >= 2047)
    return np.concatenate([[0], np.cumsum(widths)])


OFFSETS = _offsets()


def _codes(bits: NDArray[np.uint8], position: int, end: int) -> NDArray[np.int64]:
    """Return the codes from a bit position on.

    Returns as many as there are bits for and the table has room for.
    """
    places = position + OFFSETS
    number = min(LONGEST, int(np.searchsorted(places, end, side="right")) - 1)
    first, widths = places[:number], np.diff(OFFSETS[: number + 1])
    at = first >> 3
    word = (bits[at].astype(np.int64) << 16) | (bits[at + 1].astype(np.int64) << 8) | bits[at + 2]
    codes: NDArray[np.int64] = (word >> (24 - widths - (first & 7))) & ((1 << widths) - 1)
    return codes


def _lengths(codes: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the number of bytes that each code stands for.

    It is one, or one more than for the code after which it was made.
    """
    parent = np.where(codes < CLEAR, -1, codes - FIRST)
    lengths = np.ones(codes.size, np.int64)
    while (linked := parent >= 0).any():  # each step doubles the length of chain that was followed
        lengths[linked] += lengths[parent[linked]]
        parent[linked] = parent[parent[linked]]
    return lengths


CHECKS: Mapping[int, Callable[[bytes, Collection[int]], bool]] = {
    NONE: _stored,
    LZW: _lzw,
    DEFLATE: _deflated,
    OLD_DEFLATE: _deflated,
    PACK_BITS: _packed_bits,
}
