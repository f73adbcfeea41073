"""Merging of a subset's label files into the cells of each picture.

COCO's names are trusted. Boxes of text files that stand in COCO too explain the class ids of those that do not.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from operator import itemgetter

from edgeleuk.lab.importing.findings import LEAST_SIDE_PX, Findings
from edgeleuk.lab.importing.labels import PictureLabels, RawBox
from edgeleuk.lab.importing.release import Subset
from edgeleuk.lab.importing.vocabulary import (
    ATTRIBUTES,
    CLASSES,
    DOCUMENTED,
    NONE,
    NOT_APPLICABLE,
    SIX,
    SIZE,
    THIRD_VALUE,
    plain,
    size_of,
)
from edgeleuk.types import WHITE_CELL, Box

SAME_IOU = 0.8
"""Minimum IoU of a text box and a COCO box that are one annotation."""
LEAST_VOTES, AGREEING = 3, 0.9
"""Minimum number and share of matching boxes that explain a class id."""
NAME = re.compile(r"^(?P<patient>\d+)_(?P<place>.+)_(?P<power>1000|400|100)(?:_(?P<diagnosis>[A-Za-z]+))?$")
"""File names of the release: patient, field, total magnification, diagnosis; a field may be row_column."""
DOCUMENTED_TYPES = frozenset(plain(name) for name in DOCUMENTED)


@dataclass(frozen=True, slots=True)
class ImportedCell:
    """One annotated cell of a picture."""

    box: Box
    """x1 y1 x2 y2, pixels of the picture, inside it."""
    kind: str
    """Cell class: WBC, RBC or Platelet."""
    label: str | None
    """Type in this project's vocabulary; None where it is not known."""
    original: str
    """Name or class id as the labels have it."""
    attributes: Mapping[str, str]
    number: int
    """Number of the box in its picture, from 0."""

    @property
    def ignored(self) -> bool:
        """Whether it is neither a cell nor background."""
        return self.label == NONE


@dataclass(slots=True)
class RawPicture:
    """All that label files say of one picture."""

    coco: list[RawBox] = field(default_factory=list)
    text: list[RawBox] = field(default_factory=list)
    size: tuple[int, int] | None = None
    split: str | None = None
    labelled: bool = False
    """Whether any label file names it, also one without boxes."""


@dataclass(frozen=True, slots=True)
class FieldName:
    """What a file name of the release says."""

    patient: str
    place: str
    """The field, the same in all subsets."""
    diagnosis: str

    @classmethod
    def of(cls, stem: str) -> FieldName | None:
        """Parse the stem of a file name.

        None if it has another form.
        """
        found = NAME.match(stem)
        return cls(found["patient"], found["place"], (found["diagnosis"] or "").upper()) if found else None


def raw_pictures(subset: Subset, findings: Findings) -> dict[str, RawPicture]:
    """Collect the labels of each picture of a subset, by its stem."""
    found: dict[str, RawPicture] = defaultdict(RawPicture)
    for file in subset.labels:
        for labels in file.pictures:
            picture = found[labels.stem]
            picture.labelled = True
            picture.split = picture.split or file.split
            picture.size = picture.size or labels.size
            if file.kind == "text":
                picture.text = _richer(picture.text, labels.boxes)
            else:
                picture.coco += _once(labels, picture.coco, file.file, findings)
    return dict(found)


def _richer(one: list[RawBox], other: list[RawBox]) -> list[RawBox]:
    """Return the boxes with more columns.

    A picture may have several text files.
    """
    return max(one, other, key=lambda boxes: sum(1 + len(each.codes) for each in boxes))


def _once(labels: PictureLabels, known: Sequence[RawBox], file: str, findings: Findings) -> list[RawBox]:
    """Return the boxes that are new.

    Boxes that stand twice in one file are a finding.
    """
    here: set[tuple[Box, str | None]] = set()
    before = {(each.box, each.name) for each in known}
    new = []
    for each in labels.boxes:
        key = (each.box, each.name)
        if key in here:
            findings.add("twice", f"{file}: {labels.stem}")
        elif key not in before:
            new.append(each)
        here.add(key)
    return new


