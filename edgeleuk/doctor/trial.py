"""Trial run of a model in a process of its own.

The process is `python -m edgeleuk.cli._trial FOLDER`. A network is opened by a large C++ library, and a network from
elsewhere may crash it, never end, or ask for more memory than there is; on a processor that the library was not built
for, any network may. So an expendable process with limits opens it first. A model passes if it does everything that
`analyze` asks of it, on the sample.
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from pathlib import Path

import edgeleuk
from edgeleuk.differential.rules import Reference, Rules
from edgeleuk.errors import ModelError
from edgeleuk.models import registry

PATIENCE_S = 180.0
"""Time limit of a trial, seconds.

The sample takes 1 s on a desktop's core and about 15 s on a Raspberry Pi 4's (estimated: deploy/PERFORMANCE.md).
"""
MEMORY_BYTES = 1_000_000_000
"""Memory limit of the trial process, bytes.

The models that ship need 350 MB with the libraries (measured), and 300 are too few.
"""
BUSY_SHARE = 0.5
"""Minimum share of PATIENCE_S with the processor.

A trial that had the processor for less was kept waiting by other programs.
"""
SAMPLE_UM_PER_PX = 0.1


class UnfinishedError(ModelError):
    """A model that did not finish the sample in time.

    The computer is slow or busy, or the model never ends.
    """

    def __init__(self, model: registry.Model, seconds: float, processor_seconds: float) -> None:
        self.seconds = seconds
        """Time given to the trial, seconds."""
        self.processor_seconds = processor_seconds
        """Processor time used by the trial, seconds."""
        self.busy = processor_seconds < BUSY_SHARE * seconds
        """Whether other programs kept the trial waiting."""
        super().__init__(
            f"the {model.magnification} model {model.version[:60]} was not through with the sample after {seconds:.0f} s, "
            f"with the processor for {processor_seconds:.0f} s of them. Close other programs and try again; if that "
            "does not help, this computer is too slow for it, or it never ends."
        )


def tried(model: registry.Model) -> None:
    """Try a model in a separate process.

    Nothing that the model does can harm the calling process.

    Raises:
        UnfinishedError: There was too little time to tell.
        ModelError: The model does not work.
    """
    before = _processor_seconds()
    command = [sys.executable, "-B", "-m", "edgeleuk.cli._trial", str(model.folder.resolve())]
    threads = {
        "OMP_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
    }  # each thread would take its share of the memory
    try:
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            errors="replace",
            env={**os.environ, **threads},
            # Where this package lies: the user's folder may hold another `edgeleuk`, as a stick might.
            cwd=Path(edgeleuk.__file__).parents[1],
            timeout=PATIENCE_S,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise UnfinishedError(model, PATIENCE_S, _processor_seconds() - before) from error
    if done.returncode < 0:
        raise _failed(model, f"the process that ran it died of signal {-done.returncode}")
    if done.returncode:
        output = done.stdout.strip() or done.stderr.strip() or "no reason was given"
        raise _failed(model, output.splitlines()[-1][:500])


def work(model: registry.Model, rules: Rules, reference: Reference) -> None:
    """Run a model on the sample as `analyze` does.

    Args:
        model: Model to run.
        rules: Rules of the count.
        reference: Reference ranges.

    Raises:
        ModelError: The model does not work. A malformed model may raise any other error.
    """
    import numpy as np

    from edgeleuk.analysis.analyser import Analyser
    from edgeleuk.differential.for_reader import differential_function
    from edgeleuk.differential.tally import tally
    from edgeleuk.sources.pictures.reading import read_picture
    from edgeleuk.types import WHITE_CELL, Scale

    if WHITE_CELL not in model.finder.classes:
        raise ModelError(f"the finder knows no {WHITE_CELL}")
    analyser = Analyser(model, threads=1)
    frame = read_picture(Path(edgeleuk.__file__).parent / "data" / "demo.jpg")
    field = analyser.analyse(frame, Scale.given(SAMPLE_UM_PER_PX))
    differential_function(model.reader, rules, reference)(tally([field], rules))
    size = model.reader.size
    crops = np.stack([np.resize(frame.pixels, (size, size, 3)), np.zeros((size, size, 3), np.uint8)])
    analyser.reader.probabilities(crops)


def _processor_seconds() -> float:
    """Return the processor time of ended child processes, seconds."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _failed(model: registry.Model, why: str) -> ModelError:
    reason = why.replace(f"{model.folder.resolve()}{os.sep}", "").rstrip(".")
    return ModelError(f"the {model.magnification} model {model.version[:60]} does not work: {reason}.")


def limit() -> None:
    """Limit memory and file writes of this process.

    It gets no more memory than a model needs, writes no file, and leaves no core dump on the disk.
    """
    for what, most in (
        (resource.RLIMIT_DATA, MEMORY_BYTES),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_CORE, 0),
    ):
        hard = resource.getrlimit(what)[1]
        limit = most if hard == resource.RLIM_INFINITY else min(most, hard)
        resource.setrlimit(what, (limit, limit))


def describe(error: Exception) -> str:
    """Describe the error that ended a trial.

    The trial process prints this as its last line.
    """
    return str(error) if isinstance(error, ModelError) else f"{type(error).__name__}: {error}"
