"""Result folder: it holds one result, and says which."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from edgeleuk import __version__
from edgeleuk._text import file_name, readable
from edgeleuk.cli._console import json_text, writable_folder, write
from edgeleuk.errors import UsageError
from edgeleuk.system import private_files
from edgeleuk.system.result_marks import HEAD, MARKER, SCHEMA, mark_of, marked, read_marker

TABLES = frozenset(
    {
        "results.json", "session.json", "result.edgeleuk", "verdict.csv", "cells.csv", "differential.csv", "estimates.csv",
        "pictures.csv", "report.html",
    }
)  # fmt: skip
"""Result files with fixed names."""


@dataclass(frozen=True, slots=True)
class Run:
    """Identity of a result to write.

    `result` is its UUID; `key` says whether another result is the same again.
    """

    result: str
    key: str
    """Key shared by results that may replace each other.

    It stands for a session, or for the very same images.
    """
    source: str
    """Source as shown to people."""
    started: str


def key_of(files: Iterable[Path]) -> str:
    """Return the key of the result of these images.

    It covers their paths, sizes and modification times.
    """
    found = []
    for path in sorted({os.path.realpath(file) for file in files}):
        with suppress(OSError):
            about = Path(path).stat()
            found.append([readable(path), about.st_size, about.st_mtime_ns])
    return hashlib.sha256(json.dumps(found).encode()).hexdigest()


class ResultFolder:
    """Writer of one result into a folder, as a context manager.

    Nothing of an older result stays beside it: the same result written again replaces the old one, file by file. Any
    other result is refused, before hours of work and again before the first file is written.
    """

    def __init__(self, folder: Path, run: Run, *, private: bool = False) -> None:
        """Create and claim the folder.

        Args:
            folder: Folder to write into.
            run: Result to write.
            private: Make a new folder readable by its owner alone.

        Raises:
            UsageError: The folder holds another result.
            OutputError: The folder cannot be written.
        """
        self.path, self._run, self._private = writable_folder(folder, private=private), run, private
        self._before = self._claimed()
        self._written: dict[str, None] = {}

    def picture_name(self, stem: str, suffix: str) -> str:
        """Return an unused image name in the folder.

        The name belongs neither to an image already written nor to somebody else's file.
        """
        written = {name.casefold() for name in self._written}

        def taken(name: str) -> bool:
            return name.casefold() in written or (
                os.path.lexists(self.path / name) and not self._is_ours(name)
            )

        return file_name(stem, suffix, taken)

    def write(self, name: str, content: str | bytes) -> None:
        """Write a file below the folder.

        A JPEG gets the mark of this result.

        Raises:
            UsageError: Another result came into the folder meanwhile.
            OutputError: The file cannot be written.
        """
        if not self._written:
            self._before = self._claimed()
            self._tell(complete=False, names=self._before.get("files", []))
        if len(PurePosixPath(name).parts) > 1:
            writable_folder((self.path / name).parent, private=self._private)
        if isinstance(content, bytes) and content[:2] == b"\xff\xd8":
            content = marked(content, self._run.result)
        self._written[name] = None
        write(self.path / name, content, private_files.FILE if self._private else None)

    def close(self) -> None:
        """Remove files of an older version, and list those present.

        Raises:
            OutputError: The list cannot be written.
        """
        if not self._written:
            return
        for name in map(str, self._before.get("files", [])):
            if name not in self._written and self._is_ours(name):
                with suppress(OSError):
                    (self.path / name).unlink()
        self._tell(complete=True, names=[])

    def _claimed(self) -> Mapping[str, Any]:
        """Return the marker of an older version of this result.

        Raises:
            UsageError: The folder holds another result.
        """
        marker = read_marker(self.path)
        if marker is None:
            older = sorted(name for name in TABLES if os.path.lexists(self.path / name))
            if older:
                raise UsageError(
                    f"{self.path} holds {', '.join(older)} of another result. Name another folder by --out."
                )
            return {}
        if marker.get("key") != self._run.key:
            source, started = marker.get("source", "another slide"), str(marker.get("started", ""))[:16]
            when = f", counted {started.replace('T', ' ')}" if started else ""
            raise UsageError(
                f"{self.path} holds the result of {source}{when}. Name another folder by --out, or remove that one."
            )
        return marker

    def _tell(self, *, complete: bool, names: Iterable[str]) -> None:
        document = {
            "schema": SCHEMA, "edgeleuk": __version__, "result": self._run.result, "key": self._run.key,
            "source": readable(self._run.source), "started": self._run.started, "complete": complete,
            "files": [*dict.fromkeys([*names, *self._written])],
        }  # fmt: skip
        write(self.path / MARKER, json_text(document), private_files.FILE if self._private else None)

    def _is_ours(self, name: str) -> bool:
        """Check whether a file belongs to an older version.

        Its content decides, not its name alone.
        """
        path = self.path / name
        if PurePosixPath(name).is_absolute() or ".." in PurePosixPath(name).parts or path.is_symlink():
            return False
        if name in TABLES:
            return True
        try:
            with path.open("rb") as file:
                mark = mark_of(file.read(HEAD))
        except OSError:
            return False
        return mark is not None and mark in (self._before.get("result"), self._run.result)