def learn_ids(pictures: Iterable[RawPicture], findings: Findings) -> dict[int, str]:
    """Return types by class id, learnt from shared boxes.

    Shared boxes are those that text and COCO both have.
    """
    votes: dict[int, Counter[str]] = defaultdict(Counter)
    for picture in pictures:
        if not (picture.coco and picture.text and picture.size):
            continue
        for box, same in _pairs(picture):
            if same.name is not None and box.class_id is not None:
                votes[box.class_id][plain(same.name)] += 1
    learnt = {}
    for class_id, named in sorted(votes.items()):
        told = plain(DOCUMENTED[class_id]) if 0 <= class_id < len(DOCUMENTED) else "nothing"
        for name, times in named.items():
            if name != told:
                findings.add("wrong_ids", f"{class_id} is {name}, documented {told}", times)
        name, times = named.most_common(1)[0]
        if times >= LEAST_VOTES and times >= AGREEING * named.total():
            learnt[class_id] = name
            findings.add("learnt_ids", f"{class_id} {name}")
    return learnt


def _pairs(picture: RawPicture) -> Iterable[tuple[RawBox, RawBox]]:
    """Yield text boxes with the COCO box that is the same annotation."""
    size = picture.size
    assert size is not None
    for box in picture.text:
        own = box.pixels(*size)
        overlap, best = max(
            ((_iou(own, each.pixels(*size)), each) for each in picture.coco), key=itemgetter(0)
        )
        if overlap >= SAME_IOU:
            yield box, best


def _iou(a: Box, b: Box) -> float:
    width = max(0.0, min(a[2], b[2]) - max(a[0], b[0]))
    height = max(0.0, min(a[3], b[3]) - max(a[1], b[1]))
    areas = sum((x2 - x1) * (y2 - y1) for x1, y1, x2, y2 in (a, b))
    return width * height / (areas - width * height) if areas > width * height else 0.0


@dataclass(frozen=True, slots=True)
class Reading:
    """How boxes of one subset become cells."""

    ids: Mapping[int, str]
    """Type by class id; an id that is absent stays without a type."""
    sized: bool
    """Whether the rule for the cell size holds, as at 100x."""
    open_vocabulary: bool
    """Whether types outside the data set's vocabulary are kept under their own name."""


def cells_of(
    picture: RawPicture, size: tuple[int, int], reading: Reading, where: str, findings: Findings
) -> list[ImportedCell]:
    """Return the cells of one picture.

    Args:
        picture: All that label files say of it.
        size: Width and height of the picture, pixels.
        reading: How boxes become cells.
        where: Subset and file name, for messages.
        findings: Gets what was met.
    """
    found: list[ImportedCell] = []
    for number, raw in enumerate(_chosen(picture)):
        box = _inside(raw.pixels(*size), size)
        if box is None:
            findings.add("box", where)
            continue
        kind, label = _named(raw, reading, where, findings)
        if kind is None:
            continue
        codes = raw.codes
        if label is None and kind == WHITE_CELL and _applies_nowhere(codes):
            label = NONE
        attributes = {} if label == NONE else _attributes(codes, where, findings)
        if label == NONE:
            findings.add("none", where)
            findings.add("code_4", where, sum(code == NOT_APPLICABLE for code in codes.values()))
            findings.add("code_2", where, sum(codes.get(name) == THIRD_VALUE for name in SIX))
        elif kind == WHITE_CELL and reading.sized:
            attributes = _sized(attributes, raw.pixels(*size), where, findings)
        original = raw.name if raw.name is not None else f"id {raw.class_id}"
        found.append(ImportedCell(box, kind, label, original, attributes, number))
    return _without_conflicts(found, where, findings)


def _chosen(picture: RawPicture) -> list[RawBox]:
    """Return COCO's boxes, else those of the text.

    COCO's boxes get what only text files say of them.
    """
    if not picture.coco or not picture.text or not picture.size:
        return picture.coco or picture.text
    more = {id(same): box for box, same in _pairs(picture)}
    return [
        replace(each, codes={**more[id(each)].codes, **each.codes}) if id(each) in more else each
        for each in picture.coco
    ]


