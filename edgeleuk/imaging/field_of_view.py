"""Detection of an eyepiece's field of view in a picture.

A phone at the eyepiece sees a bright ellipse in black. The rim is where the bright part of a picture meets
what is dark up to the picture's edge. Cells at the rim and reflections beside it give points off it; a circle
(an ellipse, if camera or picture is askew) is accepted if most points agree on one, and if the light falls
sharply across it. An ordinary field has none: a vignette fades.

Thresholds were chosen on the pictures of phone_train, and on those of the other train files, which have
no such field of view.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import chain

import cv2
import numpy as np
from numpy.typing import NDArray

from edgeleuk.types import Boxes, FieldOfView, Image

Plane = NDArray[np.float32]
Points = NDArray[np.float64]
"""(..., N, 2) x and y in long sides.

The unit is the long side of the picture, and the origin its upper left corner.
"""
Conics = NDArray[np.float64]
"""(..., 6) coefficients a to f of conics.

A conic is a x^2 + b x y + c y^2 + d x + e y + f = 0, negative inside.
"""

LOOKED_AT = 320
"""Long side of the analysed copy, pixels.

The rim is placed within a third of a pixel of it, 0.4 % of the area.
"""
DARK = 0.4
"""Brightness below which a pixel may be surround.

It is a share of the brightest light. Nuclei and reflections may lie on the wrong side.
"""
LEAST_DARK = 0.004
"""Minimum share of dark surround in the picture.

The surround is dark up to the picture's edge. With less there is nothing to leave out.
"""
POINTS = (24, 240)
"""(min, max) edge points in the ellipse fit."""
DRAWS = 250
"""Number of guesses from a few points each.

If half of the points are wrong, 1 of 32 draws of five is right.
"""
NEAR = 0.006
"""Maximum distance of a point on the rim.

It is two pixels of the copy.
"""
ROUNDS = 4
ROUNDER = 0.96
"""Relative number of points that prefers a circle.

A circle is preferred if it has this share of the ellipse's points: to a short arc an ellipse fits too
easily.
"""
AGREEING = 0.5
"""Minimum share of points on the rim."""
LEAST_ROUND = 0.48
"""Minimum ratio of short to long axis.

A squeeze of 0.5625 seen through a camera tilted by 10 degrees gives 0.5.
"""
SIDES = (0.12, 2.0)
"""(min, max) semi-axes of the ellipse, in long sides."""
ACROSS = (0.03, 0.06)
"""Distances from the rim for comparing light.

They are shares of the radius; it is dark outside and bright inside, and the better of both places counts.
"""
FALL = 0.5
"""Maximum ratio of outer to inner light at a rim."""
SHARP = 0.75
"""Minimum share of the visible rim with such a FALL."""
VISIBLE = 0.1
"""Minimum visible share of the rim.

Less may be the edge of anything.
"""
GROUND = 90.0
"""Percentile of each channel for empty ground.

It is taken within the field of view.
"""
LEAST_SIDE = 64
"""Minimum side of the inner rectangle, pixels.

If it is smaller, the whole picture is analysed.
"""
MARGIN = 0.008
"""Margin of the rim for boxes of cut cells.

