"""List the cameras that the Linux kernel knows.

It needs no library and starts no camera. Structures and numbers are those of linux/videodev2.h (Video4Linux2,
part of the kernel's stable user interface).
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

QUERYCAP, ENUM_FMT, ENUM_FRAMESIZES = 0x80685600, 0xC0405602, 0xC02C564A
CAPABILITY = struct.Struct("16s32s32sIII12x")
"""Fields of v4l2_capability.

driver, card, bus_info, version, capabilities, device_caps, reserved
"""
FORMAT = struct.Struct("III32sII12x")
"""Fields of v4l2_fmtdesc.

index, type, flags, description, pixelformat, mbus_code, reserved
"""
FRAME_SIZE = struct.Struct("III6I8x")
"""Fields of v4l2_frmsizeenum.

index, pixel_format, type, then width and height or their minimum, maximum and step, reserved
"""
VIDEO_CAPTURE, MEMORY_TO_MEMORY, HAS_DEVICE_CAPS = 0x1, 0xC000, 0x80000000
DISCRETE = 1
MOST = 64
"""Maximum formats and sizes that are queried.

A driver that never says "no more" ends here.
"""

PI_DRIVERS = (
    "unicam",
    "rp1-cfe",
    "pispbe",
    "bcm2835-isp",
    "bcm2835-codec",
    "bm2835 mmal",
    "rpi-hevc-dec",
    "rpivid",
)
"""Drivers of a Raspberry Pi's own camera and codecs.

Its frames come through picamera2.
"""


@dataclass(frozen=True, slots=True)
class Mode:
    """Pixel format and size that a camera offers."""

    fourcc: str
    """Pixel format, as MJPG or YUYV."""
    width: int
    height: int


@dataclass(frozen=True, slots=True)
class Device:
    """Video device /dev/videoN."""

    number: int
    name: str
    captures: bool
    """Whether it gives pictures.

    A USB camera has a second node that does not.
    """
    driver: str = ""
    modes: tuple[Mode, ...] = ()
    problem: str = ""
    """Why the kernel gave no answer, one sentence."""

    @property
    def path(self) -> str:
        return f"/dev/video{self.number}"

    @property
    def of_pi(self) -> bool:
        """Whether it belongs to the Raspberry Pi's own camera.

        picamera2 reads that camera.
        """
        return self.driver.startswith(PI_DRIVERS)


def devices(system: Path = Path("/sys/class/video4linux"), nodes: Path = Path("/dev")) -> tuple[Device, ...]:
    """Return this machine's video devices, by number."""
    numbers = {
        int(match[1])
        for folder in (system, nodes)
        if folder.is_dir()
        for entry in folder.iterdir()
        if (match := re.fullmatch(r"video(\d+)", entry.name))
    }
    return tuple(_device(number, system, nodes / f"video{number}") for number in sorted(numbers))


def _device(number: int, system: Path, node: Path) -> Device:
    try:
        name = (system / f"video{number}" / "name").read_text(errors="replace").strip()
    except OSError:
        name = "unnamed"
    try:
        handle = os.open(node, os.O_RDWR | os.O_NONBLOCK)
    except PermissionError:
        return Device(number, name, False, problem=PERMISSION.format(node))
    except OSError as error:
        return Device(number, name, False, problem=f"{node} cannot be opened: {error.strerror}.")
    try:
        driver, card, captures = _capabilities(handle)
        modes = tuple(_modes(handle)) if captures else ()
        return Device(number, card or name, captures, driver, modes)
    except OSError as error:
        return Device(number, name, False, problem=f"{node} is no camera: {error.strerror}.")
    finally:
        os.close(handle)


PERMISSION = "{} may not be opened by you. Add yourself to the group video (`sudo usermod -aG video $USER`) and log in again."


def _capabilities(handle: int) -> tuple[str, str, bool]:
    """Return driver, name, and whether the node gives pictures."""
    answer = bytearray(CAPABILITY.size)
    fcntl.ioctl(handle, QUERYCAP, answer)
    driver, card, _, _, of_all_nodes, of_node = CAPABILITY.unpack(answer)
    able = of_node if of_all_nodes & HAS_DEVICE_CAPS else of_all_nodes
    return _text(driver), _text(card), bool(able & VIDEO_CAPTURE) and not able & MEMORY_TO_MEMORY


def _modes(handle: int) -> Iterator[Mode]:
    for pixel_format in _formats(handle):
        fourcc = pixel_format.to_bytes(4, "little").decode("ascii", "replace").strip()
        for index in range(MOST):
            answer = bytearray(FRAME_SIZE.pack(index, pixel_format, 0, *[0] * 6))
            try:
                fcntl.ioctl(handle, ENUM_FRAMESIZES, answer)
            except OSError:  # there are no more
                break
            kind, width, height_or_most, _, _, most_height, _ = FRAME_SIZE.unpack(answer)[2:]
            if kind != DISCRETE:  # any size in a range: take the largest
                yield Mode(fourcc, height_or_most, most_height)
                break
            yield Mode(fourcc, width, height_or_most)


def _formats(handle: int) -> Iterator[int]:
    with contextlib.suppress(OSError):  # there are no more
        for index in range(MOST):
            answer = bytearray(FORMAT.pack(index, VIDEO_CAPTURE, 0, b"", 0, 0))
            fcntl.ioctl(handle, ENUM_FMT, answer)
            yield FORMAT.unpack(answer)[4]


def _text(field: bytes) -> str:
    return field.split(b"\0", 1)[0].decode("utf-8", "replace")
