"""What a label says of a cell's type: one type, or several of which it is one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Self

import numpy as np
from numpy.typing import NDArray

from edgeleuk.errors import InputError
from edgeleuk.evaluation.datasets import CellSample
from edgeleuk.training.recipe import Recipe


@dataclass(frozen=True, slots=False)
class Labels:
    """The labels of a recipe's cells.

    A coarse label, such as "blast" or a patient's diagnosis, stands for several types: which of them a cell is, nobody
    said. `source/label` is what a label means in one laboratory.
    """

    types: tuple[str, ...]
    """Of the network, in its order."""
    allows: dict[str, tuple[str, ...]]
    """Coarse labels to the types they stand for."""
    prints: dict[str, str]
    """Types to the coarser label that they are printed under."""

    @classmethod
    def of(cls, recipe: Recipe) -> Self:
        """Those that a recipe names. Raises InputError where a label stands for types that are printed apart."""
        model = recipe["model"]
        allows = {name: tuple(types) for name, types in recipe["data"].get("allows", {}).items()}
        labels = cls(tuple(model["labels"]), allows, dict(model.get("printed", {})))
        for name, types in allows.items():
            if not types or not {*types} <= {*labels.types} or len({labels.printed(t) for t in types}) > 1:
                raise InputError(
                    f"recipe {recipe.name}: [data.allows] {name} has {', '.join(types) or 'no type'}. "
                    "Name types of [model] labels that are printed under one label."
                )
        return labels

    @cached_property
    def names(self) -> tuple[str, ...]:
        """All labels that a cell may have: the types, then the coarse ones."""
        return (*self.types, *(name for name in self.allows if name not in self.types))

    @cached_property
    def masks(self) -> NDArray[np.bool_]:
        """(names, types): whether a label allows a type."""
        return np.array([[t in self.allows.get(name, (name,)) for t in self.types] for name in self.names])

    @cached_property
    def printing(self) -> tuple[str, ...]:
        """The labels that are printed, in the order of the types."""
        return tuple(dict.fromkeys(map(self.printed, self.types)))

    @cached_property
    def printing_matrix(self) -> NDArray[np.float32]:
        """(types, printing): 1 where a type is printed under a label, else 0."""
        return np.array([[self.printed(t) == name for name in self.printing] for t in self.types], np.float32)

    def index(self, sample: CellSample) -> int:
        """Of a sample's label in `names`. Raises ValueError where the recipe does not know it."""
        own = f"{sample.source}/{sample.label}"
        return self.names.index(own if own in self.allows else sample.label)

    def knows(self, sample: CellSample) -> bool:
        return f"{sample.source}/{sample.label}" in self.allows or sample.label in self.names

    def printed(self, label: str) -> str:
        """The label that a type or a coarse label is printed under."""
        first = self.allows.get(label, (label,))[0]
        return self.prints.get(first, first)

    def printed_index(self, samples: Sequence[CellSample]) -> NDArray[np.int64]:
        """(N,) of each sample's printed label in `printing`."""
        names = (self.names[self.index(sample)] for sample in samples)
        return np.array([self.printing.index(self.printed(name)) for name in names], np.int64)
