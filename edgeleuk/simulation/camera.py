"""Simulate lamp, objective, sensor and firmware.

Turns optical density into the frame that the camera delivers.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from edgeleuk.imaging.resampling import point_spread_um
from edgeleuk.simulation.stain import LIGHT_RGB
from edgeleuk.types import Image

FloatImage = NDArray[np.float32]

SHARPEN_SIGMA_PX = 1.2
NOISE_MARGIN = 64
"""Pixels by which the noise sheet exceeds a field."""


@dataclass(frozen=True, slots=True)
class Optics:
    """Lamp and objective."""

    light_rgb: tuple[float, float, float] = LIGHT_RGB
    """Level of empty slide at the field's centre, 8 bits.

    It holds at exposure 1.
    """
    vignette: float = 0.06
    """Share of light lost in the corners.

    The loss grows with the square of the distance from the centre.
    """
    numerical_aperture: float = 1.25
    wavelength_um: float = 0.55
    immersion_index: float = 1.515
    defocus_um: float = 0.0

    @property
    def blur_um(self) -> float:
        """Standard deviation of the point spread, micrometres."""
        return point_spread_um(
            self.numerical_aperture, self.wavelength_um, self.defocus_um, self.immersion_index
        )


@dataclass(frozen=True, slots=True)
class Camera:
    """Sensor and its firmware."""

    exposure: float = 0.98
    sharpen: float = 1.0
    """Strength of the camera's unsharp mask; 0 for none."""
    electrons: float = 50000.0
    """Electrons of a full pixel.

    Shot noise is the square root of their number.
    """
    seed: int = 0
    """Seed of the noise, which differs between fields."""


class View:
    """Optics and camera at one field size and scale.

    It maps optical density to the camera's levels.
    """

    def __init__(
        self, width: int, height: int, um_per_px: NDArray[np.float64], optics: Optics, camera: Camera
    ) -> None:
        """Prepare illumination, blur and noise.

        Args:
            width: Width of the field, pixels.
            height: Height of the field, pixels.
            um_per_px: (2,) scale along x and y, micrometres per pixel.
            optics: Lamp and objective.
            camera: Sensor and firmware.
        """
        self.camera = camera
        self._light = _illumination(width, height, optics) * np.float32(camera.exposure)
        self._sigma = (optics.blur_um / um_per_px).tolist()
        sheet = (height + NOISE_MARGIN, width + NOISE_MARGIN, 3)
        self._sheet = np.random.default_rng(camera.seed).standard_normal(sheet, np.float32)
        self._fields = 0

    def field(self, density: FloatImage) -> Image:
        """Render optical density (height, width, 3) as 8-bit RGB.

        Applies Beer-Lambert, point spread, shot noise and sharpening.
        """
        light = self._light * np.exp(density * np.float32(-np.log(10)))
        seen = cv2.GaussianBlur(light, (0, 0), self._sigma[0], sigmaY=self._sigma[1])
        seen += self._noise() * np.sqrt(seen * np.float32(255 / self.camera.electrons))
        if self.camera.sharpen:
            smooth = cv2.GaussianBlur(seen, (0, 0), SHARPEN_SIGMA_PX)
            seen = cv2.addWeighted(seen, 1 + self.camera.sharpen, smooth, -self.camera.sharpen, 0)
        levels: Image = np.clip(np.rint(seen, out=seen), 0, 255, out=seen).astype(np.uint8)
        return levels

    def _noise(self) -> FloatImage:
        """Return unit noise for the next field.

        It is a window of a larger sheet, as drawing it anew costs as much as the field.
        """
        rng = np.random.default_rng((self.camera.seed, self._fields))
        self._fields += 1
        x, y = rng.integers(0, NOISE_MARGIN, 2)
        height, width = self._light.shape[:2]
        sheet: FloatImage = self._sheet[y : y + height, x : x + width]
        return sheet * np.float32(rng.choice((-1, 1)))


def _illumination(width: int, height: int, optics: Optics) -> FloatImage:
    """Return the light on an empty field.

    It is (height, width, 3), in 8-bit levels.
    """
    x = (np.arange(width, dtype=np.float32) + 0.5) / width * 2 - 1
    y = (np.arange(height, dtype=np.float32) + 0.5) / height * 2 - 1
    falloff = 1 - optics.vignette * (x[None] ** 2 + y[:, None] ** 2) / 2
    light: FloatImage = (falloff[..., None] * np.array(optics.light_rgb)).astype(np.float32)
    return light
