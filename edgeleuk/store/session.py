"""One session of `edgeleuk live` or `analyze`: each field is on the disk before anybody is told that it was counted."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from datetime import UTC, datetime

from edgeleuk._text import readable
from edgeleuk.errors import StoreError, UsageError
from edgeleuk.store import records
from edgeleuk.store.database import Database
from edgeleuk.store.facts import FACTS, Change, Note, SessionSummary, State
from edgeleuk.store.leases import Lease, held
from edgeleuk.types import CountedField, Refusal

_SUMMARIES = """
    SELECT s.*, COUNT(f.key) AS fields,
        (SELECT l.at FROM fields AS l WHERE l.session = s.id AND l.undone IS NULL ORDER BY l.key DESC LIMIT 1) AS last,
        (SELECT COUNT(DISTINCT NULLIF(w.identity, 0)) FROM fields AS g JOIN seen_white AS w ON w.field = g.key
         WHERE g.session = s.id AND g.undone IS NULL AND w.read) AS white_cells,
        (SELECT COUNT(*) FROM refusals AS r WHERE r.session = s.id) AS refused
    FROM sessions AS s LEFT JOIN fields AS f ON f.session = s.id AND f.undone IS NULL
    WHERE ?1 IS NULL OR s.id = ?1
    GROUP BY s.id ORDER BY s.rowid DESC
"""


class Session:
    """One session: what `Store.start` and `Store.resume` give can be written, what `Store.get` gives can be read.

    What `Store.annotate` gives takes marks and remarks, and no fields.
    """

    def __init__(
        self, database: Database, session: str, lease: Lease | None = None, *, counting: bool = True
    ) -> None:
        self.id = session
        self._database, self._lease, self._counting = database, lease, counting

    @property
    def summary(self) -> SessionSummary:
        """As of now, from the disk."""
        return summaries(self._database, self.id)[0]

    def add(self, counted: CountedField) -> None:
        """Keep a counted field. It survives a power cut from the moment this returns.

        Raises DiskFullError before the disk is full and StoreError where it cannot be written. Nothing of the field is
        kept then, and the session goes on when the cause is gone.
        """
        self._need_lease(counting=True)
        self._database.require_space()
        with self._database.transaction() as connection:
            records.insert(connection, self.id, counted)

    def refuse(self, *refusals: Refusal) -> None:
        """Keep that pictures were not counted, and why. Raises as `add`."""
        self._need_lease(counting=True)
        self._database.require_space()
        with self._database.transaction() as connection:
            records.insert_refusals(connection, self.id, refusals, now())

    def undo(self) -> None:
        """Take back the last field, and the marks on white cells that it was the first to show.

        Both stay in the file with the time at which they were taken back, since a record that can lose what was once
        counted is no record; nothing else ever sees them. UsageError where there is no field.
        """
        with self._writing(counting=True) as connection:
            last = "SELECT MAX(key) FROM fields WHERE session = ? AND undone IS NULL"
            key = connection.execute(last, (self.id,)).fetchone()[0]
            if key is None:
                raise UsageError(f"session {self.id} has no field to take back.")
            connection.execute("UPDATE fields SET undone = ? WHERE key = ?", (now(), key))
            connection.execute(
                "UPDATE marks SET undone = ? WHERE session = ? AND undone IS NULL"
                " AND identity IN (SELECT identity FROM seen_white WHERE field = ? AND fresh)",
                (now(), self.id, key),
            )

    def mark(self, identity: int, label: str) -> None:
        """Overrule what the reader says of a cell on the map. The last mark of a cell holds; all are kept."""
        with self._writing() as connection:
            connection.execute(
                "INSERT INTO marks (session, identity, label, at) VALUES (?, ?, ?, ?)",
                (self.id, int(identity), label, now()),
            )

    def unmark(self, identity: int) -> None:
        """Take the last mark of a cell back: the one before holds again, or the reader. UsageError where it has none."""
        with self._writing() as connection:
            last = "SELECT MAX(key) FROM marks WHERE session = ? AND identity = ? AND undone IS NULL"
            key = connection.execute(last, (self.id, int(identity))).fetchone()[0]
            if key is None:
                raise UsageError(f"cell {identity} of session {self.id} has no mark to take back.")
            connection.execute("UPDATE marks SET undone = ? WHERE key = ?", (now(), key))

    def note(self, text: str) -> None:
        """Keep a remark."""
        with self._writing() as connection:
            connection.execute(
                "INSERT INTO notes (session, at, text) VALUES (?, ?, ?)", (self.id, now(), readable(text))
            )

    def describe(self, facts: Mapping[str, str]) -> tuple[Change, ...]:
        """Set some of FACTS to other texts; gives what changed. A note with the time keeps each change.

        All in one transaction. What is so already is no change.
        """
        before = self.summary
        texts = {name: readable(text) for name, text in facts.items()}
        changes = tuple(
            Change(name, was, texts[name])
            for name in FACTS
            if name in texts and texts[name] != (was := getattr(before, name))
        )
        with self._writing() as connection:
            for change in changes:
                # The name is one of FACTS and no text of the user's.
                connection.execute(
                    f"UPDATE sessions SET {change.name} = ? WHERE id = ?", (change.after, self.id)
                )
                connection.execute(
                    "INSERT INTO notes (session, at, text) VALUES (?, ?, ?)", (self.id, now(), str(change))
                )
        return changes

    def finish(self, reason: str, at: str | None = None) -> None:
        """End the session, `at` a time with its zone or now, and let go of it; `Store.resume` takes it up again."""
        ended = _utc(at) if at else now()
        with self._writing(counting=True) as connection:
            connection.execute(
                "UPDATE sessions SET ended = ?, reason = ? WHERE id = ?", (ended, reason, self.id)
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
            "SELECT f.number FROM fields AS f JOIN old_fields AS o ON o.key = f.key"
            " WHERE f.session = ? AND f.undone IS NULL AND f.record IS NULL AND o.assessment IS NULL",
            (self.id,),
        )
        return frozenset(row["number"] for row in rows)

    def refused(self) -> tuple[Refusal, ...]:
        """The pictures that were not counted, in order."""
        return tuple(records.refusals(self._database.query, self.id))

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

    def _need_lease(self, *, counting: bool = False) -> None:
        if self._lease is None or not self._lease.held:
            raise StoreError(f"session {self.id} is not open for writing. Resume it first.")
        if counting and not self._counting:
            raise StoreError(f"session {self.id} is open for marks and remarks only. Resume it to count on.")

    def _writing(self, *, counting: bool = False) -> AbstractContextManager[sqlite3.Connection]:
        self._need_lease(counting=counting)
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


def _utc(time: str) -> str:
    return datetime.fromisoformat(time).astimezone(UTC).isoformat(timespec="milliseconds")


def _summary(database: Database, row: sqlite3.Row) -> SessionSummary:
    state: State = "finished" if row["ended"] else "interrupted"
    if held(database.locks, lease_name(database, row["id"])):
        state = "running"
    return SessionSummary(state=state, **dict(row))
