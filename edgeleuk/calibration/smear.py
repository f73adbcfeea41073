"""Scale, stain colours and usual image quality from smear fields.

No labels are needed. The finder, at its ordinary thresholds, says which pixels are red cells and which are nuclei of
white cells. Where it does not know the device well, its surest detections are enough, and it then runs again on the
fields with the measured colours.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from edgeleuk.analysis.analyser import find_within
from edgeleuk.device import colour
from edgeleuk.device.profiles import Profile, Ruler, Stain, Usual
from edgeleuk.errors import InputError, ScaleError
from edgeleuk.imaging.bars import find_field_of_view
from edgeleuk.imaging.field_of_view import cut_by_rim, middle
from edgeleuk.imaging.resampling import Resampling
from edgeleuk.networks.finder import Finder
from edgeleuk.quality.measures import look
from edgeleuk.scale.agreement import pooled
from edgeleuk.scale.red_cells import diameters_um, estimate_scale
from edgeleuk.types import RED_CELL, RED_CELL_UM, WHITE_CELL, Detections, Frame, Scale

FLOOR = 0.2
"""Minimum score of a cell whose colour is measured.

Scores are lower on an unknown device than on those trained on.
"""
SURE = 0.5
"""Minimum white-cell score, as a share of the best score.

The best is taken over all fields. On a camera that a finder had never seen, two in three of the detections that passed
FLOOR alone were red cells, and the colour of the nuclei was theirs.
"""
MOST_CELLS = 60
"""Maximum number of cells per cell class and field, surest first."""
LEAST_WHITE, LEAST_RED = 3, 20
"""Minimum cells over all fields for the stain colours."""
NUCLEUS_SHARE = 0.25
"""Densest share of a white cell's box taken as nucleus.

Nuclei of every type fill more: 30 % to 70 % of a box.
"""
RED_SHARE = 0.5
"""Densest share of a red cell's box taken as cell.

It covers the ring around the pale centre, without the corners.
"""
LEAST_ANGLE = np.radians(4)
"""Minimum angle between red-cell and nucleus colours, radians.

