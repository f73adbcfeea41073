"""A network camera for tests: MJPEG over HTTP, which can be made to misbehave. Run as a program it can be killed.

python tests/mjpeg_server.py PORT
"""

from __future__ import annotations

import socket
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import cv2
import numpy as np

BOUNDARY = b"frame"


def jpeg(number: int, width: int = 160, height: int = 120) -> bytes:
    """A noisy pink picture; no two are the same."""
    noise = np.random.default_rng(number).integers(-20, 20, (height, width, 3))
    picture = np.clip(np.array([200, 190, 230]) + noise, 0, 255).astype(np.uint8)
    return cv2.imencode(".jpg", picture)[1].tobytes()


class Server(ThreadingHTTPServer):
    """Streams at / and gives one picture at /still. `mode` may be changed while clients are connected."""

    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, port: int = 0, fps: float = 50.0) -> None:
        super().__init__(("127.0.0.1", port), _Handler)
        self.fps = fps
        self.mode = "good"
        """good, same, black, large, no-length, garbage, half, stall, close."""
        self.number = 0
        self.clients: list[socket.socket] = []
        self._thread = threading.Thread(target=self.serve_forever, args=(0.02,), daemon=True)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/"

    def __enter__(self) -> Server:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.mode = "close"
        self.shutdown()
        self._thread.join()
        self.server_close()

    def handle_error(self, *_: object) -> None:
        """Clients may go away."""


class _Handler(BaseHTTPRequestHandler):
    server: Server

    def log_message(self, *_: object) -> None:
        """Tests print nothing."""

    def do_GET(self) -> None:
        if self.path == "/page":
            self._answer("text/html", b"<html>a camera's own page</html>")
        elif self.path == "/secret":
            self.send_error(401)
        elif self.path == "/moved":
            self.send_response(302)
            self.send_header("Location", self.server.url)
            self.end_headers()
        elif self.path == "/still":
            self.server.number += 1
            self._answer("image/jpeg", jpeg(self.server.number))
        else:
            self._stream()

    def _answer(self, kind: str, body: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _stream(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", f"multipart/x-mixed-replace; boundary={BOUNDARY.decode()}")
        self.end_headers()
        while (mode := self.server.mode) != "close":
            if mode != "stall":
                self.server.number += 1
                self.wfile.write(part(mode, self.server.number))
            time.sleep(1 / self.server.fps)


def part(mode: str, number: int) -> bytes:
    """One part of the stream, as a server in this mode sends it."""
    if mode == "garbage":
        return np.random.default_rng(number).bytes(3000)
    picture = {"same": jpeg(0), "large": jpeg(number, 320, 240)}.get(mode) or jpeg(number)
    if mode == "black":
        picture = cv2.imencode(".jpg", np.zeros((120, 160, 3), np.uint8))[1].tobytes()
    if mode == "half":
        picture = picture[: len(picture) // 2]
    length = b"" if mode == "no-length" else b"Content-Length: %d\r\n" % len(picture)
    return b"--" + BOUNDARY + b"\r\nContent-Type: image/jpeg\r\n" + length + b"\r\n" + picture + b"\r\n"


if __name__ == "__main__":
    Server(int(sys.argv[1])).serve_forever()
