"""From fields to a differential: what is counted where, what is flagged, what is said."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from standard import RULES, judged

from edgeleuk.differential.differential import Differential, Errors, all_values, as_json
from edgeleuk.differential.evidence import FalsePositiveRate, error_limit
from edgeleuk.differential.flags import Flag
from edgeleuk.differential.rules import REFERENCE, Standards, load_reference
from edgeleuk.differential.tally import tally
from edgeleuk.errors import InputError
from edgeleuk.statistics.bounds import Missed, group_kind
from edgeleuk.statistics.correction import Confusion
from edgeleuk.statistics.intervals import Share, clopper_pearson
from edgeleuk.statistics.likeness import HealthyCells
from edgeleuk.statistics.rounding import ceil, decimals
from edgeleuk.types import (
    UNCLASSIFIED,
    AttributeReading,
    Cell,
    Field,
    NotRecognised,
    Place,
    Reading,
    Scale,
    Tally,
    numbered,
)

MATURE = ("neutrophil", "lymphocyte", "monocyte", "eosinophil", "basophil")
LABELS = (
    *MATURE,
    "promyelocyte",
    "myelocyte",
    "metamyelocyte",
    "blast",
    "erythroblast",
    "smudge",
    "platelet",
)
ONE_PERCENT = {label: FalsePositiveRate(errors=10, cells=1000) for label in LABELS}
MISSED = {label: Missed(10, 1000) for label in (*LABELS, "atypical_lymphocyte")}
MOST_MISSED = clopper_pearson(10, 1000)[1]
"""1.83 %."""
MOST_UNSEEN = clopper_pearson(0, 200)[1]
HEALTHY = {"neutrophil": 118, "lymphocyte": 62, "monocyte": 12, "eosinophil": 4, "basophil": 2}


def counted(white: dict[str, int], places: dict[str, tuple[Place, ...]] | None = None) -> Tally:
    """Of a slide whose cells that were not recognised may be of no type in particular."""
    doubts = NotRecognised(white.get(UNCLASSIFIED, 0))
    return Tally(fields=1, white=white, kinds={}, attributes={}, places=places or {}, not_recognised=doubts)


def confused(
    *rows: tuple[str, dict[str, int]], right: int = 9_500, unread: int = 500, labels: tuple[str, ...] = LABELS
) -> Confusion:
    """A reader right on `right` cells of every type and unsure on `unread`; `rows` add what it mistakes."""
    read = (*labels, UNCLASSIFIED)
    counts = {label: {label: right, UNCLASSIFIED: unread} for label in labels}
    for label, mistakes in rows:
        counts[label] |= mistakes
    return Confusion(
        "cells of a test", labels, read, tuple(tuple(counts[a].get(b, 0) for b in read) for a in labels)
    )


RIGHT = confused()
TWO_PERCENT = confused(
    *((label, {"blast": 200}) for label in ("neutrophil", "lymphocyte", "monocyte")), right=9300
)
"""2 % of the neutrophils, lymphocytes and monocytes are read as blasts."""


def read(white: dict[str, int], rates: dict[str, FalsePositiveRate] = ONE_PERCENT) -> Differential:
    """By a reader whose errors were all measured."""
    return judged(counted(white), labels=LABELS, errors=Errors(rates, RIGHT, MISSED))


def flags(result: Differential) -> dict[str, Flag]:
    return {flag.code: flag for flag in result.flags}


def white_cell(label: str | None, box: Place | None = None, whole: bool = True, **attributes: bool) -> Cell:
    """A white cell read as `label`; each attribute has the value "yes" and is sure or not."""
    values = {name: AttributeReading("yes", 0.9, sure) for name, sure in attributes.items()}
    reading = None if label is None else Reading(label, 0.9, {label: 0.9}, values)
    return Cell("WBC", box.box if box else (0.0, 0.0, 9.0, 9.0), 0.9, whole, reading)


def field(name: str, *cells: Cell) -> Field:
    return Field(name, 640, 480, Scale.given(0.1), numbered(cells))


# Counting


def test_cells_are_tallied_over_fields() -> None:
    """Labels and kinds add up over fields."""
    red = Cell("RBC", (0.0, 0.0, 5.0, 5.0), 0.8)
    result = tally(
        [
            field("a.png", white_cell("neutrophil"), white_cell("blast"), red, red),
            field("b.png", white_cell("neutrophil"), white_cell("unclassified"), red),
        ],
        RULES,
    )
    assert result.fields == 2
    assert result.white == {"neutrophil": 2, "blast": 1, "unclassified": 1}
    assert result.kinds == {"WBC": 4, "RBC": 3}


def test_no_fields_make_an_empty_tally() -> None:
    """Looked at nothing, found nothing."""
    assert tally([], RULES) == Tally(fields=0, white={}, kinds={}, attributes={})


def test_cells_cut_by_the_edge_are_counted_apart() -> None:
    """A cut cell that was not read is in no type; a cut cell that was read is in its type."""
    result = tally(
        [field("a.png", white_cell(None, whole=False), white_cell(None), white_cell("blast", whole=False))],
        RULES,
    )
    assert (result.white, result.cut, result.unread) == ({"blast": 1}, 1, 1)


def test_places_are_kept_by_label() -> None:
    """Every white cell of a label can be found again, by its picture and its number there."""
    first, second = Place("a.png", (1.0, 2.0, 3.0, 4.0), 1), Place("b.png", (5.0, 6.0, 7.0, 8.0), 1)
    fields = [field("a.png", white_cell("blast", first)), field("b.png", white_cell("blast", second))]
    assert tally(iter(fields), RULES).places == {"blast": (first, second)}


def test_attributes_count_only_where_the_reader_was_sure() -> None:
    """A doubtful value, and any value of a smudge cell, is left out of the summary."""
    result = tally(
        [
            field(
                "a.png",
                white_cell("blast", vacuoles=True, nucleoli=False),
                white_cell("neutrophil", vacuoles=False),
                white_cell("smudge", vacuoles=True),
            )
        ],
        RULES,
    )
    assert result.attributes == {"vacuoles": {"yes": 1}}


# Proportions


def test_percentages_are_of_identified_white_cells() -> None:
    """Nucleated red cells, smudge cells, platelets and cells not recognised are outside the denominator."""
    result = read(
        {
            "neutrophil": 150,
            "lymphocyte": 50,
            "erythroblast": 9,
            "smudge": 7,
            "platelet": 5,
            "unclassified": 3,
        }
    )
    assert result.n == 200
    assert result.types["neutrophil"] == Share(150, 200)
    assert result.outside == {"erythroblast": 9, "smudge": 7, "platelet": 5, "unclassified": 3}
    assert not {"erythroblast", "smudge", "platelet", "unclassified"} & set(result.types)


def test_what_was_read_as_no_white_cell_is_none() -> None:
    """It is named apart, and neither of the white cells found nor of those not recognised."""
    with_it = read({"neutrophil": 150, "unclassified": 30, "not_a_cell": 20})
    without, marked = (
        read({"neutrophil": 150, "unclassified": 30} | more) for more in ({}, {"artefact": 20})
    )
    assert with_it.outside["not_a_cell"] == 20
    assert (with_it.n, with_it.not_recognised, with_it.white_cells) == (150, 30, 180)
    assert with_it.types == without.types
    assert with_it.bounds == marked.bounds


def test_an_unseen_type_has_its_interval_too() -> None:
    """A type the reader knows and did not see is 0 %, up to 1.83 %."""
    share = read({"neutrophil": 200}).types["blast"]
    assert (share.count, share.percent, share.low, round(share.high, 4)) == (0, 0, 0, 1.8275)


def test_nrbc_and_smudge_cells_are_per_100_white_cells() -> None:
    """15 nucleated red cells beside 200 white cells are 7.5 per 100."""
    result = read({"neutrophil": 200, "erythroblast": 15})
    assert result.per_100["erythroblast"].per_100 == 7.5
    assert result.per_100["smudge"].per_100 == 0


def test_groups_add_up_their_types() -> None:
    """Immature granulocytes are promyelocytes, myelocytes and metamyelocytes."""
    result = read({"neutrophil": 90, "promyelocyte": 1, "myelocyte": 4, "metamyelocyte": 5})
    assert result.groups["immature_granulocytes"] == Share(10, 100)
    assert "nucleated_red_cells" not in result.groups


def test_a_type_the_reader_does_not_list_still_counts() -> None:
    """A label from elsewhere is in the denominator unless the rules leave it out."""
    assert judged(counted({"hairy_cell": 3}), labels=MATURE).types["hairy_cell"] == Share(3, 3)


def test_red_cells_and_platelets_come_from_the_finder() -> None:
    """5 platelets for 100 red cells are 0.05 each; without red cells there is no ratio."""
    both = Tally(1, {}, {"RBC": 100, "Platelet": 5}, {})
    assert judged(both, labels=LABELS).platelets_per_red_cell == 0.05
    assert judged(Tally(1, {}, {"Platelet": 5}, {}), labels=LABELS).platelets_per_red_cell is None


def test_attribute_shares_are_of_the_sure_cells() -> None:
    """Values of one attribute share the cells that were sure of it."""
    result = judged(Tally(1, {"blast": 9}, {}, {"vacuoles": {"yes": 1, "no": 3}}), labels=LABELS)
    assert result.attributes == {"vacuoles": {"yes": Share(1, 4), "no": Share(3, 4)}}


@settings(deadline=None)
@given(st.dictionaries(st.sampled_from((*LABELS, "unclassified")), st.integers(0, 300)))
def test_any_count_has_a_differential(white: dict[str, int]) -> None:
    """Types add up to n, intervals hold their percentages, bounds are in order, and the whole is JSON."""
    result = read(white)
    assert all(each.low <= each.high for each in (result.bounds | result.group_bounds).values())
    assert sum(share.count for share in result.types.values()) == result.n
    assert sum(result.outside.values()) + result.n == sum(white.values())
    assert all(share.low <= share.percent <= share.high for share in result.types.values())
    json.dumps(as_json(result), allow_nan=False)


# Rare types against the reader's errors


def test_two_blasts_in_a_healthy_count_are_only_suspect() -> None:
    """A reader wrong once in a hundred explains 2 blasts in 200: look at them, where they are."""
    places = (Place("a.png", (1.0, 2.0, 3.0, 4.0), 1), Place("b.png", (5.0, 6.0, 7.0, 8.0), 3))
    errors = Errors(ONE_PERCENT, missed=MISSED)
    result = judged(counted(HEALTHY | {"blast": 2}, {"blast": places}), labels=LABELS, errors=errors)
    assert [flag.code for flag in result.flags] == ["BLASTS_SUSPECT"]
    flag = result.flags[0]
    assert flag.text == "2 cells read as blasts. This may be a reading error: look at them."
    assert flag.detail == "2 cells in 200. The reader's errors explain 3.7, by chance up to 9."
    assert (flag.severity, flag.places) == ("warning", places)


@pytest.mark.parametrize(
    ("label", "count"), [("metamyelocyte", 9), ("plasma_cell", 9), ("erythroblast", 9), ("smudge", 9)]
)
def test_what_errors_explain_is_suspect_only_by_rules_that_say_so(label: str, count: int) -> None:
    """One metamyelocyte is not looked at, and the flag of blasts is: 9 of 200 are what errors may give."""
    rates = ONE_PERCENT | {"plasma_cell": ONE_PERCENT["blast"]}
    group = {"immature_granulocytes": ONE_PERCENT["blast"]}
    white = HEALTHY | {"neutrophil": 111, label: count}
    errors = Errors(rates | group, confused(labels=(*LABELS, "plasma_cell")), MISSED)
    assert judged(counted(white), labels=(*LABELS, "plasma_cell"), errors=errors).flags == ()


def test_thirty_blasts_in_200_are_present() -> None:
    """30 in 200 are beyond any error of that reader: a short text, and the numbers in the detail."""
    flag = flags(read({"neutrophil": 110, "lymphocyte": 60, "blast": 30}))["BLASTS_PRESENT"]
    assert flag.severity == "alert"
    assert flag.text == (
        "30 cells read as blasts, more than reading errors explain. Confirm under the microscope."
    )
    assert flag.detail == "30 cells in 200. The reader's errors explain 3.7, by chance up to 9."
    assert flag.sources[0].startswith("Palmer L")


def test_the_turning_point_is_where_chance_falls_under_one_percent() -> None:
    """Errors explain 9 of 200 (probability 1.2 %) and not 10 (0.4 %)."""
    assert "BLASTS_SUSPECT" in flags(read({"neutrophil": 191, "blast": 9}))
    assert "BLASTS_PRESENT" in flags(read({"neutrophil": 190, "blast": 10}))


def test_a_single_blast_is_written_in_the_singular() -> None:
    """One cell is a blast, not blasts."""
    assert flags(read({"neutrophil": 199, "blast": 1}))["BLASTS_SUSPECT"].text == (
        "1 cell read as a blast. This may be a reading error: look at it."
    )


def test_without_a_measured_rate_nothing_is_called_present() -> None:
    """However many: a reader of unknown errors only asks to be checked."""
    found = flags(judged(counted({"neutrophil": 100, "blast": 100}), labels=LABELS))
    assert list(found) == ["BLASTS_SUSPECT", "BLASTS_20_PERCENT_POSSIBLE"]
    assert found["BLASTS_SUSPECT"].text == (
        "100 cells read as blasts. How often this reader errs so was not measured: look at them."
    )
    assert found["BLASTS_SUSPECT"].detail == ""
    assert found["BLASTS_20_PERCENT_POSSIBLE"].text == (
        "Blasts: perhaps 20 % or more of the white cells. Count more cells, and confirm."
    )


def test_a_small_measurement_proves_little() -> None:
    """No error in 20 cells still allows a rate of 17 %, and so explains 20 blasts in 200."""
    few = {"blast": FalsePositiveRate(0, 20)}
    assert "BLASTS_SUSPECT" in flags(read({"neutrophil": 180, "blast": 20}, few))


def test_a_perfect_record_makes_few_cells_present() -> None:
    """No error in 100,000 cells explains not even two blasts in 200."""
    good = Errors({"blast": FalsePositiveRate(0, 100_000)})
    assert "BLASTS_PRESENT" in flags(
        judged(counted({"neutrophil": 198, "blast": 2}), labels=LABELS, errors=good)
    )


def test_rates_of_a_group_add_up() -> None:
    """The limit of three types is the sum of theirs, each at the level that keeps 95 % together."""
    group = RULES.group("immature_granulocytes")
    each = clopper_pearson(10, 1000, 1 - 0.05 / 3)[1]
    labels = ("promyelocyte", "myelocyte", "metamyelocyte")
    assert error_limit(group, labels, ONE_PERCENT) == pytest.approx(3 * each)


def test_a_rate_measured_for_the_group_counts_first() -> None:
    """A rate under the group's key replaces the sum."""
    group = RULES.group("immature_granulocytes")
    rates = ONE_PERCENT | {"immature_granulocytes": FalsePositiveRate(2, 1000)}
    assert error_limit(group, ("myelocyte",), rates) == clopper_pearson(2, 1000)[1]


