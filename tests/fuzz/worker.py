"""A process that reads one input after the other and measures each: what came of it, how long it took, its memory."""

from __future__ import annotations

import json
import os
import resource
import sys
import tempfile
import time
import traceback
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import cv2

from edgeleuk.errors import EdgeleukError
from edgeleuk.system.machine import give_back

from .kinds import KINDS, made
from .targets import emptied

MOST_MB = 500.0
"""Memory that an input may take beyond what the process had."""
MOST_S = 5.0
"""Of processor time: other programs share the machine. What waits is ended after `campaign.HUNG_S` by the clock."""
LIMIT_BYTES = 8 << 30
"""Of address space beyond what the process has: what asks for more is refused it, as on a small computer."""
MOST_LETTERS = 25_000
"""Of a message for a person: 2000, each written as an escape."""
STEERING = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
"""Unicode categories of what moves a cursor, breaks a line or turns the direction of writing; joiners do not."""
PROC = Path("/proc/self")


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of one input."""

    kind: str
    seed: int
    accepted: bool
    """Whether it was read; a refusal is no fault."""
    seconds: float
    """Of processor time; by the clock where it had to be ended."""
    mb: float
    """The most memory at any time beyond what there was before, megabytes."""
    fault: str = ""
    """What went wrong, in a line; empty where nothing did."""
    trace: str = ""

    @property
    def name(self) -> str:
        """By which `--only` makes it again."""
        return f"{self.kind}:{self.seed}"


def run(kind: str, seed: int, folder: Path) -> Outcome:
    """Make an input and read it."""
    data = made(kind, seed)
    fault, trace, accepted = "", "", False
    with _said() as said:
        give_back()  # what an earlier input had would hide what this one takes
        before = _memory_mb("VmRSS")
        (PROC / "clear_refs").write_text("5")  # the peak begins anew (proc(5))
        began = time.process_time()
        try:
            KINDS[kind].target(data, folder)
            accepted = True
        except EdgeleukError as error:
            fault = _badly_told(str(error).replace(str(folder), "FOLDER"))
        except BaseException as error:  # noqa: BLE001  # it is what is sought, of whatever kind
            fault, trace = _told(error).replace(str(folder), "FOLDER"), traceback.format_exc(limit=-12)
        seconds = time.process_time() - began
        mb = max(0.0, _memory_mb("VmHWM") - before)
    emptied(folder)
    if not fault and mb > MOST_MB:
        fault = f"took {mb:.0f} MB"
    if not fault and seconds > MOST_S:
        fault = f"took {seconds:.1f} s"
    if not fault and said:
        fault = f"a library wrote on standard error: {said[0][:80]}"
    return Outcome(kind, seed, accepted, round(seconds, 4), round(mb, 1), fault, trace)


def _badly_told(message: str) -> str:
    """What is wrong with a message for a person: letters that steer a terminal, or more than anybody reads."""
    steering = {each for each in message if unicodedata.category(each) in STEERING} - {"\u200c", "\u200d"}
    if steering:
        return f"a message with control characters: {message[:80]!r}"
    return f"a message of {len(message)} letters" if len(message) > MOST_LETTERS else ""


def _told(error: BaseException) -> str:
    last = traceback.extract_tb(error.__traceback__)
    ours = [each for each in last if "edgeleuk" in each.filename] or last
    place = f"{Path(ours[-1].filename).name}:{ours[-1].name}"
    return f"{type(error).__name__} from {place}: {str(error)[:80]!r}"


@contextmanager
def _said() -> Iterator[list[str]]:
    """What libraries write on standard error meanwhile, which passes Python by."""
    lines: list[str] = []
    kept = os.dup(2)
    with tempfile.TemporaryFile() as file:
        os.dup2(file.fileno(), 2)
        try:
            yield lines
        finally:
            os.dup2(kept, 2)
            os.close(kept)
            file.seek(0)
            lines += file.read(4000).decode(errors="replace").splitlines()


def _memory_mb(which: str) -> float:
    lines = (PROC / "status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(which)) * 1024 / 1e6


def serve() -> None:
    """Read a kind and a seed from each line of the input, and write the outcome as a line of JSON."""
    cv2.setNumThreads(1)  # one worker a core
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what a library prints is no answer
    size = int((PROC / "statm").read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE")
    resource.setrlimit(resource.RLIMIT_AS, (size + LIMIT_BYTES, size + LIMIT_BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with tempfile.TemporaryDirectory(prefix="fuzz-") as folder:
        os.environ |= {"EDGELEUK_SESSIONS": f"{folder}/none.db", "EDGELEUK_MODEL_STORE": f"{folder}/none"}
        for line in sys.stdin:
            kind, seed = line.split()
            answers.write(json.dumps(asdict(run(kind, int(seed), Path(folder)))) + "\n")
            answers.flush()


if __name__ == "__main__":
    serve()
