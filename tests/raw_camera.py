"""A network camera on raw sockets, for what no HTTP server of a library would send."""

from __future__ import annotations

import contextlib
import hashlib
import re
import socket
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

from mjpeg_server import jpeg

Answer = Iterable["bytes | float"]
"""Bytes to send and seconds to wait, in order; the connection is then closed."""


@dataclass(frozen=True)
class Request:
    """What a client asked."""

    target: str
    headers: Mapping[str, str]
    """By names in lower case."""

    @property
    def authorization(self) -> str:
        return self.headers.get("authorization", "")


class RawCamera:
    """Answers each connection with what `answer` gives for its request. A context manager."""

    def __init__(self, answer: Callable[[Request], Answer]) -> None:
        self._answer = answer
        self.requests: list[Request] = []
        self._listening = socket.create_server(("127.0.0.1", 0))
        self._closing = threading.Event()
        self.port: int = self._listening.getsockname()[1]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/video"

    def __enter__(self) -> RawCamera:
        threading.Thread(target=self._serve, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._closing.set()
        with contextlib.suppress(OSError):
            self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()

    def _serve(self) -> None:
        while not self._closing.is_set():
            try:
                connection = self._listening.accept()[0]
            except OSError:
                return
            threading.Thread(target=self._talk, args=(connection,), daemon=True).start()

    def _talk(self, connection: socket.socket) -> None:
        with contextlib.suppress(OSError), connection:
            request = _read(connection)
            self.requests.append(request)
            for each in self._answer(request):
                if self._closing.is_set():
                    return
                if isinstance(each, bytes):
                    connection.sendall(each)
                else:
                    self._closing.wait(each)


def _read(connection: socket.socket) -> Request:
    data = b""
    while b"\r\n\r\n" not in data:
        data += connection.recv(4096) or b"\r\n\r\n"
    first, *lines = data.decode().split("\r\n")
    pairs = (line.partition(":") for line in lines if line)
    return Request(first.split(" ")[1] if " " in first else "", {n.lower(): v.strip() for n, _, v in pairs})


def head(*headers: str, status: str = "HTTP/1.1 200 OK") -> bytes:
    return "".join(f"{line}\r\n" for line in [status, *headers, ""]).encode()


def mjpeg(
    boundary: bytes = b"frame",
    pace: float = 0.02,
    length: Callable[[bytes], int | None] = len,
    end: bytes = b"\r\n",
    pictures: Iterable[bytes] = (),
) -> Iterator[bytes | float]:
    """Parts without an end. `length` is what Content-Length says of a picture, None for no such header."""
    for picture in pictures or (jpeg(number) for number in range(10_000)):
        told = length(picture)
        headers = [b"--" + boundary, b"Content-Type: image/jpeg"]
        headers += [] if told is None else [b"Content-Length: %d" % told]
        yield end.join([*headers, b"", b""]) + picture + end
        yield pace


STREAM = head("Content-Type: multipart/x-mixed-replace; boundary=frame")


def chunked(parts: Iterable[bytes | float]) -> Iterator[bytes | float]:
    """The same bytes as an HTTP/1.1 server sends them, cut anywhere."""
    for each in parts:
        if isinstance(each, float):
            yield each
            continue
        for cut in range(0, len(each), 1000):
            piece = each[cut : cut + 1000]
            yield b"%x;about=it\r\n" % len(piece) + piece + b"\r\n"


def digest_is_right(said: str, user: str, password: str, algorithm: str) -> bool:
    """Whether an Authorization header proves the password (RFC 7616), worked out without the program."""
    found = re.findall(r'(\w+)=(?:"([^"]*)"|([^,\s]*))', said.removeprefix("Digest "))
    told = {key: quoted or bare for key, quoted, bare in found}
    name = "sha256" if algorithm.upper().startswith("SHA-256") else "md5"

    def h(text: str) -> str:
        return hashlib.new(name, text.encode()).hexdigest()

    first = h(f"{user}:{told['realm']}:{password}")
    if algorithm.lower().endswith("-sess"):
        first = h(f"{first}:{told['nonce']}:{told['cnonce']}")
    second = h(f"GET:{told['uri']}")
    middle = f"{told['nc']}:{told['cnonce']}:{told['qop']}:" if "qop" in told else ""
    return told["username"] == user and told["response"] == h(f"{first}:{told['nonce']}:{middle}{second}")


def wait_for(condition: Callable[[], bool], seconds: float = 5.0) -> bool:
    """Whether a condition came true in time."""
    until = time.monotonic() + seconds
    while not condition() and time.monotonic() < until:
        time.sleep(0.01)
    return condition()
