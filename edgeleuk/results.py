"""The result of one slide: what was counted, and by whom, when and with what."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from edgeleuk import zoo
from edgeleuk.differential import Differential
from edgeleuk.errors import EdgeleukError, QualityError
from edgeleuk.estimates import NOTHING, Estimates
from edgeleuk.types import BESIDE, WHITE_CELL, CountedField, Field, Overlap, Refusal, Tally
from edgeleuk.verdict import Verdict
from edgeleuk.zoo import Model

NO_VERDICT = Verdict(
    "not_usable", "An older edgeleuk kept this result, without a verdict. Analyse the pictures again."
)
NO_THUMBNAIL: NDArray[np.uint8] = np.empty((0, 0), np.uint8)


@dataclass(frozen=True, slots=True)
class ModelIdentity:
    """The model that read a slide."""

    magnification: str
    version: str
    finder_sha256: str
    reader_sha256: str
    manifest_sha256: str
    """Of model.json, with its thresholds and its measured errors."""


def identify(model: Model) -> ModelIdentity:
    """Which model it is, whatever its version says: by its files. Raises ModelError where it is gone."""
    manifest = zoo.manifest_bytes(model.folder)
    return ModelIdentity(
        model.magnification,
        model.version,
        model.finder.sha256,
        model.reader.sha256,
        hashlib.sha256(manifest).hexdigest(),
    )


@dataclass(frozen=True, slots=True)
class Provenance:
    """Who counted which slide, when, and with what."""

    id: str
    """UUID (RFC 9562) of the result, the same for a session and what is exported of it."""
    program: str
    """Version of edgeleuk."""
    model: ModelIdentity
    started: str
    """ISO 8601 with the offset from UTC."""
    ended: str | None = None
    """Likewise; None while it is counted, or where the program was interrupted."""
    source: str = ""
    """Camera, stream, film or folder."""
    slide: str = ""
    operator: str = ""
    site: str = ""
    device: str = ""
    profile: str | None = None
    """Name of the device profile; None without one."""


@dataclass(frozen=True, slots=True)
class SlideResult:
    """Everything that is known of one slide. Places are in pixels of the files."""

    about: Provenance
    counted: tuple[CountedField, ...]
    """As they were counted, without thumbnails and crops: a cell is in each field that shows it."""
    fields: tuple[Field, ...]
    """The same fields with each cell only in the first one that shows it, read from all of its views together."""
    tally: Tally
    """Of `fields`."""
    differential: Differential
    """Of `tally`, by the reader's measured errors."""
    area_mm2: float
    """Of the slide that was looked at, ground that several fields show once."""
    refused: tuple[Refusal, ...] = ()
    overlaps: tuple[Overlap, ...] = ()
    marks: Mapping[int, str] = field(default_factory=dict)
    """What the operator said of cells, by identity."""
    estimates: Estimates = NOTHING
    """Cells per microlitre, where the red-cell count of the blood is known."""
    verdict: Verdict = NO_VERDICT
    """What the count allows to say."""

    @property
    def not_counted(self) -> tuple[Refusal, ...]:
        """Those of `refused` that are pictures or frames."""
        return tuple(each for each in self.refused if each.code not in BESIDE)

    @property
    def left_out(self) -> tuple[Refusal, ...]:
        """The others of `refused`: what lay beside the pictures, or in their files."""
        return tuple(each for each in self.refused if each.code in BESIDE)

    def as_counted(self) -> tuple[Field, ...]:
        """The counted fields with all their cells, the white ones read as they count.

        Several pictures that show a cell are read together, and the cell counts in the first of them: there it has that
        reading, in the others that of the picture alone. What the operator marked keeps what the reader says of it.
        """
        both = zip(self.counted, self.fields, strict=True)
        return tuple(_as_counted(counted, together, self.marks) for counted, together in both)


def _as_counted(counted: CountedField, together: Field, marks: Mapping[int, str]) -> Field:
    """A field with the readings and measures that its white cells have in another one, by their numbers."""
    fused = {cell.number: cell for cell in together.cells if cell.number}
    cells = []
    for cell, identity in zip(counted.field.cells, counted.identities, strict=True):
        own = fused.get(cell.number)
        if own and identity not in marks and cell.kind == own.kind == WHITE_CELL:
            cell = replace(cell, reading=own.reading, morphometry=own.morphometry)
        cells.append(cell)
    return replace(counted.field, cells=tuple(cells))


def without_pictures(counted: CountedField) -> CountedField:
    """A counted field as a `SlideResult` has it."""
    return replace(counted, thumbnail=NO_THUMBNAIL, crops={})


def refusal(name: str, error: EdgeleukError) -> Refusal:
    """A picture that could not be counted, as a value: what refused its quality, else the name of the error."""
    findings = error.findings if isinstance(error, QualityError) else ()
    severe = [finding.code for finding in findings if finding.severe]
    code = severe[0] if severe else type(error).__name__
    return Refusal(name, code, str(error), findings, error.exit_code)
