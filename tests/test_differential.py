"""From fields to a differential: what is counted where, what is flagged, what is said."""

from __future__ import annotations

import json
import re
from pathlib import Path

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from standard import RULES, judged

from edgeleuk.correction import Confusion
from edgeleuk.differential import Differential, as_json
from edgeleuk.errors import InputError
from edgeleuk.flags import FalsePositiveRate, Flag, error_limit
from edgeleuk.intervals import Share, clopper_pearson
from edgeleuk.rules import REFERENCE, load_reference
from edgeleuk.tallies import tally
from edgeleuk.types import UNCLASSIFIED, AttributeReading, Cell, Field, Place, Reading, Scale, Tally

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
HEALTHY = {"neutrophil": 118, "lymphocyte": 62, "monocyte": 12, "eosinophil": 4, "basophil": 2}


def counted(white: dict[str, int], places: dict[str, tuple[Place, ...]] | None = None) -> Tally:
    return Tally(fields=1, white=white, kinds={}, attributes={}, places=places or {})


def read(white: dict[str, int], rates: dict[str, FalsePositiveRate] | None = ONE_PERCENT) -> Differential:
    return judged(counted(white), labels=LABELS, false_positive_rates=rates)


def flags(result: Differential) -> dict[str, Flag]:
    return {flag.code: flag for flag in result.flags}


def white_cell(label: str | None, box: Place | None = None, whole: bool = True, **attributes: bool) -> Cell:
    """A white cell read as `label`; each attribute has the value "yes" and is sure or not."""
    values = {name: AttributeReading("yes", 0.9, sure) for name, sure in attributes.items()}
    reading = None if label is None else Reading(label, 0.9, {label: 0.9}, values)
    return Cell("WBC", box[1] if box else (0.0, 0.0, 9.0, 9.0), 0.9, whole, reading)


def field(name: str, *cells: Cell) -> Field:
    return Field(name, 640, 480, Scale.given(0.1), cells)


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
    """Every white cell of a label can be found again."""
    first, second = ("a.png", (1.0, 2.0, 3.0, 4.0)), ("b.png", (5.0, 6.0, 7.0, 8.0))
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
    """Nucleated red cells, smudge cells, platelets and unclassified cells are outside the denominator."""
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
    """Types add up to n, intervals hold their percentages, and the whole is JSON."""
    result = read(white)
    assert sum(share.count for share in result.types.values()) == result.n
    assert sum(result.outside.values()) + result.n == sum(white.values())
    assert all(share.low <= share.percent <= share.high for share in result.types.values())
    json.dumps(as_json(result), allow_nan=False)


# Rare types against the reader's errors


def test_two_blasts_in_a_healthy_count_are_only_suspect() -> None:
    """A reader wrong once in a hundred explains 2 blasts in 200: look at them, where they are."""
    places = (("a.png", (1.0, 2.0, 3.0, 4.0)), ("b.png", (5.0, 6.0, 7.0, 8.0)))
    result = judged(
        counted(HEALTHY | {"blast": 2}, {"blast": places}), labels=LABELS, false_positive_rates=ONE_PERCENT
    )
    assert [flag.code for flag in result.flags] == ["BLASTS_SUSPECT"]
    flag = result.flags[0]
    assert flag.text == (
        "2 cells read as blasts, no more than the reader's errors explain "
        "(expected up to 3.7 in 200, by chance up to 9): look at them."
    )
    assert (flag.severity, flag.places) == ("warning", places)


def test_thirty_blasts_in_200_are_present() -> None:
    """30 in 200 are beyond any error of that reader."""
    flag = flags(read({"neutrophil": 110, "lymphocyte": 60, "blast": 30}))["BLASTS_PRESENT"]
    assert flag.severity == "alert"
    assert flag.text.startswith(
        "30 cells read as blasts in 200 (15.0 %, 95 % interval 10.4 to 20.7): more than"
    )
    assert flag.sources[0].startswith("Palmer L")


