"""The pictures of an MJPEG stream (multipart/x-mixed-replace, RFC 2046), from bytes as they come."""

from __future__ import annotations

import re

from edgeleuk.errors import CameraError

MAX_HEADER_BYTES = 8192


def boundary_of(content_type: str) -> bytes:
    """What separates the parts, without leading dashes: cameras disagree on whether these belong to it."""
    match = re.search(r'boundary="?([^";]+)"?', content_type, re.IGNORECASE)
    return (match[1].strip() if match else "").lstrip("-").encode("latin-1", "replace")


class Parts:
    """Cuts a stream into the bodies of its parts. What lies between them, or is no part, is passed over."""

    def __init__(self, boundary: bytes, most_bytes: int) -> None:
        """Without a `boundary` parts are told by their Content-Length alone. `most_bytes` limits one part."""
        self._mark = b"--" + boundary
        self._most = most_bytes
        self._buffer = bytearray()
        self._length: int | None = None
        self._inside = False
        """Whether the buffer begins with a part's body."""

    def feed(self, data: bytes) -> None:
        """Raises CameraError where more has come than a picture can have and no part is whole."""
        self._buffer += data
        if len(self._buffer) > self._most + 2 * MAX_HEADER_BYTES:
            raise CameraError(
                f"the stream has no picture in {len(self._buffer) / 1e6:.0f} MB. It is no MJPEG stream."
            )

    def take(self) -> bytes | None:
        """The next whole body; None where more bytes are needed."""
        while self._inside or self._enter():
            body = self._body()
            if body is None:
                return None
            self._inside = False
            if body:
                return body
        return None

    def _enter(self) -> bool:
        """Pass over what comes before the next part's body."""
        while (at := self._buffer.find(self._mark)) >= 0:
            line = at + len(self._mark)
            end, gap = _end_of_headers(self._buffer, line)
            if end >= 0:
                self._length = _told_length(self._buffer[line:end], self._most)
                del self._buffer[: end + gap]
                self._inside = True
                return True
            del self._buffer[:at]
            if len(self._buffer) <= MAX_HEADER_BYTES:
                return False
            del self._buffer[: len(self._mark)]  # it only looked like a boundary
        # The mark may have begun in the last bytes.
        del self._buffer[: max(0, len(self._buffer) - len(self._mark))]
        return False

    def _body(self) -> bytes | None:
        """The body up to its told length, or else to the next boundary."""
        if self._length is not None:
            if len(self._buffer) < self._length:
                return None
            size = self._length
        else:
            size = self._buffer.find(self._mark)
            if size < 0:
                return None
        body = bytes(self._buffer[:size])
        del self._buffer[:size]
        return body.rstrip(b"\r\n") if self._length is None else body


def _told_length(headers: bytearray, most: int) -> int | None:
    """What Content-Length says, where it is there and sane."""
    match = re.search(rb"content-length:[ \t]*(\d{1,12})", headers, re.IGNORECASE)
    return int(match[1]) if match and 0 < int(match[1]) <= most else None


def _end_of_headers(buffer: bytearray, start: int) -> tuple[int, int]:
    """Where the empty line is, and how long its break: cameras send CRLF, or LF alone. -1 where there is none yet."""
    found = [
        (at, len(gap))
        for gap in (b"\r\n\r\n", b"\n\n")
        if (at := buffer.find(gap, start, start + MAX_HEADER_BYTES)) >= 0
    ]
    return min(found, default=(-1, 0))
