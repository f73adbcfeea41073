"""Cell positions of a field.

Two fields are compared by the similarity that lays one upon the other. Small groups of neighbouring cells
have the same shape whatever way a picture was taken: shifted, turned, enlarged, at another measured scale (as
groups of stars have for astrometry.net: Lang et al., Astronomical Journal 139, 1782, 2010). Equal shapes
propose similarities; each is measured by how well all cells of the common area agree.
"""

from __future__ import annotations

import itertools
import math
import pickle
from dataclasses import dataclass, replace
from functools import cached_property

import cv2
import numpy as np
from numpy.typing import NDArray

from edgeleuk.types import PLATELET, WHITE_CELL, Field, FieldOfView

Points = NDArray[np.complex128]
"""(N,) points x + iy of a field.

Micrometres from the field's upper left corner.
"""
Codes = NDArray[np.int64]

NEIGHBOURS = 4
"""Number of neighbours to form groups with.

A cell and any three of these nearest neighbours make a group.
"""
BIN = 0.07
"""Bin width of shapes, in lengths of the longest side.

Twice the effect of cells that are 0.4 um off.
"""
UNSURE = 0.04
"""Tolerance for ambiguous shapes.

Shapes are left out if they are nearly the same from either end, or with the inner cells exchanged: they may
be told either way.
"""
DOWN = 2 * math.ceil(0.87 / BIN) + 4
"""Number of bins across the longest side.

An inner cell is nearer to either end than they are to each other, so it lies within 0.87 of that length on
either side. A few bins are added.
"""
ALONG = math.ceil(1 / BIN) + 3
MOST_CELLS = 1500
"""Maximum number of cells of a field.

A wide field through a 10x objective has more: its white cells are a constellation by themselves.
"""
GRID_UM = 0.5
"""Grid step of the table for `log_odds_at`, um."""
LARGEST_TABLE = 150_000
"""Maximum number of grid points of that table.

The grid of a field at 10x is coarser.
"""
ERROR_UM = 0.6
"""Standard deviation of a cell's centre between pictures, um.

0.2 to 0.5 um were measured, and scales in x and y may differ by more than a similarity takes out.
"""
FAR_UM = 6.0
"""Maximum distance of related cells, um."""
AGAIN = 0.85
"""Probability that a cell is seen again.

Share of the cells of one picture that another one of the same area shows.
"""
RIM_UM = 4.0
"""Margin without cells at a field's edge, um.

Cells are cut there, and not in the constellation. Half a red cell's box.
"""

SIDES = np.array(list(itertools.combinations(range(4), 2)))
OTHERS = SIDES[::-1]
"""Corners of a group not on each of its SIDES."""
CORNERS = np.array(list(itertools.product((0, 1), repeat=4))).reshape(16, 2, 2)


@dataclass(frozen=True)
class Groups:
    """Groups of four neighbouring cells."""

    shapes: NDArray[np.complex128]
    """(Q, 2) inner cells, with outer ones at 0 and 1."""
    starts: Points
    """(Q,) outer cell at 0."""
    steps: Points
    """(Q,) step from there to the other outer cell."""

    @cached_property
    def codes(self) -> Codes:
        """(Q,) codes, equal for nearly equal shapes."""
        return _codes(np.floor(self._parts).astype(np.int64))

    @cached_property
    def probes(self) -> Codes:
        """(Q, 16) codes of the shapes nearest to each."""
        return _codes(np.floor(self._parts - 0.5).astype(np.int64)[:, None] + CORNERS)

    @cached_property
    def sorted(self) -> tuple[Codes, NDArray[np.intp]]:
        """Codes in ascending order, and the group of each."""
        order = self.codes.argsort()
        return self.codes[order], order

    @property
    def _parts(self) -> NDArray[np.float64]:
        """(Q, 2, 2) positions of the inner cells, in bins.

        Along the longest side and across, from 0.
        """
        parts = np.stack([self.shapes.real, self.shapes.imag], axis=-1) / BIN
        return parts + np.array([1.0, DOWN / 2])


