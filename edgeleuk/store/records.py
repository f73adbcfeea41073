"""A counted field to rows and back, exactly: what is read equals what was written, bit for bit."""

from __future__ import annotations

import json
import sqlite3
import zlib
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from edgeleuk.errors import StoreError
from edgeleuk.types import (
    WHITE_CELL,
    Aperture,
    Assessment,
    AttributeReading,
    Cell,
    CountedField,
    Field,
    Finding,
    Morphometry,
    Placement,
    Reading,
    Scale,
)

PLAIN = np.dtype([
    ("position", "<i4"), ("identity", "<i8"), ("box", "<f8", 4), ("score", "<f8"), ("whole", "?"), ("fresh", "?"),
])  # fmt: skip
"""A cell that was found and not read, such as a red cell: its index in the field's cells, its number on the map, x1 y1
x2 y2 in frame pixels, score. A field's cells of one kind are such records one after the other, deflated. Doubles are
exact for any source; the finder's numbers have 24 bits, and deflation takes most of the rest away."""
DEFLATION = 1
"""Of zlib's levels the quickest: the others gain a few per cent."""

Fetch = Callable[[str, Sequence[Any]], list[sqlite3.Row]]


def insert(connection: sqlite3.Connection, session: str, counted: CountedField) -> None:
    """Write one field with all its cells. To be called within a transaction."""
    field = counted.field
    key = connection.execute(
        "INSERT INTO fields (session, number, at, seconds, name, width, height, sharpness, scale, placement, stages,"
        " warnings, not_counted, thumbnail, assessment, aperture, profile)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            session, int(counted.number), counted.at, float(counted.seconds), field.name, int(field.width),
            int(field.height), float(counted.sharpness), _json(asdict(field.scale)), _json(asdict(counted.placement)),
            _json(dict(field.seconds)), _json(field.warnings), _json(sorted(field.not_counted)),
            _png(counted.thumbnail), _json(asdict(field.assessment)),
            _json(asdict(field.aperture)) if field.aperture else None, field.profile,
        ),
    ).lastrowid  # fmt: skip
    white, plain = [], defaultdict(list)
    for position, (cell, identity) in enumerate(zip(field.cells, counted.identities, strict=True)):
        crop, fresh = counted.crops.get(position), identity in counted.fresh
        if cell.kind == WHITE_CELL or cell.reading or cell.morphometry or crop is not None:
            white.append((key, position, int(identity), fresh, *_white(cell), crop))
        else:
            plain[cell.kind].append((position, identity, cell.box, cell.score, cell.whole, fresh))
    connection.executemany(f"INSERT INTO white_cells VALUES ({', '.join('?' * 17)})", white)
    connection.executemany(
        "INSERT INTO other_cells VALUES (?, ?, ?, ?)",
        [
            (key, kind, len(cells), zlib.compress(np.array(cells, PLAIN).tobytes(), DEFLATION))
            for kind, cells in plain.items()
        ],
    )


def rebuild(fetch: Fetch, key: int) -> CountedField:
    """The field that `insert` wrote. Raises StoreError where its record was damaged since."""
    try:
        return _rebuild(fetch, key)
    except (ValueError, KeyError, TypeError, zlib.error) as error:
        raise StoreError(
            f"a counted field (record {key}) is damaged: {error}. The disk may be failing; `edgeleuk sessions list` shows"
            " which other sessions are there."
        ) from error


def _rebuild(fetch: Fetch, key: int) -> CountedField:
    row = fetch("SELECT * FROM fields WHERE key = ?", (key,))[0]
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
        thumbnail=_grey(row["thumbnail"]),
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
        aperture=Aperture(**json.loads(row["aperture"])) if row["aperture"] else None,
        assessment=_assessment(json.loads(row["assessment"])) if row["assessment"] else Assessment(),
        profile=row["profile"],
    )


def _assessment(kept: Mapping[str, Any]) -> Assessment:
    return Assessment(tuple(Finding(**each) for each in kept["findings"]), kept["forced"])


def _white(cell: Cell) -> tuple[Any, ...]:
    """The columns of a white cell from its kind to its morphometry."""
    reading, measured = cell.reading, cell.morphometry
    return (
        cell.kind,
        *map(float, cell.box),
        float(cell.score),
        bool(cell.whole),
        reading.label if reading else None,
        float(reading.probability) if reading else None,
        _json(dict(reading.probabilities)) if reading else None,
        _json({name: asdict(each) for name, each in reading.attributes.items()}) if reading else None,
        _json(asdict(measured)) if measured else None,
    )


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


def _json(value: object) -> str:
    """Python writes a float so that it reads back the same; a numpy scalar becomes what it holds."""
    return json.dumps(value, separators=(",", ":"), allow_nan=False, default=lambda scalar: scalar.item())


def _png(grey: NDArray[np.uint8]) -> bytes:
    """Lossless: frames are recognised after a resume as they would have been without it."""
    encoded: bytes = cv2.imencode(".png", grey)[1].tobytes()
    return encoded


def _grey(png: bytes) -> NDArray[np.uint8]:
    decoded: NDArray[np.uint8] | None = cv2.imdecode(np.frombuffer(png, np.uint8), cv2.IMREAD_GRAYSCALE)
    if decoded is None:
        raise ValueError("the thumbnail does not decode")
    return decoded
