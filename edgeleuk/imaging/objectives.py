"""Objectives, and how finely cameras sample behind them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from edgeleuk.errors import UsageError

WAVELENGTHS_UM = (0.61, 0.54, 0.46)
"""Centre wavelengths of red, green and blue sensors, um."""

ADAPTER = 0.5
"""Reduction of the usual C-mount adapter.

It sits between objective and camera.
"""

PIXEL_UM = (1.55, 6.9)
"""Finest and coarsest pixel of common cameras, um.

The Raspberry Pi High Quality Camera's (Sony IMX477, 1.55 um), and two by two binned pixels of a 3.45 um
industrial sensor (Sony IMX250).
"""


@dataclass(frozen=True, slots=True)
class Objective:
    """Objective with the data engraved on its barrel."""

    magnification: int
    numerical_aperture: float
    index: float = 1.0
    """Refractive index between slide and lens.

    1 for air, 1.515 for oil.
    """

    @property
    def um_per_px(self) -> tuple[float, float]:
        """Finest and coarsest sampling of its cameras, um per pixel.

        Those are the cameras of PIXEL_UM behind ADAPTER.
        """
        fine, coarse = (pixel / (self.magnification * ADAPTER) for pixel in PIXEL_UM)
        return fine, coarse

    @property
    def depth_um(self) -> float:
        """Depth of field, um.

        Wavelength x index / NA^2 (Inoue and Spring, Video Microscopy, 1997).
        """
        return WAVELENGTHS_UM[1] * self.index / self.numerical_aperture**2


OBJECTIVES: Mapping[str, Objective] = {
    "100x": Objective(100, 1.25, 1.515),
    "40x": Objective(40, 0.65),
    "10x": Objective(10, 0.25),
}


def objective(name: str) -> Objective:
    """Return an objective by name.

    Raises:
        UsageError: There is none of this name.
    """
    if name not in OBJECTIVES:
        raise UsageError(f"no objective {name!r}. Objectives: {', '.join(OBJECTIVES)}. Use one of these.")
    return OBJECTIVES[name]
