"""The verdict on a slide: what holds first, with which reasons, which cells and which words."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from itertools import combinations
from typing import Any

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from standard import REFERENCE as RANGES
from standard import RULES, judged, measured

from edgeleuk.differential import verdict
from edgeleuk.differential.conclusion import conclude
from edgeleuk.differential.differential import Differential
from edgeleuk.differential.for_reader import differential_function
from edgeleuk.differential.labelled import NOBODY, Labelled
from edgeleuk.differential.rules import REFERENCE, Standards
from edgeleuk.differential.verdict import TITLES, Pictures, Verdict, cells_text, reach, told_apart
from edgeleuk.models import registry
from edgeleuk.render import terminal
from edgeleuk.statistics.bounds import group_kind
from edgeleuk.statistics.likeness import HealthyCells
from edgeleuk.types import UNCLASSIFIED, WHITE_CELL, Finding, NotRecognised, Place, Refusal, Tally

LABELS = (
    *("neutrophil", "lymphocyte", "monocyte", "eosinophil", "basophil"),
    *("myelocyte", "blast", "erythroblast", "smudge"),
)
ERRORS = replace(measured(*LABELS), healthy=(HealthyCells("cells of a test", (0.0, 1.0), (0.998, 0.002)),))
"""One in 500 healthy cells is taken for a blast: of 200 cells more than 2 on fewer than 2 % of the slides."""
HEALTHY = {"neutrophil": 120, "lymphocyte": 60, "monocyte": 14, "eosinophil": 4, "basophil": 2}
GOOD = Pictures(10)


def place(number: int, picture: str = "a.jpg") -> Place:
    return Place(picture, (0.0, 0.0, 9.0, 9.0), number)


def slide(white: Mapping[str, int], unsure: int = 0, **more: Any) -> Tally:
    """A tally of ten pictures, and of cells that were not recognised and may be of any type."""
    groups = (group_kind(key) for key in ("blasts", "immature_granulocytes", "nucleated_red_cells"))
    kinds = dict.fromkeys((*LABELS, *groups), unsure)
    doubts = NotRecognised(unsure, {}, kinds, kinds)
    every = {**white, **({UNCLASSIFIED: unsure} if unsure else {})}
    return Tally(10, every, {}, {}, not_recognised=doubts, **more)


def differential(tally: Tally) -> Differential:
    return judged(tally, labels=LABELS, errors=ERRORS)


def of(tally: Tally, pictures: Pictures = GOOD) -> Verdict:
    return reach(tally, differential(tally), pictures, RULES)


def judge(tally: Tally, labelled: Labelled = NOBODY, *, usable: bool = True) -> Differential:
    return judged(tally, labels=LABELS, errors=ERRORS, labelled=labelled, usable=usable)


def codes(reached: Verdict) -> list[str]:
    return [reason.code for reason in reached.reasons]


def refused_for(name: str, code: str) -> Refusal:
    """A picture that its quality keeps out."""
    return Refusal(name, code, "", (Finding(code, True, 0, 0, ""),), 5)


BLAST_LIKE: dict[str, Any] = {
    "blast_like": 3.5,
    "blast_like_doubted": 3.0,
    "most_blast_like": tuple((0.9 - i / 10, place(i)) for i in range(1, 6)),
}
COARSE: dict[str, Any] = {"findings": {"coarse": 6}}
DOUBTFUL: dict[str, Any] = {"findings": {"focus": 6}, "doubtful_pictures": 6}


# Each verdict


def test_a_healthy_slide_has_nothing_flagged() -> None:
    """How many cells that rests on, and what is not looked for."""
    reached = of(slide(HEALTHY, 10))
    assert reached == Verdict(
        "nothing_flagged",
        "200 of 210 white cells recognised. Not looked for: parasites, inclusions, red-cell shape, lineage.",
    )
    assert reached.line.startswith("NOTHING FLAGGED: 200 of 210")


def test_nothing_flagged_names_what_is_not_looked_for() -> None:
    """All of it: nothing of these may be taken for excluded."""
    text = of(slide(HEALTHY)).text
    assert all(name in text for name in ("parasites", "inclusions", "red-cell shape", "lineage"))


def test_flagged_cells_are_looked_at_again() -> None:
    """The flag's text, and where its cells are."""
    places = (place(4), place(7), place(2, "b.jpg"))
    reached = of(slide(HEALTHY | {"neutrophil": 117, "blast": 3}, places={"blast": places}))
    assert reached.line == (
        "LOOK AGAIN: 3 cells read as blasts. This may be a reading error: look at them. "
        "See a.jpg cell 4, 7; b.jpg cell 2."
    )
    (reason,) = reached.reasons
    assert (reason.code, reason.cells) == ("blasts_suspect", places)
    assert reason.named == "See a.jpg cell 4, 7; b.jpg cell 2."
    assert reason.detail == "3 cells in 200. The reader's errors explain 3.7, by chance up to 9."


