"""Access to one SQLite file.

It is opened with care and written in whole transactions, and its errors are put into words for the user.
"""

from __future__ import annotations

import errno
import logging
import os
import shutil
import sqlite3
import struct
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

from edgeleuk import __version__
from edgeleuk.errors import DamagedError, DiskFullError, EdgeleukError, StoreError, UsageError
from edgeleuk.sessions.leases import Lease, held
from edgeleuk.sessions.migrations import APPLICATION_ID, MIGRATIONS, applied, migrate, pending
from edgeleuk.sessions.openings import OPENING, Key, closed, is_open, key_of, opened
from edgeleuk.system import file_io, private_files, user_paths
from edgeleuk.system.wording import command, option

RESERVE_BYTES = 50_000_000
"""Bytes kept free on the disk.

Marks, notes and the end of a session still fit when no field is taken any more, and so does the copy that
SQLite makes of what it moves from its log into the file (4 MB).
"""
BUSY_S = 5.0
"""Seconds to wait for another process's transaction.

A transaction lasts milliseconds.
"""
AGAIN_S = 0.02
"""Seconds between two looks at a file being made.

Another process is making it.
"""
VACUUM_PAGES = 256
"""Pages given back to the disk at a time.

The log then stays near a megabyte if little is free.
"""
CACHE_KIB = 512
"""Page cache of a writer, KiB."""
_MAGIC = b"SQLite format 3\0"
_APPLICATION_ID_AT = 68
"""Byte of the application id in the header.

Big-endian 32 bits: https://www.sqlite.org/fileformat.html#the_database_header
"""


