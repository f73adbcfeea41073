"""Labels that a reviewer can give."""

from __future__ import annotations

from edgeleuk.models.manifest import ReaderManifest
from edgeleuk.types import NOT_A_CELL, UNCLASSIFIED


def choices(reader: ReaderManifest) -> tuple[str, ...]:
    """Return the labels that a reviewer can give, in order.

    Those of the reader, whose measured errors belong to just these; then "not_a_cell", and "unclassified"
    where not even a person can tell.
    """
    last = (NOT_A_CELL, UNCLASSIFIED)
    return (*(label for label in reader.labels if label not in last), *last)
