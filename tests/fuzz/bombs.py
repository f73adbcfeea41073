"""Small files that ask for much: pictures whose header is all that they are, and some that are as large as they say."""

from __future__ import annotations

import struct
import zlib
from functools import cache
from random import Random

from .mutations import CLAIMS, mutated
from .pictures import tiff

DEEP = (10_900, 10_900)
"""Pixels of a picture that is just within what is read."""
DEEP_SHARE = 0.01
BLOCK = 1 << 20
NUMBERS = (0, 1, 2, 3, 7, 16, 2_147_483_629, 2**31, 2**32 - 1, 65_521, 100_003)
"""Rows, sizes and offsets; some of them are primes, so that nothing divides them."""


def bomb(random: Random) -> bytes:
    """One of them, at times damaged as well."""
    if random.random() < DEEP_SHARE:
        return deep_png() if random.random() < 0.5 else deep_tiff()
    data = _tiff(random) if random.random() < 0.8 else _webp(random)
    return mutated(random, data) if random.random() < 0.2 else data


def _tiff(random: Random) -> bytes:
    """A TIFF that claims any size, depth and division of a few bytes."""
    width, height = random.choice(CLAIMS)
    if random.random() < 0.3:
        width, height = (
            random.choice([1, 8, 64, 5000]),
            random.choice([2 * 2_147_483_629 & 0xFFFFFFFF, 100_003, 65_521]),
        )
    samples = random.choice([1, 3, 3, 4, 5, 65_535])
    rows = random.choice([*NUMBERS, height, height // 2 + 1])
    strips = random.choice([1, 1, 2, 3, 1000, 60_000])
    sizes = [random.choice([*NUMBERS, (rows * width) & 0xFFFFFFFF])] * strips
    entries: dict[int, tuple[str, list[int]]] = {
        256: ("I", [width]), 257: ("I", [height]), 258: ("H", [random.choice([1, 8, 8, 16, 32, 64])] * min(samples, 4)),
        259: ("H", [random.choice([1, 1, 5, 7, 8, 32773, 32946, 34925, 50001])]), 262: ("H", [random.choice([1, 2, 2, 3, 5, 6])]),
        277: ("H", [samples]), 284: ("H", [random.choice([1, 1, 2])]), 339: ("H", [random.choice([1, 1, 2, 3])]),
    }  # fmt: skip
    if random.random() < 0.3:
        side = random.choice([0, 16, 64, 65_520, 2**31])
        entries |= {322: ("I", [side]), 323: ("I", [side]), 324: ("I", [8] * strips), 325: ("I", sizes)}
    else:
        entries |= {273: ("I", [random.choice([8, 300])] * strips), 278: ("I", [rows]), 279: ("I", sizes)}
    for tag in random.sample(sorted(entries), random.choice([0, 0, 0, 1, 2])):
        del entries[tag]
    return tiff(
        random.choice("<>"), random.choice([bytes(64), random.randbytes(300), _zeros(10**6)]), entries
    )


def _webp(random: Random) -> bytes:
    """A WebP with a header of its extended or its lossless form, and next to nothing in it."""
    width, height = (max(1, side) for side in random.choice(CLAIMS))
    canvas = struct.pack("<I", random.choice([0, 2, 16, 63]))
    canvas += ((width - 1) & 0xFFFFFF).to_bytes(3, "little") + ((height - 1) & 0xFFFFFF).to_bytes(3, "little")
    bits = (width - 1) & 0x3FFF | ((height - 1) & 0x3FFF) << 14 | random.getrandbits(1) << 28
    body = random.choice([b"", bytes(50), random.randbytes(200)])
    parts = [(b"VP8X", canvas), (b"VP8L", b"\x2f" + struct.pack("<I", bits) + body)][random.randrange(2) :]
    inside = b"".join(
        name + struct.pack("<I", len(each)) + each + bytes(len(each) % 2) for name, each in parts
    )
    return b"RIFF" + struct.pack("<I", len(inside) + 4) + b"WEBP" + inside


@cache
def _zeros(size: int) -> bytes:
    """So many zeros, deflated, without deflating them: after a full flush each block of zeros is written alike."""
    packing = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    blocks = [
        packing.compress(bytes(n)) + packing.flush(zlib.Z_FULL_FLUSH) for n in (BLOCK, BLOCK, size % BLOCK)
    ]
    checksum = struct.pack(">HH", size % 65_521, 1)  # Adler-32 (RFC 1950): of zeros it counts them
    return b"\x78\xda" + blocks[1] * (size // BLOCK) + blocks[2] + packing.flush() + checksum


@cache
def deep_png() -> bytes:
    """Opaque, 16 bits, 119 megapixels, all of one colour: whole, and 950 MB when it is decoded."""
    width, height = DEEP
    parts = (
        (b"IHDR", struct.pack(">IIBBBBB", width, height, 16, 6, 0, 0, 0)),
        (b"IDAT", _zeros((width * 8 + 1) * height)),
        (b"IEND", b""),
    )
    chunks = (
        struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
        for name, body in parts
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


@cache
def deep_tiff() -> bytes:
    """The same as a TIFF of one strip."""
    width, height = DEEP
    packed = _zeros(width * height * 8)
    entries: dict[int, tuple[str, list[int]]] = {
        256: ("I", [width]), 257: ("I", [height]), 258: ("H", [16] * 4), 259: ("H", [8]), 262: ("H", [2]), 273: ("I", [8]),
        277: ("H", [4]), 278: ("I", [height]), 279: ("I", [len(packed)]), 338: ("H", [2]),
    }  # fmt: skip
    return tiff("<", packed, entries)
