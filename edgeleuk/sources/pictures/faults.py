"""Faults of picture files that several formats share.

The sentences begin with the name of the file, which the caller puts before them.
"""

from __future__ import annotations

CUT_SHORT = "is cut short: its end is missing. Copy or take it again."
WRONG_CHECKSUM = "is damaged: a checksum in it is wrong. Copy or take it again."
SENSELESS = "is damaged: its data make no sense. Copy or take it again."


class DamagedError(ValueError):
    """Damage in an image's data.

    The text follows the file's name in a sentence.
    """
