"""A camera on the network: a phone or an IP camera that gives MJPEG or single JPEG pictures over HTTP, or RTSP.

The reader of MJPEG is our own: OpenCV's gives no reason when a stream fails, and waits where it should not.
"""

from __future__ import annotations

import base64
import contextlib
import http.client
import select
import socket
import ssl
import time
from urllib.parse import SplitResult, unquote, urlsplit

import cv2

from edgeleuk.errors import CameraError, InputError, UsageError
from edgeleuk.sources._multipart import Parts, boundary_of
from edgeleuk.sources._opencv import decode_jpeg, grab, open_video
from edgeleuk.sources.camera import SourceInfo
from edgeleuk.types import Frame, Image, Shot

OPEN_S = 10.0
FIRST_TRIES = 5
CHUNK = 1 << 16
MAX_PICTURE_BYTES = 32_000_000
"""A 50-megapixel JPEG of a phone passes; an endless body does not."""
MOST_SKIPPED = 8
"""Newer pictures that may be waiting when one is asked for; beyond them the stream comes faster than it can be read."""
MOST_PER_S = 10.0
"""Single pictures are asked for no faster."""
DEFAULT_PORTS = {"http": 80, "https": 443}


class HttpSource:
    """An address that gives a stream of JPEG pictures (multipart/x-mixed-replace), or one at each request."""

    def __init__(self, url: str, open_s: float = OPEN_S) -> None:
        """Raises UsageError for what is no address, and CameraError where it gives no picture within `open_s` seconds."""
        self._url = _split(url)
        self._name = without_credentials(self._url)
        self._link: _Link | None = None
        self._asked = 0.0
        self._number, self._opened = 0, time.monotonic()
        first = self._first_image(time.monotonic() + open_s)
        self._first: Image | None = first
        self._info = SourceInfo(self._name, first.shape[1], first.shape[0], None, live=True)

    @property
    def info(self) -> SourceInfo:
        return self._info

    def read(self, timeout: float) -> Shot:
        """See Source; never ends."""
        image, self._first = self._first, None
        if image is None:
            image = decode_jpeg(self._jpeg(timeout))
        seconds = time.monotonic() - self._opened
        shot = Shot(Frame(image, f"{self._name}#{self._number}"), seconds, self._number)
        self._number += 1
        return shot

    def close(self) -> None:
        if self._link:
            self._link.close()
            self._link = None

    def _first_image(self, until: float) -> Image:
        """Streams may begin in the middle of a picture."""
        try:
            for _ in range(FIRST_TRIES):
                with contextlib.suppress(InputError):
                    return decode_jpeg(self._jpeg(until - time.monotonic()))
        except BaseException:
            self.close()
            raise
        self.close()
        raise CameraError(f"{self._name} sends no pictures that can be read. Set the camera to MJPEG.")

    def _jpeg(self, timeout: float) -> bytes:
        """The newest picture, still encoded."""
        until = time.monotonic() + timeout
        try:
            if self._link is None:
                self._asked = time.monotonic()
                self._link = _Link(self._url, max(timeout, 0.01))
            if self._link.parts:
                return self._link.newest_part(self._link.parts, until)
            data = self._link.body(until)
        except (OSError, http.client.HTTPException) as error:
            self.close()
            raise CameraError(f"{self._name} {_reason(error)}") from error
        self.close()  # a single picture: the next read asks again
        time.sleep(max(0.0, self._asked + 1 / MOST_PER_S - time.monotonic()))
        return data


