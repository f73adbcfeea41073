"""One session as another machine can take it.

It has the session's fields with their pictures, and the trail of its review.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from edgeleuk.errors import RecordError, UsageError
from edgeleuk.results.codec import decode, encode
from edgeleuk.sessions import records
from edgeleuk.sessions.database import Database
from edgeleuk.sessions.trail import Entry, Trail, append_as_made, faults
from edgeleuk.types import CountedField, Refusal

FACTS = (
    "uuid", "kind", "started", "zone", "ended", "reason", "magnification", "source", "model_version", "finder_sha256",
    "reader_sha256", "manifest_sha256", "profile", "target", "um_per_px", "red_cells", "operator", "slide", "site",
    "device", "version", "second_of",
)  # fmt: skip
"""Columns of a session that another machine needs; notes stay."""


@dataclass(frozen=True, slots=True)
class SharedSession:
    """Content of a session."""

    facts: dict[str, str | int | float | None]
    """By the names of FACTS."""
    fields: tuple[bytes, ...]
    """Counted fields in order, encoded."""
    views: dict[int, bytes]
    """Views of fields by number, JPEG."""
    refusals: tuple[bytes, ...]
    """Refused pictures, encoded."""
    marks: tuple[tuple[int, str, str], ...]
    """The operator's labels: cell, label and time."""
    trail: tuple[Entry, ...]


def shared(database: Database, session: str) -> SharedSession:
    """Return the content of a session.

    Raises:
        DamagedError: A part of it cannot be read.
    """
    (facts,) = database.query(f"SELECT {', '.join(FACTS)} FROM sessions WHERE id = ?", (session,))
    keys = database.query(
        "SELECT key, number FROM fields WHERE session = ? AND undone IS NULL ORDER BY key", (session,)
    )
    views = database.query(
        "SELECT f.number, v.picture FROM views AS v JOIN fields AS f ON f.key = v.field"
        " WHERE f.session = ? AND f.undone IS NULL",
        (session,),
    )
    refused = database.query("SELECT record FROM refusals WHERE session = ? ORDER BY key", (session,))
    marks = database.query(
        "SELECT identity, label, at FROM marks WHERE session = ? AND undone IS NULL ORDER BY key", (session,)
    )
    return SharedSession(
        dict(facts),
        tuple(encode(records.rebuild(database.query, key)) for key, _ in keys),
        {int(number): bytes(picture) for number, picture in views},
        tuple(bytes(record) for (record,) in refused),
        tuple((int(identity), str(label), str(at)) for identity, label, at in marks),
        Trail(database, session).entries(),
    )


def adopt(database: Database, taken: SharedSession, session: str) -> None:
    """Add a session of another machine, in one transaction.

    Args:
        database: The file.
        taken: Its content.
        session: Its id here; unused so far.

    Raises:
        RecordError: A part of it is damaged.
        UsageError: Its trail was changed after it was made.
        StoreError: It cannot be written; nothing of it is then there.
    """
    require_sound(taken.trail)
    counted = [decode(each, CountedField) for each in taken.fields]
    refusals = [decode(each, Refusal) for each in taken.refusals]
    if len({each.number for each in counted}) < len(counted):
        raise RecordError("the session has two fields of one number. Ask for the file again.")
    with database.transaction() as connection:
        connection.execute("UPDATE store SET last = last + 1")
        row: dict[str, Any] = {**{name: taken.facts.get(name) for name in FACTS}, "id": session, "notes": ""}
        row["sequence"] = connection.execute("SELECT last FROM store").fetchone()[0]
        connection.execute(
            f"INSERT INTO sessions ({', '.join(row)}) VALUES ({', '.join('?' * len(row))})",
            tuple(row.values()),
        )
        for each in counted:
            records.insert(connection, session, each)
        records.insert_refusals(connection, session, refusals, str(taken.facts["started"]))
        connection.executemany(
            "INSERT INTO marks (session, identity, label, at) VALUES (?, ?, ?, ?)",
            [(session, *mark) for mark in taken.marks],
        )
        _insert_views(connection, session, taken.views)
        append_as_made(connection, session, taken.trail)


def extend_trail(database: Database, session: str, entries: Sequence[Entry]) -> int:
    """Add the entries that a trail lacks, and return their number.

    Raises:
        UsageError: The trail here is no beginning of `entries`, or these were changed.
        StoreError: They cannot be written.
    """
    require_sound(entries)
    with database.transaction() as connection:
        there = Trail(database, session).entries()
        if [each.hash for each in there] != [each.hash for each in entries[: len(there)]]:
            raise UsageError(
                f"session {session} was reviewed here and there after it was shared: its reviews went different ways, and"
                " none replaces the other."
            )
        new = entries[len(there) :]
        append_as_made(connection, session, new)
        return len(new)


def require_sound(entries: Sequence[Entry]) -> None:
    """Check the chain of a trail.

    Raises:
        UsageError: It is broken.
    """
    for text in faults(entries):
        raise UsageError(f"{text} It was not taken.")


def _insert_views(connection: sqlite3.Connection, session: str, views: dict[int, bytes]) -> None:
    for number, picture in views.items():
        connection.execute(
            "INSERT INTO views (field, picture) SELECT key, ? FROM fields WHERE session = ? AND number = ?",
            (picture, session, number),
        )
