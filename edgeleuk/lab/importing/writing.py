"""Writing of fields and cells in this project's form.

Pictures come first, tables last: an import that was interrupted has no table, so that nothing reads half of it.
"""

from __future__ import annotations

import csv
import errno
import io
import json
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2

from edgeleuk._text import file_name
from edgeleuk.errors import OutputError, UsageError
from edgeleuk.imaging.resampling import crop_um
from edgeleuk.lab.importing.merging import ImportedCell
from edgeleuk.lab.importing.splits import TRAIN, VAL, Origin
from edgeleuk.lab.importing.vocabulary import ATTRIBUTES
from edgeleuk.system import file_io
from edgeleuk.system.wording import option
from edgeleuk.types import PLATELET, RED_CELL, WHITE_CELL, Box, Image, Scale

KINDS = (WHITE_CELL, RED_CELL, PLATELET)
REPORT = "import.json"
CROP_UM_PER_PX, CROP_PX = 0.15, 160
"""Scale and side of a cell's picture: 24 um, at about the finer scale of the fields."""
EDGE_PX = 3
"""Maximum distance from the edge of a cell that counts as cut by it."""
COLUMNS = (
    "file", "source", "split", "patient", "label", "original_label", "um_per_px", *ATTRIBUTES,
    "diagnosis", "field", "cell",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class ImportedField:
    """One picture with its cells."""

    source: str
    """Subset."""
    path: Path
    image: Image
    scale: Scale
    origin: Origin
    split: str
    cells: Sequence[ImportedCell]
    patch: Box | None
    """Annotated patch; None where the whole picture was looked at."""

    def cut(self, cell: ImportedCell) -> bool:
        """Return whether the edge of the picture cuts a cell."""
        height, width = self.image.shape[:2]
        x1, y1, x2, y2 = cell.box
        return min(x1, y1, width - x2, height - y2) <= EDGE_PX

    def name_of(self, cell: ImportedCell) -> str:
        """Return the name that a cell has in all subsets."""
        return f"{self.origin.group}/{self.origin.place}/{cell.number:02d}"


@dataclass(slots=True)
class Writer:
    """Writer of one import."""

    out: Path
    complete: bool
    """Whether every cell of a picture was annotated."""
    labelled: tuple[str, ...] = (WHITE_CELL,)
    """Cell classes that were annotated."""
    tables: dict[tuple[str, str], dict[str, Any]] = field(default_factory=dict)
    rows: list[dict[str, Any]] = field(default_factory=list)
    _taken: set[str] = field(default_factory=set)

    def require_free(self) -> None:
        """Check that no table would be overwritten.

        Raises:
            UsageError: There is one.
        """
        there = [
            self.out / REPORT,
            self.out / "cells" / "cells.csv",
            *file_io.listed(self.out / "fields", "*.json"),
        ]
        if found := next((path for path in there if not file_io.is_absent(path)), None):
            raise UsageError(
                f"{found} is there already. Give an empty folder with {option('out')}, or remove the old import."
            )

    def make_folder(self) -> None:
        """Make the folder, before the work.

        Raises:
            OutputError: It cannot be made or written.
        """
        with _written(self.out):
            self.out.mkdir(parents=True, exist_ok=True)
            if not os.access(self.out, os.W_OK | os.X_OK):
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(self.out))

    def add(self, table: str, one: ImportedField) -> None:
        """Write a field's picture and its cells.

        Their entries are kept for the tables.

        Raises:
            OutputError: A file cannot be written.
        """
        with _written(self.out):
            placed = self._place(one)
            document = self.tables.setdefault((table, one.split), {"images": [], "annotations": []})
            number = len(document["images"])
            document["images"].append(self._entry(one, placed, number))
            for cell in one.cells:
                document["annotations"].append(_annotation(one, cell, number, len(document["annotations"])))
                if cell.kind == WHITE_CELL and cell.label and not one.cut(cell):
                    self.rows.append(self._crop(one, cell))

    def finish(self, report: dict[str, Any]) -> None:
        """Write all tables, the report last.

        Raises:
            OutputError: A file cannot be written.
        """
        categories = [{"id": number, "name": name} for number, name in enumerate(KINDS)]
        with _written(self.out):
            for table in sorted({name for name, _ in self.tables}):
                for split in (TRAIN, VAL):
                    document = self.tables.get((table, split), {"images": [], "annotations": []})
                    content = json.dumps({**document, "categories": categories}, indent=None)
                    file_io.write_whole(self.out / "fields" / f"{table}_{split}.json", content.encode())
            if self.rows:
                text = io.StringIO()
                writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
                writer.writeheader()
                writer.writerows(self.rows)
                file_io.write_whole(self.out / "cells" / "cells.csv", text.getvalue().encode())
            file_io.write_whole(self.out / REPORT, (json.dumps(report, indent=2) + "\n").encode())

    def _place(self, one: ImportedField) -> str:
        """Link or copy a picture; return its name below images."""
        folder = f"{one.source}/"
        name = folder + file_name(
            one.path.stem, one.path.suffix.lower(), lambda name: folder + name in self._taken
        )
        self._taken.add(name)
        target = self.out / "fields" / "images" / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.unlink(missing_ok=True)
        try:
            os.link(one.path, target)
        except OSError as error:
            if error.errno == errno.ENOSPC:
                raise
            shutil.copyfile(one.path, target)
        return name

    def _entry(self, one: ImportedField, placed: str, number: int) -> dict[str, Any]:
        height, width = one.image.shape[:2]
        patch = {"annotated": _xywh(one.patch)} if one.patch else {}
        return {
            "id": number,
            "file_name": placed,
            "width": width,
            "height": height,
            "source": one.source,
            "group": one.origin.group,
            "labelled": list(self.labelled),
            "complete": self.complete and one.patch is None,
            "um_per_px_x": one.scale.um_per_px_x,
            "um_per_px_y": one.scale.um_per_px_y,
            "diagnosis": one.origin.diagnosis,
            **patch,
        }

    def _crop(self, one: ImportedField, cell: ImportedCell) -> dict[str, Any]:
        x1, y1, x2, y2 = cell.box
        middle = ((x1 + x2) / 2, (y1 + y2) / 2)
        crop = crop_um(one.image, one.scale, middle, CROP_UM_PER_PX, CROP_PX)
        name = f"{one.source}/" + file_name(f"{one.path.stem}_{cell.number:02d}", ".png", lambda _: False)
        target = self.out / "cells" / "images" / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(cv2.imencode(".png", cv2.cvtColor(crop, cv2.COLOR_RGB2BGR))[1].tobytes())
        return {
            "file": name,
            "source": one.source,
            "split": one.split,
            "patient": one.origin.patient or one.origin.group,
            "label": cell.label,
            "original_label": cell.original,
            "um_per_px": CROP_UM_PER_PX,
            **cell.attributes,
            "diagnosis": one.origin.diagnosis,
            "field": one.origin.place,
            "cell": one.name_of(cell),
        }


def _annotation(one: ImportedField, cell: ImportedCell, picture: int, number: int) -> dict[str, Any]:
    box = _xywh(cell.box)
    return {
        "id": number,
        "image_id": picture,
        "category_id": KINDS.index(cell.kind),
        "bbox": box,
        "area": round(box[2] * box[3], 2),
        "iscrowd": int(cell.ignored),
        **({"subtype": cell.label} if cell.label else {}),
        **({"attributes": dict(cell.attributes)} if cell.attributes else {}),
        "cell": one.name_of(cell),
    }


def _xywh(box: Box) -> list[float]:
    x1, y1, x2, y2 = box
    return [round(each, 2) for each in (x1, y1, x2 - x1, y2 - y1)]


@contextmanager
def _written(out: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise OutputError(
            f"cannot write the import into {out}: {file_io.plain(error)}. Free some space, or give another {option('out')}."
        ) from error
