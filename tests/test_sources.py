"""Where frames come from: how each source is named, what it gives, how it ends, and what it says when it cannot."""

from __future__ import annotations

import itertools
import json
import shutil
import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mjpeg_server import Server, jpeg, part

from edgeleuk.errors import CameraError, EdgeleukError, InputError, MissingExtraError, UsageError
from edgeleuk.sources import KINDS, _v4l2, default_source, open_source, picamera
from edgeleuk.sources._opencv import decode_jpeg
from edgeleuk.sources.http import HttpSource
from edgeleuk.sources.network.multipart import Parts, boundary_of
from edgeleuk.sources.stills import FolderSource, WatchSource
from edgeleuk.sources.usb import differences
from edgeleuk.sources.usb import parse as parse_usb
from edgeleuk.types import Image

FRAMES = 12
NO_CAMERA = not _v4l2.devices()


def picture(number: int) -> Image:
    """RGB whose red tells its number; a pattern in green gives it the size that a file of a real one has."""
    image = np.full((96, 128, 3), (40, 90, 200), np.uint8)
    image[..., 0] = 10 * number
    image[::2, ::3, 1] = 140
    return image


@pytest.fixture
def film(tmp_path: Path) -> Path:
    """12 frames at 10 a second, AVI with MJPG."""
    path = tmp_path / "smear.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 10.0, (128, 96))
    for number in range(FRAMES):
        writer.write(cv2.cvtColor(picture(number), cv2.COLOR_RGB2BGR))
    writer.release()
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three pictures and a text that calls itself one."""
    for number, name in enumerate(("a", "b", "d")):
        cv2.imwrite(str(tmp_path / f"{name}.png"), cv2.cvtColor(picture(number), cv2.COLOR_RGB2BGR))
    (tmp_path / "c.png").write_text("no picture")
    return tmp_path


# How sources are named.


@pytest.mark.parametrize("spec", ["", "webcam", "nothing/here", "simulation:1", "/dev/nothing"])
def test_what_names_no_source_is_told_which_there_are(spec: str) -> None:
    """The message lists every kind."""
    with pytest.raises(UsageError) as caught:
        open_source(spec)
    assert KINDS in str(caught.value)


@pytest.mark.parametrize("spec", ["usb:x", "usb:-1", "picamera:x", "simulated:x", "http://", "http://a:b:c/"])
def test_a_malformed_source_says_how_it_is_written(spec: str) -> None:
    """A typing error is a usage error."""
    with pytest.raises(UsageError, match=r"Use |Write |The seed"):
        open_source(spec)


@pytest.mark.parametrize(("text", "number"), [("", 0), ("0", 0), ("2", 2), ("/dev/video3", 3)])
def test_a_usb_camera_is_known_by_number_or_device(text: str, number: int) -> None:
    """usb, usb:2 and /dev/video3."""
    assert parse_usb(text) == number


def test_importing_the_sources_loads_no_library() -> None:
    """OpenCV comes with the first source that needs it; picamera2 never unasked."""
    code = "import json, sys, edgeleuk.sources, edgeleuk.sources.picamera; print(json.dumps(sorted(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"cv2", "picamera2", "libcamera"} & set(json.loads(done.stdout))


# Videos.


def test_a_film_gives_every_frame_once_and_ends(film: Path) -> None:
    """In order, RGB, a tenth of a second apart, and then None again and again."""
    source = open_source(str(film))
    frames = []
    while timed := source.read(1):
        frames.append(timed)
    assert source.read(1) is None
    source.close()
    source.close()
    assert [timed.number for timed in frames] == list(range(FRAMES))
    np.testing.assert_allclose([timed.seconds for timed in frames], np.arange(FRAMES) / 10, atol=1e-6)
    for timed in frames:
        np.testing.assert_allclose(
            timed.frame.pixels.mean((0, 1)), picture(timed.number).mean((0, 1)), atol=6
        )
    assert (source.info.width, source.info.height, source.info.fps, source.info.live) == (128, 96, 10, False)


def test_a_film_that_was_cut_off_ends_where_it_was_cut(film: Path) -> None:
    """What is whole is given."""
    data = film.read_bytes()
    film.write_bytes(data[: int(len(data) * 0.6)])
    source = open_source(str(film))
    count = 0
    while source.read(1):
        count += 1
    assert 2 <= count < FRAMES
    source.close()


def test_a_file_that_is_no_film_is_refused(tmp_path: Path) -> None:
    """With what can be read."""
    (tmp_path / "film.mp4").write_bytes(b"no film at all" * 100)
    with pytest.raises(InputError, match=r"is no video.*MP4"):
        open_source(str(tmp_path / "film.mp4"))
    with pytest.raises(InputError, match="does not exist"):
        open_source(str(tmp_path / "none.mp4"))


def test_the_libraries_print_nothing(film: Path, tmp_path: Path) -> None:
    """FFmpeg's and OpenCV's complaints about bad films and streams do not reach the operator's screen."""
    film.write_bytes(film.read_bytes()[:9000])
    (tmp_path / "no.mp4").write_bytes(b"no film at all" * 100)
    code = (
        "import sys\n"
        "from edgeleuk.errors import EdgeleukError\n"
        "from edgeleuk.sources import open_source\n"
        "for spec in sys.argv[1:]:\n"
        "    try:\n"
        "        source = open_source(spec)\n"
        "        while source.read(1): pass\n"
        "    except EdgeleukError as error: print(error)\n"
    )
    specs = [str(film), str(tmp_path / "no.mp4"), "rtsp://127.0.0.1:9/x"]
    done = subprocess.run([sys.executable, "-c", code, *specs], capture_output=True, text=True, check=True)
    assert done.stderr == ""
    assert len(done.stdout.splitlines()) == 2


