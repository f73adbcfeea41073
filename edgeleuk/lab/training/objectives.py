"""Training fields through the virtual microscope.

They include wide fields composed for it. All are rendered once, before the first epoch, each with its own
camera; their crops then vary like those of any field.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
from rich.progress import track

from edgeleuk.imaging.objectives import Objective, objective
from edgeleuk.lab.evaluation.composed import lift, wide_fields, wide_sample
from edgeleuk.lab.evaluation.datasets import FieldSample
from edgeleuk.lab.evaluation.fields import read_field
from edgeleuk.lab.training.fields import CACHE_UM_PER_PX, TrainingField, cached
from edgeleuk.lab.training.loop import console
from edgeleuk.lab.training.recipe import Recipe
from edgeleuk.simulation.microscope import draw, render
from edgeleuk.types import Scale


def virtual_fields(recipe: Recipe, samples: Sequence[tuple[FieldSample, Scale]]) -> list[TrainingField]:
    """Render fields through the recipe's [virtual] objective.

    Together the `shots` of a field weigh as much as the field. All composed fields of a source, that is of a
    camera, weigh `composed` times as much as its fields. Each cell occurs in `rounds` composed fields.
    """
    settings = recipe["virtual"]
    lens, shots = objective(settings["objective"]), settings["shots"]
    rng = np.random.default_rng((recipe["train"]["seed"], lens.magnification))
    shown = []
    for sample, scale in track(samples, "rendering fields", console=console):
        image = read_field(sample)
        for _ in range(shots):
            conditions = draw(lens, rng, finest=scale.um_per_px)
            rendered = render(image, scale, lens, conditions)
            boxes = rendered.resampling.forward(sample.boxes)
            shown.append(cached(rendered.image, rendered.scale, sample, boxes, 1 / shots))
    full = [each for each in samples if each[0].labelled.issuperset(recipe["model"]["classes"])]
    for source in sorted({sample.source for sample, _ in full}):
        own = [each for each in full if each[0].source == source]
        composed = list(_composed(own, lens, settings["side_um"], settings["rounds"], rng))
        weight = settings["composed"] * len(own) / len(composed)
        shown += [replace(field, weight=weight) for field in composed]
    return shown


def _composed(
    samples: Sequence[tuple[FieldSample, Scale]],
    lens: Objective,
    side_um: float,
    rounds: int,
    rng: np.random.Generator,
) -> Iterator[TrainingField]:
    """Yield fields composed of one camera's cells.

    Each cell occurs in `rounds` of them.
    """
    pictures = [
        lift(read_field(sample), scale, sample.boxes, sample.kinds, CACHE_UM_PER_PX)
        for sample, scale in track(samples, "composing fields", console=console)
    ]
    like, taken = samples[0][0], Scale.given(CACHE_UM_PER_PX)
    for _ in range(rounds):
        for number, wide in enumerate(wide_fields(pictures, side_um, CACHE_UM_PER_PX, rng)):
            rendered = render(wide.image, taken, lens, draw(lens, rng, finest=CACHE_UM_PER_PX))
            sample = wide_sample(wide, like, number)
            boxes = rendered.resampling.forward(sample.boxes)
            yield cached(rendered.image, rendered.scale, sample, boxes)
