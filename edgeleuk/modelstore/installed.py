"""Installed models, several versions beside each other, and which of them is in use.

`zoo` reads the store, this module changes it. The layout is that of `zoo.store`.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

from edgeleuk import _files, zoo
from edgeleuk.errors import ModelError, UsageError
from edgeleuk.modelstore import _disk, signing
from edgeleuk.modelstore.archive import Archive, read
from edgeleuk.modelstore.update import MANIFEST, NETWORKS, SIGNATURE, VERSION, Update, refusal

REMEMBERED = 16
"""Versions that `rollback` can go back through."""
Check = Callable[[zoo.Model], None]
"""Raises ModelError unless the model works; what is in its networks may be anything."""


@dataclass(frozen=True, slots=True)
class Version:
    """One installed version."""

    magnification: str
    version: str
    in_use: bool
    signed: bool
    """Whether a signature came with it; it was checked when it was installed."""
    problem: str | None
    """Why it cannot be used; None where every file is as it was installed."""


@dataclass(frozen=True, slots=True)
class Installation:
    """What `install` did."""

    magnification: str
    version: str
    was_there: bool
    key: str | None
    """Fingerprint of the trusted key that signed it."""
    signed: bool


def versions(magnification: str) -> list[Version]:
    """Every installed version of a magnification's model, by name; each is verified."""
    with suppress(ModelError):
        return [_version(magnification, folder) for folder in _folders(magnification)]
    return []  # without a home there is no store


def install(data: bytes, check: Check, *, unsigned: bool = False, use_it: bool = True) -> Installation:
    """Install the model of an archive beside those that are there, and use it from now on.

    `check` sees the model in its temporary place. Whatever is raised, the store is as it was: InputError where the
    archive is malformed; ModelError or its children where its content is not what it should be or not trusted, see
    `signing.judge`; UsageError where its version is there with other content; OutputError where the disk fails.
    """
    archive = read(data)
    key = signing.judge(archive, unsigned)
    update = archive.update
    with _disk.changing(zoo.store()):
        there = _is_there(archive)
        if not there:
            _put(archive, check)
        if use_it:
            _point(update.magnification, update.version)
    return Installation(
        update.magnification, update.version, there, key, signed=archive.signature is not None
    )


def use(magnification: str, version: str) -> None:
    """Use an installed version, or `zoo.BUILTIN`. Raises UsageError where there is none, ModelError where it is altered."""
    with _disk.changing(zoo.store()):
        if version != zoo.BUILTIN:
            _find(magnification, version)
        elif magnification not in zoo.shipped():
            raise UsageError(f"no {magnification} model came with the program.")
        _point(magnification, version)


def rollback(magnification: str) -> str:
    """Use the version that was in use before, and return it. Raises UsageError where there was none."""
    with _disk.changing(zoo.store()):
        _, *before = zoo.used(magnification)
        if not before:
            raise UsageError(
                f"no other {magnification} model was in use before. Installed: {_names(magnification)}."
                f" Choose one with `edgeleuk models use {magnification} VERSION`."
            )
        if before[0] != zoo.BUILTIN:
            _find(magnification, before[0])
        _write_pointer(magnification, before)
        return before[0]


def remove(magnification: str, version: str) -> None:
    """Remove an installed version for good. Raises UsageError while it is in use, or where it is not there."""
    with _disk.changing(zoo.store()):
        current, *before = zoo.used(magnification)
        if version == current or version == zoo.BUILTIN:
            what = "came with the program" if version == zoo.BUILTIN else "is in use"
            raise UsageError(
                f"the {magnification} model {version} {what} and is not removed."
                f" To use another: `edgeleuk models use {magnification} VERSION`."
            )
        folder = _folder(magnification, version)
        if version in before:
            _write_pointer(magnification, [current, *(name for name in before if name != version)])
        _disk.discard(folder, zoo.store())
        with suppress(OSError):
            folder.parent.rmdir()  # where it was the last


