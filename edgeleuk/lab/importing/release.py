"""Files of a release: subsets, pictures and labels, in folders or archives.

Subsets are not packed alike: `Images` or `images`; `json_labels`, `Annotations` or `WBC_Detection`; text files
below `txt_labels`; and for L_100X_C2 all labels in one archive. So files are told by their endings, and their
split by the folder or the name that says train, test or val.
"""

from __future__ import annotations

import re
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from edgeleuk.errors import InputError
from edgeleuk.lab.importing.findings import Findings
from edgeleuk.lab.importing.labels import PictureLabels, coco_labels, text_labels, voc_labels
from edgeleuk.models.zip_errors import MALFORMED_ZIP
from edgeleuk.system import file_io

SUBSET = re.compile(r"^(?P<microscope>[HL])_(?P<magnification>100|40|10)X_(?P<camera>C[12])$", re.IGNORECASE)
SUBSETS = tuple(f"{m}_{x}X_{c}" for m in "HL" for x in (100, 40, 10) for c in ("C1", "C2"))
"""Names of the twelve subsets: high- or low-cost microscope, objective, camera."""
SPLITS = {"train": "train", "training": "train", "test": "test", "val": "test", "valid": "test"}
"""Split of a folder or file of this name."""
PICTURES = {".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp"}
LABELS = {".json", ".txt", ".xml"}
NO_LABELS = re.compile(
    r"^(classes|readme.*|licen[cs]e.*|requirements|labels|obj|train|test|val)\.txt$", re.IGNORECASE
)
DEEPEST = 4
"""Maximum number of folders above a subset."""


@dataclass(slots=True)
class LabelFile:
    """Labels of one file."""

    file: str
    """Path of the file below the release, for messages."""
    kind: str
    """coco, text or voc."""
    split: str | None
    pictures: list[PictureLabels]


@dataclass(slots=True)
class Subset:
    """One subset as it lies in the release."""

    name: str
    folder: Path
    pictures: dict[str, tuple[Path, str | None]] = field(default_factory=dict)
    """Path and split of each picture, by its stem."""
    labels: list[LabelFile] = field(default_factory=list)

    def of(self, kind: str) -> list[LabelFile]:
        """Return the label files of a kind."""
        return [each for each in self.labels if each.kind == kind]


def find_subsets(root: Path) -> dict[str, Path]:
    """Return the folders of subsets, by name.

    The folder may be one subset itself, or hold subsets some folders down.

    Raises:
        InputError: There is no such folder.
    """
    if not root.is_dir():
        raise InputError(f"{root} is no folder. Name the folder that the release was unpacked to.")
    if SUBSET.match(root.name):
        return {root.name.upper(): root}
    found: dict[str, Path] = {}
    level = [root]
    for _ in range(DEEPEST):
        below = [each for folder in level for each in sorted(folder.iterdir()) if each.is_dir()]
        for each in below:
            if SUBSET.match(each.name):
                found.setdefault(each.name.upper(), each)
        level = [each for each in below if not SUBSET.match(each.name)]
    return {name: found[name] for name in SUBSETS if name in found}


def read_subset(name: str, folder: Path, findings: Findings) -> Subset:
    """Read all labels of a subset and list its pictures."""
    subset = Subset(name, folder)
    for path in sorted(folder.rglob("*")):
        suffix = path.suffix.lower()
        if suffix not in {*PICTURES, *LABELS, ".zip"} or not path.is_file():
            continue
        inner = path.relative_to(folder)
        if suffix in PICTURES:
            subset.pictures.setdefault(path.stem, (path, split_of(PurePosixPath(inner))))
        elif suffix == ".zip":
            _read_archive(path, subset, findings)
        elif not NO_LABELS.match(path.name):
            _read_file(path, PurePosixPath(inner), subset, findings)
    return subset


def split_of(path: PurePosixPath) -> str | None:
    """Return the split that a path says, train or test."""
    for part in (path.stem, *reversed(path.parts[:-1])):
        if split := SPLITS.get(part.lower()):
            return split
    return None


def _read_file(path: Path, inner: PurePosixPath, subset: Subset, findings: Findings) -> None:
    shown = f"{subset.name}/{inner}"
    try:
        content = file_io.read_bytes(path, file_io.TABLE_BYTES)
    except OSError as error:
        findings.add("json" if path.suffix.lower() == ".json" else "text", f"{shown}: {file_io.plain(error)}")
        return
    _add(subset, inner, shown, content, findings)


def _read_archive(path: Path, subset: Subset, findings: Findings) -> None:
    """Read the labels in an archive; pictures in it stay there."""
    shown, before = f"{subset.name}/{path.name}", len(subset.labels)
    try:
        for member, content in _members(path, findings, shown):
            _add(subset, member, f"{shown}/{member}", content, findings)
    except MALFORMED_ZIP as error:
        findings.add("archive", f"{shown}: {error or 'it is no archive'}")
    if len(subset.labels) > before:
        findings.add("archive_labels", subset.name)


def _members(path: Path, findings: Findings, shown: str) -> Iterator[tuple[PurePosixPath, bytes]]:
    with zipfile.ZipFile(path) as archive:
        entries = archive.infolist()
        if any(PurePosixPath(each.filename).suffix.lower() in PICTURES for each in entries):
            findings.add("packed_pictures", shown)
        for entry in entries:
            member = PurePosixPath(entry.filename)
            if member.suffix.lower() not in LABELS or NO_LABELS.match(member.name):
                continue
            if entry.file_size > file_io.TABLE_BYTES:
                findings.add("archive", f"{shown}/{member}: it is larger than any label file")
                continue
            with archive.open(entry) as file:
                yield member, file.read(file_io.TABLE_BYTES)


def _add(subset: Subset, inner: PurePosixPath, shown: str, content: bytes, findings: Findings) -> None:
    """Parse one label file and add it to its subset."""
    kind = {".json": "coco", ".txt": "text", ".xml": "voc"}[inner.suffix.lower()]
    if kind == "coco":
        pictures = list(coco_labels(content, shown, findings))
    elif kind == "text":
        if b"\0" in content:
            findings.add("text", f"{shown}: it holds zero bytes")
            return
        pictures = [text_labels(content, shown, findings)]
    else:
        one = voc_labels(content, shown, findings)
        pictures = [one] if one else []
    if pictures:
        subset.labels.append(LabelFile(shown, kind, split_of(inner), pictures))
