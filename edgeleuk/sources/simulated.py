"""Simulate a moving stage with known truth.

It is a simulated slide under a simulated microscope, for trying out, and for measuring what counts frames:
where a cell is seen twice, what a blurred frame adds, what a jump loses. Figures measured here say nothing
about accuracy on real smears.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np

from edgeleuk.errors import UsageError
from edgeleuk.simulation.camera import FloatImage
from edgeleuk.simulation.smear import Camera, Optics, Smear, Stage, TrueCell, _Stamp
from edgeleuk.simulation.smear import _stamp as paint_stamp
from edgeleuk.simulation.stage_script import Exposure, Focus, Jump, Move, Point, Pose, Script, Segment, Stop
from edgeleuk.sources.camera import SourceInfo
from edgeleuk.types import Frame, Image, TimedFrame

__all__ = [
    "Exposure",
    "Focus",
    "Jump",
    "Move",
    "Objective",
    "Script",
    "StageSource",
    "Stop",
    "open_stage",
    "serpentine",
]

WHITE_CELLS = {
    "neutrophil": 116,
    "lymphocyte": 58,
    "monocyte": 13,
    "eosinophil": 6,
    "basophil": 2,
    "blast": 5,
}
"""White cells of the slide, by cell type.

200 white cells: within the adult reference ranges of `data/reference_adult.toml`, but for a few blasts.
"""
SHUTTER_S = 1 / 60
"""Exposure time of a frame, seconds.

The stage's movement during it is the frame's blur.
"""
OVERLAP_UM = 24.0
"""Minimum overlap of neighbouring fields, micrometres.

It exceeds the largest cell, so that each cell is complete in one field.
"""
WHITE_CELL_UM2 = 2500.0
"""Minimum area of slide per white cell, square micrometres.

White cells keep apart from each other and from the red cells.
"""
STAMP_BYTES = 64_000_000
"""Maximum bytes of painted cells in memory.

They hold six fields at 100x, one at 10x.
"""
DRIFT_S = 240.0
"""Period of the drift of focus and lamp, seconds.

Both wander off and back: a stage settles and a lamp warms over minutes.
"""
JITTER_UM = 3.0
"""Maximum error of a hand's aim, micrometres."""


@dataclass(frozen=True, slots=True)
class Objective:
    """Simulated objective."""

    um_per_px: float
    optics: Optics
    um_per_s: float
    """Speed of the stage between two fields."""
    pause_s: tuple[float, float]
    """Minimum and maximum time on a field, seconds.

    It is longer where a field shows more cells.
    """


OBJECTIVES = {
    "100x": Objective(0.1, Optics(), 120.0, (2.0, 3.5)),
    "40x": Objective(0.25, Optics(numerical_aperture=0.65, immersion_index=1.0), 300.0, (20.0, 30.0)),
    "10x": Objective(0.9, Optics(numerical_aperture=0.25, immersion_index=1.0), 900.0, (240.0, 300.0)),
}

DRIFTS_UM = {"100x": 0.2, "40x": 0.8, "10x": 5.0}
"""Focus drift of a stage that nobody refocuses.

It stays within each objective's depth of field, or nearly.
"""


@dataclass(frozen=True, slots=True)
class StageSettings:
    """Slide, script and camera of a simulated stage.

    Without `smear` and `script` the stage scans as much of a slide as it can in `minutes`.
    """

    white_cells: Mapping[str, int] | None = None
    """Number of white cells by cell type; None for WHITE_CELLS."""
    smear: Smear | None = None
    """Smear to use in place of a generated one."""
    script: Script | None = None
    """Script to follow in place of a scan."""
    minutes: float = 20.0
    """Maximum length of the recording, minutes."""
    fps: float = 4.0
    focus_drift_um: float = 0.0
    """How far focus wanders off and back in DRIFT_S, micrometres."""
    exposure_drift: float = 0.0
    """How far the lamp wanders off and back in DRIFT_S, share of the light."""
    jumps: int = 0
    """How often the stage is knocked to another place of its path and put back."""
    standstill_s: float = 0.0
    """How long the stage is left alone half-way, seconds."""
    optics: Optics | None = None
    """Lamp and objective; None for those of the magnification."""
    camera: Camera | None = None
    """Sensor and firmware."""