def test_the_turning_point_is_where_chance_falls_under_one_percent() -> None:
    """Errors explain 9 of 200 (probability 1.2 %) and not 10 (0.4 %)."""
    assert "BLASTS_SUSPECT" in flags(read({"neutrophil": 191, "blast": 9}))
    assert "BLASTS_PRESENT" in flags(read({"neutrophil": 190, "blast": 10}))


def test_a_single_blast_is_written_in_the_singular() -> None:
    """One cell is a blast, not blasts."""
    assert flags(read({"neutrophil": 199, "blast": 1}))["BLASTS_SUSPECT"].text.startswith(
        "1 cell read as a blast, "
    )


def test_without_a_measured_rate_nothing_is_called_present() -> None:
    """However many: a reader of unknown errors only asks to be checked."""
    found = flags(read({"neutrophil": 100, "blast": 100}, rates=None))
    assert "BLASTS_PRESENT" not in found
    assert "was not measured: look at them" in found["BLASTS_SUSPECT"].text
    assert "BLASTS_20_PERCENT" not in found
    assert "errors do not rule out fewer" in found["BLASTS_20_PERCENT_POSSIBLE"].text


def test_a_small_measurement_proves_little() -> None:
    """No error in 20 cells still allows a rate of 17 %, and so explains 20 blasts in 200."""
    few = {"blast": FalsePositiveRate(0, 20)}
    assert "BLASTS_SUSPECT" in flags(read({"neutrophil": 180, "blast": 20}, few))


def test_a_perfect_record_makes_few_cells_present() -> None:
    """No error in 100,000 cells explains not even two blasts in 200."""
    good = {"blast": FalsePositiveRate(0, 100_000)}
    assert "BLASTS_PRESENT" in flags(read({"neutrophil": 198, "blast": 2}, good))


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


def test_a_group_with_one_unmeasured_type_is_unmeasured() -> None:
    """One missing rate leaves the whole group's unknown."""
    group = RULES.group("immature_granulocytes")
    assert (
        error_limit(group, ("myelocyte", "metamyelocyte"), {"myelocyte": FalsePositiveRate(1, 1000)}) is None
    )


def test_left_shift_is_flagged_from_the_group() -> None:
    """Immature granulocytes beyond the reader's errors are a left shift."""
    found = flags(read({"neutrophil": 140, "myelocyte": 20, "metamyelocyte": 30, "promyelocyte": 10}))
    assert found["IMMATURE_GRANULOCYTES_PRESENT"].text.endswith("Left shift.")
    assert found["IMMATURE_GRANULOCYTES_PRESENT"].text.startswith(
        "60 cells read as immature granulocytes in 200"
    )


def test_nucleated_red_cells_are_weighed_among_all_they_could_be() -> None:
    """15 beside 200 white cells are 15 in 215 read cells, and 7.5 per 100 white cells."""
    text = flags(read(HEALTHY | {"neutrophil": 120, "erythroblast": 15}))["NRBC_PRESENT"].text
    assert text.startswith(
        "15 cells read as nucleated red cells in 215 (7.5 per 100 white cells, 95 % interval 4.1 to 12.7)"
    )


def test_more_nucleated_red_cells_than_white_cells_are_no_error() -> None:
    """The test has as many trials as cells were read."""
    assert "NRBC_PRESENT" in flags(read({"neutrophil": 100, "erythroblast": 300}))


def test_few_atypical_lymphocytes_are_no_flag() -> None:
    """Up to 5 % are seen in health."""
    labels = (*LABELS, "atypical_lymphocyte")
    for count, found in ((10, set()), (11, {"ATYPICAL_LYMPHOCYTES_SUSPECT"})):
        white = HEALTHY | {"neutrophil": 120, "lymphocyte": 62 - count, "atypical_lymphocyte": count}
        result = judged(counted(white), labels=labels, false_positive_rates=ONE_PERCENT)
        assert set(flags(result)) == found


# Shares corrected for the reader's errors


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


