"""`kill -9` of `edgeleuk live`: what it announced is kept. `python tests/kills.py 50` does it fifty times."""

from __future__ import annotations

from pathlib import Path

import kills
import pytest


def test_a_killed_count_loses_no_announced_field(tmp_path: Path) -> None:
    """Nor does the one that goes on with its session and is killed as well."""
    first, second = kills.killed(2, 7, tmp_path)
    assert second.session == first.session
    for each in (first, second):
        assert (each.lost, each.in_order, each.whole) == ([], True, True)
        # One may be written and not yet announced at each kill.
        assert len(each.announced) <= len(each.kept) <= len(each.announced) + 2
    assert second.announced


@pytest.mark.parametrize(
    ("announced", "kept", "lost", "in_order"),
    [((1, 2), (1, 2), [], True), ((1,), (1, 2), [], True), ((1, 2, 3), (1, 2), [3], True), ((2,), (2,), [], False)],
)  # fmt: skip
def test_a_lost_field_is_seen(
    announced: tuple[int, ...], kept: tuple[int, ...], lost: list[int], in_order: bool
) -> None:
    """So is a gap; a field that was written and not yet announced is none."""
    found = kills.Killed("s", announced, kept, whole=True)
    assert (found.lost, found.in_order) == (lost, in_order)
