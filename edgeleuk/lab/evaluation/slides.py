"""Compare counted slides with their annotated counts.

Each slide is counted as `analyze` does it; shares are compared by group.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from edgeleuk.analysis.analyser import Analyser
from edgeleuk.counting.pictures import Analysed, Batch, Failed
from edgeleuk.counting.scale_policy import ScalePolicy
from edgeleuk.counting.slide import SlideCount, SlideOptions
from edgeleuk.differential import verdict
from edgeleuk.differential.rules import Reference, Rules
from edgeleuk.differential.verdict import Verdict
from edgeleuk.errors import InputError
from edgeleuk.lab.evaluation.datasets import MALFORMED, read_document
from edgeleuk.lab.evaluation.readings import proportion
from edgeleuk.models.manifest import BLAST_LIKE
from edgeleuk.types import NOT_A_CELL, PictureFile

NONE = "none"
"""Annotation label of things that are no cell."""
Groups = Mapping[str, Collection[str]]
"""Cell types by group, see `ReaderManifest.groups`."""


Progress = Callable[[int, int], None]
"""Called with the fields done and their total."""


@dataclass(frozen=True, slots=True)
class SlideSample:
    """One slide with its annotated white cells by type."""

    name: str
    fields: tuple[Path, ...]
    counts: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class SlideResult:
    """Cells read and cells annotated on one slide."""

    predicted: Mapping[str, int]
    """White cells found and read, by label.

    Includes "unclassified" and the types that are not counted in the percentages.
    """
    annotated: Mapping[str, int]
    """Annotated cells counted in the percentages, by type.

    Includes things annotated as no cell.
    """
    groups: Groups
    refused: tuple[str, ...]
    """Fields that could not be analysed, with the reason."""
    verdict: Verdict
    not_recognised: int
    """Number of white cells below the reader's threshold."""
    white_cells: int
    """Number of white cells, recognised or not."""
    lineages: Mapping[str, int]
    """White cells by lineage, also those whose type was not recognised."""
    of_unknown_lineage: int
    """Number of white cells of which not even the lineage is known."""
    annotated_cells: int
    """Number of all annotated cells.

    Includes the types that are not counted in the percentages.
    """

    def as_json(self) -> dict[str, Any]:
        both = {"predicted": self.predicted, "annotated": self.annotated}
        return {
            **{name: dict(counts) for name, counts in both.items()},
            "leading": {name: leading(counts, self.groups) for name, counts in both.items()},
            "blast_like": {
                name: shares(counts, self.groups).get(BLAST_LIKE) for name, counts in both.items()
            },
            "refused": list(self.refused),
            "verdict": verdict.as_json(self.verdict),
            "not_recognised": proportion(self.not_recognised, self.white_cells),
            "by_lineage": {
                "cells": dict(self.lineages),
                "leading": largest(self.lineages),
                "blast_like": percent_of(self.lineages, BLAST_LIKE),
                "not_recognised": proportion(self.of_unknown_lineage, self.white_cells),
            },
            "not_a_cell": {
                "predicted_share": _share(self.predicted.get(NOT_A_CELL, 0), sum(self.predicted.values())),
                "annotated_share": _share(self.annotated.get(NONE, 0), self.annotated_cells),
            },
        }


@dataclass(frozen=True, slots=True)
class SlidesReport:
    """Report of `edgeleuk eval slides`."""

    slides: Mapping[str, SlideResult]

    @property
    def leading_right(self) -> int:
        """Number of slides whose leading group is right."""
        pairs = (
            (leading(s.predicted, s.groups), leading(s.annotated, s.groups)) for s in self.slides.values()
        )
        return sum(mine is not None and mine == theirs for mine, theirs in pairs)

    @property
    def blast_like_mae(self) -> float | None:
        """Mean absolute error of the blast-like share.

        It is in percentage points. A slide with no share read counts as 0 %.
        """
        pairs = ((shares(s.predicted, s.groups), shares(s.annotated, s.groups)) for s in self.slides.values())
        errors = [
            abs(read.get(BLAST_LIKE, 0.0) - truth[BLAST_LIKE]) for read, truth in pairs if BLAST_LIKE in truth
        ]
        return float(np.mean(errors)) if errors else None

    def as_json(self) -> dict[str, Any]:
        return {
            "slides": {name: result.as_json() for name, result in self.slides.items()},
            "leading_right": self.leading_right,
            "blast_like_mae": self.blast_like_mae,
        }


