"""Progress of a batch.

It is a bar on a terminal, else a line now and then.
"""

from __future__ import annotations

import time
from contextlib import ExitStack
from types import TracebackType
from typing import TYPE_CHECKING, Self

from edgeleuk.cli._console import notices, progress_bar, tell
from edgeleuk.cli._stop import Stopping

if TYPE_CHECKING:
    from edgeleuk.programme.batch import Progress

LINE_S = 60.0
"""Time between two lines where there is no terminal, as in the log of a job."""


class Shown:
    """Shows the progress of a batch on stderr, as a context manager."""

    def __init__(self, progress: Progress, stop: Stopping) -> None:
        self._progress, self._stop = progress, stop
        self._stack = ExitStack()
        self._line = time.monotonic() + LINE_S

    def step(self) -> None:
        """Show the progress as it is now."""
        now = self._progress
        self._update(now.counted + now.failed, now.slides - now.before)
        if not notices.is_terminal and time.monotonic() >= self._line:
            self._line = time.monotonic() + LINE_S
            tell(line_of(now))

    def __enter__(self) -> Self:
        self._update = self._stack.enter_context(progress_bar(self._stop.instead("counting slides")))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()


def line_of(progress: Progress) -> str:
    """Return the progress as a line, with the time left."""
    done = f"{progress.done} of {progress.slides} slides"
    if progress.failed:
        done = f"{done}, {progress.failed} failed"
    return done if progress.seconds_left is None else f"{done}, about {duration(progress.seconds_left)} left"


def duration(seconds: float) -> str:
    """Return a time of seconds to days in one or two units."""
    minutes = round(seconds / 60)
    if seconds < 90:
        return f"{seconds:.0f} s"
    if minutes < 90:
        return f"{minutes} min"
    hours, rest = divmod(minutes, 60)
    if hours < 48:
        return f"{hours} h {rest} min"
    return f"{hours // 24} d {hours % 24} h"
