"""Frames that are too large, and what libraries say of streams: refused in little memory, and without a word on stderr."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
from mjpeg_server import jpeg
from raw_camera import STREAM, RawCamera, head, mjpeg

from edgeleuk.errors import InputError, UsageError
from edgeleuk.sources import open_source
from edgeleuk.sources._opencv import MOST_MEGAPIXELS
from edgeleuk.sources.capture import Capture
from edgeleuk.sources.http import HttpSource
from edgeleuk.sources.video import VideoSource

MOST_MB = 500


def claiming(width: int, height: int, picture: bytes = b"") -> bytes:
    """A JPEG picture that says it has another size."""
    data = bytearray(picture or jpeg(1))
    at = data.find(b"\xff\xc0")
    data[at + 5 : at + 9] = height.to_bytes(2, "big") + width.to_bytes(2, "big")
    return bytes(data)


@pytest.mark.parametrize("size", [(19000, 19000), (65535, 65535), (65535, 800), (8000, 6300)])
def test_a_frame_that_claims_too_much_is_one_refused_frame(size: tuple[int, int]) -> None:
    """Of a stream that goes on; nothing of its size is allocated."""
    pictures = itertools.chain([jpeg(0), claiming(*size)], (jpeg(n) for n in itertools.count(2)))
    camera = RawCamera(lambda _: itertools.chain([STREAM], mjpeg(pictures=pictures, pace=0.05)))
    with camera, Capture(lambda: HttpSource(camera.url)) as capture:
        assert all(capture.next(3) for _ in range(3))
        assert capture.state().unreadable == 1


READING = """
import resource, sys
from edgeleuk.errors import EdgeleukError
from edgeleuk.sources import open_source
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
try:
    source = open_source(sys.argv[1])
    while source.read(1):
        pass
except EdgeleukError as error:
    print(error)
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)
"""


def read_in_a_process(source: str, **environment: str) -> tuple[str, int, str]:
    """What is said of a source that is read to its end or its first fault, the MB it took, and stderr."""
    done = subprocess.run(
        [sys.executable, "-c", READING, source], capture_output=True, text=True, timeout=60, check=True,
        env=os.environ | environment,
    )  # fmt: skip
    *said, megabytes = done.stdout.splitlines()
    return " ".join(said), int(megabytes), done.stderr


def test_a_camera_of_only_huge_frames_is_refused_in_little_memory() -> None:
    """With what is wrong, and what to set."""
    with RawCamera(
        lambda _: itertools.chain([STREAM], mjpeg(pictures=itertools.repeat(claiming(19000, 19000))))
    ) as camera:
        said, megabytes, stderr = read_in_a_process(camera.url)
    assert "19000 x 19000 px, more than 50 megapixels" in said
    assert (megabytes < MOST_MB, stderr) == (True, "")


@pytest.fixture(scope="module")
def huge(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A film of frames that are too large, and really are so."""
    path = tmp_path_factory.mktemp("films") / "huge.mjpeg"
    frame = np.full((8000, MOST_MEGAPIXELS * 125 + 80, 3), 200, np.uint8)
    path.write_bytes(cv2.imencode(".jpg", frame)[1].tobytes() * 2)
    yield path
    path.unlink()


def test_a_film_of_huge_frames_is_refused_in_little_memory(huge: Path) -> None:
    """By what it announces, before a frame is handed out."""
    said, megabytes, stderr = read_in_a_process(str(huge))
    assert "6330 x 8000 px, more than 50 megapixels" in said
    assert (megabytes < MOST_MB, stderr) == (True, "")
    with pytest.raises(InputError):
        VideoSource(huge)


@pytest.mark.parametrize("size", [(100_000, None), (None, 1_000_000), (20_000, 20_000), (64, 900_000)])
@pytest.mark.parametrize("spec", ["simulated:1", "usb:0", "picamera"])
def test_no_camera_is_asked_for_a_size_that_none_has(spec: str, size: tuple[int | None, int | None]) -> None:
    """A simulated one would fill the memory."""
    with pytest.raises(UsageError, match="Ask for 50 megapixels at most"):
        open_source(spec, width=size[0], height=size[1])


# RTSP, through FFmpeg.

RTSP = {
    "nothing": [],
    "unauthorized": [
        head("CSeq: 1", 'WWW-Authenticate: Digest realm="x", nonce="n"', status="RTSP/1.0 401 Unauthorized")
    ],
    "not found": [head("CSeq: 1", status="RTSP/1.0 404 Stream Not Found")],
    "garbage": [bytes(range(256)) * 40],
    "http": [head(status="HTTP/1.1 400 Bad Request")],
}


@pytest.mark.parametrize("answer", RTSP)
def test_a_stream_over_rtsp_that_does_not_come_is_told_in_one_line(answer: str) -> None:
    """Nothing of FFmpeg or OpenCV on stderr, also where the environment asks them to speak; no password."""
    with RawCamera(lambda _: RTSP[answer]) as camera:
        source = f"rtsp://me:geheim@127.0.0.1:{camera.port}/live"
        said, _, stderr = read_in_a_process(source, OPENCV_FFMPEG_LOGLEVEL="48", OPENCV_LOG_LEVEL="DEBUG")
    assert f"rtsp://127.0.0.1:{camera.port}/live is there, and gives no stream." in said
    assert "geheim" not in said
    assert stderr == ""
