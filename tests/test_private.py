"""Sessions are this user's alone, whatever the umask, and locks trust neither links nor folders of others."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from counted import counted_field, started

from edgeleuk.errors import StoreError
from edgeleuk.sessions import Lease, claim_source, open_store
from edgeleuk.sessions.leases import held, lock_file

NOBODY = 65534
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")


@contextmanager
def umask(mask: int) -> Iterator[None]:
    before = os.umask(mask)
    try:
        yield
    finally:
        os.umask(before)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def run(*arguments: object, mask: int = 0o022, **environment: str) -> subprocess.CompletedProcess[str]:
    """The program in a process of its own."""
    code = f"import os, runpy; os.umask({mask}); runpy.run_module('edgeleuk', run_name='__main__')"
    paths = os.pathsep.join(filter(None, sys.path))
    return subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": paths, **environment},
        check=False,
    )


@pytest.mark.parametrize("mask", [0o000, 0o022, 0o777, 0o700])
def test_files_and_folders_of_sessions_are_private(tmp_path: Path, mask: int) -> None:
    """0600 and 0700 from their first moment on: the file, its log, the locks, and the folders that were made for them."""
    path = tmp_path / "a" / "b" / "sessions.db"
    with umask(mask), open_store(path) as store:
        started(store).add(counted_field(1))
        files = [each for each in (tmp_path / "a").rglob("*") if each.is_file()]
        assert {each.name for each in files} >= {"sessions.db", "sessions.db-wal", "sessions.db-shm"}
        assert {mode(each) for each in files} == {0o600}
        folders = [tmp_path / "a", *(each for each in (tmp_path / "a").rglob("*") if each.is_dir())]
        assert {each.name for each in folders} == {"a", "b", "locks"}
        assert {mode(each) for each in folders} == {0o700}


@pytest.mark.parametrize("loose", [0o644, 0o666, 0o660])
def test_what_others_could_read_is_made_private(tmp_path: Path, loose: int) -> None:
    """A file of before, its log and the locks' folder; the folder that the user chose stays as it is."""
    path = tmp_path / "folder" / "sessions.db"
    with open_store(path) as store:
        started(store).add(counted_field(1))
        for name in ("sessions.db", "sessions.db-wal", "sessions.db-shm"):
            (path.parent / name).chmod(loose)
        (path.parent / "locks").chmod(0o755)
        path.parent.chmod(0o755)
        with open_store(path) as again:
            started(again)
            names = ("sessions.db", "sessions.db-wal", "sessions.db-shm")
            assert {mode(path.parent / name) for name in names} == {0o600}
            assert mode(path.parent / "locks") == 0o700
    assert mode(path.parent) == 0o755


