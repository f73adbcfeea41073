"""`edgeleuk eval calibration`: scale error on simulated devices.

The scale that a calibration finds is compared with the known scale.
"""

from __future__ import annotations

from typing import Annotated

import typer

from edgeleuk.cli._console import print_json, progress_bar, results
from edgeleuk.cli._model import MagOption, ModelOption, chosen
from edgeleuk.cli._options import JsonOption, NetworkThreadsOption


def calibration(
    mag: MagOption = None,
    model_folder: ModelOption = None,
    devices: Annotated[
        int, typer.Option("--devices", min=1, help="Simulated devices for each way to calibrate.")
    ] = 20,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Number that draws the devices.")] = 0,
    as_json: JsonOption = False,
    threads: NetworkThreadsOption = None,
) -> None:
    """Measure how accurate `edgeleuk calibrate` is, on simulated rulings and smears.

    Scale, turn, blur, noise, uneven light and squeeze are drawn for each device. Half a percent is right for a ruling, 5 %
    for red cells.
    """
    from edgeleuk.lab.evaluation.calibration import evaluate_calibration
    from edgeleuk.lab.render.calibration import render_calibration
    from edgeleuk.networks.finder import Finder

    model = chosen(model_folder, mag)
    with progress_bar("calibrating") as progress:
        report = evaluate_calibration(
            Finder(model.finder, threads), model.magnification, devices, seed, progress
        )
    if as_json:
        print_json(report.as_json())
    else:
        results().print(render_calibration(report))
