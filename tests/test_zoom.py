"""A camera whose picture is zoomed, or changes its size, in the middle of a count: no field is counted at the old scale."""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from queue import Queue

import cv2
import numpy as np
import pytest
from raw_camera import STREAM, RawCamera, mjpeg
from standard import slide_of

from edgeleuk.analysis.analyser import Analyser
from edgeleuk.analysis.observation import Observation
from edgeleuk.counting.live import LiveCounter
from edgeleuk.counting.scale_policy import ScalePolicy
from edgeleuk.counting.state import Event
from edgeleuk.counting.zoom import CONFIRMED, Zoom
from edgeleuk.simulation.smear import Camera, Smear, Stage
from edgeleuk.types import Cell, Field, Frame, Image, Scale, TimedFrame

pytestmark = pytest.mark.usefixtures("painted_once")

UM = 0.1
BEFORE = ((150, 100), (350, 100))
AFTER = ((350, 200), (300, 170), (250, 200), (200, 170), (150, 200), (200, 250), (250, 230), (300, 250))
NEAR = 0.15
Size = tuple[int, int]


@pytest.fixture(scope="module")
def smear() -> Smear:
    return Smear.generate(21, 600.0, 300.0, {"neutrophil": 12, "lymphocyte": 10, "monocyte": 4})


def views(
    smear: Smear,
    um_per_px: float,
    size: tuple[int, int],
    places: Sequence[tuple[int, int]],
    squeeze: float = 1.0,
) -> list[Image]:
    """What a camera of this scale sees at each place."""
    stage = Stage(smear, um_per_px, size, squeeze=squeeze, camera=Camera(seed=size[0]))
    found = []
    for place in places:
        stage.move_to(*place)
        found.append(stage.field().pixels)
    return found


def zoomed(pictures: Sequence[Image], times: float) -> list[Image]:
    """The middle of each, enlarged to its size, as a digital zoom does."""
    found = []
    for picture in pictures:
        height, width = picture.shape[:2]
        high, wide = round(height / times), round(width / times)
        top, left = (height - high) // 2, (width - wide) // 2
        found.append(
            cv2.resize(
                picture[top : top + high, left : left + wide], (width, height), interpolation=cv2.INTER_CUBIC
            )
        )
    return found


def counted(
    analyser: Analyser, given: Scale | None, pictures: Sequence[Image]
) -> tuple[list[tuple[int, Scale]], list[str]]:
    """Number of the picture and scale of each counted field, and what was warned of, where each picture is seen three times."""
    told: list[Event] = []
    count = LiveCounter(slide_of(analyser, given, stills=False), source="test", on_event=told.append)
    for number, picture in enumerate(pictures):
        for again in range(3):
            count.frame(TimedFrame(Frame(picture, str(number)), (3 * number + again) / 4, 3 * number + again))
    fields = [(int(each.field.name.split(" ")[0]), each.field.scale) for each in count.slide.map.counted()]
    return fields, [event.text for event in told if event.kind == "warning"]


def is_at(scale: Scale, um_per_px_x: float, um_per_px_y: float) -> bool:
    return bool(
        max(abs(np.log(scale.um_per_px_x / um_per_px_x)), abs(np.log(scale.um_per_px_y / um_per_px_y)))
        < np.log1p(NEAR)
    )


SMALL, WIDE = (640, 360), (1280, 720)
GIVEN = Scale.given(UM)
CHANGES: dict[str, tuple[Scale | None, Size, float, Size, float, float]] = {
    "twice": (None, SMALL, UM / 2, SMALL, 1.0, 2.0),
    "half": (GIVEN, SMALL, 2 * UM, SMALL, 1.0, 1.0),
    "a quarter more": (GIVEN, WIDE, UM / 1.25, WIDE, 1.0, 1.25),
    "resolution": (None, WIDE, 2 * UM, SMALL, 1.0, 1.0),
    "aspect": (GIVEN, WIDE, UM, (960, 720), 0.75, 1.0),
}
"""The scale that is given, and the size before; um per pixel along y, size and squeeze after, and the digital zoom in it."""


@pytest.mark.parametrize("change", CHANGES)
def test_no_field_is_counted_at_the_scale_of_before(change: str, analyser: Analyser, smear: Smear) -> None:
    """It is measured again, and told, also where a zoomed field shows few red cells."""
    given, first, um_per_px, size, squeeze, times = CHANGES[change]
    before = views(smear, UM, first, BEFORE)
    places = AFTER if change == "twice" else AFTER[:3]
    after = views(smear, um_per_px * times, size, places, squeeze)
    fields, warnings = counted(analyser, given, [*before, *(zoomed(after, times) if times > 1 else after)])
    changed = [scale for number, scale in fields if number >= len(before)]
    assert changed, warnings
    assert all(is_at(scale, um_per_px / squeeze, um_per_px) for scale in changed)
    assert all(is_at(scale, UM, UM) for number, scale in fields if number < len(before))
    assert len(warnings) == 1
    assert any(word in warnings[0] for word in ("zoom", f"{size[0]} x {size[1]} px now"))


