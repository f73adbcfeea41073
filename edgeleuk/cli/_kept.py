"""Messages about damaged sessions."""

from __future__ import annotations

from collections.abc import Sequence

from edgeleuk.cli._console import warn


def tell_lost(lost: Sequence[str]) -> None:
    """Warn about data lost from a damaged session file."""
    for text in lost:
        warn(text)
    if lost:
        warn(
            "the file of the sessions is damaged, and its disk may be failing. Copy it elsewhere; `sqlite3 FILE .recover` may"
            " save more of it."
        )
