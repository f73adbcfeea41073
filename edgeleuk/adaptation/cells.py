"""Cells to learn from, with their features."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgeleuk.device.colour import background
from edgeleuk.models.guard import Guard
from edgeleuk.models.manifest import ReaderManifest
from edgeleuk.models.microscope import Microscope
from edgeleuk.networks.reader import Reader
from edgeleuk.sources._opencv import decode_jpeg
from edgeleuk.types import Image, Scale

NOTHING = -1
"""Label of a cell of a kind new to the reader."""
TURNS = 4
"""Quarter turns of a cell that a taught reader reads and averages.

With 100 corrected cells of krd, mean recall on its others was .767 in two turns and .822 in four; see METHOD.md.
"""


@dataclass(frozen=True, slots=True)
class TaughtCell:
    """Picture of one cell with the label that a person gave it."""

    picture: Image
    """(H, W, 3) RGB, the cell in the middle."""
    scale: Scale
    kind: str
    """One of the reader's labels or types, or a new kind."""
    slide: str
    """Slide or folder that it is of."""


@dataclass(frozen=True, slots=True)
class Cells:
    """N cells as a head sees them."""

    features: NDArray[np.float32]
    """(N, F) features."""
    labels: NDArray[np.int64]
    """(N,) indices of printed labels; NOTHING for a new kind."""
    allowed: NDArray[np.bool_]
    """(N, T) types that the person's label allows."""
    kinds: tuple[str, ...]
    """What the person called each cell."""
    groups: NDArray[np.int64]
    """(N,) numbers of slides, or of cells where there is one slide.

    Cells of one number are not split.
    """
    slides: int
    """Number of slides."""
    microscope: Microscope | None = None

    def __len__(self) -> int:
        return len(self.labels)

    def where(self, chosen: NDArray[np.bool_]) -> Cells:
        """Return some of the cells, (N,)."""
        return Cells(
            self.features[chosen],
            self.labels[chosen],
            self.allowed[chosen],
            tuple(kind for kind, one in zip(self.kinds, chosen.tolist(), strict=True) if one),
            self.groups[chosen],
            self.slides,
            self.microscope,
        )


def kinds_of(manifest: ReaderManifest) -> dict[str, tuple[str, ...]]:
    """Return the types that each known name allows.

    Known names are the printed labels, the types, and the further names of `merge`.
    """
    own = {
        label: tuple(name for name, as_ in manifest.printed.items() if as_ == label)
        for label in manifest.labels
    }
    merged = {name: own[label] for name, label in manifest.merge.items() if label in own}
    return merged | {name: (name,) for name in manifest.types} | own


def pictured(jpeg: bytes, side_um: float, kind: str, slide: str) -> TaughtCell:
    """Return the cell of a picture that a session keeps.

    Args:
        jpeg: Square picture with the cell in the middle.
        side_um: Side of the picture, um.
        kind: Label that a person gave.
        slide: Slide of the cell.

    Raises:
        InputError: The picture is damaged.
    """
    picture = decode_jpeg(jpeg)
    return TaughtCell(picture, Scale.given(side_um / picture.shape[1]), kind, slide)


def seen(
    reader: Reader,
    cells: Sequence[TaughtCell],
    um_per_px: float | None = None,
    profile: str = "",
) -> Cells:
    """Return cells with their features.

    Args:
        reader: Reader whose features are taken.
        cells: Cells, one at least.
        um_per_px: Scale of the camera's pictures; None if unknown.
        profile: Device profile that they were taken with; empty if none.
    """
    manifest = reader.manifest
    known, types = kinds_of(manifest), list(manifest.types)
    crops = np.stack([_middle(reader, each) for each in cells])
    allowed = np.zeros((len(cells), len(types)), bool)
    labels = np.full(len(cells), NOTHING)
    for i, each in enumerate(cells):
        names = known.get(each.kind, ())
        allowed[i, [types.index(name) for name in names]] = True
        if names:
            labels[i] = manifest.labels.index(manifest.printed[names[0]])
    slides = list(dict.fromkeys(each.slide for each in cells))
    groups = np.array([slides.index(each.slide) for each in cells])
    return Cells(
        features=in_turns(reader, crops),
        labels=labels,
        allowed=allowed,
        kinds=tuple(each.kind for each in cells),
        groups=groups if len(slides) > 1 else np.arange(len(cells)),
        slides=len(slides),
        microscope=_microscope((each.picture for each in cells), um_per_px, profile),
    )


def in_turns(reader: Reader, crops: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return the features (N, F) of crops, averaged over TURNS.

    `crops`: (N, S, S, 3) RGB.
    """
    each = [reader.features(crops, turn) for turn in range(TURNS // reader.manifest.views)]
    mean: NDArray[np.float32] = np.mean(each, axis=0)
    return mean


def guarding(guard: Guard, manifest: ReaderManifest) -> Cells:
    """Return guard cells as cells to learn from.

    Their features stay those of the file, whatever TURNS is.
    """
    printed: Mapping[str, str] = manifest.printed
    by_label = np.array([[printed[name] == label for name in manifest.types] for label in manifest.labels])
    kinds = tuple(manifest.labels[i] for i in guard.labels.tolist())
    return Cells(guard.features, guard.labels, by_label[guard.labels], kinds, guard.groups, 0)


def _middle(reader: Reader, cell: TaughtCell) -> Image:
    height, width = cell.picture.shape[:2]
    return reader.crop(cell.picture, cell.scale, (width / 2, height / 2))


def _microscope(pictures: Iterable[Image], um_per_px: float | None, profile: str) -> Microscope:
    red, green, blue = np.median([background(picture) for picture in pictures], axis=0).tolist()
    return Microscope.seen((red, green, blue), um_per_px, profile)
