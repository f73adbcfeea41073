"""Picture-quality verdicts as terminal tables.

Tables fit 80 columns.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from edgeleuk.lab.evaluation.quality import Climb, QualityReport, Verdicts

NOTHING = "–"


def render_quality(report: QualityReport) -> RenderableType:
    """Render verdicts by source, then each ladder of degradations.

    Pictures that are no smears have a row too. A ladder has a row per rung.
    """
    return Group(*_parts(report))


def _parts(report: QualityReport) -> Iterator[RenderableType]:
    rows = {source or "no source": verdicts for source, verdicts in report.sources.items()}
    if report.strangers:
        rows["no smears"] = report.strangers
    yield _verdicts(rows)
    for name, climb in report.ladders.items():
        yield _climb(name, climb)


def _verdicts(rows: Mapping[str, Verdicts]) -> Table:
    table = Table(title="Verdicts on pictures", title_justify="left", box=box.SIMPLE_HEAD, width=80)
    table.add_column("Source")
    for name in ("Pictures", "Warned", "Refused"):
        table.add_column(name, justify="right")
    table.add_column("Reasons, refusals first", ratio=1)
    for source, verdicts in rows.items():
        table.add_row(
            source,
            str(verdicts.pictures),
            f"{verdicts.warned_at_all / max(verdicts.pictures, 1):.1%}",
            f"{verdicts.refusals / max(verdicts.pictures, 1):.1%}",
            _reasons(verdicts),
        )
    return table


def _reasons(verdicts: Verdicts) -> str:
    parts = (
        ", ".join(f"{code} {n}" for code, n in each.items()) for each in (verdicts.refused, verdicts.warned)
    )
    return "; ".join(part or NOTHING for part in parts)


def _climb(name: str, climb: Climb) -> RenderableType:
    table = Table(title=f"Ladder: {name}", title_justify="left", box=box.SIMPLE_HEAD)
    for column in (climb.unit, "Recall", "Warned or refused", "Refused"):
        table.add_column(column, justify="right")
    for rung in climb.rungs:
        table.add_row(f"{rung.amount:g}", f"{rung.recall:.3f}", f"{rung.flagged:.0%}", f"{rung.refused:.0%}")
    return Group(table, Text(_summary(climb)))


def _summary(climb: Climb) -> str:
    def at(rung: int | None) -> str:
        return NOTHING if rung is None else f"{climb.rungs[rung].amount:g}"

    agreement = "within one step" if climb.agrees else "more than one step apart"
    return (
        f"Recall falls by 3 points at {at(climb.falls)}; half of the pictures are flagged at {at(climb.flagged)}, refused "
        f"at {at(climb.refused)}: {agreement}."
    )
