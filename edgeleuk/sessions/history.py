"""Fingerprints of what happened in a session.

The file only adds: fields, refusals, marks, notes and entries of the trail, and the times at which fields and
marks were taken back. A later state of a session has all fingerprints of an earlier one; two states of which
neither has all of the other's come from two copies of the file.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any

from edgeleuk.sessions.database import Database

LETTERS = 16
"""Hexadecimal digits of one fingerprint: 64 bits, for some hundreds in a session."""
_QUERIES = {
    "field": "SELECT number, at, record FROM fields WHERE session = ? ORDER BY key",
    "undone field": "SELECT number, at, undone FROM fields WHERE session = ? AND undone IS NOT NULL ORDER BY key",
    "refusal": "SELECT at, record FROM refusals WHERE session = ? ORDER BY key",
    "mark": "SELECT identity, label, at FROM marks WHERE session = ? ORDER BY key",
    "undone mark": "SELECT identity, at, undone FROM marks WHERE session = ? AND undone IS NOT NULL ORDER BY key",
    "note": "SELECT at, text FROM notes WHERE session = ? ORDER BY key",
    "entry": "SELECT hash FROM trail WHERE session = ? ORDER BY number",
}


def history(database: Database, session: str) -> frozenset[str]:
    """Return the fingerprints of a session.

    Raises:
        DamagedError: A part of it cannot be read.
    """
    return frozenset(_fingerprints(database, session))


def _fingerprints(database: Database, session: str) -> Iterator[str]:
    for kind, query in _QUERIES.items():
        seen: Counter[bytes] = Counter()
        for row in database.query(query, (session,)):
            content = _content(kind, row)
            seen[content] += 1  # the same remark may stand twice
            yield hashlib.sha256(content + b"%d" % seen[content]).hexdigest()[:LETTERS]


def _content(kind: str, values: Iterable[Any]) -> bytes:
    """Return values as bytes, each with its length in front."""
    texts = (kind, *values)
    parts = (
        each if isinstance(each, bytes) else repr(each).encode("utf-8", "backslashreplace") for each in texts
    )
    return b"".join(len(each).to_bytes(8, "big") + each for each in parts)
