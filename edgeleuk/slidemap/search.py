"""Where a picture lies that may lie anywhere: by its pixels against a few landmarks, by its cells against all of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from edgeleuk.slidemap.alignment import alignments
from edgeleuk.slidemap.constellation import Constellation
from edgeleuk.slidemap.islands import COARSER, FRAME, Islands, Landmark
from edgeleuk.slidemap.lookup import Lookup
from edgeleuk.slidemap.registration import Match, Picture, register, register_turned
from edgeleuk.types import Placement

SEARCHED = 40
"""Landmarks that one frame is compared with pixel by pixel: about 10 ms."""
TURNED = 12
"""Landmarks, the newest, that it is also compared with turned: a camera that was put back is seldom straight."""
NEWEST = 3
"""Landmarks, the newest, whose cells are compared however few groups are alike."""
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
PROVEN = 2
"""Alignments with one landmark that are looked at pixel by pixel."""


@dataclass(frozen=True, slots=True)
class Sight:
    """What is known of a picture: its thumbnail ready to be compared, and its cells."""

    picture: Picture
    cells: Constellation


def search(
    islands: Islands, picture: Picture, among: Sequence[Landmark], turned: bool = False
) -> Placement | None:
    """The place of a picture that may be anywhere, by comparing it pixel by pixel with given landmarks."""
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


def _placement(match: Match, picture: Picture) -> Placement:
    """Of a picture that was matched with a landmark, turned around its middle, in the landmark's micrometres."""
    middle = np.array([picture.size]) * picture.um_per_px / 2
    corner = np.array([[match.x, match.y]]) * picture.um_per_px
    turn = Placement(FRAME, 0.0, 0.0, match.angle)
    x, y = (corner + middle - turn.on_island(middle))[0].tolist()
    return replace(turn, x_um=x, y_um=y)


def settled(
    islands: Islands, picture: Picture, landmark: Landmark, place: Placement, within_um: float
) -> tuple[Placement, Match] | None:
    """The exact place on a landmark, its micrometres, of a picture that lies about at `place`; None where its pixels do not
    say so."""
    um, known = islands.um_per_px, islands.picture(landmark)
    askew = abs(place.angle) > STRAIGHT or abs(place.zoom - 1) > STRAIGHT or place.mirrored
    x, y = (0.0, 0.0) if askew else (place.x_um / um, place.y_um / um)
    laid = picture.laid(place, known.size) if askew else picture
    match = register(known, laid, (x, y, within_um / um))
    if match is None:
        return None
    return replace(place, x_um=place.x_um + (match.x - x) * um, y_um=place.y_um + (match.y - y) * um), match


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
    x, y, weight = np.array(told).T
    return replace(
        place, x_um=float(np.average(x, weights=weight)), y_um=float(np.average(y, weights=weight))
    )


def locate(islands: Islands, lookup: Lookup, sight: Sight) -> Placement | None:
    """The place of a still on any island, by its cells; where these tell none, by its pixels on the newest landmarks."""
    found = by_cells(islands, lookup, sight)
    newest = islands.all()[:SEARCHED]
    if found is None and newest:
        found = search(islands, sight.picture, newest)
    if found is None and newest:
        found = search(islands, sight.picture, newest[:TURNED], turned=True)
    return found and refine(islands, sight.picture, found)


def by_cells(islands: Islands, lookup: Lookup, sight: Sight, but: int | None = None) -> Placement | None:
    """The place told by the cells and proven by the pixels, on any island `but` one."""
    best: tuple[float, Placement] | None = None
    for landmark, mirrored in _candidates(islands, lookup, sight.cells, but):
        for alignment in alignments(islands.cells(landmark), sight.cells, mirrored)[:PROVEN]:
            proof = settled(islands, sight.picture, landmark, alignment.place, SLIGHT_UM)
            if proof and (best is None or alignment.odds > best[0]):
                best = alignment.odds, proof[0].carried(landmark.place)
    return best and best[1]


def _candidates(
    islands: Islands, lookup: Lookup, cells: Constellation, but: int | None
) -> Iterator[tuple[Landmark, bool]]:
    """Landmarks to compare cells with, as mirrored or not, each once."""
    own = [each.number for each in islands.landmarks.get(but, ())] if but is not None else []
    found = lookup.candidates(cells, own)
    newest = [(each.number, False) for each in islands.all(but)[:NEWEST]]
    for number, mirrored in dict.fromkeys(found + newest):
        yield islands.numbered(number), mirrored
