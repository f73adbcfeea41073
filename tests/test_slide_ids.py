"""A slide id has a maximum length, wherever it comes in; longer ones that are kept stay readable."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from program import run
from reviewed import keep, reading, store_at

from edgeleuk.errors import InputError, UsageError
from edgeleuk.programme.batch_slides import Facts, slides_of
from edgeleuk.results.slide_id import MOST, checked

LONG = "7" * (MOST + 1)


@given(st.text(max_size=2 * MOST))
def test_an_id_is_taken_as_it_is_or_refused(text: str) -> None:
    """In one sentence that names both lengths; nothing is cut off, so that no two slides become one."""
    if len(text) <= MOST:
        assert checked(text) == text
    else:
        with pytest.raises(UsageError, match=f"has {len(text)} characters, and {MOST} are the most"):
            checked(text)


@pytest.mark.parametrize(
    "words",
    [
        ("analyze", "--demo", "--no-keep"),
        ("live", "--source", "simulated", "--no-keep"),
        ("live", "--resume", "S-1"),
        ("sessions", "set", "S-1"),
        ("sessions", "resume", "S-1"),
        ("qc", "set", "daily"),
    ],
    ids=" ".join,
)
def test_no_command_takes_a_longer_id(words: tuple[str, ...], tmp_path: Path) -> None:
    """Before anything is opened, made or changed."""
    store = tmp_path / "sessions.db"
    done = run(*words, "--slide", LONG, "--store", store)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.splitlines() == [
        f"error: slide id {LONG[:21]}... has {MOST + 1} characters, and {MOST} are the most. Use the number on its label."
    ]
    assert not store.exists()


@pytest.mark.parametrize("length", [MOST, MOST + 1])
def test_a_batch_takes_no_longer_id(length: int, tmp_path: Path) -> None:
    """Neither as the name of a folder nor in a table, whose line is named."""
    name = "s" * length
    (tmp_path / "slides" / name).mkdir(parents=True)
    table = tmp_path / "slides.csv"
    table.write_text(f"slide,picture\nS-1,a.jpg\n{name},b.jpg\n")
    for source, where in ((tmp_path / "slides", "slides"), (table, "line 3")):
        if length <= MOST:
            assert name in {each.name for each in slides_of(source, Facts(), tmp_path / "out").slides}
        else:
            with pytest.raises(InputError, match=f"{where}: slide id s.*{MOST} are the most"):
                slides_of(source, Facts(), tmp_path / "out")


def test_a_longer_id_that_is_kept_is_read_and_can_be_put_right(tmp_path: Path) -> None:
    """As an older version kept it."""
    with store_at(tmp_path) as store:
        session = keep(store, [reading("blast")], LONG)
    path = tmp_path / "sessions.db"
    shown = run("sessions", "show", LONG, "--json", "--store", path)
    assert shown.returncode == 0, shown.stderr
    assert LONG in shown.stdout
    assert LONG in run("report", LONG, "--json", "-", "--store", path).stdout
    assert run("sessions", "set", session, "--notes", "seen", "--store", path).returncode == 0
    assert run("sessions", "set", session, "--slide", LONG[:MOST], "--store", path).returncode == 0
    listed = json.loads(run("sessions", "list", "--json", "--store", path).stdout)
    assert [each["slide"] for each in listed["sessions"]] == [LONG[:MOST]]
