"""Levey-Jennings chart of a control slide on a terminal.

Levey and Jennings, The use of control charts in the clinical laboratory, Am J Clin Pathol 1950;20:1059-1066.
The vertical axis is the distance from the expected mean in SD, so that runs of different size are comparable.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from rich.cells import set_cell_size
from rich.console import Group, RenderableType
from rich.text import Text

from edgeleuk.quality_control.control import ControlRun, EvaluatedValue
from edgeleuk.quality_control.log import Entry
from edgeleuk.render.quality_control import quantity_name, shown_number, unit
from edgeleuk.system.language import _, day

COLUMNS = 60
"""Runs that a chart of 80 columns shows, the last ones."""
WIDEST = 4
"""Columns of one run at most, where there are few."""
HALF_SDS = 7
"""Rows above and below the mean, half an SD each."""
OVERVIEW_NAME = 22
"""Width of a quantity's name in the overview, characters."""


@dataclass(frozen=True, slots=True)
class Point:
    """One run of one quantity."""

    at: str
    """Time, UTC, ISO 8601."""
    evaluated: EvaluatedValue


def points(runs: Sequence[tuple[Entry, ControlRun]], quantity: str) -> list[Point]:
    """Return the evaluated values of a quantity, oldest first."""
    return [
        Point(entry.at, evaluated)
        for entry, run in runs
        for evaluated in run.values
        if evaluated.quantity == quantity
    ]


def quantities(runs: Sequence[tuple[Entry, ControlRun]]) -> list[str]:
    """Return the evaluated quantities, each once."""
    return list(dict.fromkeys(evaluated.quantity for _, run in runs for evaluated in run.values))


def shown_by_default(runs: Sequence[tuple[Entry, ControlRun]]) -> list[str]:
    """Return the evaluated quantities but those that were always 0, as expected."""
    evaluated = [each for _, run in runs for each in run.values]
    some = {each.quantity for each in evaluated if each.value or each.mean or each.rule}
    return [each for each in quantities(runs) if each in some]


def worst(runs: Sequence[tuple[Entry, ControlRun]]) -> str | None:
    """Return the quantity that is farthest off in the last run."""
    evaluated = next((run.values for _, run in reversed(runs) if run.values), ())
    return max(evaluated, key=lambda each: abs(each.deviation)).quantity if evaluated else None


def overview(runs: Sequence[tuple[Entry, ControlRun]]) -> RenderableType:
    """Return a row of symbols for each quantity.

    A dot is within 2 SD; + and - lie beyond 2 SD, ^ and v beyond 3 SD.
    """
    rows = [
        _overview_row(quantity, points(runs, quantity)[-COLUMNS + 5 :]) for quantity in shown_by_default(runs)
    ]
    legend = Text(
        _("· within 2 SD, + above and - below, ^ and v beyond 3 SD; oldest on the left"), style="dim"
    )
    return Group(*rows, legend)


def _overview_row(quantity: str, shown: Sequence[Point]) -> Text:
    row = Text(f"{set_cell_size(quantity_name(quantity), OVERVIEW_NAME)} ")
    for each in shown:
        z = each.evaluated.deviation
        if abs(z) > 3:
            row.append("^" if z > 0 else "v", "bold red")
        elif abs(z) > 2:
            row.append("+" if z > 0 else "-", "bold red" if each.evaluated.rule == "2-2s" else "yellow")
        else:
            row.append("·", "green")
    return row


def chart(quantity: str, every: Sequence[Point]) -> RenderableType:
    """Return the chart of one quantity, 80 columns wide.

    Args:
        quantity: The quantity.
        every: Its points, oldest first; the last COLUMNS are drawn.
    """
    shown = every[-COLUMNS:]
    last = shown[-1].evaluated
    sign = unit(quantity)
    title = _("{name}: mean {mean}, SD {sd}; last {last}").format(
        name=quantity_name(quantity),
        mean=f"{shown_number(quantity, last.mean)}{sign}",
        sd=shown_number(quantity, last.sd),
        last=f"{shown_number(quantity, last.value)}{sign}",
    )
    return Group(Text(title, style="bold"), *_rows(shown, quantity), _dates(shown))


def _rows(shown: Sequence[Point], quantity: str) -> Iterator[Text]:
    places = [_row_of(point.evaluated.deviation) for point in shown]
    last = shown[-1].evaluated
    for row in range(HALF_SDS, -HALF_SDS - 1, -1):
        sds = row // 2 if row % 2 == 0 else None
        if sds is None:
            head = Text(" " * 15 + "│", style="dim")
        else:
            value = (
                shown_number(quantity, last.mean + sds * last.sd) if last.mean + sds * last.sd >= 0 else ""
            )
            head = Text(f"{value:>8} {_sd_text(sds)} ┤", style="dim")
        line = "─" if sds == 0 else "╌" if sds is not None and abs(sds) in (2, 3) else " "
        colour = {0: "dim", 2: "yellow", 3: "red"}.get(abs(sds) if sds is not None else 1, "")
        gap = line * (_step(shown) - 1)
        for place, point in zip(places, shown, strict=True):
            head.append(*(_mark(point.evaluated) if place == row else (line, colour)))
            head.append(gap, colour)
        yield head


def _step(shown: Sequence[Point]) -> int:
    """Return the columns of one run."""
    return max(1, min(WIDEST, COLUMNS // len(shown)))


def _row_of(deviation: float) -> int:
    return max(-HALF_SDS, min(HALF_SDS, round(2 * deviation)))


def _mark(evaluated: EvaluatedValue) -> tuple[str, str]:
    if abs(evaluated.deviation) > HALF_SDS / 2:
        return ("^" if evaluated.deviation > 0 else "v"), "bold red"
    if evaluated.rule in ("1-3s", "2-2s"):
        return "x", "bold red"
    return ("+", "yellow") if evaluated.rule else ("•", "green")


def _sd_text(sds: int) -> str:
    return f"{_('mean'):>5}"[:8] if sds == 0 else f"{sds:+d} {_('SD')}"


def _dates(shown: Sequence[Point]) -> Text:
    first, last = (day(datetime.fromisoformat(each.at).astimezone()) for each in (shown[0], shown[-1]))
    gap = max(1, _step(shown) * len(shown) - len(first) - len(last))
    return Text(" " * 16 + (first if len(shown) == 1 else f"{first}{' ' * gap}{last}"), style="dim")
