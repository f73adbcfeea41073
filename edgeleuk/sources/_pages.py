"""The pages of a TIFF: each one is a picture of its own.

The header says where the first directory stands, and each directory says where the next one stands.
"""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from edgeleuk.sources._directory import MAGIC

DESCRIPTION, SUBFILE, OLD_SUBFILE = 270, 254, 255
"""ImageDescription, NewSubfileType and SubfileType (TIFF 6.0, Adobe 1992)."""
REDUCED, MASK = 1, 4
"""Bits of NewSubfileType for a smaller copy of another page, and for a mask: neither is a picture of its own."""
OLD_REDUCED = 2
"""Value of SubfileType for a smaller copy."""
MOST = 1000
"""Directories that are followed: a circle or a forged chain must end."""
MOST_FIELDS = 4096
"""Of a directory; common ones have 20."""
STACK = re.compile(rb"^images=(\d{1,9})$", re.MULTILINE)
"""In the description of a file that ImageJ wrote: how many pictures follow each other, with one directory for all."""


@dataclass(frozen=True, slots=True)
class Pages:
    """What a TIFF holds."""

    places: tuple[int, ...] = ()
    """Of the directories of its pictures; empty where the file is no TIFF or cannot be read."""
    reduced: int = 0
    """Smaller copies and masks."""
    unlisted: int = 0
    """Pictures of a stack that have no directory of their own."""
    more: bool = False
    """Whether there are more directories than are followed."""
    broken: bool = False
    """Whether a directory is said to be where there is none."""


def survey(path: Path) -> Pages:
    """Look a TIFF's directories up, and nothing else of it."""
    try:
        with path.open("rb") as file:
            return _survey(file)
    except OSError:
        return Pages()


def pages(path: Path) -> tuple[int, ...]:
    """Places of the directories of a TIFF's pages; empty where the file is no TIFF or cannot be read."""
    return survey(path).places


def _survey(file: BinaryIO) -> Pages:
    head = file.read(8)
    if len(head) < 8 or head[:4] not in MAGIC:
        return Pages()
    order = "<" if head[:2] == b"II" else ">"
    (place,) = struct.unpack(order + "I", head[4:])
    found: list[int] = []
    seen: set[int] = set()
    reduced, stacked, broken = 0, 0, False
    while place and place not in seen and len(seen) < MOST:
        seen.add(place)
        try:
            fields, following = _directory(file, order, place)
        except struct.error:
            broken = True
            break
        if _is_reduced(fields):
            reduced += 1
        else:
            found.append(place)
            stacked = stacked or _stacked(file, fields.get(DESCRIPTION))
        place = following
    more = bool(place) and place not in seen
    return Pages(tuple(found), reduced, max(0, stacked - len(found)) if len(found) == 1 else 0, more, broken)


def _directory(file: BinaryIO, order: str, place: int) -> tuple[dict[int, tuple[int, int]], int]:
    """Number of values and their place, or the value itself, of each field by its tag; and where the next directory is.

    Raises struct.error where there is none.
    """
    file.seek(place)
    (entries,) = struct.unpack(order + "H", file.read(2))
    if not 0 < entries <= MOST_FIELDS:
        raise struct.error(f"a directory of {entries} fields")
    data = file.read(12 * entries)
    fields: dict[int, tuple[int, int]] = {}
    for at in range(0, 12 * entries, 12):
        tag, kind, count, value = struct.unpack_from(order + "HHII", data, at)
        if kind == 3 and count == 1:
            (value,) = struct.unpack_from(order + "H", data, at + 8)
        fields.setdefault(tag, (count, value))
    following = file.read(4)
    return fields, struct.unpack(order + "I", following)[0] if len(following) == 4 else 0


def _is_reduced(fields: dict[int, tuple[int, int]]) -> bool:
    return (
        bool(fields.get(SUBFILE, (1, 0))[1] & (REDUCED | MASK))
        or fields.get(OLD_SUBFILE, (1, 1))[1] == OLD_REDUCED
    )


def _stacked(file: BinaryIO, description: tuple[int, int] | None) -> int:
    """Pictures that ImageJ says are in the file; 0 where another program wrote it."""
    if description is None or description[0] <= 4:
        return 0
    file.seek(description[1])
    text = file.read(min(description[0], 512))
    said = STACK.search(text) if text.startswith(b"ImageJ") else None
    return int(said[1]) if said else 0
