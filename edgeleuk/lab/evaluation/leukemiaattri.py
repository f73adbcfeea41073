"""Evaluation on an imported LeukemiaAttri, as its papers report it.

Detection with all 14 types by subset, attributes by subset, and models that learnt from some subsets on others. An
unlabelled cell that is found counts as wrong, as in the papers, though the annotation is incomplete.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgeleuk.differential.rules import Rules
from edgeleuk.errors import InputError, UsageError
from edgeleuk.lab.evaluation.cells import ReaderReport, evaluate_reader
from edgeleuk.lab.evaluation.coco import Labelled, average_precision
from edgeleuk.lab.evaluation.datasets import (
    CellSample,
    FieldSample,
    annotated_scales,
    load_cells,
    load_fields,
    of_split,
)
from edgeleuk.lab.evaluation.fields import read_field
from edgeleuk.lab.evaluation.kinds import CoarseLabels, Vocabulary, shipped
from edgeleuk.models.registry import Model
from edgeleuk.networks.finder import Finder
from edgeleuk.networks.reader import Reader
from edgeleuk.system import file_io
from edgeleuk.system.wording import command, option
from edgeleuk.types import WHITE_CELL, Boxes, Image, Scale

TABLES = "leukemiaattri-*_{split}.json"
NONE = "none"
FIND_FROM = 0.02
"""Minimum score of a white cell that is read."""
FLOOR = 0.005
"""Minimum score of a detection: that of the cell times the probability of the type."""
MOST_READ = 300
"""Maximum number of white cells of a field that are read, best first."""

Progress = Callable[[int, int], None]
"""Called with the fields done and their total."""


@dataclass(frozen=True, slots=True)
class Typed:
    """Boxes of one field with their types."""

    boxes: Boxes
    labels: tuple[str, ...]
    scores: NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class SubsetResult:
    """Results of one model on one subset."""

    fields: int
    seen: bool
    """Whether the model learnt from other patients of this subset."""
    by_type: Mapping[str, tuple[float, float]]
    """AP50 and AP50-95 of each annotated type."""
    white: tuple[float, float] | None
    """AP50 and AP50-95 of white cells of any type."""
    reader: ReaderReport | None

    @property
    def map50(self) -> float | None:
        """Mean AP at IoU 0.5 over the annotated types."""
        return _mean([ap50 for ap50, _ in self.by_type.values()])

    @property
    def map(self) -> float | None:
        """Mean AP at IoU 0.50 to 0.95 over the annotated types."""
        return _mean([ap for _, ap in self.by_type.values()])

    def as_json(self) -> dict[str, Any]:
        read = self.reader
        return {
            "fields": self.fields,
            "seen_in_training": self.seen,
            "map50": self.map50,
            "map": self.map,
            "types": {name: {"ap50": ap50, "ap": ap} for name, (ap50, ap) in self.by_type.items()},
            "white_cells": {"ap50": self.white[0], "ap": self.white[1]} if self.white else None,
            "type_accuracy": read.readings.as_json()["accuracy"] if read else None,
            "attributes": {name: own.as_json() for name, own in read.attributes.items()} if read else {},
            "attribute_macro_f1": read.attribute_macro_f1 if read else None,
        }


@dataclass(frozen=True, slots=True)
class LeukemiaReport:
    """Report of `edgeleuk eval leukemiaattri`."""

    split: str
    models: Mapping[str, Mapping[str, SubsetResult]]
    """Results by model, then by subset."""
    learnt: Mapping[str, tuple[str, ...]]
    """Subsets that each model learnt from; empty if its manifest names none."""

    def as_json(self) -> dict[str, Any]:
        return {
            "split": self.split,
            "models": {
                name: {
                    "learnt_from": list(self.learnt[name]),
                    "subsets": {subset: each.as_json() for subset, each in own.items()},
                }
                for name, own in self.models.items()
            },
        }


@dataclass(frozen=True, slots=True)
class ImportedData:
    """Fields and cells of an import, by subset."""

    fields: Mapping[str, list[FieldSample]]
    cells: Mapping[str, list[CellSample]]

    @classmethod
    def load(cls, root: Path, split: str, subsets: Sequence[str] = ()) -> ImportedData:
        """Load a split.

        Args:
            root: Folder that the import wrote.
            split: Split to load, "val" or "train".
            subsets: Subsets to load; empty for all.

        Raises:
            InputError: There is no import.
            UsageError: There is no such subset, or it has no field of the split.
        """
        tables = file_io.listed(root / "fields", TABLES.format(split=split))
        if not tables:
            raise InputError(
                f"{root} is no import of LeukemiaAttri. Make one with `{command('data import')} leukemiaattri`."
            )
        fields: dict[str, list[FieldSample]] = {}
        for table in tables:
            for sample in load_fields(table, root / "fields" / "images")[0]:
                fields.setdefault(sample.source, []).append(sample)
        if missing := [each for each in subsets if each not in fields]:
            raise UsageError(
                f"no field of split {split} in subset {missing[0]}. Subsets there: {', '.join(sorted(fields))}."
            )
        chosen = {name: fields[name] for name in sorted(fields) if not subsets or name in subsets}
        table, attributes = root / "cells" / "cells.csv", tuple(_attribute_columns(root))
        every = load_cells(table, root / "cells" / "images", attributes) if table.is_file() else []
        every = of_split(every, split) if every else []
        cells = {name: [each for each in every if each.source == name] for name in chosen}
        return cls(chosen, cells)

    def of_objective(self, magnification: str) -> ImportedData:
        """Return the subsets of an objective.

        Raises:
            UsageError: There is none.
        """
        named = f"_{magnification.upper()}_"
        own = {name: each for name, each in self.fields.items() if named in name or "X_" not in name}
        if not own:
            raise UsageError(
                f"no field of {magnification} here. Subsets there: {', '.join(self.fields)}. Name some with {option('subset')}."
            )
        return ImportedData(own, self.cells)

    def limited(self, most: int | None) -> ImportedData:
        """Return at most so many fields of each subset, evenly spread."""
        if most is None:
            return self
        fields = {name: own[:: -(-len(own) // most)] for name, own in self.fields.items()}
        return ImportedData(fields, self.cells)


def _attribute_columns(root: Path) -> list[str]:
    report = file_io.read_json(root / "import.json") if (root / "import.json").is_file() else {}
    return [*report.get("attributes", {})]


def evaluate(
    models: Mapping[str, Model],
    data: ImportedData,
    split: str,
    rules: Rules,
    progress: Progress | None = None,
) -> LeukemiaReport:
    """Measure models on the subsets of an import.

    Args:
        models: Models by name.
        data: Fields and cells.
        split: Split of the data.
        rules: Rules that define blasts and the cells that are not counted.
        progress: Called with the fields done and their total.
    """
    total, done = len(models) * sum(map(len, data.fields.values())), 0
    results: dict[str, dict[str, SubsetResult]] = {}
    for name, model in models.items():
        pair = Pair(Finder(model.finder), Reader(model.reader))
        learnt = learnt_from(model)
        results[name] = {}
        for subset, samples in data.fields.items():
            seen: list[tuple[FieldSample, Typed]] = []
            scales = annotated_scales(samples, (WHITE_CELL,))
            for sample in samples:
                seen.append((sample, pair.typed(read_field(sample), scales[sample.image_id])))
                done += 1
                if progress:
                    progress(done, total)
            cells = data.cells[subset]
            report = evaluate_reader(pair.reader, cells, rules) if cells else None
            by_type, white = precisions(seen, pair.vocabulary)
            results[name][subset] = SubsetResult(len(samples), subset in learnt, by_type, white, report)
    return LeukemiaReport(split, results, {name: learnt_from(model) for name, model in models.items()})


def learnt_from(model: Model) -> tuple[str, ...]:
    """Return the sources that a model's reader learnt from."""
    return tuple(model.reader.raw.get("data", {}).get("sources", ()))


