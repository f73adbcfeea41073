"""The camera's thread and its watchdog, against sources and servers that fail in every way cameras are known to."""

from __future__ import annotations

import itertools
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from mjpeg_server import Server

from edgeleuk.errors import CameraError, InputError
from edgeleuk.sources._frame_health import FrameAssessor
from edgeleuk.sources.camera import Source, SourceInfo
from edgeleuk.sources.capture import Capture, Patience
from edgeleuk.sources.http import HttpSource
from edgeleuk.types import Frame, Image, TimedFrame

QUICK = Patience(
    stall=0.2,
    frozen=0.15,
    black=0.15,
    open=3.0,
    reopen=1.5,
    unknown=0.3,
    first_pause=0.02,
    longest_pause=0.05,
)
WAIT_S = 5.0


def noise(seed: int) -> Image:
    return np.random.default_rng(seed).integers(100, 200, (48, 64, 3)).astype(np.uint8)


class Scripted:
    """A source whose every read is a call of `give` with the number of the frame."""

    def __init__(self, give: Callable[[int], Image | None], live: bool = True, pace: float = 0.005) -> None:
        self.give, self.pace, self.number, self.closed = give, pace, 0, False
        self.info = SourceInfo("scripted", 64, 48, None, live=live)

    def read(self, timeout: float) -> TimedFrame | None:  # noqa: ARG002
        time.sleep(self.pace)
        pixels = self.give(self.number)
        if pixels is None:
            return None
        timed = TimedFrame(Frame(pixels, f"frame {self.number}"), self.number * 0.04, self.number)
        self.number += 1
        return timed

    def close(self) -> None:
        self.closed = True


def until(condition: Callable[[], bool]) -> bool:
    """Whether a condition came true within WAIT_S."""
    end = time.monotonic() + WAIT_S
    while not condition() and time.monotonic() < end:
        time.sleep(0.005)
    return condition()


def frames(capture: Capture) -> Iterator[TimedFrame]:
    """All that come until the source ends."""
    while not capture.ended:
        if timed := capture.next(0.1):
            yield timed


@contextmanager
def watching(server: Server) -> Iterator[Capture]:
    with Capture(lambda: HttpSource(server.url, open_s=0.3), patience=QUICK) as capture:
        assert capture.next(WAIT_S)
        yield capture


def test_a_film_is_handed_out_whole_and_in_order() -> None:
    """Of a source that is not live no frame is dropped, however slow the taker, and then it has ended."""
    source = Scripted(lambda n: noise(n) if n < 5 else None, live=False)
    numbers = []
    with Capture(lambda: source, patience=QUICK) as capture:
        for timed in frames(capture):
            time.sleep(0.02)
            numbers.append(timed.number)
        assert numbers == [0, 1, 2, 3, 4]
        assert capture.next(0) is None
        assert (capture.state().word, capture.dropped, capture.reopened) == ("ended", 0, 0)
    assert source.closed


def test_a_slow_taker_of_a_film_is_no_fault_of_the_film() -> None:
    """While a frame waits to be taken the source is not late."""
    with Capture(lambda: Scripted(noise, live=False), patience=QUICK) as capture:
        assert until(lambda: capture.state().word == "running")
        time.sleep(3 * QUICK.stall)
        assert capture.state().word == "running"


def test_of_a_live_source_the_newest_frame_wins() -> None:
    """What was not taken in time is dropped and counted, and its number is missing."""
    with Capture(lambda: Scripted(noise), patience=QUICK) as capture:
        first = capture.next(WAIT_S)
        assert until(lambda: capture.dropped >= 10)
        later = capture.next(WAIT_S)
    assert first and later
    assert later.number - first.number > 10
    np.testing.assert_array_equal(later.frame.pixels, noise(later.number))


def test_a_frame_is_handed_out_once() -> None:
    """Without a new frame there is None."""
    with Capture(lambda: Scripted(noise, pace=0.1), patience=QUICK) as capture:
        assert capture.next(WAIT_S)
        assert capture.next(0.01) is None


@pytest.mark.parametrize("error", [CameraError("no such camera"), ValueError("a driver's own")])
def test_what_the_first_opening_raises_reaches_the_caller(error: Exception) -> None:
    """A typing error ends the program; it is not retried for ever."""

    def fail() -> Source:
        raise error

    with pytest.raises(type(error), match=str(error)), Capture(fail, patience=QUICK):
        pass