def test_a_rate_of_a_group_holds_for_the_types_that_it_was_measured_for() -> None:
    """In any order; of other types, as rules of one's own may have them, those of the types add up."""
    group = RULES.group("immature_granulocytes")
    own = FalsePositiveRate(2, 1000, ("metamyelocyte", "myelocyte"))
    rates = ONE_PERCENT | {"immature_granulocytes": own}
    assert error_limit(group, ("myelocyte", "metamyelocyte"), rates) == clopper_pearson(2, 1000)[1]
    assert error_limit(group, ("myelocyte",), rates) == clopper_pearson(10, 1000)[1]
    others = ("promyelocyte", "myelocyte", "metamyelocyte")
    assert error_limit(group, others, rates) == pytest.approx(3 * clopper_pearson(10, 1000, 1 - 0.05 / 3)[1])


def test_a_group_with_one_unmeasured_type_is_unmeasured() -> None:
    """One missing rate leaves the whole group's unknown."""
    group = RULES.group("immature_granulocytes")
    assert (
        error_limit(group, ("myelocyte", "metamyelocyte"), {"myelocyte": FalsePositiveRate(1, 1000)}) is None
    )


def test_left_shift_is_flagged_from_the_group() -> None:
    """Immature granulocytes beyond the reader's errors are a left shift."""
    found = flags(read({"neutrophil": 140, "myelocyte": 20, "metamyelocyte": 30, "promyelocyte": 10}))
    assert found["IMMATURE_GRANULOCYTES_PRESENT"].text == (
        "60 cells read as immature granulocytes, more than reading errors explain. "
        "Confirm under the microscope. Left shift."
    )


