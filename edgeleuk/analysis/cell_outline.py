"""Outline of the cell in the middle of a box.

It lies where the colours inside differ most from the colours outside. It is computed in polar coordinates
around the box's middle. Its radius is a multiple of the radius of the ellipse in the box, so that 1 is the
ellipse itself and long cells are as easy as round ones. The cells of a field are outlined together: the path
around a cell is found ray by ray, and a step costs the same for one cell as for twenty.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

Mask = NDArray[np.bool_]
Floats = NDArray[np.float32]

REACH = 1.5
"""Radius of a box's surroundings, in ellipse radii."""
RAYS, STEPS = 72, 60
STEP = REACH / STEPS
RADII = ((np.arange(STEPS, dtype=np.float32) + 0.5) * STEP).astype(np.float32)
ANGLES = (np.arange(RAYS, dtype=np.float32) * (2 * np.pi / RAYS)).astype(np.float32)
SEARCH = slice(20, 50)
"""Steps among which the outline lies: radius 0.5 to 1.25."""
SURELY_IN, SURELY_OUT = 0.7, 1.12
"""Radii of the first colour samples."""
USUAL_RADIUS = 0.93
"""Radius at which the outline is expected.

Boxes are 8 % larger than the cell (see manifest.RED_CELL_BOX_UM).
"""
PRIOR = 2.5
"""Cost of an outline off USUAL_RADIUS.

By radius squared, against evidence integrated over radius.
"""
STIFFNESS = 0.03
"""Cost of a change between rays, by steps squared."""
MAX_TURN = 2
"""Maximum change of the outline between rays, steps."""
NEAR = 0.15
"""Radius on either side of the outline for comparing colours.

Used in the final comparison.
"""
COLOUR_BINS = 16
"""Histogram bins per channel."""
MAX_EVIDENCE = 3.0
"""Maximum log-likelihood ratio of a colour: 20 to 1.

Beyond it one more sample of the colour adds no evidence.
"""


def outlines(passed: Sequence[Floats], boxes: Sequence[Floats]) -> tuple[Floats, Floats]:
    """Outline N cells together.

    Args:
        passed: N pictures (H, W, 3), 0 to 1, the share of light that passes.
        boxes: N boxes (4,), each in pixels of its own picture.

    Returns:
        Radii on each ray, (N, RAYS), and support, (N,): how much the colours on both sides differ, as the
            mean log-likelihood ratio just inside less that just outside. It is 0 where both look the same.
    """
    codes = np.stack([_colours_on_rays(*each) for each in zip(passed, boxes, strict=True)])
    radius = np.broadcast_to(RADII, codes.shape)
    inside, outside = radius < SURELY_IN, radius > SURELY_OUT
    misfit = PRIOR * (RADII - USUAL_RADIUS) ** 2
    for _ in range(2):
        evidence = np.stack([_log_ratio(*each) for each in zip(codes, inside, outside, strict=True)])
        gain = np.cumsum(evidence * RADII, axis=2) * STEP
        edge = RADII[_closed_paths((misfit - gain)[..., SEARCH]) + SEARCH.start] + STEP / 2
        inside, outside = radius < edge[..., None], radius > edge[..., None]
    near = np.abs(radius - edge[..., None]) < NEAR
    support = _mean(evidence, inside & near) - _mean(evidence, outside & near)
    return edge.astype(np.float32), support


def filled(edge: Floats, box: Floats, shape: tuple[int, ...]) -> Mask:
    """Return the mask of pixels inside an outline.

    Args:
        edge: (RAYS,) radii of the outline around the middle of `box`.
        box: (4,) pixels of the picture.
        shape: Height and width of the mask.

    Returns:
        (H, W) bool, True where a pixel's centre lies inside.
    """
    (x, y), (radius_x, radius_y) = (box[:2] + box[2:]) / 2, (box[2:] - box[:2]) / 2
    across = (np.arange(shape[1], dtype=np.float32) + np.float32(0.5) - x) / radius_x
    down = (np.arange(shape[0], dtype=np.float32) + np.float32(0.5) - y) / radius_y
    columns, rows = np.meshgrid(across, down)
    radius, angle = cv2.cartToPolar(columns, rows)
    ray = angle * np.float32(RAYS / (2 * np.pi))
    before = ray.astype(np.intp) % RAYS
    closed = np.append(edge, edge[0])
    mask: Mask = radius < closed[before] + (ray - np.floor(ray)) * np.diff(closed)[before]
    return mask


