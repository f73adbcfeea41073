"""The manifest of a model, `model.json`: what the runtime needs of it, checked value by value.

Names of classes, types and attributes, scales, thresholds and every other number that a network's result depends on live in
that file and nowhere in code. What stands here in capitals is what models of schema 1 meant that were published before
their manifests said it: they load, and give the results that they always gave. Training and publishing start from the same
values.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgeleuk import _values as checked
from edgeleuk.bounds import Missed, group_kind
from edgeleuk.correction import Confusion
from edgeleuk.likeness import HealthyCells
from edgeleuk.types import PLATELET, RED_CELL, UNCLASSIFIED, WHITE_CELL

NORMALISATIONS = ("density",)
"""Ways to prepare a reader's crop that this program knows, besides none."""
VIEWS = (1, 2, 4)
"""Quarter turns that a reader can average over."""
CELL_CLASSES = (WHITE_CELL, RED_CELL, PLATELET)
"""What a finder's classes can stand for; one that stands for none of them keeps its own name."""


@dataclass(frozen=True, slots=True)
class Density:
    """How a reader's crop is stretched by optical density, see `reader.prepare`."""

    dark: float
    white: float
    """Shares of a crop's pixels below its dark and its white level: a nucleus fills more than the one, and even among
    packed red cells some background is left for the other."""
    min_contrast: float
    """Least optical density between the two levels that is stretched to one."""
    most_dense: float
    """Where stretched density ends."""

    def __post_init__(self) -> None:
        if not 0 <= self.dark < self.white <= 1:
            raise ValueError(
                f"input.density is dark {self.dark} and white {self.white}, not two rising shares"
            )


@dataclass(frozen=True, slots=True)
class Tiling:
    """How a large picture is cut for a finder, in pixels at its scale, see `tiling`."""

    largest: int
    """Pixels of a tile. What a network's layers hold at a time grows with it: 110 MB for 768 x 768."""
    overlap: int
    """More than the largest cell, so that every cell lies whole in some tile: 32 um are 128 at 0.25 um per pixel."""
    alignment: int
    """Tiles start on multiples of it, so that the network's grid lies on the picture as it would in one piece."""
    seam: int
    """By which the shares of neighbouring tiles overlap: two tiles may place one cell a little differently."""

    def __post_init__(self) -> None:
        least = (2 * self.overlap + self.alignment) * (self.overlap + self.alignment)
        if self.largest < least or self.overlap < 2 * self.seam:
            raise ValueError(
                f"tiling has tiles of {self.largest} pixels, too small to overlap by {self.overlap}"
            )


UM_PER_PX = (0.001, 100.0)
"""Far beyond what any objective shows; outside, a picture would be resampled to a size that no memory holds."""
TEMPERATURES = (0.001, 1000.0)
"""Beyond them probabilities are no numbers any more."""
CAMERAS_UM_PER_PX = (0.031, 0.138)
"""Those behind a 100x objective (`microscope.OBJECTIVES`)."""
RED_CELL_BOX_UM = 7.78
"""Annotators' boxes hug no cell: over the txl_train fields the median side of whole boxes is 1.08 times the median over
all boxes, whose scale agrees with the 0.102 um per pixel known of the CellaVision fields among them."""
SAME_THING_IOU = 0.75
NESTED_SHARE = 0.9
"""What new finders are published with; older models count nested boxes each, as they always did.

Of cells that touch, annotators' boxes share 0.39 of the smaller at most (3,499 white cells of four data sets, 7 pairs on
cells that were annotated twice apart). Of 60 pairs found on 272 fields of five 40x slides that share 0.3 or more, the 47
from 0.94 on were one cell, or a box round several that had boxes of their own; the 9 below 0.8 were different things.
"""
MAX_CANDIDATES = 12_000
TILING = Tiling(largest=768 * 768, overlap=128, alignment=32, seam=8)
DENSITY = Density(dark=0.03, white=0.95, min_contrast=0.15, most_dense=1.3)
LARGEST_UM = {"platelet": 7.2, "giant_platelet": 7.2, "platelet_clump": 7.2}
"""A platelet as large as a red cell is a giant one and rare (Palmer et al., ICSH recommendations for the standardization of
nomenclature and grading of peripheral blood cell morphological features, Int J Lab Hematol 2015;37:287-303). Choice of
this project: readers took the small lymphocytes of a laboratory that they never saw for platelets, and were sure of it."""
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
"""Key of GROUPS."""
POSSIBLE_FROM = 0.01
"""A cell that was not recognised may be of a type from this probability on. This project's choice: at one in a hundred few
held-out cells of a type are missed (`reader.possible` has them), and most cells of other types are told from it."""
TOLD_BY_LABEL = {"neutrophil_stage": {"band neutrophil": "band", "segmented neutrophil": "segmented"}}


@dataclass(frozen=True, slots=True)
class FinderManifest:
    """The [finder] part of model.json. Classes have the program's own names, see `finder.cell_classes`."""

    path: Path
    sha256: str
    um_per_px: float
    stride: int
    multiple: int
    """Input height and width are padded to a multiple of this."""
    pad: float
    """Value of the padding, 0 to 1."""
    classes: tuple[str, ...]
    """In the network's order."""
    thresholds: Mapping[str, float]
    cameras: tuple[float, float]
    """Finest and coarsest sampling of the cameras behind its objective, um per pixel: where the scale is sought first."""
    counted_to: Mapping[str, float]
    """By class, the coarsest picture it is counted in, um per pixel; 0 for none, absent for all."""
    red_cell_box_um: float
    """Side of the box that it draws around a whole red cell of `types.RED_CELL_UM`, um."""
    max_candidates: int
    """Best candidates of a tile that reach suppression.

    A monolayer gives 3000 in the largest tile, nine for each cell, and a crowded field twice as many: with a smaller limit
    its faintest cells are lost.
    """
    nms_iou: float
    """Overlap of two boxes of one class beyond which they are one thing."""
    same_thing_iou: float
    """Likewise of boxes of different classes; the better score names the thing."""
    nested_share: float | None
    """Share of a white cell's box inside another one from which on both are one cell, and the better score is it; None
    where nested boxes stay."""
    tiling: Tiling
    raw: Mapping[str, Any]
    """The part as written, with figures, data, recipe and commit."""


