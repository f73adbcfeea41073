"""Reader: cell type and attributes of white cells.

It reads each cell from a crop at fine scale.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from edgeleuk.errors import ModelError
from edgeleuk.imaging.resampling import crop_um
from edgeleuk.models import heads, known
from edgeleuk.models.manifest import Density, ReaderManifest
from edgeleuk.networks.onnx_session import Session
from edgeleuk.system.machine import Arithmetic
from edgeleuk.types import UNCLASSIFIED, AttributeReading, Boxes, Image, Reading, Scale

BATCH = 16
"""Crops per network call.

The result of one crop does not depend on the others.
"""
FEATURES = "features"
"""Name of the output of a network with a separate head."""


class Reader:
    """Reader network, opened once.

    Call `read` from one thread at a time.
    """

    def __init__(
        self, manifest: ReaderManifest, threads: int | None = None, arithmetic: Arithmetic | None = None
    ) -> None:
        """Open the network and its head.

        Args:
            manifest: The reader's part of model.json.
            threads: Number of threads; None for the best that `edgeleuk bench` found.
            arithmetic: "int8" or "float"; None for the best that `edgeleuk bench` found.

        Raises:
            ModelError: The network or its head cannot be used.
        """
        self.manifest = manifest
        self._session = Session(manifest.path, threads, arithmetic)
        self._head = self._opened_head(manifest)
        self._known = self._opened_known(manifest)

    @property
    def labels(self) -> tuple[str, ...]:
        return self.manifest.labels

    @property
    def types(self) -> tuple[str, ...]:
        """Types that the network distinguishes.

        Several may be printed as one of the labels.
        """
        return self.manifest.types

    @property
    def merge(self) -> Mapping[str, str]:
        return self.manifest.merge

    @property
    def attributes(self) -> Mapping[str, tuple[str, ...]]:
        return self.manifest.attributes

    @property
    def blast_like(self) -> tuple[str, ...]:
        return self.manifest.blast_like

    @property
    def threshold(self) -> float:
        return self.manifest.threshold

    @property
    def mature(self) -> tuple[str, ...]:
        return self.manifest.mature

    @property
    def subtypes(self) -> Mapping[str, str]:
        return self.manifest.subtypes

    @property
    def head(self) -> heads.Head | None:
        """Head that maps features to logits; None if the network gives logits."""
        return self._head

    def features(self, crops: NDArray[np.uint8], turn: int = 0) -> NDArray[np.float32]:
        """Return the network's features (N, F) that the head takes.

        `crops`: (N, size, size, 3). `turn`: quarter turns of the crops before they are read.

        Raises:
            ModelError: The network gives logits, not features.
        """
        if self._head is None:
            raise ModelError(
                f"{self.manifest.path} has no separate head, so that no other head can be put on it. Use a newer model."
            )
        turned = np.ascontiguousarray(np.rot90(crops, turn, (1, 2)))
        parts = [self._given(turned[i : i + BATCH]) for i in range(0, len(turned), BATCH)]
        return np.concatenate(parts) if parts else np.zeros((0, self._head.features), np.float32)

    def read(self, image: Image, scale: Scale, boxes: Boxes) -> list[Reading]:
        """Read the white cells in boxes.

        A box too large for a type is not read as that type.

        Args:
            image: (H, W, 3) uint8 RGB.
            scale: Scale of `image`.
            boxes: (N, 4) boxes, pixels of `image`.

        Returns:
            One reading for each box.
        """
        centres = (boxes[:, :2] + boxes[:, 2:]) / 2
        crops = [self.crop(image, scale, (float(x), float(y))) for x, y in centres]
        if not crops:
            return []
        given = self._outputs(np.stack(crops))
        types, attributes = self._probabilities(given)
        types = self._small_enough(self._printed(types), boxes, scale)
        familiar = self.familiarity(given, types)
        return [
            self._reading(types[i], {name: rows[i] for name, rows in attributes.items()}, familiar[i])
            for i in range(len(crops))
        ]

    def crop(self, image: Image, scale: Scale, centre: tuple[float, float]) -> Image:
        """Cut the network's input crop of a cell.

        Args:
            image: (H, W, 3) uint8 RGB.
            scale: Scale of `image`.
            centre: Middle of the cell, x y, pixels of `image`.

        Returns:
            (size, size, 3) uint8 RGB.
        """
        return crop_um(image, scale, centre, self.manifest.um_per_px, self.manifest.size)

    def probabilities(
        self, crops: NDArray[np.uint8]
    ) -> tuple[NDArray[np.float32], dict[str, NDArray[np.float32]]]:
        """Return calibrated probabilities of labels and attribute values.

        For crops (N, size, size, 3) those of the labels are (N, K).
        """
        types, attributes = self._read(crops)
        return self._printed(types), attributes

    def type_probabilities(self, crops: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return calibrated probabilities of the network's types, (N, T).

        `crops`: (N, size, size, 3).
        """
        return self._read(crops)[0]

    def familiarity(self, features: NDArray[np.float32], types: NDArray[np.float32]) -> list[float | None]:
        """Return the familiarity of N cells, see `known`.

        None for each if the model has no known cells.

        Args:
            features: (N, F) features, averaged over the turns.
            types: (N, K) probabilities of the labels.
        """
        if self._known is None:
            return [None] * len(features)
        return [*map(float, self._known.familiarity(features, types.argmax(axis=1)))]

    def labels_of(self, features: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return calibrated probabilities (N, K) of labels, from features (N, F)."""
        return self._printed(self._probabilities(features)[0])

    def _read(self, crops: NDArray[np.uint8]) -> tuple[NDArray[np.float32], dict[str, NDArray[np.float32]]]:
        """Return calibrated probabilities of types and attribute values.

        Those of the types are (N, T).
        """
        return self._probabilities(self._outputs(crops))

    def _outputs(self, crops: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return the network's output (N, outputs), averaged over turns."""
        return np.concatenate([self._given(crops[i : i + BATCH]) for i in range(0, len(crops), BATCH)])

    def _probabilities(
        self, given: NDArray[np.float32]
    ) -> tuple[NDArray[np.float32], dict[str, NDArray[np.float32]]]:
        """Return calibrated probabilities of the network's output.

        Those of the types are (N, T).
        """
        logits = self._logits(given)
        sizes = self._sizes()
        if logits.shape != (len(given), sum(sizes)):
            raise ModelError(
                f"{self.manifest.path} gives {' x '.join(map(str, logits.shape[1:]))} values; the types and attributes of its manifest "
                f"need {sum(sizes)}. Publish the model again."
            )
        parts = np.split(logits, np.cumsum(sizes)[:-1], axis=1)
        types = softmax(parts[0] / self.manifest.temperature)
        return types, dict(zip(self.attributes, (softmax(part) for part in parts[1:]), strict=True))

    def _printed(self, types: NDArray[np.float32]) -> NDArray[np.float32]:
        """Sum type probabilities (N, T) to label probabilities (N, K)."""
        if self.types == self.labels:
            return types
        printed = np.array([self.labels.index(label) for label in self.manifest.printed.values()])
        sums = [types[:, printed == i].sum(axis=1) for i in range(len(self.labels))]
        return np.stack(sums, axis=1).clip(max=np.float32(1))

    def _sizes(self) -> list[int]:
        """Return the numbers of logits, of types and each attribute."""
        return [len(self.types), *(len(values) for values in self.attributes.values())]

    def _opened_head(self, manifest: ReaderManifest) -> heads.Head | None:
        """Load the head that belongs to the network, if any.

        Raises ModelError unless it fits the network's output and the manifest.
        """
        if manifest.head is None:
            return None
        if self._session.outputs != (FEATURES,):
            raise ModelError(
                f"{manifest.path} gives {', '.join(self._session.outputs)}, not {FEATURES}, which its head"
                f" {manifest.head.path.name} is for. Publish the model again."
            )
        head = heads.load(manifest.head.path, manifest.head.sha256)
        if head.outputs != sum(self._sizes()):
            raise ModelError(
                f"{manifest.head.path} gives {head.outputs} values; the types and attributes of its manifest need"
                f" {sum(self._sizes())}. Publish the model again."
            )
        return head

    def _opened_known(self, manifest: ReaderManifest) -> known.Known | None:
        """Load the known cells, if any.

        Raises ModelError unless they fit the head.
        """
        if manifest.known is None:
            return None
        if self._head is None:
            raise ModelError(
                f"{manifest.path} has known cells and no separate head. Publish the model again."
            )
        file = manifest.known.file
        return known.load(file.path, file.sha256, self._head.features, len(manifest.labels))

    def _logits(self, given: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return logits (N, outputs) from the network's output.

        Features are passed through the head, logits are returned as they are.
        """
        if self._head is None:
            return given
        if given.ndim != 2 or given.shape[1] != self._head.features:
            raise ModelError(
                f"{self.manifest.path} gives {' x '.join(map(str, given.shape[1:]))} features; its head takes"
                f" {self._head.features}. Publish the model again."
            )
        return self._head.logits(given)

    def _given(self, crops: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return the network's output averaged over quarter turns.

        (N, outputs) of crops (N, size, size, 3). The mean of logits is the geometric mean of the
        probabilities, as `slidemap.fusion` takes of several views of a cell. A head is linear, so that
        averaging features gives the same.
        """
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
        """Set types too large for their box to probability 0.

        (N, K), given that a box larger than `largest_um` of a type holds none of it. The others are scaled to
        sum to 1.
        """
        largest = np.array([self.manifest.largest_um.get(label, np.inf) for label in self.labels])
        sides = np.sqrt((boxes[:, 2:] - boxes[:, :2]).prod(axis=1) * scale.um_per_px_x * scale.um_per_px_y)
        sized = np.where(sides[:, None] > largest, np.float32(0), types)
        total = sized.sum(axis=1, keepdims=True)
        return np.divide(sized, total, out=types.copy(), where=total > 0)

    def _reading(
        self,
        types: NDArray[np.float32],
        attributes: Mapping[str, NDArray[np.float32]],
        familiarity: float | None,
    ) -> Reading:
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
                    assessed or name == own or name in self.manifest.flags,
                )
                for name, values in attributes.items()
                if name == own or name not in second_levels
            },
            familiarity=familiarity,
        )


