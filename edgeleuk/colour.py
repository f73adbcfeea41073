"""Light and stain of one device put right: the shading of its field, the colour of its lamp, the hue of its dyes.

All of it happens in optical density, where light is a sum: density = ln(light of the empty slide / level), by place and
channel (Beer-Lambert). Shading and white balance vanish in that step, whatever they are. Dyes differ by lot, and
cameras in how much of a dye each channel sees: a gain of density for each channel brings the device's red cells and
nuclei near the colours that the models were trained on.

Under an even light that is one table for each channel, 4 ms for a picture of 1280 x 720 on one core of a busy server;
with shading it is computed by place, 40 ms.

Levels are 8 bits, 0 to 255, as a camera stores them: about the 2.2th root of light. A root of a product is a product of
roots, so that all of this holds for them too.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from edgeleuk.types import Aperture, Image

Floats = NDArray[np.float32]
Rgb = tuple[float, float, float]

ROWS, COLUMNS = 13, 17
"""Nodes of a light grid, the outermost on the picture's edges. A vignette that takes 40 % off the corners differs from
the lines between its nodes by 0.6 % there (second derivative times spacing squared over 8), and by less elsewhere."""
DEGREE = 4
"""Of the polynomial fitted to the logarithm of light: the cosine's fourth power of a lens, and a lamp off its axis."""
ROUNDS = 6
OUTLIER = 3.0
"""Robust standard deviations from the fit at which a pixel is dust and not light."""
FITTED_ON = 160
"""Long side of the copy that light is fitted on, pixels."""
SHADED = 0.15
"""Share of the brightest light below which a pixel is no field but what surrounds an eyepiece's disc."""
WITHIN_RIM = 0.95
"""Of a disc's radius: where it fades from light to dark is no field."""
MOST_APART = 2.0
"""Factor between a channel's gain and that of all together: a dye that a channel hardly sees tells little of it."""
STRIP = 1 << 19
"""Pixels that are worked on at a time: what a strip needs in float stays under 20 MB, however large the picture."""


@dataclass(frozen=True, slots=True)
class LightFit:
    """The light of an empty slide, and how well the pictures of it agree with so smooth a light."""

    grid: Floats
    """(ROWS, COLUMNS, 3) levels R, G, B."""
    off: float
    """Share of the field that is darker than the fitted light by more than 5 %: dust, dirt, or cells."""
    spread: float
    """Robust standard deviation of the rest, relative."""


def fit_light(blanks: Sequence[Image], disc: Aperture | None = None) -> LightFit:
    """The light over the field from pictures (H, W, 3) of an empty slide, one at least, all of one size; or over an
    eyepiece's `disc` in them, whose rim is no light of the slide.

    A polynomial in x and y through the logarithm of the pictures' median. Dust is left out by fitting again without
    what lies far off.
    """
    height, width = blanks[0].shape[:2]
    times = FITTED_ON / max(height, width)
    size = (max(2, round(width * times)), max(2, round(height * times)))
    small = np.median([cv2.resize(each, size, interpolation=cv2.INTER_AREA) for each in blanks], axis=0)
    levels = np.maximum(small.reshape(-1, 3), 1.0)
    field = levels.mean(axis=1) > SHADED * np.percentile(levels.mean(axis=1), 95)
    across, down = ((np.arange(n) + 0.5) / n for n in size)
    if disc:
        shown = replace(
            disc, semi_major=disc.semi_major * WITHIN_RIM, semi_minor=disc.semi_minor * WITHIN_RIM
        )
        places = np.meshgrid(across * width, down * height)
        field &= shown.covers(np.stack([each.ravel() for each in places], axis=1))
    terms = _terms(across, down)
    logs, kept = np.log(levels), field.copy()
    for _ in range(ROUNDS):
        weights = np.linalg.lstsq(terms[kept], logs[kept], rcond=None)[0]
        rest = (logs - terms @ weights).mean(axis=1)
        spread = max(_robust_spread(rest[kept]), 1e-3)
        kept = field & (np.abs(rest) < OUTLIER * spread)
    nodes = _terms(np.linspace(0, 1, COLUMNS), np.linspace(0, 1, ROWS)) @ weights
    grid = np.exp(nodes).reshape(ROWS, COLUMNS, 3)
    least = SHADED * grid.max(axis=(0, 1))
    return LightFit(
        np.clip(grid, least, 255).astype(np.float32), float((rest[field] < -0.05).mean()), float(spread)
    )


def background(image: Image) -> Rgb:
    """Levels of the empty slide in a picture of cells: the 95th percentile of each channel.

    Where the reader has it too (`manifest.DENSITY`): even among packed red cells some background is left.
    """
    step = max(1, int(np.sqrt(image.shape[0] * image.shape[1] / 40_000)))
    red, green, blue = np.percentile(image[::step, ::step].reshape(-1, 3), 95, axis=0).tolist()
    return max(red, 1.0), max(green, 1.0), max(blue, 1.0)


