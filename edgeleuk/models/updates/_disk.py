"""Changes to the store on disk: exclusive, atomic and durable.

One process at a time changes it, a change is made whole or not at all, and it is on the disk before it is
announced.
"""

from __future__ import annotations

import fcntl
import os
import secrets
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from edgeleuk.errors import OutputError, UsageError
from edgeleuk.system import file_io

PATIENCE_S = 60.0
"""Waiting time for another process's change, seconds.

Opening networks on a small computer takes seconds.
"""
RETRY_S = 0.05
TEMPORARY = ".unfinished-"
"""Prefix of files and folders being written or removed.

Only the one process that changes the store has such.
"""


@contextmanager
def changing(store: Path) -> Iterator[None]:
    """Hold the right to change the store.

    It lasts until the block ends or the process dies. What an earlier process left unfinished is removed
    first.

    Raises:
        OutputError: The disk fails.
        UsageError: Another process keeps the store for longer than a minute.
    """
    try:
        made = [folder for folder in (store, *store.parents) if not folder.exists()]
        descriptor = _lock(store)
        try:
            _sweep(store)
            yield
        finally:
            # Folders that are not empty stay; a refused first installation leaves no trace.
            with suppress(OSError):
                for folder in made:
                    folder.rmdir()
            os.close(descriptor)
    except OSError as error:
        raise OutputError(
            f"cannot change the models in {store}: {error.strerror}. What was in use is still in use. Free some space,"
            " change its permissions, or name another folder in EDGELEUK_MODEL_STORE."
        ) from error


def _lock(store: Path) -> int:
    """Lock the store and return its descriptor.

    The folder itself is locked (flock), which leaves no lock file behind and ends with the process.
    """
    deadline = time.monotonic() + PATIENCE_S
    while True:
        store.mkdir(parents=True, exist_ok=True)
        # Another process may have made the folder, and removed it again because it was empty.
        with suppress(FileNotFoundError):
            descriptor = os.open(store, os.O_RDONLY | os.O_DIRECTORY)
            if _held(descriptor, store):
                return descriptor
            os.close(descriptor)
        if time.monotonic() > deadline:
            raise UsageError(
                f"another process is changing the models in {store}. Let it finish, then try again."
            )
        time.sleep(RETRY_S)


def _held(descriptor: int, store: Path) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return os.path.samestat(os.fstat(descriptor), store.stat())
    except (BlockingIOError, FileNotFoundError):
        return False


def _sweep(store: Path) -> None:
    for left in store.glob(f"{TEMPORARY}*"):
        if left.is_dir() and not left.is_symlink():
            shutil.rmtree(left)
        else:
            left.unlink()


@contextmanager
def new_folder(store: Path) -> Iterator[Path]:
    """Create a folder in the store to fill and rename.

    If it is not renamed, it is removed after the block.
    """
    folder = _temporary(store)
    folder.mkdir()
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def discard(folder: Path, store: Path) -> None:
    """Remove a folder, at once for any reader.

    It is renamed first; deleting its content, which takes long, comes after.
    """
    doomed = _temporary(store)
    folder.rename(doomed)
    file_io.sync_folder(folder.parent)
    shutil.rmtree(doomed, ignore_errors=True)


def replace(path: Path, content: bytes, store: Path) -> None:
    """Write a file atomically.

    A power cut leaves the old one or the new one.

    Args:
        path: File to write.
        content: Bytes of the file.
        store: Folder for the temporary file.
    """
    file_io.write_whole(path, content, partial=_temporary(store))
    file_io.sync_folder(path.parent)


def _temporary(store: Path) -> Path:
    return store / f"{TEMPORARY}{secrets.token_hex(4)}"
