"""Wide fields made of many narrow ones: what a low-power objective looks at, built from labelled 100x fields.

A 100x field is some 40 um across, a 10x field half a millimetre. Tiling would cut cells at every seam; here each
cell is lifted off its background in optical density, where light absorbed by layers adds up (Beer-Lambert), and laid
down on an even background, where neighbours touch and overlap a little. A cell that its picture's edge cuts is left
behind.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from edgeleuk.evaluation.datasets import FieldSample
from edgeleuk.optics import resize
from edgeleuk.types import Boxes, Image, Scale

FloatImage = NDArray[np.float32]

REACH = 1.2
"""How far a cell goes beyond the ellipse in its box, as a multiple of its radii: boxes are drawn tight, cells have
corners. Where two reach the same pixel, it belongs to the one it lies deeper in."""

WHOLE = 0.85
"""Share of the ellipse in its box that a cell must own: one that lies half under its neighbours is left behind."""

EDGE_UM = 0.25
"""Over which a lifted cell fades into the background."""

OVERLAP = 0.08
"""Largest share of a cell that may lie on others."""

MOST_COVERED = 0.5
"""Of a composed field: discs at random places jam at 0.547 (Renyi 1958 in one dimension; Feder, Random sequential
adsorption, J Theor Biol 1980;87:237-254 for discs), and a countable monolayer is thinner than that."""

ATTEMPTS = 40
"""Places tried for a cell before it is left out."""


@dataclass(frozen=True, slots=True)
class Lifted:
    """One cell with nothing around it."""

    density: FloatImage
    """(h, w, 3) optical density above the background."""
    mask: NDArray[np.uint8]
    """(h, w) 1 on the cell."""
    box: NDArray[np.float32]
    """(4,) pixels of `density`."""
    kind: int


@dataclass(frozen=True, slots=True)
class Emptied:
    """A picture taken apart."""

    cells: tuple[Lifted, ...]
    background: NDArray[np.float32]
    """(3,) its mean colour, 0 to 1."""
    covered: float
    """Share of the picture that annotated cells cover."""


@dataclass(frozen=True, slots=True)
class Wide:
    """A composed field with its boxes, all pixels of `image`."""

    image: Image
    boxes: Boxes
    kinds: NDArray[np.int64]


def lift(image: Image, scale: Scale, boxes: Boxes, kinds: NDArray[np.int64], um_per_px: float) -> Emptied:
    """Every whole annotated cell of an (H, W, 3) picture, at `um_per_px`."""
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
    """Lay down cells in their order until they cover the share `covered` of a (width, height) field.

    Each is turned by quarters and mirrored at random. Also how many of `pool` were used up, those that found no
    place among them.
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
    """Square fields that use every cell of the pictures of one camera once, at the density they came from.

    The density is the mean over the pictures, MOST_COVERED at most; the background is that of a picture drawn for
    each field.
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
    """A composed field as a sample of `like`'s camera."""
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
    """The light without cells, (H, W, 3): a plane through each channel's brightest tenth in 6 by 6 tiles."""
    height, width = light.shape[:2]
    ys, xs = np.meshgrid(np.linspace(0, 1, 6), np.linspace(0, 1, 6), indexing="ij")
    tiles = [
        np.quantile(tile.reshape(-1, 3), 0.9, axis=0)
        for row in np.array_split(light, 6, axis=0)
        for tile in np.array_split(row, 6, axis=1)
    ]
    levels = np.array(tiles, np.float32)
    # Tiles full of cells are darker than their neighbours: they pull least where only the brighter half counts.
    bright = levels.sum(axis=1) >= np.median(levels.sum(axis=1))
    plane = np.stack([np.ones(36), xs.ravel(), ys.ravel()], axis=1)
    fit, *_ = np.linalg.lstsq(plane[bright], levels[bright], rcond=None)
    y, x = np.linspace(0, 1, height)[:, None], np.linspace(0, 1, width)[None]
    return (fit[0] + x[..., None] * fit[1] + y[..., None] * fit[2]).astype(np.float32)


def _owners(
    boxes: NDArray[np.float32], width: int, height: int
) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """(height, width) index of the box whose cell each pixel belongs to, or -1; and how far out it lies there.

    The distance is 0 in the middle of a box and 1 on the ellipse in it.
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
    """Whether box `i` lies inside the picture and few other cells lie on its cell."""
    height, width = core.shape
    inside = bool((box[:2] > 2).all() and box[2] < width - 2 and box[3] < height - 2)
    ellipse = np.pi / 4 * float(np.prod(box[2:] - box[:2]))
    return inside and int((core == i).sum()) >= WHOLE * ellipse


def _cut_out(
    density: FloatImage, owner: NDArray[np.int32], i: int, box: NDArray[np.float32], kind: int, edge: float
) -> Lifted:
    """The pixels that belong to box `i`, with a soft edge of `edge` pixels."""
    rows, columns = np.nonzero(owner == i)
    y1, y2, x1, x2 = rows.min(), rows.max() + 1, columns.min(), columns.max() + 1
    mask = (owner[y1:y2, x1:x2] == i).astype(np.uint8)
    framed = np.pad(mask.astype(np.float32), 2)
    soft = cv2.GaussianBlur(framed, (0, 0), max(0.4, edge))[2:-2, 2:-2, None] * mask[..., None]
    offset = np.array([x1, y1, x1, y1], np.float32)
    return Lifted(density[y1:y2, x1:x2] * soft, mask, box - offset, kind)


def _turned(cell: Lifted, rng: np.random.Generator) -> Lifted:
    """By quarters, and mirrored in half of the cases."""
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
    """A place where `mask` overlaps little, (x, y) of its corner, or None after ATTEMPTS."""
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
