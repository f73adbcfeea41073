"""Placement of composite pictures.

Such a picture is a collage, a panorama, or a frame that was shifted around. One placement cannot hold for all
of it. Its other parts are searched for by their cells like the first, and believed only where the pixels are
those of one photograph.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

from edgeleuk.slidemap.alignment import ELSEWHERE_UM, agreement, alignments
from edgeleuk.slidemap.landmarks import Landmarks
from edgeleuk.slidemap.lookup import TURN_ERROR, Candidate, Lookup
from edgeleuk.slidemap.placing import near
from edgeleuk.slidemap.search import ALIKE, SLIGHT_UM, Query, convincing
from edgeleuk.types import Placement

LOOKED_AT = 4
"""Alignments per landmark compared by pixels."""


def other_parts(landmarks: Landmarks, lookup: Lookup, query: Query, place: Placement) -> list[Placement]:
    """Return further placements of a composite picture.

    Args:
        landmarks: Landmarks of the slide.
        lookup: Shapes of the counted fields.
        query: The picture.
        place: Its placement that is known.

    Returns:
        Placements, each true for another part of the picture; mostly none.
    """
    found = [place]
    for candidate in lookup.candidates(query.cells):
        for each in _of(landmarks, candidate, query, place):
            if all(_apart(each, known) for known in found):
                found.append(each)
    return found[1:]


def _of(landmarks: Landmarks, candidate: Candidate, query: Query, place: Placement) -> Iterator[Placement]:
    """Yield other places of the same photograph on a landmark."""
    landmark, turned = landmarks.numbered(candidate.number), (candidate.angle, TURN_ERROR)
    cells = landmarks.cells(landmark)
    but = landmark.relative(place) if landmark.place.island == place.island else None
    for alignment in alignments(cells, query.cells, candidate.mirrored, turned, but)[:LOOKED_AT]:
        for moved, match in near(landmarks, query.picture, landmark, alignment.place, SLIGHT_UM):
            if match.correlation >= ALIKE and convincing(match, agreement(cells, query.cells, moved)):
                yield moved.carried(landmark.place)


def _apart(one: Placement, other: Placement) -> bool:
    return (
        one.island != other.island
        or one.mirrored != other.mirrored
        or math.hypot(one.x_um - other.x_um, one.y_um - other.y_um) > ELSEWHERE_UM
    )