def _is_there(archive: Archive) -> bool:
    """Whether this very model is installed and whole. Raises UsageError where another one of its name is."""
    update = archive.update
    for folder in _folders(update.magnification):
        if folder.name == update.version:
            try:
                zoo.installed(folder, update.magnification)
            except ModelError:
                return False  # it is damaged; the archive mends it
            if _files.read_bytes(folder / MANIFEST) == archive.manifest:
                return True
        if folder.name.casefold() == update.version.casefold():
            raise UsageError(
                f"another {update.magnification} model is installed as version {folder.name}. Remove it with `edgeleuk"
                f" models remove {update.magnification} {folder.name}`, or pack the new one under another version."
            )
    return False


def _put(archive: Archive, check: Check) -> None:
    """Into a folder of its own under a temporary name, on the disk, checked as it lies there; then to its place."""
    store, update = zoo.store(), archive.update
    target = store / update.magnification / update.version
    with _disk.new_folder(store) as folder:
        entries = {MANIFEST: archive.manifest, **archive.files}
        if archive.signature is not None:
            entries[SIGNATURE] = archive.signature
        for name, content in entries.items():
            _disk.write(folder / name, content)
        _disk.sync(folder)
        try:
            check(_checked(folder, update))
        except ModelError as error:
            reason = str(error).replace(f"{folder}{os.sep}", "").rstrip(".")
            raise refusal(reason, type(error)) from error
        target.parent.mkdir(exist_ok=True)
        if target.exists():
            _disk.discard(target, store)
        folder.rename(target)
    _disk.sync(target.parent)
    _disk.sync(store)


def _checked(folder: Path, update: Update) -> zoo.Model:
    """The unpacked model, which must be the one its archive announced. Raises ModelError."""
    model = zoo.installed(folder, update.magnification)
    if model.version != update.version:
        raise ModelError(f"it says version {update.version}, its model {model.version[:60]!r}")
    networks = {path.name for path in folder.iterdir() if path.suffix in NETWORKS}
    if surplus := networks ^ {path.name for path in model.files}:
        raise ModelError(f"its networks and its model.json do not match ({', '.join(sorted(surplus))})")
    return model


def _point(magnification: str, version: str) -> None:
    try:
        before = zoo.used(magnification)
    except ModelError:  # unreadable, and written anew just because of that
        before = (zoo.BUILTIN,)
    _write_pointer(magnification, [version, *before])


def _write_pointer(magnification: str, used: list[str]) -> None:
    """The versions in the order of their use, the one in use first."""
    current, *before = (name for name, _ in groupby(used))
    text = json.dumps({"in_use": current, "before": before[:REMEMBERED]}, indent=2) + "\n"
    _disk.replace(zoo.store() / f"{magnification}.json", text.encode(), zoo.store())


def _find(magnification: str, version: str) -> zoo.Model:
    """An installed version, verified."""
    return zoo.installed(_folder(magnification, version), magnification)


def _folder(magnification: str, version: str) -> Path:
    for folder in _folders(magnification):
        if folder.name == version:
            return folder
    raise UsageError(
        f"no {magnification} model {version!r} is installed. Installed: {_names(magnification)}."
        " `edgeleuk models list` shows them."
    )


def _folders(magnification: str) -> Iterator[Path]:
    """What is in the store under the name of a version; nothing else there is ever touched."""
    place = zoo.store() / magnification
    if magnification not in zoo.MAGNIFICATIONS:
        raise UsageError(f"unknown magnification {magnification!r}. Known: {', '.join(zoo.MAGNIFICATIONS)}.")
    if _files.is_folder(place):
        yield from sorted(each for each in place.iterdir() if VERSION.fullmatch(each.name) and each.is_dir())


def _names(magnification: str) -> str:
    return ", ".join(folder.name for folder in _folders(magnification)) or "none"


def _version(magnification: str, folder: Path) -> Version:
    problem = None
    try:
        zoo.installed(folder, magnification)
    except ModelError as error:
        problem = str(error)
    used = ""
    with suppress(ModelError):
        used = zoo.used(magnification)[0]
    return Version(magnification, folder.name, folder.name == used, (folder / SIGNATURE).exists(), problem)
