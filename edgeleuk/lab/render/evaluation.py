"""Evaluation results as terminal tables.

Tables fit 80 columns.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from edgeleuk.lab.evaluation.alarms import MIN_BLAST_SHARE, AlarmsReport
from edgeleuk.lab.evaluation.cells import ReaderReport
from edgeleuk.lab.evaluation.end_to_end import WholeReport
from edgeleuk.lab.evaluation.fields import FieldsResult, FinderReport
from edgeleuk.lab.evaluation.phone import PhoneReport
from edgeleuk.lab.evaluation.readings import Readings, proportion
from edgeleuk.lab.evaluation.scales import ScaleResult
from edgeleuk.lab.evaluation.slides import SlidesReport, leading, shares
from edgeleuk.models.manifest import BLAST_LIKE
from edgeleuk.types import spoken

NOTHING = "–"
"""Text for an undefined value.

The data have no such cell.
"""
CONFUSIONS = 8
"""Number of mistakes listed, most frequent first."""
NAMES = 3
"""Number of file names listed before "and n more"."""


def render_finder(report: FinderReport) -> RenderableType:
    """Render the figures of a finder.

    Average precision, recall, precision and counts, overall and by source; then where the scale came from.
    """
    parts: list[RenderableType] = [_fields("All", report.overall)]
    if len(report.by_source) > 1:
        parts += [_fields(source or "no source", result) for source, result in report.by_source.items()]
    parts.append(_scale(report.scale))
    if report.not_in_model:
        parts.append(Text(f"Classes the model does not know, left out: {', '.join(report.not_in_model)}."))
    return Group(*parts)


def render_reader(report: ReaderReport) -> RenderableType:
    """Render the figures of a reader.

    Headline figures, then figures by source, by cell type, the most frequent mistakes, and the attributes.
    """
    parts: list[RenderableType] = [_headline(report)]
    by_source = report.by_source
    if len(by_source) > 1:
        parts.append(_sources(report))
    parts.append(_blast_like(report))
    parts += [_types(report.readings), _mistakes(report.readings)]
    if report.attributes:
        parts.append(_attributes(report))
    if report.subtypes:
        parts.append(_subtypes(report))
    if report.left_out:
        left = ", ".join(f"{label} {n}" for label, n in sorted(report.left_out.items()))
        parts.append(Text(f"Types the reader does not know, left out: {left}."))
    if report.blasts_only:
        only = ", ".join(f"{label} {n}" for label, n in sorted(report.blasts_only.items()))
        parts.append(Text(f"Of no single type, in the figures of blasts alone: {only}."))
    return Group(*parts)


def render_slides(report: SlidesReport) -> RenderableType:
    """Render a row per slide, headline figures and refusals."""
    columns = ("Slide", "Annotated", "Read", "Blast-like", "Read", "Cells")
    table = _table("Leading group and blast-like share, annotated and read", columns, texts=3)
    for name, slide in report.slides.items():
        truth, read = shares(slide.annotated, slide.groups), shares(slide.predicted, slide.groups)
        table.add_row(
            name,
            (leading(slide.annotated, slide.groups) or NOTHING).replace("_", "-"),
            (leading(slide.predicted, slide.groups) or NOTHING).replace("_", "-"),
            _percent(truth[BLAST_LIKE] / 100 if BLAST_LIKE in truth else None),
            _percent(read[BLAST_LIKE] / 100 if BLAST_LIKE in read else None),
            str(sum(slide.predicted.values())),
        )
    mae = report.blast_like_mae
    error = NOTHING if mae is None else f"{mae:.1f} points"
    lines = [
        f"Leading group right on {report.leading_right} of {len(report.slides)}; blast-like share off by {error}."
    ]
    for name, slide in report.slides.items():
        parts = (slide.not_recognised, slide.of_unknown_lineage)
        unsure, unknown = (_percent(n / slide.white_cells if slide.white_cells else None) for n in parts)
        lines.append(f"{name}: {unsure} of the white cells not recognised, {unknown} of no known lineage.")
        if slide.refused:
            lines.append(f"{name}: {_pictures(len(slide.refused))} not analysed, such as {slide.refused[0]}")
    return Group(table, Text("\n".join(lines)))


def render_whole(report: WholeReport) -> RenderableType:
    """Render an end-to-end evaluation.

    Cells that finder and reader together found and read correctly, by cell type; then the headline figures
    and the refusals.
    """
    columns = ("Type", "Cells", "Found", "Read", "Best of 5", "Printed", "Unsure")
    table = _table(f"White cells of known type in {report.fields} fields", columns)
    for label, of in {**report.by_type, "all": report.overall}.items():
        counts = (of.annotated, of.found, of.read, of.right_of_five, of.right_as_printed, of.unclassified)
        table.add_row(label, *map(str, counts))
    figures = report.overall.as_json()
    measures = {
        "Found": "found",
        "Best of the five right, of those read": "accuracy5",
        "Right as printed (not recognised: wrong)": "accuracy_as_printed",
        "Right of those with a type printed": "accuracy_of_accepted",
        "Not recognised": "unclassified",
    }
    shares = _table("All", ("Measure", "Share", "95 % interval", "Cells"))
    for words, key in measures.items():
        _add_proportion(shares, words, figures[key])
    wrong = _table("Most frequent mistakes", ("Truth", "Printed", "Cells"), texts=2)
    mistakes = [
        (n, truth, read)
        for truth, row in report.confusion.items()
        for read, n in row.items()
        if read != truth
    ]
    for n, truth, read in sorted(mistakes, key=lambda mistake: -mistake[0])[:CONFUSIONS]:
        wrong.add_row(truth, spoken(read), str(n))
    parts: list[RenderableType] = [table, shares, wrong]
    if report.refused:
        parts.append(Text(f"{_pictures(len(report.refused))} not analysed, such as {report.refused[0]}"))
    return Group(*parts)


def render_phone(report: PhoneReport) -> RenderableType:
    """Render an evaluation through a simulated eyepiece.

    Each view has a row: the field of view, the scale, and the recall of white cells beside that of the same
    cells undistorted.
    """
    columns = ("View", "Taken", "Disc", "Area", "Scale", "Cells", "Recall", "Plain")
    table = _table(f"{report.fields} fields through a simulated eyepiece", columns)
    document = report.as_json()
    for name, of in {**document["views"], "together": document["together"]}.items():
        measures = ("disc_found", "area_within_3_percent", "scale_within_8_percent")
        shares = [_percent(of[key]) for key in measures]
        recalls = [_percent(of[key]) for key in ("recall", "recall_undistorted")]
        table.add_row(name, str(of["pictures"]), *shares, str(of["white_cells"]), *recalls)
    lines = ["Disc: found. Area and scale: within 3 and 8 %. Plain: recall of the same cells undistorted."]
    if told := document["together"]["intervals"]:
        names = {"disc_found": "disc", "area_within_3_percent": "area", "scale_within_8_percent": "scale"}
        names |= {"recall": "recall", "recall_undistorted": "undistorted"}
        bounds = {names[key]: each for key, each in told.items() if key in names}
        spans = (f"{name} {100 * low:.1f} to {100 * high:.1f}" for name, (low, high) in bounds.items())
        lines.append(f"95 % intervals together: {', '.join(spans)}.")
    if report.without:
        lines.append(f"{_pictures(len(report.without))} left out, such as {report.without[0]}")
    return Group(table, Text("\n".join(lines)))


def render_alarms(report: AlarmsReport) -> RenderableType:
    """Render an evaluation of flags for blasts.

    False flags on simulated healthy slides, then each patient with blasts, and the totals.
    """
    healthy = report.healthy.as_json()
    slides = _table(
        f"{report.healthy.draws.slides} simulated healthy slides of {report.healthy.draws.cells} white cells"
        f" ({report.healthy.draws.source})",
        ("Flag", "Share", "95 % interval", "Slides"),
    )
    for code, figures in healthy["flags"].items():
        _add_proportion(slides, code, figures)
    patients = _table(
        f"Patients with {100 * MIN_BLAST_SHARE:g} % blasts or more ({report.patients_source})",
        ("Patient", "Cells", "Blasts", "Read", "Corrected", "Flagged present"),
    )
    for patient in report.patients:
        figures = patient.as_json()
        patients.add_row(
            patient.patient,
            str(patient.cells),
            _percent(figures["annotated"]["share"]),
            _percent(figures["read"]["share"]),
            _percent(figures["corrected"] and figures["corrected"]["share"]),
            "yes" if report.alarm(patient) else "no",
        )
    n = len(report.patients)
    interval = _interval(proportion(report.alarmed, n)["interval"])
    pool = healthy["read_as_blasts"]
    lines = [
        f"Blasts are called present on {report.false_alarms} of {report.healthy.draws.slides} healthy slides.",
        f"{pool['count']} of the {pool['of']} cells that these were drawn from are read as blasts "
        f"(95 % interval {_interval(pool['interval'])}).",
        f"Blasts are called present in {report.alarmed} of {n} patients (95 % interval {interval or NOTHING}).",
    ]
    return Group(slides, patients, Text("\n".join(lines)))


def _fields(name: str, result: FieldsResult) -> Table:
    title = f"{name}: {_pictures(result.images)}, mAP50 {_share(result.map50)}, mAP50-95 {_share(result.map)}"
    columns = ("Class", "Annotated", "Counted", "Ratio", "AP50", "AP", "Recall", "Precision")
    table = _table(title, columns)
    for kind, figures in result.classes.items():
        precisions = figures.precisions
        table.add_row(
            kind,
            str(figures.annotated),
            str(figures.counted),
            _share(figures.count_ratio),
            _share(precisions.ap50 if precisions else None),
            _share(precisions.ap if precisions else None),
            _share(figures.recall),
            _share(figures.precision),
        )
    return table


def _scale(scale: ScaleResult) -> Text:
    words = {"annotation": "annotated red cells", "given": "given", "red cells": "estimated from red cells"}
    sources = [f"{words.get(source, source)} ({_pictures(n)})" for source, n in scale.sources.items()]
    lines = [f"Scale: {', '.join(sources) or 'none'}."]
    if scale.errors:
        lines.append(
            f"Estimate against annotation in {_pictures(len(scale.errors))}: median error "
            f"{_percent(scale.median_error)}, within 15 % in {_percent(scale.within(0.15))}."
        )
    if scale.failed:
        more = f" and {len(scale.failed) - NAMES} more" if len(scale.failed) > NAMES else ""
        lines.append(f"No scale, counted as nothing found: {', '.join(scale.failed[:NAMES])}{more}.")
    return Text("\n".join(lines))


def _headline(report: ReaderReport) -> Table:
    figures = report.readings.as_json()
    blast, rejection = report.blasts.separation(), figures["rejection"]
    table = _table("All cells", ("Measure", "Value", "95 % interval", "Cells"))
    table.add_row(
        "Accuracy", _share(figures["accuracy"]), _interval(figures["accuracy_interval"]), str(figures["n"])
    )
    table.add_row(
        "Accuracy, five mature types",
        _share(figures["accuracy5"]),
        _interval(figures["accuracy5_interval"]),
        str(figures["n5"]),
    )
    table.add_row("Macro F1 of the types", _share(figures["macro_f1"]))
    table.add_row("Macro F1 of the attributes", _share(report.attribute_macro_f1))
    table.add_row("Blasts: AUROC", _share(blast["auroc"]))
    table.add_row("Blasts: sensitivity at specificity 0.95", _share(blast["sensitivity_at_95_specificity"]))
    table.add_row(
        f"Accuracy where sure (probability >= {rejection['threshold']:.2f})",
        _share(rejection["accuracy"]),
        _interval(rejection["accuracy_interval"]),
        str(int(report.readings.accepted.sum())),
    )
    table.add_row("Share of the cells where sure", _share(rejection["coverage"]))
    table.add_row("Expected calibration error", _share(figures["expected_calibration_error"]))
    return table


def _sources(report: ReaderReport) -> Table:
    table = _table("By source", ("Source", "Cells", "Accuracy", "Five types", "Macro F1", "Blast AUROC"))
    for source, readings in report.by_source.items():
        figures = readings.as_json()
        table.add_row(
            source or "no source",
            str(figures["n"]),
            _share(figures["accuracy"]),
            _share(figures["accuracy5"]),
            _share(figures["macro_f1"]),
            _share(report.blasts.of(source).separation()["auroc"]),
        )
    return table


def _blast_like(report: ReaderReport) -> Table:
    """Return a row per source, and one for all together."""
    columns = ("Source", "Cells", "AUROC", "At spec. .95", "Recognised", "Sure", "Mature")
    table = _table("Blasts and promyelocytes against the rest; recall of mature types", columns)
    rows = {
        source or "no source": (report.blast_like.of(source), each)
        for source, each in report.by_source.items()
    }
    for name, (told, readings) in (
        rows if len(rows) == 1 else rows | {"all": (report.blast_like, report.readings)}
    ).items():
        figures = told.as_json()
        keys = ("auroc", "sensitivity_at_95_specificity", "recognised", "sure")
        shares = (_share(figures[key]) for key in keys)
        table.add_row(name, str(told.n), *shares, _share(readings.mean_recall_mature))
    return table


def _types(readings: Readings) -> Table:
    table = _table("By type", ("Type", "Cells", "Recall", "Precision", "F1", "Wrongly named"))
    for label, figures in readings.by_type().items():
        wrong = figures["false_positives"]
        table.add_row(
            spoken(label),
            str(figures["n"]),
            _share(figures["recall"]),
            _share(figures["precision"]),
            _share(figures["f1"]),
            f"{wrong['errors']} of {wrong['cells']}",
        )
    return table


def _mistakes(readings: Readings) -> Table:
    counts = readings.confusion
    names = [spoken(label) for label in readings.labels]
    cells = counts.sum(axis=1)
    wrong = [(int(counts[i, j]), i, j) for i, j in np.argwhere(counts) if i != j]
    table = _table("Most frequent mistakes", ("Truth", "Read as", "Cells", "Of"), texts=2)
    for n, i, j in sorted(wrong, key=lambda row: -row[0])[:CONFUSIONS]:
        table.add_row(names[i], names[j], str(n), str(cells[i]))
    return table


def _attributes(report: ReaderReport) -> Table:
    table = _table("Attributes", ("Attribute", "Cells", "Accuracy", "Macro F1"))
    for name, result in report.attributes.items():
        table.add_row(name.replace("_", " "), str(result.n), _share(result.accuracy), _share(result.f1))
    return table


def _subtypes(report: ReaderReport) -> Table:
    table = _table(
        "Second levels, of cells read as their type", ("Type", "Cells", "Accuracy", "Macro F1", "Misread")
    )
    for label, subtype in report.subtypes.items():
        values = ", ".join(subtype.result.values).replace("_", " ")
        table.add_row(
            f"{label.replace('_', ' ')}: {values}",
            str(subtype.result.n),
            _share(subtype.result.accuracy),
            _share(subtype.result.f1),
            str(subtype.misread),
        )
    return table


def _table(title: str, columns: Sequence[str], texts: int = 1) -> Table:
    """Return an empty table: `texts` columns of text, then numbers."""
    table = Table(title=title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD)
    for i, name in enumerate(columns):
        table.add_column(name, justify="left" if i < texts else "right", no_wrap=i >= texts)
    return table


def _add_proportion(table: Table, words: str, figures: Mapping[str, Any]) -> None:
    """Add a row for a result of `evaluation.readings.proportion`."""
    cells = f"{figures['count']} of {figures['of']}"
    table.add_row(words, _share(figures["share"]), _interval(figures["interval"]), cells)


def _pictures(n: int) -> str:
    return f"{n} picture" if n == 1 else f"{n} pictures"


def _share(value: float | None) -> str:
    return NOTHING if value is None else f"{value:.3f}"


def _percent(value: float | None) -> str:
    return NOTHING if value is None else f"{100 * value:.1f} %"


def _interval(limits: Sequence[float] | None) -> str:
    return "" if limits is None else f"{limits[0]:.3f} to {limits[1]:.3f}"
