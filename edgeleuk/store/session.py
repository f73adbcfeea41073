"""One session of `edgeleuk live`: each field is on the disk before anybody is told that it was counted."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

from edgeleuk.errors import StoreError, UsageError
from edgeleuk.store import records
from edgeleuk.store.database import Database
from edgeleuk.store.leases import Lease, held
from edgeleuk.types import CountedField

State = Literal["running", "finished", "interrupted"]
"""A process writes it now; it was ended by its operator or its source; neither, as after a power cut."""

_SUMMARIES = """
    SELECT s.*, COUNT(f.key) AS fields,
        (SELECT l.at FROM fields AS l WHERE l.session = s.id AND l.undone IS NULL ORDER BY l.key DESC LIMIT 1) AS last,
        (SELECT COUNT(DISTINCT w.identity) FROM fields AS g JOIN white_cells AS w ON w.field = g.key
         WHERE g.session = s.id AND g.undone IS NULL AND w.label IS NOT NULL) AS white_cells
    FROM sessions AS s LEFT JOIN fields AS f ON f.session = s.id AND f.undone IS NULL
    WHERE ?1 IS NULL OR s.id = ?1
    GROUP BY s.id ORDER BY s.rowid DESC
"""


@dataclass(frozen=True, slots=True)
class SessionSummary:
    """What a list of sessions shows."""

    id: str
    started: str
    """UTC, ISO 8601, as all times here."""
    last: str | None
    """When the last field was counted: earlier than `started` where the clock was set back in between."""
    ended: str | None
    reason: str | None
    """Why it ended, in a few words."""
    state: State
    magnification: str
    source: str
    model_version: str
    target: int
    """White cells to count."""
    um_per_px: float | None
    """As given at the start; None where the red cells tell."""
    operator: str
    slide: str
    notes: str
    """As given at the start; later ones are in `Session.notes`."""
    version: str
    """Of the edgeleuk that began it."""
    fields: int
    """Without those taken back."""
    white_cells: int
    """White cells that were read, each once, whatever they were read or marked as. The map may make two of them one
    when it finds that parts of it overlap; this count is of before."""


@dataclass(frozen=True, slots=True)
class Note:
    """A remark of the operator."""

    at: str
    text: str


class Session:
    """One session: what `Store.start` and `Store.resume` give can be written, what `Store.get` gives can be read."""

    def __init__(self, database: Database, session: str, lease: Lease | None = None) -> None:
        self.id = session
        self._database, self._lease = database, lease

    @property
    def summary(self) -> SessionSummary:
        """As of now, from the disk."""
        return summaries(self._database, self.id)[0]

    def add(self, counted: CountedField) -> None:
        """Keep a counted field. It survives a power cut from the moment this returns.

        Raises DiskFullError before the disk is full and StoreError where it cannot be written. Nothing of the field is
        kept then, and the session goes on when the cause is gone.
        """
        self._need_lease()
        self._database.require_space()
        with self._database.transaction() as connection:
            records.insert(connection, self.id, counted)

    def undo(self) -> None:
        """Take back the last field, and the marks on white cells that it was the first to show.

        Both stay in the file with the time at which they were taken back, since a record that can lose what was once
        counted is no record; nothing else ever sees them. UsageError where there is no field.
        """
        with self._writing() as connection:
            last = "SELECT MAX(key) FROM fields WHERE session = ? AND undone IS NULL"
            key = connection.execute(last, (self.id,)).fetchone()[0]
            if key is None:
                raise UsageError(f"session {self.id} has no field to take back.")
            connection.execute("UPDATE fields SET undone = ? WHERE key = ?", (now(), key))
            connection.execute(
                "UPDATE marks SET undone = ? WHERE session = ? AND undone IS NULL"
                " AND identity IN (SELECT identity FROM white_cells WHERE field = ? AND fresh)",
                (now(), self.id, key),
            )

    def mark(self, identity: int, label: str) -> None:
        """Overrule what the reader says of a cell on the map. The last mark of a cell holds; all are kept."""
        with self._writing() as connection:
            connection.execute(
                "INSERT INTO marks (session, identity, label, at) VALUES (?, ?, ?, ?)",
                (self.id, int(identity), label, now()),
            )

    def note(self, text: str) -> None:
        """Keep a remark."""
        with self._writing() as connection:
            connection.execute(
                "INSERT INTO notes (session, at, text) VALUES (?, ?, ?)", (self.id, now(), text)
            )

    def finish(self, reason: str) -> None:
        """End the session and let go of it; `Store.resume` takes it up again."""
        with self._writing() as connection:
            connection.execute(
                "UPDATE sessions SET ended = ?, reason = ? WHERE id = ?", (now(), reason, self.id)
            )
        self.release()

    def release(self) -> None:
        """Let go without an end, as a program that dies does. Safe to call twice."""
        if self._lease:
            self._lease.release()

    def counted(self) -> Iterator[CountedField]:
        """The counted fields as they were, in order, one at a time from the disk."""
        keys = self._database.query(
            "SELECT key FROM fields WHERE session = ? AND undone IS NULL ORDER BY key", (self.id,)
        )
        for (key,) in keys:
            yield records.rebuild(self._database.query, key)

    def unassessed(self) -> frozenset[int]:
        """Numbers of the fields that were counted before assessments were kept: nothing is known of their quality."""
        rows = self._database.query(
            "SELECT number FROM fields WHERE session = ? AND undone IS NULL AND assessment IS NULL",
            (self.id,),
        )
        return frozenset(row["number"] for row in rows)

    def marks(self) -> dict[int, str]:
        """What the operator said of cells, by their number on the map."""
        rows = self._database.query(
            "SELECT identity, label FROM marks WHERE session = ? AND undone IS NULL ORDER BY key", (self.id,)
        )
        return {row["identity"]: row["label"] for row in rows}

    def notes(self) -> tuple[Note, ...]:
        """The remarks in order."""
        rows = self._database.query("SELECT at, text FROM notes WHERE session = ? ORDER BY key", (self.id,))
        return tuple(Note(row["at"], row["text"]) for row in rows)

    def _need_lease(self) -> None:
        if self._lease is None or not self._lease.held:
            raise StoreError(f"session {self.id} is not open for writing. Resume it first.")

    def _writing(self) -> AbstractContextManager[sqlite3.Connection]:
        self._need_lease()
        return self._database.transaction()


def summaries(database: Database, session: str | None = None) -> list[SessionSummary]:
    """Every session, or the one named, newest first, also by a computer whose clock was set back in between."""
    return [_summary(database, row) for row in database.query(_SUMMARIES, (session,))]


def lease_name(database: Database, session: str) -> str:
    """Of the right to write a session."""
    return f"{database.path.name}-{session}"


def now() -> str:
    """UTC, ISO 8601."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def _summary(database: Database, row: sqlite3.Row) -> SessionSummary:
    state: State = "finished" if row["ended"] else "interrupted"
    if held(database.locks, lease_name(database, row["id"])):
        state = "running"
    return SessionSummary(state=state, **dict(row))
