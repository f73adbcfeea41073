"""File of all sessions, and its location."""

from __future__ import annotations

import os
import secrets
import tempfile
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from uuid import uuid4

from edgeleuk._text import readable
from edgeleuk.errors import StoreError, UsageError
from edgeleuk.sessions import control_log, damage
from edgeleuk.sessions.control_log import LoggedRecord
from edgeleuk.sessions.damage import Losses
from edgeleuk.sessions.database import RESERVE_BYTES, Database
from edgeleuk.sessions.facts import NewSession, SessionSummary
from edgeleuk.sessions.leases import Lease
from edgeleuk.sessions.operators import Operators
from edgeleuk.sessions.session import Session, lease_name, summaries
from edgeleuk.sessions.shared import SharedSession, adopt, extend_trail, shared
from edgeleuk.sessions.trail import Trail
from edgeleuk.system import private_files, user_paths
from edgeleuk.system.addresses import shown_source, without_secrets
from edgeleuk.system.wording import command, option

VARIABLE = "EDGELEUK_SESSIONS"
"""Environment variable that names the file."""
NAMED = 8
"""Number of sessions that a message lists.

If an id fits none or several.
"""
Summaries = list[SessionSummary]


def default_path() -> Path:
    """Return the default file of sessions.

    The one that EDGELEUK_SESSIONS names, else edgeleuk/sessions.db under $XDG_DATA_HOME or ~/.local/share.

    Raises:
        StoreError: For a user without home.
    """
    homeless = StoreError(
        f"this user has no home folder to keep sessions in. Name a file with {option('store')} or in {VARIABLE}."
    )
    return user_paths.users("sessions.db", "data", VARIABLE, homeless)


def open_store(path: Path | None = None, *, create: bool = True, reserve_bytes: int = RESERVE_BYTES) -> Store:
    """Open a file of sessions.

    Args:
        path: The file, by default `default_path()`.
        create: Whether to make it if it is absent.
        reserve_bytes: Fields are refused while less is free on the disk.

    Raises:
        StoreError: If the file is none of edgeleuk's, of a newer edgeleuk, or damaged: it is then not
            altered.
        UsageError: If it is absent and not to be made.
    """
    return Store(Database(path or default_path(), create=create, reserve_bytes=reserve_bytes))


def claim_source(name: str, folder: Path | None = None) -> Lease:
    """Claim the right to take pictures from a source.

    It lasts until the `with` block ends or the process dies. All counts of a user meet in `folder`, whichever
    file each of them writes: it is beside the default file or, if nothing can be written there, in the folder
    of temporary files.

    Raises:
        StoreError: If another process has it.
    """
    taken = f"{name} is in use by {{holder}}. Finish that count first, or name another {option('source')}."
    return Lease(folder or _locks_of_sources(), f"source-{name}", taken)


def _locks_of_sources() -> Path:
    with suppress(OSError, StoreError):
        folder = default_path().parent / "locks"
        private_files.make_folder(folder)
        if os.access(folder, os.W_OK | os.X_OK):
            return folder
    try:
        return Path(tempfile.gettempdir()) / f"edgeleuk-{os.getuid()}"
    except OSError as error:
        raise StoreError(
            f"there is no folder for temporary files: {error.strerror}. Name one in TMPDIR."
        ) from error


