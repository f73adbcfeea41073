"""Simulate pictures of ruled glass with known spacing.

The glass is a stage micrometer or a counting chamber.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from edgeleuk.types import Image

FINE = 3
"""Samples per pixel and axis for lines."""


@dataclass(frozen=True, slots=True)
class Ruled:
    """Ruled glass, its position and its optics."""

    um_per_px: tuple[float, float]
    """Scale along x and y."""
    spacing_um: float = 10.0
    line_um: float = 1.5
    angle: float = 0.0
    """Angle of the lines' normal, radians.

    It is measured from the x axis in the plane of the slide.
    """
    grid: bool = False
    width: int = 960
    height: int = 720
    bright: bool = False
    """Whether lines are bright on dark ground."""
    ticks: bool = False
    """Whether lines have different lengths.

    Every fifth and every tenth line is longer, as on a stage micrometer.
    """
    blur_px: float = 1.0
    noise: float = 3.0
    """Standard deviation of the noise, 8-bit levels."""
    vignette: float = 0.3
    offset_um: tuple[float, float] = (0.0, 0.0)
    seed: int = 0


def ruled(glass: Ruled) -> Image:
    """Render ruled glass: (height, width, 3) uint8."""
    x = ((np.arange(glass.width * FINE) + 0.5) / FINE - glass.width / 2) * glass.um_per_px[
        0
    ] + glass.offset_um[0]
    y = ((np.arange(glass.height * FINE) + 0.5) / FINE - glass.height / 2) * glass.um_per_px[
        1
    ] + glass.offset_um[1]
    across = x[None] * np.cos(glass.angle) + y[:, None] * np.sin(glass.angle)
    along = -x[None] * np.sin(glass.angle) + y[:, None] * np.cos(glass.angle)
    covered = _lines(across, glass)
    if glass.ticks:
        number = np.rint(across / glass.spacing_um)
        reach = np.where(number % 10 == 0, 40, np.where(number % 5 == 0, 30, 22)) * glass.spacing_um / 10
        covered &= (along > -2 * glass.spacing_um) & (along < reach)
    if glass.grid:
        covered |= _lines(along, glass)
    share = cv2.resize(covered.astype(np.float32), (glass.width, glass.height), interpolation=cv2.INTER_AREA)
    rng = np.random.default_rng(glass.seed)
    levels = 60 + 150 * share if glass.bright else 215 - 150 * share
    levels = cv2.GaussianBlur(levels, (0, 0), glass.blur_px)
    u, v = np.linspace(-1, 1, glass.width)[None], np.linspace(-1, 1, glass.height)[:, None]
    lit = levels * (1 - glass.vignette * (u**2 + v**2) / 2) * (1 + 0.05 * u)
    colour = lit[..., None] * np.array([1.0, 0.97, 0.85]) + rng.normal(0, glass.noise, (*lit.shape, 3))
    return np.rint(colour).clip(0, 255).astype(np.uint8)


def _lines(distance: np.ndarray, glass: Ruled) -> np.ndarray:
    off = np.abs(distance - np.rint(distance / glass.spacing_um) * glass.spacing_um)
    return off < glass.line_um / 2


def draw(rng: np.random.Generator, grid: bool) -> Ruled:
    """Draw a random ruling.

    It may have any orientation, and the scale of a camera of any objective.
    """
    um_per_px = float(np.exp(rng.uniform(np.log(0.04), np.log(0.6))))
    squeeze = float(rng.uniform(0.8, 1.25)) if grid else 1.0
    spacing = float(rng.choice([s for s in (10.0, 50.0, 100.0) if 8 < s / um_per_px < 170] or [10.0]))
    return Ruled(
        (um_per_px / np.sqrt(squeeze), um_per_px * np.sqrt(squeeze)),
        spacing_um=spacing,
        line_um=spacing * float(rng.uniform(0.08, 0.25)),
        angle=float(rng.uniform(0, np.pi)),
        grid=grid,
        bright=bool(rng.random() < 0.3),
        ticks=not grid and bool(rng.random() < 0.3),
        blur_px=float(rng.uniform(0.6, 2.5)),
        noise=float(rng.uniform(1, 8)),
        vignette=float(rng.uniform(0, 0.5)),
        offset_um=(float(rng.uniform(-0.5, 0.5)) * spacing, float(rng.uniform(-0.5, 0.5)) * spacing),
        seed=int(rng.integers(1 << 30)),
    )
