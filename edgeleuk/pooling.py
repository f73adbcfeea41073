"""One camera, one scale: what the pictures of a slide say together.

A single picture misleads where few of its red cells are recognised: those that are were selected by the guess they
were looked for under, and confirm it. Over a slide the pictures that show many red cells agree, and speak for the rest.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from edgeleuk.errors import ScaleError
from edgeleuk.finder import Finder
from edgeleuk.scale import CONTRADICTS, SYSTEMATIC_ERROR, estimate_scale
from edgeleuk.types import RED_CELL, Aperture, Detections, Frame, Scale

LEAST = 2
"""Pictures that have a common scale at least."""
MAJORITY = 4
"""Pictures from which on AGREEING of them are enough: of fewer all must agree, since a majority may be chance."""
NEAR = 0.15
"""Relative distance from the pooled scale within which a picture agrees; means of healthy people's red cells differ by
as much (see SYSTEMATIC_ERROR), those of one slide by less."""
AGREEING = 2 / 3
"""Share of the pictures, of those with most red cells, that must agree on a common scale."""
CONTRADICTING = 0.3
"""Relative distance of a picture's red cells from what the common scale has them measure, beyond which another camera
or another zoom took it. Red cells of one slide, well stained or not, stay within half of that."""
WITNESSES = 12
"""Red cells that can contradict."""


def pooled(scales: Sequence[Scale]) -> Scale:
    """The scale of one camera from those measured on several of its pictures, at least one.

    The median of each axis over the half of the pictures with most red cells, weighted by their number. The error is
    that of a median of so many pictures, and never less than the ruler's own.
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
    """The scale of pictures that one camera took under one objective; None where they do not say that it did."""
    if len(scales) < LEAST:
        return None
    found = pooled(scales)
    few = len(scales) < MAJORITY
    telling = scales if few else _telling(scales)
    agreeing = [each for each in telling if _distance(each, found) <= NEAR]
    return found if len(agreeing) >= (1.0 if few else AGREEING) * len(telling) else None


def contradicted(scale: Scale, found: Detections, box_um: float) -> bool:
    """Whether the red cells that were found under a scale are of another size than red cells have.

    `box_um`: side of the finder's box around one, um.
    """
    boxes = found.of(RED_CELL).boxes
    if len(boxes) < WITNESSES:
        return False
    widths, heights = boxes[:, 2] - boxes[:, 0], boxes[:, 3] - boxes[:, 1]
    sizes_um = np.sqrt(widths * heights) * scale.um_per_px
    return bool(abs(np.log(np.median(sizes_um) / box_um)) > np.log1p(CONTRADICTING))


def disagreeing(scale: Scale, found: Detections, frame: Frame, disc: Aperture | None, finder: Finder) -> bool:
    """Whether a picture in which `scale` shows too few red cells to contradict it shows them at another one.

    Under a scale far off, as that of another objective, red cells are not found at all.
    """
    if len(found.of(RED_CELL)) >= WITNESSES:
        return False
    try:
        own = estimate_scale(frame.pixels, finder, frame.name, scale, disc, CONTRADICTS)
    except ScaleError:
        return False
    return own.red_cells >= WITNESSES and abs(np.log(own.um_per_px / scale.um_per_px)) > np.log1p(
        CONTRADICTING
    )


def _telling(scales: Sequence[Scale]) -> list[Scale]:
    """Those with at least as many red cells as the median one has."""
    median = np.median([scale.red_cells for scale in scales])
    return [scale for scale in scales if scale.red_cells >= median]


def _distance(scale: Scale, other: Scale) -> float:
    """Relative, of the axis that differs more."""
    across, down = scale.um_per_px_x / other.um_per_px_x, scale.um_per_px_y / other.um_per_px_y
    return float(np.expm1(max(abs(np.log(across)), abs(np.log(down)))))


def _weighted_median(values: NDArray[np.float64], weights: NDArray[np.float64]) -> float:
    """The value (N,) below and above which half of the weight lies."""
    order = np.argsort(values)
    half = np.searchsorted(np.cumsum(weights[order]), weights.sum() / 2)
    return float(values[order[half]])
