"""Evaluate the analysis of phone photographs.

The figures tell whether the field of view is found, whether the scale is right, and how many white cells are
lost by the position of the phone. Every field is seen through a simulated eyepiece in each of
`photographs.views`. White cells are compared with those that the same analysis finds in the original field,
over the cells that the photograph shows whole.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgeleuk.analysis.analyser import Analyser
from edgeleuk.errors import EdgeleukError, UsageError
from edgeleuk.imaging.field_of_view import cut_by_rim, find_ellipse
from edgeleuk.lab.evaluation.datasets import FieldSample, annotated_scales
from edgeleuk.lab.evaluation.fields import match, read_field
from edgeleuk.lab.evaluation.objectives import RoundFields
from edgeleuk.lab.evaluation.photographs import Photograph, photograph, views
from edgeleuk.statistics.intervals import clopper_pearson
from edgeleuk.types import WHITE_CELL, Boxes, Field, FieldOfView, Frame, Image, Scale

WITHIN_AREA, WITHIN_SCALE = 0.03, 0.08
"""Largest relative errors counted as right.

The first is of the area of the field of view, the second of the scale.
"""
OWN_RIM = 0.985
"""Share of the radius of an existing field of view.

So much is shown of a picture that was taken through an eyepiece: a rim of known position replaces its own.
"""

Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Shown:
    """Result on one field in one view."""

    source: str
    found: bool
    area_error: float
    """Relative area error of the field of view.

    It is of the part that the frame shows; infinite if no field of view was found.
    """
    scale_error: float
    """Relative scale error; infinite if unknown."""
    squeeze_error: float
    cells: int
    """Number of annotated white cells shown whole."""
    matched: int
    matched_plain: int
    """Number of these found in the original field."""


@dataclass(frozen=True, slots=True)
class PhoneReport:
    """Report of `edgeleuk eval phone`."""

    fields: int
    without: tuple[str, ...]
    """Fields left out, with the reason.

    Their own scale cannot be estimated, or the analysis refuses the original field.
    """
    views: Mapping[str, Sequence[Shown]]

    def as_json(self) -> dict[str, Any]:
        shown = {name: figures(each) for name, each in self.views.items()}
        every = figures([one for each in self.views.values() for one in each])
        return {"fields": self.fields, "left_out": list(self.without), "views": shown, "together": every}


def figures(shown: Sequence[Shown]) -> dict[str, Any]:
    """Return shares with exact 95 % intervals.

    The white-cell recall is given for the original fields and for the photographs.
    """
    cells = sum(each.cells for each in shown)
    counts = {
        "disc_found": (sum(each.found for each in shown), len(shown)),
        "area_within_3_percent": (sum(each.area_error <= WITHIN_AREA for each in shown), len(shown)),
        "scale_within_8_percent": (sum(each.scale_error <= WITHIN_SCALE for each in shown), len(shown)),
        "squeeze_within_8_percent": (sum(each.squeeze_error <= WITHIN_SCALE for each in shown), len(shown)),
        "recall": (sum(each.matched for each in shown), cells),
        "recall_undistorted": (sum(each.matched_plain for each in shown), cells),
    }
    shares = {name: count / of if of else None for name, (count, of) in counts.items()}
    intervals = {name: list(clopper_pearson(count, of)) for name, (count, of) in counts.items() if of}
    return {"pictures": len(shown), **shares, "white_cells": cells, "intervals": intervals}


def evaluate_phone(
    analyser: Analyser,
    samples: Sequence[FieldSample],
    names: Sequence[str],
    only: Sequence[str] = (),
    progress: Progress | None = None,
    wide: RoundFields | None = None,
) -> PhoneReport:
    """Photograph every field in every view and analyse it.

    Args:
        analyser: Analyser of the photographs.
        samples: Labelled fields.
        names: Class names of the file.
        only: Names of the views to use; by default all.
        progress: Called with the fields done and their total.
        wide: Pictures and scales of the samples, if these are composed fields.

    Raises:
        UsageError: If no white cell is annotated, or there is no such view.
    """
    known = views(np.random.default_rng(0))
    if not known.keys() >= set(only):
        raise UsageError(f"no view {', '.join(sorted(set(only) - known.keys()))}. Views: {', '.join(known)}.")
    if WHITE_CELL not in names:
        raise UsageError(f"no {WHITE_CELL} is annotated. Give a file with white cells boxed.")
    read, truth = (wide.read, wide.truth) if wide else (read_field, annotated_scales(samples, names))
    shown: defaultdict[str, list[Shown]] = defaultdict(list)
    without = []
    for done, sample in enumerate(samples, start=1):
        image = read(sample)
        try:
            plain = analyser.analyse(Frame(image, sample.path.name))
        except EdgeleukError as error:
            without.append(f"{sample.path.name}: {error}")
            continue
        white = sample.boxes[sample.kinds == names.index(WHITE_CELL)]
        scale = truth.get(sample.image_id) or plain.scale
        field_of_view = shown_field_of_view(image)
        original = _Original(sample, white, scale, plain, field_of_view)
        chosen = {name: view for name, view in views(_rng(sample)).items() if name in (only or known)}
        for name, view in chosen.items():
            taken = photograph(image, field_of_view, view)
            shown[name].append(_shown(analyser, taken, original, view.squeeze))
        if progress:
            progress(done, len(samples))
    return PhoneReport(len(samples) - len(without), tuple(without), shown)


def shown_field_of_view(image: Image) -> FieldOfView:
    """Return the largest circle inside a field.

    If the field has a round field of view already, the circle lies inside that.
    """
    height, width = image.shape[:2]
    own = find_ellipse(image)
    x, y = (own.x, own.y) if own else (width / 2, height / 2)
    limit = OWN_RIM * own.semi_minor if own else float("inf")
    radius = min(limit, x, y, width - x, height - y)
    return FieldOfView(x, y, radius, radius)


def _rng(sample: FieldSample) -> np.random.Generator:
    digest = hashlib.sha256(f"{sample.path.parent.name}/{sample.path.name}".encode()).digest()
    return np.random.default_rng(int.from_bytes(digest[:8], "big"))


@dataclass(frozen=True, slots=True)
class _Original:
    """A field before it is photographed."""

    sample: FieldSample
    white: Boxes
    """(N, 4) boxes of its white cells, pixels."""
    scale: Scale
    plain: Field
    """Its analysis without distortion."""
    field_of_view: FieldOfView
    """The part that is photographed."""


def _shown(analyser: Analyser, taken: Photograph, original: _Original, squeeze: float) -> Shown:
    sample, white, scale = original.sample, original.white, original.scale
    height, width = taken.image.shape[:2]
    seen = taken.boxes(white)
    whole = (
        ~cut_by_rim(seen, taken.field_of_view)
        & (seen[:, :2] > 0).all(axis=1)
        & (seen[:, 2:] < (width, height)).all(axis=1)
    )
    try:
        field = analyser.analyse(Frame(taken.image, sample.path.name))
    except EdgeleukError:
        found = find_ellipse(taken.image)
        boxes, errors = _white(None), (float("inf"), float("inf"))
    else:
        found, boxes = field.field_of_view, _white(field)
        shrunk = (
            taken.field_of_view.semi_major
            * taken.field_of_view.semi_minor
            / (original.field_of_view.semi_major * original.field_of_view.semi_minor)
        )
        right = scale.um_per_px / float(np.sqrt(shrunk))
        errors = (
            abs(field.scale.um_per_px / right - 1),
            abs(field.scale.squeeze / squeeze / scale.squeeze - 1),
        )
    area = taken.field_of_view.share(width, height)
    return Shown(
        source=sample.source,
        found=found is not None,
        area_error=abs(found.share(width, height) / area - 1) if found else float("inf"),
        scale_error=errors[0],
        squeeze_error=errors[1],
        cells=int(whole.sum()),
        matched=_matched(seen, whole, boxes),
        matched_plain=_matched(white, whole, _white(original.plain)),
    )


def _white(field: Field | None) -> Boxes:
    boxes = [cell.box for cell in field.of(WHITE_CELL)] if field else []
    return np.array(boxes, np.float32).reshape(-1, 4)


def _matched(truth: Boxes, counted: NDArray[np.bool_], boxes: Boxes) -> int:
    """Count the true boxes that were found.

    Only the boxes of `truth` (N, 4) in `counted` (N,) count. `boxes` has the best score first, as the finder
    gives them.
    """
    taken = match(truth, boxes)
    return int(counted[taken[taken >= 0]].sum())
