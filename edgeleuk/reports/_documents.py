"""Parts of the JSON documents of a result, as msgspec types."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import msgspec

from edgeleuk.differential.differential import Differential, Lineage, SecondLevel
from edgeleuk.differential.flags import Flag
from edgeleuk.differential.rules import Severity
from edgeleuk.differential.verdict import Code
from edgeleuk.results.slide_result import NO_THUMBNAIL
from edgeleuk.statistics.bounds import Bounds
from edgeleuk.statistics.intervals import PerHundred, Share
from edgeleuk.types import (
    Assessment,
    Box,
    Cell,
    CountedField,
    Field,
    Finding,
    Place,
    Placement,
    Reading,
    Scale,
    ScaleSource,
)

TOLERANCE = 1e-6
"""Maximum difference of a percentage from its two counts, percent."""


class SharePart(msgspec.Struct, frozen=True):
    count: int
    of: int
    percent: float | None
    """None where no share is supported; versions until 0.2.0 stated it there, too."""
    low: float | None = None
    high: float | None = None

    def share(self) -> Share:
        share = Share(self.count, self.of)
        if self.percent is not None and abs(share.percent - self.percent) > TOLERANCE:
            raise ValueError(f"{self.count} of {self.of} are not {self.percent:g} %")
        return share

    def bounds(self) -> Bounds | None:
        return None if self.low is None else Bounds(self.low, self.high)


class LineagePart(SharePart, frozen=True, kw_only=True):
    untyped: int

    def value(self) -> Lineage:
        return Lineage(self.untyped, self.share(), self.bounds() or Bounds(0.0, None))


class Per100Part(msgspec.Struct, frozen=True):
    count: int
    low: float | None = None
    high: float | None = None


class LevelPart(msgspec.Struct, frozen=True):
    attribute: str
    values: dict[str, SharePart]
    unsure: int


class PlacePart(msgspec.Struct, frozen=True):
    field: str
    number: int
    box: Box


class FlagPart(msgspec.Struct, frozen=True):
    code: str
    text: str
    detail: str
    severity: Severity
    places: list[PlacePart]
    sources: tuple[str, ...] = ()

    def value(self) -> Flag:
        places = tuple(Place(each.field, each.box, each.number) for each in self.places)
        return Flag(self.code, self.text, self.severity, places, self.sources, self.detail)


class DifferentialPart(msgspec.Struct, frozen=True):
    n: int
    types: dict[str, SharePart]
    groups: dict[str, SharePart]
    subtypes: dict[str, LevelPart]
    outside: dict[str, int]
    per_100_white_cells: dict[str, Per100Part]
    cut_by_edge: int
    unread: int
    red_cells: int | None
    platelets: int | None
    flags: list[FlagPart]
    adequacy: tuple[str, ...]
    reference: str
    supported: bool
    lineages: dict[str, LineagePart] = {}

    def value(self) -> Differential:
        return Differential(
            n=self.n,
            types={label: each.share() for label, each in self.types.items()},
            groups={key: each.share() for key, each in self.groups.items()},
            corrected={},
            corrected_groups={},
            corrected_per_100={},
            subtypes={label: level(each) for label, each in self.subtypes.items()},
            outside=self.outside,
            per_100={
                label: PerHundred(each.count, self.n) for label, each in self.per_100_white_cells.items()
            },
            cut=self.cut_by_edge,
            unread=self.unread,
            red_cells=self.red_cells,
            platelets=self.platelets,
            attributes={},
            flags=tuple(each.value() for each in self.flags),
            adequacy=self.adequacy,
            reference=self.reference,
            supported=self.supported,
            lineages={name: each.value() for name, each in self.lineages.items()},
            bounds=all_bounds(self.types),
            group_bounds=all_bounds(self.groups),
            bounds_per_100={
                label: Bounds(each.low, each.high)
                for label, each in self.per_100_white_cells.items()
                if each.low is not None
            },
        )


class NamedCellPart(msgspec.Struct, frozen=True):
    picture: str
    number: int


class ReasonPart(msgspec.Struct, frozen=True):
    code: str
    text: str
    detail: str
    cells: list[NamedCellPart]


class VerdictPart(msgspec.Struct, frozen=True):
    code: Code
    text: str
    reasons: list[ReasonPart]


class AboutPart(msgspec.Struct, frozen=True):
    id: str
    slide: str
    operator: str
    site: str
    device: str
    started: str
    ended: str | None
    source: str
    profile: str | None


class CellPart(msgspec.Struct, frozen=True):
    kind: str
    box: Box
    label: str | None
    score: float
    whole: bool
    number: int | None
    probability: float | None
    probabilities: dict[str, float] | None
    cell: int | None = None
    fresh: bool = True

    def value(self) -> Cell:
        reading = None
        if self.label is not None:
            reading = Reading(self.label, self.probability or 0.0, self.probabilities or {}, {})
        return Cell(self.kind, self.box, self.score, self.whole, reading, number=self.number or 0)


class FindingPart(msgspec.Struct, frozen=True):
    code: str
    severe: bool
    measure: float
    threshold: float
    text: str


class QualityPart(msgspec.Struct, frozen=True):
    forced: bool = False
    findings: tuple[FindingPart, ...] = ()


class ScalePart(msgspec.Struct, frozen=True):
    um_per_px_x: float
    um_per_px_y: float
    source: ScaleSource
    relative_error: float
    red_cells: int

    def value(self) -> Scale:
        if min(self.um_per_px_x, self.um_per_px_y) <= 0:
            raise ValueError("a scale is not positive")
        return Scale(self.um_per_px_x, self.um_per_px_y, self.source, self.relative_error, self.red_cells)


class ImagePart(msgspec.Struct, frozen=True):
    path: str
    width: int
    height: int
    scale: ScalePart
    cells: list[CellPart]
    not_counted: frozenset[str]
    warnings: tuple[str, ...]
    quality: QualityPart | None = None
    number: int = 0
    profile: str | None = None

    def value(self, number: int) -> CountedField:
        quality = self.quality or QualityPart()
        field = Field(
            self.path,
            self.width,
            self.height,
            self.scale.value(),
            tuple(cell.value() for cell in self.cells),
            warnings=self.warnings,
            not_counted=self.not_counted,
            assessment=Assessment(findings(quality.findings), quality.forced),
            profile=self.profile,
        )
        identities = tuple(cell.cell or 0 for cell in self.cells)
        fresh = frozenset(cell.cell for cell in self.cells if cell.cell and cell.fresh)
        place = Placement(1, 0.0, 0.0)
        return CountedField(
            self.number or number, 0.0, "", field, place, 0.0, identities, fresh, NO_THUMBNAIL, {}
        )


class RefusalPart(msgspec.Struct, frozen=True):
    path: str
    code: str
    text: str
    exit_code: int
    findings: tuple[FindingPart, ...] = ()


class LeftOutPart(msgspec.Struct, frozen=True):
    path: str
    code: str
    reason: str


class EstimatePart(msgspec.Struct, frozen=True):
    kind: Literal["white cells", "platelets"]
    method: Literal["red cells", "area"]
    per_ul: float
    low: float
    high: float
    counted: float
    of: float
    formula: str


class EstimatesPart(msgspec.Struct, frozen=True):
    values: list[EstimatePart] = []
    refused: tuple[str, ...] = ()


class OverlapPart(msgspec.Struct, frozen=True):
    number: int
    other: int
    kind: Literal["copy", "overlap"]
    shared: float
    turned: int
    mirrored: bool
    zoom: float


class ModelPart(msgspec.Struct, frozen=True):
    magnification: str
    version: str
    finder_sha256: str = ""
    reader_sha256: str = ""
    manifest_sha256: str = ""


class Document(msgspec.Struct, frozen=True):
    edgeleuk: str
    verdict: VerdictPart
    result: AboutPart
    model: ModelPart
    images: list[ImagePart]
    differential: DifferentialPart
    area_mm2: float
    refused: list[RefusalPart] = []
    left_out: list[LeftOutPart] = []
    overlaps: list[OverlapPart] = []
    estimates: EstimatesPart = EstimatesPart()


def level(read: LevelPart) -> SecondLevel:
    values = {value: each.share() for value, each in read.values.items()}
    return SecondLevel(read.attribute, values, read.unsure)


def all_bounds(read: Mapping[str, SharePart]) -> dict[str, Bounds]:
    return {label: bounds for label, each in read.items() if (bounds := each.bounds())}


def findings(read: tuple[FindingPart, ...]) -> tuple[Finding, ...]:
    return tuple(Finding(*msgspec.structs.astuple(each)) for each in read)
