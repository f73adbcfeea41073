"""Evaluate the finder on COCO fields.

The finder is the same object that `analyze` uses. Every class is measured only on the pictures that were
labelled for it: where only white cells were boxed, a red cell that the finder reports is neither right nor
wrong.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from edgeleuk.analysis.analyser import find_within
from edgeleuk.errors import InputError, ScaleError, UsageError
from edgeleuk.imaging.bars import find_field_of_view
from edgeleuk.lab.evaluation.coco import AveragePrecision, Labelled, average_precision
from edgeleuk.lab.evaluation.datasets import FieldSample
from edgeleuk.lab.evaluation.scales import ScaleResult, ScaleRule
from edgeleuk.sources.pictures.reading import read_picture
from edgeleuk.types import Boxes, Detections, Image, Scale

FLOOR = 0.01
"""Minimum score of detections for the average precision."""

MATCH_IOU = 0.5
"""Minimum intersection over union of a match."""

Progress = Callable[[int, int], None]
"""Called with the pictures done and their total."""


class FinderLike(Protocol):
    """Interface of a finder, such as `edgeleuk.networks.finder.Finder`."""

    @property
    def names(self) -> tuple[str, ...]: ...
    @property
    def thresholds(self) -> Mapping[str, float]: ...
    def find(self, image: Image, scale: Scale, floor: float | None = None) -> Detections: ...


@dataclass(frozen=True, slots=True)
class Looked:
    """Detections of one class in one picture."""

    labelled: Labelled
    counted: int
    """Number of detections at the operating threshold.

    These are the ones that `analyze` counts.
    """
    matched: int
    """Counted detections that found an annotated cell."""


@dataclass(frozen=True, slots=True)
class ClassResult:
    """Result for one class on a set of pictures.

    A figure is None if it is undefined because nothing is annotated or nothing is counted.
    """

    images: int
    """Number of pictures labelled for the class."""
    threshold: float
    annotated: int
    counted: int
    matched: int
    mean_count_error: float | None
    """Mean of |counted - annotated| over the pictures, cells."""
    precisions: AveragePrecision | None

    @property
    def recall(self) -> float | None:
        """Share of annotated cells found at the operating threshold."""
        return self.matched / self.annotated if self.annotated else None

    @property
    def precision(self) -> float | None:
        """Share of counted cells that are annotated."""
        return self.matched / self.counted if self.counted and self.annotated else None

    @property
    def count_ratio(self) -> float | None:
        """Cells counted over cells annotated.

        1 is no bias; 1.05 counts five in a hundred too many.
        """
        return self.counted / self.annotated if self.annotated else None

    def as_json(self) -> dict[str, Any]:
        return {
            "ap50": self.precisions.ap50 if self.precisions else None,
            "ap": self.precisions.ap if self.precisions else None,
            "recall": self.recall,
            "precision": self.precision,
            "threshold": self.threshold,
            "images": self.images,
            "matched": self.matched,
        }


@dataclass(frozen=True, slots=True)
class FieldsResult:
    """Results for all classes on a set of pictures."""

    images: int
    classes: Mapping[str, ClassResult]

    @property
    def map50(self) -> float | None:
        """Mean AP over classes at IoU 0.5.

        Only classes with annotated cells are used.
        """
        return _mean(c.precisions.ap50 for c in self.classes.values() if c.precisions)

    @property
    def map(self) -> float | None:
        """Mean AP over classes, IoU 0.50 to 0.95.

        Only classes with annotated cells are used.
        """
        return _mean(c.precisions.ap for c in self.classes.values() if c.precisions)

    def as_json(self) -> dict[str, Any]:
        return {
            "images": self.images,
            "map50": self.map50,
            "map": self.map,
            "classes": {name: result.as_json() for name, result in self.classes.items()},
            "counts": {
                name: {
                    "annotated": result.annotated,
                    "counted": result.counted,
                    "ratio": result.count_ratio,
                    "mean_absolute_error": result.mean_count_error,
                }
                for name, result in self.classes.items()
            },
        }


@dataclass(frozen=True, slots=True)
class FinderReport:
    """Report of `edgeleuk eval finder`."""

    overall: FieldsResult
    by_source: Mapping[str, FieldsResult]
    scale: ScaleResult
    not_in_model: tuple[str, ...]
    """Classes of the file unknown to the model.

    Their boxes were left out.
    """

    def as_json(self) -> dict[str, Any]:
        return {
            **self.overall.as_json(),
            "by_source": {source: result.as_json() for source, result in self.by_source.items()},
            "scale": self.scale.as_json(),
            "not_in_model": list(self.not_in_model),
        }


def evaluate_finder(
    finder: FinderLike,
    samples: Sequence[FieldSample],
    names: Sequence[str],
    scales: ScaleRule,
    progress: Progress | None = None,
    read: Callable[[FieldSample], Image] | None = None,
) -> FinderReport:
    """Measure a finder on labelled pictures.

    A picture whose scale cannot be estimated counts as one in which nothing was found.

    Args:
        finder: Finder to evaluate.
        samples: Labelled pictures.
        names: Class names of the file, matched with the model's by name.
        scales: Scale of each picture.
        progress: Called with the pictures done and their total.
        read: Returns a sample's picture; by default its file as it is.

    Raises:
        InputError: If a picture cannot be read.
        UsageError: If file and model share no class.
    """
    shared = [name for name in finder.names if name in names]
    if not shared:
        raise UsageError(
            f"the file's classes ({', '.join(names)}) are none of the model's ({', '.join(finder.names)}). "
            "Rename the categories of the file."
        )
    pictures: list[dict[str, Looked]] = []
    used: list[Scale | None] = []
    for sample in samples:
        image = (read or read_field)(sample)
        try:
            scale = scales(sample, image)
        except ScaleError:
            scale = None
        pictures.append(_look(finder, sample, image, scale, {name: names.index(name) for name in shared}))
        used.append(scale)
        if progress:
            progress(len(used), len(samples))
    sources = sorted({sample.source for sample in samples})
    return FinderReport(
        overall=_summarise(pictures, shared, finder.thresholds),
        by_source={
            source: _summarise(
                [p for p, sample in zip(pictures, samples, strict=True) if sample.source == source],
                shared,
                finder.thresholds,
            )
            for source in sources
        },
        scale=ScaleResult.of(scales, samples, used),
        not_in_model=tuple(name for name in names if name not in finder.names),
    )


def match(truth: Boxes, boxes: Boxes, iou: float = MATCH_IOU) -> NDArray[np.int64]:
    """Match detections with true boxes as COCO does.

    The match is greedy: each detection in turn takes the true box that it overlaps most among those not yet
    taken.

    Args:
        truth: (T, 4) true boxes.
        boxes: (D, 4) detections, best score first.
        iou: Minimum intersection over union of a match.

    Returns:
        (D,) index of the true box that each detection found, -1 for none.
    """
    overlaps = _iou(boxes, truth)
    found = np.full(len(boxes), -1, np.int64)
    if not len(truth):
        return found
    for i, row in enumerate(overlaps):
        best = int(row.argmax())
        if row[best] >= iou:
            found[i] = best
            overlaps[:, best] = -1
    return found


def read_field(sample: FieldSample) -> Image:
    """Read a sample's picture.

    Raises:
        InputError: If it cannot be read or does not have the size stated with its boxes.
    """
    frame = read_picture(sample.path)
    if (frame.width, frame.height) != (sample.width, sample.height):
        raise InputError(
            f"{sample.path} is {frame.width} x {frame.height}, its entry in the COCO file says "
            f"{sample.width} x {sample.height}, so the boxes do not fit. Correct the entry or the picture."
        )
    return frame.pixels


def _look(
    finder: FinderLike, sample: FieldSample, image: Image, scale: Scale | None, index: Mapping[str, int]
) -> dict[str, Looked]:
    """Find the cells of one picture, by class.

    Only classes that the picture is labelled for are included. `index` is the position of each class in the
    file.
    """
    nothing = Detections(
        np.zeros((0, 4), np.float32), np.zeros(0, np.float32), np.zeros(0, np.int64), finder.names
    )
    field_of_view = find_field_of_view(image)
    # Two runs: the cells that `analyze` counts are not just those of the low-score run above the threshold,
    # as boxes of two classes on one object are resolved at the operating threshold.
    every = find_within(finder, image, scale, field_of_view, FLOOR) if scale else nothing
    counted = find_within(finder, image, scale, field_of_view) if scale else nothing
    looked = {}
    for name, kind in index.items():
        if name not in sample.labelled:
            continue
        truth = _inside(sample.boxes[sample.kinds == kind], sample)
        truth = truth[(truth[:, 2:] > truth[:, :2]).all(axis=1)]
        low, sure = (_beside_ignored(each.of(name), truth, sample) for each in (every, counted))
        matched = int((match(truth, _inside(sure.boxes, sample)) >= 0).sum())
        looked[name] = Looked(Labelled(truth, _inside(low.boxes, sample), low.scores), len(sure), matched)
    return looked


def _beside_ignored(found: Detections, truth: Boxes, sample: FieldSample) -> Detections:
    """Leave out detections on ignored boxes.

    Ignored boxes are neither cell nor background.
    """
    if not len(sample.ignored):
        return found
    boxes = _inside(found.boxes, sample)
    other = (match(truth, boxes) >= 0) | (_iou(boxes, sample.ignored).max(axis=1, initial=0) < MATCH_IOU)
    return found.where(other)


def _summarise(
    pictures: Sequence[Mapping[str, Looked]], names: Sequence[str], thresholds: Mapping[str, float]
) -> FieldsResult:
    classes = {}
    for name in names:
        looked = [picture[name] for picture in pictures if name in picture]
        annotated = [len(one.labelled.truth) for one in looked]
        classes[name] = ClassResult(
            images=len(looked),
            threshold=thresholds[name],
            annotated=sum(annotated),
            counted=sum(one.counted for one in looked),
            matched=sum(one.matched for one in looked),
            mean_count_error=_mean(abs(one.counted - n) for one, n in zip(looked, annotated, strict=True)),
            precisions=average_precision([one.labelled for one in looked]),
        )
    return FieldsResult(len(pictures), classes)


def _inside(boxes: Boxes, sample: FieldSample) -> Boxes:
    clipped: Boxes = np.clip(boxes, 0, np.array([sample.width, sample.height] * 2, np.float32))
    return clipped


def _iou(first: Boxes, second: Boxes) -> NDArray[np.float64]:
    """Return the IoU, (N, M), of two box arrays."""
    a, b = first.astype(np.float64)[:, None], second.astype(np.float64)[None]
    sides = np.clip(np.minimum(a[..., 2:], b[..., 2:]) - np.maximum(a[..., :2], b[..., :2]), 0, None)
    inter = sides.prod(axis=-1)
    union = (a[..., 2:] - a[..., :2]).prod(axis=-1) + (b[..., 2:] - b[..., :2]).prod(axis=-1) - inter
    overlap: NDArray[np.float64] = inter / np.maximum(union, 1e-9)
    return overlap


def _mean(values: Iterable[float]) -> float | None:
    numbers = list(values)
    return float(np.mean(numbers)) if numbers else None
