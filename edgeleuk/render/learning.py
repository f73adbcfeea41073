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
from edgeleuk.render._words import spoken
from edgeleuk.system.language import _, figure, msgid, ngettext
from edgeleuk.system.sentences import said


def lesson(taught: Lesson) -> RenderableType:
    """Return a lesson's figures, before and after."""
    return Group(*_lesson(taught))


def adapted(lesson: Lesson) -> RenderableType:
    """Return the figures of an adaptation, before and after."""
    figures = lesson.figures
    same = figures["same_where_both_are_sure"]
    table = Table(box=box.SIMPLE_HEAD)
    cells = (
        _("{cells} cells not learnt of {fields} fields")
        if "learnt_cells" in figures
        else _("{cells} cells of {fields} fields")
    )
    table.add_column(cells.format(cells=figures["cells"], fields=figures["fields"]))
    for name in (_("before"), _("after")):
        table.add_column(name, justify="right")
    for title, part in (
        (_("views of a cell that agree"), "agreement_of_views"),
        (_("cells sure in all views"), "sure_in_all_views"),
        (_("mean probability of blast-like types"), "blast_like"),
        (_("known cells read right, mean over types"), "guard_cells"),
    ):
        if part in figures:
            table.add_row(title, *(_percent(figures[part][when]) for when in ("before", "after")))
    table.add_row(_("read alike where both are sure"), "", _of(same["same"], same["cells"]))
    table.add_row(_("read otherwise"), "", _of(figures["read_otherwise"], figures["cells"]))
    return table


def _lesson(taught: Lesson) -> Iterator[RenderableType]:
    figures = taught.figures
    if own := figures.get("corrected_cells"):
        yield Text(
            ngettext(
                "{cells} labelled cells of {n} slide, cross-validated over {parts}",
                "{cells} labelled cells of {n} slides, cross-validated over {parts}",
                figures["slides"],
            ).format(
                cells=figures["cells"],
                n=figures["slides"],
                parts=_(msgid("slides") if figures["cross_validated_over"] == "slides" else msgid("cells")),
            ),
            style="bold",
        )
        yield _compared(own, figures["guard_cells"])
    for kind, flag in figures.get("flags", {}).items():
        yield Text(
            _("Flag {kind}: found in {found} of {cells} cells, and in {false} of {others} others.").format(
                kind=escaped(spoken(kind)),
                found=flag["found"],
                cells=flag["cells"],
                false=flag["false_alarms"],
                others=flag["others"],
            )
        )
    for remark in taught.remarks:
        yield Text(_("Not adopted: {remark}").format(remark=escaped(said(remark))))


def _compared(own: Mapping[str, Any], guard: Mapping[str, Any]) -> Table:
    table = Table(box=box.SIMPLE_HEAD)
    table.add_column(_("read right"))
    for name in (_("cells"), _("before"), _("after")):
        table.add_column(name, justify="right")
    for name, after in own["after"]["by_type"].items():
        before = own["before"]["by_type"][name]
        table.add_row(spoken(name), str(after["n"]), _percent(before["recall"]), _percent(after["recall"]))
    for title, part in ((_("mean of the types"), own), (_("guard cells, mean"), guard)):
        values = (part[when] for when in ("before", "after"))
        table.add_row(title, str(part["after"]["n"]), *(_mean(each) for each in values), end_section=True)
    losses = (own["log_loss"][when] for when in ("before", "after"))
    table.add_row(
        _("log loss (less is better)"),
        str(own["after"]["n"]),
        *("–" if each is None else figure(f"{each:.3f}") for each in losses),
    )
    aside = guard.get("cross_validated")
    if aside:
        before = _mean(guard["before"])
        table.add_row(_("guard cells, fitted without them"), str(aside["n"]), before, _mean(aside))
    sure = (own[when]["sure"] for when in ("before", "after"))
    table.add_row(_("sure cells that are right"), "", *(_of(each["right"], each["cells"]) for each in sure))
    return table


def _mean(score: Mapping[str, Any]) -> str:
    low, high = score["mean_recall_interval"]
    return f"{_percent(score['mean_recall'])} ({100 * low:.0f}-{100 * high:.0f})"


def _percent(share: float) -> str:
    return figure(f"{100 * share:.1f} %")


def _of(count: int, of: int) -> str:
    return _("{count} of {of}").format(count=count, of=of)
