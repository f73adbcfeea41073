"""Review of a kept session: each action, its states, and what it shows beside the program's answer."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from counted import started
from reviewed import LABELS, NORMAL, READER, keep, kept, opened, reading, store_at, white
from standard import REFERENCE, RULES

from edgeleuk.errors import StoreError, UsageError
from edgeleuk.review import OpenReview, choices, find_slide, gallery
from edgeleuk.review.states import AMENDED, AMENDED_SIGNED, FINAL, NEXT, PRELIMINARY, Act, Standing, after
from edgeleuk.sessions import Store
from edgeleuk.types import NOT_A_CELL, UNCLASSIFIED

BOX = (10.0, 20.0, 60.0, 80.0)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with store_at(tmp_path) as opened_store:
        yield opened_store


@pytest.fixture
def review(store: Store) -> OpenReview:
    """Of a neutrophil, a lymphocyte, a cell that was not recognised, a blast, and one that was not read."""
    readings = [reading(label) for label in ("neutrophil", "lymphocyte", UNCLASSIFIED, "blast")]
    return opened(store, [*readings, None])


# States


@pytest.mark.parametrize(
    ("standing", "possible"),
    [
        (PRELIMINARY, {"look": PRELIMINARY, "change": PRELIMINARY, "undo": PRELIMINARY, "sign": FINAL}),
        (FINAL, {"change": AMENDED, "amend": AMENDED}),
        (AMENDED, {"look": AMENDED, "change": AMENDED, "undo": AMENDED, "sign": AMENDED_SIGNED}),
        (AMENDED_SIGNED, {"change": AMENDED, "amend": AMENDED}),
    ],
    ids=str,
)  # fmt: skip
def test_states_follow_the_table(standing: Standing, possible: dict[Act, Standing]) -> None:
    """What is possible leads where it should; everything else is refused in a sentence."""
    assert {act: to for (at, act), to in NEXT.items() if at == standing} == possible
    acts: set[Act] = {"look", "change", "undo", "sign", "amend"}
    for act in acts - {*possible}:
        with pytest.raises(UsageError, match="revision"):
            after(standing, act)


def test_a_review_goes_from_preliminary_to_final_to_amended(review: OpenReview) -> None:
    """A change after the signature opens the next revision, which is not signed until somebody signs it."""
    first = review.reclassify("ann", [1], "lymphocyte")
    assert (first.state, first.signed, first.revision) == ("preliminary", False, 1)
    final = review.sign("ann", first.last)
    assert (final.state, final.signed, final.revision) == ("final", True, 1)
    changed = review.reclassify("bo", [2], "monocyte", "vacuoles")
    assert (changed.state, changed.signed, changed.revision) == ("amended", False, 2)
    assert [(e.action, e.revision, e.why) for e in changed.trail[-2:]] == [
        ("amend", 2, "vacuoles"),
        ("reclassify", 2, "vacuoles"),
    ]
    assert changed.signature is None
    again = review.sign("bo", changed.last)
    assert (again.state, again.signed, again.revision) == ("amended", True, 2)
    assert [each.by for each in again.revisions] == ["ann", "bo"]
    assert again.signature == again.revisions[1]


def test_an_amendment_needs_a_signature_and_a_reason(review: OpenReview) -> None:
    """Else there is nothing to amend, or nobody will know why."""
    with pytest.raises(UsageError, match="not signed"):
        review.amend("ann", "typing error")
    review.sign("ann", 0)
    with pytest.raises(UsageError, match="Say why"):
        review.amend("ann", " ")
    amended = review.amend("ann", "typing error")
    assert (amended.state, amended.signed, amended.revision) == ("amended", False, 2)


def test_a_signed_revision_is_not_signed_twice_nor_undone(review: OpenReview) -> None:
    """Nor does looking at it write anything."""
    signed = review.sign("ann", review.reclassify("ann", [1], "lymphocyte").last)
    with pytest.raises(UsageError, match="signed already"):
        review.sign("bo", signed.last)
    with pytest.raises(UsageError, match="nothing is undone"):
        review.undo("ann")
    assert review.look("ann", [2, 3]).trail == signed.trail


# Actions


def test_without_a_trail_a_review_is_the_programs_result(review: OpenReview) -> None:
    """Nothing is reviewed, and no number differs."""
    found = review.review()
    assert found.result == found.program
    assert (found.reviewed, found.changed, found.trail, found.state) == (0, (), (), "preliminary")
    assert [found.cells[i].label for i in (1, 2, 3, 4, 5)] == [
        "neutrophil", "lymphocyte", UNCLASSIFIED, "blast", None,
    ]  # fmt: skip


def test_notes_change_no_number(review: OpenReview) -> None:
    """The result is computed anew, and is the program's to the last bit."""
    noted = review.note("ann", "  faint stain ")
    assert noted.result == noted.program
    assert [(each.who, each.why) for each in noted.notes] == [("ann", "faint stain")]


