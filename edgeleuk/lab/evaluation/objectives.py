"""Show labelled pictures as through another objective.

Used by `edgeleuk eval ... --virtual 40x`. Every picture has its own shot, drawn from its file name, so it is
the same in every run, whatever else is evaluated.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from edgeleuk.errors import UsageError
from edgeleuk.imaging.objectives import Objective
from edgeleuk.lab.evaluation.cells import CellLoader, read_cell
from edgeleuk.lab.evaluation.composed import lift, wide_fields, wide_sample
from edgeleuk.lab.evaluation.datasets import CellSample, FieldSample, annotated_scales
from edgeleuk.lab.evaluation.fields import read_field
from edgeleuk.lab.evaluation.scales import ScaleRule
from edgeleuk.simulation.microscope import Conditions, draw, render, sampling
from edgeleuk.system.wording import option
from edgeleuk.types import Image, Scale

COMPOSED_UM_PER_PX = 0.12
"""Scale of cells in composed fields, um per pixel.

A 40x/0.65 objective resolves nothing finer than 0.35 um.
"""

FIELD_UM = 60.0
"""Side of a field at 100x, um.

Composed fields are wider in proportion: 150 um through 40x, 600 um through 10x.
"""

ROUND_FIELD_UM = 180.0
"""Diameter of an eyepiece's field of view, um.

A phone sees it through an eyepiece of field number 18 mm behind a 100x objective.
"""

ROUND_FIELD_UM_PER_PX = 0.2
"""Scale of composed fields for phones, um per pixel.

A phone resolves a little less than the objective does.
"""

ROUNDS = 2
"""Number of composed fields per cell.

