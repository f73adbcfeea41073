"""What a long session keeps on the disk, and what happens where the disk does not take it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from edgeleuk.errors import StoreError
from edgeleuk.slidemap.spill_file import SpillFile, folder


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of its own for temporary files."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    return tmp_path


FULL_DISK = """
import resource
from edgeleuk.slidemap.spill_file import SpillFile

resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
spill_file = SpillFile()
contents = [b"a" * 900, b"b" * 200, b"c" * 100]
kept = [spill_file.put(each) for each in contents]
assert [isinstance(each, bytes) for each in kept] == [False, True, False], kept
assert [spill_file.get(each) for each in kept] == contents
"""
"""No file of the process grows beyond 1000 bytes. In one of its own: the limit holds for its standard output too."""


def opened_in(place: Path) -> list[Path]:
    """Files of a folder that this process has open."""
    links = list(Path("/proc/self/fd").iterdir())
    return [link for link in links if link.is_symlink() and str(link.readlink()).startswith(str(place))]


def test_what_was_put_is_given_back() -> None:
    """In any order, also nothing."""
    spill_file = SpillFile()
    contents = [b"one", b"", b"three" * 1000]
    kept = [spill_file.put(each) for each in contents]
    assert [spill_file.get(each) for each in reversed(kept)] == contents[::-1]


def test_the_file_has_no_name_and_goes_with_the_object(place: Path) -> None:
    """Nothing is left behind, also where the process dies."""
    spill_file = SpillFile()
    spill_file.put(b"picture")
    assert len(opened_in(place)) == 1
    assert not list(place.iterdir())
    del spill_file
    assert not opened_in(place)


def test_where_no_file_can_be_made_memory_keeps_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a read-only system."""
    monkeypatch.setenv("TMPDIR", "/proc")
    spill_file = SpillFile()
    kept = spill_file.put(b"picture")
    assert kept == b"picture"
    assert spill_file.get(kept) == b"picture"


def test_what_a_full_disk_does_not_take_memory_keeps() -> None:
    """What it took before stays there, and what fits later goes there again."""
    done = subprocess.run([sys.executable, "-c", FULL_DISK], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_file_that_lost_something_is_named(place: Path) -> None:
    """It is told what to do: the session has everything."""
    spill_file = SpillFile()
    kept = spill_file.put(b"picture")
    os.truncate(opened_in(place)[0], 3)
    with pytest.raises(StoreError, match="sessions resume"):
        spill_file.get(kept)


def test_large_temporary_files_avoid_the_folder_that_may_be_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """Unless somebody says where."""
    monkeypatch.delenv("TMPDIR")
    assert folder() == Path("/var/tmp")
