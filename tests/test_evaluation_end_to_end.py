"""Whole fields against cells of known type: what is found, what is read, and what counts as right."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import cv2
import numpy as np
import pytest
from rich.console import Console
from typer.testing import CliRunner

from edgeleuk.analysis.observation import Observation
from edgeleuk.cli import app
from edgeleuk.cli.analyze import demo_picture
from edgeleuk.counting.slide import Examined
from edgeleuk.errors import ScaleError, UsageError
from edgeleuk.lab.evaluation.datasets import FieldSample
from edgeleuk.lab.evaluation.end_to_end import AnnotatedCell, Outcome, WholeReport, evaluate_whole
from edgeleuk.lab.evaluation.readings import proportion
from edgeleuk.lab.render.evaluation import render_whole
from edgeleuk.models.manifest import MATURE
from edgeleuk.types import Boxes, Cell, Field, PictureFile, Reading, Scale

NAMES = ("WBC", "RBC")
LABELS = ("neutrophil", "lymphocyte", "monocyte", "eosinophil", "basophil", "blast")
Box = tuple[float, float, float, float]
PLACES: tuple[Box, ...] = tuple((x, 10.0, x + 20.0, 30.0) for x in (10.0, 50.0, 90.0, 130.0))


class Written:
    """A slide whose every field has the cells that are written down; fields of None have no scale."""

    class analyser:  # noqa: N801, as the slide's attribute is called
        class reader:  # noqa: N801
            merge: Mapping[str, str] = {"band": "neutrophil"}
            mature = MATURE

    def __init__(self, cells: tuple[Cell, ...] | None) -> None:
        self.cells = cells
        self.surveyed: list[PictureFile] = []
        self.examined: list[str] = []
        self.scale = self

    def survey(self, pictures: Sequence[PictureFile]) -> None:
        self.surveyed += pictures

    def examine(self, seen: Observation) -> Examined:
        frame = seen.frame
        self.examined.append(frame.name)
        if self.cells is None:
            raise ScaleError("no red cells in it.")
        return Examined(seen, Field(frame.name, frame.width, frame.height, Scale.given(0.1), self.cells))


def cell(box: Box, printed: str | None, *chances: float) -> Cell:
    """A white cell read with these chances over LABELS, or not read."""
    reading = None
    if printed:
        reading = Reading(printed, max(chances), dict(zip(LABELS, chances, strict=True)), {})
    return Cell("WBC", box, 0.9, printed is not None, reading)


def sample(folder: Path, *subtypes: str | None) -> FieldSample:
    """A field with a white cell at each of the first PLACES, of these types."""
    path = folder / "field.png"
    cv2.imwrite(str(path), np.full((64, 200, 3), (215, 225, 235), np.uint8))
    boxes: Boxes = np.array(PLACES[: len(subtypes)], np.float32)
    kinds = np.zeros(len(subtypes), np.int64)
    return FieldSample(1, path, 200, 64, "bench", "g", frozenset({"WBC"}), boxes, kinds, subtypes)


NEUTROPHIL = (0.9, 0.0, 0.0, 0.0, 0.0, 0.1)
BLAST_OR_LYMPHOCYTE = (0.0, 0.4, 0.0, 0.0, 0.0, 0.6)


def test_a_cell_is_found_read_and_right(tmp_path: Path) -> None:
    """Of four cells one is read right, one is a blast but best of the five right, one is cut, one is missed."""
    found = (
        cell(PLACES[0], "neutrophil", *NEUTROPHIL),
        cell(PLACES[1], "blast", *BLAST_OR_LYMPHOCYTE),
        cell(PLACES[2], None),
        cell((170.0, 40.0, 190.0, 60.0), "neutrophil", *NEUTROPHIL),
    )
    samples = [sample(tmp_path, "band", "lymphocyte", "monocyte", "monocyte")]
    report = evaluate_whole(samples, NAMES, Written(found))
    assert report.cells == (
        AnnotatedCell("neutrophil", True, "neutrophil", "neutrophil"),
        AnnotatedCell("lymphocyte", True, "blast", "lymphocyte"),
        AnnotatedCell("monocyte", True),
        AnnotatedCell("monocyte", False),
    )
    assert report.overall == Outcome(
        annotated=4, found=3, read=2, right_of_five=2, right_as_printed=1, unclassified=0
    )
    assert report.confusion == {"neutrophil": {"neutrophil": 1}, "lymphocyte": {"blast": 1}, "monocyte": {}}


def test_unclassified_is_wrong_as_printed_and_left_out_of_the_accepted(tmp_path: Path) -> None:
    """Three read cells, one unclassified and one wrong: a third right as printed, half of the accepted."""
    found = (
        cell(PLACES[0], "neutrophil", *NEUTROPHIL),
        cell(PLACES[1], "neutrophil", *NEUTROPHIL),
        cell(PLACES[2], "unclassified", 0.5, 0.4, 0.0, 0.0, 0.0, 0.1),
    )
    samples = [sample(tmp_path, "neutrophil", "eosinophil", "neutrophil")]
    document = evaluate_whole(samples, NAMES, Written(found)).as_json()
    assert document["accuracy5"] == proportion(2, 3)
    assert document["accuracy_as_printed"] == proportion(1, 3)
    assert document["accuracy_of_accepted"] == proportion(1, 2)
    assert document["unclassified"] == proportion(1, 3)
    assert document["by_type"]["eosinophil"]["accuracy5"]["count"] == 0
    assert document["confusion"]["neutrophil"] == {"neutrophil": 1, "unclassified": 1}


def test_cells_of_unknown_type_take_what_is_theirs(tmp_path: Path) -> None:
    """A detection on a cell without a type is none of its typed neighbours', and is no figure."""
    written = Written((cell(PLACES[1], "neutrophil", *NEUTROPHIL),))
    report = evaluate_whole([sample(tmp_path, "neutrophil", None)], NAMES, written)
    assert report.cells == (AnnotatedCell("neutrophil", False),)


