"""Ways to damage bytes: by chance as a worn card does, and on purpose where a format counts and points."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Sequence
from random import Random

from .places import Place, chunks, directories, places, segments, sides

MOST_STEPS = 4
MOST_COPIES = 3000
"""Of a segment or an entry: a chain that a decoder may follow for long."""
MOST_BYTES = 4_000_000
"""Of a damaged input; copies stop there."""
REPAIRED = 0.7
"""Share of PNGs whose checksums are made right again, so that the decoder gets to see what was changed."""
CLAIMING = 0.05
"""Share of pictures that claim a size which they have not."""
CLAIMS = (
    (10_900, 10_900), (19_000, 19_000), (65_000, 1_800), (65_500, 65_500), (1, 100_000_000), (100_000_000, 1), (64, 1_800_000),
    (2**31 - 1, 1), (2**31 - 1, 2**31 - 1), (2**32 - 1, 2**32 - 1), (2**31, 64), (64, 2**32 - 64), (0, 0), (64, 64),
)  # fmt: skip
"""Width and height: within what is read and beyond it, and what wraps round in 32 bits or turns negative."""
Damage = Callable[[Random, bytearray], None]


def mutated(random: Random, whole: bytes, others: Sequence[bytes] = ()) -> bytes:
    """A damaged copy of `whole`; parts of `others` may be put into it."""
    data = bytearray(whole)
    marked = places(whole)
    if random.random() < CLAIMING:
        claim(random, data, sides(whole))
    for _ in range(random.randint(1, MOST_STEPS)):
        if not data:
            break
        if marked and random.random() < 0.4:
            set_field(random, data, random.choice(marked))
        elif others and random.random() < 0.1:
            splice(random, data, random.choice(others))
        elif random.random() < 0.2:
            grow(random, data)
        else:
            random.choice(DAMAGES)(random, data)
    if data.startswith(b"\x89PNG") and random.random() < REPAIRED:
        repair_png(data)
    return bytes(data[:MOST_BYTES])


def claim(random: Random, data: bytearray, found: Sequence[tuple[Place, Place]]) -> None:
    """Another size of the whole picture, in both of its fields."""
    size = random.choice(CLAIMS)
    for both in found:
        for place, number in zip(both, size, strict=True):
            struct.pack_into(
                place.form, data, place.at, number & ((1 << 8 * struct.calcsize(place.form)) - 1)
            )


def set_field(random: Random, data: bytearray, place: Place) -> None:
    """Another number in a field: the least, the most, of either sign, a little or much beside what was there."""
    at, form = place
    size = struct.calcsize(form)
    if at + size > len(data):
        return
    most = (1 << 8 * size) - 1
    old = int.from_bytes(data[at : at + size], "little" if form[0] == "<" else "big")
    new = random.choice([
        0, 1, 2, most, most - 1, most >> 1, (most >> 1) + 1, old + 1, old - 1, old * 2, old // 2, -old, len(data),
        len(data) - at, 19_000, 65_500, 2_147_483_629, random.getrandbits(8 * size), random.randrange(64),
    ])  # fmt: skip
    struct.pack_into(form, data, at, new & most)


def _span(random: Random, data: bytearray, most: int = 4096) -> tuple[int, int]:
    """A run of bytes: its beginning and its end."""
    start = random.randrange(len(data))
    return start, min(len(data), start + random.randint(1, random.choice([8, 64, 512, most])))


def flip(random: Random, data: bytearray) -> None:
    for _ in range(random.choice([1, 1, 2, 8, 64])):
        data[random.randrange(len(data))] ^= 1 << random.randrange(8)


def cut(random: Random, data: bytearray) -> None:
    del data[random.randrange(len(data)) :]


def zeros(random: Random, data: bytearray) -> None:
    start, end = _span(random, data)
    data[start:end] = bytes(end - start)


def noise(random: Random, data: bytearray) -> None:
    start, end = _span(random, data)
    data[start:end] = random.randbytes(end - start)


def filled(random: Random, data: bytearray) -> None:
    start, end = _span(random, data)
    data[start:end] = bytes([random.choice([0xFF, 0x7F, 0x80, random.randrange(256)])]) * (end - start)


def lose(random: Random, data: bytearray) -> None:
    start, end = _span(random, data)
    del data[start:end]


def double(random: Random, data: bytearray) -> None:
    start, end = _span(random, data)
    at = random.randrange(len(data))
    data[at:at] = data[start:end]


def insert(random: Random, data: bytearray) -> None:
    at = random.randrange(len(data))
    data[at:at] = random.choice([b"\xff\0", b"\xff\xd8\xff", b"\xff\xd9", b"\0" * 9, random.randbytes(40)])


def exchange(random: Random, data: bytearray) -> None:
    """Two parts of the file change places."""
    start, end = _span(random, data, 512)
    at = random.randrange(max(1, len(data) - (end - start)))
    data[start:end], data[at : at + end - start] = data[at : at + end - start], data[start:end]


def splice(random: Random, data: bytearray, other: bytes) -> None:
    """Go on as another file does."""
    at = random.randrange(len(data))
    data[at:] = other[min(len(other), random.choice([at, random.randrange(len(other))])) :]


DAMAGES: tuple[Damage, ...] = (flip, cut, zeros, noise, filled, lose, double, insert, exchange)


def grow(random: Random, data: bytearray) -> None:
    """Many copies of what a format may have many of: segments, chunks, directory entries; FF 00 before a header."""
    copies = random.choice([1, 2, 50, MOST_COPIES])
    if data.startswith(b"\xff\xd8"):
        if not (found := list(segments(data))):
            return
        at, size = random.choice(found)
        if random.random() < 0.3:
            data[at:at] = b"\xff\0" * copies
        elif random.random() < 0.3:
            data[at:at] = _exif_chain(random, copies) * random.choice([1, 4])
        else:
            data[at:at] = data[at : at + size] * min(copies, 1 + MOST_BYTES // max(size, 1))
    elif data.startswith((b"\x89PNG", b"RIFF")):
        at, size = random.choice(list(chunks(data)) or [(0, 0)])
        size = min(size, len(data))
        data[at:at] = data[at : at + size] * min(copies, 1 + MOST_BYTES // max(size, 1))
    elif data.startswith((b"II*\0", b"MM\0*")):
        _more_entries(random, data, copies)
    else:
        double(random, data)


def _exif_chain(random: Random, directories_: int) -> bytes:
    """An APP1 segment whose directories name each other, in a line or in a circle."""
    count = min(directories_, 9000)
    starts = [8 + 6 * n for n in range(count)]
    following = [*starts[1:], random.choice([0, starts[0], 0xFFFFFFFF])]
    block = b"II*\0" + struct.pack("<I", 8) + b"".join(struct.pack("<HI", 0, place) for place in following)
    return b"\xff\xe1" + struct.pack(">H", len(block) + 8) + b"Exif\0\0" + block


def _more_entries(random: Random, data: bytearray, copies: int) -> None:
    """The directory again at the end of the file, with one of its entries many times."""
    order, at, entries = next(directories(data), ("<", 0, 0))
    if not entries or at + 2 + 12 * entries + 4 > len(data):
        return
    own = [bytes(data[at + 2 + 12 * n : at + 14 + 12 * n]) for n in range(entries)]
    repeated = [random.choice(own)] * min(copies, 60_000)
    every = sorted(own + repeated) if random.random() < 0.5 else own + repeated
    struct.pack_into(order + "I", data, 4, len(data))
    data += struct.pack(order + "H", min(len(every), 65535)) + b"".join(every) + bytes(4)


def repair_png(data: bytearray) -> None:
    """Make every chunk's checksum right."""
    for at, size in list(chunks(bytes(data))):
        if 12 <= size <= len(data) - at:
            struct.pack_into(">I", data, at + size - 4, zlib.crc32(memoryview(data)[at + 4 : at + size - 4]))
