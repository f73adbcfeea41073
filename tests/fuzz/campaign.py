"""Many inputs in several workers, watched; what was done is on the disk, so that a killed campaign goes on."""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from queue import Empty, SimpleQueue

import edgeleuk

from .kinds import ORDER, kind_of
from .worker import MOST_MB, Outcome

CHUNK = 100
"""Inputs that are noted as done together."""
HUNG_S = 30.0
"""By the clock, until a worker is killed."""
START_S = 120.0
KILLED_MB = 2 * MOST_MB
LOOK_S = 0.25
"""Between two looks at a worker's memory while it is busy."""
KEPT_FAULTS = 400
TESTS = Path(__file__).parents[1]
PROGRAM = Path(edgeleuk.__file__).parents[1]
"""Workers read with the program that is imported here, also where another one lies in the working directory."""


class Watched:
    """A worker, begun anew whenever it died."""

    def __init__(self, module: str = "fuzz.worker") -> None:
        self._module, self.hung_s = module, HUNG_S
        self._process: subprocess.Popen[bytes] | None = None
        self._place = tempfile.TemporaryDirectory(prefix="fuzz-")
        """Of its temporary files: what a killed worker leaves goes with it."""

    def run(self, kind: str, seed: int) -> Outcome:
        """The outcome of one input; a crash, a hang and memory without end are its faults."""
        process = self._started()
        process.stdin.write(f"{kind} {seed}\n".encode())
        process.stdin.flush()
        waited = 0.0
        while waited < (self.hung_s if self._warm else START_S):
            if select.select([process.stdout], [], [], LOOK_S)[0]:
                if answer := process.stdout.readline():
                    self._warm = True
                    return Outcome(**json.loads(answer))
                return self._ended(kind, seed, waited, f"crashed the process ({process.wait()})")
            waited += LOOK_S
            if (mb := _resident_mb(process.pid)) > KILLED_MB + self._idle_mb:
                return self._ended(kind, seed, waited, f"took more than {mb - self._idle_mb:.0f} MB", mb)
        return self._ended(kind, seed, waited, f"did not end within {waited:.0f} s")

    def _started(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            path = os.pathsep.join([str(TESTS), str(PROGRAM), os.environ.get("PYTHONPATH", "")])
            environment = {
                **os.environ,
                "PYTHONPATH": path,
                "OMP_NUM_THREADS": "1",
                "OPENBLAS_NUM_THREADS": "1",
                "TMPDIR": self._place.name,
            }
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", self._module],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                env=environment,
            )
            self._warm, self._idle_mb = False, 200.0
        return self._process

    def _ended(self, kind: str, seed: int, waited: float, fault: str, mb: float = 0.0) -> Outcome:
        self._kill()
        return Outcome(kind, seed, False, waited, mb, fault)

    def close(self) -> None:
        self._kill()
        self._place.cleanup()

    def _kill(self) -> None:
        if self._process:
            self._process.kill()
            self._process.wait()
            for pipe in (self._process.stdin, self._process.stdout):
                with suppress(OSError):
                    pipe.close()
            self._process = None


def _resident_mb(process: int) -> float:
    with suppress(OSError, StopIteration):
        lines = Path(f"/proc/{process}/status").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS")) * 1024 / 1e6
    return 0.0


