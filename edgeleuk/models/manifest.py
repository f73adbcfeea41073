"""Parsing and validation of the model manifest, `model.json`.

Names of classes, types and attributes, scales, thresholds and every other number that a network's result
depends on are in that file and nowhere in code. The constants here are defaults for models of schema 1 whose
manifests lack these values: such models load, and give the same results as before. Training and publishing
start from the same values.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgeleuk.models import _values as checked
from edgeleuk.models.microscope import Microscope
from edgeleuk.statistics.bounds import Missed, group_kind
from edgeleuk.statistics.correction import Confusion
from edgeleuk.statistics.likeness import HealthyCells
from edgeleuk.types import PLATELET, RED_CELL, UNCLASSIFIED, WHITE_CELL

NORMALISATIONS = ("density",)
"""Supported normalisations of a reader's crop, besides none."""
VIEWS = (1, 2, 4)
"""Numbers of quarter turns that a reader can average over."""
CELL_CLASSES = (WHITE_CELL, RED_CELL, PLATELET)
"""Cell classes that a finder's classes can map to.

A class that maps to none of them keeps its own name.
"""


@dataclass(frozen=True, slots=True)
class Density:
    """Normalisation of a crop by optical density.

    See `reader.prepare`.
    """

    dark: float
    white: float
    """Shares of pixels below the dark and the white level.

    A nucleus fills more than the first share, and even among packed red cells some background lies above the
    second.
    """
    min_contrast: float
    """Minimum optical density between both levels.

    A smaller range is not stretched to full contrast.
    """
    most_dense: float
    """Upper limit of the stretched density."""

    def __post_init__(self) -> None:
        if not 0 <= self.dark < self.white <= 1:
            raise ValueError(
                f"input.density is dark {self.dark} and white {self.white}, not two rising shares"
            )


@dataclass(frozen=True, slots=True)
class Tiling:
    """Tile sizes for large pictures, in finder pixels.

    See `tiling`.
    """

    largest: int
    """Maximum area of a tile, pixels.

    The memory of a network's layers grows with it: 110 MB for 768 x 768.
    """
    overlap: int
    """Overlap of neighbouring tiles, pixels.

    It is larger than the largest cell, so that every cell lies whole in some tile: 32 um are 128 at 0.25 um
    per pixel.
    """
    alignment: int
    """Tiles start on multiples of this number of pixels.

    The network's grid then lies on the picture as it would without tiling.
    """
    seam: int
    """Overlap of the areas that neighbouring tiles report, pixels.

    Two tiles may place one cell a little differently.
    """

    def __post_init__(self) -> None:
        least = (2 * self.overlap + self.alignment) * (self.overlap + self.alignment)
        if self.largest < least or self.overlap < 2 * self.seam:
            raise ValueError(
                f"tiling has tiles of {self.largest} pixels, too small to overlap by {self.overlap}"
            )