def _inside(box: Box, size: tuple[int, int]) -> Box | None:
    """Return a box clipped to its picture.

    None if too little is left.
    """
    x1, y1, x2, y2 = box
    clipped = max(x1, 0.0), max(y1, 0.0), min(x2, float(size[0])), min(y2, float(size[1]))
    least = min(clipped[2] - clipped[0], clipped[3] - clipped[1])
    return clipped if least >= LEAST_SIDE_PX else None


def _named(raw: RawBox, reading: Reading, where: str, findings: Findings) -> tuple[str | None, str | None]:
    """Return the cell class and type of a box.

    A box that is left out has no class.
    """
    name = (
        raw.name
        if raw.name is not None
        else reading.ids.get(raw.class_id if raw.class_id is not None else -1)
    )
    if name is None:
        findings.add("untyped", f"{where}: id {raw.class_id}")
        return WHITE_CELL, None
    own = plain(name)
    if own in CLASSES:
        return CLASSES[own], None
    if own in DOCUMENTED_TYPES or reading.open_vocabulary:
        return WHITE_CELL, own
    findings.add("unknown_type", f"{where}: {name}")
    return None, None


def _applies_nowhere(codes: Mapping[str, int | str]) -> bool:
    """Return whether none of the six attributes applies.

    All six then have a code of cells that were not named.
    """
    six = [codes.get(name) for name in SIX]
    return all(code in (NOT_APPLICABLE, THIRD_VALUE) for code in six)


def _attributes(codes: Mapping[str, int | str], where: str, findings: Findings) -> dict[str, str]:
    found = {}
    for name, code in codes.items():
        values = ATTRIBUTES[name].values
        if isinstance(code, str):
            if plain(code) in values:
                found[name] = plain(code)
                continue
            code = int(code) if code.strip().isdigit() else -1
        if 0 <= code < len(values):
            found[name] = values[code]
        elif code == NOT_APPLICABLE:
            findings.add("code_4", where)
        elif code == THIRD_VALUE:
            findings.add("code_2", where)
        else:
            findings.add("code", f"{where}: {name} {codes[name]}")
    return found


def _sized(attributes: dict[str, str], box: Box, where: str, findings: Findings) -> dict[str, str]:
    """Add the cell size where only the box tells it."""
    told = size_of((box[2] - box[0]) * (box[3] - box[1]))
    if SIZE not in attributes:
        findings.add("derived_size", where)
        return {SIZE: told, **attributes}
    if attributes[SIZE] != told:
        findings.add("other_size", where)
    return attributes


def _without_conflicts(cells: list[ImportedCell], where: str, findings: Findings) -> list[ImportedCell]:
    """Return the cells, one for each box.

    A cell that was given two types has none.
    """
    by_box: dict[Box, list[ImportedCell]] = {}
    for each in cells:
        by_box.setdefault(each.box, []).append(each)
    kept = []
    for same in by_box.values():
        first = same[0]
        if len(labels := {each.label for each in same}) > 1:
            findings.add("conflict", where)
            first = replace(first, label=NONE if NONE in labels else None, attributes={})
        elif len(same) > 1:
            findings.add("twice", where, len(same) - 1)
        kept.append(first)
    return kept


def patch_of(picture: RawPicture, size: tuple[int, int]) -> Box | None:
    """Return the annotated patch of a sparse label, pixels.

    The authors describe it as px1 px2 py1 py2, and their code reads x1 y1 x2 y2: the order is taken that
    holds more of the picture's boxes.
    """
    written = next((each.patch for each in picture.text if each.patch), None)
    if written is None:
        return None
    a, b, c, d = written
    width, height = size if max(map(abs, written)) <= 1.5 else (1, 1)
    orders = [
        (a * width, c * height, b * width, d * height),
        (a * width, b * height, c * width, d * height),
    ]
    sound = [order for order in orders if order[0] < order[2] and order[1] < order[3]]
    middles = [((x1 + x2) / 2, (y1 + y2) / 2) for x1, y1, x2, y2 in (r.pixels(*size) for r in picture.text)]

    def holds(patch: Box) -> int:
        return sum(patch[0] <= x <= patch[2] and patch[1] <= y <= patch[3] for x, y in middles)

    best = max(sound, key=holds, default=None)
    return _inside(best, size) if best is not None and holds(best) else None
