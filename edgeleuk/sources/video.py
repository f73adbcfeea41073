"""Read each frame of a video file once."""

from __future__ import annotations

from pathlib import Path

import cv2

from edgeleuk.errors import InputError
from edgeleuk.sources._opencv import grab, open_video, require_size
from edgeleuk.sources.camera import SourceInfo
from edgeleuk.types import Frame, Image, TimedFrame

FPS_UNKNOWN = 25.0
"""Assumed frames per second where unknown."""
BAD_FRAMES = 10
"""Consecutive undecodable frames that end a video."""


class VideoSource:
    """Frames of a video file.

    The source ends with the video; a file that was cut off ends where it was cut.
    """

    def __init__(self, path: Path) -> None:
        """Open the file and read its first frame.

        Raises:
            InputError: If the file is absent, is no video, or holds no complete frame.
        """
        if not path.is_file():
            raise InputError(f"{path} does not exist. Check the path.")
        video = open_video(str(path), cv2.CAP_FFMPEG)
        if video is not None:
            require_size(video, str(path))
        first = grab(video) if video is not None else None
        if video is None or first is None:
            if video is not None:
                video.release()
            raise InputError(
                f"{path} is no video that can be read, or holds no whole frame. MP4 with H.264 and AVI with MJPG can."
            )
        self._video, self._path = video, path
        fps = float(video.get(cv2.CAP_PROP_FPS))
        self._fps = fps if 0.1 <= fps <= 1000 else None
        self._info = SourceInfo(str(path), first.shape[1], first.shape[0], self._fps, live=False)
        self._first: Image | None = first
        self._number, self._seconds = 0, 0.0

    @property
    def info(self) -> SourceInfo:
        return self._info

    def read(self, timeout: float) -> TimedFrame | None:  # noqa: ARG002  # a file answers
        """Return the next frame, see Source.

        Its time is the video's own, or else follows from the frame rate.
        """
        image, self._first = self._first, None
        for _ in range(BAD_FRAMES):
            if image is not None:
                break
            image = grab(self._video)
        if image is None:
            return None
        by_rate = self._number / (self._fps or FPS_UNKNOWN)
        told = float(self._video.get(cv2.CAP_PROP_POS_MSEC)) / 1000
        # Files without timestamps give 0, or a negative number, for every frame.
        self._seconds = max(self._seconds, told if told > 0 else by_rate)
        timed = TimedFrame(Frame(image, f"{self._path}#{self._number}"), self._seconds, self._number)
        self._number += 1
        return timed

    def close(self) -> None:
        self._video.release()
