"""Calibrations against simulated devices, through what `edgeleuk calibrate` calls."""

from __future__ import annotations

import io
import json

import numpy as np
import pytest
from rich.console import Console
from typer.testing import CliRunner

from edgeleuk.calibration.micrometer import measure
from edgeleuk.cli import app
from edgeleuk.errors import InputError
from edgeleuk.lab.evaluation.calibration import WAYS, CalibrationReport, Device, Result
from edgeleuk.lab.render.calibration import render_calibration


def result() -> Result:
    """Four devices: right, right along one axis alone, half a percent off along one, and refused."""
    found = ((0.1, 0.2), (0.1, 0.19), (0.1005, 0.2), None)
    return Result(0.005001, [Device((0.1, 0.2), each, 0.002) for each in found])


def test_a_device_is_as_wrong_as_its_worse_axis() -> None:
    """An axis that is 5 % off is not made good by the other; what was refused is not within any limit."""
    figures = result().as_json()
    assert (figures["devices"], figures["refused"]) == (4, 1)
    assert (figures["share_within_limit"], figures["share_within_stated_error"]) == (0.5, 0.25)
    assert figures["largest_error"] == pytest.approx(0.05)
    assert figures["median_error"] == pytest.approx(0.005)


@pytest.mark.parametrize("number", [9, 17])
def test_the_ends_of_ticks_are_no_lines(number: int) -> None:
    """Squeezed micrometers laid twice, of which one had a wrong second direction and one a wrong direction alone: right or
    refused, never wrong."""
    drawn = WAYS["micrometer, laid twice"][1](np.random.default_rng((0, 1, number)), "100x")
    assert drawn.spacing_um
    try:
        found = measure(drawn.pictures, drawn.spacing_um, ["across", "down"]).scale
    except InputError:
        return
    assert (found.um_per_px_x, found.um_per_px_y) == pytest.approx(drawn.um_per_px, rel=0.005)


def test_table_fits_80_columns() -> None:
    """Also where nothing could be measured."""
    ways = {"micrometer, laid twice": result(), "red cells": Result(0.05, [Device((0.1, 0.1), None, 0.0)])}
    console = Console(width=80, record=True, file=io.StringIO())
    console.print(render_calibration(CalibrationReport(ways)))
    text = console.export_text()
    assert max(map(len, text.splitlines())) <= 80
    assert "–" in text
    for whole in ("micrometer, laid twice", "Refused", "Within", "0.5% by"):
        assert whole in text


def test_the_command_runs_end_to_end() -> None:
    """One device for each way: rulings within half a percent, red cells within 5 %; another seed is another device."""
    done, other = (
        CliRunner().invoke(app, ["eval", "calibration", "--devices", "1", "--seed", seed, "--json"])
        for seed in ("0", "1")
    )
    assert done.exit_code == 0, done.output
    ways = json.loads(done.stdout)["ways"]
    assert len(ways) == 4
    assert {figures["share_within_limit"] for figures in ways.values()} == {1.0}
    assert ways != json.loads(other.stdout)["ways"]
