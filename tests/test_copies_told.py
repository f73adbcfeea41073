"""What the terminal says of pictures that are copies."""

from __future__ import annotations

import io

from rich.console import Console, Group

from edgeleuk.render.terminal import COPIES, _copies
from edgeleuk.types import Field, Overlap, Scale


def told(overlaps: list[Overlap], names: list[str]) -> list[str]:
    fields = [Field(name, 64, 64, Scale.given(0.1), ()) for name in names]
    console = Console(width=80, file=io.StringIO(), record=True)
    console.print(Group(*_copies(fields, overlaps)))
    return [line.rstrip() for line in console.export_text().splitlines()]


def copy(number: int, turned: int = 0, mirrored: bool = False) -> Overlap:
    return Overlap(number, 1, "copy", 1.0, turned, mirrored, 1.0)


def test_a_copy_is_named_with_what_was_done_to_it() -> None:
    """Both pictures by their file names, and how one lies on the other."""
    lines = told([copy(2, 90, True)], ["day 1/a.jpg", "day 2/b.jpg"])
    assert lines == ["a.jpg and b.jpg are copies of one picture (mirrored, turned by 90 degrees)."]


def test_pictures_that_overlap_are_no_copies() -> None:
    """Nothing is said of ground that two photographs share."""
    assert not told([Overlap(2, 1, "overlap", 0.3, 0, False, 1.0)], ["a.jpg", "b.jpg"])


def test_many_copies_are_counted() -> None:
    """The first few by name, the others by their number, each line within 80 columns."""
    names = [f"{'x' * 40}-{i}.jpg" for i in range(12)]
    lines = told([copy(i) for i in range(2, 12)], names)
    assert len(lines) == COPIES + 1
    assert lines[-1] == f"{10 - COPIES} more pictures are copies."
    assert max(map(len, lines)) <= 80
