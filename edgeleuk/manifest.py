"""The manifest of a model, `model.json`: what the runtime needs of it, checked value by value.

Names of classes, types and attributes, scales and thresholds live in that file and nowhere in code.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from math import inf
from pathlib import Path
from typing import Any

from edgeleuk.correction import Confusion
from edgeleuk.types import UNCLASSIFIED

CAMERAS_100X = (0.031, 0.138)
"""um per pixel behind a 100x objective, where a manifest does not say (`microscope.OBJECTIVES`)."""

NORMALISATIONS = ("density",)
"""Ways to prepare a reader's crop that this program knows, besides none."""

LARGEST_UM = {"platelet": 7.2, "giant_platelet": 7.2, "platelet_clump": 7.2}
"""What no box above so many micrometres holds, by type, where a manifest does not say.

A platelet as large as a red cell is a giant one and rare (Palmer et al., ICSH recommendations for the standardization of
nomenclature and grading of peripheral blood cell morphological features, Int J Lab Hematol 2015;37:287-303). Choice of
this project: readers took the small lymphocytes of a laboratory that they never saw for platelets, and were sure of it.
"""

VIEWS = (1, 2, 4)
"""Quarter turns that a reader can average over."""


@dataclass(frozen=True, slots=True)
class FinderManifest:
    """The [finder] part of model.json."""

    path: Path
    sha256: str
    um_per_px: float
    stride: int
    multiple: int
    """Input height and width are padded to a multiple of this."""
    pad: float
    """Value of the padding, 0 to 1."""
    classes: tuple[str, ...]
    thresholds: Mapping[str, float]
    cameras: tuple[float, float]
    """Finest and coarsest sampling of the cameras behind its objective, um per pixel: where the scale is sought first."""
    counted_to: Mapping[str, float]
    """By class, the coarsest picture it is counted in, um per pixel; 0 for none, absent for all."""
    nms_iou: float
    raw: Mapping[str, Any]
    """The part as written, with figures, data, recipe and commit."""


@dataclass(frozen=True, slots=True)
class ReaderManifest:
    """The [reader] part of model.json."""

    path: Path
    sha256: str
    um_per_px: float
    size: int
    normalise: str | None
    """How a crop is prepared; None for levels as they are."""
    views: int
    """Quarter turns of a crop that are read, 1, 2 or 4: a cell has no upright, and the mean of several is nearer the truth."""
    labels: tuple[str, ...]
    largest_um: Mapping[str, float]
    """By type, the side of the largest box that can hold it, um; the probability of it is 0 in a larger one."""
    merge: Mapping[str, str]
    """Type names of the data that this reader does not tell apart, to the type it reads them as."""
    temperature: float
    threshold: float
    """Calibrated probability of the best type below which a cell is unclassified."""
    attributes: Mapping[str, tuple[str, ...]]
    attribute_thresholds: Mapping[str, float]
    attributes_assessed_on: frozenset[str]
    """Types whose cells carried attribute labels in training; on others an attribute is never called sure."""
    false_positive_rates: Mapping[str, Mapping[str, int]]
    """By type: of so many held-out `cells` of other types, so many `errors` were read as it."""
    subtypes: Mapping[str, str]
    """The attribute that is the second level of a type, such as a neutrophil's stage: read on that type only."""
    confusion: Confusion | None
    """What held-out cells were read as; None where that was not measured."""
    raw: Mapping[str, Any]


def finder_manifest(folder: Path, part: Mapping[str, Any]) -> FinderManifest:
    """The part "finder" of a manifest; KeyError, TypeError or ValueError where it is malformed."""
    classes = _names(part["classes"])
    return FinderManifest(
        path=inside(folder, part["file"]),
        sha256=text(part["sha256"]),
        um_per_px=_positive(part["um_per_px"]),
        stride=_count(part["stride"]),
        multiple=_count(part["input"]["multiple"]),
        pad=_share(part["input"]["pad"]),
        classes=classes,
        thresholds={name: _share(part["thresholds"][name]) for name in classes},
        cameras=_range(part.get("cameras_um_per_px", CAMERAS_100X)),
        counted_to={
            name: _not_negative(limit)
            for name, limit in part.get("counted_to", {}).items()
            if name in classes
        },
        nms_iou=_share(part["nms_iou"]),
        raw=part,
    )


