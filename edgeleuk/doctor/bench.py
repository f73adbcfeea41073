"""Benchmark of this machine on frames of the simulated stage.

It times each stage of a frame's processing. Settings are compared side by side in one run, interleaved
frame by frame, so that a machine that slows down slows all of them. Medians and 95th percentiles are
reported; ratios travel between machines, milliseconds do not.
"""

from __future__ import annotations

import os
import resource
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from edgeleuk import __version__
from edgeleuk.analysis.analyser import Analyser
from edgeleuk.counting.scale_policy import ScalePolicy
from edgeleuk.counting.slide import SlideCount, SlideOptions
from edgeleuk.differential.rules import Reference, Rules
from edgeleuk.errors import InputError
from edgeleuk.models.registry import Model
from edgeleuk.sources.simulated import OBJECTIVES, StageSettings, StageSource
from edgeleuk.system import machine
from edgeleuk.system.machine import Setting
from edgeleuk.types import Frame, Refusal, Scale, TimedFrame

STAGES = ("capture", "look", "place", "find", "assess", "read", "measure", "map", "tally")
"""Stages in processing order.

`capture` is decoding a camera's JPEG. The first three stages run for every frame, the rest only for a frame
that counts.
"""
EVERY_FRAME = STAGES[:3]
COUNTED_EACH = 20
"""Frames examined per counted frame.

A field every two thirds of a second at 30 frames a second stands for an operator with quick hands.
"""
FRAMES = 24
CAMERA_FPS = 30
"""Frame rate of the simulated camera."""
MIN_GAIN = 0.05
"""Minimum relative speed gain over the default.

A smaller gain is noise.
"""

Progress = Callable[[str, int, int], None]
"""Callback for the task, fields done, and their total."""


@dataclass(frozen=True, slots=True)
class Timing:
    """Milliseconds of one stage or whole frame."""

    median: float
    p95: float

    @classmethod
    def of(cls, seconds: Sequence[float]) -> Timing:
        values = np.asarray(seconds or [0.0]) * 1000
        return cls(float(np.median(values)), float(np.percentile(values, 95)))


@dataclass(frozen=True, slots=True)
class SettingResult:
    """Timings of one setting for one objective."""

    setting: Setting
    stages: Mapping[str, Timing]
    looked_at: Timing
    """Time of a frame that is not counted."""
    counted: Timing
    """Time of a counted frame."""

    @property
    def fps(self) -> float:
        """Frames per second with counting.

        One frame in COUNTED_EACH is counted.
        """
        mean = (self.looked_at.median * (COUNTED_EACH - 1) + self.counted.median) / COUNTED_EACH
        return 1000 / mean if mean else 0.0

    def as_json(self) -> dict[str, Any]:
        stages = {name: {"median_ms": t.median, "p95_ms": t.p95} for name, t in self.stages.items()}
        return {
            "threads": self.setting.threads,
            "arithmetic": self.setting.arithmetic,
            "fps": self.fps,
            "looked_at": {"median_ms": self.looked_at.median, "p95_ms": self.looked_at.p95},
            "counted": {"median_ms": self.counted.median, "p95_ms": self.counted.p95},
            "stages": stages,
        }


@dataclass(frozen=True, slots=True)
class BenchResult:
    """Benchmark of one objective on this machine."""

    magnification: str
    width: int
    height: int
    white_cells: float
    """Mean number of white cells read per counted frame."""
    results: tuple[SettingResult, ...]
    memory_mb: float
    """Peak resident memory of the process so far."""

    @property
    def best(self) -> SettingResult:
        """Fastest setting, or the default.

        The default is kept if nothing is clearly faster. `results` begins with it.
        """
        default = self.results[0]
        fastest = max(self.results, key=lambda result: result.fps)
        return fastest if fastest.fps > default.fps * (1 + MIN_GAIN) else default

    def as_json(self) -> dict[str, Any]:
        return {
            "magnification": self.magnification,
            "width": self.width,
            "height": self.height,
            "white_cells": self.white_cells,
            "memory_mb": self.memory_mb,
            "best": {"threads": self.best.setting.threads, "arithmetic": self.best.setting.arithmetic},
            "settings": [result.as_json() for result in self.results],
        }


