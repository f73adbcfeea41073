"""Where frames come from: one file each. A new source is one file, and one line in OPENERS."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from edgeleuk._addresses import shown_mistake
from edgeleuk._text import tamed
from edgeleuk.errors import CameraError, UsageError

if TYPE_CHECKING:
    from edgeleuk.sources.camera import Source
    from edgeleuk.sources.stills import PictureReader

__all__ = ["KINDS", "default_source", "is_camera", "open_source"]

VIDEO_SUFFIXES = frozenset(
    {
        ".mp4",
        ".m4v",
        ".mov",
        ".avi",
        ".mkv",
        ".webm",
        ".mpg",
        ".mpeg",
        ".mjpeg",
        ".mjpg",
        ".h264",
        ".ts",
        ".3gp",
    }
)
MOST_PIXELS = 50_000_000
"""That may be asked of a camera; larger frames are refused (`_opencv.MOST_MEGAPIXELS`)."""
MOST_SIDE = 20_000
"""Likewise."""
KINDS = (
    "picamera, picamera:1, usb, usb:0, /dev/video0, http://…, https://…, rtsp://…, a video file, a folder or a pattern "
    'of pictures ("*.jpg"), watch:DIR, simulated, simulated:SEED'
)
"""What can be named, for help and for messages."""


@dataclass(frozen=True, slots=True)
class Wish:
    """What the user asks of a source; it may give something else and then says so."""

    spec: str
    width: int | None
    height: int | None
    fps: float | None
    magnification: str
    reader: PictureReader | None
    """Decodes the pictures of a folder; None for each by itself."""

    @property
    def argument(self) -> str:
        """What follows the colon."""
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
    """Open what `spec` names, see KINDS. Size and rate are wishes; `magnification` is for the simulation, `reader` decodes the
    pictures of a folder.

    Raises UsageError for what names no kind of source and for a size that no camera has, CameraError or InputError where it cannot be opened, and
    MissingExtraError where a library for it is absent.
    """
    if (width or 1) * (height or 1) > MOST_PIXELS or max(width or 1, height or 1) > MOST_SIDE:
        raise UsageError(
            f"no camera gives {width or 'any'} x {height or 'any'} px. Ask for {MOST_PIXELS // 1_000_000} megapixels at most."
        )
    wish = Wish(spec, width, height, fps, magnification, reader)
    for is_meant, open_it in OPENERS:
        if is_meant(spec):
            return open_it(wish)
    shown = tamed(shown_mistake(spec), 200)
    raise UsageError(f"{shown!r} names no source, and no file or folder that is there. Sources: {KINDS}.")


def is_camera(spec: str) -> bool:
    """Whether `spec` names a source of pictures of now, and not pictures or a film that are there."""
    return any(is_meant(spec) for is_meant, _ in CAMERAS)


def default_source() -> str:
    """The first camera of this machine, as `open_source` takes it. Raises CameraError where there is none."""
    from edgeleuk.sources import picamera
    from edgeleuk.sources._v4l2 import devices

    if picamera.names():
        return "picamera"
    for device in devices():
        if device.captures and not device.of_pi:
            return f"usb:{device.number}"
    raise CameraError(f"no camera was found. Connect one, or name a source with --source: {KINDS}.")


def _is(name: str) -> Callable[[str], bool]:
    return lambda spec: spec == name or spec.startswith(f"{name}:")


def _picamera(wish: Wish) -> Source:
    from edgeleuk.sources.picamera import PicameraSource, parse

    return PicameraSource(parse(wish.argument), wish.width, wish.height, wish.fps)


def _usb(wish: Wish) -> Source:
    from edgeleuk.sources.usb import UsbSource, parse

    return UsbSource(parse(wish.argument or wish.spec.removeprefix("usb")), wish.width, wish.height, wish.fps)


def _http(wish: Wish) -> Source:
    from edgeleuk.sources.http import HttpSource

    return HttpSource(wish.spec)


def _rtsp(wish: Wish) -> Source:
    from edgeleuk.sources.rtsp import RtspSource

    return RtspSource(wish.spec)


def _watch(wish: Wish) -> Source:
    from edgeleuk.sources.stills import PLAIN, WatchSource

    return WatchSource(Path(wish.argument), wish.reader or PLAIN)


def _simulated(wish: Wish) -> Source:
    from edgeleuk.sources.stage import open_stage

    return open_stage(wish.argument, wish.magnification, wish.width, wish.height, wish.fps)


def _video(wish: Wish) -> Source:
    from edgeleuk.sources._kinds import require_file
    from edgeleuk.sources.video import VideoSource

    require_file(Path(wish.spec))
    return VideoSource(Path(wish.spec))


def _stills(wish: Wish) -> Source:
    from edgeleuk.sources.stills import PLAIN, FolderSource

    return FolderSource([wish.spec], wish.reader or PLAIN)


def _is_video(spec: str) -> bool:
    return Path(spec).suffix.lower() in VIDEO_SUFFIXES


def _is_stills(spec: str) -> bool:
    return bool(spec) and (Path(spec).exists() or any(mark in spec for mark in "*?["))


Opener = tuple[Callable[[str], bool], Callable[[Wish], "Source"]]
CAMERAS: tuple[Opener, ...] = (
    (_is("picamera"), _picamera),
    (_is("usb"), _usb),
    (lambda spec: spec.startswith("/dev/video"), _usb),
    (lambda spec: spec.lower().startswith(("http://", "https://")), _http),
    (lambda spec: spec.lower().startswith(("rtsp://", "rtsps://")), _rtsp),
    (_is("watch"), _watch),
    (_is("simulated"), _simulated),
)
"""What gives pictures of now."""
OPENERS: tuple[Opener, ...] = (
    *CAMERAS,
    (_is_video, _video),
    (_is_stills, _stills),
)
"""How a source is told, and what opens it. The first that fits is taken; libraries are imported by the opener."""
