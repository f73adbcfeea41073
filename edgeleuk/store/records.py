"""Counted fields and refusals in the store: a record of the codec each, and what a list needs of it as columns."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

from edgeleuk.codec import decode, encode
from edgeleuk.errors import RecordError, StoreError
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
    """The field that `insert` wrote. Raises StoreError where its record was damaged since."""
    record = fetch("SELECT record FROM fields WHERE key = ?", (key,))[0]["record"]
    if record is None:
        return _numbered(old_records.rebuild(fetch, key))
    try:
        return _numbered(decode(record, CountedField))
    except RecordError as error:
        raise _damaged("a counted field", key, error) from error


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


def refusals(fetch: Fetch, session: str) -> Iterator[Refusal]:
    """In order. Raises StoreError where a record was damaged."""
    for key, record in fetch("SELECT key, record FROM refusals WHERE session = ? ORDER BY key", (session,)):
        try:
            yield decode(record, Refusal)
        except RecordError as error:
            raise _damaged("a refusal", key, error) from error


def _white_cells(counted: CountedField) -> Iterator[tuple[int, bool, bool]]:
    """Of each white cell its number on the map, whether it was first seen here, and whether it was read here."""
    read: dict[int, bool] = {}
    for position, (cell, identity) in enumerate(zip(counted.field.cells, counted.identities, strict=True)):
        if cell.kind == WHITE_CELL or cell.reading or position in counted.crops:
            read[int(identity)] = read.get(int(identity), False) or cell.reading is not None
    for identity, was_read in read.items():
        yield identity, identity in counted.fresh, was_read


def _damaged(what: str, key: int, error: RecordError) -> StoreError:
    return StoreError(
        f"{what} (record {key}): {error} The disk may be failing; `edgeleuk sessions list` shows which other sessions"
        " are there."
    )
