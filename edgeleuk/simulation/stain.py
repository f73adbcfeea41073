"""Optical densities of stains, measured on real cells.

Measured as medians over PBC training cells (Acevedo et al., "A dataset of microscopic peripheral blood cell
images for development of automatic recognition systems", Data in Brief 30, 2020, 105474; CC BY 4.0): of up to
150 cells of a type, the optical density relative to the image's own background of those pixels of a part of
the cell whose green density lies about its 15th and about its 85th percentile. PBC has no blasts: theirs are
the same figures over DeepAPL training cells (Sidhom et al., "Deep learning for diagnosis of acute
promyelocytic leukemia via recognition of genomically imprinted morphologic features", npj Precision Oncology
5, 2021, 38).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

LIGHT_RGB = (255.0, 230.0, 202.0)
"""Empty background of a PBC image, 8-bit RGB.

It is a lamp's warm white.
"""

TONES = (-1.8, 1.8)
"""Range of tones seen in real cells."""


@dataclass(frozen=True, slots=True)
class Stain:
    """Range of optical density over part of a cell.

    Densities are R, G, B.
    """

    low: tuple[float, float, float]
    """Light density: 15th percentile of green density."""
    high: tuple[float, float, float]
    """Dark density: 85th percentile of green density."""

    def at(self, tone: NDArray[np.floating[Any]]) -> NDArray[np.float32]:
        """Return the density at a tone.

        Density is (..., 3), `tone` is (...): -1 is `low`, 1 is `high`. A tone of unit standard deviation
        reproduces the range.
        """
        low, high = np.array(self.low, np.float32), np.array(self.high, np.float32)
        share = np.clip(tone, *TONES).astype(np.float32)[..., None]
        density: NDArray[np.float32] = (low + high) / np.float32(2) + share * ((high - low) / np.float32(2))
        return np.maximum(density, np.float32(0))


NUCLEUS = {
    "neutrophil": Stain((0.420, 0.610, 0.173), (0.621, 1.059, 0.185)),
    "eosinophil": Stain((0.373, 0.539, 0.156), (0.600, 1.040, 0.175)),
    "basophil": Stain((0.380, 0.562, 0.170), (0.614, 1.043, 0.200)),
    "lymphocyte": Stain((0.402, 0.610, 0.179), (0.607, 1.017, 0.202)),
    "monocyte": Stain((0.335, 0.503, 0.141), (0.509, 0.983, 0.161)),
    "blast": Stain((0.327, 0.471, 0.137), (0.451, 0.793, 0.169)),
}

CYTOPLASM = {
    "neutrophil": Stain((0.076, 0.103, 0.057), (0.121, 0.196, 0.074)),
    "eosinophil": Stain((0.142, 0.279, 0.141), (0.194, 0.452, 0.162)),
    "basophil": Stain((0.058, 0.074, 0.041), (0.188, 0.370, 0.096)),
    "lymphocyte": Stain((0.086, 0.070, 0.046), (0.171, 0.187, 0.063)),
    "monocyte": Stain((0.108, 0.112, 0.046), (0.205, 0.237, 0.065)),
    "blast": Stain((0.132, 0.132, 0.059), (0.236, 0.265, 0.085)),
}
"""Stain of the cytoplasm by cell type.

The eosinophil's includes its granules.
"""

RED_CELL = Stain((0.075, 0.113, 0.067), (0.119, 0.173, 0.097))
"""Stain of a red cell.

`low` is near the pale centre, `high` at the rim.
"""
PLATELET_MARGIN = Stain((0.084, 0.084, 0.038), (0.225, 0.349, 0.080))
PLATELET_GRANULES = Stain((0.324, 0.499, 0.129), (0.451, 0.941, 0.145))

FINE_GRANULE = (0.14, 0.30, 0.05)
"""Density that a fine granule adds to the cytoplasm.

It holds for neutrophils and monocytes. It was set by eye, beside real cells: these granules are smaller than
what the image resolves.
"""

EOSIN = (-0.08, 0.0, 0.10)
"""Relative change of density (R, G, B) towards eosin.

It applies where the stain is by one standard deviation redder than its median at the same green density; it
is about the spread over pixels of eosinophil cytoplasm and of monocyte nuclei.
"""
