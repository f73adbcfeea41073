"""msgspec types for each kind of record.

Cells are stored as columns, and cell images outside the body.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import Protocol
from uuid import UUID

import msgspec
import numpy as np
from numpy.typing import NDArray

from edgeleuk.differential.differential import Differential
from edgeleuk.differential.per_microlitre import Estimates
from edgeleuk.differential.verdict import Verdict
from edgeleuk.results.codec._cells import SEEN, Cells, from_bytes, to_bytes
from edgeleuk.results.codec._checks import at_least, counts, finite, positive, require, share
from edgeleuk.results.slide_result import NO_THUMBNAIL, NO_VERDICT, Provenance, SlideResult
from edgeleuk.types import (
    Assessment,
    CountedField,
    Field,
    FieldOfView,
    NotRecognised,
    Overlap,
    Place,
    Placement,
    Refusal,
    Scale,
    Tally,
)


class Part(Protocol):
    """Part of a record that can check its numbers."""

    def check(self) -> None:
        """Check that all numbers are in range.

        Raises:
            ValueError: A number is out of range.
        """


class FieldPart(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Record part of a `Field`."""

    name: str
    width: int
    height: int
    scale: Scale
    cells: Cells
    seconds: Mapping[str, float]
    warnings: tuple[str, ...]
    not_counted: tuple[str, ...]
    aperture: FieldOfView | None
    assessment: Assessment
    profile: str | None

    @classmethod
    def of(cls, field: Field, _: list[bytes]) -> FieldPart:
        return cls(
            field.name, field.width, field.height, field.scale, Cells.of(field.cells), field.seconds, field.warnings,
            tuple(sorted(field.not_counted)), field.field_of_view, field.assessment, field.profile,
        )  # fmt: skip

    def check(self) -> None:
        at_least(1, min(self.width, self.height), "a side of a field")
        positive(self.scale.um_per_px_x, "a scale")
        positive(self.scale.um_per_px_y, "a scale")
        at_least(0, self.scale.relative_error, "a scale's error")
        at_least(0, self.scale.red_cells, "a number of red cells")
        if self.aperture is not None:
            positive(min(self.aperture.semi_major, self.aperture.semi_minor), "an eyepiece's axis")
            finite("an eyepiece's place", self.aperture.x, self.aperture.y, self.aperture.angle)
        self.cells.check()

    def value(self, _: Iterator[bytes]) -> Field:
        return Field(
            self.name, self.width, self.height, self.scale, self.cells.value(), self.seconds, self.warnings,
            frozenset(self.not_counted), self.aperture, self.assessment, self.profile,
        )  # fmt: skip


