"""Order in which cells are shown to a reviewer."""

from __future__ import annotations

from dataclasses import dataclass

from edgeleuk.review.review import Review, ReviewedCell


@dataclass(frozen=True, slots=True)
class Shelf:
    """Cells of one type in the gallery."""

    label: str | None
    """Type; None for cells that were not read."""
    cells: tuple[ReviewedCell, ...]


def gallery(review: Review, *, as_read: bool = False) -> tuple[Shelf, ...]:
    """Return the cells by type, in the order to look at them.

    Types with flagged cells come first, then those not recognised, then the other types in the reader's
    order, then what is no white cell, then what was not read. Within a type: flagged cells, then the most
    blast-like (of those not recognised) or the least certain.

    Args:
        review: The review.
        as_read: Whether to sort by the program's own label, which no action changes: a page then keeps its
            order. By default by the label that counts now.
    """
    raise NotImplementedError
