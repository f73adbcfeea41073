"""Estimation of a picture's scale from its red cells.

The scale is in micrometres per pixel. A red cell is RED_CELL_UM on every microscope. The finder, trained at
one scale, is run on the picture resampled under several guesses of its scale; where a guess is about right,
it finds red cells, and their measured size corrects the guess. The best guess is refined until it converges,
along x and y separately, so that a picture squeezed in one direction is recognised.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from edgeleuk.errors import ScaleError
from edgeleuk.imaging.cell_edges import above_surroundings, crossed
from edgeleuk.imaging.field_of_view import cut_by_rim
from edgeleuk.imaging.resampling import Resampling
from edgeleuk.networks.finder import Finder
from edgeleuk.system.wording import command, option
from edgeleuk.types import RED_CELL, RED_CELL_UM, Boxes, FieldOfView, Image, Scale

STEPS_UM_PER_PX = tuple(0.03 * 1.45**i for i in range(12))
"""Scales tried as guesses, um per pixel.

0.03 (100x, small pixels) to 1.8 (10x, large ones), in steps that the finder bridges.
"""
FINER, COARSER = 3.0, 4.5
"""Factors by which guesses exceed an objective's camera range.

For enlarged pictures, and for a phone that sees a whole eyepiece field (0.59 at 100x).
"""
USUAL_FIELD_PX = 1450.0
"""Diameter of an eyepiece's field of view, camera pixels.

Pixels of the coarsest of the objective's cameras: a field number of 20 mm, and 6.9 um pixels behind a 0.5x
adapter (`objectives.PIXEL_UM`). It only sets where the search starts.
"""
SQUEEZE_GUESSES = (0.6, 1 / 0.6)
CONVINCING = 0.6
"""Merit at which no other guess is tried.

Correct scales of ordinary fields have 0.7 to 3.
"""
DOUBTFUL = 0.25
"""Merit below which squeezed guesses are tried too."""
CONTRADICTS = 0.35
"""Merit at which red cells may contradict a given scale.

The scale is one that other evidence gave. Fields of five real 40x slides, also zoomed twofold, have 0.38 to
1.0; speckles that are taken for red cells less than DOUBTFUL.
"""
WINDOW = 448
"""Side of the central window for guesses, finder pixels.

It is 112 um.
"""
MIN_WINDOW = 40
MIN_SIDES = 3
"""Minimum number of red-cell widths and heights together."""
MIN_EACH_AXIS = 4
"""Minimum number of widths or heights for each axis."""
MIN_AGREEMENT = 0.6
"""Minimum agreement of guess and measurement.

Below it the "red cells" are something else.
"""
ROUNDS = 6
CONVERGED = 0.01
"""Relative change at which refinement stops."""
SQUEEZE_LIMIT = 0.12
"""Minimum squeeze that is recognised, as a logarithm.

Red cells lean by this much on an ordinary smear; only beyond it, and beyond SQUEEZE_ERRORS standard errors,
is the picture taken to be squeezed (the fields measured squeezed are at 0.56).
"""
SQUEEZE_ERRORS = 4.0
ROUND_LIMIT = 0.05
"""Minimum deviation of an eyepiece's field of view from round.

Logarithm of width over height, from which the picture was squeezed: a camera tilted by 10 degrees makes 0.02
of it, and of 77 phone_train pictures none has 0.01.
"""
SQUARED = (9 / 16, 3 / 4)
"""Likely squeezes of a square picture.

It is then a frame of a film or of a sensor, resized. A likely squeeze within SQUEEZE_LIMIT of the measured
one replaces it: red cells lean by as much (by 0.09 on two of the six 100x fields squeezed to 9/16), whereas
the squeeze of a resized frame is exact.
"""
SHAPE_SPREAD = 0.08
"""Minimum spread assumed of red-cell sides.

Standard deviation of the logarithm: a handful may agree by chance.
"""
OUTLIER = 0.3
"""Maximum distance of a lean from the median.

Beyond it two overlapping cells in one box, or a deformed cell, are left out.
"""
MANY = 20
"""Minimum number of red cells for using their rims.

Behind an eyepiece rims then set the scale beside the finder's boxes. A phone blurs the picture by little or
much, and blur makes boxes larger by 1.6 % for each tenth of a micrometre, and what the rims enclose smaller
by 1.7 %: the mean of both does not depend on it. Where a picture shows few cells, boxes alone are more
reliable.
"""
RIMS_DIFFER = 0.2
"""Maximum relative difference of scales by rims and by boxes.

Beyond it what was measured are no rims.
"""
SYSTEMATIC_ERROR = 0.07
"""Relative error of the mean red-cell diameter, 95 %.

