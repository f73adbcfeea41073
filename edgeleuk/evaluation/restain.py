"""Labelled cells as another laboratory would have stained them: `edgeleuk eval reader ... --restain SEED`.

A stain model held back from training: it shares no code with the colour changes that readers are trained under. It
finds a picture's two dyes in the picture itself, changes them as dyes, and puts the picture together again on another
background. Every picture has a laboratory of its own, drawn from the seed and its file name: the same in every run,
whatever else is evaluated.

The two dyes are told as Macenko, Niethammer, Marron, Borland, Woosley, Guan, Schmitt and Thomas do (A method for
normalizing histology slides for quantitative analysis, ISBI 2009, 1107-1110): the plane that holds most of the optical
density, and in it the robust extremes of hue. On PBC and DeepAPL pictures these come out as the grey-blue of cytoplasm
and the purple of chromatin and granules, (R, G, B) about (0.59, 0.66, 0.44) and (0.41, 0.91, 0.11). What lies outside
the plane stays and is scaled along.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edgeleuk.evaluation.cells import Look, read_cell
from edgeleuk.evaluation.datasets import CellSample
from edgeleuk.types import Image, Scale

Vectors = NDArray[np.float64]

WHITE_PERCENTILE = 95
"""Of each channel: what is brighter is background, even where red cells are packed."""

STAINED = 0.15
"""Optical density (norm over R, G, B) from which on a pixel tells the dyes: beta of Macenko et al."""

EXTREME = 1.0
"""Percentile of hue that is taken for a pure dye: alpha of Macenko et al."""

LEAST_STAINED = 0.1
"""Share of the pixels, the densest, that tell the dyes of a picture too pale for STAINED."""

MIN_ANGLE = np.radians(10)
"""Least angle between both dyes, which else are drawn apart: from closer ones noise would come out as colour.

Of 305 PBC and DeepAPL training cells, up to 12 of each type, 95 % lie at 21 to 35 degrees.
"""

# The ranges of other laboratories. Chosen by eye, from the palest and darkest, pinkest and bluest pictures that still
# look like a Romanowsky stain someone would report from, beside real pictures of other laboratories.

STRENGTH = (0.55, 1.5)
"""Of the whole stain, times that of the picture: from pale (short staining, acid buffer) to dark."""

BALANCE = 1.3
"""Largest factor of one dye against the other, from pink to blue: buffer pH, age of the solution."""

COMMON_TURN = np.radians(12)
"""Largest turn of both dyes in the space of optical density: the spectra of lamp and sensor."""

OWN_TURN = np.radians(4)
"""Largest turn of each dye beyond it: its lot and its age."""

LEAST_ABSORBED = 0.07
"""Of a dye's unit vector, in any channel: no dye is clear to a camera's broad channels. Less than that is rare
(2.5 % of the cells that MIN_ANGLE names) and stays as it is; turned below it, nuclei would be a glaring blue."""

BACKGROUNDS = {
    "neutral": (240.0, 240.0, 240.0),
    "olive": (198.0, 202.0, 158.0),
    "yellow": (240.0, 226.0, 168.0),
    "blue": (182.0, 202.0, 238.0),
    "pink": (232.0, 208.0, 218.0),
}
"""8-bit RGB of the empty slide under halogen or LED lamps, through cameras of right and wrong white balance."""

BRIGHTNESS = (0.8, 1.05)
"""Of the background, times the colours above."""


@dataclass(frozen=True, slots=True)
class Laboratory:
    """How another laboratory stains and takes a picture. The defaults change nothing."""

    strengths: tuple[float, float] = (1.0, 1.0)
    """Of the first and the second dye, times those of the picture."""
    turns: tuple[Vectors, Vectors] = (np.eye(3), np.eye(3))
    """(3, 3) rotations of both dyes in the space of optical density (R, G, B)."""
    background: tuple[float, float, float] | None = None
    """Levels R, G, B of the empty slide, up to 255; None for the picture's own."""


