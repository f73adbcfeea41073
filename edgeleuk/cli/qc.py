"""`edgeleuk qc`: a control slide, counted each morning."""

from __future__ import annotations

import re
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edgeleuk.cli._console import print_json, results, tell, warn, write
from edgeleuk.cli._control_set import changed, with_established, with_expected
from edgeleuk.cli._model import MagOption, ModelOption
from edgeleuk.cli._options import JsonOption, RecursiveOption, ThreadsOption
from edgeleuk.cli._profile import ProfileOption, device
from edgeleuk.cli._who import (
    DeviceOption,
    NotesOption,
    OperatorOption,
    SessionFacts,
    SiteOption,
    StoreOption,
    checked_slide,
)
from edgeleuk.errors import ControlError, UsageError
from edgeleuk.system import file_io

if TYPE_CHECKING:
    from edgeleuk.quality_control.control import Control, ControlRun
    from edgeleuk.quality_control.log import Entry
    from edgeleuk.sessions import Store

app = typer.Typer(
    help="Quality control: a control slide, counted each morning and evaluated by the Westgard rules.\n\n"
    "While it fails or is overdue, results of its objective carry a warning. Without a control slide nothing changes.",
    no_args_is_help=True,
)


def _names(incomplete: str) -> list[str]:
    """Complete the name of a control slide in a shell."""
    return [name for name in _of_the_store() if name.startswith(incomplete)]


def _quantities(incomplete: str) -> list[str]:
    """Complete the name of a quantity in a shell."""
    found = {each.quantity for control in _of_the_store().values() for each in control.expected}
    return sorted(name for name in found if name.startswith(incomplete))


def _of_the_store() -> dict[str, Control]:
    from edgeleuk.quality_control import log
    from edgeleuk.sessions import default_path, open_store

    try:
        if file_io.is_absent(default_path()):
            return {}
        with open_store(create=False) as opened:
            return log.controls(log.read(opened, []))
    except Exception:  # noqa: BLE001  # a shell that completes a word shows no error
        return {}


Name = Annotated[
    str,
    typer.Argument(
        metavar="NAME", help="Name of the control slide.", show_default=False, autocompletion=_names
    ),
]
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,39}")
"""Pattern of a control's name: it is typed in commands."""


@app.command("set")
def set_control(
    name: Name,
    mag: MagOption = None,
    expect: Annotated[
        list[str] | None,
        typer.Option(
            "--expect",
            metavar="QUANTITY=MEAN,SD",
            help="Expected mean and SD, as neutrophil=60,4 (per cent). May be repeated.",
            show_default=False,
        ),
    ] = None,
    limits: Annotated[
        list[str] | None,
        typer.Option(
            "--range",
            metavar="QUANTITY=LOW,HIGH",
            help="Expected range, as neutrophil=52,68: taken as mean ± 2 SD. May be repeated.",
            show_default=False,
        ),
    ] = None,
    establish: Annotated[
        int | None,
        typer.Option(
            "--establish",
            metavar="N",
            help="Take mean and SD of every quantity from the first N sessions of the slide, 10 or more.",
            show_default=False,
        ),
    ] = None,
    leave_out: Annotated[
        list[str] | None,
        typer.Option(
            "--leave-out",
            metavar="QUANTITY",
            help="Do not check this quantity. May be repeated.",
            show_default=False,
            autocompletion=_quantities,
        ),
    ] = None,
    slide: Annotated[
        str | None,
        typer.Option(
            "--slide", help="Slide id of its sessions.", show_default="NAME", callback=checked_slide
        ),
    ] = None,
    every: Annotated[
        float | None,
        typer.Option(
            "--every", metavar="HOURS", help="Overdue after so many hours; 0: never.", show_default="0"
        ),
    ] = None,
    least: Annotated[
        int | None,
        typer.Option("--cells", min=1, help="White cells that a count needs.", show_default="100"),
    ] = None,
    microscope: Annotated[
        str | None,
        typer.Option("--device", help="Only for results of this device.", show_default="every device"),
    ] = None,
    model_folder: ModelOption = None,
    as_json: JsonOption = False,
    store: StoreOption = None,
) -> None:
    """Set a control slide and its expected values, or change them.

    Quantities are cell types (percent of the recognised white cells), not_recognised (percent of those found),
    platelets_per_1000_red_cells and um_per_px. What is not named stays as it was. The log keeps every change.
    """
    from edgeleuk.quality_control.log import controls, read
    from edgeleuk.render import quality_control as render
    from edgeleuk.sessions import open_store

    if not NAME.fullmatch(name):
        raise UsageError(
            f"{name!r} is no name for a control slide: letters, digits, dot, dash and underscore, 40 at most."
        )
    if every is not None and every < 0:
        raise UsageError(f"--every {every:g} is negative. Give hours, or 0 for no interval.")
    with open_store(store) as opened:
        before = controls(read(opened)).get(name)
        control = changed(before, name, mag)
        control = replace(
            control,
            slide=control.slide if slide is None else slide,
            device=control.device if microscope is None else microscope,
            least_cells=least or control.least_cells,
            every_hours=control.every_hours if every is None else every or None,
        )
        if establish is not None:
            control = with_established(opened, control, establish, model_folder)
        control = with_expected(control, expect or [], limits or [], leave_out or [])
        if control == before:
            tell(f"control slide {name} is so already; nothing was changed.")
        else:
            _log(opened, name, "set", control)
    if as_json:
        print_json({"schema": render.SCHEMA, "control": asdict(control)})
        return
    results().print(render.card(control))
    if not control.expected:
        tell(
            f"count it on 10 days or more, `edgeleuk qc run {name} PICTURES`, then `edgeleuk qc set {name} --establish 10`;"
            " or enter its values with --expect or --range."
        )