def test_nucleated_red_cells_are_weighed_among_all_they_could_be() -> None:
    """15 beside 200 white cells are 15 in 215 read cells."""
    detail = flags(read(HEALTHY | {"neutrophil": 120, "erythroblast": 15}))["NRBC_PRESENT"].detail
    assert detail == "15 cells in 215. The reader's errors explain 3.9, by chance up to 9."


def test_more_nucleated_red_cells_than_white_cells_are_no_error() -> None:
    """The test has as many trials as cells were read."""
    assert "NRBC_PRESENT" in flags(read({"neutrophil": 100, "erythroblast": 300}))


def test_few_atypical_lymphocytes_are_no_flag() -> None:
    """Up to 5 % are seen in health."""
    labels = (*LABELS, "atypical_lymphocyte")
    for count, found in ((10, set()), (11, {"ATYPICAL_LYMPHOCYTES_SUSPECT"})):
        white = HEALTHY | {"neutrophil": 120, "lymphocyte": 62 - count, "atypical_lymphocyte": count}
        result = judged(counted(white), labels=labels)
        assert set(flags(result)) == found


# Shares corrected for the reader's errors


def corrected(
    white: dict[str, int],
    confusion: Confusion = TWO_PERCENT,
    rates: dict[str, FalsePositiveRate] | None = None,
) -> Differential:
    return judged(counted(white), labels=LABELS, errors=Errors(rates or ONE_PERCENT, confusion, MISSED))


def test_without_a_confusion_there_is_no_correction() -> None:
    """Nothing is corrected by what was not measured."""
    result = judged(counted(HEALTHY), labels=LABELS, errors=Errors(ONE_PERCENT, missed=MISSED))
    assert (result.corrected, result.corrected_groups, result.corrected_per_100) == ({}, {}, {})
    assert as_json(result)["corrected"] is None


def test_raw_shares_stay_beside_the_corrected_ones() -> None:
    """Every type has both, and both add up to 100."""
    result = corrected(HEALTHY | {"blast": 6})
    assert result.types == read(HEALTHY | {"blast": 6}).types
    assert result.types.keys() == result.corrected.keys()
    assert result.groups.keys() == result.corrected_groups.keys()
    assert sum(each.percent for each in result.corrected.values()) == pytest.approx(100)
    assert result.corrected["blast"].percent < 6 / 2.04


