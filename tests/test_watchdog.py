"""The service manager's watchdog: ready at the first frame, fed while frames arrive, silent when they stop."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeleuk.console.systemd_watchdog import STATUS_S, Notifier, Watchdog
from edgeleuk.sources.camera import CameraState

RUNNING = CameraState("running", 0.0)


class Manager:
    """A service manager's end of the socket."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(str(path))

    def heard(self, wait_s: float = 0.0) -> list[dict[str, str]]:
        """What was said since the last call, each datagram as a mapping; waits for the first one."""
        said = []
        self.socket.settimeout(wait_s or 0.001)
        try:
            while True:
                lines = self.socket.recv(4096).decode().splitlines()
                said.append(dict(line.split("=", 1) for line in lines))
                self.socket.settimeout(0.001)
        except TimeoutError:
            return said


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[Manager]:
    listening = Manager(tmp_path / "notify")
    yield listening
    listening.socket.close()


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def feeds(said: list[dict[str, str]]) -> int:
    return sum("WATCHDOG" in each for each in said)


def test_ready_is_said_once_and_only_after_a_frame(manager: Manager, clock: Clock) -> None:
    """A service is up when it counts, not when it was started."""
    with Watchdog(Notifier(str(manager.path)), 8.0, clock=clock) as watchdog:
        watchdog.turn(False, CameraState("starting", 0.0), "nothing yet.")
        assert not any("READY" in each for each in manager.heard())
        watchdog.turn(True, RUNNING, "nothing yet.")
        watchdog.turn(True, RUNNING, "nothing yet.")
        assert [each for each in manager.heard() if "READY" in each] == [{"READY": "1", "WATCHDOG": "1"}]


def test_it_is_fed_four_times_in_the_managers_patience(manager: Manager, clock: Clock) -> None:
    """However fast the frames come: 8 s of patience make a sign of life every 2 s."""
    with Watchdog(Notifier(str(manager.path)), 8.0, clock=clock) as watchdog:
        for _ in range(65):
            watchdog.turn(True, RUNNING, "")
            clock.now += 0.125
        assert feeds(manager.heard()) == 5


@pytest.mark.parametrize("word", ["frozen", "black", "lost", "waiting", "starting"])
def test_frames_of_a_camera_that_does_not_run_do_not_feed_it(
    manager: Manager, clock: Clock, word: str
) -> None:
    """A frozen camera goes on delivering pictures; they are no sign of life."""
    with Watchdog(Notifier(str(manager.path)), 8.0, clock=clock) as watchdog:
        watchdog.turn(True, RUNNING, "")
        manager.heard()
        for _ in range(20):
            clock.now += 1
            watchdog.turn(True, CameraState(word, 1.0, "it is so."), "")  # type: ignore[arg-type]
        said = manager.heard()
        assert feeds(said) == 0
        assert {"STATUS": "it is so."} in said


def test_a_loop_without_frames_does_not_feed_it(manager: Manager, clock: Clock) -> None:
    """That the loop turns is not that something is counted."""
    with Watchdog(Notifier(str(manager.path)), 8.0, clock=clock) as watchdog:
        watchdog.turn(True, RUNNING, "")
        manager.heard()
        for _ in range(20):
            clock.now += 1
            watchdog.turn(False, RUNNING, "")
        assert feeds(manager.heard()) == 0


def test_a_watched_folder_may_be_quiet(manager: Manager, clock: Clock) -> None:
    """Where pictures come when a person takes one, waiting is life; a folder that is lost is not."""
    with Watchdog(Notifier(str(manager.path)), 8.0, paced=False, clock=clock) as watchdog:
        watchdog.turn(False, CameraState("waiting", 0.0, "no new picture yet."), "")
        assert manager.heard()[0] == {"READY": "1", "WATCHDOG": "1"}
        clock.now += 4
        watchdog.turn(False, CameraState("waiting", 0.0, "no new picture yet."), "")
        assert feeds(manager.heard()) == 1
        clock.now += 4
        watchdog.turn(False, CameraState("lost", 0.0, "gone."), "")
        assert feeds(manager.heard()) == 0


