"""Renderers: what they show, and that they count nothing."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Sequence
from dataclasses import replace

import cv2
import jsonschema
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.console import Console
from standard import REFERENCE, RULES, judged, measured

from edgeleuk.differential.differential import Differential, Errors
from edgeleuk.differential.for_reader import differential_function
from edgeleuk.differential.rules import REFERENCE as REFERENCE_FILE
from edgeleuk.differential.tally import tally
from edgeleuk.differential.verdict import TITLES, Code, Reason, Verdict
from edgeleuk.models.manifest import PartFile
from edgeleuk.models.registry import Model
from edgeleuk.quality.assessment import load_limits
from edgeleuk.render import models, overlay, tables, terminal
from edgeleuk.render._words import picture_word, short
from edgeleuk.render.colours import of_label
from edgeleuk.results.slide_result import NO_THUMBNAIL, ModelIdentity, Provenance, SlideResult
from edgeleuk.statistics.bounds import Missed
from edgeleuk.statistics.correction import Confusion
from edgeleuk.types import (
    Assessment,
    AttributeReading,
    Cell,
    CountedField,
    Field,
    Finding,
    Frame,
    Image,
    NotRecognised,
    Overlap,
    Place,
    Placement,
    Reading,
    Refusal,
    Scale,
    Tally,
    numbered,
)


def _text(renderable: object, width: int = 80) -> str:
    console = Console(file=io.StringIO(), width=width, highlight=False)
    console.print(renderable)
    return console.file.getvalue()  # type: ignore[attr-defined]


def _field(*labels: str) -> Field:
    cells = tuple(
        Cell("WBC", (30.0 * i, 10, 30.0 * i + 25, 35), 0.9, True, Reading(label, 0.9, {label: 0.9}, {}))
        for i, label in enumerate(labels)
    )
    path = "a/very/long/path/" + "x" * 90 + "/field.jpg"
    return Field(path, 400, 300, Scale.given(0.1), numbered(cells))


def _slide(
    fields: Sequence[Field],
    differential: Differential,
    verdict: Verdict | None = None,
    overlaps: tuple[Overlap, ...] = (),
    refused: tuple[Refusal, ...] = (),
) -> SlideResult:
    """A result of fields that show different places."""
    counted, first = [], 1
    for number, field in enumerate(fields, start=1):
        identities = tuple(range(first, first + len(field.cells)))
        first += len(field.cells)
        counted.append(
            CountedField(
                number, 0.0, "", field, Placement(number, 0, 0), 1.0, identities, frozenset(identities), NO_THUMBNAIL, {},
            )
        )  # fmt: skip
    model = ModelIdentity("100x", "1", "", "", "")
    return SlideResult(
        about=Provenance(
            "u-1", "0.1.0", model, "2026-01-31T10:00:00+01:00", site="north", device="bench 2", slide="S-1"
        ),
        counted=tuple(counted),
        fields=tuple(fields),
        tally=tally(fields, RULES),
        differential=differential,
        area_mm2=0.1,
        overlaps=overlaps,
        refused=refused,
        verdict=verdict or Verdict("nothing_flagged", "All is well."),
    )


HEAD, OWN = "site,device,slide,session,started,", "north,bench 2,S-1,u-1,2026-01-31T10:00:00+01:00,"
"""Identity of `_slide` in a table."""


def _shown(
    fields: Sequence[Field], differential: Differential, model: Model, *, details: bool = False
) -> str:
    return _text(terminal.analysis(_slide(fields, differential), model, details=details))


def test_terminal_fits_80_columns(demo_field: Field, model: Model) -> None:
    """No line of the demo's result, or of a very long path's, is wider, with and without details."""
    fields = [demo_field, _field("neutrophil", "blast", "unclassified")]
    result = differential_function(model.reader, RULES, REFERENCE)(tally(fields, RULES))
    for some in (fields, fields[1:]):
        for details in (False, True):
            assert max(map(len, _shown(some, result, model, details=details).splitlines())) <= 80


def test_what_is_not_a_white_cell_is_called_so(model: Model) -> None:
    """In the table of cells and beside the percentages; the label is for files."""
    fields = [_field("neutrophil", "not_a_cell", "unclassified")]
    text = _shown(
        fields, judged(tally(fields, RULES), labels=["neutrophil", "not_a_cell"]), model, details=True
    )
    assert "not_a_cell" not in text
    assert "Not in these: not a white cell 1." in text
    assert re.search(r"\b2 +not a white cell", text)
    assert "1 of 2 white cells" in " ".join(text.split())


def test_the_verdict_is_the_first_line(model: Model) -> None:
    """Its title highlighted, and nothing above it."""
    fields = [_field("neutrophil")]
    result = judged(tally(fields, RULES), labels=["neutrophil"])
    for code, title in TITLES.items():
        slide = _slide(fields, result, Verdict(code, "Do this."))
        assert _text(terminal.analysis(slide, model)).splitlines()[0] == f" {title}  Do this."


def test_other_reasons_stand_below_the_verdict(model: Model) -> None:
    """Each once, the first one's text being in the line; where it is stands with each, the reasoning only with details."""
    fields = [_field("neutrophil")]
    places = tuple(Place("folder/a.jpg", (0, 0, 1, 1), number) for number in range(1, 6))
    reasons = (
        Reason("blasts_suspect", "5 cells read as blasts.", places, "They are 5 in 200."),
        Reason(
            "blast_like", "Others may be blasts.", places, "They add up to 3.1.", "See a.jpg cell 1, 2, 3."
        ),
        Reason("doubtful_pictures", "2 of 3 pictures have a warning."),
    )
    verdict = Verdict("look_again", "5 cells read as blasts. See a.jpg cell 1, 2, 3 and 2 more.", reasons)
    slide = _slide(
        [replace(fields[0], name="folder/a.jpg")], judged(tally(fields, RULES), labels=[]), verdict
    )
    lines = _text(terminal.analysis(slide, model)).splitlines()
    assert lines[:3] == [
        " LOOK AGAIN  5 cells read as blasts. See a.jpg cell 1, 2, 3 and 2 more.",
        "▌ Others may be blasts. See a.jpg cell 1, 2, 3.",
        "▌ 2 of 3 pictures have a warning.",
    ]
    detailed = _text(terminal.analysis(slide, model, details=True)).splitlines()
    assert detailed[1:5] == [
        "  They are 5 in 200.",
        "▌ Others may be blasts. See a.jpg cell 1, 2, 3.",
        "  They add up to 3.1.",
        "▌ 2 of 3 pictures have a warning.",
    ]


