"""Faults run for real: killed writers, full and read-only disks, rival processes, files that are not ours."""

from __future__ import annotations

import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from itertools import count
from pathlib import Path

import old_store
import pytest
from counted import counted_field, same, started

from edgeleuk.errors import DiskFullError, StoreError
from edgeleuk.sessions import Session, claim_source, open_store
from edgeleuk.sessions.migrations import APPLICATION_ID

KILLS = int(os.environ.get("EDGELEUK_KILLS", "6"))
"""Moments at which a writer is killed; the acceptance run has 50."""
LONGEST_S = 0.4
"""From the first field to the kill; a field takes a hundredth of it."""

WRITERS = """
import os, sys
from itertools import count
from pathlib import Path
from counted import DIFFERENT, counted_field, started
from edgeleuk.sessions import open_store

for number in range(DIFFERENT):
    counted_field(number + 1)  # made beforehand, so that the kill meets the writing
print("ready", flush=True)
for path in sys.stdin:
    if child := os.fork():
        os.waitpid(child, 0)
        print("dead", flush=True)
        continue
    with open_store(Path(path.strip())) as store:
        session = started(store)
        os.write(1, f"{os.getpid()} {session.id}\\n".encode())
        for number in count(1):
            session.add(counted_field(number))
            os.write(1, f"{number}\\n".encode())  # at once: a kill leaves no half of a line
"""
"""For each path on its input a process of its own that counts fields into it and announces each, until it is killed."""
HOLDER = """
import sys, time
from pathlib import Path
from counted import started
from edgeleuk.sessions import claim_source, open_store

with claim_source("usb:0", Path(sys.argv[1]).parent / "locks"), open_store(Path(sys.argv[1])) as store:
    print(started(store).id, flush=True)
    time.sleep(60)
"""


