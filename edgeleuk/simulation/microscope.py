"""Virtual microscope: simulates a weaker objective and another camera.

It loses detail as glass does (point spread, defocus, lateral colour), samples as a sensor does, and adds the
effects of lamp, hand and firmware. Detail that the original picture lacks cannot be added: nothing is
rendered finer than it was taken.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from edgeleuk.imaging.objectives import WAVELENGTHS_UM, Objective
from edgeleuk.imaging.resampling import Resampling, point_spread_um, resize
from edgeleuk.types import Image, Scale

FloatImage = NDArray[np.float32]

GAMMA = 2.2
"""Gamma of stored levels.

Cameras store about the 2.2th root of light (sRGB, IEC 61966-2-1); lenses blur light, not its root.
"""


SOURCE_SPREAD_UM = tuple(point_spread_um(1.25, wavelength, index=1.515) for wavelength in WAVELENGTHS_UM)
"""Point spread of the original picture by channel, um.

It was taken through a 100x/1.25 oil objective.
"""


@dataclass(frozen=True, slots=True)
class Conditions:
    """Conditions under which one picture is taken.

    The defaults are a well-kept microscope with square pixels.
    """

    um_per_px: float
    """Geometric mean of both axes, um per pixel."""
    squeeze: float = 1.0
    """Width of a round cell over its height, in pixels."""
    defocus_um: float = 0.0
    lateral_colour: float = 0.0
    """Relative enlargement of red, and reduction of blue, against green."""
    vignette: float = 0.0
    """Share of the light lost in the corners.

    The loss grows with the square of the distance from the middle.
    """
    tilt: tuple[float, float] = (0.0, 0.0)
    """Relative change of light across width and height."""
    cast: tuple[float, float, float] = (1.0, 1.0, 1.0)
    """Gain of red, green and blue: lamp and white balance."""
    motion_um: float = 0.0
    """Distance the stage moves during the exposure, um."""
    motion_angle: float = 0.0
    """Direction of that motion, radians."""
    electrons: float | None = None
    """Number of electrons in a full pixel; None for no noise.

    Shot noise is the root of their number.
    """
    jpeg: int | None = None
    """JPEG quality, 1 to 100; None for no compression."""
    view_radius: float | None = None
    """Radius of the field of view behind an eyepiece.

    A share of half the picture's diagonal, as a phone sees it; None for no eyepiece.
    """
    seed: int = 0
    """Seed of the noise."""


@dataclass(frozen=True, slots=True)
class Rendered:
    """Rendered picture with its scale and coordinate mapping."""

    image: Image
    scale: Scale
    resampling: Resampling
    """Mapping from the original picture's pixels to these."""


def draw(lens: Objective, rng: np.random.Generator, finest: float = 0.0) -> Conditions:
    """Draw random shot conditions for an objective.

    Sampling is log-uniform over the lens's range. Defocus spreads by half a depth of field, the stage is
    still in half of the shots, one in five is squeezed.

    Args:
        lens: Objective to simulate.
        rng: Random generator.
        finest: Finest sampling allowed, um per pixel.
    """
    low, high = lens.um_per_px
    low = max(low, finest)
    um_per_px = float(np.exp(rng.uniform(np.log(low), np.log(max(high, low)))))
    return Conditions(
        um_per_px=um_per_px,
        squeeze=float(np.exp(rng.uniform(np.log(0.5625), 0))) if rng.random() < 0.2 else 1.0,
        defocus_um=float(rng.normal(0, lens.depth_um / 2)),
        lateral_colour=float(rng.normal(0, 0.0007)),
        vignette=float(rng.uniform(0, 0.3)),
        tilt=(float(rng.normal(0, 0.05)), float(rng.normal(0, 0.05))),
        cast=tuple(np.exp(rng.normal(0, 0.08, 3)).tolist()),
        motion_um=float(rng.exponential(1.5) * um_per_px) if rng.random() < 0.5 else 0.0,
        motion_angle=float(rng.uniform(0, np.pi)),
        electrons=float(np.exp(rng.uniform(np.log(3000), np.log(50000)))),
        jpeg=int(rng.integers(70, 97)),
        seed=int(rng.integers(2**31)),
    )


def render(image: Image, scale: Scale, lens: Objective, conditions: Conditions) -> Rendered:
    """Render a picture as a weaker objective and camera show it.

    Args:
        image: (H, W, 3) uint8, taken through a sharper objective.
        scale: Scale of `image`.
        lens: Objective to simulate.
        conditions: Conditions and camera to simulate.
    """
    resampling, shown = sampling(image.shape[1], image.shape[0], scale, conditions)
    light = _lens(_linear(image), scale, lens, conditions)
    lamp = _lamp(resampling.width, resampling.height, conditions)
    levels = _sensor(resize(light, resampling.width, resampling.height) * lamp, conditions)
    if conditions.view_radius is not None:
        levels[~round_view(resampling.width, resampling.height, conditions.view_radius)] = 0
    if conditions.jpeg is not None:
        levels = through_jpeg(levels, conditions.jpeg)
    return Rendered(levels, shown, resampling)