def test_many_pictures_get_a_row_each_with_details(model: Model) -> None:
    """One line tells how good they are; with details a table has a row a picture, and a block follows for each."""
    fields = [replace(_field("neutrophil"), name=f"field-{n}.jpg") for n in range(8)]
    result = judged(tally(fields, RULES), labels=model.reader.labels)
    brief = _shown(fields, result, model)
    assert "Pictures: 8 good." in brief
    assert "field-" not in brief
    detailed = _shown(fields, result, model, details=True)
    assert len(re.findall(r"^ +field-\d\.jpg +0\.100 ±0% +1 +0 +0", detailed, re.MULTILINE)) == 8
    assert len(re.findall(r"^╭─ field-\d\.jpg", detailed, re.MULTILINE)) == 8


def test_a_single_picture_shows_its_cells(model: Model) -> None:
    """By number, also without details; a cell that was not recognised with what it is most like."""
    cells = (
        Cell("WBC", (0, 50, 25, 75), 0.9, True, Reading("neutrophil", 0.9, {}, {})),
        Cell(
            "WBC",
            (0, 0, 25, 25),
            0.9,
            True,
            Reading("unclassified", 0.4, {"blast": 0.4, "lymphocyte": 0.3}, {}),
        ),
        Cell("WBC", (50, 50, 75, 75), 0.9, False),
    )
    field = Field("field.jpg", 400, 300, Scale.given(0.1), numbered(cells))
    rows = _shown([field], judged(tally([field], RULES), labels=["neutrophil"]), model).splitlines()
    assert [
        re.sub(r" +", " ", row.strip("│ ")) for row in rows if re.match(r"│ +\d +(not|neutrophil|cut) ", row)
    ] == [
        "1 not recognised: blast 40%? – – –",
        "2 neutrophil 90% – – –",
        "3 cut by the edge",
    ]


