"""HTTP connection with limited waits.

It reads an answer as it comes. It replaces http.client, which waits for as long as single bytes trickle in,
knows no ICY answer, and forgets on a timeout what had come.
"""

from __future__ import annotations

import re
import select
import socket
import ssl
import time
from dataclasses import dataclass
from urllib.parse import SplitResult, urlsplit

from edgeleuk._text import tamed
from edgeleuk.errors import UsageError
from edgeleuk.system.addresses import shown_source

CHUNK = 1 << 16
MAX_HEAD_BYTES = 1 << 16
"""Maximum bytes of status line and headers.

Cameras send a few hundred.
"""
MOST_INTERIM = 8
"""Maximum interim answers (1xx) before the final one."""
STATUS_LINE = re.compile(rb"(?:HTTP/\d(?:\.\d)?|ICY)[ \t]+(\d{3})(?:[ \t]+([^\r\n]*))?\r?\n")
"""Status line of RFC 9112, SHOUTcast and some cameras."""
STARTS = (b"HTTP/", b"ICY ")
_HEAD_END = re.compile(rb"\n\r?\n")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]+")


class ServerError(Exception):
    """Fault of a server.

    The text is the rest of a sentence that begins with the server's name.
    """


class Wire:
    """Socket that buffers received bytes.

    They stay in `buffer` until they are taken, so that a wait that ended can be resumed.
    """

    def __init__(self, host: str, port: int, tls: bool, until: float) -> None:
        """Connect to a server.

        Args:
            host: Host name or address.
            port: Port.
            tls: Whether to use TLS.
            until: Time limit on the monotonic clock, seconds.

        Raises:
            OSError: If the connection fails.
            TimeoutError: If it is not connected at `until`.
        """
        self.buffer = bytearray()
        self.received = 0
        self._socket: socket.socket = socket.create_connection((host, port), timeout=left(until))
        try:
            if tls:
                self._socket.settimeout(left(until))
                self._socket = ssl.create_default_context().wrap_socket(self._socket, server_hostname=host)
        except BaseException:
            self._socket.close()
            raise

    def send(self, data: bytes, until: float) -> None:
        self._socket.settimeout(left(until))
        self._socket.sendall(data)

    def more(self, until: float) -> bool:
        """Wait for bytes; return False at their end.

        Raises:
            TimeoutError: If none come in time.
        """
        self._socket.settimeout(left(until))
        data = self._socket.recv(CHUNK)
        self.buffer += data
        self.received += len(data)
        return bool(data)

    def has_more(self) -> bool:
        """Return whether bytes are available without waiting."""
        if self.buffer or (isinstance(self._socket, ssl.SSLSocket) and self._socket.pending()):
            return True
        return bool(select.select([self._socket], [], [], 0)[0])

    def close(self) -> None:
        self._socket.close()


@dataclass(frozen=True, slots=True)
class Head:
    """Head of an HTTP answer."""

    status: int
    reason: str
    headers: tuple[tuple[str, str], ...]
    """Names and values in order.

    Names are in lower case, and values are without control characters.
    """

    def all(self, name: str) -> list[str]:
        return [value for each, value in self.headers if each == name]

    def first(self, name: str) -> str:
        """Return a header's value; empty where absent."""
        return next(iter(self.all(name)), "")


def read_head(wire: Wire, until: float) -> Head:
    """Read the head of the final answer.

    After a TimeoutError the call can be repeated to resume.

    Raises:
        ServerError: If it is no HTTP answer.
        TimeoutError: If it is not complete before `until`.
    """
    for _ in range(MOST_INTERIM):
        while (end := _HEAD_END.search(wire.buffer)) is None or end.start() > MAX_HEAD_BYTES:
            _refuse_other_protocols(wire.buffer)
            if len(wire.buffer) > MAX_HEAD_BYTES:
                raise ServerError("sends headers without end. It is no camera that can be used.")
            if not wire.more(until):
                raise ServerError("has closed the connection without an answer.")
        _refuse_other_protocols(wire.buffer)
        head = _parsed(bytes(wire.buffer[: end.end()]))
        del wire.buffer[: end.end()]
        if head.status >= 200 or head.status == 101:
            return head
    raise ServerError("sends interim answers without end. It is no camera that can be used.")


def _refuse_other_protocols(data: bytearray) -> None:
    if not any(start.startswith(data[: len(start)]) for start in STARTS) or (
        b"\n" in data and not STATUS_LINE.match(data)
    ):
        raise ServerError(
            "does not answer as a web server does. Check the port, and whether it is https:// there."
        )


