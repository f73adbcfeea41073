"""Damaged inputs of every kind, the seeded part; `python -m tests.fuzz` is the long one, and `fuzz` says how it works."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from fuzz import records
from fuzz.campaign import CHUNK, HUNG_S, State, Sums, Watched, numbers
from fuzz.kinds import KINDS, ORDER, kind_of, made
from fuzz.places import places
from fuzz.report import page
from fuzz.worker import Outcome

INPUTS = 1000
"""By which each kind has as many as it is heavy, and LEAST at least."""
LEAST = 6
ABOUT = "edgeleuk of a test"


@pytest.fixture(scope="module")
def worker() -> Iterator[Watched]:
    worker = Watched()
    yield worker
    worker.close()


@pytest.mark.parametrize("kind", KINDS)
def test_no_damaged_input_is_a_fault(kind: str, worker: Watched) -> None:
    """It is read or refused: no other exception, no crash, within 500 MB and 5 s, without a library's own words."""
    inputs = max(LEAST, INPUTS * KINDS[kind].weight // len(ORDER))
    outcomes = [worker.run(kind, seed) for seed in range(inputs)]
    assert [f"{each.name}: {each.fault}" for each in outcomes if each.fault] == []


@pytest.mark.parametrize("kind", KINDS)
def test_an_input_is_named_by_its_kind_and_its_seed(kind: str) -> None:
    """The same bytes each time, and others for another seed: a fault can be made again."""
    assert made(kind, 3) == made(kind, 3)
    assert len({made(kind, seed) for seed in range(20)}) > 5


@pytest.mark.parametrize(
    "whole",
    [
        records.session,
        records.old_session,
        records.result,
        records.field,
        records.document,
        records.trail,
        records.control_log,
    ],
)
def test_what_is_damaged_holds_nothing_of_today(whole: Callable[[], bytes]) -> None:
    """Whole records are the same when they are made anew."""
    first = whole()
    whole.cache_clear()
    assert whole() == first


@pytest.mark.parametrize(
    ("kind", "fault"),
    [
        ("raising", "IndexError from"), ("aborting", "crashed the process (-6)"), ("hanging", "did not end within"),
        ("growing", "took 6"), ("speaking", "a library wrote on standard error: libjpeg"), ("moving_the_cursor", "control characters"),
        ("refusing", ""), ("reading", ""),
    ],
)  # fmt: skip
def test_each_fault_is_seen_and_the_next_input_is_run(kind: str, fault: str, misbehaving: Watched) -> None:
    """Whatever it does to its process."""
    misbehaving.hung_s = 2.0 if kind == "hanging" else HUNG_S
    found = misbehaving.run(kind, 7)
    assert (found.name, bool(found.fault)) == (f"{kind}:7", bool(fault))
    assert fault in found.fault
    misbehaving.hung_s = HUNG_S
    assert misbehaving.run("reading", 8).accepted


@pytest.fixture(scope="module")
def misbehaving() -> Iterator[Watched]:
    worker = Watched("misbehaving")
    assert worker.run("reading", 0).accepted  # what hangs is told from what starts
    yield worker
    worker.close()


def test_a_killed_campaign_goes_on(tmp_path: Path) -> None:
    """What is done is not done again, a line that was cut off is, and the sums are those of all inputs."""
    command = [
        sys.executable, "-m", "tests.fuzz", "--inputs", str(4 * CHUNK), "--kinds", "nothing", "--workers", "1",
        "--state", str(tmp_path),
    ]  # fmt: skip
    root = Path(__file__).parents[1]
    file = tmp_path / "done.jsonl"
    with subprocess.Popen(command, cwd=root, stdout=subprocess.DEVNULL) as process:
        until = time.monotonic() + 60
        while time.monotonic() < until and (not file.exists() or file.read_text().count("\n") < 3):
            time.sleep(0.02)
        process.send_signal(signal.SIGKILL)
    done = {line.split(" ")[0] for line in file.read_text().splitlines()[1:] if line}
    assert len(done) >= 1
    with file.open("a") as state:
        state.write('\n3 {"inputs": {"ce')
    again = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
    assert "inputs were done before" in again.stdout
    assert f"**{4 * CHUNK} inputs, 0 faults.**" in (tmp_path / "report.md").read_text()
    assert again.returncode == 0
    lines = [line.split(" ")[0] for line in file.read_text().splitlines()[1:] if line]
    assert len(lines) <= 4 + 1  # the one that was cut off stands there twice


def test_a_state_of_other_inputs_is_not_mixed_in(tmp_path: Path) -> None:
    """A report is of one program and of one list of kinds."""
    State(tmp_path, ABOUT).note(0, Sums())
    assert State(tmp_path, ABOUT).done.keys() == {0}
    with pytest.raises(ValueError, match="Name another --state"):
        State(tmp_path, "edgeleuk of another test")


def test_sums_come_back_from_the_disk_and_add_up(tmp_path: Path) -> None:
    """Inputs by kind, the slowest, the largest, and every fault."""
    state = State(tmp_path, ABOUT)
    for chunk in range(2):
        sums = Sums()
        sums.add(Outcome("png", chunk, True, 0.1 + chunk, 30.0 - chunk))
        sums.add(Outcome("heic", chunk, False, 0.2, 1.0, "IndexError from x.py:y: 'z'", "trace"))
        state.note(chunk, sums)
    again = State(tmp_path, ABOUT).sums(2)
    assert again == state.sums(2)
    assert (again.inputs, again.accepted["png"], again.faulty) == ({"png": 2, "heic": 2}, 2, 2)
    assert (again.slowest.name, again.largest.name) == ("png:1", "png:0")
    text = page(again, "0" * 7)
    assert "**4 inputs, 2 faults.** Slowest: 1.10 s and 29 MB, `png:1`." in text
    assert "2 of heic: IndexError from x.py:y: 'z' (`heic:0`, `heic:1`)" in text


def test_every_kind_has_its_share_of_the_campaign() -> None:
    """By its weight, and every number is one input of one chunk."""
    drawn = [kind_of(number) for number in range(len(ORDER))]
    assert sorted(drawn) == sorted(ORDER)
    assert [number for chunk in range(3) for number in numbers(chunk)] == list(range(3 * CHUNK))


@pytest.mark.parametrize("name", ["JPEG", "PNG", "TIFF", "BMP", "WEBP", "HEIC"])
def test_fields_of_every_format_are_known(name: str) -> None:
    """Sizes, counts and offsets of each variant lie where they are looked for."""
    from fuzz import pictures

    for variant, maker in getattr(pictures, name).items():
        assert places(maker()) or variant == "big", variant
