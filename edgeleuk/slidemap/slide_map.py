"""Map of one slide.

Each field has its place, and each cell one identity however often it is seen.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Self

import cv2
import numpy as np
from numpy.typing import NDArray

from edgeleuk.differential.rules import Rules
from edgeleuk.differential.tally import Doubts, FieldCount, count, numbers_of, total
from edgeleuk.imaging.field_of_view import inside
from edgeleuk.imaging.resampling import crop_um
from edgeleuk.models.manifest import ReaderManifest
from edgeleuk.models.registry import Model
from edgeleuk.slidemap.composite import other_parts
from edgeleuk.slidemap.constellation import Constellation
from edgeleuk.slidemap.copies import Neighbour, neighbours
from edgeleuk.slidemap.fusion import fuse
from edgeleuk.slidemap.identity import NOTHING, Register, Things, boxes_on_map, pair
from edgeleuk.slidemap.landmarks import Islands, Landmark, on_thumbnail
from edgeleuk.slidemap.lookup import Lookup
from edgeleuk.slidemap.packed_fields import PackedField, PackedFields
from edgeleuk.slidemap.placing import refine
from edgeleuk.slidemap.registration import Picture, thumbnail
from edgeleuk.slidemap.search import Sight, locate
from edgeleuk.slidemap.spill_file import Shelf
from edgeleuk.slidemap.tracker import Tracker
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

UM_PER_FINDER_PX = 1.6
"""Scale of thumbnails, in pixels of the finder.

0.4 um at 100x. Red cells are then 18 pixels wide, and a 1280 x 720 frame is registered in 5 ms.
"""
STILLS_UM_PER_FINDER_PX = 2.5
"""Scale of thumbnails of separate pictures.

In pixels of the finder. The pictures of a folder are larger, show more area each, and none of them has to be
followed in motion.
"""
LEAST_OF_A_PART = 4
"""Minimum number of new cells to search for other parts.

Of a picture that overlaps another one: so many cells may be a part of it that lies elsewhere.
"""
CROP_UM = 20.0
"""Side of the kept picture of a white cell, um.

It shows the cell and its neighbours.
"""
CROP_PX = 160
CROP_QUALITY = 90
CROP_OUTSIDE = 128
"""Grey level beyond the edge of the picture.

