"""Landmarks on islands of the map.

A landmark is a counted field; later frames are recognised by it.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Generic, TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

from edgeleuk.slidemap.constellation import Constellation
from edgeleuk.slidemap.registration import Picture
from edgeleuk.slidemap.spill_file import Kept, SpillFile
from edgeleuk.types import CountedField, FieldOfView, Placement

COARSER = 3
"""Coarsening factor of thumbnails for searches.

Used when many landmarks are searched for a frame.
"""
QUALITY = 90
"""JPEG quality of kept thumbnails."""
KEPT_READY = 8
"""Number of landmarks kept ready.

Those around the view.
"""
SAMPLES = (32, 18)
"""Sample points across and down, for shares of area."""
FRAME = 0
"""Island of a landmark's own micrometres."""


@dataclass(frozen=True, slots=True)
class Landmark:
    """Counted field for recognising later frames.

    It is small, since a long session has hundreds; its pictures and cells are in the spill file.
    """

    number: int
    jpeg: Kept
    """Thumbnail at the map's scale, grey."""
    size: tuple[int, int]
    """Width and height of the thumbnail, pixels."""
    packed: Kept
    """Coarse picture and constellation, packed.

    The picture is COARSER times as coarse, see Picture.packed, as it lies in memory; behind it lies the
    constellation.
    """
    packed_shape: tuple[int, ...]
    place: Placement
    pixel_um: float
    """Side of the picture's pixels, by its own scale."""
    field_of_view: FieldOfView | None = None
    """Field of view of an eyepiece, in thumbnail pixels.

    The part that shows the slide; None if that is all of it.
    """

    def relative(self, place: Placement) -> Placement:
        """Convert a place on the island to the landmark's micrometres."""
        return place.carried(self.place.inverse(FRAME))


Thing = TypeVar("Thing")


class LandmarkCache(Generic[Thing]):
    """Cache of the last things used.

    They are large, or take time to make.
    """

    def __init__(self, make: Callable[[Landmark], Thing]) -> None:
        self._make = make
        self._kept: OrderedDict[int, Thing] = OrderedDict()

    def of(self, landmark: Landmark) -> Thing:
        """Return the thing of a landmark, made if not kept."""
        thing = self._kept.pop(landmark.number, None) or self._make(landmark)
        self._kept[landmark.number] = thing
        if len(self._kept) > KEPT_READY:
            self._kept.popitem(last=False)
        return thing


