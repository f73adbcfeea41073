"""Reads an input as the program does. Only an `EdgeleukError` may come out of it: that is a refusal."""

from __future__ import annotations

import contextlib
import fcntl
import io
import json
import os
import re
import shutil
import socket
import sqlite3
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from random import Random
from typing import Any

import msgspec
import numpy as np
import typer
from rich.console import Console

from edgeleuk.cli import app
from edgeleuk.counting.kept import restored
from edgeleuk.device import profiles
from edgeleuk.differential.rules import load_reference, load_rules
from edgeleuk.errors import EdgeleukError, UsageError
from edgeleuk.lab.evaluation.datasets import load_cells, load_fields
from edgeleuk.lab.evaluation.screen import load_screen
from edgeleuk.lab.evaluation.slides import load_slides
from edgeleuk.lab.training.recipe import load_recipe
from edgeleuk.models import registry
from edgeleuk.models.registry import read_manifest
from edgeleuk.models.updates import archive, signing
from edgeleuk.quality.assessment import load_limits
from edgeleuk.quality_control import log
from edgeleuk.render import levey_jennings, levey_jennings_page
from edgeleuk.render import models as render_models
from edgeleuk.render import profiles as render_profiles
from edgeleuk.render import quality_control as render_qc
from edgeleuk.render import review as render_review
from edgeleuk.render.report import plain
from edgeleuk.render.report.fhir import bundle
from edgeleuk.render.report.page import page as report_page
from edgeleuk.reports import gather
from edgeleuk.reports.from_json import read_json
from edgeleuk.reports.kept import report_of
from edgeleuk.results import codec
from edgeleuk.review import OpenReview
from edgeleuk.sessions import open_store
from edgeleuk.sessions.leases import Lease, held, lock_file
from edgeleuk.sources._opencv import decode_jpeg
from edgeleuk.sources.http import HttpSource
from edgeleuk.sources.network.multipart import Parts, boundary_of
from edgeleuk.sources.pictures.listing import pages_of
from edgeleuk.sources.pictures.reading import read_picture
from edgeleuk.system import machine
from edgeleuk.types import CountedField, Frame, Refusal

from . import records

Target = Callable[[bytes, Path], None]
"""Reads an input; the folder is empty and is emptied afterwards."""
MOST_PAGES = 3
"""Of a TIFF, that are read of one input."""
ANSWER_S = 0.5
"""For a camera's answer; the server sends all of it at once."""
MOST_PART_BYTES = 1_000_000
SILENT = Console(file=io.StringIO(), width=80)


def picture(suffix: str) -> Target:
    """Reads a picture file: each of its first pages."""

    def read(data: bytes, folder: Path) -> None:
        path = folder / f"input{suffix}"
        path.write_bytes(data)
        refusals = []
        for page in islice(pages_of(path), MOST_PAGES):
            if isinstance(page, Refusal):
                continue
            try:
                if isinstance(page, EdgeleukError):
                    raise page
                _check(read_picture(page).pixels)
            except EdgeleukError as error:
                refusals.append(error)
        if refusals:
            raise refusals[0]

    return read


def frame(data: bytes, _: Path) -> None:
    """Reads a picture of a stream."""
    _check(decode_jpeg(data))


def _check(pixels: object) -> None:
    assert isinstance(pixels, np.ndarray)
    assert pixels.ndim == 3
    assert pixels.shape[2] == 3
    assert pixels.dtype == np.uint8


def stream(data: bytes, _: Path) -> None:
    """Cuts a stream into its pictures, in pieces as they come from a network, and reads the first."""
    head, _, body = data.partition(b"\n")
    parts = Parts(boundary_of(head.decode("latin-1")), MOST_PART_BYTES)
    lengths = Random(len(data))
    at, found = 0, 0
    while at < len(body):
        size = lengths.choice([1, 7, 100, 5000, 65536])
        parts.feed(body[at : at + size])
        at += size
        while picture := parts.take():
            found += 1
            if found < 3:
                with contextlib.suppress(EdgeleukError):
                    frame(picture, Path())


def answer(data: bytes, _: Path) -> None:
    """Opens a camera that answers every request with these bytes, and takes two pictures from it."""
    with (
        _answering(data) as port,
        contextlib.closing(HttpSource(f"http://127.0.0.1:{port}/v", ANSWER_S)) as source,
    ):
        for _ in range(2):
            _check(source.read(ANSWER_S).frame.pixels)


@contextlib.contextmanager
def _answering(data: bytes) -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        server = threading.Thread(target=_serve, args=(listening, data), daemon=True)
        server.start()
        yield listening.getsockname()[1]
        listening.shutdown(socket.SHUT_RDWR)
        server.join(5)