class Grey(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Greyscale image (h, w), stored as horizontal differences.

    `steps` holds each value minus its left neighbour's, which compresses to half the size.
    """

    height: int
    width: int
    steps: bytes

    @classmethod
    def of(cls, picture: NDArray[np.uint8]) -> Grey:
        require(picture.ndim == 2 and picture.dtype == np.uint8, "a thumbnail is no grey picture")
        steps = np.diff(picture, axis=1, prepend=np.uint8(0))
        return cls(picture.shape[0], picture.shape[1], steps.tobytes())

    def check(self) -> None:
        at_least(0, min(self.height, self.width), "a side of a thumbnail")
        require(len(self.steps) == self.height * self.width, "a thumbnail is not as large as it says")

    def value(self) -> NDArray[np.uint8]:
        if self.height == self.width == 0:
            return NO_THUMBNAIL
        steps = np.frombuffer(self.steps, np.uint8).reshape(self.height, self.width)
        return np.cumsum(steps, axis=1, dtype=np.uint8)


class CountedPart(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Record part of a `CountedField`."""

    number: int
    seconds: float
    at: str
    field: FieldPart
    placement: Placement
    sharpness: float
    seen: bytes
    """Rows of type SEEN, one per cell."""
    thumbnail: Grey
    crops: tuple[int, ...]
    """Indices of the cells with images in the record."""

    @classmethod
    def of(cls, counted: CountedField, pictures: list[bytes]) -> CountedPart:
        require(
            len(counted.identities) == len(counted.field.cells), "not every cell has its number on the map"
        )
        require(counted.fresh <= {*counted.identities}, "a cell was first seen where it is not")
        seen = np.array([(each, each in counted.fresh) for each in counted.identities], SEEN)
        pictures.extend(counted.crops.values())
        return cls(
            counted.number, counted.seconds, counted.at, FieldPart.of(counted.field, pictures), counted.placement,
            counted.sharpness, to_bytes(seen), Grey.of(counted.thumbnail), tuple(map(int, counted.crops)),
        )  # fmt: skip

    def check(self) -> None:
        self.field.check()
        self.thumbnail.check()
        at_least(1, self.number, "a field's number")
        at_least(1, self.placement.island, "an island")
        finite("a place on the map", self.placement.x_um, self.placement.y_um, self.placement.angle)
        share(self.placement.new_ground, "a share of new ground")
        seen = from_bytes(self.seen, SEEN, self.field.cells.count)
        require(bool((seen["identity"] >= 0).all() and (seen["fresh"] <= 1).all()), "a cell has no number")
        require(
            len({*self.crops}) == len(self.crops)
            and all(0 <= i < self.field.cells.count for i in self.crops),
            "a picture is of no cell",
        )

    def value(self, pictures: Iterator[bytes]) -> CountedField:
        seen = from_bytes(self.seen, SEEN, self.field.cells.count)
        identity = seen["identity"]
        return CountedField(
            self.number, self.seconds, self.at, self.field.value(pictures), self.placement, self.sharpness,
            tuple(identity.tolist()), frozenset(identity[seen["fresh"] > 0].tolist()), self.thumbnail.value(),
            {i: next(pictures) for i in self.crops},
        )  # fmt: skip


class TallyPart(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Record part of a `Tally`."""

    fields: int
    white: Mapping[str, int]
    kinds: Mapping[str, int]
    attributes: Mapping[str, Mapping[str, int]]
    places: Mapping[str, tuple[Place, ...]]
    cut: int
    unread: int
    not_counted: tuple[str, ...]
    not_recognised: NotRecognised = msgspec.field(default_factory=NotRecognised)
    blast_like: float = 0.0
    blast_like_doubted: float = 0.0
    blast_like_read: float = 0.0
    most_blast_like: tuple[tuple[float, Place], ...] = ()
    doubtful: Mapping[str, int] = msgspec.field(default_factory=dict)
    findings: Mapping[str, int] = msgspec.field(default_factory=dict)
    doubtful_pictures: int = 0
    familiarity: float = 0.0
    familiarity_cells: int = 0

    @classmethod
    def of(cls, tally: Tally, _: list[bytes]) -> TallyPart:
        return cls(
            tally.fields, tally.white, tally.kinds, tally.attributes, tally.places, tally.cut, tally.unread,
            tuple(sorted(tally.not_counted)), tally.not_recognised, tally.blast_like, tally.blast_like_doubted,
            tally.blast_like_read, tally.most_blast_like, tally.doubtful, tally.findings, tally.doubtful_pictures,
            tally.familiarity, tally.familiarity_cells,
        )  # fmt: skip

    def check(self) -> None:
        doubted = self.not_recognised
        for each in (doubted.possible, doubted.counted, doubted.lineages, self.doubtful, self.findings):
            counts(each.values(), "a count")
        for summed in (
            self.blast_like,
            self.blast_like_doubted,
            self.blast_like_read,
            *doubted.expected.values(),
        ):
            at_least(0, summed, "a summed probability")
        share([probability for probability, _ in self.most_blast_like], "a probability")
        numbers = (self.fields, self.cut, self.unread, self.doubtful_pictures, self.familiarity_cells)
        counts([*numbers, doubted.cells], "a count")
        at_least(0, self.familiarity, "a summed familiarity")
        for each in (self.white, self.kinds, *self.attributes.values()):
            counts(each.values(), "a count")

    def value(self, _: Iterator[bytes]) -> Tally:
        return Tally(
            self.fields, self.white, self.kinds, self.attributes, self.places, self.cut, self.unread,
            frozenset(self.not_counted), self.not_recognised, self.blast_like, self.blast_like_doubted,
            self.blast_like_read, self.most_blast_like, self.doubtful, self.findings, self.doubtful_pictures,
            self.familiarity, self.familiarity_cells,
        )  # fmt: skip


class RefusalPart(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Record part of a `Refusal`."""

    refusal: Refusal

    @classmethod
    def of(cls, refusal: Refusal, _: list[bytes]) -> RefusalPart:
        return cls(refusal)

    def check(self) -> None:
        at_least(0, self.refusal.exit_code, "an exit code")

    def value(self, _: Iterator[bytes]) -> Refusal:
        return self.refusal


class ResultPart(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Record part of a `SlideResult`."""

    about: Provenance
    counted: tuple[CountedPart, ...]
    fields: tuple[FieldPart, ...]
    tally: TallyPart
    differential: Differential
    area_mm2: float
    refused: tuple[Refusal, ...]
    overlaps: tuple[Overlap, ...]
    marks: Mapping[int, str]
    estimates: Estimates
    verdict: Verdict = NO_VERDICT

    @classmethod
    def of(cls, result: SlideResult, pictures: list[bytes]) -> ResultPart:
        return cls(
            result.about,
            tuple(CountedPart.of(each, pictures) for each in result.counted),
            tuple(FieldPart.of(each, pictures) for each in result.fields),
            TallyPart.of(result.tally, pictures),
            result.differential,
            result.area_mm2,
            result.refused,
            result.overlaps,
            result.marks,
            result.estimates,
            result.verdict,
        )

    def check(self) -> None:
        UUID(self.about.id)
        for time in filter(None, [self.about.started, self.about.ended]):
            require(datetime.fromisoformat(time).tzinfo is not None, "a time has no zone")
        require(len(self.fields) == len(self.counted), "it has not as many fields as were counted")
        parts: Iterable[Part] = (*self.counted, *self.fields, self.tally, *map(RefusalPart, self.refused))
        for part in parts:
            part.check()
        at_least(0, self.area_mm2, "an area")
        finite("an area", self.area_mm2)
        for overlap in self.overlaps:
            self._check_overlap(overlap)

    def _check_overlap(self, overlap: Overlap) -> None:
        numbers = {each.number for each in self.counted}
        require({overlap.number, overlap.other} <= numbers, "an overlap is of a field that is not there")
        share(overlap.shared, "an overlap")
        require(overlap.turned in (0, 90, 180, 270), f"an overlap is turned by {overlap.turned} degrees")
        positive(overlap.zoom, "a zoom")

    def value(self, pictures: Iterator[bytes]) -> SlideResult:
        return SlideResult(
            self.about,
            tuple(each.value(pictures) for each in self.counted),
            tuple(each.value(pictures) for each in self.fields),
            self.tally.value(pictures),
            self.differential,
            self.area_mm2,
            self.refused,
            self.overlaps,
            self.marks,
            self.estimates,
            self.verdict,
        )
