"""Outbox: reports that another program has not fetched yet.

Each is one file, whole from the moment it has its name. Who fetches one removes it; nothing is sent from here.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from edgeleuk.errors import InputError, OutputError, UsageError
from edgeleuk.system import file_io, private_files, user_paths

VARIABLE = "EDGELEUK_OUTBOX"
"""Environment variable that names the folder."""
SUFFIX = ".fhir.json"
MOST_BYTES = 100_000_000
NAME = re.compile(r"[0-9A-Za-z][0-9A-Za-z._-]{0,120}\.fhir\.json")


@dataclass(frozen=True, slots=True)
class Waiting:
    """One bundle that waits to be fetched."""

    name: str
    size: int
    """Size of the file, bytes."""
    at: str
    """Time at which it was put there, UTC, ISO 8601."""


class Outbox:
    """Folder of bundles, private to this user."""

    def __init__(self, folder: Path | None = None) -> None:
        """Name the folder; nothing is made yet.

        Args:
            folder: The folder; by default the one that EDGELEUK_OUTBOX names, else edgeleuk/outbox in the
                user's data folder.

        Raises:
            OutputError: For a user without a home folder.
        """
        homeless = OutputError(f"this user has no home folder for an outbox. Name one in {VARIABLE}.")
        self.folder = folder or user_paths.users("outbox", "data", VARIABLE, homeless)

    def put(self, name: str, bundle: bytes) -> Path:
        """Put a bundle into the outbox.

        It replaces an older one of its name.

        Raises:
            OutputError: It cannot be written.
        """
        path = self.folder / _checked(name)
        try:
            private_files.make_folder(self.folder)
            file_io.write_whole(path, bundle, private_files.FILE)
        except OSError as error:
            raise OutputError(
                f"cannot write {path}: {error.strerror}. Free some space, or name another folder in {VARIABLE}."
            ) from error
        return path

    def listed(self) -> tuple[Waiting, ...]:
        """Return what waits, the oldest first."""
        found = []
        for path in file_io.listed(self.folder, f"*{SUFFIX}"):
            try:
                about = file_io.require_regular(path)
            except OSError:  # fetched meanwhile
                continue
            if NAME.fullmatch(path.name):
                at = datetime.fromtimestamp(about.st_mtime, UTC).isoformat(timespec="seconds")
                found.append((about.st_mtime, Waiting(path.name, about.st_size, at)))
        return tuple(each for _, each in sorted(found, key=lambda each: (each[0], each[1].name)))

    def read(self, name: str) -> bytes:
        """Read a bundle.

        Raises:
            UsageError: The name is none of a bundle.
            InputError: It is not there, or cannot be read.
        """
        path = self.folder / _checked(name)
        try:
            return file_io.read_bytes(path, MOST_BYTES)
        except OSError as error:
            raise InputError(f"cannot read {path}: {error.strerror}.") from error

    def fetched(self, name: str) -> None:
        """Remove a bundle that was fetched. Safe to call twice.

        Raises:
            UsageError: The name is none of a bundle.
            OutputError: It cannot be removed.
        """
        path = self.folder / _checked(name)
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            raise OutputError(f"cannot remove {path}: {error.strerror}.") from error


def bundle_name(result: str, revision: int, status: str) -> str:
    """Return the file name of a report's bundle.

    One for each result, revision and status, so that a report that is put again replaces itself.
    """
    return f"{re.sub(r'[^0-9A-Za-z-]', '_', result)[:60] or 'result'}-r{revision}-{status}{SUFFIX}"


def _checked(name: str) -> str:
    if not NAME.fullmatch(name):
        raise UsageError(f"{name!r} is no name of a bundle in the outbox.")
    return name
