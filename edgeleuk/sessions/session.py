"""One session of `edgeleuk live` or `analyze`.

Each field is on the disk before anybody is told that it was counted.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, suppress
from datetime import UTC, datetime
from typing import Any

from edgeleuk._text import readable
from edgeleuk.errors import DamagedError, StoreError, UsageError
from edgeleuk.sessions import records
from edgeleuk.sessions.damage import (
    FIELDS,
    REFUSALS,
    Losses,
    facts,
    is_time,
    note_loss,
    rows,
    session_rows,
    summary,
)
from edgeleuk.sessions.database import Database
from edgeleuk.sessions.facts import FACTS, Change, Note, SessionSummary, State
from edgeleuk.sessions.history import history
from edgeleuk.sessions.leases import Lease, held
from edgeleuk.sessions.views import Pictures
from edgeleuk.system.addresses import without_secrets
from edgeleuk.system.wording import command
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
    """One session of a store.

    A session from `Store.start` or `Store.resume` can be written, one from `Store.get` can be read. One from
    `Store.annotate` takes marks and remarks, and no fields.
    """

    def __init__(
        self, database: Database, session: str, lease: Lease | None = None, *, counting: bool = True
    ) -> None:
        self.id = session
        self._database, self._lease, self._counting = database, lease, counting

    @property
    def summary(self) -> SessionSummary:
        """Summary as of now, from the disk.

        Raises:
            DamagedError: If a part of it cannot be read.
        """
        return self.readable_summary(None)

    @property
    def writable(self) -> bool:
        """Whether this process holds it."""
        return self._lease is not None and self._lease.held

    @property
    def pictures(self) -> Pictures:
        """Pictures of its fields."""
        return Pictures(self._database, self.id)

    @property
    def first(self) -> str:
        """Id of the session it is a second opinion on, else empty; the UUID if that session is not here."""
        second_of = self.readable_summary([]).second_of
        if not second_of:  # nor has an older file that may not be written a column of UUIDs
            return ""
        rows = self._database.query("SELECT id FROM sessions WHERE uuid = ?", (second_of,))
        return next((str(id) for (id,) in rows), second_of)

    def readable_summary(self, lost: Losses | None) -> SessionSummary:
        """Return the summary, even if damaged.

        With what a damaged file still gives; `lost` takes the rest.

        Raises:
            DamagedError: If the file gives nothing.
        """
        own: Losses | None = None if lost is None else []
        found = summaries(self._database, self.id, lost=own)
        if not found:
            raise DamagedError(
                f"session {self.id} cannot be read. {' '.join(own or ())} `{command('sessions list')}` shows which others are there."
            )
        for text in own or ():
            note_loss(lost, text)
        return found[0]

    def add(self, counted: CountedField) -> None:
        """Keep a counted field.

        It survives a power cut from the moment this returns. If this raises, nothing of the field is kept,
        and the session goes on when the cause is gone.

        Raises:
            DiskFullError: Before the disk is full.
            StoreError: If it cannot be written.
        """
        self._need_lease(counting=True)
        self._database.require_space()
        with self._database.transaction() as connection:
            records.insert(connection, self.id, counted)

    def refuse(self, *refusals: Refusal) -> None:
        """Keep that pictures were not counted, and why.

        Raises the same errors as `add`.
        """
        self._need_lease(counting=True)
        self._database.require_space()
        with self._database.transaction() as connection:
            records.insert_refusals(connection, self.id, refusals, now())

    def undo(self) -> None:
        """Take back the last field and its marks.

        The marks are those on white cells that it was the first to show. Both stay in the file with the time
        at which they were taken back, since a record that can lose what was once counted is no record;
        nothing else ever sees them.

        Raises:
            UsageError: If there is no field.
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
        """Overrule the reader's label of a cell on the map.

        The last mark of a cell holds; all are kept.
        """
        with self._writing() as connection:
            connection.execute(
                "INSERT INTO marks (session, identity, label, at) VALUES (?, ?, ?, ?)",
                (self.id, int(identity), label, now()),
            )

    def unmark(self, identity: int) -> None:
        """Take back the last mark of a cell.

        The one before holds again, or the reader.

        Raises:
            UsageError: If it has none.
        """
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
                "INSERT INTO notes (session, at, text) VALUES (?, ?, ?)",
                (self.id, now(), without_secrets(readable(text))),
            )

    def describe(self, facts: Mapping[str, str]) -> tuple[Change, ...]:
        """Set some of FACTS to other texts.

        Returns what changed; what is so already is no change. A note with the time keeps each change. All is
        one transaction.
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
        """End the session and release it.

        `at` is a time with its zone, by default now. `Store.resume` takes the session up again.
        """
        ended = _utc(at) if at else now()
        with self._writing(counting=True) as connection:
            connection.execute(
                "UPDATE sessions SET ended = ?, reason = ? WHERE id = ?", (ended, reason, self.id)
            )
        self.release()

    def release(self) -> None:
        """Release the session without an end.

        As a program that dies does. Safe to call twice.
        """
        if self._lease:
            self._lease.release()

    def counted(self, lost: Losses | None = None) -> Iterator[CountedField]:
        """Yield the counted fields in order, as they were.

        One at a time from the disk. A damaged field is left out and named in `lost`.

        Raises:
            DamagedError: If a field is damaged and `lost` is None.
        """
        for key, number in self._keys(lost):
            try:
                yield records.rebuild(self._database.query, key)
            except DamagedError:
                if lost is None:
                    raise
                note_loss(lost, f"field {number} of session {self.id} is damaged and was left out.")

    def drop_unreadable(self, kept: Iterable[CountedField], lost: Losses) -> int:
        """Take back the fields that `counted` left out.

        The session then goes on without them; a note keeps what was lost. Returns the number of the last
        field that there was, whether it can be read or not.
        """
        there = {counted.number for counted in kept}
        numbers = {key: int(number) for key, number in self._keys([])}
        for key in (key for key, number in numbers.items() if number not in there):
            with suppress(DamagedError), self._writing() as connection:
                connection.execute("UPDATE fields SET undone = ? WHERE key = ?", (now(), key))
        for text in lost:
            self.note(text)
        return max(numbers.values(), default=0)

    def _keys(self, lost: Losses | None) -> list[sqlite3.Row]:
        return rows(self._database, FIELDS, (self.id,), f"the list of the fields of session {self.id}", lost)

    def unassessed(self, lost: Losses | None = None) -> frozenset[int]:
        """Return the numbers of fields without an assessment.

        They were counted before assessments were kept: nothing is known of their quality. `lost` is as in
        `counted`.
        """
        ways = [
            f"SELECT f.number FROM old_fields AS o CROSS JOIN fields AS f {way} ON f.key = o.key"
            " WHERE f.session = ? AND f.undone IS NULL AND f.record IS NULL AND o.assessment IS NULL"
            for way in ("", "NOT INDEXED")
        ]
        found = rows(
            self._database, ways, (self.id,), f"the quality of older fields of session {self.id}", lost
        )
        return frozenset(row["number"] for row in found)

    def refused(self, lost: Losses | None = None) -> tuple[Refusal, ...]:
        """Return the refused pictures in order.

        `lost` is as in `counted`.
        """
        what = f"the refusals of session {self.id}"
        found = []
        for (key,) in rows(self._database, REFUSALS, (self.id,), what, lost):
            try:
                found.append(records.refusal(self._database.query, key))
            except DamagedError:
                if lost is None:
                    raise
                note_loss(lost, f"a refusal of session {self.id} is damaged and was left out.")
        return tuple(found)

    def marks(self, lost: Losses | None = None) -> dict[int, str]:
        """Return the operator's labels of cells.

        By their number on the map. `lost` is as in `counted`.
        """
        found = self._both_ways("SELECT identity, label FROM marks", "AND undone IS NULL", "marks", lost)
        return {row["identity"]: row["label"] for row in found}

    def notes(self, lost: Losses | None = None) -> tuple[Note, ...]:
        """Return the remarks in order.

        `lost` is as in `counted`.
        """
        found = self._both_ways("SELECT at, text FROM notes", "", "notes", lost)
        return tuple(Note(row["at"], row["text"]) for row in found if is_time(row["at"]))

    def history(self) -> frozenset[str]:
        """Return the fingerprints of what happened, see `history`.

        Raises:
            DamagedError: A part of it cannot be read.
        """
        return history(self._database, self.id)

    def _both_ways(self, select: str, only: str, what: str, lost: Losses | None) -> list[sqlite3.Row]:
        """Return rows with or without the index.

        By the index of the sessions, or without it if that fails.
        """
        ways = [f"{select} {way} WHERE session = ? {only} ORDER BY key" for way in ("", "NOT INDEXED")]
        return rows(self._database, ways, (self.id,), f"the {what} of session {self.id}", lost)

    def _need_lease(self, *, counting: bool = False) -> None:
        if self._lease is None or not self._lease.held:
            raise StoreError(f"session {self.id} is not open for writing. Resume it first.")
        if counting and not self._counting:
            raise StoreError(f"session {self.id} is open for marks and remarks only. Resume it to count on.")

    def _writing(self, *, counting: bool = False) -> AbstractContextManager[sqlite3.Connection]:
        self._need_lease(counting=counting)
        return self._database.transaction()


def summaries(
    database: Database, session: str | None = None, *, lost: Losses | None = None
) -> list[SessionSummary]:
    """Return every session, or the one named, newest first.

    Also if the computer's clock was set back in between.

    Args:
        database: The file.
        session: Id of the session; None for all.
        lost: Takes what a damaged file does not give; None to raise.

    Raises:
        DamagedError: If a part cannot be read and `lost` is None.
    """
    try:
        found = [dict(row) for row in database.query(_SUMMARIES, (session,))]
    except DamagedError:
        if lost is None:
            raise
        found = list(_one_by_one(database, session, lost))
    made = []
    for row in found:
        try:
            if lost is not None and row["last"] is not None and not is_time(row["last"]):
                note_loss(lost, f"session {row['id']}: the time of its last field is damaged.")
                row["last"] = None
            made.append(_summary(database, row))
        except DamagedError as error:
            if lost is None:
                raise
            note_loss(lost, str(error))
    return made


def _one_by_one(database: Database, session: str | None, lost: Losses) -> Iterator[dict[str, Any]]:
    for each in session_rows(database, lost):
        if session in (None, each["id"]):
            try:
                yield facts(database, each["id"], each["rowid"], lost)
            except DamagedError:
                note_loss(lost, f"session {each['id']} is damaged: what is known of it cannot be read.")


def lease_name(database: Database, session: str) -> str:
    """Return a session's lease name.

    The lease is the right to write the session.
    """
    return f"{database.path.name}-{session}"


def now() -> str:
    """Return the time now, UTC, ISO 8601."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def _utc(time: str) -> str:
    return datetime.fromisoformat(time).astimezone(UTC).isoformat(timespec="milliseconds")


def _summary(database: Database, row: dict[str, Any]) -> SessionSummary:
    state: State = "finished" if row["ended"] else "interrupted"
    if held(database.locks, lease_name(database, str(row["id"]))):
        state = "running"
    return summary(row, state)