@app.command()
def run(
    name: Name,
    paths: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[PICTURES]...", help="Pictures or folders of the control slide.", show_default=False
        ),
    ] = None,
    session: Annotated[
        str | None,
        typer.Option("--session", metavar="ID", help="Evaluate a kept session instead.", show_default=False),
    ] = None,
    recursive: RecursiveOption = False,
    model_folder: ModelOption = None,
    profile: ProfileOption = None,
    um_per_px: Annotated[
        float | None,
        typer.Option(
            "--um-per-px", min=0.005, max=5, help="Micrometres per pixel, if known.", show_default=False
        ),
    ] = None,
    operator: OperatorOption = "",
    site: SiteOption = "",
    microscope: DeviceOption = "",
    notes: NotesOption = "",
    as_json: JsonOption = False,
    store: StoreOption = None,
    threads: ThreadsOption = None,
) -> None:
    """Count the control slide from pictures, or take a kept session, and evaluate it.

    The session is kept, and the evaluation is added to the log. Exit code 11: the control failed or could not be evaluated.
    """
    from edgeleuk.cli._control_count import (
        Counting,
        count_pictures,
        kept_result,
        model_of,
        require_new,
        run_of,
        warn_of_other_model,
    )
    from edgeleuk.quality_control import log
    from edgeleuk.quality_control.quantities import measure
    from edgeleuk.quality_control.westgard import evaluate_run
    from edgeleuk.render import quality_control as render
    from edgeleuk.sessions import open_store

    if bool(paths) == bool(session):
        raise UsageError("name pictures of the control slide, or a kept session with --session; not both.")
    entries = _read(store)
    control = _control(entries, name)
    model = model_of(model_folder, control)
    if session:
        with open_store(store, create=False) as opened:
            result = kept_result(opened, control, session, model)
        require_new(entries, name, result.about.id, session)
    else:
        known, _ = device(profile, control.magnification)
        who = SessionFacts(control.slide, operator, site, microscope or control.device, notes)
        result = count_pictures(
            model, Counting(paths or [], recursive, known, um_per_px, who, store, threads)
        )
    warn_of_other_model(control, model.version)
    evaluated = evaluate_run(control, measure(result), run_of(result), log.last_evaluated(entries, name))
    with open_store(store, create=False) as opened:
        _log(opened, name, "run", evaluated)
        kept = opened.get(evaluated.session).id
    if as_json:
        print_json({"schema": render.SCHEMA, "control": name, "run": asdict(evaluated)})
    else:
        results().print(render.run_report(control, evaluated, kept))
    if evaluated.state in ("rejected", "not_evaluated"):
        raise typer.Exit(ControlError.exit_code)


@app.command()
def check(as_json: JsonOption = False, store: StoreOption = None) -> None:
    """Say of each control slide whether it passes now.

    Exit code 11: one failed and was not counted again since, is overdue, was never counted, or its last count could not be
    evaluated. For scripts, and the start of a day.
    """
    from edgeleuk.quality_control import log
    from edgeleuk.render import quality_control as render

    found = log.standings(_read(store), datetime.now(UTC))
    if as_json:
        print_json({"schema": render.SCHEMA, "controls": [render.standing_json(each) for each in found]})
    else:
        results().print(render.standings(found))
    for each in found:
        if each.last is None:
            name = each.control.name
            tell(f"control slide {name} was never counted. Count it: `edgeleuk qc run {name} PICTURES`.")
    if not all(each.passes for each in found):
        raise typer.Exit(ControlError.exit_code)