class StageSource:
    """Frames of a stage that follows a script.

    The source is not live: its clock is the stage's, replayed at any speed. The same seed and request give
    the same frames.
    """

    def __init__(
        self,
        seed: int = 0,
        magnification: str = "100x",
        width: int = 1280,
        height: int = 720,
        settings: StageSettings = StageSettings(),  # frozen
    ) -> None:
        """Prepare the slide and the script.

        Args:
            seed: Seed of the slide, the script and the noise.
            magnification: Objective, a key of OBJECTIVES.
            width: Frame width, pixels.
            height: Frame height, pixels.
            settings: Slide, script and camera.

        Raises:
            UsageError: If the magnification is unknown, or the smear too small.
        """
        if magnification not in OBJECTIVES:
            raise UsageError(
                f"no simulated {magnification} objective. Simulated here: {', '.join(OBJECTIVES)}."
            )
        objective = OBJECTIVES[magnification]
        field = (width * objective.um_per_px, height * objective.um_per_px)
        smear = settings.smear
        if smear is None:
            cells = WHITE_CELLS if settings.white_cells is None else settings.white_cells
            seconds = settings.minutes * 60 - settings.standstill_s
            size = _slide_size(field, objective, seconds, sum(cells.values()))
            smear = Smear.place(seed, *size, cells)
        optics, camera = settings.optics or objective.optics, settings.camera or Camera(seed=seed)
        self._stage = _MovingStage(smear, objective.um_per_px, (width, height), optics, camera)
        script = settings.script
        if script is None:
            rng = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(2,)))
            way = serpentine((smear.width_um, smear.height_um), field)
            still_s = settings.standstill_s
            script = scan(
                way, objective, self._stage.limits_um, rng, jumps=settings.jumps, standstill_s=still_s
            )
        self.script = script
        self._fps, self._drift = settings.fps, (settings.focus_drift_um, settings.exposure_drift)
        self._frames = math.floor(min(script.seconds, settings.minutes * 60) * settings.fps + 1e-9) + 1
        self._number = 0
        self._seen: set[int] = set()
        self._seen_still: set[int] = set()
        self._info = SourceInfo(
            f"simulated:{seed}", width, height, settings.fps, live=False, um_per_px=objective.um_per_px
        )

    @property
    def info(self) -> SourceInfo:
        return self._info

    @property
    def smear(self) -> Smear:
        return self._stage.smear

    def read(self, timeout: float) -> TimedFrame | None:  # noqa: ARG002  # the time it takes is the machine's
        """Return the next frame, see Source.

        Returns None when the script, or the time, is over.
        """
        if self._number >= self._frames:
            return None
        seconds = self._number / self._fps
        pose = self._pose(seconds)
        pixels = self._stage.expose(pose)
        whole = self._stage.whole()
        self._seen.update(whole)
        if pose.velocity == (0.0, 0.0):
            self._seen_still.update(whole)
        timed = TimedFrame(Frame(pixels, f"{self._info.name}@{seconds:.2f}s"), seconds, self._number)
        self._number += 1
        return timed

    def truth(self, still: bool = False) -> tuple[TrueCell, ...]:
        """Return the cells completely shown so far.

        With `still`, only frames count that were taken while the stage stood.
        """
        seen = self._seen_still if still else self._seen
        return tuple(cell for cell in self.smear.cells if cell.id in seen)

    def close(self) -> None:
        """Do nothing, as no device is open."""

    def _pose(self, seconds: float) -> Pose:
        pose = self.script.at(seconds)
        focus, light = self._drift
        swing = math.sin(2 * math.pi * seconds / DRIFT_S)
        return Pose(
            pose.at, pose.velocity, pose.focus_um + focus * swing, pose.exposure * (1 + light * swing)
        )


