"""Open a source of frames by name.

Each kind of source is one module. A new kind needs one module and one line in OPENERS.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from edgeleuk._text import tamed
from edgeleuk.errors import CameraError, UsageError
from edgeleuk.sources.pictures.suffixes import VIDEO_SUFFIXES
from edgeleuk.system.addresses import shown_mistake
from edgeleuk.system.wording import option

if TYPE_CHECKING:
    from edgeleuk.sources.camera import Source
    from edgeleuk.sources.stills import PictureReader

__all__ = ["KINDS", "default_source", "is_camera", "open_source"]

MOST_PIXELS = 50_000_000
"""Maximum pixels of a requested frame size.

A larger request is refused (see `_opencv.MOST_MEGAPIXELS`).
"""
MOST_SIDE = 20_000
"""Maximum width or height of a requested frame, pixels."""
KINDS = (
    "picamera, picamera:1, usb, usb:0, /dev/video0, http://…, https://…, rtsp://…, a video file, a folder or a pattern "
    'of pictures ("*.jpg"), watch:DIR, simulated, simulated:SEED'
)
"""Source names, for help and messages."""


@dataclass(frozen=True, slots=True)
class SourceRequest:
    """Request for a source.

    The source may give something else; it then says so.
    """

    spec: str
    width: int | None
    height: int | None
    fps: float | None
    magnification: str
    reader: PictureReader | None
    """Decoder for a folder's images; None decodes each independently."""

    @property
    def argument(self) -> str:
        """Part of the name after the colon."""
        return self.spec.partition(":")[2]


def open_source(
    spec: str,
    *,
    width: int | None = None,
    height: int | None = None,
    fps: float | None = None,
    magnification: str = "100x",
    reader: PictureReader | None = None,
) -> Source:
    """Open the source that `spec` names.

    Args:
        spec: Name of the source, see KINDS.
        width: Requested frame width, pixels; the source may give another.
        height: Requested frame height, pixels; the source may give another.
        fps: Requested frames per second; the source may give another rate.
        magnification: Objective of the simulated source; other sources ignore it.
        reader: Decoder for the images of a folder.

    Raises:
        UsageError: If `spec` names no kind of source, or no camera has the requested size.
        CameraError: If the camera cannot be opened.
        InputError: If the file or folder cannot be opened.
        MissingExtraError: If a library that the source needs is not installed.
    """
    if (width or 1) * (height or 1) > MOST_PIXELS or max(width or 1, height or 1) > MOST_SIDE:
        raise UsageError(
            f"no camera gives {width or 'any'} x {height or 'any'} px. Ask for {MOST_PIXELS // 1_000_000} megapixels at most."
        )
    request = SourceRequest(spec, width, height, fps, magnification, reader)
    for is_meant, open_it in OPENERS:
        if is_meant(spec):
            return open_it(request)
    shown = tamed(shown_mistake(spec), 200)
    raise UsageError(f"{shown!r} names no source, and no file or folder that is there. Sources: {KINDS}.")


def is_camera(spec: str) -> bool:
    """Return whether `spec` names a live source.

    Existing images and videos are not live.
    """
    return any(is_meant(spec) for is_meant, _ in CAMERAS)


def default_source() -> str:
    """Return the name of this machine's first camera.

    The name is one that `open_source` takes.

    Raises:
        CameraError: If there is no camera.
    """
    from edgeleuk.sources import picamera
    from edgeleuk.sources._v4l2 import devices

    if picamera.names():
        return "picamera"
    for device in devices():
        if device.captures and not device.of_pi:
            return f"usb:{device.number}"
    raise CameraError(f"no camera was found. Connect one, or name a source with {option('source')}: {KINDS}.")


def _is(name: str) -> Callable[[str], bool]:
    return lambda spec: spec == name or spec.startswith(f"{name}:")


def _picamera(request: SourceRequest) -> Source:
    from edgeleuk.sources.picamera import PicameraSource, parse

    return PicameraSource(parse(request.argument), request.width, request.height, request.fps)


def _usb(request: SourceRequest) -> Source:
    from edgeleuk.sources.usb import UsbSource, parse

    return UsbSource(
        parse(request.argument or request.spec.removeprefix("usb")),
        request.width,
        request.height,
        request.fps,
    )


def _http(request: SourceRequest) -> Source:
    from edgeleuk.sources.http import HttpSource

    return HttpSource(request.spec)


def _rtsp(request: SourceRequest) -> Source:
    from edgeleuk.sources.rtsp import RtspSource

    return RtspSource(request.spec)


def _watch(request: SourceRequest) -> Source:
    from edgeleuk.sources.stills import PLAIN, WatchSource

    return WatchSource(Path(request.argument), request.reader or PLAIN)


def _simulated(request: SourceRequest) -> Source:
    from edgeleuk.sources.simulated import open_stage

    return open_stage(request.argument, request.magnification, request.width, request.height, request.fps)


def _video(request: SourceRequest) -> Source:
    from edgeleuk.sources.pictures.kinds import require_file
    from edgeleuk.sources.video import VideoSource

    require_file(Path(request.spec))
    return VideoSource(Path(request.spec))


def _stills(request: SourceRequest) -> Source:
    from edgeleuk.sources.stills import PLAIN, FolderSource

    return FolderSource([request.spec], request.reader or PLAIN)


def _is_video(spec: str) -> bool:
    return Path(spec).suffix.lower() in VIDEO_SUFFIXES


def _is_stills(spec: str) -> bool:
    return bool(spec) and (Path(spec).exists() or any(mark in spec for mark in "*?["))


Opener = tuple[Callable[[str], bool], Callable[[SourceRequest], "Source"]]
CAMERAS: tuple[Opener, ...] = (
    (_is("picamera"), _picamera),
    (_is("usb"), _usb),
    (lambda spec: spec.startswith("/dev/video"), _usb),
    (lambda spec: spec.lower().startswith(("http://", "https://")), _http),
    (lambda spec: spec.lower().startswith(("rtsp://", "rtsps://")), _rtsp),
    (_is("watch"), _watch),
    (_is("simulated"), _simulated),
)
"""Openers of live sources."""
OPENERS: tuple[Opener, ...] = (
    *CAMERAS,
    (_is_video, _video),
    (_is_stills, _stills),
)
"""Pairs of a test for the name and the opener.

The first match is taken. Each opener imports the libraries that it needs.
"""