def _serve(listening: socket.socket, data: bytes) -> None:
    with contextlib.suppress(OSError):
        while True:
            client, _ = listening.accept()
            with client, contextlib.suppress(OSError):
                client.settimeout(2)
                client.recv(4096)
                client.sendall(data)
                client.shutdown(socket.SHUT_WR)
                client.recv(4096)  # until the other side goes: closing at once may take back what was sent


def model_archive(data: bytes, folder: Path) -> None:
    """Reads an archive, who signed it, and the manifest of the model in it."""
    found = archive.read(data)
    signing.check_signature(found)
    for name, content in found.files.items():
        (folder / name).write_bytes(content)
    SILENT.print(render_models.card(registry.load_folder(folder)))


def manifest(data: bytes, folder: Path) -> None:
    """Reads a model's manifest, and shows it."""
    (folder / "model.json").write_bytes(data)
    model = read_manifest(folder)
    SILENT.print(render_models.card(model))
    SILENT.print(render_models.listing([model], [folder]))


def installed(data: bytes, folder: Path) -> None:
    """Reads which installed model is in use."""
    (folder / "100x.json").write_bytes(data)
    with _environment(EDGELEUK_MODEL_STORE=str(folder)):
        registry.used("100x")
        registry.in_use("100x")


def key(data: bytes, folder: Path) -> None:
    """Reads a key that is to be trusted, and keys that are."""
    (folder / "key.pem").write_bytes(data)
    with _environment(EDGELEUK_KEYS=str(folder)):
        signing.trusted()
        signing.trust(folder / "key.pem")


def lock(data: bytes, folder: Path) -> None:
    """Asks for what another program holds, whose lock says these bytes."""
    path = lock_file(folder, "source")
    path.write_bytes(data)
    with path.open("rb") as theirs:
        fcntl.flock(theirs, fcntl.LOCK_EX)
        held(folder, "source")
        Lease(folder, "source", "in use by {holder}.", patience_s=0)


def profile(data: bytes, folder: Path) -> None:
    """Reads a device profile, shows it, and uses it on a frame."""
    path = folder / "bench-2.toml"
    path.write_bytes(data)
    found = profiles.load(str(path))
    SILENT.print(render_profiles.listing({"bench-2": found}, folder))
    shot = Frame(np.full((96, 128, 3), (230, 210, 200), np.uint8), "x")
    found.scale_of(shot)
    found.doubt(shot)
    _check(found.corrected(shot, None).pixels)


def settings(load: Callable[[Path], object], name: str) -> Target:
    """Reads a file of settings or a list of data."""

    def read(data: bytes, folder: Path) -> None:
        (folder / name).write_bytes(data)
        load(folder / name)

    return read


rules = settings(load_rules, "rules.toml")
reference = settings(load_reference, "reference.toml")
limits = settings(load_limits, "quality.toml")
recipe = settings(lambda path: load_recipe(str(path), "reader"), "recipe.toml")
coco = settings(lambda path: load_fields(path, path.parent), "coco.json")
slides = settings(lambda path: load_slides(path, path.parent), "slides.json")
screen = settings(lambda path: load_screen(path, path.parent, "healthy"), "screen.json")
cells = settings(lambda path: load_cells(path, path.parent, ["nucleoli"]), "cells.csv")


def kept_result(data: bytes, folder: Path) -> None:
    """Reads a slide's result, and what counts of it."""
    (folder / "result.edgeleuk").write_bytes(data)
    found = codec.read_result(folder / "result.edgeleuk")
    found.as_counted()


def kept_field(data: bytes, _: Path) -> None:
    """Reads a counted field of a session."""
    codec.decode(data, CountedField)


def machine_note(data: bytes, folder: Path) -> None:
    """Reads the setting of this machine."""
    (folder / "machine.json").write_bytes(data)
    with _environment(EDGELEUK_MACHINE=str(folder / "machine.json")):
        machine.setting_here.cache_clear()
        machine.setting_here()
    machine.setting_here.cache_clear()


def session(data: bytes, folder: Path) -> None:
    """Reads a file of sessions: the list, then every part of each session, whatever is wrong with the others."""
    path = folder / "sessions.db"
    path.write_bytes(data)
    with open_store(path, create=False, reserve_bytes=0) as store:
        for summary in store.list():
            with contextlib.suppress(EdgeleukError):
                one = store.get(summary.id)
                for part in (
                    one.refused,
                    one.marks,
                    one.notes,
                    one.unassessed,
                    lambda one=one: list(one.counted()),
                ):
                    with contextlib.suppress(EdgeleukError):
                        part()
    command("sessions", "list", "--store", path)


