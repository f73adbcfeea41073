"""Labelled pictures as another objective would have shown them: `edgeleuk eval ... --virtual 40x`.

Every picture has a shot of its own, drawn from its file name: the same in every run, whatever else is evaluated.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from edgeleuk.errors import UsageError
from edgeleuk.evaluation.cells import read_cell
from edgeleuk.evaluation.datasets import CellSample, FieldSample
from edgeleuk.evaluation.fields import read_field
from edgeleuk.evaluation.scales import ScaleRule
from edgeleuk.microscope import Objective, Shot, draw, render, sampling
from edgeleuk.types import Image, Scale


def shot_of(path: Path, lens: Objective, scale: Scale) -> Shot:
    """The shot that a picture gets, never sampled finer than it was taken."""
    digest = hashlib.sha256(f"{path.parent.name}/{path.name}".encode()).digest()
    rng = np.random.default_rng(int.from_bytes(digest[:8], "big"))
    return draw(lens, rng, finest=scale.um_per_px)


def virtual_fields(
    samples: Sequence[FieldSample], rule: ScaleRule, lens: Objective
) -> tuple[list[FieldSample], ScaleRule, Callable[[FieldSample], Image]]:
    """The samples with their boxes, the scales and the way to read the pictures, all through `lens`.

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
        shot = shot_of(sample.path, lens, scale)
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


def virtual_cells(lens: Objective) -> Callable[[CellSample], tuple[Image, Scale]]:
    """The way to read a single cell's picture through `lens`."""

    def read(sample: CellSample) -> tuple[Image, Scale]:
        image, scale = read_cell(sample)
        rendered = render(image, scale, lens, shot_of(sample.path, lens, scale))
        return rendered.image, rendered.scale

    return read
