"""Detect damage that a decoder did not report.

Where the data of a JPEG are wrong and its decoder resynchronises, the brightness of all that follows is
shifted. The shifted part begins at a coding unit in the middle of a row of units, and ends one row further
down at the same column: over one row's length of units, each unit differs from the one above it by the same
step. No scene looks like that. A few units of garbage precede it.

The limits were chosen so that none of 4,650 intact JPEGs from ten sources is refused, nor one with bars,
captions, letters or frames drawn on it. Of JPEGs with 64 bytes overwritten that a strict decoder accepts,
about 19 of 20 are detected.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from edgeleuk.types import Image

Plane = NDArray[np.float32]

SEAM = 2.0
"""Minimum seam step, relative to the usual step."""
QUIET = 0.6
"""Step allowed without noise, 8-bit levels."""
FLATTEST = 1.5
"""Minimum brightness range of a scene, levels.

Measured between percentiles, so that a few outliers do not count. A drawn bar has no range.
"""
LEAST_STEP = 2.0
"""Minimum step, levels; a smaller one may be colour rounding."""
LIKE = 0.4
"""Minimum pixel correlation across a seam.

A scene continues across a seam, but ends at the edge of a drawing.
"""
CANDIDATES, ASIDE = 12, 3
"""Number of seam candidates, and units excluded at the sides.

`CANDIDATES` places are examined closely. Within `ASIDE` units of either side a seam cannot be detected.
"""
GARBAGE, BRIGHT_GARBAGE, ROUGH = 6.0, 90.0, 40.0
"""Minimum contrast of garbage and of rough blocks.

Contrast is the mean difference between neighbouring pixels of a block. `GARBAGE` is relative to the image's
usual contrast, `BRIGHT_GARBAGE` and `ROUGH` are in levels. A single rough block alone is no sign of damage.
"""
STRANGE = ((0.02, 0.0008), (0.005, 0.002), (0.003, 0.006))
"""Shares of rough blocks and green pixels that mean damage.

No image of a smear reaches both shares of a pair. In 500 intact images the maxima are .008 and .003, never
together; an image with many green letters drawn on it has .001 and .03.
"""
GREEN = 110
"""Cb and Cr below which a colour is green."""
FLAT = 0.02
"""Minimum share of flat blocks in a drawn image.

Flat areas are coded in zeros.
"""
HOLE = 400
"""Minimum run of zero pixels that means damage.

Of 4,096 overwritten bytes there are 1,365 pixels, or 682 at 16 bits.
"""
BLOCK = 512
"""Block size of a disk or memory card, bytes."""
WILD = {1: 14}
WILDEST = 90
"""Maximum pixel difference in focus, by number of channels.

The difference is summed over all channels between neighbours; `WILD` holds the exceptions to `WILDEST`.
"""
ALL_OVER = 0.3
"""Minimum share of differing pixels in noise.