def test_an_opening_that_hangs_is_given_up() -> None:
    """The error says for how long it was waited."""
    release = threading.Event()

    def hang() -> Source:
        release.wait(WAIT_S)
        raise CameraError("too late")

    patience = Patience(open=0.1)
    with pytest.raises(CameraError, match=r"did not open within 0\.1 s"), Capture(hang, patience=patience):
        pass
    release.set()


def test_a_read_that_blocks_for_ever_is_left_behind() -> None:
    """The source opened anew in another thread gives frames again."""
    release, opened = threading.Event(), []

    def give(number: int) -> Image:
        if len(opened) == 1 and number == 3:
            release.wait(WAIT_S)
        return noise(number)

    def open_it() -> Scripted:
        opened.append(Scripted(give))
        return opened[-1]

    with Capture(open_it, patience=QUICK) as capture:
        assert until(lambda: capture.state().word in ("waiting", "lost"))
        assert until(lambda: capture.state().reopened == 1 and capture.state().word == "running")
        assert len(opened) == 2
        release.set()
        assert until(lambda: opened[0].closed), (
            "the thread that was left behind closes its source when it wakes"
        )


def test_closing_does_not_wait_for_a_thread_that_hangs() -> None:
    """About a second, whatever the driver does."""
    release = threading.Event()

    def give(_: int) -> Image:
        release.wait(WAIT_S)
        return noise(0)

    capture = Capture(lambda: Scripted(give), patience=Patience())
    with capture:
        begun = time.monotonic()
    assert time.monotonic() - begun < 2
    release.set()


def test_a_frozen_picture_is_noticed_and_the_camera_reopened() -> None:
    """Bit for bit the same for too long is frozen, and stays so until something else is seen."""
    opened: list[Scripted] = []

    def open_it() -> Scripted:
        good = len(opened) == 2
        opened.append(Scripted(noise if good else lambda n: noise(min(n, 2) if not opened[1:] else 2)))
        return opened[-1]

    with Capture(open_it, patience=QUICK) as capture:
        assert until(lambda: capture.state().word == "frozen")
        assert "same picture" in capture.state().text
        assert until(lambda: capture.state().word != "frozen")
        assert (capture.state().word, capture.reopened) == ("running", 2)
    assert opened[0].closed and opened[1].closed


def test_black_pictures_are_noticed_and_forgiven() -> None:
    """The lamp off is told with what to check; with the lamp on it runs again."""
    lamp = threading.Event()

    def give(number: int) -> Image:
        return noise(number) if lamp.is_set() or number < 3 else noise(number) // 20

    with Capture(lambda: Scripted(give), patience=QUICK) as capture:
        assert until(lambda: capture.state().word == "black")
        assert "lamp" in capture.state().text
        lamp.set()
        assert until(lambda: capture.state().word == "running")


def test_time_and_numbers_go_on_over_a_reopening() -> None:
    """A camera that was opened again begins at 0; the shots' clock does not run backwards."""

    def give(number: int) -> Image:
        if number == 5:
            raise CameraError("pulled out.")
        return noise(number)

    seen: list[TimedFrame] = []
    with Capture(lambda: Scripted(give, pace=0.01), patience=QUICK) as capture:
        while capture.reopened < 3:
            if timed := capture.next(0.1):
                seen.append(timed)
    assert [s.number for s in seen] == sorted({s.number for s in seen})
    assert all(a.seconds <= b.seconds for a, b in itertools.pairwise(seen))
    assert len(seen) > 6


def test_pauses_between_openings_double_up_to_their_limit() -> None:
    """0.5, 1, 2, 4, 8 and then 15 seconds."""
    assert [Patience().pause(failures) for failures in range(7)] == [0.5, 1, 2, 4, 8, 15, 15]


def test_a_bad_picture_in_a_folder_is_passed_over_and_told() -> None:
    """The rest goes on; the count and the last reason stay to be read."""

    def give(number: int) -> Image | None:
        if number == 1 and not told:
            told.append(number)
            raise InputError("b.jpg is damaged.")
        return noise(number) if number < 3 else None

    told: list[int] = []
    with Capture(lambda: Scripted(give, live=False), patience=QUICK) as capture:
        assert len(list(frames(capture))) == 3
        assert capture.unreadable == 1
        assert capture.state().text == "1 could not be read. The last one: b.jpg is damaged."


def test_the_state_is_read_without_a_lock() -> None:
    """Also while the capture's own lock is held by another thread."""
    with Capture(lambda: Scripted(noise), patience=QUICK) as capture, capture._changed:
        answers: list[str] = []
        reader = threading.Thread(target=lambda: answers.append(capture.state().word))
        reader.start()
        reader.join(1)
        assert answers


