"""Analysis of one frame: light, scale, find, read, measure."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from functools import cached_property
from typing import Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from edgeleuk.analysis import morphometry
from edgeleuk.analysis.observation import Observation
from edgeleuk.analysis.remarks import flagged, other_microscope
from edgeleuk.device.profiles import Profile
from edgeleuk.errors import ScaleError
from edgeleuk.imaging.field_of_view import boxes_inside, cut_by_rim, fill_surround
from edgeleuk.imaging.objectives import OBJECTIVES
from edgeleuk.imaging.resampling import Resampling
from edgeleuk.models import registry
from edgeleuk.networks.finder import Finder
from edgeleuk.networks.reader import Reader
from edgeleuk.quality.assessment import QualityPolicy, field_measures, load_limits
from edgeleuk.quality.drawings import ON, TOUCHED, strokes
from edgeleuk.scale.agreement import contradicted, disagreeing
from edgeleuk.scale.red_cells import estimate_scale
from edgeleuk.system.machine import Arithmetic
from edgeleuk.system.wording import option
from edgeleuk.types import (
    WHITE_CELL,
    Assessment,
    Box,
    Cell,
    Detections,
    Field,
    FieldOfView,
    Finding,
    Frame,
    Image,
    Scale,
    numbered,
)

MIN_SHOWN = 0.7
"""Minimum short side over long side of a readable box.

Applies to a white cell at the picture's edge.
"""
NEGATIVE = 50.0
"""Minimum likeness, in percent, at which a negative is reported.

It is the likeness to a smear of the inverted picture; `quality.toml` has the same.
"""
BRIGHT = 0.95
"""Median brightness from which a picture is no negative.

Most of a field is as bright as its empty slide.
"""
DRAWN = "drawn"
"""Code of findings about drawings."""
EDGE = 0.004
"""Maximum distance of a box from the edge it touches.

