"""A fault that nobody foresaw costs the picture it meets and nothing else, and has a reference for support."""

from __future__ import annotations

import io
import json
import os
import resource
import stat
import subprocess
import sys
import threading
import zipfile
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from program import processed
from standard import slide_of
from test_batch import batch_of
from test_heif import heic

from edgeleuk._text import escaped
from edgeleuk.analysis.analyser import Analyser
from edgeleuk.calibration.device import Pictures, calibrate
from edgeleuk.counting.pictures import Analysed, Failed
from edgeleuk.doctor.bundle import bundle
from edgeleuk.doctor.findings import Report
from edgeleuk.errors import InputError, NotAnImageError, StoreError, UnforeseenError
from edgeleuk.sources.capture import Capture
from edgeleuk.sources.stills import FolderSource, WatchSource
from edgeleuk.system import faults
from edgeleuk.types import CountedField, Frame, PictureFile, Refusal, Scale, TimedFrame

FAULTS: tuple[Exception, ...] = (
    IndexError("list index out of range"), MemoryError(), cv2.error("OpenCV: assertion failed"), RuntimeError("[ONNX] failed"),
    KeyError("x"), RecursionError("deep"), ZeroDivisionError("x"), UnicodeDecodeError("utf-8", b"\xff", 0, 1, "bad"),
    AssertionError(), OverflowError("big"), TypeError("none"), AttributeError("x"), StopIteration(), Exception("\x1b[31m"),
)  # fmt: skip
"""Of decoders, networks and the slide map; each stands for any."""
LIMIT = 130_000
BROKEN_LIBRARY = """
class Opened:
    size = (700, 600)
    def __array__(self, *_, **__):
        return 1 / 0
def open_heif(file, **_):
    return Opened()
"""
"""A library that reads pictures, and fails in a way of its own."""


@pytest.fixture(autouse=True)
def log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the faults of this test are written down."""
    path = tmp_path / "state" / "faults.log"
    monkeypatch.setenv("EDGELEUK_FAULTS", str(path))
    monkeypatch.setattr(faults, "_written", set())
    return path


@pytest.fixture
def three(tmp_path: Path, demo_frame: Frame) -> list[Path]:
    """Files of three places."""
    paths = [tmp_path / f"{name}.png" for name in "abc"]
    for number, path in enumerate(paths):
        cv2.imwrite(str(path), demo_frame.pixels[:600, 450 * number : 450 * number + 600, ::-1])
    return paths


def failing(action: Callable, error: Exception, when: Callable[..., bool]) -> Callable:
    """The action, but an error where `when` says so of what it is called with."""

    def called(*arguments: object, **options: object) -> object:
        if when(*arguments):
            raise error
        return action(*arguments, **options)

    return called


def test_a_fault_of_a_decoder_costs_its_picture(three: list[Path], tmp_path: Path, log: Path) -> None:
    """With a library that is broken: the rest is counted and written, and the exit code is 1."""
    (tmp_path / "library").mkdir()
    (tmp_path / "library" / "pillow_heif.py").write_text(BROKEN_LIBRARY)
    heics = tmp_path / "heics"
    heics.mkdir()
    for name in ("0.heic", "z.heic"):
        (heics / name).write_bytes(heic(np.full((600, 700, 3), (200, 30, 90), np.uint8)))
    path = os.pathsep.join([str(tmp_path / "library"), os.environ.get("PYTHONPATH", "")])
    out = tmp_path / "out"
    done = processed(
        "analyze",
        heics / "0.heic",
        *three,
        heics / "z.heic",
        "--um-per-px",
        0.1,
        "--out",
        out,
        "--no-keep",
        PYTHONPATH=path,
    )
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert f"error: {heics}/0.heic could not be analysed because of a fault in the program." in done.stderr
    assert "with this reference: ZeroDivisionError-heif-" in done.stderr
    assert "3 analysed, 2 not" in done.stderr
    document = json.loads((out / "results.json").read_text())
    assert (len(document["images"]), len(list(out.glob("*.overlay.jpg")))) == (3, 3)
    assert [(each["error"], each["exit_code"]) for each in document["failures"]] == [
        ("UnforeseenError", 1)
    ] * 2
    assert log.read_text().count("ZeroDivisionError-heif-") == 1
    assert stat.S_IMODE(log.stat().st_mode) == 0o600


@pytest.mark.parametrize("error", FAULTS, ids=lambda each: type(each).__name__)
def test_any_fault_of_a_network_costs_its_picture(
    error: Exception, analyser: Analyser, three: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever it is, the picture is told by its name, and the others are counted as without it."""
    batch, broken = batch_of(analyser, 0.1), str(three[1])
    monkeypatch.setattr(
        batch.slide, "examine", failing(batch.slide.examine, error, lambda seen: seen.frame.name == broken)
    )
    done = list(batch.analyse_all([PictureFile(path) for path in three]))
    assert [type(each) for each in done] == [Analysed, Failed, Analysed]
    (refused,) = batch.slide.refused
    assert (refused.name, refused.code, refused.exit_code) == (broken, "UnforeseenError", 1)
    assert type(error).__name__ in refused.text
    assert refused.text.isprintable()


