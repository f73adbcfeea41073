"""Registration of two pictures of a slide.

It finds a translation, and a rotation of a few degrees; or a place near a known one. Both pictures are
brought to square micrometres, flattened and correlated at all shifts at once (in the frequency domain,
padded, so that pictures which share a fifth of themselves are found). A correlation has a peak in any case:
what is believed is decided on the overlap itself, by how unlikely its correlation is for an area of its size.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import islice

import cv2
import numpy as np
from numpy.typing import NDArray

from edgeleuk.imaging.resampling import resize
from edgeleuk.types import RED_CELL_UM, Image, Placement, Scale

Plane = NDArray[np.float32]
Mask = NDArray[np.bool_]

FLATTEN_UM = 10.0
"""Standard deviation of the background blur, um.

The blur stands for uneven light: it is wider than any cell's edge.
"""
CONTRAST = 3.0
"""Clipping limit of pixels, in standard deviations.

One dark nucleus must not outvote the red cells.
"""
PACKING = 127 / CONTRAST
"""Steps per standard deviation in an 8-bit plane."""
MIN_SHARED = 0.05
"""Minimum share of the smaller picture that two share.

Neighbours of a scan overlap by a cell or two, 7 % of a wide field. `Match.evidence` says what so little area
is worth.
"""
CANDIDATES = 5
"""Number of peaks whose overlap is examined."""
PADDING = 48
"""Granularity of the padded size, pixels.

Pictures of different sizes are padded to a multiple of it.
"""
BELIEVED = 0.5
"""Minimum correlation of the overlap."""
EVIDENCE = 5.0
"""Minimum evidence of a match, see Match.

Of 60 pairs of unrelated simulated fields none reached 2.9 at any shift, and of the real 40x slides none 4.7;
neighbours that overlap reach 5 to 60.
"""
INDEPENDENT_UM2 = RED_CELL_UM**2
"""Area of one independent observation, um^2.

About that of a red cell.
"""
ANGLES = tuple(np.radians((-1.2, 1.2, -2.4, 2.4)).tolist())
"""Rotations to try, radians.

They are tried if no match is found without rotation. Between them, the correlation has not yet fallen by a
half.
"""


@dataclass(frozen=True, slots=True)
class Match:
    """Position of a picture in another one's pixels."""

    x: float
    """Position of its upper left corner, pixels of the pictures."""
    y: float
    angle: float
    """Rotation in radians, clockwise as seen."""
    correlation: float
    """Correlation of the overlap, -1 to 1."""
    shared: float
    """Shared area, as a share of the smaller picture."""
    evidence: float
    """Significance of the correlation.

    Fisher's transform of the correlation over its standard error, by the overlap's number of independent
    patches.
    """

    @property
    def believed(self) -> bool:
        return self.correlation >= BELIEVED and self.evidence >= EVIDENCE


def thumbnail(image: Image, scale: Scale, um_per_px: float) -> NDArray[np.uint8]:
    """Return an image's green channel, resampled.

    Both dyes absorb in green.

    Args:
        image: (H, W, 3) image.
        scale: Scale of the image.
        um_per_px: Scale of the result, in both directions.

    Returns:
        (h, w) uint8.
    """
    height, width = image.shape[:2]
    size = (
        max(8, round(width * scale.um_per_px_x / um_per_px)),
        max(8, round(height * scale.um_per_px_y / um_per_px)),
    )
    green: NDArray[np.uint8] = cv2.extractChannel(image, 1)
    # Inexact: a grey level more or less does not matter to a correlation.
    small: NDArray[np.uint8] = resize(green, *size, exact=False)
    return small


