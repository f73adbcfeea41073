"""Parsing of label files: COCO JSON, YOLO text, VOC XML.

Nothing is decided here: names, ids and codes stay as they are in the file.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any
from xml.etree import ElementTree

import numpy as np

from edgeleuk.lab.importing.findings import Findings
from edgeleuk.lab.importing.vocabulary import ATTRIBUTES, SIX, SIZE, plain
from edgeleuk.system import file_io
from edgeleuk.types import Box

COLUMNS: Mapping[int, tuple[bool, tuple[str, ...]]] = {
    5: (False, ()),
    9: (True, ()),
    11: (False, SIX),
    12: (False, (SIZE, *SIX)),
    15: (True, SIX),
    16: (True, (SIZE, *SIX)),
}
"""Whether a patch precedes the attributes, and which attributes, by the number of columns.

The authors' descriptions have 11 (LeukemiaAttri) and 15 (LLD), what their code reads has one more: the cell size.
"""


@dataclass(frozen=True, slots=True)
class RawBox:
    """One box of a label file."""

    box: Box
    """x1 y1 x2 y2: pixels, or shares of the picture's sides."""
    shares: bool
    name: str | None = None
    """Name of the type; None in text files."""
    class_id: int | None = None
    codes: Mapping[str, int | str] = field(default_factory=dict)
    """Code or value of each attribute."""
    patch: Box | None = None
    """Annotated patch: px1 px2 py1 py2 as written."""

    def pixels(self, width: int, height: int) -> Box:
        """Return the box in pixels of its picture."""
        if not self.shares:
            return self.box
        x1, y1, x2, y2 = self.box
        return x1 * width, y1 * height, x2 * width, y2 * height


@dataclass(slots=True)
class PictureLabels:
    """Labels of one picture from one file."""

    stem: str
    size: tuple[int, int] | None = None
    """Width and height as stated; None in text files."""
    boxes: list[RawBox] = field(default_factory=list)


def coco_labels(content: bytes, file: str, findings: Findings) -> Iterator[PictureLabels]:
    """Parse a COCO file.

    A picture may have several entries, one for each box. Malformed entries are left out.
    """
    try:
        document = file_io.parse_json(content)
    except file_io.UnreadableError as error:
        findings.add("json", f"{file}: {error}")
        return
    if not isinstance(document, dict) or not isinstance(document.get("images"), list):
        findings.add("not_coco", file)
        return
    names = {each.get("id"): each.get("name") for each in _entries(document, "categories")}
    pictures: dict[str, PictureLabels] = {}
    stems: dict[Any, str] = {}
    for entry in _entries(document, "images"):
        try:
            stem = PurePosixPath(str(entry["file_name"]).replace("\\", "/")).stem
            stems[entry["id"]] = stem
            pictures.setdefault(stem, PictureLabels(stem, (int(entry["width"]), int(entry["height"]))))
        except (KeyError, TypeError, ValueError) as error:
            findings.add("line", f"{file}: a picture without {error}")
    for entry in _entries(document, "annotations"):
        try:
            picture = pictures[stems[entry["image_id"]]]
            picture.boxes.append(_coco_box(entry, names))
        except (KeyError, TypeError, ValueError):
            findings.add("line", f"{file}: annotation {entry.get('id', 'without id')}")
    yield from pictures.values()


def _entries(document: Mapping[str, Any], key: str) -> list[dict[str, Any]]:
    found = document.get(key)
    return [each for each in found if isinstance(each, dict)] if isinstance(found, list) else []


def _coco_box(entry: Mapping[str, Any], names: Mapping[Any, Any]) -> RawBox:
    x, y, width, height = (float(each) for each in entry["bbox"])
    name = names.get(entry.get("category_id"), entry.get("category_name"))
    given = {plain(str(key)): value for key, value in {**_inner(entry), **entry}.items()}
    codes = {
        own: given[key]
        for own, attribute in ATTRIBUTES.items()
        for key in attribute.keys
        if isinstance(given.get(key), int | float | str)
    }
    return RawBox(
        (x, y, x + width, y + height),
        shares=False,
        name=None if name is None else str(name),
        codes={own: code if isinstance(code, str) else int(code) for own, code in codes.items()},
    )


def _inner(entry: Mapping[str, Any]) -> dict[str, Any]:
    inner = entry.get("attributes")
    return inner if isinstance(inner, dict) else {}


def text_labels(content: bytes, file: str, findings: Findings) -> PictureLabels:
    """Parse YOLO text.

    A line has class, centre and size as shares, then what COLUMNS names.
    """
    found = PictureLabels(PurePosixPath(file).stem)
    for number, line in enumerate(content.decode("utf-8", "replace").splitlines(), start=1):
        parts = line.split()
        if not parts:
            continue
        try:
            found.boxes.append(_text_box(parts))
        except ValueError:
            findings.add("line", f"{file} line {number}")
            continue
        if len(parts) not in COLUMNS:
            findings.add("columns", f"{file} line {number} has {len(parts)}")
    return found


def _text_box(parts: list[str]) -> RawBox:
    if len(parts) < 5:
        raise ValueError("fewer than five columns")
    values = [float(each) for each in parts]
    if not np.isfinite(values).all():
        raise ValueError("a number that is not finite")
    x, y, width, height = values[1:5]
    patched, attributes = COLUMNS.get(len(parts), (False, ()))
    patch = (values[5], values[6], values[7], values[8]) if patched else None
    first = 9 if patched else 5
    return RawBox(
        (x - width / 2, y - height / 2, x + width / 2, y + height / 2),
        shares=True,
        class_id=int(values[0]),
        codes={name: int(code) for name, code in zip(attributes, values[first:], strict=False)},
        patch=patch,
    )


def voc_labels(content: bytes, file: str, findings: Findings) -> PictureLabels | None:
    """Parse a VOC XML file.

    One with a document type is refused: nothing in a label file needs entities, which can grow without end.
    """
    try:
        if b"<!DOCTYPE" in content or b"<!ENTITY" in content:
            raise ValueError("it has a document type")
        root = ElementTree.fromstring(content)
        size = root.find("size")
        sides = None if size is None else (int(_text(size, "width")), int(_text(size, "height")))
        found = PictureLabels(PurePosixPath(root.findtext("filename") or file).stem, sides)
    except (ElementTree.ParseError, ValueError) as error:
        findings.add("text", f"{file}: {error}")
        return None
    for each in root.iter("object"):
        try:
            edges = [float(_text(each, f"bndbox/{side}")) for side in ("xmin", "ymin", "xmax", "ymax")]
            found.boxes.append(RawBox((edges[0], edges[1], edges[2], edges[3]), False, _text(each, "name")))
        except ValueError:
            findings.add("line", f"{file}: an object")
    return found


def _text(parent: ElementTree.Element, path: str) -> str:
    found = parent.findtext(path)
    if not found:
        raise ValueError(f"it has no {path}")
    return found.strip()
