"""`edgeleuk eval quality`: image-quality verdicts on varied images.

The images are good ones, degraded ones, and images of other things.
"""

from __future__ import annotations

from typing import Annotated

import typer

from edgeleuk.cli._console import print_json, progress_bar, results
from edgeleuk.cli._model import MagOption, ModelOption, chosen
from edgeleuk.cli._options import JsonOption, NetworkThreadsOption
from edgeleuk.cli.evaluate import Coco, Images, Limit, evenly
from edgeleuk.errors import EdgeleukError, UsageError


def quality(
    coco: Coco,
    images: Images,
    mag: MagOption = None,
    model_folder: ModelOption = None,
    strangers: Annotated[
        list[str] | None,
        typer.Option(
            "--strangers",
            help="Folder of pictures that are no smears; repeat for more.",
            show_default=False,
        ),
    ] = None,
    ladders: Annotated[
        int, typer.Option("--ladders", min=0, help="Pictures made worse step by step; 0 for none.")
    ] = 30,
    as_json: JsonOption = False,
    limit: Limit = None,
    threads: NetworkThreadsOption = None,
) -> None:
    """Measure which pictures are refused or warned of, also when they are degraded step by step."""
    from edgeleuk.analysis.analyser import Analyser
    from edgeleuk.lab.evaluation.datasets import load_fields
    from edgeleuk.lab.evaluation.quality import QualityReport, assess_sources, assess_strangers, climb_ladders
    from edgeleuk.lab.render.quality import render_quality
    from edgeleuk.sources.pictures.listing import pictures
    from edgeleuk.types import PictureFile

    model = chosen(model_folder, mag)
    samples, names = load_fields(coco, images)
    if not samples:
        raise UsageError(f"{coco} lists no pictures. Give a file with some.")
    others = list(pictures(strangers or [], recursive=True))
    if fault := next((each for each in others if isinstance(each, EdgeleukError)), None):
        raise fault
    strange = [each for each in others if isinstance(each, PictureFile)]
    analyser = Analyser(model, threads)
    with progress_bar("assessing") as progress:
        assessed = assess_sources(analyser, evenly(samples, limit), progress)
    with progress_bar("other pictures") as progress:
        foreign = assess_strangers(analyser, evenly(strange, limit), progress) if strange else None
    with progress_bar("ladders") as progress:
        climbs = climb_ladders(analyser, evenly(samples, ladders), names, progress) if ladders else {}
    report = QualityReport(assessed, foreign, climbs)
    if as_json:
        print_json(report.as_json())
    else:
        results().print(render_quality(report))
