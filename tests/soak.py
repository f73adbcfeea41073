"""Does a long live count need more and more memory? A camera in one process, `edgeleuk live` with its view in another.

    python tests/soak.py MINUTES [FPS]

The camera is the simulated stage, served as MJPEG over HTTP in real time; the count keeps its session and draws its view on
a terminal of 120 x 40. Prints what memory (resident, MB) the count has at the end of each minute, and, since it takes a tenth more
for the moment in which it analyses a field, the median and the most of a sample a second.
"""

from __future__ import annotations

import fcntl
import json
import os
import pty
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import termios
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import cv2
from mjpeg_server import BOUNDARY

from edgeleuk.sources.simulated import DRIFTS_UM, StageSettings, StageSource

WARM_MINUTES = 2
"""Until every part of the program was used once; what is kept from then on is compared."""


@dataclass(frozen=True, slots=True)
class Soaked:
    """What a run came to."""

    resident_mb: tuple[float, ...]
    """At the end of each minute."""
    medians_mb: tuple[float, ...]
    """Of each minute."""
    peak_mb: float
    """The most at any time."""
    fields: int
    white_cells: int
    processor_s: float
    """Of the count."""

    @property
    def growth(self) -> float:
        """The most at the end of a minute after the warm-up over what it was then, less one."""
        return _growth(self.resident_mb)

    @property
    def median_growth(self) -> float:
        """Likewise of the medians."""
        return _growth(self.medians_mb)


def _growth(by_minute: tuple[float, ...]) -> float:
    return max(by_minute[WARM_MINUTES - 1 :]) / by_minute[WARM_MINUTES - 1] - 1


def serve(port: int, fps: float, minutes: float) -> None:
    """A stage that scans for so long, to one client after the other; its time is that of the wall."""
    stage = StageSource(
        5,
        "100x",
        settings=StageSettings(
            minutes=minutes + 5, fps=fps, focus_drift_um=DRIFTS_UM["100x"], exposure_drift=0.1
        ),
    )
    with socket.create_server(("127.0.0.1", port)) as listening:
        while True:
            client, _ = listening.accept()
            with client, suppress(ConnectionError):
                client.recv(4096)
                head = "HTTP/1.1 200 OK\r\nContent-Type: multipart/x-mixed-replace; boundary="
                client.sendall(f"{head}{BOUNDARY.decode()}\r\n\r\n".encode())
                began = time.monotonic()
                while timed := stage.read(1.0):
                    picture = cv2.imencode(".jpg", timed.frame.pixels[..., ::-1])[1].tobytes()
                    length = b"Content-Length: %d\r\n\r\n" % len(picture)
                    client.sendall(
                        b"--" + BOUNDARY + b"\r\nContent-Type: image/jpeg\r\n" + length + picture + b"\r\n"
                    )
                    time.sleep(max(0.0, began + timed.seconds - time.monotonic()))


def soak(minutes: int, fps: float, interval_s: float = 60.0) -> Soaked:
    """Run both for `minutes` of `interval_s` seconds, and say in each what the count has."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    camera = subprocess.Popen(
        [sys.executable, __file__, "--serve", str(port), str(fps), str(minutes * interval_s / 60)]
    )
    try:
        _wait_for(port)
        return _watched(f"http://127.0.0.1:{port}/", minutes, interval_s)
    finally:
        camera.kill()
        camera.wait()


def _watched(url: str, minutes: int, interval_s: float) -> Soaked:
    with tempfile.TemporaryDirectory() as folder:
        environment = {**os.environ, "TERM": "xterm-256color", "EDGELEUK_SESSIONS": f"{folder}/sessions.db"}
        ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 120, 0, 0))
        count = subprocess.Popen(
            [sys.executable, "-m", "edgeleuk", "live", "--source", url, "--um-per-px", "0.1", "--target", "400"],
            stdin=theirs, stdout=theirs, stderr=theirs, env=environment, start_new_session=True,
        )  # fmt: skip
        os.close(theirs)
        threading.Thread(target=_drain, args=(ours,), daemon=True).start()
        ends: list[float] = []
        medians: list[float] = []
        began = time.monotonic()
        for minute in range(1, minutes + 1):
            samples = list(_sampled(count, began + minute * interval_s))
            ends.append(samples[-1])
            medians.append(median(samples))
            print(f"{minute} {ends[-1]:.1f} {medians[-1]:.1f} {max(samples):.1f}", flush=True)
        processor_s, peak_mb = _processor_s(count.pid), _resident_mb(count.pid, "VmHWM")
        count.send_signal(signal.SIGTERM)
        count.wait(30)
        listed = subprocess.run(
            [sys.executable, "-m", "edgeleuk", "sessions", "list", "--json"],
            capture_output=True, text=True, check=True, env=environment,
        )  # fmt: skip
        (session,) = json.loads(listed.stdout)["sessions"]
        return Soaked(
            tuple(ends), tuple(medians), peak_mb, session["fields"], session["white_cells"], processor_s
        )


def _sampled(count: subprocess.Popen[bytes], until: float) -> Iterator[float]:
    """What a running count has, a second apart."""
    while time.monotonic() < until:
        time.sleep(min(1.0, max(0.0, until - time.monotonic())))
        if count.poll() is not None:
            raise RuntimeError(f"the count ended by itself, with exit code {count.returncode}")
        yield _resident_mb(count.pid)


def _drain(terminal: int) -> None:
    with suppress(OSError):  # the other side is closed
        while os.read(terminal, 65536):
            pass


def _wait_for(port: int) -> None:
    for _ in range(600):
        with suppress(ConnectionError), socket.create_connection(("127.0.0.1", port)):
            return
        time.sleep(0.1)
    raise RuntimeError("the camera did not start within a minute")


def _resident_mb(process: int, what: str = "VmRSS") -> float:
    lines = Path(f"/proc/{process}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(what)) * 1024 / 1e6


def _processor_s(process: int) -> float:
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


if __name__ == "__main__":
    if sys.argv[1] == "--serve":
        serve(int(sys.argv[2]), float(sys.argv[3]), float(sys.argv[4]))
    else:
        done = soak(int(sys.argv[1]), float(sys.argv[2]) if len(sys.argv) > 2 else 4.0)
        print(
            f"{done.fields} fields, {done.white_cells} white cells, {done.processor_s:.0f} s of processor time; "
            f"at most {done.peak_mb:.0f} MB; after {WARM_MINUTES} minutes {done.growth:+.1%}, medians {done.median_growth:+.1%}"
        )
