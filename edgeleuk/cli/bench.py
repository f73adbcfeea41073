"""`edgeleuk bench`: counting speed and best setting of this machine."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Annotated

import typer

from edgeleuk.cli._console import notices, print_json, progress_bar, results, tell
from edgeleuk.cli._model import ModelOption, chosen, in_use
from edgeleuk.cli._options import JsonOption
from edgeleuk.cli._rules import standards
from edgeleuk.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable

    from rich.console import RenderableType

    from edgeleuk.doctor.bench import BenchResult, Progress, SettingResult
    from edgeleuk.models.registry import Model
    from edgeleuk.system.machine import Setting


def bench(
    mag: Annotated[
        str | None,
        typer.Option("--mag", help="Objective; without it all that have models.", show_default="all"),
    ] = None,
    model_folder: ModelOption = None,
    width: Annotated[int, typer.Option(min=320, max=4096, help="Pixels of the camera.")] = 1280,
    height: Annotated[int, typer.Option(min=240, max=4096, help="Height, pixels.")] = 720,
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
    as_json: JsonOption = False,
) -> None:
    """Time every stage of the analysis, compare settings, and remember the best for this machine.

    8-bit and float arithmetic and numbers of threads are compared on the same simulated frames in turn. Close other
    programs first. The line below each table is for a report.
    """
    from edgeleuk.doctor.bench import BenchPlan, report_line, settings_here
    from edgeleuk.doctor.bench import bench as measure
    from edgeleuk.system import machine

    models = [chosen(model_folder, mag)] if model_folder else _in_use(mag)
    loaded, settings = standards(), settings_here(threads)
    done: list[BenchResult] = []
    for model in models:
        with _following(model.magnification, len(settings)) as step:
            done.append(measure(model, BenchPlan(settings, width, height, frames), *loaded, step))
        if not as_json:  # print each result at once: the next one may take minutes
            results().print(_table(done[-1]))
            results().print(report_line(done[-1]), soft_wrap=True)
    if as_json:
        print_json({"machine": machine.fingerprint(), "magnifications": [each.as_json() for each in done]})
    if remember:
        best = _for_all(done)
        path = machine.save(best)
        notices.print(
            f"from now on: {best.threads} threads, {best.arithmetic} ({path}). `--no-remember` only measures.",
            markup=False,
        )


def _in_use(mag: str | None) -> list[Model]:
    """Return the models of one objective, or of all.

    Raises:
        UsageError: There is no model.
    """
    from edgeleuk.models import registry

    names = list(registry.available()) if mag in (None, "all") else [mag]
    if not names:
        raise UsageError("there is no model to measure. See `edgeleuk models list`.")
    return [in_use(name) for name in names if name]


@contextmanager
def _following(magnification: str, settings: int) -> Iterator[Progress]:
    """Show the progress of a measurement.

    A bar on a terminal's stderr, else a line for each part of it.
    """
    doing = ""
    with progress_bar(lambda: f"{magnification}: {doing} fields") as bar:

        def step(what: str, done: int, total: int) -> None:
            nonlocal doing
            if what != doing and not notices.is_terminal:
                times = f" {settings} times each" if what == "timing" else ""
                tell(f"{magnification}: {what} {total} fields{times}")
            doing = what
            bar(done, total)

        yield step


def _for_all(done: list[BenchResult]) -> Setting:
    """Choose the best setting over all magnifications together.

    One machine has one setting.
    """
    totals = {
        result.setting: sum(
            1 / other.fps for each in done for other in each.results if other.setting == result.setting
        )
        for result in done[0].results
    }
    return min(totals, key=lambda setting: totals[setting])


def _table(result: BenchResult) -> RenderableType:
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    from edgeleuk.doctor.bench import STAGES

    table = Table(box=None, pad_edge=False)
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
    title = f"{result.magnification}, {result.width} x {result.height}: median ms by stage"
    return Group(Text(title, style="italic"), table)


def _stage(name: str, result: SettingResult) -> float:
    """Return the median time of one stage, ms."""
    return result.stages[name].median
