"""Compose wide fields from cells of narrow ones.

Fields for low-power objectives are built from labelled 100x fields. A 100x field is some 40 um across, a 10x
field half a millimetre. Tiling would cut cells at every seam. Instead, each cell is separated from its
background in optical density, where light absorbed by layers adds up (Beer-Lambert), and placed on an even
background, where neighbours touch and overlap a little. A cell that its picture's edge cuts is not used.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from edgeleuk.imaging.resampling import resize
from edgeleuk.lab.evaluation.datasets import FieldSample
from edgeleuk.types import Boxes, Image, Scale

FloatImage = NDArray[np.float32]

REACH = 1.2
"""Extent of a cell relative to its ellipse.

It multiplies the radii of the ellipse in the box and is more than 1, as boxes are drawn tight and cells have
corners. A pixel that two cells reach belongs to the one that it lies deeper in.
"""

WHOLE = 0.85
"""Minimum share of a cell's ellipse that is its own.

A cell that lies half under its neighbours is not used.
"""

EDGE_UM = 0.25
"""Width over which a cell fades into the background, um."""

OVERLAP = 0.08
"""Maximum share of a cell that may lie on others."""

MOST_COVERED = 0.5
"""Maximum covered share of a composed field.

Discs at random positions jam at 0.547 (Renyi 1958 in one dimension; Feder, Random sequential adsorption, J
Theor Biol 1980;87:237-254 for discs), and a countable monolayer is thinner than that.
"""

ATTEMPTS = 40
"""Number of positions tried for a cell.

