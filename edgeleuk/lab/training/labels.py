"""Labels of cells and their types.

A label stands for one type, or for several of which the cell has one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Self

import numpy as np
from numpy.typing import NDArray

from edgeleuk.errors import InputError
from edgeleuk.lab.evaluation.datasets import CellSample
from edgeleuk.lab.training.recipe import Recipe


@dataclass(frozen=True, slots=False)
class Labels:
    """The labels of a recipe's cells.

    A coarse label, such as "blast" or a patient's diagnosis, stands for several types; the type of the cell
    itself was not annotated. A name `source/label` gives the meaning of a label in one laboratory.
    """

    types: tuple[str, ...]
    """Types of the network, in its order."""
    allows: dict[str, tuple[str, ...]]
    """Types that each coarse label stands for."""
    prints: dict[str, str]
    """Coarser labels under which types are printed, by type."""

    @classmethod
    def of(cls, recipe: Recipe) -> Self:
        """Create the labels of a recipe.

        Raises:
            InputError: A coarse label stands for no type, for an unknown one, or for types printed apart.
        """
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
        """All possible labels: the types, then the coarse labels."""
        return (*self.types, *(name for name in self.allows if name not in self.types))

    @cached_property
    def masks(self) -> NDArray[np.bool_]:
        """(names, types) whether a label allows a type."""
        return np.array([[t in self.allows.get(name, (name,)) for t in self.types] for name in self.names])

    @cached_property
    def printing(self) -> tuple[str, ...]:
        """Printed labels, in the order of the types."""
        return tuple(dict.fromkeys(map(self.printed, self.types)))

    @cached_property
    def printing_matrix(self) -> NDArray[np.float32]:
        """(types, printing) 1 for a type's printed label, else 0."""
        return np.array([[self.printed(t) == name for name in self.printing] for t in self.types], np.float32)

    def index(self, sample: CellSample) -> int:
        """Return the index of a sample's label in `names`.

        Raises:
            ValueError: The recipe does not know the label.
        """
        own = f"{sample.source}/{sample.label}"
        return self.names.index(own if own in self.allows else sample.label)

    def knows(self, sample: CellSample) -> bool:
        """Return whether the recipe knows a sample's label."""
        return f"{sample.source}/{sample.label}" in self.allows or sample.label in self.names

    def printed(self, label: str) -> str:
        """Return the printed label of a type or coarse label."""
        first = self.allows.get(label, (label,))[0]
        return self.prints.get(first, first)

    def printed_index(self, samples: Sequence[CellSample]) -> NDArray[np.int64]:
        """Return indices (N,) of the samples' printed labels in `printing`."""
        names = (self.names[self.index(sample)] for sample in samples)
        return np.array([self.printing.index(self.printed(name)) for name in names], np.int64)