class _MovingStage(Stage):
    """Stage exposed in motion, defocus and changing light.

    All three act on the light before it meets the sensor, so the frame has the noise and the clipping of what
    remains.
    """

    def __init__(
        self, smear: Smear, um_per_px: float, size: tuple[int, int], optics: Optics, camera: Camera
    ) -> None:
        self._optics = optics
        self._kept: dict[int, _Stamp] = {}
        self._kept_bytes = 0
        self._last: tuple[tuple[int, int], FloatImage] | None = None
        super().__init__(smear, um_per_px, size, optics=optics, camera=camera)

    def expose(self, pose: Pose) -> Image:
        """Take a frame, (height, width, 3) uint8 RGB, at a pose."""
        self.move_to(*pose.at)
        density = self._density()
        travel = np.array(pose.velocity) * SHUTTER_S / self.um_per_px
        sigma = self._defocus_um(pose.focus_um) / self.um_per_px
        if np.abs(travel).max() >= 1 or sigma.max() > 0 or pose.exposure != 1:
            light = smear_light(np.exp(density * np.float32(-np.log(10))), *travel.tolist())
            if sigma.max() > 0:
                light = cv2.GaussianBlur(light, (0, 0), sigma[0], sigmaY=sigma[1])
            density = -np.log10(np.maximum(light * np.float32(pose.exposure), 1e-6))
        return self._view.field(density)

    def whole(self) -> list[int]:
        """Return the ids of cells completely in the field."""
        boxes = self._pixel_boxes()
        inside = (boxes[:, :2] >= 0).all(axis=1) & (boxes[:, 2:] <= [self.width, self.height]).all(axis=1)
        return [self.smear.cells[i].id for i in np.flatnonzero(inside)]

    def _defocus_um(self, focus_um: float) -> float:
        """Return the blur that defocus adds, micrometres.

        Gaussians add as squares, so it is the root of the difference to the blur in focus.
        """
        out = replace(self._optics, defocus_um=abs(self._optics.defocus_um) + abs(focus_um)).blur_um
        return math.sqrt(max(0.0, out**2 - self._optics.blur_um**2))

    def _density(self) -> FloatImage:
        """Return the field's density, cached while the stage stands."""
        corner = (int(self._corner[0]), int(self._corner[1]))
        if self._last is None or self._last[0] != corner:
            self._last = corner, super()._density()
        return self._last[1]

    def _stamp(self, cell: TrueCell) -> _Stamp:
        """Return a painted cell, cached by total bytes.

        At 10x a field has thousands of small ones.
        """
        stamp = self._kept.pop(cell.id, None)
        if stamp is None:
            stamp = paint_stamp(self.smear, cell, self.um_per_px)
            self._kept_bytes += stamp.density.nbytes
        self._kept[cell.id] = stamp  # moved to the end: the front holds the least recently seen cell
        while self._kept_bytes > STAMP_BYTES and len(self._kept) > 1:
            self._kept_bytes -= self._kept.pop(next(iter(self._kept))).density.nbytes
        return stamp


def smear_light(light: FloatImage, x: float, y: float) -> FloatImage:
    """Average light along a straight path.

    The result looks as under an open shutter.

    Args:
        light: Light, (H, W, 3).
        x: Length of the path along x, pixels.
        y: Length of the path along y, pixels.
    """
    wide, high = max(1, round(abs(x))), max(1, round(abs(y)))
    if wide == high == 1:
        return light
    if min(wide, high) == 1:
        blurred: FloatImage = cv2.blur(light, (wide, high), borderType=cv2.BORDER_REPLICATE)
        return blurred
    kernel = np.zeros((high | 1, wide | 1), np.float32)
    rows, columns = kernel.shape
    ends = ((0, 0), (columns - 1, rows - 1)) if x * y > 0 else ((0, rows - 1), (columns - 1, 0))
    cv2.line(kernel, *ends, 1.0)
    slanted: FloatImage = cv2.filter2D(light, -1, kernel / kernel.sum(), borderType=cv2.BORDER_REPLICATE)
    return slanted


