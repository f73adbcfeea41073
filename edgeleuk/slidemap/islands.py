"""Where frames lie: counted fields as landmarks, and the way from one frame to the next."""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from edgeleuk.slidemap.registration import Match, Picture, register, register_turned
from edgeleuk.slidemap.shelf import Kept, Shelf
from edgeleuk.types import Aperture, Placement

COARSER = 3
"""By which thumbnails are coarser when the whole map is searched for a lost frame."""
QUALITY = 90
"""Of the JPEGs that thumbnails are kept as."""
SEARCHED = 40
"""Landmarks that one frame is compared with while a lost view is searched for: about 10 ms."""
TURNED = 12
"""Landmarks, the newest, that a lost view is also compared with turned: a camera that was put back is seldom straight."""
NEAR_UM = 6.0
"""How far from where it should be a frame is looked for on a landmark: the sum of many small errors is less."""
LANDMARKS = 3
"""That a frame's place is averaged over."""
USEFUL = 0.2
"""Share of a frame that a landmark must cover to place it."""
KEPT_READY = 8
"""Landmarks that are kept ready: those around the view."""
STILL_UM = 0.15
"""Less than this between two frames is the error of registration: the place of the frame before holds."""
SAMPLES = (32, 18)
"""Points across and down that the share of new ground is told by."""


@dataclass(frozen=True, slots=True)
class Landmark:
    """A counted field as later frames are recognised by. Small: a long session has hundreds. Its pictures are on the
    shelf."""

    number: int
    jpeg: Kept
    """Its thumbnail at the map's scale, grey."""
    size: tuple[int, int]
    """Width and height of the thumbnail, pixels."""
    packed: Kept
    """COARSER times as coarse, see Picture.packed, as it lies in memory."""
    packed_shape: tuple[int, ...]
    x_um: float
    y_um: float
    angle: float
    disc: Aperture | None = None
    """Of an eyepiece, in the thumbnail's pixels: what of it shows the slide. None where that is all of it."""


