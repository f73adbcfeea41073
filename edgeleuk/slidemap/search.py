"""Search for a picture's place.

It is searched by its cells on the whole map, and by its pixels on the newest part of it.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from edgeleuk.slidemap.alignment import agreement, alignments
from edgeleuk.slidemap.constellation import Constellation
from edgeleuk.slidemap.landmarks import COARSER, Landmark, Landmarks
from edgeleuk.slidemap.lookup import TURN_ERROR, Candidate, Lookup
from edgeleuk.slidemap.placing import near, placement
from edgeleuk.slidemap.registration import BELIEVED, Match, Picture, candidates
from edgeleuk.types import Placement

NEWEST = 12
"""Number of newest landmarks compared by pixels.

With a still whose cells tell no place: its neighbours, and those of the row before.
"""
COMPARED = 2
"""Number of newest landmarks compared by cells.

They are always compared, however few groups of their cells are alike.
"""
ZOOMED = 3
"""Number of newest landmarks compared rescaled.

With a still at other scales.
"""
ZOOMS = (0.88, 0.92, 0.96, 1.04, 1.08, 1.13)
"""Scales of a still relative to another's, to try.

Used if they show too few cells to tell it.
"""
SMALL = 20_000
"""Maximum pixels of a thumbnail compared at full resolution.

Larger ones are compared COARSER. With few cells every detail is needed.
"""
SLIGHT_UM = 2.5
"""Search radius where the cells tell the place, um."""
PEAKS = 3
"""Number of shifts examined on one landmark."""
LOOKED_AT = 2
"""Number of places compared by pixels on one landmark."""
LEAST_EVIDENCE, LEAST_ROUGH = 2.0, 2.6
"""Minimum evidence of pixels and of coarse pixels.

LEAST_EVIDENCE is that of pixels for the cells to be compared, LEAST_ROUGH that of coarse pixels for the fine
ones to be.
"""
LEAST_LOG_ODDS = 15.0
"""Minimum log odds of pixels and cells, see `log_odds`.

Of 400 pairs of unrelated real fields, at any shift and at seven scales, none reached 12.4.
"""
SLIGHT_TURN, SLIGHT_ZOOM = math.radians(2), 0.025
"""Possible error of a place told by few cells.

Rotation in radians, and relative zoom.
"""
AS_WELL = 0.9
"""Minimum relative log odds of a straighter place.

Of the log odds of the place as it was found.
"""
CERTAIN = 100.0
"""Log odds that end the search on other landmarks."""
MANY = 200
"""Minimum number of cells of a wide field.

As of a 40x objective and a large sensor.
"""
ALIKE, LOG_ODDS_OF_ALIKE = 0.9, 8.0
"""Minimum correlation of one photograph, and log odds it needs.

From this correlation on, pixels are those of one photograph, and lower log odds are enough: of the unrelated
fields (see LEAST_LOG_ODDS) none reached 0.8 together with 5.
"""


@dataclass(frozen=True)
class Query:
    """Thumbnail and cells of a picture.

    Ready to be compared.
    """

    picture: Picture
    cells: Constellation

    @cached_property
    def coarse(self) -> Picture:
        """Picture for comparison with many landmarks."""
        return self.picture.coarser(COARSER)

    @cached_property
    def zoomed(self) -> tuple[tuple[float, Picture], ...]:
        """Picture at each of ZOOMS, COARSER unless it is SMALL."""
        picture = self.picture if self.small else self.coarse
        return tuple((zoom, picture.enlarged(zoom)) for zoom in ZOOMS)

    @property
    def many(self) -> bool:
        """Whether the picture shows many cells, see MANY.

        They then tell its scale, and which fields show them.
        """
        return len(self.cells) >= MANY

    @property
    def small(self) -> bool:
        """Whether the picture shows few cells, see SMALL."""
        return math.prod(self.picture.size) <= SMALL


@dataclass(frozen=True, slots=True)
class Proof:
    """Evidence that a picture lies on a landmark."""

    log_odds: float
    landmark: Landmark
    place: Placement
    """Its placement, in the landmark's micrometres."""


def log_odds(match: Match, cell_log_odds: float) -> float:
    """Return the log odds of pixels and cells together.

    Approximate log odds that the two pictures lie so. The evidence of a match is a normal deviate, of a
    chance of exp(-evidence^2 / 2).
    """
    return match.evidence**2 / 2 + cell_log_odds


def convincing(match: Match, cell_log_odds: float) -> bool:
    """Return whether pixels and cells prove a placement."""
    if match.correlation < BELIEVED or match.evidence < LEAST_EVIDENCE:
        return False
    return log_odds(match, cell_log_odds) >= (
        LOG_ODDS_OF_ALIKE if match.correlation >= ALIKE else LEAST_LOG_ODDS
    )


def locate(
    landmarks: Landmarks, lookup: Lookup, query: Query, but: int | None = None, zoomed: bool = True
) -> Placement | None:
    """Find a picture's place on the map.

    For a picture whose cells are known: by its cells on the whole map, else by its pixels on the newest
    landmarks.

    Args:
        landmarks: Landmarks of the slide.
        lookup: Shapes of the counted fields.
        query: The picture.
        but: Island to leave out.
        zoomed: Whether to compare pixels at other scales too.

    Returns:
        Place on an island; None if it is not found.
    """
    found = by_cells(landmarks, lookup, query, but)
    at_other_scales = ZOOMED if zoomed and not query.many else 0
    found = found or by_pixels(landmarks, query, landmarks.all(but)[:NEWEST], at_other_scales)
    return _straightened(landmarks, query, found) if found else None


