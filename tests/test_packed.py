"""Counted fields at rest: as they were but for their pictures."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from counted import DIFFERENT, counted_field

from edgeleuk.slidemap.packed_fields import READY, PackedFields
from edgeleuk.slidemap.spill_file import SpillFile
from edgeleuk.types import Cell, CountedField


def without_pictures(counted: CountedField) -> CountedField:
    return replace(counted, thumbnail=np.empty((0, 0), np.uint8), crops={})


def same(one: CountedField, other: CountedField) -> bool:
    """Whether two fields without pictures are equal in every value."""
    return replace(one, thumbnail=other.thumbnail) == other


def test_a_field_comes_back_as_it_was() -> None:
    """From the shelf too, on which all but the last ones are."""
    fields = PackedFields(SpillFile())
    for number in range(1, READY + DIFFERENT + 1):
        fields.append(counted_field(number))
    assert len(fields) == READY + DIFFERENT
    for position in range(len(fields)):
        assert same(fields[position].unpacked(), without_pictures(counted_field(position + 1)))


def test_each_cell_is_at_hand() -> None:
    """Read or not, of any kind, in Python's own numbers."""
    fields = PackedFields(SpillFile())
    fields.append(counted_field(1))
    cells = counted_field(1).field.cells
    assert {cell.kind for cell in cells} > {"RBC"}
    assert [repr(fields[0].cell(i)) for i in range(len(cells))] == list(map(repr, cells))


def test_a_field_without_cells_is_one_too() -> None:
    """Nothing was found there."""
    counted = counted_field(2)
    empty = replace(
        counted, field=replace(counted.field, cells=()), identities=(), fresh=frozenset[int](), crops={}
    )
    fields = PackedFields(SpillFile())
    fields.append(empty)
    assert same(fields[0].unpacked(), without_pictures(empty))


def test_numbers_keep_all_their_digits() -> None:
    """A box from any source."""
    counted = counted_field(3)
    cell = Cell("RBC", (1 / 3, 2 / 7, 100 / 3, 200 / 7), 1 / 9, False)
    one = replace(
        counted, field=replace(counted.field, cells=(cell,)), identities=(2**40,), fresh=frozenset({2**40})
    )
    fields = PackedFields(SpillFile())
    fields.append(one)
    assert fields[0].unpacked().field.cells == (cell,)
    assert fields[0].unpacked().fresh == {2**40}
