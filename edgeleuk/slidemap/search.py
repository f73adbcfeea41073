"""Where a picture lies that may lie anywhere: by its cells on the whole map, by its pixels on the newest part of it."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from edgeleuk.slidemap.alignment import agreement, alignments
from edgeleuk.slidemap.constellation import Constellation
from edgeleuk.slidemap.islands import COARSER, Islands, Landmark
from edgeleuk.slidemap.lookup import TURN_ERROR, Candidate, Lookup
from edgeleuk.slidemap.placing import near, placement
from edgeleuk.slidemap.registration import BELIEVED, Match, Picture, candidates
from edgeleuk.types import Placement

NEWEST = 12
"""Landmarks that a still is compared with pixel by pixel, where its cells tell no place: its neighbours, and those of the row
before."""
COMPARED = 2
"""Landmarks, the newest, whose cells it is compared with however few groups of them are alike."""
ZOOMED = 3
"""Landmarks, the newest, that a still is also compared with at other scales."""
ZOOMS = (0.88, 0.92, 0.96, 1.04, 1.08, 1.13)
"""Of one still's own scale to another's, where they show too few cells to tell it."""
SMALL = 20_000
"""Thumbnails of no more pixels are compared as they are, not COARSER: of few cells every detail is needed."""
SLIGHT_UM = 2.5
"""Likewise where the cells tell its place."""
PEAKS = 3
"""Shifts against one landmark that are looked at."""
LOOKED_AT = 2
"""Places on one landmark that are looked at pixel by pixel."""
LEAST_EVIDENCE, LEAST_ROUGH = 2.0, 2.6
"""Of pixels, for the cells to be asked; and of coarse ones, for the fine ones to be."""
WEIGHT = 15.0
"""Least weight of pixels and cells together, see `weight`. Of 400 pairs of unrelated real fields, at any shift and at seven
scales, none reached 12.4."""
SLIGHT_TURN, SLIGHT_ZOOM = math.radians(2), 0.025
"""What the place of few cells may err by."""
AS_WELL = 0.9
"""Share of the weight of a place that a straighter one must have."""
CERTAIN = 100.0
"""Weight from which on no other landmark is looked at."""
MANY = 200
"""Cells of a wide field, as of a 40x objective and a large sensor."""
ALIKE, WEIGHT_OF_ALIKE = 0.9, 8.0
"""Correlation from which on pixels are those of one photograph, and less weight is enough: of those unrelated fields none
reached 0.8 together with 5."""


@dataclass(frozen=True)
class Sight:
    """What is known of a picture: its thumbnail ready to be compared, and its cells."""

    picture: Picture
    cells: Constellation

    @cached_property
    def coarse(self) -> Picture:
        """The picture as it is compared with many landmarks."""
        return self.picture.coarser(COARSER)

    @cached_property
    def zoomed(self) -> tuple[tuple[float, Picture], ...]:
        """The picture at each of ZOOMS, COARSER unless it is SMALL."""
        picture = self.picture if self.small else self.coarse
        return tuple((zoom, picture.enlarged(zoom)) for zoom in ZOOMS)

    @property
    def many(self) -> bool:
        """Whether the picture shows so many cells that these tell its scale, and which fields show them."""
        return len(self.cells) >= MANY

    @property
    def small(self) -> bool:
        """Whether the picture shows few cells."""
        return math.prod(self.picture.size) <= SMALL


@dataclass(frozen=True, slots=True)
class Proof:
    """That a picture lies at a place on a landmark."""

    weight: float
    landmark: Landmark
    place: Placement
    """In the landmark's micrometres."""


def weight(match: Match, odds: float) -> float:
    """What pixels and cells say together of two pictures that lie so: about the logarithm of the odds.

    The evidence of a match is a normal deviate, of a chance of exp(-evidence^2 / 2).
    """
    return match.evidence**2 / 2 + odds


def convincing(match: Match, odds: float) -> bool:
    """Whether pixels and cells are enough to say that two pictures lie so."""
    if match.correlation < BELIEVED or match.evidence < LEAST_EVIDENCE:
        return False
    return weight(match, odds) >= (WEIGHT_OF_ALIKE if match.correlation >= ALIKE else WEIGHT)


def locate(
    islands: Islands, lookup: Lookup, sight: Sight, but: int | None = None, zoomed: bool = True
) -> Placement | None:
    """The place of a picture whose cells are known, on any island `but` one: by its cells on the whole map; where these tell
    none, by its pixels on the newest landmarks, with `zoomed` at other scales too."""
    found = by_cells(islands, lookup, sight, but)
    at_other_scales = ZOOMED if zoomed and not sight.many else 0
    found = found or by_pixels(islands, sight, islands.all(but)[:NEWEST], at_other_scales)
    return _straightened(islands, sight, found) if found else None