Noise all over is not damage.
"""
STRIP, OVERLAP = 32, 8
"""Rows per strip, and rows of overlap between strips."""
FEWEST = 20
"""Minimum units per row for seam detection."""
SHIFTED, SENSELESS, EMPTY, EMPTY_ROWS = (
    "from one place on its brightness or colour is shifted",
    "a part of it makes no sense",
    "a part of its data is empty",
    "some of its rows hold no picture",
)


def in_blocks(image: Image, unit: tuple[int, int], restart: int, shrunk: int, *, zeros: bool = False) -> str:
    """Describe damage in a decoded JPEG, or "".

    Args:
        image: Decoded JPEG, (H, W, 3) uint8 RGB.
        unit: Width and height of a coding unit, pixels of the file.
        restart: Number of units after which coding restarts; 0 for never.
        shrunk: Factor by which the image was decoded smaller.
        zeros: Whether the coded data contain a run of zeros.
    """
    across, down = unit[0] // shrunk, unit[1] // shrunk
    if min(across, down) >= 2 and _has_seam(image, across, down, restart):
        return SHIFTED
    if shrunk > 1:
        return EMPTY * zeros
    contrast = _contrast(image)
    if contrast.size and _has_garbage(contrast):
        return SENSELESS
    return EMPTY * ((zeros and not contrast.size) or (zeros and float((contrast < 0.05).mean()) < FLAT))


def _has_seam(image: Image, across: int, down: int, restart: int) -> bool:
    for above, below in _edges(image, across, down):
        rows, columns, _ = above.shape
        if columns < FEWEST or rows < 3:
            return False
        steps = np.median(below - above, axis=2)
        if _is_seam(steps, above, below):
            return True
        if restart and _ends_early(steps, above, below, restart):
            return True
    return False


def _edges(image: Image, across: int, down: int) -> Iterator[tuple[Plane, Plane]]:
    """Yield the pixels on both sides of unit-row edges.

    Yields brightness and both colour channels, each as the planes above and below, (rows, columns, across).
    Colour is stored coarser and smoothed, so it is sampled one pixel further from the edge.
    """
    height, width = image.shape[0], image.shape[1] // across * across
    edges = np.arange(down, height - 1, down)
    if not edges.size or not width:
        return
    for channel, away in ((0, 0), (1, 1), (2, 1)):
        pair = [
            cv2.cvtColor(image[rows, :width], cv2.COLOR_RGB2YCrCb)[..., channel].astype(np.float32)
            for rows in (edges - 1 - away, edges + away)
        ]
        above, below = (side.reshape(len(edges), -1, across) for side in pair)
        yield above, below


def _is_seam(steps: Plane, above: Plane, below: Plane) -> bool:
    """Return whether a seam of one row's length exists.

    The step must be nearly constant along it, and the scene must continue across it. A seam begins and ends
    in the middle of a row: the edge of a bar or of another image goes from one side to the other.
    """
    columns = steps.shape[1]
    every = max(1, columns // 32)
    windows = np.lib.stride_tricks.sliding_window_view(steps.ravel(), columns)[::every]
    if len(windows) < 4:
        return False
    low, middle, high = np.percentile(windows, [15, 50, 85], axis=1)
    usual = QUIET + _spread(middle) + float(np.median(high - low)) / 4
    least = np.where(middle > 0, low, -high) / usual
    for i in np.argsort(-least)[:CANDIDATES]:
        if least[i] < SEAM:
            return False
        if abs(middle[i]) < LEAST_STEP:
            continue
        row, column = divmod(int(i) * every, columns)
        if _wraps(steps, row, column, float(middle[i])) and _alike(
            *(side.reshape(-1, side.shape[2])[i * every : i * every + columns] for side in (above, below))
        ):
            return True
    return False


def _wraps(steps: Plane, row: int, column: int, step: float) -> bool:
    """Return whether a step wraps to the next row.

    It must be present from `column` on in one row and before `column` in the next, and absent from the rest
    of both.
    """
    if not ASIDE <= column <= steps.shape[1] - ASIDE or row + 1 >= len(steps):
        return False
    inside = steps[row, column:], steps[row, -ASIDE:], steps[row + 1, :column], steps[row + 1, :ASIDE]
    outside = steps[row, :column], steps[row + 1, column:]
    there, elsewhere = ([float(np.median(part)) / step for part in parts] for parts in (inside, outside))
    return min(there) > 0.5 > max(elsewhere)


def _ends_early(steps: Plane, above: Plane, below: Plane, restart: int) -> bool:
    """Return whether a shift ends at a coding restart.

    Such a shift enters from above and leaves below at the same columns.
    """
    columns = steps.shape[1]
    if restart % columns:
        return False
    both = (steps[:-1] - steps[1:]) / 2
    apart = np.abs(steps[:-1] + steps[1:]) / 2
    usual = QUIET + _spread(both) / 2
    for length in {columns - ASIDE, columns // 2, columns // 4, FEWEST // 2}:
        own, rest = both[:, -length:], np.median(apart[:, -length:], axis=1)
        low, middle, high = np.percentile(own, [15, 50, 85], axis=1)
        least = np.where(middle > 0, low, -high) / usual
        for i in np.flatnonzero((least >= 2 * SEAM) & (rest < np.abs(middle) / 2)):
            before = float(np.median(both[i, : max(ASIDE, columns - length - ASIDE)])) / float(middle[i])
            if (before < 0.5 or length < columns - ASIDE) and _alike(above[i, -length:], below[i, -length:]):
                return True
    return False


def _spread(values: NDArray[Any]) -> float:
    """Return the standard deviation, estimated from the median."""
    return 1.4826 * float(np.median(np.abs(values - np.median(values))))


def _alike(above: Plane, below: Plane) -> bool:
    one, other = above.ravel(), below.ravel()
    if min(float(np.ptp(np.percentile(side, [15, 85]))) for side in (one, other)) < FLATTEST:
        return False
    return float(np.corrcoef(one, other)[0, 1]) >= LIKE


def _contrast(image: Image) -> Plane:
    """Return the contrast of each 8 x 8 block.

    Contrast is the mean difference of neighbouring pixels across both diagonals.
    """
    green = image[..., 1]
    rows, columns = green.shape[0] // 8, green.shape[1] // 8
    if not rows or not columns:
        return np.empty((0, 0), np.float32)
    kernel = np.array([[1, -1], [-1, 1]], np.float32)
    crossed = cv2.filter2D(green, cv2.CV_16S, kernel, anchor=(0, 0))
    blocks = np.abs(crossed[: 8 * rows, : 8 * columns]).astype(np.float32)
    mean: Plane = cv2.resize(blocks, (columns, rows), interpolation=cv2.INTER_AREA)
    return mean


def _has_garbage(contrast: Plane) -> bool:
    """Return whether any block has implausible contrast.

    Nothing in focus differs as much from all the blocks above and below it.
    """
    around = np.pad(contrast, 1, mode="edge")
    near = cv2.dilate(np.maximum(around[:-2], around[2:]), np.ones((1, 3), np.uint8))[:, 1:-1]
    usual = near + float(np.quantile(contrast, 0.99)) + 0.5
    return bool(((contrast > BRIGHT_GARBAGE) & (contrast > GARBAGE * usual)).any())


def in_rows(stored: NDArray[Any]) -> str:
    """Describe damage in uncompressed rows (H, W, C).

    Rows may be in either order. Returns "" for no damage.
    """
    if _has_hole(stored) or _has_noise(stored):
        return EMPTY_ROWS
    return ""


def _has_hole(stored: NDArray[Any]) -> bool:
    """Return whether an isolated run of zeros exists.

    An isolated run has no zeros above and below.

    A drawn bar or a dark rim has zeros there. Drawn lines do not, but they cross the whole image or lie
    within one row; within a row only a number of bytes like 4,096 distinguishes damage from a line.
    """
    rows, width = stored.shape[:2]
    for turned in (stored, stored[::-1]):  # bitmaps begin with the last row
        for start, end in _runs_of_zeros(turned):
            if start % width <= 1 and end % width <= 1:
                continue
            if start // width == (end - 1) // width and not _is_a_block(turned, start, end):
                continue
            most = min(width, end - start)
            beside = []  # a run that begins in the first row, or ends in the last one, has only one side
            if start >= width:
                beside.append(_zeros(turned, start - width, start - width + most))
            if end + width <= rows * width:
                beside.append(_zeros(turned, end + width - most, end + width))
            if beside and max(beside) < 0.1:
                return True
    return False


def _is_a_block(stored: NDArray[Any], start: int, end: int) -> bool:
    """Return whether zeros within a row fill disk blocks.

    The ends of the run may lie within a pixel.
    """
    row = stored[start // stored.shape[1]]
    first, last = start % stored.shape[1], (end - 1) % stored.shape[1] + 1
    size = row.itemsize * row.shape[1]
    for order in (1, -1):  # channel order in the file
        line = np.ascontiguousarray(row[:, ::order]).view(np.uint8).reshape(-1)
        before, after = line[(first - 1) * size : first * size], line[last * size : (last + 1) * size]
        ends = [
            len(part) if not part.any() else int(np.flatnonzero(part)[0]) for part in (before[::-1], after)
        ]
        if ((last - first) * size + sum(ends)) % BLOCK == 0:
            return True
    return False


def _runs_of_zeros(stored: NDArray[Any]) -> Iterator[tuple[int, int]]:
    """Yield each run of at least HOLE zero pixels.

    Yields start and end (exclusive), pixel numbers in reading order.
    """
    width, begun = stored.shape[1], -1
    for top in range(0, len(stored), STRIP):
        part = stored[top : top + STRIP]
        flat = np.logical_not(part.any(axis=2)).ravel().astype(np.int8)
        changes = np.flatnonzero(np.diff(flat, prepend=np.int8(begun >= 0))) + top * width
        for place in changes.tolist():
            if begun < 0:
                begun = place
                continue
            if place - begun >= HOLE:
                yield begun, place
            begun = -1
    if begun >= 0 and stored.shape[0] * width - begun >= HOLE:
        yield begun, stored.shape[0] * width


def _zeros(stored: NDArray[Any], first: int, end: int) -> float:
    """Return the share of pixels whose channels are all 0.

    `first` and `end` (exclusive) are pixel numbers in reading order.
    """
    width = stored.shape[1]
    rows = stored[first // width : -(-end // width)].reshape(-1, stored.shape[2])
    skipped = first // width * width
    return 1 - float(rows[first - skipped : end - skipped].any(axis=1).mean())


def _has_noise(stored: NDArray[Any]) -> bool:
    """Return whether many consecutive pixels are noise.

    Such pixels have nothing to do with those around them.
    """
    most, wild, longest = _brightest(stored), 0, 0
    limit = WILD.get(stored.shape[2], WILDEST)
    for top in range(0, len(stored), STRIP):
        levels = _levels(stored[max(0, top - OVERLAP) : top + STRIP], most)
        if len(levels) < 2:
            continue
        across = np.abs(np.diff(levels, axis=1)).sum(axis=2)[1:]
        down = np.abs(np.diff(levels, axis=0)).sum(axis=2)[:, 1:]
        found = (across > limit) & (down > limit)
        wild += int(np.count_nonzero(found))
        for rows in (found, found[::-1]):
            sums = np.cumsum(rows.ravel(), dtype=np.int32)
            if sums.size > HOLE:
                longest = max(longest, int((sums[HOLE:] - sums[:-HOLE]).max()))
    return longest > 0.7 * HOLE and wild < ALL_OVER * stored.shape[0] * stored.shape[1]


def _brightest(stored: NDArray[Any]) -> float:
    """Return a value that few pixels exceed."""
    if stored.dtype == np.uint8:
        return 255.0
    some = _numbers(stored[::7, ::7])
    return float(np.quantile(some, 0.99)) or 1.0


def _levels(stored: NDArray[Any], most: float) -> NDArray[Any]:
    """Scale to 8-bit levels without clipping at 255."""
    if stored.dtype == np.uint8:
        return stored.astype(np.int16)
    return np.clip(_numbers(stored) * (255 / most), 0, 1 << 16).astype(np.int32)


def _numbers(stored: NDArray[Any]) -> Plane:
    """Replace NaN, and clip values beyond any level."""
    return np.nan_to_num(np.clip(stored, 0, 1 << 32).astype(np.float32), nan=0.0)


def in_coded(stored: NDArray[Any]) -> str:
    """Describe damage in a decoded WebP or HEIC.

    Such a decoder, once it has lost its way, paints in colours that no stain has, and rougher than any lens
    shows.

    `stored` is (H, W, 3 or 4) in OpenCV's channel order. Returns "" for no damage.
    """
    if stored.dtype != np.uint8 or stored.ndim != 3 or stored.shape[2] < 3:
        return ""
    contrast = _contrast(stored[..., :3])
    if not contrast.size:
        return ""
    small = cv2.resize(stored[..., :3], None, fx=0.25, fy=0.25, interpolation=cv2.INTER_AREA)
    colours = cv2.cvtColor(small, cv2.COLOR_BGR2YCrCb)
    green = float(((colours[..., 1] < GREEN) & (colours[..., 2] < GREEN)).mean())
    rough = float((contrast > ROUGH).mean())
    return SENSELESS * any(rough >= least and green >= share for least, share in STRANGE)