Closer colours are one colour, and separating them would only amplify noise.
"""
ROUNDS = 2

Colours = NDArray[np.float64]


def known_by(profile: Profile, frames: Sequence[Frame], finder: Finder) -> Profile:
    """Add stain, usual image quality and scale to a profile.

    A scale that the profile already has is kept. Otherwise red cells are measured once more with corrected colours,
    because more of them are recognised then.

    Args:
        profile: Profile to extend.
        frames: Smear fields of the device.
        finder: Cell finder.

    Raises:
        InputError: The fields show too little.
        ScaleError: The red cells do not give a scale.
    """
    scaled = profile if profile.scale else scaled_by(profile, frames, finder)
    stained = replace(scaled, stain=stain(frames, finder, scaled), usual=usual(frames))
    return stained if profile.scale else scaled_by(stained, frames, finder)


def scaled_by(profile: Profile, frames: Sequence[Frame], finder: Finder) -> Profile:
    """Add a scale from red cells to a profile.

    Args:
        profile: Profile to extend.
        frames: Smear fields; only those with the size of the first are used.
        finder: Cell finder.

    Raises:
        ScaleError: The red cells do not give a scale.
    """
    first = frames[0]
    same = [frame for frame in frames if frame.pixels.shape == first.pixels.shape]
    found = red_cell_ruler(
        [profile.corrected(frame, find_field_of_view(frame.pixels)) for frame in same], finder
    )
    ruler = replace(
        found,
        um_per_px_x=significant(found.um_per_px_x * first.width / profile.picture.width),
        um_per_px_y=significant(found.um_per_px_y * first.height / profile.picture.height),
    )
    return replace(profile, scale=ruler)


def significant(number: float) -> float:
    """Round to six significant digits.

    No ruler is more accurate, and the file stays readable.
    """
    return float(f"{number:.6g}")


def red_cell_ruler(frames: Sequence[Frame], finder: Finder) -> Ruler:
    """Estimate one scale from the red cells of several fields.

    Args:
        frames: One or more fields.
        finder: Cell finder.

    Raises:
        ScaleError: No field gives a scale.
    """
    scales: list[Scale] = []
    failed: ScaleError | None = None
    for frame in frames:
        try:
            near = scales[-1] if scales else None
            scales.append(
                estimate_scale(frame.pixels, finder, frame.name, near, find_field_of_view(frame.pixels))
            )
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
    """Return the scale correction from red-cell rims over boxes.

    The factor is above 1 if the rims give a larger scale than the finder's boxes, and 1 if too few rims are visible.

    Boxes keep a margin around cells as the annotators did for the cameras that an image resembles: by the rims, cells in
    boxes of 7.78 um measure 6.7 um on bccd, 6.9 on chula, 7.0 on raabin and 7.2 on pbc training fields, and 6.8 to 7.0
    where they are simulated. For the networks, trained at the scale of the boxes, this is little; for a ruler it is too
    much.
    """
    diameters = [_diameters(frame, finder, scale) for frame in frames]
    every = np.concatenate(diameters)
    return RED_CELL_UM / float(np.median(every)) if len(every) >= LEAST_RED else 1.0


def _diameters(frame: Frame, finder: Finder, scale: Scale) -> NDArray[np.float64]:
    """Measure red-cell diameters by their rims, micrometres (N,).

    Cells cut by the image's edge or by the rim of the field of view are left out.
    """
    field_of_view = find_field_of_view(frame.pixels)
    boxes = find_within(finder, frame.pixels, scale, field_of_view).of(RED_CELL).boxes
    if field_of_view:
        boxes = boxes[~cut_by_rim(boxes, field_of_view)]
    resampling = Resampling.to_scale(frame.width, frame.height, scale, finder.um_per_px)
    return diameters_um(resampling.apply(frame.pixels), resampling.forward(boxes), finder.um_per_px)


def stain(frames: Sequence[Frame], finder: Finder, profile: Profile) -> Stain:
    """Measure the stain colours of a smear.

    Args:
        frames: Smear fields of the device.
        finder: Cell finder.
        profile: Profile of the device, with light and scale if known.

    Raises:
        InputError: The fields show too few cells, or the stains have the same hue.
    """
    fields_of_view = [find_field_of_view(frame.pixels) for frame in frames]
    scales = [
        profile.scale_of(frame)
        or estimate_scale(frame.pixels, finder, frame.name, field_of_view=field_of_view)
        for frame, field_of_view in zip(frames, fields_of_view, strict=True)
    ]
    grids = [profile.light_on(frame) for frame in frames]
    backgrounds = [colour.background(frame.pixels) for frame in frames]
    empty = np.median(backgrounds, axis=0)
    seen = list(frames)
    for _ in range(ROUNDS):
        cells = [
            find_within(finder, frame.pixels, scale, field_of_view, FLOOR)
            for frame, scale, field_of_view in zip(seen, scales, fields_of_view, strict=True)
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
        seen = [
            stained.corrected(frame, field_of_view)
            for frame, field_of_view in zip(frames, fields_of_view, strict=True)
        ]
    return found


def usual(frames: Sequence[Frame]) -> Usual:
    """Return the medians of `measures.look` over the fields."""
    looks = [look(middle(frame.pixels, find_field_of_view(frame.pixels))[0]) for frame in frames]
    values = (
        round(float(np.median([getattr(each, name) for each in looks])), 4)
        for name in ("sharpness", "light", "coverage", "contrast")
    )
    return Usual(*values)


def _colours(dense: colour.Floats, cells: Detections, share: float) -> list[Colours]:
    """Return the median density (3,) of each cell's densest pixels.

    `share` is the share of a cell's box that is used.
    """
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
