"""Reads an input as the program does. Only an `EdgeleukError` may come out of it: that is a refusal."""

from __future__ import annotations

import contextlib
import fcntl
import io
import os
import re
import shutil
import socket
import threading
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from random import Random

import numpy as np
import typer
from rich.console import Console

from edgeleuk.cli import app
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
from edgeleuk.render import models as render_models
from edgeleuk.render import profiles as render_profiles
from edgeleuk.results import codec
from edgeleuk.sessions import open_store
from edgeleuk.sessions.leases import Lease, held, lock_file
from edgeleuk.sources._opencv import decode_jpeg
from edgeleuk.sources.http import HttpSource
from edgeleuk.sources.network.multipart import Parts, boundary_of
from edgeleuk.sources.pictures.listing import pages_of
from edgeleuk.sources.pictures.reading import read_picture
from edgeleuk.system import machine
from edgeleuk.types import CountedField, Frame, Refusal

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
