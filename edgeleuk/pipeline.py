"""From a frame to a field: light, scale, find, read, measure."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from typing import Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from edgeleuk import assessment, eyepiece, morphometry, zoo
from edgeleuk.drawings import ON, TOUCHED, strokes
from edgeleuk.errors import ScaleError
from edgeleuk.finder import Finder
from edgeleuk.machine import Arithmetic
from edgeleuk.microscope import OBJECTIVES
from edgeleuk.observation import Observation
from edgeleuk.optics import Resampling
from edgeleuk.pooling import contradicted, disagreeing
from edgeleuk.profiles import Profile
from edgeleuk.reader import Reader
from edgeleuk.scale import estimate_scale
from edgeleuk.types import (
    WHITE_CELL,
    Aperture,
    Assessment,
    Box,
    Cell,
    Detections,
    Field,
    Finding,
    Frame,
    Image,
    Scale,
    numbered,
)

MIN_SHOWN = 0.7
"""A white cell at the picture's edge is read when its short side is at least this share of its long one."""
NEGATIVE = 50.0
"""Likeness of a negative, turned round, from which on it is told, percent; `quality.toml` has the same."""
BRIGHT = 0.95
"""Median of brightness from which on a picture is no negative: most of a field is as bright as its empty slide."""
DRAWN = "drawn"
"""Code of findings about drawings."""
EDGE = 0.004
"""A box closer to the picture's edge than this share of its long side touches it."""


class FinderLike(Protocol):
    """What is needed of a finder to look with it; `edgeleuk.finder.Finder` is one."""

    def find(self, image: Image, scale: Scale, floor: float | None = None) -> Detections: ...