# The measure alone.


def field(scale: Scale, sides_um: Sequence[float]) -> Field:
    cells = tuple(
        Cell("RBC", (0.0, 0.0, side / scale.um_per_px_x, side / scale.um_per_px_y), 0.9, whole=True)
        for side in sides_um
    )
    return Field("field", 640, 480, scale, cells)


def judged(analyser: Analyser, sides: Sequence[float], number: int = 40) -> list[str]:
    """What is found in fields whose red cells have these sides, as shares of the usual."""
    zoom, scale = Zoom(analyser), Scale(UM, UM, "red cells", 0.07, 60)
    seen = Observation.of(Frame(np.full((64, 64, 3), 230, np.uint8), "empty"))
    box = analyser.model.finder.red_cell_box_um
    return [zoom.compare(seen, scale, field(scale, [box * side] * number)) for side in sides]


def test_fields_of_one_slide_differ_without_a_word(analyser: Analyser) -> None:
    """By a tenth, up and down, and slowly by more."""
    assert set(judged(analyser, [1.0, 1.1, 0.92, 1.08, 0.95])) == {"same"}
    assert set(judged(analyser, [1 + step / 40 for step in range(12)])) == {"same"}


@pytest.mark.parametrize("side", [0.5, 0.8, 1.25, 2.0])
def test_a_step_is_confirmed_by_several_frames(side: float, analyser: Analyser) -> None:
    """Those before it are doubtful; none of them is counted."""
    assert judged(analyser, [1.0, side, side, side]) == ["same", *["doubtful"] * (CONFIRMED - 1), "changed"]


def test_one_odd_field_changes_nothing(analyser: Analyser) -> None:
    """Nor do two that contradict each other."""
    assert judged(analyser, [1.0, 1.5, 1.0, 0.6, 1.5]) == ["same", "doubtful", "same", "doubtful", "doubtful"]


def test_few_red_cells_must_differ_by_more(analyser: Analyser) -> None:
    """A quarter is chance among five, and not a half."""
    assert set(judged(analyser, [1.0, 1.25, 1.25, 1.25], number=5)) == {"same"}
    assert judged(analyser, [1.0, 1.5, 1.5, 1.5], number=5)[-1] == "changed"


def test_another_aspect_of_the_same_field_is_another_resolution(analyser: Analyser, smear: Smear) -> None:
    """Along each axis for itself; a crop keeps the scale that was given."""
    policy = ScalePolicy(analyser, Scale.given(UM))
    for picture, scale in (
        (views(smear, UM, WIDE, BEFORE[:1])[0], (UM, UM)),
        (views(smear, UM, (960, 720), AFTER[:1], squeeze=0.75)[0], (UM / 0.75, UM)),
        (views(smear, UM, (960, 720), AFTER[:1])[0], (UM, UM)),
        (views(smear, 2 * UM, (640, 360), AFTER[:1])[0], (2 * UM, 2 * UM)),
    ):
        chosen = policy.choose(Observation.of(Frame(picture, "test"))).scale
        assert chosen and is_at(chosen, *scale)


# Through a real camera, the real capture thread and the real program.


def test_a_camera_that_is_zoomed_in_a_live_count(smear: Smear) -> None:
    """MJPEG over HTTP: the zoom is told, and what counts afterwards has the new scale."""
    before, after = views(smear, UM, WIDE, BEFORE), views(smear, UM / 2, WIDE, AFTER)
    shown: Queue[str] = Queue()

    def pictures() -> Iterator[bytes]:
        noise = np.random.default_rng(1)
        for view in itertools.chain(before, itertools.cycle(after)):
            for number in itertools.count():
                if number > 2 and (not shown.empty() or (view is not before[0] and number > 12)):
                    if not shown.empty():
                        shown.get()
                    break
                picture = np.clip(view + noise.integers(-2, 3, view.shape), 0, 255).astype(np.uint8)
                yield cv2.imencode(".jpg", picture[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 95])[1].tobytes()

    command = [
        sys.executable,
        "-m",
        "edgeleuk",
        "live",
        "--json",
        "--threads",
        "1",
        "--no-keep",
        "--seconds",
        "90",
        "--source",
    ]
    camera = RawCamera(lambda _: itertools.chain([STREAM], mjpeg(pictures=pictures(), pace=0.25)))
    with (
        camera,
        subprocess.Popen(
            [*command, camera.url], stdout=subprocess.PIPE, text=True, env=os.environ
        ) as process,
    ):
        guard = threading.Timer(120, process.kill)
        guard.start()
        assert process.stdout
        said = []
        for line in process.stdout:
            said.append(json.loads(line))
            if said[-1]["event"] == "field":
                shown.put("field")
                if any("another zoom" in each["text"] for each in said):
                    process.terminate()
        guard.cancel()
    kinds = [each["event"] for each in said if each["event"] in ("field", "warning")]
    assert kinds[0] == "field" and kinds[-1] == "field"
    assert kinds.count("warning") == 1
    assert any("red cells are 1." in each["text"] or "red cells are 2." in each["text"] for each in said)