def test_a_group_is_corrected_as_one() -> None:
    """Its share is the sum of its types', and its interval narrower than theirs together."""
    result = corrected({"neutrophil": 140, "myelocyte": 20, "metamyelocyte": 30, "promyelocyte": 10})
    group = result.corrected_groups["immature_granulocytes"]
    parts = [result.corrected[label] for label in ("promyelocyte", "myelocyte", "metamyelocyte")]
    assert group.percent == pytest.approx(sum(part.percent for part in parts))
    assert sum(part.low for part in parts) < group.low < group.high < sum(part.high for part in parts)


def test_false_blasts_of_a_healthy_count_are_not_present() -> None:
    """5 blasts where the test alone would believe them, from a reader that makes 4 of so many cells."""
    few_errors = ONE_PERCENT | {"blasts": FalsePositiveRate(0, 5000)}
    white = HEALTHY | {"blast": 5}
    uncorrected = judged(counted(white), labels=LABELS, errors=Errors(few_errors, missed=MISSED))
    assert "BLASTS_PRESENT" in flags(uncorrected)
    found = flags(corrected(white, rates=few_errors))
    assert "BLASTS_PRESENT" not in found
    assert found["BLASTS_SUSPECT"].severity == "warning"
    assert found["BLASTS_SUSPECT"].text == (
        "5 cells read as blasts. Reading errors may explain them: look at them."
    )
    assert found["BLASTS_SUSPECT"].detail == (
        "5 cells in 203. The reader's errors explain 0.1, by chance up to 2."
    )


def test_blasts_beyond_every_error_are_present_when_corrected() -> None:
    """Their share stays above nothing."""
    result = corrected({"neutrophil": 110, "lymphocyte": 60, "blast": 30})
    assert result.corrected["blast"].low > 0
    assert "BLASTS_PRESENT" in flags(result)


def test_a_correction_makes_nothing_present_that_the_test_does_not() -> None:
    """9 of 200 are what 1 % of errors explain, however sure the corrected share."""
    result = corrected({"neutrophil": 191, "blast": 9}, RIGHT)
    assert result.corrected["blast"].low > 0
    assert "BLASTS_SUSPECT" in flags(result)


def test_atypical_lymphocytes_must_surely_pass_their_share() -> None:
    """30 of 202 are beyond 5 % also when corrected; 16 of 202 are not surely, and no flag."""
    labels = (*LABELS, "atypical_lymphocyte")
    sure = {"atypical_lymphocyte": FalsePositiveRate(1, 5000)}
    errors = Errors(sure, confused(labels=labels), MISSED)
    for count, codes in ((30, {"ATYPICAL_LYMPHOCYTES_PRESENT"}), (16, set())):
        white = {"neutrophil": 120, "lymphocyte": 82 - count, "atypical_lymphocyte": count}
        found = flags(judged(counted(white), labels=labels, errors=errors))
        assert {code for code in found if code.startswith("ATYPICAL")} == codes


def test_nucleated_red_cells_are_corrected_per_100_white_cells() -> None:
    """They have no share, and their flag goes by the corrected number."""
    result = corrected({"neutrophil": 200, "erythroblast": 15}, RIGHT)
    assert result.corrected_per_100["erythroblast"].percent == pytest.approx(7.5)
    assert "NRBC_PRESENT" in flags(result)


def test_the_threshold_goes_by_the_corrected_share() -> None:
    """22 % read by a reader that makes blasts of a tenth of the lymphocytes are under 20 %; missed ones may make them more.

    Sure is what the bounds say, and no bound supposes that a missed cell was a blast.
    """
    white = {"neutrophil": 60, "lymphocyte": 96, "blast": 44}
    many_errors = confused(("lymphocyte", {"blast": 1_000}), right=8_500)
    assert not [code for code in flags(corrected(white, many_errors)) if "20" in code]
    misses = confused(("blast", {"blast": 4_000, "lymphocyte": 5_500}))
    result = corrected(white, misses)
    assert result.corrected["blast"].percent > 30
    found = flags(result)["BLASTS_20_PERCENT_POSSIBLE"]
    assert found.detail == "44 cells: 22.0 % of those recognised, between 16.4 and 29.0 % of all found."


def test_a_count_without_white_cells_is_not_corrected() -> None:
    """Cells not recognised and smudge cells give no shares of either kind."""
    result = corrected({UNCLASSIFIED: 30, "smudge": 5})
    assert (result.n, result.corrected, result.corrected_groups) == (0, {}, {})


# Second levels

STAGE = {"neutrophil": ("neutrophil_stage", ("band", "segmented"))}


def test_a_second_level_shares_the_sure_cells_of_its_type() -> None:
    """20 band and 70 segmented of 100 neutrophils: shares of 90, and 10 unsure; no attribute of its own."""
    stages = {"neutrophil_stage": {"band": 20, "segmented": 70}, "vacuoles": {"no": 5}}
    result = judged(Tally(1, {"neutrophil": 100, "blast": 9}, {}, stages), labels=LABELS, subtypes=STAGE)
    level = result.subtypes["neutrophil"]
    assert level.values == {"band": Share(20, 90), "segmented": Share(70, 90)}
    assert level.unsure == 10
    assert list(result.attributes) == ["vacuoles"]


def test_a_value_never_seen_has_its_interval_too() -> None:
    """No band among 90 sure neutrophils is 0 %, with an upper limit."""
    tally_ = Tally(1, {"neutrophil": 90}, {}, {"neutrophil_stage": {"segmented": 90}})
    level = judged(tally_, labels=LABELS, subtypes=STAGE).subtypes["neutrophil"]
    assert level.values["band"] == Share(0, 90)


def test_a_second_level_without_a_sure_cell_has_no_shares() -> None:
    """All that is known is how many were unsure."""
    level = judged(counted({"neutrophil": 90}), labels=LABELS, subtypes=STAGE).subtypes["neutrophil"]
    assert (level.values, level.unsure) == ({}, 90)


def test_band_neutrophils_raise_no_flag() -> None:
    """A second level is shown, and no rule goes by it."""
    bands = Tally(1, HEALTHY, {}, {"neutrophil_stage": {"band": 118}})
    errors = Errors(ONE_PERCENT, RIGHT, MISSED)
    assert judged(bands, labels=LABELS, errors=errors, subtypes=STAGE).flags == ()


# Shares and ranges