def counts(batch: object) -> dict[str, int]:
    return dict(batch.slide.tally().kinds)  # type: ignore[attr-defined]


@pytest.mark.parametrize("place", ["_register.add", "_landmarks.add", "_lookup.add", "_counted.append"])
def test_a_fault_of_the_map_leaves_the_map_as_it_was(
    place: str, analyser: Analyser, three: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Wherever it meets the second picture, the count is that of the others."""
    without = batch_of(analyser, 0.1)
    list(without.analyse_all([PictureFile(path) for path in (three[0], three[2])]))
    batch = batch_of(analyser, 0.1)
    part, method = place.split(".")
    kind, calls = type(getattr(batch.slide.map, part)), iter(range(100))
    monkeypatch.setattr(
        kind, method, failing(getattr(kind, method), IndexError(), lambda *_: next(calls) == 1)
    )
    done = list(batch.analyse_all([PictureFile(path) for path in three]))
    assert [type(each) for each in done] == [Analysed, Failed, Analysed]
    assert counts(batch) == counts(without)
    assert batch.slide.number == 2


class Full:
    """A recorder that cannot write one of the fields down."""

    def __init__(self, error: Exception) -> None:
        self.error, self.kept, self.refused = error, [], []

    def add(self, counted: CountedField) -> None:
        if counted.number == 2 and self.error:
            error, self.error = self.error, None
            raise error
        self.kept.append(counted)

    def refuse(self, *refusals: Refusal) -> None:
        self.refused += refusals

    def undo(self) -> None: ...

    def mark(self, identity: int, label: str) -> None: ...


def test_what_a_recorder_cannot_keep_is_not_counted(analyser: Analyser, three: list[Path]) -> None:
    """Also where its fault is no fault of the disk: map and record stay the same."""
    batch = batch_of(analyser, 0.1)
    batch.slide.recorder = kept = Full(OverflowError("a number"))
    done = list(batch.analyse_all([PictureFile(path) for path in three]))
    assert [type(each) for each in done] == [Analysed, Failed, Analysed]
    assert [each.field.name for each in kept.kept] == [each.field.name for each in batch.slide.map.counted()]
    assert len(kept.refused) == 1


@pytest.mark.parametrize("error", [KeyboardInterrupt(), SystemExit(1), StoreError("full")])
def test_what_ends_a_batch_still_ends_it(error: BaseException, analyser: Analyser, three: list[Path]) -> None:
    """A request to end, and a store that takes nothing, are no faults of a picture."""
    batch = batch_of(analyser, 0.1)
    batch.slide.recorder = Full(error)  # type: ignore[arg-type]
    with pytest.raises(type(error)):
        list(batch.analyse_all([PictureFile(path) for path in three]))


def test_a_fault_in_the_survey_of_scales_costs_no_picture(
    analyser: Analyser, three: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The pictures are measured one by one then."""
    batch = batch_of(analyser)
    estimate = analyser.estimate
    calls = iter(range(100))
    monkeypatch.setattr(analyser, "estimate", failing(estimate, KeyError("x"), lambda *_: next(calls) == 0))
    assert all(
        isinstance(each, Analysed) for each in batch.analyse_all([PictureFile(path) for path in three])
    )


# Live counts


class Broken:
    """A reader of pictures whose decoder fails on one of them."""

    def __init__(self, name: str, error: Exception) -> None:
        self.name, self.error = name, error

    def survey(self, pictures: object) -> None: ...

    def read_frame(self, picture: PictureFile) -> Frame:
        if picture.path.name == self.name:
            raise self.error
        return Frame(np.full((80, 96, 3), (200, 30, 90), np.uint8), str(picture), file=picture)


@pytest.mark.parametrize("error", FAULTS[:4], ids=lambda each: type(each).__name__)
@pytest.mark.parametrize("name", ["a.png", "b.png", "c.png"])
def test_a_picture_of_a_folder_costs_a_live_count_that_picture(
    error: Exception, name: str, three: list[Path]
) -> None:
    """Each other one comes once, and in order; the folder is not read again."""
    with Capture(lambda: FolderSource([str(three[0].parent)], Broken(name, error))) as capture:
        names = []
        while not capture.ended:
            if timed := capture.next(1):
                names.append(Path(timed.frame.name).name)
        assert names == [each.name for each in three if each.name != name]
        assert (capture.reopened, capture.unreadable) == (0, 1)
        assert type(error).__name__ in capture.state().text


def test_a_picture_of_a_watched_folder_costs_that_picture(tmp_path: Path) -> None:
    """The next one is read."""
    source = WatchSource(tmp_path, Broken("a.png", IndexError()))
    (tmp_path / "a.png").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(600))
    with pytest.raises(UnforeseenError, match="IndexError"):
        source.read(10)
    (tmp_path / "b.png").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(600))
    assert source.read(10)


