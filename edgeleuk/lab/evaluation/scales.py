"""Choose scales of pictures and measure estimates.

Estimates are compared with annotations.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from edgeleuk.errors import UsageError
from edgeleuk.imaging.bars import find_field_of_view
from edgeleuk.lab.evaluation.datasets import FieldSample, annotated_scales
from edgeleuk.networks.finder import Finder
from edgeleuk.scale.red_cells import estimate_scale
from edgeleuk.system.wording import option
from edgeleuk.types import Image, Scale

ScaleMode = Literal["truth", "estimate", "given"]


def estimate_by(finder: Finder) -> Callable[[Image], Scale]:
    """Return the scale estimate of `analyze`.

    Behind an eyepiece it uses the red cells in the field of view. The function raises ScaleError if it finds
    no scale.
    """
    return lambda image: estimate_scale(image, finder, field_of_view=find_field_of_view(image))


@dataclass(frozen=True, slots=True)
class ScaleRule:
    """Rule that chooses the scale of a picture."""

    mode: ScaleMode
    truth: Mapping[int, Scale]
    """Scale from the annotated red cells, by image id.

    Pictures without any are absent.
    """
    given: Scale | None
    estimate: Callable[[Image], Scale]
    """Estimates a scale; raises ScaleError if it cannot."""

    @classmethod
    def of(
        cls,
        mode: ScaleMode,
        samples: Sequence[FieldSample],
        names: Sequence[str],
        estimate: Callable[[Image], Scale],
        um_per_px: float | None = None,
    ) -> ScaleRule:
        """Create the rule for the pictures of a file.

        - "truth": from annotated red cells; `um_per_px` for a picture without any, or else the estimate.
        - "estimate": as `analyze` does without a given scale.
        - "given": `um_per_px` for all pictures.

        Args:
            mode: Where scales come from.
            samples: Labelled pictures.
            names: Class names of the file.
            estimate: Estimates a scale; raises ScaleError if it cannot.
            um_per_px: Given scale.

        Raises:
            UsageError: If the mode is "given" and `um_per_px` is None.
        """
        if mode == "given" and um_per_px is None:
            raise UsageError(
                f"the given scale is missing. Add {option('um-per-px')}, or use {option('scale')} truth or {option('scale')} estimate."
            )
        given = None if um_per_px is None else Scale.given(um_per_px)
        return cls(mode, annotated_scales(samples, names), given, estimate)

    def __call__(self, sample: FieldSample, image: Image) -> Scale:
        """Return the scale to analyse `image` at.

        Raises:
            ScaleError: If it must be estimated and cannot be.
        """
        if self.mode == "truth" and sample.image_id in self.truth:
            return self.truth[sample.image_id]
        if self.mode != "estimate" and self.given is not None:
            return self.given
        return self.estimate(image)


@dataclass(frozen=True, slots=True)
class ScaleResult:
    """Sources and errors of the scales.

    Errors are known where both the estimate and the annotation exist.
    """

    mode: ScaleMode
    sources: Mapping[str, int]
    """Number of pictures by `Scale.source`."""
    failed: tuple[str, ...]
    """File names of pictures without a scale."""
    errors: tuple[float, ...]
    """Relative errors: |estimate / annotation - 1|.

    They are of the geometric mean of both axes; infinite where the estimate failed.
    """
    squeeze_errors: tuple[float, ...]
    """Squeeze errors of the estimates: |squeeze - 1|.

    The annotated scale assumes square pixels.
    """

    @classmethod
    def of(cls, rule: ScaleRule, samples: Sequence[FieldSample], used: Sequence[Scale | None]) -> ScaleResult:
        """Create the result from the scales used.

        Args:
            rule: Rule that chose the scales.
            samples: Labelled pictures.
            used: Scale of each picture, None where it could not be estimated.
        """
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
        """Return the share of errors up to `limit`.

        It is the share of the compared pictures; a failed estimate counts as above.
        """
        return sum(error <= limit for error in self.errors) / len(self.errors) if self.errors else None

    @property
    def median_error(self) -> float | None:
        """Median relative error.

        None if nothing was compared, or if half of the estimates failed.
        """
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
