"""What all sources that OpenCV reads have in common: opening without noise on stderr, and frames in RGB."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import cv2

from edgeleuk.errors import CameraError, InputError
from edgeleuk.sources import _jpeg
from edgeleuk.types import Image

MOST_MEGAPIXELS = 50
"""Of a frame: more than any camera of a microscope or a phone gives as a film, and what fits a small computer twice."""


def fault_of_size(width: float, height: float) -> str:
    """What is wrong with frames of a size in pixels, as the rest of a sentence; empty for nothing."""
    if width * height <= MOST_MEGAPIXELS * 1e6:
        return ""
    return f"has {width:.0f} x {height:.0f} px, more than {MOST_MEGAPIXELS} megapixels. Set a smaller size."


def require_size(video: Any, name: str) -> None:
    """Raises InputError where an opened video announces frames that are too large; none is decoded for it."""
    size = (video.get(cv2.CAP_PROP_FRAME_WIDTH), video.get(cv2.CAP_PROP_FRAME_HEIGHT))
    if fault := fault_of_size(*size):
        video.release()
        raise InputError(f"a frame of {name} {fault}")


def open_video(target: str | int, backend: int, settings: Sequence[int] = ()) -> Any | None:
    """An opened cv2.VideoCapture, or None. `settings` are pairs of a property and its value, set at the opening."""
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
    """OpenCV and FFmpeg write to stderr what here is raised as an error or shown as the camera's state.

    For the whole process: a terminal view shares its screen with stderr, and a camera fails at any time.
    """
    os.environ["OPENCV_FFMPEG_LOGLEVEL"] = "-8"  # AV_LOG_QUIET; read once, before the first video is opened
    log = getattr(cv2.utils, "logging", cv2)  # where OpenCV 5 has it, and OpenCV 4
    log.setLogLevel(0)


def grab(video: Any) -> Image | None:
    """The next frame, (H, W, 3) RGB; None where there is none. May block for as long as the driver likes.

    Raises InputError for one that is too large, CameraError where the driver fails.
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
    )  # in its place: large frames are large twice
    return image


def to_rgb(picture: Image) -> Image:
    """From OpenCV's order of colours."""
    image: Image = cv2.cvtColor(picture, cv2.COLOR_BGR2RGB)
    return image


def decode_jpeg(data: bytes) -> Image:
    """A JPEG of a stream, (H, W, 3) RGB. Raises InputError where it is damaged, cut short or larger than a camera's."""
    layout = _jpeg.read_layout(data) if data.startswith(b"\xff\xd8") else None
    if layout is None:
        raise InputError(f"{len(data)} bytes of the stream are no whole JPEG picture.")
    if fault := fault_of_size(layout.width, layout.height):
        raise InputError(f"a picture of the stream {fault}")
    if layout.fault:
        raise InputError(f"a picture of the stream {layout.fault}")
    try:
        return _jpeg.decode(data, layout)
    except _jpeg.DamagedError as error:
        raise InputError(f"a picture of the stream {error}") from error
