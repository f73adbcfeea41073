"""Interface of all sources of frames.

Sources are cameras, streams, videos, folders and the simulated stage.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol

from edgeleuk.types import Refusal, TimedFrame

CameraWord = Literal["starting", "running", "waiting", "frozen", "black", "lost", "ended"]
"""State of the camera.

In order: not yet open; gives frames; gives none for a while; gives the same one again and again; gives black
ones; is gone and being reopened; has come to its end.
"""


@dataclass(frozen=True, slots=True)
class CameraState:
    """Camera state shown to the operator."""

    word: CameraWord
    since: float
    """Time in this state, seconds."""
    text: str = ""
    """Fault and what is being done, one sentence.

    It is empty where nothing is wrong.
    """
    reopened: int = 0
    dropped: int = 0
    """Frames skipped because a newer one was available."""
    unreadable: int = 0
    """Frames refused because they were damaged or too large."""


@dataclass(frozen=True, slots=True)
class SourceInfo:
    """Description of a source.

    It says what the source really gives, which may differ from the request.
    """

    name: str
    """Name that the user can type again.

    Examples: `usb:0`, `http://phone:8080/video`, `smear.mp4`.
    """
    width: int
    height: int
    fps: float | None
    """Frames per second; None where the source does not say."""
    live: bool
    """Whether unread frames are lost.

    If so, the newest frame wins; if not, none is dropped.
    """
    stills: bool = False
    """Whether each frame was taken separately, at standstill.

    The images of a folder are an example.
    """
    um_per_px: float | None = None
    """Micrometres per pixel, where a simulation knows it."""
    notes: tuple[str, ...] = ()
    """Differences between request and result, one sentence each."""
    left_out: tuple[Refusal, ...] = ()
    """Files of a folder that are no pictures."""


class Source(Protocol):
    """Source that gives frames one at a time.

    Its constructor opens it, and raises CameraError or InputError. One thread owns it.
    """

    @property
    def info(self) -> SourceInfo: ...

    def read(self, timeout: float) -> TimedFrame | None:
        """Return the next frame, or None at the end.

        Raises:
            CameraError: If no frame came within `timeout` seconds, or the connection broke.
            NoPictureYetError: If no frame came, but the connection stands.
            InputError: If one frame cannot be decoded; the next can then be requested.
        """

    def close(self) -> None:
        """Close the device.

        It is safe to call twice, and takes no longer than a second.
        """