Healthy means run from 6.7 to 7.7 um (Price-Jones 1933).
"""


@dataclass(frozen=True, slots=True)
class _Attempt:
    """Red cells that the finder sees under one guess."""

    guess: Scale
    widths: NDArray[np.float64]
    """(n,) widths of red cells under the guess, um.

    Only of those whose width no edge cuts.
    """
    heights: NDArray[np.float64]
    """(m,) heights of red cells under the guess, um.

    Only of those whose height no edge cuts.
    """
    leans: NDArray[np.float64]
    """(k,) logarithms of width over height.

    Only of those that no edge cuts at all. Large and small cells lean alike, so this shows a squeeze better
    than widths and heights apart.
    """
    diameters: NDArray[np.float64]
    """(j,) diameters by the cells' rims under the guess, um.

    Only of whole cells behind an eyepiece; otherwise empty.
    """
    box_um: float
    """Side of the finder's box around a red cell, um."""
    evidence: float
    """Summed scores of red cells by area, relative to a monolayer.

    Per square finder pixel, in units of one monolayer's.
    """

    @property
    def count(self) -> int:
        """Number of red cells measured in at least one direction."""
        return max(len(self.widths), len(self.heights))

    @property
    def enough(self) -> bool:
        return len(self.widths) + len(self.heights) >= MIN_SIDES

    @property
    def by_axis(self) -> bool:
        """Whether there are enough cells to measure each axis.

        With fewer, both axes are taken together as round.
        """
        return min(len(self.widths), len(self.heights)) >= MIN_EACH_AXIS

    @property
    def ratio_x(self) -> float:
        """Measured over expected size along x."""
        return self._ratio(self.widths)

    @property
    def ratio_y(self) -> float:
        return self._ratio(self.heights)

    def _ratio(self, sides: NDArray[np.float64]) -> float:
        if not self.by_axis:
            sides = np.concatenate([self.widths, self.heights])
        return float(np.median(sides)) / self.box_um if len(sides) else 1.0

    @property
    def agreement(self) -> float:
        """Agreement of measured and expected red-cell size, 0 to 1.

        1 where they are equal under the guess, falling with the distance in log scale.
        """
        off = np.hypot(np.log(self.ratio_x), np.log(self.ratio_y))
        return float(np.exp(-((off / 0.35) ** 2)))

    @property
    def merit(self) -> float:
        return self.evidence * self.agreement if self.enough else 0.0


@dataclass(frozen=True, slots=True)
class _View:
    """Part of a picture that shows the slide.

    The rectangle around an eyepiece's field of view or between bars, or the whole picture.
    """

    image: Image
    field_of_view: FieldOfView | None
    """Field of view behind an eyepiece, pixels of `image`."""

    @classmethod
    def of(cls, image: Image, field_of_view: FieldOfView | None) -> _View:
        if field_of_view is None:
            return cls(image, None)
        height, width = image.shape[:2]
        left, top, right, bottom = field_of_view.bounds(width, height)
        return cls(
            image[top:bottom, left:right],
            field_of_view.moved(-left, -top) if field_of_view.is_ellipse else None,
        )

    def window(self, guess: Scale, um_per_px: float) -> _View:
        """Return the central window that a guess is tried on."""
        height, width = self.image.shape[:2]
        w = min(width, max(1, round(WINDOW * um_per_px / guess.um_per_px_x)))
        h = min(height, max(1, round(WINDOW * um_per_px / guess.um_per_px_y)))
        left, top = (width - w) // 2, (height - h) // 2
        field_of_view = self.field_of_view and self.field_of_view.moved(-left, -top)
        return _View(self.image[top : top + h, left : left + w], field_of_view)

    @property
    def share(self) -> float:
        """Share of the image that shows the slide."""
        return (
            self.field_of_view.share(self.image.shape[1], self.image.shape[0]) if self.field_of_view else 1.0
        )


