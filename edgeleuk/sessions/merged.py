"""Database of the sessions of many machines.

It is a set: of each session the latest states, and the entries of the logs of control slides. A merge adds to
the set and drops what a later state contains, so that the order of merges does not matter, nor does merging
twice. What a document holds beside the parts named here is not known here.
"""

from __future__ import annotations

import hashlib
import sqlite3
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Literal, Self

from edgeleuk.errors import StoreError, UsageError
from edgeleuk.system import file_io, private_files
from edgeleuk.system.wording import command

APPLICATION_ID = 0x65644C4D
"""In SQLite's header: "edLM" in ASCII."""
SCHEMA_VERSION = 1
Outcome = Literal["new", "later", "older", "same", "diverged"]
"""What a merged state was to the database.

Later: it replaced a state. Older: a later one is there. Diverged: neither has all of the other, both are kept.
"""
_SCHEMA = (
    f"PRAGMA application_id = {APPLICATION_ID}",
    f"PRAGMA user_version = {SCHEMA_VERSION}",
    "CREATE TABLE states (uuid TEXT NOT NULL, hash TEXT NOT NULL, ended TEXT NOT NULL, program TEXT NOT NULL,"
    " history BLOB NOT NULL, document BLOB NOT NULL, PRIMARY KEY (uuid, hash)) STRICT, WITHOUT ROWID",
    "CREATE TABLE controls (store TEXT NOT NULL, number INTEGER NOT NULL, hash TEXT NOT NULL, document BLOB NOT NULL,"
    " PRIMARY KEY (store, number, hash)) STRICT, WITHOUT ROWID",
)


@dataclass(frozen=True, slots=True)
class SessionState:
    """State of one session, as one machine exported it."""

    uuid: str
    ended: str
    """Time of its end, ISO 8601; empty while there is none."""
    program: str
    """Version of the edgeleuk that exported it."""
    history: frozenset[str]
    """Fingerprints of what had happened, see `history`."""
    document: bytes
    """All that is known of it, encoded by the caller."""

    @property
    def hash(self) -> str:
        """SHA-256 of the document."""
        return hashlib.sha256(self.document).hexdigest()


def contains(later: SessionState, earlier: SessionState) -> bool:
    """Return whether a state makes another one of the same session needless.

    It does if it has all that had happened and more; of two with the same history, the one that ended later,
    then the one that a later program exported, then the greater hash. This is a partial order, which is why
    the set of latest states does not depend on the order in which they arrive.
    """
    if later.history == earlier.history:
        return _rank(later) >= _rank(earlier)
    return later.history > earlier.history


def _rank(state: SessionState) -> tuple[str, tuple[int, ...], str, str]:
    return state.ended, _version(state.program), state.program, state.hash


def _version(text: str) -> tuple[int, ...]:
    """Return the numbers of a version.

    What is no number counts as 0.
    """
    return tuple(int(part) if part.isdecimal() else 0 for part in text.split("."))