def corrected(
    white: dict[str, int],
    confusion: Confusion = TWO_PERCENT,
    rates: dict[str, FalsePositiveRate] | None = None,
) -> Differential:
    return judged(
        counted(white), labels=LABELS, false_positive_rates=rates or ONE_PERCENT, confusion=confusion
    )


def test_without_a_confusion_there_is_no_correction() -> None:
    """Nothing is corrected by what was not measured."""
    result = read(HEALTHY)
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
    assert "BLASTS_PRESENT" in flags(judged(counted(white), labels=LABELS, false_positive_rates=few_errors))
    found = flags(corrected(white, rates=few_errors))
    assert "BLASTS_PRESENT" not in found
    assert found["BLASTS_SUSPECT"].severity == "warning"
    assert re.fullmatch(
        r"5 cells read as blasts in 203 \(2\.5 %, 95 % interval 0\.8 to 5\.7; corrected for the reader's measured "
        r"errors 0\.\d %, 95 % interval 0\.0 to \d\.\d\): corrected, the share is not surely above 0 %, so the "
        r"reader's errors may explain them\. Look at them\.",
        found["BLASTS_SUSPECT"].text,
    )


def test_blasts_beyond_every_error_are_present_with_both_shares() -> None:
    """The raw count and the corrected share stand in the text."""
    text = flags(corrected({"neutrophil": 110, "lymphocyte": 60, "blast": 30}))["BLASTS_PRESENT"].text
    assert text.startswith(
        "30 cells read as blasts in 200 (15.0 %, 95 % interval 10.4 to 20.7; corrected for the"
    )


def test_a_correction_makes_nothing_present_that_the_test_does_not() -> None:
    """9 of 200 are what 1 % of errors explain, however sure the corrected share."""
    result = corrected({"neutrophil": 191, "blast": 9}, RIGHT)
    assert result.corrected["blast"].low > 0
    assert "BLASTS_SUSPECT" in flags(result)


def test_atypical_lymphocytes_must_surely_pass_their_share() -> None:
    """30 of 202 are beyond 5 % also when corrected; 16 of 202 are not surely."""
    labels = (*LABELS, "atypical_lymphocyte")
    sure = {"atypical_lymphocyte": FalsePositiveRate(1, 5000)}
    for count, code in ((30, "ATYPICAL_LYMPHOCYTES_PRESENT"), (16, "ATYPICAL_LYMPHOCYTES_SUSPECT")):
        white = {"neutrophil": 120, "lymphocyte": 82 - count, "atypical_lymphocyte": count}
        result = judged(
            counted(white), labels=labels, false_positive_rates=sure, confusion=confused(labels=labels)
        )
        assert code in flags(result)


def test_nucleated_red_cells_are_corrected_per_100_white_cells() -> None:
    """They have no share, and their flag goes by the corrected number."""
    result = corrected({"neutrophil": 200, "erythroblast": 15}, RIGHT)
    assert result.corrected_per_100["erythroblast"].percent == pytest.approx(7.5)
    text = flags(result)["NRBC_PRESENT"].text
    assert "corrected for the reader's measured errors 7.5 per 100 white cells, 95 % interval" in text


def test_the_threshold_goes_by_the_corrected_share() -> None:
    """22 % read by a reader that makes blasts of a tenth of the lymphocytes are under 20 %; missed ones count."""
    white = {"neutrophil": 60, "lymphocyte": 96, "blast": 44}
    many_errors = confused(("lymphocyte", {"blast": 1_000}), right=8_500)
    assert not [code for code in flags(corrected(white, many_errors)) if "20" in code]
    misses = confused(("blast", {"blast": 4_000, "lymphocyte": 5_500}))
    found = flags(corrected(white, misses))["BLASTS_20_PERCENT"]
    assert found.text.startswith("44 cells read as blasts (22.0 %, 95 % interval 16.5 to 28.4; corrected for")
    assert found.text.endswith("at or above 20 %, the whole interval included.")


