"""Files of sessions as edgeleuk 1ef95ae wrote them, before the codec. A copy of its writer, not to be changed."""

from __future__ import annotations

import json
import sqlite3
import zlib
from collections import defaultdict
from collections.abc import Iterable
from contextlib import closing
from dataclasses import asdict
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from edgeleuk.sessions.migrations import m001_sessions, m002_quality, migrate
from edgeleuk.types import Cell, CountedField

PLAIN = np.dtype([
    ("position", "<i4"), ("identity", "<i8"), ("box", "<f8", 4), ("score", "<f8"), ("whole", "?"), ("fresh", "?"),
])  # fmt: skip
ASSESSED, UNASSESSED = (m001_sessions, m002_quality), (m001_sessions,)
"""What files of two versions had seen."""


def write(
    path: Path, fields: Iterable[CountedField], *, id: str = "20260101-101010-aa", steps: Any = ASSESSED
) -> None:
    """A file with one finished session. Where it had not seen m002, quality, eyepiece and profile are not kept."""
    new = not path.exists()
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        if new:
            connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
            migrate(connection, steps)
            connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("BEGIN IMMEDIATE")
        connection.execute(
            "INSERT INTO sessions (id, started, ended, reason, magnification, source, model_version, target, um_per_px,"
            " operator, slide, notes, version) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                id, "2026-01-01T10:10:10.000+00:00", "2026-01-01T11:10:10.000+00:00", "the target was reached", "40x",
                "usb:0", "1", 200, None, "ab", "S-1", "", "0.1.0",
            ),
        )  # fmt: skip
        for counted in fields:
            insert(connection, id, counted, assessed=steps is ASSESSED)
        connection.execute("COMMIT")


def insert(connection: sqlite3.Connection, session: str, counted: CountedField, *, assessed: bool) -> None:
    field = counted.field
    names = "session, number, at, seconds, name, width, height, sharpness, scale, placement, stages, warnings, not_counted, thumbnail"
    values: tuple[Any, ...] = (
        session, int(counted.number), counted.at, float(counted.seconds), field.name, int(field.width),
        int(field.height), float(counted.sharpness), _json(asdict(field.scale)), _json(asdict(counted.placement)),
        _json(dict(field.seconds)), _json(field.warnings), _json(sorted(field.not_counted)), _png(counted.thumbnail),
    )  # fmt: skip
    if assessed:
        names += ", assessment, aperture, profile"
        values += (
            _json(asdict(field.assessment)),
            _json(asdict(field.field_of_view)) if field.field_of_view else None,
            field.profile,
        )
    key = connection.execute(
        f"INSERT INTO fields ({names}) VALUES ({', '.join('?' * len(values))})", values
    ).lastrowid
    white, plain = [], defaultdict(list)
    for position, (cell, identity) in enumerate(zip(field.cells, counted.identities, strict=True)):
        crop, fresh = counted.crops.get(position), identity in counted.fresh
        if cell.kind == "WBC" or cell.reading or cell.morphometry or crop is not None:
            white.append((key, position, int(identity), fresh, *_white(cell), crop))
        else:
            plain[cell.kind].append((position, identity, cell.box, cell.score, cell.whole, fresh))
    connection.executemany(f"INSERT INTO white_cells VALUES ({', '.join('?' * 17)})", white)
    connection.executemany(
        "INSERT INTO other_cells VALUES (?, ?, ?, ?)",
        [
            (key, kind, len(cells), zlib.compress(np.array(cells, PLAIN).tobytes(), 1))
            for kind, cells in plain.items()
        ],
    )


def _white(cell: Cell) -> tuple[Any, ...]:
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


def _json(value: object) -> str:
    return json.dumps(value, separators=(",", ":"), allow_nan=False, default=lambda scalar: scalar.item())


def _png(grey: NDArray[np.uint8]) -> bytes:
    encoded: bytes = cv2.imencode(".png", grey)[1].tobytes()
    return encoded
