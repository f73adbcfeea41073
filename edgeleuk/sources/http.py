"""Read a network camera over HTTP.

It is a phone or an IP camera that gives MJPEG or single JPEG pictures.

The MJPEG reader is our own: OpenCV's gives no reason when a stream fails, and waits where it should not.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator

from edgeleuk.errors import CameraError, InputError, NoPictureYetError
from edgeleuk.sources._opencv import decode_jpeg
from edgeleuk.sources.camera import SourceInfo
from edgeleuk.sources.network.client import Client
from edgeleuk.sources.network.wire import ServerError, reason, split
from edgeleuk.system.addresses import shown_source
from edgeleuk.types import Frame, Image, TimedFrame

OPEN_S = 10.0
"""Time limit for connection and head, seconds."""
FIRST_TIMES = 3.0
"""Time limit for the first picture, times OPEN_S.

A slow camera sends one in ten seconds.
"""
FIRST_TRIES = 5
MOST_PER_S = 10.0
"""Maximum rate at which single pictures are requested."""


class HttpSource:
    """Address that gives JPEG pictures.

    They come as a stream, or one per request.
    """

    def __init__(self, url: str, open_s: float = OPEN_S) -> None:
        """Connect and read the first picture.

        Raises:
            UsageError: If `url` is no address.
            CameraError: If it does not answer within `open_s` seconds, or sends no picture within FIRST_TIMES
                as long.
        """
        self._client = Client(split(url))
        self._name = shown_source(url)
        self._asked = 0.0
        self._number, self._opened = 0, time.monotonic()
        first = self._first_image(open_s)
        self._first: Image | None = first
        self._info = SourceInfo(self._name, first.shape[1], first.shape[0], None, live=True)

    @property
    def info(self) -> SourceInfo:
        return self._info

    def read(self, timeout: float) -> TimedFrame:
        """Return the next frame, see Source; never ends.

        Raises:
            NoPictureYetError: If the connection stands; the next read then resumes.
        """
        image, self._first = self._first, None
        if image is None:
            image = decode_jpeg(self._jpeg(time.monotonic() + timeout))
        seconds = time.monotonic() - self._opened
        timed = TimedFrame(Frame(image, f"{self._name}#{self._number}"), seconds, self._number)
        self._number += 1
        return timed

    def close(self) -> None:
        self._client.close()

    def _first_image(self, open_s: float) -> Image:
        """Return the first picture that can be decoded.

        Streams may begin in the middle of a picture.
        """
        begun, last = time.monotonic(), ""
        try:
            with self._in_words():
                self._client.answered(begun + open_s)
            for _ in range(FIRST_TRIES):
                try:
                    return decode_jpeg(self._jpeg(begun + FIRST_TIMES * open_s))
                except InputError as error:
                    last = str(error)
            raise CameraError(f"{self._name} sends no picture that can be read. The last one: {last}")
        except BaseException:
            self.close()
            raise

    def _jpeg(self, until: float) -> bytes:
        """Return the newest picture, still encoded."""
        with self._in_words():
            while True:
                if not self._client.asking:
                    time.sleep(max(0.0, self._asked + 1 / MOST_PER_S - time.monotonic()))
                    self._asked = time.monotonic()
                if data := self._client.picture(until):
                    return data

    @contextlib.contextmanager
    def _in_words(self) -> Iterator[None]:
        """Translate network and server errors to CameraError.

        The connection is closed, except where it is only slow.
        """
        try:
            yield
        except TimeoutError as error:
            if self._client.asking:
                raise NoPictureYetError(f"{self._name} {self._client.progress}") from error
            self.close()
            raise CameraError(f"{self._name} {reason(error)}") from error
        except (ServerError, OSError) as error:
            self.close()
            raise CameraError(f"{self._name} {reason(error)}") from error
        except CameraError as error:
            self.close()
            raise CameraError(f"{self._name}: {error}") from error
