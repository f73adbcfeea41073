"""Simulate phone photographs through an eyepiece.

The field of view is a bright ellipse in black; it may be cut, off centre, tilted, tinted or squeezed. The eyepiece
shows its virtual image at infinity, so a tilted phone turns around the position of the eye: the picture is
seen through a rotation, which moves the ellipse and enlarges its far side.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import radians, tan

import cv2
import numpy as np
from numpy.typing import NDArray

from edgeleuk.imaging.field_of_view import ellipse_of, inside
from edgeleuk.types import Boxes, FieldOfView, Image

Matrix = NDArray[np.float64]

HALF_FIELD = radians(21.8)
"""Half field angle of a 10x eyepiece, radians.

It has 20 mm of field at a focal length of 25 mm.
"""
ENLARGED = 1.3
"""Photograph pixels per field pixel.

More than one, as a phone has pixels to spare.
"""
MARGIN = 1.15
"""Frame height over height of the field of view.

At this ratio the whole field of view is shown.
"""
SHAPE = 4 / 3
"""Width of the frame over its height."""
RIM = 0.004
"""Blur of the rim, share of the radius."""
QUALITY = 90


@dataclass(frozen=True, slots=True)
class View:
    """Position and effects of the phone."""

    squeeze: float = 1.0
    """Width of a round cell over its height."""
    tilt: float = 0.0
    """Tilt of the phone, radians.

    It is around an axis at the angle `tilt_axis` to the x axis.
    """
    tilt_axis: float = 0.0
    offset: tuple[float, float] = (0.0, 0.0)
    """Offset of the field of view from the frame's centre, radii."""
    shown: float = MARGIN
    """Frame height over height of the field of view.

    Below 1 the frame cuts it.
    """
    cast: tuple[float, float, float] = (1.0, 1.0, 1.0)
    reflections: int = 2
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Photograph:
    """A simulated photograph with its truth."""

    image: Image
    field_of_view: FieldOfView
    """Field of view, pixels of the photograph.

    The frame may cut it.
    """
    matrix: Matrix
    """Homography, field to photograph: (3, 3).

    Coordinates are pixels, counted from the edge of the first one.
    """

    def boxes(self, boxes: Boxes) -> Boxes:
        """Map field boxes (N, 4) to the photograph.

        A mapped box is drawn around the image of the ellipse that filled the box.
        """
        turn = np.linspace(0, 2 * np.pi, 32, endpoint=False)
        middles, halves = (boxes[:, :2] + boxes[:, 2:]) / 2, (boxes[:, 2:] - boxes[:, :2]) / 2
        outline = middles[:, None] + halves[:, None] * np.stack([np.cos(turn), np.sin(turn)], axis=1)
        seen = _mapped(self.matrix, outline.reshape(-1, 2)).reshape(len(boxes), -1, 2)
        mapped: Boxes = np.concatenate([seen.min(axis=1), seen.max(axis=1)], axis=1).astype(np.float32)
        return mapped


def views(rng: np.random.Generator) -> Mapping[str, View]:
    """Draw one view per disturbance, and one with all."""

    def seed() -> int:
        return int(rng.integers(2**31))

    turn, axis = rng.uniform(0, 2 * np.pi), rng.uniform(0, 2 * np.pi)
    away = (float(np.cos(turn)), float(np.sin(turn)))
    squeeze = float(rng.uniform(0.6, 1.0))
    casts = {"yellow": (1.0, 0.85, 0.55), "blue": (0.7, 0.85, 1.0), "green": (0.75, 1.0, 0.75)}
    cut = View(shown=float(rng.uniform(0.75, 0.95)), offset=(0.25 * away[0], 0.25 * away[1]), seed=seed())
    return {
        "in black": View(seed=seed()),
        "cut": cut,
        "off centre": View(shown=1.5, offset=(0.4 * away[0], 0.4 * away[1]), seed=seed()),
        "tilted": View(tilt=radians(10), tilt_axis=axis, shown=1.3, seed=seed()),
        **{name: View(cast=cast, seed=seed()) for name, cast in casts.items()},
        "squeezed": View(squeeze=squeeze, seed=seed()),
        "all": View(
            squeeze, radians(10), axis, cut.offset, cut.shown, casts[str(rng.choice([*casts]))], seed=seed()
        ),
    }


def photograph(field: Image, field_of_view: FieldOfView, view: View) -> Photograph:
    """Photograph a field through an eyepiece.

    Args:
        field: (H, W, 3) picture.
        field_of_view: Round field of view inside the picture, pixels of `field`.
        view: Position of the phone and its effects.
    """
    radius = field_of_view.semi_major
    seen = (
        _stretched(view)
        @ _turned(view)
        @ _scaled(1 / radius, 1 / radius)
        @ _moved(-field_of_view.x, -field_of_view.y)
    )
    whole = _transformed(field_of_view, seen)
    half_x, half_y = whole.halves
    zoom = ENLARGED * radius
    height = round(view.shown * zoom * 2 * half_y)
    width = max(round(SHAPE * height), round(view.shown * zoom * 2 * half_x))
    place = _moved(width / 2, height / 2) @ _scaled(zoom, zoom)
    place = place @ _moved(view.offset[0] - whole.x, view.offset[1] - whole.y)
    matrix = place @ seen
    shown = _transformed(field_of_view, matrix)
    return Photograph(_exposed(field, matrix, shown, (width, height), view), shown, matrix)


