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
from edgeleuk.system.language import _, date, figure, msgid, ngettext, word
from edgeleuk.system.sentences import guarded
from edgeleuk.system.wording import command
from edgeleuk.types import spoken as english_name

WIDTH = 78
SCHEMA = "edgeleuk-quality-control/1"
STATE_WORDS: dict[State, str] = {
    "in_control": msgid("IN CONTROL"),
    "warning": msgid("WARNING"),
    "rejected": msgid("FAILED"),
    "not_evaluated": msgid("NOT EVALUATED"),
    "collected": msgid("COLLECTED"),
}
STATE_STYLES: dict[State, str] = {
    "in_control": "bold black on green",
    "warning": "bold black on yellow",
    "rejected": "bold white on red",
    "not_evaluated": "bold white on blue",
    "collected": "bold white on blue",
}


LATE = msgid("OVERDUE by {hours} h")
PLATELETS, SCALE = "platelets/1,000 red", "um per pixel"


def quantity_text(quantity: str) -> str:
    """Return the English name of a quantity."""
    special = {PER_1000_RED_CELLS: PLATELETS, UM_PER_PX: SCALE}
    return special.get(quantity, clean(english_name(quantity)))


def quantity_name(quantity: str) -> str:
    """Return the printed name of a quantity in the language in use."""
    return word(quantity_text(quantity))


def number(quantity: str, value: float) -> str:
    """Return a value with the decimals that its quantity needs."""
    return f"{value:.4f}" if quantity == UM_PER_PX else f"{value:.1f}"


def shown_number(quantity: str, value: float) -> str:
    """Return a value as the language in use writes it."""
    return figure(number(quantity, value))


def sds_text(deviation: float) -> str:
    """Return a distance in standard deviations."""
    return f"{figure(f'{deviation:+.1f}')} {_('SD')}"


def unit(quantity: str) -> str:
    """Return the unit behind a value: a per cent sign or nothing."""
    return "" if quantity in (PER_1000_RED_CELLS, UM_PER_PX) else " %"


def value_text(evaluated: EvaluatedValue) -> str:
    """Return a value beside its limits, in English words; `said` translates them."""
    quantity = evaluated.quantity
    return msgid("{name} {value} (limits {low} to {high}, rule {rule})").format(
        name=quantity_text(quantity),
        value=f"{number(quantity, evaluated.value)}{unit(quantity)}",
        low=number(quantity, evaluated.low),
        high=number(quantity, evaluated.high),
        rule=evaluated.rule,
    )


def state_line(name: str, run: ControlRun, least_cells: int) -> Text:
    """Return the state of a run as one highlighted line.

    Args:
        name: Name of the control slide.
        run: The run.
        least_cells: Minimum of recognised white cells.
    """
    texts: dict[State, str] = {
        "in_control": msgid("{n} quantities within their limits."),
        "warning": msgid("a value lies beyond 2 SD. Alone it rejects nothing; look at the next count."),
        "rejected": msgid("do not report patients' slides before the cause is found and the control passes."),
        "not_evaluated": msgid("{cells} white cells recognised, {least} needed. Count more fields of it."),
        "collected": msgid("there are no expected values yet."),
    }
    values = {"n": len(run.values), "cells": run.cells, "least": least_cells}
    english, shown = (each.format(**values) for each in (texts[run.state], _(texts[run.state])))
    text = guarded(english, shown) if run.state in ("warning", "rejected") else shown
    head = (f" {guarded(STATE_WORDS[run.state], _(STATE_WORDS[run.state]))} ", STATE_STYLES[run.state])
    return Text.assemble(head, " ", _("Control slide {name}").format(name=clean(name)), _(": "), text)