def sampling(width: int, height: int, scale: Scale, conditions: Conditions) -> tuple[Resampling, Scale]:
    """Return the resampling of a shot and the resulting scale.

    Args:
        width: Width of the original picture, pixels.
        height: Height of the original picture, pixels.
        scale: Scale of the original picture.
        conditions: Conditions that set the new scale and squeeze.
    """
    root = np.sqrt(conditions.squeeze)
    new_width = max(1, round(width * scale.um_per_px_x * root / conditions.um_per_px))
    new_height = max(1, round(height * scale.um_per_px_y / root / conditions.um_per_px))
    resampling = Resampling(new_width / width, new_height / height, new_width, new_height)
    shown = Scale(
        scale.um_per_px_x / resampling.factor_x,
        scale.um_per_px_y / resampling.factor_y,
        scale.source,
        scale.relative_error,
        scale.red_cells,
    )
    return resampling, shown


def round_view(width: int, height: int, radius: float) -> NDArray[np.bool_]:
    """Return a mask of a centred circular field of view.

    Args:
        width: Width of the picture, pixels.
        height: Height of the picture, pixels.
        radius: Radius as a share of half the diagonal.

    Returns:
        (height, width) bool, True inside.
    """
    x = np.arange(width) + 0.5 - width / 2
    y = np.arange(height) + 0.5 - height / 2
    inside: NDArray[np.bool_] = np.hypot(x[None], y[:, None]) <= radius * np.hypot(width, height) / 2
    return inside


def _linear(image: Image) -> FloatImage:
    light: FloatImage = ((np.arange(256) / 255) ** GAMMA).astype(np.float32)[image]
    return light


def _lens(light: FloatImage, scale: Scale, lens: Objective, conditions: Conditions) -> FloatImage:
    """Apply point spread, defocus and lateral colour, then motion blur."""
    channels = []
    for i, wavelength in enumerate(WAVELENGTHS_UM):
        spread = point_spread_um(lens.numerical_aperture, wavelength, conditions.defocus_um, lens.index)
        missing = np.sqrt(max(spread**2 - SOURCE_SPREAD_UM[i] ** 2, 0.0))
        sigma = (missing / scale.um_per_px_x, missing / scale.um_per_px_y)
        channel = np.ascontiguousarray(light[..., i])
        if min(sigma) > 0.1:  # less does not reach the neighbouring pixel
            channel = cv2.GaussianBlur(
                channel, (0, 0), sigma[0], sigmaY=sigma[1], borderType=cv2.BORDER_REFLECT
            )
        channels.append(_enlarged(channel, 1 + conditions.lateral_colour * (1 - i)))
    seen: FloatImage = np.stack(channels, axis=-1)
    if conditions.motion_um:
        kernel = _way(conditions, scale)
        seen = cv2.filter2D(seen, -1, kernel, borderType=cv2.BORDER_REFLECT)
    return seen


def _enlarged(channel: FloatImage, factor: float) -> FloatImage:
    """Enlarge a channel around the middle of the field."""
    if factor == 1:
        return channel
    height, width = channel.shape
    matrix = np.array(
        [[factor, 0, (1 - factor) * (width - 1) / 2], [0, factor, (1 - factor) * (height - 1) / 2]]
    )
    return cv2.warpAffine(
        channel, matrix, (width, height), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    )


def _way(conditions: Conditions, scale: Scale) -> FloatImage:
    """Return the blur kernel of a straight, even motion.

    Points along the motion are shared among the pixels they fall between.
    """
    end = (
        np.array([np.cos(conditions.motion_angle), np.sin(conditions.motion_angle)])
        * conditions.motion_um
        / 2
    )
    end /= (scale.um_per_px_x, scale.um_per_px_y)
    reach = int(np.ceil(np.abs(end).max())) + 1
    kernel = np.zeros((2 * reach + 1, 2 * reach + 1), np.float32)
    points = np.linspace(-1, 1, 8 * reach + 1)[:, None] * end + reach
    low = np.floor(points).astype(int)
    part = points - low
    for dx in (0, 1):
        for dy in (0, 1):
            weight = np.abs(1 - dx - part[:, 0]) * np.abs(1 - dy - part[:, 1])
            np.add.at(kernel, (low[:, 1] + dy, low[:, 0] + dx), weight.astype(np.float32))
    return kernel / kernel.sum()


def _lamp(width: int, height: int, conditions: Conditions) -> FloatImage:
    """Return the relative light over the field, (height, width, 3)."""
    x = ((np.arange(width, dtype=np.float32) + 0.5) / width * 2 - 1)[None]
    y = ((np.arange(height, dtype=np.float32) + 0.5) / height * 2 - 1)[:, None]
    light = (
        1 - conditions.vignette * (x**2 + y**2) / 2 + (conditions.tilt[0] * x + conditions.tilt[1] * y) / 2
    )
    field: FloatImage = (light[..., None] * np.array(conditions.cast)).astype(np.float32)
    return field


def through_jpeg(levels: Image, quality: int) -> Image:
    """Compress and decompress a picture as JPEG.

    `quality`: 1 to 100.
    """
    data = cv2.imencode(".jpg", levels[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
    decoded = cv2.imdecode(data, cv2.IMREAD_COLOR)
    assert decoded is not None  # it was encoded just now
    return np.ascontiguousarray(decoded[..., ::-1], np.uint8)


def _sensor(light: NDArray[np.floating], conditions: Conditions) -> Image:
    """Convert light to 8-bit levels with shot noise.

    Light is 1 for a full pixel.
    """
    if conditions.electrons is not None:
        noise = np.random.default_rng(conditions.seed).standard_normal(light.shape, np.float32)
        light = light + noise * np.sqrt(np.clip(light, 0, None) / np.float32(conditions.electrons))
    levels: Image = np.rint(np.clip(light, 0, 1) ** np.float32(1 / GAMMA) * 255).astype(np.uint8)
    return levels
