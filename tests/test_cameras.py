"""`edgeleuk cameras`: what is listed, and how it is said."""

from __future__ import annotations

import json
import struct
import subprocess
import sys
from pathlib import Path

import pytest

from edgeleuk.cli.cameras import document, text
from edgeleuk.sources import _v4l2
from edgeleuk.sources._v4l2 import Device, Mode, devices

WEBCAM = Device(
    0,
    "Microscope Camera",
    True,
    "uvcvideo",
    tuple(Mode("MJPG", w, h) for w, h in ((640, 480), (1280, 720), (1920, 1080), (320, 240), (800, 600))),
)
META = Device(1, "Microscope Camera", False, "uvcvideo")
CODEC = Device(10, "bcm2835-codec", True, "bcm2835-codec")
FORBIDDEN = Device(2, "Other", False, problem="may not be opened by you.")


def test_a_camera_is_listed_with_its_modes_and_how_to_use_it() -> None:
    """The largest modes first; the second node of the same camera is left out."""
    said = text([WEBCAM, META], [], False)
    assert "Microscope Camera (/dev/video0)" in said
    assert "MJPG: 1920 x 1080, 1280 x 720, 800 x 600, 640 x 480\n" in said
    assert "edgeleuk live --source usb:0" in said
    assert "video1" not in said


def test_parts_of_a_pi_are_no_usb_cameras() -> None:
    """They come through picamera2, and without it the remedy is named."""
    said = text([CODEC], [], False)
    assert "usb:10" not in said
    assert "apt install python3-picamera2" in said
    assert "--source picamera:0" in text([CODEC], ["imx477"], True)


def test_a_camera_that_may_not_be_used_is_told() -> None:
    """With the reason, in both forms."""
    assert "Other (/dev/video2) cannot be used: may not be opened by you." in text([FORBIDDEN], [], False)
    assert document([FORBIDDEN], [], False)["unusable"][0]["device"] == "/dev/video2"


def test_json_names_the_source_of_each_camera() -> None:
    """What `live --source` takes."""
    cameras = document([WEBCAM, META, CODEC], ["imx477"], True)["cameras"]
    assert [camera["source"] for camera in cameras] == ["picamera:0", "usb:0"]
    assert cameras[1]["modes"][1] == {"fourcc": "MJPG", "width": 1280, "height": 720}


def test_the_kernels_structures_have_the_kernels_sizes() -> None:
    """An ioctl's number holds the size of its structure, bits 16 to 29 (asm-generic/ioctl.h)."""
    sizes = {
        _v4l2.QUERYCAP: _v4l2.CAPABILITY,
        _v4l2.ENUM_FMT: _v4l2.FORMAT,
        _v4l2.ENUM_FRAMESIZES: _v4l2.FRAME_SIZE,
    }
    assert all(number >> 16 & 0x3FFF == layout.size for number, layout in sizes.items())
    assert struct.calcsize("I") == 4


def test_devices_are_read_from_the_system_in_order_of_number(tmp_path: Path) -> None:
    """A node that is no camera is told with the reason; its name comes from the system."""
    nodes = tmp_path / "dev"
    nodes.mkdir()
    for number, name in ((10, "ten"), (2, "two")):
        (tmp_path / "class" / f"video{number}").mkdir(parents=True)
        (tmp_path / "class" / f"video{number}" / "name").write_text(f"{name}\n")
        (nodes / f"video{number}").write_bytes(b"")
    found = devices(tmp_path / "class", nodes)
    assert [(device.number, device.name, device.captures) for device in found] == [
        (2, "two", False),
        (10, "ten", False),
    ]
    assert "is no camera" in found[0].problem


@pytest.mark.skipif(bool(devices()), reason="there is a camera here")
def test_without_a_camera_the_command_says_so_and_succeeds() -> None:
    """Exit 0, on stdout, and nothing on stderr."""
    command = [sys.executable, "-m", "edgeleuk", "cameras"]
    plain = subprocess.run(command, capture_output=True, text=True, check=True)
    assert plain.stdout.startswith("No camera was found.")
    assert "simulated" in plain.stdout and "watch:DIR" in plain.stdout
    assert plain.stderr == ""
    done = subprocess.run([*command, "--json"], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout)["cameras"] == []
