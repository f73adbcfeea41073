"""Operators who sign with a PIN."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from reviewed import opened, reading, store_at

from edgeleuk.errors import UsageError
from edgeleuk.sessions import Store, open_store
from edgeleuk.sessions.operators import WRONG_TRIES


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with store_at(tmp_path) as opened_store:
        yield opened_store


def wrong(store: Store, times: int) -> None:
    for _ in range(times):
        with pytest.raises(UsageError, match="the name or the PIN is wrong"):
            store.operators.check("ann", "0000")


def test_a_pin_is_checked_and_not_kept(store: Store) -> None:
    """The file holds its hash and a salt, which differ for equal PINs."""
    store.operators.add(" Ann  B. ", "482913")
    store.operators.add("bo", "482913")
    assert store.operators.check("Ann B.", "482913").name == "Ann B."
    rows = store._database.query("SELECT salt, hash FROM operators")
    assert len({row["hash"] for row in rows}) == len({row["salt"] for row in rows}) == 2
    assert b"482913" not in store.path.read_bytes()


def test_operators_are_listed_disabled_and_enabled(store: Store) -> None:
    """A new PIN enables one again; the old PIN is gone."""
    store.operators.add("bo", "1111")
    store.operators.add("ann", "2222")
    assert store.operators.disable("bo").disabled
    assert [(each.name, bool(each.disabled)) for each in store.operators.list()] == [
        ("ann", False),
        ("bo", True),
    ]
    with pytest.raises(UsageError, match="disabled"):
        store.operators.check("bo", "1111")
    store.operators.add("bo", "3333")
    assert store.operators.check("bo", "3333").disabled is None
    with pytest.raises(UsageError, match="wrong"):
        store.operators.check("bo", "1111")


def test_wrong_pins_lock_for_a_while_which_grows(store: Store) -> None:
    """Also for the right PIN, and in another process; the right one counts again afterwards."""
    store.operators.add("ann", "2222")
    wrong(store, WRONG_TRIES)
    with pytest.raises(UsageError, match=r"too many wrong PINs for ann\. Wait 1 min"):
        store.operators.check("ann", "2222")
    with open_store(store.path) as other, pytest.raises(UsageError, match="too many wrong PINs"):
        other.operators.check("ann", "2222")
    first = locked_for(store)
    unlock(store)
    wrong(store, 1)
    assert locked_for(store) > 1.5 * first
    unlock(store)
    assert store.operators.check("ann", "2222").locked_until is None
    wrong(store, WRONG_TRIES - 1)
    assert store.operators.check("ann", "2222")


def locked_for(store: Store) -> float:
    """Seconds that are left of the lock."""
    (ann,) = store.operators.list()
    assert ann.locked_until
    return (datetime.fromisoformat(ann.locked_until) - datetime.now(UTC)).total_seconds()


def unlock(store: Store) -> None:
    """As time does."""
    past = (datetime.now(UTC) - timedelta(seconds=1)).isoformat(timespec="milliseconds")
    with store._database.transaction() as connection:
        connection.execute("UPDATE operators SET locked_until = ?", (past,))


def test_an_unknown_name_is_told_as_a_wrong_pin(store: Store) -> None:
    """Nobody learns who the operators are."""
    store.operators.add("ann", "2222")
    with pytest.raises(UsageError, match="the name or the PIN is wrong"):
        store.operators.check("eve", "2222")


@pytest.mark.parametrize(
    ("name", "pin"), [("", "2222"), ("a" * 81, "2222"), ("ann", "123"), ("ann", "1" * 65)]
)
def test_an_operator_needs_a_name_and_a_pin(store: Store, name: str, pin: str) -> None:
    """Neither too short nor too long."""
    with pytest.raises(UsageError):
        store.operators.add(name, pin)
    assert not store.operators.needed()


def test_an_unknown_operator_is_not_disabled(store: Store) -> None:
    """The message lists those that there are."""
    store.operators.add("ann", "2222")
    with pytest.raises(UsageError, match=r"no operator .eve.\. Operators here: ann"):
        store.operators.disable("eve")


def test_a_store_without_operators_is_signed_by_name(store: Store) -> None:
    """One person needs no PIN."""
    assert opened(store, [reading("blast")]).sign("ann", 0).signed


def test_a_store_with_operators_is_signed_with_a_pin(store: Store) -> None:
    """Also if the last operator was disabled; reclassifying needs none."""
    store.operators.add("ann", "2222")
    review = opened(store, [reading("blast")])
    seen = review.reclassify("student", [1], "lymphocyte").last
    for name, pin in (("student", ""), ("ann", ""), ("ann", "2223")):
        with pytest.raises(UsageError, match="wrong"):
            review.sign(name, seen, pin=pin)
    assert review.sign("ann", seen, pin="2222").signature
    store.operators.disable("ann")
    review.amend("student", "typing error")
    with pytest.raises(UsageError, match="disabled"):
        review.sign("ann", review.review().last, pin="2222")


def command(*arguments: object, pin: str = "") -> subprocess.CompletedProcess[str]:
    """`edgeleuk operators` as a script calls it."""
    line = [sys.executable, "-m", "edgeleuk", "operators", *map(str, arguments)]
    env = {**os.environ, "NO_COLOR": "1"}
    return subprocess.run(line, capture_output=True, text=True, input=pin, env=env, check=False)


def test_operators_are_kept_by_commands(tmp_path: Path) -> None:
    """Added with a PIN from a pipe, which no output shows; listed; disabled, and never opened to all again."""
    path = tmp_path / "sessions.db"
    done = command("add", " Ann  B. ", "--store", path, pin="482913\n")
    assert (done.returncode, done.stdout) == (0, "")
    assert "from now on reports of this file are signed with a PIN only" in done.stderr
    assert "482913" not in done.stderr
    with open_store(path) as opened_store:
        assert opened_store.operators.check("Ann B.", "482913").name == "Ann B."
    done = command("disable", "Ann B.", "--store", path, "--json")
    assert json.loads(done.stdout)["operator"]["disabled"]
    (listed,) = json.loads(command("list", "--store", path, "--json").stdout)["operators"]
    assert (listed["name"], bool(listed["disabled"])) == ("Ann B.", True)
    assert "Ann B.: disabled since" in command("list", "--store", path).stdout
    with open_store(path) as opened_store:
        assert opened_store.operators.needed()


def test_faults_of_the_commands_are_one_sentence(tmp_path: Path) -> None:
    """No PIN, a short one, no name, an unknown name, no file."""
    path = tmp_path / "sessions.db"
    for arguments, pin, said in (
        (("add", "ann"), "", "no PIN."),
        (("add", "ann"), "12\n", "a PIN has 4 to 64 characters"),
        (("add", " "), "4829\n", "no name of the reviewer"),
        (("disable", "bo"), "", "no operator 'bo'"),
    ):
        if arguments[0] == "disable":
            open_store(path).close()
        done = command(*arguments, "--store", path, pin=pin)
        assert done.returncode == 2, done.stderr
        assert said in " ".join(done.stderr.split())
        assert "Traceback" not in done.stderr
    assert command("list", "--store", tmp_path / "none.db").returncode == 2