UM_PER_PX = (0.001, 100.0)
"""Allowed range of a scale, um per pixel.

It is far wider than any objective needs; outside, a picture would be resampled to a size that no memory
holds.
"""
TEMPERATURES = (0.001, 1000.0)
"""Allowed range of a calibration temperature.

Outside, probabilities would not be finite.
"""
CAMERAS_UM_PER_PX = (0.031, 0.138)
"""Default sampling range of cameras, um per pixel.

It is that of a 100x objective (`objectives.OBJECTIVES`).
"""
RED_CELL_BOX_UM = 7.78
"""Default side of the finder's box around a red cell, um.

Annotators' boxes are larger than the cell: over the txl_train fields the median side of whole boxes is 1.08
times the median over all boxes, whose scale agrees with the 0.102 um per pixel known of the CellaVision
fields among them.
"""
SAME_THING_IOU = 0.75
NESTED_SHARE = 0.9
"""Share of a nested box from which new finders merge it.

New finders are published with this value; older models count each nested box, as they always did.

Annotators' boxes of cells that touch share 0.39 of the smaller at most (3,499 white cells of four data sets,
7 pairs on cells that were annotated twice apart). Of 60 pairs found on 272 fields of five 40x slides that
share 0.3 or more, the 47 from 0.94 on were one cell, or a box around several cells that had boxes of their
own; the 9 below 0.8 were different objects.
"""
MAX_CANDIDATES = 12_000
TILING = Tiling(largest=768 * 768, overlap=128, alignment=32, seam=8)
DENSITY = Density(dark=0.03, white=0.95, min_contrast=0.15, most_dense=1.3)
LARGEST_UM = {"platelet": 7.2, "giant_platelet": 7.2, "platelet_clump": 7.2}
"""Default maximum box side of cell types, um.

A platelet as large as a red cell is a giant one and rare (Palmer et al., ICSH recommendations for the
standardization of nomenclature and grading of peripheral blood cell morphological features, Int J Lab Hematol
2015;37:287-303). Choice of this project: readers confidently took small lymphocytes from a laboratory unseen
in training for platelets.
"""
MATURE = ("neutrophil", "eosinophil", "basophil", "lymphocyte", "monocyte")
GROUPS = {
    "blast_like": (
        "blast", "lymphoblast", "monoblast", "myeloblast", "abnormal_promyelocyte", "promyelocyte", "promonocyte",
    ),
    "lymphoid": ("lymphocyte", "atypical_lymphocyte"),
    "granulocytic": (
        "neutrophil", "band", "metamyelocyte", "myelocyte", "immature_granulocyte", "eosinophil", "basophil",
    ),
    "monocyte": ("monocyte",),
}  # fmt: skip
BLAST_LIKE = "blast_like"
"""Key of the blast-like types in GROUPS."""
POSSIBLE_FROM = 0.01
"""Minimum probability at which an unrecognised cell may be a type.

This project's choice: at one in a hundred few held-out cells of a type are missed (`reader.possible` has
them), and most cells of other types are excluded.
"""
FLAG_VALUES = ("no", "yes")
"""Values of an attribute that is a flag."""
TOLD_BY_LABEL = {"neutrophil_stage": {"band neutrophil": "band", "segmented neutrophil": "segmented"}}


@dataclass(frozen=True, slots=True)
class FinderManifest:
    """The part "finder" of model.json.

    Classes have the program's own names, see `finder.cell_classes`.
    """

    path: Path
    sha256: str
    um_per_px: float
    stride: int
    multiple: int
    """Divisor to which input height and width are padded."""
    pad: float
    """Pixel value of the padding, 0 to 1."""
    classes: tuple[str, ...]
    """Class names in the network's output order."""
    thresholds: Mapping[str, float]
    cameras: tuple[float, float]
    """Sampling of the objective's cameras, um per pixel.

    Finest, then coarsest: the range where the scale is searched first.
    """
    counted_to: Mapping[str, float]
    """Coarsest scale at which each class is counted, um per pixel.

    0 for a class that is never counted; absent for one that is always counted.
    """
    red_cell_box_um: float
    """Side of the finder's box around a red cell, um.

    It is that of a whole red cell of `types.RED_CELL_UM`.
    """
    max_candidates: int
    """Maximum number of a tile's candidates passed to suppression.

    A monolayer gives 3000 in the largest tile, nine for each cell, and a crowded field twice as many: with a
    smaller limit its faintest cells are lost.
    """
    nms_iou: float
    """Maximum IoU of two boxes of one class.

    Beyond it they are one object.
    """
    same_thing_iou: float
    """Maximum IoU of two boxes of different classes.

    Beyond it they are one object, named by the better score.
    """
    nested_share: float | None
    """Minimum share of a nested white-cell box that makes it a duplicate.

    The box with the better score is kept. None where nested boxes are kept.
    """
    tiling: Tiling
    raw: Mapping[str, Any]
    """The part as written, with figures, data, recipe and commit."""


@dataclass(frozen=True, slots=True)
class PartFile:
    """File beside a reader's network: its head or its guard cells."""

    path: Path
    sha256: str


@dataclass(frozen=True, slots=True)
class KnownCells:
    """Known cells of a reader, see `known`."""

    file: PartFile
    least: float
    """Minimum mean familiarity of a slide from a learnt laboratory."""
    cells: int
    """Minimum number of white cells for that mean."""


@dataclass(frozen=True, slots=True)
class UnknownLaboratory:
    """Errors in laboratories that networks of the same recipes never saw."""

    accuracy: float
    """Share of the recognised cells that were right."""
    false_positive_rates: Mapping[str, Mapping[str, Any]]
    confusion: Confusion
    missed: Mapping[str, Missed]