def run_report(control: Control, run: ControlRun, session: str) -> RenderableType:
    """Return a run with a row for each evaluated value.

    `session`: short id of its session, as other commands print it.
    """
    parts: list[RenderableType] = [state_line(control.name, run, control.least_cells)]
    if run.values:
        parts.append(_values(run.values))
        if absent := sum(not (each.value or each.mean or each.rule) for each in run.values):
            parts.append(Text(_("None of {n} other quantities, as expected.").format(n=absent), style="dim"))
    cells = ngettext(
        "{n} white cell recognised, session {session}.",
        "{n} white cells recognised, session {session}.",
        run.cells,
    ).format(n=run.cells, session=session)
    parts.append(Text(f"{cells} {guarded(RESEARCH_USE)}", style="dim"))
    return Group(*parts)


def _values(values: Sequence[EvaluatedValue]) -> Table:
    """Return a row for each value.

    A value is left out where none is expected and none is there.
    """
    table = Table(box=box.SIMPLE_HEAD, width=WIDTH, padding=(0, 1, 0, 0), header_style="dim")
    table.add_column(_("quantity"), ratio=1, no_wrap=True)
    for name in (_("value"), _("mean"), _("SD"), _("limits (2 SD)"), _("off by")):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column(_("rule"), no_wrap=True)
    shown = [each for each in values if each.value or each.mean or each.rule]
    for each in shown:
        name, style = (
            each.quantity,
            "bold red" if each.rule in ("1-3s", "2-2s") else "yellow" if each.rule else "",
        )
        table.add_row(
            Fitted(quantity_name(name), cut), shown_number(name, each.value), shown_number(name, each.mean),
            shown_number(name, each.sd), f"{shown_number(name, each.low)} – {shown_number(name, each.high)}",
            sds_text(max(min(each.deviation, 99.9), -99.9)), each.rule or "–", style=style,
        )  # fmt: skip
    return table


def card(control: Control) -> RenderableType:
    """Return a control slide with its expected values."""
    table = Table(box=None, pad_edge=False, show_header=False, width=WIDTH, padding=(0, 2, 0, 0))
    table.add_column(style="dim", no_wrap=True)
    table.add_column(ratio=1, overflow="fold")
    for name, text in _facts(control):
        table.add_row(name, Text(clean(text)))
    parts: list[RenderableType] = [
        Text(_("Control slide {name}").format(name=clean(control.name)), style="bold"),
        table,
    ]
    if control.expected:
        parts.append(_expected(control.expected))
        often = [each for each in control.expected if _is_frequent(each, control.least_cells)]
        warned = 100 * chance_of_warning(len(often))
        text = _("With {n} quantities that are not rare, chance alone warns (1-2s) in {percent} % of counts.")
        parts.append(Text(text.format(n=len(often), percent=f"{warned:.0f}"), style="dim"))
    return Group(*parts)


def _is_frequent(expected: Expected, least_cells: int) -> bool:
    """Return whether a cell or more is expected.

    Only then may chance warn.
    """
    return expected.quantity == UM_PER_PX or expected.mean * least_cells >= 100


def _facts(control: Control) -> Iterator[tuple[str, str]]:
    yield (
        _("slide id"),
        _("{slide}, at {objective}").format(slide=control.slide, objective=control.magnification),
    )
    yield _("device"), control.device or _("every one")
    every = _("no interval")
    if control.every_hours is not None:
        every = _("every {hours} hours").format(hours=f"{control.every_hours:g}")
    yield _("counted"), _("{every}, at least {n} white cells").format(every=every, n=control.least_cells)
    sessions = max((each.sessions for each in control.expected), default=0)
    if sessions:
        text = _("from {n} sessions, model version {version}")
        yield _("expected"), text.format(n=sessions, version=control.model_version)
    elif control.expected:
        yield _("expected"), _("entered by hand")
    else:
        yield _("expected"), _("none yet")


