"""State of a live count, and its events.

Each frame gives one immutable state; each occurrence gives one event.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from edgeleuk.counting.gate import Meters
from edgeleuk.differential.differential import Differential
from edgeleuk.differential.verdict import Verdict as SlideVerdict
from edgeleuk.sources.camera import CameraState, CameraWord
from edgeleuk.types import UNCLASSIFIED, spoken

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
"""Why a frame was counted or not.

- counted: the frame was counted.
- move: the stage is moving.
- focus: out of focus.
- dark: too dark.
- bright: too bright.
- empty: nothing there.
- thick: cells too dense to count.
- stain: stained too little or too much.
- foreign: not a blood smear as the models know it.
- seen: this part of the slide was counted before.
- scale: the scale is not known.
- paused: the operator, or a full disk, paused the count.
- manual: the operator has not asked to count.
- unreadable: the frame cannot be analysed.
"""


@dataclass(frozen=True, slots=True)
class LastCell:
    """White cell that the operator would mark now."""

    identity: int
    """Number on the map, also in what `sessions export` writes."""
    field: int
    """Number of the field that showed it first."""
    number: int
    """Number in that field, by which the verdict names it."""
    label: str
    probability: float
    """Probability of the label, 0 to 1."""

    @property
    def read(self) -> str:
        """Cell type with its probability, such as "blast, 93 %"."""
        if self.label == UNCLASSIFIED:
            return spoken(self.label)
        return f"{spoken(self.label)}, {100 * self.probability:.0f} %"

    def __str__(self) -> str:
        return f"cell {self.identity} ({self.read}, field {self.field} cell {self.number})"


@dataclass(frozen=True, slots=True)
class LiveState:
    """Everything a view needs.

    Counts are facts: views derive and format, they count nothing.
    """

    magnification: str
    source: str
    camera: CameraState
    verdict: Verdict
    meters: Meters
    fps: float
    """Frames processed per second.

    Taken over the last few seconds.
    """
    latency_ms: float
    """Time from a frame's arrival to its result, milliseconds.

    95th percentile over the last few seconds.
    """
    seconds: float
    """Wall-clock seconds since the count began."""
    fields: int
    differential: Differential
    slide_verdict: SlideVerdict
    """Verdict on the slide as counted so far.

    `verdict` is that on the last frame.
    """
    target: int
    """White cells to count."""
    last_added: Mapping[str, int] = field(default_factory=dict)
    """White cells added by the last counted field, by label."""
    last_cell: LastCell | None = None
    """Newest white cell, artefacts excluded, or None."""
    um_per_px: float | None = None
    island_count: int = 0
    paused: bool = False
    manual: bool = False
    message: str = ""
    """Latest message for the operator.

    One sentence, or empty.
    """
    session: str = ""
    """Identifier of the session in the store.

    Empty if nothing is stored.
    """


EventKind = Literal[
    "started", "field", "undone", "artefact", "note", "camera", "flag", "target", "warning", "finished"
]


@dataclass(frozen=True, slots=True)
class Event:
    """Event of a live count.

    In logs and pipes it is one JSON line.
    """

    kind: EventKind
    seconds: float
    """Wall-clock seconds since the count began."""
    text: str
    """Sentence for people."""
    data: Mapping[str, Any] = field(default_factory=dict)
    """Plain values for programs."""
