"""Films and folders wait while nothing can be kept, and lose no picture by it; cameras go on."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import cv2
import pytest
from counted import MODEL
from standard import slide_of
from test_live import NEAR, UM, _Screen

from edgeleuk.analysis.analyser import Analyser
from edgeleuk.console.loop import Loop, LoopOptions
from edgeleuk.counting import interruptions
from edgeleuk.counting.live import LiveCounter
from edgeleuk.counting.state import Event
from edgeleuk.sessions import NewSession, Store, open_store
from edgeleuk.simulation.smear import Smear, Stage
from edgeleuk.sources.camera import Source
from edgeleuk.sources.capture import Capture
from edgeleuk.sources.simulated import Move, Script, StageSettings, StageSource, Stop
from edgeleuk.sources.stills import FolderSource, WatchSource
from edgeleuk.sources.video import VideoSource

pytestmark = pytest.mark.usefixtures("painted_once")

PLACES = ((70.0, 45.0), (190.0, 45.0))


@pytest.fixture(scope="module")
def smear() -> Smear:
    return Smear.generate(21, 260.0, 90.0, {"neutrophil": 6, "lymphocyte": 5, "monocyte": 2})


@pytest.fixture(scope="module")
def pictures(smear: Smear, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of a field at each of two places."""
    folder = tmp_path_factory.mktemp("pictures")
    stage = Stage(smear, 0.1, (960, 720))
    for number, place in enumerate(PLACES):
        stage.move_to(*place)
        cv2.imwrite(str(folder / f"{number}.png"), stage.field().pixels[..., ::-1])
    return folder


@pytest.fixture(scope="module")
def film(pictures: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same places one after the other, each for a second."""
    path = tmp_path_factory.mktemp("film") / "film.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 4, (960, 720))
    for picture in sorted(pictures.iterdir()):
        for _ in range(4):
            writer.write(cv2.imread(str(picture)))
    writer.release()
    return path


def stage(smear: Smear) -> Source:
    script = Script(NEAR, (Stop(0.6), Move(PLACES[1], 240.0), Stop(2)))
    return StageSource(settings=StageSettings(smear=smear, script=script, fps=5))


def counted_after_a_full_disk(
    analyser: Analyser, opened: Callable[[], Source], stills: bool, store: Store
) -> tuple[list[int], list[str], LiveCounter]:
    """Fields that are on the disk at the end, and what was warned of, where the disk is full at first."""
    session = store.start(NewSession("test", MODEL))
    store._database.reserve_bytes = 1 << 62
    told: list[Event] = []

    def tell(event: Event) -> None:
        told.append(event)
        if event.kind == "warning" and store._database.reserve_bytes:
            threading.Timer(0.5, lambda: setattr(store._database, "reserve_bytes", 0)).start()

    slide = slide_of(analyser, UM, stills=stills)
    count = LiveCounter(slide, source="test", target=10**6, recorder=session, on_event=tell)
    with Capture(opened) as capture:
        Loop(capture, count, _Screen(), LoopOptions(waits=not capture.info.live, most_seconds=60)).run()
    kept = [each.number for each in session.counted()]
    return kept, [event.text for event in told if event.kind == "warning"], count


@pytest.mark.parametrize("kind", ["folder", "pattern", "film", "stage"])
def test_a_source_of_files_waits_for_the_disk(
    kind: str,
    analyser: Analyser,
    smear: Smear,
    pictures: Path,
    film: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """All of its fields are counted and kept; the wait and its end are told once each."""
    monkeypatch.setattr(interruptions, "RETRY_S", 0.2)
    opened: dict[str, Callable[[], Source]] = {
        "folder": lambda: FolderSource([str(pictures)]),
        "pattern": lambda: FolderSource([f"{pictures}/*.png"]),
        "film": lambda: VideoSource(film),
        "stage": lambda: stage(smear),
    }
    with open_store(tmp_path / "sessions.db", reserve_bytes=0) as store:
        kept, warnings, count = counted_after_a_full_disk(
            analyser, opened[kind], kind in ("folder", "pattern"), store
        )
    assert kept == [1, 2]
    assert ["tried again" in warnings[0], *warnings[1:]] == [True, interruptions.SPACE_AGAIN]
    assert not count.refused_by_disk and not count.paused


def test_a_watched_folder_waits_for_the_disk(
    analyser: Analyser, pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is put into it meanwhile is counted afterwards, in order."""
    monkeypatch.setattr(interruptions, "RETRY_S", 0.2)
    watched = tmp_path / "watched"
    watched.mkdir()

    def opened() -> Source:
        source = WatchSource(watched)
        for picture in sorted(pictures.iterdir()):
            (watched / picture.name).write_bytes(picture.read_bytes())
        return source

    with open_store(tmp_path / "sessions.db", reserve_bytes=0) as store:
        session = store.start(NewSession("test", MODEL))
        store._database.reserve_bytes = 1 << 62
        count = LiveCounter(
            slide_of(analyser, UM, stills=True), source="test", target=10**6, recorder=session
        )
        threading.Timer(2.0, lambda: setattr(store._database, "reserve_bytes", 0)).start()
        with Capture(opened) as capture:
            Loop(capture, count, _Screen(), LoopOptions(waits=True, most_seconds=6)).run()
        assert [each.number for each in session.counted()] == [1, 2]


def test_a_count_that_ends_while_nothing_can_be_kept_is_told_so(
    analyser: Analyser, pictures: Path, tmp_path: Path
) -> None:
    """It does not go on to the source's end without keeping, and its end says that the disk refused."""
    with open_store(tmp_path / "sessions.db", reserve_bytes=0) as store:
        session = store.start(NewSession("test", MODEL))
        store._database.reserve_bytes = 1 << 62
        count = LiveCounter(slide_of(analyser, UM, stills=True), source="test", recorder=session)
        with Capture(lambda: FolderSource([str(pictures)])) as capture:
            reason = Loop(capture, count, _Screen(), LoopOptions(waits=True, most_seconds=2)).run()
            assert capture.state().word == "running"
        assert (reason, count.refused_by_disk, count.slide.number) == ("the time was over", True, 0)