def settings_here(threads: Iterable[int] | None = None) -> list[Setting]:
    """Return the settings to compare, default first.

    The others use fewer threads, and float arithmetic.
    """
    cores = os.cpu_count() or 1
    counts = list(dict.fromkeys(threads or sorted({cores, max(1, cores // 2), 1}, reverse=True)))
    return [Setting(n, arithmetic) for arithmetic in machine.ARITHMETICS for n in counts]


@dataclass(frozen=True, slots=True)
class BenchPlan:
    """Settings to compare, and the frames to compare them on."""

    settings: Sequence[Setting]
    """Settings, the default first."""
    width: int = 1280
    """Width of the simulated frames, pixels."""
    height: int = 720
    frames: int = FRAMES
    """Number of simulated frames."""


def bench(
    model: Model,
    plan: BenchPlan,
    rules: Rules,
    reference: Reference,
    progress: Progress = lambda *_: None,
) -> BenchResult:
    """Time every stage under every setting.

    All settings run on the same frames in turn.

    Args:
        model: Model to run.
        plan: Settings and frames.
        rules: Rules of the differential.
        reference: Reference ranges of the differential.
        progress: Called with the task, the frames done, and their total.

    Raises:
        InputError: A simulated field was refused.
    """
    encoded = []
    progress("drawing", 0, plan.frames)
    for frame in _fields(model.magnification, plan.width, plan.height, plan.frames):
        encoded.append(_jpeg(frame))
        progress("drawing", len(encoded), plan.frames)
    scale = Scale.given(OBJECTIVES[model.magnification].um_per_px)
    runs = [_Run(model, setting, scale, rules, reference) for setting in plan.settings]
    for run in runs:
        run.frame(encoded[0])  # warm-up: the first call of a network allocates memory
        run.forget()
    for number, jpeg in enumerate(encoded):
        progress("timing", number, len(encoded))
        for run in runs:
            run.frame(jpeg)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    results = tuple(run.result() for run in runs)
    white_cells = runs[0].white_cells / len(encoded)
    return BenchResult(model.magnification, plan.width, plan.height, white_cells, results, peak)


def report_line(result: BenchResult) -> str:
    """Format a result as one report line."""
    best, arithmetic = result.best, {"int8": "INT8", "float": "float"}[result.best.setting.arithmetic]
    stages = ", ".join(f"{name} {best.stages[name].median:.1f}" for name in STAGES)
    return (
        f"edgeleuk {__version__} bench {datetime.now(UTC):%Y-%m-%d}: {result.magnification}, "
        f"{result.width} x {result.height}, {arithmetic}, {best.setting.threads} threads on {machine.processor()} "
        f"({os.cpu_count()} cores): {best.fps:.0f} frames/s; looked at {best.looked_at.median:.0f} ms "
        f"(p95 {best.looked_at.p95:.0f}), counted {best.counted.median:.0f} ms (p95 {best.counted.p95:.0f}) with "
        f"{result.white_cells:.1f} white cells; ms by stage: {stages}; {result.memory_mb:.0f} MB."
    )


class _Run:
    """Timings of one setting so far."""

    def __init__(
        self, model: Model, setting: Setting, scale: Scale, rules: Rules, reference: Reference
    ) -> None:
        self.setting, self.scale, self.rules, self.reference = setting, scale, rules, reference
        self.analyser = Analyser(model, setting.threads, setting.arithmetic)
        self.forget()

    def forget(self) -> None:
        policy = ScalePolicy(self.analyser, self.scale)
        self.slide = SlideCount(self.analyser, self.rules, self.reference, policy, SlideOptions(stills=False))
        self.seconds: defaultdict[str, list[float]] = defaultdict(list)
        self.white_cells = 0

    def frame(self, jpeg: NDArray[np.uint8]) -> None:
        """Run all stages on one counted frame."""
        with self._timed("capture"):
            pixels = cv2.cvtColor(cv2.imdecode(jpeg, cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)
        number = self.slide.number
        timed = TimedFrame(Frame(pixels, f"bench-{number}"), number / CAMERA_FPS, number)
        counted = self.slide.consider(timed, forced=True)
        if isinstance(counted, Refusal):
            raise InputError(f"a simulated field was refused ({counted.code}): {counted.text}")
        for name in ("look", "place", "find", "assess", "read", "measure", "map"):
            self.seconds[name].append(self.slide.seconds[name])
        self.white_cells += sum(cell.reading is not None for cell in counted.field.cells)
        with self._timed("tally"):
            self.slide.differential()

    def result(self) -> SettingResult:
        stages = {name: Timing.of(self.seconds[name]) for name in STAGES}
        return SettingResult(self.setting, stages, self._sum(EVERY_FRAME), self._sum(STAGES))

    def _sum(self, names: Sequence[str]) -> Timing:
        return Timing.of([sum(each) for each in zip(*(self.seconds[name] for name in names), strict=True)])

    @contextmanager
    def _timed(self, name: str) -> Iterator[None]:
        began = time.perf_counter()
        yield
        self.seconds[name].append(time.perf_counter() - began)


def _fields(magnification: str, width: int, height: int, number: int) -> Iterator[Frame]:
    """Generate neighbouring fields as from a scanning stage.

    The slide is simulated.
    """
    source = StageSource(
        1,
        magnification,
        width,
        height,
        StageSettings(minutes=number / 60 * 6, fps=1.0 / OBJECTIVES[magnification].pause_s[0]),
    )
    for _ in range(number):
        timed = source.read(1.0)
        if timed is None:
            return
        yield timed.frame


def _jpeg(frame: Frame) -> NDArray[np.uint8]:
    """Encode a frame as a camera's JPEG."""
    encoded: NDArray[np.uint8] = cv2.imencode(
        ".jpg", cv2.cvtColor(frame.pixels, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, 90]
    )[1]
    return encoded