class _Link:
    """One request and its answer. Every wait has an end: that of a socket, and that of a whole picture."""

    def __init__(self, url: SplitResult, timeout: float) -> None:
        kind = http.client.HTTPSConnection if url.scheme == "https" else http.client.HTTPConnection
        assert url.hostname is not None
        self._connection = kind(url.hostname, url.port, timeout=timeout)
        try:
            self._connection.connect()
            # http.client forgets the socket once the answer has no known length; its timeout is needed later.
            self._socket: socket.socket = self._connection.sock
            target = (url.path or "/") + (f"?{url.query}" if url.query else "")
            self._connection.request("GET", target, headers=_headers(url))
            self._answer = self._connection.getresponse()
            self.parts = self._checked(without_credentials(url))
        except BaseException:
            self._connection.close()
            raise

    def _checked(self, name: str) -> Parts | None:
        """A reader of parts for a stream, None for a single picture. Raises CameraError for anything else."""
        status, kind = self._answer.status, self._answer.headers.get_content_type()
        if status in (301, 302, 303, 307, 308):
            raise CameraError(
                f"{name} has moved. Use {self._answer.headers.get('Location', 'its new address')}."
            )
        if status in (401, 403):
            raise CameraError(f"{name} wants a password. Use http://user:password@host/...")
        if status != 200:
            raise CameraError(f"{name} answers {status} {self._answer.reason}. Check the address.")
        if kind.startswith("multipart/"):
            return Parts(boundary_of(self._answer.headers.get("Content-Type", "")), MAX_PICTURE_BYTES)
        if kind in ("image/jpeg", "image/jpg", "application/octet-stream"):
            return None
        raise CameraError(
            f"{name} gives {kind}, not pictures. Use the address of the stream itself, such as http://phone:8080/video."
        )

    def newest_part(self, parts: Parts, until: float) -> bytes:
        """The last whole picture that has arrived; waits for one where none has. OSError where the stream fails."""
        picture = parts.take()
        while picture is None:
            parts.feed(self._some(until))
            picture = parts.take()
        for _ in range(MOST_SKIPPED):
            newer = parts.take()
            if newer is None:
                if not select.select([self._socket], [], [], 0)[0]:
                    break
                parts.feed(self._some(until))
            picture = newer or picture
        return picture

    def body(self, until: float) -> bytes:
        """The whole answer."""
        data = bytearray()
        while chunk := self._answer.read1(CHUNK):
            data += chunk
            if len(data) > MAX_PICTURE_BYTES:
                raise OSError("sends a picture without end")
            self._wait(until)
        return bytes(data)

    def close(self) -> None:
        self._answer.close()
        self._connection.close()
        self._socket.close()

    def _some(self, until: float) -> bytes:
        self._wait(until)
        chunk = self._answer.read1(CHUNK)
        if not chunk:
            raise ConnectionResetError
        return chunk

    def _wait(self, until: float) -> None:
        left = until - time.monotonic()
        if left <= 0:
            raise TimeoutError
        self._socket.settimeout(left)


class RtspSource:
    """An RTSP stream, through OpenCV and FFmpeg."""

    def __init__(self, url: str) -> None:
        """Raises CameraError where the stream cannot be opened."""
        name = without_credentials(_split(url))
        limits = (
            cv2.CAP_PROP_OPEN_TIMEOUT_MSEC,
            int(OPEN_S * 1000),
            cv2.CAP_PROP_READ_TIMEOUT_MSEC,
            int(OPEN_S * 1000),
        )
        video = open_video(url, cv2.CAP_FFMPEG, limits)
        first = grab(video) if video is not None else None
        if video is None or first is None:
            if video is not None:
                video.release()
            raise CameraError(f"{name} gives no stream. Check the address, the network and the password.")
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

    def read(self, timeout: float) -> Shot:  # noqa: ARG002  # FFmpeg's was set at the opening
        """See Source; never ends. Waits for OPEN_S at most."""
        image, self._first = self._first, None
        if image is None:
            image = grab(self._video)
        if image is None:
            raise CameraError(f"{self._name} gives no pictures any more.")
        seconds = time.monotonic() - self._opened
        shot = Shot(Frame(image, f"{self._name}#{self._number}"), seconds, self._number)
        self._number += 1
        return shot

    def close(self) -> None:
        self._video.release()


def without_credentials(url: SplitResult) -> str:
    """For messages and file names: a password is not shown."""
    return url._replace(netloc=url.netloc.rpartition("@")[2]).geturl()


def _split(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        complete = bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        complete = False
    if not complete:
        raise UsageError(f"{url} is no address. Write it as http://host:port/path.")
    return parts


def _headers(url: SplitResult) -> dict[str, str]:
    headers = {"User-Agent": "edgeleuk", "Accept": "multipart/x-mixed-replace, image/jpeg"}
    if url.username is not None:
        pair = f"{unquote(url.username)}:{unquote(url.password or '')}".encode()
        headers["Authorization"] = f"Basic {base64.b64encode(pair).decode()}"
    return headers


def _reason(error: Exception) -> str:
    """What went wrong on the network, as the rest of a sentence."""
    if isinstance(error, TimeoutError):
        return "does not answer in time."
    if isinstance(error, ConnectionRefusedError):
        return "refuses the connection. Is the camera's program running?"
    if isinstance(error, socket.gaierror):
        return "cannot be found on the network. Check the name and the connection."
    if isinstance(error, ssl.SSLError):
        return f"has no certificate to trust ({error.reason}). Use http:// on a network of your own."
    if isinstance(error, ConnectionError):
        return "has closed the connection."
    return f"fails: {error or type(error).__name__}."
