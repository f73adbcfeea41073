"""Tracking of the view from frame to frame."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import islice

import numpy as np

from edgeleuk.slidemap.landmarks import Landmark, Landmarks
from edgeleuk.slidemap.placing import SEARCHED, TURNED, refine, search
from edgeleuk.slidemap.registration import Match, Picture, register
from edgeleuk.types import FieldOfView, Placement

STILL_UM = 0.15
"""Maximum movement that is registration error, um.

Between two frames; the place of the frame before then holds.
"""


class Tracker:
    """Tracker of the view across frames.

    It finds the view again where it was lost.
    """

    def __init__(self, landmarks: Landmarks, stills: bool = False) -> None:
        """Start without a place.

        `stills` means that each frame may lie anywhere, and its place must be known at once.
        """
        self.landmarks = landmarks
        self._stills = stills
        self._last: Picture | None = None
        self._place: Placement | None = None
        self._unsearched: Iterator[Landmark] | None = None

    def follow(self, picture: Picture, field_of_view: FieldOfView | None = None) -> Placement:
        """Return the place of a frame.

        `field_of_view` is as in `Landmarks.new_ground`. While a lost view is searched for, `moved_um` is None and the
        place means nothing.
        """
        # If the camera changed its resolution, or the scale is another one, the last frame cannot be compared.
        alike = self._last is not None and self._last.size == picture.size
        step = register(self._last, picture) if self._last and alike else None
        moved = float(np.hypot(step.x, step.y)) * self.landmarks.um_per_px if step else None
        if step is None or self._place is None:
            self._place = self._locate(picture, step)
        elif moved is not None and moved > STILL_UM:
            self._place = self._stepped(self._place, step)
            self._place = refine(self.landmarks, picture, self._place)
        self._last = picture
        if self._place is None:
            return Placement(0, 0.0, 0.0, new_ground=0.0, moved_um=None)
        ground = self.landmarks.new_ground(picture, self._place, field_of_view)
        return replace(self._place, new_ground=ground, moved_um=moved)

    def moved_to(self, place: Placement | None) -> None:
        """Set the place after the map changed.

        Two islands were joined, or a field was taken back.
        """
        self._place, self._unsearched = place, None
        if place is None:
            self._last = None

    @property
    def place(self) -> Placement | None:
        """Place of the last frame; None while searching."""
        return self._place

    def _stepped(self, place: Placement, step: Match) -> Placement:
        um = self.landmarks.um_per_px
        x, y = place.on_island(np.array([[step.x * um, step.y * um]]))[0].tolist()
        return replace(place, x_um=x, y_um=y)

    def _locate(self, picture: Picture, step: Match | None) -> Placement | None:
        """Search the next part of the map.

        For a lost view, a part of the map a frame; None while there is more to search. For a still only the
        newest part is searched.
        """
        if step is None or self._unsearched is None:
            self._unsearched = iter(self.landmarks.all())
        part = list(islice(self._unsearched, SEARCHED))
        found = search(self.landmarks, picture, part) if part else None
        if found is None and len(part) == SEARCHED and not self._stills:
            return None
        if found is None and (newest := self.landmarks.all()[:TURNED]):
            found = search(self.landmarks, picture, newest, turned=True)
        self._unsearched = None
        return refine(self.landmarks, picture, found or self.landmarks.new_place())
