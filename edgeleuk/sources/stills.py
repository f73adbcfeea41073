"""Read pictures from files or a watched folder.

Pictures of a folder or pattern come each once and in order.
"""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Protocol

from edgeleuk.errors import CameraError, EdgeleukError, InputError
from edgeleuk.sources.camera import SourceInfo
from edgeleuk.sources.pictures.listing import Found, pages_of, pictures
from edgeleuk.sources.pictures.reading import read_picture
from edgeleuk.system.faults import to_user_error
from edgeleuk.types import Frame, PictureFile, Refusal, TimedFrame

POLL_S = 0.3
"""Polling interval of a watched folder, seconds.

A file whose size and time stay the same for so long is complete.
"""


class PictureReader(Protocol):
    """Decoder for the pictures of a slide.

    `counting.scale_policy.ScalePolicy` is one.
    """

    def survey(self, pictures: Sequence[PictureFile]) -> None:
        """Note which pictures will be read."""

    def read_frame(self, picture: PictureFile) -> Frame:
        """Decode a picture; raises as `read_picture`."""


class PlainReader:
    """Decoder that treats each picture separately."""

    def survey(self, pictures: Sequence[PictureFile]) -> None:
        """Do nothing, as no picture depends on others."""

    def read_frame(self, picture: PictureFile) -> Frame:
        """Decode a picture; raises as `read_picture`."""
        return read_picture(picture)


PLAIN = PlainReader()


def _read(reader: PictureReader, found: PictureFile | InputError) -> Frame:
    """Decode a picture.

    Other pictures are read regardless of its failure.

    Raises:
        EdgeleukError: If it cannot be decoded, whatever its decoder raises.
    """
    if isinstance(found, InputError):
        raise found
    try:
        return reader.read_frame(found)
    except Exception as error:
        raise to_user_error(error, str(found)) from error


class FolderSource:
    """Picture files that paths, folders and globs name.

    A second of its clock is one picture.
    """

    def __init__(self, paths: Sequence[str], reader: PictureReader = PLAIN) -> None:
        """List the pictures and read the first.

        `reader` decodes them, once it has seen which there are.

        Raises:
            InputError: If there is no picture, or none can be read.
        """
        found = list(pictures(paths, None))
        left_out = tuple(each for each in found if isinstance(each, Refusal))
        self._reader = reader
        reader.survey([each for each in found if isinstance(each, PictureFile)])
        self._found = iter([each for each in found if not isinstance(each, Refusal)])
        self._number = 0
        self._unread: list[EdgeleukError] = []
        """Errors before the first picture, to be raised in turn."""
        first = self._first_frame()
        self._first: Frame | None = first
        self._info = SourceInfo(
            ", ".join(paths), first.width, first.height, None, live=False, stills=True, left_out=left_out
        )

    @property
    def info(self) -> SourceInfo:
        """Description with the first picture's size.

        Other pictures may differ.
        """
        return self._info

    def read(self, timeout: float) -> TimedFrame | None:  # noqa: ARG002  # a file answers
        """Return the next picture, see Source.

        Raises:
            EdgeleukError: For each path that cannot be read, in its turn.
        """
        if self._unread:
            raise self._unread.pop(0)
        frame, self._first = self._first, None
        if frame is None:
            frame = self._next_frame()
        if frame is None:
            return None
        timed = TimedFrame(frame, float(self._number), self._number)
        self._number += 1
        return timed

    def close(self) -> None:
        self._found = iter(())

    def _first_frame(self) -> Frame:
        while True:
            try:
                frame = self._next_frame()
            except EdgeleukError as error:
                self._unread.append(error)
                continue
            if frame is None:
                raise self._unread[0] if self._unread else InputError("no picture was named.")
            return frame

    def _next_frame(self) -> Frame | None:
        found = next(self._found, None)
        return None if found is None else _read(self._reader, found)


Stamp = tuple[int, int]
"""Size in bytes, and last change in nanoseconds.

They tell a new picture under an old name.
"""
UNFINISHED = frozenset({".part", ".partial", ".crdownload", ".download", ".filepart", ".tmp", ".temp"})
"""Suffixes of files that are still being written.

They get another name at the end.
"""


class WatchSource:
    """Pictures put into a folder from now on.

    Each comes when it is complete. Pictures that are already there are left out.
    """

    def __init__(self, folder: Path, reader: PictureReader = PLAIN) -> None:
        """Start watching a folder.

        Raises:
            InputError: If there is no such folder, or it cannot be listed.
        """
        self._folder, self._reader = folder, reader
        self._pages: list[Found] = []
        """Unreturned pictures of the last file."""
        self._opened, self._number = time.monotonic(), 0
        self._seen = self._listing()
        """Files that were there before, or were taken."""
        self._growing: dict[Path, tuple[Stamp, float]] = {}
        """New files that may still be being written.

        Each has the time since which it has not changed.
        """
        self._trouble = ""
        self._info = SourceInfo(f"watch:{folder}", 0, 0, None, live=False, stills=True)

    @property
    def info(self) -> SourceInfo:
        """Description of the source.

        Width and height are 0: each picture has its own.
        """
        return self._info

    def read(self, timeout: float) -> TimedFrame:
        """Return the next picture that appears.

        Raises:
            CameraError: If none appeared within `timeout` seconds; the call can be repeated.
            EdgeleukError: If what appears is no picture, or cannot be read.
        """
        until = time.monotonic() + timeout
        while not self._pages:
            if path := self._whole():
                self._pages = list(pages_of(path))
                break
            left = until - time.monotonic()
            if left <= 0:
                raise CameraError(self._trouble or f"no new picture in {self._folder} yet.")
            time.sleep(min(POLL_S, left))
        found = self._pages.pop(0)
        frame = _read(self._reader, InputError(found.text) if isinstance(found, Refusal) else found)
        timed = TimedFrame(frame, time.monotonic() - self._opened, self._number)
        self._number += 1
        return timed

    def close(self) -> None:
        """Do nothing, as no device is open."""

    def _whole(self) -> Path | None:
        """Return the oldest new file that has stopped changing."""
        try:
            listing = self._listing()
        except InputError as error:  # a memory card that was removed may come back
            self._trouble = str(error)
            return None
        self._trouble = ""
        now = time.monotonic()
        growing = {}
        for path, stamp in listing.items():
            if self._seen.get(path) != stamp:
                before, since = self._growing.get(path, (None, now))
                growing[path] = (stamp, since if before == stamp else now)
        self._growing = growing
        # What is no file, such as a pipe, never has a size.
        done = [
            path
            for path, (stamp, since) in growing.items()
            if (stamp[0] or not path.is_file()) and now - since >= POLL_S
        ]
        if not done:
            return None
        path = min(done, key=lambda p: (listing[p][1], p))
        self._seen[path] = listing[path]
        return path

    def _listing(self) -> dict[Path, Stamp]:
        found = {}
        try:
            with os.scandir(self._folder) as entries:
                for entry in entries:
                    unfinished = Path(entry.name).suffix.lower() in UNFINISHED
                    if entry.name.startswith(".") or unfinished or entry.is_dir():
                        continue
                    with suppress(OSError):  # it is gone, or a broken link
                        about = entry.stat()
                        found[Path(entry.path)] = (about.st_size, about.st_mtime_ns)
        except FileNotFoundError as error:
            raise InputError(
                f"the folder {self._folder} does not exist. Make it, or check the path."
            ) from error
        except OSError as error:
            raise InputError(
                f"cannot list {self._folder}: {error.strerror}. Check its permissions."
            ) from error
        return found
