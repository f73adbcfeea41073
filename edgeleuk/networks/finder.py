"""Finder: detects white cells, red cells and platelets.

The scale of the picture must be known.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgeleuk.errors import ModelError
from edgeleuk.imaging.resampling import Resampling
from edgeleuk.models.manifest import FinderManifest
from edgeleuk.networks.onnx_session import Session
from edgeleuk.networks.suppression import suppress, unnested
from edgeleuk.networks.tiling import Tile, tiles
from edgeleuk.system.machine import Arithmetic
from edgeleuk.types import WHITE_CELL, Boxes, Detections, Image, Scale

MAX_LOG_DISTANCE = 4.0
"""Maximum logarithm of a box distance, strides.

It stands for a side of 55 strides; no cell is larger, and the exponential cannot overflow.
"""
MAX_LOGIT = 80.0
"""Logits are clipped to this absolute value.

Beyond it float32 overflows, and the score is 0 or 1 long before.
"""


@dataclass(frozen=True, slots=True)
class _Candidates:
    boxes: Boxes
    scores: NDArray[np.float32]
    kinds: NDArray[np.int64]

    def at(self, index: NDArray[np.int64]) -> _Candidates:
        return _Candidates(self.boxes[index], self.scores[index], self.kinds[index])


class Finder:
    """Detector of cells.

    It opens its network once. `find` may be called from one thread at a time.
    """

    def __init__(
        self, manifest: FinderManifest, threads: int | None = None, arithmetic: Arithmetic | None = None
    ) -> None:
        self.manifest = manifest
        self._session = Session(manifest.path, threads, arithmetic)
        self._floors = np.array([manifest.thresholds[name] for name in manifest.classes], np.float32)

    @property
    def names(self) -> tuple[str, ...]:
        return self.manifest.classes

    @property
    def um_per_px(self) -> float:
        return self.manifest.um_per_px

    @property
    def thresholds(self) -> Mapping[str, float]:
        return self.manifest.thresholds

    def find(self, image: Image, scale: Scale, floor: float | None = None) -> Detections:
        """Find cells in a picture.

        Args:
            image: (H, W, 3) picture.
            scale: Scale of the picture.
            floor: Minimum score, for example for average precision; None for the operating threshold of
                each class.

        Returns:
            Boxes in pixels of the picture, best first.
        """
        resampling = Resampling.to_scale(image.shape[1], image.shape[0], scale, self.um_per_px)
        return self.find_resampled(resampling.apply(image), resampling, floor)

    def find_resampled(self, small: Image, resampling: Resampling, floor: float | None = None) -> Detections:
        """Find cells in a picture at the finder's scale.

        Args:
            small: (H, W, 3) picture at the finder's scale.
            resampling: Resampling that made `small`; boxes are mapped back through it.
            floor: Minimum score; None for the operating threshold of each class.

        Returns:
            Boxes in pixels of the original picture, best first.
        """
        floors = self._floors if floor is None else np.full(len(self.names), floor, np.float32)
        manifest = self.manifest
        cut = tiles(small.shape[1], small.shape[0], manifest.tiling)
        found = [self._in_tile(small, tile, floors) for tile in cut]
        merged = _Candidates(
            np.concatenate([c.boxes for c in found]),
            np.concatenate([c.scores for c in found]),
            np.concatenate([c.kinds for c in found]),
        )
        kept = merged.at(suppress(merged.boxes, merged.scores, merged.kinds, manifest.nms_iou))
        if floor is None:
            one_kind = np.zeros_like(kept.kinds)
            kept = kept.at(suppress(kept.boxes, kept.scores, one_kind, manifest.same_thing_iou))
        limit = np.array([small.shape[1], small.shape[0]] * 2, np.float32)
        kept = _Candidates(np.clip(kept.boxes, 0, limit), kept.scores, kept.kinds)
        if floor is None and manifest.nested_share is not None and WHITE_CELL in self.names:
            kept = kept.at(self._once(kept, manifest.nested_share))
        return Detections(resampling.back(kept.boxes), kept.scores, kept.kinds, self.names)

    def _once(self, found: _Candidates, share: float) -> NDArray[np.int64]:
        """Return indices of detections without nested white cells.

        White cells are dropped that lie in, or around, the better box of the same cell.
        """
        stays = np.ones(len(found.scores), np.bool_)
        white = np.flatnonzero(found.kinds == self.names.index(WHITE_CELL))
        stays[white] = unnested(found.boxes[white], found.scores[white], share)
        return np.flatnonzero(stays)

    def _in_tile(self, small: Image, tile: Tile, floors: NDArray[np.float32]) -> _Candidates:
        batch = prepare(small[tile.window], self.manifest.multiple, self.manifest.pad)
        outputs = self._session.run(batch)
        grid = tuple(side // self.manifest.stride for side in batch.shape[2:])
        wanted = [(1, channels, *grid) for channels in (len(self.names), 4)]
        given = [np.shape(output) for output in outputs]
        if given != wanted:
            raise ModelError(
                f"{self.manifest.path} gives {' and '.join(map(str, given))}; for the {len(self.names)} classes of its"
                f" manifest and 4 distances it should be {' and '.join(map(str, wanted))}. Publish the model again."
            )
        logits, distances = outputs
        found = decode(logits[0], distances[0], floors, self.manifest.stride, self.manifest.max_candidates)
        boxes = found.boxes + np.array(tile.corner * 2, np.float32)
        return _Candidates(boxes, found.scores, found.kinds).at(np.flatnonzero(tile.own(boxes)))


def prepare(image: Image, multiple: int, pad: float) -> NDArray[np.float32]:
    """Convert a picture to network input.

    Args:
        image: (H, W, 3) uint8 RGB.
        multiple: Number that height and width are padded to a multiple of.
        pad: Value of the padding, right and below.

    Returns:
        (1, 3, H', W') float32, 0 to 1.
    """
    height, width = image.shape[:2]
    shape = (1, 3, -(-height // multiple) * multiple, -(-width // multiple) * multiple)
    batch = np.full(shape, pad, np.float32)
    batch[0, :, :height, :width] = image.transpose(2, 0, 1)
    batch[0, :, :height, :width] /= 255
    return batch


def decode(
    logits: NDArray[np.float32],
    distances: NDArray[np.float32],
    floors: NDArray[np.float32],
    stride: int,
    most: int,
) -> _Candidates:
    """Decode network output to boxes in input pixels, float.

    Args:
        logits: (K, h, w) logits by class.
        distances: (4, h, w) logarithms of left, top, right and bottom distance from the grid cell's centre,
            in strides.
        floors: (K,) minimum score by class.
        stride: Pixels per grid cell.
        most: Maximum number of candidates; the best are kept.
    """
    scores = 1 / (1 + np.exp(-np.clip(logits, -MAX_LOGIT, MAX_LOGIT)))
    kinds, ys, xs = np.nonzero(scores >= floors[:, None, None])
    best = scores[kinds, ys, xs]
    if len(best) > most:
        top = np.argpartition(-best, most)[:most]
        kinds, ys, xs, best = kinds[top], ys[top], xs[top], best[top]
    sides = np.exp(np.minimum(distances[:, ys, xs], MAX_LOG_DISTANCE)) * stride
    cx, cy = (xs + 0.5) * stride, (ys + 0.5) * stride
    boxes = np.stack([cx - sides[0], cy - sides[1], cx + sides[2], cy + sides[3]], axis=1)
    return _Candidates(boxes.astype(np.float32), best.astype(np.float32), kinds)