@dataclass
class Sums:
    """What came of some inputs."""

    inputs: Counter[str] = field(default_factory=Counter)
    """By kind."""
    accepted: Counter[str] = field(default_factory=Counter)
    slowest: Outcome | None = None
    largest: Outcome | None = None
    faults: list[Outcome] = field(default_factory=list)
    """The first ones."""
    faulty: int = 0
    seconds: float = 0.0
    """By the clock, of one worker."""

    def add(self, found: Outcome) -> None:
        self.inputs[found.kind] += 1
        self.accepted[found.kind] += found.accepted
        self._extremes(found, found)
        if found.fault:
            self.faulty += 1
            self.faults.append(found)

    def merge(self, other: Sums) -> None:
        self.inputs += other.inputs
        self.accepted += other.accepted
        if other.slowest and other.largest:
            self._extremes(other.slowest, other.largest)
        self.faulty += other.faulty
        self.seconds += other.seconds
        self.faults = (self.faults + other.faults)[:KEPT_FAULTS]

    def _extremes(self, slow: Outcome, large: Outcome) -> None:
        if self.slowest is None or slow.seconds > self.slowest.seconds:
            self.slowest = slow
        if self.largest is None or large.mb > self.largest.mb:
            self.largest = large

    def as_json(self) -> str:
        plain = {name: vars(self)[name] for name in ("inputs", "accepted", "faulty", "seconds")}
        plain |= {name: (one := vars(self)[name]) and asdict(one) for name in ("slowest", "largest")}
        return json.dumps(plain | {"faults": [asdict(each) for each in self.faults]})

    @classmethod
    def from_json(cls, text: str) -> Sums:
        document = json.loads(text)
        one = {name: document[name] and Outcome(**document[name]) for name in ("slowest", "largest")}
        return cls(
            Counter(document["inputs"]), Counter(document["accepted"]), one["slowest"], one["largest"],
            [Outcome(**each) for each in document["faults"]], document["faulty"],
            document["seconds"],
        )  # fmt: skip


class State:
    """Which chunks are done, and what came of them: a line each in a file, which a kill leaves whole but for its end."""

    def __init__(self, folder: Path, about: str) -> None:
        """Raises ValueError where the folder is of other inputs or of another program, which `about` tells apart."""
        folder.mkdir(parents=True, exist_ok=True)
        self.path = folder / "done.jsonl"
        self.done: dict[int, Sums] = {}
        self._lock = threading.Lock()
        lines = self.path.read_text().splitlines() if self.path.exists() else []
        if not lines:
            self.path.write_text(f"{about}\n")
        elif lines[0] != about:
            raise ValueError(f"{folder} is of {lines[0]!r}, and this is {about!r}. Name another --state.")
        for line in lines[1:]:
            with suppress(ValueError):  # the line that a kill cut off
                number, sums = line.split(" ", 1)
                self.done[int(number)] = Sums.from_json(sums)

    def note(self, chunk: int, sums: Sums) -> None:
        with self._lock, self.path.open("a") as file:
            # A line of its own, whatever half of one stands there.
            file.write(f"\n{chunk} {sums.as_json()}\n")
            self.done[chunk] = sums

    def sums(self, chunks: int) -> Sums:
        """Of the first chunks, together."""
        total = Sums()
        for chunk in sorted(set(self.done) & set(range(chunks))):
            total.merge(self.done[chunk])
        return total


def numbers(chunk: int) -> range:
    return range(chunk * CHUNK, (chunk + 1) * CHUNK)


def campaign(
    inputs: int, state: State, workers: int, tell: Callable[[Sums], None], order: Sequence[str] = ORDER
) -> Sums:
    """Run what of `inputs` is not done yet; `tell` hears of each chunk. The kinds take turns in an `order`."""
    chunks = -(-inputs // CHUNK)
    left: SimpleQueue[int] = SimpleQueue()
    for chunk in range(chunks):
        if chunk not in state.done:
            left.put(chunk)
    with ThreadPoolExecutor(workers) as pool:
        for done in [pool.submit(_work, left, state, tell, order) for _ in range(workers)]:
            done.result()
    return state.sums(chunks)


def _work(left: SimpleQueue[int], state: State, tell: Callable[[Sums], None], order: Sequence[str]) -> None:
    worker = Watched()
    try:
        for chunk in _taken(left):
            sums, began = Sums(), time.monotonic()
            for number in numbers(chunk):
                sums.add(worker.run(kind_of(number, order), number))
            sums.seconds = round(time.monotonic() - began, 1)
            state.note(chunk, sums)
            tell(sums)
    finally:
        worker.close()


def _taken(left: SimpleQueue[int]) -> Iterator[int]:
    with suppress(Empty):
        while True:
            yield left.get_nowait()
