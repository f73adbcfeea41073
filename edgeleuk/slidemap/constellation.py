"""Where the cells of two fields lie to each other: by what similarity the one may be laid upon the other.

Small groups of neighbouring cells have the same shape whatever way a picture was taken: shifted, turned, enlarged, at
another measured scale (as groups of stars have for astrometry.net: Lang et al., Astronomical Journal 139, 1782, 2010).
Equal shapes propose similarities; each is judged by how well all cells of the common ground agree.
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

from edgeleuk.types import PLATELET, WHITE_CELL, Aperture, Field

Points = NDArray[np.complex128]
"""(N,) x + iy, micrometres from a field's upper left corner."""
Codes = NDArray[np.int64]

NEIGHBOURS = 4
"""Of each cell, of which any three make a group with it."""
BIN = 0.07
"""Width of the steps that shapes are told apart by, in lengths of the longest side: twice what cells that are 0.4 um off
bring about."""
UNSURE = 0.04
"""Shapes that are so nearly the same from either end, or with the inner cells exchanged, may be told either way: left out."""
DOWN = 2 * math.ceil(0.87 / BIN) + 4
"""Steps of an inner cell across the longest side: it is nearer to either end than they to each other. And a few more."""
ALONG = math.ceil(1 / BIN) + 3
MOST_CELLS = 1500
"""Of a field, as of a wide one through a 10x objective, whose white cells are a constellation by themselves."""
GRID_UM = 0.5
"""Of the table that tells what a cell at a place speaks for."""
LARGEST_TABLE = 150_000
"""Its places: of a field at 10x they are coarser."""
ERROR_UM = 0.6
"""Standard deviation of a cell's centre between two pictures: 0.2 to 0.5 um were measured, and scales in x and y may differ
by more than a similarity takes out."""
FAR_UM = 6.0
"""A cell that is farther from another one than this has nothing to do with it."""
AGAIN = 0.85
"""Share of the cells of one picture that another one of the same ground shows."""
RIM_UM = 4.0
"""At a field's edge cells are cut, and not in the constellation: half a red cell's box."""

SIDES = np.array(list(itertools.combinations(range(4), 2)))
OTHERS = SIDES[::-1]
"""The two corners of a group that are not on each of its SIDES."""
CORNERS = np.array(list(itertools.product((0, 1), repeat=4))).reshape(16, 2, 2)


@dataclass(frozen=True)
class Groups:
    """Four neighbouring cells each: the shape, and where it lies."""

    shapes: NDArray[np.complex128]
    """(Q, 2) the inner cells where the outer ones are at 0 and 1."""
    starts: Points
    """(Q,) the outer cell at 0."""
    steps: Points
    """(Q,) from there to the other one."""

    @cached_property
    def codes(self) -> Codes:
        """(Q,) one number for all shapes that are nearly the same."""
        return _codes(np.floor(self._parts).astype(np.int64))

    @cached_property
    def probes(self) -> Codes:
        """(Q, 16) the codes of the shapes nearest to each."""
        return _codes(np.floor(self._parts - 0.5).astype(np.int64)[:, None] + CORNERS)

    @cached_property
    def sorted(self) -> tuple[Codes, NDArray[np.intp]]:
        """The codes, ascending, and the group of each."""
        order = self.codes.argsort()
        return self.codes[order], order

    @property
    def _parts(self) -> NDArray[np.float64]:
        """(Q, 2, 2) of each inner cell, along the longest side and across, in steps from 0."""
        parts = np.stack([self.shapes.real, self.shapes.imag], axis=-1) / BIN
        return parts + np.array([1.0, DOWN / 2])


def _codes(parts: NDArray[np.int64]) -> Codes:
    """(...,) of steps (..., 2, 2)."""
    along, across = parts[..., 0], parts[..., 1]
    each = along * DOWN + across
    codes: Codes = each[..., 0] * (ALONG * DOWN) + each[..., 1]
    return codes


