"""The live count against a simulated slide whose every cell is known: is each counted, and only once?

A stage scans the slide, stops at fields, moves on; the count sees what a camera would. Compared are the white cells that
were wholly in view while the stage stood with the unique ones that the count arrived at. That the simulation looks
like cells to the reader was seen to; figures measured here are about counting, not about reading.
"""

from __future__ import annotations

import time
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from edgeleuk.correction import Confusion
from edgeleuk.counting.slide import SlideCount
from edgeleuk.differential import Differential
from edgeleuk.live.counter import LiveCounter
from edgeleuk.sources.camera import SourceInfo
from edgeleuk.sources.stage import StageSource
from edgeleuk.types import WHITE_CELL

Progress = Callable[[float], None]
"""Told the stage time that is done, seconds."""


@dataclass(frozen=True, slots=True)
class TypeShare:
    """One type's share of a slide's white cells, percent."""

    true: float
    """Of the cells in view."""
    expected: float
    """Of those that the reader would identify among them, did it err as it does on held-out cells."""
    read: float
    """Of those that it identified."""
    low: float
    """Of the exact 95 % interval of `read`, and that of its end `high`."""
    high: float

    @property
    def explained(self) -> bool:
        """Whether chance and the reader's errors make what was read of what is true: the interval meets the way from
        `true` to `expected`."""
        return self.low <= max(self.true, self.expected) and self.high >= min(self.true, self.expected)


@dataclass(frozen=True, slots=True)
class LiveResult:
    """One simulated slide, counted."""

    seed: int
    magnification: str
    in_view: Mapping[str, int]
    """White cells that were wholly in view while the stage stood, by true type."""
    counted: Mapping[str, int]
    """Unique white cells by label, those cut by an edge in every view not among them."""
    types: Mapping[str, TypeShare]
    """See `type_shares`."""
    frames: int
    fields: int
    verdicts: Mapping[str, int]
    islands: int
    stage_seconds: float
    seconds: float

    @property
    def error(self) -> float:
        """Unique cells counted over those in view, less one."""
        truth = sum(self.in_view.values())
        return sum(self.counted.values()) / truth - 1 if truth else 0.0

    def as_json(self) -> dict[str, Any]:
        return {
            "seed": self.seed,
            "magnification": self.magnification,
            "in_view": dict(self.in_view),
            "counted": dict(self.counted),
            "error": self.error,
            "types": {
                label: {**asdict(share), "explained": share.explained} for label, share in self.types.items()
            },
            "frames": self.frames,
            "fields": self.fields,
            "verdicts": dict(self.verdicts),
            "islands": self.islands,
            "stage_seconds": self.stage_seconds,
            "seconds": self.seconds,
        }


def evaluate_live(
    slide: SlideCount,
    source: StageSource,
    seed: int,
    progress: Progress | None = None,
) -> LiveResult:
    """Count the whole script of a simulated stage with a new `slide`, as fast as this machine can."""
    info: SourceInfo = source.info
    counter, analyser = LiveCounter(slide, source=info.name), slide.analyser
    verdicts: Counter[str] = Counter()
    began, last = time.perf_counter(), 0.0
    while shot := source.read(1.0):
        verdicts[counter.frame(shot)] += 1
        last = shot.seconds
        if progress:
            progress(last)
    taken = time.perf_counter() - began
    in_view = Counter(cell.label or "" for cell in source.truth(still=True) if cell.kind == WHITE_CELL)
    counted = Counter(
        cell.reading.label for field in counter.map.fields() for cell in field.of(WHITE_CELL) if cell.reading
    )
    return LiveResult(
        seed=seed,
        magnification=analyser.model.magnification,
        in_view=in_view,
        counted=counted,
        types=type_shares(in_view, counter.differential(), analyser.model.reader.confusion),
        frames=sum(verdicts.values()),
        fields=verdicts["counted"],
        verdicts=verdicts,
        islands=counter.map.islands,
        stage_seconds=last,
        seconds=taken,
    )


def type_shares(
    in_view: Mapping[str, int], read: Differential, confusion: Confusion | None
) -> dict[str, TypeShare]:
    """By type, of those that are in view or were read. Empty where nothing is, and where the reader's confusion of one of the
    types in view was not measured: it may be read as any of the others."""
    rows = dict(zip(confusion.labels, confusion.counts, strict=True)) if confusion else {}
    if confusion is None or not read.n or not all(sum(rows.get(label, ())) for label in in_view):
        return {}
    named: defaultdict[str, float] = defaultdict(float)
    for label, n in in_view.items():
        for name, count in zip(confusion.read, rows[label], strict=True):
            named[name] += n * count / sum(rows[label])
    identified = sum(named[label] for label in read.types)
    if not identified:
        return {}
    whole = sum(in_view.values())
    return {
        label: TypeShare(
            100 * in_view.get(label, 0) / whole, 100 * named[label] / identified,
            share.percent, share.low, share.high,
        )
        for label, share in read.types.items()
        if share.count or label in in_view
    }  # fmt: skip