def test_the_programs_own_folder_is_made_private(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It holds nothing that another user should see."""
    monkeypatch.delenv("EDGELEUK_SESSIONS")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    (tmp_path / "edgeleuk").mkdir(mode=0o755)
    open_store().close()
    assert mode(tmp_path / "edgeleuk") == 0o700


@pytest.mark.parametrize("mask", [0o000, 0o777])
def test_an_export_is_private(tmp_path: Path, mask: int) -> None:
    """With every picture of a cell in it; a support archive too."""
    path, out = tmp_path / "sessions.db", tmp_path / "out" / "export"
    with open_store(path) as store:
        session = started(store)
        session.add(counted_field(1))
        session.finish("done")
    done = run("sessions", "export", session.id, "--store", path, "--out", out, mask=mask)
    assert done.returncode == 0, done.stderr
    files = [each for each in out.rglob("*") if each.is_file()]
    assert len(files) > 5
    assert {mode(each) for each in files} == {0o600}
    assert {mode(each) for each in (out.parent, out, *out.rglob("*")) if each.is_dir()} == {0o700}


@needs_root
def test_what_cannot_be_made_private_is_told(caplog: pytest.LogCaptureFixture) -> None:
    """A file that another user left readable: its sessions are shown, with one warning that says what its owner can do."""
    with tempfile.TemporaryDirectory() as folder:  # that of the tests lets no other user in
        path = Path(folder) / "sessions.db"
        with open_store(path) as store:
            started(store).add(counted_field(1))
        path.chmod(0o644)
        Path(folder).chmod(0o755)
        os.setresuid(NOBODY, NOBODY, 0)
        try:
            with open_store(path, create=False) as store:
                assert len(store.list()) == 1
        finally:
            os.setresuid(0, 0, 0)
        assert mode(path) == 0o644
    assert [f"others may read {path}" in text for text in caplog.messages] == [True]


def planted_link(lock: Path) -> None:
    (lock.parent.parent / "victim").write_text("mine")
    lock.symlink_to(lock.parent.parent / "victim")


def planted_name(lock: Path) -> None:
    """A second name of a file of this user's, which a lock would cut to nothing."""
    (lock.parent.parent / "victim").write_text("mine")
    os.link(lock.parent.parent / "victim", lock)


PLANTED: dict[str, tuple[Callable[[Path], None], str]] = {
    "a link": (planted_link, "is a link"),
    "a link to nothing": (lambda lock: lock.symlink_to(lock.parent / "nothing"), "is a link"),
    "a pipe": (os.mkfifo, "is a pipe"),
    "a folder": (Path.mkdir, "(?i)is a (folder|directory)"),
    "another name": (planted_name, "has another name"),
}


@pytest.mark.parametrize("name", PLANTED)
def test_a_lock_follows_nothing_that_was_planted(tmp_path: Path, name: str) -> None:
    """It is refused at once, nothing is written through it, and nobody is taken for its holder."""
    plant, why = PLANTED[name]
    lock = lock_file(tmp_path / "locks", "camera")
    lock.parent.mkdir(mode=0o700)
    plant(lock)
    assert not held(tmp_path / "locks", "camera")
    with pytest.raises(StoreError, match=why):
        Lease(tmp_path / "locks", "camera", "taken by {holder}")
    assert not (tmp_path / "locks" / "nothing").exists()
    if (tmp_path / "victim").exists():
        assert (tmp_path / "victim").read_text() == "mine"


def linked(folder: Path) -> None:
    (folder / "elsewhere").mkdir()
    (folder / "locks").symlink_to("elsewhere")


def of_another(folder: Path) -> None:
    (folder / "locks").mkdir(mode=0o700)
    os.chown(folder / "locks", NOBODY, NOBODY)


def everybodys(folder: Path) -> None:
    folder.chmod(0o777)


def below_another(folder: Path) -> None:
    os.chown(folder, NOBODY, NOBODY)


FOLDERS = {
    "a link": (linked, "is a link"),
    "another user's": (of_another, "belongs to another user"),
    "in a folder of everybody's": (everybodys, "everybody may write"),
    "in a folder of another user's": (below_another, "belongs to another user"),
}


@needs_root
@pytest.mark.parametrize("name", FOLDERS)
def test_locks_lie_in_no_folder_of_others(tmp_path: Path, name: str) -> None:
    """Exit code 9, with the remedy; and `analyze` does not say that it kept anything."""
    plant, why = FOLDERS[name]
    folder = tmp_path / "store"
    folder.mkdir()
    open_store(folder / "sessions.db").close()
    if (folder / "locks").exists():
        (folder / "locks").rmdir()
    plant(folder)
    with open_store(folder / "sessions.db") as store, pytest.raises(StoreError, match=f"{why}.*yours alone"):
        started(store)
    os.chown(folder, 0, 0)


@pytest.mark.parametrize("sticky", [True, False])
def test_a_folder_of_everybodys_is_trusted_where_nobody_takes_away_what_others_put_there(
    tmp_path: Path, sticky: bool
) -> None:
    """As /tmp."""
    folder = tmp_path / "tmp"
    folder.mkdir()
    folder.chmod(0o1777 if sticky else 0o777)
    if sticky:
        with open_store(folder / "sessions.db") as store:
            started(store).add(counted_field(1))
        return
    with pytest.raises(StoreError, match="everybody may write"):
        open_store(folder / "sessions.db")
    assert not list(folder.iterdir())


@needs_root
def test_a_camera_is_not_claimed_in_a_folder_that_was_planted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The folder of temporary files is everybody's, and its names can be guessed."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    monkeypatch.setenv("EDGELEUK_SESSIONS", "/proc/nowhere/sessions.db")
    tmp_path.chmod(0o1777)
    planted = tmp_path / f"edgeleuk-{os.getuid()}"
    planted.mkdir()
    os.chown(planted, NOBODY, NOBODY)
    with pytest.raises(StoreError, match="belongs to another user"):
        claim_source("usb:0")


def test_what_a_lock_says_of_its_holder_is_no_text_of_others(tmp_path: Path) -> None:
    """A message shows a number and a time, or nothing."""
    with Lease(tmp_path / "locks", "camera", "taken by {holder}") as lease:
        for content in (
            '{"process": "\\u001b[31m", "since": "now"}',
            '{"process": 1}',
            "[" * 9999,
            "x" * 5000,
        ):
            lease.path.write_text(content)
            with pytest.raises(StoreError, match="taken by another process"):
                Lease(tmp_path / "locks", "camera", "taken by {holder}", patience_s=0)