@contextmanager
def process(script: str, *arguments: Path) -> Iterator[subprocess.Popen[str]]:
    """A script in a Python of its own, killed with SIGKILL at the end of the block."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    command = [sys.executable, "-c", script, *map(str, arguments)]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, env=environment) as running:
        try:
            yield running
        finally:
            running.kill()


@pytest.fixture(scope="module")
def writers() -> Iterator[subprocess.Popen[str]]:
    with process(WRITERS) as running:
        assert running.stdout.readline() == "ready\n"
        yield running


def killed_writer(writers: subprocess.Popen[str], path: Path, seconds: float) -> tuple[str, list[int]]:
    """Let a process count fields, kill it so long after it began, and give what it announced."""
    writers.stdin.write(f"{path}\n")
    writers.stdin.flush()
    number, session = writers.stdout.readline().split()
    time.sleep(seconds)
    os.kill(int(number), signal.SIGKILL)
    return session, [int(line) for line in iter(writers.stdout.readline, "dead\n")]


@contextmanager
def mounted(folder: Path, *options: str) -> Iterator[Path]:
    """A mount for the time of the block; the test is skipped where this user may not mount."""
    folder.mkdir(exist_ok=True)
    done = subprocess.run(["mount", *options, str(folder)], capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"mounting is not permitted here: {done.stderr.strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def unchanged(path: Path, before: bytes) -> bool:
    """Whether a file is as it was, and nothing was left beside it."""
    return path.read_bytes() == before and [each.name for each in path.parent.iterdir()] == [path.name]


def test_a_killed_writer_loses_no_announced_field(writers: subprocess.Popen[str], tmp_path: Path) -> None:
    """After `kill -9` at random moments the file is whole, holds what was announced, and the session goes on."""
    path = tmp_path / "sessions.db"
    moments = random.Random(4)
    for _ in range(KILLS):
        session, announced = killed_writer(writers, path, LONGEST_S * moments.random())
        with open_store(path) as store:
            assert store._database.query("PRAGMA integrity_check")[0][0] == "ok"
            resumed = store.resume(session)
            kept = [field.number for field in resumed.counted()]
            # One more may be there than was announced: written, and killed before it could say so.
            assert kept in ([*announced], [*announced, len(announced) + 1])
            assert all(same(field, counted_field(field.number)) for field in resumed.counted())
            resumed.add(counted_field(len(kept) + 1))
            assert resumed.summary.fields == len(kept) + 1
            resumed.finish("checked")
            if (
                len(store.list()) > 10
            ):  # so that the check stays quick, and deleting meets killed sessions too
                store.delete(store.list()[-1].id)


def test_a_killed_process_holds_nothing(tmp_path: Path) -> None:
    """Session and camera are refused while their process lives, and free as soon as it is dead."""
    path = tmp_path / "sessions.db"
    with process(HOLDER, path) as holder:
        session = holder.stdout.readline().strip()
        with (
            open_store(path) as store,
            pytest.raises(StoreError, match=f"written by process {holder.pid} since"),
        ):
            store.resume(session)
        with pytest.raises(StoreError, match=f"usb:0 is in use by process {holder.pid} since"):
            claim_source("usb:0", tmp_path / "locks")
    with open_store(path) as store, claim_source("usb:0", tmp_path / "locks"):
        store.resume(session).add(counted_field(1))


def test_too_little_space_refuses_a_field_before_anything_is_lost(tmp_path: Path) -> None:
    """With less free than the reserve add raises DiskFullError; marks and the end of the session still fit."""
    path = tmp_path / "sessions.db"
    with open_store(path) as store:
        session = started(store)
        session.add(counted_field(1))
        session.release()
    with open_store(path, reserve_bytes=shutil.disk_usage(tmp_path).total * 2) as store:
        session = store.resume(session.id)
        with pytest.raises(DiskFullError, match=r"MB left, and \d+ MB are kept free"):
            session.add(counted_field(2))
        session.mark(7, "artefact")
        session.finish("the disk is full")
        assert [field.number for field in session.counted()] == [1]


def test_a_full_disk_stops_the_count_and_space_lets_it_go_on(tmp_path: Path) -> None:
    """On a small disk filled to the last byte the field is refused whole; with space the same field is taken."""
    with mounted(tmp_path / "disk", "-t", "tmpfs", "-o", "size=6m", "tmpfs") as disk:
        with open_store(disk / "sessions.db", reserve_bytes=0) as store:
            session = started(store)
            refused = _fill(session, disk)
            assert [field.number for field in session.counted()] == list(range(1, refused))
            (disk / "ballast").unlink()
            session.add(counted_field(refused))
            session.finish("done")
        with open_store(disk / "sessions.db") as store:
            kept = list(store.get(session.id).counted())
            assert [field.number for field in kept] == list(range(1, refused + 1))
            assert all(same(field, counted_field(field.number)) for field in kept)
            assert store._database.query("PRAGMA integrity_check")[0][0] == "ok"


def test_deleting_a_session_makes_room_at_the_reserve(tmp_path: Path) -> None:
    """The advice that comes with a full disk can be followed with no more space than the reserve."""
    with (
        mounted(tmp_path / "disk", "-t", "tmpfs", "-o", "size=16m", "tmpfs") as disk,
        open_store(disk / "sessions.db", reserve_bytes=5_000_000) as store,
    ):
        old, new = started(store), started(store)
        with pytest.raises(DiskFullError, match="edgeleuk sessions delete"):
            for number in count(1):
                old.add(counted_field(number))
        old.finish("the disk is full")
        store.delete(old.id)
        assert shutil.disk_usage(disk).free > 15_000_000
        new.add(counted_field(1))


def _fill(session: Session, disk: Path) -> int:
    """Count until half of the disk is full, fill the rest with something else, count on; the first field refused."""
    number = 0
    while True:
        number += 1
        if number == 15:
            (disk / "ballast").write_bytes(bytes(max(0, shutil.disk_usage(disk).free - 100_000)))
        try:
            session.add(counted_field(number))
        except DiskFullError as error:
            assert "is full" in str(error)
            return number


@contextmanager
def read_only(folder: Path) -> Iterator[None]:
    """A folder as on a write-protected disk; permissions would not bind a superuser."""
    with mounted(folder, "--bind", str(folder)):
        subprocess.run(["mount", "-o", "remount,ro,bind", str(folder)], check=True)
        yield


@pytest.mark.parametrize("left_by", ["a session that was finished", "a killed process"])
def test_a_file_on_a_read_only_disk_can_be_read_and_not_written(
    writers: subprocess.Popen[str], tmp_path: Path, left_by: str
) -> None:
    """Sessions are shown, also from the log that a killed process left; writing says why it cannot be."""
    disk = tmp_path / "disk"
    disk.mkdir()
    session, announced = killed_writer(writers, disk / "sessions.db", 0.1)
    if left_by != "a killed process":
        open_store(disk / "sessions.db").close()
    with read_only(disk), open_store(disk / "sessions.db") as store:
        kept = list(store.get(session).counted())
        assert announced
        assert [field.number for field in kept][: len(announced)] == announced
        assert all(same(field, counted_field(field.number)) for field in kept)
        for write in (lambda: store.resume(session), lambda: store.delete(session), lambda: started(store)):
            with pytest.raises(StoreError, match="read-only"):
                write()


def test_a_new_file_on_a_read_only_disk_is_refused(tmp_path: Path) -> None:
    """In one sentence that names the file and another way."""
    disk = tmp_path / "disk"
    disk.mkdir()
    with read_only(disk), pytest.raises(StoreError, match=r"(?i)read-only.*--store"):
        open_store(disk / "sessions.db")


def test_a_camera_can_be_claimed_without_a_place_to_write_sessions(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Counting without keeping works on a read-only disk, and two such counts still cannot share a camera."""
    disk = tmp_path / "disk"
    disk.mkdir()
    monkeypatch.setenv("EDGELEUK_SESSIONS", str(disk / "sessions.db"))
    with read_only(disk), claim_source("usb:7"), pytest.raises(StoreError, match="usb:7 is in use"):
        claim_source("usb:7")


