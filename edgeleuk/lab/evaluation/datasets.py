"""Load labelled data: COCO fields and `cells.csv`.

Training and evaluation share this module, so it does not import torch.
"""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgeleuk.errors import InputError, UsageError
from edgeleuk.models.manifest import RED_CELL_BOX_UM
from edgeleuk.system import file_io
from edgeleuk.system.wording import option
from edgeleuk.types import RED_CELL, Boxes, Scale

MALFORMED = (LookupError, TypeError, ValueError, AttributeError, ArithmeticError)
"""Exceptions raised by parsing a malformed document."""

MIN_RED_CELLS = 5
"""Minimum whole red cells to scale a picture.

A picture with fewer takes the scale of its camera.
"""

CELL_UM_PER_PX = 0.1
"""Default scale for a `cells.csv` without column `um_per_px`."""


@dataclass(frozen=True, slots=True)
class FieldSample:
    """One labelled picture of a COCO file."""

    image_id: int
    path: Path
    width: int
    height: int
    source: str
    group: str
    """Group that must not be split.

    Its pictures are all for training or all for validation.
    """
    labelled: frozenset[str]
    """Cell classes that were annotated.

    Nothing is known of the others, not even that they are absent.
    """
    boxes: Boxes
    """Cell boxes: (N, 4), x1 y1 x2 y2, picture pixels."""
    kinds: NDArray[np.int64]
    """Cell classes: (N,), index into the file's class names."""
    subtypes: tuple[str | None, ...]
    ignored: Boxes = field(default_factory=lambda: np.zeros((0, 4), np.float32))
    """Boxes of what is neither a cell nor background: (M, 4), COCO's `iscrowd`."""
    complete: bool = True
    """Whether every cell of the labelled classes has a box.

    If not, a place without a box is no background.
    """
    scale: Scale | None = None
    """Scale stated in the file."""


@dataclass(frozen=True, slots=True)
class CellSample:
    """One white cell in the middle of its picture."""

    path: Path
    source: str
    split: str
    patient: str
    label: str
    um_per_px: float
    attributes: dict[str, str] = field(default_factory=dict)
    """Values of the labelled attributes, by name."""


_given_root: ContextVar[Path | None] = ContextVar("given_root", default=None)


@contextmanager
def rooted(folder: Path) -> Iterator[None]:
    """Let `data_root` return a folder, whatever EDGELEUK_DATA says."""
    token = _given_root.set(folder)
    try:
        yield
    finally:
        _given_root.reset(token)


def data_root() -> Path:
    """Return the folder of `rooted`, else that named by EDGELEUK_DATA.

    Raises:
        InputError: If EDGELEUK_DATA is not set or names no folder.
    """
    if given := _given_root.get():
        return given
    named = os.environ.get("EDGELEUK_DATA")
    if not named:
        raise InputError("EDGELEUK_DATA is not set. Set it to the folder that holds fields/ and cells/.")
    root = Path(named)
    if not root.is_dir():
        raise InputError(
            f"EDGELEUK_DATA names {root}, which is no folder. Set it to the one holding fields/ and cells/."
        )
    return root


def load_fields(coco: Path, images: Path) -> tuple[list[FieldSample], tuple[str, ...]]:
    """Load pictures and class names of a COCO file.

    The class names are in the order of their ids.

    Raises:
        InputError: If the file cannot be read or is not a COCO file.
    """
    document = _read_json(coco)
    try:
        categories = sorted(document["categories"], key=lambda c: c["id"])
        names = tuple(c["name"] for c in categories)
        index = {c["id"]: i for i, c in enumerate(categories)}
        by_image: dict[int, list[dict[str, Any]]] = {}
        for annotation in document["annotations"]:
            by_image.setdefault(annotation["image_id"], []).append(annotation)
        samples = [
            _field_sample(entry, by_image.get(entry["id"], []), images, names, index)
            for entry in document["images"]
        ]
    except MALFORMED as error:
        raise InputError(
            f"{coco} is no COCO file: {repr(error)[:200]}. It needs images, annotations (bbox: x, y, w, h), categories."
        ) from error
    return samples, names


def _field_sample(
    entry: dict[str, Any],
    annotations: list[dict[str, Any]],
    images: Path,
    names: tuple[str, ...],
    index: dict[int, int],
) -> FieldSample:
    cells = [a for a in annotations if not a.get("iscrowd")]
    return FieldSample(
        image_id=entry["id"],
        path=images / entry["file_name"],
        width=entry["width"],
        height=entry["height"],
        source=entry.get("source", ""),
        group=entry.get("group", entry["file_name"]),
        labelled=frozenset(entry.get("labelled", names)),
        boxes=_corners(cells),
        kinds=np.array([index[a["category_id"]] for a in cells], np.int64),
        subtypes=tuple(a.get("subtype") for a in cells),
        ignored=_corners([a for a in annotations if a.get("iscrowd")]),
        complete=bool(entry.get("complete", True)),
        scale=_stated_scale(entry),
    )


def _corners(annotations: list[dict[str, Any]]) -> Boxes:
    """Return boxes x1 y1 x2 y2 of annotations."""
    xywh = np.array([a["bbox"] for a in annotations], np.float32).reshape(-1, 4)
    return np.concatenate([xywh[:, :2], xywh[:, :2] + xywh[:, 2:]], axis=1)


def _stated_scale(entry: dict[str, Any]) -> Scale | None:
    if "um_per_px_x" not in entry:
        return None
    x, y = float(entry["um_per_px_x"]), float(entry["um_per_px_y"])
    if not all(0 < each < float("inf") for each in (x, y)):
        raise ValueError(f"um_per_px of {entry['file_name']} is {x} and {y}, not above 0")
    return Scale(x, y, "annotation", 0.05)


