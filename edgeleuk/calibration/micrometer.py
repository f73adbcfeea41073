"""Scale from images of lines at a known spacing.

The lines are those of a stage micrometer or a counting chamber; the scale is in micrometres per pixel. The image's
gradients and autocorrelation give the direction and the approximate spacing of the lines. Then each line is located
in many short segments, and all segments are fitted together: the k-th line lies where a x + b y + c = k. The vector
(a, b), lines per pixel along x and y, holds direction and spacing to a fraction of a thousandth, and its error
follows from the fit.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from edgeleuk.errors import InputError
from edgeleuk.types import Image, Scale

Floats = NDArray[np.float64]

LONGEST = 1600
"""Maximum side of the processed image, pixels.

A ruling of 100 lines is then sampled well enough.
"""
LEAST_PITCH = 6.0
"""Minimum line spacing, pixels; below it pixels and lines beat."""
LEAST_LINES = 3
STRIPS = 16
"""Number of segments each line is cut into."""
ANGLES = np.radians(np.arange(0, 180, 1.0))
APART = np.radians(30)
"""Minimum angle between the two directions of a grid, radians.

It also holds for an image squeezed to half.
"""
SECOND = 0.4
"""Minimum contrast of the second direction relative to the first.

Lines seen askew, and the steps that pixels make of them, stay under a quarter.
"""
REGULAR = 0.3
"""Minimum autocorrelation of lines at their spacing.

Cells, print and dust stay under half of it.
"""
FAINTEST = 0.35
"""Minimum height of a line segment relative to the median segment."""
ROUNDS = 5
LEAST_KEPT = 0.6
"""Minimum share of segments that fit one ruling."""
LARGEST_ERROR = 0.003
"""Maximum relative error of a ruling's frequency.

Real rulings state 0.001 at most; false ones, along the ends of ticks or between the steps of pixels, 0.0035 and more.
"""
OWN_ERROR = 0.001
"""Relative error of the ruling itself, 95 %.