def test_a_reclassified_cell_keeps_the_programs_answer(review: OpenReview) -> None:
    """Both stand side by side; the differential follows the person."""
    found = review.reclassify("ann", [4], "lymphocyte", "small")
    cell = found.cells[4]
    assert (cell.program, cell.person, cell.label, cell.by, cell.certainty) == (
        "blast", "lymphocyte", "lymphocyte", "ann", 1.0,
    )  # fmt: skip
    assert found.changed == (cell,)
    assert found.result.differential.types["blast"].count == 0
    assert found.result.differential.types["lymphocyte"].count == 2
    assert found.program.differential.types["blast"].count == 1
    entry = found.trail[0]
    assert (entry.who, entry.cell, entry.before, entry.after, entry.why) == (
        "ann", 4, "blast", "lymphocyte", "small",
    )  # fmt: skip


def test_several_cells_are_reclassified_and_undone_together(review: OpenReview) -> None:
    """They are one group of entries."""
    both = review.reclassify("ann", [1, 3], "monocyte")
    assert [entry.group for entry in both.trail] == [1, 1]
    assert both.result.differential.types["monocyte"].count == 2
    undone = review.undo("ann")
    assert [undone.cells[i].label for i in (1, 3)] == ["neutrophil", UNCLASSIFIED]
    assert (undone.trail[-1].action, undone.trail[-1].cells) == ("undo", (1, 3))
    assert len(undone.trail) == 3


def test_a_cell_goes_back_to_the_programs_label(review: OpenReview) -> None:
    """By a label of None; a second time there is nothing to write."""
    review.reclassify("ann", [1], "monocyte")
    back = review.reclassify("ann", [1], None)
    assert (back.cells[1].label, back.cells[1].person, back.changed) == ("neutrophil", None, ())
    assert review.reclassify("ann", [1], None).trail == back.trail


def test_not_a_cell_is_left_out_of_the_percentages(review: OpenReview) -> None:
    """And stays beside what the program read."""
    found = review.reclassify("ann", [1], NOT_A_CELL)
    assert (found.result.differential.n, found.program.differential.n) == (2, 3)
    assert found.cells[1].program == "neutrophil"


def test_a_cell_that_was_not_read_counts_when_a_person_labels_it(review: OpenReview) -> None:
    """The program's unread cells decrease by one."""
    found = review.reclassify("ann", [5], "basophil")
    assert (found.program.differential.unread, found.result.differential.unread) == (1, 0)
    assert found.result.differential.types["basophil"].count == 1


def test_a_cell_that_a_person_cannot_tell_is_not_recognised(review: OpenReview) -> None:
    """It is reviewed, and is sure of nothing."""
    found = review.reclassify("ann", [1], UNCLASSIFIED)
    assert found.result.differential.not_recognised == 2
    assert (found.reviewed, found.cells[1].sure) == (1, False)


def test_looking_reviews_only_the_cells_that_were_shown(review: OpenReview) -> None:
    """One entry lists them; what was seen before is not written again."""
    found = review.look("ann", [1, 2])
    assert (found.reviewed, found.trail[0].cells) == (2, (1, 2))
    assert review.look("bo", [2, 1]).trail == found.trail
    assert review.look("bo", [2, 3]).trail[-1].cells == (3,)