@dataclass(frozen=True, slots=True)
class ReaderManifest:
    """The part "reader" of model.json."""

    path: Path
    sha256: str
    head: PartFile | None
    """Head that maps the network's features to logits, see `heads`.

    None where the network returns logits.
    """
    guard: PartFile | None
    """Guard cells, see `guard`; None if the model has none."""
    known: KnownCells | None
    """Known cells; None if the model does not tell unfamiliar slides."""
    unknown_laboratory: UnknownLaboratory | None
    """Errors on unfamiliar slides; None where not measured."""
    um_per_px: float
    size: int
    density: Density | None
    """Normalisation of a crop; None for plain levels."""
    views: int
    """Number of quarter turns to average: 1, 2 or 4.

    A cell has no upright orientation, and the mean of several turns of a crop is more accurate.
    """
    labels: tuple[str, ...]
    """Printed types; all measurements and settings refer to these."""
    printed: Mapping[str, str]
    """Printed label of each network type, in output order.

    Several types may share one label.
    """
    largest_um: Mapping[str, float]
    """Maximum box side of each type, um.

    The type's probability is 0 in a larger box.
    """
    merge: Mapping[str, str]
    """Labels printed for further type names of the data."""
    mature: tuple[str, ...]
    """Cell types of the five-part differential.

    They have the names of the data; evaluation calls them mature cells.
    """
    groups: Mapping[str, tuple[str, ...]]
    """Groups of types for naming a slide's leading group.

    The names that annotators and readers use within a group do not matter.
    """
    temperature: float
    threshold: float
    """Minimum calibrated probability of a recognised cell.

    A cell whose best type is below it is unclassified.
    """
    attributes: Mapping[str, tuple[str, ...]]
    attribute_thresholds: Mapping[str, float]
    attributes_assessed_on: frozenset[str]
    """Types whose cells had attribute labels in training.

    On other types an attribute is never called sure.
    """
    told_by_label: Mapping[str, Mapping[str, str]]
    """Attribute values implied by annotators' type names.

    By attribute, then by name in lower case and singular.
    """
    false_positive_rates: Mapping[str, Mapping[str, Any]]
    """False positives of each type or group on held-out cells.

    Of `cells` cells of other types, `errors` were read as this one.
    """
    subtypes: Mapping[str, str]
    """Attribute that is the second level of each type.

    An example is a neutrophil's stage: it is read on that type only.
    """
    confusion: Confusion | None
    """Confusion of held-out cells; None where not measured."""
    possible_from: float
    """Minimum probability at which an unrecognised cell may be a type."""
    missed: Mapping[str, Missed]
    """Missed held-out cells by type or `bounds.group_kind`.

    These are cells that were neither recognised as the type nor left possible.
    """
    flags: tuple[str, ...]
    """Attributes that flag a cell, whatever its type.

    A laboratory taught them, such as a parasite. They are assessed on every cell and change no type.
    """
    microscope: Microscope | None
    """Microscope that the reader was adapted or taught for; None for any."""
    healthy: tuple[HealthyCells, ...]
    """Blast-likeness of cells on healthy slides.

    First from the training laboratories, then also from unseen ones; empty where not measured.
    """
    raw: Mapping[str, Any]

    @property
    def types(self) -> tuple[str, ...]:
        """Types that the network distinguishes, in output order."""
        return tuple(self.printed)

    @property
    def blast_like(self) -> tuple[str, ...]:
        """Types that make a slide blast-like."""
        return self.groups.get(BLAST_LIKE, ())


def finder_manifest(folder: Path, part: Mapping[str, Any]) -> FinderManifest:
    """Parse the part "finder" of a manifest.

    Raises:
        KeyError: A value is missing.
        TypeError: A value has the wrong type.
        ValueError: A value is out of range.
    """
    own = _cell_classes(checked.names(part["classes"]), part.get("cell_classes", {}))
    return FinderManifest(
        path=checked.inside(folder, part["file"]),
        sha256=checked.text(part["sha256"]),
        um_per_px=checked.within(*UM_PER_PX, part["um_per_px"]),
        stride=checked.count(part["stride"]),
        multiple=checked.count(part["input"]["multiple"]),
        pad=checked.share(part["input"]["pad"]),
        classes=tuple(own.values()),
        thresholds={own[name]: checked.share(part["thresholds"][name]) for name in own},
        cameras=checked.span(part.get("cameras_um_per_px", CAMERAS_UM_PER_PX)),
        counted_to={
            own[name]: checked.not_negative(limit)
            for name, limit in part.get("counted_to", {}).items()
            if name in own
        },
        red_cell_box_um=checked.positive(part.get("red_cell_box_um", RED_CELL_BOX_UM)),
        max_candidates=checked.count(part.get("max_candidates", MAX_CANDIDATES)),
        nms_iou=checked.share(part["nms_iou"]),
        same_thing_iou=checked.share(part.get("same_thing_iou", SAME_THING_IOU)),
        nested_share=checked.share(part["nested_share"]) if "nested_share" in part else None,
        tiling=_tiling(part["tiling"]) if "tiling" in part else TILING,
        raw=part,
    )