def test_an_older_file_is_brought_up_to_date_unless_the_disk_is_read_only(tmp_path: Path) -> None:
    """There the message says to copy it; elsewhere it is opened as if it had always been of today."""
    disk = tmp_path / "disk"
    disk.mkdir()
    with closing(sqlite3.connect(disk / "sessions.db")) as older, older:
        older.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    with read_only(disk), pytest.raises(StoreError, match=r"older edgeleuk .* Copy it elsewhere"):
        open_store(disk / "sessions.db")
    with open_store(disk / "sessions.db") as store:
        started(store).add(counted_field(1))


def test_an_older_file_that_fills_the_disk_is_brought_up_to_date(tmp_path: Path) -> None:
    """In little of the space that it takes, so that its sessions can be deleted to make room."""
    with mounted(tmp_path / "disk", "-t", "tmpfs", "-o", "size=6m", "tmpfs") as disk:
        path = disk / "sessions.db"
        old_store.write(path, map(counted_field, range(1, 21)))
        assert path.stat().st_size > 1_800_000
        (disk / "ballast").write_bytes(bytes(shutil.disk_usage(disk).free - 500_000))
        with open_store(path) as store:
            (summary,) = store.list()
            assert all(same(field, counted_field(field.number)) for field in store.get(summary.id).counted())
            store.delete(summary.id)
            assert store.list() == []


def test_a_file_of_a_newer_edgeleuk_is_refused_and_not_altered(tmp_path: Path) -> None:
    """The message names both versions."""
    path = tmp_path / "sessions.db"
    open_store(path).close()
    with closing(sqlite3.connect(path)) as newer, newer:
        newer.execute("INSERT INTO migrations (name, at, version) VALUES ('m999_later', '2031', '9.9.9')")
    shutil.rmtree(tmp_path / "locks")
    before = path.read_bytes()
    with pytest.raises(StoreError, match=r"written by edgeleuk 9\.9\.9, and this is .*nothing was changed"):
        open_store(path)
    assert path.read_bytes() == before


@pytest.mark.parametrize("log", ["delete", "wal"])
def test_a_database_of_another_program_is_refused_and_not_altered(tmp_path: Path, log: str) -> None:
    """Not a byte of it, nor a file beside it."""
    path = tmp_path / "other.db"
    with closing(sqlite3.connect(path)) as other, other:
        other.execute(f"PRAGMA journal_mode = {log}")
        other.execute("CREATE TABLE sessions (id)")
    before = path.read_bytes()
    with pytest.raises(StoreError, match="database of another program"):
        open_store(path)
    assert unchanged(path, before)


