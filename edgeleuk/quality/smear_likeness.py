"""Smear-likeness: how much a picture resembles a blood smear.

The reference is a smear as the models know it. A finder finds something in any picture, and a scale can be
measured on it: letters, bricks and the nuclei of a tissue section are all of similar size. But in
photographs and tissue it leaves much that is stained unexplained, finds no sure white cell, and what it
calls red cells is uneven. Prints and drawings are recognised in other ways: by ink, which is grey or of one
colour alone, by more colours than two dyes make, or by faces that are perfectly even.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from edgeleuk.imaging.cell_edges import SURROUNDINGS_UM
from edgeleuk.types import Boxes, Image

# Weights of a logistic regression by source, L2 0.001. Positives: smears of txl_train, chula_train, phone_train and
# lattri100x, each once more as if it had no white cell (at a twentieth of the weight). Negatives: crops of the sample
# pictures of image libraries, text, noise and clouds, at the scale they seem to have and at given ones.
UNKNOWN, WHITE, UNEVEN, MANY, BIAS = -9.2, 9.0, -1.4, 0.45, -4.6
LEAST_WHITE = 0.2
"""Score used if there is no white cell."""
TEXTURES = (0.02, 1.0)
"""Range that texture is clipped to."""
NO_TEXTURE = 0.5
"""Texture used without red cells.

It is that of pictures other than smears.
"""
MOST = 100
"""Maximum number of red cells measured for texture.

More would not change a median.
"""
RING, SPOKES = 0.6, 16
"""Ring for sampling texture: radius, and sample count.

The radius is a share of the cell's: beyond the pallor, within the rim.
"""
WITHIN = (0.0, 0.3, RING)
"""Radii for sampling relief, including the pallor."""
FAINTEST = 0.02
"""Minimum optical density as denominator of a ratio.

It keeps noise from counting as texture.
"""
STAINED = 0.06
"""Minimum optical density of stained pixels.