def _expected(values: Sequence[Expected]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, width=WIDTH, padding=(0, 1, 0, 0), header_style="dim")
    table.add_column(_("quantity"), ratio=1, no_wrap=True)
    for name in (_("mean"), _("SD"), f"2 {_('SD')}", f"3 {_('SD')}"):
        table.add_column(name, justify="right", no_wrap=True)
    for each in values:
        name = each.quantity
        spans = (
            f"{shown_number(name, max(0, each.mean - n * each.sd))} – {shown_number(name, each.mean + n * each.sd)}"
            for n in (2, 3)
        )
        table.add_row(
            Fitted(quantity_name(name), cut),
            shown_number(name, each.mean),
            shown_number(name, each.sd),
            *spans,
        )
    return table


def standing_line(standing: Standing) -> Text:
    """Return the state of a control slide as one line."""
    name, run = clean(standing.control.name), standing.last_run
    parts = (
        [(guarded(STATE_WORDS["rejected"], _(STATE_WORDS["rejected"])), "bold red")]
        if standing.failed
        else []
    )
    if standing.overdue_hours is not None:
        late = f"{standing.overdue_hours - (standing.control.every_hours or 0):.0f}"
        english, shown = (text.format(hours=late) for text in (LATE, _(LATE)))
        parts.append((guarded(english, shown), "bold red"))
    if not parts:
        state = _(STATE_WORDS[run.state]).lower() if run else _("not counted yet")
        parts.append((state, "green" if run and run.state == "in_control" else "yellow"))
    last = _(", last counted {when}").format(when=shown_when(standing.last.at)) if standing.last else ""
    told = Text(_(", ")).join(Text(*part) for part in parts)
    return Text.assemble(f"{name} ({standing.control.magnification})", _(": "), told, last)


def standings(found: Sequence[Standing]) -> RenderableType:
    """Return a line for each control slide in use."""
    if not found:
        return Text(
            _("No control slide is in use: `{qc_set} NAME` begins one.").format(qc_set=command("qc set"))
        )
    return Group(*(standing_line(each) for each in found))


def log(entries: Sequence[Entry], path: Path) -> RenderableType:
    """Return a row for each entry, oldest first."""
    where = Text(_("The log is kept in {path}").format(path=path), style="dim")
    if not entries:
        return Group(Text(_("The log of control slides is empty.")), where)
    table = Table(box=box.SIMPLE_HEAD, width=WIDTH, padding=(0, 1, 0, 0), header_style="dim")
    table.add_column(_("no"), justify="right", no_wrap=True)
    table.add_column(_("when"), no_wrap=True)
    table.add_column(_("control"), no_wrap=True, max_width=16)
    table.add_column(_("what"), no_wrap=True)
    table.add_column("", ratio=1, overflow="fold")
    for each in entries:
        what, text, style = _entry(each)
        name = Fitted(each.control, cut)
        table.add_row(str(each.number), shown_when(each.at), name, Text(what, style=style), Text(clean(text)))
    return Group(table, where)


def _entry(entry: Entry) -> tuple[str, str, str]:
    """Return kind, text and style of an entry."""
    match entry.value:
        case Control() as control:
            return _("set"), _("{n} expected values").format(n=len(control.expected)), ""
        case ControlRun() as run:
            style = {"rejected": "bold red", "warning": "yellow", "in_control": "green"}.get(run.state, "")
            broken = _(", ").join(
                f"{quantity_name(each.quantity)} {each.rule}" for each in (*run.rejected, *run.warned)
            )
            cells = ngettext("{n} white cell", "{n} white cells", run.cells).format(n=run.cells)
            by = f"{_(', ')}{run.operator}" if run.operator else ""
            return _(STATE_WORDS[run.state]).lower(), f"{broken or cells}{by}", style
        case str(text):
            return word(entry.kind), text, "dim"


def shown_when(time: str) -> str:
    """Format a time in this machine's time zone, as the language in use writes it."""
    at = datetime.fromisoformat(time).astimezone()
    return f"{date(at)} {at:%H:%M}"


def when(time: str) -> str:
    """Format a time in this machine's time zone, for texts that are kept."""
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