# Pictures.


def test_a_folder_gives_each_picture_once_in_order(folder: Path) -> None:
    """What cannot be read is an error in its turn; the next comes after it."""
    source = open_source(str(folder))
    assert [Path(source.read(1).frame.name).name for _ in range(2)] == ["a.png", "b.png"]  # type: ignore[union-attr]
    with pytest.raises(InputError, match=r"c\.png"):
        source.read(1)
    last = source.read(1)
    assert last and Path(last.frame.name).name == "d.png" and (last.number, last.seconds) == (2, 2.0)
    assert source.read(1) is None
    assert source.info.stills and not source.info.live


def test_a_pattern_names_its_files(folder: Path) -> None:
    """As in a shell."""
    source = open_source(str(folder / "[ab].png"))
    assert sum(source.read(1) is not None for _ in range(2)) == 2
    assert source.read(1) is None


def test_errors_before_the_first_picture_are_told_too(folder: Path) -> None:
    """The size comes from the first that can be read, and nothing is passed over in silence."""
    source = FolderSource([str(folder / "c.png"), str(folder / "a.png")])
    with pytest.raises(InputError, match=r"c\.png"):
        source.read(1)
    assert source.read(1) and source.info.width == 128


def test_a_folder_without_pictures_is_refused(tmp_path: Path) -> None:
    """At the opening, not after."""
    with pytest.raises(InputError, match="holds no pictures"):
        open_source(str(tmp_path))


def test_a_watched_folder_gives_what_is_put_into_it(folder: Path) -> None:
    """Not what was there; a file that is overwritten counts anew; nothing new is a CameraError, and asking goes on."""
    source = open_source(f"watch:{folder}")
    with pytest.raises(CameraError, match="no new picture"):
        source.read(0.05)
    shutil.copy(folder / "a.png", folder / "new.png")
    assert source.read(5).frame.name == str(folder / "new.png")  # type: ignore[union-attr]
    shutil.copy(folder / "d.png", folder / "new.png")
    timed = source.read(5)
    assert timed and timed.number == 1
    np.testing.assert_array_equal(timed.frame.pixels, picture(2))
    assert source.info.stills and not source.info.live


def test_a_picture_that_is_still_being_written_is_waited_for(folder: Path) -> None:
    """Half a file is not taken for a whole one while it grows."""
    source = WatchSource(folder)
    data = (folder / "b.png").read_bytes()
    (folder / "slow.png").write_bytes(data[:50])
    with pytest.raises(CameraError):
        source.read(0.01)
    time.sleep(0.02)
    (folder / "slow.png").write_bytes(data)
    timed = source.read(5)
    np.testing.assert_array_equal(timed.frame.pixels, picture(1))


