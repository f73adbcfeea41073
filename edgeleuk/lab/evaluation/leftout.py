"""Measure the gain from a device profile.

A network that was trained without a camera looks at the camera's fields as they are, with the profile's
colour correction, and with the whole profile. The profile is calibrated as a user would, on a few training
fields of that camera without their labels; the figures are from its validation fields. A network that was
trained with the camera shows how much there was to gain.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from edgeleuk.calibration import smear
from edgeleuk.device.profiles import SCHEMA, Profile, Size
from edgeleuk.errors import ScaleError, UsageError
from edgeleuk.imaging.bars import find_field_of_view
from edgeleuk.lab.evaluation.cells import ReaderLike
from edgeleuk.lab.evaluation.datasets import FieldSample
from edgeleuk.lab.evaluation.fields import FieldsResult, evaluate_finder, read_field
from edgeleuk.lab.evaluation.scales import ScaleRule, estimate_by
from edgeleuk.networks.finder import Finder
from edgeleuk.statistics.intervals import Share
from edgeleuk.types import WHITE_CELL, Frame, Image, Scale

CALIBRATED_ON = 8
"""Number of fields for the calibration.

As many are asked of a user. They are evenly spread over the camera's training fields.
"""


@dataclass(frozen=True, slots=True)
class Row:
    """Result on the camera's validation fields, one condition."""

    name: str
    result: FieldsResult
    unscaled: int
    """Number of fields of unknown scale.

    Nothing counts as found in them.
    """
    read: Share | None
    """Share of right readings among the five mature types.

    `of` counts the annotated white cells of the five types in fields of known scale; `count` those whose best
    type among the five is right. None without a reader, or if no type is annotated.
    """

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
    """Results on one camera with its profile."""

    source: str
    profile: Profile
    rows: tuple[Row, ...]

    @property
    def recovered(self) -> float | None:
        """Share of the AP50 gap closed by the profile.

        It is the gap in WBC AP50 between the network without a profile and the network trained with the
        camera; the profile closes it in part. None if there is no gap.
        """
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
    """Read a few fields without their labels.

    The fields are of one source and one size, CALIBRATED_ON at most.

    Raises:
        UsageError: If there is no field of this source.
    """
    own = [sample for sample in samples if sample.source == source]
    if not own:
        known = ", ".join(sorted({sample.source for sample in samples}))
        raise UsageError(f"no field of source {source!r}. Sources of the file: {known}. Use one of these.")
    same = [sample for sample in own if (sample.width, sample.height) == (own[0].width, own[0].height)]
    chosen = same[:: max(1, len(same) // CALIBRATED_ON)][:CALIBRATED_ON]
    return [Frame(read_field(sample), sample.path.name) for sample in chosen]


def calibrated(frames: Sequence[Frame], finder: Finder, magnification: str = "100x") -> Profile:
    """Calibrate a profile as `edgeleuk calibrate --smear` does.

    The scale comes from the red cells, then the colours of the stain are measured.

    Args:
        frames: Fields of one camera and size.
        finder: Finder of the red cells.
        magnification: Objective, such as "100x".

    Raises:
        ScaleError: If the scale cannot be estimated.
        InputError: If the colours of the stain cannot be measured.
    """
    bare = Profile(SCHEMA, "left-out", magnification, "", Size(frames[0].width, frames[0].height))
    return smear.known_by(bare, frames, finder)


@dataclass(frozen=True, slots=True)
class Networks:
    """Networks that were trained alike."""

    finder: Finder
    reader: ReaderLike | None = None


def evaluate_left_out(
    unseen: Networks,
    seen: Networks,
    profile: Profile,
    samples: Sequence[FieldSample],
    names: Sequence[str],
    progress: Callable[[str], None] = lambda _: None,
) -> LeftOut:
    """Evaluate a profile on a left-out camera.

    Args:
        unseen: Networks trained without the camera.
        seen: Networks trained with the camera.
        profile: Profile calibrated for the camera.
        samples: Annotated fields, all of this camera.
        names: Class names of the file.
        progress: Called with the name of each condition before it is measured.
    """

    def coloured(sample: FieldSample) -> Image:
        frame = Frame(read_field(sample), sample.path.name)
        return profile.corrected(frame, find_field_of_view(frame.pixels)).pixels

    def row(name: str, used: Networks, read: Callable[[FieldSample], Image], known: bool) -> Row:
        progress(name)
        rule = ScaleRule.of("estimate", samples, names, estimate_by(used.finder))
        if known:
            rule = replace(rule, estimate=_of(profile))
        report = evaluate_finder(used.finder, samples, names, rule, None, read)
        share = five_part(used.reader, samples, rule, read) if used.reader else None
        return Row(name, report.overall, len(report.scale.failed), share)

    return LeftOut(
        samples[0].source,
        profile,
        (
            row("raw", unseen, read_field, False),
            row("normalised", unseen, coloured, False),
            row("profile", unseen, coloured, True),
            row("saw the camera", seen, read_field, False),
        ),
    )


def five_part(
    reader: ReaderLike, samples: Sequence[FieldSample], rule: ScaleRule, read: Callable[[FieldSample], Image]
) -> Share | None:
    """Measure five-part accuracy on annotated fields.

    Each field is read at its own scale; fields of unknown scale are left out.

    Args:
        reader: Reader to evaluate.
        samples: Annotated fields.
        rule: Scale of each field.
        read: Returns the picture of a sample.

    Returns:
        The share of annotated cells of mature types that are read right among these; None if there are none.
    """
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