def test_other_types_are_counted_and_left_out(tmp_path: Path) -> None:
    """An annotated blast is outside the five-part figures."""
    found = (cell(PLACES[1], "blast", *BLAST_OR_LYMPHOCYTE),)
    report = evaluate_whole([sample(tmp_path, "neutrophil", "blast")], NAMES, Written(found))
    assert report.left_out == {"blast": 1}
    assert report.overall.annotated == 1


def test_a_field_without_scale_is_named_and_its_cells_missed(tmp_path: Path) -> None:
    """What cannot be analysed counts as nothing found, and shares of no cells are null."""
    document = evaluate_whole([sample(tmp_path, "neutrophil")], NAMES, Written(None)).as_json()
    assert document["refused"] == ["field.png: no red cells in it."]
    assert document["found"] == proportion(0, 1)
    assert document["accuracy5"] == {"count": 0, "of": 0, "share": None, "interval": None}


def test_untyped_fields_are_not_looked_at(tmp_path: Path) -> None:
    """One of two fields has cells of known type; only that one tells the scale and is examined."""
    slide = Written(())
    told: list[tuple[int, int]] = []
    samples = [sample(tmp_path, "neutrophil"), sample(tmp_path, None)]
    evaluate_whole(samples, NAMES, slide, lambda *done: told.append(done))
    assert (slide.surveyed, slide.examined) == ([PictureFile(samples[0].path)], ["field.png"])
    assert told == [(1, 1)]


@pytest.mark.parametrize(("subtype", "names"), [(None, NAMES), ("blast", NAMES), ("neutrophil", ("RBC",))])
def test_without_types_it_is_refused(tmp_path: Path, subtype: str | None, names: tuple[str, ...]) -> None:
    """A file in which no white cell has one of the five types says what it needs."""
    with pytest.raises(UsageError, match="Add `subtype`"):
        evaluate_whole([sample(tmp_path, subtype)], names, Written(()))


def test_table_fits_80_columns() -> None:
    """No line is longer than a terminal, and no name is cut."""
    cells = tuple(AnnotatedCell(label, True, "unclassified", label) for label in LABELS[:5])
    console = Console(width=80, record=True, file=io.StringIO())
    console.print(render_whole(WholeReport(5, cells, {}, ("a.png: no red cells in it.",))))
    text = console.export_text()
    assert max(map(len, text.splitlines())) <= 80
    assert "…" not in text
    assert all(word in text for word in ("eosinophil", "lymphocyte", "Best of 5", "1 picture not analysed"))


def test_the_command_runs_end_to_end(tmp_path: Path) -> None:
    """One box around the demo's first white cell, labelled as what `analyze` reads there: found and right."""
    demo = Path(demo_picture())
    analysed = json.loads(CliRunner().invoke(app, ["analyze", "--demo", "--json"]).stdout)["images"][0]
    first = next(c for c in analysed["cells"] if c["kind"] == "WBC" and c["label"] in LABELS[:5])
    x1, y1, x2, y2 = first["box"]
    annotation = {"id": 1, "image_id": 1, "category_id": 1, "bbox": [x1, y1, x2 - x1, y2 - y1]}
    size = {"width": analysed["width"], "height": analysed["height"]}
    table = tmp_path / "fields.json"
    document = {
        "images": [{"id": 1, "file_name": demo.name, **size}],
        "annotations": [{**annotation, "subtype": first["label"]}],
        "categories": [{"id": 1, "name": "WBC"}],
    }
    table.write_text(json.dumps(document))
    done = CliRunner().invoke(app, ["eval", "whole", str(table), "--images", str(demo.parent), "--json"])
    assert done.exit_code == 0, done.output
    report = json.loads(done.stdout)
    assert (report["found"]["count"], report["accuracy_as_printed"]["count"]) == (1, 1)
