"""`edgeleuk bench`: how fast this machine counts, and which setting suits it."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Annotated

import typer

from edgeleuk.cli._console import notices, print_json, results
from edgeleuk.cli._model import ModelOption, chosen
from edgeleuk.cli._rules import standards
from edgeleuk.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable

    from rich.progress import Progress as Bar
    from rich.progress import TaskID
    from rich.table import Table

    from edgeleuk.bench import BenchResult, Progress, SettingResult
    from edgeleuk.machine import Setting
    from edgeleuk.zoo import Model


def bench(
    mag: Annotated[
        str | None, typer.Option("--mag", help="Objective, or all that have models.", show_default="all")
    ] = None,
    model_folder: ModelOption = None,
    width: Annotated[int, typer.Option(min=320, max=4096, help="Pixels of the camera.")] = 1280,
    height: Annotated[int, typer.Option(min=240, max=4096, help="Likewise.")] = 720,
    frames: Annotated[int, typer.Option(min=3, max=500, help="Fields for each setting.")] = 24,
    threads: Annotated[
        list[int] | None,
        typer.Option(
            min=1, help="Threads to compare; repeat for more.", show_default="all cores, half of them, 1"
        ),
    ] = None,
    remember: Annotated[
        bool, typer.Option("--remember/--no-remember", help="Use the best setting from now on.")
    ] = True,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Time every stage of a frame's way, compare settings, and remember what suits this machine.

    8-bit and float arithmetic and numbers of threads are compared on the same simulated frames in turn. Close other
    programs first. The last line is for a report.
    """
    from rich.progress import Progress as Bar

    from edgeleuk import machine
    from edgeleuk.bench import bench as measure
    from edgeleuk.bench import report_line, settings_here

    models = [chosen(model_folder, mag)] if model_folder else _in_use(mag)
    loaded = standards()
    done: list[BenchResult] = []
    with Bar(console=notices, transient=True, disable=not notices.is_terminal) as bar:
        for model in models:
            step = _stepping(bar, bar.add_task(model.magnification, total=frames))
            done.append(measure(model, settings_here(threads), *loaded, width, height, frames, step))
    if as_json:
        print_json({"machine": machine.fingerprint(), "magnifications": [each.as_json() for each in done]})
    else:
        for each in done:
            results().print(_table(each))
        for each in done:
            results().print(report_line(each), soft_wrap=True)
    if remember:
        best = _for_all(done)
        path = machine.save(best)
        notices.print(
            f"from now on: {best.threads} threads, {best.arithmetic} ({path}). `--no-remember` only measures.",
            markup=False,
        )


def _in_use(mag: str | None) -> list[Model]:
    """The models of one objective, or of all that have one. Raises UsageError where none has."""
    from edgeleuk import zoo

    names = list(zoo.available()) if mag in (None, "all") else [mag]
    if not names:
        raise UsageError("there is no model to measure. See `edgeleuk models list`.")
    return [zoo.load(name) for name in names if name]


def _stepping(bar: Bar, task: TaskID) -> Progress:
    def step(done: int, total: int) -> None:
        bar.update(task, completed=done, total=total)

    return step


def _for_all(done: list[BenchResult]) -> Setting:
    """The setting that is best over all magnifications together: one machine, one setting."""
    totals = {
        result.setting: sum(
            1 / other.fps for each in done for other in each.results if other.setting == result.setting
        )
        for result in done[0].results
    }
    return min(totals, key=lambda setting: totals[setting])


def _table(result: BenchResult) -> Table:
    from rich.table import Table

    from edgeleuk.bench import STAGES

    table = Table(box=None, pad_edge=False, title_justify="left")
    table.title = f"{result.magnification}, {result.width} x {result.height}: median ms by stage"
    table.add_column("threads\narithmetic")
    for each in result.results:
        setting = f"{each.setting.threads}\n{each.setting.arithmetic}"
        table.add_column(setting, justify="right", style="bold" if each is result.best else "")

    def row(name: str, value: Callable[[SettingResult], float], digits: int = 0) -> None:
        table.add_row(name, *(f"{value(each):.{digits}f}" for each in result.results))

    for name in STAGES:
        row(name, partial(_stage, name), 1)
    row("looked at, p95", lambda each: each.looked_at.p95)
    row("counted", lambda each: each.counted.median)
    row("counted, p95", lambda each: each.counted.p95)
    row("frames/s", lambda each: each.fps)
    return table


def _stage(name: str, result: SettingResult) -> float:
    """Median ms of one stage."""
    return result.stages[name].median
