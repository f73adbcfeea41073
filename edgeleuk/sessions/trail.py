"""Append-only trail of a session's review.

Entries are numbered from 1 and only added. Each has a hash over the hash of the entry before and its own
content, so that an entry that was changed, removed or inserted by another program is noticed. Who can write
the file can also compute all hashes anew: the chain shows faults and careless changes, and is no proof
against the owner of the file.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, Literal, get_args

from edgeleuk._text import readable
from edgeleuk.errors import DamagedError, StoreError
from edgeleuk.sessions.damage import Losses, note_loss, rows
from edgeleuk.sessions.database import Database
from edgeleuk.sessions.leases import held
from edgeleuk.sessions.session import lease_name, now
from edgeleuk.system import file_io
from edgeleuk.system.addresses import without_secrets
from edgeleuk.types import Box

Action = Literal["reclassify", "looked_at", "add", "note", "undo", "sign", "amend"]
"""Action of a reviewer.

Reclassify: another label for a cell. Looked_at: cells that were on the screen. Add: a cell that the program
missed. Note: a remark. Undo: takes back a group of entries. Sign: freezes the revision. Amend: opens the next
one.
"""
_SELECT = "SELECT * FROM trail {} WHERE session = ? AND number > ? ORDER BY number"
_DETAILS = ("cells", "undoes", "field", "box", "signed")
"""Parts of an entry that few entries have.

