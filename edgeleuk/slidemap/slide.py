"""The map of one slide: each field has its place, and each cell one identity however often it is seen."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Self

import cv2
import numpy as np
from numpy.typing import NDArray

from edgeleuk.eyepiece import inside
from edgeleuk.manifest import ReaderManifest
from edgeleuk.optics import crop_um
from edgeleuk.slidemap.fusion import fuse
from edgeleuk.slidemap.identity import WHITE_CELL, Known, Register, boxes_on_map, pair
from edgeleuk.slidemap.islands import Islands, Tracker
from edgeleuk.slidemap.registration import Picture, thumbnail
from edgeleuk.types import Aperture, Box, Cell, CountedField, Field, Image, Placement, Reading, Scale
from edgeleuk.zoo import Model

UM_PER_FINDER_PX = 1.6
"""Scale of thumbnails in units of the finder's pixels: 0.4 um at 100x. Red cells are then 18 pixels wide, and a
1280 x 720 frame is registered in 5 ms."""
STILLS_UM_PER_FINDER_PX = 2.5
"""Likewise for the pictures of a folder: larger, of more ground each, and none of them has to be followed in motion."""
CROP_UM = 20.0
"""Side of the kept picture of a white cell: the cell and its neighbours."""
CROP_PX = 160
CROP_QUALITY = 90
NO_THUMBNAIL: NDArray[np.uint8] = np.empty((0, 0), np.uint8)


@dataclass(frozen=True, slots=True)
class MappedCell:
    """A white cell of the slide."""

    identity: int
    island: int
    x_um: float
    """Of its middle, on its island."""
    y_um: float
    reading: Reading | None
    """Of all its views together; None where every one is cut by the edge of a field."""
    views: int
    place: tuple[str, Box]
    """The field that shows it best, and its box there."""


@dataclass(frozen=True, slots=True)
class _Placed:
    """The frame that was placed last: most often it is the one that is counted next."""

    image: Image
    grey: NDArray[np.uint8]
    """Its thumbnail."""
    picture: Picture
    """The thumbnail ready to be compared."""
    disc: Aperture | None
    """Of an eyepiece, in the thumbnail's pixels."""

    @classmethod
    def of(cls, image: Image, scale: Scale, um_per_px: float, disc: Aperture | None) -> Self:
        grey = thumbnail(image, scale, um_per_px)
        if disc:
            shown = inside(disc, image.shape[1], image.shape[0], grey.shape[1], grey.shape[0])
            # The rim stands still while the slide moves: it must not be what frames are recognised by.
            grey[~shown] = np.median(grey[shown])
        return cls(image, grey, Picture(grey, um_per_px), _on_thumbnail(disc, image.shape[1::-1], grey))