@app.command("log")
def show_log(
    name: Annotated[
        str | None,
        typer.Argument(
            metavar="[NAME]", help="Only of this control slide.", show_default=False, autocompletion=_names
        ),
    ] = None,
    as_json: JsonOption = False,
    store: StoreOption = None,
) -> None:
    """Print the log: every setting, count and remark, oldest first. Nothing in it is ever changed."""
    from edgeleuk.render import quality_control as render
    from edgeleuk.sessions import default_path

    entries = [each for each in _read(store) if name in (None, each.control)]
    if as_json:
        print_json({"schema": render.SCHEMA, "log": [render.entry_json(each) for each in entries]})
    else:
        results().print(render.log(entries, store or default_path()))


@app.command()
def chart(
    name: Name,
    quantity: Annotated[
        list[str] | None,
        typer.Option(
            "--quantity",
            help="Chart of this quantity. May be repeated.",
            show_default="farthest off",
            autocompletion=_quantities,
        ),
    ] = None,
    last: Annotated[int, typer.Option("--last", min=1, help="Counts to show.")] = 60,
    svg: Annotated[
        Path | None, typer.Option("--svg", metavar="F", help="Write the charts as SVG.", show_default=False)
    ] = None,
    page: Annotated[
        Path | None,
        typer.Option("--html", metavar="F", help="Write the charts as a page to print.", show_default=False),
    ] = None,
    as_json: JsonOption = False,
    store: StoreOption = None,
) -> None:
    """Draw the Levey-Jennings chart: an overview of all quantities, and one in full.

    --svg and --html write the charts of all quantities, or of those named.
    """
    from edgeleuk.quality_control import log
    from edgeleuk.render import levey_jennings, levey_jennings_page
    from edgeleuk.render import quality_control as render

    entries = _read(store)
    _control(entries, name)
    runs = [each for each in log.runs(entries, name) if each[1].values][-last:]
    known = levey_jennings.quantities(runs)
    if unknown := [each for each in quantity or [] if each not in known]:
        raise UsageError(
            f"no count of {name} evaluated {unknown[0]}. Evaluated: {', '.join(known) or 'nothing yet'}."
        )
    for path, drawn in ((svg, levey_jennings_page.svg), (page, levey_jennings_page.page)):
        if path:
            write(path, drawn(name, runs, quantity or levey_jennings.shown_by_default(runs)))
            tell(f"the charts are in {path}")
    if as_json:
        told = [render.entry_json(entry) for entry, _ in runs]
        print_json({"schema": render.SCHEMA, "control": name, "runs": told})
    elif not runs:
        tell(f"no count of control slide {name} was evaluated yet: `edgeleuk qc run {name} PICTURES`.")
    elif not (svg or page):
        if not quantity:
            results().print(levey_jennings.overview(runs))
        for each in quantity or filter(None, [levey_jennings.worst(runs)]):
            results().print(levey_jennings.chart(each, levey_jennings.points(runs, each)))


@app.command()
def note(
    name: Name,
    text: Annotated[
        str, typer.Argument(help='What was found or done, as "lamp replaced".', show_default=False)
    ],
    store: StoreOption = None,
) -> None:
    """Add a remark to the log, as the cause of a failure and what was done about it."""
    _add(store, name, "note", text)
    tell(f"noted in the log of control slide {name}")


@app.command()
def retire(
    name: Name,
    reason: Annotated[str, typer.Option("--reason", help="To keep in the log.", show_default=False)] = "",
    store: StoreOption = None,
) -> None:
    """Take a control slide out of use, as one that has faded. Its log stays; it warns no more."""
    _add(store, name, "retire", reason)
    tell(f"control slide {name} is out of use")


def _read(store: Path | None) -> list[Entry]:
    """Return the log; empty where nothing was ever kept."""
    from edgeleuk.quality_control.log import read
    from edgeleuk.sessions import default_path, open_store

    if file_io.is_absent(store or default_path()):
        return []
    lost: list[str] = []
    with open_store(store, create=False) as opened:
        entries = read(opened, lost)
    for text in lost:
        warn(text)
    return entries


def _add(store: Path | None, name: str, kind: str, text: str) -> None:
    from edgeleuk.sessions import open_store

    _control(_read(store), name)
    with open_store(store, create=False) as opened:
        _log(opened, name, kind, text)


def _log(opened: Store, name: str, kind: str, value: Control | ControlRun | str) -> None:
    from edgeleuk._text import readable
    from edgeleuk.quality_control.log import encode

    opened.add_to_control_log(name, kind, encode(readable(value) if isinstance(value, str) else value))


def _control(entries: list[Entry], name: str) -> Control:
    """Return a control slide in use.

    Raises:
        UsageError: There is none of that name; it lists those that are.
    """
    from edgeleuk.quality_control.log import controls

    known = controls(entries)
    if name not in known:
        here = f"In use: {', '.join(known)}." if known else "None is in use."
        raise UsageError(f"there is no control slide {name}. {here} `edgeleuk qc set NAME` begins one.")
    return known[name]