def _share(count: int, of: int) -> float | None:
    return count / of if of else None


def shares(counts: Mapping[str, int], groups: Groups) -> dict[str, float]:
    """Return the percentage of each group.

    It is the percentage of the cells of all groups. The result is empty if there is no such cell.
    """
    grouped = {name: sum(counts.get(label, 0) for label in labels) for name, labels in groups.items()}
    total = sum(grouped.values())
    return {name: 100 * n / total for name, n in grouped.items()} if total else {}


def leading(counts: Mapping[str, int], groups: Groups) -> str | None:
    """Return the largest group; None without any cells."""
    return largest(shares(counts, groups))


def largest(numbers: Mapping[str, float]) -> str | None:
    """Return the name with the largest number; None if there is none."""
    return max(numbers, key=lambda name: numbers[name]) if numbers else None


def percent_of(numbers: Mapping[str, int], name: str) -> float | None:
    """Return one number as percent of their sum; None of none."""
    total = sum(numbers.values())
    return 100 * numbers.get(name, 0) / total if total else None


def load_slides(table: Path, images: Path) -> list[SlideSample]:
    """Load slides from a JSON list.

    Each entry has slide, fields (file names) and cell_counts.

    Raises:
        InputError: If the table cannot be read or is malformed.
    """
    entries = read_document(table)
    try:
        return [
            SlideSample(
                str(entry["slide"]),
                tuple(images / name for name in entry["fields"]),
                {kind.replace(" ", "_"): int(n) for kind, n in entry["cell_counts"].items()},
            )
            for entry in entries
        ]
    except MALFORMED as error:
        raise InputError(
            f"{table} is no list of slides: {repr(error)[:200]}. Each needs slide, fields (file names), cell_counts."
        ) from error


def count_slide(
    analyser: Analyser,
    pictures: Sequence[Path],
    rules: Rules,
    reference: Reference,
    tell: Callable[[Analysed | Failed], None] = lambda _: None,
) -> SlideCount:
    """Count pictures as `analyze` counts a folder.

    Args:
        analyser: Analyser of the pictures.
        pictures: Pictures of one slide.
        rules: Rules of the differential and the verdict.
        reference: Reference ranges.
        tell: Called with the result of each picture when it is done.
    """
    slide = SlideCount(analyser, rules, reference, ScalePolicy(analyser), SlideOptions(crops=False))
    for each in Batch(slide).analyse_all([PictureFile(path) for path in pictures]):
        tell(each)
    return slide


def evaluate_slides(
    analyser: Analyser,
    samples: Sequence[SlideSample],
    rules: Rules,
    reference: Reference,
    progress: Progress | None = None,
) -> SlidesReport:
    """Count every slide as `analyze` counts its folder.

    A field that cannot be analysed is left out and named in the report.

    Args:
        analyser: Analyser of the fields.
        samples: Slides with their annotated counts.
        rules: Rules of the differential and the verdict.
        reference: Reference ranges.
        progress: Called with the fields done and their total.
    """
    outside = rules.not_counted
    done, total = 0, sum(len(sample.fields) for sample in samples)
    slides = {}
    for sample in samples:
        refused: list[str] = []

        def tell(each: Analysed | Failed, refused: list[str] = refused) -> None:
            nonlocal done
            if isinstance(each, Failed):
                refused.append(f"{Path(each.path).name}: {each.error}")
            done += 1
            if progress:
                progress(done, total)

        slide = count_slide(analyser, sample.fields, rules, reference, tell)
        read, found = Counter(dict(slide.tally().white)), slide.differential()
        slides[sample.name] = SlideResult(
            predicted=dict(read.most_common()),
            annotated={kind: n for kind, n in sample.counts.items() if kind == NONE or kind not in outside},
            groups=analyser.model.reader.groups,
            refused=tuple(refused),
            verdict=slide.verdict(),
            not_recognised=found.not_recognised,
            white_cells=found.white_cells,
            lineages={name: each.share.count for name, each in found.lineages.items()},
            of_unknown_lineage=found.not_recognised - found.of_known_lineage,
            annotated_cells=sum(sample.counts.values()),
        )
    return SlidesReport(slides)