@pytest.mark.parametrize(
    ("blasts", "code", "severity", "text", "detail"),
    [
        (
            53,
            "BLASTS_20_PERCENT",
            "alert",
            "Blasts: at least 20 % of the white cells. Confirm under the microscope.",
            "53 cells: 26.5 % of those recognised, between 20.5 and 33.9 % of all found.",
        ),
        (
            44,
            "BLASTS_20_PERCENT_POSSIBLE",
            "warning",
            "Blasts: perhaps 20 % or more of the white cells. Count more cells, and confirm.",
            "44 cells: 22.0 % of those recognised, between 16.4 and 29.0 % of all found.",
        ),
    ],
)
def test_twenty_percent_is_said_where_the_bounds_say_so(
    blasts: int, code: str, severity: str, text: str, detail: str
) -> None:
    """At or above 20 % is asserted only where the whole bound is."""
    found = {
        key: flag
        for key, flag in flags(read({"neutrophil": 200 - blasts, "blast": blasts})).items()
        if "20" in key
    }
    assert [(each.code, each.severity, each.text) for each in found.values()] == [(code, severity, text)]
    assert found[code].detail == detail


def test_without_bounds_a_share_is_of_the_recognised_cells_alone() -> None:
    """By a reader whose misses were not measured."""
    flag = flags(judged(counted({"neutrophil": 100, "blast": 100}), labels=LABELS))
    assert flag["BLASTS_20_PERCENT_POSSIBLE"].detail == "100 cells: 50.0 % of those recognised."


def test_under_twenty_percent_is_no_threshold_flag() -> None:
    """39 of 200 are 19.5 %."""
    assert not [code for code in flags(read({"neutrophil": 161, "blast": 39})) if "20" in code]


def test_a_range_is_flagged_only_where_the_bounds_exclude_it() -> None:
    """47 % lymphocytes of 200 may be 40 %; 48 % may not."""
    assert clopper_pearson(94, 200)[0] < 0.4 < clopper_pearson(96, 200)[0]
    rest = {"monocyte": 8, "eosinophil": 4}
    assert "LYMPHOCYTES_HIGH" not in flags(read(rest | {"neutrophil": 94, "lymphocyte": 94}))
    flag = flags(read(rest | {"neutrophil": 92, "lymphocyte": 96}))["LYMPHOCYTES_HIGH"]
    assert flag.text == "Lymphocytes: at least 40.8 %. Reference: 20 to 40 %."
    assert flag.detail == "48.0 % of those recognised, between 40.8 and 56.2 % of all found."
    assert flag.sources[0].startswith("Bain BJ")


def test_a_low_type_is_flagged_too() -> None:
    """No neutrophils among 200 is below 40 %."""
    flag = flags(read({"lymphocyte": 200}))["NEUTROPHILS_LOW"]
    assert flag.text == "Neutrophils: at most 1.9 %. Reference: 40 to 80 %."


def test_cells_above_a_range_are_pointed_out() -> None:
    """Of what is too low there is nothing to look at."""
    places = {
        "lymphocyte": (Place("a.png", (0.0, 0.0, 9.0, 9.0), 4),),
        "neutrophil": (Place("a.png", (9.0, 9.0, 9.0, 9.0), 5),),
    }
    tally_ = counted({"lymphocyte": 180, "neutrophil": 20}, places)
    found = flags(judged(tally_, labels=LABELS, errors=Errors(ONE_PERCENT, RIGHT, MISSED)))
    assert found["LYMPHOCYTES_HIGH"].places == places["lymphocyte"]
    assert found["NEUTROPHILS_LOW"].places == ()


def test_what_may_be_no_white_cell_makes_no_type_low() -> None:
    """70 of 200 recognised cells are surely too few neutrophils; not among 30 that are, beside 100 cells of debris."""
    white = {"neutrophil": 52, "lymphocyte": 38, "monocyte": 10, UNCLASSIFIED: 100}
    errors = Errors(ONE_PERCENT, RIGHT, MISSED)

    def low(counting: int) -> bool:
        doubts = NotRecognised(100, {}, {"neutrophil": 0}, {"neutrophil": counting})
        tally_ = Tally(1, white, {}, {}, not_recognised=doubts)
        return "NEUTROPHILS_LOW" in flags(judged(tally_, labels=LABELS, errors=errors))

    assert (low(100), low(0)) == (True, False)


def test_a_range_is_not_flagged_where_cells_not_recognised_may_reach_it() -> None:
    """30 of 200 recognised cells are 15 % lymphocytes; 40 more that may be some keep it open whether they are 20 %."""
    white = {"neutrophil": 160, "lymphocyte": 30, "monocyte": 10}
    assert "LYMPHOCYTES_LOW" not in flags(read(white))
    white = {"neutrophil": 176, "lymphocyte": 14, "monocyte": 10}
    assert "LYMPHOCYTES_LOW" in flags(read(white))
    doubts = NotRecognised(40, {"lymphocyte": 12.0}, {"lymphocyte": 40}, {"lymphocyte": 40})
    tally_ = Tally(1, white | {UNCLASSIFIED: 40}, {}, {}, not_recognised=doubts)
    result = judged(tally_, labels=LABELS, errors=Errors(ONE_PERCENT, RIGHT, MISSED))
    assert "LYMPHOCYTES_LOW" not in flags(result)


def test_without_bounds_no_range_is_flagged() -> None:
    """A reader whose misses were not measured excludes nothing."""
    errors = Errors(ONE_PERCENT, RIGHT)
    assert judged(counted({"lymphocyte": 200}), labels=LABELS, errors=errors).flags == ()


def test_a_type_the_reader_does_not_know_is_never_low() -> None:
    """A reader of lymphocytes alone says nothing of neutrophils."""
    errors = Errors(ONE_PERCENT, confused(labels=("lymphocyte",)), MISSED)
    found = flags(judged(counted({"lymphocyte": 200}), labels=["lymphocyte"], errors=errors))
    assert set(found) == {"LYMPHOCYTES_HIGH"}


def test_a_healthy_count_raises_no_flag() -> None:
    """198 healthy cells: nothing to look at."""
    assert read(HEALTHY).flags == ()


def test_local_ranges_replace_those_that_ship(tmp_path: Path) -> None:
    """Under a laboratory's own range the same count is not flagged, and the report names the range."""
    path = tmp_path / "ours.toml"
    text = REFERENCE.read_text(encoding="utf-8").replace("high = 40.0", "high = 60.0")
    path.write_text(
        text.replace('name = "adult, Dacie and Lewis 12th edition"', 'name = "ours"'), encoding="utf-8"
    )
    white = {"neutrophil": 92, "lymphocyte": 96, "monocyte": 8, "eosinophil": 4}
    errors = Errors(ONE_PERCENT, RIGHT, MISSED)
    result = judged(
        counted(white), labels=LABELS, errors=errors, standards=Standards(RULES, load_reference(path))
    )
    assert (result.flags, result.reference) == ((), "ours")
    assert set(flags(read(white))) == {"LYMPHOCYTES_HIGH"}