It is a share of the ellipse's long axis; a box closer to the rim touches it. Boxes of cells that the rim cuts
end a little before it, as the light does.
"""


def find_ellipse(image: Image) -> FieldOfView | None:
    """Find the field of view of an eyepiece.

    `image` is (H, W, 3). The result is None if there is none. Takes 10 ms on one core of a laptop.
    """
    light = _light(image)
    points = _rim_points(light)
    conic = None if points is None else _fitted(points)
    if conic is None:
        return None
    ellipse = ellipse_of(conic)
    return (
        ellipse.enlarged(max(image.shape)) if _believed(ellipse.enlarged(max(light.shape)), light) else None
    )


def inside(
    field_of_view: FieldOfView, width: int, height: int, columns: int = 0, rows: int = 0
) -> NDArray[np.bool_]:
    """Return the mask of the field of view.

    Args:
        field_of_view: Field of view in pixels of the picture.
        width: Width of the picture, pixels.
        height: Height of the picture, pixels.
        columns: Width of the mask, if it is for a resized copy; `width` by default.
        rows: Height of the mask, if it is for a resized copy; `height` by default.

    Returns:
        (rows, columns) True where the slide shows.
    """
    columns, rows = columns or width, rows or height
    left, right = field_of_view.chords((np.arange(rows) + 0.5) * (height / rows))
    x = (np.arange(columns) + 0.5) * (width / columns)
    shown: NDArray[np.bool_] = (x >= left[:, None]) & (x < right[:, None])
    return shown


def middle(image: Image, field_of_view: FieldOfView | None) -> tuple[Image, tuple[int, int]]:
    """Return the largest upright rectangle inside.

    It lies in the field of view, where light and focus are even. Without a field of view, or with a tiny
    one, the whole picture is returned.

    Returns:
        The part of the picture, and its corner (x, y).
    """
    if field_of_view is None:
        return image, (0, 0)
    height, width = image.shape[:2]
    half_x, half_y = field_of_view.half_sides()
    left, right = (int(np.clip(field_of_view.x + way, 0, width)) for way in (-half_x, half_x))
    top, bottom = (int(np.clip(field_of_view.y + way, 0, height)) for way in (-half_y, half_y))
    if min(right - left, bottom - top) < LEAST_SIDE:
        return image, (0, 0)
    return image[top:bottom, left:right], (left, top)


def fill_surround(image: Image, field_of_view: FieldOfView) -> Image:
    """Fill the surround with empty-slide colour.

    Returns a copy. No black reaches the crop of a cell.
    """
    step = max(1, round(max(image.shape) / LOOKED_AT))
    sample = image[::step, ::step]
    shown = inside(field_of_view, image.shape[1], image.shape[0], sample.shape[1], sample.shape[0])
    ground = np.percentile(sample[shown], GROUND, axis=0) if shown.any() else np.full(3, 255)
    copy: Image = np.full_like(image, ground.astype(np.uint8))
    cv2.copyTo(image, inside(field_of_view, image.shape[1], image.shape[0]).astype(np.uint8), copy)
    return copy


def combine_surround(image: Image, other: Image, field_of_view: FieldOfView) -> Image:
    """Combine a field of view with another surround.

    Returns a copy.

    Args:
        image: (H, W, 3) picture with the field of view.
        other: (H, W, 3) picture with the surround.
        field_of_view: Field of view in pixels of both.
    """
    copy = other.copy()
    cv2.copyTo(image, inside(field_of_view, image.shape[1], image.shape[0]).astype(np.uint8), copy)
    return copy


def boxes_inside(boxes: Boxes, field_of_view: FieldOfView) -> NDArray[np.bool_]:
    """Return (N,) whether boxes are inside.

    Boxes (N, 4) are in the field of view if their centres are.
    """
    return field_of_view.covers((boxes[:, :2] + boxes[:, 2:]) / 2)


def cut_by_rim(boxes: Boxes, field_of_view: FieldOfView) -> NDArray[np.bool_]:
    """Return (N,) whether the rim cuts the cells.

    Boxes are (N, 4). A cell is cut if the ellipse that fills its box reaches the rim.
    """
    turn = np.linspace(0, 2 * np.pi, 16, endpoint=False)
    middles, halves = (boxes[:, :2] + boxes[:, 2:]) / 2, (boxes[:, 2:] - boxes[:, :2]) / 2
    outline = middles[:, None] + halves[:, None] * np.stack([np.cos(turn), np.sin(turn)], axis=1)
    margin = MARGIN * 2 * field_of_view.semi_major
    smaller = replace(
        field_of_view,
        semi_major=field_of_view.semi_major - margin,
        semi_minor=field_of_view.semi_minor - margin,
    )
    clear = smaller.covers(outline.reshape(-1, 2)).reshape(outline.shape[:2])
    return np.logical_not(clear.all(axis=1))


def _light(image: Image) -> Plane:
    """Return the brightest channel of a small copy.

    It is (h, w). A colour cast or a stain darkens the others first.
    """
    factor = min(1.0, LOOKED_AT / max(image.shape))
    size = max(8, round(image.shape[1] * factor)), max(8, round(image.shape[0] * factor))
    small = cv2.resize(image, size, interpolation=cv2.INTER_AREA) if factor < 1 else image
    light: Plane = cv2.GaussianBlur(small.max(axis=2).astype(np.float32), (0, 0), 0.8)
    return light


def _rim_points(light: Plane) -> Points | None:
    """Find points on the field of view's rim.

    The rim is where the largest bright area borders on what is dark up to the picture's edge. Dark areas
    inside the bright one, such as nuclei, are no surround. The result is None without a rim.
    """
    level = DARK * float(np.percentile(light, 95))
    things = cv2.connectedComponents((light < level).astype(np.uint8), connectivity=4)[1]
    at_edge = np.unique(np.concatenate([things[0], things[-1], things[:, 0], things[:, -1]]))
    outside = np.isin(things, at_edge[at_edge > 0])
    if outside.mean() < LEAST_DARK:
        return None
    outlines = cv2.findContours((~outside).astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)[0]
    outline = max(outlines, key=cv2.contourArea, default=np.empty((0, 1, 2), np.int32))[:, 0]
    rim = outline[((outline > 1) & (outline < np.array(light.shape[::-1]) - 2)).all(axis=1)]
    if len(rim) < POINTS[0]:
        return None
    chosen = rim[np.linspace(0, len(rim) - 1, min(len(rim), POINTS[1])).astype(int)]
    return _crossings(light, chosen, level) / max(light.shape)


def _crossings(light: Plane, pixels: NDArray[np.int32], level: float) -> NDArray[np.float64]:
    """Return (N, 2) points where light crosses `level`.

    They are edges in pixels, found along the slope of light near the pixels (N, 2) of an outline.
    """
    x, y = pixels.T
    # A unit step in light changes what Scharr's filter gives by 32.
    slope = np.stack([cv2.Scharr(light, cv2.CV_32F, *way)[y, x] / 32 for way in ((1, 0), (0, 1))], axis=1)
    steep = np.square(slope).sum(axis=1).clip(1e-6)
    return pixels + 0.5 + np.clip(((level - light[y, x]) / steep)[:, None] * slope, -1.5, 1.5)


def _fitted(points: Points) -> Conics | None:
    """Fit a circle or ellipse to most points.

    The result is None if fewer than AGREEING lie on any.
    """
    rng = np.random.default_rng(0)
    best, most = None, AGREEING * len(points) / ROUNDER
    for round_, few in ((False, 5), (True, 3)):
        guesses = _through(points[rng.integers(len(points), size=(DRAWS, few))], round_)
        counts = np.where(_plausible(guesses), (_distances(guesses, points) < NEAR).sum(axis=-1), 0)
        found, count = guesses[counts.argmax()], counts.max()
        for _ in range(ROUNDS):
            on = points[_distances(found, points) < NEAR]
            refined = _through(on, round_, found) if len(on) >= few else found
            if not _plausible(refined):
                break
            found, count = refined, max(count, (_distances(refined, points) < NEAR).sum())
        if count >= ROUNDER * most:
            best, most = found, count
    return best


def _through(points: Points, round_: bool, near: Conics | None = None) -> Conics:
    """Fit conics to points by least squares.

    A conic passes through few points exactly. If a conic `near` the result is known, distances are
    minimised.
    """
    x, y = points[..., 0], points[..., 1]
    one = np.ones_like(x)
    terms = np.stack([x * x + y * y, x, y, one] if round_ else [x * x, x * y, y * y, x, y, one], axis=-1)
    if near is not None:
        terms = terms / _slopes(near, points)[:, None]
    smallest = np.linalg.eigh(np.swapaxes(terms, -1, -2) @ terms)[1][..., 0]
    if round_:
        a, d, e, f = np.moveaxis(smallest, -1, 0)
        smallest = np.stack([a, np.zeros_like(a), a, d, e, f], axis=-1)
    inward: Conics = smallest * np.sign(smallest[..., :1] + smallest[..., 2:3])
    return inward


def _distances(conics: Conics, points: Points) -> NDArray[np.float64]:
    """Return (..., N) distances of points from conics.

    Points are (N, 2), conics (..., 6). Distances are to first order (Sampson, Computer Graphics and Image
    Processing 18, 1982, 97).
    """
    x, y = points.T
    value = conics @ np.stack([x * x, x * y, y * y, x, y, np.ones_like(x)])
    distances: NDArray[np.float64] = np.abs(value) / _slopes(conics, points)
    return distances


def _slopes(conics: Conics, points: Points) -> NDArray[np.float64]:
    """Return (..., N) gradient magnitudes of conics at points."""
    x, y = points.T
    one, nil = np.ones_like(x), np.zeros_like(x)
    across, down = (
        conics @ np.stack([2 * x, y, nil, one, nil, nil]),
        conics @ np.stack([nil, x, 2 * y, nil, one, nil]),
    )
    return np.hypot(across, down).clip(1e-9)


def _axes(conics: Conics) -> tuple[NDArray[np.float64], ...]:
    """Return centre, squared semi-axes and angle of conics.

    In order: x and y of the centre, squares of the long and the short semi-axis, and the angle of the long
    one. Without an ellipse the squares are not above 0.
    """
    a, b, c, d, e, f = np.moveaxis(conics, -1, 0)
    with np.errstate(divide="ignore", invalid="ignore"):
        determinant = 4 * a * c - b * b
        x, y = (b * e - 2 * c * d) / determinant, (b * d - 2 * a * e) / determinant
        middle = -(f + (d * x + e * y) / 2)
        lean, sum_ = np.hypot(a - c, b), a + c
        long, short = 2 * middle / (sum_ - lean), 2 * middle / (sum_ + lean)
    return x, y, np.nan_to_num(long), np.nan_to_num(short), 0.5 * np.arctan2(-b, c - a)


def _plausible(conics: Conics) -> NDArray[np.bool_]:
    """Check that conics (..., 6) are plausible ellipses.

    Shape and size must be possible for a field of view.
    """
    *_, long, short, _ = _axes(conics)
    of_size = (short > SIDES[0] ** 2) & (long >= short) & (long < SIDES[1] ** 2)
    plausible: NDArray[np.bool_] = of_size & (short > LEAST_ROUND**2 * long)
    return plausible


def ellipse_of(conic: Conics) -> FieldOfView:
    """Return the ellipse of a conic (6,) in its unit."""
    x, y, long, short, angle = (float(value) for value in _axes(conic))
    return FieldOfView(x, y, long**0.5, short**0.5, angle)


def _believed(ellipse: FieldOfView, light: Plane) -> bool:
    """Check that the rim is visible and sharp.

    Enough of it must show, and the light must fall across it as at an edge.
    """
    turn = np.linspace(0, 2 * np.pi, 180, endpoint=False)
    along, aside = ellipse.semi_major * np.cos(turn), ellipse.semi_minor * np.sin(turn)
    cosine, sine = np.cos(ellipse.angle), np.sin(ellipse.angle)
    rim = np.stack([along * cosine - aside * sine, along * sine + aside * cosine], axis=1)
    places = [
        np.array([ellipse.x, ellipse.y]) + rim * (1 + by) for by in chain(ACROSS, (-each for each in ACROSS))
    ]
    height, width = light.shape
    visible = np.logical_and.reduce([((at >= 0) & (at < (width, height))).all(axis=1) for at in places])
    if visible.mean() < VISIBLE:
        return False
    values = [light[y, x] for x, y in (at[visible].astype(int).T for at in places)]
    dark, bright = np.minimum(*values[:2]), np.maximum(*values[2:])
    return bool((dark < FALL * bright).mean() >= SHARP)