def _exposed(
    field: Image, matrix: Matrix, field_of_view: FieldOfView, size: tuple[int, int], view: View
) -> Image:
    rng = np.random.default_rng(view.seed)
    # OpenCV counts from the centre of the first pixel.
    warp = _moved(-0.5, -0.5) @ matrix @ _moved(0.5, 0.5)
    light = cv2.warpPerspective(field, warp, size, flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT)
    share = inside(field_of_view, *size).astype(np.float32)
    share = cv2.GaussianBlur(share, (0, 0), max(RIM * field_of_view.semi_minor, 0.5))[..., None]
    dark = rng.normal(rng.uniform(5, 20), 2, (*light.shape[:2], 3)).astype(np.float32)
    for _ in range(view.reflections):
        _reflect(dark, field_of_view, rng)
    levels = (light * share + dark.clip(0, 255) * (1 - share)) * np.array(view.cast, np.float32)
    image = np.rint(levels.clip(0, 255)).astype(np.uint8)
    encoded = cv2.imencode(".jpg", image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, QUALITY])[1]
    decoded = cv2.imdecode(encoded, cv2.IMREAD_COLOR)
    assert decoded is not None  # it was encoded just above
    return np.ascontiguousarray(decoded[..., ::-1], np.uint8)


def _reflect(dark: NDArray[np.float32], field_of_view: FieldOfView, rng: np.random.Generator) -> None:
    """Add a blurred reflection beside or across the rim."""
    turn, away = rng.uniform(0, 2 * np.pi), rng.uniform(1.0, 1.3) * field_of_view.semi_major
    at = round(field_of_view.x + away * np.cos(turn)), round(field_of_view.y + away * np.sin(turn))
    axes = (
        round(rng.uniform(0.05, 0.25) * field_of_view.semi_minor),
        round(rng.uniform(0.02, 0.06) * field_of_view.semi_minor),
    )
    streak = np.zeros(dark.shape[:2], np.float32)
    cv2.ellipse(streak, at, axes, float(np.degrees(turn) + 90), 0, 360, 1.0, -1)
    streak = cv2.GaussianBlur(streak, (0, 0), 0.01 * field_of_view.semi_minor + 0.5)
    dark += streak[..., None] * rng.uniform(60, 200, 3).astype(np.float32)


def _transformed(field_of_view: FieldOfView, matrix: Matrix) -> FieldOfView:
    """Map an ellipse by a homography (3, 3)."""
    unit = (
        _moved(field_of_view.x, field_of_view.y)
        @ _rotated(field_of_view.angle)
        @ _scaled(field_of_view.semi_major, field_of_view.semi_minor)
    )
    back = np.linalg.inv(matrix @ unit)
    form = back.T @ np.diag([1.0, 1.0, -1.0]) @ back
    conic = np.array([form[0, 0], 2 * form[0, 1], form[1, 1], 2 * form[0, 2], 2 * form[1, 2], form[2, 2]])
    return ellipse_of(conic)


def _mapped(matrix: Matrix, points: NDArray[np.floating]) -> NDArray[np.float64]:
    x, y, w = matrix @ np.stack([*points.T, np.ones(len(points))])
    return np.stack([x / w, y / w], axis=1)


def _turned(view: View) -> Matrix:
    """Return a tilted camera's homography, for radius 1."""
    far = 1 / tan(HALF_FIELD)
    axis = np.array([np.cos(view.tilt_axis), np.sin(view.tilt_axis), 0.0]) * view.tilt
    rotation: Matrix = cv2.Rodrigues(axis)[0]
    lens = np.diag([far, far, 1.0])
    return lens @ rotation @ np.linalg.inv(lens)


def _stretched(view: View) -> Matrix:
    root = float(np.sqrt(view.squeeze))
    return _scaled(root, 1 / root)


def _scaled(x: float, y: float) -> Matrix:
    return np.diag([x, y, 1.0])


def _moved(x: float, y: float) -> Matrix:
    return np.array([[1.0, 0.0, x], [0.0, 1.0, y], [0.0, 0.0, 1.0]])


def _rotated(angle: float) -> Matrix:
    cosine, sine = np.cos(angle), np.sin(angle)
    return np.array([[cosine, -sine, 0.0], [sine, cosine, 0.0], [0.0, 0.0, 1.0]])
