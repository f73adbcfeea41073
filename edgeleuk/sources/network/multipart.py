"""Extract JPEG pictures from a stream of bytes.

The stream is MJPEG as multipart/x-mixed-replace (RFC 2046), or bare JPEG pictures.

Cameras announce other boundaries than they send, and lengths that are wrong or absent: the picture itself
shows where it ends, and the boundaries do so where it is damaged.
"""

from __future__ import annotations

import re

from edgeleuk.errors import CameraError

MAX_HEADER_BYTES = 8192
SOI, EOI, SOS = 0xD8, 0xD9, 0xDA
JPEG_START = b"\xff\xd8\xff"
PADDING = b"\r\n\0 "
"""Padding that cameras put after a picture."""
_DELIMITER = re.compile(rb"(?:^|\n)[ \t]*(--[^\r\n]{1,200}?)[ \t]*\r?\n")
_LENGTH = re.compile(rb"content-length:[ \t]*(\d{1,12})", re.IGNORECASE)
_IN_SCAN = re.compile(rb"\xff[\xc0-\xcf\xd8-\xfe]")
"""Marker that ends a scan.

It is neither a stuffed byte nor a restart (ITU T.81, B.1.1).
"""


def boundary_of(content_type: str) -> bytes:
    """Return the announced boundary without leading dashes.

    Cameras disagree on whether these belong to it.
    """
    match = re.search(r'boundary\s*=\s*"?([^";]+)"?', content_type, re.IGNORECASE)
    return (match[1].strip() if match else "").lstrip("-").encode("latin-1", "replace")


def is_closed(picture: bytes | bytearray) -> bool:
    """Return whether a JPEG ends with its end marker."""
    return picture[-64:].rstrip(PADDING).endswith(b"\xff\xd9")


class Parts:
    """Splitter of a stream into part bodies.

    Everything between the parts, or that is no part, is skipped.
    """

    def __init__(self, boundary: bytes, most_bytes: int) -> None:
        """Start at the beginning of a stream.

        `boundary` is as announced, empty where none was. `most_bytes` limits one part.
        """
        self._mark = b"--" + boundary if boundary else b""
        self._marked = False
        """Whether the boundary was met.

        Parts are then only looked for behind it.
        """
        self._most = most_bytes
        self._buffer = bytearray()
        self._length: int | None = None
        self._inside = False
        """Whether the buffer begins with a part's body."""
        self._walk = _Walk()

    def feed(self, data: bytes) -> None:
        """Add bytes as they come.

        Raises:
            CameraError: If more has come than one picture can have, and no part is complete.
        """
        self._buffer += data
        if len(self._buffer) > self._most + 2 * MAX_HEADER_BYTES:
            raise CameraError(
                f"the stream has no picture in {len(self._buffer) / 1e6:.0f} MB. It is no MJPEG stream."
            )

    def take(self) -> bytes | None:
        """Return the next complete body, or None if incomplete."""
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
        """Number of bytes received but not yet returned."""
        return len(self._buffer)

    def rest(self) -> bytes:
        """Return what has come of an unfinished picture."""
        return bytes(self._buffer) if self._inside else b""

    def _enter(self) -> bool:
        """Skip to the next part's body."""
        while self._mark and (at := self._buffer.find(self._mark)) >= 0:
            self._marked = True
            line = at + len(self._mark)
            end, gap = _end_of_headers(self._buffer, line)
            if end >= 0:
                return self._begin(end + gap, self._buffer[line:end])
            del self._buffer[:at]
            if len(self._buffer) <= MAX_HEADER_BYTES:
                return False
            del self._buffer[: len(self._mark)]  # it only resembled a boundary
        at = -1 if self._marked else self._buffer.find(JPEG_START)
        if at >= 0:
            before = self._buffer[max(0, at - MAX_HEADER_BYTES) : at]
            if met := _DELIMITER.findall(before):
                self._mark = met[-1]
            return self._begin(at, before)
        # The boundary, or the headers of a part without it, may have begun in the last bytes.
        kept = len(self._mark) if self._marked else MAX_HEADER_BYTES
        del self._buffer[: max(0, len(self._buffer) - kept)]
        return False

    def _begin(self, at: int, headers: bytes | bytearray) -> bool:
        """Begin a part's body at position `at` of the buffer."""
        told = _LENGTH.findall(headers)
        self._length = int(told[-1]) if told and 0 < int(told[-1]) <= self._most else None
        del self._buffer[:at]
        self._inside, self._walk = True, _Walk()
        return True

    def _size(self) -> int | None:
        """Return the body's length, or None if unknown."""
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
        if marked is None and end is not None and end > 2:  # damaged, and another picture follows
            return told if arrived else end
        return marked

    def _up_to_mark(self) -> int | None:
        at = self._buffer.find(self._mark) if self._mark else -1
        return at if at >= 0 else None


class _Walk:
    """Resumable parser of the markers of a JPEG."""

    def __init__(self) -> None:
        self._at = 2
        self._in_scan = False
        self.broken = False
        """Whether the parser met invalid data."""

    def end(self, data: bytearray) -> int | None:
        """Return where the picture ends or breaks off.

        Returns None where more bytes must come to tell.
        """
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
    """Find the empty line after headers.

    Returns its position and length. Cameras send CRLF, or LF alone. The position is -1 where there is none
    yet.
    """
    found = [
        (at, len(gap))
        for gap in (b"\r\n\r\n", b"\n\n")
        if (at := buffer.find(gap, start, start + MAX_HEADER_BYTES)) >= 0
    ]
    return min(found, default=(-1, 0))
