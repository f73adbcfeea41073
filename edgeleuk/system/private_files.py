"""Files and folders accessible to this user only.

They stay private whatever the umask and whoever else may write beside them. Refusals are OSErrors whose text
states in a clause what is wrong; callers add which file it is for, and what to do.
"""

from __future__ import annotations

import errno
import os
import stat
from contextlib import suppress
from pathlib import Path

from edgeleuk.system import file_io

FILE, FOLDER = 0o600, 0o700
"""Permissions: this user alone."""
OTHERS = 0o077
"""Permission bits of group and others."""


def make_folder(folder: Path) -> None:
    """Make a private folder and its missing parents.

    Existing folders keep their permissions.
    """
    for each in reversed([each for each in (folder, *folder.parents) if not each.exists()]):
        with suppress(FileExistsError):  # another process was quicker
            each.mkdir(FOLDER)
            if stat.S_IMODE(each.stat().st_mode) != FOLDER:  # the umask removed even this user's permissions
                each.chmod(FOLDER)
    if not folder.is_dir():
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(folder))


def own_folder(folder: Path) -> None:
    """Make a folder for locks, or make an existing one private.

    Raises:
        OSError: It is a link, belongs to somebody else, or lies where others could replace it.
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
    """Check that no other user can replace a folder's content.

    Raises:
        OSError: Others than this user and the system could.
    """
    about = folder.stat()
    if about.st_mode & stat.S_ISVTX:  # sticky bit: only the owner can remove a file, as in /tmp
        return
    if about.st_uid not in (0, os.geteuid()):
        raise _refused(_of_another(folder, about.st_uid))
    if about.st_mode & stat.S_IWOTH:
        raise _refused(f"everybody may write in {folder}")


def open_own(path: Path, *, create: bool) -> int:
    """Open a lock file of this user and return its descriptor.

    `create`: whether an absent file is made.

    Raises:
        OSError: It is a link, no regular file, or another user's. A link could name any file of this user's,
            and a pipe would block for ever.
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
    """Make an empty private file, unless it exists.

    Raises:
        OSError: It cannot be made.
    """
    with suppress(FileExistsError):
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, FILE)
        os.fchmod(descriptor, FILE)
        os.close(descriptor)


def is_open_to_others(path: Path, mode: int) -> bool:
    """Return whether others keep permissions on a path.

    Their permissions are removed first, where that is possible.
    """
    try:
        if not path.stat().st_mode & OTHERS:
            return False
        with suppress(OSError):
            path.chmod(mode)
        return bool(path.stat().st_mode & OTHERS)
    except OSError:  # it does not exist
        return False


def _require_own(about: os.stat_result, name: str) -> None:
    if kind := file_io.kind_of(about.st_mode):
        raise _refused(f"{name} there is {kind}")
    if about.st_uid != os.geteuid():
        raise _refused(_of_another(Path(name), about.st_uid))
    if about.st_nlink > 1:
        raise _refused(f"{name} there has another name, too")


def _of_another(path: Path, user: int) -> str:
    return f"{path} belongs to another user (number {user})"


def _refused(what: str) -> OSError:
    return OSError(errno.EPERM, what)
