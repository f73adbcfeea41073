"""Recognise a file's kind by content and name.

A file is a picture, or something that lies beside pictures.
"""

from __future__ import annotations

import stat
from collections.abc import Mapping
from pathlib import Path

from edgeleuk.errors import InputError
from edgeleuk.sources.pictures.headers import is_heif
from edgeleuk.sources.pictures.suffixes import (
    ARCHIVE_SUFFIXES,
    FORMAT_SUFFIXES,
    OFFICE_SUFFIXES,
    RAW_SUFFIXES,
    SCAN_SUFFIXES,
    VIDEO_SUFFIXES,
)
from edgeleuk.system.wording import command, option

FORMATS = "JPEG, PNG, TIFF, BMP, WebP and HEIC"
PICTURES = (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"II*\0", b"MM\0*")
ARCHIVES = (
    b"PK\x03\x04", b"PK\x05\x06", b"\x1f\x8b", b"7z\xbc\xaf\x27\x1c", b"Rar!", b"BZh", b"\xfd7zXZ", b"\x28\xb5\x2f\xfd",
)  # fmt: skip
FORMAT_HEADS = (
    b"GIF8",
    b"8BPS",
    b"\0\0\0\x0cjP",
    b"\0\0\0\x0cJXL",
    b"\xff\x0a",
    b"gimp xcf",
    b"P5\n",
    b"P6\n",
)
VIDEO_HEADS = (b"\x1a\x45\xdf\xa3", b"\0\0\x01\xba", b"\0\0\x01\xb3")
BMP_HEADERS = {12, 40, 52, 56, 64, 108, 124}
"""Sizes of a BMP's second header.

"BM" alone would make a picture of any text that begins with these letters.
"""
HEAD = 512
"""Leading bytes that decide a file's kind."""

ADVICE: Mapping[str, str] = {
    "hidden": "is hidden. Rename it to have it analysed.",
    "folder": "is a folder inside the one that was named. Name it, or give {recursive}.",
    "link": "is a link to a folder, which is not followed. Name the folder itself.",
    "result": "was written by this program. Results are never analysed; name the picture itself.",
    "video": "is a video. Count it with `{live} {source}`.",
    "archive": "is an archive. Unpack it, and name the folder.",
    "raw": "is a camera's raw file, which is not read. Save it as JPEG or TIFF.",
    "scan": "is a file of a slide scanner or of microscope software. Export its fields as TIFF or JPEG.",
    "format": "is a picture of a format that is not read. Save it as JPEG, PNG or TIFF.",
    "other": "is no picture.",
}
"""Reason for leaving a file out, by code.

The text follows the file's name in a sentence.
"""


def advice(code: str) -> str:
    """Return the text of ADVICE with the names of settings."""
    return ADVICE[code].format(live=command("live"), source=option("source"), recursive=option("recursive"))


def kind_of(name: str, head: bytes) -> str:
    """Return "picture" or a code of ADVICE.

    `head` holds the first HEAD bytes of the file.
    """
    suffix = Path(name).suffix.lower()
    if suffix in RAW_SUFFIXES:
        return "raw"
    if suffix in SCAN_SUFFIXES or head[128:132] == b"DICM":
        return "scan"
    if head[:4] == b"RIFF":
        return "picture" if head[8:12] == b"WEBP" else "video" if head[8:12] == b"AVI " else "other"
    if head[4:8] == b"ftyp":
        return "format" if head[8:11] == b"avi" else "picture" if is_heif(head) else "video"
    if head.startswith(PICTURES) or _is_bmp(head):
        return "picture"
    if head.startswith(FORMAT_HEADS) or suffix in FORMAT_SUFFIXES:
        return "format"
    if head.startswith(VIDEO_HEADS) or suffix in VIDEO_SUFFIXES:
        return "video"
    if suffix in ARCHIVE_SUFFIXES or (
        (head.startswith(ARCHIVES) or head[257:262] == b"ustar") and suffix not in OFFICE_SUFFIXES
    ):
        return "archive"
    return "other"


def _is_bmp(head: bytes) -> bool:
    return head[:2] == b"BM" and int.from_bytes(head[14:18], "little") in BMP_HEADERS


def require_file(path: Path) -> None:
    """Check that a path is a regular file.

    Call it before opening: a pipe blocks, and a device may never end. A path that is absent or cannot be
    examined passes: opening it gives the reason.

    Raises:
        InputError: If it is not a regular file.
    """
    try:
        mode = path.stat().st_mode
    except (OSError, ValueError):
        return
    if what := special(mode):
        raise InputError(f"{path} is {what}, not a file. Copy what it holds into a file, and name that.")


def special(mode: int) -> str:
    """Describe a special file; "" for a regular one."""
    kinds = (
        (stat.S_ISDIR, "a folder"), (stat.S_ISFIFO, "a pipe"), (stat.S_ISSOCK, "a socket"),
        (stat.S_ISCHR, "a device"), (stat.S_ISBLK, "a device"),
    )  # fmt: skip
    return next(
        (words for test, words in kinds if test(mode)), "" if stat.S_ISREG(mode) else "something special"
    )
