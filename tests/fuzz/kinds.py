"""The kinds of inputs: how each is made from a seed, what reads it, and how many of the campaign are of it."""

from __future__ import annotations

import sqlite3
import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from random import Random

from . import pictures, records, targets
from .bombs import bomb
from .documents import TOML_VALUES, damaged_json, damaged_toml
from .mutations import mutated
from .pictures import JPEG, SIDES, smear
from .targets import Target

Make = Callable[[Random], bytes]
LARGE_SHARE = 0.01
"""Of pictures that are as large as a camera's."""


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of input."""

    make: Make
    target: Target
    weight: int
    """Of a hundred inputs, about so many are of it."""


@cache
def _whole(maker: Callable[[], bytes]) -> bytes:
    return maker()


def _pictures(variants: Mapping[str, pictures.Maker]) -> Make:
    """Damaged pictures of one format; now and then another variant goes on where one breaks off."""

    def make(random: Random) -> bytes:
        names = [name for name in variants if name != "large"]
        if "large" in variants and random.random() < LARGE_SHARE:
            return mutated(random, _whole(variants["large"]))
        chosen = random.choice(names)
        return mutated(random, _whole(variants[chosen]), [_whole(variants[name]) for name in names])

    return make


def _bytes(maker: Callable[[], bytes]) -> Make:
    return lambda random: mutated(random, _whole(maker))


def _json(maker: Callable[[], bytes]) -> Make:
    return lambda random: damaged_json(random, _whole(maker))


def _toml(maker: Callable[[], bytes]) -> Make:
    return lambda random: damaged_toml(random, _whole(maker))


def _stream(random: Random) -> bytes:
    """A content type, and an MJPEG stream that may be of another boundary, without lengths, or with wrong ones."""
    jpeg = _whole(JPEG["baseline"])
    told, used = (random.choice([b"frame", b"--frame", b"x y", b"", b"a" * 200]) for _ in range(2))
    parts = []
    for _ in range(random.randint(1, 4)):
        body = mutated(random, jpeg) if random.random() < 0.5 else jpeg
        length = random.choice([b"%d" % len(body), b"0", b"-1", b"9" * 12, b"9" * 30, b"1", b"x"])
        headers = [
            b"Content-Type: image/jpeg",
            b"Content-Length: " + length,
            b"X: " + b"y" * random.choice([0, 9000]),
        ]
        kept = [header for header in headers if random.random() < 0.7]
        line = random.choice([b"\r\n", b"\n"])
        parts.append(
            b"--" + random.choice([told, used]) + line + line.join([*kept, b""]) + line + body + line
        )
    written = b"".join(parts)
    if random.random() < 0.6:
        written = mutated(random, written)
    return b"multipart/x-mixed-replace; boundary=" + told + b"\n" + written


def _answer(random: Random) -> bytes:
    """What a camera may answer a request with."""
    kind, _, body = _stream(random).partition(b"\n")
    if random.random() < 0.4:
        kind, body = random.choice([b"image/jpeg", b"text/html", b""]), _whole(JPEG["baseline"])
    status = random.choice([
        b"HTTP/1.1 200 OK", b"HTTP/1.1 200 OK", b"HTTP/1.0 200", b"ICY 200 OK", b"HTTP/1.1 401 No", b"HTTP/1.1 302 Found",
        b"HTTP/9.9 999 \x1b[31m", b"", b"\x16\x03\x01", b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK",
    ])  # fmt: skip
    headers = [b"Content-Type: " + kind]
    headers += random.sample([
        b"Content-Length: %d" % random.choice([0, 10, len(body), 10**12]), b"Transfer-Encoding: chunked", b"X: " + b"y" * 70_000,
        b"WWW-Authenticate: Digest realm=x, nonce=\x1b[31m", b"WWW-Authenticate: " + b"," * 900, b"Location: /x y", b": :",
        b"Location: //[", b"Content-Encoding: gzip", *[b"Z: 1"] * 3,
    ], random.randint(0, 4))  # fmt: skip
    head = b"\r\n".join([status, *headers])
    if random.random() < 0.3:
        head = mutated(random, head)
    return head + b"\r\n\r\n" + body


def _archive(random: Random) -> bytes:
    if random.random() < 0.5:
        return mutated(random, _whole(records.archive))
    return records.rewritten_archive(random, _damaged_file)


def _damaged_file(random: Random, content: bytes) -> bytes:
    return damaged_json(random, content) if content.startswith(b"{") else mutated(random, content)


def _record(whole: Callable[[], bytes]) -> Make:
    def make(random: Random) -> bytes:
        if random.random() < 0.3:
            return mutated(random, _whole(whole))
        return records.rewritten(random, _whole(whole), mutated)

    return make


def _database(random: Random) -> bytes:
    """A file of sessions with bytes damaged, or with odd values in its rows and its schema."""
    whole = _whole(random.choice([records.session, records.session, records.old_session]))
    return mutated(random, whole) if random.random() < 0.5 else _rows(random, whole)


def _rows(random: Random, whole: bytes) -> bytes:
    with tempfile.TemporaryDirectory(prefix="fuzz-") as place:
        path = Path(place) / "rows.db"
        path.write_bytes(whole)
        with closing(sqlite3.connect(path, isolation_level=None)) as connection:
            connection.execute("PRAGMA journal_mode = DELETE")
            connection.execute("PRAGMA synchronous = OFF")
            tables = [
                row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
            ]
            for _ in range(random.randint(1, 4)):
                _odd_row(random, connection, random.choice(tables))
        return path.read_bytes()


def _odd_row(random: Random, connection: sqlite3.Connection, table: str) -> None:
    columns = [row[1] for row in connection.execute(f"PRAGMA table_info({table})")]
    if not columns:  # it was dropped
        return
    column, value = random.choice(columns), random.choice([*_ODD, random.choice(TOML_VALUES)])
    found = connection.execute(f"SELECT {column} FROM {table} LIMIT 1").fetchone()
    if found and isinstance(found[0], bytes) and random.random() < 0.7:
        value = mutated(random, found[0])
    change = random.choice(
        [f"UPDATE {table} SET {column} = ?", f"UPDATE {table} SET {column} = ?", f"DELETE FROM {table}"]
    )
    if random.random() < 0.05:
        change = f"DROP TABLE {table}"
    try:
        connection.execute(change, (value,) if "?" in change else ())
    except sqlite3.Error:  # a table of SQLite's own, or a type that the table does not take
        return


_ODD = (None, 0, -1, 2**63 - 1, 1e308, "", "x", "\0", "\x1b[31m", "../../x", "/etc/x", "{}", "[]", "null", "[" * 5000, b"", b"\xff" * 9)  # fmt: skip


def _kinds() -> dict[str, Kind]:
    odd = _bytes(lambda: smear(*SIDES).tobytes()[:3000])
    formats = {
        "jpeg": (pictures.JPEG, ".jpg", 14),
        "png": (pictures.PNG, ".png", 9),
        "tiff": (pictures.TIFF, ".tif", 18),
        "bmp": (pictures.BMP, ".bmp", 4),
        "webp": (pictures.WEBP, ".webp", 7),
        "heic": (pictures.HEIC, ".heic", 5),
    }
    kinds = {
        name: Kind(_pictures(variants), targets.picture(suffix), n)
        for name, (variants, suffix, n) in formats.items()
    }
    return kinds | {
        "nothing": Kind(odd, targets.picture(".jpg"), 1),
        "bomb": Kind(bomb, targets.picture(".tif"), 5),
        "frame": Kind(_pictures(pictures.JPEG), targets.frame, 7),
        "stream": Kind(_stream, targets.stream, 5),
        "answer": Kind(_answer, targets.answer, 1),
        "archive": Kind(_archive, targets.model_archive, 5),
        "manifest": Kind(_json(records.manifest), targets.manifest, 4),
        "key": Kind(_bytes(lambda: records.KEY), targets.key, 1),
        "lock": Kind(_json(records.lock), targets.lock, 1),
        "in-use": Kind(_json(records.in_use), targets.installed, 1),
        "machine": Kind(_json(records.machine_note), targets.machine_note, 1),
        "profile": Kind(_toml(records.profile), targets.profile, 3),
        "rules": Kind(_toml(records.TOML["rules"].read_bytes), targets.rules, 2),
        "reference": Kind(_toml(records.TOML["reference"].read_bytes), targets.reference, 1),
        "limits": Kind(_toml(records.TOML["limits"].read_bytes), targets.limits, 1),
        "recipe": Kind(_toml(records.TOML["recipe"].read_bytes), targets.recipe, 1),
        "coco": Kind(_json(records.coco), targets.coco, 1),
        "slides": Kind(_json(records.slides), targets.slides, 1),
        "screen": Kind(_json(records.screen), targets.screen, 1),
        "cells": Kind(_bytes(records.cells), targets.cells, 1),
        "result": Kind(_record(records.result), targets.kept_result, 3),
        "field": Kind(_record(records.field), targets.kept_field, 2),
        "session": Kind(_database, targets.session, 3),
        "report": Kind(_json(records.document), targets.report, 2),
        "trail": Kind(_json(records.trail), targets.trail, 1),
        "control": Kind(_json(records.control_log), targets.control_log, 1),
        "shown": Kind(_database, targets.shown_session, 1),
    }


KINDS: Mapping[str, Kind] = _kinds()
ORDER: tuple[str, ...] = tuple(name for name, kind in KINDS.items() for _ in range(kind.weight))
"""The kinds of a round of inputs."""


def kind_of(number: int, order: Sequence[str] = ORDER) -> str:
    """The kind of the input of a number; neighbours are of different kinds."""
    step = 37 if len(order) % 37 else 1
    return order[number * step % len(order)]


def made(kind: str, seed: int) -> bytes:
    """The input of a kind and a seed: the same everywhere, with the same libraries."""
    return KINDS[kind].make(Random(f"{kind} {seed}"))
