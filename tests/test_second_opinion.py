"""A session goes to another machine, is reviewed there and comes back: both opinions stand beside each other."""

from __future__ import annotations

import csv
import io
import json
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest
from exported import slide
from hypothesis import given
from hypothesis import strategies as st
from reviewed import keep, kept, opened, reading, store_at
from standard import REFERENCE, RULES
from typer.testing import CliRunner, Result

from edgeleuk.cli import app
from edgeleuk.cli._second import _new_entries
from edgeleuk.errors import InputError, UsageError
from edgeleuk.programme import archive, sharing
from edgeleuk.programme.conflicts import resolve
from edgeleuk.programme.figures import figures, rows
from edgeleuk.review import FoundSlide, OpenReview, find_slide
from edgeleuk.sessions import open_store
from edgeleuk.statistics.kappa import Kappa, kappa


def command(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, [*map(str, arguments)])


def review(path: Path, session: str, labels: dict[int, str], who: str) -> None:
    """Look at ten cells, and label some."""
    with open_store(path) as store:
        found = OpenReview(store, kept(store, session), RULES, REFERENCE)
        found.look(who, range(1, 11))
        for cell, label in labels.items():
            found.reclassify(who, [cell], label)


@pytest.fixture
def first(tmp_path: Path) -> tuple[Path, str, Path]:
    """A reviewed session of twenty cells of two types, and its file."""
    (tmp_path / "first").mkdir()
    with store_at(tmp_path / "first") as store:
        labels = ["neutrophil", "lymphocyte"] * 10
        session = keep(store, [reading(label) for label in labels])
        path = store.path
    review(path, session, {1: "blast"}, "anna")
    file = tmp_path / "s.edgeleuk-share.zip"
    assert command("sessions", "share", session, "--out", file, "--store", path).exit_code == 0
    return path, session, file


def test_a_second_opinion_goes_there_and_back(first: tuple[Path, str, Path], tmp_path: Path) -> None:
    """The second reviewer does not see the first review; on return both stand beside each other with kappa."""
    path, session, file = first
    there, back = tmp_path / "there.db", tmp_path / "back.zip"
    taken = json.loads(command("sessions", "take", file, "--store", there, "--json").stdout)
    with open_store(there) as store, open_store(path) as home:
        assert store.trail(taken["session"]).entries() == ()
        here, far = (list(each.counted()) for each in (home.get(session), store.get(taken["session"])))
        assert [each.field for each in here] == [each.field for each in far]
        assert [each.crops for each in here] == [each.crops for each in far]
        assert taken["second_of"] == home.get(session).summary.uuid
    review(there, taken["session"], {2: "monocyte"}, "ben")
    command("sessions", "share", taken["session"], "--out", back, "--store", there)
    returned = json.loads(command("sessions", "take", back, "--store", path, "--json").stdout)
    assert returned["uuid"] == taken["uuid"]
    told = json.loads(command("sessions", "compare", session, "--store", path, "--json").stdout)
    assert told["first"]["reviewers"] == ["anna"]
    (second,) = told["second"]
    assert (second["reviewers"], second["session"]) == (["ben"], returned["session"])
    assert (second["both_looked_at"]["n"], second["both_looked_at"]["agreed"]) == (10, 8)
    assert second["all_cells"] == {"n": 20, "agreed": 18}
    assert second["different"] == [
        {"cell": 1, "first": "blast", "second": "neutrophil"},
        {"cell": 2, "first": "lymphocyte", "second": "monocyte"},
    ]
    said = command("sessions", "compare", returned["session"], "--store", path).stdout
    assert "8 of 10 with the same label, Cohen's kappa" in " ".join(said.split())
    assert max(map(len, said.splitlines())) <= 80


