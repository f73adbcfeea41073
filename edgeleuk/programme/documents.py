"""Documents of sessions and of control logs for other machines.

A document is of one session, or of one entry of a log of control slides. It is JSON with sorted keys: the
same content gives the same bytes, and so the same hash. It holds the row of the slides' table, what people
changed, and the trail of the review; no pictures, and no notes, since people write into them what should not
travel.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any, cast

import msgspec

from edgeleuk.errors import InputError
from edgeleuk.quality_control.control import ControlRun
from edgeleuk.quality_control.log import Entry
from edgeleuk.sessions.merged import SessionState
from edgeleuk.system import file_io

SCHEMA = "edgeleuk-slide/1"
CONTROL_SCHEMA = "edgeleuk-control/1"
_DIGITS = 16
"""Hexadecimal digits of one fingerprint."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SlideDocument:
    """What a programme knows of one session."""

    uuid: str
    store: str
    """UUID of the file of sessions; a copy of the file has the same."""
    sequence: int
    """Number of the session in its file, in the order of counting."""
    id: str
    """Short id on its machine."""
    kind: str
    state: str
    program: str
    """Version of the edgeleuk that wrote the document."""
    last: str
    """Time of its last field or its end, UTC, ISO 8601."""
    clock_set_back: bool
    """Whether a field or the end has an earlier time than the field before."""
    row: dict[str, Any]
    """Row of the slides' table by what counts now, people's labels included."""
    program_verdict: str
    """Code of the program's own verdict."""
    review: dict[str, Any]
    """State, signature, changes and trail of the review."""
    looked_at: int
    """White cells that a reviewer looked at or labelled."""
    corrected: int
    """White cells among them whose label now differs from the program's."""
    history: str
    """Fingerprints of what happened, sorted and joined."""
    second_of: str = ""
    """UUID of the session that this one is a second opinion on; empty for a session that was counted."""
    labels: dict[str, str] = field(default_factory=dict)
    """Labels of the white cells that a reviewer looked at, by number on the map."""

    @property
    def fingerprints(self) -> frozenset[str]:
        """Fingerprints of what happened."""
        return frozenset(self.history[at : at + _DIGITS] for at in range(0, len(self.history), _DIGITS))

    @property
    def started(self) -> datetime:
        """Time of the start as the machine's clock showed it."""
        return datetime.fromisoformat(self.row["started"])

    @property
    def signed(self) -> int:
        """Number of signed revisions."""
        return len(self.review.get("revisions", ()))

    def state_of(self, content: bytes) -> SessionState:
        """Return the state for the database; `content` is the encoded document."""
        return SessionState(self.uuid, self.row.get("ended") or "", self.program, self.fingerprints, content)


@dataclass(frozen=True, slots=True, kw_only=True)
class ControlDocument:
    """One entry of a log of control slides."""

    store: str
    number: int
    at: str
    """Time, UTC, ISO 8601."""
    site: str
    device: str
    control: str
    kind: str
    objective: str = ""
    outcome: str = ""
    """State of a run; empty for other entries."""
    broken: tuple[str, ...] = field(default=())
    """Quantities of a rejected run that broke a rule."""


def control_document(entry: Entry, store: str, site: str, device: str) -> ControlDocument:
    """Return the document of one entry of the log.

    Args:
        entry: The entry.
        store: UUID of the file of sessions.
        site: Site of this machine.
        device: Device of this machine.
    """
    run = entry.value if isinstance(entry.value, ControlRun) else None
    return ControlDocument(
        store=store,
        number=entry.number,
        at=entry.at,
        site=site,
        device=device,
        control=entry.control,
        kind=entry.kind,
        objective=getattr(entry.value, "magnification", ""),
        outcome=run.state if run else "",
        broken=tuple(each.quantity for each in run.rejected) if run else (),
    )


def encode(document: SlideDocument | ControlDocument) -> bytes:
    """Encode a document as JSON, the same bytes for the same content."""
    schema = SCHEMA if isinstance(document, SlideDocument) else CONTROL_SCHEMA
    text = json.dumps({"schema": schema, **asdict(document)}, sort_keys=True, separators=(",", ":"))
    return text.encode() + b"\n"


def decode_slide(content: bytes, where: str) -> SlideDocument:
    """Decode the document of a session.

    `where` names its file in messages.

    Raises:
        InputError: It is malformed, or of a newer edgeleuk.
    """
    made = cast(SlideDocument, _decode(content, SCHEMA, SlideDocument, where))
    try:
        _check(made)
    except (ValueError, TypeError, LookupError) as error:
        raise InputError(
            f"{where} is no document of a session: {error}. Export the session again."
        ) from error
    return made


def decode_control(content: bytes, where: str) -> ControlDocument:
    """Decode one entry of a log of control slides.

    Raises:
        InputError: It is malformed, or of a newer edgeleuk.
    """
    return cast(ControlDocument, _decode(content, CONTROL_SCHEMA, ControlDocument, where))


def _decode(content: bytes, schema: str, kind: type, where: str) -> Any:
    try:
        told = file_io.parse_json(content)
        theirs = told.get("schema") if isinstance(told, dict) else None
        if theirs != schema:
            raise ValueError(f"it should be {schema}, and says {str(theirs)[:60]!r}")
        return msgspec.convert(told, kind)
    except (ValueError, TypeError, msgspec.ValidationError) as error:
        raise InputError(
            f"{where} cannot be used: {error}. A newer edgeleuk may have written it, or it is damaged: export it again."
        ) from error


def _check(made: SlideDocument) -> None:
    """Check the parts of a row that figures are made of.

    Raises:
        ValueError: One is none; so do TypeError and LookupError.
    """
    if len(made.history) % _DIGITS or set(made.history) - set("0123456789abcdef"):
        raise ValueError("its history is none")
    if made.started.tzinfo is None or datetime.fromisoformat(made.last).tzinfo is None:
        raise ValueError("a time of it has no zone")
    row = made.row
    if row["session"] != made.uuid:
        raise ValueError("its row is of another session")
    for name in ("site", "device", "slide", "objective", "verdict"):
        if not isinstance(row[name], str):
            raise TypeError(f"{name} is no text")
    for name in ("pictures", "pictures_refused", "white_cells", "not_recognised"):
        if type(row[name]) is not int or row[name] < 0:
            raise TypeError(f"{name} is no count")
    if row["not_recognised"] > row["white_cells"] or not 0 <= made.corrected <= made.looked_at:
        raise ValueError("its counts contradict each other")
