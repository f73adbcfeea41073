"""Read a network camera over RTSP.

Its video is read through OpenCV and FFmpeg.
"""

from __future__ import annotations

import time

import cv2

from edgeleuk.errors import CameraError, InputError
from edgeleuk.sources._opencv import grab, open_video, require_size
from edgeleuk.sources.camera import SourceInfo
from edgeleuk.sources.network.wire import Wire, reason, split
from edgeleuk.system.addresses import shown_source
from edgeleuk.types import Frame, Image, TimedFrame

OPEN_S = 10.0
DEFAULT_PORTS = {"rtsp": 554, "rtsps": 322}
LIMITS = (
    cv2.CAP_PROP_OPEN_TIMEOUT_MSEC,
    int(OPEN_S * 1000),
    cv2.CAP_PROP_READ_TIMEOUT_MSEC,
    int(OPEN_S * 1000),
)


class RtspSource:
    """RTSP stream of a camera."""

    def __init__(self, url: str) -> None:
        """Open the stream.

        Raises:
            UsageError: If `url` is no address.
            CameraError: If the stream cannot be opened.
        """
        name = shown_source(url)
        _reach(url, name)
        video = open_video(url, cv2.CAP_FFMPEG, LIMITS)
        nothing = f"{name} is there, and gives no stream. Check the path of the address, the user name and the password."
        if video is None:
            raise CameraError(nothing)
        try:
            require_size(video, name)
            first = grab(video)
        except InputError as error:
            video.release()
            raise CameraError(str(error)) from error
        if first is None:
            video.release()
            raise CameraError(nothing)
        self._video, self._name = video, name
        self._first: Image | None = first
        fps = float(video.get(cv2.CAP_PROP_FPS))
        self._info = SourceInfo(
            name, first.shape[1], first.shape[0], fps if 0 < fps <= 1000 else None, live=True
        )
        self._number, self._opened = 0, time.monotonic()

    @property
    def info(self) -> SourceInfo:
        return self._info

    def read(self, timeout: float) -> TimedFrame:  # noqa: ARG002  # FFmpeg's was set at the opening
        """Return the next frame, see Source; never ends.

        It waits for OPEN_S at most.
        """
        image, self._first = self._first, None
        if image is None:
            image = grab(self._video)
        if image is None:
            raise CameraError(f"{self._name} gives no pictures any more.")
        seconds = time.monotonic() - self._opened
        timed = TimedFrame(Frame(image, f"{self._name}#{self._number}"), seconds, self._number)
        self._number += 1
        return timed

    def close(self) -> None:
        self._video.release()


def _reach(url: str, name: str) -> None:
    """Check that the camera can be reached.

    FFmpeg does not say why it cannot be.

    Raises:
        CameraError: If it cannot be reached.
    """
    parts = split(url)
    port = parts.port or DEFAULT_PORTS[parts.scheme]
    try:
        Wire(parts.hostname or "", port, tls=False, until=time.monotonic() + OPEN_S).close()
    except OSError as error:
        raise CameraError(f"{name} {reason(error)}") from error
