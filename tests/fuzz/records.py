"""Whole settings, manifests, archives, results and sessions: what is damaged when it is no picture."""

from __future__ import annotations

import csv
import io
import json
import sqlite3
import tempfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from functools import cache
from pathlib import Path
from random import Random

import counted
import msgspec
import old_store
import packed
from standard import RULES, judged

from edgeleuk.device import colour, profiles
from edgeleuk.differential import rules
from edgeleuk.differential.tally import tally
from edgeleuk.lab.training import recipe
from edgeleuk.models import registry
from edgeleuk.models.updates import signing
from edgeleuk.models.updates.update import MANIFEST, SIGNATURE
from edgeleuk.quality import assessment
from edgeleuk.results import codec
from edgeleuk.results.slide_result import Provenance, SlideResult, without_pictures
from edgeleuk.sessions import open_store
from edgeleuk.system import machine
from edgeleuk.types import Refusal

from .documents import changed

Damage = Callable[[Random, bytes], bytes]

ID, UUID = "20260101-101010-aa", "5f0c1c36-4e63-4a0a-8d4e-35c2d2a1d0b1"
TIME = "2026-01-01T10:10:10.000+00:00"
FIELDS = 3
"""Of a session: enough for a slide, and small enough to be written anew for each input."""


@contextmanager
def _folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="fuzz-") as place:
        yield Path(place)


def profile() -> bytes:
    """A device profile with every part."""
    grid = tuple((200.0,) * colour.COLUMNS for _ in range(colour.ROWS))
    return profiles.as_toml(
        profiles.Profile(
            schema=1, name="bench-2", magnification="100x", made="2026-01-01T10:10:10+00:00",
            picture=profiles.Size(320, 240), scale=profiles.Ruler(0.1, 0.1, 0.02, "micrometer"),
            light=profiles.Light(grid, grid, grid),
            stain=profiles.Stain((230.0, 210.0, 200.0), (0.2, 0.3, 0.2), (0.9, 2.0, 0.4), 20, 8),
            usual=profiles.Usual(10.0, 0.8, 0.4, 0.5),
        )
    ).encode()  # fmt: skip


TOML: Mapping[str, Path] = {
    "rules": rules.RULES,
    "reference": rules.REFERENCE,
    "limits": assessment.LIMITS,
    "recipe": recipe.RECIPES / "reader-40x.toml",
}


def manifest() -> bytes:
    """The manifest of a model that ships: every key that there is."""
    return (registry.shipped()["40x"] / "model.json").read_bytes()


def coco() -> bytes:
    """A file of fields with their boxes."""
    images = [
        {"id": n, "file_name": f"{n}.jpg", "width": 320, "height": 240, "source": "a", "group": "p"}
        for n in (1, 2)
    ]
    boxes = [
        {
            "id": n,
            "image_id": 1 + n % 2,
            "category_id": 1 + n % 3,
            "bbox": [10 * n, 9, 20, 21.5],
            "subtype": "blast",
        }
        for n in range(12)
    ]
    kinds = [{"id": n, "name": name} for n, name in enumerate(("WBC", "RBC", "Platelet"), 1)]
    return json.dumps({"images": images, "annotations": boxes, "categories": kinds}).encode()


def slides() -> bytes:
    """A list of slides with what people counted on them."""
    return json.dumps([
        {"slide": "S-1", "fields": ["a.jpg", "b.jpg"], "cell_counts": {"band neutrophil": 3, "blast": 20}},
        {"slide": "S-2", "fields": ["c.jpg"], "cell_counts": {"lymphocyte": 7}},
    ]).encode()  # fmt: skip


def screen() -> bytes:
    """A list of pictures of which the truth is known."""
    return json.dumps(
        [{"file": f"{n}.jpg", "source": "a", "group": f"p{n % 2}", "truth": "healthy"} for n in range(4)]
    ).encode()


def cells() -> bytes:
    """A table of cells."""
    written = io.StringIO()
    table = csv.writer(written)
    table.writerow(["file", "label", "source", "split", "patient", "um_per_px", "original_label", "nucleoli"])
    table.writerows([f"{n}.png", "blast", "a", "train", "p", 0.1, "Blasts", "prominent"] for n in range(6))
    return written.getvalue().encode()


def machine_note() -> bytes:
    """The setting of this machine, which is used only where it was measured on it."""
    return json.dumps(
        {"machine": machine.fingerprint(), "setting": {"threads": 2, "arithmetic": "float"}}
    ).encode()


def in_use() -> bytes:
    """Which version of a model is in use."""
    return json.dumps({"in_use": "2.0", "before": ["1.0", "builtin"]}).encode()


def archive() -> bytes:
    """A small model as it comes on a stick."""
    return packed.archive()


