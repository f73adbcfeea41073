"""What a device profile is worth on a camera that a network never saw: as it is, with its colours put right, with all.

The profile is calibrated as a user would, on a few training fields of that camera without their labels; figures are of
its validation fields. A network that did see the camera says how much there was to win.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from edgeleuk.calibration import smear
from edgeleuk.errors import ScaleError, UsageError
from edgeleuk.evaluation.datasets import FieldSample
from edgeleuk.evaluation.fields import FieldsResult, evaluate_finder, read_field
from edgeleuk.evaluation.scales import ScaleRule
from edgeleuk.finder import Finder
from edgeleuk.pipeline import WHITE_CELL
from edgeleuk.profiles import SCHEMA, Profile, Size
from edgeleuk.scale import estimate_scale
from edgeleuk.types import Frame, Image, Scale

CALIBRATED_ON = 8
"""Fields that a user is asked for, evenly spread over the camera's training fields."""


@dataclass(frozen=True, slots=True)
class Row:
    """One way to look at the camera's validation fields."""

    name: str
    result: FieldsResult
    unscaled: int
    """Fields whose scale could not be told: nothing was found in them."""

    def as_json(self) -> dict[str, Any]:
        white = self.result.classes[WHITE_CELL]
        return {"name": self.name, "images": self.result.images, "unscaled": self.unscaled, **white.as_json()}


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
) -> LeftOut:
    """Rows of `samples`, all of one source: `finder` never saw it, `seen` did."""

    def coloured(sample: FieldSample) -> Image:
        return profile.corrected(Frame(read_field(sample), sample.path.name)).pixels

    def row(name: str, used: Finder, read: Callable[[FieldSample], Image], known: bool) -> Row:
        progress(name)
        rule = ScaleRule.of("estimate", samples, names, lambda image: estimate_scale(image, used))
        if known:
            rule = replace(rule, estimate=_of(profile))
        report = evaluate_finder(used, samples, names, rule, None, read)
        return Row(name, report.overall, len(report.scale.failed))

    return LeftOut(
        samples[0].source,
        profile,
        (
            row("raw", finder, read_field, False),
            row("normalised", finder, coloured, False),
            row("profile", finder, coloured, True),
            row("saw the camera", seen, read_field, False),
        ),
    )


def _of(profile: Profile) -> Callable[[Image], Scale]:
    def tell(image: Image) -> Scale:
        scale = profile.scale_at(image.shape[1], image.shape[0])
        if scale is None:
            raise ScaleError("the profile has no scale.")
        return scale

    return tell
