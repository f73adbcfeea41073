"""The pages of a TIFF: each one is a picture of its own.

The first directory of a TIFF stands where its header says, and each directory says where the next one stands. A header
that names another directory makes that page the first one, so that whatever reads a TIFF reads that page.
"""

from __future__ import annotations

import struct
from pathlib import Path
from typing import BinaryIO

MAGIC = (b"II*\0", b"MM\0*")
SUBFILE = 254
"""NewSubfileType (TIFF 6.0, Adobe 1992)."""
REDUCED, MASK = 1, 4
"""Its bits for a smaller copy of another page, and for a mask: neither is a picture of its own."""
MOST = 1000
"""Directories that are followed: a circle or a forged chain must end."""


def pages(path: Path) -> tuple[int, ...]:
    """Places of the directories of a TIFF's pages; empty where the file is no TIFF or cannot be read."""
    try:
        with path.open("rb") as file:
            return _directories(file)
    except (OSError, struct.error):
        return ()


def first_page(data: bytes, directory: int) -> bytes:
    """A TIFF whose first page is the one of a directory at this place."""
    order = "<" if data[:2] == b"II" else ">"
    return data[:4] + struct.pack(order + "I", directory) + data[8:]


def _directories(file: BinaryIO) -> tuple[int, ...]:
    head = file.read(8)
    if head[:4] not in MAGIC:
        return ()
    order = "<" if head[:2] == b"II" else ">"
    (place,) = struct.unpack(order + "I", head[4:])
    found: list[int] = []
    seen: set[int] = set()
    while place and place not in seen and len(seen) < MOST:
        seen.add(place)
        file.seek(place)
        (entries,) = struct.unpack(order + "H", file.read(2))
        fields = file.read(12 * entries)
        kinds = [
            struct.unpack_from(order + "I", fields, at + 8)[0]
            for at in range(0, 12 * entries, 12)
            if struct.unpack_from(order + "H", fields, at)[0] == SUBFILE
        ]
        if not any(kind & (REDUCED | MASK) for kind in kinds):
            found.append(place)
        following = file.read(4)
        place = struct.unpack(order + "I", following)[0] if len(following) == 4 else 0
    return tuple(found)