class Islands:
    """The landmarks of a slide, by island."""

    def __init__(self, um_per_px: float, shelf: Shelf) -> None:
        self.um_per_px = um_per_px
        self._shelf = shelf
        self.landmarks: dict[int, list[Landmark]] = {}
        self._ready: OrderedDict[int, Picture] = OrderedDict()

    def add(
        self,
        number: int,
        grey: NDArray[np.uint8],
        picture: Picture,
        place: Placement,
        disc: Aperture | None = None,
    ) -> None:
        """A counted field becomes a landmark, by its thumbnail (h, w), the same ready to be compared, and what an
        eyepiece's disc shows of it, its pixels."""
        jpeg = cv2.imencode(".jpg", grey, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])[1].tobytes()
        packed = picture.coarser(COARSER).packed()
        kept, coarse = self._shelf.put(jpeg), self._shelf.put(packed.tobytes())
        landmark = Landmark(
            number, kept, picture.size, coarse, packed.shape, place.x_um, place.y_um, place.angle, disc
        )
        self.landmarks.setdefault(place.island, []).append(landmark)

    def _picture(self, landmark: Landmark) -> Picture:
        """A landmark ready to be compared. Only the last few are kept so: a megabyte each."""
        picture = self._ready.pop(landmark.number, None) or Picture(self._grey(landmark), self.um_per_px)
        self._ready[landmark.number] = picture
        if len(self._ready) > KEPT_READY:
            self._ready.popitem(last=False)
        return picture

    def _coarse(self, landmark: Landmark) -> Picture:
        packed = np.frombuffer(self._shelf.get(landmark.packed), np.int8).reshape(landmark.packed_shape)
        return Picture.unpacked(packed, self.um_per_px * COARSER)

    def _grey(self, landmark: Landmark) -> NDArray[np.uint8]:
        """Its thumbnail, (h, w)."""
        jpeg = np.frombuffer(self._shelf.get(landmark.jpeg), np.uint8)
        return np.asarray(cv2.imdecode(jpeg, cv2.IMREAD_GRAYSCALE), np.uint8)

    def thumbnail(self, number: int) -> NDArray[np.uint8]:
        """Of a counted field, (h, w) grey."""
        return next(self._grey(each) for _, each in self.all() if each.number == number)

    def new_island(self) -> int:
        """A number that no island has."""
        return max(self.landmarks, default=0) + 1

    def refine(self, picture: Picture, place: Placement) -> Placement:
        """The place told by the landmarks that should show it, or as it is where none does."""
        points = self._points(picture, place)
        shares = [(float(self._shows(each, points).mean()), each) for each in self._around(picture, place)]
        useful = sorted((pair for pair in shares if pair[0] >= USEFUL), key=lambda pair: -pair[0])[:LANDMARKS]
        told: list[tuple[float, float, float]] = []
        for share, landmark in useful:
            x, y = self._from(landmark, place.x_um, place.y_um)
            match = register(
                self._picture(landmark), _straight(picture, landmark, place), (x, y, NEAR_UM / self.um_per_px)
            )
            if match:
                told.append((*self._to_island(landmark, match.x, match.y), share))
        if not told:
            return place
        x, y, weight = np.array(told).T
        return replace(
            place, x_um=float(np.average(x, weights=weight)), y_um=float(np.average(y, weights=weight))
        )

    def search(
        self, picture: Picture, among: list[tuple[int, Landmark]], turned: bool = False
    ) -> Placement | None:
        """The place of a picture that may be anywhere, by comparing it with landmarks of given islands."""
        coarse = picture.coarser(COARSER)
        found = self._best(among, lambda landmark: register(self._coarse(landmark), coarse))
        if found is None and turned:
            found = self._best(among, lambda landmark: register_turned(self._coarse(landmark), coarse))
        if found is None:
            return None
        rough, island, landmark = found
        straight = picture.turned(rough.angle) if rough.angle else picture
        near = (rough.x * COARSER, rough.y * COARSER, 2.0 * COARSER)
        fine = register(self._picture(landmark), straight, near)
        return self._placement(island, landmark, replace(fine, angle=rough.angle)) if fine else None

    @staticmethod
    def _best(
        among: Sequence[tuple[int, Landmark]], compare: Callable[[Landmark], Match | None]
    ) -> tuple[Match, int, Landmark] | None:
        """The landmark that is matched on most evidence, with its match and island."""
        matches = ((compare(landmark), island, landmark) for island, landmark in among)
        believed = [(match, island, landmark) for match, island, landmark in matches if match]
        return max(believed, key=lambda each: each[0].evidence, default=None)

    def all(self, but: int | None = None) -> list[tuple[int, Landmark]]:
        """Every landmark with its island, newest first: a lost view is most often close to where it was lost."""
        found = [
            (island, each) for island, those in self.landmarks.items() if island != but for each in those
        ]
        return sorted(found, key=lambda pair: -pair[1].number)

    def join(self, island: int, to: int, place: Placement) -> None:
        """Put the landmarks of an island on another one, where its origin lies at `place`."""
        cos, sin = np.cos(place.angle), np.sin(place.angle)
        for each in self.landmarks.pop(island):
            x = place.x_um + cos * each.x_um - sin * each.y_um
            y = place.y_um + sin * each.x_um + cos * each.y_um
            moved = replace(each, x_um=float(x), y_um=float(y), angle=each.angle + place.angle)
            self.landmarks[to].append(moved)

    def new_ground(self, picture: Picture, place: Placement, disc: Aperture | None = None) -> float:
        """Share of a frame at `place`, of what an eyepiece's `disc` (its pixels) shows of it, that no landmark of its
        island shows."""
        points = self._points(picture, place, disc)
        free = np.ones(len(points), bool)
        for each in self._around(picture, place):
            free &= ~self._shows(each, points)
        return float(free.mean()) if len(free) else 0.0

    def _around(self, picture: Picture, place: Placement) -> Iterator[Landmark]:
        """The landmarks near enough to show a part of a frame at `place`: of a long session few."""
        own = math.hypot(*picture.size)
        for each in self.landmarks.get(place.island, ()):
            reach = (own + math.hypot(*each.size)) * self.um_per_px
            if abs(each.x_um - place.x_um) < reach and abs(each.y_um - place.y_um) < reach:
                yield each

    def _placement(self, island: int, landmark: Landmark, match: Match) -> Placement:
        x, y = self._to_island(landmark, match.x, match.y)
        angle = landmark.angle + match.angle
        if match.angle:  # a turned picture is matched by its middle: its corner lies elsewhere
            width, height = (side * self.um_per_px / 2 for side in landmark.size)
            cos, sin = np.cos(match.angle), np.sin(match.angle)
            x += width - (cos * width - sin * height)
            y += height - (sin * width + cos * height)
        return Placement(island, float(x), float(y), angle)

    def _to_island(self, landmark: Landmark, x: float, y: float) -> tuple[float, float]:
        """A landmark's pixel as a place on its island, um."""
        cos, sin = np.cos(landmark.angle), np.sin(landmark.angle)
        right, down = x * self.um_per_px, y * self.um_per_px
        return landmark.x_um + cos * right - sin * down, landmark.y_um + sin * right + cos * down

    def _from(self, landmark: Landmark, x_um: float, y_um: float) -> tuple[float, float]:
        """The inverse of `_to_island`."""
        cos, sin = np.cos(landmark.angle), np.sin(landmark.angle)
        dx, dy = x_um - landmark.x_um, y_um - landmark.y_um
        return (cos * dx + sin * dy) / self.um_per_px, (cos * dy - sin * dx) / self.um_per_px

    def _points(
        self, picture: Picture, place: Placement, disc: Aperture | None = None
    ) -> NDArray[np.float64]:
        """Points (N, 2) spread over a frame, or over the disc in it, um on its island."""
        across, down = (
            (np.arange(n) + 0.5) / n * side for n, side in zip(SAMPLES, picture.size, strict=True)
        )
        spread = np.stack([each.ravel() for each in np.meshgrid(across, down)], axis=1)
        right, below = (spread[disc.covers(spread)] if disc else spread).T * self.um_per_px
        cos, sin = np.cos(place.angle), np.sin(place.angle)
        return np.stack(
            [place.x_um + cos * right - sin * below, place.y_um + sin * right + cos * below], axis=1
        )

    def _shows(self, landmark: Landmark, points: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Which points (N, 2) of its island a landmark shows."""
        cos, sin = np.cos(landmark.angle), np.sin(landmark.angle)
        dx, dy = (points - np.array([landmark.x_um, landmark.y_um])).T
        x, y = (cos * dx + sin * dy) / self.um_per_px, (cos * dy - sin * dx) / self.um_per_px
        width, height = landmark.size
        shown: NDArray[np.bool_] = (x >= 0) & (y >= 0) & (x < width) & (y < height)
        return shown & landmark.disc.covers(np.stack([x, y], axis=1)) if landmark.disc else shown


class Tracker:
    """Follows the view from frame to frame, and finds it again where it was lost."""

    def __init__(self, islands: Islands, stills: bool = False) -> None:
        """`stills`: each frame may lie anywhere, and its place must be known at once."""
        self.islands = islands
        self._stills = stills
        self._last: Picture | None = None
        self._place: Placement | None = None
        self._unsearched: Iterator[tuple[int, Landmark]] | None = None

    def follow(self, picture: Picture, disc: Aperture | None = None) -> Placement:
        """Where a frame lies; `disc` as in `Islands.new_ground`. While a lost view is searched for, `moved_um` is None and the place means nothing."""
        step = register(self._last, picture) if self._last else None
        moved = float(np.hypot(step.x, step.y)) * self.islands.um_per_px if step else None
        if step is None or self._place is None:
            self._place = self._locate(picture, step)
        elif moved is not None and moved > STILL_UM:
            self._place = self._stepped(self._place, step)
            self._place = self.islands.refine(picture, self._place)
        self._last = picture
        if self._place is None:
            return Placement(0, 0.0, 0.0, new_ground=0.0, moved_um=None)
        ground = self.islands.new_ground(picture, self._place, disc)
        return replace(self._place, new_ground=ground, moved_um=moved)

    def moved_to(self, place: Placement | None) -> None:
        """The map changed under the view: two islands were joined, or a field was taken back."""
        self._place, self._unsearched = place, None
        if place is None:
            self._last = None

    @property
    def place(self) -> Placement | None:
        """Of the frame seen last; None while it is searched for."""
        return self._place

    def _stepped(self, place: Placement, step: Match) -> Placement:
        cos, sin = np.cos(place.angle), np.sin(place.angle)
        right, down = step.x * self.islands.um_per_px, step.y * self.islands.um_per_px
        return replace(
            place,
            x_um=place.x_um + float(cos * right - sin * down),
            y_um=place.y_um + float(sin * right + cos * down),
        )

    def _locate(self, picture: Picture, step: Match | None) -> Placement | None:
        """Search the map, a part of it a frame; None while there is more to search."""
        if step is None or self._unsearched is None:
            self._unsearched = iter(self.islands.all())
        while True:
            part = [pair for pair, _ in zip(self._unsearched, range(SEARCHED), strict=False)]
            found = self.islands.search(picture, part) if part else None
            if found is None and len(part) < SEARCHED:
                newest = self.islands.all()[:TURNED]
                found = self.islands.search(picture, newest, turned=True) if newest else None
                found = found or Placement(self.islands.new_island(), 0.0, 0.0)
            if found:
                self._unsearched = None
                return self.islands.refine(picture, found)
            if not self._stills:
                return None


def _straight(picture: Picture, landmark: Landmark, place: Placement) -> Picture:
    """The picture turned as the landmark is; as it is where both are turned alike."""
    turn = place.angle - landmark.angle
    return picture.turned(turn) if abs(turn) > 1e-3 else picture
