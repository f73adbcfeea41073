"""From optical density to what the camera hands over: lamp, objective, sensor, firmware."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from edgeleuk.optics import point_spread_um
from edgeleuk.sources._stain import LIGHT_RGB
from edgeleuk.types import Image

FloatImage = NDArray[np.float32]

SHARPEN_SIGMA_PX = 1.2
NOISE_MARGIN = 64
"""Pixels by which the sheet of noise is larger than a field."""


@dataclass(frozen=True, slots=True)
class Optics:
    """Lamp and objective."""

    light_rgb: tuple[float, float, float] = LIGHT_RGB
    """Of empty slide in the middle of the field at exposure 1, 8-bit levels."""
    vignette: float = 0.06
    """Share of the light lost in the corners, growing with the square of the distance from the middle."""
    numerical_aperture: float = 1.25
    wavelength_um: float = 0.55
    immersion_index: float = 1.515
    defocus_um: float = 0.0

    @property
    def blur_um(self) -> float:
        """Standard deviation of the point spread."""
        return point_spread_um(
            self.numerical_aperture, self.wavelength_um, self.defocus_um, self.immersion_index
        )


@dataclass(frozen=True, slots=True)
class Camera:
    """Sensor and its firmware."""

    exposure: float = 0.98
    sharpen: float = 1.0
    """Of the unsharp mask that microscope cameras apply; 0 for none."""
    electrons: float = 50000.0
    """That a full pixel holds: shot noise is the root of their number."""
    seed: int = 0
    """Of the noise. Each field that is taken has noise of its own."""


class View:
    """One field of view: what light of a density reaches which level of the camera."""

    def __init__(
        self, width: int, height: int, um_per_px: NDArray[np.float64], optics: Optics, camera: Camera
    ) -> None:
        """`um_per_px` (2,) along x and y."""
        self.camera = camera
        self._light = _illumination(width, height, optics) * np.float32(camera.exposure)
        self._sigma = (optics.blur_um / um_per_px).tolist()
        sheet = (height + NOISE_MARGIN, width + NOISE_MARGIN, 3)
        self._sheet = np.random.default_rng(camera.seed).standard_normal(sheet, np.float32)
        self._fields = 0

    def field(self, density: FloatImage) -> Image:
        """Optical density (height, width, 3) to 8-bit RGB. Beer-Lambert, point spread, shot noise, sharpening."""
        light = self._light * np.exp(density * np.float32(-np.log(10)))
        seen = cv2.GaussianBlur(light, (0, 0), self._sigma[0], sigmaY=self._sigma[1])
        seen += self._noise() * np.sqrt(seen * np.float32(255 / self.camera.electrons))
        if self.camera.sharpen:
            smooth = cv2.GaussianBlur(seen, (0, 0), SHARPEN_SIGMA_PX)
            seen = cv2.addWeighted(seen, 1 + self.camera.sharpen, smooth, -self.camera.sharpen, 0)
        levels: Image = np.clip(np.rint(seen, out=seen), 0, 255, out=seen).astype(np.uint8)
        return levels

    def _noise(self) -> FloatImage:
        """Unit noise for the next field: a window of a larger sheet, as drawing it anew costs as much as the field."""
        rng = np.random.default_rng((self.camera.seed, self._fields))
        self._fields += 1
        x, y = rng.integers(0, NOISE_MARGIN, 2)
        height, width = self._light.shape[:2]
        sheet: FloatImage = self._sheet[y : y + height, x : x + width]
        return sheet * np.float32(rng.choice((-1, 1)))


def _illumination(width: int, height: int, optics: Optics) -> FloatImage:
    """Light on an empty field, (height, width, 3) 8-bit levels."""
    x = (np.arange(width, dtype=np.float32) + 0.5) / width * 2 - 1
    y = (np.arange(height, dtype=np.float32) + 0.5) / height * 2 - 1
    falloff = 1 - optics.vignette * (x[None] ** 2 + y[:, None] ** 2) / 2
    light: FloatImage = (falloff[..., None] * np.array(optics.light_rgb)).astype(np.float32)
    return light
