"""The reader: the type and the attributes of one white cell, from a crop at fine scale."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from edgeleuk._session import Session
from edgeleuk.errors import ModelError
from edgeleuk.machine import Arithmetic
from edgeleuk.manifest import Density, ReaderManifest
from edgeleuk.optics import crop_um
from edgeleuk.types import UNCLASSIFIED, AttributeReading, Boxes, Image, Reading, Scale

BATCH = 16
"""Crops that the network reads at a time; what it says of one does not depend on the others."""


class Reader:
    """Opens the network once; `read` may be called from one thread at a time."""

    def __init__(
        self, manifest: ReaderManifest, threads: int | None = None, arithmetic: Arithmetic | None = None
    ) -> None:
        self.manifest = manifest
        self._session = Session(manifest.path, threads, arithmetic)

    @property
    def labels(self) -> tuple[str, ...]:
        return self.manifest.labels

    @property
    def merge(self) -> Mapping[str, str]:
        return self.manifest.merge

    @property
    def attributes(self) -> Mapping[str, tuple[str, ...]]:
        return self.manifest.attributes

    @property
    def threshold(self) -> float:
        return self.manifest.threshold

    @property
    def mature(self) -> tuple[str, ...]:
        return self.manifest.mature

    @property
    def subtypes(self) -> Mapping[str, str]:
        return self.manifest.subtypes

    def read(self, image: Image, scale: Scale, boxes: Boxes) -> list[Reading]:
        """One reading for each box (N, 4), picture pixels. A box too large for a type is not read as that type."""
        centres = (boxes[:, :2] + boxes[:, 2:]) / 2
        crops = [self.crop(image, scale, (float(x), float(y))) for x, y in centres]
        if not crops:
            return []
        types, attributes = self.probabilities(np.stack(crops))
        types = self._small_enough(types, boxes, scale)
        return [
            self._reading(types[i], {name: rows[i] for name, rows in attributes.items()})
            for i in range(len(crops))
        ]

    def crop(self, image: Image, scale: Scale, centre: tuple[float, float]) -> Image:
        """What the network sees of a cell, (size, size, 3) uint8 RGB."""
        return crop_um(image, scale, centre, self.manifest.um_per_px, self.manifest.size)

    def probabilities(
        self, crops: NDArray[np.uint8]
    ) -> tuple[NDArray[np.float32], dict[str, NDArray[np.float32]]]:
        """Calibrated probabilities of crops (N, size, size, 3): of the types (N, K), and of each attribute's values."""
        logits = np.concatenate([self._logits(crops[i : i + BATCH]) for i in range(0, len(crops), BATCH)])
        sizes = [len(self.labels), *(len(values) for values in self.attributes.values())]
        if logits.shape != (len(crops), sum(sizes)):
            raise ModelError(
                f"{self.manifest.path} gives {' x '.join(map(str, logits.shape[1:]))} values; the labels and attributes of its manifest "
                f"need {sum(sizes)}. Publish the model again."
            )
        parts = np.split(logits, np.cumsum(sizes)[:-1], axis=1)
        types = softmax(parts[0] / self.manifest.temperature)
        return types, dict(zip(self.attributes, (softmax(part) for part in parts[1:]), strict=True))

    def _logits(self, crops: NDArray[np.uint8]) -> NDArray[np.float32]:
        """(N, outputs) of crops (N, size, size, 3), the mean over their quarter turns: probabilities of which the geometric
        mean is taken, as `slidemap.fusion` does with several sights of a cell."""
        upright, views = prepare(crops, self.manifest.density), self.manifest.views
        turned = [np.rot90(upright, turn, (2, 3)) for turn in range(0, 4, 4 // views)]
        given = [self._session.run(np.ascontiguousarray(each))[0] for each in turned]
        for each in given:
            if each.ndim != 2 or len(each) != len(crops):
                raise ModelError(
                    f"{self.manifest.path} gives {' x '.join(map(str, each.shape)) or 'one number'} for"
                    f" {len(crops)} crops, not a row of values for each. Publish the model again."
                )
        mean: NDArray[np.float32] = np.mean(given, axis=0)
        return mean

    def _small_enough(self, types: NDArray[np.float32], boxes: Boxes, scale: Scale) -> NDArray[np.float32]:
        """Probabilities (N, K) given that a box larger than `largest_um` of a type holds none of it."""
        largest = np.array([self.manifest.largest_um.get(label, np.inf) for label in self.labels])
        sides = np.sqrt((boxes[:, 2:] - boxes[:, :2]).prod(axis=1) * scale.um_per_px_x * scale.um_per_px_y)
        sized = np.where(sides[:, None] > largest, np.float32(0), types)
        total = sized.sum(axis=1, keepdims=True)
        return np.divide(sized, total, out=types.copy(), where=total > 0)

    def _reading(self, types: NDArray[np.float32], attributes: Mapping[str, NDArray[np.float32]]) -> Reading:
        best = int(types.argmax())
        label = self.labels[best] if types[best] >= self.threshold else UNCLASSIFIED
        assessed = label in self.manifest.attributes_assessed_on
        own, second_levels = self.manifest.subtypes.get(label), self.manifest.subtypes.values()
        return Reading(
            label=label,
            probability=float(types[best]),
            probabilities=dict(zip(self.labels, types.tolist(), strict=True)),
            attributes={
                name: _attribute(
                    values,
                    self.attributes[name],
                    self.manifest.attribute_thresholds[name],
                    assessed or name == own,
                )
                for name, values in attributes.items()
                if name == own or name not in second_levels
            },
        )


def _attribute(
    probabilities: NDArray[np.float32], values: Sequence[str], threshold: float, assessed: bool
) -> AttributeReading:
    best = int(probabilities.argmax())
    probability = float(probabilities[best])
    return AttributeReading(values[best], probability, assessed and probability >= threshold)


def prepare(crops: NDArray[np.uint8], density: Density | None = None) -> NDArray[np.float32]:
    """(N, S, S, 3) uint8 RGB to the network's input (N, 3, S, S) float32: levels 0 to 1, or stretched `density`."""
    if density is None:
        batch = np.ascontiguousarray(crops.transpose(0, 3, 1, 2), np.float32)
        batch /= 255
        return batch
    return np.stack([[_stretched(crop[..., channel], density) for channel in range(3)] for crop in crops])


def _stretched(levels: NDArray[np.uint8], by: Density) -> NDArray[np.float32]:
    """One channel of a crop as optical density, from 0 at its background to 1 at its darkest part.

    Lamp, white balance, exposure and the strength of the stain differ between microscopes as factors of light or
    of density (Beer-Lambert); relative to the crop's own white and dark, which are percentiles, they cancel. Faint
    contrast is not stretched to full range: `min_contrast` keeps an empty crop empty.
    """
    ordered = np.sort(levels[::2, ::2], axis=None)
    last = len(ordered) - 1
    dark, white = (max(float(ordered[round(last * share)]), 1.0) for share in (by.dark, by.white))
    steps = np.log(white / np.arange(256, dtype=np.float32).clip(1)) / max(
        np.log(white / dark), by.min_contrast
    )
    table: NDArray[np.float32] = steps.clip(0, by.most_dense).astype(np.float32)
    return table[levels]


def softmax(logits: NDArray[np.floating]) -> NDArray[np.float32]:
    """Along the last axis."""
    shifted = np.exp(logits - logits.max(axis=-1, keepdims=True))
    result: NDArray[np.float32] = (shifted / shifted.sum(axis=-1, keepdims=True)).astype(np.float32)
    return result
