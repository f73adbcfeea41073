"""Correction of one device's shading, lamp colour and stain hue.

All corrections are made in optical density, where light is a sum: density = ln(light of the empty slide /
level), by place and channel (Beer-Lambert). Shading and white balance vanish in that step, whatever they
are. Dyes differ by lot, and cameras in how much of a dye each channel sees: a gain of density for each
channel brings the device's red cells and nuclei near the colours that the models were trained on.

Under an even light the correction is one table for each channel, 4 ms for a picture of 1280 x 720 on one
core of a busy server; with shading it is computed by place, 40 ms.

Levels are 8 bits, 0 to 255, as a camera stores them: about the 2.2th root of light. A root of a product is
a product of roots, so that all of this holds for them too.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from edgeleuk.types import FieldOfView, Image

Floats = NDArray[np.float32]
Rgb = tuple[float, float, float]

ROWS, COLUMNS = 13, 17
"""Rows and columns of a light grid.

The outermost nodes lie on the picture's edges. A vignette that takes 40 % off the corners differs from the
lines between its nodes by 0.6 % there (second derivative times spacing squared over 8), and by less
elsewhere.
"""
DEGREE = 4
"""Degree of the polynomial fit of log light.

It covers the fourth power of the cosine of a lens, and a lamp off its axis.
"""
ROUNDS = 6
OUTLIER = 3.0
"""Robust standard deviations beyond which a pixel is dust."""
FITTED_ON = 160
"""Long side of the fitted copy, pixels."""
SHADED = 0.15
"""Minimum brightness within the field of view.

It is a share of the brightest light. Darker pixels are the surround of an eyepiece's field of view.
"""
WITHIN_RIM = 0.95
"""Share of the field-of-view radius that is fitted.

Beyond it the rim fades from light to dark.
"""
MOST_APART = 2.0
"""Maximum ratio of a gain to the common gain.

A channel that hardly sees a dye tells little about it.
"""
STRIP = 1 << 19
"""Number of pixels processed at a time.

