"""What can still be read of a damaged file: row by row and by another way, and in words what cannot.

A page of the file that is damaged costs the rows on it. Where an index is damaged the table still has the rows, and where
the table is, the index still says which rows there were.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec

from edgeleuk.errors import DamagedError
from edgeleuk.store.database import Database
from edgeleuk.store.facts import SessionSummary, State

Lost = list[str]
"""Collects in a sentence each what cannot be read. Where readers are given None in its place, they raise DamagedError."""
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
"""Of a session. An export makes a folder of this name."""
_KNOWN = (
    "SELECT id, uuid, rowid FROM sessions ORDER BY rowid DESC",
    "SELECT id, uuid, rowid FROM sessions NOT INDEXED ORDER BY rowid DESC",
    "SELECT id, '' AS uuid, rowid FROM sessions ORDER BY id DESC",
)
"""The first where all is well; then from the table alone, and from the index alone."""
FIELDS = (
    "SELECT key, number FROM fields INDEXED BY records_in_order WHERE session = ? AND undone IS NULL ORDER BY key",
    "SELECT key, number FROM fields NOT INDEXED WHERE session = ? AND undone IS NULL ORDER BY key",
)
"""The counted fields of a session: from an index that has all of this, or from the table."""
REFUSALS = (
    "SELECT key FROM refusals INDEXED BY refusals_of_session WHERE session = ? ORDER BY key",
    "SELECT key FROM refusals NOT INDEXED WHERE session = ? ORDER BY key",
)
_WHITE = (
    "SELECT COUNT(DISTINCT NULLIF(w.identity, 0)) AS n FROM fields AS f INDEXED BY records_in_order"
    " JOIN seen_white AS w ON w.field = f.key WHERE f.session = ? AND f.undone IS NULL AND w.read",
)


def rows(
    database: Database, statements: Sequence[str], parameters: Sequence[Any], what: str, lost: Lost | None
) -> list[sqlite3.Row]:
    """Of the first statement that the file lets run to its end, else of the one that came furthest."""
    found: list[sqlite3.Row] = []
    for statement in statements:
        try:
            return database.query(statement, parameters)
        except DamagedError:
            if lost is None:
                raise
        some = database.query_while_possible(statement, parameters)
        found = max(found, some, key=len)
    tell(lost, f"{what} cannot be read, or not all of it.")
    return found


def tell(lost: Lost | None, text: str) -> None:
    """Note what is lost, once."""
    if lost is not None and text not in lost:
        lost.append(text)


def known(database: Database, lost: Lost | None) -> list[sqlite3.Row]:
    """Id, UUID and row of each session, the one that was begun last first."""
    return rows(database, _KNOWN, (), "the list of the sessions", lost)


def summary(row: Mapping[str, Any], state: State) -> SessionSummary:
    """What a row says of a session. Raises DamagedError where it says what no session can be."""
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
    """Whether a text is a time, as all times of the file are written."""
    try:
        datetime.fromisoformat(text)
    except (ValueError, TypeError):
        return False
    return True


def facts(database: Database, session: str, row: int, lost: Lost | None) -> dict[str, Any]:
    """What `session.summaries` asks of a session at once, one by one. Raises DamagedError where its row cannot be read."""
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
