"""Pictures that were put together from parts of another one: a collage, a panorama, a frame that was shifted around.

One placement cannot hold for all of such a picture. Its other parts are looked for by their cells like the first, and
believed only where the pixels are those of one photograph.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

from edgeleuk.slidemap.alignment import ELSEWHERE_UM, agreement, alignments
from edgeleuk.slidemap.islands import Islands
from edgeleuk.slidemap.lookup import TURN_ERROR, Candidate, Lookup
from edgeleuk.slidemap.placing import near
from edgeleuk.slidemap.search import ALIKE, SLIGHT_UM, Sight, convincing
from edgeleuk.types import Placement

LOOKED_AT = 4
"""Alignments with one landmark that are compared pixel by pixel."""


def other_parts(islands: Islands, lookup: Lookup, sight: Sight, place: Placement) -> list[Placement]:
    """Further placements of a picture that lies at `place`, each true for another part of it; mostly none."""
    found = [place]
    for candidate in lookup.candidates(sight.cells):
        for each in _of(islands, candidate, sight, place):
            if all(_apart(each, known) for known in found):
                found.append(each)
    return found[1:]


def _of(islands: Islands, candidate: Candidate, sight: Sight, place: Placement) -> Iterator[Placement]:
    """Where else than at `place` one landmark shows the same photograph."""
    landmark, turned = islands.numbered(candidate.number), (candidate.angle, TURN_ERROR)
    cells = islands.cells(landmark)
    but = landmark.relative(place) if landmark.place.island == place.island else None
    for alignment in alignments(cells, sight.cells, candidate.mirrored, turned, but)[:LOOKED_AT]:
        for moved, match in near(islands, sight.picture, landmark, alignment.place, SLIGHT_UM):
            if match.correlation >= ALIKE and convincing(match, agreement(cells, sight.cells, moved)):
                yield moved.carried(landmark.place)


def _apart(one: Placement, other: Placement) -> bool:
    return (
        one.island != other.island
        or one.mirrored != other.mirrored
        or math.hypot(one.x_um - other.x_um, one.y_um - other.y_um) > ELSEWHERE_UM
    )
