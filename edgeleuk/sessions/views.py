"""Pictures of counted fields: crops of their cells, thumbnails, and views."""

from __future__ import annotations

from edgeleuk.errors import UsageError
from edgeleuk.sessions import records
from edgeleuk.sessions.database import Database
from edgeleuk.types import CountedField

MOST_BYTES = 2_000_000
"""Maximum bytes of a view."""


class Pictures:
    """Pictures of one session's fields.

    A view is a field's picture in colour, for people. Only pictures that came from a phone have one: of the others the
    files are elsewhere, and a stream gives too many.
    """

    def __init__(self, database: Database, session: str) -> None:
        self._database, self._session = database, session

    def field(self, number: int) -> CountedField:
        """Return a counted field with its crops and its thumbnail.

        Raises:
            UsageError: If there is no such field.
            DamagedError: If it is damaged.
        """
        return records.rebuild(self._database.query, self._key(number))

    def view(self, number: int) -> bytes | None:
        """Return the view of a field, JPEG; None if none was kept.

        Raises:
            UsageError: If there is no such field.
        """
        found = self._database.query("SELECT picture FROM views WHERE field = ?", (self._key(number),))
        return found[0]["picture"] if found else None

    def keep_view(self, number: int, picture: bytes) -> None:
        """Keep the view of a field.

        `picture`: JPEG. One that is too large is left out.
        """
        if len(picture) > MOST_BYTES:
            return
        key = self._key(number)
        with self._database.transaction() as connection:
            connection.execute("INSERT OR REPLACE INTO views (field, picture) VALUES (?, ?)", (key, picture))

    def _key(self, number: int) -> int:
        found = self._database.query(
            "SELECT key FROM fields WHERE session = ? AND number = ? AND undone IS NULL",
            (self._session, number),
        )
        if not found:
            raise UsageError(f"session {self._session} has no field {number}.")
        key: int = found[0]["key"]
        return key