@pytest.mark.parametrize("content", [b"patients,cells\n1,2\n", b"SQLite format 3\0", bytes(5000)])
def test_a_file_that_is_no_database_is_refused_and_not_altered(tmp_path: Path, content: bytes) -> None:
    """A table, a stump of a database and zeros are left as they are."""
    path = tmp_path / "sessions.db"
    path.write_bytes(content)
    with pytest.raises(StoreError, match="no file of sessions, or a damaged one"):
        open_store(path)
    assert unchanged(path, content)


def test_an_empty_file_becomes_a_file_of_sessions(tmp_path: Path) -> None:
    """It is what a process leaves that was cut off while it made one."""
    path = tmp_path / "sessions.db"
    path.touch()
    with open_store(path) as store:
        started(store).add(counted_field(1))
        assert len(store.list()) == 1


def test_a_folder_is_no_file_of_sessions(tmp_path: Path) -> None:
    """And says so in one sentence."""
    with pytest.raises(StoreError, match="it is a folder, no file"):
        open_store(tmp_path)


def test_a_damaged_file_says_so(tmp_path: Path) -> None:
    """Where pages were overwritten the error names the way to save the rest."""
    path = tmp_path / "sessions.db"
    with open_store(path) as store:
        session = started(store)
        for number in range(1, 11):
            session.add(counted_field(number))
    with path.open("r+b") as file:
        file.seek(34 * 4096)  # behind the schema and the sessions
        file.write(b"\xa5" * (path.stat().st_size - 34 * 4096))
    with open_store(path) as store, pytest.raises(StoreError, match="damaged"):
        list(store.get(session.id).counted())


def test_two_processes_make_one_file_together(tmp_path: Path) -> None:
    """Both open a file that is not there yet, and each finds its session in it."""
    path = tmp_path / "sessions.db"
    with process(HOLDER.replace("usb:0", "usb:1"), path) as one, process(HOLDER, path) as other:
        ids = {one.stdout.readline().strip(), other.stdout.readline().strip()}
        with open_store(path) as store:
            assert {summary.id for summary in store.list()} == ids
            assert {summary.state for summary in store.list()} == {"running"}


TWICE = """
import os, subprocess, sys
from pathlib import Path
from counted import counted_field, started
from edgeleuk.sessions import open_store

path = Path(sys.argv[1])
session = started(open_store(path))
session.add(counted_field(1))
with open_store(path):
    pass
subprocess.run([sys.executable, "-m", "edgeleuk", "sessions", "list", "--store", str(path)], check=True)
session.add(counted_field(2))
os._exit(9)
"""


def test_a_file_opened_twice_in_one_process_keeps_what_is_written(tmp_path: Path) -> None:
    """POSIX locks of a process end when it closes the file, opened whatever way: another process would then take the log
    that is being written for one that nobody needs, and remove it."""
    path = tmp_path / "sessions.db"
    done = subprocess.run(
        [sys.executable, "-c", TWICE, str(path)],
        cwd=Path(__file__).parent,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 9, done.stderr
    with open_store(path) as store:
        (session,) = store.list()
        assert [field.number for field in store.get(session.id).counted()] == [1, 2]


HALF_MADE = """
import sys, time
from pathlib import Path
from edgeleuk.sessions import open_store
from edgeleuk.sessions.leases import Lease

path = Path(sys.argv[1])
open_store(path.with_name("whole.db")).close()
with Lease(path.parent / "locks", path.name, "{holder}", 5):
    path.write_bytes(b"SQLite format 3\\0".ljust(100, b"\\0"))
    print("half", flush=True)
    time.sleep(0.3)
    path.write_bytes(path.with_name("whole.db").read_bytes())
"""


def test_a_file_that_another_process_is_making_is_waited_for(tmp_path: Path) -> None:
    """Half of its first page says that it is a database, and not yet whose."""
    path = tmp_path / "sessions.db"
    with process(HALF_MADE, path) as making:
        assert making.stdout.readline() == "half\n"
        with open_store(path) as store:
            assert store.list() == []
