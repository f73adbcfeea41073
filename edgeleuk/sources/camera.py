"""The seam that every source of frames fills: cameras, streams, films, folders, the simulated stage."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from edgeleuk.types import Shot


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


class Source(Protocol):
    """Gives frames, one at a time. Opened by its constructor, which raises CameraError or InputError. One thread owns it."""

    @property
    def info(self) -> SourceInfo: ...

    def read(self, timeout: float) -> Shot | None:
        """The next frame; None where the source has come to its end.

        Raises CameraError where none came within `timeout` seconds or the connection broke, InputError for one frame
        that cannot be decoded, after which the next can be asked for.
        """

    def close(self) -> None:
        """Let go of the device. Safe to call twice; takes no longer than a second."""