class SlideMap:
    """Registers frames, counts cells once. Use from one thread.

    The frames of one camera follow each other: `place` says where each lies, `add` keeps one as a counted field. A map
    can be rebuilt from its counted fields alone.
    """

    def __init__(self, um_per_px: float, manifest: ReaderManifest, stills: bool = False) -> None:
        """`um_per_px` is that of the thumbnails by which frames are recognised; `stills` for pictures of a folder."""
        self.um_per_px, self._manifest, self._stills = um_per_px, manifest, stills
        self._marks: dict[int, str] = {}
        self._reset()

    @classmethod
    def of(cls, model: Model, stills: bool = False) -> Self:
        """For the frames of one magnification."""
        each = STILLS_UM_PER_FINDER_PX if stills else UM_PER_FINDER_PX
        return cls(model.finder.um_per_px * each, model.reader, stills)

    def _reset(self) -> None:
        self._islands = Islands(self.um_per_px)
        self._tracker = Tracker(self._islands, self._stills)
        self._register = Register()
        self._counted: list[CountedField] = []
        self._fields: dict[int, Field] = {}
        self._placed: _Placed | None = None

    def place(self, image: Image, scale: Scale, disc: Aperture | None = None) -> Placement:
        """Where a frame (H, W, 3) lies, recognised by what an eyepiece's `disc` shows of the slide. To be called with every
        frame, in order.

        While a view that was lost is searched for on the map, `moved_um` is None and the place means nothing.
        """
        self._placed = _Placed.of(image, scale, self.um_per_px, disc)
        return self._tracker.follow(self._placed.picture, self._placed.disc)

    def add(
        self,
        field: Field,
        placement: Placement,
        *,
        number: int,
        seconds: float,
        at: str,
        sharpness: float,
        image: Image,
        crops: bool = True,
    ) -> CountedField:
        """Count a field at the place that `place` gave for its frame `image`, and tell each of its cells."""
        boxes = boxes_on_map(_boxes(field), field.scale, placement)
        near = self._register.near(placement.island, boxes) if len(boxes) else []
        kinds, whole = [cell.kind for cell in field.cells], [cell.whole for cell in field.cells]
        pairs = pair(kinds, boxes, whole, near)
        identities = tuple(
            pairs[i] if i in pairs else self._register.new_identity() for i in range(len(field.cells))
        )
        placed = self._placed
        if placed is None or placed.image is not image:
            placed = _Placed.of(image, field.scale, self.um_per_px, field.aperture)
        counted = CountedField(
            number=number,
            seconds=seconds,
            at=at,
            field=field,
            placement=placement,
            sharpness=sharpness,
            identities=identities,
            fresh=frozenset(identities) - frozenset(pairs.values()),
            thumbnail=placed.grey,
            crops=_crops(image, field) if crops else {},
        )
        self._keep(counted, placed.picture)
        return counted

    def _keep(self, whole: CountedField, picture: Picture) -> None:
        """Put a counted field and what it shows on the map. Its pictures are the landmark's, and the store's, to keep."""
        counted = replace(whole, thumbnail=NO_THUMBNAIL, crops={})
        place = counted.placement
        boxes = boxes_on_map(_boxes(counted.field), counted.field.scale, place)
        for i, (identity, cell) in enumerate(zip(counted.identities, counted.field.cells, strict=True)):
            box: Box = tuple(boxes[i].tolist())
            thing = self._register.known.get(identity)
            if thing is None:
                thing = Known(identity, place.island, cell.kind, box, cell.whole, cell.score)
            else:
                thing.seen(cell.kind, box, cell.whole, cell.score)
                self._fields.pop(thing.sightings[0][0].number, None)
            thing.sightings.append((counted, i))
            self._register.put(thing)
        field = whole.field
        disc = _on_thumbnail(field.aperture, (field.width, field.height), whole.thumbnail)
        self._islands.add(whole.number, whole.thumbnail, picture, place, disc)
        self._counted.append(counted)
        self._join(picture, place)

    def _join(self, picture: Picture, place: Placement) -> None:
        """Where a field turns out to show ground of another island, both become one."""
        if len(self._islands.landmarks[place.island]) == 1:
            return  # a new island: the whole map was searched for it just now
        others = self._islands.all(but=place.island)
        there = self._islands.search(picture, others) if others else None
        if there is None:
            return
        turn = there.angle - place.angle
        cos, sin = np.cos(turn), np.sin(turn)
        origin = Placement(
            there.island,
            there.x_um - float(cos * place.x_um - sin * place.y_um),
            there.y_um - float(sin * place.x_um + cos * place.y_um),
            turn,
        )
        self._islands.join(place.island, there.island, origin)
        movers = {i for i, thing in self._register.known.items() if thing.island == place.island}
        self._register.move_island(place.island, there.island, origin)
        self._merge(movers, there.island)
        self._fields.clear()
        if self._tracker.place and self._tracker.place.island == place.island:
            self._tracker.moved_to(there)

    def _merge(self, movers: set[int], island: int) -> None:
        """Things of a joined island that lie on things of the other one are those."""
        moved = [self._register.known[i] for i in sorted(movers)]
        if not moved:
            return
        boxes = np.array([thing.box_um for thing in moved])
        settled = [thing for thing in self._register.near(island, boxes) if thing.identity not in movers]
        pairs = pair([t.kind for t in moved], boxes, [t.whole for t in moved], settled)
        for i, identity in pairs.items():
            kept, gone = sorted((identity, moved[i].identity))
            self._register.merge(kept, gone)

    def undo(self) -> CountedField | None:
        """Take back the last counted field, with everything that it brought. None where there is none.

        What it gives has no pictures any more.
        """
        if not self._counted:
            return None
        last = self._counted[-1]
        marks = {i: label for i, label in self._marks.items() if i not in last.fresh}
        kept = [replace(each, thumbnail=self._islands.thumbnail(each.number)) for each in self._counted[:-1]]
        self.restore(kept, marks)
        return last

    def mark(self, identity: int, label: str) -> None:
        """Overrule the label of a white cell, as of an artefact."""
        self._marks[identity] = label
        self._fields.clear()

    def restore(self, counted: Iterable[CountedField], marks: Mapping[int, str]) -> None:
        """Rebuild the map from its counted fields; the next frame is searched for on it."""
        fields = list(counted)
        self._reset()
        self._marks = dict(marks)
        for each in fields:
            self._keep(each, Picture(each.thumbnail, self.um_per_px))

    def fields(self) -> tuple[Field, ...]:
        """A field for each counted one, with the cells that were first seen in it, read from all of their views.

        So the tally of these fields counts each cell once. Costs little after a new field: only what it changed is
        worked out again.
        """
        if any(each.number not in self._fields for each in self._counted):
            firsts: dict[int, list[Known]] = {each.number: [] for each in self._counted}
            for thing in self._register.known.values():
                firsts[thing.sightings[0][0].number].append(thing)
            for each in self._counted:
                if each.number not in self._fields:
                    cells = tuple(self._fused(thing) for thing in firsts[each.number])
                    self._fields[each.number] = replace(each.field, cells=cells)
        return tuple(self._fields[each.number] for each in self._counted)

    @property
    def cells(self) -> dict[int, MappedCell]:
        """White cells by identity."""
        white = (thing for thing in self._register.known.values() if thing.kind == WHITE_CELL)
        return {thing.identity: self._mapped(thing) for thing in white}

    @property
    def islands(self) -> int:
        """Parts of the map with no known distance between them."""
        return len(self._islands.landmarks)

    def _mapped(self, thing: Known) -> MappedCell:
        x1, y1, x2, y2 = thing.box_um
        counted, index = _best(thing)
        return MappedCell(
            thing.identity,
            thing.island,
            (x1 + x2) / 2,
            (y1 + y2) / 2,
            self._fused(thing).reading,
            len(thing.sightings),
            (counted.field.name, counted.field.cells[index].box),
        )

    def _fused(self, thing: Known) -> Cell:
        """A thing as one cell of the field that it was first seen in."""
        first, index = thing.sightings[0]
        if len(thing.sightings) == 1 and thing.identity not in self._marks:
            return first.field.cells[index]  # nothing to fuse: most of a slide's red cells
        counted, best = _best(thing)
        cell = replace(counted.field.cells[best], kind=thing.kind, box=first.field.cells[index].box)
        views = [(each, each.field.cells[i].reading) for each, i in thing.sightings]
        read = [(each.sharpness, reading) for each, reading in views if reading]
        if thing.kind != WHITE_CELL or not read:
            return replace(cell, reading=None)
        reading = fuse([each for _, each in read], [weight for weight, _ in read], self._manifest)
        if label := self._marks.get(thing.identity):
            reading = replace(reading, label=label, attributes={})
        return replace(cell, reading=reading)


