"""Control slides on a terminal of 80 columns and as JSON."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from edgeleuk.quality_control.control import Control, ControlRun, EvaluatedValue, Expected, State
from edgeleuk.quality_control.log import Entry, Standing
from edgeleuk.quality_control.quantities import PER_1000_RED_CELLS, UM_PER_PX
from edgeleuk.quality_control.westgard import chance_of_warning
from edgeleuk.render._words import Fitted, clean, cut
from edgeleuk.render.tables import RESEARCH_USE
from edgeleuk.system.wording import command
from edgeleuk.types import spoken

WIDTH = 78
SCHEMA = "edgeleuk-quality-control/1"
STATE_WORDS: dict[State, str] = {
    "in_control": "IN CONTROL",
    "warning": "WARNING",
    "rejected": "FAILED",
    "not_evaluated": "NOT EVALUATED",
    "collected": "COLLECTED",
}
STATE_STYLES: dict[State, str] = {
    "in_control": "bold black on green",
    "warning": "bold black on yellow",
    "rejected": "bold white on red",
    "not_evaluated": "bold white on blue",
    "collected": "bold white on blue",
}
_RULES = {"1-2s": "beyond 2 SD", "1-3s": "beyond 3 SD", "2-2s": "beyond 2 SD twice"}


def quantity_text(quantity: str) -> str:
    """Return the printed name of a quantity."""
    special = {PER_1000_RED_CELLS: "platelets/1,000 red", UM_PER_PX: "um per pixel"}
    return special.get(quantity, clean(spoken(quantity)))


def number(quantity: str, value: float) -> str:
    """Return a value with the decimals that its quantity needs."""
    return f"{value:.4f}" if quantity == UM_PER_PX else f"{value:.1f}"


def unit(quantity: str) -> str:
    """Return the unit behind a value: a per cent sign or nothing."""
    return "" if quantity in (PER_1000_RED_CELLS, UM_PER_PX) else " %"


def value_text(evaluated: EvaluatedValue) -> str:
    """Return a value beside its limits, in words."""
    name, sign = evaluated.quantity, unit(evaluated.quantity)
    limits = f"{number(name, evaluated.low)} to {number(name, evaluated.high)}"
    return f"{quantity_text(name)} {number(name, evaluated.value)}{sign} (limits {limits}, rule {evaluated.rule})"


def state_line(name: str, run: ControlRun, least_cells: int) -> Text:
    """Return the state of a run as one highlighted line.

    Args:
        name: Name of the control slide.
        run: The run.
        least_cells: Minimum of recognised white cells.
    """
    said = {
        "in_control": f"{len(run.values)} quantities within their limits.",
        "warning": "a value lies beyond 2 SD. Alone it rejects nothing; look at the next count.",
        "rejected": "do not report patients' slides before the cause is found and the control passes.",
        "not_evaluated": f"{run.cells} white cells recognised, {least_cells} needed. Count more fields of it.",
        "collected": "there are no expected values yet.",
    }[run.state]
    head = (f" {STATE_WORDS[run.state]} ", STATE_STYLES[run.state])
    return Text.assemble(head, f" Control slide {clean(name)}: {said}")


def run_report(control: Control, run: ControlRun, session: str) -> RenderableType:
    """Return a run with a row for each evaluated value.

    `session`: short id of its session, as other commands print it.
    """
    parts: list[RenderableType] = [state_line(control.name, run, control.least_cells)]
    if run.values:
        parts.append(_values(run.values))
        if absent := sum(not (each.value or each.mean or each.rule) for each in run.values):
            parts.append(Text(f"None of {absent} other quantities, as expected.", style="dim"))
    cells = "1 white cell" if run.cells == 1 else f"{run.cells} white cells"
    parts.append(Text(f"{cells} recognised, session {session}. {RESEARCH_USE}", style="dim"))
    return Group(*parts)


def _values(values: Sequence[EvaluatedValue]) -> Table:
    """Return a row for each value.

    A value is left out where none is expected and none is there.
    """
    table = Table(box=box.SIMPLE_HEAD, width=WIDTH, padding=(0, 1, 0, 0), header_style="dim")
    table.add_column("quantity", ratio=1, no_wrap=True)
    for name in ("value", "mean", "SD", "limits (2 SD)", "off by"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("rule", no_wrap=True)
    shown = [each for each in values if each.value or each.mean or each.rule]
    for each in shown:
        name, style = (
            each.quantity,
            "bold red" if each.rule in ("1-3s", "2-2s") else "yellow" if each.rule else "",
        )
        table.add_row(
            Fitted(quantity_text(name), cut), number(name, each.value), number(name, each.mean),
            number(name, each.sd), f"{number(name, each.low)} – {number(name, each.high)}",
            f"{max(min(each.deviation, 99.9), -99.9):+.1f} SD", each.rule or "–", style=style,
        )  # fmt: skip
    return table


def card(control: Control) -> RenderableType:
    """Return a control slide with its expected values."""
    table = Table(box=None, pad_edge=False, show_header=False, width=WIDTH, padding=(0, 2, 0, 0))
    table.add_column(style="dim", no_wrap=True)
    table.add_column(ratio=1, overflow="fold")
    for name, text in _facts(control):
        table.add_row(name, Text(clean(text)))
    parts: list[RenderableType] = [Text(f"Control slide {clean(control.name)}", style="bold"), table]
    if control.expected:
        parts.append(_expected(control.expected))
        often = [each for each in control.expected if _is_frequent(each, control.least_cells)]
        warned = 100 * chance_of_warning(len(often))
        said = f"With {len(often)} quantities that are not rare, chance alone warns (1-2s) in {warned:.0f} % of counts."
        parts.append(Text(said, style="dim"))
    return Group(*parts)


def _is_frequent(expected: Expected, least_cells: int) -> bool:
    """Return whether a cell or more is expected.

    Only then may chance warn.
    """
    return expected.quantity == UM_PER_PX or expected.mean * least_cells >= 100


def _facts(control: Control) -> Iterator[tuple[str, str]]:
    yield "slide id", f"{control.slide}, at {control.magnification}"
    yield "device", control.device or "every one"
    every = "no interval" if control.every_hours is None else f"every {control.every_hours:g} hours"
    yield "counted", f"{every}, at least {control.least_cells} white cells"
    sessions = max((each.sessions for each in control.expected), default=0)
    if sessions:
        yield "expected", f"from {sessions} sessions, model version {control.model_version}"
    elif control.expected:
        yield "expected", "entered by hand"
    else:
        yield "expected", "none yet"


def _expected(values: Sequence[Expected]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, width=WIDTH, padding=(0, 1, 0, 0), header_style="dim")
    table.add_column("quantity", ratio=1, no_wrap=True)
    for name in ("mean", "SD", "2 SD", "3 SD"):
        table.add_column(name, justify="right", no_wrap=True)
    for each in values:
        name = each.quantity
        spans = (
            f"{number(name, max(0, each.mean - n * each.sd))} – {number(name, each.mean + n * each.sd)}"
            for n in (2, 3)
        )
        table.add_row(
            Fitted(quantity_text(name), cut), number(name, each.mean), number(name, each.sd), *spans
        )
    return table


def standing_line(standing: Standing) -> Text:
    """Return the state of a control slide as one line."""
    name, run = clean(standing.control.name), standing.last_run
    parts = [("FAILED", "bold red")] if standing.failed else []
    if standing.overdue_hours is not None:
        parts.append(
            (f"OVERDUE by {standing.overdue_hours - (standing.control.every_hours or 0):.0f} h", "bold red")
        )
    if not parts:
        word = STATE_WORDS[run.state].lower() if run else "not counted yet"
        parts.append((word, "green" if run and run.state == "in_control" else "yellow"))
    last = f", last counted {when(standing.last.at)}" if standing.last else ""
    said = Text(", ").join(Text(*part) for part in parts)
    return Text.assemble(f"{name} ({standing.control.magnification}): ", said, last)


def standings(found: Sequence[Standing]) -> RenderableType:
    """Return a line for each control slide in use."""
    if not found:
        return Text(f"No control slide is in use: `{command('qc set')} NAME` begins one.")
    return Group(*(standing_line(each) for each in found))


def log(entries: Sequence[Entry], path: Path) -> RenderableType:
    """Return a row for each entry, oldest first."""
    where = Text(f"The log is kept in {path}", style="dim")
    if not entries:
        return Group(Text("The log of control slides is empty."), where)
    table = Table(box=box.SIMPLE_HEAD, width=WIDTH, padding=(0, 1, 0, 0), header_style="dim")
    table.add_column("no", justify="right", no_wrap=True)
    table.add_column("when", no_wrap=True)
    table.add_column("control", no_wrap=True, max_width=16)
    table.add_column("what", no_wrap=True)
    table.add_column("", ratio=1, overflow="fold")
    for each in entries:
        what, text, style = _entry(each)
        name = Fitted(each.control, cut)
        table.add_row(str(each.number), when(each.at), name, Text(what, style=style), Text(clean(text)))
    return Group(table, where)


def _entry(entry: Entry) -> tuple[str, str, str]:
    """Return kind, text and style of an entry."""
    match entry.value:
        case Control() as control:
            return "set", f"{len(control.expected)} expected values", ""
        case ControlRun() as run:
            style = {"rejected": "bold red", "warning": "yellow", "in_control": "green"}.get(run.state, "")
            broken = ", ".join(
                f"{quantity_text(each.quantity)} {each.rule}" for each in (*run.rejected, *run.warned)
            )
            by = f", {run.operator}" if run.operator else ""
            return STATE_WORDS[run.state].lower(), f"{broken or f'{run.cells} white cells'}{by}", style
        case str(text):
            return entry.kind, text, "dim"


def when(time: str) -> str:
    """Format a time in this machine's time zone."""
    return f"{datetime.fromisoformat(time).astimezone():%Y-%m-%d %H:%M}"


def entry_json(entry: Entry) -> dict[str, Any]:
    """Return an entry of the log as plain values."""
    value = entry.value if isinstance(entry.value, str) else asdict(entry.value)
    return {
        "number": entry.number, "at": entry.at, "control": entry.control, "kind": entry.kind, entry.kind: value,
    }  # fmt: skip


def standing_json(standing: Standing) -> dict[str, Any]:
    """Return the state of a control slide as plain values."""
    run = standing.last_run
    return {
        "control": standing.control.name,
        "magnification": standing.control.magnification,
        "device": standing.control.device,
        "passes": standing.passes,
        "failed": standing.failed is not None,
        "failed_entry": standing.failed.number if standing.failed else None,
        "overdue_hours": standing.overdue_hours,
        "last": entry_json(standing.last) if standing.last and run else None,
        "runs": standing.runs,
    }
