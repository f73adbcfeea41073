"""Report of one slide as one frozen value."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from edgeleuk.differential.differential import Differential, SecondLevel
from edgeleuk.differential.per_microlitre import Estimates
from edgeleuk.differential.rules import Range, Severity
from edgeleuk.differential.verdict import Verdict
from edgeleuk.results.slide_result import Provenance
from edgeleuk.statistics.bounds import Bounds
from edgeleuk.statistics.intervals import PerHundred
from edgeleuk.types import Refusal, ScaleSource

Status = Literal["preliminary", "final", "amended"]
"""Status of a report, by the names of FHIR.

Final and amended reports are signed; an amended one replaces an earlier one.
"""


@dataclass(frozen=True, slots=True)
class Remark:
    """Note on the slide."""

    at: str
    """Time, ISO 8601; empty if it is not known."""
    who: str
    """Author; empty if not kept."""
    text: str


@dataclass(frozen=True, slots=True)
class Amendment:
    """Opening of a further revision after a signature."""

    revision: int
    """Number of the revision that it opened."""
    by: str
    at: str
    """Time, ISO 8601."""
    why: str
    """Reason; empty if none was given."""


@dataclass(frozen=True, slots=True)
class Standing:
    """State of the report's revision."""

    status: Status = "preliminary"
    revision: int = 1
    reviewed: int = 0
    """Number of marked cells that a person looked at."""
    cells: int = 0
    """Number of marked cells: also those cut by the edge, and those read as no white cell."""
    reviewers: tuple[str, ...] = ()
    signed_by: str = ""
    signed_at: str = ""
    """Time of the signature, ISO 8601; empty if it is not signed."""
    changed: int = 0
    """Number of white cells whose type a person changed."""
    added: Mapping[str, int] | None = None
    """Cells that a person added, by type; None without a review."""
    earlier: tuple[tuple[int, str, str], ...] = ()
    """Earlier signed revisions: number, name and time."""
    amendments: tuple[Amendment, ...] = ()
    """Openings of further revisions, in order."""
    faults: tuple[str, ...] = ()
    """What is wrong with the trail or a signature, a sentence each."""

    @property
    def is_reviewed(self) -> bool:
        """Whether a person looked at a cell, or signed."""
        return bool(self.reviewed or self.signed_by or self.changed or self.added)


@dataclass(frozen=True, slots=True)
class Statement:
    """One reason of the verdict, with its cells."""

    code: str
    text: str
    where: str
    """Names of the cells as text; empty if there are none."""
    severity: Severity | None
    """Severity of the flag behind it; None if there is none."""
    told: bool
    """Whether the verdict's line has it already."""


@dataclass(frozen=True, slots=True)
class TypeRow:
    """One cell type of the differential."""

    label: str
    count: int
    of: int | None
    """Number of recognised white cells; None if no share can be stated."""
    percent: float | None
    """Share of the recognised white cells; None if none can be stated.

    Also None where no cell was recognised and the bounds are not known: 0 % would look like an exclusion.
    """
    bounds: Bounds | None
    """Bounds of the share of all white cells; None if not known."""
    range: Range | None
    """Reference range; None if there is none for this type, or no share."""
    flags: tuple[str, ...]
    """Codes of the flags that concern the type."""
    program: tuple[int, float | None] | None
    """The program's own count and percentage; None without a review."""
    level: SecondLevel | None
    """Second level; None if the type has none."""


@dataclass(frozen=True, slots=True)
class PictureRow:
    """Quality and counts of one picture."""

    name: str
    """Short display name."""
    verdict: str
    forced: bool
    codes: tuple[str, ...]
    texts: tuple[str, ...]
    um_per_px: float
    white: int
    red: int | None
    """Number of red cells; None if they were not counted."""
    platelets: int | None


@dataclass(frozen=True, slots=True)
class ScaleRow:
    """Scale that some pictures have in common."""

    um_per_px_x: float
    um_per_px_y: float
    source: ScaleSource
    relative_error: float
    red_cells: int
    pictures: int


@dataclass(frozen=True, slots=True)
class FlaggedCell:
    """White cell to look at."""

    picture: str
    """Short display name of its picture."""
    number: int
    """Number of the cell in its picture."""
    label: str | None
    """Type that counts; None if it was not read."""
    probability: float | None
    """The program's probability; None where a person named the type."""
    likeliest: str | None
    """Likeliest type of a cell that was not recognised."""
    program: str | None
    """The program's own type, where it is another one."""
    codes: tuple[str, ...]
    """Codes of the reasons that name it."""
    image: bytes | None
    """JPEG, `IMAGE_UM` wide and high; None if there is no picture."""


IMAGE_UM = 20.0
"""Side of a cell's picture, um."""


@dataclass(frozen=True, slots=True)
class Report:
    """All that a report of one slide states.

    What a percentage may be stated of is decided here: where `differential.supported` is false, no row has one.
    """

    about: Provenance
    session: str
    """Short id of the session; empty if there is none."""
    second_of: str
    """Session that this one is a second opinion on; empty if it is none."""
    standing: Standing
    verdict: Verdict
    statements: tuple[Statement, ...]
    """All reasons of the verdict, the gravest first."""
    differential: Differential
    """The differential that counts; a person's changes are in it."""
    rows: tuple[TypeRow, ...]
    program: Differential | None
    """The program's own differential; None if nobody reviewed the slide."""
    program_verdict: Verdict | None
    outside: Mapping[str, int]
    """Cells beside the percentages by type, without those not recognised."""
    program_outside: Mapping[str, int]
    per_100: Mapping[str, PerHundred]
    """Cells beside, per 100 recognised ones; empty if no share can be stated."""
    ranges: bool
    """Whether the reference ranges are known here."""
    estimates: Estimates
    pictures: tuple[PictureRow, ...]
    scales: tuple[ScaleRow, ...]
    area_mm2: float
    seen_again: tuple[int, int, int]
    """White cells, red cells and platelets that several pictures show."""
    copies: int
    """Number of pictures that are copies of another."""
    refused: tuple[Refusal, ...]
    left_out: tuple[Refusal, ...]
    flagged: tuple[FlaggedCell, ...]
    """First cells to look at, with pictures."""
    flagged_in_all: int
    clumps: int | None
    """Number of platelet clumps; None if the reader does not know them."""
    giant_platelets: int | None
    not_looked_for: str
    remarks: tuple[Remark, ...]
    lost: tuple[str, ...]
    """What a damaged session file lost, a sentence each."""

    @property
    def supported(self) -> bool:
        """Whether shares can be stated."""
        return self.differential.supported