Each time it has other neighbours and another camera.
"""


@dataclass(frozen=True, slots=True)
class RoundFields:
    """Composed fields to photograph through an eyepiece."""

    samples: list[FieldSample]
    truth: Mapping[int, Scale]
    """Scale by image id."""
    images: Mapping[int, Image]

    def read(self, sample: FieldSample) -> Image:
        return self.images[sample.image_id]


def conditions_of(path: Path, lens: Objective, scale: Scale, um_per_px: float | None = None) -> Conditions:
    """Draw a picture's shot from its name.

    It is never sampled finer than the picture itself.

    Args:
        path: File of the picture.
        lens: Objective to look through.
        scale: Scale of the picture.
        um_per_px: Fixed sampling of the shot; None to draw it too.
    """
    digest = hashlib.sha256(f"{path.parent.name}/{path.name}".encode()).digest()
    rng = np.random.default_rng(int.from_bytes(digest[:8], "big"))
    conditions = draw(lens, rng, finest=scale.um_per_px)
    return conditions if um_per_px is None else replace(conditions, um_per_px=max(um_per_px, scale.um_per_px))


def virtual_fields(
    samples: Sequence[FieldSample], rule: ScaleRule, lens: Objective, um_per_px: float | None = None
) -> tuple[list[FieldSample], ScaleRule, Callable[[FieldSample], Image]]:
    """Show labelled fields through another objective.

    Args:
        samples: Labelled fields.
        rule: Scales of the fields.
        lens: Objective to look through.
        um_per_px: Fixed sampling of all fields; None to draw a camera for each.

    Returns:
        The samples with their boxes, the rule with their scales, and the function that reads their pictures,
        all as seen through `lens`.

    Raises:
        UsageError: If a picture's scale is neither annotated nor given: blur is measured in micrometres.
    """
    first: dict[int, tuple[FieldSample, Scale, Conditions]] = {}
    shown, truth = [], {}
    for sample in samples:
        scale = rule.truth.get(sample.image_id) or rule.given
        if scale is None:
            raise UsageError(
                f"{sample.path.name} has no annotated red cells, so what another objective shows of it cannot be "
                f"computed. Give its scale with {option('um-per-px')}."
            )
        conditions = conditions_of(sample.path, lens, scale, um_per_px)
        resampling, seen = sampling(sample.width, sample.height, scale, conditions)
        first[sample.image_id] = (sample, scale, conditions)
        truth[sample.image_id] = seen
        shown.append(
            replace(
                sample,
                width=resampling.width,
                height=resampling.height,
                boxes=resampling.forward(sample.boxes),
            )
        )

    def read(sample: FieldSample) -> Image:
        original, scale, conditions = first[sample.image_id]
        return render(read_field(original), scale, lens, conditions).image

    return shown, replace(rule, truth=truth, given=None), read


def virtual_cells(lens: Objective, load_cell: CellLoader = read_cell) -> CellLoader:
    """Wrap `load_cell` to show cells through `lens`."""

    def read(sample: CellSample) -> tuple[Image, Scale]:
        image, scale = load_cell(sample)
        rendered = render(image, scale, lens, conditions_of(sample.path, lens, scale))
        return rendered.image, rendered.scale

    return read


def composed_fields(
    samples: Sequence[FieldSample], names: Sequence[str], rule: ScaleRule, lens: Objective
) -> tuple[list[FieldSample], ScaleRule, Callable[[FieldSample], Image]]:
    """Compose wide fields seen through another objective.

    Every whole cell of the samples is used ROUNDS times. Cells of different cameras do not mix.

    Args:
        samples: Labelled fields.
        names: Class names of the file.
        rule: Scales of the fields; all must be annotated.
        lens: Objective to look through.

    Returns:
        The samples, the rule with their scales and the function that reads their pictures, as by
        `virtual_fields`.

    Raises:
        UsageError: If a sample was not labelled for all of `names`: its unlabelled cells would be missing
            from the field, not unknown in it.
    """
    _fully_labelled(samples, names)
    rng = np.random.default_rng(lens.magnification)
    side_um = FIELD_UM * 100 / lens.magnification
    shown: list[FieldSample] = []
    truth: dict[int, Scale] = {}
    images: dict[int, Image] = {}
    for source in sorted({sample.source for sample in samples}):
        own = [sample for sample in samples if sample.source == source]
        pictures = [
            lift(read_field(s), rule.truth[s.image_id], s.boxes, s.kinds, COMPOSED_UM_PER_PX) for s in own
        ]
        for _ in range(ROUNDS):
            for wide in wide_fields(pictures, side_um, COMPOSED_UM_PER_PX, rng):
                conditions = draw(lens, rng, finest=COMPOSED_UM_PER_PX)
                seen = render(wide.image, Scale.given(COMPOSED_UM_PER_PX), lens, conditions)
                number = len(shown)
                sample = wide_sample(wide, own[0], number)
                images[number], truth[number] = seen.image, seen.scale
                shown.append(
                    replace(
                        sample,
                        width=seen.resampling.width,
                        height=seen.resampling.height,
                        boxes=seen.resampling.forward(sample.boxes),
                    )
                )
    return shown, replace(rule, truth=truth, given=None), lambda sample: images[sample.image_id]


def round_fields(samples: Sequence[FieldSample], names: Sequence[str]) -> RoundFields:
    """Compose fields as wide as an eyepiece shows.

    Every whole cell of the samples is used once. Cells of different cameras do not mix.

    Raises:
        UsageError: If a sample was not labelled for all of `names`.
    """
    _fully_labelled(samples, names)
    rng = np.random.default_rng(0)
    truth = annotated_scales(samples, names)
    shown: list[FieldSample] = []
    images: dict[int, Image] = {}
    for source in sorted({sample.source for sample in samples}):
        own = [sample for sample in samples if sample.source == source and sample.image_id in truth]
        pictures = [
            lift(read_field(s), truth[s.image_id], s.boxes, s.kinds, ROUND_FIELD_UM_PER_PX) for s in own
        ]
        for wide in wide_fields(pictures, ROUND_FIELD_UM, ROUND_FIELD_UM_PER_PX, rng):
            images[len(shown)] = wide.image
            shown.append(wide_sample(wide, own[0], len(shown)))
    scale = Scale(ROUND_FIELD_UM_PER_PX, ROUND_FIELD_UM_PER_PX, "annotation", 0.05)
    return RoundFields(shown, {sample.image_id: scale for sample in shown}, images)


def _fully_labelled(samples: Sequence[FieldSample], names: Sequence[str]) -> None:
    for sample in samples:
        if not sample.labelled.issuperset(names):
            raise UsageError(
                f"{sample.path.name} is labelled for {', '.join(sorted(sample.labelled))} only; composed fields need "
                f"{', '.join(names)}. Leave {option('composed')} out."
            )