class Analyser:
    """One magnification's finder and reader, opened once. Use from one thread at a time."""

    def __init__(
        self,
        model: zoo.Model,
        threads: int | None = None,
        arithmetic: Arithmetic | None = None,
        profile: Profile | None = None,
        *,
        refusing: bool = False,
    ) -> None:
        """`threads` and `arithmetic` where not given: as `edgeleuk bench` found best, see `machine`. `profile`: of the
        device that takes the pictures. `refusing`: a picture that is too poor, or no smear, is an error; else it is
        analysed and marked as forced."""
        self.model, self.profile = model, profile
        self.quality = assessment.QualityPolicy(assessment.load_limits(), model.magnification, refusing)
        self.finder = Finder(model.finder, threads, arithmetic)
        self.reader = Reader(model.reader, threads, arithmetic)

    def analyse(
        self,
        frame: Frame,
        scale: Scale | None = None,
        *,
        vouched: bool = True,
        seen: Observation | None = None,
    ) -> Field:
        """Analyse one picture.

        `scale`: of the frame's pixels, without one it is estimated. A scale that nobody vouches for, as that of the
        profile or of the slide's other pictures, gives way where the red cells contradict it. `seen`: the frame's
        observation, where it was made already.
        Raises ScaleError where `scale` is None and cannot be estimated, QualityError where the picture is refused.
        """
        seconds: dict[str, float] = {}
        with _timed(seconds, "look"):
            seen = seen or Observation.of(frame)
        disc = seen.field_of_view
        self.quality.judge(frame.name, seen.measures)  # light first: without any, no scale can be told
        with _timed(seconds, "light") if self.profile else nullcontext():
            frame, profile, doubts = self._under_profile(seen)
        pixels = eyepiece.filled(frame.pixels, disc) if disc else frame.pixels
        if scale is None or (scale.source == "profile" and profile is None and not vouched):
            scale, vouched = profile.scale_of(frame) if profile else None, False
        # In the picture as it is: the finder knows black surrounds, and takes cells that a bright one cuts for others (of
        # what it called white cells on phone_train 28 % were none, and 39 % with the surround filled).
        try:
            scale, found, small = self._found(frame, disc, scale, vouched, seconds)
        except ScaleError as error:
            if self._as_negative(seen) < NEGATIVE:
                raise
            raise ScaleError(f"{error} It looks like a negative: save it as a positive.") from error
        with _timed(seconds, "assess"):
            after = assessment.after(pixels, disc, scale, found, self.finder.um_per_px, small)
            detail = {"um_per_px": scale.um_per_px / frame.shrunk}
            measures = {**seen.measures, **after, **detail}
            if self.quality.refusal(measures):
                measures["negative_percent"] = self._as_negative(seen)
            judged = self.quality.judge(frame.name, measures)
        if profile and profile.scale and scale.source == "red cells":
            doubts = (*doubts, _other_size(profile, scale, frame))
        um_per_px = scale.um_per_px / frame.shrunk
        other = tuple(_other_objective(self.model, scale, um_per_px))
        judged = replace(judged, findings=(*judged.findings, *other))
        coarse = too_coarse(self.model.finder.counted_to, scale)
        found, under, left_out = _clear_of_drawings(found.without(coarse), frame.pixels, judged)
        whole = shown_enough(found, frame.width, frame.height, disc) & ~under
        cells = self._cells(pixels, scale, found, whole, seconds)
        warnings = (
            *doubts,
            *left_out,
            *_warnings(cells, scale),
            *_not_counted(coarse, self.model.finder.counted_to, um_per_px),
        )
        return Field(
            frame.name, frame.width, frame.height, scale, cells, seconds, warnings, coarse, disc,
            judged, profile=profile.name if profile else None,
        )  # fmt: skip

    def _as_negative(self, seen: Observation) -> float:
        """How much a frame looks like a smear with its levels turned round, percent; 0 where much of it is bright."""
        channels = seen.look.channels
        if channels is None or channels.median > BRIGHT:
            return 0.0
        frame, disc = seen.frame, seen.field_of_view
        turned = replace(frame, pixels=cv2.bitwise_not(frame.pixels))
        try:
            scale, found, small = self._found(turned, disc, None, True, {})
        except ScaleError:
            return 0.0
        after = assessment.after(turned.pixels, disc, scale, found, self.finder.um_per_px, small)
        return after.get("likeness_percent", 0.0)

    def _cells(
        self,
        pixels: Image,
        scale: Scale,
        found: Detections,
        whole: NDArray[np.bool_],
        seconds: dict[str, float],
    ) -> tuple[Cell, ...]:
        """Everything found, the white cells that are `whole` (N,) read and measured."""
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
        """Estimate the scale of an observed frame from its red cells, see `estimate_scale`. Raises ScaleError."""
        frame = self.under_profile(seen)
        return estimate_scale(frame.pixels, self.finder, frame.name, near, seen.field_of_view, least_merit)

    def under_profile(self, seen: Observation) -> Frame:
        """The frame with light and stain corrected by the profile, where there is one and the frame is its device's."""
        return self._under_profile(seen)[0]

    def known_scale(self, seen: Observation) -> tuple[Scale | None, str]:
        """The profile's scale, where the frame is this device's and its red cells, if it shows any, do not contradict;
        and what speaks against the profile, empty where nothing does."""
        frame, profile, doubts = self._under_profile(seen)
        scale = profile.scale_of(frame) if profile else None
        if profile is None or scale is None:
            return None, " ".join(doubts)
        used, *_ = self._found(frame, seen.field_of_view, scale, False, {})
        return (scale, "") if used == scale else (None, _other_size(profile, used, frame))

    def _under_profile(self, seen: Observation) -> tuple[Frame, Profile | None, tuple[str, ...]]:
        """The corrected frame, the profile where it was used, and why not where it was not."""
        if self.profile is None:
            return seen.frame, None, ()
        if doubt := self.profile.doubt(seen.frame):
            return seen.frame, None, (doubt,)
        return self.profile.corrected(seen.frame, seen.field_of_view), self.profile, ()

    def _found(
        self,
        frame: Frame,
        disc: Aperture | None,
        scale: Scale | None,
        vouched: bool,
        seconds: dict[str, float],
    ) -> tuple[Scale, Detections, Image | None]:
        """The scale that the finder looked at, the red cells' own where they contradict `scale`; what it found; and, without
        a disc, the picture as it saw it."""
        with _timed(seconds, "scale"):
            used = scale or estimate_scale(frame.pixels, self.finder, frame.name, disc=disc)
        small = None
        with _timed(seconds, "find"):
            if disc is None:
                resampling = Resampling.to_scale(frame.width, frame.height, used, self.finder.um_per_px)
                small = resampling.apply(frame.pixels)
                found = self.finder.find_resampled(small, resampling)
            else:
                found = find_within(self.finder, frame.pixels, used, disc)
        if scale is None or vouched:
            return used, found, small
        if contradicted(scale, found, self.model.finder.red_cell_box_um) or disagreeing(
            scale, found, frame, disc, self.finder
        ):
            return self._found(frame, disc, None, True, seconds)
        return used, found, small