def test_a_watched_folder_that_goes_away_may_come_back(folder: Path, tmp_path: Path) -> None:
    """A memory card that was taken out is told, and no reason to end."""
    card = tmp_path / "card"
    card.mkdir()
    source = WatchSource(card)
    card.rmdir()
    with pytest.raises(CameraError, match="does not exist"):
        source.read(0.01)
    card.mkdir()
    shutil.copy(folder / "a.png", card / "a.png")
    assert source.read(5).number == 0
    with pytest.raises(InputError, match="does not exist"):
        WatchSource(tmp_path / "none")


# Network cameras.


@pytest.mark.parametrize("mode", ["good", "no-length"])
def test_a_stream_gives_its_pictures(mode: str) -> None:
    """With or without Content-Length; every picture is one that was sent."""
    with Server() as server:
        server.mode = mode
        source = HttpSource(server.url)
        frames = [source.read(2) for _ in range(5)]
        source.close()
    assert [timed.number for timed in frames] == [0, 1, 2, 3, 4]
    assert all(a.seconds <= b.seconds for a, b in itertools.pairwise(frames))
    assert frames[0].frame.pixels.shape == (120, 160, 3)
    assert frames[0].frame.pixels.mean((0, 1)) == pytest.approx((230, 190, 200), abs=6), (
        "sent as BGR 200 190 230"
    )


def test_an_address_of_single_pictures_is_asked_again_and_again() -> None:
    """Each read is a request of its own."""
    with Server() as server:
        source = HttpSource(f"{server.url}still")
        images = [source.read(2).frame.pixels for _ in range(3)]
        assert not np.array_equal(images[0], images[1])
        assert server.number == 3
        source.close()


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("page", "gives text/html, not pictures"),
        ("secret", "wants a password"),
    ],
)
def test_an_address_without_pictures_says_what_it_is(path: str, message: str) -> None:
    """And what to use instead."""
    with Server() as server, pytest.raises(CameraError, match=message):
        HttpSource(f"{server.url}{path}")


def test_a_server_that_says_nothing_is_given_up_in_time() -> None:
    """Within the time for the opening, though the connection stands."""
    with Server() as server:
        server.mode = "stall"
        begun = time.monotonic()
        with pytest.raises(CameraError, match="answers, and sends no picture"):
            HttpSource(server.url, open_s=0.2)
        assert time.monotonic() - begun < 3


def test_nobody_there_says_so() -> None:
    """A refused connection and a name that does not exist."""
    with pytest.raises(CameraError, match="refuses the connection"):
        HttpSource("http://127.0.0.1:9/")
    with pytest.raises(CameraError, match=r"no-such-host\.invalid.*cannot be found"):
        HttpSource("http://no-such-host.invalid/")


def test_a_password_is_not_shown() -> None:
    """Neither in the name nor in messages."""
    with Server() as server:
        source = HttpSource(server.url.replace("://", "://user:geheim@"))
        assert source.info.name == server.url
        assert "geheim" not in source.read(2).frame.name
        source.close()
    with pytest.raises(CameraError) as caught:
        HttpSource("http://user:geheim@127.0.0.1:9/")
    assert "geheim" not in str(caught.value)


def test_a_stream_over_rtsp_that_is_not_there() -> None:
    """An error with the reason, without the password."""
    with pytest.raises(CameraError, match=r"rtsp://127\.0\.0\.1:9/x refuses the connection"):
        open_source("rtsp://user:geheim@127.0.0.1:9/x")


def taken(parts: Parts) -> list[bytes]:
    """All whole bodies there are."""
    bodies = []
    while body := parts.take():
        bodies.append(body)
    return bodies


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(1, 700), max_size=40), st.sampled_from(["good", "no-length"]))
def test_it_does_not_matter_how_a_stream_is_cut_into_packets(cuts: list[int], mode: str) -> None:
    """The same bodies come out, one by one."""
    stream = b"junk before\r\n" + b"".join(part(mode, n) for n in range(3)) + b"--frame\r\n"
    parts, bodies = Parts(b"frame", 100_000), []
    for cut in [*cuts, len(stream)]:
        parts.feed(stream[:cut])
        stream = stream[cut:]
        bodies += taken(parts)
    assert bodies == [jpeg(0), jpeg(1), jpeg(2)]


