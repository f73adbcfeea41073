"""A model put to work in a process of its own: `python -m edgeleuk.cli._trial FOLDER`.

What opens a network is a large library in C++, and a network from elsewhere may crash it, never end, or ask for more
memory than there is; on a processor that the library was not built for, any network may. So the first to meet it is a
process that can be spared, with limits. A model passes that does everything `analyze` asks of it, on the sample.
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from pathlib import Path

import edgeleuk
from edgeleuk import zoo
from edgeleuk.errors import ModelError
from edgeleuk.rules import Reference, Rules

PATIENCE_S = 180.0
"""The sample takes 1 s on a desktop's core and about 15 s on a Raspberry Pi 4's (estimated: deploy/PERFORMANCE.md)."""
MEMORY_BYTES = 1_000_000_000
"""Of the process's own; the models that ship need 350 MB with the libraries (measured), and 300 are too few."""
BUSY_SHARE = 0.5
"""Of that time. A trial that had the processor for less was kept waiting by other programs."""
SAMPLE_UM_PER_PX = 0.1


class UnfinishedError(ModelError):
    """A model was not through with the sample in time: the computer is slow or busy, or the model never ends."""

    def __init__(self, model: zoo.Model, seconds: float, processor_seconds: float) -> None:
        self.seconds = seconds
        """It was given."""
        self.processor_seconds = processor_seconds
        """Of these it had a processor."""
        self.busy = processor_seconds < BUSY_SHARE * seconds
        """Whether other programs kept it waiting."""
        super().__init__(
            f"the {model.magnification} model {model.version[:60]} was not through with the sample after {seconds:.0f} s, "
            f"with the processor for {processor_seconds:.0f} s of them. Close other programs and try again; if that "
            "does not help, this computer is too slow for it, or it never ends."
        )


def tried(model: zoo.Model) -> None:
    """Raise ModelError unless a model works; UnfinishedError where there was too little time to tell.

    Nothing that it does can harm the process that asks.
    """
    before = _processor_seconds()
    command = [sys.executable, "-B", "-m", "edgeleuk.cli._trial", str(model.folder.resolve())]
    threads = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}  # each would have its share of the memory
    try:
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            errors="replace",
            env={**os.environ, **threads},
            # Where this package lies: the folder of the user may hold another `edgeleuk`, as a stick might.
            cwd=Path(edgeleuk.__file__).parents[1],
            timeout=PATIENCE_S,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise UnfinishedError(model, PATIENCE_S, _processor_seconds() - before) from error
    if done.returncode < 0:
        raise _failed(model, f"the process that ran it died of signal {-done.returncode}")
    if done.returncode:
        told = done.stdout.strip() or done.stderr.strip() or "no reason was given"
        raise _failed(model, told.splitlines()[-1][:500])


def work(model: zoo.Model, rules: Rules, reference: Reference) -> None:
    """Do what `analyze` does, on the sample. Raises ModelError, or whatever a malformed model makes of it."""
    import numpy as np

    from edgeleuk.judge import judge_by
    from edgeleuk.pipeline import Analyser
    from edgeleuk.sources.folder import read_picture
    from edgeleuk.tallies import tally
    from edgeleuk.types import WHITE_CELL, Scale

    if WHITE_CELL not in model.finder.classes:
        raise ModelError(f"the finder knows no {WHITE_CELL}")
    analyser = Analyser(model, threads=1)
    frame = read_picture(Path(edgeleuk.__file__).parent / "data" / "demo.jpg")
    field = analyser.analyse(frame, Scale.given(SAMPLE_UM_PER_PX))
    judge_by(model.reader, rules, reference)(tally([field], rules))
    size = model.reader.size
    crops = np.stack([np.resize(frame.pixels, (size, size, 3)), np.zeros((size, size, 3), np.uint8)])
    analyser.reader.probabilities(crops)


def _processor_seconds() -> float:
    """Of all processes that this one began and that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _failed(model: zoo.Model, why: str) -> ModelError:
    reason = why.replace(f"{model.folder.resolve()}{os.sep}", "").rstrip(".")
    return ModelError(f"the {model.magnification} model {model.version[:60]} does not work: {reason}.")


def limit() -> None:
    """No more memory than a model needs, no file written, no image of a crash left on the disk."""
    for what, most in (
        (resource.RLIMIT_DATA, MEMORY_BYTES),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_CORE, 0),
    ):
        hard = resource.getrlimit(what)[1]
        limit = most if hard == resource.RLIM_INFINITY else min(most, hard)
        resource.setrlimit(what, (limit, limit))


def told(error: Exception) -> str:
    """What the process says of the error that ended its work: its last line."""
    return str(error) if isinstance(error, ModelError) else f"{type(error).__name__}: {error}"
