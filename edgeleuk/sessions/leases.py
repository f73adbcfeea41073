"""Locks that end with the process that holds them.

They give a session one writer, and a camera one process.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import re
import time
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType

from edgeleuk.errors import StoreError
from edgeleuk.system import file_io, private_files
from edgeleuk.system.wording import option

PATIENCE_S = 0.25
"""Seconds to wait for a brief lock.

For a lock that somebody only looks at (see `held`), not one that is held for a session.
"""
RETRY_S = 0.02
MOST_BYTES = 1000
"""Maximum bytes of a lock file that are read.

It says who holds the lock.
"""


@dataclass(frozen=True, slots=True)
class Holder:
    """Holder of a lease."""

    process: int
    since: str
    """Start of the lease, UTC, ISO 8601, to the second."""

    def __str__(self) -> str:
        return f"process {self.process} since {self.since.replace('T', ' ').removesuffix('+00:00')} UTC"


class Lease:
    """Exclusive lock on a name.

    It is held from construction to `release` or to the death of the process. It is a flock on a small file
    that says who holds it. The kernel drops the lock however the process ends, so a lease is never stale; the
    file that a killed process leaves behind means nothing.
    """

    def __init__(self, folder: Path, name: str, taken: str, patience_s: float = PATIENCE_S) -> None:
        """Take the lock.

        Args:
            folder: Folder of the lock files.
            name: Name to lock.
            taken: Message if another process holds it, with {holder}.
            patience_s: Seconds to wait for it.

        Raises:
            StoreError: If another process holds it, worded by `taken`, or if no lock can be had.
        """
        self.path = lock_file(folder, name)
        self._file: int | None = None
        deadline = time.monotonic() + patience_s
        while (descriptor := self._try()) is None:
            if time.monotonic() > deadline:
                raise StoreError(taken.format(holder=_holder(self.path) or "another process"))
            time.sleep(RETRY_S)
        self._file = descriptor

    def _try(self) -> int | None:
        try:
            private_files.own_folder(self.path.parent)
            descriptor = private_files.open_own(self.path, create=True)
        except FileNotFoundError as error:
            if self.path.parent.is_dir():  # the holder of the last lock cleared the folder meanwhile
                return None
            raise self._impossible(error) from error
        except OSError as error:
            raise self._impossible(error) from error
        # The last holder may have removed the file between our open and our lock: ours then has no name.
        if _lock(descriptor) and _is_at(descriptor, self.path):
            now = datetime.now(UTC).isoformat(timespec="seconds")
            with suppress(OSError):  # a full disk: the lock holds, only its holder stays unknown
                os.truncate(descriptor, 0)
                os.write(descriptor, json.dumps({"process": os.getpid(), "since": now}).encode())
            return descriptor
        os.close(descriptor)
        return None

    def _impossible(self, error: OSError) -> StoreError:
        return StoreError(
            f"cannot lock {self.path}: {error.strerror}. Put that right, or name a {option('store')} in a folder that is yours alone."
        )

    @property
    def held(self) -> bool:
        return self._file is not None

    def release(self) -> None:
        """Release the lock. Safe to call twice."""
        if self._file is not None:
            with suppress(
                OSError
            ):  # a disk that became read-only keeps the file, and the lock goes all the same
                self.path.unlink()
            os.close(self._file)
            self._file = None

    def __enter__(self) -> Lease:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()


def lock_file(folder: Path, name: str) -> Path:
    """Return the path of a name's lock file.

    It is readable, and different for each name.
    """
    readable = re.sub(r"[^A-Za-z0-9.-]+", "_", name)[:60]
    own = hashlib.sha256(name.encode("utf-8", "surrogateescape")).hexdigest()[:8]  # a path may be no text
    return folder / f"{readable}-{own}.lock"


def held(folder: Path, name: str) -> bool:
    """Return whether some process holds a name's lease.

    This process included.
    """
    try:
        descriptor = private_files.open_own(lock_file(folder, name), create=False)
    except OSError:  # absent, or no lock of this user's
        return False
    try:
        return not _lock(descriptor, fcntl.LOCK_SH)
    finally:
        os.close(descriptor)


def _lock(descriptor: int, kind: int = fcntl.LOCK_EX) -> bool:
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _is_at(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False


def _holder(path: Path) -> Holder | None:
    """Return who holds a lease.

    None if the holder has not written yet who it is.
    """
    try:
        told = file_io.read_json(path, MOST_BYTES)
        since = datetime.fromisoformat(told["since"]).astimezone(UTC)
        return Holder(int(told["process"]), since.isoformat(timespec="seconds"))
    except (OSError, ValueError, TypeError, KeyError, OverflowError):
        return None
