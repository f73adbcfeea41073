"""Measure calibration accuracy on simulated devices.

Devices are calibrated by ruled glass or by the red cells of simulated smears. Each device is drawn at random:
its scale, the position of the glass, blur, noise, uneven light, and a squeeze where the pictures can reveal
it. Its pictures are written as files and go through the functions that `edgeleuk calibrate` calls.

The simulated red cells have the average size of human ones. So their error is that of the measurement alone;
real smears differ as well, by up to about 7 %.
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
from edgeleuk.imaging.objectives import objective
from edgeleuk.lab.evaluation.ruled_glass import Ruled, draw, ruled
from edgeleuk.networks.finder import Finder
from edgeleuk.simulation.smear import Camera, Optics, Smear, Stage
from edgeleuk.types import Image

RULED, CELLS = 0.005, 0.05
"""Largest relative errors counted as right.

The first is that of ruled glass, the second that of red cells.
"""
FIELD_UM = (96.0, 72.0)
"""Simulated field, um: holds 50 to 60 red cells."""
FIELDS = 3
WHITE_CELLS = {"neutrophil": 1, "lymphocyte": 1}
QUALITY = 90
"""JPEG quality of the pictures."""
SQUEEZES = (0.5625, 1.0, 1.0, 1.0)
"""Pixel squeezes to draw from, equally likely.

One device in four squeezes its pictures as a 16:9 frame resized to a square does.
"""

Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Drawn:
    """One simulated device and its pictures."""

    um_per_px: tuple[float, float]
    pictures: tuple[Image, ...]
    spacing_um: float | None
    """Line spacing; None for pictures of red cells."""


@dataclass(frozen=True, slots=True)
class Device:
    """Calibration result of one device."""

    um_per_px: tuple[float, float]
    found: tuple[float, float] | None
    """Calibrated scale; None if the pictures were refused."""
    stated_error: float
    """Relative error (95 %) stated by the profile."""

    @property
    def error(self) -> float:
        """Larger relative error of both axes.

        It is infinite if the pictures were refused.
        """
        if self.found is None:
            return float("inf")
        return max(abs(found / true - 1) for found, true in zip(self.found, self.um_per_px, strict=True))


@dataclass(frozen=True, slots=True)
class Result:
    """Devices calibrated by one method."""

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
    """Report of `edgeleuk eval calibration`."""

    ways: Mapping[str, Result]

    def as_json(self) -> dict[str, Any]:
        return {"ways": {name: result.as_json() for name, result in self.ways.items()}}


def evaluate_calibration(
    finder: Finder, magnification: str, devices: int, seed: int = 0, progress: Progress | None = None
) -> CalibrationReport:
    """Calibrate simulated devices by every method.

    Args:
        finder: Finder of the red cells.
        magnification: Objective of the simulated smears, such as "100x".
        devices: Number of devices for each method.
        seed: Seed of the devices.
        progress: Called with the devices done and their total, over all methods.
    """
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
    assert profile.scale  # calibrate returns a scale or raises
    found = (profile.scale.um_per_px_x, profile.scale.um_per_px_y)
    return Device(drawn.um_per_px, found, profile.scale.relative_error)


def _written(pictures: Sequence[Image], folder: Path) -> Iterator[Path]:
    for number, image in enumerate(pictures):
        path = folder / f"{number}.jpg"
        cv2.imwrite(str(path), image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
        yield path


def _lines(rng: np.random.Generator, _: str) -> Drawn:
    """Draw a device with one stage micrometer picture.

    One picture makes `calibrate` assume square pixels, and this device has them.
    """
    glass = draw(rng, grid=False)
    return Drawn(glass.um_per_px, (ruled(glass),), glass.spacing_um)


def _lines_twice(rng: np.random.Generator, _: str) -> Drawn:
    """Draw a device with two micrometer pictures.

    The stage micrometer lies across and then down; the pixels are squeezed or not.
    """
    glass = _squeezed(draw(rng, grid=False), float(rng.choice(SQUEEZES)))
    down = replace(glass, angle=glass.angle + np.pi / 2 + float(rng.normal(0, 0.1)), seed=glass.seed + 1)
    return Drawn(glass.um_per_px, (ruled(glass), ruled(down)), glass.spacing_um)


def _grid(rng: np.random.Generator, _: str) -> Drawn:
    """Draw a device with a counting chamber picture.

    Its pixels are squeezed or not.
    """
    glass = _squeezed(draw(rng, grid=True), float(rng.choice(SQUEEZES)))
    return Drawn(glass.um_per_px, (ruled(glass),), glass.spacing_um)


def _squeezed(glass: Ruled, squeeze: float) -> Ruled:
    x, y = glass.um_per_px
    return replace(glass, um_per_px=(x / squeeze**0.5, y * squeeze**0.5))


def _cells(rng: np.random.Generator, magnification: str) -> Drawn:
    """Draw a device with fields of red cells."""
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
    # The stage takes the pixel size along y; the field has the same size in um with any squeeze.
    along = (um_per_px / squeeze**0.5, um_per_px * squeeze**0.5)
    width, height = (round(side / step) for side, step in zip(FIELD_UM, along, strict=True))
    fields = []
    for _ in range(FIELDS):
        size = (width * along[0] + 1, height * along[1] + 1)
        smear = Smear.generate(int(rng.integers(1 << 30)), *size, WHITE_CELLS)
        stage = Stage(smear, along[1], (width, height), squeeze=squeeze, optics=optics, camera=camera)
        fields.append(stage.field().pixels)
    return Drawn(along, tuple(fields), None)


WAYS: Mapping[str, tuple[float, Callable[[np.random.Generator, str], Drawn]]] = {
    "stage micrometer": (RULED, _lines),
    "micrometer, laid twice": (RULED, _lines_twice),
    "counting chamber": (RULED, _grid),
    "red cells": (CELLS, _cells),
}
"""Calibration methods by their name in the report.

Each has the largest relative error that counts as right, and the function that draws a device.
"""
