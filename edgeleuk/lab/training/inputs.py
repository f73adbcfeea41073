"""Calibration inputs for the quantization of a network.

They are training images as the runtime gives them to the network.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from edgeleuk.imaging.objectives import Objective
from edgeleuk.imaging.resampling import Resampling
from edgeleuk.lab.evaluation.cells import middle
from edgeleuk.lab.evaluation.datasets import FieldSample
from edgeleuk.lab.evaluation.fields import read_field
from edgeleuk.lab.evaluation.objectives import virtual_fields
from edgeleuk.lab.evaluation.scales import ScaleRule
from edgeleuk.lab.training.cells import load_training_cells
from edgeleuk.lab.training.fields import training_samples
from edgeleuk.lab.training.lenses import cell_loader_of, lens_of
from edgeleuk.lab.training.recipe import Recipe
from edgeleuk.networks import finder as runtime_finder
from edgeleuk.networks import reader as runtime_reader
from edgeleuk.networks.reader import Reader
from edgeleuk.types import Image, Scale

CALIBRATION_SIDE = 384


def seen_through(
    chosen: Sequence[tuple[FieldSample, Scale]], lens: Objective | None
) -> tuple[list[FieldSample], Mapping[int, Scale], Callable[[FieldSample], Image]]:
    """Return fields as seen through an objective.

    Without an objective the fields stay as they were taken.

    Returns:
        The samples, renumbered across files, their scales by `image_id`, and the function that reads their
        images.
    """
    samples = [replace(sample, image_id=number) for number, (sample, _) in enumerate(chosen)]
    scales = {number: scale for number, (_, scale) in enumerate(chosen)}
    if lens is None:
        return samples, scales, read_field
    shown, seen, read = virtual_fields(samples, ScaleRule("truth", scales, None, no_estimate), lens)
    return shown, seen.truth, read


def finder_inputs(recipe: Recipe, number: int, multiple: int, pad: float) -> Iterator[NDArray[np.float32]]:
    """Yield training fields as the runtime prepares them.

    Only the upper left part of each is used, CALIBRATION_SIDE pixels square.

    Args:
        recipe: Recipe of the finder.
        number: Maximum number of fields, chosen at random.
        multiple: Number of which the sides of an input are multiples, pixels.
        pad: Value of the padding, 0 to 1.
    """
    fields = training_samples(recipe, kept_aside=False)
    rng = np.random.default_rng(recipe["train"]["seed"])
    chosen = rng.choice(len(fields), min(number, len(fields)), replace=False)
    samples, scales, read = seen_through([fields[i] for i in chosen], lens_of(recipe))
    for sample in samples:
        resampling = Resampling.to_scale(
            sample.width, sample.height, scales[sample.image_id], recipe["model"]["um_per_px"]
        )
        small = resampling.apply(read(sample))[:CALIBRATION_SIDE, :CALIBRATION_SIDE]
        yield runtime_finder.prepare(small, multiple, pad)


def reader_inputs(recipe: Recipe, reader: Reader) -> Iterator[NDArray[np.float32]]:
    """Yield training cells as the runtime crops and prepares them."""
    samples, load_cell = load_training_cells(recipe, kept_aside=False), cell_loader_of(recipe)
    rng = np.random.default_rng(recipe["train"]["seed"])
    for i in rng.choice(len(samples), min(recipe["quantize"]["samples"], len(samples)), replace=False):
        crop = middle(reader, *load_cell(samples[i]))
        yield runtime_reader.prepare(crop[None], reader.manifest.density)


def no_estimate(_: Image) -> Scale:
    """Refuse to estimate the scale of a field.

    Raises:
        AssertionError: Always, since every training field has a scale.
    """
    raise AssertionError("every training field has a scale")