def test_looks_tell_noise_from_a_frozen_frame() -> None:
    """On a clock of its own: frozen after the limit, not before, and never with noise."""
    looks = FrameAssessor(Patience(frozen=2.0))
    assert looks.assess(noise(0), 0.0) == (None, False)
    assert looks.assess(noise(0), 1.0) == ("frozen", False)
    assert looks.assess(noise(0), 2.9) == ("frozen", False)
    assert looks.assess(noise(0), 3.0) == ("frozen", True)
    assert looks.assess(noise(1), 3.1) == (None, False)


def test_hot_pixels_do_not_hide_that_it_is_dark() -> None:
    """One bright value in ten thousand leaves a frame black; a lit corner does not."""
    looks = FrameAssessor(Patience(black=0.0))
    dark = np.full((100, 100, 3), 10, np.uint8)
    dark[50, 50] = 255
    assert looks.assess(dark, 0.0) == ("black", True)
    dark[:10, :10] = 90
    assert looks.assess(dark, 1.0) == (None, False)


# Against a real MJPEG server.


def test_a_stalled_stream_is_reopened_until_it_flows_again() -> None:
    """The connection stands and nothing comes: waiting, then lost, then running."""
    with Server() as server, watching(server) as capture:
        server.mode = "stall"
        assert until(lambda: capture.state().word == "waiting")
        assert until(lambda: capture.state().word == "lost")
        server.mode = "good"
        assert until(lambda: capture.state().word == "running")
        assert capture.reopened >= 1


@pytest.mark.parametrize("mode", ["garbage", "half"])
def test_a_stream_of_garbage_is_survived(mode: str) -> None:
    """Random bytes, or pictures that break off, for a while: lost, with the reason, and then running again."""
    with Server() as server, watching(server) as capture:
        server.mode = mode
        assert until(lambda: capture.state().word == "lost")
        server.mode = "good"
        assert until(lambda: capture.state().word == "running")


def test_a_little_garbage_costs_only_the_frames_it_hit() -> None:
    """No reopening for a short fault."""
    with Server() as server, watching(server) as capture:
        server.mode = "half"
        assert until(lambda: capture.unreadable > 0)
        server.mode = "good"
        assert capture.next(WAIT_S) and until(lambda: capture.state().word == "running")
        assert capture.reopened == 0


def test_a_slow_stream_is_no_fault() -> None:
    """Ten frames a second under a limit of a fifth of one."""
    with Server(fps=10) as server, watching(server) as capture:
        assert all(capture.next(WAIT_S) for _ in range(5))
        assert capture.state().reopened == 0


def test_a_change_of_resolution_goes_on() -> None:
    """Frames just have another size from then on."""
    with Server() as server, watching(server) as capture:
        server.mode = "large"
        assert until(lambda: (timed := capture.next(0.1)) is not None and timed.frame.width == 320)
        assert capture.reopened == 0


@pytest.mark.parametrize(("mode", "word"), [("same", "frozen"), ("black", "black")])
def test_a_stream_that_shows_nothing_new_is_noticed(mode: str, word: str) -> None:
    """The same picture, or a black one, again and again."""
    with Server() as server, watching(server) as capture:
        server.mode = mode
        assert until(lambda: capture.state().word == word)
        server.mode = "good"
        assert until(lambda: capture.state().word == "running")


def test_a_server_that_is_killed_and_comes_back() -> None:
    """kill -9 of a real process, and another on its port: the same capture gives its frames."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    program = [sys.executable, str(Path(__file__).with_name("mjpeg_server.py")), str(port)]

    def reachable() -> bool:
        with socket.socket() as client:
            return client.connect_ex(("127.0.0.1", port)) == 0

    first = subprocess.Popen(program)
    try:
        assert until(reachable)
        with Capture(lambda: HttpSource(f"http://127.0.0.1:{port}/"), patience=QUICK) as capture:
            assert capture.next(WAIT_S)
            first.kill()
            first.wait()
            assert until(lambda: capture.state().word == "lost" and "refuses" in capture.state().text)
            second = subprocess.Popen(program)
            try:
                assert until(lambda: capture.state().word == "running")
            finally:
                second.kill()
                second.wait()
    finally:
        first.kill()
        first.wait()


def test_two_captures_share_a_server() -> None:
    """Both get frames."""
    with Server() as server, watching(server) as one, watching(server) as other:
        assert one.next(WAIT_S) and other.next(WAIT_S)