def test_a_range_for_a_type_outside_the_denominator_is_refused(tmp_path: Path) -> None:
    """Smudge cells have no share, so they can have no range."""
    path = tmp_path / "ours.toml"
    path.write_text(
        REFERENCE.read_text(encoding="utf-8").replace('["basophil"]', '["smudge"]'), encoding="utf-8"
    )
    with pytest.raises(InputError, match="give one for smudge"):
        judged(counted(HEALTHY), labels=LABELS, standards=Standards(RULES, load_reference(path)))


def test_many_smudge_cells_are_flagged_where_the_interval_is_above() -> None:
    """10 per 100 is the limit: 25 beside 200 may be fewer, 45 may not."""
    assert "SMUDGE_CELLS_MANY" not in flags(read(HEALTHY | {"smudge": 25}))
    assert "SMUDGE_CELLS_MANY" in flags(read(HEALTHY | {"smudge": 45}))


def test_cells_not_recognised_raise_no_flag_of_their_own() -> None:
    """The bounds count every fifth cell that was not recognised, and the verdict says where they are too many."""
    result = read(HEALTHY | {UNCLASSIFIED: 50})
    assert (result.flags, result.supported) == ((), True)


# Slides of which too little was recognised

FIFTY_FIFTY = {"neutrophil": 60, "blast": 30, UNCLASSIFIED: 90}


def test_half_not_recognised_is_still_supported() -> None:
    """Shares are known until the share not recognised is surely above half: of 180 cells, 103 may be half, 104 may not."""
    assert read(FIFTY_FIFTY).supported
    assert clopper_pearson(103, 180)[0] < 0.5 < clopper_pearson(105, 180)[0]
    for unsure, supported in ((103, True), (105, False)):
        assert read({"neutrophil": 180 - unsure, UNCLASSIFIED: unsure}).supported is supported


def test_of_a_slide_hardly_recognised_counts_alone_are_given() -> None:
    """No bounds, no corrected shares, nothing present, no range and no share of blasts: look, and count again."""
    result = read({"neutrophil": 20, "blast": 20, "erythroblast": 20, UNCLASSIFIED: 160})
    assert not result.supported
    assert (result.bounds, result.group_bounds, result.bounds_per_100) == ({}, {}, {})
    assert (result.corrected, result.corrected_groups, result.corrected_per_100) == ({}, {}, {})
    assert set(flags(result)) == {"BLASTS_SUSPECT", "TOO_FEW_CELLS"}
    assert result.adequacy == (
        "The count excludes nothing, and percentages would mislead: 160 of 200 white cells were not recognised.",
    )
    document = as_json(result)
    assert document["supported"] is False
    assert (document["types"]["blast"]["low"], document["types"]["blast"]["high"]) == (None, None)
    assert document["types"]["blast"]["count"] == 20
    assert document["corrected"] is None


def test_json_of_counts_alone_has_no_share() -> None:
    """Neither of types and groups nor of second levels, attributes and cells per 100, also where a value is named like one."""
    attributes = {"neutrophil_stage": {"band": 4, "segmented": 15}, "basophilia": {"low": 3, "high": 1}}
    unsure = Tally(1, {"neutrophil": 20, "erythroblast": 3, UNCLASSIFIED: 160}, {}, attributes)
    document = as_json(judged(unsure, labels=LABELS, subtypes=STAGE))
    none = {"percent": None, "low": None, "high": None}
    recognised = {"recognised": {"low": None, "high": None}}
    assert document["types"]["neutrophil"] == {"count": 20, "of": 20, **none, **recognised}
    assert {each["percent"] for each in document["groups"].values()} == {None}
    assert document["subtypes"]["neutrophil"]["values"]["band"] == {"count": 4, "of": 19, **none}
    assert document["attributes"]["basophilia"] == {
        "low": {"count": 3, "of": 4, **none},
        "high": {"count": 1, "of": 4, **none},
    }
    assert document["per_100_white_cells"]["erythroblast"] == {
        "count": 3, "per_100": None, "low": None, "high": None, **recognised,
    }  # fmt: skip


def test_a_signature_covers_shares_that_are_not_stated() -> None:
    """As those of versions until 0.2.0 do: else each of them would be said not to hold."""
    result = read({"neutrophil": 20, "blast": 20, UNCLASSIFIED: 160})
    assert all_values(result)["types"]["blast"]["percent"] == 50.0
    healthy = read(HEALTHY)
    assert as_json(healthy) == all_values(healthy) | {"familiarity": None, "lineages": {}}


def test_cells_of_a_slide_hardly_recognised_are_looked_at_for_that() -> None:
    """Neither errors nor a share explain them."""
    found = flags(read({"neutrophil": 20, "blast": 20, UNCLASSIFIED: 160}))
    assert found["BLASTS_SUSPECT"].text == (
        "20 cells read as blasts. Most other cells were not recognised: look at them."
    )


def test_unread_cells_are_not_recognised_either() -> None:
    """150 whole cells that no one read are no better known than those below the threshold."""
    tally_ = Tally(1, {"neutrophil": 50}, {}, {}, unread=150)
    result = judged(tally_, labels=LABELS)
    assert not result.supported
    assert "150 of 200 white cells were not recognised" in result.adequacy[0]


# Lineages

LINEAGES = {"granulocytic": ("neutrophil", "myelocyte"), "blast_like": ("blast",), "monocyte": ("monocyte",)}


def by_lineage(unsure: int, untyped: dict[str, int], unread: int = 0) -> Differential:
    """Of 90 recognised cells, and of cells of which some have a sure lineage."""
    white = {"neutrophil": 60, "myelocyte": 5, "lymphocyte": 20, "blast": 5, UNCLASSIFIED: unsure}
    doubts = NotRecognised(unsure, lineages=untyped)
    slide = Tally(1, white, {}, {}, not_recognised=doubts, unread=unread)
    return judged(slide, labels=LABELS, lineages=LINEAGES)


