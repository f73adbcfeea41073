"""Marks on the program's own output files.

A marked file is never analysed as a picture of a smear. A JPEG has a comment, which stays with it wherever it
is copied. A results folder has a file that lists its results.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from edgeleuk.system import file_io
from edgeleuk.system.file_io import UnreadableError

MARKER = ".edgeleuk-results.json"
"""Name of the file that lists the results in a folder."""
SCHEMA = "edgeleuk-results/1"
COMMENT = b"edgeleuk result "
"""Prefix of the JPEG comment.

The UUID of the result follows it.
"""
HEAD = 512
"""Bytes at the start of a JPEG that hold the comment."""
MOST_BYTES = 50_000_000
"""Maximum size of a marker file, bytes.

A marker of 100,000 results has 5 million.
"""


def marked(jpeg: bytes, result: str) -> bytes:
    """Add the result's UUID to a JPEG as a comment.

    Pixels are unchanged.
    """
    after = 2
    if jpeg[2:4] == b"\xff\xe0":  # JFIF's segment must stand first
        after += 2 + struct.unpack_from(">H", jpeg, 4)[0]
    text = COMMENT + result.encode()
    return jpeg[:after] + b"\xff\xfe" + struct.pack(">H", len(text) + 2) + text + jpeg[after:]


def mark_of(head: bytes) -> str | None:
    """Read the result's UUID from a JPEG's first HEAD bytes.

    Returns None for any other picture.
    """
    at = head.find(b"\xff\xfe", 0, HEAD)
    if head[:2] != b"\xff\xd8" or at < 0 or head[at + 4 : at + 4 + len(COMMENT)] != COMMENT:
        return None
    (length,) = struct.unpack_from(">H", head, at + 2)
    return head[at + 4 + len(COMMENT) : at + 2 + length].decode("ascii", "replace")


def read_marker(folder: Path) -> Mapping[str, Any] | None:
    """Read the marker of a results folder.

    Returns None where the folder has no marker, and an empty mapping where the marker is damaged.
    """
    path = folder / MARKER
    try:
        if not path.is_file():
            return None
        said = file_io.read_json(path, MOST_BYTES)
    except (OSError, UnreadableError):
        return {}
    return said if isinstance(said, dict) and said.get("schema") == SCHEMA else {}


def listed(folder: Path) -> frozenset[str]:
    """Return the result file names in a folder's marker."""
    files = (read_marker(folder) or {}).get("files", [])
    return frozenset(map(str, files)) if isinstance(files, list) else frozenset()
