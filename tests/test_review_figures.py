"""Figures of a review: cells that a person labelled have no reader's error, the others have all of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from reviewed import NORMAL, READER, opened, reading, store_at
from standard import RULES, judged, measured

from edgeleuk.differential.differential import Differential, Errors
from edgeleuk.differential.labelled import Labelled
from edgeleuk.review import Review
from edgeleuk.sessions import Store
from edgeleuk.statistics.bounds import BoundInputs, Bounds, Missed
from edgeleuk.statistics.correction import Confusion
from edgeleuk.statistics.intervals import Share, clopper_pearson
from edgeleuk.types import NOT_A_CELL, UNCLASSIFIED, Finding, NotRecognised, Tally

SLIDES = 60
TYPES = ("neutrophil", "lymphocyte", "monocyte", "blast")
ERRORS = measured(*TYPES)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with store_at(tmp_path) as opened_store:
        yield opened_store


def tally(white: dict[str, int], **more: object) -> Tally:
    return Tally(1, white, {"WBC": sum(white.values())}, {}, **more)  # type: ignore[arg-type]


def of(
    white: dict[str, int], labelled: dict[str, int], errors: Errors | None = ERRORS, **more: object
) -> Differential:
    return judged(tally(white, **more), labels=TYPES, errors=errors, labelled=Labelled(labelled))


def plain(share: Share) -> Bounds:
    return Bounds(share.low, share.high)


HEALTHY = {"neutrophil": 120, "lymphocyte": 60, "monocyte": 20}


@pytest.mark.parametrize("errors", [ERRORS, None], ids=["measured", "not measured"])
def test_a_fully_reviewed_slide_has_plain_exact_intervals(errors: Errors | None) -> None:
    """Those of Clopper and Pearson, also where no error was measured; nothing is corrected."""
    found = of(HEALTHY, HEALTHY, errors)
    assert {label: plain(share) for label, share in found.types.items()} == found.bounds
    assert {key: plain(share) for key, share in found.groups.items()} == found.group_bounds
    assert (found.corrected, found.corrected_groups, found.blast_likeness) == ({}, {}, None)


def test_bounds_narrow_as_more_cells_are_reviewed() -> None:
    """From those of the reader alone to the exact ones."""
    widths = []
    for share in (0, 4, 2, 1):
        labelled = {label: count // share for label, count in HEALTHY.items()} if share else {}
        bounds = of(HEALTHY, labelled).bounds["monocyte"]
        widths.append((bounds.high or 100.0) - bounds.low)
    assert widths == sorted(widths, reverse=True)
    assert widths[0] > widths[-1]


def test_the_corrected_share_is_between_that_of_the_labelled_and_of_the_others() -> None:
    """Labelled cells count as they are, the others as corrected."""
    white, labelled = {"neutrophil": 150, "lymphocyte": 50}, {"neutrophil": 50, "lymphocyte": 50}
    alone = of({"neutrophil": 100, "lymphocyte": 0}, {}).corrected["lymphocyte"].percent
    found = of(white, labelled).corrected["lymphocyte"]
    assert found.percent == pytest.approx((100 * alone + 100 * 50) / 200)
    assert found.low < found.percent < found.high


def test_bounds_hold_for_slides_of_which_a_part_was_reviewed() -> None:
    """They cover the true share in 95 % of slides, also where people look first at what seems to be a blast."""
    draws = np.random.default_rng(5)
    true = dict(zip(TYPES, (0.55, 0.30, 0.10, 0.05), strict=True))
    covered = Counter[str]()
    for _ in range(SLIDES):
        bounds = _partly_reviewed(draws, true)
        for label in ("lymphocyte", "blast"):
            found = bounds.of([label])
            assert found and found.high is not None
            covered[label] += found.low <= 100 * true[label] <= found.high
    assert min(covered.values()) >= 0.95 * SLIDES


def _partly_reviewed(draws: np.random.Generator, true: dict[str, float]) -> BoundInputs:
    """The bounds of a slide that the reader reads with its measured errors, and a person labels in part.

    The reader is right on 93 of 100 cells, takes 2 for another type, and does not recognise 5, of which it
    leaves the true type possible for 4.
    """
    white, labelled, possible, unsure = Counter[str](), Counter[str](), Counter[str](), 0
    for label in draws.choice(TYPES, size=200, p=list(true.values())):
        luck = draws.random()
        read = str(label) if luck < 0.93 else str(draws.choice(TYPES)) if luck < 0.95 else UNCLASSIFIED
        if read == "blast" or draws.random() < 0.4:
            white[str(label)] += 1
            labelled[str(label)] += 1
            continue
        white[read] += 1
        if read == UNCLASSIFIED:
            unsure += 1
            possible[str(label) if luck < 0.99 else "monocyte"] += 1
    counted = dict.fromkeys(TYPES, unsure)
    counts = tuple(
        tuple(9300 + 50 if a == b else 500 if b == UNCLASSIFIED else 50 for b in (*TYPES, UNCLASSIFIED))
        for a in TYPES
    )
    confusion = Confusion("cells of a test", TYPES, (*TYPES, UNCLASSIFIED), counts)
    missed = {label: Missed(250, 10_000) for label in TYPES}
    unrecognised = NotRecognised(unsure, dict(possible), dict(possible), counted)
    return BoundInputs(white, unrecognised, 0, RULES.not_counted, missed, confusion, labelled)


def test_what_a_person_labelled_is_never_taken_for_an_error() -> None:
    """The lower bound of two labelled blasts is the exact one, however many cells were not reviewed."""
    bounds = of(HEALTHY | {"blast": 2}, {"blast": 2}).bounds["blast"]
    assert bounds.low == 100 * clopper_pearson(2, 202)[0] > 0


def flags(found: Differential) -> dict[str, str]:
    return {flag.code: flag.text for flag in found.flags}


def test_one_blast_that_a_person_saw_is_present() -> None:
    """One that only the reader saw may be an error."""
    white = HEALTHY | {"blast": 1}
    assert "BLASTS_SUSPECT" in flags(of(white, {}))
    assert flags(of(white, {"blast": 1}))["BLASTS_PRESENT"] == (
        "1 cell labelled as a blast by a person. Confirm under the microscope."
    )


def test_further_blasts_that_were_only_read_are_told_apart() -> None:
    """Beside those that a person labelled."""
    assert flags(of(HEALTHY | {"blast": 5}, {"blast": 2}))["BLASTS_PRESENT"] == (
        "2 cells labelled as blasts by a person, and 3 more read so. Confirm under the microscope."
    )


def test_reviewed_cells_of_other_types_are_no_trials_for_errors() -> None:
    """What the reader's errors explain is of the cells that nobody looked at."""
    white = HEALTHY | {"blast": 8}
    details = [
        next(flag.detail for flag in of(white, labelled).flags if flag.code.startswith("BLASTS_"))
        for labelled in ({}, {"neutrophil": 120})
    ]
    assert details[0].startswith("8 cells in 208.")
    assert details[1].startswith("8 cells in 88.")


