"""What `bench` wrote down of this machine, and when it is not believed."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from edgeleuk.analysis.analyser import Analyser
from edgeleuk.networks.finder import Finder
from edgeleuk.system import machine
from edgeleuk.system.machine import DEFAULT, Setting
from edgeleuk.types import Frame, Scale


@pytest.fixture(autouse=True)
def note(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    path = tmp_path / "config" / "machine.json"
    monkeypatch.setenv("EDGELEUK_MACHINE", str(path))
    machine.setting_here.cache_clear()
    yield path
    machine.setting_here.cache_clear()


def test_without_a_note_the_default_holds() -> None:
    """All cores, 8-bit."""
    assert machine.setting_here() == DEFAULT == Setting(None, "int8")


def test_what_was_saved_is_used(note: Path) -> None:
    """The setting comes back, from a folder that was made for it."""
    assert machine.save(Setting(2, "float")) == note
    assert machine.setting_here() == Setting(2, "float")


def test_the_note_of_another_machine_is_not_used(note: Path) -> None:
    """A card moved from one Pi to another measures anew."""
    machine.save(Setting(2, "float"))
    document = json.loads(note.read_text())
    document["machine"]["processor"] = "another"
    note.write_text(json.dumps(document))
    machine.setting_here.cache_clear()
    assert machine.setting_here() == DEFAULT


@pytest.mark.parametrize(
    "setting", ["{}", '{"threads": 0, "arithmetic": "int8"}', '{"threads": 2, "arithmetic": "int4"}', "7"]
)
def test_a_note_that_makes_no_sense_is_not_used(note: Path, setting: str) -> None:
    """Whatever is in the file, networks open."""
    machine.save(DEFAULT)
    note.write_text(json.dumps({"machine": machine.fingerprint(), "setting": json.loads(setting)}))
    machine.setting_here.cache_clear()
    assert machine.setting_here() == DEFAULT


def test_float_arithmetic_finds_the_same_cells(analyser: Analyser, demo_frame: Frame) -> None:
    """Rounding is the same, so that boxes and scores agree to within what the order of sums changes."""
    scale = Scale.given(0.1)
    mine = analyser.finder.find(demo_frame.pixels, scale)
    other = Finder(analyser.model.finder, 1, "float").find(demo_frame.pixels, scale)
    assert abs(len(mine) - len(other)) <= 2
    white = mine.of("WBC").boxes, other.of("WBC").boxes
    assert len(white[0]) == len(white[1])
    assert (np.abs(white[0][:, None] - white[1][None]).max(axis=2).min(axis=1) < 5).all()


on_glibc = pytest.mark.skipif(
    platform.libc_ver()[0] != "glibc", reason="only glibc keeps memory so, and can be told not to"
)


@on_glibc
def test_freed_memory_is_given_back_between_what_is_kept() -> None:
    """80 MB of it, in pieces with something kept between each two."""
    pieces = [(bytearray(40_000), bytearray(600)) for _ in range(2000)]
    kept = [small for _, small in pieces]
    before = resident_mb()
    del pieces
    machine.give_back()
    assert resident_mb() < before - 60
    assert len(kept) == 2000


ARENAS = """
import ctypes, threading
from edgeleuk.system import machine
machine.share_heap()
together = threading.Barrier(4)
def take():
    together.wait()
    kept = [bytearray(5000) for _ in range(100)]
    together.wait()
threads = [threading.Thread(target=take) for _ in range(4)]
for thread in threads: thread.start()
for thread in threads: thread.join()
ctypes.CDLL(None).malloc_stats()
"""


@on_glibc
@pytest.mark.parametrize(("variable", "expected"), [({}, {1}), ({"MALLOC_ARENA_MAX": "3"}, {2, 3})])
def test_threads_take_memory_from_one_place(variable: dict[str, str], expected: set[int]) -> None:
    """Four threads at once share an arena, unless the user's own number of them is in the environment."""
    environment = {name: value for name, value in os.environ.items() if name != "MALLOC_ARENA_MAX"} | variable
    done = subprocess.run(
        [sys.executable, "-c", ARENAS], env=environment, capture_output=True, text=True, check=True
    )
    assert done.stderr.count("Arena ") in expected


def resident_mb() -> float:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS")) / 1024
