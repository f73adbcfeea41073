"""The map of one slide: each field has its place, and each cell one identity however often it is seen."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Self

import cv2
import numpy as np
from numpy.typing import NDArray

from edgeleuk.eyepiece import inside
from edgeleuk.manifest import ReaderManifest
from edgeleuk.optics import crop_um
from edgeleuk.rules import Rules
from edgeleuk.slidemap.fusion import fuse
from edgeleuk.slidemap.identity import Register, Things, boxes_on_map, pair
from edgeleuk.slidemap.islands import Islands, Tracker
from edgeleuk.slidemap.packed import PackedField, PackedFields
from edgeleuk.slidemap.registration import Picture, thumbnail
from edgeleuk.slidemap.shelf import Shelf
from edgeleuk.tallies import FieldCount, count, total
from edgeleuk.types import (
    WHITE_CELL,
    Aperture,
    Box,
    Cell,
    CountedField,
    Field,
    Image,
    Overlap,
    Placement,
    Reading,
    Scale,
    Tally,
)
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

    def __init__(
        self, um_per_px: float, manifest: ReaderManifest, rules: Rules, stills: bool = False
    ) -> None:
        """`um_per_px` is that of the thumbnails by which frames are recognised; `stills` for pictures of a folder."""
        self.um_per_px, self._manifest, self._rules, self._stills = um_per_px, manifest, rules, stills
        self._marks: dict[int, str] = {}
        self._reset()

    @classmethod
    def of(cls, model: Model, rules: Rules, stills: bool = False) -> Self:
        """For the frames of one magnification."""
        each = STILLS_UM_PER_FINDER_PX if stills else UM_PER_FINDER_PX
        return cls(model.finder.um_per_px * each, model.reader, rules, stills)

    def _reset(self) -> None:
        shelf = Shelf()
        self._islands = Islands(self.um_per_px, shelf)
        self._tracker = Tracker(self._islands, self._stills)
        self._register = Register()
        self._counted = PackedFields(shelf)
        self._counts: dict[int, FieldCount] = {}
        """By position of the field; what was counted anew since is not there."""
        self._placed: _Placed | None = None

    def place(self, image: Image, scale: Scale, disc: Aperture | None = None) -> Placement:
        """Where a frame (H, W, 3) lies, recognised by what an eyepiece's `disc` shows of the slide. To be called with every
        frame, in order.

        While a view that was lost is searched for on the map, `moved_um` is None and the place means nothing.
        """
        self._placed = _Placed.of(image, scale, self.um_per_px, disc)
        return self._tracker.follow(self._placed.picture, self._placed.disc)

    def locate(self, image: Image, field: Field) -> Placement:
        """Where a picture lies whose cells are known."""
        return self.place(image, field.scale, field.aperture)

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
        shrunk: int = 1,
        crops: bool = True,
    ) -> CountedField:
        """Count a field at the place that `place` gave for its frame `image`, and tell each of its cells.

        The field is in pixels of the file, of which each pixel of `image` stands for `shrunk` in either direction.
        """
        seen = self._seen(field, placement)
        near = self._register.near(placement.island, seen["box"])
        pairs = {i: int(near[at]) for i, at in pair(seen, self._register.at(near))}
        unused = itertools.count(self._register.next_identity)
        identities = tuple(pairs[i] if i in pairs else next(unused) for i in range(len(seen)))
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
            crops=_crops(image, field, shrunk) if crops else {},
        )
        self._keep(counted, seen, placed.picture)
        return counted

    def _seen(self, field: Field, placement: Placement) -> Things:
        boxes = np.array([cell.box for cell in field.cells], np.float64).reshape(-1, 4)
        on_map = boxes_on_map(boxes, field.scale, placement)
        return self._register.seen(field.cells, on_map, placement.island)

    def _keep(self, counted: CountedField, seen: Things, picture: Picture) -> None:
        """Put a counted field and what it shows on the map."""
        known = [i for i in counted.identities if self._register.knows(i)]
        self._register.add(counted.identities, seen)
        self._counted.append(counted)
        for identity in known:
            self._counts.pop(self._register.first_field(identity), None)
        field, place = counted.field, counted.placement
        disc = _on_thumbnail(field.aperture, (field.width, field.height), counted.thumbnail)
        self._islands.add(counted.number, counted.thumbnail, picture, place, disc)
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
        movers = self._register.on(place.island)
        self._register.move_island(place.island, there.island, origin)
        self._merge(movers, there.island)
        self._counts.clear()
        if self._tracker.place and self._tracker.place.island == place.island:
            self._tracker.moved_to(there)

    def _merge(self, movers: NDArray[np.intp], island: int) -> None:
        """Things of a joined island that lie on things of the other one are those."""
        moved = self._register.at(movers)
        near = self._register.near(island, moved["box"])
        settled = near[~np.isin(near, movers)]
        for i, at in pair(moved, self._register.at(settled)):
            kept, gone = sorted((int(movers[i]), int(settled[at])))
            self._register.merge(kept, gone)

    def undo(self) -> CountedField | None:
        """Take back the last counted field, with everything that it brought. None where there is none.

        What it gives has no pictures any more.
        """
        last = self.last
        if last is None:
            return None
        marks = {i: label for i, label in self._marks.items() if i not in last.fresh}
        self.restore(_all_but_last(self._counted, self._islands), marks)
        return last

    def mark(self, identity: int, label: str) -> None:
        """Overrule the label of a white cell, as of an artefact."""
        self._marks[identity] = label
        self._counts.pop(self._register.first_field(identity), None)

    def restore(self, counted: Iterable[CountedField], marks: Mapping[int, str]) -> None:
        """Rebuild the map from its counted fields; the next frame is searched for on it."""
        self._reset()
        self._marks = dict(marks)
        for each in counted:
            self._keep(each, self._seen(each.field, each.placement), Picture(each.thumbnail, self.um_per_px))

    @property
    def last(self) -> CountedField | None:
        """The field that was counted last, without its pictures; None where there is none."""
        return self._counted[len(self._counted) - 1].unpacked() if len(self._counted) else None

    def counted(self) -> Iterator[CountedField]:
        """The counted fields in order, as they were counted, without their pictures."""
        return (self._counted[position].unpacked() for position in range(len(self._counted)))

    @property
    def marks(self) -> dict[int, str]:
        """What the operator said of cells, by identity."""
        return dict(self._marks)

    @property
    def overlaps(self) -> tuple[Overlap, ...]:
        """Ground that counted fields share."""
        return ()

    @property
    def area_mm2(self) -> float:
        """Of the slide that the counted fields show, ground that several show once."""
        each = (self._counted[position].rest for position in range(len(self._counted)))
        return sum(one.field.area_mm2 * one.placement.new_ground for one in each)

    def fields(self) -> tuple[Field, ...]:
        """A field for each counted one, with the cells that were first seen in it, read from all of their views.

        So the tally of these fields counts each cell once. Everything is taken from the shelf: while a count goes on,
        `tally` tells the same in less time and memory.
        """
        return tuple(self._field(position) for position in range(len(self._counted)))

    def _field(self, position: int) -> Field:
        cells = tuple(self._fused(each) for each in self._register.first_seen_in(position).tolist())
        return replace(self._counted[position].rest.field, cells=cells)

    def tally(self) -> Tally:
        """The tally of `fields`. Costs little after a new field: only what it changed is counted again."""
        for position in range(len(self._counted)):
            if position not in self._counts:
                self._counts[position] = self._count(position)
        return total(self._counts[position] for position in range(len(self._counted)))

    def _count(self, position: int) -> FieldCount:
        """What `count` says of a field of `fields`. Red cells and platelets are not looked at one by one for it."""
        shown = self._register.first_seen_in(position)
        kinds = self._register.kinds_of(shown)
        white = [i for i, kind in zip(shown.tolist(), kinds, strict=True) if kind == WHITE_CELL]
        field = replace(self._counted[position].rest.field, cells=tuple(map(self._fused, white)))
        return replace(count(field, self._rules), kinds=tuple(Counter(kinds).items()))

    @property
    def white_cells(self) -> list[int]:
        """Their identities, ascending: the last one was found last."""
        return self._register.of_kind(WHITE_CELL)

    @property
    def cells(self) -> dict[int, MappedCell]:
        """White cells by identity."""
        return {identity: self._mapped(identity) for identity in self.white_cells}

    @property
    def islands(self) -> int:
        """Parts of the map with no known distance between them."""
        return len(self._islands.landmarks)

    def _mapped(self, identity: int) -> MappedCell:
        thing, views = self._register.at(identity), self._views(identity)
        x1, y1, x2, y2 = thing["box"].tolist()
        field, index = max(views, key=_merit)
        return MappedCell(
            identity,
            int(thing["island"]),
            (x1 + x2) / 2,
            (y1 + y2) / 2,
            self._fused(identity).reading,
            len(views),
            (field.rest.field.name, field.cell(index).box),
        )

    def _views(self, identity: int) -> list[View]:
        """The fields that show a thing, the first one first, and its index among the cells of each."""
        return [(self._counted[position], index) for position, index in self._register.sightings(identity)]

    def _fused(self, identity: int) -> Cell:
        """A thing as one cell of the field that it was first seen in."""
        views = self._views(identity)
        first, index = views[0]
        if len(views) == 1 and identity not in self._marks:
            return first.cell(index)  # nothing to fuse: most of a slide's red cells
        field, best = max(views, key=_merit)
        (kind,) = self._register.kinds_of([identity])
        cell = replace(field.cell(best), kind=kind, box=first.cell(index).box)
        read = [(each.rest.sharpness, reading) for each, i in views if (reading := each.cell(i).reading)]
        if kind != WHITE_CELL or not read:
            return replace(cell, reading=None)
        reading = fuse([each for _, each in read], [weight for weight, _ in read], self._manifest)
        if label := self._marks.get(identity):
            reading = replace(reading, label=label, attributes={})
        return replace(cell, reading=reading)


View = tuple[PackedField, int]
"""Of one thing: a field that shows it, and its index among that field's cells."""


