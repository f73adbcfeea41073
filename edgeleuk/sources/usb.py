"""Read a USB camera through OpenCV and Video4Linux2."""

from __future__ import annotations

import errno
import os
import time

import cv2

from edgeleuk.errors import CameraError, InputError, UsageError
from edgeleuk.sources._opencv import grab, open_video, require_size
from edgeleuk.sources._v4l2 import PERMISSION, devices
from edgeleuk.sources.camera import SourceInfo
from edgeleuk.system.wording import command
from edgeleuk.types import Frame, Image, TimedFrame

DEFAULT_SIZE = (1280, 720)
"""Default frame size, pixels.

Nearly every USB camera gives it as MJPG at full rate.
"""
FIRST_TRIES = 5
"""Number of frames that may fail after opening.

Cameras start with incomplete ones.
"""


class UsbSource:
    """Frames of /dev/videoN.

    `read` blocks for as long as the driver does: use it through `Capture`.
    """

    def __init__(
        self, number: int = 0, width: int | None = None, height: int | None = None, fps: float | None = None
    ) -> None:
        """Open the camera.

        Args:
            number: Number N of /dev/videoN.
            width: Requested frame width, pixels.
            height: Requested frame height, pixels.
            fps: Requested frames per second.

        Raises:
            CameraError: If there is no such camera, it may not be used, or it gives no pictures.
        """
        node = f"/dev/video{number}"
        _check(node)
        video = open_video(number, cv2.CAP_V4L2)
        if video is None:
            raise CameraError(f"{node} is there, but cannot be used as a camera. {_others(number)}")
        self._video, self._name = video, f"usb:{number}"
        asked = (width or DEFAULT_SIZE[0], height or DEFAULT_SIZE[1])
        # MJPG before the size: uncompressed, USB 2 has no room for large pictures and the driver refuses their size.
        video.set(cv2.CAP_PROP_FOURCC, cv2.VideoWriter.fourcc(*"MJPG"))
        video.set(cv2.CAP_PROP_FRAME_WIDTH, asked[0])
        video.set(cv2.CAP_PROP_FRAME_HEIGHT, asked[1])
        if fps:
            video.set(cv2.CAP_PROP_FPS, fps)
        # Of several buffered frames the oldest would come first.
        video.set(cv2.CAP_PROP_BUFFERSIZE, 1)
        try:
            require_size(video, node)
            first = next((image for _ in range(FIRST_TRIES) if (image := grab(video)) is not None), None)
        except InputError as error:
            video.release()
            raise CameraError(str(error)) from error
        if first is None:
            video.release()
            raise CameraError(
                f"{node} was opened but gives no pictures. Another program may be using it; close that, or plug it in again."
            )
        self._first: Image | None = first
        self._opened, self._number = time.monotonic(), 0
        self._info = self._what_it_gives(first, asked, fps)

    @property
    def info(self) -> SourceInfo:
        return self._info

    def read(self, timeout: float) -> TimedFrame:  # noqa: ARG002  # V4L2 in OpenCV has no timeout: the watchdog does it
        """Return the next frame, see Source; never ends."""
        image, self._first = self._first, None
        if image is None:
            image = grab(self._video)
        if image is None:
            raise CameraError(f"{self._name} gives no pictures any more. Was it pulled out?")
        timed = TimedFrame(
            Frame(image, f"{self._name}-{self._number}"), time.monotonic() - self._opened, self._number
        )
        self._number += 1
        return timed

    def close(self) -> None:
        self._video.release()

    def _what_it_gives(self, first: Image, asked: tuple[int, int], fps: float | None) -> SourceInfo:
        height, width = first.shape[:2]
        given_fps = float(self._video.get(cv2.CAP_PROP_FPS)) or None
        code = int(self._video.get(cv2.CAP_PROP_FOURCC)) & 0xFFFFFFFF
        fourcc = code.to_bytes(4, "little").decode("ascii", "replace")
        return SourceInfo(
            self._name, width, height, given_fps, live=True, notes=differences((width, height), asked, given_fps, fps, fourcc)
        )  # fmt: skip


def differences(
    size: tuple[int, int], asked: tuple[int, int], fps: float | None, asked_fps: float | None, fourcc: str
) -> tuple[str, ...]:
    """Describe how a camera differs from the request.

    Args:
        size: Width and height given, pixels.
        asked: Width and height requested, pixels.
        fps: Frames per second given; None if unknown.
        asked_fps: Frames per second requested; None if any.
        fourcc: Pixel format given.

    Returns:
        One sentence per difference.
    """
    notes = []
    if size != asked:
        notes.append(f"The camera gives {size[0]} x {size[1]} px; {asked[0]} x {asked[1]} were asked for.")
    if asked_fps and fps and abs(fps - asked_fps) > 0.5:
        notes.append(f"The camera gives {fps:g} frames a second; {asked_fps:g} were asked for.")
    if fourcc.strip("\0 ") and fourcc not in ("MJPG", "JPEG"):
        notes.append(f"The camera gives {fourcc.strip()} rather than MJPG; large pictures then come slowly.")
    return tuple(notes)


def parse(argument: str) -> int:
    """Return the number in `usb:1`, `/dev/video1` or `1`.

    It is 0 where there is none.

    Raises:
        UsageError: If it is no number.
    """
    digits = argument.removeprefix("/dev/video")
    if digits and not digits.isdecimal():
        raise UsageError(f"usb:{argument} is no camera. Use usb:0, usb:1, ... or /dev/video0.")
    return int(digits or 0)


def _check(node: str) -> None:
    """Check that a device can be opened.

    OpenCV says only that something is wrong, not what.

    Raises:
        CameraError: If it cannot be opened.
    """
    try:
        os.close(os.open(node, os.O_RDWR | os.O_NONBLOCK))
    except PermissionError as error:
        raise CameraError(PERMISSION.format(node)) from error
    except FileNotFoundError as error:
        raise CameraError(f"there is no {node}. {_others(-1)}") from error
    except OSError as error:
        busy = " Another program uses it; close that." if error.errno == errno.EBUSY else ""
        raise CameraError(f"{node} cannot be opened: {error.strerror}.{busy}") from error


def _others(number: int) -> str:
    found = [
        f"usb:{d.number} ({d.name})" for d in devices() if d.captures and not d.of_pi and d.number != number
    ]
    if found:
        return f"Cameras here: {', '.join(found)}."
    return f"There is no other camera here: check the cable, and see `{command('cameras')}`."
