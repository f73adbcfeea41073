"""Reader of counted fields from before the codec.

These are rows of cells, and JSON by name. They are read, no longer written. Migration m003 leaves them where
they were, see there. Nothing of this module is to be changed: files exist.
"""

from __future__ import annotations

import json
import sqlite3
import zlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from edgeleuk.errors import DamagedError, RecordError
from edgeleuk.results.codec import decode, encode
from edgeleuk.sources.pictures.decoding import decode_grey
from edgeleuk.system.wording import command
from edgeleuk.types import (
    Assessment,
    AttributeReading,
    Cell,
    CountedField,
    Field,
    FieldOfView,
    Finding,
    Morphometry,
    Placement,
    Reading,
    Scale,
)

PLAIN = np.dtype([
    ("position", "<i4"), ("identity", "<i8"), ("box", "<f8", 4), ("score", "<f8"), ("whole", "?"), ("fresh", "?"),
])  # fmt: skip
"""Record of a cell that was not read.

Such as a red cell: its index in the field's cells, its number on the map, x1 y1 x2 y2 in frame pixels, score.
A field's cells of one kind are such records one after the other, deflated. Doubles are exact for any source;
the finder's numbers have 24 bits, and deflation takes most of the rest away.
"""
Fetch = Callable[[str, Sequence[Any]], list[sqlite3.Row]]


def rebuild(fetch: Fetch, key: int) -> CountedField:
    """Read the field that was written under a key.

    Raises:
        DamagedError: If it was damaged since.
    """
    try:
        return decode(
            encode(_rebuild(fetch, key)), CountedField
        )  # which looks at the type and range of every value
    except (
        ValueError,
        LookupError,
        TypeError,
        AttributeError,
        RecursionError,
        zlib.error,
        RecordError,
    ) as error:
        raise DamagedError(
            f"a counted field (record {key}) is damaged: {error}. The disk may be failing; `{command('sessions list')}` shows"
            " which other sessions are there."
        ) from error


def _rebuild(fetch: Fetch, key: int) -> CountedField:
    row = fetch("SELECT * FROM old_fields WHERE key = ?", (key,))[0]
    cells: dict[int, Cell] = {}
    identities: dict[int, int] = {}
    fresh: set[int] = set()
    crops: dict[int, bytes] = {}
    for white in fetch("SELECT * FROM white_cells WHERE field = ? ORDER BY position", (key,)):
        position = white["position"]
        cells[position], identities[position] = _cell(white), white["identity"]
        if white["fresh"]:
            fresh.add(white["identity"])
        if white["crop"] is not None:
            crops[position] = white["crop"]
    for kind, _, deflated in fetch("SELECT kind, count, cells FROM other_cells WHERE field = ?", (key,)):
        for position, identity, box, score, whole, new in np.frombuffer(
            zlib.decompress(deflated), PLAIN
        ).tolist():
            cells[position], identities[position] = Cell(kind, tuple(box), score, whole), identity
            if new:
                fresh.add(identity)
    return CountedField(
        number=row["number"],
        seconds=row["seconds"],
        at=row["at"],
        field=_field(row, tuple(cells[i] for i in range(len(cells)))),
        placement=Placement(**json.loads(row["placement"])),
        sharpness=row["sharpness"],
        identities=tuple(identities[i] for i in range(len(cells))),
        fresh=frozenset(fresh),
        thumbnail=decode_grey(row["thumbnail"]),
        crops=crops,
    )


def _field(row: sqlite3.Row, cells: tuple[Cell, ...]) -> Field:
    return Field(
        name=row["name"],
        width=row["width"],
        height=row["height"],
        scale=Scale(**json.loads(row["scale"])),
        cells=cells,
        seconds=json.loads(row["stages"]),
        warnings=tuple(json.loads(row["warnings"])),
        not_counted=frozenset(json.loads(row["not_counted"])),
        field_of_view=FieldOfView(**json.loads(row["aperture"])) if row["aperture"] else None,
        assessment=_assessment(json.loads(row["assessment"])) if row["assessment"] else Assessment(),
        profile=row["profile"],
    )


def _assessment(kept: Mapping[str, Any]) -> Assessment:
    return Assessment(tuple(Finding(**each) for each in kept["findings"]), kept["forced"])


def _cell(row: sqlite3.Row) -> Cell:
    return Cell(
        kind=row["kind"],
        box=(row["x1"], row["y1"], row["x2"], row["y2"]),
        score=row["score"],
        whole=bool(row["whole"]),
        reading=_reading(row) if row["label"] is not None else None,
        morphometry=Morphometry(**json.loads(row["morphometry"])) if row["morphometry"] else None,
    )


def _reading(row: sqlite3.Row) -> Reading:
    attributes: Mapping[str, Mapping[str, Any]] = json.loads(row["attributes"])
    return Reading(
        label=row["label"],
        probability=row["probability"],
        probabilities=json.loads(row["probabilities"]),
        attributes={name: AttributeReading(**each) for name, each in attributes.items()},
    )
