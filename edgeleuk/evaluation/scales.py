"""The scale each picture of an evaluation is analysed at, and how near estimates come to annotations."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from edgeleuk.bars import find_view
from edgeleuk.errors import UsageError
from edgeleuk.evaluation.datasets import FieldSample, annotated_scales
from edgeleuk.finder import Finder
from edgeleuk.scale import estimate_scale
from edgeleuk.types import Image, Scale

ScaleMode = Literal["truth", "estimate", "given"]


def estimate_by(finder: Finder) -> Callable[[Image], Scale]:
    """Estimates as `analyze` does: behind an eyepiece by the red cells in its disc. Raises ScaleError."""
    return lambda image: estimate_scale(image, finder, disc=find_view(image))


@dataclass(frozen=True, slots=True)
class ScaleRule:
    """Chooses the scale of a picture."""

    mode: ScaleMode
    truth: Mapping[int, Scale]
    """From the annotated red cells, by image id; pictures without any are absent."""
    given: Scale | None
    estimate: Callable[[Image], Scale]
    """Raises ScaleError where it cannot tell."""

    @classmethod
    def of(
        cls,
        mode: ScaleMode,
        samples: Sequence[FieldSample],
        names: Sequence[str],
        estimate: Callable[[Image], Scale],
        um_per_px: float | None = None,
    ) -> ScaleRule:
        """The rule of a mode over a file's pictures.

        truth: annotated red cells; where a picture has none `um_per_px`, and without that the estimate.
        estimate: as `analyze` does without being told. given: `um_per_px` for all.
        Raises UsageError for "given" without `um_per_px`.
        """
        if mode == "given" and um_per_px is None:
            raise UsageError(
                "the given scale is missing. Add --um-per-px, or use --scale truth or --scale estimate."
            )
        given = None if um_per_px is None else Scale.given(um_per_px)
        return cls(mode, annotated_scales(samples, names), given, estimate)

    def __call__(self, sample: FieldSample, image: Image) -> Scale:
        """The scale to analyse `image` at. Raises ScaleError where it is to be estimated and cannot be."""
        if self.mode == "truth" and sample.image_id in self.truth:
            return self.truth[sample.image_id]
        if self.mode != "estimate" and self.given is not None:
            return self.given
        return self.estimate(image)


@dataclass(frozen=True, slots=True)
class ScaleResult:
    """Where the scales came from, and their error where both the estimate and the annotation exist."""

    mode: ScaleMode
    sources: Mapping[str, int]
    """Pictures by where their scale came from (`Scale.source`)."""
    failed: tuple[str, ...]
    """Pictures whose scale could not be estimated, by file name."""
    errors: tuple[float, ...]
    """|estimate / annotation - 1| of the geometric mean of both axes; infinite where the estimate failed."""
    squeeze_errors: tuple[float, ...]
    """|squeeze - 1| of the estimates: the annotated scale takes square pixels for granted."""

    @classmethod
    def of(cls, rule: ScaleRule, samples: Sequence[FieldSample], used: Sequence[Scale | None]) -> ScaleResult:
        """From the scale used for each picture; None where it could not be estimated."""
        errors, squeezes = [], []
        for sample, scale in zip(samples, used, strict=True):
            truth = rule.truth.get(sample.image_id)
            if truth is None or (scale is not None and scale.source != "red cells"):
                continue
            errors.append(float("inf") if scale is None else abs(scale.um_per_px / truth.um_per_px - 1))
            if scale is not None:
                squeezes.append(abs(scale.squeeze - 1))
        return cls(
            mode=rule.mode,
            sources=Counter(scale.source for scale in used if scale is not None),
            failed=tuple(s.path.name for s, scale in zip(samples, used, strict=True) if scale is None),
            errors=tuple(errors),
            squeeze_errors=tuple(squeezes),
        )

    def within(self, limit: float) -> float | None:
        """Share of the compared pictures whose error is at most `limit`; a failed estimate is outside."""
        return sum(error <= limit for error in self.errors) / len(self.errors) if self.errors else None

    @property
    def median_error(self) -> float | None:
        """None where nothing was compared, or where half of the estimates failed."""
        median = float(np.median(self.errors)) if self.errors else float("inf")
        return median if np.isfinite(median) else None

    def as_json(self) -> dict[str, Any]:
        return {
            "mode": self.mode,
            "sources": dict(self.sources),
            "failed": list(self.failed),
            "compared": len(self.errors),
            "median_relative_error": self.median_error,
            "share_within_5_percent": self.within(0.05),
            "share_within_15_percent": self.within(0.15),
            "median_squeeze_error": float(np.median(self.squeeze_errors)) if self.squeeze_errors else None,
        }