A share of the picture's long side.
"""


class FinderLike(Protocol):
    """Interface of a finder; `edgeleuk.networks.finder.Finder` is one."""

    def find(self, image: Image, scale: Scale, floor: float | None = None) -> Detections: ...


class Analyser:
    """Finder and reader of one magnification.

    Both are opened once. Use from one thread at a time.
    """

    def __init__(
        self,
        model: registry.Model,
        threads: int | None = None,
        arithmetic: Arithmetic | None = None,
        profile: Profile | None = None,
        *,
        refusing: bool = False,
        later: bool = False,
    ) -> None:
        """Open the finder and the reader of a model.

        Args:
            model: Model of one magnification.
            threads: Number of threads; None for the best that `edgeleuk bench` found, see `machine`.
            arithmetic: "int8" or "float"; None for the best that `edgeleuk bench` found.
            profile: Profile of the device that takes the pictures.
            refusing: Whether a picture that is too poor, or no smear, is an error. Otherwise it is analysed
                and marked as forced.
            later: Whether to open the networks only when a picture is analysed. A kept session needs none.
        """
        self.model, self.profile = model, profile
        self._opening = threads, arithmetic
        self.quality = QualityPolicy(load_limits(), model.magnification, refusing)
        if not later:
            self.finder, self.reader  # noqa: B018  # opened now, so that a fault in a file is told before a count

    @cached_property
    def finder(self) -> Finder:
        """Finder of the model."""
        return Finder(self.model.finder, *self._opening)

    @cached_property
    def reader(self) -> Reader:
        """Reader of the model."""
        return Reader(self.model.reader, *self._opening)

    def analyse(
        self,
        frame: Frame,
        scale: Scale | None = None,
        *,
        vouched: bool = True,
        seen: Observation | None = None,
    ) -> Field:
        """Analyse one picture.

        Args:
            frame: Picture to analyse.
            scale: Scale of the frame's pixels; None to estimate it.
            vouched: Whether `scale` is certain. One that is not, such as that of the profile or of the
                slide's other pictures, is replaced where the red cells contradict it.
            seen: Observation of the frame, if it exists already.

        Raises:
            ScaleError: `scale` is None and cannot be estimated.
            QualityError: The picture is refused.
        """
        seconds: dict[str, float] = {}
        with _timed(seconds, "look"):
            seen = seen or Observation.of(frame)
        field_of_view = seen.field_of_view
        self.quality.assess(frame.name, seen.measures)  # light first: without it no scale can be estimated
        with _timed(seconds, "light") if self.profile else nullcontext():
            frame, profile, doubts = self._under_profile(seen)
        pixels = fill_surround(frame.pixels, field_of_view) if field_of_view else frame.pixels
        if scale is None or (scale.source == "profile" and profile is None and not vouched):
            scale, vouched = profile.scale_of(frame) if profile else None, False
        # The finder gets the unfilled picture: it was trained on black surrounds, and misclassifies cells cut by a
        # bright one (of what it called white cells on phone_train 28 % were none, and 39 % with the surround filled).
        try:
            scale, found, small = self._found(frame, field_of_view, scale, vouched, seconds)
        except ScaleError as error:
            if self._as_negative(seen) < NEGATIVE:
                raise
            raise ScaleError(f"{error} It looks like a negative: save it as a positive.") from error
        with _timed(seconds, "assess"):
            after = field_measures(pixels, field_of_view, scale, found, self.finder.um_per_px, small)
            detail = {"um_per_px": scale.um_per_px / frame.shrunk}
            measures = {**seen.measures, **after, **detail}
            if self.quality.refusal(measures):
                measures["negative_percent"] = self._as_negative(seen)
            assessment = self.quality.assess(frame.name, measures)
        if profile and profile.scale and scale.source == "red cells":
            doubts = (*doubts, _other_size(profile, scale, frame))
        um_per_px = scale.um_per_px / frame.shrunk
        other = tuple(_other_objective(self.model, scale, um_per_px))
        assessment = replace(assessment, findings=(*assessment.findings, *other))
        coarse = too_coarse(self.model.finder.counted_to, scale)
        found, under, left_out = _clear_of_drawings(found.without(coarse), frame.pixels, assessment)
        whole = shown_enough(found, frame.width, frame.height, field_of_view) & ~under
        cells = self._cells(pixels, scale, found, whole, seconds)
        warnings = (
            *doubts,
            *other_microscope(self.model, seen.frame, um_per_px, profile),
            *left_out,
            *_warnings(cells, scale),
            *flagged(cells, self.model.reader.flags),
            *_not_counted(coarse, self.model.finder.counted_to, um_per_px),
        )
        return Field(
            frame.name, frame.width, frame.height, scale, cells, seconds, warnings, coarse, field_of_view,
            assessment, profile=profile.name if profile else None,
        )  # fmt: skip

    def _as_negative(self, seen: Observation) -> float:
        """Return how smear-like the inverted frame is, percent.

        0 where much of the frame is bright.
        """
        channels = seen.look.channels
        if channels is None or channels.median > BRIGHT:
            return 0.0
        frame, field_of_view = seen.frame, seen.field_of_view
        turned = replace(frame, pixels=cv2.bitwise_not(frame.pixels))
        try:
            scale, found, small = self._found(turned, field_of_view, None, True, {})
        except ScaleError:
            return 0.0
        after = field_measures(turned.pixels, field_of_view, scale, found, self.finder.um_per_px, small)
        return after.get("likeness_percent", 0.0)

    def _cells(
        self,
        pixels: Image,
        scale: Scale,
        found: Detections,
        whole: NDArray[np.bool_],
        seconds: dict[str, float],
    ) -> tuple[Cell, ...]:
        """Build the cells of a field, with white cells read and measured.

        Only white cells that are `whole` (N,) are read and measured.
        """
        to_read = np.flatnonzero(whole & found.are(WHITE_CELL)).tolist()
        boxes: list[Box] = [tuple(box) for box in found.boxes.tolist()]
        with _timed(seconds, "read"):
            readings = dict(zip(to_read, self.reader.read(pixels, scale, found.boxes[to_read]), strict=True))
        with _timed(seconds, "measure"):
            shapes = morphometry.measure(pixels, scale, [boxes[i] for i in to_read])
            measured = dict(zip(to_read, shapes, strict=True))
        cells = [
            Cell(
                kind=found.names[found.kinds[i]],
                box=boxes[i],
                score=float(found.scores[i]),
                whole=bool(whole[i]),
                reading=readings.get(i),
                morphometry=measured.get(i),
            )
            for i in range(len(found))
        ]
        return numbered(cells)

    def estimate(self, seen: Observation, near: Scale | None = None, least_merit: float = 0.0) -> Scale:
        """Estimate the scale of an observed frame from its red cells.

        Args:
            seen: Observed frame.
            near: Guess that is tried first.
            least_merit: Minimum merit of an accepted scale, see `estimate_scale`.

        Raises:
            ScaleError: Too few red cells are found to measure.
        """
        frame = self.under_profile(seen)
        return estimate_scale(frame.pixels, self.finder, frame.name, near, seen.field_of_view, least_merit)

    def under_profile(self, seen: Observation) -> Frame:
        """Return the frame with light and stain corrected by the profile.

        Unchanged without a profile, or where the frame is not from its device.
        """
        return self._under_profile(seen)[0]

    def known_scale(self, seen: Observation) -> tuple[Scale | None, str]:
        """Return the profile's scale, and why it cannot be used.

        The scale is None where the frame is not from the profile's device, or its red cells, if it shows any,
        contradict the scale. The text is empty where nothing speaks against the profile.
        """
        frame, profile, doubts = self._under_profile(seen)
        scale = profile.scale_of(frame) if profile else None
        if profile is None or scale is None:
            return None, " ".join(doubts)
        used, *_ = self._found(frame, seen.field_of_view, scale, False, {})
        return (scale, "") if used == scale else (None, _other_size(profile, used, frame))

    def _under_profile(self, seen: Observation) -> tuple[Frame, Profile | None, tuple[str, ...]]:
        """Correct the frame by the profile.

        Returns the frame, the profile or None where it was not used, and the reasons.
        """
        if self.profile is None:
            return seen.frame, None, ()
        if doubt := self.profile.doubt(seen.frame):
            return seen.frame, None, (doubt,)
        return self.profile.corrected(seen.frame, seen.field_of_view), self.profile, ()

    def _found(
        self,
        frame: Frame,
        field_of_view: FieldOfView | None,
        scale: Scale | None,
        vouched: bool,
        seconds: dict[str, float],
    ) -> tuple[Scale, Detections, Image | None]:
        """Find cells, with the scale re-estimated if contradicted.

        Returns the scale that the finder used, its detections and, without a field of view, the resampled picture. The
        scale is that of the red cells where they contradict `scale`.
        """
        with _timed(seconds, "scale"):
            used = scale or estimate_scale(frame.pixels, self.finder, frame.name, field_of_view=field_of_view)
        small = None
        with _timed(seconds, "find"):
            if field_of_view is None:
                resampling = Resampling.to_scale(frame.width, frame.height, used, self.finder.um_per_px)
                small = resampling.apply(frame.pixels)
                found = self.finder.find_resampled(small, resampling)
            else:
                found = find_within(self.finder, frame.pixels, used, field_of_view)
        if scale is None or vouched:
            return used, found, small
        if contradicted(scale, found, self.model.finder.red_cell_box_um) or disagreeing(
            scale, found, frame, field_of_view, self.finder
        ):
            return self._found(frame, field_of_view, None, True, seconds)
        return used, found, small


def find_within(
    finder: FinderLike,
    pixels: Image,
    scale: Scale,
    field_of_view: FieldOfView | None,
    floor: float | None = None,
) -> Detections:
    """Find cells inside the field of view of a picture.

    Only the rectangle around the field of view is searched.

    Args:
        finder: Finder to use.
        pixels: (H, W, 3) uint8 RGB.
        scale: Scale of `pixels`.
        field_of_view: Field of view, an eyepiece's or between bars; None for the whole picture.
        floor: Score threshold as in `Finder.find`.
    """
    if field_of_view is None:
        return finder.find(pixels, scale, floor)
    left, top, right, bottom = field_of_view.bounds(pixels.shape[1], pixels.shape[0])
    found = finder.find(pixels[top:bottom, left:right], scale, floor)
    found = replace(found, boxes=found.boxes + np.array([left, top, left, top], np.float32))
    return found.where(boxes_inside(found.boxes, field_of_view))


def _clear_of_drawings(
    found: Detections, pixels: Image, assessment: Assessment
) -> tuple[Detections, NDArray[np.bool_], tuple[str, ...]]:
    """Remove detections on drawings and flag those that touch them.

    Returns the kept detections, which of them (N,) touch drawings, and warnings on what was lost.
    """
    if not any(finding.code == DRAWN for finding in assessment.findings):
        return found, np.zeros(len(found), bool), ()
    shares = strokes(pixels, found.boxes, found.of(WHITE_CELL).boxes)
    kept, under = found.where(shares < ON), shares[shares < ON] > TOUCHED
    white = int((under & kept.are(WHITE_CELL)).sum())
    lost = len(found) - len(kept)
    if not lost and not white:
        return kept, under, ()
    text = f"{lost} found on drawings not counted, {white} white cells under drawings not read. Take the picture without them."
    return kept, under, (text,)


def too_coarse(counted_to: Mapping[str, float], scale: Scale) -> frozenset[str]:
    """Return the cell classes that cannot be counted at a scale."""
    return frozenset(kind for kind, limit in counted_to.items() if scale.um_per_px > limit)


def shown_enough(
    found: Detections, width: int, height: int, field_of_view: FieldOfView | None = None
) -> NDArray[np.bool_]:
    """Return which boxes show enough of their cell to be read.

    A box that the edge of the picture or of a bar cuts must show most of the cell. A box that an eyepiece's
    rim cuts is never enough: a box at the slanting rim does not tell how much is missing.

    Args:
        found: N detections.
        width: Width of the picture, pixels.
        height: Height of the picture, pixels.
        field_of_view: Field of view; None for the whole picture.

    Returns:
        (N,) bool.
    """
    boxes = found.boxes
    sides = boxes[:, 2:] - boxes[:, :2]
    left, top, right, bottom = (
        field_of_view.bounds(width, height)
        if field_of_view and not field_of_view.is_ellipse
        else (0, 0, width, height)
    )
    near = np.maximum(2, EDGE * max(right - left, bottom - top))
    cut = (boxes[:, :2] < np.array([left, top]) + near).any(axis=1)
    cut |= (boxes[:, 2:] > np.array([right, bottom]) - near).any(axis=1)
    enough: NDArray[np.bool_] = sides.min(axis=1) >= MIN_SHOWN * sides.max(axis=1)
    whole: NDArray[np.bool_] = ~cut | enough
    return whole & ~cut_by_rim(boxes, field_of_view) if field_of_view and field_of_view.is_ellipse else whole


def _warnings(cells: Sequence[Cell], scale: Scale) -> Iterator[str]:
    if not cells:
        yield f"no cells found. Is this a stained smear in focus, at the right {option('mag')}?"
    if scale.source == "red cells" and scale.relative_error > 0.15:
        yield (
            f"the scale rests on {scale.red_cells} red cells and may be off by "
            f"{scale.relative_error:.0%}; sizes in um too. Give {option('um-per-px')} if you know it."
        )
    if abs(np.log(scale.squeeze)) > 0.1:
        yield f"the picture is squeezed (red cells {scale.squeeze:.2f} times as wide as high); it was read un-squeezed."


def _other_size(profile: Profile, scale: Scale, frame: Frame) -> str:
    expected = profile.scale_of(frame)
    assert expected
    times = expected.um_per_px / scale.um_per_px
    return (
        f"red cells are {times:.2f} times as large as profile {profile.name} has them: another objective, zoom or "
        "device. The scale was measured on them instead."
    )


def _other_objective(model: registry.Model, scale: Scale, um_per_px: float) -> Iterator[Finding]:
    """Report a scale that does not fit the model's objective.

    `um_per_px` is of the file's pixels. Only a scale from red cells is checked: a profile and the user are
    more reliable than the table of cameras.
    """
    low, high = model.finder.cameras
    margin = 1 + scale.relative_error
    if scale.source != "red cells" or low / margin <= um_per_px <= high * margin:
        return
    fitting = [
        name for name, lens in OBJECTIVES.items() if lens.um_per_px[0] <= um_per_px <= lens.um_per_px[1]
    ]
    others = [name for name in fitting if name != model.magnification]
    options = " or ".join(f"{option('mag')} {name}" for name in others)
    taken = (
        f"if it was taken through {' or '.join(others)}, use {options}"
        if others
        else f"check {option('mag')}"
    )
    copy = "A reduced copy" if um_per_px > high else "An enlarged copy"
    text = (
        f"by its red cells a pixel is {um_per_px:.2f} um, and behind a {model.magnification} objective it is {low:.2g} to "
        f"{high:.2g}: {taken}. {copy} of a picture looks the same, and is read as well."
    )
    yield Finding("objective", False, um_per_px, high if um_per_px > high else low, text)


def _not_counted(kinds: frozenset[str], counted_to: Mapping[str, float], um_per_px: float) -> Iterator[str]:
    for kind in sorted(kinds):
        if counted_to[kind]:
            yield (
                f"{kind} not counted: the picture has {um_per_px:.2f} um per pixel, and this model counts them only "
                f"up to {counted_to[kind]:g}. Use a stronger objective or a camera with more pixels."
            )
        else:
            yield f"{kind} not counted: under this objective they are not told from debris. Use a stronger one."


@contextmanager
def _timed(seconds: dict[str, float], stage: str) -> Iterator[None]:
    began = time.perf_counter()
    try:
        yield
    finally:
        seconds[stage] = time.perf_counter() - began
