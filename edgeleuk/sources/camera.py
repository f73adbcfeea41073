"""The seam that every source of frames fills: cameras, streams, films, folders, the simulated stage."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol

from edgeleuk.types import Refusal, Shot

CameraWord = Literal["starting", "running", "waiting", "frozen", "black", "lost", "ended"]
"""What the camera does: not yet open; gives frames; gives none for a while; gives the same one again and again;
gives black ones; is gone and being reopened; has come to its end.
"""


@dataclass(frozen=True, slots=True)
class CameraState:
    """The camera, as the operator sees it."""

    word: CameraWord
    since: float
    """Seconds that it has been so."""
    text: str = ""
    """One sentence where something is wrong: what happened and what is being done."""
    reopened: int = 0
    dropped: int = 0
    """Frames that were passed over because a newer one was there."""
    unreadable: int = 0
    """Frames that were damaged or too large, and therefore refused."""


@dataclass(frozen=True, slots=True)
class SourceInfo:
    """What a source is, and what it really gives, which may differ from what was asked of it."""

    name: str
    """As the user may type it again: `usb:0`, `http://phone:8080/video`, `smear.mp4`."""
    width: int
    height: int
    fps: float | None
    """None where the source does not say."""
    live: bool
    """Whether frames pass whether or not anybody looks. If so the newest wins; if not none is dropped."""
    stills: bool = False
    """Whether each frame was taken for itself, standing still, as the pictures of a folder are."""
    um_per_px: float | None = None
    """Where the source knows it (a simulation); None else."""
    notes: tuple[str, ...] = ()
    """Differences between what was asked and what is given, one sentence each."""
    left_out: tuple[Refusal, ...] = ()
    """What lies beside the pictures of a folder and is none."""


class Source(Protocol):
    """Gives frames, one at a time. Opened by its constructor, which raises CameraError or InputError. One thread owns it."""

    @property
    def info(self) -> SourceInfo: ...

    def read(self, timeout: float) -> Shot | None:
        """The next frame; None where the source has come to its end.

        Raises CameraError where none came within `timeout` seconds or the connection broke, NoPictureYetError
        where none came and the connection stands, InputError for one frame that cannot be decoded, after
        which the next can be asked for.
        """

    def close(self) -> None:
        """Let go of the device. Safe to call twice; takes no longer than a second."""
