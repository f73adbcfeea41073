"""Re-stain labelled cells as another laboratory would have.

Used by `edgeleuk eval reader ... --restain SEED`. This stain model is held back from training: it shares no
code with the colour changes that readers are trained under. It finds the two dyes of a picture in the picture
itself, changes them, and puts the picture together again on another background. Every picture has its own
laboratory, drawn from the seed and the file name, so it is the same in every run, whatever else is evaluated.

The two dyes are found by the method of Macenko, Niethammer, Marron, Borland, Woosley, Guan, Schmitt and
Thomas (A method for normalizing histology slides for quantitative analysis, ISBI 2009, 1107-1110): the plane
that holds most of the optical density, and in it the robust extremes of hue. On PBC and DeepAPL pictures
these are the grey-blue of cytoplasm and the purple of chromatin and granules, (R, G, B) about (0.59, 0.66,
0.44) and (0.41, 0.91, 0.11). The part of the density outside the plane is kept and scaled as well.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edgeleuk.lab.evaluation.cells import CellLoader, read_cell
from edgeleuk.lab.evaluation.datasets import CellSample
from edgeleuk.types import Image, Scale

Vectors = NDArray[np.float64]

WHITE_PERCENTILE = 95
"""Percentile of each channel taken as the background.

What is brighter is background, even where red cells are packed.
"""

STAINED = 0.15
"""Minimum optical density of stained pixels.

Only such pixels are used to find the dyes. The density is the norm over R, G, B: beta of Macenko et al.
"""

EXTREME = 1.0
"""Percentile of hue taken as a pure dye.

It is alpha of Macenko et al.
"""

LEAST_STAINED = 0.1
"""Minimum share of pixels used to find the dyes.

In a picture too pale for STAINED, the densest pixels are used.
"""

MIN_ANGLE = np.radians(10)
"""Minimum angle between both dyes.

Dyes found closer together are moved apart to this angle, as otherwise noise would come out as colour. Of 305
PBC and DeepAPL training cells, up to 12 of each type, 95 % lie at 21 to 35 degrees.
"""

# The ranges of other laboratories. Chosen by eye, beside real pictures of other laboratories: from the
# palest to the darkest and from the pinkest to the bluest pictures that still look like a Romanowsky
# stain fit for reporting.

STRENGTH = (0.55, 1.5)
"""Factors of the whole stain, lowest and highest.

They go from pale (short staining, acid buffer) to dark.
"""

BALANCE = 1.3
"""Largest factor of one dye against the other.

It goes from pink to blue, as with buffer pH and age of the solution.
"""

COMMON_TURN = np.radians(12)
"""Largest common rotation of both dyes.

It is in the space of optical density and stands for the spectra of lamp and sensor.
"""

OWN_TURN = np.radians(4)
"""Largest further rotation of each single dye.

It stands for the lot and the age of the dye.
"""

LEAST_ABSORBED = 0.07
"""Minimum absorption of a dye per channel.

It is a component of the dye's unit vector: no dye is clear to a camera's broad channels. A lower component is
rare (2.5 % of the cells that MIN_ANGLE names) and stays as it is; rotated below the minimum, nuclei would be
a glaring blue.
"""

BACKGROUNDS = {
    "neutral": (240.0, 240.0, 240.0),
    "olive": (198.0, 202.0, 158.0),
    "yellow": (240.0, 226.0, 168.0),
    "blue": (182.0, 202.0, 238.0),
    "pink": (232.0, 208.0, 218.0),
}
"""Colours of the empty slide, 8-bit RGB.

They are those under halogen or LED lamps, through cameras with right and wrong white balance.
"""

BRIGHTNESS = (0.8, 1.05)
"""Factors of BACKGROUNDS, lowest and highest."""


@dataclass(frozen=True, slots=True)
class Laboratory:
    """Stain and background of another laboratory.

    The defaults change nothing.
    """

    strengths: tuple[float, float] = (1.0, 1.0)
    """Factors of the first and the second dye."""
    turns: tuple[Vectors, Vectors] = (np.eye(3), np.eye(3))
    """Rotations of both dyes: (3, 3) each.

    They are in the space of optical density (R, G, B).
    """
    background: tuple[float, float, float] | None = None
    """RGB levels of the empty slide, up to 255.

    None keeps the picture's own.
    """


def laboratory_of(path: Path, seed: int) -> Laboratory:
    """Draw a picture's laboratory from seed and name."""
    digest = hashlib.sha256(f"{seed}/{path.parent.name}/{path.name}".encode()).digest()
    return draw(np.random.default_rng(int.from_bytes(digest[:8], "big")))


def draw(rng: np.random.Generator) -> Laboratory:
    """Draw a laboratory within this module's ranges.

    Strengths are uniform in their logarithm.
    """
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
    """Re-stain a picture as `laboratory` would.

    The size stays the same.
    """
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


def restained_cells(seed: int, load_cell: CellLoader = read_cell) -> CellLoader:
    """Wrap `load_cell` to re-stain each cell's picture."""

    def read(sample: CellSample) -> tuple[Image, Scale]:
        image, scale = load_cell(sample)
        return restain(image, laboratory_of(sample.path, seed)), scale

    return read


def find_dyes(density: Vectors) -> Vectors:
    """Find both dyes of a picture.

    `density` is the optical density of the picture, (N, 3). The result holds the unit vectors of the dyes,
    (2, 3), the bluer one first, which absorbs more of the red light. The method is that of Macenko et al.
    (see the module), with the guards LEAST_STAINED and MIN_ANGLE.
    """
    density = density.clip(0)  # brighter than the background: no dye
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
    """Return the (3, 3) rotation about an axis.

    It follows Rodrigues' formula. `axis` is (3,), of any length; `angle` is in radians.
    """
    x, y, z = axis / np.linalg.norm(axis)
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    return np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * cross @ cross
