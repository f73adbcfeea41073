"""Figures of taught and adapted models for a terminal."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from edgeleuk._text import escaped
from edgeleuk.adaptation.learning import Lesson
from edgeleuk.types import spoken


def lesson(taught: Lesson) -> RenderableType:
    """Return a lesson's figures, before and after."""
    return Group(*_lesson(taught))


def adapted(lesson: Lesson) -> RenderableType:
    """Return the figures of an adaptation, before and after."""
    figures = lesson.figures
    same = figures["same_where_both_are_sure"]
    table = Table(box=box.SIMPLE_HEAD)
    kept = " not learnt" if "learnt_cells" in figures else ""
    for name in (f"{figures['cells']} cells{kept} of {figures['fields']} fields", "before", "after"):
        table.add_column(name, justify="right" if name in ("before", "after") else "left")
    for title, part in (
        ("views of a cell that agree", "agreement_of_views"),
        ("cells sure in all views", "sure_in_all_views"),
    ):
        table.add_row(title, *(_percent(figures[part][when]) for when in ("before", "after")))
    table.add_row("read alike where both are sure", "", f"{same['same']} of {same['cells']}")
    if guard := figures.get("guard_cells"):
        table.add_row("guard cells, mean of the types", *(_mean(guard[when]) for when in ("before", "after")))
    return table


def _lesson(taught: Lesson) -> Iterator[RenderableType]:
    figures = taught.figures
    if own := figures.get("corrected_cells"):
        yield Text(
            f"{figures['cells']} labelled cells of {figures['slides']} slide{'s' if figures['slides'] > 1 else ''},"
            f" cross-validated over {figures['cross_validated_over']}",
            style="bold",
        )
        yield _compared(own, figures["guard_cells"])
    for kind, flag in figures.get("flags", {}).items():
        yield Text(
            f"Flag {escaped(spoken(kind))}: found in {flag['found']} of {flag['cells']} cells, and in {flag['false_alarms']}"
            f" of {flag['others']} others."
        )
    for remark in taught.remarks:
        yield Text(f"Not adopted: {escaped(remark)}")


def _compared(own: Mapping[str, Any], guard: Mapping[str, Any]) -> Table:
    table = Table(box=box.SIMPLE_HEAD)
    for name in ("read right", "cells", "before", "after"):
        table.add_column(name, justify="left" if name == "read right" else "right")
    for name, after in own["after"]["by_type"].items():
        before = own["before"]["by_type"][name]
        table.add_row(spoken(name), str(after["n"]), _percent(before["recall"]), _percent(after["recall"]))
    for title, part in (("mean of the types", own), ("guard cells, mean", guard)):
        values = (part[when] for when in ("before", "after"))
        table.add_row(title, str(part["after"]["n"]), *(_mean(each) for each in values), end_section=True)
    losses = (own["log_loss"][when] for when in ("before", "after"))
    table.add_row(
        "log loss (less is better)",
        str(own["after"]["n"]),
        *("–" if each is None else f"{each:.3f}" for each in losses),
    )
    aside = guard.get("cross_validated")
    if aside:
        before = _mean(guard["before"])
        table.add_row("guard cells, fitted without them", str(aside["n"]), before, _mean(aside))
    sure = (own[when]["sure"] for when in ("before", "after"))
    table.add_row("sure cells that are right", "", *(f"{each['right']} of {each['cells']}" for each in sure))
    return table


def _mean(score: Mapping[str, Any]) -> str:
    low, high = score["mean_recall_interval"]
    return f"{_percent(score['mean_recall'])} ({100 * low:.0f}-{100 * high:.0f})"


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"
