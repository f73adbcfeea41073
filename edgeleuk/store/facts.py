"""What is known of a session: as it begins, and as a list shows it."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from datetime import datetime
from typing import Literal
from uuid import uuid4

from edgeleuk import __version__
from edgeleuk.results import ModelIdentity, Provenance

State = Literal["running", "finished", "interrupted"]
"""A process writes it now; it was ended by its operator or its source; neither, as after a power cut."""

Kind = Literal["live", "pictures"]
"""Counted from a camera or a stream, as the stage moved; or from picture files."""


def local_now() -> str:
    """By the clock and the zone of this machine, ISO 8601 with the offset from UTC."""
    return datetime.now().astimezone().isoformat(timespec="milliseconds")


@dataclass(frozen=True, slots=True)
class NewSession:
    """What is known when a session begins: which slide, who counts it, and with what."""

    source: str
    """Camera, stream, film, folder or picture."""
    model: ModelIdentity
    kind: Kind = "live"
    target: int = 0
    """White cells to count; 0 where all that is there is counted."""
    um_per_px: float | None = None
    """As given; None where the profile or the red cells tell."""
    slide: str = ""
    operator: str = ""
    site: str = ""
    device: str = ""
    profile: str | None = None
    """Name of the device profile."""
    red_cells: float | None = None
    """Of the blood, 10^12 per litre, where somebody entered it."""
    notes: str = ""
    program: str = __version__
    uuid: str = dataclasses.field(default_factory=lambda: str(uuid4()))
    """Random, so that two machines never give the same, also where their clocks stand still."""
    started: str = dataclasses.field(default_factory=local_now)
    """ISO 8601 with the offset from UTC."""


@dataclass(frozen=True, slots=True)
class SessionSummary:
    """What a list of sessions shows."""

    id: str
    """Short, for people. Two machines may give the same."""
    uuid: str
    """The only one anywhere."""
    kind: Kind
    started: str
    """UTC, ISO 8601, as all times here."""
    zone: str
    """Offset of the place's clock from UTC at the start, as "+02:00"; empty where an older edgeleuk did not keep it."""
    last: str | None
    """When the last field was counted: earlier than `started` where the clock was set back in between."""
    ended: str | None
    reason: str | None
    """Why it ended, in a few words."""
    state: State
    magnification: str
    source: str
    model_version: str
    finder_sha256: str
    """Of the model's files, as the two after it; empty where an older edgeleuk did not keep them."""
    reader_sha256: str
    manifest_sha256: str
    profile: str | None
    """Name of the device profile."""
    target: int
    """White cells to count; 0 where all that is there is counted."""
    um_per_px: float | None
    """As given at the start; None where the red cells tell."""
    red_cells: float | None
    """Of the blood, 10^12 per litre, where somebody entered it."""
    operator: str
    slide: str
    site: str
    device: str
    notes: str
    """As given at the start; later ones are in `Session.notes`."""
    version: str
    """Of the edgeleuk that began it."""
    fields: int
    """Without those taken back."""
    white_cells: int
    """White cells that were read, each once, whatever they were read or marked as. The map may make two of them one
    when it finds that parts of it overlap; this count is of before."""
    refused: int
    """Pictures that were not counted, and what lay beside them and is none."""

    @property
    def about(self) -> Provenance:
        """Who counted what, when and with what. Times are those of the place's clock."""
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
"""What can be said of a session later, or otherwise than at its start."""


@dataclass(frozen=True, slots=True)
class Change:
    """One of FACTS that was set to another text."""

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
    """A remark of the operator, or a change of what is said of the session."""

    at: str
    text: str