class Landmarks:
    """Landmarks of a slide, by island."""

    def __init__(self, um_per_px: float, spill_file: SpillFile) -> None:
        self.um_per_px = um_per_px
        self._spill_file = spill_file
        self.by_island: dict[int, list[Landmark]] = {}
        self._island: dict[int, int] = {}
        """Island of each landmark, by number."""
        self._pictures = LandmarkCache(lambda landmark: Picture(self._grey(landmark), self.um_per_px))
        self._cells = LandmarkCache(self._unpacked_cells)

    def landmark(self, counted: CountedField, picture: Picture, cells: Constellation) -> Landmark:
        """Make the landmark of a counted field.

        Args:
            counted: The field, with its thumbnail.
            picture: The thumbnail, ready to be compared.
            cells: Its cells.
        """
        grey, field = counted.thumbnail, counted.field
        jpeg = cv2.imencode(".jpg", grey, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])[1].tobytes()
        packed = picture.coarser(COARSER).packed()
        return Landmark(
            counted.number,
            self._spill_file.put(jpeg),
            picture.size,
            self._spill_file.put(packed.tobytes() + cells.packed()),
            packed.shape,
            counted.placement,
            field.scale.um_per_px,
            on_thumbnail(field.field_of_view, (field.width, field.height), grey),
        )

    def add(self, landmark: Landmark) -> None:
        """Put a counted field on its island."""
        self.by_island.setdefault(landmark.place.island, []).append(landmark)
        self._island[landmark.number] = landmark.place.island

    def numbered(self, number: int) -> Landmark:
        """Return the landmark of a counted field, by number."""
        return next(each for each in self.by_island[self._island[number]] if each.number == number)

    def numbers(self, island: int) -> list[int]:
        """Return the numbers of an island's counted fields."""
        return [each.number for each in self.by_island.get(island, ())]

    def picture(self, landmark: Landmark) -> Picture:
        """Return a landmark's picture, ready to be compared.

        A megabyte each.
        """
        return self._pictures.of(landmark)

    def cells(self, landmark: Landmark) -> Constellation:
        """Return a landmark's cells, ready to be compared."""
        return self._cells.of(landmark)

    def coarse(self, landmark: Landmark) -> Picture:
        """Return a landmark's picture, COARSER times as coarse."""
        packed = np.frombuffer(
            self._spill_file.get(landmark.packed), np.int8, math.prod(landmark.packed_shape)
        )
        return Picture.unpacked(packed.reshape(landmark.packed_shape), self.um_per_px * COARSER)

    def _unpacked_cells(self, landmark: Landmark) -> Constellation:
        packed = self._spill_file.get(landmark.packed)
        return Constellation.unpacked(packed[math.prod(landmark.packed_shape) :])

    def _grey(self, landmark: Landmark) -> NDArray[np.uint8]:
        """Return a landmark's thumbnail, (h, w)."""
        jpeg = np.frombuffer(self._spill_file.get(landmark.jpeg), np.uint8)
        return np.asarray(cv2.imdecode(jpeg, cv2.IMREAD_GRAYSCALE), np.uint8)

    def thumbnail(self, number: int) -> NDArray[np.uint8]:
        """Return a counted field's thumbnail, (h, w) grey."""
        return self._grey(self.numbered(number))

    def new_place(self) -> Placement:
        """Return the origin of a new island."""
        return Placement(max(self.by_island, default=0) + 1, 0.0, 0.0)

    def all(self, but: int | None = None) -> list[Landmark]:
        """Return every landmark, the newest first.

        Without those of the island `but`. A lost view is most often close to where it was lost.
        """
        found = [each for island, those in self.by_island.items() if island != but for each in those]
        return sorted(found, key=lambda each: -each.number)

    def join(self, island: int, origin: Placement) -> None:
        """Move the landmarks of an island to another one.

        `origin` is where the island's origin lies on the other one.
        """
        for each in self.by_island.pop(island):
            moved = replace(each, place=each.place.carried(origin))
            self.by_island[origin.island].append(moved)
            self._island[each.number] = origin.island

    def new_ground(
        self, picture: Picture, place: Placement, field_of_view: FieldOfView | None = None
    ) -> float:
        """Return the share of a frame that is new.

        Args:
            picture: The frame's thumbnail.
            place: Placement of the frame.
            field_of_view: Field of view of an eyepiece, in the thumbnail's pixels; only its area counts. None for all
                of the frame.

        Returns:
            Share of the frame's area that no landmark of its island shows, 0 to 1.
        """
        points = self.points(picture.size, place, field_of_view)
        free = np.ones(len(points), bool)
        for each in self.around(picture.size, place):
            free &= ~self.shows(each, points)
        return float(free.mean()) if len(free) else 0.0

    def around(self, size: tuple[int, int], place: Placement) -> Iterator[Landmark]:
        """Yield the landmarks near enough to overlap a frame.

        `size` is that of the frame's thumbnail. Of a long session these are few.
        """
        own = math.hypot(*size) * place.zoom
        for each in self.by_island.get(place.island, ()):
            reach = (own + math.hypot(*each.size) * each.place.zoom) * self.um_per_px
            if abs(each.place.x_um - place.x_um) < reach and abs(each.place.y_um - place.y_um) < reach:
                yield each

    def share(self, of: Landmark, shown: Landmark) -> float:
        """Return a landmark's share shown by another.

        Share of its area, 0 to 1. Both are on one island.
        """
        points = self.points(of.size, of.place, of.field_of_view)
        return float(self.shows(shown, points).mean()) if len(points) else 0.0

    def points(
        self, size: tuple[int, int], place: Placement, field_of_view: FieldOfView | None = None
    ) -> NDArray[np.float64]:
        """Return sample points spread over a frame.

        Args:
            size: Width and height of the frame's thumbnail, pixels.
            place: Placement of the frame.
            field_of_view: Field of view in the thumbnail, to spread the points over; None for all of it.

        Returns:
            (N, 2) points, um on the frame's island.
        """
        across, down = ((np.arange(n) + 0.5) / n * side for n, side in zip(SAMPLES, size, strict=True))
        spread = np.stack([each.ravel() for each in np.meshgrid(across, down)], axis=1)
        return place.on_island(
            (spread[field_of_view.covers(spread)] if field_of_view else spread) * self.um_per_px
        )

    def shows(self, landmark: Landmark, points: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Return which points (N, 2) a landmark shows.

        Points of its island, um.
        """
        x, y = (pixels := landmark.place.in_frame(points) / self.um_per_px).T
        width, height = landmark.size
        shown: NDArray[np.bool_] = (x >= 0) & (y >= 0) & (x < width) & (y < height)
        return shown & landmark.field_of_view.covers(pixels) if landmark.field_of_view else shown


def on_thumbnail(
    field_of_view: FieldOfView | None, size: tuple[int, ...], grey: NDArray[np.uint8]
) -> FieldOfView | None:
    """Convert a picture's field of view to thumbnail pixels.

    Args:
        field_of_view: Field of view in the picture's pixels, or None.
        size: Width and height of the picture.
        grey: (h, w) thumbnail.
    """
    return field_of_view and field_of_view.stretched(grey.shape[1] / size[0], grey.shape[0] / size[1])
