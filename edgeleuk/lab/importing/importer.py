"""Import of a release.

It goes from the files of the release to fields, cells and a report.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from edgeleuk.errors import InputError, UsageError
from edgeleuk.lab.importing.findings import Findings, Kind
from edgeleuk.lab.importing.merging import (
    RawPicture,
    Reading,
    cells_of,
    learn_ids,
    patch_of,
    raw_pictures,
)
from edgeleuk.lab.importing.release import SUBSET, SUBSETS, Subset, find_subsets, read_subset
from edgeleuk.lab.importing.report import ImportReport, SubsetCounts
from edgeleuk.lab.importing.scales import Scales
from edgeleuk.lab.importing.splits import Group, Origin, Origins, assigned
from edgeleuk.lab.importing.vocabulary import CLASSES, plain
from edgeleuk.lab.importing.writing import ImportedField, Writer
from edgeleuk.sources.pictures.reading import read_picture
from edgeleuk.system import file_io
from edgeleuk.system.wording import option
from edgeleuk.types import RED_CELL, WHITE_CELL, Scale

RELEASES = ("leukemiaattri", "lld")
"""Formats of the data set itself, with subsets, patients and traps of its own."""
GENERAL = ("coco", "yolo", "voc")
FORMATS = (*RELEASES, *GENERAL)
SOURCE = "leukemiaattri"
FILES = {"coco": ("coco",), "yolo": ("text",), "voc": ("voc",)}
"""Kinds of label files that each general format reads."""

Progress = Callable[[int, int], None]
"""Called with the pictures done and their total."""


@dataclass(frozen=True, slots=True)
class Request:
    """What to import, and how."""

    format: str
    release: Path
    out: Path
    names: Mapping[int, str] = field(default_factory=dict)
    """Types by class id, as the user vouches for."""
    patient: re.Pattern[str] | None = None
    """Pattern of file names with one group, the patient; for the general formats."""
    magnification: str = "100x"
    """Objective of the pictures; for the general formats."""
    complete: bool = True
    """Whether every cell was annotated; for the general formats."""
    scale: Scale | None = None
    measured_fields: int = 9
    """Number of fields of each subset whose scale is measured."""

    @property
    def is_release(self) -> bool:
        return self.format in RELEASES


def run(request: Request, progress: Progress | None = None) -> ImportReport:
    """Import a release.

    Files that cannot be read are left out and told in the report's findings.

    Raises:
        UsageError: The output folder holds tables already, or lies in the release.
        InputError: Nothing of the release could be imported.
        OutputError: A file cannot be written.
    """
    _require_apart(request)
    findings = Findings()
    report = ImportReport(request.format, str(request.release), findings)
    subsets = _read(request, findings)
    raw = {subset.name: raw_pictures(subset, findings) for subset in subsets}
    ids = learn_ids((each for own in raw.values() for each in own.values()), findings)
    ids = {**request.names, **ids}
    writer = Writer(request.out, request.complete and not request.is_release, _labelled(raw, request))
    writer.require_free()
    if any(raw.values()):
        writer.make_folder()
    origins = Origins(None if request.is_release else request.patient or re.compile(r"(?!)"))
    report.groups = assigned(_with_splits(subsets, raw, origins), findings)
    for subset in subsets:
        report.subsets[subset.name] = SubsetCounts(
            pictures=len(subset.pictures), labels=tuple(sorted({each.kind for each in subset.labels}))
        )
        _note_gaps(subset, raw[subset.name], findings)
    total, scales = sum(len(own) for own in raw.values()), Scales(request.scale, request.measured_fields)
    done = 0
    for subset in subsets:
        named = _Named(request, subset, raw[subset.name], ids)
        report.subsets[subset.name].scale = named.scale(scales, findings)
        for stem in sorted(raw[subset.name]):
            if one := named.field(stem, origins, report.groups, report.subsets[subset.name].scale, findings):
                report.add(one)
                writer.add(named.table, one)
            done += 1
            if progress:
                progress(done, total)
    _conclude(request, report, writer)
    return report


def _require_apart(request: Request) -> None:
    if request.out.resolve().is_relative_to(request.release.resolve()):
        raise UsageError(
            f"{request.out} lies in the release. Give a folder elsewhere with {option('out')}: the release stays as it is."
        )


def _read(request: Request, findings: Findings) -> list[Subset]:
    """Read the subsets of a release.

    A general format has one folder instead.
    """
    try:
        return _subsets(request, findings)
    except OSError as error:
        raise InputError(
            f"cannot read {error.filename or request.release}: {file_io.plain(error)}. Check the folder and its permissions."
        ) from error


def _subsets(request: Request, findings: Findings) -> list[Subset]:
    if request.is_release:
        folders = find_subsets(request.release)
        if not folders:
            return [_one(request, findings)]
        for name in SUBSETS:
            if name not in folders and len(folders) > 1:
                findings.add("missing_subset", name)
        return [read_subset(name, folder, findings) for name, folder in folders.items()]
    return [_one(request, findings)]


def _one(request: Request, findings: Findings) -> Subset:
    """Read a folder as one subset under its own name."""
    if not request.release.is_dir():
        raise InputError(
            f"{request.release} is no folder. Name the folder that the data set was unpacked to."
        )
    subset = read_subset(plain(request.release.resolve().name) or "imported", request.release, findings)
    if kinds := FILES.get(request.format):
        subset.labels = [each for each in subset.labels if each.kind in kinds]
    if not subset.labels:
        packed = " ".join(findings.sentences(Kind.LEFT_OUT))
        looked = f"subsets such as {SUBSETS[0]}, or labels" if request.is_release else "labels of this format"
        raise InputError(
            f"{request.release} holds no {looked}. Unpack all archives of the release into it. {packed}".strip()
        )
    return subset


def _labelled(raw: Mapping[str, Mapping[str, RawPicture]], request: Request) -> tuple[str, ...]:
    """Return the cell classes that were annotated."""
    if request.is_release:
        return (WHITE_CELL,)
    names = {
        plain(box.name if box.name is not None else request.names.get(box.class_id or 0, ""))
        for own in raw.values()
        for picture in own.values()
        for box in (*picture.coco, *picture.text)
    }
    kinds = {CLASSES.get(name, WHITE_CELL) for name in names}
    return tuple(kind for kind in (WHITE_CELL, RED_CELL, "Platelet") if kind in kinds)


def _with_splits(
    subsets: list[Subset], raw: Mapping[str, Mapping[str, RawPicture]], origins: Origins
) -> list[tuple[Origin, str | None]]:
    """Return origin and split of each labelled picture."""
    found = []
    for subset in subsets:
        for stem, picture in raw[subset.name].items():
            split = subset.pictures[stem][1] if stem in subset.pictures else None
            found.append((origins.of(subset.name, stem), split or picture.split))
    return found


def _note_gaps(subset: Subset, raw: Mapping[str, RawPicture], findings: Findings) -> None:
    """Note what a subset lacks."""
    if not subset.labels and not subset.pictures:
        findings.add("empty_subset", subset.name)
    elif subset.labels:
        kinds = {each.kind for each in subset.labels}
        if "coco" not in kinds and "voc" not in kinds:
            findings.add("no_coco", subset.name)
        elif "text" not in kinds:
            findings.add("no_text", subset.name)
    for stem in sorted(subset.pictures.keys() - raw.keys()):
        findings.add("unlabelled_picture", f"{subset.name}/{subset.pictures[stem][0].name}")
    for stem in sorted(raw.keys() - subset.pictures.keys()):
        findings.add("missing_picture", f"{subset.name}/{stem}")


@dataclass(frozen=True, slots=True)
class _Named:
    """A subset on its way from raw labels to fields."""

    request: Request
    subset: Subset
    raw: Mapping[str, RawPicture]
    ids: Mapping[int, str]

    @property
    def magnification(self) -> str:
        if not self.request.is_release:
            return self.request.magnification
        if named := SUBSET.match(self.subset.name):
            return f"{named['magnification']}x"
        powers = {stem.split("_")[-2] for stem in self.raw if stem.count("_") >= 3}
        return {"400": "40x", "100": "10x"}.get(next(iter(powers)), "100x") if len(powers) == 1 else "100x"

    @property
    def table(self) -> str:
        """Name of the subset's table of fields."""
        return f"{SOURCE}-{self.magnification}" if self.request.is_release else self.subset.name

    def scale(self, scales: Scales, findings: Findings) -> Scale | None:
        """Return the scale of the subset.

        None if it has no picture with labels.
        """
        there = sorted(self.subset.pictures.keys() & self.raw.keys())
        paths = [self.subset.pictures[stem][0] for stem in there]
        return scales.of(self.subset.name, self.magnification, paths, findings) if paths else None

    def field(
        self,
        stem: str,
        origins: Origins,
        groups: Mapping[str, Group],
        scale: Scale | None,
        findings: Findings,
    ) -> ImportedField | None:
        """Return a picture with its cells; None if it is left out."""
        if stem not in self.subset.pictures or scale is None:
            return None
        picture, (path, _) = self.raw[stem], self.subset.pictures[stem]
        where = f"{self.subset.name}/{path.name}"
        try:
            image = read_picture(path).pixels
        except InputError:
            findings.add("picture", where)
            return None
        size = (image.shape[1], image.shape[0])
        if picture.size not in (None, size) and picture.coco:
            findings.add("size", where)
            return None
        origin = origins.of(self.subset.name, stem)
        if not origin.patient:
            findings.add("file_name", where)
        sized = self.request.is_release and self.magnification == "100x"
        reading = Reading(self.ids, sized, open_vocabulary=not self.request.is_release)
        cells = cells_of(replace(picture, size=size), size, reading, where, findings)
        patch = patch_of(picture, size)
        one = ImportedField(
            self.subset.name, path, image, scale, origin, groups[origin.group].split, cells, patch
        )
        if patch:
            findings.add("patch", where)
        elif self.request.is_release or not self.request.complete:
            findings.add("incomplete", where)
        findings.add("edge", where, sum(bool(each.label) and one.cut(each) for each in cells))
        return one


def _conclude(request: Request, report: ImportReport, writer: Writer) -> None:
    """Write the tables, unless nothing was imported."""
    findings = report.findings
    findings.add("recurring", times=sum(n for n in report.names.values() if n > 1))
    report.cells = len(writer.rows)
    if not report.fields:
        told = " ".join(findings.sentences(Kind.UNREADABLE)) or "No picture has labels."
        raise InputError(f"nothing of {request.release} could be imported. {told}")
    writer.finish(report.as_json())
