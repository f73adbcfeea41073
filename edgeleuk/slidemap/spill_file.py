"""Temporary storage on disk for seldom-used data.

For long sessions: memory is what a small computer has least of. The file has no name. It belongs to the
process and goes with it, also after a power cut; nobody else can open it.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import IO
from weakref import finalize

from edgeleuk.errors import StoreError
from edgeleuk.system.wording import command

LASTING = Path("/var/tmp")
"""Folder for temporary files that may be large.

/tmp is memory on some systems, as on Debian from its 13th version on.
"""

Kept = tuple[int, int] | bytes
"""Location of kept bytes, or the bytes themselves.

Start and length in the spill file; or the bytes, if the file did not take them.
"""


class SpillFile:
    """Store of bytes in a temporary file.

    Use from one thread.
    """

    def __init__(self) -> None:
        self._file: IO[bytes] | None = None
        self._end = 0

    def put(self, content: bytes) -> Kept:
        """Keep bytes and return their location.

        On the disk, or in memory if the disk is full or read-only.
        """
        try:
            file = self._opened()
            file.seek(self._end)
            if file.write(content) != len(content):
                return content
        except OSError:
            return content
        start, self._end = self._end, self._end + len(content)
        return start, len(content)

    def get(self, kept: Kept) -> bytes:
        """Return kept bytes.

        Raises:
            StoreError: If the disk does not give them back.
        """
        if isinstance(kept, bytes):
            return kept
        start, length = kept
        try:
            file = self._opened()
            file.seek(start)
            content = file.read(length)
        except OSError as error:
            raise StoreError(_lost(error.strerror)) from error
        if len(content) != length:
            raise StoreError(_lost("it is shorter than it was"))
        return content

    def _opened(self) -> IO[bytes]:
        if self._file is None:
            self._file = tempfile.TemporaryFile(buffering=0, dir=folder())  # noqa: SIM115  # closed with the object
            finalize(self, self._file.close)
        return self._file


def folder() -> Path:
    """Return the folder for temporary files.

    The one that TMPDIR names, else LASTING if it exists, else Python's default.
    """
    if named := os.environ.get("TMPDIR"):
        return Path(named)
    return LASTING if LASTING.is_dir() else Path(tempfile.gettempdir())


def _lost(why: str | None) -> str:
    return (
        f"the map of this slide cannot be read from its temporary file in {folder()}: {why}. The disk may be failing; what"
        f" was counted is in the session, and `{command('sessions resume')}` goes on with it."
    )
