"""Figures on LeukemiaAttri as the tables of its papers."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from edgeleuk._text import escaped
from edgeleuk.lab.evaluation.leukemiaattri import LeukemiaReport, SubsetResult
from edgeleuk.types import spoken

NOTHING = "–"


def render_leukemia(report: LeukemiaReport) -> RenderableType:
    """Render detection, types and attributes by subset, and across subsets."""
    return Group(*_parts(report))


def _parts(report: LeukemiaReport) -> Iterator[RenderableType]:
    for name, own in report.models.items():
        learnt = ", ".join(report.learnt[name]) or "not stated"
        yield Text(f"{escaped(name)}, learnt from {learnt}; split {report.split}")
        yield _detection(own)
        yield _types(own)
        yield _attributes(own)
    if len(report.models) > 1:
        yield _across(report, "mAP50", lambda result: result.map50)
        yield _across(report, "mAP50-95", lambda result: result.map)
        yield _across(
            report,
            "Attribute macro F1",
            lambda result: result.reader.attribute_macro_f1 if result.reader else None,
        )
        yield Text("* learnt from other patients of this subset")
    yield Text("The annotation is incomplete: a cell that nobody annotated counts as wrong.")


def _detection(own: Mapping[str, SubsetResult]) -> Table:
    table = _table(
        "Detection, types as classes",
        "Subset",
        ("Fields", "Types", "mAP50-95", "mAP50", "WBC AP50", "Accuracy"),
    )
    for subset, result in own.items():
        accuracy = result.reader.readings.as_json()["accuracy"] if result.reader else None
        numbers = (result.map, result.map50, result.white[0] if result.white else None, accuracy)
        table.add_row(subset, str(result.fields), str(len(result.by_type)), *map(_three, numbers))
    return table


def _types(own: Mapping[str, SubsetResult]) -> Table:
    table = _table("AP50 by type", "Type", tuple(own))
    for name in sorted({name for result in own.values() for name in result.by_type}):
        table.add_row(
            spoken(name), *(_three(result.by_type.get(name, (None,))[0]) for result in own.values())
        )
    return table


def _attributes(own: Mapping[str, SubsetResult]) -> Table:
    table = _table("Attributes, macro F1", "Attribute", tuple(own))
    reports = [result.reader for result in own.values()]
    for name in next((each.attributes for each in reports if each), {}):
        table.add_row(
            spoken(name), *(_three(each.attributes[name].f1) if each else NOTHING for each in reports)
        )
    table.add_row("mean", *(_three(each.attribute_macro_f1) if each else NOTHING for each in reports))
    return table


def _across(report: LeukemiaReport, title: str, figure: Callable[[SubsetResult], float | None]) -> Table:
    subsets = next(iter(report.models.values()))
    table = _table(f"{title}, across subsets", "Model", tuple(subsets))
    for name, own in report.models.items():
        shown = (f"{_three(figure(own[subset]))}{'*' if own[subset].seen else ''}" for subset in subsets)
        table.add_row(escaped(name), *shown)
    return table


def _table(title: str, first: str, others: tuple[str, ...]) -> Table:
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    table.add_column(first, no_wrap=True)
    for name in others:
        table.add_column(name, justify="right")
    return table


def _three(number: float | None) -> str:
    return NOTHING if number is None else f"{number:.3f}"