def test_a_count_without_white_cells_is_not_corrected() -> None:
    """Unclassified and smudge cells give no shares of either kind."""
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
    assert judged(bands, labels=LABELS, false_positive_rates=ONE_PERCENT, subtypes=STAGE).flags == ()


# Shares and ranges


@pytest.mark.parametrize(
    ("blasts", "code", "words"),
    [
        (
            53,
            "BLASTS_20_PERCENT",
            "26.5 %, 95 % interval 20.5 to 33.2): at or above 20 %, the whole interval included.",
        ),
        (
            44,
            "BLASTS_20_PERCENT_POSSIBLE",
            "22.0 %, 95 % interval 16.5 to 28.4): at or above 20 %, but the interval reaches",
        ),
    ],
)
def test_twenty_percent_is_said_with_its_interval(blasts: int, code: str, words: str) -> None:
    """At or above 20 % is asserted only where the whole interval is."""
    found = {
        key: flag
        for key, flag in flags(read({"neutrophil": 200 - blasts, "blast": blasts})).items()
        if "20" in key
    }
    assert list(found) == [code]
    assert words in found[code].text


def test_under_twenty_percent_is_no_threshold_flag() -> None:
    """39 of 200 are 19.5 %."""
    assert not [code for code in flags(read({"neutrophil": 161, "blast": 39})) if "20" in code]


def test_a_range_is_flagged_only_where_the_interval_excludes_it() -> None:
    """47 % lymphocytes of 200 may be 40 %; 48 % may not."""
    assert clopper_pearson(94, 200)[0] < 0.4 < clopper_pearson(96, 200)[0]
    rest = {"monocyte": 8, "eosinophil": 4}
    assert "LYMPHOCYTES_HIGH" not in flags(read(rest | {"neutrophil": 94, "lymphocyte": 94}))
    flag = flags(read(rest | {"neutrophil": 92, "lymphocyte": 96}))["LYMPHOCYTES_HIGH"]
    assert (
        flag.text
        == "Lymphocytes 48.0 %, 95 % interval 40.9 to 55.2: above the reference range of 20 to 40 %."
    )
    assert flag.sources[0].startswith("Bain BJ")


def test_a_low_type_is_flagged_too() -> None:
    """No neutrophils among 200 is below 40 %."""
    assert (
        "below the reference range of 40 to 80 %" in flags(read({"lymphocyte": 200}))["NEUTROPHILS_LOW"].text
    )


def test_a_type_the_reader_does_not_know_is_never_low() -> None:
    """A reader of lymphocytes alone says nothing of neutrophils."""
    found = flags(judged(counted({"lymphocyte": 200}), labels=["lymphocyte"]))
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
    result = judged(counted(white), labels=LABELS, reference=load_reference(path))
    assert (result.flags, result.reference) == ((), "ours")


def test_a_range_for_a_type_outside_the_denominator_is_refused(tmp_path: Path) -> None:
    """Smudge cells have no share, so they can have no range."""
    path = tmp_path / "ours.toml"
    path.write_text(
        REFERENCE.read_text(encoding="utf-8").replace('["basophil"]', '["smudge"]'), encoding="utf-8"
    )
    with pytest.raises(InputError, match="give one for smudge"):
        judged(counted(HEALTHY), labels=LABELS, reference=load_reference(path))


def test_many_smudge_cells_are_flagged_where_the_interval_is_above() -> None:
    """10 per 100 is the limit: 25 beside 200 may be fewer, 45 may not."""
    assert "SMUDGE_CELLS_MANY" not in flags(read(HEALTHY | {"smudge": 25}))
    assert "SMUDGE_CELLS_MANY" in flags(read(HEALTHY | {"smudge": 45}))


def test_many_unclassified_cells_are_flagged() -> None:
    """A differential that leaves out every fifth cell says so."""
    assert (
        "50 white cells unclassified" in flags(read(HEALTHY | {"unclassified": 50}))["UNCLASSIFIED_MANY"].text
    )


# Adequacy