def estimate_scale(
    image: Image,
    finder: Finder,
    name: str = "the picture",
    near: Scale | None = None,
    field_of_view: FieldOfView | None = None,
    least_merit: float = 0.0,
) -> Scale:
    """Estimate the scale of a picture, with its 95 % relative error.

    Args:
        image: (H, W, 3) uint8 RGB.
        finder: Finder that finds the red cells.
        name: Name of the picture in messages.
        near: Guess that is tried first: the scale of another picture of the slide.
        field_of_view: Field of view; red cells that an eyepiece's rim cuts are not measured. None where the whole
            picture shows the slide.
        least_merit: Minimum merit of an accepted scale.

    Raises:
        ScaleError: Too few red cells are found to measure.
    """
    steps = guesses(finder.manifest.cameras)
    view, first = _View.of(image, field_of_view), [near] if near else []
    if field_of_view and not field_of_view.is_ellipse:
        image, field_of_view = view.image, None  # between bars the picture is like any other
    if field_of_view:
        first.append(_usual_field_guess(field_of_view, finder.manifest.cameras[1]))
    best = _search(view, finder, [*first, *(_guess(g, 1.0) for g in steps)])
    if best is None or best.merit < DOUBTFUL:
        squeezed = _search(view, finder, [_guess(g, s) for g in steps for s in SQUEEZE_GUESSES])
        best = max(
            (attempt for attempt in (best, squeezed) if attempt),
            key=lambda attempt: attempt.merit,
            default=None,
        )
    if best is None or not best.enough or best.agreement < MIN_AGREEMENT or best.merit < least_merit:
        count = best.count if best else 0
        raise ScaleError(
            f"cannot tell the scale of {name}: it shows {count} red cells that can be measured, too few. "
            "Focus, as blurred red cells are not recognised, and take a field where they lie in a single layer; or "
            f"calibrate the device once (`{command('calibrate')}`, then {option('profile')}), or give {option('um-per-px')}."
        )
    return _conclude(best, image.shape[0] == image.shape[1], field_of_view)


def guesses(cameras: tuple[float, float]) -> list[float]:
    """Return scales to try, um per pixel, most likely first.

    `cameras`: finest and coarsest sampling of an objective's cameras. Scales in the middle of them come
    first.
    """
    low, high = cameras
    near = [step for step in STEPS_UM_PER_PX if low / FINER <= step <= high * COARSER]
    return sorted(near, key=lambda step: abs(np.log(step**2 / (low * high))))


def _usual_field_guess(field_of_view: FieldOfView, coarsest: float) -> Scale:
    """Return the scale that an eyepiece of usual field suggests.

    The field of view was round before the picture was squeezed.
    """
    across, down = field_of_view.halves
    field_um = USUAL_FIELD_PX * coarsest
    return Scale(field_um / (2 * across), field_um / (2 * down), "red cells", 1.0)


def _guess(um_per_px: float, squeeze: float) -> Scale:
    return Scale(um_per_px / np.sqrt(squeeze), um_per_px * np.sqrt(squeeze), "red cells", 1.0)


def _search(view: _View, finder: Finder, guesses: Sequence[Scale]) -> _Attempt | None:
    """Return the best look among the guesses.

    Stops at the first look that convinces once it is refined.
    """
    looks = []
    for guess in guesses:
        attempt = _attempt(view, guess, finder)
        if attempt.merit >= CONVINCING and (refined := _refine(view, attempt, finder)).merit >= CONVINCING:
            return refined
        looks.append(attempt)
    promising = sorted(
        (attempt for attempt in looks if attempt.merit > 0), key=lambda attempt: -attempt.merit
    )[:2]
    return max(
        (_refine(view, attempt, finder) for attempt in promising),
        key=lambda attempt: attempt.merit,
        default=None,
    )


def _refine(view: _View, attempt: _Attempt, finder: Finder) -> _Attempt:
    for _ in range(ROUNDS):
        following = _attempt(view, _corrected(attempt), finder)
        if not following.enough:
            return attempt
        converged = max(abs(np.log(following.ratio_x)), abs(np.log(following.ratio_y))) < CONVERGED
        attempt = following
        if converged:
            break
    return attempt


def _corrected(attempt: _Attempt) -> Scale:
    guess = attempt.guess
    return replace(
        guess,
        um_per_px_x=guess.um_per_px_x / attempt.ratio_x,
        um_per_px_y=guess.um_per_px_y / attempt.ratio_y,
    )


def _attempt(view: _View, guess: Scale, finder: Finder) -> _Attempt:
    """Find red cells in the picture's middle under a guessed scale."""
    box_um = finder.manifest.red_cell_box_um
    window = view.window(guess, finder.um_per_px)
    resampling = Resampling.to_scale(window.image.shape[1], window.image.shape[0], guess, finder.um_per_px)
    if min(resampling.width, resampling.height) < MIN_WINDOW:
        none = np.empty(0)
        return _Attempt(guess, none, none, none, none, box_um, 0.0)
    small = resampling.apply(window.image)
    found = finder.find_resampled(small, resampling).of(RED_CELL)
    if window.field_of_view:
        found = found.where(~cut_by_rim(found.boxes, window.field_of_view))
    boxes = resampling.forward(found.boxes)
    widths, heights, leans = _measured(boxes, resampling.width, resampling.height)
    area = window.share * resampling.width * resampling.height * finder.um_per_px**2
    um = finder.um_per_px
    diameters = diameters_um(small, boxes, um) if window.field_of_view else np.empty(0)
    evidence = float(found.scores.sum()) / area * 100
    return _Attempt(guess, widths * um, heights * um, leans, diameters, box_um, evidence)