It is measured above the empty slide.
"""
DARKEST = 96.0
"""Density percentile for staining strength."""
MOST_COLOURED = 98.0
"""Percentile of channel differences for dye colour."""
COARSER = 4
"""Downscaling factor of the copy for colours."""
WHITE_PERCENTILE = 95.0
"""Percentile of each channel for the empty slide."""


@dataclass(frozen=True, slots=True)
class SmearMeasures:
    """Measures of how smear-like a picture is.

    A measure is None if nothing in the picture tells it.
    """

    likeness: float
    """Smear-likeness, 0 to 1.

    It depends on what the finder found and how surely: a probability if smears were as common as other
    pictures.
    """
    dye: float | None
    """Colourfulness of stained pixels; 0 for grey.

    It is the median difference between the channel that absorbs most and the one that absorbs least, of a
    unit vector of optical density.
    """
    tint: float | None
    """Density difference between channels.

    It is the same difference as `dye`, but of optical density itself, in the most coloured fiftieth of the
    stained pixels: nuclei, if there are any. Red cells alone may be grey.
    """
    depth: float | None
    """Optical density of the picture's darkest twenty-fifth.

    It is measured above the empty slide, over all channels together.
    """
    cyan: float | None
    """Red channel's part in absorption.

    It is the median red component of the unit vectors of `dye`: 1 if only red light is absorbed. Smears of
    all training files have 0.88 at most, the highest being those under a blue lamp; eosin alone has 0.2 to
    0.5.
    """
    hues: float | None
    """Spread of hues in stained pixels.

    It is the mean distance of the unit vectors of `dye` from their median: 0 for one dye.
    """
    texture: float | None
    """Unevenness of red cells along a ring.

    It is the median over red cells of the standard deviation of optical density over its mean.
    """
    relief: float | None
    """Unevenness of red cells from middle to ring.

    It is measured like `texture`: a red cell is a dish, or at least has grain.
    """
    fullness: float | None
    """Relative density of red cells' middle.

    It is the median ratio of optical densities: 1 for a disc, 0 for a hollow thing. Red cells of all
    training files have 0.10 and more, as blur fills the pallor.
    """


def measure_smear(
    small: Image,
    um_per_px: float,
    red: Boxes,
    reds: int,
    white_scores: NDArray[np.float32],
    unknown: float,
) -> SmearMeasures:
    """Measure how smear-like a field is.

    Args:
        small: (H, W, 3) picture with square pixels. It may be the central part of a larger picture.
        um_per_px: Scale of `small`, um per pixel.
        red: (N, 4) boxes of red cells in `small`.
        reds: Number of red cells in the whole picture.
        white_scores: (M,) scores of white cells in the whole picture.
        unknown: Share of stained pixels in `small` that belong to no cell, 0 to 1.
    """
    dye, tint, depth, cyan, hues = _colours(small, um_per_px)
    texture, relief, fullness = _unevenness(small, red)
    return SmearMeasures(
        likeness(reds, white_scores, unknown, texture),
        dye,
        tint,
        depth,
        cyan,
        hues,
        texture,
        relief,
        fullness,
    )


def likeness(reds: int, white: NDArray[np.float32], unknown: float, texture: float | None) -> float:
    """Compute the smear-likeness, 0 to 1.

    Args:
        reds: Number of red cells.
        white: (M,) scores of white cells.
        unknown: Unexplained share of stained pixels, 0 to 1.
        texture: Unevenness of red cells; None without red cells.
    """
    best = max(LEAST_WHITE, float(white.max()) if len(white) else 0.0)
    uneven = np.log(np.clip(NO_TEXTURE if texture is None else texture, *TEXTURES))
    logit = UNKNOWN * unknown + WHITE * best + UNEVEN * uneven + MANY * np.log1p(reds) + BIAS
    return float(1 / (1 + np.exp(-logit)))


def _colours(small: Image, um_per_px: float) -> tuple[float | None, ...]:
    """Return dye, tint, depth, cyan and hues of `SmearMeasures`.

    Stained pixels are darker than their surroundings; the shading of a vignette is no stain.
    """
    height, width = small.shape[:2]
    size = max(1, width // COARSER), max(1, height // COARSER)
    coarse = cv2.resize(small, size, interpolation=cv2.INTER_AREA)
    reach = max(1, round(SURROUNDINGS_UM / um_per_px / COARSER)) | 1
    white = cv2.morphologyEx(coarse, cv2.MORPH_CLOSE, np.ones((reach, reach), np.uint8))
    white = cv2.GaussianBlur(white.astype(np.float32), (0, 0), reach / 3)
    density = np.log10(white.clip(1) / coarse.clip(1)).reshape(-1, 3)
    stained = density[density.mean(axis=1) > STAINED]
    # Measured on the whole picture: large dark objects leave no lighter surroundings to compare with.
    brightness = coarse.mean(axis=2)
    empty, dark = np.percentile(brightness, (WHITE_PERCENTILE, 100 - DARKEST)).clip(1)
    depth = float(np.log10(empty / dark))
    if not len(stained):
        return None, None, depth, None, None
    tint = float(np.percentile(np.ptp(stained, axis=1), MOST_COLOURED))
    unit = stained / np.linalg.norm(stained, axis=1, keepdims=True)
    middle = np.median(unit, axis=0)
    away = np.linalg.norm(unit - middle, axis=1)
    return float(np.median(np.ptp(unit, axis=1))), tint, depth, float(middle[0]), float(away.mean())


def _unevenness(small: Image, red: Boxes) -> tuple[float | None, float | None, float | None]:
    """Return texture, relief and fullness of `SmearMeasures`."""
    if not len(red):
        return None, None, None
    red = red[:: 1 + len(red) // MOST]
    green = cv2.extractChannel(small, 1)
    white = max(float(np.percentile(green[::2, ::2], WHITE_PERCENTILE)), 1.0)
    density = cv2.LUT(green, np.log10(white / np.arange(256).clip(1)).astype(np.float32))
    angles = np.arange(SPOKES) * 2 * np.pi / SPOKES
    turn = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    rings = np.concatenate([radius * turn for radius in WITHIN])
    middles, halves = (red[:, :2] + red[:, 2:]) / 2 - 0.5, (red[:, 2:] - red[:, :2]) / 2
    x, y = (middles[:, None] + halves[:, None] * rings).astype(np.float32).transpose(2, 0, 1)
    seen = cv2.remap(density, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    texture, relief = (
        float(np.median(part.std(axis=1) / part.mean(axis=1).clip(FAINTEST)))
        for part in (seen[:, -SPOKES:], seen)
    )
    fullness = np.median(seen[:, 0] / seen[:, -SPOKES:].mean(axis=1).clip(FAINTEST))
    return texture, relief, float(fullness)