class MergedSessions:
    """Open database of merged sessions. A context manager; use from one thread."""

    def __init__(self, path: Path, *, create: bool) -> None:
        """Open a database, or make it.

        Args:
            path: The file.
            create: Whether to make it if it is absent.

        Raises:
            UsageError: It is absent and not to be made.
            StoreError: It is no such database, or cannot be used; it is then not altered.
        """
        self.path = path
        if file_io.is_absent(path) and not create:
            raise UsageError(f"there is no database at {path}. `{command('merge')}` makes one of exports.")
        try:
            if file_io.is_absent(path):
                private_files.make_folder(path.parent)
                private_files.make_file(path)
            else:
                file_io.require_regular(path)
        except OSError as error:
            raise StoreError(f"cannot use {path}: {error.strerror}. Name another file.") from error
        with self._translated():
            self._connection = sqlite3.connect(path, isolation_level=None, timeout=5)
            try:
                self._prepare()
            except BaseException:
                self._connection.close()
                raise

    def add(self, states: Iterable[SessionState]) -> dict[str, Outcome]:
        """Add states of sessions in one transaction.

        Returns:
            What each was to the database, by UUID.

        Raises:
            StoreError: They cannot be written; nothing of them is then there.
        """
        with self._transaction():
            return {each.uuid: self._add(each) for each in states}

    def add_controls(self, entries: Iterable[tuple[str, int, bytes]]) -> int:
        """Add entries of control logs; return how many were new.

        The logs are those of control slides.

        `entries`: UUID of the machine's store, number in its log, and the encoded entry.

        Raises:
            StoreError: They cannot be written; nothing of them is then there.
        """
        rows = [
            (store, number, hashlib.sha256(content).hexdigest(), content)
            for store, number, content in entries
        ]
        with self._transaction():
            before = self._connection.total_changes
            self._connection.executemany("INSERT OR IGNORE INTO controls VALUES (?, ?, ?, ?)", rows)
            return self._connection.total_changes - before

    def documents(self) -> Iterator[tuple[str, str, bytes]]:
        """Yield UUID, hash and document of every state, by UUID and hash.

        Raises:
            StoreError: The file cannot be read.
        """
        with self._translated():
            for uuid, digest, document in self._connection.execute(
                "SELECT uuid, hash, document FROM states ORDER BY uuid, hash"
            ):
                yield uuid, digest, _inflated(document, self.path)

    def controls(self) -> list[tuple[str, int, bytes]]:
        """Return the entries of the logs of control slides, as added.

        Raises:
            StoreError: The file cannot be read.
        """
        with self._translated():
            query = "SELECT store, number, document FROM controls ORDER BY store, number, hash"
            return [(str(a), int(b), bytes(c)) for a, b, c in self._connection.execute(query)]

    def content_hash(self) -> str:
        """Return the SHA-256 of all that is there.

        It does not depend on the order of arrival.
        """
        digest = hashlib.sha256()
        with self._translated():
            for query in (
                "SELECT uuid, hash FROM states ORDER BY uuid, hash",
                "SELECT store, number, hash FROM controls ORDER BY store, number, hash",
            ):
                for row in self._connection.execute(query):
                    digest.update(repr(tuple(row)).encode())
        return digest.hexdigest()

    def close(self) -> None:
        """Close the file. Safe to call twice."""
        self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _add(self, new: SessionState) -> Outcome:
        there = self._states(new.uuid)
        if any(each.hash == new.hash for each in there):
            return "same"
        if any(contains(each, new) for each in there):
            return "older"
        replaced = [each for each in there if contains(new, each)]
        for each in replaced:
            self._connection.execute("DELETE FROM states WHERE uuid = ? AND hash = ?", (each.uuid, each.hash))
        history = bytes.fromhex("".join(sorted(new.history)))
        self._connection.execute(
            "INSERT INTO states VALUES (?, ?, ?, ?, ?, ?)",
            (new.uuid, new.hash, new.ended, new.program, history, zlib.compress(new.document, 6)),
        )
        if len(replaced) < len(there):
            return "diverged"
        return "later" if there else "new"

    def _states(self, uuid: str) -> list[SessionState]:
        found = self._connection.execute(
            "SELECT uuid, ended, program, history, document FROM states WHERE uuid = ? ORDER BY hash", (uuid,)
        ).fetchall()
        return [
            SessionState(uuid, ended, program, _history(history), _inflated(document, self.path))
            for uuid, ended, program, history, document in found
        ]

    def _prepare(self) -> None:
        connection = self._connection
        theirs = connection.execute("PRAGMA application_id").fetchone()[0]
        tables = connection.execute("SELECT COUNT(*) FROM sqlite_schema").fetchone()[0]
        if theirs != APPLICATION_ID and (theirs or tables):
            raise StoreError(
                f"{self.path} is no database of merged sessions. It was not changed; name another file."
            )
        version = connection.execute("PRAGMA user_version").fetchone()[0]
        if version > SCHEMA_VERSION:
            raise StoreError(f"{self.path} was written by a newer edgeleuk. Update edgeleuk.")
        if not version:
            with self._transaction():
                for statement in _SCHEMA:
                    connection.execute(statement)

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        with self._translated():
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._connection.execute("COMMIT")
            except BaseException:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                raise

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.DatabaseError as error:
            if not hasattr(error, "sqlite_errorcode"):  # raised by Python's module: a mistake in this module
                raise
            if error.sqlite_errorcode == sqlite3.SQLITE_NOTADB:
                raise StoreError(
                    f"{self.path} is no database of merged sessions, which `{command('merge')}` makes of exports. It was not"
                    " changed; name another file."
                ) from error
            raise StoreError(
                f"cannot use {self.path}: {error}. Free some space or name another file, and merge again: what was"
                " merged before is there, and the exports have the rest."
            ) from error


def _history(packed: bytes) -> frozenset[str]:
    text = packed.hex()
    return frozenset(text[at : at + 16] for at in range(0, len(text), 16))


def _inflated(document: bytes, path: Path) -> bytes:
    try:
        return zlib.decompress(document)
    except zlib.error as error:
        raise StoreError(
            f"{path} is damaged. Merge the exports into a new file: they have all of it."
        ) from error