Stage micrometers are certified to a few tenths of a um in 1 mm, chambers to 1 in 500.
"""


@dataclass(frozen=True, slots=True)
class Ruling:
    """Parallel lines of one direction, in pixels of the original image."""

    a: float
    """Lines per pixel along x."""
    b: float
    """Lines per pixel along y, downwards."""
    error: float
    """Relative error of the line frequency, 95 %."""
    lines: int

    @property
    def pitch(self) -> float:
        """Line spacing perpendicular to the lines, pixels."""
        return float(1 / np.hypot(self.a, self.b))


@dataclass(frozen=True, slots=True)
class Measured:
    """Scale of a device, with the rulings behind it."""

    scale: Scale
    rulings: tuple[Ruling, ...]
    both_axes: bool
    """Whether x and y were measured separately.

    If not, pixels are assumed square.
    """


def measure(pictures: Sequence[Image], spacing_um: float, names: Sequence[str]) -> Measured:
    """Measure the scale from images of a ruling.

    Lines in two directions, of a grid or of two images, give separate scales along x and y.

    Args:
        pictures: One or more images (H, W, 3) of one size.
        spacing_um: Distance between adjacent lines, micrometres.
        names: Name of each image, for messages.

    Raises:
        InputError: An image shows no ruling.
    """
    found = [
        (number, ruling) for number, image in enumerate(pictures) for ruling in rulings(image, names[number])
    ]
    # |(a / x, b / y)| = 1 / spacing for each ruling, and the two of a chamber's grid cross at right angles: linear in
    # 1 / x^2 and 1 / y^2, the scales' inverse squares.
    equations = [(r.a**2, r.b**2, spacing_um**-2) for _, r in found]
    equations += [
        (r.a * s.a, r.b * s.b, 0.0) for i, (n, r) in enumerate(found) for m, s in found[:i] if n == m
    ]
    matrix = np.array(equations)
    weights = 1 / np.linalg.norm(matrix[:, :2], axis=1)
    left, right = matrix[:, :2] * weights[:, None], matrix[:, 2] * weights
    balance = np.linalg.svd(left, compute_uv=False)
    both = len(equations) > 1 and balance[1] > 0.3 * balance[0]
    if not both:
        left = left.sum(axis=1, keepdims=True)
    inverse = np.linalg.lstsq(left, right, rcond=None)[0]
    x, y = np.resize(inverse**-0.5, 2).tolist()
    error = float(np.hypot(max(r.error for _, r in found), OWN_ERROR))
    return Measured(Scale(x, y, "profile", error), tuple(r for _, r in found), both)


def rulings(image: Image, name: str) -> tuple[Ruling, ...]:
    """Detect the ruling of an image: one direction, or two crossing.

    Raises:
        InputError: The image shows no ruling.
    """
    times = min(1.0, LONGEST / max(image.shape[:2]))
    size = (round(image.shape[1] * times), round(image.shape[0] * times))
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    flat = _flat(cv2.resize(grey, size, interpolation=cv2.INTER_AREA) if times < 1 else grey)
    used = (size[0] / image.shape[1], size[1] / image.shape[0])
    found: list[Ruling] = []
    contrast = 0.0
    for theta in _directions(flat):
        summed = _summed(flat, theta)
        if summed.std() < SECOND * contrast:
            continue
        if ruling := _ruling(flat, theta, summed):
            found.append(ruling)
            contrast = float(summed.std())
    if not found:
        raise InputError(
            f"{name} shows no ruling: {LEAST_LINES} lines or more, evenly spaced and at least {LEAST_PITCH:g} px apart, "
            "were not found. Focus on the lines, fill the picture with them, and close the condenser's diaphragm a little."
        )
    return tuple(Ruling(r.a * used[0], r.b * used[1], r.error, r.lines) for r in found)


def _flat(grey: NDArray[np.uint8]) -> Floats:
    """Flatten slow illumination changes of a grey image (H, W).

    The result has unit standard deviation, and its lines are positive.
    """
    height, width = grey.shape
    x, y = np.linspace(-1, 1, width), np.linspace(-1, 1, height)
    terms = [np.outer(y**j, x**i).ravel() for i in range(5) for j in range(5 - i)]
    matrix, levels = np.stack(terms, axis=1), np.log(grey.astype(np.float64).clip(1)).ravel()
    step = max(1, len(levels) // 40_000)
    light = matrix @ np.linalg.lstsq(matrix[::step], levels[::step], rcond=None)[0]
    flat = levels - light
    # Lines are the minority of pixels, whether dark on bright or bright on dark.
    flat *= np.sign((flat**3).mean()) or 1.0
    return (flat / flat.std()).reshape(grey.shape)


def _directions(flat: Floats) -> list[float]:
    """Find the two strongest directions across lines, radians.

    Angles are measured from the x axis, perpendicular to the lines. The second is the strongest one that lies more
    than APART from the first.
    """
    smooth = cv2.GaussianBlur(flat.astype(np.float32), (0, 0), 1.5)
    across, down = cv2.Sobel(smooth, cv2.CV_32F, 1, 0), cv2.Sobel(smooth, cv2.CV_32F, 0, 1)
    angle = np.mod(np.arctan2(down, across), np.pi)
    bins = np.minimum((angle / np.pi * len(ANGLES)).astype(int), len(ANGLES) - 1)
    power = np.bincount(bins.ravel(), ((across**2 + down**2) ** 2).ravel(), len(ANGLES))
    power = np.convolve(np.r_[power[-4:], power, power[:4]], np.hanning(9), "same")[4:-4]
    first = int(power.argmax())
    away = np.abs(np.mod(ANGLES - ANGLES[first] + np.pi / 2, np.pi) - np.pi / 2) > APART
    second = int(np.where(away, power, -1).argmax())
    return [_steepest(flat, float(ANGLES[each]) + np.radians(0.5)) for each in (first, second)]


def _steepest(flat: Floats, theta: float) -> float:
    """Refine `theta` to maximise the variance of line sums.

    At the right angle all of a line falls into one sum.
    """
    every = 3 if min(flat.shape) > 500 else 2  # rows: enough of them to tell, and a third of the work
    for step in (1.0, 0.25, 0.06):
        tried = theta + np.radians(step) * np.arange(-4, 5)
        theta = float(tried[int(np.argmax([_summed(flat, each, every).var() for each in tried]))])
    return theta


def _summed(flat: Floats, theta: float, every: int = 1) -> Floats:
    """Average `flat` along lines perpendicular to `theta`.

    The result has one value per pixel of distance. Only each `every`-th row is used.
    """
    places = _distances(flat.shape, theta)[::every]
    bins = np.rint(places - places.min()).astype(int).ravel()
    counts = np.bincount(bins)
    sums = np.bincount(bins, flat[::every].ravel()) / np.maximum(counts, 1)
    enough: Floats = sums[counts > 0.3 * counts.max()]
    return enough


def _distances(shape: tuple[int, ...], theta: float) -> Floats:
    """Return the distance of each pixel along `theta` (H, W).

    Distances run from the origin to the centre of the pixel.
    """
    y, x = np.ogrid[: shape[0], : shape[1]]
    return (x + 0.5) * np.cos(theta) + (y + 0.5) * np.sin(theta)


def _pitch(profile: Floats) -> tuple[float, float]:
    """Return the peak spacing of a profile and its autocorrelation.

    The spacing is in pixels, and the autocorrelation is that at this spacing. Of the peaks that come near the highest,
    the first counts. Without a peak both are 0.
    """
    centred = profile - profile.mean()
    size = len(centred)
    power = np.abs(np.fft.rfft(centred, 2 * size)) ** 2
    pairs = np.arange(size, 0, -1)
    similar = np.fft.irfft(power)[:size] / pairs
    similar = similar[: size * 2 // 3] / similar[0]
    below = np.flatnonzero(similar < 0.1)
    if not len(below):
        return 0.0, 0.0
    inner = np.arange(max(int(below[0]), int(LEAST_PITCH)), len(similar) - 1)
    peaks = inner[(similar[inner] >= similar[inner - 1]) & (similar[inner] > similar[inner + 1])]
    # Below 0 there is only a slope: distant points differ, some a little less.
    if not len(peaks) or similar[peaks].max() <= 0:
        return 0.0, 0.0
    first = int(peaks[similar[peaks] >= 0.7 * similar[peaks].max()][0])
    left, middle, right = similar[first - 1 : first + 2]
    shift = 0.5 * (left - right) / (left - 2 * middle + right)
    return first + float(shift), float(middle)


def _ruling(flat: Floats, theta: float, summed: Floats) -> Ruling | None:
    """Fit the lines perpendicular to `theta`, or return None.

    `summed` is the image averaged along these lines.
    """
    pitch, regular = _pitch(summed)
    if pitch < LEAST_PITCH or regular < REGULAR:
        return None
    points, heights = _pieces(flat, theta, pitch)
    points = points[heights > FAINTEST * np.median(heights)]
    return _fit(points, np.array([np.cos(theta), np.sin(theta)]) / pitch)


def _pieces(flat: Floats, theta: float, pitch: float) -> tuple[Floats, Floats]:
    """Locate short line segments.

    Returns their centres (N, 2) x y and their heights (N,).
    """
    along = _distances(flat.shape, theta + np.pi / 2)
    places = _distances(flat.shape, theta)
    low, start = along.min(), places.min()
    span = (along.max() - low) / STRIPS
    strip = np.minimum((along - low) / span, STRIPS - 1).astype(int)
    bins = np.rint(places - start).astype(int)
    length = int(bins.max()) + 1
    index = (strip * length + bins).ravel()
    counts = np.bincount(index, minlength=STRIPS * length).reshape(STRIPS, length)
    sums = np.bincount(index, flat.ravel(), STRIPS * length).reshape(STRIPS, length)
    middles = np.bincount(index, along.ravel(), STRIPS * length).reshape(STRIPS, length)
    points, heights = [], []
    for row in range(STRIPS):
        full = counts[row] > 0.6 * np.median(counts[row][counts[row] > 0])
        mean = np.where(full, sums[row] / np.maximum(counts[row], 1), np.nan)
        for place, height in _peaks(mean, pitch):
            t = start + place
            s = middles[row][round(place)] / counts[row][round(place)]
            points.append((t * np.cos(theta) - s * np.sin(theta), t * np.sin(theta) + s * np.cos(theta)))
            heights.append(height)
    return np.array(points).reshape(-1, 2), np.array(heights)


def _peaks(mean: Floats, pitch: float) -> list[tuple[float, float]]:
    """Locate the lines in one strip, with their heights.

    Each line is the maximum within half a spacing; its position is the weighted centre.
    """
    reach = max(2, round(pitch * 0.45))
    peaks = []
    for i in range(len(mean)):
        start = max(i - reach, 0)
        near, top = mean[start : i + reach + 1], i - start
        if np.isnan(mean[i]) or np.nanargmax(near) != top:
            continue
        floor = np.nanquantile(near, 0.3)
        gap = ~(near > (floor + near[top]) / 2)
        # Both flanks must be visible, or the image's edge would shift the centre of the line.
        if not gap[:top].any() or not gap[top:].any():
            continue
        left, right = top - int(gap[:top][::-1].argmax()), top + int(gap[top:].argmax())
        if np.isnan(near[[left - 1, right]]).any():
            continue
        own = np.arange(left, right)
        weights = near[left:right] - (floor + near[top]) / 2
        peaks.append((start + float((own * weights).sum() / weights.sum()), float(near[top] - floor)))
    return peaks


def _fit(points: Floats, frequency: Floats) -> Ruling | None:
    """Fit the line equation to segments (N, 2), or return None.

    Least squares of a x + b y + c = k, with k the nearest whole number, without outliers. None if the segments make no
    ruling.
    """
    if len(points) < 2 * LEAST_LINES:
        return None
    middle = points.mean(axis=0)
    design = np.column_stack([points - middle, np.ones(len(points))])
    phases = design[:, :2] @ frequency
    solution = np.array([*frequency, -np.angle(np.exp(2j * np.pi * phases).sum()) / (2 * np.pi)])
    # From the centre outwards: an error of the first guess grows with distance, until line numbers are wrong.
    reach, kept, lines = 2.0, design, np.zeros(0)
    while True:
        near = np.abs(phases) <= reach
        if len(np.unique(np.rint(design[near] @ solution))) >= LEAST_LINES:
            solution, kept, lines = _settled(design[near], solution)
        if near.all():
            break
        reach *= 1.6
    numbers = len(np.unique(lines))
    if numbers < LEAST_LINES or len(kept) < LEAST_KEPT * len(points):
        return None
    # Segments of one line share its own error, so the number of lines counts, not that of segments.
    variance = float(((kept @ solution - lines) ** 2).mean()) * len(kept) / numbers
    covariance = np.linalg.inv(kept.T @ kept)[:2, :2] * variance
    a, b = solution[:2].tolist()
    unit = np.array([a, b]) / np.hypot(a, b)
    error = 1.96 * float(np.sqrt(unit @ covariance @ unit)) / float(np.hypot(a, b))
    return Ruling(a, b, error, numbers) if error <= LARGEST_ERROR else None


def _settled(design: Floats, solution: Floats) -> tuple[Floats, Floats, Floats]:
    """Refit a solution to the segments near it.

    Returns the solution, these segments, and the numbers of their lines.
    """
    for _ in range(ROUNDS):
        lines = np.rint(design @ solution)
        rest = np.abs(design @ solution - lines)
        near = rest <= max(0.02, 3 * 1.4826 * float(np.median(rest)))
        solution = np.linalg.lstsq(design[near], lines[near], rcond=None)[0].astype(np.float64)
    return solution, design[near], np.rint(design[near] @ solution)