def test_lineages_have_the_cells_that_were_recognised_and_those_whose_lineage_alone_is_known() -> None:
    """Of 10 that were not recognised 6 are granulocytes; a lineage without a cell is left out."""
    result = by_lineage(10, {"granulocytic": 6})
    assert {name: (each.untyped, each.share) for name, each in result.lineages.items()} == {
        "granulocytic": (6, Share(71, 96)),
        "blast_like": (0, Share(5, 96)),
    }
    assert (result.of_known_lineage, result.not_recognised) == (6, 10)


def test_cells_of_unknown_lineage_may_be_of_each() -> None:
    """Four of 100, and two that were not read at all."""
    bounds = by_lineage(10, {"granulocytic": 6}, unread=2).lineages["blast_like"].bounds
    assert bounds.low == 100 * clopper_pearson(5, 102)[0]
    assert bounds.high == 100 * clopper_pearson(5 + 6, 102)[1]


def test_json_of_lineages_has_no_share_where_none_is_supported() -> None:
    """As that of types; counts stay."""
    supported = as_json(by_lineage(10, {"blast_like": 6}))["lineages"]["blast_like"]
    assert (supported["count"], supported["untyped"]) == (11, 6)
    assert supported["percent"] == pytest.approx(100 * 11 / 96)
    alone = as_json(by_lineage(200, {"blast_like": 6}))["lineages"]["blast_like"]
    assert alone == {
        "count": 11, "untyped": 6, "of": 96, "percent": None, "low": None, "high": None,
    }  # fmt: skip


@given(st.integers(0, 60), st.integers(0, 60), st.integers(0, 60), st.integers(0, 20))
def test_a_lineage_s_share_lies_within_its_bounds(
    granulocytes: int, blasts: int, rest: int, unread: int
) -> None:
    """Wherever the cells of unknown lineage belong."""
    unsure = granulocytes + blasts + rest
    result = by_lineage(unsure, {"granulocytic": granulocytes, "blast_like": blasts}, unread)
    found = 90 + unsure + unread
    for each in result.lineages.values():
        for unknown in (0, rest + unread):
            share = 100 * (each.share.count + unknown) / found
            assert each.bounds.low <= share <= (each.bounds.high or 0)


# Pictures with a warning


def doubtful(white: dict[str, int], **of: int) -> Differential:
    """A slide of which some cells lie in pictures with a warning."""
    tally_ = Tally(1, white, {}, {}, doubtful=of)
    return judged(tally_, labels=LABELS, errors=Errors(ONE_PERCENT, RIGHT, MISSED))


def test_cells_of_doubtful_pictures_make_nothing_present() -> None:
    """30 blasts are present; with 21 of them in pictures with a warning the clear ones are what errors explain."""
    white = {"neutrophil": 110, "lymphocyte": 60, "blast": 30}
    assert "BLASTS_PRESENT" in flags(doubtful(white, blast=20))
    found = flags(doubtful(white, blast=21))
    assert "BLASTS_PRESENT" not in found
    assert found["BLASTS_SUSPECT"].text == (
        "30 cells read as blasts, in pictures with a warning. Take the pictures again, or look at them."
    )


def test_cells_of_doubtful_pictures_are_looked_at_by_every_rule() -> None:
    """Left shift that is there only in blurred pictures is a suspicion: it passes the test otherwise."""
    white = {"neutrophil": 140, "lymphocyte": 40, "myelocyte": 40}
    found = flags(doubtful(white, myelocyte=40))
    assert found["IMMATURE_GRANULOCYTES_SUSPECT"].severity == "note"
    assert "IMMATURE_GRANULOCYTES_PRESENT" not in found


def test_cells_of_doubtful_pictures_make_no_share_sure() -> None:
    """53 of 200 blasts are surely 20 %; not where one of them lies in a picture with a warning."""
    white = {"neutrophil": 147, "blast": 53}
    assert "BLASTS_20_PERCENT" in flags(doubtful(white))
    assert "BLASTS_20_PERCENT_POSSIBLE" in flags(doubtful(white, blast=1))


# Adequacy


def test_under_a_hundred_cells_are_too_few_to_say() -> None:
    """99 cells are flagged, and flags of their percentages are provisional; 100 cells are not."""
    found = flags(read({"lymphocyte": 99}))
    assert found["TOO_FEW_CELLS"].text == (
        "White cells recognised: 99. Add pictures until 100 or more are counted."
    )
    assert found["LYMPHOCYTES_HIGH"].text == (
        "Lymphocytes: at least 96.3 %. Reference: 20 to 40 %. Of few cells: count more."
    )
    enough = flags(read({"lymphocyte": 100}))
    assert "TOO_FEW_CELLS" not in enough
    assert enough["LYMPHOCYTES_HIGH"].text == "Lymphocytes: at least 96.3 %. Reference: 20 to 40 %."


def test_the_count_says_what_it_cannot_exclude() -> None:
    """No blast in 200 cells leaves room for 1.86 %: 1.83 % over a miss rate of 1.84 %, said as 1.9."""
    result = read({"neutrophil": 180, "myelocyte": 20})
    assert result.group_bounds["blasts"].high == pytest.approx(100 * MOST_UNSEEN / (1 - MOST_MISSED))
    assert result.adequacy[0] == "No blasts recognised. Up to 1.9 % of the white cells may be."


def test_no_type_is_bounded_above_its_group() -> None:
    """None of 200 cells is a blast of any kind, up to 1.9 %: so are those that alone would have a wider bound."""
    own = RULES.group("immature_granulocytes").labels
    labels = tuple(label for label in LABELS if label in own)
    few = MISSED | {"myelocyte": Missed(1, 27), "promyelocyte": Missed(0, 0)}
    few |= {group_kind("immature_granulocytes"): Missed(10, 1000, labels)}
    result = judged(counted({"neutrophil": 200}), labels=LABELS, errors=Errors(ONE_PERCENT, RIGHT, few))
    high = result.group_bounds["immature_granulocytes"].high
    assert high == pytest.approx(100 * MOST_UNSEEN / (1 - MOST_MISSED))
    assert result.bounds["myelocyte"].high == high
    assert "promyelocyte" not in result.bounds


def test_groups_that_were_not_seen_are_named_together() -> None:
    """With the greatest of their bounds; a group that the reader gives no bound for is never called excluded."""
    result = read({"neutrophil": 200})
    assert result.adequacy[0] == (
        "No blasts or immature granulocytes recognised. Up to 1.9 % of each is possible."
    )
    missed = {label: each for label, each in MISSED.items() if label != "blast"}
    unmeasured = judged(
        counted({"neutrophil": 200}), labels=LABELS, errors=Errors(ONE_PERCENT, RIGHT, missed)
    )
    assert unmeasured.adequacy[:2] == (
        "No immature granulocytes recognised. Up to 1.9 % of the white cells may be.",
        "No blasts recognised. The count cannot exclude them.",
    )


