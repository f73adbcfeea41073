"""Files and folders that belong to this user alone, whatever the umask and whoever else may write beside them.

Refusals are OSErrors whose text says in a clause what is wrong; callers say which file it is for, and what to do.
"""

from __future__ import annotations

import errno
import os
import stat
from contextlib import suppress
from pathlib import Path

from edgeleuk import _files

FILE, FOLDER = 0o600, 0o700
"""Permissions: this user alone."""
OTHERS = 0o077
"""What permissions others have."""


def make_folder(folder: Path) -> None:
    """Make a folder and those above it that are absent, for this user alone. Those that are there stay as they are."""
    for each in reversed([each for each in (folder, *folder.parents) if not each.exists()]):
        with suppress(FileExistsError):  # another process was quicker
            each.mkdir(FOLDER)
            if stat.S_IMODE(each.stat().st_mode) != FOLDER:  # a umask took even this user's permissions
                each.chmod(FOLDER)
    if not folder.is_dir():
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(folder))


def own_folder(folder: Path) -> None:
    """Make a folder for locks, or make one that is there this user's alone.

    Raises OSError where it is a link, or belongs to somebody else, or lies where others could put another in its place.
    """
    make_folder(folder.parent)
    require_trusted(folder.parent)
    make_folder(folder)
    about = folder.lstat()
    if stat.S_ISLNK(about.st_mode):
        raise _refused(f"{folder} is a link")
    if about.st_uid != os.geteuid():
        raise _refused(_of_another(folder, about.st_uid))
    if stat.S_IMODE(about.st_mode) != FOLDER:
        folder.chmod(FOLDER)


def require_trusted(folder: Path) -> None:
    """Raise OSError where others than this user and the system's could replace what lies in a folder."""
    about = folder.stat()
    if about.st_mode & stat.S_ISVTX:  # only its owner takes a file away, as in /tmp
        return
    if about.st_uid not in (0, os.geteuid()):
        raise _refused(_of_another(folder, about.st_uid))
    if about.st_mode & stat.S_IWOTH:
        raise _refused(f"everybody may write in {folder}")


def open_own(path: Path, *, create: bool) -> int:
    """A descriptor to lock a file of this user's, which is made where it is absent and `create`.

    Raises OSError where it is a link, no regular file, or another user's: a link could name any file of this user's, and
    a pipe would wait for ever.
    """
    flags = os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC | (os.O_RDWR | os.O_CREAT if create else os.O_RDONLY)
    try:
        descriptor = os.open(path, flags, FILE)
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise _refused(f"{path.name} there is a link") from error
        raise
    try:
        _require_own(os.fstat(descriptor), path.name)
        if create and stat.S_IMODE(os.fstat(descriptor).st_mode) != FILE:
            os.fchmod(descriptor, FILE)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def make_file(path: Path) -> None:
    """Make an empty file for this user alone; one that is there stays. Raises OSError."""
    with suppress(FileExistsError):
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, FILE)
        os.fchmod(descriptor, FILE)
        os.close(descriptor)


def is_open_to_others(path: Path, mode: int) -> bool:
    """Whether others have permissions on a file or folder that cannot be taken away; they are, where that is possible."""
    try:
        if not path.stat().st_mode & OTHERS:
            return False
        with suppress(OSError):
            path.chmod(mode)
        return bool(path.stat().st_mode & OTHERS)
    except OSError:  # it is not there
        return False


def _require_own(about: os.stat_result, name: str) -> None:
    if kind := _files.kind_of(about.st_mode):
        raise _refused(f"{name} there is {kind}")
    if about.st_uid != os.geteuid():
        raise _refused(_of_another(Path(name), about.st_uid))
    if about.st_nlink > 1:
        raise _refused(f"{name} there has another name, too")


def _of_another(path: Path, user: int) -> str:
    return f"{path} belongs to another user (number {user})"


def _refused(what: str) -> OSError:
    return OSError(errno.EPERM, what)