class Database:
    """Open file of sessions.

    Use from one thread. A file on a read-only disk is read and not written. SQLite writes ahead into a log
    (WAL) and syncs it to the disk at the end of each transaction, so that what was committed survives a power
    cut; a reader never waits for a writer.
    """

    def __init__(self, path: Path, *, create: bool, reserve_bytes: int) -> None:
        """Open a file, or make it.

        Args:
            path: The file.
            create: Whether to make it if it is absent.
            reserve_bytes: Bytes to keep free on its disk.

        Raises:
            UsageError: If the file is absent and not to be made.
            StoreError: If it cannot be used; it is then not altered.
        """
        self.path = path
        self.damaged = False
        """Whether damage makes the file read-only."""
        with self._translated():
            self.path = _resolved(path)  # a link and its target are one store, with the same locks
            absent = self._is_absent()
        self.reserve_bytes = reserve_bytes
        if absent and not create:
            raise UsageError(
                f"there is no file of sessions at {self.path}. Check {option('store')}, or count with `{command('live')}`."
            )
        with self._translated(), OPENING:
            if not absent:
                file_io.require_regular(self.path)
            self._refuse_foreign()
            self.writable = self._is_writable()
            self._make_private()
            self._connection = self._opened()
            self._key: Key | None = opened(self.path)
            self._log: Key | None = None

    @property
    def locks(self) -> Path:
        """Folder of the leases."""
        return self.path.parent / "locks"

    def query(self, sql: str, parameters: Sequence[Any] = ()) -> list[sqlite3.Row]:
        """Return all rows of a query.

        Raises:
            DamagedError: If a part of the file that it needs is damaged.
        """
        with self._translated():
            return self._connection.execute(sql, parameters).fetchall()

    def query_while_possible(self, sql: str, parameters: Sequence[Any] = ()) -> list[sqlite3.Row]:
        """Return a query's rows before any damage.

        The rows up to the first one that a damaged part of the file does not give.
        """
        found: list[sqlite3.Row] = []
        with suppress(DamagedError), self._translated():
            found.extend(self._connection.execute(sql, parameters))
        return found

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """Run a block as one transaction.

        All of it is on the disk when the block is left, or nothing if an error leaves it.
        """
        self.require_writable()
        self._require_place(written=False)
        with self._translated():
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield self._connection
                self._connection.execute("COMMIT")
                self._require_place(written=True)
            except BaseException:
                if self._connection.in_transaction:  # after some errors SQLite has rolled back by itself
                    self._connection.execute("ROLLBACK")
                raise

    def require_writable(self) -> None:
        """Check that the file can be written.

        Raises:
            StoreError: If it can only be read.
        """
        if self.damaged:
            raise DamagedError(
                f"{self.path} is damaged, and can only be read. Export what you need, and give another {option('store')}."
            )
        if not self.writable:
            raise StoreError(
                f"{self.path} is on a read-only disk or protected. Give another {option('store')}."
            )

    def require_space(self) -> None:
        """Check that the disk has enough space.

        Raises:
            DiskFullError: If less than the reserve is free.
            StoreError: If the file is gone.
        """
        self._require_place(written=False)
        free = self._free_bytes()
        if free < self.reserve_bytes:
            raise DiskFullError(
                f"the disk of {self.path} has {free / 1e6:.0f} MB left, and {self.reserve_bytes / 1e6:.0f} MB are kept"
                f" free. Free some space, as with `{command('sessions delete')}`, and go on."
            )

    def give_back(self) -> None:
        """Return unused space to the disk.

        The space of what was deleted, in steps that need little of it.
        """
        with self._translated():
            self._checkpoint()
            left = self._free_pages()
            while left:
                # As a script: `execute` would stop at the first page, whose row has no columns.
                self._connection.executescript(f"PRAGMA incremental_vacuum({VACUUM_PAGES})")
                self._checkpoint()
                before, left = left, self._free_pages()
                if (
                    left >= before
                ):  # a file that another tool wrote anew cannot shrink; its pages are used again
                    break

    def _free_pages(self) -> int:
        return int(self._connection.execute("PRAGMA freelist_count").fetchone()[0])

    def _checkpoint(self) -> None:
        self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()

    def sync_folder(self) -> None:
        """Make the names of the file and its log durable.

        SQLite syncs their content.
        """
        with self._translated():
            descriptor = os.open(self.path.parent, os.O_RDONLY)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)

    def close(self) -> None:
        """Close the file. Safe to call twice."""
        with self._translated():
            self._connection.close()
        if self._key:
            closed(self._key)
            self._key = None

    def _is_absent(self) -> bool:
        return not self.path.exists()

    def _is_writable(self) -> bool:
        if self._is_absent():
            private_files.make_folder(self.path.parent)
            return True  # whether it can be made shows when it is
        return os.access(self.path, os.W_OK) and os.access(self.path.parent, os.W_OK | os.X_OK)

    def _make_private(self) -> None:
        """Make the file, its log and its folder private.

        They are this user's alone; if that cannot be, a warning is given once.
        """
        if self.path.parent == user_paths.programs("data") and private_files.is_open_to_others(
            self.path.parent, private_files.FOLDER
        ):
            _tell_open(self.path.parent)
        if self.writable and self._is_absent():
            private_files.own_folder(self.locks)
            private_files.make_file(self.path)  # SQLite gives its log the permissions of the file
        for name in ("", "-wal", "-shm", "-journal"):
            path = self.path.with_name(f"{self.path.name}{name}")
            if private_files.is_open_to_others(path, private_files.FILE):
                _tell_open(path)

    def _require_place(self, *, written: bool) -> None:
        """Check that the file and its log were not replaced.

        What is written to a file that was removed is lost with it. The log is there from the first
        transaction on.

        Raises:
            StoreError: If one of them is no longer where it was opened.
        """
        log = self.path.with_name(f"{self.path.name}-wal")
        try:
            if written:
                self._log = self._log or key_of(log)
            if key_of(self.path) == self._key and (self._log is None or key_of(log) == self._log):
                return
        except OSError:
            pass  # one of them is gone
        raise StoreError(
            f"{self.path} or its log was removed or replaced while it was written: nothing more is kept. Put its folder or"
            f" its disk back, or give another {option('store')}."
        )

    def _opened(self) -> sqlite3.Connection:
        """Open a connection, read-only for a damaged file.

        A file too damaged to be written gives what can be read.
        """
        try:
            with self._translated():
                self._refuse_newer()
                return self._connect()
        except DamagedError:
            self.damaged, self.writable = True, False
            connection = self._connect()
            connection.execute(
                "SELECT COUNT(*) FROM sqlite_schema"
            ).fetchone()  # without it nothing can be found
            return connection

    def _refuse_foreign(self) -> None:
        """Refuse a file that is none of edgeleuk's.

        By its first bytes, before SQLite opens it: even reading would leave SQLite's own files beside it.
        """
        if self._is_absent() or is_open(self.path):
            return
        until, undisturbed = time.monotonic() + BUSY_S, 0
        # Another process may be making it. It is refused if it fails twice while nobody does.
        while undisturbed < 2 and time.monotonic() < until:
            if not (fault := self._fault()):
                return
            if held(self.locks, self.path.name):
                undisturbed = 0
                time.sleep(AGAIN_S)
            else:
                undisturbed += 1
        raise StoreError(f"{self.path} is {fault}. It was not changed; give another {option('store')}.")

    def _fault(self) -> str:
        """Return why a file is no file of sessions.

        Empty for a file of sessions, and for one without a byte, which SQLite takes for new: a process made
        it a moment ago, and may have been cut off.
        """
        with self.path.open("rb") as file:
            header = file.read(100)
        if not header:
            return ""
        if len(header) < 100 or not header.startswith(_MAGIC):
            return "no file of sessions, or a damaged one"
        theirs = struct.unpack_from(">I", header, _APPLICATION_ID_AT)[0]
        return "" if theirs == APPLICATION_ID else "a database of another program"

    def _refuse_newer(self) -> None:
        if self._is_absent() or not self.path.stat().st_size:
            return
        with closing(self._open("ro")) as connection:
            done = applied(connection)
            known = {migration.__name__ for migration in MIGRATIONS}
            if newer := [version for name, version in done.items() if name not in known]:
                raise StoreError(
                    f"{self.path} was written by edgeleuk {newer[-1]}, and this is {__version__}."
                    f" Update edgeleuk, or give another {option('store')}; nothing was changed."
                )
            if not self.writable and pending(connection):
                raise StoreError(
                    f"{self.path} was written by an older edgeleuk and cannot be brought up to date on a read-only"
                    f" disk. Copy it elsewhere and name the copy with {option('store')}."
                )

    def _connect(self) -> sqlite3.Connection:
        connection = self._open("rwc" if self.writable else "ro")
        try:
            connection.row_factory = sqlite3.Row
            connection.text_factory = _text
            if self.damaged:
                # Otherwise SQLite refuses a file that is shorter than its header says.
                connection.execute("PRAGMA writable_schema = ON")
            connection.execute("PRAGMA foreign_keys = ON")
            if self.writable:
                connection.execute("PRAGMA synchronous = FULL")
                # Debian's SQLite overwrites all deleted data with zeros: as much again, just when the disk is full.
                connection.execute("PRAGMA secure_delete = FAST")
                # Fields are written and seldom read: SQLite's default cache of 2 MB would fill for nothing.
                connection.execute(f"PRAGMA cache_size = -{CACHE_KIB}")
                if pending(connection) or connection.execute("PRAGMA journal_mode").fetchone()[0] != "wal":
                    self._prepare(connection)
        except BaseException:
            connection.close()
            raise
        return connection

    def _prepare(self, connection: sqlite3.Connection) -> None:
        """Migrate the file and start its log.

        Under a lock of its own: SQLite does not wait if two processes turn on the log of a new file.
        """
        with Lease(
            self.locks, self.path.name, f"{self.path} is being brought up to date by {{holder}}.", BUSY_S
        ):
            connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
            migrate(connection)
            connection.execute("PRAGMA journal_mode = WAL")

    def _open(self, mode: str) -> sqlite3.Connection:
        log = self.path.with_name(f"{self.path.name}-wal")
        # Without a log SQLite would make one, also to read; on a read-only disk nobody else writes one either.
        immutable = "&immutable=1" if mode == "ro" and not self.writable and not log.exists() else ""
        uri = f"{self.path.as_uri()}?mode={mode}{immutable}"
        connection = sqlite3.connect(uri, timeout=BUSY_S, isolation_level=None, uri=True)
        connection.text_factory = _text  # damage in a text costs only its own letters
        return connection

    def _free_bytes(self) -> int:
        try:
            return shutil.disk_usage(self.path.parent).free
        except OSError as error:
            raise StoreError(
                f"cannot use {self.path.parent}: {error.strerror}. Is its disk still there?"
            ) from error

    @contextmanager
    def _translated(self) -> Iterator[None]:
        """Translate errors of SQLite and of the system.

        The only place where they become errors for the user.
        """
        try:
            yield
        except sqlite3.DatabaseError as error:
            if not hasattr(error, "sqlite_errorcode"):  # raised by Python's module: a mistake in this package
                raise
            raise self._in_words(error) from error
        except UnicodeDecodeError as error:  # of SQLite's own message, which quotes a damaged name
            raise DamagedError(
                f"{self.path} is damaged: its tables have names that are no text. Give another {option('store')} to go on."
            ) from error
        except OSError as error:
            raise StoreError(
                f"cannot use {self.path}: {error.strerror}. Check the path and its permissions, or give another {option('store')}."
            ) from error

    def _in_words(self, error: sqlite3.DatabaseError) -> EdgeleukError:
        text = f"{self.path}: {error}."
        match error.sqlite_errorcode & 0xFF:  # the rest says more than a user can act on
            case sqlite3.SQLITE_FULL:
                return self._full()
            case sqlite3.SQLITE_IOERR:
                # The log's index is written, too; its error does not tell that the disk is full.
                full = self._free_bytes() < VACUUM_PAGES * 4096
                return (
                    self._full()
                    if full
                    else StoreError(
                        f"{text} Its disk may be failing, or a limit of size or a quota is reached: copy the file elsewhere."
                    )
                )
            case sqlite3.SQLITE_READONLY | sqlite3.SQLITE_CANTOPEN | sqlite3.SQLITE_PERM:
                return StoreError(
                    f"cannot write {text} The disk may be read-only. Give another {option('store')}."
                )
            case sqlite3.SQLITE_BUSY | sqlite3.SQLITE_LOCKED:
                return StoreError(f"{text} Another program keeps it for itself: close that, and try again.")
            case sqlite3.SQLITE_CORRUPT | sqlite3.SQLITE_NOTADB:
                return DamagedError(
                    f"{text} The file is damaged. Keep a copy; `sqlite3 FILE .recover` saves what can be saved."
                    f" Give another {option('store')} to go on."
                )
            case _:
                return StoreError(f"cannot use {text} Give another {option('store')}.")

    def _full(self) -> DiskFullError:
        return DiskFullError(f"the disk of {self.path} is full. Free some space on it, and go on.")


def _resolved(path: Path) -> Path:
    """Return the file that a path names.

    Raises:
        OSError: With the reason, if the path names none.
    """
    try:
        path = path.expanduser()
    except RuntimeError as error:
        raise FileNotFoundError(errno.ENOENT, f"there is no home folder of {path.parts[0]}") from error
    try:
        return path.resolve()
    except RuntimeError as error:
        raise OSError(errno.ELOOP, "it is a link in a ring of links") from error
    except FileNotFoundError as error:
        raise FileNotFoundError(error.errno, "the folder that this program was started in is gone") from error


def _text(content: bytes) -> str:
    """Decode a text of the file, even if damaged."""
    return content.decode("utf-8", "backslashreplace")


def _tell_open(path: Path) -> None:
    logging.getLogger(__name__).warning(
        "warning: others may read %s, and this user cannot change that: `chmod go= FILE`, by its owner, does.",
        path,
    )