def reader_manifest(folder: Path, part: Mapping[str, Any]) -> ReaderManifest:
    """Parse the part "reader" of a manifest.

    Raises:
        KeyError: A value is missing.
        TypeError: A value has the wrong type.
        ValueError: A value is out of range.
    """
    attributes = {name: checked.names(values) for name, values in part["attributes"].items()}
    labels = checked.names(part["labels"])
    printed = _printed(part, labels)
    return ReaderManifest(
        path=checked.inside(folder, part["file"]),
        sha256=checked.text(part["sha256"]),
        head=_file(folder, part["head"]) if "head" in part else None,
        guard=_file(folder, part["guard"]) if "guard" in part else None,
        known=_known(folder, part["known"]) if "known" in part else None,
        unknown_laboratory=_unknown(part["unknown_laboratory"], labels)
        if "unknown_laboratory" in part
        else None,
        um_per_px=checked.within(*UM_PER_PX, part["um_per_px"]),
        size=checked.count(part["input"]["size"]),
        density=_density(part["input"]),
        views=_views(part["input"].get("views", 1)),
        labels=labels,
        printed=printed,
        largest_um={
            label: checked.positive(um)
            for label, um in part.get("largest_um", LARGEST_UM).items()
            if label in labels
        },
        merge={type_: label for type_, label in printed.items() if type_ != label}
        | {name: printed.get(as_, as_) for name, as_ in checked.texts(part["merge"]).items()},
        mature=checked.names(part.get("mature", MATURE)),
        groups={name: checked.names(types) for name, types in part.get("groups", GROUPS).items()},
        temperature=checked.within(*TEMPERATURES, part["temperature"]),
        threshold=checked.share(part["threshold"]),
        attributes=attributes,
        attribute_thresholds={name: checked.share(part["attribute_thresholds"][name]) for name in attributes},
        attributes_assessed_on=frozenset(part["attributes_assessed_on"]),
        told_by_label=_told_by_label(part.get("told_by_label", TOLD_BY_LABEL), attributes),
        false_positive_rates=_rates(part["false_positive_rates"]),
        subtypes=_subtypes(part.get("subtypes", {}), labels, attributes),
        confusion=_confusion(part["confusion"], labels) if "confusion" in part else None,
        possible_from=checked.share(part.get("possible", {}).get("from", POSSIBLE_FROM)),
        missed=_missed(part.get("possible", {})),
        flags=_flags(part.get("flags", []), attributes),
        microscope=Microscope.of(part["microscope"]) if "microscope" in part else None,
        healthy=tuple(_healthy(each) for each in part.get("healthy", [])),
        raw=part,
    )


def _cell_classes(classes: tuple[str, ...], stands_for: Mapping[str, Any]) -> dict[str, str]:
    """Return the program's name of each network class, in order."""
    for name, own in stands_for.items():
        if name not in classes or own not in CELL_CLASSES:
            raise ValueError(
                f"cell_classes have {name!r}: {own!r}, not one of the classes and {', '.join(CELL_CLASSES)}"
            )
    translated = {name: checked.text(stands_for.get(name, name)) for name in classes}
    if len(set(translated.values())) < len(translated):
        raise ValueError(f"two classes stand for one: {', '.join(translated.values())}")
    return translated


def _file(folder: Path, value: Mapping[str, Any]) -> PartFile:
    return PartFile(checked.inside(folder, value["file"]), checked.text(value["sha256"]))


def _known(folder: Path, value: Mapping[str, Any]) -> KnownCells:
    return KnownCells(_file(folder, value), checked.share(value["least"]), checked.count(value["cells"]))


def _unknown(value: Mapping[str, Any], labels: Collection[str]) -> UnknownLaboratory:
    return UnknownLaboratory(
        checked.share(value["accuracy"]),
        _rates(value["false_positive_rates"]),
        _confusion(value["confusion"], labels),
        _missed(value["possible"]),
    )


