"""Helpers of all sources that OpenCV reads.

They open videos without messages on stderr, and give frames in RGB.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import cv2

from edgeleuk.errors import CameraError, InputError
from edgeleuk.sources.pictures import jpeg
from edgeleuk.sources.pictures.faults import DamagedError
from edgeleuk.types import Image

MOST_MEGAPIXELS = 50
"""Maximum size of a frame.

It is more than the video of any microscope camera or phone has, and two such frames fit a small computer.
"""


def fault_of_size(width: float, height: float) -> str:
    """Describe a fault of a frame size, pixels.

    The text is the rest of a sentence; empty for nothing.
    """
    if width * height <= MOST_MEGAPIXELS * 1e6:
        return ""
    return f"has {width:.0f} x {height:.0f} px, more than {MOST_MEGAPIXELS} megapixels. Set a smaller size."


def require_size(video: Any, name: str) -> None:
    """Check an opened video's frame size.

    No frame is decoded for it.

    Raises:
        InputError: If the frames are too large.
    """
    size = (video.get(cv2.CAP_PROP_FRAME_WIDTH), video.get(cv2.CAP_PROP_FRAME_HEIGHT))
    if fault := fault_of_size(*size):
        video.release()
        raise InputError(f"a frame of {name} {fault}")


def open_video(target: str | int, backend: int, settings: Sequence[int] = ()) -> Any | None:
    """Open a video.

    Args:
        target: Device number, path or address.
        backend: OpenCV's backend, cv2.CAP_....
        settings: Pairs of a property and its value, set at opening.

    Returns:
        The opened cv2.VideoCapture, or None.
    """
    hush()
    try:
        video = cv2.VideoCapture(target, backend, list(settings))
    except cv2.error:
        return None
    if video.isOpened():
        return video
    video.release()
    return None


def hush() -> None:
    """Silence OpenCV and FFmpeg on stderr.

    What they write there is raised here as an error or shown as the camera's state. It holds for the whole
    process: a terminal view shares its screen with stderr, and a camera fails at any time.
    """
    os.environ["OPENCV_FFMPEG_LOGLEVEL"] = "-8"  # AV_LOG_QUIET; read once, before the first video is opened
    log = getattr(cv2.utils, "logging", cv2)  # its place in OpenCV 5, and in OpenCV 4
    log.setLogLevel(0)


def grab(video: Any) -> Image | None:
    """Return the next frame, (H, W, 3) RGB, or None.

    May block for as long as the driver does.

    Raises:
        InputError: If the frame is too large.
        CameraError: If the driver fails.
    """
    try:
        good, picture = video.read()
    except cv2.error as error:
        raise CameraError(f"the camera's driver failed: {error.err}.") from error
    if not good or picture is None or not picture.size:
        return None
    if fault := fault_of_size(picture.shape[1], picture.shape[0]):
        raise InputError(f"a frame {fault}")
    if picture.ndim == 2 or picture.shape[2] == 1:
        return to_rgb(cv2.cvtColor(picture, cv2.COLOR_GRAY2BGR))
    image: Image = cv2.cvtColor(
        picture, cv2.COLOR_BGR2RGB, picture
    )  # in place, as two copies of a large frame need too much memory
    return image


def to_rgb(picture: Image) -> Image:
    """Convert an image from BGR to RGB."""
    image: Image = cv2.cvtColor(picture, cv2.COLOR_BGR2RGB)
    return image


def decode_jpeg(data: bytes) -> Image:
    """Decode a stream's JPEG to RGB (H, W, 3).

    Raises:
        InputError: If it is damaged, cut short or larger than a camera's frame.
    """
    layout = jpeg.read_layout(data) if data.startswith(b"\xff\xd8") else None
    if layout is None:
        raise InputError(f"{len(data)} bytes of the stream are no whole JPEG picture.")
    if fault := fault_of_size(layout.width, layout.height):
        raise InputError(f"a picture of the stream {fault}")
    if layout.fault:
        raise InputError(f"a picture of the stream {layout.fault}")
    try:
        return jpeg.decode(data, layout)
    except DamagedError as error:
        raise InputError(f"a picture of the stream {error}") from error
