"""Reading of damaged files.

It is read row by row and by another way; what cannot be read is put into words. A damaged page of the file
costs the rows on it. If an index is damaged, the table still has the rows; if the table is, the index still
says which rows there were.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec

from edgeleuk.errors import DamagedError
from edgeleuk.sessions.database import Database
from edgeleuk.sessions.facts import SessionSummary, State

Losses = list[str]
"""Collector of sentences on losses.

If readers are given None in its place, they raise DamagedError.
"""
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
"""Pattern of a session's id.

An export makes a folder of this name.
"""
_KNOWN = (
    "SELECT id, uuid, rowid FROM sessions ORDER BY rowid DESC",
    "SELECT id, uuid, rowid FROM sessions NOT INDEXED ORDER BY rowid DESC",
    "SELECT id, '' AS uuid, rowid FROM sessions ORDER BY id DESC",
)
"""Queries for all sessions, tried in order.

The first one is for a sound file; the others use the table alone, and the index alone.
"""
FIELDS = (
    "SELECT key, number FROM fields INDEXED BY records_in_order WHERE session = ? AND undone IS NULL ORDER BY key",
    "SELECT key, number FROM fields NOT INDEXED WHERE session = ? AND undone IS NULL ORDER BY key",
)
"""Queries for a session's counted fields.

From an index that has all of this, or from the table.
"""
REFUSALS = (
    "SELECT key FROM refusals INDEXED BY refusals_of_session WHERE session = ? ORDER BY key",
    "SELECT key FROM refusals NOT INDEXED WHERE session = ? ORDER BY key",
)
_WHITE = (
    "SELECT COUNT(DISTINCT NULLIF(w.identity, 0)) AS n FROM fields AS f INDEXED BY records_in_order"
    " JOIN seen_white AS w ON w.field = f.key WHERE f.session = ? AND f.undone IS NULL AND w.read",
)


def rows(
    database: Database, statements: Sequence[str], parameters: Sequence[Any], what: str, lost: Losses | None
) -> list[sqlite3.Row]:
    """Return the rows of the first query that succeeds.

    If none does, the rows of the one that came furthest are returned.

    Args:
        database: The file.
        statements: Queries for the same rows, in order of preference.
        parameters: Parameters of each query.
        what: What the rows are, for the sentence on their loss.
        lost: Collects that sentence; None to raise.

    Raises:
        DamagedError: If a query fails and `lost` is None.
    """
    found: list[sqlite3.Row] = []
    for statement in statements:
        try:
            return database.query(statement, parameters)
        except DamagedError:
            if lost is None:
                raise
        some = database.query_while_possible(statement, parameters)
        found = max(found, some, key=len)
    note_loss(lost, f"{what} cannot be read, or not all of it.")
    return found


def note_loss(lost: Losses | None, text: str) -> None:
    """Note what is lost, once."""
    if lost is not None and text not in lost:
        lost.append(text)


def session_rows(database: Database, lost: Losses | None) -> list[sqlite3.Row]:
    """Return id, UUID and row of sessions.

    The session that was begun last comes first.
    """
    return rows(database, _KNOWN, (), "the list of the sessions", lost)


def summary(row: Mapping[str, Any], state: State) -> SessionSummary:
    """Convert a row to a session's summary.

    Raises:
        DamagedError: If the row has values that no session can have.
    """
    try:
        made = msgspec.convert({**row, "state": state}, SessionSummary)
        if not _ID.fullmatch(made.id):
            raise ValueError("its id is none")
        _ = made.about  # whose times must be times
        if made.last is not None and not is_time(made.last):
            raise ValueError("its last field has no time")
        return made
    except (msgspec.ValidationError, ValueError, TypeError, OverflowError) as error:
        raise DamagedError(f"session {str(row['id'])[:60]!r} is damaged: {error}.") from error


def is_time(text: Any) -> bool:
    """Return whether a text is a time.

    As all times of the file are written.
    """
    try:
        datetime.fromisoformat(text)
    except (ValueError, TypeError):
        return False
    return True


def facts(database: Database, session: str, row: int, lost: Losses | None) -> dict[str, Any]:
    """Read a session's facts one by one.

    `session.summaries` reads the same at once.

    Args:
        database: The file.
        session: Id of the session.
        row: Its row in the table of sessions.
        lost: Collects what cannot be read; None to raise.

    Raises:
        DamagedError: If its row cannot be read.
    """
    found = database.query("SELECT * FROM sessions WHERE rowid = ?", (row,))
    if not found:
        raise DamagedError(f"session {session}: its row is not there any more.")
    what = f"session {session}: "
    fields = rows(database, FIELDS, (session,), f"{what}its fields", lost)
    white = rows(database, _WHITE, (session,), f"{what}how many white cells it has", lost)
    refused = rows(database, REFUSALS, (session,), f"{what}its refusals", lost)
    last = None
    if fields:
        at = rows(
            database,
            ("SELECT at FROM fields WHERE key = ?",),
            (fields[-1]["key"],),
            f"{what}its last field",
            lost,
        )
        last = at[0]["at"] if at else None
    return {
        **dict(found[0]),
        "fields": len(fields),
        "last": last,
        "white_cells": white[0]["n"] if white else 0,
        "refused": len(refused),
    }