def find_within(
    finder: FinderLike, pixels: Image, scale: Scale, disc: Aperture | None, floor: float | None = None
) -> Detections:
    """What a finder finds in a picture (H, W, 3); of one with an eyepiece's `disc`, or bars, what lies in or between them.

    No more than the rectangle around the disc is looked at. `floor` as in `Finder.find`.
    """
    if disc is None:
        return finder.find(pixels, scale, floor)
    left, top, right, bottom = disc.bounds(pixels.shape[1], pixels.shape[0])
    found = finder.find(pixels[top:bottom, left:right], scale, floor)
    found = replace(found, boxes=found.boxes + np.array([left, top, left, top], np.float32))
    return found.where(eyepiece.seen(found.boxes, disc))


def _clear_of_drawings(
    found: Detections, pixels: Image, judged: Assessment
) -> tuple[Detections, NDArray[np.bool_], tuple[str, ...]]:
    """What was found beside drawings, which of it (N,) they touch, and in words what they cost."""
    if not any(finding.code == DRAWN for finding in judged.findings):
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
    """The kinds that a picture of this scale does not show well enough to be counted."""
    return frozenset(kind for kind, limit in counted_to.items() if scale.um_per_px > limit)


def shown_enough(
    found: Detections, width: int, height: int, disc: Aperture | None = None
) -> NDArray[np.bool_]:
    """(N,) False for boxes that the edge of the picture, or of a bar, cuts so short that the cell cannot be read, or an
    eyepiece's rim at all: a box at the slanting rim does not tell how much is missing."""
    boxes = found.boxes
    sides = boxes[:, 2:] - boxes[:, :2]
    left, top, right, bottom = (
        disc.bounds(width, height) if disc and not disc.is_disc else (0, 0, width, height)
    )
    near = np.maximum(2, EDGE * max(right - left, bottom - top))
    cut = (boxes[:, :2] < np.array([left, top]) + near).any(axis=1)
    cut |= (boxes[:, 2:] > np.array([right, bottom]) - near).any(axis=1)
    enough: NDArray[np.bool_] = sides.min(axis=1) >= MIN_SHOWN * sides.max(axis=1)
    whole: NDArray[np.bool_] = ~cut | enough
    return whole & ~eyepiece.cut(boxes, disc) if disc and disc.is_disc else whole


def _warnings(cells: Sequence[Cell], scale: Scale) -> Iterator[str]:
    if not cells:
        yield "no cells found. Is this a stained smear in focus, at the right --mag?"
    if scale.source == "red cells" and scale.relative_error > 0.15:
        yield (
            f"the scale rests on {scale.red_cells} red cells and may be off by "
            f"{scale.relative_error:.0%}; sizes in um too. Give --um-per-px if you know it."
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


def _other_objective(model: zoo.Model, scale: Scale, um_per_px: float) -> Iterator[Finding]:
    """`um_per_px` is of the file's pixels. A profile and the user know better than the table of cameras."""
    low, high = model.finder.cameras
    margin = 1 + scale.relative_error
    if scale.source != "red cells" or low / margin <= um_per_px <= high * margin:
        return
    fitting = [
        name for name, lens in OBJECTIVES.items() if lens.um_per_px[0] <= um_per_px <= lens.um_per_px[1]
    ]
    others = [name for name in fitting if name != model.magnification]
    options = " or ".join(f"--mag {name}" for name in others)
    taken = f"if it was taken through {' or '.join(others)}, use {options}" if others else "check --mag"
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