def test_under_a_hundred_cells_are_too_few_to_say() -> None:
    """99 cells are flagged, and flags of their percentages are provisional; 100 cells are not."""
    found = flags(read({"lymphocyte": 99}))
    assert found["TOO_FEW_CELLS"].text.startswith(
        "White cells identified: 99, fewer than 100, too few to say."
    )
    assert found["LYMPHOCYTES_HIGH"].text.endswith("Provisional: of only 99 identified.")
    enough = flags(read({"lymphocyte": 100}))
    assert "TOO_FEW_CELLS" not in enough
    assert "Provisional" not in enough["LYMPHOCYTES_HIGH"].text


def test_the_count_says_what_it_cannot_exclude() -> None:
    """No blast in 200 cells leaves room for 1.8 %."""
    result = read({"neutrophil": 180, "myelocyte": 20})
    assert result.adequacy[0] == (
        "0 blasts in 200 cells: up to 1.8 % is possible, and more if the reader misses some."
    )


def test_the_count_says_what_the_reader_cannot_tell() -> None:
    """A reader trained without blasts excludes none."""
    result = judged(counted({"neutrophil": 200}), labels=[label for label in LABELS if label != "blast"])
    assert result.adequacy == (
        "0 immature granulocytes in 200 cells: up to 1.8 % is possible, and more if the reader misses some.",
        "This reader does not tell blasts or promonocytes or plasma cells or atypical lymphocytes apart: "
        "the count says nothing of them.",
    )


def test_no_white_cell_excludes_nothing() -> None:
    """An empty count has no types, one flag and one sentence."""
    result = read({})
    assert (result.n, result.types, result.groups) == (0, {}, {})
    assert [flag.code for flag in result.flags] == ["TOO_FEW_CELLS"]
    assert result.adequacy == ("No white cell was identified: nothing can be said and nothing excluded.",)


def test_flags_come_most_severe_first() -> None:
    """Alerts, then warnings, then notes."""
    order = [flag.severity for flag in read({"lymphocyte": 40, "blast": 30, "smudge": 60}).flags]
    assert order == sorted(order, key=["alert", "warning", "note"].index)
    assert set(order) == {"alert", "warning", "note"}


# Output


def test_json_has_the_published_keys() -> None:
    """n, types with count, percent and limits, flags with code and text; percentages from 0 to 100."""
    document = as_json(read({"neutrophil": 170, "blast": 30}))
    assert document["n"] == 200
    assert document["types"]["blast"] == {
        "count": 30,
        "of": 200,
        "percent": 15.0,
        "low": pytest.approx(10.354952352186299),
        "high": pytest.approx(20.71587036685505),
    }
    assert {"code", "text", "severity", "places", "sources"} == set(document["flags"][0])


def test_json_of_a_differential_follows_the_published_schema() -> None:
    """With corrected shares and second levels, and without."""
    schema = json.loads((REFERENCE.parent / "analysis.schema.json").read_text(encoding="utf-8"))
    stages = Tally(
        1, {"neutrophil": 100, "blast": 9}, {}, {"neutrophil_stage": {"band": 20, "segmented": 70}}
    )
    full = as_json(judged(stages, labels=LABELS, confusion=TWO_PERCENT, subtypes=STAGE))
    assert full["corrected"]["types"]["blast"].keys() == {"percent", "low", "high", "measured"}
    assert full["subtypes"]["neutrophil"]["values"]["band"]["count"] == 20
    for document in (full, as_json(read(HEALTHY)), as_json(read({}))):
        jsonschema.validate(document, schema["properties"]["differential"])


def test_json_gives_the_places_of_flagged_cells() -> None:
    """A viewer can go to each cell that a flag is about."""
    place = ("a.png", (1.0, 2.0, 3.0, 4.0))
    result = judged(counted({"blast": 1}, {"blast": (place,)}), labels=LABELS)
    suspect = next(flag for flag in as_json(result)["flags"] if flag["code"] == "BLASTS_SUSPECT")
    assert suspect["places"] == [{"field": "a.png", "box": [1.0, 2.0, 3.0, 4.0]}]