def _rates(value: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    return {
        name: {
            "errors": int(rate["errors"]),
            "cells": int(rate["cells"]),
            "labels": checked.names(rate["labels"]) if "labels" in rate else (),
        }
        for name, rate in value.items()
    }


def _printed(part: Mapping[str, Any], labels: Collection[str]) -> dict[str, str]:
    """Return the label of each type, in the network's order.

    Without "types" in the manifest the labels are the types.
    """
    types = checked.names(part.get("types", labels))
    coarser = checked.texts(part.get("printed", {}))
    if unknown := sorted({*coarser} - {*types}):
        raise ValueError(f"printed has {unknown[0]!r}, not one of the types")
    printed = {name: coarser.get(name, name) for name in types}
    if differing := sorted({*printed.values()} ^ {*labels}):
        raise ValueError(f"labels and printed types do not match: {', '.join(differing)}")
    return printed


def _tiling(value: Mapping[str, Any]) -> Tiling:
    sides = {name: checked.count(value[name]) for name in ("largest", "overlap", "alignment")}
    return Tiling(**sides, seam=checked.count(value["seam"], least=0))


def _density(value: Mapping[str, Any]) -> Density | None:
    """Parse the density normalisation of a reader's input."""
    if (way := value.get("normalise")) is None:
        return None
    if way not in NORMALISATIONS:
        raise ValueError(f"input normalisation {way!r} is unknown; known: {', '.join(NORMALISATIONS)}")
    if (given := value.get("density")) is None:
        return DENSITY
    return Density(
        dark=checked.share(given["dark"]),
        white=checked.share(given["white"]),
        min_contrast=checked.positive(given["min_contrast"]),
        most_dense=checked.positive(given["most_dense"]),
    )


def _views(value: Any) -> int:
    if checked.count(value) not in VIEWS:
        raise ValueError(f"input views {value!r} is not {', '.join(map(str, VIEWS))}")
    return int(value)


def _told_by_label(
    value: Mapping[str, Any], attributes: Mapping[str, Collection[str]]
) -> dict[str, dict[str, str]]:
    """Parse the entries of attributes that the reader has."""
    told = {name: checked.texts(by) for name, by in value.items() if name in attributes}
    for name, by in told.items():
        if unknown := sorted({*by.values()} - {*attributes[name]}):
            raise ValueError(f"told_by_label has {unknown[0]!r}, not a value of {name}")
    return told


def _subtypes(value: Any, labels: Collection[str], attributes: Collection[str]) -> dict[str, str]:
    for label, name in value.items():
        if label not in labels or name not in attributes:
            raise ValueError(f"subtypes have {label!r}: {name!r}, not a label and an attribute")
    return dict(value)


def _flags(value: Any, attributes: Mapping[str, Collection[str]]) -> tuple[str, ...]:
    flags = checked.names(value) if value else ()
    if unknown := [name for name in flags if tuple(attributes.get(name, ())) != FLAG_VALUES]:
        raise ValueError(f"flags has {unknown[0]!r}, which is no attribute of no and yes")
    return flags


def _healthy(value: Mapping[str, Any]) -> HealthyCells:
    numbers = {
        name: tuple(checked.share(each) for each in value[name]) for name in ("probabilities", "shares")
    }
    return HealthyCells(
        checked.text(value["of"]),
        numbers["probabilities"],
        numbers["shares"],
        checked.share(value["not_recognised"]),
    )


def _missed(value: Mapping[str, Any]) -> dict[str, Missed]:
    """Parse missed cells of single types and of groups.

    Groups name the types that they were measured for.
    """
    single = {name: _missed_of(each, ()) for name, each in value.get("missed", {}).items()}
    groups = {
        group_kind(key): _missed_of(each, checked.names(each["labels"]))
        for key, each in value.get("missed_groups", {}).items()
    }
    return single | groups


def _missed_of(value: Mapping[str, Any], labels: tuple[str, ...]) -> Missed:
    return Missed(checked.count(value["missed"], least=0), checked.count(value["cells"], least=0), labels)


def _confusion(value: Mapping[str, Any], labels: Collection[str]) -> Confusion:
    read = checked.names(value["read"])
    if {*read} != {*labels, UNCLASSIFIED}:
        raise ValueError(f"confusion.read is {', '.join(read)}: not the reader's labels and {UNCLASSIFIED!r}")
    counts = tuple(tuple(checked.count(cells, least=0) for cells in row) for row in value["counts"])
    return Confusion(checked.text(value["of"]), checked.names(value["labels"]), read, counts)
