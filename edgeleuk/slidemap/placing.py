"""The exact place of a picture, by its pixels against landmarks that are known to be near, or that may be."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

import numpy as np

from edgeleuk.slidemap.islands import COARSER, FRAME, Islands, Landmark
from edgeleuk.slidemap.registration import Match, Picture, candidates, register, register_turned
from edgeleuk.types import Placement

SEARCHED = 40
"""Landmarks that one frame is compared with pixel by pixel: about 10 ms."""
TURNED = 12
"""Landmarks, the newest, that it is also compared with turned: a camera that was put back is seldom straight."""
NEAR_UM = 6.0
"""How far from where it should be a frame is looked for on a landmark: the sum of many small errors is less."""
PLACES = 2
"""That are looked at there: nearly always the first one is it."""
LANDMARKS = 3
"""That a frame's place is averaged over."""
USEFUL = 0.2
"""Share of a frame that a landmark must cover to place it."""
STRAIGHT = 1e-3
"""Pictures that are turned or enlarged against each other by less are compared as they are."""


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
    fine = settled(islands, picture, landmark, placement(rough, coarse), 2.0 * coarse.um_per_px)
    return fine and fine[0].carried(landmark.place)


def _best(
    among: Sequence[Landmark], compare: Callable[[Landmark], Match | None]
) -> tuple[Match, Landmark] | None:
    """The landmark that is matched on most evidence, with its match."""
    matches = ((compare(landmark), landmark) for landmark in among)
    believed = [(match, landmark) for match, landmark in matches if match]
    return max(believed, key=lambda each: each[0].evidence, default=None)


def placement(match: Match, picture: Picture, zoom: float = 1.0) -> Placement:
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
    believed = [each for each in near(islands, picture, landmark, place, within_um) if each[1].believed]
    return max(believed, key=lambda each: each[1].evidence, default=None)


def near(
    islands: Islands,
    picture: Picture,
    landmark: Landmark,
    place: Placement,
    within_um: float,
) -> Iterator[tuple[Placement, Match]]:
    """The likeliest PLACES near one on a landmark, its micrometres, with what the pixels say of each."""
    um, known = islands.um_per_px, islands.picture(landmark)
    askew = abs(place.angle) > STRAIGHT or abs(place.zoom - 1) > STRAIGHT or place.mirrored
    x, y = (0.0, 0.0) if askew else (place.x_um / um, place.y_um / um)
    laid = picture.laid(place, known.size) if askew else picture
    for match in candidates(known, laid, (x, y, within_um / um), PLACES):
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
