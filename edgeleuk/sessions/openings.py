"""Register of the databases that this process has open.

When any part of a process closes a file, all POSIX locks that the process has on it end, SQLite's too
(https://www.sqlite.org/howtocorrupt.html, 2.2). Another process then takes the log that is being written here
for one that nobody needs, and removes it with all that it holds. So a file is read beside SQLite only while
it is not open.
"""

from __future__ import annotations

import threading
from collections import Counter
from pathlib import Path

Key = tuple[int, int]
"""Device and number of a file.

A name may come to stand for another file.
"""

OPENING = threading.RLock()
"""Lock for looking at a file and opening it.

Held while a file is looked at, and from then until it is open.
"""
_open: Counter[Key] = Counter()


def key_of(path: Path) -> Key:
    about = path.stat()
    return about.st_dev, about.st_ino


def is_open(path: Path) -> bool:
    """Return whether this process has a file open.

    To be asked, and acted on, while OPENING is held.
    """
    return _open[key_of(path)] > 0


def opened(path: Path) -> Key:
    """Note that a file was opened.

    Returns what `closed` needs.
    """
    key = key_of(path)
    _open[key] += 1
    return key


def closed(key: Key) -> None:
    with OPENING:
        _open[key] -= 1
