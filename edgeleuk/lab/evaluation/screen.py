"""Measure verdicts on pictures of patients with known diagnosis."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgeleuk.analysis.analyser import Analyser
from edgeleuk.differential.rules import Reference, Rules
from edgeleuk.differential.verdict import Verdict
from edgeleuk.errors import InputError, UsageError
from edgeleuk.lab.evaluation.datasets import MALFORMED, read_document
from edgeleuk.lab.evaluation.readings import proportion
from edgeleuk.lab.evaluation.slides import Progress, count_slide
from edgeleuk.lab.evaluation.verdicts import for_blasts


@dataclass(frozen=True, slots=True)
class PictureGroup:
    """Pictures that are counted as one slide."""

    source: str
    name: str
    pictures: tuple[Path, ...]


@dataclass(frozen=True, slots=True)
class GroupVerdict:
    """Counts and verdict of one group."""

    group: PictureGroup
    refused: int
    white_cells: int
    not_recognised: int
    verdict: Verdict


@dataclass(frozen=True, slots=True)
class ScreenReport:
    """Report of `edgeleuk eval screen`."""

    groups: tuple[GroupVerdict, ...]

    def by_source(self) -> dict[str, tuple[GroupVerdict, ...]]:
        """Return the groups by source."""
        found: defaultdict[str, list[GroupVerdict]] = defaultdict(list)
        for each in self.groups:
            found[each.group.source].append(each)
        return {source: tuple(groups) for source, groups in sorted(found.items())}

    def as_json(self) -> dict[str, Any]:
        return {
            "look_again_for_blasts": proportion(
                sum(for_blasts(each.verdict) for each in self.groups), len(self.groups)
            ),
            "by_source": {
                source: {
                    "groups": len(groups),
                    "verdicts": dict(Counter(each.verdict.code for each in groups)),
                    "look_again_for_blasts": sum(for_blasts(each.verdict) for each in groups),
                    "white_cells": sum(each.white_cells for each in groups),
                    "not_recognised": sum(each.not_recognised for each in groups),
                }
                for source, groups in self.by_source().items()
            },
            "groups": {
                f"{each.group.source} {each.group.name}": {
                    "pictures": len(each.group.pictures),
                    "refused": each.refused,
                    "white_cells": each.white_cells,
                    "not_recognised": each.not_recognised,
                    "verdict": each.verdict.code,
                    "reasons": [reason.code for reason in each.verdict.reasons],
                }
                for each in self.groups
            },
        }


def load_screen(table: Path, images: Path, truth: str) -> list[PictureGroup]:
    """Load the picture groups with a given diagnosis.

    Args:
        table: JSON list of pictures, each with file, source, group and truth.
        images: Folder that the file names are relative to.
        truth: Diagnosis of the pictures to load; others are skipped.

    Raises:
        InputError: If the table cannot be read or is malformed.
        UsageError: If no picture has this diagnosis.
    """
    groups: defaultdict[tuple[str, str], list[Path]] = defaultdict(list)
    entries = read_document(table)
    try:
        for entry in entries:
            if entry["truth"] == truth:
                groups[str(entry["source"]), str(entry["group"])].append(images / entry["file"])
        known = sorted({str(entry["truth"]) for entry in entries})
    except MALFORMED as error:
        raise InputError(
            f"{table} is no list of pictures: {repr(error)[:200]}. Each needs file, source, group and truth."
        ) from error
    if not groups:
        raise UsageError(f"no picture of {table} has the truth {truth!r}. There are: {', '.join(known)}.")
    return [PictureGroup(*key, tuple(files)) for key, files in sorted(groups.items())]


def evaluate_screen(
    analyser: Analyser,
    groups: Sequence[PictureGroup],
    rules: Rules,
    reference: Reference,
    progress: Progress | None = None,
) -> ScreenReport:
    """Count each group as `analyze` counts a folder.

    Args:
        analyser: Analyser of the pictures.
        groups: Groups to count, each as one slide.
        rules: Rules of the differential and the verdict.
        reference: Reference ranges.
        progress: Called with the groups done and their total.
    """
    found = []
    for done, group in enumerate(groups, start=1):
        slide = count_slide(analyser, group.pictures, rules, reference)
        result = slide.differential()
        found.append(
            GroupVerdict(
                group, len(slide.refused), result.white_cells, result.not_recognised, slide.verdict()
            )
        )
        if progress:
            progress(done, len(groups))
    return ScreenReport(tuple(found))