def test_a_person_does_not_doubt_a_cell_for_its_picture(store: Store) -> None:
    """In a picture with a warning no reading is called present, and a person's label is."""
    doubtful = Finding("focus", False, 0.5, 0.6, "out of focus.")
    assert doubtful.code in RULES.verdict.doubtful_pictures
    review = opened(store, [reading("blast")] * 3 + [reading("neutrophil")] * 15, (doubtful,))
    assert review.review().result.tally.doubtful["blast"] == 3
    found = review.reclassify("ann", [1, 2], "blast").result
    assert found.tally.doubtful == {"blast": 1, "neutrophil": 15}
    assert "BLASTS_PRESENT" in flags(found.differential)


def reviewed(review: Review) -> tuple[str, int]:
    return review.result.verdict.code, review.reviewed


def test_a_slide_whose_blasts_a_person_takes_for_lymphocytes_is_no_longer_flagged(store: Store) -> None:
    """The verdict follows at once, and the program's own stays."""
    review = opened(store, [*(reading(label) for label in NORMAL), *[reading("blast")] * 5])
    assert reviewed(review.review()) == ("look_again", 0)
    found = review.reclassify("ann", range(101, 106), "lymphocyte")
    assert reviewed(found) == ("nothing_flagged", 5)
    assert found.program.verdict.code == "look_again"


def test_a_slide_that_was_looked_at_whole_is_exact(store: Store) -> None:
    """By the reader that ships; cells not recognised are labelled, the others confirmed."""
    unsure = [reading(UNCLASSIFIED, 0.4, "blast")] * 10
    review = opened(store, [*(reading(label) for label in NORMAL), *unsure])
    review.look("ann", range(1, 111))
    half = review.review().result.differential
    assert half.blast_likeness is not None
    found = review.reclassify("ann", range(101, 111), "monocyte").result.differential
    assert (found.corrected, found.blast_likeness, found.not_recognised) == ({}, None, 0)
    assert {label: plain(share) for label, share in found.types.items()} == found.bounds
    assert found.types["monocyte"] == Share(16, 110)


def test_a_blast_that_was_only_looked_at_is_not_confirmed(store: Store) -> None:
    """Scrolling past a finding confirms nothing: its count and bounds stay the program's until it is labelled."""
    review = opened(store, [*(reading(label) for label in NORMAL), *[reading("blast")] * 2])
    before = review.review().result.differential
    looked = review.look("ann", [101, 102])
    assert looked.reviewed == 2
    assert looked.result.differential.bounds["blast"] == before.bounds["blast"]
    assert not looked.cells[101].sure
    labelled = review.reclassify("ann", [101, 102], "blast")
    assert labelled.cells[101].sure
    assert labelled.result.differential.bounds["blast"] != before.bounds["blast"]


def test_blasts_that_were_ruled_out_make_a_slide_less_blast_like(store: Store) -> None:
    """Each labelled cell is a blast or none; the others stay as likely as they were."""
    unsure = [reading(UNCLASSIFIED, 0.5, "blast")] * 6
    review = opened(store, [*(reading(label) for label in NORMAL), *unsure])
    cells, before = review.review().cells, review.review().result.differential.blast_likeness
    ruled_out = review.reclassify("ann", [101, 102], "lymphocyte").result.differential.blast_likeness
    found = review.reclassify("ann", [103], "blast").result.differential.blast_likeness
    assert before and ruled_out and found
    assert ruled_out.sum == pytest.approx(before.sum - 2 * cells[101].blast_like, abs=1e-9)
    assert found.sum == pytest.approx(ruled_out.sum + 1 - cells[103].blast_like, abs=1e-9)
    assert before.cells == ruled_out.cells == found.cells == 106
    assert before.limit == ruled_out.limit == found.limit


def test_no_cell_leaves_the_percentages_and_the_estimates(store: Store) -> None:
    """What is no cell is in no denominator."""
    review = opened(store)
    found = review.reclassify("ann", range(1, 11), NOT_A_CELL).result.differential
    assert found.n == 90
    assert found.types["neutrophil"] == Share(50, 90)
    assert READER.reader.labels.count(NOT_A_CELL) == 1
