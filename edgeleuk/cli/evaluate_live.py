"""`edgeleuk eval live`: live counts of simulated slides.

The counts are compared with the known truth.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from edgeleuk.cli._console import notices, print_json, results
from edgeleuk.cli._model import MagOption, ModelOption, chosen
from edgeleuk.cli._options import JsonOption, NetworksThreadsOption
from edgeleuk.cli._rules import ReferenceOption, RulesOption, standards
from edgeleuk.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from rich.progress import Progress, TaskID
    from rich.table import Table

    from edgeleuk.lab.evaluation.live import LiveResult


def live(
    mag: MagOption = None,
    model_folder: ModelOption = None,
    seeds: Annotated[
        list[int] | None,
        typer.Option("--seed", help="Number of the simulated slide; repeat for more.", show_default="1"),
    ] = None,
    minutes: Annotated[float, typer.Option(min=0.5, max=120, help="Minutes of stage time.")] = 20.0,
    standstill: Annotated[
        float, typer.Option(min=0, help="Seconds that the stage is left alone half-way.")
    ] = 300.0,
    jumps: Annotated[
        int, typer.Option(min=0, help="How often the stage is knocked to another place and back.")
    ] = 3,
    fps: Annotated[float, typer.Option(min=0.5, max=30, help="Frames of the camera a second.")] = 4.0,
    threads: NetworksThreadsOption = None,
    as_json: JsonOption = False,
    rules: RulesOption = None,
    reference: ReferenceOption = None,
) -> None:
    """Count simulated slides of 200 white cells under a moving stage, and compare with the truth.

    Focus drifts and so does the lamp; the stage stops, is left alone, is knocked away and put back. What counts is
    whether every white cell in view is counted once, and whether a type's share is off by more than the reader's measured
    confusion explains. A slide takes about as long as a quarter of its stage time.
    """
    from rich.progress import Progress as Bar

    from edgeleuk.analysis.analyser import Analyser
    from edgeleuk.counting.scale_policy import ScalePolicy
    from edgeleuk.counting.slide import SlideCount, SlideOptions
    from edgeleuk.lab.evaluation.live import evaluate_live
    from edgeleuk.sources.simulated import DRIFTS_UM, StageSettings, StageSource

    if standstill >= minutes * 60 / 2:
        raise UsageError(
            "--standstill takes more than half of the time. Give more --minutes, or a shorter one."
        )
    loaded = standards(rules, reference)
    model = chosen(model_folder, mag)
    analyser = Analyser(model, threads, refusing=True)
    done: list[LiveResult] = []
    with Bar(console=notices, transient=True, disable=not notices.is_terminal) as bar:
        for seed in seeds or [1]:
            task = bar.add_task(f"slide {seed}", total=minutes * 60)
            slide = SlideCount(analyser, *loaded, ScalePolicy(analyser), SlideOptions(stills=False))
            source = StageSource(
                seed,
                model.magnification,
                settings=StageSettings(
                    minutes=minutes,
                    fps=fps,
                    focus_drift_um=DRIFTS_UM[model.magnification],
                    exposure_drift=0.1,
                    jumps=jumps,
                    standstill_s=standstill,
                ),
            )
            done.append(evaluate_live(slide, source, seed, progress=_to(bar, task)))
    if as_json:
        print_json({"slides": [each.as_json() for each in done]})
    else:
        results().print(_table(done))


def _to(bar: Progress, task: TaskID) -> Callable[[float], None]:
    def tell(seconds: float) -> None:
        bar.update(task, completed=seconds)

    return tell


def _table(done: Sequence[LiveResult]) -> Table:
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    table.add_column("slide", justify="right")
    for name in ("in view", "counted", "error", "not recognised", "fields", "islands"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("types off")
    for each in done:
        off = [label for label, share in each.types.items() if not share.explained]
        table.add_row(
            str(each.seed), str(sum(each.in_view.values())), str(sum(each.counted.values())), f"{each.error:+.1%}",
            str(each.counted.get("unclassified", 0)), str(each.fields), str(each.island_count),
            ", ".join(off).replace("_", " ") or ("none" if each.types else "not measured"),
        )  # fmt: skip
    return table
