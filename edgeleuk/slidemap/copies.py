"""Which counted fields show ground of a new one, and which of them are the same photograph again."""

from __future__ import annotations

import math
from dataclasses import dataclass

from edgeleuk.slidemap.islands import Islands, Landmark
from edgeleuk.slidemap.registration import Picture
from edgeleuk.slidemap.search import SLIGHT_UM, settled
from edgeleuk.types import Overlap, Placement

LEAST_SHARED = 0.02
"""Share of the smaller field under which nobody needs to be told."""
WITHIN = 0.93
"""Share of the smaller field that the other one of a copy shows: all but what registration errs at the edges."""
SAME = 0.9
"""Least correlation of a copy, thumbnail against thumbnail."""
BETTER = 1.03
"""Ratio from which on a field covers more, or has finer pixels, than its copy."""


@dataclass(frozen=True, slots=True)
class Neighbour:
    """A counted field that shares ground with a new one."""

    landmark: Landmark
    place: Placement
    """Of the new field, in the landmark's micrometres."""
    shared: float
    """Share of the smaller one's ground that both show."""
    copy: bool
    better: bool
    """Whether the landmark is the better picture of the two, if they are copies."""

    def told(self, number: int) -> Overlap:
        """As the overlap of the new field, by its number."""
        return Overlap(
            number,
            self.landmark.number,
            "copy" if self.copy else "overlap",
            self.shared,
            round(math.degrees(self.place.angle) / 90) % 4 * 90,
            self.place.mirrored,
            self.place.zoom,
        )


def neighbours(islands: Islands, new: Landmark, picture: Picture, copies: bool) -> list[Neighbour]:
    """The counted fields that share ground with a `new` one, which need not be on the map yet. `copies`: the fields are
    pictures of which some may be one photograph; those of a camera never are."""
    points = islands.points(new.size, new.place, new.disc)
    area = islands.area_um2(new)
    found = []
    for landmark in islands.around(new.size, new.place):
        if landmark.number == new.number:
            continue
        shown = float(islands.shows(landmark, points).mean()) * area
        shared = min(1.0, shown / min(area, islands.area_um2(landmark)))
        if shared < LEAST_SHARED:
            continue
        place = landmark.relative(new.place)
        copy = copies and shared >= WITHIN and _same(islands, picture, landmark, place)
        found.append(Neighbour(landmark, place, shared, copy, _better(islands, landmark, new)))
    return found


def _same(islands: Islands, picture: Picture, landmark: Landmark, place: Placement) -> bool:
    """Whether a picture and a landmark are one photograph. Nobody turns a slide upside down: what is mirrored is."""
    proof = settled(islands, picture, landmark, place, SLIGHT_UM)
    return proof is not None and (place.mirrored or proof[1].correlation >= SAME)


def _better(islands: Islands, landmark: Landmark, new: Landmark) -> bool:
    """Whether a landmark is a better picture than its new copy: of more ground, else of finer pixels, else earlier."""
    area, other = islands.area_um2(landmark), islands.area_um2(new)
    if max(area, other) > BETTER * min(area, other):
        return area > other
    pixel, its = landmark.pixel_um * landmark.place.zoom, new.pixel_um * new.place.zoom
    if max(pixel, its) > BETTER * min(pixel, its):
        return pixel < its
    return True