def serpentine(slide: Point, field: Point) -> list[Point]:
    """Return the centres of fields that cover a slide.

    They go row by row and back, and neighbours overlap by OVERLAP_UM or more. Sizes are width and height,
    micrometres.
    """
    columns, rows = (
        [
            field[axis] / 2 + i * _pitch(slide[axis], field[axis])
            for i in range(_fields(slide[axis], field[axis]))
        ]
        for axis in (0, 1)
    )
    return [(x, y) for number, y in enumerate(rows) for x in (columns if number % 2 == 0 else columns[::-1])]


def _fields(slide: float, field: float) -> int:
    """Return the number of fields along one axis."""
    return 1 + math.ceil(max(0.0, slide - field) / (field - OVERLAP_UM) - 1e-9)


def _pitch(slide: float, field: float) -> float:
    count = _fields(slide, field)
    return (slide - field) / (count - 1) if count > 1 else 0.0


def scan(
    way: Sequence[Point], objective: Objective, limits: tuple[float, float, float, float],
    rng: np.random.Generator, *, jumps: int = 0, standstill_s: float = 0.0,
) -> Script:  # fmt: skip
    """Script a hand's scan along a path.

    The hand visits each field and rests on it. See StageSource for jumps and standstill.

    Args:
        way: Centres of the fields, micrometres.
        objective: Simulated objective.
        limits: Range of the field's centre: minimum x and y, then maximum x and y, micrometres.
        rng: Random generator.
        jumps: How often the stage is knocked away and put back.
        standstill_s: How long the stage is left alone half-way, seconds.
    """
    aims = np.clip(np.array(way) + rng.uniform(-JITTER_UM, JITTER_UM, (len(way), 2)), limits[:2], limits[2:])
    points: list[Point] = [(float(x), float(y)) for x, y in aims]
    jumped = {round((i + 1) * len(points) / (jumps + 1)) for i in range(jumps)}
    segments: list[Segment] = []
    for number, point in enumerate(points):
        segments += [Move(point, objective.um_per_s), Stop(float(rng.uniform(*objective.pause_s)))]
        if number == len(points) // 2 and standstill_s:
            segments.append(Stop(standstill_s))
        if number in jumped:
            elsewhere = points[int(rng.integers(len(points)))]
            segments += [Jump(elsewhere), Stop(objective.pause_s[1]), Jump(point), Stop(objective.pause_s[0])]
    return Script(points[0], tuple(segments))


def _slide_size(field: Point, objective: Objective, seconds: float, white_cells: int) -> Point:
    """Return a slide size for the given time.

    Such a slide can be scanned in that time. It is about a square, and has room for the white cells.
    """
    pitch = (field[0] - OVERLAP_UM, field[1] - OVERLAP_UM)
    if min(pitch) <= 0:
        raise UsageError(
            f"a field of {field[0]:.0f} x {field[1]:.0f} um is too small to simulate. Ask for a larger picture."
        )
    each = sum(objective.pause_s) / 2 + pitch[0] / objective.um_per_s
    fields = max(seconds / each, white_cells * WHITE_CELL_UM2 / (pitch[0] * pitch[1]))
    columns = max(1, round(math.sqrt(fields * pitch[1] / pitch[0])))
    rows = max(1, math.floor(fields / columns))
    return field[0] + (columns - 1) * pitch[0], field[1] + (rows - 1) * pitch[1]


def open_stage(
    argument: str, magnification: str, width: int | None, height: int | None, fps: float | None
) -> StageSource:
    """Open the stage that `simulated:SEED` names.

    Args:
        argument: Seed, a whole number from 0; empty for 0.
        magnification: Objective, a key of OBJECTIVES.
        width: Frame width, pixels; None for 1280.
        height: Frame height, pixels; None for 720.
        fps: Frames per second; None for 4.

    Raises:
        UsageError: If the seed is no number.
    """
    if argument and not argument.isdecimal():
        raise UsageError(f"simulated:{argument} has no such slide. The seed is a number, as in simulated:7.")
    return StageSource(
        int(argument or 0), magnification, width or 1280, height or 720, StageSettings(fps=fps or 4.0)
    )
