"""Facts of a session.

As it begins, and as a list shows it.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from datetime import datetime
from typing import Literal
from uuid import uuid4

from edgeleuk import __version__
from edgeleuk.results.slide_result import ModelIdentity, Provenance

State = Literal["running", "finished", "interrupted"]
"""State of a session.

Running: a process writes it now. Finished: it was ended by its operator or its source. Interrupted: neither,
as after a power cut.
"""

Kind = Literal["live", "pictures"]
"""Kind of a session.

Live: counted from a camera or a stream, as the stage moved. Pictures: counted from picture files.
"""


def local_now() -> str:
    """Return the local time, ISO 8601 with offset from UTC.

    By the clock and the zone of this machine.
    """
    return datetime.now().astimezone().isoformat(timespec="milliseconds")


@dataclass(frozen=True, slots=True)
class NewSession:
    """Facts of a session at its start.

    Which slide, who counts it, and with what.
    """

    source: str
    """Camera, stream, film, folder or picture."""
    model: ModelIdentity
    kind: Kind = "live"
    target: int = 0
    """White cells to count; 0 to count all."""
    um_per_px: float | None = None
    """Scale as given; None if not given.

    The profile or the red cells then tell it.
    """
    slide: str = ""
    operator: str = ""
    site: str = ""
    device: str = ""
    profile: str | None = None
    """Name of the device profile."""
    red_cells: float | None = None
    """Red-cell count of the blood, 10^12 per litre.

    None if nobody entered it.
    """
    notes: str = ""
    program: str = __version__
    uuid: str = dataclasses.field(default_factory=lambda: str(uuid4()))
    """Random UUID of the session.

    Two machines never give the same, even if their clocks stand still.
    """
    started: str = dataclasses.field(default_factory=local_now)
    """Time of the start, ISO 8601 with offset from UTC."""


@dataclass(frozen=True, slots=True)
class SessionSummary:
    """Facts of a session in a list."""

    id: str
    """Short id for people.

    Two machines may give the same.
    """
    uuid: str
    """Unique id on all machines."""
    kind: Kind
    started: str
    """Time of the start, UTC, ISO 8601.

    All times here are such.
    """
    zone: str
    """Offset of local time from UTC at the start.

    As "+02:00"; empty if an older edgeleuk did not keep it.
    """
    last: str | None
    """Time of the last counted field.

    Earlier than `started` if the clock was set back in between.
    """
    ended: str | None
    reason: str | None
    """Reason for its end, in a few words."""
    state: State
    magnification: str
    source: str
    model_version: str
    finder_sha256: str
    """Hash of the finder's file.

    The two after it are of the model's other files. Empty if an older edgeleuk did not keep them.
    """
    reader_sha256: str
    manifest_sha256: str
    profile: str | None
    """Name of the device profile."""
    target: int
    """White cells to count; 0 to count all."""
    um_per_px: float | None
    """Scale given at the start.

    None if none was given: the red cells then tell it.
    """
    red_cells: float | None
    """Red-cell count of the blood, 10^12 per litre.

    None if nobody entered it.
    """
    operator: str
    slide: str
    site: str
    device: str
    notes: str
    """Notes as given at the start.

    Later ones are in `Session.notes`.
    """
    version: str
    """Version of the edgeleuk that began it."""
    fields: int
    """Number of fields, without those taken back."""
    white_cells: int
    """Number of white cells that were read, each once.

    Whatever they were read or marked as. The map may make two of them one when it finds that parts of it
    overlap; this count is of before.
    """
    refused: int
    """Number of pictures that were not counted.

    With files beside them that are no pictures.
    """
    sequence: int = 0
    """Number of the session in its file, from 1, in the order of starting.

    It is not given again when a session is deleted. 0 if the file could not be brought up to date.
    """
    second_of: str = ""
    """UUID of the session that this one is a second opinion on.

    Empty for a session that was counted.
    """

    @property
    def about(self) -> Provenance:
        """Provenance of the session, with local times.

        Who counted what, when and with what. Times are those of the place's clock.
        """
        model = ModelIdentity(
            self.magnification,
            self.model_version,
            self.finder_sha256,
            self.reader_sha256,
            self.manifest_sha256,
        )
        return Provenance(
            id=self.uuid,
            program=self.version,
            model=model,
            started=self._local(self.started),
            ended=self._local(self.ended) if self.ended else None,
            source=self.source,
            slide=self.slide,
            operator=self.operator,
            site=self.site,
            device=self.device,
            profile=self.profile,
        )

    def _local(self, time: str) -> str:
        zone = datetime.fromisoformat(f"2000-01-01T00:00{self.zone or '+00:00'}").tzinfo
        return datetime.fromisoformat(time).astimezone(zone).isoformat(timespec="milliseconds")


FACTS = ("slide", "operator", "site", "device")
"""Facts of a session that can be changed later.

Or be stated otherwise than at its start.
"""


@dataclass(frozen=True, slots=True)
class Change:
    """Change of one of FACTS to another text."""

    name: str
    before: str
    after: str

    def __str__(self) -> str:
        if not self.before:
            return f'{self.name} set to "{self.after}".'
        if not self.after:
            return f'{self.name} "{self.before}" removed.'
        return f'{self.name} changed from "{self.before}" to "{self.after}".'


@dataclass(frozen=True, slots=True)
class Note:
    """Remark of the operator.

    Or a change of what is said of the session.
    """

    at: str
    text: str
