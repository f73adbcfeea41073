"""How near a calibration comes to the truth, on simulated devices: ruled glass, and red cells of simulated smears.

Each device is drawn: its scale, how the glass lies, blur, noise, uneven light, and a squeeze where the pictures can tell it.
Its pictures are written as files and go through what `edgeleuk calibrate` calls. The simulated cells are as large as people's
are on average, so what red cells are off by is the measuring alone, and not that smears differ (to about 7 %).
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from edgeleuk.calibration.device import Pictures, calibrate
from edgeleuk.errors import EdgeleukError
from edgeleuk.evaluation.rulings import Ruled, draw, ruled
from edgeleuk.finder import Finder
from edgeleuk.microscope import objective
from edgeleuk.sources.simulated import Camera, Optics, Smear, Stage
from edgeleuk.types import Image

RULED, CELLS = 0.005, 0.05
"""Relative errors that the report counts as right, of a ruling and of red cells."""
FIELD_UM = (96.0, 72.0)
"""Of a simulated smear, 50 to 60 red cells."""
FIELDS = 3
WHITE_CELLS = {"neutrophil": 1, "lymphocyte": 1}
QUALITY = 90
"""Of the JPEGs that the pictures are written as."""
SQUEEZES = (0.5625, 1.0, 1.0, 1.0)
"""One device in four squeezes its pictures as a 16:9 frame resized to a square does."""

Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Drawn:
    """One simulated device and what it took."""

    um_per_px: tuple[float, float]
    pictures: tuple[Image, ...]
    spacing_um: float | None
    """Of a ruling; None where they show red cells."""


@dataclass(frozen=True, slots=True)
class Device:
    """One device calibrated."""

    um_per_px: tuple[float, float]
    found: tuple[float, float] | None
    """None where its pictures were refused."""
    stated_error: float
    """Relative, 95 %, as the profile has it."""

    @property
    def error(self) -> float:
        """Relative, the larger of both axes; infinite where nothing was found."""
        if self.found is None:
            return float("inf")
        return max(abs(found / true - 1) for found, true in zip(self.found, self.um_per_px, strict=True))


@dataclass(frozen=True, slots=True)
class Result:
    """Devices calibrated in one way."""

    limit: float
    devices: Sequence[Device]

    def as_json(self) -> dict[str, Any]:
        errors = [device.error for device in self.devices if device.found]
        return {
            "devices": len(self.devices),
            "refused": len(self.devices) - len(errors),
            "limit": self.limit,
            "share_within_limit": sum(e <= self.limit for e in errors) / len(self.devices),
            "median_error": float(np.median(errors)) if errors else None,
            "largest_error": max(errors, default=None),
            "share_within_stated_error": sum(d.error <= d.stated_error for d in self.devices)
            / len(self.devices),
        }


@dataclass(frozen=True, slots=True)
class CalibrationReport:
    """What `edgeleuk eval calibration` reports."""

    ways: Mapping[str, Result]

    def as_json(self) -> dict[str, Any]:
        return {"ways": {name: result.as_json() for name, result in self.ways.items()}}


def evaluate_calibration(
    finder: Finder, magnification: str, devices: int, seed: int = 0, progress: Progress | None = None
) -> CalibrationReport:
    """So many `devices` for each way to calibrate, drawn by `seed`."""
    done: dict[str, list[Device]] = {name: [] for name in WAYS}
    for name, (_, draw_device) in WAYS.items():
        for number in range(devices):
            rng = np.random.default_rng((seed, list(WAYS).index(name), number))
            done[name].append(_calibrated(draw_device(rng, magnification), magnification, finder))
            if progress:
                progress(sum(map(len, done.values())), devices * len(WAYS))
    return CalibrationReport({name: Result(WAYS[name][0], each) for name, each in done.items()})


def _calibrated(drawn: Drawn, magnification: str, finder: Finder) -> Device:
    with tempfile.TemporaryDirectory() as folder:
        paths = list(_written(drawn.pictures, Path(folder)))
        pictures = Pictures(micrometer=paths) if drawn.spacing_um else Pictures(red_cells=paths)
        try:
            profile = calibrate("simulated", magnification, pictures, drawn.spacing_um, finder).profile
        except EdgeleukError:
            return Device(drawn.um_per_px, None, 0.0)
    assert profile.scale  # what it was asked for, or an error
    found = (profile.scale.um_per_px_x, profile.scale.um_per_px_y)
    return Device(drawn.um_per_px, found, profile.scale.relative_error)


def _written(pictures: Sequence[Image], folder: Path) -> Iterator[Path]:
    for number, image in enumerate(pictures):
        path = folder / f"{number}.jpg"
        cv2.imwrite(str(path), image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
        yield path


def _lines(rng: np.random.Generator, _: str) -> Drawn:
    """A stage micrometer, one picture: pixels are taken to be square, and are."""
    glass = draw(rng, grid=False)
    return Drawn(glass.um_per_px, (ruled(glass),), glass.spacing_um)


def _lines_twice(rng: np.random.Generator, _: str) -> Drawn:
    """A stage micrometer laid across and then down, squeezed or not."""
    glass = _squeezed(draw(rng, grid=False), float(rng.choice(SQUEEZES)))
    down = replace(glass, angle=glass.angle + np.pi / 2 + float(rng.normal(0, 0.1)), seed=glass.seed + 1)
    return Drawn(glass.um_per_px, (ruled(glass), ruled(down)), glass.spacing_um)


def _grid(rng: np.random.Generator, _: str) -> Drawn:
    """A counting chamber, squeezed or not."""
    glass = _squeezed(draw(rng, grid=True), float(rng.choice(SQUEEZES)))
    return Drawn(glass.um_per_px, (ruled(glass),), glass.spacing_um)


def _squeezed(glass: Ruled, squeeze: float) -> Ruled:
    x, y = glass.um_per_px
    return replace(glass, um_per_px=(x / squeeze**0.5, y * squeeze**0.5))


def _cells(rng: np.random.Generator, magnification: str) -> Drawn:
    """A few fields of one smear behind a camera of the objective."""
    low, high = objective(magnification).um_per_px
    um_per_px = float(np.exp(rng.uniform(np.log(low), np.log(high))))
    squeeze = float(rng.choice(SQUEEZES))
    lens = objective(magnification)
    optics = Optics(
        light_rgb=(235.0, float(rng.uniform(200, 235)), float(rng.uniform(140, 235))),
        vignette=float(rng.uniform(0, 0.4)),
        numerical_aperture=lens.numerical_aperture,
        immersion_index=lens.index,
        defocus_um=float(rng.uniform(0, 0.5)) * lens.depth_um,
    )
    camera = Camera(
        sharpen=float(rng.uniform(0, 1)),
        electrons=float(np.exp(rng.uniform(np.log(3e3), np.log(5e4)))),
        seed=int(rng.integers(1 << 30)),
    )
    # One width of a pixel along y; the field is as wide in um either way.
    along = (um_per_px / squeeze**0.5, um_per_px * squeeze**0.5)
    width, height = (round(side / step) for side, step in zip(FIELD_UM, along, strict=True))
    fields = []
    for _ in range(FIELDS):
        size = (width * along[0] + 1, height * along[1] + 1)
        smear = Smear.generate(int(rng.integers(1 << 30)), *size, WHITE_CELLS)
        stage = Stage(smear, along[1], width, height, squeeze=squeeze, optics=optics, camera=camera)
        fields.append(stage.field().pixels)
    return Drawn(along, tuple(fields), None)


WAYS: Mapping[str, tuple[float, Callable[[np.random.Generator, str], Drawn]]] = {
    "stage micrometer": (RULED, _lines),
    "micrometer, laid twice": (RULED, _lines_twice),
    "counting chamber": (RULED, _grid),
    "red cells": (CELLS, _cells),
}
"""How a device is calibrated, by the name that the report gives it: what counts as right, and what draws a device."""