Neither stained nor lit, so that a cut cell is seen to be cut.
"""


@dataclass(frozen=True, slots=True)
class MappedCell:
    """White cell of the slide."""

    identity: int
    island: int
    x_um: float
    """Position of its centre on its island."""
    y_um: float
    reading: Reading | None
    """Reading from all its views together.

    None if every one is cut by the edge of a field.
    """
    views: int
    place: tuple[str, Box]
    """Field that shows it best, and its box there."""
    field: int
    """Number of the field that showed it first."""
    number: int
    """Its number in that field, see `Cell.number`."""
    picture: tuple[int, int]
    """Best field for its picture, and its index there.

    The number of the field, among those that show it as a white cell.
    """


@dataclass(frozen=True, slots=True)
class _Placed:
    """Frame that was placed last.

    Most often it is the one that is counted next.
    """

    image: Image
    grey: NDArray[np.uint8]
    """Its thumbnail."""
    picture: Picture
    """The thumbnail, ready to be compared."""
    disc: Aperture | None
    """Field of view of an eyepiece, in thumbnail pixels."""

    @classmethod
    def of(cls, image: Image, scale: Scale, um_per_px: float, disc: Aperture | None) -> Self:
        grey = thumbnail(image, scale, um_per_px)
        if disc:
            shown = inside(disc, image.shape[1], image.shape[0], grey.shape[1], grey.shape[0])
            # The rim stands still while the slide moves: frames must not be recognised by it.
            grey[~shown] = np.median(grey[shown])
        return cls(image, grey, Picture(grey, um_per_px), on_thumbnail(disc, image.shape[1::-1], grey))


@dataclass(frozen=True, slots=True)
class _New:
    """Field that is about to be counted."""

    landmark: Landmark
    sight: Sight
    near: Sequence[Neighbour]
    """Counted fields that it shares area with."""


class SlideMap:
    """Map of one slide.

    It registers frames and counts cells once. Use from one thread. The frames of one camera follow each
    other: `place` says where each lies. `locate` does so for a still, whose cells are known. `add` keeps a
    frame as a counted field. A map can be rebuilt from its counted fields alone.
    """

    def __init__(
        self,
        um_per_px: float,
        manifest: ReaderManifest,
        rules: Rules,
        stills: bool = False,
        apart: bool = False,
    ) -> None:
        """Start an empty map.

        Args:
            um_per_px: Scale of the thumbnails by which frames are recognised.
            manifest: Labels and thresholds of the reader.
            rules: Rules of counting.
            stills: Whether the frames are pictures of a folder.
            apart: Whether each field is known to show another place.
        """
        self.um_per_px, self._manifest, self._rules, self._stills = um_per_px, manifest, rules, stills
        self._apart, self._doubts = apart, Doubts.of(manifest, rules)
        self._marks: dict[int, str] = {}
        self._reset()

    @classmethod
    def of(cls, model: Model, rules: Rules, stills: bool = False, apart: bool = False) -> Self:
        """Return an empty map for frames of one objective.

        Args:
            model: Model of the objective.
            rules: Rules of counting.
            stills: Whether the frames are pictures of a folder.
            apart: Whether each field is known to show another place.
        """
        each = STILLS_UM_PER_FINDER_PX if stills else UM_PER_FINDER_PX
        return cls(model.finder.um_per_px * each, model.reader, rules, stills, apart)

    def _reset(self) -> None:
        shelf = Shelf()
        self._islands = Islands(self.um_per_px, shelf)
        self._tracker = Tracker(self._islands, self._stills)
        self._lookup = Lookup()
        self._register = Register()
        self._counted = PackedFields(shelf)
        self._counts: dict[int, FieldCount] = {}
        """Counts by position of the field.

        Those that changed since are absent.
        """
        self._placed: _Placed | None = None
        self._alone: Image | None = None
        """Last located frame, if it overlaps no counted field."""
        self._overlaps: list[Overlap] = []
        self._outdone: set[int] = set()
        """Numbers of counted fields that are copies of better ones."""

    def place(self, image: Image, scale: Scale, disc: Aperture | None = None) -> Placement:
        """Return the place of a stream's frame.

        To be called with every frame, in order. While a view that was lost is searched for on the map,
        `moved_um` is None and the place means nothing.

        Args:
            image: (H, W, 3) frame.
            scale: Scale of the frame.
            disc: Field of view of an eyepiece, by which the frame is recognised; None if all of the frame
                shows the slide.
        """
        self._placed = _Placed.of(image, scale, self.um_per_px, disc)
        return self._tracker.follow(self._placed.picture, self._placed.disc)

    def locate(self, image: Image, field: Field) -> Placement:
        """Return the place of a separate picture.

        Its cells are known. The picture (H, W, 3) may have any size, scale or orientation. It gets an island
        of its own if it shares nothing with those counted before. `moved_um` is None.
        """
        placed = self._placed = _Placed.of(image, field.scale, self.um_per_px, field.aperture)
        if self._apart:
            return self._islands.new_place()
        sight = Sight(placed.picture, Constellation.of(field))
        found = locate(self._islands, self._lookup, sight)
        self._alone = None if found else image
        place = refine(self._islands, placed.picture, found) if found else self._islands.new_place()
        return replace(place, new_ground=self._islands.new_ground(placed.picture, place, placed.disc))

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
        """Count a field and identify its cells.

        Whatever this raises, the map is as it was before.

        Args:
            field: The field, in pixels of the file.
            placement: Place that `place` or `locate` gave for `image`.
            number: Number of the field.
            seconds: Time of the frame on its source's clock.
            at: Time of counting, UTC, ISO 8601.
            sharpness: Sharpness of the frame.
            image: (H, W, 3) frame.
            shrunk: Pixels of the file to a pixel of `image`, in either direction.
            crops: Whether to keep pictures of the white cells.

        Returns:
            The counted field. A cell's identity is 0 if the field is a copy of a better picture, which does
                not show the cell.
        """
        placed = self._placed
        if placed is None or placed.image is not image:
            placed = _Placed.of(image, field.scale.shrunk(shrunk), self.um_per_px, field.aperture)
        counted = CountedField(
            number=number,
            seconds=seconds,
            at=at,
            field=field,
            placement=placement,
            sharpness=sharpness,
            identities=(),
            fresh=frozenset(),
            thumbnail=placed.grey,
            crops=_crops(image, field, shrunk) if crops else {},
        )
        new = self._new(counted, placed.picture)
        seen = self._seen(field, placement)
        identities, known = self._identified(seen, new)
        fresh = frozenset(identities) - known - {NOTHING}
        counted = replace(counted, identities=identities, fresh=fresh)
        if self._stills and new.near and len(fresh) >= LEAST_OF_A_PART:
            counted = self._without_copied_parts(counted, new)
        before = len(self._counted)
        try:
            self._keep(counted, seen, new, alone=self._alone is image)
        except Exception:
            # Whatever failed, half a field on the map would count cells that were never reported.
            self.restore(_first_of(self._counted, self._islands, before), self._marks)
            raise
        if self._stills:
            # A picture of 48 megapixels need not stay in memory until the next one.
            self._placed = self._alone = None
        return counted

    def _without_copied_parts(self, counted: CountedField, new: _New) -> CountedField:
        """Return a field without cells copied from elsewhere.

        Its cells are not counted again on area that another part of the map shows as well.
        """
        place = new.landmark.place
        parts = other_parts(self._islands, self._lookup, new.sight, place)
        identities = np.array(counted.identities, np.intp)
        points = self._islands.points(new.landmark.size, place, new.landmark.disc)
        free = np.ones(len(points), bool)
        for landmark in self._islands.around(new.landmark.size, place):
            free &= ~self._islands.shows(landmark, points)
        for part in parts:
            known = list(self._islands.around(new.landmark.size, part))
            copied = self._on_ground(self._seen(counted.field, part), known)
            identities[copied & np.isin(identities, list(counted.fresh))] = NOTHING
            there = self._islands.points(new.landmark.size, part, new.landmark.disc)
            for landmark in known:
                free &= ~self._islands.shows(landmark, there)
        if not parts:
            return counted
        fresh = counted.fresh & frozenset(identities.tolist())
        placement = replace(counted.placement, new_ground=float(free.mean()) if len(free) else 0.0)
        return replace(counted, identities=tuple(identities.tolist()), fresh=fresh, placement=placement)

    def _new(self, counted: CountedField, picture: Picture) -> _New:
        """Prepare a field for the map."""
        cells = Constellation.of(counted.field)
        landmark = self._islands.landmark(counted, picture, cells)
        near = () if self._apart else neighbours(self._islands, landmark, picture, self._stills)
        return _New(landmark, Sight(picture, cells), near)

    def _seen(self, field: Field, placement: Placement) -> Things:
        boxes = np.array([cell.box for cell in field.cells], np.float64).reshape(-1, 4)
        on_map = boxes_on_map(boxes, field.scale, placement)
        return self._register.seen(field.cells, on_map, placement.island)

    def _identified(self, seen: Things, new: _New) -> tuple[tuple[int, ...], frozenset[int]]:
        """Return each thing's identity, and those already mapped."""
        near = self._register.near(new.landmark.place.island, seen["box"])
        pairs = {i: int(near[at]) for i, at in pair(seen, self._register.at(near))}
        # Within the area that a better copy shows, only its cells count.
        outdone = self._on_ground(seen, self._better(new))
        unused = itertools.count(self._register.next_identity)
        identities = tuple(
            pairs[i] if i in pairs else NOTHING if outdone[i] else next(unused) for i in range(len(seen))
        )
        return identities, frozenset(pairs.values())

    def _better(self, new: _New) -> list[Landmark]:
        """Return the better pictures that a field copies."""
        live = (each for each in new.near if each.same_ground and each.landmark.number not in self._outdone)
        return [each.landmark for each in live if each.better]

    def _on_ground(self, things: Things, landmarks: Sequence[Landmark]) -> NDArray[np.bool_]:
        """Return (N,) which things some landmarks show.

        By their centres. The landmarks are on the things' island.
        """
        middles = (things["box"][:, :2] + things["box"][:, 2:]) / 2
        shown = np.zeros(len(things), bool)
        for landmark in landmarks:
            shown |= self._islands.shows(landmark, middles)
        return shown

    def _keep(self, counted: CountedField, seen: Things, new: _New, alone: bool = False) -> None:
        """Put a counted field and its things on the map.

        `alone` means that it is known to share nothing with other islands.
        """
        identities = np.array(counted.identities, np.intp)
        if better := self._better(new):
            identities = np.where(self._on_ground(seen, better), NOTHING, identities)
            self._outdone.add(counted.number)
        else:
            self._outdo([each.landmark for each in new.near if each.same_ground], new.landmark)
        known = [i for i in identities.tolist() if self._register.knows(i)]
        self._register.add(identities.tolist(), seen)
        self._counted.append(counted)
        for identity in known:
            self._counts.pop(self._register.first_field(identity), None)
        self._islands.add(new.landmark)
        self._overlaps += [each.told(counted.number) for each in new.near]
        if not alone:
            self._join(new)
        self._lookup.add(counted.number, new.sight.cells)

    def _outdo(self, copies: Sequence[Landmark], by: Landmark) -> None:
        """Withdraw copies of a better picture.

        They are no evidence where the picture `by` shows the same area.
        """
        outdone = [copy.number for copy in copies if copy.number not in self._outdone]
        if not outdone:
            return
        there = self._register.on(by.place.island)
        there = there[self._on_ground(self._register.at(there), [by])]
        for number in outdone:
            self._outdone.add(number)
            self._register.withdraw(self._lookup.numbers.index(number), there)
        self._counts.clear()

    def _join(self, new: _New) -> None:
        """Join the islands that a field connects."""
        place = new.landmark.place
        others = self._islands.all(but=place.island)
        alone = len(self._islands.landmarks[place.island]) == 1
        if not others or self._apart or (alone and self._stills):
            return  # the whole map was searched just now for a still on an island of its own
        there = locate(self._islands, self._lookup, new.sight, but=place.island, zoomed=False)
        if there is None:
            return
        origin = place.inverse(place.island).carried(there)
        self._islands.join(place.island, origin)
        movers = self._register.on(place.island)
        self._register.move_island(place.island, there.island, origin)
        self._merge(movers, there.island)
        self._counts.clear()
        self._tell_joined(new)
        if self._tracker.place and self._tracker.place.island == place.island:
            self._tracker.moved_to(replace(self._tracker.place.carried(origin)))

    def _tell_joined(self, new: _New) -> None:
        """Add a field's overlaps with the island it joined."""
        told = {each.landmark.number for each in new.near}
        landmark = self._islands.numbered(new.landmark.number)
        near = neighbours(self._islands, landmark, new.sight.picture, self._stills)
        self._overlaps += [each.told(landmark.number) for each in near if each.landmark.number not in told]

    def _merge(self, movers: NDArray[np.intp], island: int) -> None:
        """Merge things of a joined island with the others.

        Those that lie on things of the other island are the same things.
        """
        moved = self._register.at(movers)
        near = self._register.near(island, moved["box"])
        settled = near[~np.isin(near, movers)]
        for i, at in pair(moved, self._register.at(settled)):
            kept, gone = sorted((int(movers[i]), int(settled[at])))
            self._register.merge(kept, gone)

    def undo(self) -> CountedField | None:
        """Take back the last counted field.

        Everything that it brought is removed. Returns the field, which has no pictures any more; None if
        there is none.
        """
        last = self.last
        if last is None:
            return None
        marks = {i: label for i, label in self._marks.items() if i not in last.fresh}
        self.restore(_first_of(self._counted, self._islands, len(self._counted) - 1), marks)
        return last

    def mark(self, identity: int, label: str) -> None:
        """Overrule the label of a white cell.

        As of an artefact.
        """
        self._marks[identity] = label
        self._counts.pop(self._register.first_field(identity), None)

    def restore(self, counted: Iterable[CountedField], marks: Mapping[int, str]) -> None:
        """Rebuild the map from its counted fields.

        The next frame is searched for on it.
        """
        self._reset()
        self._marks = dict(marks)
        for each in counted:
            new = self._new(each, Picture(each.thumbnail, self.um_per_px))
            self._keep(each, self._seen(each.field, each.placement), new)

    @property
    def overlaps(self) -> tuple[Overlap, ...]:
        """Overlaps of counted fields, in the order of counting.

        By what was known when the later field was counted.
        """
        return tuple(self._overlaps)

    @property
    def repeated(self) -> tuple[frozenset[int], ...]:
        """Cells of each counted field that count elsewhere or nowhere.

        By index: `fields` counts them in another field, or not at all.
        """
        return tuple(
            frozenset(range(self._register.cells_of(position)))
            - self._register.indices_first_seen_in(position)
            for position in range(len(self._counted))
        )

    @property
    def last(self) -> CountedField | None:
        """Last counted field; None if none.

        Without its pictures.
        """
        return self._counted[len(self._counted) - 1].unpacked() if len(self._counted) else None

    def counted(self) -> Iterator[CountedField]:
        """Yield the counted fields in order, without pictures.

        `fresh` are the cells that `fields` counts in each.
        """
        for position, repeated in enumerate(self.repeated):
            each = self._counted[position].unpacked()
            fresh = frozenset(each.identities[i] for i in range(len(each.identities)) if i not in repeated)
            yield replace(each, fresh=fresh)

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the counted fields, in order."""
        return tuple(self._counted[position].rest.field.name for position in range(len(self._counted)))

    @property
    def marks(self) -> dict[int, str]:
        """Labels that the operator gave cells, by identity."""
        return dict(self._marks)

    @property
    def area_mm2(self) -> float:
        """Area of the slide that the counted fields show.

        Area that several show counts once.
        """
        each = (self._counted[position].rest for position in range(len(self._counted)))
        return sum(one.placement.area_mm2(one.field) * one.placement.new_ground for one in each)

    def fields(self) -> tuple[Field, ...]:
        """Return the counted fields, with each cell once.

        Each has the cells that were first seen in it, read from all of their views, so that the tally of
        these fields counts each cell once. Everything is taken from the shelf: while a count goes on, `tally`
        tells the same in less time and memory.
        """
        return tuple(self._field(position) for position in range(len(self._counted)))

    def _field(self, position: int) -> Field:
        cells = tuple(self._fused(each) for each in self._register.first_seen_in(position).tolist())
        return replace(self._counted[position].rest.field, cells=cells)

    def tally(self) -> Tally:
        """Return the tally of `fields`.

        Costs little after a new field: only what it changed is counted again.
        """
        for position in range(len(self._counted)):
            if position not in self._counts:
                self._counts[position] = self._count(position)
        return total(self._counts[position] for position in range(len(self._counted)))

    def _count(self, position: int) -> FieldCount:
        """Count the cells of one field of `fields`.

        The same as `count`, but red cells and platelets are not looked at one by one.
        """
        shown = self._register.first_seen_in(position)
        kinds = self._register.kinds_of(shown)
        white = [i for i, kind in zip(shown.tolist(), kinds, strict=True) if kind == WHITE_CELL]
        field = replace(self._counted[position].rest.field, cells=tuple(map(self._fused, white)))
        return replace(count(field, self._rules, self._doubts), kinds=numbers_of(kinds))

    @property
    def white_cells(self) -> list[int]:
        """Identities of the white cells, ascending.

        The last one was found last.
        """
        return self._register.of_kind(WHITE_CELL)

    def identities(self) -> tuple[tuple[int, ...], ...]:
        """Return the identity of each cell of `fields`, in their order."""
        return tuple(
            tuple(self._register.first_seen_in(position).tolist()) for position in range(len(self._counted))
        )

    def own_reading(self, identity: int) -> Reading | None:
        """Return the reader's own reading of a white cell.

        From all its views, whatever the operator marked; None if it was not read.
        """
        return self._fused(identity, marked=False).reading

    @property
    def cells(self) -> dict[int, MappedCell]:
        """White cells by identity."""
        return {identity: self._mapped(identity) for identity in self.white_cells}

    def cell(self, identity: int) -> MappedCell:
        """Return one of the white cells."""
        return self._mapped(identity)

    @property
    def islands(self) -> int:
        """Number of map parts with no known distance between them."""
        return len(self._islands.landmarks)

    def _mapped(self, identity: int) -> MappedCell:
        thing, views = self._register.at(identity), self._views(identity)
        x1, y1, x2, y2 = thing["box"].tolist()
        field, index = max(views, key=_merit)
        cell = self._fused(identity)
        pictured, its_index = max(
            views, key=lambda view: (view[0].cell(view[1]).kind == WHITE_CELL, _merit(view))
        )
        return MappedCell(
            identity,
            int(thing["island"]),
            (x1 + x2) / 2,
            (y1 + y2) / 2,
            cell.reading,
            len(views),
            (field.rest.field.name, field.cell(index).box),
            views[0][0].rest.number,
            cell.number,
            (pictured.rest.number, its_index),
        )

    def _views(self, identity: int) -> list[View]:
        """Return a thing's views, the first one first.

        Each is a field that shows it and its index among that field's cells.
        """
        return [(self._counted[position], index) for position, index in self._register.sightings(identity)]

    def _fused(self, identity: int, *, marked: bool = True) -> Cell:
        """Return a thing as a cell of its first field.

        `marked`: whether the operator's mark overrules the reader.
        """
        views = self._views(identity)
        first, index = views[0]
        label = self._marks.get(identity) if marked else None
        if len(views) == 1 and not label:
            return first.cell(index)  # nothing to fuse: most of a slide's red cells
        field, best = max(views, key=_merit)
        (kind,) = self._register.kinds_of([identity])
        seen = first.cell(index)
        cell = replace(field.cell(best), kind=kind, box=seen.box, number=seen.number)
        read = [(each.rest.sharpness, reading) for each, i in views if (reading := each.cell(i).reading)]
        if kind != WHITE_CELL or not read:
            return replace(cell, reading=None)
        reading = fuse([each for _, each in read], [weight for weight, _ in read], self._manifest)
        if label:
            reading = replace(reading, label=label, attributes={})
        return replace(cell, reading=reading)


def made_of_stills(counted: CountedField, model: Model) -> bool:
    """Return whether a field is of a map of stills.

    By the scale of its thumbnail.
    """
    um = counted.field.width * counted.field.scale.um_per_px_x / max(counted.thumbnail.shape[1], 1)
    middle = model.finder.um_per_px * (UM_PER_FINDER_PX * STILLS_UM_PER_FINDER_PX) ** 0.5
    return bool(um > middle)


View = tuple[PackedField, int]
"""Field that shows a thing, and the thing's index there."""