def level_grid(levels: Rgb) -> Floats:
    """The grid (ROWS, COLUMNS, 3) of a light that is the same everywhere."""
    return np.broadcast_to(np.array(levels, np.float32), (ROWS, COLUMNS, 3))


def density(image: Image, light: Floats) -> Floats:
    """Optical density (H, W, 3), natural logarithm, of a picture under a light grid (ROWS, COLUMNS, 3)."""
    return _density(image, light, 0, len(image))


def stain_gains(red_cell: Rgb, nucleus: Rgb, to_red_cell: Rgb, to_nucleus: Rgb) -> Rgb:
    """What each channel's density is multiplied by, so that a device's red cells and nuclei come near other colours.

    The geometric mean of what either needs, and no further than MOST_APART from what all channels need together.

    Chosen among ways to normalise on training fields of five cameras, by a finder that had never seen chula's. WBC AP50
    on that one (40 fields): .70 as they are, .36 by a 3 x 3 map that meets both colours exactly, .84 by such a map
    held near one gain (ridge), .79 by one gain, .82 by a gain for each channel. On the four that it knew (20 fields
    each) the last changes AP50 by less than .01; the held map takes .12 from the smartphone's.
    """
    ours, theirs = np.array([red_cell, nucleus]), np.array([to_red_cell, to_nucleus])
    common = np.exp(np.log(theirs.sum(axis=1) / ours.sum(axis=1)).mean())
    own = np.exp(np.log(theirs / ours).mean(axis=0))
    red, green, blue = np.clip(own, common / MOST_APART, common * MOST_APART).tolist()
    return red, green, blue


def corrected(image: Image, light: Floats, white: Rgb, gains: Rgb = (1.0, 1.0, 1.0)) -> Image:
    """The picture (H, W, 3) under an even light of levels `white`, each channel's density times its gain."""
    empty, factors = np.log(np.array(white, np.float32)), np.array(gains, np.float32)
    if np.ptp(light, axis=(0, 1)).max() == 0:
        dense = np.log(light[0, 0] / np.arange(256, dtype=np.float32).clip(1)[:, None])
        levels = np.rint(np.exp(empty - factors * dense).clip(0, 255)).astype(np.uint8)
        looked_up: Image = cv2.LUT(image, levels[None])
        return looked_up
    out = np.empty_like(image)
    affine = np.column_stack([np.diag(-factors), empty])
    rows = max(1, STRIP // image.shape[1])
    for top in range(0, len(image), rows):
        dense = _density(image, light, top, min(top + rows, len(image)))
        out[top : top + rows] = cv2.convertScaleAbs(cv2.exp(cv2.transform(dense, affine)))
    return out


def _density(image: Image, light: Floats, top: int, bottom: int) -> Floats:
    """Of the rows from `top` to `bottom`."""
    height, width = image.shape[:2]
    table = -np.log(np.arange(256, dtype=np.float32).clip(1))
    down, across = _hats(height, ROWS, top, bottom), _hats(width, COLUMNS, 0, width)
    nodes = down @ np.log(light).reshape(ROWS, COLUMNS * 3)
    # The same shares for each channel, so that one product gives the rows as they lie in memory.
    lit: Floats = (nodes @ np.kron(across.T, np.eye(3, dtype=np.float32))).reshape(-1, width, 3)
    lit += cv2.LUT(image[top:bottom], table)
    return lit


def _hats(length: int, nodes: int, first: int, last: int) -> Floats:
    """(last - first, nodes) shares of the nodes at each pixel's middle, linear between neighbours."""
    places = (np.arange(first, last, dtype=np.float32) + 0.5) / length * (nodes - 1)
    shares: Floats = np.maximum(1 - np.abs(places[:, None] - np.arange(nodes, dtype=np.float32)), 0)
    return shares


def _terms(xs: NDArray[np.float64], ys: NDArray[np.float64]) -> NDArray[np.float64]:
    """(len(ys) * len(xs), terms) products of Legendre polynomials up to DEGREE together, rows first; 0 to 1 each."""
    x = np.polynomial.legendre.legvander(2 * xs - 1, DEGREE)
    y = np.polynomial.legendre.legvander(2 * ys - 1, DEGREE)
    pairs = [(i, j) for i in range(DEGREE + 1) for j in range(DEGREE + 1 - i)]
    return np.stack([np.outer(y[:, j], x[:, i]).ravel() for i, j in pairs], axis=1)


def _robust_spread(values: NDArray[np.float64]) -> float:
    """1.4826 times the median absolute deviation: the standard deviation of normal values."""
    return 1.4826 * float(np.median(np.abs(values - np.median(values))))
