"""Renderers: what they show, and that they count nothing."""

from __future__ import annotations

import csv
import io
import re
from dataclasses import replace

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.console import Console
from standard import RULES, judged

from edgeleuk.correction import Confusion
from edgeleuk.differential import Differential
from edgeleuk.render import models, overlay, tables, terminal
from edgeleuk.render._words import short
from edgeleuk.render.colours import of_label
from edgeleuk.tallies import tally
from edgeleuk.types import AttributeReading, Cell, Field, Frame, Reading, Scale, Tally
from edgeleuk.zoo import Model


def _text(renderable: object, width: int = 80) -> str:
    console = Console(file=io.StringIO(), width=width, highlight=False)
    console.print(renderable)
    return console.file.getvalue()  # type: ignore[attr-defined]


def _field(*labels: str) -> Field:
    cells = tuple(
        Cell("WBC", (30.0 * i, 10, 30.0 * i + 25, 35), 0.9, True, Reading(label, 0.9, {label: 0.9}, {}))
        for i, label in enumerate(labels)
    )
    return Field("a/very/long/path/" + "x" * 90 + "/field.jpg", 400, 300, Scale.given(0.1), cells)


def test_terminal_fits_80_columns(demo_field: Field, model: Model) -> None:
    """No line of the demo's result, or of a very long path's, is wider."""
    fields = [demo_field, _field("neutrophil", "blast", "unclassified")]
    result = judged(tally(fields, RULES), labels=model.reader.labels)
    assert max(map(len, _text(terminal.analysis(fields, result, model)).splitlines())) <= 80


def test_many_pictures_get_a_row_each(model: Model) -> None:
    """Beyond MANY pictures the terminal shows one table instead of one block a picture."""
    fields = [_field("neutrophil")] * (terminal.MANY + 1)
    result = judged(tally(fields, RULES), labels=model.reader.labels)
    assert _text(terminal.analysis(fields, result, model)).count("field.jpg") == len(fields)


@pytest.mark.parametrize(
    ("name", "width", "shown"),
    [
        ("a/b/field.jpg", 13, "a/b/field.jpg"),
        ("a/b/field.jpg", 12, "b/field.jpg"),
        ("a/b/field.jpg", 9, "field.jpg"),
        ("slide-2026-07-01-morning-0001.jpg", 20, "slide-20...-0001.jpg"),
        ("slide-2026-07-01-morning-0002.jpg", 20, "slide-20...-0002.jpg"),
        ("x/\x1b[2J\n.jpg", 40, "x/ [2J .jpg"),
        ("涂片涂片涂片涂片-0001.jpg", 20, "涂片涂片...-0001.jpg"),
        ("field.jpg", 3, "..."),
        ("field.jpg", 0, ""),
    ],
)
def test_a_name_is_cut_in_its_middle(name: str, width: int, shown: str) -> None:
    """Folders go first; then what tells pictures apart stays, at both ends, in the cells that a terminal gives."""
    assert short(name, width) == shown


@given(st.text(max_size=40), st.integers(0, 50))
def test_a_name_never_takes_more_than_its_room(name: str, width: int) -> None:
    """Whatever its letters are, also those that take two cells or none."""
    assert cell_len(short(name, width)) <= width


@pytest.mark.parametrize("length", [30, 50])
def test_names_in_a_table_are_whole_where_there_is_room(length: int, model: Model) -> None:
    """36 cells are free beside a column of scales; what is longer keeps its number, and brackets are no markup."""
    names = [f"[bold]{'x' * (length - 14)}-{i:03}.jpg" for i in range(terminal.MANY + 1)]
    fields = [replace(_field("neutrophil"), name=name) for name in names]
    result = judged(tally(fields, RULES), labels=model.reader.labels)
    text = _text(terminal.analysis(fields, result, model))
    assert max(map(len, text.splitlines())) <= 80
    for i, name in enumerate(names):
        assert (name if length == 30 else f"-{i:03}.jpg") in text
        assert "[bold]xx" in text


def test_brackets_in_a_name_are_no_markup(model: Model) -> None:
    """The block of a picture has the name as the file has it."""
    field = replace(_field("neutrophil"), name="[red]smear[/red].jpg")
    result = judged(tally([field], RULES), labels=model.reader.labels)
    assert "[red]smear[/red].jpg" in _text(terminal.analysis([field], result, model))


def test_overlay_keeps_the_picture_and_adds_a_legend(
    demo_frame: Frame, demo_field: Field, model: Model
) -> None:
    """The annotated copy has the picture's size with the legend below, and changes only where something is drawn."""
    drawn = overlay.draw(demo_frame.pixels, demo_field, model.reader.labels)
    assert drawn.shape[1] == demo_frame.width
    assert drawn.shape[0] > demo_frame.height
    same = (drawn[: demo_frame.height] == demo_frame.pixels).all(axis=2).mean()
    assert 0.7 < same < 1


def test_small_picture_is_enlarged_for_its_labels() -> None:
    """A 400-pixel field is drawn at 1000, so that labels can be read."""
    drawn = overlay.draw(np.full((300, 400, 3), 200, np.uint8), _field("neutrophil"), ["neutrophil"])
    assert drawn.shape[1] == overlay.MIN_SIDE


def test_overlay_holds_no_metadata() -> None:
    """The written JPEG has no EXIF segment."""
    data = overlay.encode(np.full((64, 64, 3), 200, np.uint8))
    assert b"Exif" not in data
    assert cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR) is not None


def test_types_of_a_reader_have_colours_of_their_own(model: Model) -> None:
    """No two types share a colour, and unclassified is grey."""
    labels = model.reader.labels
    assert len({of_label(label, labels) for label in labels}) == len(labels)
    assert len(set(of_label("unclassified", labels))) == 1