@pytest.fixture
def opinion(first: tuple[Path, str, Path], tmp_path: Path) -> tuple[Path, str, str]:
    """The store of slide S-1 with its own session and the second opinion, which is newer."""
    path, session, file = first
    there, back = tmp_path / "there.db", tmp_path / "back.zip"
    taken = json.loads(command("sessions", "take", file, "--store", there, "--json").stdout)
    command("sessions", "share", taken["session"], "--out", back, "--store", there)
    returned = json.loads(command("sessions", "take", back, "--store", path, "--json").stdout)
    return path, session, returned["session"]


def test_a_slide_id_means_no_second_opinion(opinion: tuple[Path, str, str]) -> None:
    """It is found by its session id, and by the slide id never, even when it is alone."""
    path, session, second = opinion
    with open_store(path) as store:
        assert find_slide(store, "S-1") == FoundSlide(session)
        assert find_slide(store, second).session == second
        assert (store.get(second).first, store.get(session).first) == (session, "")
        store.delete(session)
        with pytest.raises(UsageError, match=f"only a second opinion.*{second}"):
            find_slide(store, "S-1")
        assert store.get(second).first == store.get(second).summary.second_of


def test_a_second_opinion_has_no_row_of_slides(opinion: tuple[Path, str, str], tmp_path: Path) -> None:
    """So that the tables of all sites, one below the other, have each slide once; `merge` gets it all the same."""
    path, session, second = opinion
    file = tmp_path / "all.zip"
    assert command("sessions", "export", "--all", "--zip", file, "--store", path).exit_code == 0
    with zipfile.ZipFile(file) as opened, open_store(path) as store:
        table = csv.DictReader(io.StringIO(opened.read("slides.csv").decode()))
        assert [row["session"] for row in table] == [store.get(session).summary.uuid]
        own = {store.get(each).summary.uuid for each in (session, second)}
    assert {document.uuid for document, _ in archive.read(file).slides} == own


def test_the_list_says_where_the_first_session_was_counted(
    first: tuple[Path, str, Path], tmp_path: Path
) -> None:
    """Its UUID alone tells the second reviewer nothing, and slide ids of two sites may be the same."""
    path, session, file = first
    command("sessions", "set", session, "--site", "Kisumu", "--device", "bench-1", "--store", path)
    command("sessions", "share", session, "--out", file, "--store", path)
    there = tmp_path / "there.db"
    assert command("sessions", "take", file, "--store", there).exit_code == 0
    listed = " ".join(command("sessions", "list", "--store", there).stdout.split())
    with open_store(path) as store:
        uuid = store.get(session).summary.uuid
    assert f"is a second opinion on {uuid} (Kisumu, bench-1)" in listed


def test_a_slide_id_shares_and_compares_its_own_session(
    opinion: tuple[Path, str, str], tmp_path: Path
) -> None:
    """Not the second opinion on it, although that is newer."""
    path, session, second = opinion
    files = [tmp_path / "by-slide.zip", tmp_path / "by-session.zip"]
    for name, file in zip(("S-1", session), files, strict=True):
        done = command("sessions", "share", name, "--out", file, "--store", path)
        assert done.exit_code == 0, done.output
    assert files[0].read_bytes() == files[1].read_bytes()
    told = json.loads(command("sessions", "compare", "S-1", "--json", "--store", path).stdout)
    assert (told["first"]["session"], told["second"][0]["session"]) == (session, second)


def test_a_second_opinion_is_called_one(opinion: tuple[Path, str, str], tmp_path: Path) -> None:
    """In the list, on the terminal, and in the report's head."""
    path, session, second = opinion
    listed = command("sessions", "list", "--store", path).stdout
    assert f"{second} is a second opinion on {session}" in listed
    assert f"{session} is a second opinion" not in listed
    for id, is_second in ((second, True), (session, False), ("S-1", False)):
        shown = command("sessions", "show", id, "--store", path).stdout
        assert (f"second opinion on session {session}" in shown) is is_second
        page = tmp_path / f"{id}.html"
        written = command("report", id, "--store", path, "--html", page)
        assert written.exit_code == 0, written.output
        assert ("Second opinion on" in page.read_text("utf-8")) is is_second


