"""Counted fields and refusals as records in the store.

Each is a record of the codec, and what a list needs of it is kept as columns.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

from edgeleuk.errors import DamagedError, RecordError
from edgeleuk.results.codec import decode, encode
from edgeleuk.sessions import old_records
from edgeleuk.system.addresses import without_secrets
from edgeleuk.system.wording import command
from edgeleuk.types import WHITE_CELL, CountedField, Refusal, numbered

Fetch = Callable[[str, Sequence[Any]], list[sqlite3.Row]]


def insert(connection: sqlite3.Connection, session: str, counted: CountedField) -> None:
    """Write one field with all its cells.

    Args:
        connection: Connection within a transaction.
        session: Id of the session.
        counted: The field.
    """
    key = connection.execute(
        "INSERT INTO fields (session, number, at, record) VALUES (?, ?, ?, ?)",
        (session, int(counted.number), counted.at, encode(counted)),
    ).lastrowid
    connection.executemany(
        "INSERT INTO seen_white (field, identity, fresh, read) VALUES (?, ?, ?, ?)",
        [(key, *white) for white in _white_cells(counted)],
    )


def rebuild(fetch: Fetch, key: int) -> CountedField:
    """Read the field that `insert` wrote.

    Raises:
        DamagedError: If its record was damaged since.
    """
    found = fetch("SELECT record FROM fields WHERE key = ?", (key,))
    if not found:
        raise DamagedError(f"a counted field (record {key}) is in the index and not in the table.")
    record = found[0]["record"]
    if record is None:
        return _shown(_numbered(old_records.rebuild(fetch, key)))
    try:
        return _shown(_numbered(decode(record, CountedField)))
    except RecordError as error:
        raise _damaged("a counted field", key, error) from error


def _shown(counted: CountedField) -> CountedField:
    """Return the field without passwords.

    An older edgeleuk kept them if they stood in a parameter of the address.
    """
    name = without_secrets(counted.field.name)
    return (
        counted if name == counted.field.name else replace(counted, field=replace(counted.field, name=name))
    )


def _numbered(counted: CountedField) -> CountedField:
    """Return the field with its white cells numbered.

    Older records did not keep the numbers.
    """
    if any(cell.number for cell in counted.field.cells):
        return counted
    return replace(counted, field=replace(counted.field, cells=numbered(counted.field.cells)))


def insert_refusals(
    connection: sqlite3.Connection, session: str, refusals: Sequence[Refusal], at: str
) -> None:
    """Write pictures that were not counted.

    Args:
        connection: Connection within a transaction.
        session: Id of the session.
        refusals: The pictures, with the reasons.
        at: Time, UTC, ISO 8601.
    """
    connection.executemany(
        "INSERT INTO refusals (session, at, record) VALUES (?, ?, ?)",
        [(session, at, encode(refusal)) for refusal in refusals],
    )


def refusal(fetch: Fetch, key: int) -> Refusal:
    """Read one picture that was not counted.

    Raises:
        DamagedError: If its record was damaged.
    """
    try:
        found = decode(fetch("SELECT record FROM refusals WHERE key = ?", (key,))[0]["record"], Refusal)
    except IndexError as error:
        raise DamagedError(f"a refusal (record {key}) is in the index and not in the table.") from error
    except RecordError as error:
        raise _damaged("a refusal", key, error) from error
    return replace(found, name=without_secrets(found.name), text=without_secrets(found.text))


def _white_cells(counted: CountedField) -> Iterator[tuple[int, bool, bool]]:
    """Yield number, freshness and reading of white cells.

    The number on the map, whether the cell was first seen here, and whether it was read here.
    """
    read: dict[int, bool] = {}
    for position, (cell, identity) in enumerate(zip(counted.field.cells, counted.identities, strict=True)):
        if cell.kind == WHITE_CELL or cell.reading or position in counted.crops:
            read[int(identity)] = read.get(int(identity), False) or cell.reading is not None
    for identity, was_read in read.items():
        yield identity, identity in counted.fresh, was_read


def _damaged(what: str, key: int, error: RecordError) -> DamagedError:
    return DamagedError(
        f"{what} (record {key}): {error} The disk may be failing; `{command('sessions list')}` shows which other sessions"
        " are there."
    )