def _merit(view: View) -> tuple[bool, bool, float]:
    """Return the sort key of a view.

    The best view is greatest: it shows a thing whole, was read, and is sharpest, in that order.
    """
    field, index = view
    cell = field.cell(index)
    return cell.whole, cell.reading is not None, field.rest.sharpness


def _first_of(fields: PackedFields, islands: Islands, number: int) -> Iterator[CountedField]:
    """Yield the first counted fields with their thumbnails.

    One at a time from the shelf.
    """
    for position in range(number):
        counted = fields[position].unpacked()
        yield replace(counted, thumbnail=islands.thumbnail(counted.number))


def _crops(image: Image, field: Field, shrunk: int) -> dict[int, bytes]:
    """Return JPEGs of a field's white cells, by index.

    At the picture's own scale, or CROP_PX across.
    """
    scale = field.scale.shrunk(shrunk)
    um_per_px = max(scale.um_per_px, CROP_UM / CROP_PX)
    crops = {}
    for i, cell in enumerate(field.cells):
        if cell.kind == WHITE_CELL:
            x1, y1, x2, y2 = cell.box
            middle = ((x1 + x2) / 2 / shrunk, (y1 + y2) / 2 / shrunk)
            crop = crop_um(image, scale, middle, um_per_px, round(CROP_UM / um_per_px), CROP_OUTSIDE)
            encoded = cv2.imencode(
                ".jpg", cv2.cvtColor(crop, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, CROP_QUALITY]
            )[1]
            crops[i] = encoded.tobytes()
    return crops