def test_blast_like_cells_are_looked_at_again() -> None:
    """No cell was recognised as a blast; the likeliest come first, three of them by name."""
    reached = of(slide(HEALTHY, 10, **BLAST_LIKE))
    assert reached.code == "look_again"
    assert reached.text == (
        "More cells are like blasts than on healthy slides. Look at these first. See a.jpg cell 1, 2, 3 and 2 more."
    )
    (reason,) = reached.reasons
    assert [each.number for each in reason.cells] == [1, 2, 3, 4, 5]
    assert reason.detail == (
        "The probabilities of blast-like types add up to 3.5 cells. "
        "2 % of healthy slides with 210 white cells reach 2.0."
    )


@pytest.mark.parametrize(
    ("blast_like", "code"), [(2.0, "nothing_flagged"), (2.02, "look_again")], ids=["within", "beyond"]
)
def test_what_healthy_slides_have_too_is_not_blast_like(blast_like: float, code: str) -> None:
    """More than two whole cells are, of 210."""
    assert of(slide(HEALTHY, 10, **(BLAST_LIKE | {"blast_like": blast_like}))).code == code


def test_less_than_one_blast_is_not_blast_like() -> None:
    """However few healthy slides have as much: of cells that are never blast-like 0.99 is beyond every limit."""
    never = replace(ERRORS, healthy=(HealthyCells("cells of a test", (0.0,), (1.0,)),))
    for blast_like, found in ((0.99, []), (1.0, ["blast_like"])):
        alike = {"blast_like": blast_like, "blast_like_doubted": blast_like}
        tally = slide(HEALTHY, 10, **(BLAST_LIKE | alike))
        assert codes(reach(tally, judged(tally, labels=LABELS, errors=never), GOOD, RULES)) == found


def test_recognised_cells_alone_are_blast_like() -> None:
    """20 of 200 cells read as promyelocytes, of which no rule says that they are blasts: look at them."""
    labels = (*LABELS, "promyelocyte")
    errors = replace(measured(*labels), healthy=ERRORS.healthy)
    places = tuple(place(number) for number in range(1, 13))
    tally = slide(
        HEALTHY | {"neutrophil": 100, "promyelocyte": 20},
        blast_like=19.0,
        blast_like_read=19.0,
        most_blast_like=tuple((0.95, each) for each in places),
    )
    rules = replace(RULES, presence=replace(RULES.presence, rules=()))
    reached = reach(
        tally, judged(tally, labels=labels, errors=errors, standards=Standards(rules, RANGES)), GOOD, rules
    )
    assert (reached.code, codes(reached)) == ("look_again", ["blast_like"])
    assert reached.reasons[0].cells == places


def test_a_slide_half_recognised_is_blast_like_though_no_cell_is() -> None:
    """Each of 200 cells is a blast with 0.04 only, and not recognised: together they are 8."""
    cells = tuple((0.04, place(number)) for number in range(1, 13))
    tally = slide(HEALTHY, 200, blast_like=8.0, blast_like_doubted=8.0, most_blast_like=cells)
    assert codes(of(tally)) == ["blast_like"]


@pytest.mark.parametrize(("doubted", "found"), [(0.99, []), (1.0, ["blast_like"])])
def test_blasts_that_are_flagged_are_not_told_of_twice(doubted: float, found: list[str]) -> None:
    """Then one blast's worth must be of cells that were not recognised."""
    tally = slide(HEALTHY | {"blast": 3}, 10, **(BLAST_LIKE | {"blast_like_doubted": doubted}))
    assert codes(of(tally)) == ["blasts_suspect", *found]


