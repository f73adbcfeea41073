"""Log of control slides in the file of sessions.

Entries are added and never changed; triggers of the file see to that. What an entry holds is not known here:
`quality_control.log` encodes and decodes it.
"""

from __future__ import annotations

from dataclasses import dataclass

from edgeleuk.sessions.damage import Losses, rows
from edgeleuk.sessions.database import Database
from edgeleuk.sessions.session import now


@dataclass(frozen=True, slots=True)
class LoggedRecord:
    """One entry of the log as it is stored."""

    number: int
    """Number in the log, from 1."""
    at: str
    """Time, UTC, ISO 8601."""
    control: str
    kind: str
    record: bytes


def add(database: Database, control: str, kind: str, record: bytes) -> None:
    """Append an entry to the log.

    It survives a power cut from the moment this returns.

    Args:
        database: The file.
        control: Name of the control slide.
        kind: Kind of the entry.
        record: Its encoded value.

    Raises:
        StoreError: If it cannot be written.
    """
    with database.transaction() as connection:
        connection.execute(
            "INSERT INTO quality_control (at, control, kind, record) VALUES (?, ?, ?, ?)",
            (now(), control, kind, record),
        )


def read(database: Database, lost: Losses | None = None) -> tuple[LoggedRecord, ...]:
    """Return the whole log in order.

    Args:
        database: The file.
        lost: Collects what a damaged file does not give; None to raise.

    Raises:
        DamagedError: If a part cannot be read and `lost` is None.
    """
    statement = "SELECT key, at, control, kind, record FROM quality_control ORDER BY key"
    if not database.query("SELECT 1 FROM sqlite_schema WHERE name = 'quality_control'"):
        return ()  # a damaged file of an older edgeleuk, which cannot be brought up to date
    found = rows(database, [statement], (), "the log of control slides", lost)
    return tuple(LoggedRecord(*row) for row in found)
