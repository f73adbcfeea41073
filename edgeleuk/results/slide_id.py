"""Slide ids as they come in.

Kept results may have longer ids, of versions that took them; they are read as they are.
"""

from __future__ import annotations

from edgeleuk._text import tamed
from edgeleuk.errors import UsageError

MOST = 64
"""Maximum characters of a slide id.

A laboratory's system takes no more for a slide's barcode (DICOM PS3.5, LO: Container Identifier). It fits a line of a
terminal, and a file is named by it whole.
"""
SHOWN = 24
"""Characters that a message shows of a longer one."""


def checked(text: str) -> str:
    """Return a slide id that somebody gives.

    Raises:
        UsageError: It is longer than MOST characters.
    """
    if len(text) > MOST:
        start = tamed(text, SHOWN)
        raise UsageError(
            f"slide id {start} has {len(text)} characters, and {MOST} are the most. Use the number on its label."
        )
    return text
