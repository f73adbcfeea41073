"""Directories of TIFF and EXIF: tags with their values. What a forged one may ask for is bounded."""

from __future__ import annotations

import struct
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass

EXIF = b"Exif\0\0"
ORIENTATION = 274
MAGIC = (b"II*\0", b"MM\0*")
SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8}
"""Bytes of a value by its type (TIFF 6.0, Adobe 1992)."""
INTEGERS = {1: "B", 3: "H", 4: "I"}
"""Types whose values are read as numbers, as `struct` spells them."""
MOST_ENTRIES = 512
"""More than any program writes into one directory."""
MOST_BYTES = 1 << 21
"""Of one entry's values: places of half a million strips."""

Read = Callable[[int, int], bytes]
"""Bytes of a file or a block: from this place, so many, or fewer at its end."""


@dataclass(frozen=True, slots=True)
class Entry:
    """The values of one tag, as they stand in the file."""

    type: int
    count: int
    data: bytes

    def numbers(self, order: str) -> tuple[int, ...]:
        """The values, where they are whole numbers without a sign; else none."""
        return (
            struct.unpack(f"{order}{self.count}{INTEGERS[self.type]}", self.data)
            if self.type in INTEGERS
            else ()
        )


def byte_order(head: bytes) -> str:
    """As `struct` spells it, of the first two bytes."""
    return "<" if head[:2] == b"II" else ">"


def read_directory(
    read: Read, order: str, place: int, wanted: Collection[int]
) -> tuple[dict[int, Entry], int]:
    """The first entry of each wanted tag, and the place of the next directory, 0 for none.

    Raises struct.error where the directory is cut, or is larger than any program writes it.
    """
    (count,) = struct.unpack(order + "H", read(place, 2))
    if count > MOST_ENTRIES:
        raise struct.error(f"a directory of {count} entries")
    block = read(place + 2, 12 * count)
    found: dict[int, Entry] = {}
    for at in range(0, 12 * count, 12):
        tag, type_, values = struct.unpack_from(order + "HHI", block, at)
        size = values * SIZES.get(type_, 0)
        if tag not in wanted or tag in found or not size:
            continue
        if size > MOST_BYTES:
            raise struct.error(f"an entry of {values} values")
        data = block[at + 8 : at + 8 + size]
        if size > 4:
            data = read(struct.unpack_from(order + "I", block, at + 8)[0], size)
        if len(data) < size:
            raise struct.error("values that are not there")
        found[tag] = Entry(type_, values, data)
    following = read(place + 2 + 12 * count, 4)
    return found, struct.unpack(order + "I", following)[0] if len(following) == 4 else 0


def orientation_of(exif: bytes) -> int:
    """Orientation in an EXIF block (Exif 2.32, tag 0x0112); 1 where there is none, or no sense in it."""
    block = exif.removeprefix(EXIF)
    order = byte_order(block)
    try:
        (place,) = struct.unpack_from(order + "I", block, 4)
        found, _ = read_directory(
            lambda first, size: block[first : first + size], order, place, {ORIENTATION}
        )
    except struct.error:
        return 1
    return orientation_in(found, order)


def orientation_in(directory: Mapping[int, Entry], order: str) -> int:
    """Orientation that a directory gives, 1 to 8; 1 where it gives none."""
    value = directory[ORIENTATION].numbers(order) if ORIENTATION in directory else ()
    return value[0] if len(value) == 1 and 1 <= value[0] <= 8 else 1