@dataclass(frozen=True, slots=True)
class HeadFile:
    """Where a reader's head lies, see `heads`."""

    path: Path
    sha256: str


@dataclass(frozen=True, slots=True)
class ReaderManifest:
    """The [reader] part of model.json."""

    path: Path
    sha256: str
    head: HeadFile | None
    """Turns the features that the network gives into logits; None where it gives logits."""
    um_per_px: float
    size: int
    density: Density | None
    """How a crop is prepared; None for levels as they are."""
    views: int
    """Quarter turns of a crop that are read, 1, 2 or 4: a cell has no upright, and the mean of several is nearer the truth."""
    labels: tuple[str, ...]
    """The types that are printed, and all that is measured and set is of."""
    printed: Mapping[str, str]
    """By type of the network, in its order, the label that it is printed as: several may share one."""
    largest_um: Mapping[str, float]
    """By type, the side of the largest box that can hold it, um; the probability of it is 0 in a larger one."""
    merge: Mapping[str, str]
    """Type names of the data that are none of the labels, to the label that this reader prints them as."""
    mature: tuple[str, ...]
    """The types of the five-part differential, by the names of the data: what evaluation calls mature cells."""
    groups: Mapping[str, tuple[str, ...]]
    """What a slide is led by, whatever the names that annotators and readers use within."""
    temperature: float
    threshold: float
    """Calibrated probability of the best type below which a cell is unclassified."""
    attributes: Mapping[str, tuple[str, ...]]
    attribute_thresholds: Mapping[str, float]
    attributes_assessed_on: frozenset[str]
    """Types whose cells carried attribute labels in training; on others an attribute is never called sure."""
    told_by_label: Mapping[str, Mapping[str, str]]
    """By attribute, annotators' names of a type that tell its value, in lower case and singular."""
    false_positive_rates: Mapping[str, Mapping[str, Any]]
    """By type or group: of so many held-out `cells` of other types, so many `errors` were read as it."""
    subtypes: Mapping[str, str]
    """The attribute that is the second level of a type, such as a neutrophil's stage: read on that type only."""
    confusion: Confusion | None
    """What held-out cells were read as; None where that was not measured."""
    possible_from: float
    """Probability of a type from which on a cell that was not recognised may be of it."""
    missed: Mapping[str, Missed]
    """By type or `bounds.group_kind`, held-out cells that were neither recognised as it nor left possible."""
    healthy: tuple[HealthyCells, ...]
    """How blast-like the cells of healthy slides are: at home, then elsewhere; empty where that was not measured."""
    raw: Mapping[str, Any]

    @property
    def types(self) -> tuple[str, ...]:
        """The types that the network tells apart, in its order."""
        return tuple(self.printed)

    @property
    def blast_like(self) -> tuple[str, ...]:
        """The types that make a slide blast-like."""
        return self.groups.get(BLAST_LIKE, ())


def finder_manifest(folder: Path, part: Mapping[str, Any]) -> FinderManifest:
    """The part "finder" of a manifest; KeyError, TypeError or ValueError where it is malformed."""
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
    """The part "reader" of a manifest; errors as `finder_manifest`."""
    attributes = {name: checked.names(values) for name, values in part["attributes"].items()}
    labels = checked.names(part["labels"])
    printed = _printed(part, labels)
    return ReaderManifest(
        path=checked.inside(folder, part["file"]),
        sha256=checked.text(part["sha256"]),
        head=_head(folder, part["head"]) if "head" in part else None,
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
        false_positive_rates={
            name: {
                "errors": int(rate["errors"]),
                "cells": int(rate["cells"]),
                "labels": checked.names(rate["labels"]) if "labels" in rate else (),
            }
            for name, rate in part["false_positive_rates"].items()
        },
        subtypes=_subtypes(part.get("subtypes", {}), labels, attributes),
        confusion=_confusion(part["confusion"], labels) if "confusion" in part else None,
        possible_from=checked.share(part.get("possible", {}).get("from", POSSIBLE_FROM)),
        missed=_missed(part.get("possible", {})),
        healthy=tuple(_healthy(each) for each in part.get("healthy", [])),
        raw=part,
    )


def _cell_classes(classes: tuple[str, ...], stands_for: Mapping[str, Any]) -> dict[str, str]:
    """The program's name of each of a network's classes, in their order."""
    for name, own in stands_for.items():
        if name not in classes or own not in CELL_CLASSES:
            raise ValueError(
                f"cell_classes have {name!r}: {own!r}, not one of the classes and {', '.join(CELL_CLASSES)}"
            )
    translated = {name: checked.text(stands_for.get(name, name)) for name in classes}
    if len(set(translated.values())) < len(translated):
        raise ValueError(f"two classes stand for one: {', '.join(translated.values())}")
    return translated


def _head(folder: Path, value: Mapping[str, Any]) -> HeadFile:
    return HeadFile(checked.inside(folder, value["file"]), checked.text(value["sha256"]))


def _printed(part: Mapping[str, Any], labels: Collection[str]) -> dict[str, str]:
    """The label of each type, in the network's order; without "types" the labels are the types."""
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
    """What the part "input" of a reader says of density."""
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
    """Those of the attributes that the reader has."""
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
    """Of single types, and of groups with the types that they were measured for."""
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