def _merit(view: View) -> tuple[bool, bool, float]:
    """The best view shows a thing whole, was read, and is sharpest, in that order."""
    field, index = view
    cell = field.cell(index)
    return cell.whole, cell.reading is not None, field.rest.sharpness


def _all_but_last(fields: PackedFields, islands: Islands) -> Iterator[CountedField]:
    """Counted fields with their thumbnails, one at a time from the shelf."""
    for position in range(len(fields) - 1):
        counted = fields[position].unpacked()
        yield replace(counted, thumbnail=islands.thumbnail(counted.number))


def _on_thumbnail(disc: Aperture | None, size: tuple[int, ...], grey: NDArray[np.uint8]) -> Aperture | None:
    """The disc of a picture of `size`, width and height, in pixels of its thumbnail (h, w)."""
    return disc and disc.stretched(grey.shape[1] / size[0], grey.shape[0] / size[1])


def _crops(image: Image, field: Field, shrunk: int) -> dict[int, bytes]:
    """JPEG pictures of the white cells of a field, by index, at the picture's own scale or CROP_PX across."""
    scale = field.scale.shrunk(shrunk)
    um_per_px = max(scale.um_per_px, CROP_UM / CROP_PX)
    crops = {}
    for i, cell in enumerate(field.cells):
        if cell.kind == WHITE_CELL:
            x1, y1, x2, y2 = cell.box
            middle = ((x1 + x2) / 2 / shrunk, (y1 + y2) / 2 / shrunk)
            crop = crop_um(image, scale, middle, um_per_px, round(CROP_UM / um_per_px))
            encoded = cv2.imencode(
                ".jpg", cv2.cvtColor(crop, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, CROP_QUALITY]
            )[1]
            crops[i] = encoded.tobytes()
    return crops
