"""Where a picture lies that may lie anywhere: by its cells on the whole map, by its pixels on the newest part of it."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from edgeleuk.slidemap.alignment import agreement, alignments
from edgeleuk.slidemap.constellation import Constellation
from edgeleuk.slidemap.islands import COARSER, FRAME, Islands, Landmark
from edgeleuk.slidemap.lookup import Lookup
from edgeleuk.slidemap.registration import (
    BELIEVED,
    Match,
    Picture,
    candidates,
    register,
    register_turned,
)
from edgeleuk.types import Placement

SEARCHED = 40
"""Landmarks that one frame is compared with pixel by pixel: about 10 ms."""
TURNED = 12
"""Landmarks, the newest, that it is also compared with turned: a camera that was put back is seldom straight."""
NEWEST = 20
"""Landmarks that a still is compared with pixel by pixel, where its cells tell no place: its neighbours, and those of the row
before."""
ZOOMED = 3
"""Landmarks, the newest, that a still is also compared with at other scales."""
ZOOMS = (0.88, 0.92, 0.96, 1.04, 1.08, 1.13)
"""Of one still's own scale to another's, where they show too few cells to tell it."""
SMALL = 20_000
"""Thumbnails of no more pixels are compared as they are, not COARSER: of few cells every detail is needed."""
NEAR_UM = 6.0
"""How far from where it should be a frame is looked for on a landmark: the sum of many small errors is less."""
SLIGHT_UM = 2.5
"""Likewise where the cells tell its place."""
LANDMARKS = 3
"""That a frame's place is averaged over."""
USEFUL = 0.2
"""Share of a frame that a landmark must cover to place it."""
STRAIGHT = 1e-3
"""Pictures that are turned or enlarged against each other by less are compared as they are."""
LOOKED_AT = 2
"""Places on one landmark that are looked at pixel by pixel."""
LEAST_EVIDENCE, LEAST_ROUGH = 2.0, 2.6
"""Of pixels, for the cells to be asked; and of coarse ones, for the fine ones to be."""
WEIGHT = 15.0
"""Least weight of pixels and cells together, see `weight`. Of 400 pairs of unrelated real fields, at any shift and at seven
scales, none reached 12.4."""
CERTAIN = 100.0
"""Weight from which on no other landmark is looked at."""
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
    def small(self) -> bool:
        """Whether the picture shows few cells."""
        return math.prod(self.picture.size) <= SMALL


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


def search(
    islands: Islands, picture: Picture, among: Sequence[Landmark], turned: bool = False
) -> Placement | None:
    """The place of a picture whose cells are not known, by comparing it pixel by pixel with given landmarks."""
    coarse = picture.coarser(COARSER)
    found = _best(among, lambda landmark: register(islands.coarse(landmark), coarse))
    if found is None and turned:
        found = _best(among, lambda landmark: register_turned(islands.coarse(landmark), coarse))
    if found is None:
        return None
    rough, landmark = found
    fine = settled(islands, picture, landmark, _placement(rough, coarse), 2.0 * coarse.um_per_px)
    return fine and fine[0].carried(landmark.place)


def _best(
    among: Sequence[Landmark], compare: Callable[[Landmark], Match | None]
) -> tuple[Match, Landmark] | None:
    """The landmark that is matched on most evidence, with its match."""
    matches = ((compare(landmark), landmark) for landmark in among)
    believed = [(match, landmark) for match, landmark in matches if match]
    return max(believed, key=lambda each: each[0].evidence, default=None)


def _placement(match: Match, picture: Picture, zoom: float = 1.0) -> Placement:
    """Of a picture that was matched with a landmark, turned around its middle, in the landmark's micrometres."""
    middle = np.array([picture.size]) * picture.um_per_px / 2
    corner = np.array([[match.x, match.y]]) * picture.um_per_px
    turn = Placement(FRAME, 0.0, 0.0, match.angle)
    x, y = (corner + middle - turn.on_island(middle))[0].tolist()
    return replace(turn, x_um=x, y_um=y, zoom=zoom)


def settled(
    islands: Islands, picture: Picture, landmark: Landmark, place: Placement, within_um: float
) -> tuple[Placement, Match] | None:
    """The exact place on a landmark, its micrometres, of a picture that lies about at `place`; None where its pixels do not
    say so."""
    believed = [
        each for each in near_places(islands, picture, landmark, place, within_um) if each[1].believed
    ]
    return max(believed, key=lambda each: each[1].evidence, default=None)


