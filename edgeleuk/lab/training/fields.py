"""Training fields in memory.

Each has the cell classes that its source was labelled for.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from edgeleuk.imaging.resampling import resize
from edgeleuk.lab.evaluation.datasets import FieldSample, annotated_scales, data_root, load_fields
from edgeleuk.lab.training.recipe import Recipe, is_aside
from edgeleuk.types import Boxes, Image, Scale

CACHE_UM_PER_PX = 0.15
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class TrainingField:
    """A field in memory, at about CACHE_UM_PER_PX.

    A coarser field is kept as it is.
    """

    image: NDArray[np.uint8]
    scale: Scale
    sample: FieldSample
    boxes: NDArray[np.float32]
    """(N, 4) boxes, pixels of `image`."""
    weight: float = 1.0
    """Drawing weight, multiplied by the source's `repeat`."""
    ignored: NDArray[np.float32] = field(default_factory=lambda: np.zeros((0, 4), np.float32))
    """(M, 4) boxes of what is neither cell nor background."""


def training_samples(recipe: Recipe, kept_aside: bool) -> list[tuple[FieldSample, Scale]]:
    """Load a recipe's training fields with their scales.

    With `kept_aside`, load instead the fields kept aside for thresholds. A source that the recipe repeats 0
    times, or does not name, is left out of both. Of more than `most_fields` of [data], evenly spread ones are
    taken.
    """
    root, sources = data_root() / "fields", recipe["data"]["sources"]
    seen = {name for name, source in sources.items() if source["repeat"]}
    chosen = []
    for name, source in recipe["data"]["fields"].items():
        samples, names = load_fields(root / f"{name}_train.json", root / "images")
        scales = annotated_scales(samples, names)
        for sample in samples:
            if sample.source in seen and is_aside(recipe, sample.group) == kept_aside:
                nominal = source.get("um_per_px")
                chosen.append((sample, Scale.given(nominal) if nominal else scales[sample.image_id]))
    return spread(chosen, recipe["data"].get("most_fields", len(chosen)))


def spread(items: Sequence[T], most: int) -> list[T]:
    """Return at most so many items, evenly spread."""
    if len(items) <= most:
        return list(items)
    return [items[i] for i in np.linspace(0, len(items) - 1, most).round().astype(int).tolist()]


def cached(
    image: Image, scale: Scale, sample: FieldSample, boxes: Boxes, weight: float = 1.0
) -> TrainingField:
    """Create a training field.

    An image finer than CACHE_UM_PER_PX is reduced to it.

    Args:
        image: (H, W, 3) RGB.
        scale: Scale of the image.
        sample: The field that the image shows.
        boxes: (N, 4) boxes, pixels of `image`.
        weight: Drawing weight, see `TrainingField.weight`.
    """
    height, width = image.shape[:2]
    new = [round(side * min(1.0, scale.um_per_px / CACHE_UM_PER_PX)) for side in (width, height)]
    used = np.array([new[0] / width, new[1] / height])
    seen = Scale(
        scale.um_per_px_x / used[0],
        scale.um_per_px_y / used[1],
        scale.source,
        scale.relative_error,
        scale.red_cells,
    )
    shown = np.array([new[0] / sample.width, new[1] / sample.height])
    return TrainingField(
        resize(image, *new),
        seen,
        sample,
        (boxes * np.tile(used, 2)).astype(np.float32),
        weight,
        (sample.ignored * np.tile(shown, 2)).astype(np.float32),
    )
