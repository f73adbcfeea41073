"""Terminal tables on verdicts and bounds."""

from __future__ import annotations

from collections import Counter

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from edgeleuk.differential.verdict import TITLES
from edgeleuk.lab.evaluation.screen import ScreenReport
from edgeleuk.lab.evaluation.verdicts import VerdictsReport, for_blasts


def render_verdicts(report: VerdictsReport) -> RenderableType:
    """Render the evaluation of verdicts.

    Figures on healthy slides, slides with few blasts, patients, and bounds.
    """
    plan = report.plan
    lines = [
        f"{plan.healthy} healthy slides of {plan.cells} cells of {plan.healthy_source}: "
        + ", ".join(f"{TITLES[code]} {n}" for code, n in report.healthy.items())
        + f"; LOOK AGAIN for blasts {report.healthy_blasts}.",
        f"{plan.patients_source}: LOOK AGAIN for {report.alarmed} of {len(report.patients)} patients.",
    ]
    for share, (looked, slides) in report.few.items():
        lines.append(f"{share:.0%} blasts: LOOK AGAIN for blasts on {looked} of {slides} slides.")
    for name, each in report.coverage.items():
        lines.append(
            f"Bounds of blasts, {name}: printed on {each.printed} of {each.slides} slides; the truth was above {each.above} and "
            f"below {each.below} times; the upper one lies {each.excess:.1f} points above it in the mean."
        )
    widest = max(report.widths, key=lambda name: report.widths[name], default=None)
    if widest:
        lines.append(
            f"A fully recognised healthy slide: bounds up to {report.widths[widest]:.2f} times as wide as the exact interval "
            f"({widest.replace('_', ' ')})."
        )
    table = Table(box=box.SIMPLE_HEAD)
    for name in ("patient", "cells", "blast-like", "not recognised", "verdict"):
        table.add_column(name, justify="left" if name in ("patient", "verdict") else "right")
    for patient in report.patients:
        numbers = (patient.white_cells, patient.blast_like, patient.not_recognised)
        table.add_row(patient.patient, *map(str, numbers), patient.verdict.title)
    return Group(table, *map(Text, lines))


def render_screen(report: ScreenReport) -> RenderableType:
    """Render a row per source: its groups by verdict."""
    table = Table(box=box.SIMPLE_HEAD)
    table.add_column("source", no_wrap=True)
    for name in ("slides", "not usable", "look again", "too few", "nothing", "blasts", "white", "unsure"):
        table.add_column(name, justify="right")
    for source, groups in report.by_source().items():
        codes = Counter(each.verdict.code for each in groups)
        looked = sum(for_blasts(each.verdict) for each in groups)
        white = sum(each.white_cells for each in groups)
        unsure = sum(each.not_recognised for each in groups)
        table.add_row(
            source,
            str(len(groups)),
            *(str(codes[code]) for code in TITLES),
            str(looked),
            str(white),
            str(unsure),
        )
    looked = sum(for_blasts(each.verdict) for each in report.groups)
    text = f"LOOK AGAIN for blasts on {looked} of {len(report.groups)} slides."
    return Group(table, Text(text))
