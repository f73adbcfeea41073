"""Exact placement of pictures by their pixels.

They are compared with landmarks that are known to be near, or that may be.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

import numpy as np

from edgeleuk.slidemap.landmarks import COARSER, FRAME, Landmark, Landmarks
from edgeleuk.slidemap.registration import Match, Picture, candidates, register, register_turned
from edgeleuk.types import Placement

SEARCHED = 40
"""Landmarks that one frame is compared with by pixels.

About 10 ms.
"""
TURNED = 12
"""Newest landmarks that a turned frame is compared with.

A camera that was put back is seldom straight.
"""
NEAR_UM = 6.0
"""Search radius around an expected place, um.

The sum of many small errors is less.
"""
PLACES = 2
"""Number of places examined near an expected one.

Nearly always the first one is right.
"""
LANDMARKS = 3
"""Number of landmarks that a place is averaged over."""
USEFUL = 0.2
"""Minimum share of a frame that a landmark must cover.

Otherwise it does not place the frame.
"""
STRAIGHT = 1e-3
"""Maximum turn and zoom that comparisons ignore.

Pictures that differ by less are compared as they are.
"""


def search(
    landmarks: Landmarks, picture: Picture, among: Sequence[Landmark], turned: bool = False
) -> Placement | None:
    """Find a picture on given landmarks by its pixels.

    For a picture whose cells are not known.

    Args:
        landmarks: Landmarks of the slide.
        picture: The picture's thumbnail.
        among: Landmarks to compare it with.
        turned: Whether to also turn the picture by a few degrees if it is not found as it is.

    Returns:
        Its place on an island; None if it is not found.
    """
    coarse = picture.coarser(COARSER)
    found = _best(among, lambda landmark: register(landmarks.coarse(landmark), coarse))
    if found is None and turned:
        found = _best(among, lambda landmark: register_turned(landmarks.coarse(landmark), coarse))
    if found is None:
        return None
    rough, landmark = found
    fine = refine_on(landmarks, picture, landmark, placement(rough, coarse), 2.0 * coarse.um_per_px)
    return fine and fine[0].carried(landmark.place)


def _best(
    among: Sequence[Landmark], compare: Callable[[Landmark], Match | None]
) -> tuple[Match, Landmark] | None:
    """Return the match with most evidence, and its landmark."""
    matches = ((compare(landmark), landmark) for landmark in among)
    believed = [(match, landmark) for match, landmark in matches if match]
    return max(believed, key=lambda each: each[0].evidence, default=None)


def placement(match: Match, picture: Picture, zoom: float = 1.0) -> Placement:
    """Convert a match with a landmark to a placement.

    Args:
        match: The match.
        picture: The picture that was matched, turned around its middle.
        zoom: Zoom of the picture.

    Returns:
        Placement in the landmark's micrometres.
    """
    middle = np.array([picture.size]) * picture.um_per_px / 2
    corner = np.array([[match.x, match.y]]) * picture.um_per_px
    turn = Placement(FRAME, 0.0, 0.0, match.angle)
    x, y = (corner + middle - turn.on_island(middle))[0].tolist()
    return replace(turn, x_um=x, y_um=y, zoom=zoom)


def refine_on(
    landmarks: Landmarks, picture: Picture, landmark: Landmark, place: Placement, within_um: float
) -> tuple[Placement, Match] | None:
    """Find a picture's exact place near a known one.

    Args:
        landmarks: Landmarks of the slide.
        picture: The picture's thumbnail.
        landmark: Landmark to compare it with.
        place: Approximate place, in the landmark's micrometres.
        within_um: Search radius, um.

    Returns:
        Place in the landmark's micrometres and match; None if the pixels do not confirm one.
    """
    believed = [each for each in near(landmarks, picture, landmark, place, within_um) if each[1].believed]
    return max(believed, key=lambda each: each[1].evidence, default=None)


def near(
    landmarks: Landmarks,
    picture: Picture,
    landmark: Landmark,
    place: Placement,
    within_um: float,
) -> Iterator[tuple[Placement, Match]]:
    """Yield likely places near a known one.

    PLACES at most, the likeliest first.

    Args:
        landmarks: Landmarks of the slide.
        picture: The picture's thumbnail.
        landmark: Landmark to compare it with.
        place: Approximate place, in the landmark's micrometres.
        within_um: Search radius, um.

    Yields:
        Place in the landmark's micrometres, and its match by pixels.
    """
    um, known = landmarks.um_per_px, landmarks.picture(landmark)
    askew = abs(place.angle) > STRAIGHT or abs(place.zoom - 1) > STRAIGHT or place.mirrored
    x, y = (0.0, 0.0) if askew else (place.x_um / um, place.y_um / um)
    laid = picture.laid(place, known.size) if askew else picture
    for match in candidates(known, laid, (x, y, within_um / um), PLACES):
        moved = replace(place, x_um=place.x_um + (match.x - x) * um, y_um=place.y_um + (match.y - y) * um)
        yield moved, match


def refine(landmarks: Landmarks, picture: Picture, place: Placement) -> Placement:
    """Refine a place by its landmarks.

    By those that should show it.

    Args:
        landmarks: Landmarks of the slide.
        picture: The picture's thumbnail.
        place: Its approximate place.

    Returns:
        The refined place, or `place` if no landmark tells it.
    """
    points = landmarks.points(picture.size, place)
    shares = [
        (float(landmarks.shows(each, points).mean()), each) for each in landmarks.around(picture.size, place)
    ]
    useful = sorted((pair for pair in shares if pair[0] >= USEFUL), key=lambda pair: -pair[0])[:LANDMARKS]
    told: list[tuple[float, float, float]] = []
    for share, landmark in useful:
        if fine := refine_on(landmarks, picture, landmark, landmark.relative(place), NEAR_UM):
            there = fine[0].carried(landmark.place)
            told.append((there.x_um, there.y_um, share))
    if not told:
        return place
    x, y, weights = np.array(told).T
    return replace(
        place, x_um=float(np.average(x, weights=weights)), y_um=float(np.average(y, weights=weights))
    )