def test_cells_not_recognised_are_not_excluded() -> None:
    """None recognised, and 20 that may be blasts: up to 14.2 % of 220 cells."""
    blasts = group_kind("blasts")
    doubts = NotRecognised(20, {"blast": 3.0}, {blasts: 20}, {blasts: 20})
    tally_ = Tally(1, {"neutrophil": 200, UNCLASSIFIED: 20}, {}, {}, not_recognised=doubts)
    result = judged(tally_, labels=LABELS, errors=Errors(ONE_PERCENT, RIGHT, MISSED))
    most = 100 * clopper_pearson(20, 220)[1] / (1 - MOST_MISSED)
    assert result.group_bounds["blasts"].high == pytest.approx(most)
    assert result.adequacy[0] == (
        "None seen, but possible among the white cells: blasts up to 14.0 %, immature granulocytes up to 1.9 % together."
    )


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 400), st.integers(0, 60), st.integers(0, 60))
def test_what_is_said_of_unseen_types_is_the_bound_of_their_row(n: int, blasts: int, myelocytes: int) -> None:
    """One bound for each group, rounded as in the table; that of several types is never below theirs."""
    unsure = max(blasts, myelocytes)
    kinds = {"blast": blasts, group_kind("blasts"): blasts, "myelocyte": myelocytes}
    kinds |= {group_kind("immature_granulocytes"): myelocytes}
    doubts = NotRecognised(unsure, {}, kinds, kinds)
    tally_ = Tally(1, {"neutrophil": n, UNCLASSIFIED: unsure}, {}, {}, not_recognised=doubts)
    result = judged(tally_, labels=LABELS, errors=Errors(ONE_PERCENT, RIGHT, MISSED))
    if not result.supported:
        return
    said = " ".join(result.adequacy)
    assert result.bounds["blast"] == result.group_bounds["blasts"]
    for name, high in (
        ("blasts", result.bounds["blast"].high),
        ("granulocytes", result.group_bounds["immature_granulocytes"].high),
    ):
        assert high is not None
        text = ceil(high, decimals(n))
        assert f"{name} up to {text} %" in said or f"Up to {text} % of each is possible" in said
        others = [
            result.bounds[label].high or 0.0
            for label in RULES.group("immature_granulocytes").labels
            if label in result.bounds
        ]
        if "of each" in said:
            assert {ceil(each, decimals(n)) for each in others} == {text}


def test_the_count_says_what_the_reader_cannot_tell() -> None:
    """A reader trained without blasts excludes none."""
    labels = [label for label in LABELS if label != "blast"]
    result = judged(counted({"neutrophil": 200}), labels=labels, errors=Errors(ONE_PERCENT, RIGHT, MISSED))
    assert result.adequacy == (
        "No immature granulocytes recognised. Up to 1.9 % of the white cells may be.",
        "This reader does not know blasts, promonocytes, plasma cells or atypical lymphocytes. "
        "The count says nothing of them.",
    )


def test_no_white_cell_excludes_nothing() -> None:
    """An empty count has no types, one flag and one sentence."""
    result = read({})
    assert (result.n, result.types, result.groups) == (0, {}, {})
    assert [flag.code for flag in result.flags] == ["TOO_FEW_CELLS"]
    assert result.adequacy == ("No white cell was recognised. Nothing can be excluded.",)


def test_flags_come_most_severe_first() -> None:
    """Alerts, then warnings, then notes."""
    order = [flag.severity for flag in read({"lymphocyte": 40, "blast": 30, "smudge": 60}).flags]
    assert order == sorted(order, key=["alert", "warning", "note"].index)
    assert set(order) == {"alert", "warning", "note"}


# Output


def test_json_has_the_published_keys() -> None:
    """n, types with count, percent, bounds and interval, flags with code and text; percentages from 0 to 100."""
    document = as_json(read({"neutrophil": 170, "blast": 30}))
    assert document["n"] == 200
    assert document["types"]["blast"] == {
        "count": 30,
        "of": 200,
        "percent": 15.0,
        "low": pytest.approx(10.351, abs=0.001),
        "high": pytest.approx(20.71587036685505 / (1 - MOST_MISSED)),
        "recognised": {"low": pytest.approx(10.354952352186299), "high": pytest.approx(20.71587036685505)},
    }
    assert {"code", "text", "detail", "severity", "places", "sources"} == set(document["flags"][0])


def test_json_of_a_differential_follows_the_published_schema() -> None:
    """With corrected shares, second levels, bounds and blast-likeness, and without."""
    schema = json.loads((REFERENCE.parent / "analysis.schema.json").read_text(encoding="utf-8"))
    stages = Tally(
        1, {"neutrophil": 100, "blast": 9}, {}, {"neutrophil_stage": {"band": 20, "segmented": 70}}
    )
    healthy = HealthyCells("cells of a test", (0.0, 0.5), (0.9, 0.1))
    errors = Errors(ONE_PERCENT, TWO_PERCENT, MISSED, (healthy,))
    full = as_json(judged(stages, labels=LABELS, errors=errors, subtypes=STAGE))
    assert full["corrected"]["types"]["blast"].keys() == {"percent", "low", "high", "measured"}
    assert full["subtypes"]["neutrophil"]["values"]["band"]["count"] == 20
    assert full["blast_likeness"].keys() == {
        *("cells", "sum", "not_recognised", "expected_in_health", "limit_in_health")
    }
    hardly = read({"neutrophil": 10, "erythroblast": 3, UNCLASSIFIED: 90})
    alone = read({"erythroblast": 3})
    for document in (full, *map(as_json, (read(HEALTHY), read({}), hardly, alone))):
        jsonschema.validate(document, schema["properties"]["differential"])


def test_json_gives_the_places_of_flagged_cells() -> None:
    """A viewer can go to each cell that a flag is about."""
    place = Place("a.png", (1.0, 2.0, 3.0, 4.0), 7)
    result = judged(counted({"blast": 1}, {"blast": (place,)}), labels=LABELS)
    suspect = next(flag for flag in as_json(result)["flags"] if flag["code"] == "BLASTS_SUSPECT")
    assert suspect["places"] == [{"field": "a.png", "number": 7, "box": [1.0, 2.0, 3.0, 4.0]}]
