"""What smear fields tell of a device: its scale from red cells, the colours of its stain, how its good pictures measure.

No label is needed. The finder, at its ordinary thresholds, says which pixels are red cells and which are white cells'
nuclei; where it does not know the device well, those it is surest of are enough, and it looks again at the fields with
the colours it has found.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from edgeleuk import colour
from edgeleuk.bars import find_view
from edgeleuk.errors import InputError, ScaleError
from edgeleuk.eyepiece import cut, middle
from edgeleuk.finder import Finder
from edgeleuk.optics import Resampling
from edgeleuk.pipeline import find_within
from edgeleuk.pooling import pooled
from edgeleuk.profiles import Profile, Ruler, Stain, Usual
from edgeleuk.quality import look
from edgeleuk.scale import diameters_um, estimate_scale
from edgeleuk.types import RED_CELL, RED_CELL_UM, WHITE_CELL, Detections, Frame, Scale

FLOOR = 0.2
"""Least score of a cell whose colour is measured: on a strange device scores are lower than on those learnt from."""
SURE = 0.5
"""Least score of a white cell, as a share of the best in all fields: on a camera that a finder had never seen, of what
passed FLOOR alone two in three were red cells, and the nuclei's colour was theirs."""
MOST_CELLS = 60
"""Of either kind and field, the surest."""
LEAST_WHITE, LEAST_RED = 3, 20
"""Cells over all fields that the colours rest on."""
NUCLEUS_SHARE = 0.25
"""Densest share of a white cell's box that is nucleus on any type: 30 % to 70 % of a box are."""
RED_SHARE = 0.5
"""Densest share of a red cell's box: the ring around its pale middle, without the corners."""
LEAST_ANGLE = np.radians(4)
"""Between the colours of red cells and nuclei. Closer ones are one colour, and what would be told apart is noise."""
ROUNDS = 2

Colours = NDArray[np.float64]


def known_by(profile: Profile, frames: Sequence[Frame], finder: Finder) -> Profile:
    """The profile with everything that smear fields tell: stain, usual looks, and the scale where it has none.

    Red cells are measured once more with their colours put right: more of them are recognised then.
    Raises ScaleError or InputError.
    """
    scaled = profile if profile.scale else scaled_by(profile, frames, finder)
    stained = replace(scaled, stain=stain(frames, finder, scaled), usual=usual(frames))
    return stained if profile.scale else scaled_by(stained, frames, finder)


def scaled_by(profile: Profile, frames: Sequence[Frame], finder: Finder) -> Profile:
    """The profile with the scale that the red cells of fields tell, those of the first one's size. Raises ScaleError."""
    first = frames[0]
    same = [frame for frame in frames if frame.pixels.shape == first.pixels.shape]
    found = red_cell_ruler([profile.corrected(frame, find_view(frame.pixels)) for frame in same], finder)
    ruler = replace(
        found,
        um_per_px_x=significant(found.um_per_px_x * first.width / profile.picture.width),
        um_per_px_y=significant(found.um_per_px_y * first.height / profile.picture.height),
    )
    return replace(profile, scale=ruler)


def significant(number: float) -> float:
    """To six digits: no ruler is better, and the file stays readable."""
    return float(f"{number:.6g}")


def red_cell_ruler(frames: Sequence[Frame], finder: Finder) -> Ruler:
    """The scale that the red cells of several fields tell together, at least one. Raises ScaleError where none does."""
    scales: list[Scale] = []
    failed: ScaleError | None = None
    for frame in frames:
        try:
            near = scales[-1] if scales else None
            scales.append(estimate_scale(frame.pixels, finder, frame.name, near, find_view(frame.pixels)))
        except ScaleError as error:
            failed = error
    if not scales:
        assert failed
        raise failed
    found = pooled(scales)
    times = _beside_boxes(frames, finder, found)
    share = round(found.relative_error, 5)
    return Ruler(found.um_per_px_x * times, found.um_per_px_y * times, share, "red cells", found.red_cells)


def _beside_boxes(frames: Sequence[Frame], finder: Finder, scale: Scale) -> float:
    """By how much larger a scale is by the rims of red cells than by the finder's boxes; 1 where too few rims show.

    Boxes keep off from cells as the annotators of the cameras did that a picture resembles: by the rims, cells in boxes of
    7.78 um measure 6.7 um on bccd, 6.9 on chula, 7.0 on raabin and 7.2 on pbc training fields, and 6.8 to 7.0 where they
    are simulated. For the networks, which learnt at the scale of the boxes, that is little; of a ruler it is too much.
    """
    diameters = [_diameters(frame, finder, scale) for frame in frames]
    every = np.concatenate(diameters)
    return RED_CELL_UM / float(np.median(every)) if len(every) >= LEAST_RED else 1.0


