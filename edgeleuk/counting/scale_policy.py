"""Scale selection for a slide's frames.

Scales are kept in pixels of the file or of the camera; one place here converts them for a frame that was
decoded smaller. Sources of a scale rank in this order: the scale that the user gave, the device profile, the
common scale of the slide's pictures or of the session's first frames, the picture's own red cells. No scale
is kept silently against the evidence: each holds for frames of one size, and is replaced with a warning if
red cells contradict it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from threading import Lock

import cv2
import numpy as np

from edgeleuk.analysis.analyser import Analyser
from edgeleuk.analysis.observation import Observation
from edgeleuk.errors import ScaleError
from edgeleuk.quality.measures import Look
from edgeleuk.scale.agreement import CONTRADICTING, LEAST, NEAR, WITNESSES, common
from edgeleuk.scale.red_cells import CONTRADICTS
from edgeleuk.sources.pictures.reading import read_picture, shrinkable
from edgeleuk.system.pools import leaving
from edgeleuk.types import RED_CELL, RED_CELL_UM, Field, FieldOfView, Frame, Image, PictureFile, Scale

SAMPLED = 9
"""Number of pictures that the survey measures.

They are evenly spread, and measured before the others are analysed.
"""
KEPT_BYTES = 24_000_000
"""Maximum bytes of sampled pictures kept decoded.

They are kept until their turn comes; pictures beyond this limit are decoded again.
"""

Progress = Callable[[int, int], None]
"""Callback that receives the number done and the total."""
Size = tuple[int, int]
"""Width and height in pixels.

Of a file, or of a camera's frame.
"""


@dataclass(frozen=True, slots=True)
class ScaleChoice:
    """Scale for a frame, in the frame's pixels."""

    scale: Scale | None
    """The scale; None to use the frame's own red cells."""
    vouched: bool = False
    """Whether the analysis keeps it against the frame's red cells."""
    warning: str = ""
    """Warning for the user; empty if none."""
    told: bool = True
    """Whether evidence supports the scale.

    False if it was taken over from frames of another size, and nothing in this frame tells whether it holds.
    """


@dataclass(frozen=True, slots=True)
class _Sample:
    """Survey result of a picture, beside its scale."""

    shrunk: int
    field_of_view: FieldOfView | None
    look: Look
    frame: Frame | None
    """The decoded picture, if kept."""

    def of(self, frame: Frame) -> Observation:
        """Return the observation for another decoded size."""
        times = self.shrunk / frame.shrunk
        field_of_view = self.field_of_view and self.field_of_view.stretched(times, times)
        return Observation(frame, field_of_view, self.look)

    def reduced(self, times: int) -> Observation:
        """Return the kept picture's observation, reduced.

        The picture is made `times` times smaller, as if it had been decoded so.
        """
        assert self.frame
        if times == 1:
            return self.of(self.frame)
        width, height = self.frame.width // times, self.frame.height // times
        pixels: Image = cv2.resize(self.frame.pixels, (width, height), interpolation=cv2.INTER_AREA)
        return self.of(replace(self.frame, pixels=pixels, shrunk=self.frame.shrunk * times))