def test_an_added_cell_is_counted_apart(review: OpenReview) -> None:
    """No percentage changes; the verdict tells of a blast all the same."""
    found = review.add("ann", "blast", 1, BOX, "missed")
    assert (found.added_counts, found.added[0].box, found.added[0].identity) == ({"blast": 1}, BOX, -1)
    assert found.result.tally == found.program.tally
    assert found.result.differential == found.program.differential
    assert "added_blasts" in [reason.code for reason in found.result.verdict.reasons]


def test_an_added_blast_makes_a_healthy_slide_one_to_look_at_again(store: Store) -> None:
    """A blast that only a person saw must not end as nothing flagged."""
    review = opened(store)
    assert review.review().result.verdict.code == "nothing_flagged"
    verdict = review.add("ann", "blast", 1, BOX).result.verdict
    assert verdict.line == (
        "LOOK AGAIN: 1 cell added by hand as a blast, in no percentage. Confirm under the microscope."
    )
    assert review.undo("ann").result.verdict.code == "nothing_flagged"


def test_an_added_cell_is_relabelled_and_taken_out(review: OpenReview) -> None:
    """By its negative number, which no later one gets."""
    review.add("ann", "blast", 1, BOX)
    assert review.reclassify("ann", [-1], "lymphocyte").added_counts == {"lymphocyte": 1}
    assert review.reclassify("ann", [-1], NOT_A_CELL).added == ()
    assert review.add("ann", "blast", 1, BOX).added[-1].identity == -2


def test_undo_takes_back_only_the_reviewers_own_last_action(review: OpenReview) -> None:
    """What another gave the cell since then holds."""
    review.reclassify("ann", [1], "blast")
    review.reclassify("bo", [1], "monocyte")
    assert review.undo("ann").cells[1].label == "monocyte"
    assert review.undo("bo").cells[1].label == "neutrophil"
    with pytest.raises(UsageError, match="bo has nothing to undo in revision 1"):
        review.undo("bo")


def test_undo_goes_back_action_by_action(review: OpenReview) -> None:
    """Label, note and added cell; looking is no action to take back."""
    review.reclassify("ann", [1], "blast")
    review.reclassify("ann", [1], "monocyte")
    review.add("ann", "blast", 1, BOX)
    review.note("ann", "a note")
    review.look("ann", [2])
    assert review.undo("ann").notes == ()
    assert review.undo("ann").added == ()
    once = review.undo("ann")
    assert (once.cells[1].label, once.trail[-1].before, once.trail[-1].after) == (
        "blast",
        "monocyte",
        "blast",
    )
    assert review.undo("ann").cells[1].label == "neutrophil"
    assert review.review().reviewed == 1


def test_undo_stays_in_its_revision(review: OpenReview) -> None:
    """What was signed is not taken back by a key; it is changed, and the change has its own entry."""
    signed = review.sign("ann", review.reclassify("ann", [1], "blast").last)
    review.amend("ann", "mistaken")
    with pytest.raises(UsageError, match="nothing to undo in revision 2"):
        review.undo("ann")
    assert review.reclassify("ann", [1], None).cells[1].label == "neutrophil"
    assert signed.cells[1].label == "blast"


