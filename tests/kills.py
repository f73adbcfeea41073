"""Is what `live` announced still there after `kill -9`? Counts of a simulated slide, each killed at a random moment.

    python tests/kills.py [KILLS] [SEED]        one line a kill, then the sum; ends with 1 where a field is lost

Every second count goes on with the session that was killed before it.
"""

from __future__ import annotations

import os
import random
import re
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from edgeleuk.sessions import open_store

STARTED = re.compile(r" started .* session (\S+)\. ")
FIELD = re.compile(r" field +field (\d+): ")
LONGEST_S = 4.0
"""From the line that is waited for to the kill; a field takes about a second."""
AFTER_A_FIELD = 0.7
"""Share of the kills that wait for a field first; the others wait for the beginning alone."""
PATIENCE_S = 120.0
"""Until a count must have said the line that is waited for."""
SMALL = ("--width", "640", "--height", "360")
"""A quarter of the usual slide, whose thousands of cells each count would place first."""


@dataclass(frozen=True, slots=True)
class Killed:
    """What one count had announced when it was killed, and what is kept."""

    session: str
    announced: tuple[int, ...]
    """In all of the session's counts so far."""
    kept: tuple[int, ...]
    whole: bool
    """Whether SQLite finds nothing wrong with the file."""

    @property
    def lost(self) -> list[int]:
        return sorted(set(self.announced) - set(self.kept))

    @property
    def in_order(self) -> bool:
        """Whether the kept ones are 1, 2, 3 and so on, with one more than announced for each kill at most."""
        return self.kept == tuple(range(1, len(self.kept) + 1))


def killed(number: int, seed: int, folder: Path) -> Iterator[Killed]:
    """Kill so many counts, one after the other."""
    moments = random.Random(seed)
    store, session, before = folder / "sessions.db", "", ()
    for kill in range(number):
        resumed = session if kill % 2 else ""
        after = FIELD if moments.random() < AFTER_A_FIELD else STARTED
        session, announced = _count_until_killed(store, resumed, after, moments.uniform(0, LONGEST_S))
        before = (*before, *announced) if resumed else tuple(announced)
        with open_store(store, create=False) as opened:
            kept = tuple(field.number for field in opened.get(session).counted())
            whole = opened._database.query("PRAGMA integrity_check")[0][0] == "ok"
        yield Killed(session, before, kept, whole)


def _count_until_killed(
    store: Path, resumed: str, after: re.Pattern[str], seconds: float
) -> tuple[str, list[int]]:
    """The session of a count, and the fields that it announced until it was killed so long `after` a line."""
    new = ("--source", "simulated", "--um-per-px", "0.1", "--target", "5000")
    goes_on = (*(("--resume", resumed) if resumed else new), *SMALL)
    lines: list[str] = []
    with subprocess.Popen(
        [sys.executable, "-m", "edgeleuk", "live", "--plain", "--threads", "1", "--store", str(store), *goes_on],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env={**os.environ, "PYTHONUNBUFFERED": "1"},
    ) as process:  # fmt: skip
        said = threading.Event()
        reading = threading.Thread(target=_read, args=(process, lines, after, said), daemon=True)
        reading.start()
        if said.wait(PATIENCE_S):
            time.sleep(seconds)
        process.kill()
        reading.join()
    if not any(after.search(line) for line in lines):
        raise RuntimeError(f"the count did not get as far as it should: {''.join(lines)}")
    session = next(found[1] for line in lines if (found := STARTED.search(line)))
    return session, [int(found[1]) for line in lines if (found := FIELD.search(line))]


def _read(
    process: subprocess.Popen[str], lines: list[str], after: re.Pattern[str], said: threading.Event
) -> None:
    for line in process.stdout:
        lines.append(line)
        if after.search(line):
            said.set()
    said.set()


def main(number: str = "50", seed: str = "1") -> int:
    announced: dict[str, int] = {}
    lost, wrong = set(), 0
    with tempfile.TemporaryDirectory() as folder:
        for kill, each in enumerate(killed(int(number), int(seed), Path(folder)), 1):
            announced[each.session] = len(each.announced)
            lost |= {(each.session, field) for field in each.lost}
            wrong += not (each.in_order and each.whole)
            print(
                f"{kill}: {each.session} announced {each.announced}, keeps {len(each.kept)}, lost {each.lost}",
                flush=True,
            )
    fields = sum(announced.values())
    print(
        f"{number} kills, {fields} fields announced, {len(lost)} lost, {wrong} times out of order or damaged"
    )
    return 1 if lost or wrong or not fields else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