class ScalePolicy:
    """Scales of one slide's frames.

    `survey`, `read` and `choose` may be called from several threads.
    """

    def __init__(self, analyser: Analyser, given: Scale | None = None) -> None:
        """Use a given scale, else that of the device profile.

        `given` is a scale that the user vouches for, of frames of the first one's size.
        """
        self._analyser, self.given = analyser, given
        self._given_size: Size | None = None
        self._usual: float | None = None
        """Ratio of measured to human red-cell size.

        Under the given scale, in the first field that tells.
        """
        self._common: dict[Size, Scale] = {}
        self._samples: dict[PictureFile, _Sample] = {}
        self._read: dict[PictureFile, Observation] = {}
        self._lock = Lock()
        self.surveyed = False
        """Whether a survey was made, even without a result."""
        if (profile := analyser.profile) and given is None:
            size = profile.picture.width, profile.picture.height
            if known := profile.scale_at(*size):
                self._common[size] = known

    def survey(
        self, pictures: Sequence[PictureFile], workers: int = 1, progress: Progress = lambda *_: None
    ) -> None:
        """Measure the common scale on a sample of pictures.

        Does nothing if the scale is known already, or if the pictures are fewer than LEAST.

        Args:
            pictures: All pictures of the slide, in order.
            workers: Number of threads that decode and measure.
            progress: Called in the caller's thread with the number of pictures measured and their total. An
                exception that it raises ends the survey.
        """
        self.surveyed = True
        if self.given or self._common or len(pictures) < LEAST:
            return
        step = max(1, len(pictures) // SAMPLED)
        first, *others = pictures[: step * SAMPLED : step]
        total = len(others) + 1
        progress(0, total)
        begun = self._measured(first, None)
        measured = [begun]
        progress(1, total)
        with leaving(ThreadPoolExecutor(workers)) as pool:
            for each in pool.map(lambda other: self._measured(other, begun and begun[1]), others):
                measured.append(each)
                progress(len(measured), total)
        found: defaultdict[Size, list[Scale]] = defaultdict(list)
        for size, scale in filter(None, measured):
            found[size].append(scale)
        for size, scales in found.items():
            if shared := common(scales):
                self._common[size] = shared

    def _measured(self, picture: PictureFile, near: Scale | None) -> tuple[Size, Scale] | None:
        """Return a file's size and scale, or None.

        None if they cannot be measured: the error is reported when the picture's own turn comes.
        """
        try:
            seen = Observation.of(read_picture(picture))
            self._keep(picture, seen)
            scale = self._analyser.estimate(seen, near and near.shrunk(seen.frame.shrunk))
        except Exception:  # noqa: BLE001  # of any library
            return None
        return file_size(seen.frame), scale.shrunk(1 / seen.frame.shrunk)

    def _keep(self, picture: PictureFile, seen: Observation) -> None:
        with self._lock:
            taken = sum(each.frame.pixels.nbytes for each in self._samples.values() if each.frame)
            fits = taken + seen.frame.pixels.nbytes <= KEPT_BYTES
            self._samples[picture] = _Sample(
                seen.frame.shrunk, seen.field_of_view, seen.look, seen.frame if fits else None
            )

    def read(self, picture: PictureFile) -> Observation:
        """Decode and observe a picture.

        It is decoded no larger than its known scale asks for. A picture that was sampled is not observed
        again, and not decoded again if it was kept. Raises the same errors as `read_picture`.
        """
        with self._lock:
            sample = self._samples.pop(picture, None)
        scale = self._usual_scale
        um_per_px = max(scale.um_per_px_x, scale.um_per_px_y) if scale else None
        if sample and sample.frame:
            return sample.reduced(self._times_smaller(sample.frame, um_per_px))
        frame = read_picture(picture, um_per_px, self._enough)
        if scale and not self._holds_for(file_size(frame)):
            frame = read_picture(picture)  # of another size: its scale is not known
        return sample.of(frame) if sample else Observation.of(frame)

    def read_frame(self, picture: PictureFile) -> Frame:
        """Decode a picture for a frame source.

        `observe` then reuses its observation. Raises the same errors as `read_picture`.
        """
        seen = self.read(picture)
        with self._lock:
            self._read[picture] = seen
        return seen.frame

    def observe(self, frame: Frame) -> Observation:
        """Observe a frame, or reuse its observation from `read_frame`."""
        if frame.file:
            with self._lock:
                known = self._read.pop(frame.file, None)
            if known and known.frame is frame:
                return known
        return Observation.of(frame)

    def _times_smaller(self, frame: Frame, um_per_px: float | None) -> int:
        """Return how much further to reduce a frame.

        How many times smaller the frame would be decoded now than when its scale was not known; 1 for no
        smaller.
        """
        size = file_size(frame)
        known = um_per_px if um_per_px and self._holds_for(size) else None
        return max(1, shrinkable(size, known, self._enough) // frame.shrunk)

    @property
    def _enough(self) -> float:
        """Micrometres per pixel that the networks need."""
        model = self._analyser.model
        return min(model.finder.um_per_px, model.reader.um_per_px)

    @property
    def _usual_scale(self) -> Scale | None:
        """Scale of all files, if only one is known.

        None if the known scales are of several sizes, or if there is none.
        """
        if self.given:
            return self.given
        return next(iter(self._common.values())) if len(self._common) == 1 else None

    def _holds_for(self, size: Size) -> bool:
        return size in self._common if self.given is None else self._given_size in (None, size)

    def choose(self, seen: Observation) -> ScaleChoice:
        """Choose the scale for analysing a frame."""
        frame = seen.frame
        if self.given is None:
            shared = self._common.get(file_size(frame))
            return ScaleChoice(shared.shrunk(frame.shrunk) if shared else None)
        with self._lock:
            first = self._given_size = self._given_size or file_size(frame)
        if first == file_size(frame):
            return ScaleChoice(self.given.shrunk(frame.shrunk), True)
        return self._at_other_size(seen, self.given, first)

    def _at_other_size(self, seen: Observation, given: Scale, first: Size) -> ScaleChoice:
        """Choose the scale for a frame of another size.

        The given scale is of frames of the size `first`. The frame's red cells tell whether it is a crop, a
        copy at another resolution, or another camera's picture.
        """
        size = file_size(seen.frame)
        cropped = given.shrunk(seen.frame.shrunk)
        resized = replace(
            cropped,
            um_per_px_x=cropped.um_per_px_x * first[0] / size[0],
            um_per_px_y=cropped.um_per_px_y * first[1] / size[1],
        )
        said = f"{size[0]} x {size[1]} px, and the scale was given for {first[0]} x {first[1]} px"
        try:
            own = self._analyser.estimate(seen)
        except ScaleError:
            return ScaleChoice(cropped, True, f"the picture has {said}; it was taken for a crop.", told=False)
        usual = self._usual or 1.0
        if _near(cropped, own, usual):
            return ScaleChoice(cropped, True)
        if _near(resized, own, usual):
            return ScaleChoice(resized, True, f"the picture has {said}; it was taken for another resolution.")
        return ScaleChoice(
            own, True, f"the picture has {said}, which its red cells contradict. They gave its scale instead."
        )

    def contradicts(self, seen: Observation, field: Field) -> bool:
        """Return whether red cells contradict the given scale.

        They do if their size differs from that in the slide's first field. Call this for each field in the
        order of counting: the first one with enough red cells sets the usual size of the slide.
        """
        if field.scale.source != "given":
            return False
        size = self._red_cell_size(seen, field)
        if size is None:
            return False
        if self._usual is None:
            self._usual = size
        return abs(np.log(size / self._usual)) > np.log1p(CONTRADICTING)

    def _red_cell_size(self, seen: Observation, field: Field) -> float | None:
        """Return a field's red-cell size relative to human ones.

        None if too few red cells tell. At a scale far off, as after a zoom, red cells are not found: their
        scale is then measured separately.
        """
        boxes = np.array([cell.box for cell in field.of(RED_CELL)]).reshape(-1, 4)
        if len(boxes) >= WITNESSES:
            sides = np.sqrt((boxes[:, 2:] - boxes[:, :2]).prod(axis=1))
            return (
                float(np.median(sides)) * field.scale.um_per_px / self._analyser.model.finder.red_cell_box_um
            )
        try:
            own = self._analyser.estimate(seen, field.scale, CONTRADICTS)
        except ScaleError:
            return None
        return field.scale.um_per_px / own.um_per_px if own.red_cells >= WITNESSES else None

    def doubt(self) -> str:
        """Return what speaks against the given scale.

        Measured from the slide's first field with enough red cells on; empty if nothing does.
        """
        usual = self._usual
        if usual is None or abs(np.log(usual)) <= np.log1p(CONTRADICTING):
            return ""
        return (
            f"red cells measure {usual * RED_CELL_UM:.1f} um at the scale that was given; human ones have {RED_CELL_UM}. "
            "Check the scale, or leave it out: sizes, types and areas follow it."
        )


def file_size(frame: Frame) -> Size:
    """Return the size of a frame's original, in pixels.

    Width and height of the file that it was decoded from, or of the camera's frame.
    """
    return frame.width * frame.shrunk, frame.height * frame.shrunk


def _near(scale: Scale, own: Scale, usual: float) -> bool:
    """Return whether a scale agrees with the red cells' scale.

    Compared along both axes. `usual` is the ratio of measured to human red-cell size under the given scale.
    """
    across, down = scale.um_per_px_x / own.um_per_px_x, scale.um_per_px_y / own.um_per_px_y
    return bool(max(abs(np.log(across / usual)), abs(np.log(down / usual))) <= np.log1p(NEAR))