If none is free, the cell is left out.
"""


@dataclass(frozen=True, slots=True)
class Lifted:
    """One cell without its surroundings."""

    density: FloatImage
    """(h, w, 3) optical density above the background."""
    mask: NDArray[np.uint8]
    """(h, w) 1 on the cell, else 0."""
    box: NDArray[np.float32]
    """Box of the cell: (4,), pixels of `density`."""
    kind: int


@dataclass(frozen=True, slots=True)
class Emptied:
    """Cells and background of one picture."""

    cells: tuple[Lifted, ...]
    background: NDArray[np.float32]
    """Mean colour of the background: (3,), 0 to 1."""
    covered: float
    """Share of the picture under annotated cells."""


@dataclass(frozen=True, slots=True)
class Wide:
    """A composed field with its boxes.

    The boxes are in pixels of `image`.
    """

    image: Image
    boxes: Boxes
    kinds: NDArray[np.int64]


def lift(image: Image, scale: Scale, boxes: Boxes, kinds: NDArray[np.int64], um_per_px: float) -> Emptied:
    """Separate every whole annotated cell from its picture.

    Args:
        image: (H, W, 3) picture.
        scale: Scale of `image`.
        boxes: (N, 4) boxes of the cells, pixels of `image`.
        kinds: (N,) class of each cell.
        um_per_px: Scale of the result.
    """
    width = max(1, round(image.shape[1] * scale.um_per_px_x / um_per_px))
    height = max(1, round(image.shape[0] * scale.um_per_px_y / um_per_px))
    factor = np.array([width / image.shape[1], height / image.shape[0]] * 2, np.float32)
    light = resize(image, width, height).astype(np.float32) / np.float32(255)
    background = _background(light)
    density = -np.log(np.clip(light, 1 / 255, 1) / np.clip(background, 1 / 255, 1)).astype(np.float32)
    scaled = boxes * factor
    owner, depth = _owners(scaled, width, height)
    core = np.where(depth <= 1, owner, -1)
    cells = tuple(
        _cut_out(density, owner, i, box, int(kind), EDGE_UM / um_per_px)
        for i, (box, kind) in enumerate(zip(scaled, kinds, strict=True))
        if _whole(box, core, i)
    )
    return Emptied(cells, background.mean(axis=(0, 1)), float((core >= 0).mean()))


def compose(
    pool: Sequence[Lifted],
    background: NDArray[np.float32],
    size: tuple[int, int],
    covered: float,
    rng: np.random.Generator,
) -> tuple[Wide, int]:
    """Place cells on a field until it is covered enough.

    Cells are placed in their order. Each is turned by quarters and mirrored at random.

    Args:
        pool: Cells to place.
        background: (3,) colour of the background, 0 to 1.
        size: (width, height) of the field, pixels.
        covered: Share of the field to cover.
        rng: Random generator.

    Returns:
        The field, and the number of cells of `pool` used up, including those that found no free position.
    """
    width, height = size
    density = np.zeros((height, width, 3), np.float32)
    taken = np.zeros((height, width), np.uint8)
    boxes, kinds, used, filled = [], [], 0, 0
    while used < len(pool) and filled < covered * width * height:
        cell = _turned(pool[used], rng)
        used += 1
        place = _free(taken, cell.mask, rng)
        if place is None:
            continue
        x, y = place
        area = slice(y, y + cell.mask.shape[0]), slice(x, x + cell.mask.shape[1])
        density[area] += cell.density
        taken[area] |= cell.mask
        filled += int(cell.mask.sum())
        boxes.append(cell.box + np.array([x, y, x, y], np.float32))
        kinds.append(cell.kind)
    levels = np.rint(np.clip(background * np.exp(-density), 0, 1) * 255).astype(np.uint8)
    return Wide(levels, np.array(boxes, np.float32).reshape(-1, 4), np.array(kinds, np.int64)), used


def wide_fields(
    pictures: Sequence[Emptied], side_um: float, um_per_px: float, rng: np.random.Generator
) -> Iterator[Wide]:
    """Yield square fields that use every cell once.

    The cells cover as much of a field as on average in the pictures, but MOST_COVERED at most. The background
    is that of a picture drawn at random for each field.

    Args:
        pictures: Cells and backgrounds of the pictures of one camera.
        side_um: Side of a field, um.
        um_per_px: Scale of the fields.
        rng: Random generator.
    """
    pool = [cell for each in pictures for cell in each.cells]
    order = [pool[i] for i in rng.permutation(len(pool))]
    covered = min(float(np.mean([each.covered for each in pictures])), MOST_COVERED) if pictures else 0.0
    side = round(side_um / um_per_px)
    while order:
        background = pictures[int(rng.integers(len(pictures)))].background
        wide, used = compose(order, background, (side, side), covered, rng)
        if not used:
            return
        order = order[used:]
        yield wide


def wide_sample(wide: Wide, like: FieldSample, image_id: int) -> FieldSample:
    """Make a labelled sample of a composed field.

    Args:
        wide: Composed field.
        like: Sample of the same camera, for its source and labelled classes.
        image_id: Image id of the new sample.
    """
    return FieldSample(
        image_id=image_id,
        path=like.path.with_name(f"composed-{like.source}-{image_id}"),
        width=wide.image.shape[1],
        height=wide.image.shape[0],
        source=like.source,
        group=f"composed-{like.source}-{image_id}",
        labelled=like.labelled,
        boxes=wide.boxes,
        kinds=wide.kinds,
        subtypes=(None,) * len(wide.boxes),
    )


def _background(light: NDArray[np.float32]) -> NDArray[np.float32]:
    """Estimate the light without cells, (H, W, 3).

    It is a plane through the brightest tenth of each channel in 6 by 6 tiles.
    """
    height, width = light.shape[:2]
    ys, xs = np.meshgrid(np.linspace(0, 1, 6), np.linspace(0, 1, 6), indexing="ij")
    tiles = [
        np.quantile(tile.reshape(-1, 3), 0.9, axis=0)
        for row in np.array_split(light, 6, axis=0)
        for tile in np.array_split(row, 6, axis=1)
    ]
    levels = np.array(tiles, np.float32)
    # Tiles full of cells are darker than their neighbours: using only the brighter half limits their effect.
    bright = levels.sum(axis=1) >= np.median(levels.sum(axis=1))
    plane = np.stack([np.ones(36), xs.ravel(), ys.ravel()], axis=1)
    fit, *_ = np.linalg.lstsq(plane[bright], levels[bright], rcond=None)
    y, x = np.linspace(0, 1, height)[:, None], np.linspace(0, 1, width)[None]
    return (fit[0] + x[..., None] * fit[1] + y[..., None] * fit[2]).astype(np.float32)


def _owners(
    boxes: NDArray[np.float32], width: int, height: int
) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """Assign each pixel to the box of a cell.

    Returns the index of the box or -1, and the distance from its middle, both (height, width). The distance
    is 0 in the middle of a box and 1 on the ellipse in it.
    """
    owner = np.full((height, width), -1, np.int32)
    depth = np.full((height, width), REACH, np.float32)
    centres, radii = (boxes[:, :2] + boxes[:, 2:]) / 2, (boxes[:, 2:] - boxes[:, :2]).clip(1) / 2
    for i, ((cx, cy), (rx, ry)) in enumerate(zip(centres, radii, strict=True)):
        columns = slice(max(0, int(cx - REACH * rx)), int(cx + REACH * rx) + 2)
        rows = slice(max(0, int(cy - REACH * ry)), int(cy + REACH * ry) + 2)
        near = depth[rows, columns]
        x = (np.arange(near.shape[1]) + columns.start + 0.5 - cx) / rx
        y = (np.arange(near.shape[0]) + rows.start + 0.5 - cy) / ry
        distance = np.hypot(x[None], y[:, None])
        deeper = distance < near
        owner[rows, columns][deeper] = i
        near[deeper] = distance[deeper]
    return owner, depth


def _whole(box: NDArray[np.float32], core: NDArray[np.int32], i: int) -> bool:
    """Return whether a cell is whole.

    Its box must lie inside the picture, and few other cells on the cell.
    """
    height, width = core.shape
    inside = bool((box[:2] > 2).all() and box[2] < width - 2 and box[3] < height - 2)
    ellipse = np.pi / 4 * float(np.prod(box[2:] - box[:2]))
    return inside and int((core == i).sum()) >= WHOLE * ellipse


def _cut_out(
    density: FloatImage, owner: NDArray[np.int32], i: int, box: NDArray[np.float32], kind: int, edge: float
) -> Lifted:
    """Cut out a cell with a soft edge, `edge` pixels."""
    rows, columns = np.nonzero(owner == i)
    y1, y2, x1, x2 = rows.min(), rows.max() + 1, columns.min(), columns.max() + 1
    mask = (owner[y1:y2, x1:x2] == i).astype(np.uint8)
    framed = np.pad(mask.astype(np.float32), 2)
    soft = cv2.GaussianBlur(framed, (0, 0), max(0.4, edge))[2:-2, 2:-2, None] * mask[..., None]
    offset = np.array([x1, y1, x1, y1], np.float32)
    return Lifted(density[y1:y2, x1:x2] * soft, mask, box - offset, kind)


def _turned(cell: Lifted, rng: np.random.Generator) -> Lifted:
    """Turn a cell by random quarters, mirrored or not."""
    density, mask, (x1, y1, x2, y2) = cell.density, cell.mask, cell.box
    if rng.random() < 0.5:
        x1, x2 = mask.shape[1] - x2, mask.shape[1] - x1
        density, mask = density[:, ::-1], mask[:, ::-1]
    for _ in range(rng.integers(4)):  # counter-clockwise: (x, y) goes to (y, width - x)
        x1, y1, x2, y2 = y1, mask.shape[1] - x2, y2, mask.shape[1] - x1
        density, mask = np.rot90(density), np.rot90(mask)
    return Lifted(density, mask, np.array([x1, y1, x2, y2], np.float32), cell.kind)


def _free(
    taken: NDArray[np.uint8], mask: NDArray[np.uint8], rng: np.random.Generator
) -> tuple[int, int] | None:
    """Find a position where `mask` overlaps little.

    Returns the (x, y) of its corner, or None after ATTEMPTS.
    """
    height, width = mask.shape
    if height > taken.shape[0] or width > taken.shape[1]:
        return None
    most = OVERLAP * int(mask.sum())
    for _ in range(ATTEMPTS):
        x = int(rng.integers(taken.shape[1] - width + 1))
        y = int(rng.integers(taken.shape[0] - height + 1))
        if int((taken[y : y + height, x : x + width] & mask).sum()) <= most:
            return x, y
    return None
