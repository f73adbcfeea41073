"""Plot evaluation results.

Only this module imports matplotlib, and only when a plot is drawn.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from edgeleuk.errors import MissingExtraError, OutputError
from edgeleuk.lab.evaluation.cells import ReaderReport
from edgeleuk.lab.evaluation.coco import RECALLS
from edgeleuk.lab.evaluation.fields import FinderReport
from edgeleuk.lab.evaluation.metrics import BINS, Reliability
from edgeleuk.lab.evaluation.readings import Readings
from edgeleuk.types import spoken

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

DPI = 100
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
"""Line colours that colour-blind readers can tell apart.

Okabe and Ito, Color Universal Design, 2008.
"""
INK, FAINT = "#222222", "#999999"


def plot_finder(report: FinderReport, path: Path) -> None:
    """Plot precision against recall for each cell class.

    The curves are at IoU 0.5; a dot on each marks the operating point. The suffix of `path` sets the format:
    PNG, SVG or PDF.

    Raises:
        MissingExtraError: If matplotlib is not installed.
        OutputError: If the file cannot be written.
    """
    figure = _figure(8, 6)
    axes = figure.subplots()
    for i, (name, result) in enumerate(report.overall.classes.items()):
        if result.precisions is None:
            continue
        colour, curve = COLOURS[i % len(COLOURS)], result.precisions.precision
        reached = curve > 0
        label = f"{name}  AP50 {result.precisions.ap50:.3f}, {result.annotated:,} cells"
        axes.plot(RECALLS[reached], curve[reached], color=colour, linewidth=2, label=label)
        if result.recall is not None and result.precision is not None:
            axes.plot(
                result.recall, result.precision, "o", color=colour, markersize=9, markeredgecolor="white"
            )
    axes.plot([], [], "o", color=FAINT, markersize=9, label="operating point")
    axes.set(xlim=(0, 1.01), ylim=(0, 1.02), xlabel="Recall", ylabel="Precision")
    axes.set_title(
        f"Finder, {report.overall.images} pictures: mAP50 {_text(report.overall.map50)}, "
        f"mAP50-95 {_text(report.overall.map)}"
    )
    axes.legend(loc="lower left", frameon=False)
    _save(figure, path)


def plot_reader(report: ReaderReport, path: Path) -> None:
    """Plot the confusion matrix and the reliability.

    The matrix is a heat map; the reliability diagram of the probabilities is below it. The suffix of `path`
    sets the format: PNG, SVG or PDF.

    Raises:
        MissingExtraError: If matplotlib is not installed.
        OutputError: If the file cannot be written.
    """
    figure = _figure(8, 11)
    upper, lower = figure.subplots(2, 1, height_ratios=[7, 3])
    _confusion(upper, report.readings)
    _reliability(lower, report.readings.reliability)
    _save(figure, path)


def _confusion(axes: Axes, readings: Readings) -> None:
    counts = readings.confusion
    occurs = np.flatnonzero(counts.sum(axis=0) + counts.sum(axis=1))
    counts = counts[np.ix_(occurs, occurs)]
    names = [spoken(readings.labels[i]) for i in occurs]
    cells = counts.sum(axis=1)
    shares: NDArray[np.float64] = counts / np.maximum(cells, 1)[:, None]
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1, aspect="auto")
    for (row, column), count in np.ndenumerate(counts):
        if count:
            colour = "white" if shares[row, column] > 0.5 else INK
            axes.text(column, row, str(count), ha="center", va="center", color=colour, fontsize=8)
    axes.set_xticks(range(len(names)), names, rotation=45, ha="right", rotation_mode="anchor")
    axes.set_yticks(range(len(names)), [f"{name}  ({n})" for name, n in zip(names, cells, strict=True)])
    axes.set(xlabel="Read as", ylabel="Truth (cells)")
    axes.set_title(
        f"{readings.n:,} cells, accuracy {float(readings.correct.mean()):.3f}; shade: share of the row"
    )
    axes.tick_params(length=0, labelsize=9)


def _reliability(axes: Axes, reliability: Reliability) -> None:
    some = reliability.numbers > 0
    middles = (np.arange(BINS) + 0.5) / BINS
    shares = reliability.numbers / reliability.numbers.sum()
    axes.bar(middles, shares, width=0.9 / BINS, color="#D9D9D9", label="share of the cells")
    axes.plot([0, 1], [0, 1], color=FAINT, linestyle="--", linewidth=1, label="calibrated")
    axes.plot(
        reliability.confidence[some], reliability.accuracy[some], "o-", color=COLOURS[0], label="accuracy"
    )
    axes.set(xlim=(0, 1.01), ylim=(0, 1.03), xlabel="Probability of the best type", ylabel="Share")
    axes.set_title(f"Reliability: expected calibration error {_text(reliability.error)}")
    axes.legend(loc="upper left", frameon=False)


def _figure(width: float, height: float) -> Figure:
    """Create an empty figure of a size in inches.

    pyplot is avoided: it would keep the figure and look for a screen.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MissingExtraError(
            "a plot needs matplotlib, which is missing. Run: pip install 'edgeleuk[eval]'."
        ) from error
    return Figure(figsize=(width, height), dpi=DPI, layout="constrained")


def _save(figure: Figure, path: Path) -> None:
    for axes in figure.axes:
        axes.spines[["top", "right"]].set_visible(False)
    try:
        figure.savefig(path)
    except (OSError, ValueError) as error:
        raise OutputError(
            f"cannot write {path}: {error}. Name a .png, .svg or .pdf in a writable folder."
        ) from error


def _text(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"
