"""Results from the JSON documents that `analyze` and `sessions export` write."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import msgspec

from edgeleuk.differential.differential import Differential, SecondLevel
from edgeleuk.differential.flags import Flag
from edgeleuk.differential.per_microlitre import Estimates, PerMicrolitre
from edgeleuk.differential.rules import Severity
from edgeleuk.differential.verdict import Code, Reason, Verdict
from edgeleuk.errors import InputError, RecordError
from edgeleuk.results.slide_result import NO_THUMBNAIL, ModelIdentity, Provenance, SlideResult
from edgeleuk.statistics.bounds import Bounds
from edgeleuk.statistics.intervals import PerHundred, Share
from edgeleuk.system import file_io
from edgeleuk.types import (
    Assessment,
    Box,
    Cell,
    CountedField,
    Field,
    Finding,
    Overlap,
    Place,
    Placement,
    Reading,
    Refusal,
    Scale,
    ScaleSource,
    Tally,
)

SCHEMAS = ("edgeleuk-analysis/1", "edgeleuk-session/1")
TOLERANCE = 1e-6
"""Maximum difference of a percentage from its two counts, percent."""


class _Struct(msgspec.Struct, frozen=True):
    pass


class _Share(_Struct):
    count: int
    of: int
    percent: float
    low: float | None = None
    high: float | None = None

    def share(self) -> Share:
        share = Share(self.count, self.of)
        if abs(share.percent - self.percent) > TOLERANCE:
            raise ValueError(f"{self.count} of {self.of} are not {self.percent:g} %")
        return share

    def bounds(self) -> Bounds | None:
        return None if self.low is None else Bounds(self.low, self.high)


class _Per100(_Struct):
    count: int
    low: float | None = None
    high: float | None = None


class _Level(_Struct):
    attribute: str
    values: dict[str, _Share]
    unsure: int


class _FlagPlace(_Struct):
    field: str
    number: int
    box: Box


class _Flag(_Struct):
    code: str
    text: str
    detail: str
    severity: Severity
    places: list[_FlagPlace]
    sources: tuple[str, ...] = ()

    def value(self) -> Flag:
        places = tuple(Place(each.field, each.box, each.number) for each in self.places)
        return Flag(self.code, self.text, self.severity, places, self.sources, self.detail)


class _Differential(_Struct):
    n: int
    types: dict[str, _Share]
    groups: dict[str, _Share]
    subtypes: dict[str, _Level]
    outside: dict[str, int]
    per_100_white_cells: dict[str, _Per100]
    cut_by_edge: int
    unread: int
    red_cells: int | None
    platelets: int | None
    flags: list[_Flag]
    adequacy: tuple[str, ...]
    reference: str
    supported: bool

    def value(self) -> Differential:
        return Differential(
            n=self.n,
            types={label: each.share() for label, each in self.types.items()},
            groups={key: each.share() for key, each in self.groups.items()},
            corrected={},
            corrected_groups={},
            corrected_per_100={},
            subtypes={label: _level(each) for label, each in self.subtypes.items()},
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
            bounds=_all_bounds(self.types),
            group_bounds=_all_bounds(self.groups),
            bounds_per_100={
                label: Bounds(each.low, each.high)
                for label, each in self.per_100_white_cells.items()
                if each.low is not None
            },
        )


class _NamedCell(_Struct):
    picture: str
    number: int


class _Reason(_Struct):
    code: str
    text: str
    detail: str
    cells: list[_NamedCell]


class _Verdict(_Struct):
    code: Code
    text: str
    reasons: list[_Reason]


class _About(_Struct):
    id: str
    slide: str
    operator: str
    site: str
    device: str
    started: str
    ended: str | None
    source: str
    profile: str | None


class _Cell(_Struct):
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


class _Finding(_Struct):
    code: str
    severe: bool
    measure: float
    threshold: float
    text: str


class _Quality(_Struct):
    forced: bool = False
    findings: tuple[_Finding, ...] = ()


class _Scale(_Struct):
    um_per_px_x: float
    um_per_px_y: float
    source: ScaleSource
    relative_error: float
    red_cells: int

    def value(self) -> Scale:
        if min(self.um_per_px_x, self.um_per_px_y) <= 0:
            raise ValueError("a scale is not positive")
        return Scale(
            self.um_per_px_x, self.um_per_px_y, self.source, self.relative_error, self.red_cells
        )


class _Image(_Struct):
    path: str
    width: int
    height: int
    scale: _Scale
    cells: list[_Cell]
    not_counted: frozenset[str]
    warnings: tuple[str, ...]
    quality: _Quality | None = None
    number: int = 0
    profile: str | None = None

    def value(self, number: int) -> CountedField:
        quality = self.quality or _Quality()
        field = Field(
            self.path,
            self.width,
            self.height,
            self.scale.value(),
            tuple(cell.value() for cell in self.cells),
            warnings=self.warnings,
            not_counted=self.not_counted,
            assessment=Assessment(_findings(quality.findings), quality.forced),
            profile=self.profile,
        )
        identities = tuple(cell.cell or 0 for cell in self.cells)
        fresh = frozenset(cell.cell for cell in self.cells if cell.cell and cell.fresh)
        place = Placement(1, 0.0, 0.0)
        return CountedField(
            self.number or number, 0.0, "", field, place, 0.0, identities, fresh, NO_THUMBNAIL, {}
        )


class _Refusal(_Struct):
    path: str
    code: str
    text: str
    exit_code: int
    findings: tuple[_Finding, ...] = ()


class _LeftOut(_Struct):
    path: str
    code: str
    reason: str


class _Estimate(_Struct):
    kind: Literal["white cells", "platelets"]
    method: Literal["red cells", "area"]
    per_ul: float
    low: float
    high: float
    counted: float
    of: float
    formula: str


class _Estimates(_Struct):
    values: list[_Estimate] = []
    refused: tuple[str, ...] = ()


class _Overlap(_Struct):
    number: int
    other: int
    kind: Literal["copy", "overlap"]
    shared: float
    turned: int
    mirrored: bool
    zoom: float


class _Model(_Struct):
    magnification: str
    version: str
    finder_sha256: str = ""
    reader_sha256: str = ""
    manifest_sha256: str = ""


class _Document(_Struct):
    edgeleuk: str
    verdict: _Verdict
    result: _About
    model: _Model
    images: list[_Image]
    differential: _Differential
    area_mm2: float
    refused: list[_Refusal] = []
    left_out: list[_LeftOut] = []
    overlaps: list[_Overlap] = []
    estimates: _Estimates = _Estimates()


def read_json(path: Path) -> SlideResult:
    """Read a result from the JSON that `analyze` or `sessions export` wrote.

    What a report does not need (attributes, shares corrected for the reader's errors) is not restored.

    Raises:
        InputError: The file cannot be read.
        RecordError: The file holds something else; a subclass of InputError.
    """
    try:
        document = file_io.read_json(path, file_io.TABLE_BYTES)
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}.") from error
    except file_io.UnreadableError as error:
        raise RecordError(f"{path} is no result: {error}. Give the JSON of `edgeleuk analyze`.") from error
    return from_document(document, str(path))


def from_document(document: Any, name: str) -> SlideResult:
    """Restore a result from a parsed document.

    `name` is the file's, for the message.

    Raises:
        RecordError: The document is not of SCHEMAS, or its values contradict each other.
    """
    schema = document.get("schema") if isinstance(document, dict) else None
    if schema not in SCHEMAS:
        raise RecordError(
            f"{name} is no result of this program (schema {schema!r}). Give what `edgeleuk analyze --json` or"
            " `--out` wrote."
        )
    if schema == SCHEMAS[1]:
        document = document | {"images": document.get("fields"), "model": document.get("counted_by")}
    try:
        return _result(msgspec.convert(document, _Document))
    except (msgspec.ValidationError, ValueError, KeyError) as error:
        raise RecordError(f"{name} is damaged, or was changed: {error}. Write it anew.") from error


def _result(read: _Document) -> SlideResult:
    counted = tuple(each.value(number) for number, each in enumerate(read.images, 1))
    boxes = {
        (each.field.name, cell.number): cell.box for each in counted for cell in each.field.cells if cell.number
    }
    about, model = read.result, read.model
    return SlideResult(
        about=Provenance(
            about.id, read.edgeleuk, ModelIdentity(*(getattr(model, name) for name in model.__struct_fields__)),
            about.started, about.ended, about.source, about.slide, about.operator, about.site, about.device, about.profile,
        ),
        counted=counted,
        fields=tuple(each.field for each in counted),
        tally=Tally(len(counted), {}, {}, {}),
        differential=read.differential.value(),
        area_mm2=read.area_mm2,
        refused=(
            *(Refusal(each.path, each.code, each.text, _findings(each.findings), each.exit_code) for each in read.refused),
            *(Refusal(each.path, each.code, each.reason) for each in read.left_out),
        ),
        overlaps=tuple(Overlap(*msgspec.structs.astuple(each)) for each in read.overlaps),
        estimates=Estimates(
            tuple(PerMicrolitre(*msgspec.structs.astuple(each)) for each in read.estimates.values),
            read.estimates.refused,
        ),
        verdict=_verdict(read.verdict, boxes),
    )  # fmt: skip


def _verdict(read: _Verdict, boxes: Mapping[tuple[str, int], Box]) -> Verdict:
    reasons = []
    for each in read.reasons:
        cells = tuple(
            Place(cell.picture, boxes.get((cell.picture, cell.number), (0.0, 0.0, 0.0, 0.0)), cell.number)
            for cell in each.cells
        )
        reasons.append(Reason(each.code, each.text, cells, each.detail))
    return Verdict(read.code, read.text, tuple(reasons))


def _level(read: _Level) -> SecondLevel:
    values = {value: each.share() for value, each in read.values.items()}
    return SecondLevel(read.attribute, values, read.unsure)


def _all_bounds(read: Mapping[str, _Share]) -> dict[str, Bounds]:
    return {label: bounds for label, each in read.items() if (bounds := each.bounds())}


def _findings(read: tuple[_Finding, ...]) -> tuple[Finding, ...]:
    return tuple(Finding(*msgspec.structs.astuple(each)) for each in read)