def near_places(
    islands: Islands, picture: Picture, landmark: Landmark, place: Placement, within_um: float
) -> Iterator[tuple[Placement, Match]]:
    """Places near one on a landmark, its micrometres, that the pixels speak for."""
    um, known = islands.um_per_px, islands.picture(landmark)
    askew = abs(place.angle) > STRAIGHT or abs(place.zoom - 1) > STRAIGHT or place.mirrored
    x, y = (0.0, 0.0) if askew else (place.x_um / um, place.y_um / um)
    laid = picture.laid(place, known.size) if askew else picture
    for match in candidates(known, laid, (x, y, within_um / um), LEAST_EVIDENCE):
        moved = replace(place, x_um=place.x_um + (match.x - x) * um, y_um=place.y_um + (match.y - y) * um)
        yield moved, match


def refine(islands: Islands, picture: Picture, place: Placement) -> Placement:
    """The place told by the landmarks that should show it, or as it is where none does."""
    points = islands.points(picture.size, place)
    shares = [
        (float(islands.shows(each, points).mean()), each) for each in islands.around(picture.size, place)
    ]
    useful = sorted((pair for pair in shares if pair[0] >= USEFUL), key=lambda pair: -pair[0])[:LANDMARKS]
    told: list[tuple[float, float, float]] = []
    for share, landmark in useful:
        if fine := settled(islands, picture, landmark, landmark.relative(place), NEAR_UM):
            there = fine[0].carried(landmark.place)
            told.append((there.x_um, there.y_um, share))
    if not told:
        return place
    x, y, weights = np.array(told).T
    return replace(
        place, x_um=float(np.average(x, weights=weights)), y_um=float(np.average(y, weights=weights))
    )


def locate(
    islands: Islands, lookup: Lookup, sight: Sight, but: int | None = None, zoomed: bool = True
) -> Placement | None:
    """The place of a picture whose cells are known, on any island `but` one: by its cells on the whole map; where these tell
    none, by its pixels on the newest landmarks, with `zoomed` at other scales too."""
    found = by_cells(islands, lookup, sight, but)
    return found or by_pixels(islands, sight, islands.all(but)[:NEWEST], ZOOMED if zoomed else 0)


def by_cells(islands: Islands, lookup: Lookup, sight: Sight, but: int | None = None) -> Placement | None:
    """The place told by the cells and proven by the pixels."""
    own = [each.number for each in islands.landmarks.get(but, ())] if but is not None else []
    proofs: list[Proof] = []
    for number, mirrored in lookup.candidates(sight.cells, own):
        landmark = islands.numbered(number)
        for alignment in alignments(islands.cells(landmark), sight.cells, mirrored)[:LOOKED_AT]:
            proofs += _proofs(islands, sight, landmark, alignment.place, SLIGHT_UM)
        if any(each[0] >= CERTAIN for each in proofs):
            break
    return _heaviest(proofs)


def by_pixels(islands: Islands, sight: Sight, among: Sequence[Landmark], zoomed: int = 0) -> Placement | None:
    """The place told by the pixels on given landmarks, the newest first, with which the cells agree; on so many of them also
    `zoomed`."""
    within = 2.0 * COARSER * islands.um_per_px
    proofs: list[Proof] = []
    for i, landmark in enumerate(among):
        for place in _rough(islands, sight, landmark, zoomed=i < zoomed):
            proofs += _proofs(islands, sight, landmark, place, within)
    return _heaviest(proofs)


Proof = tuple[float, Placement]
"""Weight of what speaks for a place on an island, and the place."""


def _heaviest(proofs: Sequence[Proof]) -> Placement | None:
    return max(proofs, key=lambda each: each[0])[1] if proofs else None


def _proofs(
    islands: Islands, sight: Sight, landmark: Landmark, place: Placement, within_um: float
) -> Iterator[Proof]:
    """What speaks for places near one on a landmark, its micrometres, where pixels and cells together are convincing."""
    cells = islands.cells(landmark)
    for moved, match in near_places(islands, sight.picture, landmark, place, within_um):
        odds = agreement(cells, sight.cells, moved)
        if convincing(match, odds):
            yield weight(match, odds), moved.carried(landmark.place)


def _rough(islands: Islands, sight: Sight, landmark: Landmark, zoomed: bool) -> list[Placement]:
    """Where a picture may lie on a landmark, its micrometres: what is worth a closer look, at the picture's own scale and
    with `zoomed` at others."""
    small = zoomed and sight.small
    known = islands.picture(landmark) if small else islands.coarse(landmark)
    own = sight.picture if small else sight.coarse
    found = [
        (match.evidence, _placement(match, picture, zoom))
        for zoom, picture in ((1.0, own), *(sight.zoomed if zoomed else ()))
        for match in candidates(known, picture, least=LEAST_ROUGH)
        if match.correlation >= BELIEVED and match.evidence >= LEAST_ROUGH
    ]
    return [place for _, place in sorted(found, key=lambda each: -each[0])[:LOOKED_AT]]
