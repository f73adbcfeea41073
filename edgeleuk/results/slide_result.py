"""Result of one slide: counts with their provenance."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from edgeleuk.differential.differential import Differential
from edgeleuk.differential.per_microlitre import NOTHING, Estimates
from edgeleuk.differential.verdict import Verdict
from edgeleuk.errors import EdgeleukError, QualityError
from edgeleuk.models import registry
from edgeleuk.models.registry import Model
from edgeleuk.types import BESIDE, WHITE_CELL, CountedField, Field, Overlap, Refusal, Tally

NO_VERDICT = Verdict(
    "not_usable", "An older edgeleuk kept this result, without a verdict. Analyse the pictures again."
)
NO_THUMBNAIL: NDArray[np.uint8] = np.empty((0, 0), np.uint8)


@dataclass(frozen=True, slots=True)
class ModelIdentity:
    """Identity of the model that read a slide."""

    magnification: str
    version: str
    finder_sha256: str
    reader_sha256: str
    manifest_sha256: str
    """SHA-256 of model.json.

    It includes thresholds and measured errors.
    """


def identify(model: Model) -> ModelIdentity:
    """Identify a model by its files, whatever version it states.

    Raises:
        ModelError: The files are gone.
    """
    manifest = registry.manifest_bytes(model.folder)
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
    """UUID (RFC 9562) of the result.

    The same for a session and its exports.
    """
    program: str
    """Version of edgeleuk."""
    model: ModelIdentity
    started: str
    """Start time, ISO 8601 with the offset from UTC."""
    ended: str | None = None
    """End time, ISO 8601 with the offset from UTC.

    None while the slide is counted, or where the program was interrupted.
    """
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
    """Complete result of one slide.

    Places are in pixels of the files.
    """

    about: Provenance
    counted: tuple[CountedField, ...]
    """Fields as they were counted, without thumbnails and crops.

    A cell is in each field that shows it.
    """
    fields: tuple[Field, ...]
    """The same fields with each cell only once.

    A cell is in the first field that shows it, read from all of its views together.
    """
    tally: Tally
    """Tally of `fields`."""
    differential: Differential
    """Differential of `tally`, by the reader's measured errors."""
    area_mm2: float
    """Examined area of the slide, mm2.

    Area that several fields show counts once.
    """
    refused: tuple[Refusal, ...] = ()
    overlaps: tuple[Overlap, ...] = ()
    marks: Mapping[int, str] = field(default_factory=dict)
    """The operator's labels of cells, by identity."""
    estimates: Estimates = NOTHING
    """Estimated cells per microlitre.

    Only where the red-cell count of the blood is known.
    """
    verdict: Verdict = NO_VERDICT
    """Verdict on the slide."""

    @property
    def not_counted(self) -> tuple[Refusal, ...]:
        """Refused pictures and frames."""
        return tuple(each for each in self.refused if each.code not in BESIDE)

    @property
    def left_out(self) -> tuple[Refusal, ...]:
        """Other refused files.

        They lay beside the pictures, or in their files.
        """
        return tuple(each for each in self.refused if each.code in BESIDE)

    def as_counted(self) -> tuple[Field, ...]:
        """Return the counted fields with their white cells' final readings.

        Several pictures that show a cell are read together, and the cell counts in the first of them: there
        it has that reading, in the others that of the picture alone. A cell that the operator marked keeps
        the reader's reading.
        """
        both = zip(self.counted, self.fields, strict=True)
        return tuple(_as_counted(counted, together, self.marks) for counted, together in both)


def _as_counted(counted: CountedField, together: Field, marks: Mapping[int, str]) -> Field:
    """Copy readings and measures of white cells by their numbers.

    From the field `together` to the counted field.
    """
    fused = {cell.number: cell for cell in together.cells if cell.number}
    cells = []
    for cell, identity in zip(counted.field.cells, counted.identities, strict=True):
        own = fused.get(cell.number)
        if own and identity not in marks and cell.kind == own.kind == WHITE_CELL:
            cell = replace(cell, reading=own.reading, morphometry=own.morphometry)
        cells.append(cell)
    return replace(counted.field, cells=tuple(cells))


def without_pictures(counted: CountedField) -> CountedField:
    """Return a counted field without thumbnail and crops.

    As a `SlideResult` has it.
    """
    return replace(counted, thumbnail=NO_THUMBNAIL, crops={})


def refusal(name: str, error: EdgeleukError) -> Refusal:
    """Return the refusal of a picture that could not be counted.

    Its code is that of the finding that refused the picture, else the name of the error.
    """
    findings = error.findings if isinstance(error, QualityError) else ()
    severe = [finding.code for finding in findings if finding.severe]
    code = severe[0] if severe else type(error).__name__
    return Refusal(name, code, str(error), findings, error.exit_code)