def by_cells(islands: Islands, lookup: Lookup, sight: Sight, but: int | None = None) -> Proof | None:
    """The place told by the cells and proven by the pixels."""
    own = islands.numbers(but) if but is not None else []
    # Fields of many cells are candidates where they share ground, or their pixels tell it.
    newest = [] if sight.many else [Candidate(each.number, False) for each in islands.all(but)[:COMPARED]]
    proofs: list[Proof] = []
    for candidate in dict.fromkeys(lookup.candidates(sight.cells, own) + newest):
        landmark, turned = islands.numbered(candidate.number), (candidate.angle, TURN_ERROR)
        cells = islands.cells(landmark)
        for alignment in alignments(cells, sight.cells, candidate.mirrored, turned)[:LOOKED_AT]:
            proofs += _proofs(islands, sight, landmark, alignment.place, SLIGHT_UM)
        if any(proof.weight >= CERTAIN for proof in proofs):
            break
    return _heaviest(proofs)


def by_pixels(islands: Islands, sight: Sight, among: Sequence[Landmark], zoomed: int = 0) -> Proof | None:
    """The place told by the pixels on given landmarks, the newest first, with which the cells agree; on so many of them also
    `zoomed`."""
    within = 2.0 * COARSER * islands.um_per_px
    proofs: list[Proof] = []
    for i, landmark in enumerate(among):
        for place in _rough(islands, sight, landmark, zoomed=i < zoomed):
            proofs += _proofs(islands, sight, landmark, place, within)
    return _heaviest(proofs)


def _heaviest(proofs: Sequence[Proof]) -> Proof | None:
    return max(proofs, key=lambda proof: proof.weight, default=None)


def _proofs(
    islands: Islands, sight: Sight, landmark: Landmark, place: Placement, within_um: float
) -> Iterator[Proof]:
    """What speaks for places near one on a landmark, its micrometres, where pixels and cells together are convincing."""
    cells = islands.cells(landmark)
    for moved, match in near(islands, sight.picture, landmark, place, within_um):
        odds = agreement(cells, sight.cells, moved)
        if convincing(match, odds):
            yield Proof(weight(match, odds), landmark, moved)


def _straightened(islands: Islands, sight: Sight, proof: Proof) -> Placement:
    """The place on the island, turned by nothing but quarters and not enlarged where that is as well proven: what cells tell
    of both is off by a degree and by a hundredth, and adds up over the pictures of a row."""
    place, landmark = proof.place, proof.landmark
    quarter = round(place.angle / (math.pi / 2)) * math.pi / 2
    turns = [quarter] if abs(place.angle - quarter) <= SLIGHT_TURN else []
    zooms = [1.0] if abs(place.zoom - 1) <= SLIGHT_ZOOM else []
    variants = itertools.product([*turns, place.angle], [*zooms, place.zoom])
    points = islands.points(sight.picture.size, place)
    shown = landmark.size * np.array(islands.um_per_px)
    common = points[((points >= 0) & (points < shown)).all(axis=1)]
    middle = (common if len(common) else points).mean(axis=0, keepdims=True)
    for angle, zoom in list(variants)[:-1]:
        turned = replace(place, angle=angle, zoom=zoom)
        x, y = (middle - turned.on_island(place.in_frame(middle)))[0].tolist()
        moved = replace(turned, x_um=turned.x_um + x, y_um=turned.y_um + y)
        found = _heaviest(list(_proofs(islands, sight, landmark, moved, SLIGHT_UM)))
        if found and found.weight >= AS_WELL * proof.weight:
            return found.place.carried(landmark.place)
    return place.carried(landmark.place)


def _rough(islands: Islands, sight: Sight, landmark: Landmark, zoomed: bool) -> list[Placement]:
    """Where a picture may lie on a landmark, its micrometres: what is worth a closer look, at the picture's own scale and
    with `zoomed` at others."""
    small = zoomed and sight.small
    known = islands.picture(landmark) if small else islands.coarse(landmark)
    own = sight.picture if small else sight.coarse
    found = [
        (match.evidence, placement(match, picture, zoom))
        for zoom, picture in ((1.0, own), *(sight.zoomed if zoomed else ()))
        for match in candidates(known, picture, most=PEAKS)
        if match.correlation >= BELIEVED and match.evidence >= LEAST_ROUGH
    ]
    return [place for _, place in sorted(found, key=lambda each: -each[0])[:LOOKED_AT]]
