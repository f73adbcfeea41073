"""List the pages of a TIFF.

Each page is a picture of its own.
The header says where the first directory stands, and each directory says where the next one stands.
"""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from edgeleuk.sources.pictures.directory import MAGIC, raw_entries

DESCRIPTION, SUBFILE, OLD_SUBFILE = 270, 254, 255
"""Tags ImageDescription, NewSubfileType and SubfileType.

See TIFF 6.0 (Adobe 1992).
"""
REDUCED, MASK = 1, 4
"""Bits of NewSubfileType for smaller copies and masks.

Neither is a picture of its own.
"""
OLD_REDUCED = 2
"""Value of SubfileType for a smaller copy."""
MOST = 1000
"""Maximum number of directories that are followed.

A circle or a forged chain must end.
"""
MOST_FIELDS = 4096
"""Maximum fields of a directory; common ones have 20."""
STACK = re.compile(rb"^images=(\d{1,9})$", re.MULTILINE)
"""Number of pictures in ImageJ's description.

The pictures follow each other, with one directory for all.
"""


@dataclass(frozen=True, slots=True)
class Pages:
    """Contents of a TIFF."""

    places: tuple[int, ...] = ()
    """Places of its pictures' directories.

    Empty where the file is no TIFF or cannot be read.
    """
    reduced: int = 0
    """Number of smaller copies and masks."""
    unlisted: int = 0
    """Pictures of a stack without a directory of their own."""
    more: bool = False
    """Whether there are more directories than are followed."""
    broken: bool = False
    """Whether a directory is missing at its stated place."""


def survey(path: Path) -> Pages:
    """Find a TIFF's directories, reading nothing else."""
    try:
        with path.open("rb") as file:
            return _survey(file)
    except OSError:
        return Pages()


def pages(path: Path) -> tuple[int, ...]:
    """Return the directory places of all pages.

    Empty where the file is no TIFF or cannot be read.
    """
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
    """Read one directory, and the next one's place.

    Returns:
        For each tag the number of values and their place, or the value itself; and the place of the next
        directory.

    Raises:
        struct.error: If there is no directory.
    """

    def read(at: int, size: int) -> bytes:
        file.seek(at)
        return file.read(size)

    entries, following = raw_entries(read, order, place, MOST_FIELDS)
    if not entries:
        raise struct.error("a directory without fields")
    fields: dict[int, tuple[int, int]] = {}
    for tag, kind, count, data in entries:
        (value,) = struct.unpack(order + "I", data)
        if kind == 3 and count == 1:
            (value,) = struct.unpack_from(order + "H", data)
        fields.setdefault(tag, (count, value))
    return fields, following


def _is_reduced(fields: dict[int, tuple[int, int]]) -> bool:
    return (
        bool(fields.get(SUBFILE, (1, 0))[1] & (REDUCED | MASK))
        or fields.get(OLD_SUBFILE, (1, 1))[1] == OLD_REDUCED
    )


def _stacked(file: BinaryIO, description: tuple[int, int] | None) -> int:
    """Return ImageJ's number of pictures, or 0.

    It is 0 where another program wrote the file.
    """
    if description is None or description[0] <= 4:
        return 0
    file.seek(description[1])
    text = file.read(min(description[0], 512))
    said = STACK.search(text) if text.startswith(b"ImageJ") else None
    return int(said[1]) if said else 0