They are kept together as one JSON object, without those that an entry does not have.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class NewEntry:
    """Entry of a trail before it is kept."""

    who: str
    action: Action
    revision: int
    """Number of the revision that it belongs to, from 1."""
    cell: int | None = None
    """Cell on the map; negative for one added by hand; None for none."""
    before: str | None = None
    """Label before; None if the cell was not read."""
    after: str | None = None
    """Label after; None to go back to the label before the review."""
    why: str = ""
    """Reason, or the text of a note."""
    cells: tuple[int, ...] = ()
    """Cells that were looked at."""
    undoes: int | None = None
    """Group that is undone."""
    field: int | None = None
    """Number of the field of a cell added by hand."""
    box: Box | None = None
    """Box of a cell added by hand, pixels of the file."""
    signed: str = ""
    """What was signed, as JSON."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry(NewEntry):
    """Entry of a trail as kept."""

    number: int
    """Number in the trail, from 1."""
    at: str
    """Time, UTC, ISO 8601."""
    group: int
    """Number of the first entry that was made with it.

    Entries of a group are undone together.
    """
    hash: str = ""
    """SHA-256 over the hash of the entry before and this entry."""


_CONTENT = tuple(item.name for item in fields(Entry))

Build = Callable[[tuple[Entry, ...]], Sequence[NewEntry]]
"""Makes new entries of those that are there."""


class Trail:
    """Trail of one session."""

    def __init__(self, database: Database, session: str) -> None:
        self._database, self._session = database, session
        self._known: tuple[Entry, ...] = ()

    def entries(self, lost: Losses | None = None) -> tuple[Entry, ...]:
        """Return all entries, in order.

        Raises:
            DamagedError: If a part cannot be read and `lost` is None.
        """
        last = self._known[-1].number if self._known else 0
        ways = [_SELECT.format(way) for way in ("", "NOT INDEXED")]
        found = rows(
            self._database, ways, (self._session, last), f"the review of session {self._session}", lost
        )
        new = []
        for row in found:
            try:
                new.append(_entry(row))
            except (ValueError, TypeError, LookupError) as error:
                text = f"entry {row['number']} of the review of session {self._session} is damaged."
                if lost is None:
                    raise DamagedError(text) from error
                note_loss(lost, text)
        self._known = (*self._known, *new)
        return self._known

    def append(self, build: Build) -> tuple[Entry, ...]:
        """Add entries, which are on the disk when this returns.

        Another process that adds some waits meanwhile: `build` is given all that are there.

        Args:
            build: Makes the entries; what it raises leaves the trail as it was. They are one group.

        Returns:
            All entries, with the new ones.

        Raises:
            StoreError: If the session is being counted, or the entries cannot be written.
        """
        before = self._known
        try:
            with self._database.transaction() as connection:
                if held(self._database.locks, lease_name(self._database, self._session)):
                    raise StoreError(
                        f"session {self._session} is being counted, or somebody describes it. Finish that first, and"
                        " review it then."
                    )
                there = self.entries()
                new = _numbered(build(there), there)
                for entry in new:
                    _insert(connection, self._session, entry)
        except BaseException:
            self._known = before
            raise
        self._known = (*there, *new)
        return self._known


def faults(entries: Sequence[Entry]) -> tuple[str, ...]:
    """Return what is wrong with the chain of a trail.

    A sentence for the first entry that does not follow from those before; empty for a sound trail.
    """
    before = ""
    for number, entry in enumerate(entries, start=1):
        if entry.number != number:
            return (f"entry {number} of the review is missing: the file was changed by another program.",)
        if entry.hash != digest(before, entry):
            return (
                f"entry {number} of the review, or one before it, was changed after it was made: do not trust the review.",
            )
        before = entry.hash
    return ()


def digest(before: str, entry: Entry) -> str:
    """Return an entry's hash, SHA-256.

    `before`: hash of the entry before; empty for the first.
    """
    content = {name: getattr(entry, name) for name in _CONTENT} | {"hash": before}
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode("ascii")).hexdigest()


def append_as_made(connection: sqlite3.Connection, session: str, entries: Sequence[Entry]) -> None:
    """Add entries of another file as they were made there.

    Args:
        connection: Connection within a transaction.
        session: Id of the session.
        entries: Entries that follow those that are there; the caller has checked their chain.
    """
    for entry in entries:
        _insert(connection, session, entry)


def _numbered(new: Sequence[NewEntry], there: Sequence[Entry]) -> tuple[Entry, ...]:
    """Return new entries with their numbers, time and hashes."""
    before, first = (there[-1].hash, there[-1].number + 1) if there else ("", 1)
    at = now()
    made: list[Entry] = []
    for number, each in enumerate(new, start=first):
        content = {item.name: getattr(each, item.name) for item in fields(NewEntry)}
        content |= {name: _text(content[name]) for name in ("who", "why")}
        entry = Entry(**content, number=number, at=at, group=first)
        made.append(replace(entry, hash=digest(before, entry)))
        before = made[-1].hash
    return tuple(made)


def _text(text: str) -> str:
    return without_secrets(readable(text))


def _insert(connection: sqlite3.Connection, session: str, entry: Entry) -> None:
    parts = {name: value for name in _DETAILS if (value := getattr(entry, name)) not in (None, (), "")}
    row = {
        "session": session,
        **{name: getattr(entry, name) for name in ("number", "at", "who", "action", "revision")},
        "part_of": entry.group,
        **{name: getattr(entry, name) for name in ("cell", "before", "after", "why")},
        "details": json.dumps(parts) if parts else "",
        "hash": entry.hash,
    }
    connection.execute(
        f"INSERT INTO trail ({', '.join(row)}) VALUES ({', '.join('?' * len(row))})", tuple(row.values())
    )


def _entry(row: sqlite3.Row) -> Entry:
    """Read an entry.

    Raises:
        ValueError: Its details or its action are damaged; so do TypeError and LookupError.
    """
    if row["action"] not in get_args(Action):
        raise ValueError(f"unknown action {row['action']!r}")
    parts: dict[str, Any] = file_io.parse_json(row["details"]) if row["details"] else {}
    x1, y1, x2, y2 = parts.get("box") or (0.0, 0.0, 0.0, 0.0)
    names = ("number", "at", "who", "action", "revision", "cell", "before", "after", "why", "hash")
    return Entry(
        **{name: row[name] for name in names},
        group=row["part_of"],
        cells=tuple(parts.get("cells", ())),
        undoes=parts.get("undoes"),
        field=parts.get("field"),
        box=(x1, y1, x2, y2) if parts.get("box") else None,
        signed=parts.get("signed", ""),
    )
