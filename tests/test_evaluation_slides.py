"""Slides against annotated counts: groups, shares, and fields that fail."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from edgeleuk.cli import app
from edgeleuk.cli.analyze import demo_picture
from edgeleuk.differential.verdict import TITLES, Verdict
from edgeleuk.errors import InputError
from edgeleuk.lab.evaluation.readings import proportion
from edgeleuk.lab.evaluation.slides import SlideResult, SlidesReport, leading, load_slides, shares
from edgeleuk.models.manifest import GROUPS

COUNTS = {
    "myeloblast": 20,
    "abnormal_promyelocyte": 10,
    "neutrophil": 6,
    "lymphocyte": 4,
    "unclassified": 900,
}


def test_shares_are_of_the_cells_that_belong_to_a_group() -> None:
    """Unclassified cells are in no group and in no denominator."""
    assert shares(COUNTS, GROUPS) == {
        "blast_like": 75.0,
        "lymphoid": 10.0,
        "granulocytic": 15.0,
        "monocyte": 0.0,
    }


def test_no_cells_no_leader() -> None:
    """A slide on which nothing was identified is led by nothing."""
    assert leading({"unclassified": 3}, GROUPS) is None
    assert leading(COUNTS, GROUPS) == "blast_like"


def read_as(predicted: dict[str, int], annotated: dict[str, int]) -> SlideResult:
    """A slide of which one white cell in four was not recognised; two annotated cells are beside the percentages."""
    return SlideResult(
        predicted,
        annotated,
        GROUPS,
        (),
        Verdict("look_again", "Look."),
        not_recognised=2,
        white_cells=4,
        lineages={"granulocytic": 1, "blast_like": 3},
        of_unknown_lineage=1,
        annotated_cells=sum(annotated.values()) + 2,
    )


def test_the_report_compares_shares() -> None:
    """One slide right and 25 points off, one without any cell: 50 points off and not right."""
    slides = {
        "a": read_as({"blast": 1, "neutrophil": 1}, {"myeloblast": 3, "neutrophil": 1}),
        "b": read_as({}, {"blast": 1, "neutrophil": 1}),
    }
    report = SlidesReport(slides)
    assert report.leading_right == 1
    assert report.blast_like_mae == pytest.approx((25 + 50) / 2)


def test_the_report_says_what_was_not_recognised_and_the_verdict() -> None:
    """Half of the white cells, with its interval; the lineage of one of these two is known."""
    slide = read_as({"blast": 1}, {"blast": 1}).as_json()
    assert slide["verdict"] == {"code": "look_again", "text": "Look.", "reasons": []}
    assert slide["not_recognised"] == proportion(2, 4)
    assert slide["not_recognised"]["share"] == 0.5
    assert slide["by_lineage"] == {
        "cells": {"granulocytic": 1, "blast_like": 3},
        "leading": "blast_like",
        "blast_like": 75.0,
        "not_recognised": proportion(1, 4),
    }


def test_the_report_says_how_much_is_no_white_cell() -> None:
    """Of all boxes that were read, those not recognised too; and of all that was annotated. Groups know nothing of it."""
    read = {"blast": 1, "unclassified": 2, "not_a_cell": 1, "platelet": 1}
    slide = read_as(read, {"blast": 2, "none": 4}).as_json()
    assert (slide["predicted"], slide["annotated"]) == (read, {"blast": 2, "none": 4})
    assert slide["not_a_cell"] == {"predicted_share": 1 / 5, "annotated_share": 4 / 8}
    assert slide["blast_like"] == {"predicted": 100.0, "annotated": 100.0}


def test_a_slide_without_cells_has_no_share_of_what_is_none() -> None:
    """Nothing was read on it."""
    empty = SlideResult({}, {}, GROUPS, (), Verdict("look_again", "Look."), 0, 0, {}, 0, 0).as_json()
    assert empty["not_a_cell"] == {"predicted_share": None, "annotated_share": None}
    assert (empty["by_lineage"]["leading"], empty["by_lineage"]["blast_like"]) == (None, None)


def slides_file(folder: Path, fields: list[str]) -> Path:
    counts = {"neutrophil": 5, "atypical lymphocyte": 2, "none": 7}
    table = folder / "slides.json"
    table.write_text(json.dumps([{"slide": "demo", "fields": fields, "cell_counts": counts}]))
    return table


def test_a_bad_file_says_what_it_needs(tmp_path: Path) -> None:
    """A table without counts is refused with the keys that a slide needs."""
    table = tmp_path / "slides.json"
    table.write_text('[{"slide": "x", "fields": []}]')
    with pytest.raises(InputError, match="Each needs slide, fields"):
        load_slides(table, tmp_path)


def test_a_slide_goes_through_the_pipeline(tmp_path: Path) -> None:
    """The demo picture as a slide: read and compared; artefacts are kept apart. A missing field is named and the rest done."""
    demo = Path(demo_picture())
    table = slides_file(tmp_path, [demo.name, "gone.jpg"])
    done = CliRunner().invoke(app, ["eval", "slides", str(table), "--images", str(demo.parent), "--json"])
    assert done.exit_code == 0, done.output
    report = json.loads(done.stdout)
    slide = report["slides"]["demo"]
    assert slide["annotated"] == {"neutrophil": 5, "atypical_lymphocyte": 2, "none": 7}
    assert slide["not_a_cell"] == {"predicted_share": 0.0, "annotated_share": 7 / 14}
    assert sum(slide["predicted"].values()) > 0
    assert slide["leading"] == {"predicted": "granulocytic", "annotated": "granulocytic"}
    assert slide["blast_like"]["annotated"] == 0.0
    assert slide["verdict"]["code"] in TITLES
    assert slide["not_recognised"]["count"] == slide["predicted"].get("unclassified", 0)
    assert [line.split(":")[0] for line in slide["refused"]] == ["gone.jpg"]
    assert report["leading_right"] == 1
