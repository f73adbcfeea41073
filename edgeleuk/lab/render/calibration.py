"""Evaluation of calibrations as a table.

It fits a terminal of 80 columns.
"""

from __future__ import annotations

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from edgeleuk.lab.evaluation.calibration import CalibrationReport

NOTHING = "–"


def render_calibration(report: CalibrationReport) -> RenderableType:
    """Render a row per way to calibrate, against the truth."""
    table = Table(
        title="Scale of simulated devices", title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False
    )
    table.add_column("Calibrated by", no_wrap=True)
    for name in ("Devices", "Refused", "Within", "Median", "Most", "Stated"):
        table.add_column(name, justify="right")
    for name, of in report.as_json()["ways"].items():
        table.add_row(
            name, str(of["devices"]), str(of["refused"]), f"{of['share_within_limit']:.1%}",
            _error(of["median_error"]), _error(of["largest_error"]), f"{of['share_within_stated_error']:.1%}",
        )  # fmt: skip
    limits = ", ".join(f"{result.limit:.1%} by {name}" for name, result in report.ways.items())
    lines = f"Within: of all devices, {limits}.\nStated: within the 95 % error that the profile states."
    return Group(table, Text(lines))


def _error(value: float | None) -> str:
    return NOTHING if value is None else f"{value:.2%}"
