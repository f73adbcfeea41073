"""A camera for proofs: `standin_camera.py PORT HOLD_S PICTURE...` serves pictures as an MJPEG stream on this computer.

Each picture is cut into fields, and each field stands still for HOLD_S seconds, with a little noise as a camera has.
GET /freeze makes every further frame the same, bit for bit, until GET /go; so does a camera whose driver hangs.
Needs OpenCV and numpy, as edgeleuk does.
"""

from __future__ import annotations

import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

WIDTH, HEIGHT = 640, 360
FPS = 5.0
Pixels = NDArray[np.uint8]


def fields_of(picture: Pixels) -> list[Pixels]:
    """The picture in fields side by side, row by row; what is left at its edges is not shown."""
    rows, columns = picture.shape[0] // HEIGHT, picture.shape[1] // WIDTH
    return [
        picture[y * HEIGHT : (y + 1) * HEIGHT, x * WIDTH : (x + 1) * WIDTH]
        for y in range(rows)
        for x in range(columns)
    ]


class Camera(ThreadingHTTPServer):
    """Streams at /; time goes on from field to field whether anybody looks or not."""

    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, port: int, hold_s: float, fields: list[Pixels]) -> None:
        super().__init__(("127.0.0.1", port), _Handler)
        self._fields, self._hold_s = fields, hold_s
        self._began = time.monotonic()
        self._frozen: bytes | None = None

    def frame(self) -> bytes:
        """The frame of now, as a JPEG."""
        if self._frozen is not None:
            return self._frozen
        number = int((time.monotonic() - self._began) / self._hold_s)
        field = self._fields[number % len(self._fields)].astype(np.int16)
        noise = np.random.default_rng().integers(-2, 3, field.shape, np.int16)
        return cv2.imencode(".jpg", np.clip(field + noise, 0, 255).astype(np.uint8))[1].tobytes()

    def freeze(self, frozen: bool) -> None:
        self._frozen = self.frame() if frozen else None

    def handle_error(self, *_: object) -> None:
        """Who looks may go away."""


class _Handler(BaseHTTPRequestHandler):
    server: Camera

    def log_message(self, *_: object) -> None:
        """The proof has a report of its own."""

    def do_GET(self) -> None:
        if self.path in ("/freeze", "/go"):
            self.server.freeze(self.path == "/freeze")
            self.send_response(204)
            self.end_headers()
            return
        self.send_response(200)
        self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
        self.end_headers()
        while True:
            jpeg = self.server.frame()
            head = f"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: {len(jpeg)}\r\n\r\n"
            self.wfile.write(head.encode() + jpeg + b"\r\n")
            time.sleep(1 / FPS)


def main(port: int, hold_s: float, pictures: list[Path]) -> None:
    every = [cv2.imread(str(path), cv2.IMREAD_COLOR) for path in pictures]
    unreadable = [str(path) for path, pixels in zip(pictures, every, strict=True) if pixels is None]
    if unreadable:
        sys.exit(f"not a picture: {', '.join(unreadable)}")
    Camera(port, hold_s, [field for pixels in every for field in fields_of(pixels)]).serve_forever()


if __name__ == "__main__":
    main(int(sys.argv[1]), float(sys.argv[2]), [Path(name) for name in sys.argv[3:]])