@settings(max_examples=30, deadline=None)
@given(st.binary(max_size=2000))
def test_garbage_between_parts_costs_no_part(junk: bytes) -> None:
    """Whatever comes, a whole part after a clean boundary is found again."""
    parts = Parts(b"frame", 100_000)
    parts.feed(
        part("good", 0) + junk.replace(b"--frame", b"") + b"\r\n\r\n" + part("good", 1) + part("good", 2)
    )
    assert jpeg(2) in taken(parts)


def test_a_stream_without_end_or_boundary_is_refused() -> None:
    """A part that never ends does not fill the memory."""
    parts = Parts(b"frame", 10_000)
    parts.feed(b"--frame\r\n\r\n")
    parts.take()
    with pytest.raises(CameraError, match="no MJPEG stream"):
        for _ in range(100):
            parts.feed(bytes(1000))
            parts.take()


def test_bytes_without_a_boundary_are_forgotten() -> None:
    """Noise does not gather."""
    parts = Parts(b"frame", 10_000)
    for _ in range(100):
        parts.feed(bytes(5000))
        assert parts.take() is None


@pytest.mark.parametrize(
    "header", ["multipart/x-mixed-replace; boundary=frame", 'x; boundary="frame"', "x;BOUNDARY=--frame; y=1"]
)
def test_boundaries_are_written_in_many_ways(header: str) -> None:
    """Quoted or not, with the dashes or without."""
    assert boundary_of(header) == b"frame"


@pytest.mark.parametrize("data", [b"", b"\xff\xd8", jpeg(0)[:-100], b"x" + jpeg(0), b"\xff\xd8\xff\xd9"])
def test_a_damaged_picture_is_one_frame_lost(data: bytes, capfd: pytest.CaptureFixture[str]) -> None:
    """InputError, after which the next can be asked for; a grey lower half is never taken for a smear."""
    with pytest.raises(InputError):
        decode_jpeg(data)
    assert capfd.readouterr().err == ""


# Cameras on this machine.


@pytest.mark.skipif(not NO_CAMERA, reason="there is a camera here")
def test_a_missing_usb_camera_is_told_with_what_there_is() -> None:
    """The message names the device and the command that lists cameras."""
    with pytest.raises(CameraError, match=r"there is no /dev/video0\..*edgeleuk cameras"):
        open_source("usb")
    with pytest.raises(CameraError, match=r"no /dev/video7"):
        open_source("/dev/video7")


@pytest.mark.skipif(not NO_CAMERA, reason="there is a camera here")
def test_without_any_camera_the_default_source_says_what_else_there_is() -> None:
    """No camera, no guess."""
    with pytest.raises(CameraError, match="simulated"):
        default_source()


def test_what_a_camera_gives_instead_is_told() -> None:
    """Size, rate and format, one sentence each; nothing where it gives what was asked."""
    assert differences((1280, 720), (1280, 720), 30, 30, "MJPG") == ()
    notes = differences((640, 480), (1280, 720), 15, 30, "YUYV")
    assert notes[0] == "The camera gives 640 x 480 px; 1280 x 720 were asked for."
    assert "15 frames" in notes[1] and "YUYV" in notes[2]


def test_the_pi_camera_without_its_library_says_how_to_get_it() -> None:
    """apt, and a virtual environment that sees it."""
    if picamera.names():
        pytest.skip("there is a Pi camera here")
    with pytest.raises(EdgeleukError) as caught:
        open_source("picamera")
    if isinstance(caught.value, MissingExtraError):
        assert "apt install python3-picamera2" in str(caught.value)
        assert "--system-site-packages" in str(caught.value)


def test_the_pi_camera_is_asked_for_even_sizes() -> None:
    """What libcamera refuses is never asked."""
    assert picamera.stream((1281, 721))["main"] == {"size": (1280, 720), "format": "RGB888"}
    assert picamera.rate(25) == {"FrameDurationLimits": (40000, 40000)}
    assert picamera.rate(None) == {}