def test_what_limits_pictures_is_said_in_words() -> None:
    """Every code of the quality limits; a fault of a file never by the name of an error."""
    codes = {rule.code for rule in load_limits().rules} | {"objective", "NotAnImageError", "InputError"}
    words = {code: picture_word(code) for code in codes}
    assert words["NotAnImageError"] == words["InputError"] == "not readable"
    assert not {*words.values()} & {"domain", "coarse", "unknown", "objective", "dense", "thick"}


def test_pictures_with_a_warning_and_those_left_out_are_counted(model: Model) -> None:
    """In one line, with the reasons."""
    pale = Assessment((Finding("pale", False, 0.1, 0.2, "it is pale."),))
    fields = [_field("neutrophil"), replace(_field("blast"), assessment=pale)]
    result = judged(tally(fields, RULES), labels=["neutrophil"])
    refused = (
        Refusal("c.jpg", "focus", "it is blurred.", exit_code=5),
        Refusal("d.jpg", "seen", "it was counted."),
    )
    text = _text(terminal.analysis(_slide(fields, result, refused=refused), model))
    assert "Pictures: 1 good, 1 with a warning (pale stain 1), 1 left out (out of focus 1).\n" in text


def test_shares_stand_with_their_bounds(model: Model) -> None:
    """Whole percents under 200 cells, tenths from there on; bounds rounded away from each other; the unseen in one row."""
    labels = ("neutrophil", "lymphocyte", "blast")
    for n, row, others in (
        (120, r"neutrophil +72 +60 +50 – 71 ", r"none of the others +0 +0 +0 – 4 each"),
        (200, r"neutrophil +120 +60\.0 +52\.\d – 68\.\d ", r"none of the others +0 +0 +0 – 1\.9 each"),
    ):
        white = {"neutrophil": n * 3 // 5, "lymphocyte": n * 2 // 5}
        result = judged(Tally(1, white, {}, {}), labels=labels, errors=measured(*labels))
        text = _text(terminal.together([_field()], result, model))
        assert f"{n} white cells recognised in 1 picture at 100x" in text
        assert re.search(row, text)
        assert re.search(others, text)


def test_types_never_measured_have_rows_of_their_own(model: Model) -> None:
    """How many of them there may be is not known: they are no part of what holds for the other types."""
    labels = ("neutrophil", "lymphocyte", "blast")
    result = judged(
        Tally(1, {"neutrophil": 200}, {}, {}),
        labels=(*labels, "plasma_cell", "promonocyte"),
        errors=measured(*labels),
    )
    rows = [re.sub(r" +", " ", line.strip("┃ ")) for line in _shown([_field()], result, model).splitlines()]
    first = rows.index("none of the others 0 0 0 – 1.9 each")
    assert rows[first + 1 : first + 3] == ["plasma cell 0 0 not known", "promonocyte 0 0 not known"]


def test_cells_not_recognised_are_a_row_of_the_table(model: Model) -> None:
    """How many, of how many white cells found."""
    white = {"neutrophil": 150, "unclassified": 50, "smudge": 3}
    doubts = NotRecognised(50, {}, {"neutrophil": 50}, {"neutrophil": 50})
    labels = ("neutrophil", "smudge")
    counted = Tally(1, white, {}, {}, not_recognised=doubts)
    text = _text(
        terminal.together([_field()], judged(counted, labels=labels, errors=measured(*labels)), model)
    )
    assert re.search(r"not recognised +50 +of 200 white cells", text)
    assert "Not in these: smudge 3." in text


def test_lineages_of_cells_not_recognised_stand_below_them(model: Model) -> None:
    """The most frequent first, and last how many are of none; without a sure lineage there is no such row."""
    labels = ("neutrophil", "myelocyte", "blast")
    lineages = {"blast_like": ("blast",), "granulocytic": ("neutrophil", "myelocyte")}

    def rows(untyped: dict[str, int]) -> list[str]:
        doubts = NotRecognised(50, {}, {}, {}, untyped)
        slide = Tally(1, {"neutrophil": 150, "unclassified": 50}, {}, {}, not_recognised=doubts)
        result = judged(slide, labels=labels, lineages=lineages, errors=measured(*labels))
        lines = _text(terminal.together([_field()], result, model)).splitlines()
        first = next(i for i, line in enumerate(lines) if line.strip().startswith("not recognised"))
        return [" ".join(line.split()) for line in lines[first + 1 :] if re.match(r"  +\S", line)]

    assert rows({"blast_like": 5, "granulocytic": 40}) == [
        "granulocytic 40",
        "blast-like 5",
        "lineage not recognised 5",
    ]
    assert rows({"granulocytic": 50}) == ["granulocytic 50"]
    assert rows({}) == []


def test_without_support_counts_stand_alone(model: Model) -> None:
    """No percentage, no bound and no bar of a slide that was hardly recognised, with details neither."""
    labels = ("neutrophil", "blast")
    white = {"neutrophil": 20, "unclassified": 180}
    counted = Tally(1, white, {}, {}, not_recognised=NotRecognised(180))
    result = judged(counted, labels=labels, errors=measured(*labels))
    for details in (False, True):
        text = _text(terminal.together([_field()], result, model, details=details))
        assert re.search(r"neutrophil +20 *\n", text)
        assert re.search(r"none of the others +0 *\n", text)
        assert not {"percent", "between", "corrected", "━", "╌", "%"} & set(re.findall(r"[a-z]+|[━╌%]", text))


@pytest.mark.parametrize(
    ("name", "width", "shown"),
    [
        ("a/b/field.jpg", 13, "a/b/field.jpg"),
        ("a/b/field.jpg", 12, "b/field.jpg"),
        ("a/b/field.jpg", 9, "field.jpg"),
        ("slide-2026-07-01-morning-0001.jpg", 20, "slide-20...-0001.jpg"),
        ("slide-2026-07-01-morning-0002.jpg", 20, "slide-20...-0002.jpg"),
        ("x/\x1b[2J\n.jpg", 40, "x/\\x1b[2J\\n.jpg"),
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
    names = [f"[bold]{'x' * (length - 14)}-{i:03}.jpg" for i in range(13)]
    fields = [replace(_field("neutrophil"), name=name) for name in names]
    result = judged(tally(fields, RULES), labels=model.reader.labels)
    text = _shown(fields, result, model, details=True)
    assert max(map(len, text.splitlines())) <= 80
    for i, name in enumerate(names):
        assert (name if length == 30 else f"-{i:03}.jpg") in text
        assert "[bold]xx" in text


def test_brackets_in_a_name_are_no_markup(model: Model) -> None:
    """The block of a picture has the name as the file has it."""
    field = replace(_field("neutrophil"), name="[red]smear[/red].jpg")
    result = judged(tally([field], RULES), labels=model.reader.labels)
    assert "[red]smear[/red].jpg" in _shown([field], result, model)


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
    """No two types share a colour, and what was not recognised is grey."""
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
    doubts = NotRecognised(12, {}, {}, dict.fromkeys(white, 12))
    counted = Tally(1, white, {"WBC": 212}, attributes, not_recognised=doubts)
    missed = {label: Missed(10, 1000) for label in ("neutrophil", "lymphocyte")}
    errors = Errors(confusion=CONFUSION, missed=missed)
    return judged(counted, labels=list(white)[:3], errors=errors, subtypes=STAGE)


def test_corrected_shares_stand_beside_the_raw_ones(model: Model) -> None:
    """With details, in a column with the interval, within 80 columns; a mark and no interval on the type whose misses were not measured."""
    text = _shown([_field("neutrophil")], _corrected({}), model, details=True)
    assert max(map(len, text.splitlines())) <= 80
    assert re.search(r"neutrophil +120 +60\.0 +4\d\.\d – 6\d\.\d +6\d\.\d \(4\d\.\d – 6\d\.\d\)", text)
    assert re.search(r"blast +6 +3\.0 +not known +2\.\d\* *$", text, re.MULTILINE)
    assert "* too few of these to know how many the reader misses." in text
    assert "corrected" not in _shown([_field("neutrophil")], _corrected({}), model)


def test_without_confusion_nothing_is_said_of_a_correction(demo_field: Field, model: Model) -> None:
    """Of a model that measured none: no column and no word of it."""
    result = judged(tally([demo_field], RULES), labels=model.reader.labels)
    assert "corrected" not in _shown([demo_field], result, model, details=True)
    assert "corrected" not in tables.differential_csv(_slide([demo_field], result))


def test_second_level_stands_under_its_type(model: Model) -> None:
    """With details: two indented rows, shares of the sure ones, and how many were not; nothing of it among the attributes."""
    result = _corrected({"neutrophil_stage": {"band": 10, "segmented": 90}})
    assert "segmented" not in _shown([_field("neutrophil")], result, model)
    text = _shown([_field("neutrophil")], result, model, details=True)
    rows = [line.strip("┃ ") for line in text.splitlines()]
    row = next(i for i, line in enumerate(rows) if line.startswith("neutrophil   "))
    assert re.fullmatch(r"band +10 +10 +of 100 sure", rows[row + 1])
    assert re.fullmatch(r"segmented +90 +90 +20 unsure", rows[row + 2])
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
    field = Field("field.jpg", 400, 300, Scale.given(0.1), numbered(cells))
    text = _shown([field], judged(tally([field], RULES), labels=["neutrophil"]), staged)
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


def test_a_model_says_which_types_it_prints_as_one(model: Model) -> None:
    """And that its head lies apart; a model without either says nothing of them."""
    printed = {name: name for name in model.reader.labels if name != "blast"} | {
        "lymphoblast": "blast",
        "myeloblast": "blast",
    }
    head = PartFile(model.folder / "reader-head.npz", "0" * 64)
    text = _text(models.card(replace(model, reader=replace(model.reader, printed=printed, head=head))))
    assert "blast: lymphoblast, myeloblast" in " ".join(text.split())
    assert "reader-head.npz" in text
    same = {name: name for name in model.reader.labels}
    plain = _text(models.card(replace(model, reader=replace(model.reader, printed=same, head=None))))
    assert "tells apart" not in plain
    assert "head" not in plain.split()


def test_second_level_without_a_sure_cell_is_one_row(model: Model) -> None:
    """How many were unsure is all that is known."""
    text = _shown([_field("neutrophil")], _corrected({}), model, details=True)
    assert re.search(r"  neutrophil stage +120 unsure", text)


def test_differential_csv_has_corrected_shares_and_second_levels() -> None:
    """Three columns more, and a row for each value and for the unsure."""
    rows = list(
        csv.DictReader(
            io.StringIO(
                tables.differential_csv(
                    _slide([], _corrected({"neutrophil_stage": {"band": 10, "segmented": 90}}))
                )
            )
        )
    )
    assert [row["type"] for row in rows] == [
        *("neutrophil", "neutrophil/band", "neutrophil/segmented", "neutrophil/unsure"),
        *("lymphocyte", "blast", "unclassified"),
    ]
    assert [bool(row["low"]) for row in rows] == [True, False, False, False, True, False, False]
    assert [row["count"] for row in rows[:4]] == ["120", "10", "90", "20"]
    assert (rows[1]["percent"], rows[1]["corrected"]) == ("10.0", "")
    assert float(rows[0]["corrected_low"]) < float(rows[0]["corrected"]) < float(rows[0]["corrected_high"])


def test_differential_csv_lists_types_and_what_lies_outside() -> None:
    """Exact rows of a small count; bounds are empty where there are none."""
    result = judged(
        tally([_field("neutrophil", "neutrophil", "smudge")], RULES), labels=["neutrophil", "smudge"]
    )
    assert tables.differential_csv(_slide([], result)).splitlines() == [
        f"{HEAD}type,count,of,percent,low,high,recognised_low,recognised_high",
        f"{OWN}neutrophil,2,2,100.0,,,15.811,100.0",
        f"{OWN}smudge,1,,,,,,",
    ]


def test_differential_csv_has_the_bounds() -> None:
    """Beside the interval over the recognised cells alone: none among 200 is up to 1.828 %, and 1.862 % with the missed."""
    labels = ("neutrophil", "blast")
    result = judged(Tally(1, {"neutrophil": 200}, {}, {}), labels=labels, errors=measured(*labels))
    blast = next(
        row
        for row in csv.DictReader(io.StringIO(tables.differential_csv(_slide([], result))))
        if row["type"] == "blast"
    )
    assert (blast["low"], blast["high"]) == ("0.0", "1.862")
    assert (blast["recognised_low"], blast["recognised_high"]) == ("0.0", "1.828")


def test_differential_csv_of_a_slide_hardly_recognised_has_counts_alone() -> None:
    """As the terminal: of 180 cells 160 were not recognised."""
    doubts = NotRecognised(160)
    white = Tally(1, {"neutrophil": 20, "unclassified": 160}, {}, {}, not_recognised=doubts)
    result = judged(white, labels=["neutrophil"])
    assert tables.differential_csv(_slide([], result)).splitlines() == [
        f"{HEAD}type,count,of,percent,low,high,recognised_low,recognised_high",
        f"{OWN}neutrophil,20,20,,,,,",
        f"{OWN}unclassified,160,,,,,,",
    ]


def test_verdict_csv_has_a_row_a_cell() -> None:
    """The verdict first, then each cell of each reason by picture and number, or the reason alone."""
    cells = (Place("a, b.jpg", (0, 0, 1, 1), 4), Place("c.jpg", (0, 0, 1, 1), 2))
    reasons = (
        Reason("blasts_suspect", "2 cells read as blasts.", cells),
        Reason("too_few_cells", "50 more."),
    )
    verdict = Verdict("look_again", "2 cells read as blasts. See both.", reasons)
    slide = _slide([], judged(Tally(0, {}, {}, {}), labels=["neutrophil"]), verdict)
    assert tables.verdict_csv(slide).splitlines() == [
        f"{HEAD}code,text,path,number",
        f"{OWN}look_again,2 cells read as blasts. See both.,,",
        f'{OWN}blasts_suspect,2 cells read as blasts.,"a, b.jpg",4',
        f"{OWN}blasts_suspect,2 cells read as blasts.,c.jpg,2",
        f"{OWN}too_few_cells,50 more.,,",
    ]


def test_verdict_csv_of_nothing_flagged_is_one_row() -> None:
    """Below the head."""
    slide = _slide([], judged(Tally(0, {}, {}, {}), labels=["neutrophil"]))
    assert tables.verdict_csv(slide).splitlines() == [
        f"{HEAD}code,text,path,number",
        f"{OWN}nothing_flagged,All is well.,,",
    ]


def test_every_row_of_every_table_says_whose_it_is() -> None:
    """Tables of several slides can be put one below the other."""
    slide = _read_together()
    slide = replace(slide, refused=(Refusal("b.jpg", "InputError", "it is no picture.", (), 3),))
    made = (
        tables.cells_csv(slide, ["nucleoli"]),
        tables.pictures_csv(slide),
        tables.verdict_csv(slide),
        tables.differential_csv(slide),
        tables.estimates_csv(slide),
    )
    for table in made:
        head, *rows = table.splitlines()
        assert head.startswith(HEAD)
        assert {row[: len(OWN)] for row in rows} <= {OWN}
    assert [len(table.splitlines()) for table in made] == [4, 3, 2, 4, 1]


def test_cells_csv_names_cells_by_their_number() -> None:
    """That of the overlay and of the verdict; none for red cells."""
    field = _field("neutrophil", "blast")
    field = replace(field, name="a.jpg", cells=(Cell("RBC", (0, 0, 5, 5), 0.5), *field.cells))
    slide = _slide([field], judged(tally([field], RULES), labels=["neutrophil", "blast"]))
    rows = list(csv.DictReader(io.StringIO(tables.cells_csv(slide, []))))
    assert [(row["path"], row["number"], row["label"]) for row in rows] == [
        ("a.jpg", "", ""),
        ("a.jpg", "1", "neutrophil"),
        ("a.jpg", "2", "blast"),
    ]


def _read_together() -> SlideResult:
    """One picture whose first cell another view made a blast, and whose second one an operator marked as an artefact."""
    alone = replace(_field("unclassified", "neutrophil", "neutrophil"), name="a.jpg")
    together = replace(_field("blast", "artefact", "neutrophil"), name="a.jpg")
    slide = _slide([together], judged(tally([together], RULES), labels=["neutrophil", "blast"]))
    return replace(slide, counted=(replace(slide.counted[0], field=alone),), marks={2: "artefact"})


def test_tables_have_cells_as_they_count(model: Model) -> None:
    """Read from all views together; what the operator marked is shown as it was read."""
    slide = _read_together()
    as_counted = ["blast", "neutrophil", "neutrophil"]
    assert [cell.reading and cell.reading.label for cell in slide.as_counted()[0].cells] == as_counted
    rows = csv.DictReader(io.StringIO(tables.cells_csv(slide, [])))
    assert [row["label"] for row in rows] == as_counted
    (image,) = tables.document(slide)["images"]
    assert [cell["label"] for cell in image["cells"]] == as_counted
    text = _text(terminal.analysis(slide, model))
    assert re.findall(r"│ +\d +(blast|neutrophil|not recognised)", text) == as_counted


def test_a_cell_that_counts_in_another_picture_is_shown_as_this_one_has_it() -> None:
    """There only its own picture speaks."""
    slide = _read_together()
    first = replace(slide.fields[0], cells=slide.fields[0].cells[1:])
    (field,) = replace(slide, fields=(first,)).as_counted()
    assert field.cells[0] == slide.counted[0].field.cells[0]


def test_the_document_has_the_verdict_and_numbered_cells() -> None:
    """By the published schema: the verdict as such, a number for each white cell and null for others."""
    field = _field("neutrophil", "blast")
    field = replace(field, name="a.jpg", cells=(Cell("RBC", (0, 0, 5, 5), 0.5), *field.cells))
    verdict = Verdict(
        "look_again", "Look.", (Reason("blasts_suspect", "Look.", (Place("a.jpg", (0, 0, 1, 1), 2),)),)
    )
    slide = _slide([field], judged(tally([field], RULES), labels=["neutrophil", "blast"]), verdict)
    document = tables.document(slide)
    schema = json.loads((REFERENCE_FILE.parent / "analysis.schema.json").read_text(encoding="utf-8"))
    jsonschema.validate(document["verdict"], schema["properties"]["verdict"])
    assert document["verdict"] == {
        "code": "look_again",
        "text": "Look.",
        "reasons": [
            {
                "code": "blasts_suspect",
                "text": "Look.",
                "detail": "",
                "cells": [{"picture": "a.jpg", "number": 2}],
            }
        ],
    }
    assert [cell["number"] for cell in document["images"][0]["cells"]] == [None, 1, 2]


# The verdict on annotated pictures


def _signed(verdict: Verdict, width: int = 1000) -> tuple[Image, Image]:
    """A plain picture's pixels, and what stands below them."""
    plain = np.full((208, width, 3), 128, np.uint8)
    picture = overlay.with_verdict(overlay.encode(plain), verdict)
    levels = cv2.cvtColor(cv2.imdecode(np.frombuffer(picture, np.uint8), cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)
    return levels[:208], levels[208:]


@pytest.mark.parametrize("code", TITLES)
def test_an_annotated_picture_ends_with_the_verdict(code: Code) -> None:
    """A strip of its colour as wide as the picture, with dark letters; the picture above stays."""
    above, strip = _signed(Verdict(code, "Do this."))
    assert strip.shape == (overlay.LINE + 12, 1000, 3)
    assert np.abs(above[:-16].astype(int) - 128).max() <= 3  # JPEG mixes colours within a block
    ground = np.median(strip.reshape(-1, 3), axis=0)
    assert np.abs(ground - overlay.VERDICTS[code]).max() <= 3
    assert (strip.max(axis=2) < 100).any()


def test_a_long_verdict_takes_more_lines() -> None:
    """It is never cut off at the right."""
    long = Verdict("look_again", " ".join(["words"] * 100))
    _, strip = _signed(long)
    lines = (strip.shape[0] - 12) // overlay.LINE
    assert lines > 1
    assert strip.shape[0] == overlay.LINE * lines + 12
    assert (strip[:, 990:].min(axis=2) > 100).all()
    assert _signed(long, width=600)[1].shape[0] > strip.shape[0]


def test_a_name_that_the_font_lacks_is_drawn_all_the_same() -> None:
    """With question marks for its letters."""
    _, strip = _signed(Verdict("look_again", "See Überträger-µ.jpg cell 1."))
    assert strip.shape[0] == overlay.LINE + 12


def _drawn(field: Field, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Every text of an annotated picture."""
    drawn: list[str] = []
    monkeypatch.setattr(overlay.cv2, "putText", lambda _, text, *__: drawn.append(text))
    overlay.draw(np.full((300, 400, 3), 200, np.uint8), field, ["neutrophil", "blast"])
    return drawn


@pytest.mark.parametrize(
    ("not_counted", "platelets"), [((), "Platelet 0"), (("Platelet",), "Platelet not counted")]
)
def test_a_legend_says_what_was_not_counted(
    not_counted: tuple[str, ...], platelets: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where they cannot be told apart none were looked for, which is not none that were found."""
    field = replace(_field("neutrophil"), not_counted=frozenset(not_counted))
    legend = [text for text in _drawn(field, monkeypatch) if text.startswith(("Platelet", "RBC"))]
    assert sorted(legend) == [platelets, "RBC 0"]


def test_labels_of_an_annotated_picture_begin_with_the_number(monkeypatch: pytest.MonkeyPatch) -> None:
    """As tables and the verdict name the cell; of one not recognised what it is most like."""
    field = _field("neutrophil", "unclassified")
    likely = Reading("unclassified", 0.4, {"blast": 0.4, "lymphocyte": 0.3}, {})
    field = replace(field, cells=(field.cells[0], replace(field.cells[1], reading=likely)))
    drawn = _drawn(field, monkeypatch)
    assert drawn[:2] == ["1 neutrophil 90%", "2 not recognised (blast 40%?)"]
