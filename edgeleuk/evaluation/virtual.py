"""Labelled pictures as another objective would have shown them: `edgeleuk eval ... --virtual 40x`.

Every picture has a shot of its own, drawn from its file name: the same in every run, whatever else is evaluated.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from edgeleuk.errors import UsageError
from edgeleuk.evaluation.cells import Look, read_cell
from edgeleuk.evaluation.composed import lift, wide_fields, wide_sample
from edgeleuk.evaluation.datasets import CellSample, FieldSample, annotated_scales
from edgeleuk.evaluation.fields import read_field
from edgeleuk.evaluation.scales import ScaleRule
from edgeleuk.microscope import Objective, Shot, draw, render, sampling
from edgeleuk.types import Image, Scale

COMPOSED_UM_PER_PX = 0.12
"""Of the cells that composed fields are made of: a 40x/0.65 objective resolves nothing finer than 0.35 um."""

FIELD_UM = 60.0
"""Side of what 100x shows, and of composed fields in proportion: 150 um through 40x, 600 um through 10x."""

EYEPIECE_UM = 180.0
"""Diameter of what a phone sees of a slide: an eyepiece of field number 18 mm behind a 100x objective."""

EYEPIECE_UM_PER_PX = 0.2
"""Of composed fields that a phone then sees: it resolves a little less than the objective does."""

ROUNDS = 2
"""How often each cell stands in a composed field, next to other cells and through another camera."""


@dataclass(frozen=True, slots=True)
class EyepieceFields:
    """Composed fields that a phone at an eyepiece sees a disc of."""

    samples: list[FieldSample]
    truth: Mapping[int, Scale]
    """By image id."""
    images: Mapping[int, Image]

    def read(self, sample: FieldSample) -> Image:
        return self.images[sample.image_id]


def shot_of(path: Path, lens: Objective, scale: Scale, um_per_px: float | None = None) -> Shot:
    """The shot that a picture gets, never sampled finer than it was taken; at `um_per_px` where that is given."""
    digest = hashlib.sha256(f"{path.parent.name}/{path.name}".encode()).digest()
    rng = np.random.default_rng(int.from_bytes(digest[:8], "big"))
    shot = draw(lens, rng, finest=scale.um_per_px)
    return shot if um_per_px is None else replace(shot, um_per_px=max(um_per_px, scale.um_per_px))


def virtual_fields(
    samples: Sequence[FieldSample], rule: ScaleRule, lens: Objective, um_per_px: float | None = None
) -> tuple[list[FieldSample], ScaleRule, Callable[[FieldSample], Image]]:
    """The samples with their boxes, the scales and the way to read the pictures, all through `lens`.

    Each is sampled by a camera of its own, or all at `um_per_px`.

    Raises UsageError where a picture's scale is neither annotated nor given: blur is measured in micrometres.
    """
    first: dict[int, tuple[FieldSample, Scale, Shot]] = {}
    shown, truth = [], {}
    for sample in samples:
        scale = rule.truth.get(sample.image_id) or rule.given
        if scale is None:
            raise UsageError(
                f"{sample.path.name} has no annotated red cells, so what another objective shows of it cannot be "
                "computed. Give its scale with --um-per-px."
            )
        shot = shot_of(sample.path, lens, scale, um_per_px)
        resampling, seen = sampling(sample.width, sample.height, scale, shot)
        first[sample.image_id] = (sample, scale, shot)
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
        original, scale, shot = first[sample.image_id]
        return render(read_field(original), scale, lens, shot).image

    return shown, replace(rule, truth=truth, given=None), read


def virtual_cells(lens: Objective, look: Look = read_cell) -> Look:
    """The way to read a single cell's picture, which `look` gives, through `lens`."""

    def read(sample: CellSample) -> tuple[Image, Scale]:
        image, scale = look(sample)
        rendered = render(image, scale, lens, shot_of(sample.path, lens, scale))
        return rendered.image, rendered.scale

    return read


def composed_fields(
    samples: Sequence[FieldSample], names: Sequence[str], rule: ScaleRule, lens: Objective
) -> tuple[list[FieldSample], ScaleRule, Callable[[FieldSample], Image]]:
    """Wide fields through `lens`, made of every whole cell of the samples ROUNDS times, as `virtual_fields` gives them.

    Cells of different cameras do not mix. Raises UsageError where a sample was not labelled for all of `names`:
    its unlabelled cells would be missing from the field, not unknown in it.
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
                shot = draw(lens, rng, finest=COMPOSED_UM_PER_PX)
                seen = render(wide.image, Scale.given(COMPOSED_UM_PER_PX), lens, shot)
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


def eyepiece_fields(samples: Sequence[FieldSample], names: Sequence[str]) -> EyepieceFields:
    """Fields as wide as an eyepiece shows, made of every whole cell of the samples once, cameras apart.

    Raises UsageError as `composed_fields`.
    """
    _fully_labelled(samples, names)
    rng = np.random.default_rng(0)
    truth = annotated_scales(samples, names)
    shown: list[FieldSample] = []
    images: dict[int, Image] = {}
    for source in sorted({sample.source for sample in samples}):
        own = [sample for sample in samples if sample.source == source and sample.image_id in truth]
        pictures = [lift(read_field(s), truth[s.image_id], s.boxes, s.kinds, EYEPIECE_UM_PER_PX) for s in own]
        for wide in wide_fields(pictures, EYEPIECE_UM, EYEPIECE_UM_PER_PX, rng):
            images[len(shown)] = wide.image
            shown.append(wide_sample(wide, own[0], len(shown)))
    scale = Scale(EYEPIECE_UM_PER_PX, EYEPIECE_UM_PER_PX, "annotation", 0.05)
    return EyepieceFields(shown, {sample.image_id: scale for sample in shown}, images)


def _fully_labelled(samples: Sequence[FieldSample], names: Sequence[str]) -> None:
    for sample in samples:
        if not sample.labelled.issuperset(names):
            raise UsageError(
                f"{sample.path.name} is labelled for {', '.join(sorted(sample.labelled))} only; composed fields need "
                f"{', '.join(names)}. Leave --composed out."
            )