def shown_session(data: bytes, folder: Path) -> None:
    """Shows and exports the sessions of a file as the commands do; nothing is written elsewhere."""
    path, out = folder / "sessions.db", folder / "deep" / "out"
    path.write_bytes(data)
    with open_store(path, create=False, reserve_bytes=0) as store:
        found = [summary.id for summary in store.list()]
    for id_ in found[:2]:
        command("sessions", "show", "--store", path, "--", id_)
        command("sessions", "export", "--store", path, "--out", out, "--", id_)
    strange = [
        each.name for each in folder.iterdir() if not re.fullmatch(r"sessions\.db.*|locks|deep", each.name)
    ]
    assert not strange, strange
    assert not out.exists() or {each.name for each in out.parent.iterdir()} == {"out"}


def report(data: bytes, folder: Path) -> None:
    """Reads a result's JSON, and writes its report in every form but PDF."""
    path = folder / "results.json"
    path.write_bytes(data)
    found = gather(read_json(path), load_rules(), load_reference())
    report_page(found)
    plain.csv(found)
    plain.document(found)
    bundle(found)


def trail(data: bytes, folder: Path) -> None:
    """Puts damaged rows into the trail of a review, and reads, shows and reports the review."""
    _with_rows(folder, "trail", _rows_of(data))
    with open_store(folder / "sessions.db", create=False, reserve_bytes=0) as store:
        (session,) = store.list()
        rules, reference = load_rules(), load_reference()
        kept = restored(store.get(session.id), registry.load("40x"), rules, reference)
        lost: list[str] = []
        review = OpenReview(store, kept, rules, reference).review(lost)
        render_review.as_json(review)
        render_review.in_a_line(review)
        report_page(report_of(store.get(session.id), kept, review, rules, reference, lost))
        with contextlib.suppress(EdgeleukError):
            OpenReview(store, kept, rules, reference).reclassify("ann", [1], "monocyte")


def control_log(data: bytes, folder: Path) -> None:
    """Puts damaged entries into the log of control slides, and shows it as the commands do."""
    entries = []
    for row in _rows_of(data):
        with contextlib.suppress(OverflowError, UnicodeEncodeError):  # MessagePack has no such number or text
            entries.append(row | {"record": msgspec.msgpack.encode(row.get("value"))})
    _with_rows(folder, "quality_control", entries)
    path = folder / "sessions.db"
    with open_store(path, create=False, reserve_bytes=0) as store:
        found = log.read(store, [])
    SILENT.print(render_qc.log(found, path))
    SILENT.print(render_qc.standings(log.standings(found, datetime(2026, 1, 3, tzinfo=UTC))))
    for each in found:
        render_qc.entry_json(each)
    for name in {each.control for each in found}:
        runs = [each for each in log.runs(found, name) if each[1].values]
        SILENT.print(levey_jennings.overview(runs))
        for quantity in levey_jennings.quantities(runs):
            SILENT.print(levey_jennings.chart(quantity, levey_jennings.points(runs, quantity)))
        levey_jennings_page.page(name, runs, levey_jennings.quantities(runs))


def _rows_of(data: bytes) -> list[dict[str, Any]]:
    """The rows in a JSON array; damaged ones that are no rows are left out."""
    try:
        found = json.loads(data)
    except (ValueError, RecursionError):
        return []
    return [dict(each) for each in found if isinstance(each, dict)] if isinstance(found, list) else []


def _with_rows(folder: Path, table: str, rows: list[dict[str, Any]]) -> None:
    """A file of one session, with these rows in a table that a sound program only adds to.

    Values that the table does not take are left out: no file can hold them.
    """
    path = folder / "sessions.db"
    path.write_bytes(records.reviewed_session())
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as connection:
        session = connection.execute("SELECT id FROM sessions").fetchone()[0]
        for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
            connection.execute(f"DROP TRIGGER {name}")
        known = {row[1] for row in connection.execute(f"PRAGMA table_info({table})")}
        for row in rows:
            row = {"session": session} | row if "session" in known else row
            names = [name for name in row if name in known]
            values = [
                json.dumps(row[name]) if isinstance(row[name], list | dict) else row[name] for name in names
            ]
            marks = ", ".join("?" * len(names))
            with contextlib.suppress(sqlite3.Error, OverflowError, UnicodeEncodeError):
                connection.execute(f"INSERT INTO {table} ({', '.join(names)}) VALUES ({marks})", values)


def command(*arguments: object) -> None:
    """Runs a command in this process; its own refusals are none of ours."""
    with (
        contextlib.redirect_stdout(io.StringIO()),
        contextlib.redirect_stderr(io.StringIO()),
        contextlib.suppress(EdgeleukError, UsageError, typer.Exit),
    ):
        app([str(argument) for argument in arguments], standalone_mode=False)


@contextlib.contextmanager
def _environment(**variables: str) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name, None) if value is None else os.environ.__setitem__(name, value)


def emptied(folder: Path) -> None:
    """Take away what a target left in its folder."""
    for each in folder.iterdir():
        if each.is_dir() and not each.is_symlink():
            shutil.rmtree(each)
        else:
            each.unlink()
