"""Read a Raspberry Pi's own camera through picamera2.

It is not tested on hardware: written against picamera2 0.3.

picamera2's captures are known to hang when the ribbon cable is loose or memory is short: no wait here is
without a limit, and `Capture` watches over all of it.
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import time
from typing import Any

import numpy as np

from edgeleuk.errors import CameraError, MissingExtraError, UsageError
from edgeleuk.sources.camera import SourceInfo
from edgeleuk.types import Frame, Image, TimedFrame

DEFAULT_SIZE = (2028, 1520)
"""Default frame size, pixels.

Half the High Quality Camera's 4056 x 3040 in either direction: all of its view, at 40 frames a second.
"""
BUFFERS = 4
"""Number of frames in flight.

Each takes 9 MB of a Pi's contiguous memory at DEFAULT_SIZE.
"""
FIRST_S = 10.0
"""Time limit for the first frame, seconds.

Exposure and white balance settle meanwhile.
"""


class PicameraSource:
    """Frames of camera `number` of the Pi."""

    def __init__(
        self, number: int = 0, width: int | None = None, height: int | None = None, fps: float | None = None
    ) -> None:
        """Start the camera.

        Args:
            number: Number of the camera on the Pi's connectors.
            width: Requested frame width, pixels.
            height: Requested frame height, pixels.
            fps: Requested frames per second.

        Raises:
            MissingExtraError: If picamera2 is not installed.
            CameraError: If there is no such camera, or it gives no pictures.
        """
        library = _library()
        found = names()
        if number >= len(found):
            here = ", ".join(f"picamera:{i} ({name})" for i, name in enumerate(found)) or "none"
            raise CameraError(
                f"there is no camera {number} on the Pi's connectors. Cameras here: {here}. Check the ribbon cable with the power off."
            )
        asked = (width or DEFAULT_SIZE[0], height or DEFAULT_SIZE[1])
        self._name, self._number, self._opened = f"picamera:{number}", 0, time.monotonic()
        self._camera: Any = None
        try:
            self._camera = library.Picamera2(number)
            self._camera.configure(
                self._camera.create_video_configuration(**stream(asked), controls=rate(fps))
            )
            self._camera.start()
        except Exception as error:  # picamera2 raises RuntimeError, IndexError and libcamera's own
            self.close()
            raise CameraError(
                f"{self._name} cannot be started: {error}. Another program may be using it; close that, or check the cable."
            ) from error
        self._first: Image | None = self._frame(FIRST_S)
        size = (self._first.shape[1], self._first.shape[0])
        notes = () if size == asked else (f"The camera gives {size[0]} x {size[1]} px; {asked[0]} x {asked[1]} were asked for.",)  # fmt: skip
        self._info = SourceInfo(self._name, *size, fps, live=True, notes=notes)

    @property
    def info(self) -> SourceInfo:
        return self._info

    def read(self, timeout: float) -> TimedFrame:
        """Return the next frame, see Source; never ends."""
        image, self._first = self._first, None
        if image is None:
            image = self._frame(timeout)
        seconds = time.monotonic() - self._opened
        timed = TimedFrame(Frame(image, f"{self._name}-{self._number}"), seconds, self._number)
        self._number += 1
        return timed

    def close(self) -> None:
        camera, self._camera = self._camera, None
        if camera is not None:
            with contextlib.suppress(Exception):
                camera.stop()
            with contextlib.suppress(Exception):
                camera.close()

    def _frame(self, timeout: float) -> Image:
        try:
            request = self._camera.capture_request(wait=timeout)
        except TimeoutError as error:
            # Otherwise the job would wait on, take the next frame and never return it.
            with contextlib.suppress(Exception):
                self._camera.cancel_all_and_flush()
            raise CameraError(f"{self._name} gave no picture in {timeout:g} s.") from error
        except Exception as error:
            raise CameraError(f"{self._name} fails: {error}.") from error
        try:
            # picamera2 names formats by DRM's rule, from the highest byte down: its "RGB888" is B, G, R in memory.
            return np.ascontiguousarray(request.make_array("main")[:, :, ::-1])
        except Exception as error:
            raise CameraError(f"{self._name} gave a picture that cannot be read: {error}.") from error
        finally:
            request.release()


def stream(size: tuple[int, int]) -> dict[str, Any]:
    """Return the stream for create_video_configuration.

    Width and height must be even.
    """
    even = (size[0] - size[0] % 2, size[1] - size[1] % 2)
    return {"main": {"size": even, "format": "RGB888"}, "buffer_count": BUFFERS}


def rate(fps: float | None) -> dict[str, Any]:
    """Return the control for a frame rate.

    It holds the minimum and maximum duration of a frame, microseconds.
    """
    if not fps:
        return {}
    duration = round(1_000_000 / fps)
    return {"FrameDurationLimits": (duration, duration)}


def names() -> list[str]:
    """Return the cameras on the Pi's connectors, by number.

    There are none where picamera2 is absent or fails.
    """
    if importlib.util.find_spec("picamera2") is None:
        return []
    try:
        found = _library().Picamera2.global_camera_info()
    except Exception:  # noqa: BLE001  # whatever libcamera says: there is then no camera to use
        return []
    # USB cameras are listed too; they are read through V4L2.
    return [
        str(camera.get("Model", "camera"))
        for camera in found
        if "usb" not in str(camera.get("Id", "")).lower()
    ]


def parse(argument: str) -> int:
    """Return the number in `picamera:1`; 0 if absent.

    Raises:
        UsageError: If it is no number.
    """
    if argument and not argument.isdecimal():
        raise UsageError(f"picamera:{argument} is no camera. Use picamera, picamera:0 or picamera:1.")
    return int(argument or 0)


def _library() -> Any:
    try:
        return importlib.import_module("picamera2")
    except ImportError as error:
        raise MissingExtraError(
            "the Raspberry Pi's camera needs picamera2, which is not here. On a Pi: sudo apt install python3-picamera2, "
            "and make the virtual environment with --system-site-packages."
        ) from error
