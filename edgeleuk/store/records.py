"""Counted fields and refusals in the store: a record of the codec each, and what a list needs of it as columns."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

from edgeleuk._addresses import without_secrets
from edgeleuk.codec import decode, encode
from edgeleuk.errors import DamagedError, RecordError
from edgeleuk.store import old_records
from edgeleuk.types import WHITE_CELL, CountedField, Refusal, numbered

Fetch = Callable[[str, Sequence[Any]], list[sqlite3.Row]]


def insert(connection: sqlite3.Connection, session: str, counted: CountedField) -> None:
    """Write one field with all its cells. To be called within a transaction."""
    key = connection.execute(
        "INSERT INTO fields (session, number, at, record) VALUES (?, ?, ?, ?)",
        (session, int(counted.number), counted.at, encode(counted)),
    ).lastrowid
    connection.executemany(
        "INSERT INTO seen_white (field, identity, fresh, read) VALUES (?, ?, ?, ?)",
        [(key, *white) for white in _white_cells(counted)],
    )


def rebuild(fetch: Fetch, key: int) -> CountedField:
    """The field that `insert` wrote. Raises DamagedError where its record was damaged since."""
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
    """The field by a name without passwords, which older edgeleuk kept where they stood in a parameter of the address."""
    name = without_secrets(counted.field.name)
    return (
        counted if name == counted.field.name else replace(counted, field=replace(counted.field, name=name))
    )


def _numbered(counted: CountedField) -> CountedField:
    """The field with its white cells numbered, which older records did not keep."""
    if any(cell.number for cell in counted.field.cells):
        return counted
    return replace(counted, field=replace(counted.field, cells=numbered(counted.field.cells)))


def insert_refusals(
    connection: sqlite3.Connection, session: str, refusals: Sequence[Refusal], at: str
) -> None:
    """Write pictures that were not counted. To be called within a transaction."""
    connection.executemany(
        "INSERT INTO refusals (session, at, record) VALUES (?, ?, ?)",
        [(session, at, encode(refusal)) for refusal in refusals],
    )


def refusal(fetch: Fetch, key: int) -> Refusal:
    """One picture that was not counted. Raises DamagedError where its record was damaged."""
    try:
        found = decode(fetch("SELECT record FROM refusals WHERE key = ?", (key,))[0]["record"], Refusal)
    except IndexError as error:
        raise DamagedError(f"a refusal (record {key}) is in the index and not in the table.") from error
    except RecordError as error:
        raise _damaged("a refusal", key, error) from error
    return replace(found, name=without_secrets(found.name), text=without_secrets(found.text))


def _white_cells(counted: CountedField) -> Iterator[tuple[int, bool, bool]]:
    """Of each white cell its number on the map, whether it was first seen here, and whether it was read here."""
    read: dict[int, bool] = {}
    for position, (cell, identity) in enumerate(zip(counted.field.cells, counted.identities, strict=True)):
        if cell.kind == WHITE_CELL or cell.reading or position in counted.crops:
            read[int(identity)] = read.get(int(identity), False) or cell.reading is not None
    for identity, was_read in read.items():
        yield identity, identity in counted.fresh, was_read


def _damaged(what: str, key: int, error: RecordError) -> DamagedError:
    return DamagedError(
        f"{what} (record {key}): {error} The disk may be failing; `edgeleuk sessions list` shows which other sessions"
        " are there."
    )