class Constellation:
    """The cells of a field, as points that are compared with those of another one."""

    def __init__(self, points: Points, size_um: tuple[float, float], ground: Aperture | None = None) -> None:
        """`size_um`: the field's width and height; `ground`: what an eyepiece shows of it, um."""
        self.points, self.size_um, self.ground = points, size_um, ground

    @classmethod
    def of(cls, field: Field) -> Constellation:
        """The red and white cells of a field that no edge cuts; where these are too many to compare, the white ones."""
        across, down = field.scale.um_per_px_x, field.scale.um_per_px_y
        whole = [cell for cell in field.cells if cell.whole and cell.kind != PLATELET]
        if len(whole) > MOST_CELLS:
            whole = [cell for cell in whole if cell.kind == WHITE_CELL]
        boxes = [cell.box for cell in whole]
        x1, y1, x2, y2 = np.array(boxes, np.float64).reshape(-1, 4).T
        points = (x1 + x2) / 2 * across + 1j * ((y1 + y2) / 2 * down)
        ground = field.aperture and field.aperture.stretched(across, down)
        return cls(points, (field.width * across, field.height * down), ground)

    def packed(self) -> bytes:
        """To be kept; `unpacked` makes it a constellation again."""
        points = self.points.astype(np.complex64)  # to a ten-thousandth of a micrometre
        return pickle.dumps((points, self.size_um, self.ground))

    @classmethod
    def unpacked(cls, packed: bytes) -> Constellation:
        """From what this process packed, and nobody else."""
        points, size_um, ground = pickle.loads(packed)
        return cls(points.astype(np.complex128), size_um, ground)

    def __len__(self) -> int:
        return len(self.points)

    @cached_property
    def mirrored(self) -> Constellation:
        """The same with x to the left. Its table is not to be asked."""
        return Constellation(-self.points.conj(), self.size_um)

    @cached_property
    def groups(self) -> Groups:
        """Each cell with any three of its nearest neighbours."""
        corners = self.points[_members(self.points)]
        outer = np.abs(corners[:, SIDES[:, 0]] - corners[:, SIDES[:, 1]]).argmax(axis=1)
        start, end = np.take_along_axis(corners, SIDES[outer], 1).T
        inner = np.take_along_axis(corners, OTHERS[outer], 1)
        apart = np.abs(end - start) > 0  # cells that all have one middle have no shape
        start, end, inner = start[apart], end[apart], inner[apart]
        shapes = (inner - start[:, None]) / (end - start)[:, None]
        # A shape is seen from either end: the one is chosen to which the inner cells are nearer.
        middle, apart = shapes.real.sum(axis=1) - 1, shapes.real[:, 0] - shapes.real[:, 1]
        sure = (np.abs(middle) > UNSURE) & (np.abs(apart) > UNSURE)
        start, end, shapes, swapped = start[sure], end[sure], shapes[sure], middle[sure] > 0
        shapes[swapped] = 1 - shapes[swapped]
        start, end = np.where(swapped, end, start), np.where(swapped, start, end)
        shapes = np.take_along_axis(shapes, shapes.real.argsort(axis=1), 1)
        return Groups(shapes, start, end - start)

    def shows(self, points: Points, margin_um: float = 0.0) -> NDArray[np.bool_]:
        """Which points lie on the field's ground, this far from its edge."""
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

    def speak(self, points: Points) -> NDArray[np.float32]:
        """What a cell of another picture at each of the points (any shape) says: the logarithm of how much likelier it is
        if that place is its own than anywhere. 0 beyond the ground."""
        table, step = self._table
        rows, columns = table.shape
        x = (points.real / step).astype(np.int64)
        y = (points.imag / step).astype(np.int64)
        inside = (points.real >= 0) & (points.imag >= 0) & (x < columns) & (y < rows)
        said: NDArray[np.float32] = table[y.clip(0, rows - 1), x.clip(0, columns - 1)] * inside
        return said

    @cached_property
    def _table(self) -> tuple[NDArray[np.float32], float]:
        """`speak` for each place of a grid, and its step in um."""
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
        # The distance in 256 steps: what each of them says is worked out once.
        near = np.exp(-((np.arange(256) * (FAR_UM / 255)) ** 2) / (2 * error**2)) / (2 * np.pi * error**2)
        says = np.log(AGAIN * near / density + 1 - AGAIN).astype(np.float32)
        steps = cv2.convertScaleAbs(away, alpha=255 / FAR_UM)
        return cv2.LUT(steps, says) * ground, step


def _members(points: Points) -> NDArray[np.intp]:
    """(Q, 4) groups, each once: a cell with any three of its nearest neighbours."""
    if len(points) < 4:
        return np.empty((0, 4), np.intp)
    near = _nearest(points, min(NEIGHBOURS, len(points) - 1))
    triples = np.array(list(itertools.combinations(range(near.shape[1]), 3)))
    each = np.repeat(np.arange(len(points)), len(triples))
    members = np.sort(np.column_stack([each, near[:, triples].reshape(-1, 3)]), axis=1)
    code = np.ravel_multi_index(tuple(members.T), (len(points),) * 4)  # fits for 50,000 cells
    return members[np.unique(code, return_index=True)[1]]


def _nearest(points: Points, number: int) -> NDArray[np.intp]:
    """(N, number) the nearest other points of each, some at a time: a field at 10x has thousands."""
    found = []
    x, y = points.real.astype(np.float32), points.imag.astype(np.float32)
    for start in range(0, len(points), 512):
        part = slice(start, start + 512)
        away = np.square(x[part, None] - x) + np.square(y[part, None] - y)
        away[np.arange(len(away)), np.arange(start, start + len(away))] = np.inf
        found.append(np.argpartition(away, number - 1, axis=1)[:, :number])
    return np.concatenate(found)
