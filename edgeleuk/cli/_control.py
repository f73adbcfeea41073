"""Log of control slides for the commands."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from edgeleuk.cli._console import warn
from edgeleuk.errors import EdgeleukError
from edgeleuk.system import file_io

if TYPE_CHECKING:
    from edgeleuk.differential.verdict import Reason
    from edgeleuk.quality_control.log import Entry


def entries_of(path: Path | None) -> list[Entry]:
    """Return the log of control slides, before the store is used.

    Empty without one, and where sessions cannot be read: that is reported where they are kept.

    Args:
        path: Session file; None for the user's own.
    """
    from edgeleuk.quality_control import log
    from edgeleuk.sessions import default_path, open_store

    lost: list[str] = []
    try:
        if file_io.is_absent(path or default_path()):
            return []
        with open_store(path, create=False) as opened:
            entries = log.read(opened, lost)
    except EdgeleukError:
        return []
    for text in lost:
        warn(f"{text} Whether the control slide passed is not sure.")
    return entries


def reasons_now(entries: Sequence[Entry], magnification: str, device: str) -> tuple[Reason, ...]:
    """Return what speaks against the results of now.

    Args:
        entries: Log of control slides.
        magnification: Objective of the result.
        device: Device of the result.
    """
    from edgeleuk.render.control_warnings import reasons_at

    return reasons_at(entries, datetime.now(UTC), magnification, device) if entries else ()