def test_marks_of_the_count_are_where_the_review_begins(store: Store) -> None:
    """They are shown as marks, and the reader's own reading with them."""
    session = started(store)
    for each in white([reading("neutrophil"), reading("lymphocyte")]):
        session.add(each)
    session.mark(1, NOT_A_CELL)
    session.finish("all counted")
    review = OpenReview(store, kept(store, session.id), RULES, REFERENCE)
    cell = review.review().cells[1]
    assert (cell.program, cell.mark, cell.start, cell.label) == (
        "neutrophil", NOT_A_CELL, NOT_A_CELL, NOT_A_CELL,
    )  # fmt: skip
    assert review.review().result == review.review().program
    assert review.reclassify("ann", [1], "neutrophil").trail[0].before == NOT_A_CELL
    assert review.reclassify("ann", [1], None).cells[1].label == NOT_A_CELL


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda r: r.reclassify("", [1], "blast"), "Say who you are"),
        (lambda r: r.reclassify("a" * 81, [1], "blast"), "80 characters"),
        (lambda r: r.reclassify("ann", [99], "blast"), "no white cell 99"),
        (lambda r: r.reclassify("ann", [-1], "blast"), "no white cell -1"),
        (lambda r: r.reclassify("ann", [1], "unicorn"), "no type 'unicorn'. Types here: neutrophil,"),
        (lambda r: r.look("ann", [0]), "no white cell 0"),
        (lambda r: r.add("ann", "blast", 9, BOX), "no field 9"),
        (lambda r: r.add("ann", "blast", 1, (0.0, 0.0, 1281.0, 10.0)), "not inside field 1, which is 1280 x 720"),
        (lambda r: r.add("ann", "blast", 1, (float("nan"),) * 4), "not inside field 1"),
        (lambda r: r.note("ann", " "), "empty note"),
        (lambda r: r.note("ann", "x" * 2001), "2000 characters"),
        (lambda r: r.undo("ann"), "ann has nothing to undo"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_and_nothing_is_kept(review: OpenReview, call: object, said: str) -> None:
    """In one sentence; the trail stays empty."""
    with pytest.raises(UsageError, match=said):
        call(review)  # type: ignore[operator]
    assert review.review().trail == ()


def test_a_finished_session_is_reviewed_without_a_change_to_it(store: Store) -> None:
    """Its end, marks, notes and fields are as before."""
    review = opened(store)
    session = store.get(review.review().session)
    before = (session.summary, session.marks(), session.notes(), [*session.counted()])
    review.sign("ann", review.reclassify("ann", [1], "blast").last)
    assert (session.summary, session.marks(), session.notes(), [*session.counted()]) == before


def test_a_session_that_is_being_counted_is_not_reviewed(store: Store) -> None:
    """It can be looked at, and changes are refused until it is finished."""
    session = started(store)
    for each in white([reading("neutrophil"), reading("lymphocyte")]):
        session.add(each)
    review = OpenReview(store, kept(store, session.id), RULES, REFERENCE)
    with pytest.raises(StoreError, match="is being counted"):
        review.reclassify("ann", [1], "blast")
    session.finish("all counted")
    assert review.reclassify("ann", [1], "blast").cells[1].label == "blast"


def test_a_signed_session_is_not_counted_on(store: Store) -> None:
    """What was signed must stay what was counted."""
    review = opened(store)
    review.sign("ann", 0)
    with pytest.raises(UsageError, match="was signed by ann"):
        store.resume(review.review().session)


def test_labels_are_those_of_the_reader() -> None:
    """With what is no cell and what nobody can tell at the end."""
    assert {*choices(READER.reader)} == {*LABELS, NOT_A_CELL, UNCLASSIFIED}
    assert choices(READER.reader)[-2:] == (NOT_A_CELL, UNCLASSIFIED)


# Signatures


def test_a_signature_says_what_was_signed(review: OpenReview) -> None:
    """Who, when, counts, verdict and a hash."""
    signed = review.sign("ann", review.reclassify("ann", [1], "monocyte").last, why="checked")
    signature = signed.signature
    assert signature is not None
    assert (signature.by, signature.why, signature.number, signature.faults) == ("ann", "checked", 1, ())
    assert signature.counts == {"monocyte": 1, "lymphocyte": 1, UNCLASSIFIED: 1, "blast": 1}
    assert signature.verdict == signed.result.verdict.line
    assert len(signature.snapshot) == 64


def test_a_review_that_went_on_is_not_signed_unseen(review: OpenReview) -> None:
    """The signer looks at it again first."""
    seen = review.reclassify("ann", [1], "monocyte").last
    review.reclassify("bo", [2], "blast")
    with pytest.raises(UsageError, match="changed since you looked at it, by bo"):
        review.sign("ann", seen)
    assert review.review().state == "preliminary"


def test_a_slide_id_that_is_changed_after_the_signature_is_told(store: Store) -> None:
    """The signature holds again for the next revision, which is signed with the new one."""
    review = opened(store)
    session = review.review().session
    review.sign("ann", 0)
    with_other = store.annotate(session)
    with_other.describe({"slide": "S-2"})
    with_other.release()
    again = OpenReview(store, kept(store, session), RULES, REFERENCE)
    assert again.review().faults == (
        f'slide was "S-1" in revision 1, signed by ann on {again.review().trail[0].at[:10]}, and is "S-2" now.',
    )
    resigned = again.sign("ann", again.amend("ann", "slide mistyped").last)
    assert resigned.faults == ()
    assert len(resigned.revisions[0].faults) == 1


def test_another_model_or_other_rules_than_at_the_signature_are_told(store: Store) -> None:
    """The figures of the present ones are not those that were signed."""
    review = opened(store)
    session = review.review().session
    review.sign("ann", 0)
    reader = replace(READER, version="99", reader=replace(READER.reader, confusion=None))
    other = OpenReview(store, replace(kept(store, session), model=reader), RULES, REFERENCE)
    assert "the figures are not those of revision 1" in other.review().faults[0]


# Gallery


def test_flagged_types_come_first_then_the_not_recognised_then_the_rest(store: Store) -> None:
    """Within a type the flagged, the most blast-like of the not recognised, and the least certain come first."""
    readings = [reading(label) for label in NORMAL]
    readings[0] = reading("neutrophil", 0.6)
    readings += [
        reading(UNCLASSIFIED, 0.3, "lymphocyte"),
        reading(UNCLASSIFIED, 0.4, "blast"),
        reading("blast"),
    ]
    review = opened(store, [*readings, None]).review()
    order = [shelf.label for shelf in gallery(review)]
    flagged = [cell.identity for cell in review.cells.values() if cell.flagged]
    assert 103 in flagged
    assert (order[0], order[-1]) == ("blast", None)
    assert order.index(UNCLASSIFIED) < order.index("lymphocyte")
    by_label = {shelf.label: [cell.identity for cell in shelf.cells] for shelf in gallery(review)}
    assert by_label[UNCLASSIFIED] == [102, 101]
    rest = [i for i in by_label["neutrophil"] if i not in flagged]
    assert 1 in flagged or rest[0] == 1
    assert sorted(i for ids in by_label.values() for i in ids) == [*range(1, 105)]


def test_the_order_as_read_stays_while_labels_change(store: Store) -> None:
    """A page keeps its place."""
    review = opened(store, [reading(label) for label in ("blast", "neutrophil", "neutrophil", UNCLASSIFIED)])

    def order() -> list[list[int]]:
        return [[cell.identity for cell in shelf.cells] for shelf in gallery(review.review(), as_read=True)]

    before = order()
    review.reclassify("ann", [2], "blast")
    review.reclassify("ann", [1], "lymphocyte")
    assert order() == before
    assert {shelf.label: len(shelf.cells) for shelf in gallery(review.review())} == {
        "blast": 1, "lymphocyte": 1, "neutrophil": 1, UNCLASSIFIED: 1,
    }  # fmt: skip


# Slides


def test_a_slide_is_found_by_session_or_by_its_id(store: Store) -> None:
    """Of several sessions of a slide the newest is meant, and the others are told."""
    first, second = keep(store, [reading("blast")], "S-1"), keep(store, [reading("blast")], "S-1")
    other = keep(store, [reading("blast")], "S-2")
    assert find_slide(store, other).session == other
    assert find_slide(store, store.get(other).summary.uuid).session == other
    assert find_slide(store, "S-2").others == ()
    found = find_slide(store, "S-1")
    assert (found.session, found.others) == (second, (first,))
    assert found.remark == f"slide S-1 has 2 sessions; this is the newest, {second}. Older: {first}."


def test_an_unknown_slide_is_told_with_those_that_there_are(store: Store) -> None:
    """Sessions and slide ids."""
    keep(store, [reading("blast")], "S-1")
    with pytest.raises(UsageError, match=r"no session S-9.*Slides here: S-1"):
        find_slide(store, "S-9")
