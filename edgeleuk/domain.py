"""Whether a picture is a blood smear as the models know it.

A finder finds something in any picture, and a scale can be measured on it: letters, bricks and the nuclei of a tissue
section are about as large as each other. But it leaves much that is stained unexplained there, finds no sure white cell,
and what it calls red cells is uneven: that tells photographs and tissue. Prints and drawings give themselves away
otherwise: by ink, which is grey or of one colour alone, by more colours than two dyes make, or by faces that are perfectly
even.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from edgeleuk.rims import SURROUNDINGS_UM
from edgeleuk.types import Boxes, Image

# Logistic regression by source, L2 0.001: smears of txl_train, chula_train, phone_train and lattri100x, each once more as if
# it had no white cell (at a twentieth of the weight), against crops of pictures that the sample data of image libraries
# show, text, noise and clouds, at the scale they seem to have and at given ones.
UNKNOWN, WHITE, UNEVEN, MANY, BIAS = -9.2, 9.0, -1.4, 0.45, -4.6
LEAST_WHITE = 0.2
"""Score that stands for no white cell."""
TEXTURES = (0.02, 1.0)
"""Between which texture counts."""
NO_TEXTURE = 0.5
"""Stands for that of red cells where none is found: what other pictures have."""
MOST = 100
"""Red cells whose texture is looked at; more would not change a median."""
RING, SPOKES = 0.6, 16
"""Radius, of the cell's, of the ring on which texture is sampled, and how often: beyond the pallor, within the rim."""
WITHIN = (0.0, 0.3, RING)
"""Radii that relief is sampled at: the pallor counts too."""
FAINTEST = 0.02
"""Optical density that a ratio is taken to at least, so that noise is no texture."""
STAINED = 0.06
"""Optical density above the empty slide from which on a pixel tells the dyes."""
DARKEST = 96.0
"""Percentile of optical density that tells how strongly anything is stained."""
MOST_COLOURED = 98.0
"""Percentile of the difference between channels that tells whether anything has the colour of a dye."""
COARSER = 4
"""Times that the copy is smaller whose colours are looked at."""
WHITE_PERCENTILE = 95.0
"""Of each channel; it stands for the empty slide."""


@dataclass(frozen=True, slots=True)
class Kinship:
    """How much a picture has of a blood smear. None where nothing in it tells."""

    likeness: float
    """0 to 1, from what the finder found and how surely: a probability if smears were as common as other pictures."""
    dye: float | None
    """Of what is stained, the difference between the channel that absorbs most and the one that absorbs least, of a
    unit vector of optical density, median: 0 for grey."""
    tint: float | None
    """Of what is stained, that difference of optical density itself, of the most coloured fiftieth: of nuclei where there
    are any. Red cells alone may be grey."""
    depth: float | None
    """Optical density of the darkest twenty-fifth of the picture above the empty slide, all channels together."""
    cyan: float | None
    """Of what is stained, the red channel's part of that vector, median: 1 where only red light is kept back. Smears of all
    training files have 0.88 at most, those behind a blue lamp; eosin alone has 0.2 to 0.5."""
    hues: float | None
    """Of what is stained, the mean distance of these unit vectors from their median: 0 for one dye."""
    texture: float | None
    """How uneven red cells are along a ring: standard deviation of optical density over its mean, median."""
    relief: float | None
    """Likewise from their middle to that ring: a red cell is a dish, or at least has grain."""
    fullness: float | None
    """Optical density in the middle of red cells over that on the ring, median: 1 for a disc, 0 for a hollow thing. Those of
    all training files have 0.10 and more, as blur fills the pallor."""


def kinship(
    small: Image,
    um_per_px: float,
    red: Boxes,
    reds: int,
    white_scores: NDArray[np.float32],
    unknown: float,
) -> Kinship:
    """Of a picture of square pixels (H, W, 3) with its red cells (N, 4), the share of what is stained in it that is no cell,
    and of the whole that it may be the middle of, how many red cells it has and the scores of its white cells (M,)."""
    dye, tint, depth, cyan, hues = _colours(small, um_per_px)
    texture, relief, fullness = _unevenness(small, red)
    return Kinship(
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
    """0 to 1, from the number of red cells, the scores of white cells (M,), the unexplained share of what is stained, and
    how uneven red cells are (None without any)."""
    best = max(LEAST_WHITE, float(white.max()) if len(white) else 0.0)
    uneven = np.log(np.clip(NO_TEXTURE if texture is None else texture, *TEXTURES))
    logit = UNKNOWN * unknown + WHITE * best + UNEVEN * uneven + MANY * np.log1p(reds) + BIAS
    return float(1 / (1 + np.exp(-logit)))


def _colours(small: Image, um_per_px: float) -> tuple[float | None, ...]:
    """See `Kinship.dye`, `tint`, `depth`, `cyan` and `hues`. The shade of a vignette is no stain: what is stained is darker
    than its surroundings."""
    height, width = small.shape[:2]
    size = max(1, width // COARSER), max(1, height // COARSER)
    coarse = cv2.resize(small, size, interpolation=cv2.INTER_AREA)
    reach = max(1, round(SURROUNDINGS_UM / um_per_px / COARSER)) | 1
    white = cv2.morphologyEx(coarse, cv2.MORPH_CLOSE, np.ones((reach, reach), np.uint8))
    white = cv2.GaussianBlur(white.astype(np.float32), (0, 0), reach / 3)
    density = np.log10(white.clip(1) / coarse.clip(1)).reshape(-1, 3)
    stained = density[density.mean(axis=1) > STAINED]
    # Of the whole picture: large things leave no surroundings, and are no less dark for it.
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
    """See `Kinship.texture`, `Kinship.relief` and `Kinship.fullness`."""
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
