"""Labels that a reviewer can give."""

from __future__ import annotations

from edgeleuk.differential.rules import Rules
from edgeleuk.models.manifest import ReaderManifest


def choices(reader: ReaderManifest, rules: Rules) -> tuple[str, ...]:
    """Return the labels that a reviewer can give, in order.

    Those of the reader, further types that the rules name, "not_a_cell" and "unclassified" (not even a
    person can tell).

    Args:
        reader: Manifest of the reader.
        rules: Rules of the differential.
    """
    raise NotImplementedError
