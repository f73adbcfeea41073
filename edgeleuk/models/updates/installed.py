"""Installed models: several versions, one of them in use.

`registry` reads the store, this module changes it. The layout is that of `registry.store`.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

from edgeleuk.errors import ModelError, UsageError
from edgeleuk.models import registry
from edgeleuk.models.updates import _disk, signing
from edgeleuk.models.updates.archive import Archive, read
from edgeleuk.models.updates.update import MANIFEST, NETWORKS, SIGNATURE, VERSION, Update, refusal
from edgeleuk.system import file_io
from edgeleuk.system.wording import command

REMEMBERED = 16
"""Number of versions kept for `rollback`."""
Check = Callable[[registry.Model], None]
"""Test of a model that raises ModelError if it fails.

The networks of a model may contain anything.
"""


@dataclass(frozen=True, slots=True)
class Version:
    """An installed version of a model."""

    magnification: str
    version: str
    in_use: bool
    signed: bool
    """Whether a signature came with it.

    It was checked during installation.
    """
    problem: str | None
    """Why it cannot be used; None if unaltered.

    None means that every file is as it was installed.
    """


@dataclass(frozen=True, slots=True)
class Installation:
    """Result of `install`."""

    magnification: str
    version: str
    was_there: bool
    key: str | None
    """Fingerprint of the trusted key that signed it."""
    signed: bool


def versions(magnification: str) -> list[Version]:
    """Return all installed versions of a magnification, verified.

    They are sorted by name.
    """
    with suppress(ModelError):
        return [_version(magnification, folder) for folder in _folders(magnification)]
    return []  # there is no store without a home folder


def install(data: bytes, check: Check, *, unsigned: bool = False, use_it: bool = True) -> Installation:
    """Install an archive's model beside the existing ones.

    Whatever is raised, the store stays as it was.

    Args:
        data: The archive.
        check: Test of the model, called while it is in its temporary place.
        unsigned: Whether to accept an unsigned archive, see `signing.check_signature`.
        use_it: Whether to use the model from now on.

    Raises:
        InputError: The archive is malformed.
        ModelError: The content is wrong or not trusted (also its subclasses), see `signing.check_signature`.
        UsageError: The version is installed with other content.
        OutputError: The disk fails.
    """
    archive = read(data)
    key = signing.check_signature(archive, unsigned)
    update = archive.update
    with _disk.changing(registry.store()):
        there = _is_there(archive)
        if not there:
            _put(archive, check)
        if use_it:
            _point(update.magnification, update.version)
    return Installation(
        update.magnification, update.version, there, key, signed=archive.signature is not None
    )


def use(magnification: str, version: str) -> None:
    """Use an installed version, or `registry.BUILTIN`.

    Raises:
        UsageError: There is no such version.
        ModelError: The version is altered.
    """
    with _disk.changing(registry.store()):
        if version != registry.BUILTIN:
            _find(magnification, version)
        elif magnification not in registry.shipped():
            raise UsageError(f"no {magnification} model came with the program.")
        _point(magnification, version)


def rollback(magnification: str) -> str:
    """Return to the version used before.

    Returns:
        That version.

    Raises:
        UsageError: There was none.
    """
    with _disk.changing(registry.store()):
        _, *before = registry.used(magnification)
        if not before:
            raise UsageError(
                f"no other {magnification} model was in use before. Installed: {_names(magnification)}."
                f" Choose one with `{command('models use')} {magnification} VERSION`."
            )
        if before[0] != registry.BUILTIN:
            _find(magnification, before[0])
        _write_pointer(magnification, before)
        return before[0]


def remove(magnification: str, version: str) -> None:
    """Remove an installed version for good.

    Raises:
        UsageError: The version is in use, or not installed.
    """
    with _disk.changing(registry.store()):
        current, *before = registry.used(magnification)
        if version == current or version == registry.BUILTIN:
            what = "came with the program" if version == registry.BUILTIN else "is in use"
            raise UsageError(
                f"the {magnification} model {version} {what} and is not removed."
                f" To use another: `{command('models use')} {magnification} VERSION`."
            )
        folder = _folder(magnification, version)
        if version in before:
            _write_pointer(magnification, [current, *(name for name in before if name != version)])
        _disk.discard(folder, registry.store())
        with suppress(OSError):
            folder.parent.rmdir()  # succeeds if it was the last version


def _is_there(archive: Archive) -> bool:
    """Check whether this very model is installed.

    It must also be whole.

    Raises:
        UsageError: Another model of the same version name is installed.
    """
    update = archive.update
    for folder in _folders(update.magnification):
        if folder.name == update.version:
            try:
                registry.installed(folder, update.magnification)
            except ModelError:
                return False  # it is damaged, and the archive repairs it
            if file_io.read_bytes(folder / MANIFEST) == archive.manifest:
                return True
        if folder.name.casefold() == update.version.casefold():
            raise UsageError(
                f"another {update.magnification} model is installed as version {folder.name}. Remove it with"
                f" `{command('models remove')} {update.magnification} {folder.name}`, or pack the new one under another version."
            )
    return False


def _put(archive: Archive, check: Check) -> None:
    """Write a model to the store and check it.

    It is written to a folder of its own under a temporary name, synced, and checked as it lies there; then
    it is moved to its place.
    """
    store, update = registry.store(), archive.update
    target = store / update.magnification / update.version
    with _disk.new_folder(store) as folder:
        entries = {MANIFEST: archive.manifest, **archive.files}
        if archive.signature is not None:
            entries[SIGNATURE] = archive.signature
        for name, content in entries.items():
            file_io.write_new(folder / name, content)
        file_io.sync_folder(folder)
        try:
            check(_checked(folder, update))
        except ModelError as error:
            reason = str(error).replace(f"{folder}{os.sep}", "").rstrip(".")
            raise refusal(reason, type(error)) from error
        target.parent.mkdir(exist_ok=True)
        if target.exists():
            _disk.discard(target, store)
        folder.rename(target)
    file_io.sync_folder(target.parent)
    file_io.sync_folder(store)


def _checked(folder: Path, update: Update) -> registry.Model:
    """Return the unpacked model, verified.

    Raises:
        ModelError: It is not the one that its archive announced.
    """
    model = registry.installed(folder, update.magnification)
    if model.version != update.version:
        raise ModelError(f"it says version {update.version}, its model {model.version[:60]!r}")
    networks = {path.name for path in folder.iterdir() if path.suffix in NETWORKS}
    if surplus := networks ^ {path.name for path in model.files}:
        raise ModelError(f"its networks and its model.json do not match ({', '.join(sorted(surplus))})")
    return model


def _point(magnification: str, version: str) -> None:
    try:
        before = registry.used(magnification)
    except ModelError:  # unreadable, and therefore written anew
        before = (registry.BUILTIN,)
    _write_pointer(magnification, [version, *before])


def _write_pointer(magnification: str, used: list[str]) -> None:
    """Write the versions in order of their use.

    The one in use comes first.
    """
    current, *before = (name for name, _ in groupby(used))
    text = json.dumps({"in_use": current, "before": before[:REMEMBERED]}, indent=2) + "\n"
    _disk.replace(registry.store() / f"{magnification}.json", text.encode(), registry.store())


def _find(magnification: str, version: str) -> registry.Model:
    """Return an installed version, verified."""
    return registry.installed(_folder(magnification, version), magnification)


def _folder(magnification: str, version: str) -> Path:
    for folder in _folders(magnification):
        if folder.name == version:
            return folder
    raise UsageError(
        f"no {magnification} model {version!r} is installed. Installed: {_names(magnification)}."
        f" `{command('models list')}` shows them."
    )


def _folders(magnification: str) -> Iterator[Path]:
    """Yield the folders of installed versions.

    They are named like versions; nothing else in the store is ever touched.
    """
    place = registry.store() / magnification
    if magnification not in registry.MAGNIFICATIONS:
        raise UsageError(
            f"unknown magnification {magnification!r}. Known: {', '.join(registry.MAGNIFICATIONS)}."
        )
    if file_io.is_folder(place):
        yield from sorted(each for each in place.iterdir() if VERSION.fullmatch(each.name) and each.is_dir())


def _names(magnification: str) -> str:
    return ", ".join(folder.name for folder in _folders(magnification)) or "none"


def _version(magnification: str, folder: Path) -> Version:
    problem = None
    try:
        registry.installed(folder, magnification)
    except ModelError as error:
        problem = str(error)
    used = ""
    with suppress(ModelError):
        used = registry.used(magnification)[0]
    return Version(magnification, folder.name, folder.name == used, (folder / SIGNATURE).exists(), problem)