def _codes(parts: NDArray[np.int64]) -> Codes:
    """Combine bins (..., 2, 2) into codes (...,)."""
    along, across = parts[..., 0], parts[..., 1]
    each = along * DOWN + across
    codes: Codes = each[..., 0] * (ALONG * DOWN) + each[..., 1]
    return codes


class Constellation:
    """Cells of a field, as points for comparison."""

    def __init__(
        self, points: Points, size_um: tuple[float, float], ground: FieldOfView | None = None
    ) -> None:
        """Store the points and the area of a field.

        Args:
            points: (N,) x + iy, um.
            size_um: Width and height of the field, um.
            ground: Field of view of an eyepiece, um; None if the whole field shows the slide.
        """
        self.points, self.size_um, self.ground = points, size_um, ground

    @classmethod
    def of(cls, field: Field) -> Constellation:
        """Return the constellation of a field.

        It has the red and white cells that no edge cuts, or only the white ones if these are more than
        MOST_CELLS.
        """
        across, down = field.scale.um_per_px_x, field.scale.um_per_px_y
        whole = [cell for cell in field.cells if cell.whole and cell.kind != PLATELET]
        if len(whole) > MOST_CELLS:
            whole = [cell for cell in whole if cell.kind == WHITE_CELL]
        boxes = [cell.box for cell in whole]
        x1, y1, x2, y2 = np.array(boxes, np.float64).reshape(-1, 4).T
        points = (x1 + x2) / 2 * across + 1j * ((y1 + y2) / 2 * down)
        ground = field.field_of_view and field.field_of_view.stretched(across, down)
        return cls(points, (field.width * across, field.height * down), ground)

    def packed(self) -> bytes:
        """Serialise the constellation for `unpacked`."""
        points = self.points.astype(np.complex64)  # to a ten-thousandth of a micrometre
        return pickle.dumps((points, self.size_um, self.ground))

    @classmethod
    def unpacked(cls, packed: bytes) -> Constellation:
        """Restore a constellation from `packed`.

        Only what this process itself packed may be given, since it is a pickle.
        """
        points, size_um, ground = pickle.loads(packed)
        return cls(points.astype(np.complex128), size_um, ground)

    def __len__(self) -> int:
        return len(self.points)

    @cached_property
    def mirrored(self) -> Constellation:
        """The constellation with x to the left.

        Its table must not be used.
        """
        return Constellation(-self.points.conj(), self.size_um)

    @cached_property
    def groups(self) -> Groups:
        """Groups of each cell with three nearest neighbours.

        Any three of its NEIGHBOURS nearest ones.
        """
        corners = self.points[_members(self.points)]
        outer = np.abs(corners[:, SIDES[:, 0]] - corners[:, SIDES[:, 1]]).argmax(axis=1)
        start, end = np.take_along_axis(corners, SIDES[outer], 1).T
        inner = np.take_along_axis(corners, OTHERS[outer], 1)
        apart = np.abs(end - start) > 0  # cells with one common centre have no shape
        start, end, inner = start[apart], end[apart], inner[apart]
        shapes = (inner - start[:, None]) / (end - start)[:, None]
        # A shape can be seen from either end: choose the end that the inner cells are nearer to.
        middle, apart = shapes.real.sum(axis=1) - 1, shapes.real[:, 0] - shapes.real[:, 1]
        sure = (np.abs(middle) > UNSURE) & (np.abs(apart) > UNSURE)
        start, end, shapes, swapped = start[sure], end[sure], shapes[sure], middle[sure] > 0
        shapes[swapped] = 1 - shapes[swapped]
        start, end = np.where(swapped, end, start), np.where(swapped, start, end)
        shapes = np.take_along_axis(shapes, shapes.real.argsort(axis=1), 1)
        return Groups(shapes, start, end - start)

    def shows(self, points: Points, margin_um: float = 0.0) -> NDArray[np.bool_]:
        """Return which points the field shows.

        Points at least `margin_um` from the edge of its area; of any shape.
        """
        width, height = self.size_um
        x, y = points.real, points.imag
        shown: NDArray[np.bool_] = (x >= margin_um) & (y >= margin_um)
        shown &= (x < width - margin_um) & (y < height - margin_um)
        if self.ground:
            glass = self.ground
            least = max(1.0, glass.semi_major - margin_um), max(1.0, glass.semi_minor - margin_um)
            inner = replace(glass, semi_major=least[0], semi_minor=least[1])
            shown &= inner.covers(np.stack([x.ravel(), y.ravel()], axis=1)).reshape(shown.shape)
        return shown

    def log_odds_at(self, points: Points) -> NDArray[np.float32]:
        """Return the log odds of cells at given points.

        For a cell of another picture at each of the points (any shape): the logarithm of how much likelier it
        is if that place is its own than anywhere. 0 beyond the area that the field shows.
        """
        table, step = self._table
        rows, columns = table.shape
        x = (points.real / step).astype(np.int64)
        y = (points.imag / step).astype(np.int64)
        inside = (points.real >= 0) & (points.imag >= 0) & (x < columns) & (y < rows)
        said: NDArray[np.float32] = table[y.clip(0, rows - 1), x.clip(0, columns - 1)] * inside
        return said

    @cached_property
    def _table(self) -> tuple[NDArray[np.float32], float]:
        """Values of `log_odds_at` on a grid.

        With the step of the grid, um.
        """
        width, height = self.size_um
        step = max(GRID_UM, math.sqrt(width * height / LARGEST_TABLE))
        columns, rows = math.ceil(width / step), math.ceil(height / step)
        free = np.full((rows, columns), 255, np.uint8)
        x, y = (self.points.real / step).astype(int), (self.points.imag / step).astype(int)
        free[y.clip(0, rows - 1), x.clip(0, columns - 1)] = 0
        away = cv2.distanceTransform(free, cv2.DIST_L2, 5) * step
        places = (np.arange(columns) + 0.5)[None] * step + 1j * (np.arange(rows) + 0.5)[:, None] * step
        ground = self.shows(places, RIM_UM)
        density = max(int(self.shows(self.points, RIM_UM).sum()), 1) / max(ground.sum() * step**2, 1.0)
        error = max(ERROR_UM, 0.8 * step)
        # Distances have 256 steps, whose values are computed once.
        near = np.exp(-((np.arange(256) * (FAR_UM / 255)) ** 2) / (2 * error**2)) / (2 * np.pi * error**2)
        says = np.log(AGAIN * near / density + 1 - AGAIN).astype(np.float32)
        steps = cv2.convertScaleAbs(away, alpha=255 / FAR_UM)
        return cv2.LUT(steps, says) * ground, step