def diameters_um(small: Image, boxes: Boxes, um_per_px: float) -> NDArray[np.float64]:
    """Measure diameters of whole red cells by their rims, um.

    Cells that the picture's edge cuts are left out.

    Args:
        small: (H, W, 3) uint8 RGB.
        boxes: (N, 4) boxes of red cells, pixels of `small`.
        um_per_px: Scale of `small`, um per pixel.

    Returns:
        (j,) um.
    """
    height, width = small.shape[:2]
    whole = (boxes[:, :2] > 2).all(axis=1) & (boxes[:, 2:] < (width - 2, height - 2)).all(axis=1)
    rims = crossed(above_surroundings(small, um_per_px), boxes[whole], um_per_px)
    return rims.diameters_um if rims else np.empty(0)


def _measured(boxes: Boxes, width: int, height: int) -> tuple[NDArray[np.float64], ...]:
    """Return widths, heights and leans of boxes (N, 4), pixels.

    Leans are those of _Look. A cell cut by the left or right edge still shows its height, as long as more
    than half of it is there.
    """
    sides = (boxes[:, 2:] - boxes[:, :2]).astype(np.float64)
    cut_x = (boxes[:, 0] < 2) | (boxes[:, 2] > width - 2)
    cut_y = (boxes[:, 1] < 2) | (boxes[:, 3] > height - 2)
    w, h = sides.T
    whole = ~cut_x & ~cut_y
    leans = np.log(w[whole] / h[whole])
    return w[whole | (cut_y & ~cut_x & (h > 0.6 * w))], h[whole | (cut_x & ~cut_y & (w > 0.6 * h))], leans


def _conclude(attempt: _Attempt, square: bool, field_of_view: FieldOfView | None) -> Scale:
    """Conclude the scale and its error from the best look.

    Pixels are square unless field of view or red cells clearly say otherwise. The error combines the spread of the red
    cells and SYSTEMATIC_ERROR.
    """
    corrected = _corrected(attempt)
    size, squeeze = _size(attempt, corrected.um_per_px), _squeeze(attempt, square, field_of_view)
    sampling = _median_error(np.log(np.concatenate([attempt.widths, attempt.heights]))) * np.sqrt(2)
    return replace(
        corrected,
        um_per_px_x=size / np.sqrt(squeeze),
        um_per_px_y=size * np.sqrt(squeeze),
        relative_error=float(np.hypot(1.96 * sampling, SYSTEMATIC_ERROR)),
        red_cells=attempt.count,
    )


def _size(attempt: _Attempt, by_boxes: float) -> float:
    """Return the mean scale of both axes, um per pixel.

    By boxes, and also by the rims of red cells where enough show.
    """
    if len(attempt.diameters) < MANY:
        return by_boxes
    by_rims = attempt.guess.um_per_px * RED_CELL_UM / float(np.median(attempt.diameters))
    both = float(np.sqrt(by_rims * by_boxes))
    return both if abs(np.log(by_rims / by_boxes)) < np.log1p(RIMS_DIFFER) else by_boxes


def _squeeze(attempt: _Attempt, square: bool, field_of_view: FieldOfView | None) -> float:
    """Return the squeeze by red-cell shapes or the field of view.

    The field of view was round, and decides where the red cells do not contradict it.
    """
    known = attempt.by_axis and len(attempt.leans) >= MIN_EACH_AXIS
    leaning = float(np.log(attempt.guess.squeeze)) + _middle(attempt.leans) if known else 0.0
    sure = max(SQUEEZE_LIMIT, SQUEEZE_ERRORS * _median_error(attempt.leans)) if known else float("inf")
    if field_of_view:
        across, down = field_of_view.halves
        told = across / down
        if abs(np.log(told)) >= ROUND_LIMIT and abs(leaning - np.log(told)) < sure:
            return told
    if abs(leaning) < sure:
        return 1.0
    squeeze = float(np.exp(leaning))
    likely = [each for each in SQUARED if abs(np.log(squeeze / each)) < SQUEEZE_LIMIT]
    return likely[0] if square and likely else squeeze


def _middle(values: NDArray[np.float64]) -> float:
    """Return the mean of values within OUTLIER of the median.

    As robust here, and a fifth less noisy than the median.
    """
    near = np.abs(values - np.median(values)) < OUTLIER
    return float(values[near].mean())


def _median_error(values: NDArray[np.float64]) -> float:
    """Return the standard error of a median.

    From the median absolute deviation (normal: sd = 1.4826 MAD, median 1.2533 sd).
    """
    spread = 1.4826 * float(np.median(np.abs(values - np.median(values))))
    return 1.2533 * max(spread, SHAPE_SPREAD) / float(np.sqrt(len(values)))