The floats of one strip stay under 20 MB, however large the picture is.
"""


@dataclass(frozen=True, slots=True)
class LightFit:
    """Fitted light of an empty slide."""

    grid: Floats
    """(ROWS, COLUMNS, 3) levels R, G, B."""
    off: float
    """Share of the field darker than the fit.

    It counts pixels darker than the fitted light by more than 5 %. The cause is dust, dirt or cells.
    """
    spread: float
    """Relative robust standard deviation of the residuals."""


def fit_light(blanks: Sequence[Image], field_of_view: FieldOfView | None = None) -> LightFit:
    """Fit the light from pictures of empty slide.

    A polynomial in x and y is fitted to the logarithm of the pictures' median. Dust is left out by fitting
    again without outliers. `blanks` are one or more pictures (H, W, 3) of the same size. If the picture shows a
    `field_of_view`, only the light within it is fitted, without its rim.
    """
    height, width = blanks[0].shape[:2]
    times = FITTED_ON / max(height, width)
    size = (max(2, round(width * times)), max(2, round(height * times)))
    small = np.median([cv2.resize(each, size, interpolation=cv2.INTER_AREA) for each in blanks], axis=0)
    levels = np.maximum(small.reshape(-1, 3), 1.0)
    field = levels.mean(axis=1) > SHADED * np.percentile(levels.mean(axis=1), 95)
    across, down = ((np.arange(n) + 0.5) / n for n in size)
    if field_of_view:
        shown = replace(
            field_of_view,
            semi_major=field_of_view.semi_major * WITHIN_RIM,
            semi_minor=field_of_view.semi_minor * WITHIN_RIM,
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
    """Return the empty-slide levels of a picture.

    They are the 95th percentile of each channel, as in the reader (`manifest.DENSITY`): even among packed
    red cells some background is left.
    """
    step = max(1, int(np.sqrt(image.shape[0] * image.shape[1] / 40_000)))
    red, green, blue = np.percentile(image[::step, ::step].reshape(-1, 3), 95, axis=0).tolist()
    return max(red, 1.0), max(green, 1.0), max(blue, 1.0)


def level_grid(levels: Rgb) -> Floats:
    """Return the (ROWS, COLUMNS, 3) grid of an even light."""
    return np.broadcast_to(np.array(levels, np.float32), (ROWS, COLUMNS, 3))


def density(image: Image, light: Floats) -> Floats:
    """Return the optical density (H, W, 3).

    It uses the natural logarithm. `light` is a light grid (ROWS, COLUMNS, 3).
    """
    return _density(image, light, 0, len(image))


def stain_gains(red_cell: Rgb, nucleus: Rgb, to_red_cell: Rgb, to_nucleus: Rgb) -> Rgb:
    """Return density gains that match target colours.

    Multiplied with these gains, a device's red cells and nuclei come near the target colours. Each gain is
    the geometric mean of what red cell and nucleus need, at most MOST_APART from what all channels need
    together.

    Chosen among ways to normalise on training fields of five cameras, by a finder that had never seen
    chula's. WBC AP50 on that one (40 fields): .70 without normalisation, .36 by a 3 x 3 map that meets both
    colours exactly, .84 by such a map held near one gain (ridge), .79 by one gain, .82 by a gain for each
    channel. On the four cameras that it knew (20 fields each) the last changes AP50 by less than .01; the
    ridge map costs .12 on the smartphone's.

    Args:
        red_cell: Optical density of the device's red cells, R, G, B.
        nucleus: Optical density of the device's nuclei, R, G, B.
        to_red_cell: Target density of red cells, R, G, B.
        to_nucleus: Target density of nuclei, R, G, B.
    """
    ours, theirs = np.array([red_cell, nucleus]), np.array([to_red_cell, to_nucleus])
    common = np.exp(np.log(theirs.sum(axis=1) / ours.sum(axis=1)).mean())
    own = np.exp(np.log(theirs / ours).mean(axis=0))
    red, green, blue = np.clip(own, common / MOST_APART, common * MOST_APART).tolist()
    return red, green, blue


def corrected(image: Image, light: Floats, white: Rgb, gains: Rgb = (1.0, 1.0, 1.0)) -> Image:
    """Correct the light and stain of a picture.

    Args:
        image: (H, W, 3) picture.
        light: (ROWS, COLUMNS, 3) light grid of the picture.
        white: Levels of the empty slide in the result, R, G, B.
        gains: Factors of optical density, R, G, B.
    """
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
    """Return the optical density of rows `top` to `bottom`."""
    height, width = image.shape[:2]
    table = -np.log(np.arange(256, dtype=np.float32).clip(1))
    down, across = _hats(height, ROWS, top, bottom), _hats(width, COLUMNS, 0, width)
    nodes = down @ np.log(light).reshape(ROWS, COLUMNS * 3)
    # The weights are equal for all channels, so that one product gives the rows in memory order.
    lit: Floats = (nodes @ np.kron(across.T, np.eye(3, dtype=np.float32))).reshape(-1, width, 3)
    lit += cv2.LUT(image[top:bottom], table)
    return lit


def _hats(length: int, nodes: int, first: int, last: int) -> Floats:
    """Return linear interpolation weights at pixel centres.

    The result is (last - first, nodes).
    """
    places = (np.arange(first, last, dtype=np.float32) + 0.5) / length * (nodes - 1)
    shares: Floats = np.maximum(1 - np.abs(places[:, None] - np.arange(nodes, dtype=np.float32)), 0)
    return shares


def _terms(xs: NDArray[np.float64], ys: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return products of Legendre polynomials.

    The result is (len(ys) * len(xs), terms), rows first. The degrees of each product add up to DEGREE at
    most. Coordinates are 0 to 1.
    """
    x = np.polynomial.legendre.legvander(2 * xs - 1, DEGREE)
    y = np.polynomial.legendre.legvander(2 * ys - 1, DEGREE)
    pairs = [(i, j) for i in range(DEGREE + 1) for j in range(DEGREE + 1 - i)]
    return np.stack([np.outer(y[:, j], x[:, i]).ravel() for i, j in pairs], axis=1)


def _robust_spread(values: NDArray[np.float64]) -> float:
    """Return 1.4826 times the median absolute deviation.

    For normal values it is the standard deviation.
    """
    return 1.4826 * float(np.median(np.abs(values - np.median(values))))