def test_reviews_that_nobody_made_have_no_kappa(tmp_path: Path) -> None:
    """The program's labels agree with themselves; a review of one side alone has no cells in common."""
    (tmp_path / "first").mkdir()
    with store_at(tmp_path / "first") as store:
        session, path = keep(store, [reading("neutrophil"), reading("lymphocyte")] * 5), store.path
    there, file, back = tmp_path / "there.db", tmp_path / "s.zip", tmp_path / "back.zip"
    command("sessions", "share", session, "--out", file, "--store", path)
    taken = json.loads(command("sessions", "take", file, "--store", there, "--json").stdout)["session"]
    command("sessions", "share", taken, "--out", back, "--store", there)
    command("sessions", "take", back, "--store", path)
    said = command("sessions", "compare", session, "--store", path).stdout
    assert "nobody has reviewed yet" in said
    assert "kappa" not in said
    review(path, session, {1: "blast"}, "anna")
    said = command("sessions", "compare", session, "--store", path).stdout
    assert (
        "  cells that both looked at: none, so no kappa\n  all cells: 9 of 10 with the same label\n" in said
    )
    assert max(map(len, said.splitlines())) <= 80


def test_taking_a_file_again_adds_nothing(first: tuple[Path, str, Path], tmp_path: Path) -> None:
    """What was reviewed since is completed."""
    path, _, file = first
    there, back = tmp_path / "there.db", tmp_path / "back.zip"
    taken = [
        json.loads(command("sessions", "take", file, "--store", there, "--json").stdout) for _ in range(2)
    ]
    assert taken[0]["session"] == taken[1]["session"]
    added = []
    for label in ("monocyte", "basophil"):
        review(there, taken[0]["session"], {2: label}, "ben")
        command("sessions", "share", taken[0]["session"], "--out", back, "--store", there)
        added += [
            json.loads(command("sessions", "take", back, "--store", path, "--json").stdout)["entries"]
            for _ in range(2)
        ]
    assert added == [2, 0, 1, 0]
    with open_store(path) as store:
        assert len(store.list()) == 2


def test_reviews_that_went_different_ways_are_not_mixed(
    first: tuple[Path, str, Path], tmp_path: Path
) -> None:
    """The second opinion was changed on both machines."""
    path, _, file = first
    there, back = tmp_path / "there.db", tmp_path / "back.zip"
    taken = json.loads(command("sessions", "take", file, "--store", there, "--json").stdout)
    review(there, taken["session"], {2: "monocyte"}, "ben")
    command("sessions", "share", taken["session"], "--out", back, "--store", there)
    returned = json.loads(command("sessions", "take", back, "--store", path, "--json").stdout)
    review(path, returned["session"], {3: "monocyte"}, "carl")
    review(there, taken["session"], {4: "monocyte"}, "ben")
    command("sessions", "share", taken["session"], "--out", back, "--store", there)
    done = command("sessions", "take", back, "--store", path)
    assert isinstance(done.exception, UsageError)
    assert "went different ways" in str(done.exception)


def test_a_file_for_the_machine_that_counted_it_is_refused(first: tuple[Path, str, Path]) -> None:
    path, session, file = first
    done = command("sessions", "take", file, "--store", path)
    assert isinstance(done.exception, UsageError)
    assert session in str(done.exception)


def test_a_file_that_was_changed_is_refused_and_adds_nothing(
    first: tuple[Path, str, Path], tmp_path: Path
) -> None:
    """Bytes that were changed on the way, and a trail whose chain is broken."""
    _, _, file = first
    whole = file.read_bytes()
    (tmp_path / "torn.zip").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputError, match="Copy it again"):
        sharing.read(tmp_path / "torn.zip")
    content = sharing.read(file)
    forged = [replace(content.trail[0], who="someone else"), *content.trail[1:]]
    facts = content.facts | {
        "second_of": content.facts["uuid"],
        "uuid": "00000000-0000-4000-8000-000000000000",
    }
    with open_store(tmp_path / "there.db") as store:
        with pytest.raises(UsageError, match="was changed after it was made"):
            store.take(replace(content, facts=facts, trail=tuple(forged)))
        assert store.list() == []


