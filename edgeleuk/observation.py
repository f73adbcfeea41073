"""A frame with what is measured on it before anything is searched: computed once a frame, and handed down."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

from edgeleuk.assessment import Measures, look_measures
from edgeleuk.bars import find_view
from edgeleuk.eyepiece import middle
from edgeleuk.quality import Look, look
from edgeleuk.types import Aperture, Frame


@dataclass(frozen=True, slots=True)
class Observation:
    """A frame with its field of view and its image statistics."""

    frame: Frame
    """As the source gave it, before a profile corrects light and stain: what the camera recorded tells whether it is
    dark or overexposed."""
    field_of_view: Aperture | None
    """What of the frame shows the slide, frame pixels; None where all of it does."""
    look: Look
    """Of the middle of the field of view."""

    @classmethod
    def of(cls, frame: Frame) -> Self:
        """Observe a frame. Takes 12 ms for 1280 x 720 on one core of a laptop."""
        return cls.within(frame, find_view(frame.pixels))

    @classmethod
    def within(cls, frame: Frame, field_of_view: Aperture | None) -> Self:
        """Observe a frame of which the field of view is known, as in a stream whose camera does not move."""
        return cls(frame, field_of_view, look(middle(frame.pixels, field_of_view)[0]))

    @property
    def measures(self) -> Measures:
        """What the rules of `quality.toml` can judge before any cell is found."""
        return look_measures(self.look)
