"""The JPEG pictures of a stream, from bytes as they come: MJPEG as multipart/x-mixed-replace (RFC 2046), or bare.

Cameras announce other boundaries than they send, and lengths that are wrong or absent: where a picture ends is told by the
picture itself, and by the boundaries where that is damaged.
"""

from __future__ import annotations

import re

from edgeleuk.errors import CameraError

MAX_HEADER_BYTES = 8192
SOI, EOI, SOS = 0xD8, 0xD9, 0xDA
JPEG_START = b"\xff\xd8\xff"
PADDING = b"\r\n\0 "
"""What cameras put behind a picture."""
_DELIMITER = re.compile(rb"(?:^|\n)[ \t]*(--[^\r\n]{1,200}?)[ \t]*\r?\n")
_LENGTH = re.compile(rb"content-length:[ \t]*(\d{1,12})", re.IGNORECASE)
_IN_SCAN = re.compile(rb"\xff[\xc0-\xcf\xd8-\xfe]")
"""A marker that ends a scan: neither a stuffed byte nor a restart (ITU T.81, B.1.1)."""


def boundary_of(content_type: str) -> bytes:
    """What separates the parts, without leading dashes: cameras disagree on whether these belong to it."""
    match = re.search(r'boundary\s*=\s*"?([^";]+)"?', content_type, re.IGNORECASE)
    return (match[1].strip() if match else "").lstrip("-").encode("latin-1", "replace")


def is_closed(picture: bytes | bytearray) -> bool:
    """Whether a JPEG picture ends as one does."""
    return picture[-64:].rstrip(PADDING).endswith(b"\xff\xd9")


class Parts:
    """Cuts a stream into the bodies of its parts. What lies between them, or is no part, is passed over."""

    def __init__(self, boundary: bytes, most_bytes: int) -> None:
        """`boundary` as announced, empty where none was. `most_bytes` limits one part."""
        self._mark = b"--" + boundary if boundary else b""
        self._marked = False
        """Whether the mark was met: no part is then looked for without it."""
        self._most = most_bytes
        self._buffer = bytearray()
        self._length: int | None = None
        self._inside = False
        """Whether the buffer begins with a part's body."""
        self._walk = _Walk()

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
            size = self._size()
            if size is None:
                return None
            body = bytes(self._buffer[:size])
            del self._buffer[:size]
            self._inside = False
            if body := body if self._length == size else body.rstrip(b"\r\n"):
                return body
        return None

    @property
    def waiting(self) -> int:
        """Bytes that have come and belong to no body that was taken."""
        return len(self._buffer)

    def rest(self) -> bytes:
        """What has come of a picture that does not go on."""
        return bytes(self._buffer) if self._inside else b""

    def _enter(self) -> bool:
        """Pass over what comes before the next part's body."""
        while self._mark and (at := self._buffer.find(self._mark)) >= 0:
            self._marked = True
            line = at + len(self._mark)
            end, gap = _end_of_headers(self._buffer, line)
            if end >= 0:
                return self._begin(end + gap, self._buffer[line:end])
            del self._buffer[:at]
            if len(self._buffer) <= MAX_HEADER_BYTES:
                return False
            del self._buffer[: len(self._mark)]  # it only looked like a boundary
        at = -1 if self._marked else self._buffer.find(JPEG_START)
        if at >= 0:
            before = self._buffer[max(0, at - MAX_HEADER_BYTES) : at]
            if met := _DELIMITER.findall(before):
                self._mark = met[-1]
            return self._begin(at, before)
        # The mark, or the headers of a part without it, may have begun in the last bytes.
        kept = len(self._mark) if self._marked else MAX_HEADER_BYTES
        del self._buffer[: max(0, len(self._buffer) - kept)]
        return False

    def _begin(self, at: int, headers: bytes | bytearray) -> bool:
        """Of a part's body, at a place in the buffer."""
        told = _LENGTH.findall(headers)
        self._length = int(told[-1]) if told and 0 < int(told[-1]) <= self._most else None
        del self._buffer[:at]
        self._inside, self._walk = True, _Walk()
        return True

    def _size(self) -> int | None:
        """Bytes of the body; None where more must come to tell."""
        buffer, told = self._buffer, self._length
        arrived = told is not None and len(buffer) >= told
        if len(buffer) < len(JPEG_START):
            return None
        if not buffer.startswith(JPEG_START[:2]):
            return told if arrived else self._up_to_mark()
        if arrived and is_closed(buffer[max(0, (told or 0) - 64) : told]):
            return told
        end = self._walk.end(buffer)
        if end is not None and not self._walk.broken:
            return end
        marked = self._up_to_mark()
        if marked is None and end is not None and end > 2:  # damaged, and another picture begins
            return told if arrived else end
        return marked

    def _up_to_mark(self) -> int | None:
        at = self._buffer.find(self._mark) if self._mark else -1
        return at if at >= 0 else None


class _Walk:
    """A way through a JPEG file from marker to marker, which can be gone on with when more has come."""

    def __init__(self) -> None:
        self._at = 2
        self._in_scan = False
        self.broken = False
        """Whether the way ended at something that no JPEG file has there."""

    def end(self, data: bytearray) -> int | None:
        """Where the picture ends, or is broken off; None where more must come to tell."""
        while not self.broken:
            if self._in_scan:
                found = _IN_SCAN.search(data, self._at)
                self._at = found.start() if found else max(self._at, len(data) - 1)
                if not found:
                    return None
                self._in_scan = False
            while data[self._at : self._at + 2] == b"\xff\xff":  # fill bytes
                self._at += 1
            if len(data) < self._at + 4 and data[self._at : self._at + 2] != b"\xff\xd9":
                return None
            marker = data[self._at + 1]
            if data[self._at] == 0xFF and marker == EOI:
                return self._at + 2
            length = int.from_bytes(data[self._at + 2 : self._at + 4], "big")
            if data[self._at] != 0xFF or marker < 0xC0 or marker == SOI or length < 2:
                self.broken = True
                break
            self._at += 2 + length
            self._in_scan = marker == SOS
        return self._at


def _end_of_headers(buffer: bytearray, start: int) -> tuple[int, int]:
    """Where the empty line is, and how long its break: cameras send CRLF, or LF alone. -1 where there is none yet."""
    found = [
        (at, len(gap))
        for gap in (b"\r\n\r\n", b"\n\n")
        if (at := buffer.find(gap, start, start + MAX_HEADER_BYTES)) >= 0
    ]
    return min(found, default=(-1, 0))
