"""Evaluate the live count on simulated slides.

Every cell of a simulated slide is known; the question is whether each is counted, and only once. A stage
scans the slide, stops at fields and moves on; the count sees what a camera would. The white cells that were
wholly in view while the stage stood are compared with the unique cells that were counted. The simulated cells
look like cells to the reader, but the figures measured here are about counting, not about reading.
"""

from __future__ import annotations

import time
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from edgeleuk.counting.live import LiveCounter
from edgeleuk.counting.slide import SlideCount
from edgeleuk.differential.differential import Differential
from edgeleuk.sources.camera import SourceInfo
from edgeleuk.sources.simulated import StageSource
from edgeleuk.statistics.correction import Confusion
from edgeleuk.types import WHITE_CELL

Progress = Callable[[float], None]
"""Called with the stage time done, seconds."""


@dataclass(frozen=True, slots=True)
class TypeShare:
    """Share of one cell type, percent.

    It is the share among a slide's white cells.
    """

    true: float
    """Share among the cells in view."""
    expected: float
    """Expected share among the cells identified.

    It follows from `true` and the reader's errors on held-out cells.
    """
    read: float
    """Share among the cells that the reader identified."""
    low: float
    """Lower end of the 95 % interval of `read`.

    The interval is exact; `high` is its upper end.
    """
    high: float

    @property
    def explained(self) -> bool:
        """Whether chance and reader errors explain the share read.

        They do if the interval of `read` meets the range from `true` to `expected`.
        """
        return self.low <= max(self.true, self.expected) and self.high >= min(self.true, self.expected)


@dataclass(frozen=True, slots=True)
class LiveResult:
    """Live count of one simulated slide."""

    seed: int
    magnification: str
    in_view: Mapping[str, int]
    """Number of white cells in view, by true type.

    They were wholly in view while the stage stood.
    """
    counted: Mapping[str, int]
    """Number of unique white cells counted, by label.

    Cells that an edge cuts in every view are left out.
    """
    types: Mapping[str, TypeShare]
    """Shares by cell type, see `type_shares`."""
    frames: int
    fields: int
    verdicts: Mapping[str, int]
    island_count: int
    stage_seconds: float
    seconds: float

    @property
    def error(self) -> float:
        """Relative error of the number of cells.

        It is the unique cells counted over those in view, less 1.
        """
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
            "islands": self.island_count,
            "stage_seconds": self.stage_seconds,
            "seconds": self.seconds,
        }


def evaluate_live(
    slide: SlideCount,
    source: StageSource,
    seed: int,
    progress: Progress | None = None,
) -> LiveResult:
    """Count all frames of a simulated stage.

    Frames are counted as fast as this machine can.

    Args:
        slide: New, empty slide to count on.
        source: Simulated stage with its script.
        seed: Seed of the simulated slide, for the report.
        progress: Called with the stage time done, seconds.
    """
    info: SourceInfo = source.info
    counter, analyser = LiveCounter(slide, source=info.name), slide.analyser
    verdicts: Counter[str] = Counter()
    began, last = time.perf_counter(), 0.0
    while timed := source.read(1.0):
        verdicts[counter.frame(timed)] += 1
        last = timed.seconds
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
        island_count=counter.map.island_count,
        stage_seconds=last,
        seconds=taken,
    )


def type_shares(
    in_view: Mapping[str, int], read: Differential, confusion: Confusion | None
) -> dict[str, TypeShare]:
    """Return true, expected and read shares by type.

    Args:
        in_view: Number of cells in view by true type.
        read: Differential of the live count.
        confusion: Errors of the reader on held-out cells.

    Returns:
        Shares by type, of the types that are in view or were read. Empty if there are no cells, or if the
        reader's confusion of a type in view was not measured, as that type may be read as any other.
    """
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