def load_cells(
    table: Path,
    images: Path,
    attributes: Sequence[str] = (),
    told_by_label: Mapping[str, Mapping[str, str]] = {},
) -> list[CellSample]:
    """Load the rows of a `cells.csv`.

    The columns file and label are required; source, split, patient and um_per_px are optional.

    Args:
        table: The CSV file.
        images: Folder that the file names are relative to.
        attributes: Columns that hold attributes.
        told_by_label: Values by original label, for each attribute that has them (see ReaderManifest). Where
            the attribute's own column is absent or empty, its value follows from the column `original_label`
            ("band neutrophil", "Segmented neutrophils").

    Raises:
        InputError: If the file cannot be read, lacks a column or has an invalid row.
    """
    try:
        rows = list(csv.DictReader(io.StringIO(file_io.read_text(table, file_io.TABLE_BYTES), newline="")))
    except (OSError, file_io.UnreadableError, csv.Error) as error:
        raise InputError(f"cannot read {table}: {file_io.plain(error)}.") from error
    if not rows or not {"file", "label"} <= rows[0].keys():
        raise InputError(f"{table} needs a header with the columns file and label, and at least one row.")
    return [_cell_sample(row, table, images, attributes, told_by_label) for row in rows]


def _cell_sample(
    row: dict[str, str | None],
    table: Path,
    images: Path,
    attributes: Sequence[str],
    told_by_label: Mapping[str, Mapping[str, str]],
) -> CellSample:
    file, label, um_per_px = row["file"], row["label"], row.get("um_per_px") or str(CELL_UM_PER_PX)
    try:
        scale = float(um_per_px)
    except ValueError as error:
        raise InputError(f"{table}, {file}: um_per_px is {um_per_px!r}, which is no number.") from error
    if not file or not label or not 0 < scale < float("inf"):
        raise InputError(
            f"{table}, {file or 'a row without file'}: needs a file, a label and um_per_px above 0."
        )
    return CellSample(
        path=images / file,
        source=row.get("source") or "",
        split=row.get("split") or "",
        patient=row.get("patient") or "",
        label=label,
        um_per_px=scale,
        attributes={
            name: value
            for name in attributes
            if (
                value := row.get(name)
                or told_by_label.get(name, {}).get(_singular(row.get("original_label")))
            )
        },
    )


def _singular(label: str | None) -> str:
    return (label or "").strip().lower().removesuffix("s")


def of_split(samples: Sequence[CellSample], split: str) -> list[CellSample]:
    """Return the cells of one split.

    Raises:
        UsageError: If there is no such split.
    """
    chosen = [sample for sample in samples if sample.split == split]
    if not chosen:
        known = ", ".join(sorted({sample.split for sample in samples if sample.split})) or "none"
        raise UsageError(
            f"no cell of split {split!r}. Splits of the table: {known}. Use one of these with {option('split')}."
        )
    return chosen


def annotated_scales(samples: Iterable[FieldSample], names: Sequence[str]) -> dict[int, Scale]:
    """Return scales of pictures, stated or from annotated red cells.

    A scale that the file states is taken. Else it follows from the median size of the red cells that no edge cuts. A picture with fewer than
    MIN_RED_CELLS of them takes the median over its source's pictures of the same size, which came from the
    same camera. The result is by image id; a picture without any red cells is left out.
    """
    samples = list(samples)
    stated = {s.image_id: s.scale for s in samples if s.scale}
    samples = [s for s in samples if not s.scale]
    if RED_CELL not in names:
        return stated
    own = {s.image_id: whole_box_sizes(s, names.index(RED_CELL)) for s in samples}
    cameras: dict[tuple[str, int, int], list[NDArray[np.float32]]] = {}
    for sample in samples:
        cameras.setdefault((sample.source, sample.width, sample.height), []).append(own[sample.image_id])
    scales = stated
    for sample in samples:
        sizes = own[sample.image_id]
        if len(sizes) < MIN_RED_CELLS:
            sizes = np.concatenate(cameras[sample.source, sample.width, sample.height])
        if len(sizes):
            um_per_px = RED_CELL_BOX_UM / float(np.median(sizes))
            scales[sample.image_id] = Scale(um_per_px, um_per_px, "annotation", 0.05, len(sizes))
    return scales


def whole_box_sizes(sample: FieldSample, kind: int) -> NDArray[np.float32]:
    """Return the sizes of uncut boxes.

    Only boxes of `kind` that no edge cuts are measured. The size of a box is the side of the square with its
    area: (n,), pixels.
    """
    boxes = sample.boxes[sample.kinds == kind]
    limit = np.array([sample.width, sample.height], np.float32) - 2
    whole = (boxes[:, :2] > 2).all(axis=1) & (boxes[:, 2:] < limit).all(axis=1)
    sides = boxes[whole, 2:] - boxes[whole, :2]
    areas: NDArray[np.float32] = sides[:, 0] * sides[:, 1]
    return np.sqrt(areas)


def read_document(path: Path) -> Any:
    """Read a JSON file of labelled data.

    Raises:
        InputError: If the file cannot be read.
    """
    try:
        return file_io.read_json(path, file_io.TABLE_BYTES)
    except (OSError, file_io.UnreadableError) as error:
        raise InputError(f"cannot read {path}: {file_io.plain(error)}.") from error


def _read_json(path: Path) -> dict[str, Any]:
    document = read_document(path)
    if not isinstance(document, dict):
        raise InputError(f"{path} is no COCO file: it holds a {type(document).__name__}, not an object.")
    return document
