"""Detection of overlapping and copied fields.

A copy is the same photograph again.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from edgeleuk.slidemap.landmarks import Landmark, Landmarks
from edgeleuk.slidemap.placing import refine_on
from edgeleuk.slidemap.registration import Picture
from edgeleuk.slidemap.search import SLIGHT_UM
from edgeleuk.types import Overlap, Placement

LEAST_SHARED = 0.02
"""Minimum shared area of a reported overlap.

As a share of the smaller field.
"""
WITHIN = 0.93
"""Minimum shared area of copies of the same area.

As a share of the smaller field: all but the errors of registration at the edges.
"""
SAME = 0.9
"""Minimum correlation of a copy's thumbnails.

Copies that were sent, turned, enlarged or edited have 0.98 to 0.99, crops that were turned, enlarged and
blurred 0.86 and more. Another photograph that shows nothing but the same place has as much, and nothing tells
it from a copy.
"""
BETTER = 1.03
"""Minimum ratio of pixel sizes that makes one finer.

Between a field and its copy.
"""


@dataclass(frozen=True, slots=True)
class Neighbour:
    """Counted field that shares area with a new one."""

    landmark: Landmark
    place: Placement
    """Placement of the new field, in the landmark's micrometres."""
    shared: float
    """Shared area, as a share of the smaller field."""
    copy: bool
    """Whether both come from one photograph."""
    better: bool
    """Whether the landmark is the better of two copies."""

    @property
    def same_ground(self) -> bool:
        """Whether both are copies of nearly the same area.

        One of them shows hardly anything beyond the other.
        """
        return self.copy and self.shared >= WITHIN

    def told(self, number: int) -> Overlap:
        """Return the overlap with the new field, by its number."""
        quarters = round(self.place.angle / (math.pi / 2))
        return Overlap(
            number,
            self.landmark.number,
            "copy" if self.copy else "overlap",
            self.shared,
            (quarters if self.place.mirrored else -quarters) % 4 * 90,
            self.place.mirrored,
            self.place.zoom,
        )


def neighbours(landmarks: Landmarks, new: Landmark, picture: Picture, copies: bool) -> list[Neighbour]:
    """Return counted fields that share area with a new one.

    Args:
        landmarks: Landmarks of the slide.
        new: The new field, which need not be on the map yet.
        picture: Its thumbnail, ready to be compared.
        copies: Whether the fields are pictures of which some may be one photograph; those of a camera never
            are.
    """
    found = []
    for landmark in landmarks.around(new.size, new.place):
        if landmark.number == new.number:
            continue
        mine, its = landmarks.share(new, landmark), landmarks.share(landmark, new)
        if max(mine, its) < LEAST_SHARED:
            continue
        place = landmark.relative(new.place)
        copy = copies and _same(landmarks, picture, landmark, place, max(mine, its))
        better = _better(mine, its, new.pixel_um * place.zoom, landmark.pixel_um)
        found.append(Neighbour(landmark, place, max(mine, its), copy, better))
    return found


def _same(
    landmarks: Landmarks, picture: Picture, landmark: Landmark, place: Placement, shared: float
) -> bool:
    """Return whether two pictures are one photograph.

    True if one is mirrored, since nobody looks at a slide from below; or if both show the same area and are
    alike.
    """
    if place.mirrored or shared < WITHIN:
        return place.mirrored
    proof = refine_on(landmarks, picture, landmark, place, SLIGHT_UM)
    return proof is not None and proof[1].correlation >= SAME


def _better(mine: float, its: float, pixel_um: float, its_pixel_um: float) -> bool:
    """Return whether a landmark beats its copy.

    By larger area, else by finer pixels, else because it is earlier. `mine` and `its` are the shares of each
    that the other one shows.
    """
    if min(mine, its) < WITHIN:
        return mine > its
    if max(pixel_um, its_pixel_um) > BETTER * min(pixel_um, its_pixel_um):
        return its_pixel_um < pixel_um
    return True