class Picture:
    """Thumbnail ready to be correlated.

    Costly parts are computed when they are first asked for, and kept.
    """

    def __init__(self, grey: NDArray[np.uint8], um_per_px: float) -> None:
        """Flatten a thumbnail `grey`, (h, w) uint8."""
        self.um_per_px = um_per_px
        self.plane = _flattened(grey, um_per_px)
        self.shown: Mask | None = None
        """(h, w) mask of pixels that show something.

        None if all do.
        """
        self._padded: Plane | None = None

    @classmethod
    def of_plane(cls, plane: Plane, um_per_px: float, shown: Mask | None = None) -> Picture:
        """Make a picture of a flattened plane.

        Args:
            plane: (h, w) plane, in standard deviations.
            um_per_px: Its scale.
            shown: (h, w) mask of pixels that show something; None if all do.
        """
        picture = cls.__new__(cls)
        picture.um_per_px, picture.plane, picture.shown = um_per_px, plane, shown
        picture._padded = None
        return picture

    @property
    def size(self) -> tuple[int, int]:
        """Width and height, pixels."""
        return self.plane.shape[1], self.plane.shape[0]

    @cached_property
    def ground(self) -> int:
        """Number of pixels that show something.

        Of a picture laid on another one, no more than lie there.
        """
        return self.plane.size if self.shown is None else max(1, int(self.shown.sum()))

    @cached_property
    def spectrum(self) -> Plane:
        """Spectrum of the plane, padded to twice its size.

        Shifts then do not wrap around.
        """
        return self._spectrum(_padded(self.plane.shape, self.plane.shape))

    def spectrum_in(self, shape: tuple[int, int]) -> Plane:
        """Return the spectrum of the plane, padded to a shape.

        For comparison with a picture of another size. The last one is kept.
        """
        if shape == _padded(self.plane.shape, self.plane.shape):
            return self.spectrum
        if self._padded is None or self._padded.shape != shape:
            self._padded = self._spectrum(shape)
        return self._padded

    def _spectrum(self, shape: tuple[int, int]) -> Plane:
        padded = np.zeros(shape, np.float32)
        padded[: self.plane.shape[0], : self.plane.shape[1]] = self.plane
        spectrum: Plane = cv2.dft(padded)
        return spectrum

    def coarser(self, factor: int) -> Picture:
        """Return the picture at a coarser scale.

        With `factor` times as many micrometres per pixel.
        """
        size = (max(8, self.size[0] // factor), max(8, self.size[1] // factor))
        return Picture.of_plane(
            cv2.resize(self.plane, size, interpolation=cv2.INTER_AREA), self.um_per_px * factor
        )

    def enlarged(self, zoom: float) -> Picture:
        """Return the picture at another scale.

        As if each of its micrometres were `zoom` of them.
        """
        size = (max(8, round(self.size[0] * zoom)), max(8, round(self.size[1] * zoom)))
        way = cv2.INTER_AREA if zoom < 1 else cv2.INTER_LINEAR
        return Picture.of_plane(cv2.resize(self.plane, size, interpolation=way), self.um_per_px)

    @cached_property
    def turns(self) -> tuple[tuple[float, Picture], ...]:
        """Picture turned by each of ANGLES, with that angle."""
        return tuple((angle, self.turned(angle)) for angle in ANGLES)

    def packed(self) -> NDArray[np.int8]:
        """Return the plane as 8-bit integers, (h, w).

        It takes a quarter of the memory; `unpacked` makes it a picture again, to 1 % of a standard deviation.
        """
        return np.rint(self.plane * PACKING).astype(np.int8)

    @classmethod
    def unpacked(cls, packed: NDArray[np.int8], um_per_px: float) -> Picture:
        return cls.of_plane(packed.astype(np.float32) / PACKING, um_per_px)

    def turned(self, angle: float) -> Picture:
        """Return the picture turned around its middle.

        By `angle`, radians. Pixels from beyond the edge are empty.
        """
        width, height = self.size
        matrix = cv2.getRotationMatrix2D(((width - 1) / 2, (height - 1) / 2), -np.degrees(angle), 1.0)
        return Picture.of_plane(cv2.warpAffine(self.plane, matrix, (width, height)), self.um_per_px)

    def laid(self, place: Placement, size: tuple[int, int]) -> Picture:
        """Return the picture as another one would show it.

        The other picture has the width and height `size`, and this one lies at `place` on it.
        """
        # Pixel (i, j) has its centre at (i + 1/2, j + 1/2).
        there = place.in_frame(np.array([[0.5, 0.5], [1.5, 0.5], [0.5, 1.5]]) * self.um_per_px)
        origin, right, down = there / self.um_per_px
        matrix = np.column_stack([right - origin, down - origin, origin - 0.5])
        flags = cv2.WARP_INVERSE_MAP | cv2.INTER_LINEAR
        plane = cv2.warpAffine(self.plane, matrix, size, flags=flags)
        mine = np.ones(self.plane.shape, np.uint8) if self.shown is None else self.shown.astype(np.uint8)
        shown = cv2.warpAffine(mine, matrix, size, flags=cv2.WARP_INVERSE_MAP | cv2.INTER_NEAREST)
        return Picture.of_plane(plane, self.um_per_px, shown.astype(bool))


def register(
    known: Picture, picture: Picture, near: tuple[float, float, float] | None = None
) -> Match | None:
    """Register a picture with another one.

    Args:
        known: The other picture.
        picture: The picture, of the same scale.
        near: x, y and radius, pixels, of the shifts to search; None for all.

    Returns:
        The match with most evidence; None if no shift is believed.
    """
    believed = (match for match in candidates(known, picture, near) if match.believed)
    return max(believed, key=lambda match: match.evidence, default=None)


def candidates(
    known: Picture,
    picture: Picture,
    near: tuple[float, float, float] | None = None,
    most: int = CANDIDATES,
) -> Iterator[Match]:
    """Yield the shifts that `register` examines.

    Believed or not, for callers who know more about the pictures.

    Args:
        known: The other picture.
        picture: The picture, of the same scale.
        near: x, y and radius, pixels, of the shifts to search; None for all.
        most: Maximum number of shifts.
    """
    return (_assess(known, picture, x, y) for x, y in islice(_peaks(known, picture, near), most))


def register_turned(known: Picture, picture: Picture) -> Match | None:
    """Register a picture that may be turned.

    As `register`, also with the picture turned by a few degrees. Five times as slow.
    """
    best = register(known, picture)
    for angle, turned in picture.turns:
        match = register(known, turned)
        if match and (best is None or match.evidence > best.evidence):
            best = Match(match.x, match.y, angle, match.correlation, match.shared, match.evidence)
    return best


def _flattened(grey: NDArray[np.uint8], um_per_px: float) -> Plane:
    """Return (h, w) log light without its slow changes.

    In standard deviations.
    """
    light: Plane = cv2.LUT(grey, np.log(np.arange(256) + 8.0).astype(np.float32))
    # Blur at a quarter of the resolution: the same to the eye, in a tenth of the time.
    height, width = light.shape
    quarter = cv2.resize(light, (max(1, width // 4), max(1, height // 4)), interpolation=cv2.INTER_AREA)
    slow = cv2.GaussianBlur(quarter, (0, 0), max(FLATTEN_UM / um_per_px / 4, 0.5))
    flat = light - cv2.resize(slow, (width, height), interpolation=cv2.INTER_LINEAR)
    flat -= flat.mean()
    spread = float(flat.std())
    if spread < 1e-6:
        return np.zeros_like(flat)
    plane: Plane = np.clip(flat / spread, -CONTRAST, CONTRAST).astype(np.float32)
    return plane


def _padded(shape: tuple[int, ...], other: tuple[int, ...]) -> tuple[int, int]:
    """Return a shape in which no shift wraps around."""
    rows, columns = (mine + its for mine, its in zip(shape, other, strict=True))
    if shape != other:  # few distinct shapes, so that a spectrum can be reused
        rows, columns = -(-rows // PADDING) * PADDING, -(-columns // PADDING) * PADDING
    return cv2.getOptimalDFTSize(rows), cv2.getOptimalDFTSize(columns)


@lru_cache(maxsize=16)
def _weights(known: tuple[int, int], shape: tuple[int, int]) -> Plane:
    """Return the weight of each shift, by its overlap.

    One over the root of the overlap, 0 if it is under MIN_SHARED, laid out as the correlation. Significance
    grows with the root of the area that is compared: so weighted, the peak of a true match stands out from
    those of small overlaps that agree by chance.
    """
    down, across = (
        _overlap(*sides) / min(sides[:2]) for sides in zip(known, shape, _padded(known, shape), strict=True)
    )
    shared = down[:, None] * across[None]
    weights: Plane = np.where(shared >= MIN_SHARED, 1 / np.sqrt(np.maximum(shared, 1e-6)), 0).astype(
        np.float32
    )
    return weights


def _overlap(known: int, length: int, padded: int) -> NDArray[np.intp]:
    """Return (padded,) overlap of two lines at each shift.

    Of a line of `known` pixels and one of `length`; the latter is shifted.
    """
    shifts = np.arange(padded)
    shifts[known:] -= padded
    shared: NDArray[np.intp] = (np.minimum(known, shifts + length) - np.maximum(0, shifts)).clip(0)
    return shared


def _peaks(
    known: Picture, picture: Picture, near: tuple[float, float, float] | None
) -> Iterator[tuple[float, float]]:
    """Yield likely shifts (x, y), the best first.

    To a fraction of a pixel.
    """
    shape, other = known.plane.shape, picture.plane.shape
    padded = _padded(shape, other)
    product = cv2.mulSpectrums(known.spectrum_in(padded), picture.spectrum_in(padded), 0, conjB=True)
    weighted = cv2.dft(product, flags=cv2.DFT_INVERSE | cv2.DFT_SCALE | cv2.DFT_REAL_OUTPUT)
    weighted *= _weights((shape[0], shape[1]), (other[0], other[1]))
    rows, columns = weighted.shape
    if near:
        weighted = weighted * _window(rows, columns, near)
    apart = max(2, round(RED_CELL_UM / 2 / known.um_per_px))
    for _ in range(CANDIDATES):
        _, value, _, (x, y) = cv2.minMaxLoc(weighted)
        if value <= 0:
            return
        fine_x, fine_y = _vertex(weighted[y], x), _vertex(weighted[:, x], y)
        yield (
            fine_x - columns if x >= shape[1] else fine_x,
            fine_y - rows if y >= shape[0] else fine_y,
        )
        ys, xs = (np.arange(at - apart, at + apart + 1) for at in (y, x))
        weighted[np.ix_(ys % rows, xs % columns)] = 0


def _window(rows: int, columns: int, near: tuple[float, float, float]) -> Plane:
    """Return a mask of shifts within a radius.

    1 there, else 0, laid out as the correlation.
    """
    x, y, radius = near
    across = np.abs((np.arange(columns) - x + columns / 2) % columns - columns / 2) <= radius
    down = np.abs((np.arange(rows) - y + rows / 2) % rows - rows / 2) <= radius
    window: Plane = (down[:, None] & across[None]).astype(np.float32)
    return window


def _vertex(line: Plane, at: int) -> float:
    """Return the vertex of a parabola through a peak.

    The parabola passes through the peak and its two neighbours.
    """
    left, middle, right = (float(line[(at + step) % len(line)]) for step in (-1, 0, 1))
    bend = left - 2 * middle + right
    if bend >= 0 or left == 0 or right == 0:
        return float(at)
    return at + float(np.clip((left - right) / (2 * bend), -0.5, 0.5))


def _assess(known: Picture, picture: Picture, x: float, y: float) -> Match:
    """Assess the overlap under a shift."""
    dx, dy = round(x), round(y)
    (height, width), (high, wide) = known.plane.shape, picture.plane.shape
    ours = np.s_[max(0, dy) : min(height, dy + high), max(0, dx) : min(width, dx + wide)]
    theirs = np.s_[max(0, -dy) : min(high, height - dy), max(0, -dx) : min(wide, width - dx)]
    mine, other = known.plane[ours], picture.plane[theirs]
    if picture.shown is not None:
        mine, other = mine[picture.shown[theirs]], other[picture.shown[theirs]]
    shared = mine.size / min(known.plane.size, picture.ground)
    if shared < MIN_SHARED:
        return Match(x, y, 0.0, 0.0, shared, 0.0)
    # Take each overlap's own mean and spread: light and focus may differ between the two.
    a, b = mine - mine.mean(), other - other.mean()
    energy = float(np.sqrt(np.vdot(a, a) * np.vdot(b, b)))
    correlation = float(np.vdot(a, b)) / energy if energy > 0 else 0.0
    patches = mine.size * known.um_per_px**2 / INDEPENDENT_UM2
    evidence = float(np.arctanh(min(correlation, 0.999)) * np.sqrt(max(patches - 3, 0)))
    return Match(x, y, 0.0, correlation, shared, evidence)
