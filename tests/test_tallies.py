"""What a tally adds up of cells that were not recognised, of blast-likeness and of pictures with a warning."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from standard import RULES

from edgeleuk.differential.rules import Group
from edgeleuk.differential.tally import NO_UNRECOGNISED_RULES, SHOWN, UnrecognisedRules, count, tally
from edgeleuk.models import registry
from edgeleuk.statistics.bounds import group_kind
from edgeleuk.types import (
    UNCLASSIFIED,
    Assessment,
    Cell,
    Field,
    Finding,
    NotRecognised,
    Place,
    Reading,
    Scale,
    numbered,
)

BLASTS = group_kind("blasts")
DOUBTS = UnrecognisedRules(
    possible_from=0.05,
    kinds={"neutrophil": ("neutrophil",), "smudge": ("smudge",), BLASTS: ("blast", "monoblast")},
    blast_like=("blast", "promyelocyte"),
    lineages={"granulocytic": ("neutrophil", "myelocyte"), "blast_like": ("blast", "promyelocyte")},
    sure_from=0.9,
)


def cell(label: str, at: float = 0.0, **probabilities: float) -> Cell:
    box = (at, 0.0, at + 9.0, 9.0)
    return Cell("WBC", box, 0.9, True, Reading(label, max(probabilities.values()), probabilities, {}))


def unsure(at: float = 0.0, **probabilities: float) -> Cell:
    """A cell that was not recognised."""
    return cell(UNCLASSIFIED, at, **probabilities)


def field(*cells: Cell, name: str = "a.png", findings: tuple[str, ...] = (), forced: bool = False) -> Field:
    assessment = Assessment(tuple(Finding(code, False, 0, 0, "") for code in findings), forced)
    return Field(name, 640, 480, Scale.given(0.1), numbered(cells), assessment=assessment)


# What is asked for


def test_doubts_are_of_each_type_and_each_group_that_the_reader_knows() -> None:
    """The 10x reader has no promonocytes, plasma cells and atypical lymphocytes: neither have its doubts."""
    reader = registry.load("10x").reader
    doubts = UnrecognisedRules.of(reader, RULES)
    assert {key: own for key, own in doubts.kinds.items() if key not in reader.labels} == {
        "group blasts": ("blast",),
        "group immature_granulocytes": ("immature_granulocyte",),
        "group nucleated_red_cells": ("erythroblast",),
    }
    assert all(doubts.kinds[label] == (label,) for label in reader.labels)
    assert doubts.possible_from == reader.possible_from == 0.01
    assert doubts.blast_like == reader.groups["blast_like"]


def test_a_group_with_a_type_for_its_key_has_doubts_of_its_own() -> None:
    """Of all its types, beside those of the type."""
    groups = (
        *RULES.groups,
        Group("blast", "a blast", "blasts", ("blast", "immature_granulocyte")),
    )
    kinds = UnrecognisedRules.of(registry.load("10x").reader, replace(RULES, groups=groups)).kinds
    assert kinds["blast"] == ("blast",)
    assert kinds[group_kind("blast")] == ("blast", "immature_granulocyte")


# Cells that were not recognised


def test_probabilities_of_cells_not_recognised_add_up() -> None:
    """By type; those of recognised cells are no part of it."""
    some = field(
        unsure(neutrophil=0.5, blast=0.25),
        unsure(blast=0.75),
        cell("neutrophil", neutrophil=0.95, blast=0.05),
    )
    doubts = count(some, RULES, DOUBTS).not_recognised
    assert (doubts.cells, doubts.expected) == (2, {"neutrophil": 0.5, "blast": 1.0})


def test_a_cell_may_be_of_each_kind_whose_probability_is_enough() -> None:
    """From 0.05 on, of a group by the sum of its types."""
    some = field(
        unsure(neutrophil=0.9, blast=0.04),
        unsure(neutrophil=0.05, blast=0.03, monoblast=0.03, smudge=0.8),
        unsure(neutrophil=0.049, lymphocyte=0.9),
    )
    doubts = count(some, RULES, DOUBTS).not_recognised
    assert doubts.possible == {"neutrophil": 2, "smudge": 1, BLASTS: 1}


def test_a_cell_counts_where_it_may_be_of_the_kind_or_is_surely_a_white_cell() -> None:
    """What may be a smudge cell is in no denominator but of what else it may be; a sure white cell is in all."""
    some = field(
        unsure(smudge=0.8, blast=0.1),
        unsure(smudge=0.9),
        unsure(neutrophil=0.6, smudge=0.3),
        unsure(neutrophil=0.6, smudge=0.04),
    )
    doubts = count(some, RULES, DOUBTS).not_recognised
    assert doubts.counted == {"neutrophil": 2, "smudge": 4, BLASTS: 2}


def test_what_may_lie_beside_the_white_cells_is_added_up() -> None:
    """0.03 of a smudge cell and 0.03 of a nucleated red cell are 0.06: the cell may be none of the white ones."""
    either = count(field(unsure(lymphocyte=0.9, smudge=0.03)), RULES, DOUBTS).not_recognised
    assert either.counted == {"neutrophil": 1, "smudge": 1, BLASTS: 1}
    both = count(field(unsure(lymphocyte=0.9, smudge=0.03, erythroblast=0.03)), RULES, DOUBTS).not_recognised
    assert both.counted == {}


def test_the_lineage_of_a_cell_is_sure_where_its_types_together_are_likely_enough() -> None:
    """From 0.9 on, as one type that is recognised; a recognised cell is counted by its type."""
    some = field(
        unsure(neutrophil=0.5, myelocyte=0.4),
        unsure(neutrophil=0.5, myelocyte=0.39),
        unsure(blast=0.6, promyelocyte=0.35),
        unsure(neutrophil=0.5, blast=0.5),
        cell("neutrophil", neutrophil=1.0),
    )
    assert count(some, RULES, DOUBTS).not_recognised.lineages == {"granulocytic": 1, "blast_like": 1}


def test_lineages_are_those_of_the_reader() -> None:
    """As far as it knows their types, under its threshold."""
    reader = registry.load("10x").reader
    doubts = UnrecognisedRules.of(reader, RULES)
    assert doubts.lineages.keys() == reader.groups.keys()
    assert {*doubts.lineages["granulocytic"]} == {*reader.groups["granulocytic"]} & {*reader.labels}
    assert doubts.sure_from == reader.threshold


def test_without_doubts_only_their_number_is_known() -> None:
    """Of a reader of which nothing was measured."""
    doubts = count(field(unsure(blast=0.6)), RULES, NO_UNRECOGNISED_RULES).not_recognised
    assert doubts == NotRecognised(1, {"blast": 0.6}, {}, {})


def test_doubts_add_up_over_fields() -> None:
    """As those of one field with all the cells do."""
    one, other = (unsure(neutrophil=0.5, blast=0.25),), (unsure(blast=0.75), unsure(smudge=1.0))
    together = tally([field(*one), field(*other)], RULES, DOUBTS)
    assert together.not_recognised == tally([field(*one, *other)], RULES, DOUBTS).not_recognised
    assert together.not_recognised == NotRecognised(
        3,
        {"neutrophil": 0.5, "blast": 1.0, "smudge": 1.0},
        {"neutrophil": 1, "smudge": 1, BLASTS: 2},
        {"neutrophil": 2, "smudge": 3, BLASTS: 2},
    )


LABELS = st.sampled_from(["neutrophil", "blast", "monoblast", "smudge", "lymphocyte"])


@settings(deadline=None)
@given(st.lists(st.dictionaries(LABELS, st.floats(0, 1), min_size=1), max_size=20))
def test_no_kind_is_possible_more_often_than_it_is_counted(each: list[Mapping[str, float]]) -> None:
    """Nor either more often than there are cells."""
    doubts = tally([field(*(unsure(**some) for some in each))], RULES, DOUBTS).not_recognised
    assert doubts.cells == len(each)
    for kind in doubts.counted:
        assert 0 <= doubts.possible.get(kind, 0) <= doubts.counted[kind] <= doubts.cells
    assert doubts.possible.keys() <= doubts.counted.keys()


# Blast-likeness


def test_blast_likeness_adds_up_over_recognised_cells_too() -> None:
    """A neutrophil with 0.05 of a promyelocyte has its part; what is of cells not recognised is told apart."""
    some = field(
        cell("neutrophil", neutrophil=0.95, promyelocyte=0.05),
        cell("blast", blast=0.9, promyelocyte=0.1),
        unsure(blast=0.25, promyelocyte=0.25, monoblast=0.5),
    )
    result = tally([some], RULES, DOUBTS)
    assert result.blast_like == pytest.approx(0.05 + 1.0 + 0.5)
    assert result.blast_like_doubted == 0.5


def test_what_was_recognised_beside_the_white_cells_is_not_blast_like() -> None:
    """A smudge cell or an artefact is no part of the white cells that are compared."""
    result = tally([field(cell("smudge", smudge=0.9, blast=0.1))], RULES, DOUBTS)
    assert (result.blast_like, result.blast_like_doubted) == (0, 0)


def test_what_was_read_as_no_white_cell_has_no_blast_likeness() -> None:
    """And is not shown among the most blast-like cells."""
    result = tally([field(cell("not_a_cell", not_a_cell=0.7, blast=0.3))], RULES, DOUBTS)
    assert (result.blast_like, result.most_blast_like) == (0, ())


def test_the_most_blast_like_cells_are_named_first() -> None:
    """Of all white cells, recognised or not, however little; with their place and number over all fields."""
    first = field(unsure(0, blast=0.2), cell("neutrophil", 20, neutrophil=0.9, promyelocyte=0.04))
    second = field(unsure(0, blast=0.5), cell("blast", 20, blast=0.95), name="b.png")
    assert tally([first, second], RULES, DOUBTS).most_blast_like == (
        (0.95, Place("b.png", (20.0, 0.0, 29.0, 9.0), 2)),
        (0.5, Place("b.png", (0.0, 0.0, 9.0, 9.0), 1)),
        (0.2, Place("a.png", (0.0, 0.0, 9.0, 9.0), 1)),
        (0.04, Place("a.png", (20.0, 0.0, 29.0, 9.0), 2)),
    )


def test_what_is_no_white_cell_or_like_no_blast_is_not_named() -> None:
    """A smudge cell with some of a blast, and a neutrophil with none."""
    some = field(cell("smudge", smudge=0.9, blast=0.1), cell("neutrophil", 20, neutrophil=1.0))
    assert tally([some], RULES, DOUBTS).most_blast_like == ()


def test_no_more_cells_are_named_than_are_looked_at() -> None:
    """Those that are most like blasts, and of equals those that came first."""
    many = field(*(unsure(20.0 * i, blast=0.5) for i in range(SHOWN + 5)))
    named = tally([many], RULES, DOUBTS).most_blast_like
    assert [place.number for _, place in named] == [*range(1, SHOWN + 1)]


# Pictures with a warning


def test_pictures_are_counted_by_what_limits_them() -> None:
    """Each code once a picture, in the order in which they came up; a good picture by none."""
    fields = [
        field(findings=("focus", "pale", "focus")),
        field(findings=("focus",)),
        field(findings=("coarse",)),
        field(),
    ]
    result = tally(fields, RULES, DOUBTS)
    assert [*result.findings.items()] == [("focus", 2), ("pale", 1), ("coarse", 1)]


def test_pictures_with_any_doubtful_warning_count_once() -> None:
    """Out of focus or pale or both: two pictures; one that is too coarse has other faults."""
    fields = [
        field(findings=("focus", "pale")),
        field(findings=("pale",)),
        field(findings=("coarse",)),
        field(),
    ]
    assert tally(fields, RULES, DOUBTS).doubtful_pictures == 2


def test_forced_pictures_are_doubtful() -> None:
    """Whatever spoke against them, and though their code alone would not make them so."""
    fields = [field(cell("blast", blast=0.95), findings=("dark",), forced=forced) for forced in (True, False)]
    result = tally(fields, RULES, DOUBTS)
    assert (result.doubtful_pictures, result.white, result.doubtful) == (1, {"blast": 2}, {"blast": 1})


def test_cells_of_doubtful_pictures_are_counted_apart() -> None:
    """By label, those of other pictures left out."""
    blasts = (cell("blast", blast=0.95), cell("blast", blast=0.95))
    fields = [
        field(*blasts, cell("neutrophil", neutrophil=0.95), findings=("motion",)),
        field(*blasts, findings=("coarse",)),
        field(cell("lymphocyte", lymphocyte=0.95)),
    ]
    result = tally(fields, RULES, DOUBTS)
    assert result.white == {"blast": 4, "neutrophil": 1, "lymphocyte": 1}
    assert result.doubtful == {"blast": 2, "neutrophil": 1}


def test_which_warnings_are_doubtful_stands_in_the_rules() -> None:
    """A laboratory that trusts pale pictures says so."""
    trusting = replace(RULES, verdict=replace(RULES.verdict, doubtful=("focus",)))
    assert tally([field(findings=("pale",))], trusting, DOUBTS).doubtful_pictures == 0