def test_a_model_without_healthy_cells_flags_what_was_not_recognised() -> None:
    """It cannot say that nothing stands out; of a slide that it recognised it can."""
    unmeasured = replace(ERRORS, healthy=())
    places = ((0.3, place(2)), (0.1, place(1)))
    tally = slide(HEALTHY, 1, most_blast_like=places)
    reached = reach(tally, judged(tally, labels=LABELS, errors=unmeasured), GOOD, RULES)
    assert (reached.code, codes(reached)) == ("look_again", ["blast_like_unknown"])
    assert reached.text == (
        "This model does not say how blast-like healthy cells are to it. Look at what was not recognised. "
        "See a.jpg cell 2, 1."
    )
    tally = slide(HEALTHY, most_blast_like=places)
    known = reach(tally, judged(tally, labels=LABELS, errors=unmeasured), GOOD, RULES)
    assert known.code == "nothing_flagged"


def test_a_slide_hardly_recognised_is_not_usable() -> None:
    """150 of 200 are surely more than half; unread cells are counted with them."""
    reached = of(slide({"neutrophil": 50}, 150))
    assert reached.line == (
        "NOT USABLE: 150 of 200 white cells were not recognised. "
        "Look at the smear yourself. Check focus, stain and objective."
    )
    unread = of(slide({"neutrophil": 50}, 100, unread=50))
    assert unread.text.startswith("150 of 200 white cells were not recognised.")


def test_a_slide_of_doubtful_pictures_is_not_usable() -> None:
    """From more than half of them on; five of ten are not most."""
    reached = of(slide(HEALTHY, **DOUBTFUL))
    assert reached.line == (
        "NOT USABLE: 6 of 10 pictures are poor: focus, motion, stain or light. Take them again."
    )
    assert codes(reached) == ["doubtful_pictures"]
    assert of(slide(HEALTHY, doubtful_pictures=5)).code == "nothing_flagged"


def test_pictures_with_different_warnings_count_together() -> None:
    """Three out of focus and three others too pale are most of ten."""
    findings = {"focus": 3, "pale": 3}
    assert codes(of(slide(HEALTHY, findings=findings, doubtful_pictures=6))) == ["doubtful_pictures"]


def test_many_small_probabilities_of_recognised_cells_are_no_blast() -> None:
    """Beyond what healthy slides have, and yet no cell is recognised, or half recognised, as blast-like."""
    tally = slide(HEALTHY, 10, **(BLAST_LIKE | {"blast_like": 30.0, "blast_like_doubted": 0.9}))
    assert codes(reach(tally, judged(tally, labels=LABELS, errors=ERRORS), GOOD, RULES)) == []


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("coarse", "too little detail"),
        ("domain", "no smear as it knows them"),
        ("empty", "nothing found"),
    ],
)
def test_pictures_that_the_model_was_not_made_for_are_not_usable(code: str, words: str) -> None:
    """Where most of them are too coarse, of something else or empty, whatever was read."""
    reached = of(slide(HEALTHY, findings={code: 6}))
    assert reached.line == (
        f"NOT USABLE: 6 of 10 pictures are none that this model can read ({words}). "
        "Check the objective, and take them again."
    )
    assert codes(reached) == [code]
    assert of(slide(HEALTHY, findings={code: 5})).code == "nothing_flagged"


def test_a_slide_without_a_usable_picture_is_not_usable() -> None:
    """Why they were left out, the most frequent reason first."""
    refused = [refused_for(f"{i}.jpg", code) for i, code in enumerate(["dark", "focus", "focus"])]
    reached = of(slide({}), Pictures(0, refused))
    assert reached.line == "NOT USABLE: No picture could be used: focus 2, dark 1. Take them again."
    assert codes(reached) == ["no_pictures"]


def test_files_that_cannot_be_read_have_no_quality() -> None:
    """Beside pictures of poor quality they are no reason to take these again; alone they are said to be unreadable."""
    damaged = Refusal("x.jpg", "NotAnImageError", "", exit_code=4)
    reached = of(slide({}), Pictures(0, [damaged, refused_for("y.jpg", "focus"), damaged]))
    assert reached.line == "NOT USABLE: No picture could be used: focus 1. Take them again."
    unreadable = of(slide({}), Pictures(0, [damaged, damaged]))
    assert unreadable.line == "NOT USABLE: No picture could be read."
    assert codes(unreadable) == ["no_pictures"]


def test_pictures_left_out_beside_counted_ones_are_no_reason() -> None:
    """They are named elsewhere."""
    assert of(slide(HEALTHY), Pictures(1, [refused_for("x.jpg", "focus")] * 9)).reasons == ()


def test_too_few_cells_say_how_many_more() -> None:
    """Fewer than a hundred recognised; a hundred are enough."""
    few = {"neutrophil": 58, "lymphocyte": 30, "monocyte": 6}
    reached = of(slide(few, 3))
    assert reached.line == "TOO FEW CELLS: 94 white cells recognised. Count 6 more."
    assert codes(reached) == ["too_few_cells"]
    assert of(slide(few | {"lymphocyte": 36}, 3)).code == "nothing_flagged"


def test_no_white_cell_is_too_few() -> None:
    """Where to look for some."""
    reached = of(slide({}))
    assert reached.line == (
        "TOO FEW CELLS: No white cell was found. Move to where white cells are, and take more pictures."
    )
    assert codes(reached) == ["no_white_cells"]
    assert codes(of(slide({}), Pictures(0))) == ["no_white_cells"]


def test_one_white_cell_is_written_in_the_singular() -> None:
    """And 99 more make a hundred."""
    reached = of(slide({"neutrophil": 1}))
    assert reached.line == "TOO FEW CELLS: 1 white cell recognised. Count 99 more."


def test_white_cells_that_do_not_count_were_found_all_the_same() -> None:
    """Cells that the edge cuts: more pictures are wanted, no other place."""
    reached = of(Tally(1, {}, {WHITE_CELL: 3}, {}, cut=3))
    assert reached.line == "TOO FEW CELLS: 0 white cells recognised. Count 100 more."
    assert codes(reached) == ["too_few_cells"]


def test_a_slide_is_not_said_to_have_too_few_cells_where_it_is_not_recognised() -> None:
    """200 cells are there: more of them would not help. Of 60 more are wanted, too."""
    assert codes(of(slide({"neutrophil": 50}, 150))) == ["not_recognised"]
    assert codes(of(slide({"neutrophil": 10}, 50))) == ["not_recognised", "too_few_cells"]


# Order

FOREIGN = ("not_usable", "coarse")
LOOK = ("look_again", "blast_like")
POOR = ("not_usable", "doubtful_pictures")
FEW = ("too_few_cells", "too_few_cells")
ORDER = {FOREIGN: COARSE, LOOK: BLAST_LIKE, POOR: DOUBTFUL, FEW: {}}
"""Verdict and reason code, the gravest first, with what makes it hold."""


@pytest.mark.parametrize("some", [each for n in (1, 2, 3, 4) for each in combinations(ORDER, n)], ids=repr)
def test_the_gravest_of_what_holds_is_the_verdict(some: tuple[tuple[str, str], ...]) -> None:
    """And all of it stands among the reasons, in that order."""
    white = {"neutrophil": 55, "lymphocyte": 30} if FEW in some else HEALTHY
    more: dict[str, Any] = {}
    for each in some:
        findings = more.get("findings", {}) | ORDER[each].get("findings", {})
        more |= ORDER[each] | ({"findings": findings} if findings else {})
    reached = of(slide(white, 5, **more))
    assert (reached.code, reached.reasons[0].code) == some[0]
    assert codes(reached) == [code for _, code in some]
    assert reached.text.startswith(reached.reasons[0].text)


def test_the_gravest_flag_comes_first() -> None:
    """Blasts before left shift before a range, and all before what is only likely."""
    white = {"neutrophil": 90, "lymphocyte": 0, "myelocyte": 40, "blast": 30, "monocyte": 40}
    assert codes(of(slide(white, 5, **BLAST_LIKE))) == [
        "blasts_present",
        "immature_granulocytes_present",
        "lymphocytes_low",
        "monocytes_high",
        "blast_like",
    ]


# Pictures with a warning


def test_cells_of_doubtful_pictures_are_not_called_present_and_yet_looked_at() -> None:
    """30 blasts, 25 of them out of focus: look again, with what to do about the pictures."""
    white = HEALTHY | {"neutrophil": 90, "blast": 30}
    assert codes(of(slide(white)))[0] == "blasts_present"
    reached = of(slide(white, doubtful={"blast": 25}, **DOUBTFUL))
    assert reached.code == "look_again"
    assert codes(reached) == ["blasts_suspect", "doubtful_pictures"]
    assert reached.text == (
        "30 cells read as blasts, in pictures with a warning. Take the pictures again, or look at them."
    )


# Slides hardly recognised


def test_a_slide_hardly_recognised_gives_no_share_and_calls_nothing_present() -> None:
    """Neither in reasons nor in statements; its blasts are looked at all the same."""
    tally = slide({"neutrophil": 30, "blast": 20, "erythroblast": 10, "myelocyte": 10}, 180)
    result = differential(tally)
    assert not result.supported
    assert (result.bounds, result.group_bounds, result.bounds_per_100, result.corrected) == ({}, {}, {}, {})
    reached = reach(tally, result, GOOD, RULES)
    assert codes(reached) == ["blasts_suspect", "not_recognised"]
    assert reached.code == "look_again"
    said = [*result.adequacy, reached.text, *(reason.text for reason in reached.reasons)]
    assert not [text for text in said if "%" in text]
    assert not [code for code in codes(reached) if code.endswith("present")]


# Cells


def test_cells_are_named_by_picture_and_number() -> None:
    """In the words of a person, each picture once."""
    cells = [place(3), place(1, "b/c.jpg"), place(5)]
    assert cells_text(cells, {}) == "a.jpg cell 3, 5; b/c.jpg cell 1"
    assert cells_text(cells, {"b/c.jpg": "c.jpg", "a.jpg": "field 2"}) == "field 2 cell 3, 5; c.jpg cell 1"


@pytest.mark.parametrize(
    ("number", "where"),
    [
        (1, "See a.jpg cell 1."),
        (3, "See a.jpg cell 1, 2, 3."),
        (4, "See a.jpg cell 1, 2, 3 and 1 more."),
        (9, "See a.jpg cell 1, 2, 3 and 6 more."),
    ],
)
def test_the_line_names_three_cells_at_most(number: int, where: str) -> None:
    """All of them stand with the reason."""
    places = tuple(place(i) for i in range(1, number + 1))
    white = HEALTHY | {"neutrophil": 120 - number, "blast": number}
    reached = of(slide(white, places={"blast": places}))
    assert reached.text.endswith(f" {where}")
    assert reached.reasons[0].cells == places


def test_pictures_are_called_as_a_person_calls_them() -> None:
    """The reason keeps their full names."""
    white = HEALTHY | {"neutrophil": 119, "blast": 1}
    tally = slide(white, places={"blast": (place(8, "/slides/7/a.jpg"),)})
    reached = of(tally, Pictures(10, spoken={"/slides/7/a.jpg": "a.jpg"}))
    assert reached.text.endswith("See a.jpg cell 8.")
    assert reached.reasons[0].cells[0].picture == "/slides/7/a.jpg"


@pytest.mark.parametrize(
    ("names", "short"),
    [
        (["s/a.png", "s/b.png"], ["a.png", "b.png"]),
        (["a/1.png", "b/1.png", "a/2.png"], ["a/1.png", "b/1.png", "2.png"]),
        (["x/a/1.png", "y/a/1.png", "1.png"], ["x/a/1.png", "y/a/1.png", "1.png"]),
        (["/1.png", "/a/1.png"], ["/1.png", "a/1.png"]),
        (["1.png", "./1.png"], ["1.png", "1.png"]),
        ([], []),
    ],
)
def test_pictures_of_the_same_name_are_told_apart_by_folders(names: list[str], short: list[str]) -> None:
    """With as many folders as that takes, and none where the file's name is enough; paths of one file stay alike."""
    assert told_apart(names) == dict(zip(names, short, strict=True))


def test_the_line_of_any_verdict_is_short() -> None:
    """What a person reads at one glance: some three lines of a terminal, cells included."""
    places = tuple(place(10 * i, f"picture-{i}.jpg") for i in range(1, 9))
    white = HEALTHY | {"neutrophil": 112, "blast": 8}
    for tally in (
        slide(white, places={"blast": places}),
        slide(HEALTHY, 10, **BLAST_LIKE),
        slide({"neutrophil": 50}, 150),
        slide(HEALTHY, **DOUBTFUL),
        slide(HEALTHY, **COARSE),
        slide({}),
        slide(HEALTHY),
    ):
        assert len(of(tally).line) <= 240


# Codes


def test_codes_about_blasts_and_nucleated_red_cells_are_told_by_their_names() -> None:
    """Whoever goes by them finds all: "blast" for every rule about blasts, "nrbc" first for every one about the others."""
    blasts = [
        rule.code.lower()
        for rule in (*RULES.presence.rules, *RULES.threshold.rules)
        if rule.group == "blasts"
    ]
    assert blasts == ["blasts", "blasts_20_percent"]
    assert all("blast" in code for code in blasts)
    white = {"neutrophil": 90, "lymphocyte": 50, "monocyte": 10, "blast": 70, "erythroblast": 30}
    assert codes(of(slide(white, 5, **BLAST_LIKE))) == [
        "blasts_present",
        "blasts_20_percent",
        "nrbc_present",
        "blast_like",
    ]
    others = [rule for rule in RULES.presence.rules if rule.group == "nucleated_red_cells"]
    assert [rule.code for rule in others] == ["NRBC"]


def test_no_other_code_is_taken_for_one_about_blasts() -> None:
    """A left shift, smudge cells or a range has no "blast" in its code, and none begins with "nrbc"."""
    white = {"neutrophil": 40, "lymphocyte": 100, "myelocyte": 60, "smudge": 60}
    found = codes(of(slide(white)))
    assert found == [
        *("immature_granulocytes_present", "smudge_cells_many"),
        *("neutrophils_low", "lymphocytes_high", "monocytes_low"),
    ]
    assert not [code for code in found if "blast" in code or code.startswith("nrbc")]


# Forms


def test_a_verdict_as_json_follows_the_published_schema() -> None:
    """The code, the text without the title, and each reason with its cells by picture and number."""
    schema = json.loads((REFERENCE.parent / "analysis.schema.json").read_text(encoding="utf-8"))
    places = (place(4), place(2, "b.jpg"))
    reached = of(slide(HEALTHY | {"neutrophil": 118, "blast": 2}, places={"blast": places}))
    document = json.loads(json.dumps(verdict.as_json(reached)))
    jsonschema.validate(document, schema["properties"]["verdict"])
    assert document["code"] == "look_again"
    assert document["text"] == reached.text
    (reason,) = document["reasons"]
    assert reason == {
        "code": "blasts_suspect",
        "text": "2 cells read as blasts. This may be a reading error: look at them.",
        "detail": reached.reasons[0].detail,
        "cells": [{"picture": "a.jpg", "number": 4}, {"picture": "b.jpg", "number": 2}],
    }
    for other in (slide(HEALTHY), slide({}), slide({"neutrophil": 50}, 150)):
        jsonschema.validate(verdict.as_json(of(other)), schema["properties"]["verdict"])


def test_every_verdict_has_a_title_and_a_style() -> None:
    """A style that stands out, by which a terminal shows the title and nothing else."""
    assert TITLES.keys() == verdict.STYLES.keys()
    for code, title in TITLES.items():
        line = terminal.verdict_line(Verdict(code, "Do this."))
        assert line.plain == f" {title}  Do this."
        assert [(span.start, span.end, span.style) for span in line.spans] == [
            (0, len(title) + 2, verdict.STYLES[code])
        ]


@pytest.mark.parametrize("magnification", ["100x", "40x", "10x"])
def test_by_each_model_that_ships_a_healthy_slide_has_nothing_flagged(magnification: str) -> None:
    """All cells recognised as an adult has them, and surely so."""
    tally = slide(HEALTHY)
    result = differential_function(registry.load(magnification).reader, RULES, RANGES)(tally)
    assert reach(tally, result, GOOD, RULES).code == "nothing_flagged"


# What a slide that is not usable states


@pytest.mark.parametrize("poor", [COARSE, DOUBTFUL], ids=["foreign", "doubtful"])
def test_a_slide_that_is_not_usable_has_counts_alone(poor: dict[str, Any]) -> None:
    """As one of which less than half was recognised: no bounds, nothing excluded, no flag on a share."""
    tally = slide({"neutrophil": 190, "lymphocyte": 10} if poor is COARSE else HEALTHY, **poor)
    found, reached = conclude(tally, judge, GOOD, RULES)
    assert reached.code == "not_usable"
    assert differential(tally).supported
    assert (found.supported, found.bounds, found.group_bounds, found.corrected) == (False, {}, {}, {})
    assert found.types["neutrophil"].count == tally.white["neutrophil"]
    assert found.flags == ()
    assert found.adequacy == (
        "The count excludes nothing, and percentages would mislead: the pictures are not usable.",
    )
    assert "not_recognised" not in codes(reached)
    assert not [text for text in (reached.text, *(each.text for each in reached.reasons)) if "%" in text]


def test_suspicious_cells_of_a_slide_that_is_not_usable_are_still_named() -> None:
    """As cells to look at, not as a finding."""
    tally = slide({"neutrophil": 100, "blast": 60}, places={"blast": (place(1),)}, **COARSE)
    found, reached = conclude(tally, judge, GOOD, RULES)
    assert reached.code == "not_usable"
    assert [flag.code for flag in found.flags] == ["BLASTS_SUSPECT"]
    assert found.flags[0].text == "60 cells read as blasts. This may be a reading error: look at them."


@settings(max_examples=30, deadline=None)
@given(
    st.dictionaries(st.sampled_from(LABELS), st.integers(0, 150)),
    st.integers(0, 300),
    st.sampled_from([{}, COARSE, DOUBTFUL]),
)
def test_the_verdict_is_that_of_the_full_differential(
    white: dict[str, int], unsure: int, poor: dict[str, Any]
) -> None:
    """Withholding shares changes no verdict; only what is not usable has none withheld that could be stated."""
    tally = slide(white, unsure, **poor)
    found, reached = conclude(tally, judge, GOOD, RULES)
    assert reached.code == of(tally).code
    assert found.supported == (differential(tally).supported and reached.code != "not_usable")


# What was found and read as no white cell


@pytest.mark.parametrize(("dismissed", "code"), [(33, "nothing_flagged"), (34, "look_again")])
def test_cells_that_were_read_as_none_are_shown_where_they_are_many(dismissed: int, code: str) -> None:
    """Of 233 found, 33 may be a tenth; of 234, 34 are surely more. They are in no percentage, and named."""
    places = tuple(place(number) for number in range(dismissed))
    tally = slide({**HEALTHY, "not_a_cell": dismissed}, places={"not_a_cell": places})
    found = of(tally)
    assert found.code == code
    if code == "look_again":
        assert found.reasons[0].code == "dismissed"
        assert found.reasons[0].cells == places
        assert found.text.startswith("34 of 234 cells found as white cells were read as platelets, debris")


def test_platelets_count_among_them_and_nucleated_red_cells_do_not() -> None:
    assert of(slide({**HEALTHY, "platelet": 20, "not_a_cell": 20})).reasons[0].code == "dismissed"
    assert "dismissed" not in [each.code for each in of(slide({**HEALTHY, "erythroblast": 40})).reasons]


def test_cells_that_a_person_took_for_none_are_not_among_them() -> None:
    tally = slide({**HEALTHY, "not_a_cell": 40})
    result = judged(tally, labels=LABELS, errors=ERRORS, labelled=Labelled({"not_a_cell": 40}))
    assert result.dismissed == 0
    assert reach(tally, result, GOOD, RULES).code == "nothing_flagged"
