"""Storage checks for the sessions: permissions, space, write speed."""

from __future__ import annotations

import os
import shlex
import shutil
import statistics
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgeleuk.doctor.findings import Finding
from edgeleuk.errors import EdgeleukError
from edgeleuk.sessions import RESERVE_BYTES, SessionSummary, default_path, open_store
from edgeleuk.system.wording import command

ENOUGH_BYTES = 10 * RESERVE_BYTES
"""Free disk space that is enough, bytes.

Ten times what a live count never touches, and room for hundreds of fields.
"""
BLOCK, BLOCKS = 1_000_000, 4
"""Bytes written and synced at a time, and how often.

Little for a card that wears out, and more than its first buffer.
"""
COMMIT, COMMITS = 4096, 10
"""The same for the writes of a small transaction."""
SLOW_MB_S, SLOW_COMMIT_S = 2.0, 0.25
"""Minimum write speed, MB/s, and maximum commit time, seconds.

They are a fifth of what application class A1 promises for long writes (10 MB/s: SD Physical Layer Specification 5.1),
and a hundred times as long as its 500 small writes a second. A field, a few hundred kilobytes in two commits, then takes
about as long to be written as to be counted.
"""
ELSEWHERE, A_NEW_FILE = (
    'export EDGELEUK_SESSIONS="$HOME/edgeleuk-sessions.db"',
    "This begins a new file, and leaves the old one as it is.",
)


@dataclass(frozen=True, slots=True)
class Speed:
    """Write speed of a folder's disk, with every write synced."""

    mb_s: float
    commit_s: float
    """Median time of a small synced write, seconds."""


def sessions() -> tuple[Finding, SessionSummary | None]:
    """Check that the session file can be read and written.

    Also returns the newest session, or None.
    """
    try:
        path = default_path()
        if not path.exists():
            return _to_be_made(path), None
        with open_store(path, create=False) as store:
            found = store.list()
            writable = os.access(path, os.W_OK) and os.access(path.parent, os.W_OK | os.X_OK)
    except EdgeleukError as error:
        return Finding("sessions", "failure", str(error), ELSEWHERE, A_NEW_FILE), None
    except OSError as error:
        said = f"{path} cannot be looked at: {error.strerror}."
        return Finding("sessions", "failure", said, ELSEWHERE, A_NEW_FILE), None
    facts = {"path": str(path), "sessions": len(found), "writable": writable}
    newest, said = found[0] if found else None, f"{path}: {len(found)} sessions"
    if writable:
        return Finding("sessions", "ok", f"{said}.", facts=facts), newest
    return _closed(f"{said}, and it may not be written.", path.parent, facts), newest


def _to_be_made(path: Path) -> Finding:
    """Check whether a missing session file can be created.

    The nearest existing folder must allow the others to be created in it.
    """
    place = existing(path.parent)
    facts = {"path": str(path), "sessions": 0, "writable": os.access(place, os.W_OK | os.X_OK)}
    if facts["writable"]:
        return Finding("sessions", "ok", f"{path}: none yet; it will be made.", facts=facts)
    said = f"{path} cannot be made: nothing may be written in {place}."
    if place == path.parent:
        return _closed(said, place, facts)
    make = f'sudo install -d -o "$USER" {shlex.quote(str(path.parent))}'
    return Finding("sessions", "failure", said, make, facts=facts)


def _closed(said: str, folder: Path, facts: Mapping[str, Any]) -> Finding:
    """Report a folder that this user may not write to.

    Nobody is told to take it over: it may be the system's.
    """
    advice = f"{A_NEW_FILE} Or ask the owner of {folder} to let you write there."
    return Finding("sessions", "failure", said, ELSEWHERE, advice, facts)


def existing(folder: Path) -> Path:
    """Return a folder, or its nearest existing parent.

    Raises:
        OSError: A folder may not be looked into.
    """
    return next(each for each in (folder, *folder.absolute().parents) if each.is_dir())


def disk() -> Iterator[Finding]:
    """Check free space and write speed where sessions are kept.

    Nothing is left on the disk.
    """
    try:
        place = existing(default_path().parent)
        usage = shutil.disk_usage(place)
    except (EdgeleukError, OSError) as error:
        yield Finding("disk", "failure", f"The disk of the sessions cannot be asked: {error}", "df -h")
        return
    yield _space(place, usage.free, usage.total)
    try:
        speed = measure(place)
    except OSError as error:
        said = f"Nothing could be written in {place}: {error.strerror}."
        yield Finding(
            "write speed", "failure", said, "df -h", "Is the disk full, or mounted to be read only (`mount`)?"
        )
        return
    yield _speed(speed)


def _space(place: Path, free: int, total: int) -> Finding:
    facts = {"folder": str(place), "free_mb": round(free / 1e6), "total_mb": round(total / 1e6)}
    said = f"{free / 1e9:.1f} of {total / 1e9:.1f} GB are free at {place}."
    if free >= ENOUGH_BYTES:
        return Finding("disk", "ok", said, facts=facts)
    remedy, advice = (
        command("sessions list"),
        f"Then `{command('sessions export')} ID` to a stick, and `{command('sessions delete')} ID`.",
    )
    if free >= RESERVE_BYTES:
        return Finding("disk", "warning", said, remedy, advice, facts)
    said += f" {RESERVE_BYTES / 1e6:.0f} MB are kept free, so that nothing is counted any more."
    return Finding("disk", "failure", said, remedy, advice, facts)


def _speed(speed: Speed) -> Finding:
    facts = {"mb_s": round(speed.mb_s, 1), "commit_ms": round(1000 * speed.commit_s, 1)}
    said = f"{speed.mb_s:.0f} MB/s, and {1000 * speed.commit_s:.0f} ms for a small write to be on the disk."
    if speed.mb_s >= SLOW_MB_S and speed.commit_s <= SLOW_COMMIT_S:
        return Finding("write speed", "ok", said, facts=facts)
    advice = (
        "Use a card of application class A1 or A2, or a USB disk; a card that became slow is wearing out."
    )
    return Finding(
        "write speed", "warning", f"{said} Counted fields wait for it.", advice=advice, facts=facts
    )


def measure(folder: Path) -> Speed:
    """Measure the write speed of a folder's disk.

    The temporary file has no name and disappears with this process, however that ends.

    Raises:
        OSError: The folder cannot be written.
    """
    with tempfile.TemporaryFile(dir=folder, buffering=0) as file:
        content = os.urandom(BLOCK)  # random, since some disks compress
        began = time.perf_counter()
        for _ in range(BLOCKS):
            file.write(content)
            os.fsync(file.fileno())
        seconds = time.perf_counter() - began
        commits = []
        for _ in range(COMMITS):
            began = time.perf_counter()
            file.write(content[:COMMIT])
            os.fsync(file.fileno())
            commits.append(time.perf_counter() - began)
    return Speed(BLOCK * BLOCKS / 1e6 / max(seconds, 1e-9), statistics.median(commits))
