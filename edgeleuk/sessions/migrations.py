"""Migrations of the file of sessions, in order.

Each function runs once. A migration that was released is never edited, since files exist that it wrote: a
change is a further function at the end of MIGRATIONS. A counted field is one record of `codec`, which has
versions of its own, so that a part added to it later needs no migration.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from uuid import uuid4

from edgeleuk import __version__
from edgeleuk.system.addresses import shown_source

Migration = Callable[[sqlite3.Connection], None]

APPLICATION_ID = 0x65644C6B
"""Application id of a file of sessions.

In SQLite's header: "edLk" in ASCII.
"""


def m001_sessions(connection: sqlite3.Connection) -> None:
    """Create sessions, marks, notes, fields and cells.

    White cells are kept one by one, all other cells by kind.
    """
    for statement in (
        f"PRAGMA application_id = {APPLICATION_ID}",
        """
        CREATE TABLE sessions (
            id TEXT PRIMARY KEY, started TEXT NOT NULL, ended TEXT, reason TEXT,
            magnification TEXT NOT NULL, source TEXT NOT NULL, model_version TEXT NOT NULL, target INTEGER NOT NULL,
            um_per_px REAL, operator TEXT NOT NULL, slide TEXT NOT NULL, notes TEXT NOT NULL, version TEXT NOT NULL
        ) STRICT
        """,
        """
        CREATE TABLE fields (
            key INTEGER PRIMARY KEY, session TEXT NOT NULL REFERENCES sessions (id) ON DELETE CASCADE,
            number INTEGER NOT NULL, at TEXT NOT NULL, seconds REAL NOT NULL, undone TEXT,
            name TEXT NOT NULL, width INTEGER NOT NULL, height INTEGER NOT NULL, sharpness REAL NOT NULL,
            scale TEXT NOT NULL, placement TEXT NOT NULL, stages TEXT NOT NULL, warnings TEXT NOT NULL,
            not_counted TEXT NOT NULL, thumbnail BLOB NOT NULL
        ) STRICT
        """,
        # The number of a field that was taken back is given again.
        "CREATE UNIQUE INDEX fields_in_order ON fields (session, number) WHERE undone IS NULL",
        "CREATE INDEX fields_of_session ON fields (session)",
        # The crop stands last: what comes before it is read without it.
        """
        CREATE TABLE white_cells (
            field INTEGER NOT NULL REFERENCES fields (key) ON DELETE CASCADE, position INTEGER NOT NULL,
            identity INTEGER NOT NULL, fresh INTEGER NOT NULL, kind TEXT NOT NULL,
            x1 REAL NOT NULL, y1 REAL NOT NULL, x2 REAL NOT NULL, y2 REAL NOT NULL,
            score REAL NOT NULL, whole INTEGER NOT NULL, label TEXT, probability REAL, probabilities TEXT,
            attributes TEXT, morphometry TEXT, crop BLOB, PRIMARY KEY (field, position)
        ) STRICT
        """,
        """
        CREATE TABLE other_cells (
            field INTEGER NOT NULL REFERENCES fields (key) ON DELETE CASCADE, kind TEXT NOT NULL,
            count INTEGER NOT NULL, cells BLOB NOT NULL, PRIMARY KEY (field, kind)
        ) STRICT
        """,
        """
        CREATE TABLE marks (
            key INTEGER PRIMARY KEY, session TEXT NOT NULL REFERENCES sessions (id) ON DELETE CASCADE,
            identity INTEGER NOT NULL, label TEXT NOT NULL, at TEXT NOT NULL, undone TEXT
        ) STRICT
        """,
        "CREATE INDEX marks_of_session ON marks (session)",
        """
        CREATE TABLE notes (
            key INTEGER PRIMARY KEY, session TEXT NOT NULL REFERENCES sessions (id) ON DELETE CASCADE,
            at TEXT NOT NULL, text TEXT NOT NULL
        ) STRICT
        """,
        "CREATE INDEX notes_of_session ON notes (session)",
    ):
        connection.execute(statement)


def m002_quality(connection: sqlite3.Connection) -> None:
    """Add quality, field of view and profile of fields.

    The quality of a field, the part of it that showed the slide, and the profile that corrected it. Of fields
    from before none of it is known: NULL in `assessment`.
    """
    for column in ("assessment", "aperture", "profile"):
        connection.execute(f"ALTER TABLE fields ADD COLUMN {column} TEXT")


def m003_records(connection: sqlite3.Connection) -> None:
    """Keep counted fields as records of the codec.

    Also adds who and what of a session, its UUID and its refusals. The cells of fields from before stay where
    they are, in `old_fields` and what refers to it, and `old_records` reads them: moving them would take as
    much of the disk again, which may be full, and minutes on a Raspberry Pi, whose service would be restarted
    in the middle of it, again and again. NULL in `record` says that a field is such.
    """
    for statement in (
        "DROP INDEX fields_in_order",
        "ALTER TABLE fields RENAME TO old_fields",  # and what refers to it refers to old_fields
        """
        CREATE TABLE fields (
            key INTEGER PRIMARY KEY, session TEXT NOT NULL REFERENCES sessions (id) ON DELETE CASCADE,
            number INTEGER NOT NULL, at TEXT NOT NULL, undone TEXT, record BLOB
        ) STRICT
        """,
        "INSERT INTO fields (key, session, number, at, undone) SELECT key, session, number, at, undone FROM old_fields",
        "CREATE UNIQUE INDEX records_in_order ON fields (session, number) WHERE undone IS NULL",
        "CREATE INDEX records_of_session ON fields (session)",
        # What a list of sessions and an undo need, without a look into the records.
        """
        CREATE TABLE seen_white (
            field INTEGER NOT NULL REFERENCES fields (key) ON DELETE CASCADE, identity INTEGER NOT NULL,
            fresh INTEGER NOT NULL, read INTEGER NOT NULL, PRIMARY KEY (field, identity)
        ) STRICT, WITHOUT ROWID
        """,
        "INSERT INTO seen_white SELECT field, identity, MAX(fresh), MAX(label IS NOT NULL) FROM white_cells"
        " GROUP BY field, identity",
        """
        CREATE TABLE refusals (
            key INTEGER PRIMARY KEY, session TEXT NOT NULL REFERENCES sessions (id) ON DELETE CASCADE,
            at TEXT NOT NULL, record BLOB NOT NULL
        ) STRICT
        """,
        "CREATE INDEX refusals_of_session ON refusals (session)",
        "ALTER TABLE sessions ADD COLUMN uuid TEXT",
        "ALTER TABLE sessions ADD COLUMN kind TEXT NOT NULL DEFAULT 'live'",
        "ALTER TABLE sessions ADD COLUMN profile TEXT",
        "ALTER TABLE sessions ADD COLUMN red_cells REAL",
        *(
            f"ALTER TABLE sessions ADD COLUMN {name} TEXT NOT NULL DEFAULT ''"
            for name in ("site", "device", "zone", "finder_sha256", "reader_sha256", "manifest_sha256")
        ),
    ):
        connection.execute(statement)
    for (session,) in connection.execute("SELECT id FROM sessions").fetchall():
        connection.execute("UPDATE sessions SET uuid = ? WHERE id = ?", (str(uuid4()), session))
    connection.execute("CREATE UNIQUE INDEX sessions_by_uuid ON sessions (uuid)")


def m004_no_passwords(connection: sqlite3.Connection) -> None:
    """Remove passwords from the sources of sessions.

    They were in the addresses. SQLite overwrites what a row held before (secure_delete, see `Database`), and
    the log is emptied.
    """
    for session, source in connection.execute("SELECT id, source FROM sessions").fetchall():
        if (shown := shown_source(source)) != source:
            connection.execute("UPDATE sessions SET source = ? WHERE id = ?", (shown, session))


def m005_review(connection: sqlite3.Connection) -> None:
    """Add trails of reviews, which only grow, and operators.

    The triggers hold for every program that opens the file. A trail goes only with its session: the session's
    row is gone by then. A number that is not the next one is refused, since INSERT OR REPLACE removes a row
    without asking the trigger of a removal.
    """
    for statement in (
        """
        CREATE TABLE trail (
            session TEXT NOT NULL REFERENCES sessions (id) ON DELETE CASCADE, number INTEGER NOT NULL,
            at TEXT NOT NULL, who TEXT NOT NULL, action TEXT NOT NULL, revision INTEGER NOT NULL,
            part_of INTEGER NOT NULL, cell INTEGER, before TEXT, after TEXT, why TEXT NOT NULL, details TEXT NOT NULL,
            hash TEXT NOT NULL, PRIMARY KEY (session, number)
        ) STRICT, WITHOUT ROWID
        """,
        """
        CREATE TRIGGER trail_is_not_changed BEFORE UPDATE ON trail
        BEGIN SELECT RAISE(ABORT, 'an entry of a trail is not changed'); END
        """,
        """
        CREATE TRIGGER trail_is_not_shortened BEFORE DELETE ON trail
        WHEN EXISTS (SELECT 1 FROM sessions WHERE id = OLD.session)
        BEGIN SELECT RAISE(ABORT, 'an entry of a trail is not removed'); END
        """,
        """
        CREATE TRIGGER trail_grows_at_its_end BEFORE INSERT ON trail
        WHEN NEW.number <> (SELECT COALESCE(MAX(number), 0) + 1 FROM trail WHERE session = NEW.session)
        BEGIN SELECT RAISE(ABORT, 'an entry of a trail comes after the last one'); END
        """,
        """
        CREATE TABLE operators (
            name TEXT PRIMARY KEY, added TEXT NOT NULL, disabled TEXT, salt BLOB NOT NULL, hash BLOB NOT NULL,
            cost INTEGER NOT NULL, wrong INTEGER NOT NULL DEFAULT 0, locked_until TEXT
        ) STRICT
        """,
    ):
        connection.execute(statement)


def m006_quality_control(connection: sqlite3.Connection) -> None:
    """Create the log of control slides.

    Triggers keep what was entered: a log that can be altered proves nothing. INSERT OR REPLACE removes a row
    without asking the trigger of a removal, so that a number that is taken is refused.
    """
    for statement in (
        """
        CREATE TABLE quality_control (
            key INTEGER PRIMARY KEY, at TEXT NOT NULL, control TEXT NOT NULL, kind TEXT NOT NULL,
            record BLOB NOT NULL
        ) STRICT
        """,
        *(
            f"CREATE TRIGGER quality_control_{name} BEFORE {action} ON quality_control"
            " BEGIN SELECT RAISE(ABORT, 'the log of control slides is only added to'); END"
            for name, action in (("kept", "DELETE"), ("unchanged", "UPDATE"))
        ),
        "CREATE TRIGGER quality_control_grows BEFORE INSERT ON quality_control"
        " WHEN EXISTS (SELECT 1 FROM quality_control WHERE key = NEW.key)"
        " BEGIN SELECT RAISE(ABORT, 'the log of control slides is only added to'); END",
    ):
        connection.execute(statement)


def m007_views(connection: sqlite3.Connection) -> None:
    """Add views: fields as people see them.

    Fields that came from a phone have one.
    """
    connection.execute(
        "CREATE TABLE views (field INTEGER PRIMARY KEY REFERENCES fields (key) ON DELETE CASCADE,"
        " picture BLOB NOT NULL) STRICT"
    )


def m008_identity(connection: sqlite3.Connection) -> None:
    """Give the file a UUID, and sessions a number in it.

    A number is not given again when its session is deleted: two sessions of one file with the same number show
    that the file was copied and both copies were counted with. Sessions without a UUID get one.
    """
    for statement in (
        "CREATE TABLE store (uuid TEXT NOT NULL, last INTEGER NOT NULL) STRICT",
        "ALTER TABLE sessions ADD COLUMN sequence INTEGER NOT NULL DEFAULT 0",
    ):
        connection.execute(statement)
    found = connection.execute("SELECT id, uuid FROM sessions ORDER BY rowid").fetchall()
    for number, (session, uuid) in enumerate(found, start=1):
        connection.execute(
            "UPDATE sessions SET sequence = ?, uuid = ? WHERE id = ?", (number, uuid or str(uuid4()), session)
        )
    connection.execute("INSERT INTO store (uuid, last) VALUES (?, ?)", (str(uuid4()), len(found)))


def m009_second_opinions(connection: sqlite3.Connection) -> None:
    """Add the session that a second opinion is on.

    It is given by UUID, and is empty for none.
    """
    connection.execute("ALTER TABLE sessions ADD COLUMN second_of TEXT NOT NULL DEFAULT ''")


MIGRATIONS: tuple[Migration, ...] = (
    m001_sessions,
    m002_quality,
    m003_records,
    m004_no_passwords,
    m005_review,
    m006_quality_control,
    m007_views,
    m008_identity,
    m009_second_opinions,
)


def applied(connection: sqlite3.Connection) -> dict[str, str]:
    """Return the migrations already run.

    In order, each with the version of edgeleuk that ran it.
    """
    if not connection.execute("SELECT 1 FROM sqlite_schema WHERE name = 'migrations'").fetchone():
        return {}
    return dict(connection.execute("SELECT name, version FROM migrations ORDER BY key").fetchall())


def pending(connection: sqlite3.Connection, migrations: Sequence[Migration] = MIGRATIONS) -> list[Migration]:
    """Return the migrations still to run."""
    done = applied(connection)
    return [migration for migration in migrations if migration.__name__ not in done]


def migrate(connection: sqlite3.Connection, migrations: Sequence[Migration] = MIGRATIONS) -> None:
    """Bring a file up to date.

    Each migration and the record that it ran are one transaction.
    """
    for migration in pending(connection, migrations):
        connection.execute("BEGIN IMMEDIATE")
        try:
            connection.execute(
                "CREATE TABLE IF NOT EXISTS migrations (key INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE,"
                " at TEXT NOT NULL, version TEXT NOT NULL) STRICT"
            )
            migration(connection)
            connection.execute(
                "INSERT INTO migrations (name, at, version) VALUES (?, ?, ?)",
                (migration.__name__, datetime.now(UTC).isoformat(timespec="seconds"), __version__),
            )
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise
