"""Order in which cells are shown to a reviewer."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from edgeleuk.review.review import Review, ReviewedCell
from edgeleuk.types import UNCLASSIFIED


@dataclass(frozen=True, slots=True)
class CellGroup:
    """Cells of one type in the gallery."""

    label: str | None
    """Type; None for cells that were not read."""
    cells: tuple[ReviewedCell, ...]


def gallery(review: Review, *, as_read: bool = False) -> tuple[CellGroup, ...]:
    """Return the cells by type, in the order to look at them.

    Types with flagged cells come first, the gravest reason first; then those not recognised, then the other
    types in the reader's order, then what was not read. Within a type: flagged cells, then the most blast-like (of those not
    recognised) or the least certain.

    Args:
        review: The review.
        as_read: Whether to sort by the label before the review, which no action changes: a page then keeps
            its order. By default by the label that counts now.
    """
    cells: defaultdict[str | None, list[ReviewedCell]] = defaultdict(list)
    for cell in review.cells.values():
        cells[cell.start if as_read else cell.label].append(cell)
    order = {label: place for place, label in enumerate(review.labels)}
    reasons = (review.program if as_read else review.result).verdict.reasons
    graver = {place[:2]: n for n, reason in reversed([*enumerate(reasons)]) for place in reason.cells}

    def rank(label: str | None) -> tuple[bool, int, bool, bool, int]:
        flagged = [cell for cell in cells[label] if _flagged(cell, as_read)]
        gravest = min((graver.get((cell.name, cell.box), len(reasons)) for cell in flagged), default=0)
        return not flagged, gravest, label != UNCLASSIFIED, label is None, order.get(label or "", len(order))

    return tuple(
        CellGroup(label, _in_order(cells[label], label, as_read)) for label in sorted(cells, key=rank)
    )


def _in_order(cells: Iterable[ReviewedCell], label: str | None, as_read: bool) -> tuple[ReviewedCell, ...]:
    def rank(cell: ReviewedCell) -> tuple[bool, float, float, int]:
        likeness = -cell.blast_like if label == UNCLASSIFIED else 0.0
        certainty = cell.reading.probability if cell.reading else 0.0
        return not _flagged(cell, as_read), likeness, certainty, cell.identity

    return tuple(sorted(cells, key=rank))


def _flagged(cell: ReviewedCell, as_read: bool) -> bool:
    return cell.flagged_by_program or (cell.flagged and not as_read)