class Store:
    """File of sessions.

    A context manager, which releases its sessions at the end. Use from one thread.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._held: list[Session] = []
        self.operators = Operators(database)
        """Operators who may sign."""

    @property
    def path(self) -> Path:
        return self._database.path

    @property
    def uuid(self) -> str:
        """UUID of the file; a copy of the file has the same.

        Empty if damage has made it unreadable, or kept the file from being brought up to date.
        """
        if not self._database.query_while_possible("SELECT 1 FROM sqlite_schema WHERE name = 'store'"):
            return ""
        found = self._database.query_while_possible("SELECT uuid FROM store")
        return str(found[0]["uuid"]) if found else ""

    def start(self, new: NewSession) -> Session:
        """Start a session, held by this process.

        Raises:
            DiskFullError: If there is no room for one.
        """
        self._database.require_space()
        session = self._hold(self._new_id())
        row = {"id": session.id, **_row(new)}
        try:
            with self._database.transaction() as connection:
                connection.execute("UPDATE store SET last = last + 1")
                row["sequence"] = connection.execute("SELECT last FROM store").fetchone()[0]
                connection.execute(
                    f"INSERT INTO sessions ({', '.join(row)}) VALUES ({', '.join('?' * len(row))})",
                    tuple(row.values()),
                )
            self._database.sync_folder()
        except BaseException:
            session.release()
            raise
        return session

    def list(self, lost: Losses | None = None) -> Summaries:
        """Return every session, newest first.

        `lost` takes what a damaged file does not give.

        Raises:
            DamagedError: If a part cannot be read and `lost` is None.
        """
        return summaries(self._database, lost=lost)

    def get(self, session: str) -> Session:
        """Return a session to read.

        Also while another process writes it. The beginning of its id or UUID is enough. In a damaged file it
        is sought among those that can still be read.

        Raises:
            UsageError: If it fits no session or several; it lists what exists.
        """
        return Session(self._database, self._full_id(session))

    def resume(self, session: str) -> Session:
        """Resume a session, held by this process.

        Raises:
            StoreError: If another process holds it.
            UsageError: If it is of pictures, or its review was signed.
        """
        self.require_resumable(session)
        return self._resumed(session)

    def extend(self, session: str) -> Session:
        """Open a session of pictures for more of the same slide.

        It is held by this process.

        Raises:
            StoreError: If another process holds it.
            UsageError: If it is of a stream, or its review was signed.
        """
        summary = self.get(session).readable_summary([])
        if summary.kind != "pictures":
            raise UsageError(
                f"session {summary.id} was counted live. `{command('sessions resume')}` goes on with it."
            )
        self._require_unsigned(summary.id)
        return self._resumed(session)

    def _resumed(self, session: str) -> Session:
        resumed = self._hold(self._full_id(session))
        try:
            with self._database.transaction() as connection:
                connection.execute(
                    "UPDATE sessions SET ended = NULL, reason = NULL WHERE id = ?", (resumed.id,)
                )
        except BaseException:
            resumed.release()
            raise
        return resumed

    def require_resumable(self, session: str) -> SessionSummary:
        """Check that a session can be resumed; return its summary.

        Raises:
            UsageError: If it is of pictures, or its review was signed.
        """
        summary = self.get(session).readable_summary([])
        require_resumable(summary)
        self._require_unsigned(summary.id)
        return summary

    def _require_unsigned(self, session: str) -> None:
        """Check that a session's review was not signed.

        Raises:
            UsageError: If it was.
        """
        signed = (
            "SELECT who, at FROM trail WHERE session = ? AND action = 'sign' ORDER BY number DESC LIMIT 1"
        )
        for who, at in self._database.query(signed, (session,)):
            raise UsageError(
                f"the review of session {session} was signed by {who} on {at[:10]}: its count is closed. Begin another"
                " session of the slide."
            )

    def annotate(self, session: str) -> Session:
        """Open a session for marks and remarks.

        It is held by this process; its end stays as it was, and it takes no fields.

        Raises:
            StoreError: If another process holds it.
        """
        return self._hold(self._full_id(session), counting=False)

    def trail(self, session: str) -> Trail:
        """Return the trail of a session's review.

        It needs no lease: each entry is a transaction of its own.
        """
        return Trail(self._database, self._full_id(session))

    def share(self, session: str) -> SharedSession:
        """Return the content of a session for another machine.

        Raises:
            DamagedError: A part of it cannot be read.
        """
        return shared(self._database, self._full_id(session))

    def take(self, content: SharedSession) -> tuple[Session, int]:
        """Take a session of another machine.

        One that was counted there becomes a second opinion on it, to be reviewed here: a session with a UUID of its
        own, without the first review. A second opinion that comes back is added with its review; what this file
        has of it already is completed.

        Returns:
            The session here, and how many entries of a review were added.

        Raises:
            RecordError: A part of it is damaged.
            UsageError: Its review was changed, or went another way than the one here.
            StoreError: It cannot be written.
        """
        if not content.facts["second_of"]:
            for id, second_of in self._database.query(
                "SELECT id, second_of FROM sessions WHERE uuid = ?1 OR second_of = ?1",
                (content.facts["uuid"],),
            ):
                if not second_of:
                    raise UsageError(f"session {id} was counted with this file of sessions. Review it here.")
                return Session(self._database, id), 0
            facts = content.facts | {"uuid": str(uuid4()), "second_of": content.facts["uuid"]}
            content = replace(content, facts=facts, trail=())
        query = "SELECT id FROM sessions WHERE uuid = ?"
        for (there,) in self._database.query(query, (content.facts["uuid"],)):
            return Session(self._database, there), extend_trail(self._database, there, content.trail)
        self._database.require_space()
        session = self._new_id()
        adopt(self._database, content, session)
        self._database.sync_folder()
        return Session(self._database, session), len(content.trail)

    def delete(self, session: str) -> None:
        """Delete a session for good.

        Its space is given back to the disk.

        Raises:
            StoreError: While it is being written.
        """
        doomed = self._hold(self._full_id(session))
        try:
            with self._database.transaction() as connection:
                connection.execute("DELETE FROM sessions WHERE id = ?", (doomed.id,))
            with suppress(StoreError):  # it is deleted all the same, and the next fields use its space
                self._database.give_back()
        finally:
            doomed.release()

    def add_to_control_log(self, control: str, kind: str, record: bytes) -> None:
        """Append an entry to the log of control slides.

        Args:
            control: Name of the control slide.
            kind: Kind of the entry.
            record: Its value, see `quality_control.log.encode`.

        Raises:
            StoreError: If it cannot be written.
        """
        control_log.add(self._database, control, kind, record)

    def control_log(self, lost: Losses | None = None) -> tuple[LoggedRecord, ...]:
        """Return the log of control slides in order.

        `lost` takes what a damaged file does not give.

        Raises:
            DamagedError: If a part cannot be read and `lost` is None.
        """
        return control_log.read(self._database, lost)

    def close(self) -> None:
        """Release the sessions and the file. Safe to call twice."""
        for session in self._held:
            session.release()
        self._database.close()

    def __enter__(self) -> Store:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _hold(self, session: str, *, counting: bool = True) -> Session:
        self._database.require_writable()
        taken = f"session {session} is being written by {{holder}}. Finish it there first."
        lease = Lease(self._database.locks, lease_name(self._database, session), taken)
        self._held = [each for each in self._held if each.writable]  # a server opens thousands
        self._held.append(Session(self._database, session, lease, counting=counting))
        return self._held[-1]

    def _new_id(self) -> str:
        """Return a new id, which sorts by time.

        It is short enough to be read out; UTC, and two digits for sessions of one second.
        """
        taken = {row["id"] for row in damage.session_rows(self._database, [])}
        while True:
            made = f"{datetime.now(UTC):%Y%m%d-%H%M%S}-{secrets.token_hex(1)}"
            if made not in taken:
                return made

    def _full_id(self, beginning: str) -> str:
        rows = damage.session_rows(self._database, [])
        every = [row["id"] for row in rows]
        fitting = [each for each in every if each.startswith(beginning)]
        fitting = fitting or [row["id"] for row in rows if (row["uuid"] or "").startswith(beginning.lower())]
        if beginning in fitting or len(fitting) == 1:
            return beginning if beginning in fitting else fitting[0]
        if not every:
            raise UsageError(f"there are no sessions in {self.path} yet. `{command('live')}` begins one.")
        listed = fitting or every
        names = ", ".join(listed[:NAMED]) + (
            f" and {len(listed) - NAMED} more" if len(listed) > NAMED else ""
        )
        shows = f"`{command('sessions list')}` shows them."
        if fitting:
            raise UsageError(f"{len(fitting)} sessions begin with {beginning}: {names}. {shows}")
        raise UsageError(f"no session {beginning}. Sessions here: {names}. {shows}")


def require_resumable(summary: SessionSummary) -> None:
    """Check that a session can be resumed.

    Raises:
        UsageError: If it was counted from pictures.
    """
    if summary.kind == "pictures":
        raise UsageError(
            f"session {summary.id} was counted from pictures, which have no camera to go on with. Give all pictures of the"
            f" slide to `{command('analyze')}` at once instead."
        )


def _row(new: NewSession) -> dict[str, str | int | float | None]:
    """Return the columns of a new session."""
    started = datetime.fromisoformat(new.started)
    texts = {
        name: without_secrets(readable(getattr(new, name)))  # a path may hold bytes that are no text
        for name in ("source", "slide", "operator", "site", "device", "notes")
    }
    texts["source"] = shown_source(texts["source"])  # no password is kept on the disk
    return texts | {
        "uuid": new.uuid,
        "kind": new.kind,
        "started": started.astimezone(UTC).isoformat(timespec="milliseconds"),
        "zone": started.isoformat()[len(started.replace(tzinfo=None).isoformat()) :],
        "magnification": new.model.magnification,
        "model_version": new.model.version,
        "finder_sha256": new.model.finder_sha256,
        "reader_sha256": new.model.reader_sha256,
        "manifest_sha256": new.model.manifest_sha256,
        "profile": new.profile,
        "target": new.target,
        "um_per_px": new.um_per_px,
        "red_cells": new.red_cells,
        "version": new.program,
    }
