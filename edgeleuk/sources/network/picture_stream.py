"""Read the pictures of one HTTP answer."""

from __future__ import annotations

import contextlib

from edgeleuk._text import tamed
from edgeleuk.sources.network.multipart import Parts, boundary_of, is_closed
from edgeleuk.sources.network.wire import Body, Head, ServerError, Wire

MAX_PICTURE_BYTES = 32_000_000
"""Maximum bytes of one picture.

A 50-megapixel JPEG of a phone passes; an endless body does not.
"""
MOST_SKIPPED = 8
"""Maximum newer pictures skipped per request.

With more waiting, the stream comes faster than it can be read.
"""
SNIFFED = 16
"""Leading bytes that decide what a body is."""
LINE_ENDS = 4
"""Bytes between two pictures that belong to neither."""
PICTURES = (b"\xff\xd8", b"--", b"content-")
"""Leading bytes of a picture body.

They belong to the picture itself, or to the boundary or headers of a part.
"""
FORMATS = (
    (b"<", "a web page"),
    (b"{", "a text"),
    (b"\x89PNG", "PNG pictures"),
    (b"GIF8", "GIF pictures"),
    (b"RIFF", "WebP pictures or a film"),
    (b"\x1f\x8b", "something compressed"),
    (b"G", "a film"),
    (b"\0\0", "a film"),
)
STREAM = "Set the camera to MJPEG, and use the address of that stream or of a JPEG picture; its manual tells which."


class PictureStream:
    """Pictures of one HTTP answer.

    Every call that timed out can be repeated to resume.
    """

    def __init__(self, wire: Wire, head: Head) -> None:
        """Prepare to read the body of an answer.

        Raises:
            ServerError: If the body has a coding that cannot be read.
        """
        self._wire, self._body = wire, Body(wire, head)
        announced = head.first("content-type")
        self._kind = announced.partition(";")[0].strip().lower()
        self._streams = self._kind.startswith("multipart/")
        """Whether the answer is an endless stream."""
        self._parts = Parts(boundary_of(announced), MAX_PICTURE_BYTES) if self._streams else None
        self._first = bytearray()
        self._at = wire.received
        """Bytes received when the last picture was complete."""
        self._pictures = 0
        self.over = False
        """Whether the next picture needs a new request."""

    @property
    def progress(self) -> str:
        """Progress of the next picture.

        The text is the rest of a sentence.
        """
        if (came := self._wire.received - self._at) > LINE_ENDS:
            return f"sends too slowly: {came} bytes came, and no whole picture."
        return "is connected and sends nothing." if self._pictures else "answers, and sends no picture."

    def picture(self, until: float) -> bytes | None:
        """Return the newest complete picture, or wait.

        Where the answer ends within a picture, what is left of it is returned. Returns None where a single
        picture was given and has to be requested again.

        Raises:
            ServerError: If the body holds no usable pictures.
            OSError: If the connection fails.
            TimeoutError: If no picture was complete before `until`.
        """
        parts = self._parts = self._parts or self._told_apart(until)
        while (picture := parts.take()) is None:
            if not (chunk := self._body.some(until)):
                return self._broken_off(parts)
            parts.feed(chunk)
        picture = self._newest(parts, picture, until)
        self._at, self._pictures = self._wire.received - parts.waiting, self._pictures + 1
        self.over = not (self._streams or self._body.endless)
        return picture

    def _newest(self, parts: Parts, picture: bytes, until: float) -> bytes:
        """Return the newest picture that has already arrived.

        A damaged picture is reported, not skipped.
        """
        with contextlib.suppress(OSError, ServerError):  # they occur again when the next picture is requested
            for _ in range(MOST_SKIPPED if is_closed(picture) else 0):
                if newer := parts.take():
                    picture = newer
                elif self._wire.has_more() and (chunk := self._body.some(until)):
                    parts.feed(chunk)
                else:
                    break
        return picture

    def _broken_off(self, parts: Parts) -> bytes | None:
        """Return an unfinished picture when the answer ends."""
        rest, self.over = parts.rest(), True
        if self._streams and not self._pictures:
            raise ServerError("has closed the connection without a whole picture. Check the camera.")
        if self._streams:
            raise ConnectionResetError
        return rest or None

    def _told_apart(self, until: float) -> Parts:
        """Detect how pictures are separated.

        Servers announce whatever they like.

        Raises:
            ServerError: If the body holds no JPEG pictures.
        """
        while len(self._first.lstrip()) < SNIFFED and (chunk := self._body.some(until)):
            self._first += chunk
        start = bytes(self._first.lstrip()[:SNIFFED])
        if not start.lower().startswith(PICTURES):
            raise ServerError(_what_else(start, self._kind))
        self._streams = not start.startswith(PICTURES[0])
        parts = Parts(b"", MAX_PICTURE_BYTES)
        parts.feed(bytes(self._first))
        return parts


def _what_else(start: bytes, kind: str) -> str:
    if not start:
        return "answers without any content. Check the camera's settings."
    known = next((name for begin, name in FORMATS if start.startswith(begin)), "something else")
    named = known if kind in ("", "image/jpeg", "image/jpg", "application/octet-stream") else tamed(kind, 60)
    return f"gives {named}, not pictures in JPEG. {STREAM}"