def _best(thing: Known) -> tuple[CountedField, int]:
    """The view that shows a thing whole, was read, and is sharpest, in that order."""

    def merit(view: tuple[CountedField, int]) -> tuple[bool, bool, float]:
        counted, index = view
        cell = counted.field.cells[index]
        return cell.whole, cell.reading is not None, counted.sharpness

    return max(thing.sightings, key=merit)


def _on_thumbnail(disc: Aperture | None, size: tuple[int, ...], grey: NDArray[np.uint8]) -> Aperture | None:
    """The disc of a picture of `size`, width and height, in pixels of its thumbnail (h, w)."""
    return disc and disc.stretched(grey.shape[1] / size[0], grey.shape[0] / size[1])


def _boxes(field: Field) -> np.ndarray:
    return np.array([cell.box for cell in field.cells], np.float64).reshape(-1, 4)


def _crops(image: Image, field: Field) -> dict[int, bytes]:
    """JPEG pictures of the white cells of a field, by index, at the picture's own scale or CROP_PX across."""
    um_per_px = max(field.scale.um_per_px, CROP_UM / CROP_PX)
    crops = {}
    for i, cell in enumerate(field.cells):
        if cell.kind == WHITE_CELL:
            middle = ((cell.box[0] + cell.box[2]) / 2, (cell.box[1] + cell.box[3]) / 2)
            crop = crop_um(image, field.scale, middle, um_per_px, round(CROP_UM / um_per_px))
            encoded = cv2.imencode(
                ".jpg", cv2.cvtColor(crop, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, CROP_QUALITY]
            )[1]
            crops[i] = encoded.tobytes()
    return crops