def _parsed(raw: bytes) -> Head:
    line = STATUS_LINE.match(raw)
    assert line
    headers: list[tuple[str, str]] = []
    for each in raw[line.end() :].decode("latin-1").split("\n"):
        text = _CONTROL.sub(" ", each.rstrip("\r"))
        name, colon, value = text.partition(":")
        if text[:1] in (" ", "\t") and headers:  # a folded line continues the one before
            headers[-1] = headers[-1][0], f"{headers[-1][1]} {text.strip()}"
        elif colon:
            headers.append((name.strip().lower(), value.strip()))
    return Head(int(line[1]), (line[2] or b"").decode("latin-1").strip(), tuple(headers))


class Body:
    """Body of an HTTP answer.

    It ends by its length, in chunks, or with the connection.
    """

    def __init__(self, wire: Wire, head: Head) -> None:
        """Prepare to read the body after a head.

        Raises:
            ServerError: If it has a coding that was not requested.
        """
        self._wire = wire
        coding = head.first("transfer-encoding").lower()
        packed = head.first("content-encoding").lower()
        if packed not in ("", "identity") or coding not in ("", "identity", "chunked"):
            raise ServerError(
                "sends its pictures compressed once more, though it was asked not to. Switch compression off in its settings."
            )
        length = head.first("content-length")
        self._chunked = coding == "chunked"
        self._left = int(length) if length.isdecimal() and len(length) < 19 and not self._chunked else None
        """Bytes left of the body or chunk; None if unknown."""
        self._ended = False

    @property
    def endless(self) -> bool:
        """Whether the end of the body is unknown."""
        return self._left is None and not self._chunked

    def some(self, until: float) -> bytes:
        """Return bytes as they come; none at the end.

        After a TimeoutError the call can be repeated to resume.

        Raises:
            ServerError: If the chunks are invalid.
            OSError: If the connection fails.
            TimeoutError: If none come before `until`.
        """
        if self._chunked and not self._left and not self._ended:
            self._left = self._chunk(until)
            self._ended = self._left == 0
        if self._ended or self._left == 0:
            return b""
        if not self._wire.buffer and not self._wire.more(until):
            self._ended = True
            return b""
        taken = bytes(self._wire.buffer[: self._left])
        del self._wire.buffer[: len(taken)]
        if self._left is not None:
            self._left -= len(taken)
        return taken

    def _chunk(self, until: float) -> int:
        """Return the next chunk's size; 0 at the end."""
        buffer = self._wire.buffer
        while not (line := re.match(rb"(?:\r?\n)?[ \t]*([0-9a-fA-F]{1,8})[ \t]*(?:;[^\r\n]*)?\r?\n", buffer)):
            if len(buffer) > 256 or (buffer and not re.match(rb"[\r\n \t0-9a-fA-F]", buffer)):
                raise ServerError("sends chunks that cannot be read.")
            if not self._wire.more(until):
                return 0
        size = int(line[1], 16)  # before the deletion: the match refers to the buffer
        del buffer[: line.end()]
        return size


def left(until: float) -> float:
    """Return the seconds left until a monotonic time.

    Raises:
        TimeoutError: If the time has passed.
    """
    seconds = until - time.monotonic()
    if seconds <= 0:
        raise TimeoutError
    return seconds


def split(url: str) -> SplitResult:
    """Split an address into its parts.

    Raises:
        UsageError: If it is no address.
    """
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
        host.encode("idna")
        complete = bool(host) and (parts.port is None or parts.port > 0)
    except ValueError:  # also if a host name has letters that are not allowed
        complete = False
    if not complete:
        raise UsageError(
            f"{tamed(shown_source(url), 200)} is no address. Write it as http://host:port/path; in a user name or a password "
            "%2F for /, %3F for ?, %23 for # and %40 for @."
        )
    return parts


def reason(error: Exception) -> str:
    """Describe an error of the network or the server.

    The text is the rest of a sentence.
    """
    if isinstance(error, ServerError):
        return str(error)
    if isinstance(error, TimeoutError):
        return "does not answer in time."
    if isinstance(error, ConnectionRefusedError):
        return "refuses the connection. Is the camera's program running?"
    if isinstance(error, socket.gaierror):
        return "cannot be found on the network. Check the name and the connection."
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"has no certificate to trust ({tamed(error.verify_message)}). Use http:// on a network of your own."
    if isinstance(error, ssl.SSLError):
        return f"does not speak https ({tamed(error.reason or '')}). Try http://, or another port."
    if isinstance(error, ConnectionError):
        return "has closed the connection."
    return f"fails: {tamed(str(error)) or type(error).__name__}."
