"""What a device profile is worth on a camera that a network never saw: as it is, with its colours put right, with all.

The profile is calibrated as a user would, on a few training fields of that camera without their labels; figures are of
its validation fields. A network that did see the camera says how much there was to win.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from edgeleuk.bars import find_view
from edgeleuk.calibration import smear
from edgeleuk.errors import ScaleError, UsageError
from edgeleuk.evaluation.cells import ReaderLike
from edgeleuk.evaluation.datasets import FieldSample
from edgeleuk.evaluation.fields import FieldsResult, evaluate_finder, read_field
from edgeleuk.evaluation.scales import ScaleRule, estimate_by
from edgeleuk.finder import Finder
from edgeleuk.intervals import Share
from edgeleuk.profiles import SCHEMA, Profile, Size
from edgeleuk.types import WHITE_CELL, Frame, Image, Scale

CALIBRATED_ON = 8
"""Fields that a user is asked for, evenly spread over the camera's training fields."""


@dataclass(frozen=True, slots=True)
class Row:
    """One way to look at the camera's validation fields."""

    name: str
    result: FieldsResult
    unscaled: int
    """Fields whose scale could not be told: nothing was found in them."""
    read: Share | None
    """Annotated white cells of the five mature types in fields of known scale, and those that a reader read right among the
    five; None without a reader, or where no type is annotated."""

    def as_json(self) -> dict[str, Any]:
        white = self.result.classes[WHITE_CELL]
        five = None if self.read is None else {"right": self.read.count, "of": self.read.of}
        return {
            "name": self.name,
            "images": self.result.images,
            "unscaled": self.unscaled,
            **white.as_json(),
            "five_part": five,
        }


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A camera, the profile that was made of it, and what each way found."""

    source: str
    profile: Profile
    rows: tuple[Row, ...]

    @property
    def recovered(self) -> float | None:
        """Share of the gap in WBC AP50, between the unaided network and the one that saw the camera, that the profile
        closes; None where there is no gap."""
        points = {row.name: row.result.classes[WHITE_CELL].precisions for row in self.rows}
        raw, mine, seen = (points[name] for name in ("raw", "profile", "saw the camera"))
        if not (raw and mine and seen) or seen.ap50 <= raw.ap50:
            return None
        return (mine.ap50 - raw.ap50) / (seen.ap50 - raw.ap50)

    def as_json(self) -> dict[str, Any]:
        return {
            "source": self.source,
            "recovered": self.recovered,
            "rows": [row.as_json() for row in self.rows],
        }


def unlabelled(samples: Sequence[FieldSample], source: str) -> list[Frame]:
    """The pictures, and nothing else, of a few fields of one size. Raises UsageError where there is none."""
    own = [sample for sample in samples if sample.source == source]
    if not own:
        known = ", ".join(sorted({sample.source for sample in samples}))
        raise UsageError(f"no field of source {source!r}. Sources of the file: {known}. Use one of these.")
    same = [sample for sample in own if (sample.width, sample.height) == (own[0].width, own[0].height)]
    chosen = same[:: max(1, len(same) // CALIBRATED_ON)][:CALIBRATED_ON]
    return [Frame(read_field(sample), sample.path.name) for sample in chosen]


def calibrated(frames: Sequence[Frame], finder: Finder, magnification: str = "100x") -> Profile:
    """As `edgeleuk calibrate --smear` does it: scale from the red cells, then the stain's colours."""
    bare = Profile(SCHEMA, "left-out", magnification, "", Size(frames[0].width, frames[0].height))
    return smear.known_by(bare, frames, finder)


def evaluate_left_out(
    finder: Finder,
    seen: Finder,
    profile: Profile,
    samples: Sequence[FieldSample],
    names: Sequence[str],
    progress: Callable[[str], None] = lambda _: None,
    readers: tuple[ReaderLike, ReaderLike] | None = None,
) -> LeftOut:
    """Rows of `samples`, all of one source: `finder` and the first of the readers never saw it, the others did."""

    def coloured(sample: FieldSample) -> Image:
        frame = Frame(read_field(sample), sample.path.name)
        return profile.corrected(frame, find_view(frame.pixels)).pixels

    def row(name: str, number: int, read: Callable[[FieldSample], Image], known: bool) -> Row:
        used = (finder, seen)[number]
        progress(name)
        rule = ScaleRule.of("estimate", samples, names, estimate_by(used))
        if known:
            rule = replace(rule, estimate=_of(profile))
        report = evaluate_finder(used, samples, names, rule, None, read)
        share = readers and five_part(readers[number], samples, rule, read)
        return Row(name, report.overall, len(report.scale.failed), share)

    return LeftOut(
        samples[0].source,
        profile,
        (
            row("raw", 0, read_field, False),
            row("normalised", 0, coloured, False),
            row("profile", 0, coloured, True),
            row("saw the camera", 1, read_field, False),
        ),
    )


def five_part(
    reader: ReaderLike, samples: Sequence[FieldSample], rule: ScaleRule, read: Callable[[FieldSample], Image]
) -> Share | None:
    """Annotated cells of mature types that are read right among these, at each field's scale; None where there is none."""
    five = [i for i, label in enumerate(reader.labels) if label in reader.mature]
    right: list[bool] = []
    for sample in samples:
        image = read(sample)
        try:
            scale = rule(sample, image)
        except ScaleError:
            continue
        labels = [reader.merge.get(str(subtype), subtype) for subtype in sample.subtypes]
        typed = [
            (box, label) for box, label in zip(sample.boxes, labels, strict=True) if label in reader.mature
        ]
        if not typed:
            continue
        centres = [(float(box[0] + box[2]) / 2, float(box[1] + box[3]) / 2) for box, _ in typed]
        types, _ = reader.probabilities(np.stack([reader.crop(image, scale, at) for at in centres]))
        best = [reader.labels[five[i]] for i in types[:, five].argmax(axis=1)]
        right += [mine == label for mine, (_, label) in zip(best, typed, strict=True)]
    return Share(sum(right), len(right)) if right else None


def _of(profile: Profile) -> Callable[[Image], Scale]:
    def tell(image: Image) -> Scale:
        scale = profile.scale_at(image.shape[1], image.shape[0])
        if scale is None:
            raise ScaleError("the profile has no scale.")
        return scale

    return tell
