"""Figures of `train learning` as a table for a terminal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich import box
from rich.table import Table


def render_learning(found: Mapping[str, Mapping[str, Any]]) -> Table:
    """Return mean recall by what was done (rows) and laboratory (columns)."""
    table = Table(box=box.SIMPLE_HEAD)
    table.add_column("mean recall on other cells, %")
    for name, figures in found.items():
        table.add_column(f"{name} ({figures['cells']})", justify="right", overflow="fold")
    rows = dict.fromkeys(row for figures in found.values() for row in figures if row != "cells")
    for row in rows:
        table.add_row(row, *(_cell(figures.get(row)) for figures in found.values()))
    return table


def _cell(figures: Mapping[str, Any] | None) -> str:
    if figures is None:
        return "–"
    low, high = figures["interval"]
    before = f"{100 * figures['before']:.1f} → " if "before" in figures else ""
    sure = "–" if figures["right_of_sure"] is None else f"{100 * figures['right_of_sure']:.0f}"
    return (
        f"{before}{100 * figures['mean_recall']:.1f} ({100 * low:.0f}-{100 * high:.0f});"
        f" sure {100 * figures['sure']:.0f}, right {sure}"
    )
