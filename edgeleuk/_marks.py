"""What this program writes is marked as its own, so that it is never taken for a picture of a smear.

A JPEG has a comment, which goes with it wherever it is copied. A folder of results has a file that lists them.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from edgeleuk import _files
from edgeleuk._files import UnreadableError

MARKER = ".edgeleuk-results.json"
"""Name of the file in a folder of results that lists them."""
SCHEMA = "edgeleuk-results/1"
COMMENT = b"edgeleuk result "
"""Begins the comment of a JPEG; the UUID of the result follows."""
HEAD = 512
"""Bytes at the beginning of a JPEG that hold the comment."""
MOST_BYTES = 50_000_000
"""Of a marker; one of 100,000 results has 5 million."""


def marked(jpeg: bytes, result: str) -> bytes:
    """A JPEG of the result with this UUID, with the comment that says so. Pixels stay as they are."""
    after = 2
    if jpeg[2:4] == b"\xff\xe0":  # JFIF's segment must stand first
        after += 2 + struct.unpack_from(">H", jpeg, 4)[0]
    text = COMMENT + result.encode()
    return jpeg[:after] + b"\xff\xfe" + struct.pack(">H", len(text) + 2) + text + jpeg[after:]


def mark_of(head: bytes) -> str | None:
    """UUID of the result that a JPEG belongs to, by its first HEAD bytes; None for any other picture."""
    at = head.find(b"\xff\xfe", 0, HEAD)
    if head[:2] != b"\xff\xd8" or at < 0 or head[at + 4 : at + 4 + len(COMMENT)] != COMMENT:
        return None
    (length,) = struct.unpack_from(">H", head, at + 2)
    return head[at + 4 + len(COMMENT) : at + 2 + length].decode("ascii", "replace")


def read_marker(folder: Path) -> Mapping[str, Any] | None:
    """What a folder of results says of itself; None where it is no such folder. An empty mapping where that is damaged."""
    path = folder / MARKER
    try:
        if not path.is_file():
            return None
        said = _files.read_json(path, MOST_BYTES)
    except (OSError, UnreadableError):
        return {}
    return said if isinstance(said, dict) and said.get("schema") == SCHEMA else {}


def listed(folder: Path) -> frozenset[str]:
    """Names of the results in a folder, as its marker lists them."""
    files = (read_marker(folder) or {}).get("files", [])
    return frozenset(map(str, files)) if isinstance(files, list) else frozenset()