def _diameters(frame: Frame, finder: Finder, scale: Scale) -> NDArray[np.float64]:
    """(N,) um, by their rims, of the red cells that neither the picture's edge nor an eyepiece's rim cuts."""
    disc = find_view(frame.pixels)
    boxes = find_within(finder, frame.pixels, scale, disc).of(RED_CELL).boxes
    if disc:
        boxes = boxes[~cut(boxes, disc)]
    resampling = Resampling.to_scale(frame.width, frame.height, scale, finder.um_per_px)
    return diameters_um(resampling.apply(frame.pixels), resampling.forward(boxes), finder.um_per_px)


def stain(frames: Sequence[Frame], finder: Finder, profile: Profile) -> Stain:
    """The colours of a smear, from fields of the device of `profile`. Raises InputError where they show too little."""
    discs = [find_view(frame.pixels) for frame in frames]
    scales = [
        profile.scale_of(frame) or estimate_scale(frame.pixels, finder, frame.name, disc=disc)
        for frame, disc in zip(frames, discs, strict=True)
    ]
    grids = [profile.light_on(frame) for frame in frames]
    backgrounds = [colour.background(frame.pixels) for frame in frames]
    empty = np.median(backgrounds, axis=0)
    seen = list(frames)
    for _ in range(ROUNDS):
        cells = [
            find_within(finder, frame.pixels, scale, disc, FLOOR)
            for frame, scale, disc in zip(seen, scales, discs, strict=True)
        ]
        best = max((float(s) for each in cells for s in each.of(WHITE_CELL).scores), default=0.0)
        red, white = [], []
        for frame, each, light in zip(frames, cells, grids, strict=True):
            dense = colour.density(frame.pixels, light)
            surest = each.of(WHITE_CELL)
            red += _colours(dense, each.of(RED_CELL), RED_SHARE)
            white += _colours(dense, surest.where(surest.scores >= SURE * best), NUCLEUS_SHARE)
        found = _stain(np.array(red), np.array(white), empty, len(frames))
        stained = replace(profile, stain=found)
        seen = [stained.corrected(frame, disc) for frame, disc in zip(frames, discs, strict=True)]
    return found


def usual(frames: Sequence[Frame]) -> Usual:
    """Medians of what `quality.look` measures of the slide."""
    looks = [look(middle(frame.pixels, find_view(frame.pixels))[0]) for frame in frames]
    values = (
        round(float(np.median([getattr(each, name) for each in looks])), 4)
        for name in ("sharpness", "light", "coverage", "contrast")
    )
    return Usual(*values)


def _colours(dense: colour.Floats, cells: Detections, share: float) -> list[Colours]:
    """Of each cell (3,), the median density of the densest `share` of its box."""
    found = []
    height, width = dense.shape[:2]
    for x1, y1, x2, y2 in np.rint(cells.boxes[:MOST_CELLS]).astype(int).tolist():
        box = dense[max(y1, 0) : min(y2, height), max(x1, 0) : min(x2, width)].reshape(-1, 3)
        if len(box) < 16:
            continue
        total = box.sum(axis=1)
        found.append(np.median(box[total >= np.quantile(total, 1 - share)], axis=0))
    return found


def _stain(red: Colours, white: Colours, background: Colours, fields: int) -> Stain:
    if len(white) < LEAST_WHITE or len(red) < LEAST_RED:
        raise InputError(
            f"the smear fields show {len(white)} white and {len(red)} red cells; their colours take at least "
            f"{LEAST_WHITE} and {LEAST_RED}. Add fields with both, in focus."
        )
    cell, nucleus = np.median(red, axis=0).clip(0.01), np.median(white, axis=0).clip(0.01)
    cosine = cell @ nucleus / np.linalg.norm(cell) / np.linalg.norm(nucleus)
    if np.arccos(min(cosine, 1.0)) < LEAST_ANGLE:
        raise InputError(
            "nuclei and red cells have the same hue in the smear fields, so their stains cannot be told apart. "
            "Check the white balance and the stain."
        )
    return Stain(_rounded(background, 1), _rounded(cell, 4), _rounded(nucleus, 4), len(white), fields)


def _rounded(values: Colours, digits: int) -> tuple[float, ...]:
    return tuple(round(float(value), digits) for value in values)