CONFUSION = Confusion(
    "cells of a test",
    ("neutrophil", "lymphocyte"),
    ("neutrophil", "lymphocyte", "blast", "unclassified"),
    ((950, 0, 0, 50), (0, 930, 20, 50)),
)
STAGE = {"neutrophil": ("neutrophil_stage", ("band", "segmented"))}


def _corrected(attributes: dict[str, dict[str, int]]) -> Differential:
    white = {"neutrophil": 120, "lymphocyte": 74, "blast": 6, "unclassified": 12}
    return judged(
        Tally(1, white, {"WBC": 212}, attributes), labels=list(white)[:3], confusion=CONFUSION, subtypes=STAGE
    )


def test_corrected_shares_stand_beside_the_raw_ones(model: Model) -> None:
    """A column with the interval, within 80 columns, and a mark on the type whose misses were not measured."""
    text = _text(terminal.analysis([_field("neutrophil")], _corrected({}), model))
    assert max(map(len, text.splitlines())) <= 80
    assert re.search(r"neutrophil +120 +60\.0 +52\.9 – 66\.8 +6\d\.\d \(5\d\.\d – 6\d\.\d\)", text)
    assert re.search(r"blast +6 +3\.0 +1\.1 – 6\.4 +2\.\d\* \(0\.\d – \d\.\d\)", text)
    assert "* too few of these to know how many the reader misses." in text


def test_without_confusion_nothing_is_said_of_a_correction(demo_field: Field, model: Model) -> None:
    """The model that ships measured none: no column and no word of it."""
    result = judged(tally([demo_field], RULES), labels=model.reader.labels)
    assert "corrected" not in _text(terminal.analysis([demo_field], result, model))
    assert "corrected" not in tables.differential_csv(result)


def test_second_level_stands_under_its_type(model: Model) -> None:
    """Two indented rows, shares of the sure ones, and how many were not; nothing of it among the attributes."""
    result = _corrected({"neutrophil_stage": {"band": 10, "segmented": 90}})
    text = _text(terminal.analysis([_field("neutrophil")], result, model))
    rows = [line.strip("┃ ") for line in text.splitlines()]
    row = next(i for i, line in enumerate(rows) if line.startswith("neutrophil   "))
    assert re.fullmatch(r"band +10 +10\.0 +4\.9 – 17\.6 +of 100 sure", rows[row + 1])
    assert re.fullmatch(r"segmented +90 +90\.0 +82\.4 – 95\.1 +20 unsure", rows[row + 2])
    assert "neutrophil stage" not in text


def test_a_cell_is_shown_with_its_second_level_where_sure(model: Model) -> None:
    """A sure band neutrophil is called so; an unsure one is a neutrophil."""
    staged = replace(
        model, reader=replace(model.reader, subtypes={"neutrophil": "neutrophil_stage"}, confusion=CONFUSION)
    )
    cells = tuple(
        Cell(
            "WBC", (0, y, 25, y + 25), 0.9, True, Reading("neutrophil", 0.9, {}, {"neutrophil_stage": stage})
        )
        for y, stage in ((0, AttributeReading("band", 0.9, True)), (50, AttributeReading("band", 0.6, False)))
    )
    field = Field("field.jpg", 400, 300, Scale.given(0.1), cells)
    text = _text(terminal.analysis([field], judged(tally([field], RULES), labels=["neutrophil"]), staged))
    assert len(re.findall(r"neutrophil, band", text)) == 1


def test_a_model_is_shown_with_its_second_levels_and_its_confusion(model: Model) -> None:
    """Both stand among the facts of a reader that has them, and only there."""
    attributes = {**model.reader.attributes, "neutrophil_stage": ("band", "segmented")}
    reader = replace(
        model.reader,
        attributes=attributes,
        subtypes={"neutrophil": "neutrophil_stage"},
        confusion=CONFUSION,
    )
    text = _text(models.card(replace(model, reader=reader)))
    assert "neutrophil: band, segmented" in text
    assert "its confusion on cells of a test" in text
    plain = _text(models.card(replace(model, reader=replace(model.reader, subtypes={}, confusion=None))))
    assert "second level" not in plain
    assert "corrected by" not in plain


def test_second_level_without_a_sure_cell_is_one_row(model: Model) -> None:
    """How many were unsure is all that is known."""
    text = _text(terminal.analysis([_field("neutrophil")], _corrected({}), model))
    assert re.search(r"  neutrophil stage +120 unsure", text)


def test_differential_csv_has_corrected_shares_and_second_levels() -> None:
    """Three columns more, and a row for each value and for the unsure."""
    rows = list(
        csv.DictReader(
            io.StringIO(
                tables.differential_csv(_corrected({"neutrophil_stage": {"band": 10, "segmented": 90}}))
            )
        )
    )
    assert [row["type"] for row in rows] == [
        *("neutrophil", "neutrophil/band", "neutrophil/segmented", "neutrophil/unsure"),
        *("lymphocyte", "blast", "unclassified"),
    ]
    assert [row["count"] for row in rows[:4]] == ["120", "10", "90", "20"]
    assert (rows[1]["percent"], rows[1]["corrected"]) == ("10.0", "")
    assert float(rows[0]["corrected_low"]) < float(rows[0]["corrected"]) < float(rows[0]["corrected_high"])


def test_differential_csv_lists_types_and_what_lies_outside() -> None:
    """Exact rows of a small count."""
    result = judged(
        tally([_field("neutrophil", "neutrophil", "smudge")], RULES), labels=["neutrophil", "smudge"]
    )
    assert tables.differential_csv(result).splitlines() == [
        "type,count,of,percent,low,high",
        "neutrophil,2,2,100.0,15.811,100.0",
        "smudge,1,,,,",
    ]