def _attribute(
    probabilities: NDArray[np.float32], values: Sequence[str], threshold: float, assessed: bool
) -> AttributeReading:
    best = int(probabilities.argmax())
    probability = float(probabilities[best])
    return AttributeReading(values[best], probability, assessed and probability >= threshold)


def prepare(crops: NDArray[np.uint8], density: Density | None = None) -> NDArray[np.float32]:
    """Convert crops to the network's input.

    `crops`: (N, S, S, 3) uint8 RGB. The result is (N, 3, S, S) float32: levels 0 to 1, or optical density
    stretched as `density` says.
    """
    if density is None:
        batch = np.ascontiguousarray(crops.transpose(0, 3, 1, 2), np.float32)
        batch /= 255
        return batch
    return np.stack([[_stretched(crop[..., channel], density) for channel in range(3)] for crop in crops])


def _stretched(levels: NDArray[np.uint8], by: Density) -> NDArray[np.float32]:
    """Return one channel as optical density relative to its range.

    0 at the crop's background, 1 at its darkest part. Lamp, white balance, exposure and the strength of the
    stain differ between microscopes as factors of light or of density (Beer-Lambert); relative to the crop's
    own white and dark, which are percentiles, they cancel. Faint contrast is not stretched to full range:
    `min_contrast` keeps an empty crop empty.
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
    """Compute softmax along the last axis."""
    shifted = np.exp(logits - logits.max(axis=-1, keepdims=True))
    result: NDArray[np.float32] = (shifted / shifted.sum(axis=-1, keepdims=True)).astype(np.float32)
    return result