def _mean(values: Floats, where: Mask) -> Floats:
    """Return the mean of each cell's values at `where`, (N,).

    `values`: (N, rays, steps).
    """
    return np.asarray(values.mean(axis=(1, 2), where=where), np.float32)


def _colours_on_rays(passed: Floats, box: Floats) -> NDArray[np.intp]:
    """Return the colour bin at each step of each ray.

    (RAYS, STEPS).
    """
    centre, radii = (box[:2] + box[2:]) / 2, (box[2:] - box[:2]) / 2
    at = centre - 0.5 + RADII[:, None] * (np.stack([np.cos(ANGLES), np.sin(ANGLES)], axis=1) * radii)[:, None]
    at = at.astype(np.float32)
    colours = cv2.remap(passed, at[..., 0], at[..., 1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    codes: NDArray[np.intp] = (colours * (COLOUR_BINS - 0.01)).astype(np.intp) @ np.array(
        [COLOUR_BINS**2, COLOUR_BINS, 1]
    )
    return codes


def _log_ratio(codes: NDArray[np.intp], inside: Mask, outside: Mask) -> Floats:
    """Return each colour's log-likelihood ratio, inside over outside.

    By smoothed histograms.
    """
    weight = np.broadcast_to(RADII, codes.shape)
    shares: list[Floats] = []
    for where in (inside, outside):
        count = np.bincount(codes[where], weight[where], COLOUR_BINS**3).astype(np.float32)
        for _ in range(3):  # one channel at a time, each brought to the front in turn
            rows = cv2.blur(count.reshape(COLOUR_BINS, -1), (1, 3))
            count = np.ascontiguousarray(rows.reshape((COLOUR_BINS,) * 3).transpose(1, 2, 0))
        shares.append(count.ravel() / count.sum() + COLOUR_BINS**-3)
    ratio: Floats = np.clip(np.log(shares[0] / shares[1]), -MAX_EVIDENCE, MAX_EVIDENCE)[codes]
    return ratio


def _closed_paths(cost: NDArray[np.floating]) -> NDArray[np.intp]:
    """Return the cheapest smooth closed path around each cell.

    `cost`: (N, rays, steps). The result is the step on each ray, (N, rays). Dynamic programming goes around
    twice and the middle round counts: it no longer depends on the starting point.
    """
    cells, rays, steps = cost.shape
    turns = np.arange(2 * MAX_TURN + 1)
    fee = (STIFFNESS * (turns - MAX_TURN) ** 2)[:, None, None]
    # All rays' totals are kept for backtracking, between infinite borders that no path crosses.
    totals = np.full((2 * rays, cells, steps + 2 * MAX_TURN), np.inf)
    within = totals[..., MAX_TURN:-MAX_TURN]
    reachable = np.moveaxis(np.lib.stride_tricks.sliding_window_view(totals, len(turns), axis=2), 3, 1)
    by_ray = np.ascontiguousarray(cost.swapaxes(0, 1), np.float64)
    within[0] = by_ray[0]
    reached, cheapest = np.empty(reachable.shape[1:]), np.empty(by_ray.shape[1:])
    for i in range(1, 2 * rays):
        np.add(reachable[i - 1], fee, out=reached)
        np.minimum.reduce(reached, axis=0, out=cheapest)
        np.add(cheapest, by_ray[i % rays], out=within[i])
    path = np.zeros((2 * rays, cells), np.intp)
    path[-1] = within[-1].argmin(axis=1)
    each = np.arange(cells)
    for i in range(2 * rays - 1, rays // 2, -1):
        came_from = (reachable[i - 1][:, each, path[i]] + fee[..., 0]).argmin(axis=0)
        path[i - 1] = path[i] + came_from - MAX_TURN
    return np.roll(path[rays // 2 : rays // 2 + rays], rays // 2, axis=0).T