def test_the_status_tells_a_trouble_at_once_and_the_count_now_and_then(
    manager: Manager, clock: Clock
) -> None:
    """`systemctl status` shows it; a journal of thousands of lines would help nobody."""
    with Watchdog(Notifier(str(manager.path)), clock=clock) as watchdog:
        for number in range(50):
            watchdog.turn(True, RUNNING, f"{number} counted.")
            clock.now += STATUS_S / 10
        watchdog.turn(False, CameraState("lost", 0.0, "the cable is out."), "50 counted.")
        watchdog.turn(True, RUNNING, "51 counted.")
        statuses = [each["STATUS"] for each in manager.heard() if "STATUS" in each]
    assert statuses == [f"{10 * n} counted." for n in range(5)] + ["the cable is out.", "51 counted."]


def test_the_end_is_announced(manager: Manager) -> None:
    """So that closing is not taken for a hang; and nothing is said after it."""
    watchdog = Watchdog(Notifier(str(manager.path)))
    with watchdog:
        pass
    watchdog.turn(True, RUNNING, "")
    assert [each["STOPPING"] for each in manager.heard()] == ["1"]


def test_an_abstract_socket_is_understood() -> None:
    """systemd may name one with an @ in front."""
    name = f"edgeleuk-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(f"\0{name}")
        notifier = Notifier(f"@{name}")
        notifier.send(READY="1")
        notifier.close()
        assert listening.recv(64) == b"READY=1"


def test_a_manager_that_is_gone_stops_no_count(tmp_path: Path) -> None:
    """Neither a path where nobody listens nor one that cannot be an address raises."""
    for address in (str(tmp_path / "nobody"), "/" + "x" * 300, "@" + "y" * 300):
        with Watchdog(Notifier(address), 1.0) as watchdog:
            watchdog.turn(True, RUNNING, "")


@given(st.dictionaries(st.sampled_from(["NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"]), st.text()))
def test_any_environment_is_borne(environment: dict[str, str]) -> None:
    """What is not understood is not obeyed."""
    with Watchdog.from_environment(environment=environment) as watchdog:
        watchdog.turn(True, RUNNING, "\n\0")


def test_another_process_watchdog_is_not_fed(manager: Manager) -> None:
    """WATCHDOG_PID names the process that the manager watches; a child of it stays silent but for its state."""
    other = {"NOTIFY_SOCKET": str(manager.path), "WATCHDOG_USEC": "4000000", "WATCHDOG_PID": "1"}
    with Watchdog.from_environment(environment=other) as watchdog:
        watchdog.turn(True, RUNNING, "")
        assert watchdog._every is None


FREEZING = """
import sys, threading, time
from edgeleuk import cli
from edgeleuk.sources import simulated
read, until = simulated.StageSource.read, float(sys.argv.pop(1))
began = None
def freezing(self, timeout):
    global began
    began = began or time.monotonic()
    if time.monotonic() - began > until:
        threading.Event().wait()
    return read(self, timeout)
simulated.StageSource.read = freezing
cli.main()
"""


def test_a_real_count_feeds_until_its_source_freezes(manager: Manager, tmp_path: Path) -> None:
    """`edgeleuk live` says READY, gives signs of life, falls silent with its source, and still ends when asked."""
    environment = {
        **os.environ,
        "EDGELEUK_SESSIONS": str(tmp_path / "sessions.db"),
        "NOTIFY_SOCKET": str(manager.path),
        "WATCHDOG_USEC": "2000000",
    }
    environment.pop("WATCHDOG_PID", None)
    arguments = "3 live --source simulated:3 --um-per-px 0.1 --threads 1 --width 640 --height 360 --plain"
    process = subprocess.Popen(
        [sys.executable, "-c", FREEZING, *arguments.split()], stdout=subprocess.DEVNULL, env=environment
    )
    try:
        said: list[dict[str, str]] = []
        deadline = time.monotonic() + 90  # painting a simulated slide takes its time on a busy machine
        while not any("READY" in each for each in said) and time.monotonic() < deadline:
            said += manager.heard(0.5)
        time.sleep(1.5)
        said += manager.heard()
        assert [each["READY"] for each in said if "READY" in each] == ["1"]
        assert feeds(said) >= 2
        time.sleep(2.5)  # the source is frozen by now
        manager.heard()
        time.sleep(2.5)
        assert feeds(manager.heard()) == 0
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0
        assert manager.heard()[-1]["STOPPING"] == "1"
    finally:
        process.kill()
        process.wait()
