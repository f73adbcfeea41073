"""Report of an import: what was found, written and left out."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from edgeleuk.lab.importing.findings import Findings
from edgeleuk.lab.importing.scales import as_json
from edgeleuk.lab.importing.splits import Group
from edgeleuk.lab.importing.vocabulary import ATTRIBUTES
from edgeleuk.lab.importing.writing import ImportedField
from edgeleuk.types import WHITE_CELL, Scale


@dataclass(slots=True)
class SubsetCounts:
    """Counts of one subset."""

    pictures: int = 0
    """Pictures that are there."""
    fields: int = 0
    """Pictures imported with their labels."""
    boxes: int = 0
    """White cells, of any type or none."""
    untyped: int = 0
    none: int = 0
    cut: int = 0
    """Typed cells that the edge cuts; they are no cells of cells.csv."""
    labels: tuple[str, ...] = ()
    scale: Scale | None = None

    def as_json(self) -> dict[str, Any]:
        own = {
            name: getattr(self, name) for name in ("pictures", "fields", "boxes", "untyped", "none", "cut")
        }
        return {**own, "labels": list(self.labels), **({"scale": as_json(self.scale)} if self.scale else {})}


@dataclass(slots=True)
class ImportReport:
    """Report of `edgeleuk data import`."""

    format: str
    release: str
    findings: Findings
    subsets: dict[str, SubsetCounts] = field(default_factory=dict)
    types: Counter[tuple[str, str]] = field(default_factory=Counter)
    """White cells by type and split."""
    attributes: dict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    groups: Mapping[str, Group] = field(default_factory=dict)
    patients: dict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    """Fields and boxes by group."""
    cells: int = 0
    """Rows of cells.csv."""
    names: Counter[str] = field(default_factory=Counter)
    """How often each physical cell was seen."""

    def add(self, one: ImportedField) -> None:
        """Count one imported field."""
        own = self.subsets[one.source]
        own.fields += 1
        self.patients[one.origin.group]["fields"] += 1
        for cell in one.cells:
            if cell.kind != WHITE_CELL:
                continue
            own.boxes += 1
            own.none += cell.ignored
            own.untyped += cell.label is None
            own.cut += cell.label is not None and one.cut(cell)
            self.names[one.name_of(cell)] += 1
            self.types[cell.label or "untyped", one.split] += 1
            self.patients[one.origin.group]["boxes"] += 1
            for name, value in cell.attributes.items():
                self.attributes[name][value] += 1

    @property
    def fields(self) -> int:
        return sum(own.fields for own in self.subsets.values())

    def as_json(self) -> dict[str, Any]:
        labels = sorted({label for label, _ in self.types})
        return {
            "schema": 1,
            "format": self.format,
            "release": self.release,
            "fields": self.fields,
            "boxes": sum(own.boxes for own in self.subsets.values()),
            "cells": self.cells,
            "physical_cells": len(self.names),
            "subsets": {name: own.as_json() for name, own in self.subsets.items()},
            "types": {
                label: {split: self.types[label, split] for split in ("train", "val")} for label in labels
            },
            "attributes": {
                name: {value: self.attributes[name][value] for value in attribute.values}
                for name, attribute in ATTRIBUTES.items()
            },
            "patients": {
                name: {
                    "diagnosis": self.groups[name].diagnosis,
                    "split": self.groups[name].split,
                    **counts,
                }
                for name, counts in sorted(self.patients.items(), key=_by_number)
            },
            "findings": self.findings.as_json(),
        }


def _by_number(item: tuple[str, Any]) -> tuple[int, str]:
    return (int(item[0]) if item[0].isdigit() else 10**9), item[0]
