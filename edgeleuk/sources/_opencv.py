"""What all sources that OpenCV reads have in common: opening without noise on stderr, and frames in RGB."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import cv2

from edgeleuk.errors import CameraError, InputError
from edgeleuk.sources import _jpeg
from edgeleuk.types import Image

MAX_FRAME_MEGAPIXELS = 50
"""Of a frame; what claims more is no camera's, and would take the memory of a small computer."""


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
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")  # AV_LOG_QUIET
    log = getattr(cv2.utils, "logging", cv2)  # where OpenCV 5 has it, and OpenCV 4
    log.setLogLevel(0)


def grab(video: Any) -> Image | None:
    """The next frame, (H, W, 3) RGB; None where there is none. May block for as long as the driver likes."""
    try:
        good, picture = video.read()
    except cv2.error as error:
        raise CameraError(f"the camera's driver failed: {error.err}.") from error
    if not good or picture is None or not picture.size:
        return None
    if picture.ndim == 2 or picture.shape[2] == 1:
        return to_rgb(cv2.cvtColor(picture, cv2.COLOR_GRAY2BGR))
    return to_rgb(picture)


def to_rgb(picture: Image) -> Image:
    """From OpenCV's order of colours."""
    image: Image = cv2.cvtColor(picture, cv2.COLOR_BGR2RGB)
    return image


def decode_jpeg(data: bytes) -> Image:
    """A JPEG of a stream, (H, W, 3) RGB. Raises InputError where it is damaged, cut short or larger than a camera's."""
    layout = _jpeg.read_layout(data) if data.startswith(b"\xff\xd8") else None
    if layout is None:
        raise InputError(f"{len(data)} bytes of the stream are no whole JPEG picture.")
    if layout.width * layout.height > MAX_FRAME_MEGAPIXELS * 1_000_000:
        raise InputError(
            f"a picture of the stream claims {layout.width} x {layout.height} px. "
            f"Set the camera to at most {MAX_FRAME_MEGAPIXELS} megapixels."
        )
    if layout.fault:
        raise InputError(f"a picture of the stream {layout.fault}")
    try:
        return _jpeg.decode(data, layout)
    except _jpeg.DamagedError as error:
        raise InputError(f"a picture of the stream {error}") from error
