"""Common scale of the pictures that one camera took of a slide.

A single picture misleads where few of its red cells are recognised: those that are were selected by the guess
they were searched under, and confirm it. Over a slide the pictures that show many red cells agree, and their
scale holds for the rest.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from edgeleuk.errors import ScaleError
from edgeleuk.networks.finder import Finder
from edgeleuk.scale.red_cells import CONTRADICTS, SYSTEMATIC_ERROR, estimate_scale
from edgeleuk.types import RED_CELL, Detections, FieldOfView, Frame, Scale

LEAST = 2
"""Minimum number of pictures for a common scale."""
MAJORITY = 4
"""Minimum number of pictures for a majority decision.

From this number on a share of AGREEING is enough; of fewer all must agree, since a majority may be chance.
"""
NEAR = 0.15
"""Maximum relative distance from the pooled scale to agree.

Means of healthy people's red cells differ by as much (see SYSTEMATIC_ERROR), those of one slide by less.
"""
AGREEING = 2 / 3
"""Share of pictures that must agree on a common scale.

Of those with most red cells.
"""
CONTRADICTING = 0.3
"""Relative size difference of red cells that contradicts a scale.

Beyond it another camera or another zoom took the picture. Red cells of one slide, well stained or not, stay
within half of that.
"""
WITNESSES = 12
"""Minimum number of red cells for a contradiction."""


def pooled(scales: Sequence[Scale]) -> Scale:
    """Combine scales of one camera's pictures, at least one.

    The median of each axis over the half of the pictures with most red cells, weighted by their number. The
    error is that of a median of so many pictures, and never less than SYSTEMATIC_ERROR. A scale that was not
    measured on red cells is returned as it is.
    """
    given = [scale for scale in scales if scale.source != "red cells"]
    if given:
        return given[0]
    telling = _telling(scales)
    weights = np.array([max(scale.red_cells, 1) for scale in telling], np.float64)
    x = _weighted_median(np.array([scale.um_per_px_x for scale in telling]), weights)
    y = _weighted_median(np.array([scale.um_per_px_y for scale in telling]), weights)
    sampling = np.sqrt(np.maximum(np.square([s.relative_error for s in telling]) - SYSTEMATIC_ERROR**2, 0))
    # 1.2533: the standard error of a median over that of a mean, of normal values.
    share = 1.2533 / np.sqrt(len(telling)) if len(telling) > 1 else 1.0
    error = float(np.hypot(share * np.median(sampling), SYSTEMATIC_ERROR))
    return Scale(x, y, "red cells", error, sum(scale.red_cells for scale in telling))


def common(scales: Sequence[Scale]) -> Scale | None:
    """Return the common scale of pictures, or None.

    None where they do not show that one camera took them under one objective.
    """
    if len(scales) < LEAST:
        return None
    found = pooled(scales)
    few = len(scales) < MAJORITY
    telling = scales if few else _telling(scales)
    agreeing = [each for each in telling if _distance(each, found) <= NEAR]
    return found if len(agreeing) >= (1.0 if few else AGREEING) * len(telling) else None


def contradicted(scale: Scale, found: Detections, box_um: float) -> bool:
    """Return whether red cells have the wrong size under a scale.

    Args:
        scale: Scale under which the cells were found.
        found: Detections of the picture.
        box_um: Side of the finder's box around a red cell, um.
    """
    boxes = found.of(RED_CELL).boxes
    if len(boxes) < WITNESSES:
        return False
    widths, heights = boxes[:, 2] - boxes[:, 0], boxes[:, 3] - boxes[:, 1]
    sizes_um = np.sqrt(widths * heights) * scale.um_per_px
    return bool(abs(np.log(np.median(sizes_um) / box_um)) > np.log1p(CONTRADICTING))


def disagreeing(
    scale: Scale, found: Detections, frame: Frame, field_of_view: FieldOfView | None, finder: Finder
) -> bool:
    """Return whether red cells appear only under another scale.

    Applies where `scale` shows too few red cells to contradict it: under a scale far off, such as that of
    another objective, red cells are not found at all.

    Args:
        scale: Scale under which the cells were found.
        found: Detections of the picture.
        frame: The picture.
        field_of_view: Field of view; None for the whole picture.
        finder: Finder to search other scales with.
    """
    if len(found.of(RED_CELL)) >= WITNESSES:
        return False
    try:
        own = estimate_scale(frame.pixels, finder, frame.name, scale, field_of_view, CONTRADICTS)
    except ScaleError:
        return False
    return own.red_cells >= WITNESSES and abs(np.log(own.um_per_px / scale.um_per_px)) > np.log1p(
        CONTRADICTING
    )


def _telling(scales: Sequence[Scale]) -> list[Scale]:
    """Return scales with at least the median number of red cells."""
    median = np.median([scale.red_cells for scale in scales])
    return [scale for scale in scales if scale.red_cells >= median]


def _distance(scale: Scale, other: Scale) -> float:
    """Return the relative distance along the axis that differs more."""
    across, down = scale.um_per_px_x / other.um_per_px_x, scale.um_per_px_y / other.um_per_px_y
    return float(np.expm1(max(abs(np.log(across)), abs(np.log(down)))))


def _weighted_median(values: NDArray[np.float64], weights: NDArray[np.float64]) -> float:
    """Return the weighted median of values (N,)."""
    order = np.argsort(values)
    half = np.searchsorted(np.cumsum(weights[order]), weights.sum() / 2)
    return float(values[order[half]])