def reader_manifest(folder: Path, part: Mapping[str, Any]) -> ReaderManifest:
    """The part "reader" of a manifest; errors as `finder_manifest`."""
    attributes = {name: _names(values) for name, values in part["attributes"].items()}
    labels = _names(part["labels"])
    return ReaderManifest(
        path=inside(folder, part["file"]),
        sha256=text(part["sha256"]),
        um_per_px=_positive(part["um_per_px"]),
        size=_count(part["input"]["size"]),
        normalise=_normalisation(part["input"].get("normalise")),
        views=_views(part["input"].get("views", 1)),
        labels=labels,
        largest_um={
            label: _positive(um)
            for label, um in part.get("largest_um", LARGEST_UM).items()
            if label in labels
        },
        merge={name: text(label) for name, label in part["merge"].items()},
        temperature=_positive(part["temperature"]),
        threshold=_share(part["threshold"]),
        attributes=attributes,
        attribute_thresholds={name: _share(part["attribute_thresholds"][name]) for name in attributes},
        attributes_assessed_on=frozenset(part["attributes_assessed_on"]),
        false_positive_rates={
            name: {"errors": int(rate["errors"]), "cells": int(rate["cells"])}
            for name, rate in part["false_positive_rates"].items()
        },
        subtypes=_subtypes(part.get("subtypes", {}), labels, attributes),
        confusion=_confusion(part["confusion"], labels) if "confusion" in part else None,
        raw=part,
    )


def inside(folder: Path, name: str) -> Path:
    """A file of the model folder by its plain name; ValueError for any other path."""
    if name in ("", "..") or Path(name).name != name:
        raise ValueError(f"file {name!r} is not a plain name inside the model folder")
    return folder / name


def text(value: Any) -> str:
    """`value`; TypeError where it is no text."""
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is not a text")
    return value


def _normalisation(value: Any) -> str | None:
    if value not in (None, *NORMALISATIONS):
        raise ValueError(f"input normalisation {value!r} is unknown; known: {', '.join(NORMALISATIONS)}")
    return value if value is None else text(value)


def _views(value: Any) -> int:
    if _count(value) not in VIEWS:
        raise ValueError(f"input views {value!r} is not {', '.join(map(str, VIEWS))}")
    return int(value)


def _subtypes(value: Any, labels: Collection[str], attributes: Collection[str]) -> dict[str, str]:
    for label, name in value.items():
        if label not in labels or name not in attributes:
            raise ValueError(f"subtypes have {label!r}: {name!r}, not a label and an attribute")
    return dict(value)


def _confusion(value: Mapping[str, Any], labels: Collection[str]) -> Confusion:
    read = _names(value["read"])
    if {*read} != {*labels, UNCLASSIFIED}:
        raise ValueError(f"confusion.read is {', '.join(read)}: not the reader's labels and {UNCLASSIFIED!r}")
    counts = tuple(tuple(_count(cells, least=0) for cells in row) for row in value["counts"])
    return Confusion(text(value["of"]), _names(value["labels"]), read, counts)


def _names(value: Any) -> tuple[str, ...]:
    if not isinstance(value, list | tuple) or not value or len(set(map(text, value))) < len(value):
        raise ValueError(f"{value!r} is not a list of different names")
    return tuple(value)


def _positive(value: Any) -> float:
    number = float(value)
    if not 0 < number < inf:
        raise ValueError(f"{value!r} is not a positive number")
    return number


def _range(value: Any) -> tuple[float, float]:
    low, high = map(_positive, value)
    if low > high:
        raise ValueError(f"{value!r} does not run from the smaller to the larger")
    return low, high


def _not_negative(value: Any) -> float:
    number = float(value)
    if not 0 <= number < inf:
        raise ValueError(f"{value!r} is not a number from 0")
    return number


def _share(value: Any) -> float:
    number = float(value)
    if not 0 <= number <= 1:
        raise ValueError(f"{value!r} is not between 0 and 1")
    return number


def _count(value: Any, least: int = 1) -> int:
    if type(value) is not int or value < least:
        raise ValueError(f"{value!r} is not a whole number from {least}")
    return value