def _members(points: Points) -> NDArray[np.intp]:
    """Return (Q, 4) groups of neighbouring cells.

    Each group once: a cell with any three of its nearest neighbours.
    """
    if len(points) < 4:
        return np.empty((0, 4), np.intp)
    near = _nearest(points, min(NEIGHBOURS, len(points) - 1))
    triples = np.array(list(itertools.combinations(range(near.shape[1]), 3)))
    each = np.repeat(np.arange(len(points)), len(triples))
    members = np.sort(np.column_stack([each, near[:, triples].reshape(-1, 3)]), axis=1)
    code = np.ravel_multi_index(tuple(members.T), (len(points),) * 4)  # fits for 50,000 cells
    return members[np.unique(code, return_index=True)[1]]


def _nearest(points: Points, number: int) -> NDArray[np.intp]:
    """Return (N, number) nearest other points of each.

    In batches: a field at 10x has thousands.
    """
    found = []
    x, y = points.real.astype(np.float32), points.imag.astype(np.float32)
    for start in range(0, len(points), 512):
        part = slice(start, start + 512)
        away = np.square(x[part, None] - x) + np.square(y[part, None] - y)
        away[np.arange(len(away)), np.arange(start, start + len(away))] = np.inf
        found.append(np.argpartition(away, number - 1, axis=1)[:, :number])
    return np.concatenate(found)