@pytest.mark.parametrize("error", FAULTS[:5], ids=lambda each: type(each).__name__)
def test_a_frame_of_a_stream_costs_that_frame(
    error: Exception, analyser: Analyser, demo_frame: Frame, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A fault of the network on one frame: the next one is counted."""
    slide = slide_of(analyser, Scale.given(0.1), stills=False)
    monkeypatch.setattr(
        analyser, "analyse", failing(analyser.analyse, error, lambda frame, *_: frame.name == "bad")
    )
    bad = slide.consider(TimedFrame(Frame(demo_frame.pixels, "bad"), 0.0, 0), forced=True)
    assert isinstance(bad, Refusal)
    assert (bad.code, bad.exit_code) == ("UnforeseenError", 1)
    assert isinstance(
        slide.consider(TimedFrame(Frame(demo_frame.pixels, "good"), 1.0, 1), forced=True), CountedField
    )


# Calibration


def test_one_bad_picture_does_not_end_a_calibration(
    analyser: Analyser, tmp_path: Path, demo_frame: Frame
) -> None:
    """It is told, and the others are measured; where none is left its error is raised."""
    good, bad = tmp_path / "good.png", tmp_path / "bad.png"
    cv2.imwrite(str(good), demo_frame.pixels[:, :, ::-1])
    bad.write_bytes(b"nothing")
    finder = analyser.finder
    done = calibrate("x", "100x", Pictures(red_cells=[bad, InputError("a pipe"), good]), None, finder)
    assert [type(each) for each in done.failures] == [NotAnImageError, InputError]
    assert (
        done.profile.scale == calibrate("x", "100x", Pictures(red_cells=[good]), None, finder).profile.scale
    )
    with pytest.raises(NotAnImageError):
        calibrate("x", "100x", Pictures(red_cells=[bad]), None, finder)


# What is written


def test_an_overlay_that_cannot_be_written_costs_no_table(three: list[Path], tmp_path: Path) -> None:
    """Files may have LIMIT bytes at most: the annotated pictures are larger, the tables are not. The exit code is 6."""
    out = tmp_path / "out"

    def limited() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (LIMIT, LIMIT))

    command = [
        sys.executable,
        "-m",
        "edgeleuk",
        "analyze",
        *three,
        "--um-per-px",
        "0.1",
        "--out",
        out,
        "--no-keep",
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False, preexec_fn=limited)
    assert done.returncode == 6
    assert "cannot write" in done.stderr
    assert "Traceback" not in done.stderr
    assert {"results.json", "cells.csv", "pictures.csv"} <= {path.name for path in out.iterdir()}
    assert [each["overlay"] for each in json.loads((out / "results.json").read_text())["images"]] == [
        None
    ] * 3
    assert not list(out.glob("*.overlay.jpg"))


# References and the file of faults


def fault() -> Exception:
    """An error that came through this program."""
    try:
        raise IndexError from escaped(None)  # type: ignore[arg-type]
    except AttributeError as error:
        return error


def test_a_reference_says_what_and_where(log: Path) -> None:
    """It names the exception and the last place in the program; the file has the rest, and no path."""
    told = faults.to_user_error(fault(), "/home/ann/x.jpg")
    assert isinstance(told, UnforeseenError)
    assert str(told).startswith("/home/ann/x.jpg could not be analysed")
    assert faults.reference(fault()).startswith("AttributeError-text-")
    text = log.read_text()
    assert "edgeleuk._text:" in text
    assert str(Path(faults.__file__).parents[1]) not in text
    faults.to_user_error(fault())
    assert log.read_text() == text  # once in a process


def test_too_little_memory_is_said_as_such() -> None:
    """It is no fault of the program."""
    assert "too little memory is free" in str(faults.to_user_error(MemoryError(), "x.jpg"))


@pytest.mark.parametrize("kind", ["a folder", "a link", "no home"])
def test_a_fault_that_cannot_be_written_down_is_told_all_the_same(
    kind: str, log: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is written through a link, and no second fault follows."""
    log.parent.mkdir()
    (tmp_path / "mine").write_text("mine")
    if kind == "a folder":
        log.mkdir()
    elif kind == "a link":
        log.symlink_to(tmp_path / "mine")
    else:
        monkeypatch.setenv("EDGELEUK_FAULTS", "~nosuchuser/faults.log")
    assert "fault in the program" in str(faults.to_user_error(ValueError("x")))
    assert (tmp_path / "mine").read_text() == "mine"


def test_the_file_of_faults_stays_small(log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It begins anew where it is full."""
    monkeypatch.setattr(faults, "MOST_BYTES", 500)
    for number in range(20):
        faults.to_user_error(type(f"Error{number}", (Exception,), {})("x" * 100))
    assert log.stat().st_size < 1500
    assert log.with_name("faults.log.old").exists()


def test_the_support_archive_has_faults_without_names(log: Path) -> None:
    """References and places, and not what an exception said, which may be a patient's file."""
    faults.to_user_error(ValueError("Ann Smith.jpg"), "Ann Smith.jpg")
    assert "Ann Smith" in log.read_text()
    archive = zipfile.ZipFile(io.BytesIO(bundle(Report(()), "", lambda: "")))
    text = archive.read("edgeleuk-doctor/faults.txt").decode()
    assert "ValueError" in text
    assert "Ann" not in text


def test_faults_are_written_down_by_threads(log: Path) -> None:
    """Each whole."""
    errors = [type(f"Error{number}", (Exception,), {})("x") for number in range(8)]
    threads = [threading.Thread(target=faults.to_user_error, args=(each,)) for each in errors]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert log.read_text().count("edgeleuk 0") == 8