def by_cells(landmarks: Landmarks, lookup: Lookup, query: Query, but: int | None = None) -> Proof | None:
    """Find a place by cells and prove it by pixels.

    Args:
        landmarks: Landmarks of the slide.
        lookup: Shapes of the counted fields.
        query: The picture.
        but: Island to leave out.
    """
    own = landmarks.numbers(but) if but is not None else []
    # Fields of many cells are candidates where they share ground, or their pixels tell it.
    newest = [] if query.many else [Candidate(each.number, False) for each in landmarks.all(but)[:COMPARED]]
    proofs: list[Proof] = []
    for candidate in dict.fromkeys(lookup.candidates(query.cells, own) + newest):
        landmark, turned = landmarks.numbered(candidate.number), (candidate.angle, TURN_ERROR)
        cells = landmarks.cells(landmark)
        for alignment in alignments(cells, query.cells, candidate.mirrored, turned)[:LOOKED_AT]:
            proofs += _proofs(landmarks, query, landmark, alignment.place, SLIGHT_UM)
        if any(proof.log_odds >= CERTAIN for proof in proofs):
            break
    return _heaviest(proofs)


def by_pixels(landmarks: Landmarks, query: Query, among: Sequence[Landmark], zoomed: int = 0) -> Proof | None:
    """Find a place by pixels with which the cells agree.

    Args:
        landmarks: Landmarks of the slide.
        query: The picture.
        among: Landmarks to compare it with, the newest first.
        zoomed: Number of these to compare at other scales too.
    """
    within = 2.0 * COARSER * landmarks.um_per_px
    proofs: list[Proof] = []
    for i, landmark in enumerate(among):
        for place in _rough(landmarks, query, landmark, zoomed=i < zoomed):
            proofs += _proofs(landmarks, query, landmark, place, within)
    return _heaviest(proofs)


def _heaviest(proofs: Sequence[Proof]) -> Proof | None:
    return max(proofs, key=lambda proof: proof.log_odds, default=None)


def _proofs(
    landmarks: Landmarks, query: Query, landmark: Landmark, place: Placement, within_um: float
) -> Iterator[Proof]:
    """Yield convincing places near a given one.

    On a landmark, in its micrometres, where pixels and cells together are convincing.
    """
    cells = landmarks.cells(landmark)
    for moved, match in near(landmarks, query.picture, landmark, place, within_um):
        cell_log_odds = agreement(cells, query.cells, moved)
        if convincing(match, cell_log_odds):
            yield Proof(log_odds(match, cell_log_odds), landmark, moved)


def _straightened(landmarks: Landmarks, query: Query, proof: Proof) -> Placement:
    """Straighten a place if as well proven.

    Returns the place on the island, turned by nothing but quarters and not enlarged if that is as well
    proven. Rotation and zoom as told by cells are off by a degree and by a hundredth, which adds up over the
    pictures of a row.
    """
    place, landmark = proof.place, proof.landmark
    quarter = round(place.angle / (math.pi / 2)) * math.pi / 2
    turns = [quarter] if abs(place.angle - quarter) <= SLIGHT_TURN else []
    zooms = [1.0] if abs(place.zoom - 1) <= SLIGHT_ZOOM else []
    variants = itertools.product([*turns, place.angle], [*zooms, place.zoom])
    points = landmarks.points(query.picture.size, place)
    shown = landmark.size * np.array(landmarks.um_per_px)
    common = points[((points >= 0) & (points < shown)).all(axis=1)]
    middle = (common if len(common) else points).mean(axis=0, keepdims=True)
    for angle, zoom in list(variants)[:-1]:
        turned = replace(place, angle=angle, zoom=zoom)
        x, y = (middle - turned.on_island(place.in_frame(middle)))[0].tolist()
        moved = replace(turned, x_um=turned.x_um + x, y_um=turned.y_um + y)
        found = _heaviest(list(_proofs(landmarks, query, landmark, moved, SLIGHT_UM)))
        if found and found.log_odds >= AS_WELL * proof.log_odds:
            return found.place.carried(landmark.place)
    return place.carried(landmark.place)


def _rough(landmarks: Landmarks, query: Query, landmark: Landmark, zoomed: bool) -> list[Placement]:
    """Return rough places of a picture on a landmark.

    Those worth a closer look, in the landmark's micrometres, at the picture's own scale and with `zoomed` at
    others.
    """
    small = zoomed and query.small
    known = landmarks.picture(landmark) if small else landmarks.coarse(landmark)
    own = query.picture if small else query.coarse
    found = [
        (match.evidence, placement(match, picture, zoom))
        for zoom, picture in ((1.0, own), *(query.zoomed if zoomed else ()))
        for match in candidates(known, picture, most=PEAKS)
        if match.correlation >= BELIEVED and match.evidence >= LEAST_ROUGH
    ]
    return [place for _, place in sorted(found, key=lambda each: -each[0])[:LOOKED_AT]]
