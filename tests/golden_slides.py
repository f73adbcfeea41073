"""The cases of the golden files: simulated slides, counted by the code that users run.

`edgeleuk analyze` counts the demo and the folders of `golden/pictures` (see `golden_pictures`). A live session counts windows
of the demo picture, over which a scripted stage moves. Networks compute in 8-bit integers here, whatever `edgeleuk bench`
found best on this machine: their sums are exact on every processor, and those of floats are not.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import cv2
import pytest
from golden_files import essence, read_together
from golden_pictures import FOLDER as PICTURES
from standard import slide_of
from typer.testing import CliRunner

from edgeleuk.analysis.analyser import Analyser
from edgeleuk.cli import app
from edgeleuk.cli.analyze import demo_picture
from edgeleuk.counting.live import LiveCounter
from edgeleuk.models import registry
from edgeleuk.quality.assessment import Measures, QualityPolicy
from edgeleuk.render import tables
from edgeleuk.results.slide_result import Provenance, SlideResult, identify
from edgeleuk.sources.pictures.reading import read_picture
from edgeleuk.sources.simulated import Focus, Jump, Move, Script, Stop
from edgeleuk.system import machine
from edgeleuk.types import Frame, TimedFrame

WINDOW = 880, 660
"""Of the live frames, pixels of the demo picture."""
CORNER, MIDDLE, END, BESIDE = (0.0, 40.0), (360.0, 110.0), (640.0, 440.0), (720.0, 530.0)
SCRIPT = Script(
    CORNER,
    (
        Stop(0.8), Move(MIDDLE, 500), Stop(0.8), Focus(1.0, 0.2), Move(END, 1200), Focus(0.0, 0.2), Stop(0.8),
        Move(MIDDLE, 2000), Stop(0.6), Jump(END), Stop(0.6), Move(BESIDE, 30), Stop(0.6),
    ),
)  # fmt: skip
"""Three places, the stage out of focus on the way to the third; back to two of them; and slowly to one beside the last, of
which a fifth is new. Pixels, seconds."""
BLURRING = 100.0
"""Speed from which on a frame of the moving stage is blurred, pixels per second."""
FPS = 5.0


def demo() -> dict[str, Any]:
    """What `edgeleuk analyze --demo` finds."""
    return _analysed("--demo")


def slide(lens: str) -> dict[str, Any]:
    """What `edgeleuk analyze FOLDER` finds on the pictures of an objective."""
    return _analysed(str(PICTURES / lens), "--mag", lens, "--red-cells", "4.8")


def live() -> dict[str, Any]:
    """What a live session at 100x makes of the scripted stage, frame by frame and in the end."""
    count = slide_of(Analyser(registry.load("100x"), refusing=True), stills=False)
    driver = LiveCounter(count, source="script")
    frames = []
    with _measures() as measured:
        for timed in _shots():
            verdict = driver.frame(timed)
            frames.append({"number": timed.number, "verdict": verdict, **asdict(count.stream.meters)})
    result = count.result(Provenance("", "", identify(count.analyser.model), ""))
    return _document(result, tables.document(result), measured) | {"frames": frames}


CASES: Mapping[str, Callable[[], dict[str, Any]]] = {
    "demo": demo,
    "slide-100x": lambda: slide("100x"),
    "slide-40x": lambda: slide("40x"),
    "slide-10x": lambda: slide("10x"),
    "live-100x": live,
}
"""By the golden file's name, what makes its document anew."""


def made(name: str, folder: Path) -> dict[str, Any]:
    """The document of a case as this program makes it; `folder` is for what it writes on the way."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(machine.VARIABLE, str(folder / "machine.json"))
        machine.save(machine.Setting(arithmetic="int8"))
        try:
            document: dict[str, Any] = json.loads(json.dumps(CASES[name]()))
        finally:
            machine.setting_here.cache_clear()
    return document


def _shots() -> Iterator[TimedFrame]:
    demo = read_picture(Path(demo_picture())).pixels
    width, height = WINDOW
    for number in range(int(SCRIPT.seconds * FPS) + 1):
        pose = SCRIPT.at(number / FPS)
        left, top = (round(side) for side in pose.at)
        pixels = demo[top : top + height, left : left + width].copy()
        if math.hypot(*pose.velocity) > BLURRING or pose.focus_um:
            pixels = cv2.blur(pixels, (9, 9))
        yield TimedFrame(Frame(pixels, f"frame {number}"), number / FPS, number)


def _analysed(*arguments: str) -> dict[str, Any]:
    results: list[SlideResult] = []
    document = tables.document
    with _measures() as measured, pytest.MonkeyPatch.context() as patch:
        patch.setattr(tables, "document", lambda result: results.append(result) or document(result))
        done = CliRunner().invoke(app, ["analyze", *arguments, "--json", "--no-keep"])
    if not done.stdout:
        raise AssertionError(f"analyze printed nothing: {done.stderr}") from done.exception
    return _document(results[0], json.loads(done.stdout), measured) | {"exit_code": done.exit_code}


def _document(
    result: SlideResult, printed: Mapping[str, Any], measured: Mapping[str, Mapping[str, float]]
) -> dict[str, Any]:
    return essence(printed) | {
        "read_together": read_together(result),
        "measures": [{"path": name, **measured[name]} for name in sorted(measured)],
    }


@contextmanager
def _measures() -> Iterator[dict[str, Mapping[str, float]]]:
    """Every measure of each picture's quality: the JSON has only those that are past a limit."""
    measured: dict[str, Mapping[str, float]] = {}
    judge = QualityPolicy.assess

    def noted(self: QualityPolicy, name: str, measures: Measures) -> Any:
        measured[Path(name).name] = {key: float(f"{value:.5g}") for key, value in sorted(measures.items())}
        return judge(self, name, measures)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(QualityPolicy, "assess", noted)
        yield measured
