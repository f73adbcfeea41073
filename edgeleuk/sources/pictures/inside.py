"""Count the further pictures in a file.

They are stereo pairs, bursts and animations.

Thumbnails, gain maps, depth maps and masks belong to a picture and are not counted.
"""

from __future__ import annotations

import os
import struct
from typing import BinaryIO

from edgeleuk.sources.pictures.headers import is_heif

SEGMENTS = 64
"""Maximum JPEG segments searched before the pixels."""
PREVIEW = 0x010000
"""MPO class of a smaller copy (CIPA DC-007, 5.2.3.3)."""
MOST_PICTURES = 200
META_BYTES = 1 << 20
"""Bytes read of a HEIC's list of contents."""
IMAGES = {b"hvc1", b"hev1", b"grid", b"iden", b"iovl", b"av01", b"jpeg", b"j2k1", b"unci"}


def others_in(file: BinaryIO, head: bytes) -> int | None:
    """Count further pictures in an open file.

    The file is a JPEG, HEIC, PNG or WebP. Returns None for an unknown number of further pictures.
    """
    try:
        if head[:3] == b"\xff\xd8\xff":
            return _of_jpeg(file)
        if is_heif(head):
            return None if head[8:12] in (b"hevc", b"hevx", b"msf1") else _of_heif(file)
        if head[:4] == b"\x89PNG":
            return None if b"acTL" in head else 0
        if head[8:16] == b"WEBPVP8X" and head[20:21] and head[20] & 2:
            return None
    except (struct.error, ValueError, OSError):
        pass  # decoding it reports what is wrong with it
    return 0


def _of_jpeg(file: BinaryIO) -> int:
    """Count pictures in a JPEG's MPF index (CIPA DC-007).

    Only pictures as large as the first one count.
    """
    size: tuple[int, int] | None = None
    index: tuple[int, bytes] | None = None
    file.seek(2)
    for _ in range(SEGMENTS):
        marker, length = struct.unpack(">HH", file.read(4))
        if marker >> 8 != 0xFF or length < 2 or marker == 0xFFDA:
            break
        at = file.tell()
        if marker == 0xFFE2 and file.read(4) == b"MPF\0":
            index = (at + 4, file.read(length - 6))
        elif _is_frame(marker):
            file.seek(at + 1)
            size = struct.unpack(">HH", file.read(4))
            break
        file.seek(at + length - 2)
    if not index or not size:
        return 0
    return sum(_size_at(file, index[0] + offset) == size for offset in _indexed(index[1]))


def _is_frame(marker: int) -> bool:
    return 0xFFC0 <= marker <= 0xFFCF and marker not in (0xFFC4, 0xFFC8, 0xFFCC)


def _indexed(mpf: bytes) -> list[int]:
    """Return the places of all pictures after the first.

    Places are relative to the start of the index. Previews are left out.
    """
    order = "<" if mpf[:2] == b"II" else ">"
    (start,) = struct.unpack_from(order + "I", mpf, 4)
    (fields,) = struct.unpack_from(order + "H", mpf, start)
    for at in range(start + 2, start + 2 + 12 * fields, 12):
        tag, _, size, place = struct.unpack_from(order + "HHII", mpf, at)
        if tag == 0xB002:
            each = [
                struct.unpack_from(order + "III", mpf, place + 16 * i)
                for i in range(min(size // 16, MOST_PICTURES))
            ]
            return [offset for kind, _, offset in each if offset and kind & 0xFF0000 != PREVIEW]
    return []


def _size_at(file: BinaryIO, place: int) -> tuple[int, int] | None:
    """Return a JPEG's height and width, or None."""
    file.seek(place)
    if file.read(2) != b"\xff\xd8":
        return None
    for _ in range(SEGMENTS):
        marker, length = struct.unpack(">HH", file.read(4))
        if _is_frame(marker):
            height, width = struct.unpack(">xHH", file.read(5))
            return height, width
        if marker >> 8 != 0xFF or length < 2:
            return None
        file.seek(length - 2, os.SEEK_CUR)
    return None


def _of_heif(file: BinaryIO) -> int:
    """Count displayed pictures of a HEIC beyond the first.

    See ISO/IEC 23008-12.
    """
    file.seek(0)
    meta = b""
    for kind, body in _boxes(file.read(META_BYTES)):
        if kind == b"meta":
            meta = body[4:]
    shown: set[int] = set()
    parts: set[int] = set()
    for kind, body in _boxes(meta):
        if kind == b"iinf":
            entries = body[6 if body[0] == 0 else 8 :]
            shown |= {number for box, info in _boxes(entries) if box == b"infe" and (number := _image(info))}
        elif kind == b"iref":
            parts |= _parts(body)
    return max(0, len(shown - parts) - 1)


def _boxes(data: bytes) -> list[tuple[bytes, bytes]]:
    """Return kind and content of each box."""
    found, at = [], 0
    while at + 8 <= len(data):
        size, kind = struct.unpack_from(">I4s", data, at)
        head = 8
        if size == 1:
            (size,) = struct.unpack_from(">Q", data, at + 8)
            head = 16
        end = len(data) if size == 0 else at + size
        if end < at + head:
            break
        found.append((kind, data[at + head : end]))
        at = end
    return found


def _image(info: bytes) -> int:
    """Return the number of a visible image item, else 0."""
    version, flags = info[0], int.from_bytes(info[1:4])
    if version < 2 or flags & 1:
        return 0
    number, kind = struct.unpack_from(">H2x4s" if version == 2 else ">I2x4s", info, 4)
    return int(number) if kind in IMAGES else 0


def _parts(references: bytes) -> set[int]:
    """Return items that are thumbnails, masks or tiles."""
    form, width = (">H", 2) if references[0] == 0 else (">I", 4)
    parts: set[int] = set()
    for kind, body in _boxes(references[4:]):
        (source,) = struct.unpack_from(form, body)
        (number,) = struct.unpack_from(">H", body, width)
        if kind in (b"thmb", b"auxl"):
            parts.add(source)
        elif kind == b"dimg":
            parts.update(struct.unpack_from(form, body, width + 2 + width * i)[0] for i in range(number))
    return parts
