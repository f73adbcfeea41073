"""Parse TIFF and EXIF directories.

Limits bound what a forged directory can ask for.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass

EXIF = b"Exif\0\0"
ORIENTATION = 274
MAGIC = (b"II*\0", b"MM\0*")
SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8}
"""Bytes per value, by TIFF type (TIFF 6.0, Adobe 1992)."""
INTEGERS = {1: "B", 3: "H", 4: "I"}
"""`struct` format of each type that is read as integers."""
MOST_ENTRIES = 512
"""Maximum entries per directory.

No program writes more.
"""
MOST_BYTES = 1 << 21
"""Maximum bytes of one entry's values.

Enough for the places of half a million strips.
"""

Read = Callable[[int, int], bytes]
"""Reader of a file or block: (place, count) to bytes.

Returns fewer bytes at the end.
"""


@dataclass(frozen=True, slots=True)
class Entry:
    """Values of one tag, as stored in the file."""

    type: int
    count: int
    data: bytes

    def numbers(self, order: str) -> tuple[int, ...]:
        """Return the values if unsigned integers, else ()."""
        return (
            struct.unpack(f"{order}{self.count}{INTEGERS[self.type]}", self.data)
            if self.type in INTEGERS
            else ()
        )


def byte_order(head: bytes) -> str:
    """Return the byte order as `struct` spells it.

    `head` begins with the first two bytes of the directory's file or block.
    """
    return "<" if head[:2] == b"II" else ">"


def raw_entries(
    read: Read, order: str, place: int, most: int = MOST_ENTRIES
) -> tuple[list[tuple[int, int, int, bytes]], int]:
    """Read one directory without the values outside it.

    Args:
        read: Reader of the file or block.
        order: Byte order as `struct` spells it, "<" or ">".
        place: Byte position of the directory.
        most: Maximum number of entries.

    Returns:
        Tag, type, number of values and the four bytes of value or place of each entry; and the place of the
        next directory (0 for none).

    Raises:
        struct.error: If the directory is cut, or has more entries.
    """
    (count,) = struct.unpack(order + "H", read(place, 2))
    if count > most:
        raise struct.error(f"a directory of {count} entries")
    block = read(place + 2, 12 * count)
    found = [
        (*struct.unpack_from(order + "HHI", block, at), block[at + 8 : at + 12])
        for at in range(0, 12 * count, 12)
    ]
    following = read(place + 2 + 12 * count, 4)
    return found, struct.unpack(order + "I", following)[0] if len(following) == 4 else 0


def read_directory(
    read: Read, order: str, place: int, wanted: Collection[int]
) -> tuple[dict[int, Entry], int]:
    """Read one directory.

    Args:
        read: Reader of the file or block.
        order: Byte order as `struct` spells it, "<" or ">".
        place: Byte position of the directory.
        wanted: Tags to read.

    Returns:
        The first entry of each wanted tag, and the place of the next directory (0 for none).

    Raises:
        struct.error: If the directory is cut, or larger than any program writes it.
    """
    entries, following = raw_entries(read, order, place)
    found: dict[int, Entry] = {}
    for tag, type_, values, data in entries:
        size = values * SIZES.get(type_, 0)
        if tag not in wanted or tag in found or not size:
            continue
        if size > MOST_BYTES:
            raise struct.error(f"an entry of {values} values")
        content = data[:size] if size <= 4 else read(struct.unpack(order + "I", data)[0], size)
        if len(content) < size:
            raise struct.error("values that are not there")
        found[tag] = Entry(type_, values, content)
    return found, following


def orientation_of(exif: bytes) -> int:
    """Return the orientation in an EXIF block.

    It is tag 0x0112 (Exif 2.32). Returns 1 where it is absent or invalid.
    """
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
    """Return a directory's orientation, 1 to 8; 1 if absent."""
    value = directory[ORIENTATION].numbers(order) if ORIENTATION in directory else ()
    return value[0] if len(value) == 1 and 1 <= value[0] <= 8 else 1
