"""Compute the COCO average precision of one class.

Only this module imports faster_coco_eval.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgeleuk.errors import MissingExtraError
from edgeleuk.types import Boxes

MAX_DETECTIONS = 1000
"""Maximum detections of a class per picture.

The best are kept. COCO's 100 would be too few for fields crowded with red cells.
"""

RECALLS = np.linspace(0, 1, 101)
"""Recall levels of the precision curve: 0, 0.01, ... 1."""

ANYTHING = [0, 1e10]
"""COCO's area range "all", square pixels."""

CLASS_ID = 1


@dataclass(frozen=True, slots=True)
class Labelled:
    """Truth and detections of one class in one picture.

    The picture was annotated for the class.
    """

    truth: Boxes
    """Annotated boxes: (T, 4), inside the picture."""
    boxes: Boxes
    """Detected boxes: (D, 4), inside the picture.

    Detections of any score are included.
    """
    scores: NDArray[np.float32]
    """Scores of the detections: (D,)."""


@dataclass(frozen=True, slots=True)
class AveragePrecision:
    """Average precision of one class."""

    ap50: float
    """Average precision at IoU 0.5."""
    ap: float
    """Mean average precision over IoU 0.50, 0.55, ... 0.95."""
    precision: NDArray[np.float64]
    """(101,) interpolated precision at RECALLS, IoU 0.5."""


def average_precision(pictures: Sequence[Labelled]) -> AveragePrecision | None:
    """Compute COCO's average precision.

    Lin et al., Microsoft COCO, ECCV 2014. The result is None if nothing is annotated.

    Raises:
        MissingExtraError: If faster_coco_eval is not installed.
    """
    try:
        from faster_coco_eval import COCO, COCOeval_faster
    except ImportError as error:
        raise MissingExtraError(
            "average precision needs faster-coco-eval, which is missing. Run: pip install 'edgeleuk[eval]'."
        ) from error
    annotations = _annotations(pictures)
    if not annotations:
        return None
    images = [{"id": image} for image in range(len(pictures))]
    truth = COCO(
        {"images": images, "annotations": annotations, "categories": [{"id": CLASS_ID, "name": "class"}]},
        print_function=_silent,
    )
    evaluation = COCOeval_faster(truth, truth.loadRes(_detections(pictures)), "bbox", print_function=_silent)
    evaluation.params.maxDets = [MAX_DETECTIONS]
    evaluation.params.areaRng, evaluation.params.areaRngLbl = [ANYTHING], ["all"]
    evaluation.evaluate()
    evaluation.accumulate()
    # (IoU levels, recall levels) for the only class, area range and number of detections.
    precision: NDArray[np.float64] = np.asarray(evaluation.eval["precision"], np.float64)[:, :, 0, 0, 0]
    return AveragePrecision(float(precision[0].mean()), float(precision.mean()), precision[0])


def _annotations(pictures: Sequence[Labelled]) -> list[dict[str, Any]]:
    rows = [
        {"image_id": image, "category_id": CLASS_ID, "bbox": box, "area": box[2] * box[3], "iscrowd": 0}
        for image, picture in enumerate(pictures)
        for box in _xywh(picture.truth)
    ]
    # COCO marks an unmatched box with the id 0, so ids start at 1.
    return [{"id": i, **row} for i, row in enumerate(rows, start=1)]


def _detections(pictures: Sequence[Labelled]) -> list[dict[str, Any]]:
    return [
        {"image_id": image, "category_id": CLASS_ID, "bbox": box, "score": score}
        for image, picture in enumerate(pictures)
        for box, score in zip(_xywh(picture.boxes), picture.scores.tolist(), strict=True)
    ]


def _xywh(boxes: Boxes) -> list[list[float]]:
    exact = boxes.astype(np.float64)
    rows: list[list[float]] = np.concatenate([exact[:, :2], exact[:, 2:] - exact[:, :2]], axis=1).tolist()
    return rows


def _silent(*_: object, **__: object) -> None:
    """Discard what the library prints.

    Standard output is for the result.
    """
