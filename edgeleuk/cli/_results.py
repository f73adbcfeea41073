"""The folder that a result is written into: it holds one result, and says which."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from edgeleuk import __version__, _private
from edgeleuk._marks import HEAD, MARKER, SCHEMA, mark_of, marked, read_marker
from edgeleuk._text import file_name, readable
from edgeleuk.cli._console import json_text, writable_folder, write
from edgeleuk.errors import OutputError

TABLES = frozenset(
    {
        "results.json", "session.json", "result.edgeleuk", "verdict.csv", "cells.csv", "differential.csv", "estimates.csv",
        "pictures.csv",
    }
)  # fmt: skip
"""Files of fixed names."""


@dataclass(frozen=True, slots=True)
class Run:
    """What is written: a result by its UUID, and whether another one is the same again."""

    result: str
    key: str
    """The same for what may take the place of another result: a session, or the very same pictures."""
    source: str
    """For people."""
    started: str


def key_of(files: Iterable[Path]) -> str:
    """Of the result of these pictures: paths, sizes and times of their last change."""
    found = []
    for path in sorted({os.path.realpath(file) for file in files}):
        with suppress(OSError):
            about = Path(path).stat()
            found.append([readable(path), about.st_size, about.st_mtime_ns])
    return hashlib.sha256(json.dumps(found).encode()).hexdigest()


class ResultFolder:
    """Writes one result into a folder, as a context manager that leaves nothing of an older one beside it.

    The same result written again takes the place of the old one, file by file. Any other one is refused, before hours of
    work and again before the first file is written.
    """

    def __init__(self, folder: Path, run: Run, *, private: bool = False) -> None:
        """Raises OutputError where the folder cannot be written, or holds another result. `private`: for its owner alone."""
        self.path, self._run, self._private = writable_folder(folder, private=private), run, private
        self._before = self._claimed()
        self._written: dict[str, None] = {}

    def picture_name(self, stem: str, suffix: str) -> str:
        """A name for a picture that is not written yet, and that no file of somebody else has."""
        written = {name.casefold() for name in self._written}

        def taken(name: str) -> bool:
            return name.casefold() in written or (
                os.path.lexists(self.path / name) and not self._is_ours(name)
            )

        return file_name(stem, suffix, taken)

    def write(self, name: str, content: str | bytes) -> None:
        """Write a file by its name below the folder; a JPEG with the mark of this result. Raises OutputError."""
        if not self._written:
            self._before = self._claimed()
            self._tell(complete=False, names=self._before.get("files", []))
        if len(PurePosixPath(name).parts) > 1:
            writable_folder((self.path / name).parent, private=self._private)
        if isinstance(content, bytes) and content[:2] == b"\xff\xd8":
            content = marked(content, self._run.result)
        self._written[name] = None
        write(self.path / name, content, _private.FILE if self._private else None)

    def close(self) -> None:
        """Take away what an older writing of this result left, and say what is there. Raises OutputError."""
        if not self._written:
            return
        for name in map(str, self._before.get("files", [])):
            if name not in self._written and self._is_ours(name):
                with suppress(OSError):
                    (self.path / name).unlink()
        self._tell(complete=True, names=[])

    def _claimed(self) -> Mapping[str, Any]:
        """What the folder says of an older writing of this result. Raises OutputError where it holds another one."""
        marker = read_marker(self.path)
        if marker is None:
            older = sorted(name for name in TABLES if os.path.lexists(self.path / name))
            if older:
                raise OutputError(
                    f"{self.path} holds {', '.join(older)} of another result. Name another folder by --out."
                )
            return {}
        if marker.get("key") != self._run.key:
            source, started = marker.get("source", "another slide"), str(marker.get("started", ""))[:16]
            when = f", counted {started.replace('T', ' ')}" if started else ""
            raise OutputError(
                f"{self.path} holds the result of {source}{when}. Name another folder by --out, or remove that one."
            )
        return marker

    def _tell(self, *, complete: bool, names: Iterable[str]) -> None:
        document = {
            "schema": SCHEMA, "edgeleuk": __version__, "result": self._run.result, "key": self._run.key,
            "source": readable(self._run.source), "started": self._run.started, "complete": complete,
            "files": [*dict.fromkeys([*names, *self._written])],
        }  # fmt: skip
        write(self.path / MARKER, json_text(document), _private.FILE if self._private else None)

    def _is_ours(self, name: str) -> bool:
        """Whether a file is of an older writing of this result, by what is in it and not by its name alone."""
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