def laboratory_of(path: Path, seed: int) -> Laboratory:
    """The laboratory that a picture gets."""
    digest = hashlib.sha256(f"{seed}/{path.parent.name}/{path.name}".encode()).digest()
    return draw(np.random.default_rng(int.from_bytes(digest[:8], "big")))


def draw(rng: np.random.Generator) -> Laboratory:
    """A laboratory within the ranges of this module; strengths are uniform in their logarithm."""
    strength = np.exp(rng.uniform(*np.log(STRENGTH)))
    balance = np.exp(rng.uniform(-1, 1) * np.log(BALANCE) / 2)
    common = rotation(rng.normal(size=3), rng.uniform(0, COMMON_TURN))
    first, second = (rotation(rng.normal(size=3), rng.uniform(0, OWN_TURN)) @ common for _ in range(2))
    colours = np.array(list(BACKGROUNDS.values()))
    cast = colours[rng.integers(len(colours))]
    background = (colours[0] + rng.random() * (cast - colours[0])) * rng.uniform(*BRIGHTNESS)
    red, green, blue = background.clip(0, 255).tolist()
    return Laboratory((strength * balance, strength / balance), (first, second), (red, green, blue))


def restain(image: Image, laboratory: Laboratory) -> Image:
    """The picture as `laboratory` would have stained and taken it, of the same size."""
    levels = image.reshape(-1, 3).astype(np.float64).clip(1)
    white = np.percentile(levels, WHITE_PERCENTILE, axis=0)
    density = -np.log10(levels / white)
    dyes = find_dyes(density)
    amounts = density @ np.linalg.pinv(dyes)
    rest = density - amounts @ dyes
    gains = np.array(laboratory.strengths)
    turned = np.stack([turn @ dye for turn, dye in zip(laboratory.turns, dyes, strict=True)])
    turned = np.maximum(turned, np.minimum(dyes, LEAST_ABSORBED))
    restained = (amounts * gains) @ turned + rest * np.sqrt(gains.prod())
    light = 10**-restained * (white if laboratory.background is None else laboratory.background)
    return light.round().clip(0, 255).astype(np.uint8).reshape(image.shape)


def restained_cells(seed: int, look: Look = read_cell) -> Look:
    """The way to read a single cell's picture, as `look` gives it, re-stained."""

    def read(sample: CellSample) -> tuple[Image, Scale]:
        image, scale = look(sample)
        return restain(image, laboratory_of(sample.path, seed)), scale

    return read


def find_dyes(density: Vectors) -> Vectors:
    """The unit vectors (2, 3) of both dyes in a picture's optical density (N, 3), the bluer one first.

    The bluer one absorbs more of the red light. Macenko et al. as named above, with both guards of this module.
    """
    density = density.clip(0)  # what is brighter than the background is no dye
    depth = np.linalg.norm(density, axis=1)
    stained = density[depth >= min(STAINED, np.quantile(depth, 1 - LEAST_STAINED))]
    plane = np.linalg.svd(stained, full_matrices=False)[2][:2]
    plane[0] *= np.sign(plane[0].sum()) or 1.0
    along, across = plane @ stained.T
    low, high = np.percentile(np.arctan2(across, along), [EXTREME, 100 - EXTREME])
    middle, half = (low + high) / 2, max(high - low, MIN_ANGLE) / 2
    angles = np.array([middle - half, middle + half])
    dyes = np.column_stack([np.cos(angles), np.sin(angles)]) @ plane
    return dyes if dyes[0, 0] >= dyes[1, 0] else dyes[::-1]


def rotation(axis: Vectors, angle: float) -> Vectors:
    """The (3, 3) rotation by `angle`, radians, about `axis` (3,) of any length (Rodrigues' formula)."""
    x, y, z = axis / np.linalg.norm(axis)
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    return np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * cross @ cross
