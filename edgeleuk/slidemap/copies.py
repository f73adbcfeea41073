"""Which counted fields show ground of a new one, and which of them are the same photograph again."""

from __future__ import annotations

import math
from dataclasses import dataclass

from edgeleuk.slidemap.islands import Islands, Landmark
from edgeleuk.slidemap.placing import settled
from edgeleuk.slidemap.registration import Picture
from edgeleuk.slidemap.search import SLIGHT_UM
from edgeleuk.types import Overlap, Placement

LEAST_SHARED = 0.02
"""Share of the smaller field under which nobody needs to be told."""
WITHIN = 0.93
"""Share of the smaller field that the other one of a copy shows: all but what registration errs at the edges."""
SAME = 0.9
"""Least correlation of a copy, thumbnail against thumbnail: of copies sent, turned, enlarged or edited 0.98 to 0.99, of crops
that were turned, enlarged and blurred 0.86 and more. Another photograph that shows nothing but the same place has as much,
and nothing tells it from a copy."""
BETTER = 1.03
"""Ratio from which on a field has finer pixels than its copy."""


@dataclass(frozen=True, slots=True)
class Neighbour:
    """A counted field that shares ground with a new one."""

    landmark: Landmark
    place: Placement
    """Of the new field, in the landmark's micrometres."""
    shared: float
    """Share of the smaller one's ground that both show."""
    copy: bool
    """Whether both are of one photograph."""
    better: bool
    """Whether the landmark is the better picture of the two, if they are copies."""

    @property
    def same_ground(self) -> bool:
        """Whether both are of one photograph, and one of them shows hardly anything beyond the other."""
        return self.copy and self.shared >= WITHIN

    def told(self, number: int) -> Overlap:
        """As the overlap of the new field, by its number."""
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


def neighbours(islands: Islands, new: Landmark, picture: Picture, copies: bool) -> list[Neighbour]:
    """The counted fields that share ground with a `new` one, which need not be on the map yet. `copies`: the fields are
    pictures of which some may be one photograph; those of a camera never are."""
    found = []
    for landmark in islands.around(new.size, new.place):
        if landmark.number == new.number:
            continue
        mine, its = islands.share(new, landmark), islands.share(landmark, new)
        if max(mine, its) < LEAST_SHARED:
            continue
        place = landmark.relative(new.place)
        copy = copies and _same(islands, picture, landmark, place, max(mine, its))
        better = _better(mine, its, new.pixel_um * place.zoom, landmark.pixel_um)
        found.append(Neighbour(landmark, place, max(mine, its), copy, better))
    return found


def _same(islands: Islands, picture: Picture, landmark: Landmark, place: Placement, shared: float) -> bool:
    """Whether a picture and a landmark are one photograph: mirrored, for nobody looks at a slide from below; or of one ground
    and alike."""
    if place.mirrored or shared < WITHIN:
        return place.mirrored
    proof = settled(islands, picture, landmark, place, SLIGHT_UM)
    return proof is not None and proof[1].correlation >= SAME


def _better(mine: float, its: float, pixel_um: float, its_pixel_um: float) -> bool:
    """Whether a landmark is a better picture than its new copy: of more ground, else of finer pixels, else earlier. `mine`
    and `its`: the share of each that the other one shows."""
    if min(mine, its) < WITHIN:
        return mine > its
    if max(pixel_um, its_pixel_um) > BETTER * min(pixel_um, its_pixel_um):
        return its_pixel_um < pixel_um
    return True