def rewritten_archive(random: Random, damage: Damage) -> bytes:
    """A well-formed archive whose manifest agrees with a damaged file in it: only what reads that file can see it."""
    contents = packed.files("2.0")
    name = random.choice(["model.json", "model.json", "README.md", "finder.onnx"])
    contents[name] = damage(random, contents[name])
    document = json.dumps(packed.update(contents, "2.0")).encode()
    signed = [(SIGNATURE, damage(random, signature()))] if random.random() < 0.3 else []
    return packed.zipped([(MANIFEST, document), *signed, *contents.items()])


def signature() -> bytes:
    """A signature of the right form, by nobody."""
    return json.dumps({"algorithm": signing.ALGORITHM, "key": "5a" * 32, "signature": "a5" * 64}).encode()


KEY = b"""-----BEGIN PUBLIC KEY-----
MCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=
-----END PUBLIC KEY-----
"""
"""That of RFC 8410, 10.1."""


def lock() -> bytes:
    """What a program writes into the lock that it holds."""
    return b'{"process": 4711, "since": "2026-01-01T10:10:10+00:00"}'


@cache
def result() -> bytes:
    """A slide's result as `sessions export` writes it."""
    counted_fields = tuple(without_pictures(counted.counted_field(n)) for n in range(1, FIELDS + 1))
    fields = tuple(each.field for each in counted_fields)
    total = tally(fields, RULES)
    found = judged(total, labels=counted.LABELS)
    about = Provenance(UUID, "0.1.0", counted.MODEL, "2026-11-24T10:00:00+00:00")
    refused = (Refusal("c.jpg", "focus", "out of focus."),)
    return codec.encode(
        SlideResult(about, counted_fields, fields, total, found, 0.02, refused, marks={3: "artefact"})
    )


@cache
def field() -> bytes:
    """A counted field as a session keeps it, with its pictures."""
    return codec.encode(counted.counted_field(1))


def rewritten(random: Random, record: bytes, damage: Damage) -> bytes:
    """A record with a damaged body, and an envelope that is right about it: only what reads its parts can see it."""
    envelope = msgspec.msgpack.decode(record)
    content = msgspec.msgpack.decode(envelope["content"])
    body = _damaged_parts(random, zlib.decompress(content["body"]), damage)
    content |= {"body": zlib.compress(body, 1), "size": len(body)}
    if content["pictures"] and random.random() < 0.3:
        at = random.randrange(len(content["pictures"]))
        content["pictures"][at] = damage(random, content["pictures"][at])
    inside = msgspec.msgpack.encode(content)
    return msgspec.msgpack.encode(envelope | {"content": inside, "checksum": zlib.crc32(inside)})


def _damaged_parts(random: Random, body: bytes, damage: Damage) -> bytes:
    """Values changed one by one where the result can be written, else bytes."""
    if random.random() < 0.7:
        try:
            return msgspec.msgpack.encode(changed(random, msgspec.msgpack.decode(body)))
        except (OverflowError, UnicodeEncodeError, TypeError):  # MessagePack has no such number, text or key
            pass
    return damage(random, body)


@cache
def session() -> bytes:
    """A file with one session of every kind of row; a reader of it finds no log beside it."""
    with _folder() as place:
        path = place / "sessions.db"
        with open_store(path, reserve_bytes=0) as store:
            new = counted.started(store, slide="S-1")
            for number in range(1, FIELDS + 1):
                new.add(counted.counted_field(number))
            new.refuse(Refusal("d.jpg", "focus", "out of focus."))
            new.mark(3, "artefact")
            new.note("a remark")
            new.finish("the target was reached")
        _date(path)
        return path.read_bytes()


@cache
def old_session() -> bytes:
    """A file of sessions as an older version wrote it."""
    with _folder() as place:
        path = place / "old.db"
        old_store.write(path, [counted.counted_field(1), counted.counted_field(2)])
        _date(path)
        return path.read_bytes()


def _date(path: Path) -> None:
    """Put fixed ids and times in place of those of now, so that a damaged file can be made again."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        tables = [row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        fixed = {"at": TIME, "session": ID}
        for table in tables:
            columns = {row[1] for row in connection.execute(f"PRAGMA table_info({table})")}
            for column in sorted(columns & fixed.keys()):
                connection.execute(f"UPDATE {table} SET {column} = ?", (fixed[column],))
        if "uuid" in {row[1] for row in connection.execute("PRAGMA table_info(sessions)")}:
            connection.execute("UPDATE sessions SET uuid = ?", (UUID,))
        if connection.execute("SELECT 1 FROM sqlite_schema WHERE name = 'store'").fetchone():
            connection.execute("UPDATE store SET uuid = ?", (UUID,))
        connection.execute("UPDATE sessions SET id = ?, started = ?, ended = ?", (ID, TIME, TIME))
        connection.execute("VACUUM")
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
