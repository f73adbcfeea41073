"""What all sources that OpenCV reads have in common: opening without noise on stderr, and frames in RGB."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np

from edgeleuk.errors import CameraError, InputError
from edgeleuk.types import Image

JPEG_END = b"\xff\xd9"
MAX_SIDE = 20000
"""Pixels; what claims more is no camera's picture."""


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
    """A JPEG of a stream, (H, W, 3) RGB. Raises InputError where it is damaged or cut short."""
    end = data.rfind(JPEG_END)
    if not data.startswith(b"\xff\xd8") or end < 0:
        raise InputError(f"{len(data)} bytes of the stream are no whole JPEG picture.")
    try:
        picture = cv2.imdecode(np.frombuffer(data[: end + 2], np.uint8), cv2.IMREAD_COLOR)
    except cv2.error as error:
        raise InputError(f"a picture of the stream is damaged: {error.err}.") from error
    if picture is None or max(picture.shape) > MAX_SIDE:
        raise InputError("a picture of the stream is damaged.")
    return to_rgb(picture)