@dataclass(frozen=True, slots=True)
class Pair:
    """Finder and reader of a model as a detector of types."""

    finder: Finder
    reader: Reader

    @property
    def vocabulary(self) -> Vocabulary:
        coarse: CoarseLabels = shipped()
        return Vocabulary(self.reader.labels, self.reader.merge, coarse)

    def typed(self, image: Image, scale: Scale) -> Typed:
        """Return all detections of types: a box may have several."""
        found = self.finder.find(image, scale, floor=FIND_FROM).of(WHITE_CELL)
        found = found.where(np.arange(len(found)) < MOST_READ)  # best first
        read = self.reader.read(image, scale, found.boxes)
        boxes, labels, scores = [], [], []
        for i, reading in enumerate(read):
            for label, chance in reading.probabilities.items():
                if (score := float(found.scores[i]) * chance) >= FLOOR:
                    boxes.append(found.boxes[i])
                    labels.append(label)
                    scores.append(score)
        return Typed(np.array(boxes, np.float32).reshape(-1, 4), tuple(labels), np.array(scores, np.float32))


def precisions(
    seen: Sequence[tuple[FieldSample, Typed]], vocabulary: Vocabulary
) -> tuple[dict[str, tuple[float, float]], tuple[float, float] | None]:
    """Return AP50 and AP50-95 by type and of white cells.

    The types are the annotated ones; white cells may be of any type. An annotated type is compared with the
    label that the reader prints for it. Cells without a type count only as white cells.
    """
    names = sorted({label for sample, _ in seen for label in _labels(sample) if label})
    by_type = {}
    for name in names:
        own = vocabulary.own(name)
        pictures = [
            Labelled(
                _boxes(sample)[
                    [label is not None and vocabulary.own(label) == own for label in _labels(sample)]
                ],
                typed.boxes[[label == own for label in typed.labels]],
                typed.scores[[label == own for label in typed.labels]],
            )
            for sample, typed in seen
        ]
        if found := average_precision(pictures):
            by_type[name] = (found.ap50, found.ap)
    white = average_precision([_white(sample, typed) for sample, typed in seen])
    return by_type, (white.ap50, white.ap) if white else None


def _labels(sample: FieldSample) -> tuple[str | None, ...]:
    return (*sample.subtypes, *[NONE] * len(sample.ignored))


def _boxes(sample: FieldSample) -> Boxes:
    return np.concatenate([sample.boxes, sample.ignored]).astype(np.float32)


def _white(sample: FieldSample, typed: Typed) -> Labelled:
    """Return boxes and detections of white cells.

    White cells are all types but `NONE`. The probabilities of their types are added.
    """
    sums: dict[tuple[float, ...], float] = {}
    for box, label, score in zip(typed.boxes.tolist(), typed.labels, typed.scores.tolist(), strict=True):
        if label != NONE:
            sums[tuple(box)] = sums.get(tuple(box), 0.0) + score
    boxes = np.array([*sums], np.float32).reshape(-1, 4)
    return Labelled(sample.boxes, boxes, np.array([*sums.values()], np.float32))


def _mean(values: Sequence[float]) -> float | None:
    return float(np.mean(values)) if values else None
