"""Compact storage of counted fields.

Red cells and platelets are kept as columns, and all of it in the spill file. A field at 100x has some eighty
cells, of which two or three are white. As objects they take 30 kB, as columns 4.
"""

from __future__ import annotations

import pickle
import zlib
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
from numpy.typing import NDArray

from edgeleuk.slidemap.spill_file import Kept, SpillFile
from edgeleuk.types import Cell, CountedField

COLUMNS = np.dtype([
    ("kind", "u1"), ("box", "<f8", 4), ("score", "<f8"), ("whole", "?"), ("identity", "<i8"), ("fresh", "?"),
])  # fmt: skip
"""Record of one cell.

Index into the field's kinds, x1 y1 x2 y2 in frame pixels, score, whole, number on the map, new there.
"""
NO_THUMBNAIL: NDArray[np.uint8] = np.empty((0, 0), np.uint8)
READY = 32
"""Number of packed fields kept ready.

Beside the spill file: those around the view, and of the row of fields before.
"""
DEFLATION = 1
"""Compression level of zlib, the quickest.

The others gain a few per cent.
"""


@dataclass(frozen=True, slots=True)
class PackedField:
    """Counted field without its pictures."""

    rest: CountedField
    """The field without its cells."""
    kinds: tuple[str, ...]
    columns: NDArray[np.void]
    """(N,) array of COLUMNS."""
    examined: Mapping[int, Cell]
    """Cells that were read, measured or numbered, by index."""

    @classmethod
    def of(cls, counted: CountedField) -> Self:
        cells = counted.field.cells
        kinds = tuple(dict.fromkeys(cell.kind for cell in cells))
        columns = np.array(
            [
                (
                    kinds.index(cell.kind),
                    cell.box,
                    cell.score,
                    cell.whole,
                    identity,
                    identity in counted.fresh,
                )
                for cell, identity in zip(cells, counted.identities, strict=True)
            ],
            COLUMNS,
        )
        rest = replace(
            counted,
            field=replace(counted.field, cells=()),
            identities=(),
            fresh=frozenset(),
            thumbnail=NO_THUMBNAIL,
            crops={},
        )
        return cls(rest, kinds, columns, {i: cell for i, cell in enumerate(cells) if _examined(cell)})

    def cell(self, index: int) -> Cell:
        """Return one of the field's cells, as it was."""
        if index in self.examined:
            return self.examined[index]
        kind, box, score, whole, *_ = self.columns[index].item()
        return Cell(self.kinds[kind], tuple(box.tolist()), score, whole)

    def unpacked(self) -> CountedField:
        """Return the field as it was counted, without pictures."""
        identities, fresh = self.columns["identity"], self.columns["fresh"]
        return replace(
            self.rest,
            field=replace(self.rest.field, cells=tuple(map(self.cell, range(len(self.columns))))),
            identities=tuple(identities.tolist()),
            fresh=frozenset(identities[fresh].tolist()),
        )


def _examined(cell: Cell) -> bool:
    return bool(cell.reading or cell.morphometry or cell.number)


class PackedFields:
    """Counted fields of a map, by position from 0."""

    def __init__(self, spill_file: SpillFile) -> None:
        self._spill_file = spill_file
        self._kept: list[Kept] = []
        self._ready: OrderedDict[int, PackedField] = OrderedDict()

    def __len__(self) -> int:
        return len(self._kept)

    def append(self, counted: CountedField) -> None:
        packed = PackedField.of(counted)
        # Pickle is safe here: the file has no name, and nobody else can have written to it.
        self._kept.append(self._spill_file.put(zlib.compress(pickle.dumps(packed), DEFLATION)))
        self._keep_ready(len(self._kept) - 1, packed)

    def __getitem__(self, position: int) -> PackedField:
        packed = self._ready.get(position)
        if packed is None:
            packed = pickle.loads(zlib.decompress(self._spill_file.get(self._kept[position])))
        return self._keep_ready(position, packed)

    def _keep_ready(self, position: int, packed: PackedField) -> PackedField:
        self._ready[position] = packed
        self._ready.move_to_end(position)
        if len(self._ready) > READY:
            self._ready.popitem(last=False)
        return packed
