"""What a live count looks like from outside: one immutable value a frame, and one event for what happened."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from edgeleuk.counting.gate import Meters
from edgeleuk.differential import Differential
from edgeleuk.sources.camera import CameraState, CameraWord
from edgeleuk.types import UNCLASSIFIED, spoken
from edgeleuk.verdict import Verdict as SlideVerdict

__all__ = [
    "CameraState",
    "CameraWord",
    "Event",
    "EventKind",
    "LastCell",
    "LiveState",
    "Meters",
    "SlideVerdict",
    "Verdict",
]

Verdict = Literal[
    "counted",
    "move",
    "focus",
    "dark",
    "bright",
    "empty",
    "thick",
    "stain",
    "foreign",
    "seen",
    "scale",
    "paused",
    "manual",
    "unreadable",
]
"""Why a frame was counted or not: the stage moves; out of focus; too dark; too bright; nothing there; cells too dense
to count; stained too little or too much; no blood smear as the models know it; ground that was counted before; scale not known; the operator paused; the operator has not asked."""


@dataclass(frozen=True, slots=True)
class LastCell:
    """The white cell that the operator would mark now."""

    identity: int
    """Its number on the map, and in what `sessions export` writes."""
    field: int
    """Number of the counted field that showed it first."""
    number: int
    """Its number in that field, by which the verdict names it."""
    label: str
    probability: float
    """Of the label, 0 to 1."""

    @property
    def read(self) -> str:
        """Its type with the probability, as "blast, 93 %"."""
        if self.label == UNCLASSIFIED:
            return spoken(self.label)
        return f"{spoken(self.label)}, {100 * self.probability:.0f} %"

    def __str__(self) -> str:
        return f"cell {self.identity} ({self.read}, field {self.field} cell {self.number})"


@dataclass(frozen=True, slots=True)
class LiveState:
    """Everything a view needs. Counts are facts; views derive and format, they count nothing."""

    magnification: str
    source: str
    camera: CameraState
    verdict: Verdict
    meters: Meters
    fps: float
    """Frames processed a second, over the last few seconds."""
    latency_ms: float
    """From a frame's arrival to its result, 95th percentile over the last few seconds."""
    seconds: float
    """Since the count began, on the wall's clock."""
    fields: int
    differential: Differential
    slide_verdict: SlideVerdict
    """On the slide as far as it is counted; `verdict` is on the last frame."""
    target: int
    """White cells to count."""
    last_added: Mapping[str, int] = field(default_factory=dict)
    """White cells that the last counted field added, by label."""
    last_cell: LastCell | None = None
    """The white cell that was found last and is no artefact yet; None where there is none."""
    um_per_px: float | None = None
    islands: int = 0
    paused: bool = False
    manual: bool = False
    message: str = ""
    """The last thing the operator should read, one sentence; empty for none."""
    session: str = ""
    """Identifier of the session in the store; empty where nothing is kept."""


EventKind = Literal[
    "started", "field", "undone", "artefact", "note", "camera", "flag", "target", "warning", "finished"
]


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that happened, for logs and pipes: one JSON line."""

    kind: EventKind
    seconds: float
    """Since the count began, on the wall's clock."""
    text: str
    """One sentence for a person."""
    data: Mapping[str, Any] = field(default_factory=dict)
    """Plain values for a program."""