def test_an_export_is_refused_with_the_command_for_it(tmp_path: Path) -> None:
    (tmp_path / "e.zip").write_bytes(archive.pack({}))
    done = command("sessions", "take", tmp_path / "e.zip", "--store", tmp_path / "s.db")
    assert isinstance(done.exception, InputError)
    assert "is an export of sessions: use `edgeleuk merge` for it." in str(done.exception)
    assert not (tmp_path / "s.db").exists()


def test_one_new_entry_has_the_singular() -> None:
    assert [_new_entries(count) for count in (0, 1, 2)] == [
        "0 entries of its review are",
        "1 entry of its review is",
        "2 entries of its review are",
    ]


def test_the_same_content_gives_the_same_file(first: tuple[Path, str, Path], tmp_path: Path) -> None:
    path, session, file = first
    command("sessions", "share", session, "--out", tmp_path / "again.zip", "--store", path)
    assert (tmp_path / "again.zip").read_bytes() == file.read_bytes()


def test_without_a_second_opinion_it_says_how_to_get_one(tmp_path: Path) -> None:
    with store_at(tmp_path) as store:
        opened(store)
        path = store.path
    done = command("sessions", "compare", "2", "--store", path)
    assert isinstance(done.exception, UsageError)
    assert "sessions take FILE" in str(done.exception)


def test_a_programme_shows_second_opinions_beside_their_slides() -> None:
    """They are no slides of their own, whichever machine exported them."""
    one = replace(slide(1), labels={"1": "blast", "2": "neutrophil", "3": "neutrophil"})
    other = replace(slide(2), second_of=one.uuid, labels={"1": "blast", "2": "lymphocyte", "9": "blast"})
    found = figures(resolve(("", each) for each in sorted((one, other), key=lambda each: each.uuid)), ())
    (row,) = rows(found)
    assert (row["slide"], row["second_opinions"], row["second_agreed"], row["second_of_cells"]) == (
        "north-1",
        1,
        1,
        2,
    )
    assert row["second_kappa"] == pytest.approx(1 / 3, abs=1e-4)


# --- Kappa ------------------------------------------------------------------------------------------------------------


def test_kappa_of_a_textbook() -> None:
    """Fleiss, Statistical Methods for Rates and Proportions, 2nd edition 1981, table 13.1: 0.68 with error 0.087."""
    table = [[75, 1, 4], [5, 4, 1], [0, 0, 10]]
    pairs = [("abc"[i], "abc"[j]) for i in range(3) for j in range(3) for _ in range(table[i][j])]
    found = kappa(pairs)
    assert (found.n, found.agreed) == (100, 89)
    assert found.kappa == pytest.approx(0.6765, abs=5e-5)
    assert found.low is not None
    assert found.high is not None
    assert (found.high - found.low) / 2 / 1.96 == pytest.approx(0.0877, abs=5e-5)


def test_there_is_no_kappa_of_one_label_or_of_no_cell() -> None:
    assert kappa([]) == Kappa(0, 0, None, None, None)
    assert kappa([("a", "a")] * 9) == Kappa(9, 9, None, None, None)


@given(st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from("abc")), max_size=40))
def test_kappa_lies_within_its_interval(pairs: list[tuple[str, str]]) -> None:
    """And does not depend on which reader comes first."""
    found, turned = kappa(pairs), kappa((other, one) for one, other in pairs)
    if found.kappa is None:
        assert turned.kappa is None
        return
    assert found.low is not None
    assert found.high is not None
    assert -1 <= found.low <= found.kappa <= found.high <= 1
    assert turned.kappa == pytest.approx(found.kappa)
