"""Counting of many slides.

Each is counted once, whatever becomes of a worker, the program or the disk.
"""

from __future__ import annotations

import time
import zlib
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from edgeleuk.errors import ClusterError, UnforeseenError
from edgeleuk.programme.batch_answer import Answer
from edgeleuk.programme.batch_crew import Crew
from edgeleuk.programme.batch_ledger import Ledger
from edgeleuk.programme.batch_slides import Slide, inputs_key
from edgeleuk.render import slides_table
from edgeleuk.render.identity import Identity
from edgeleuk.system import file_io

TRIES = 3
"""Number of times that a slide may end its process, or lose its worker."""
WAIT_S = 0.5
"""Longest wait for an answer before a request to end is looked at."""
TOLD = 20
"""Maximum number of failed slides that are kept with their reason."""


@dataclass
class Progress:
    """State of a batch."""

    slides: int
    """Number of slides of the batch."""
    before: int = 0
    """Slides with an outcome of an earlier run."""
    counted: int = 0
    """Slides counted in this run."""
    failed: int = 0
    """Slides of this run that could not be counted."""
    changed: int = 0
    """Slides of an earlier run whose pictures are others now; they are counted again."""
    retried: int = 0
    """Attempts that ended their process or lost their worker."""
    seconds: float = 0.0
    """Processor time of the slides of this run, of all workers."""
    fetched: int = 0
    """Bytes fetched from addresses."""
    received: int = 0
    """Bytes of compressed results from workers."""
    failures: list[tuple[str, int, str]] = field(default_factory=list)
    """Slide, exit code and reason of the first failed ones."""
    begun: float = field(default_factory=time.monotonic)

    @property
    def done(self) -> int:
        return self.before + self.counted + self.failed

    @property
    def left(self) -> int:
        return self.slides - self.done

    @property
    def seconds_left(self) -> float | None:
        """Time left at the pace of this run, seconds.

        None until a slide was done.
        """
        now = self.counted + self.failed
        return (time.monotonic() - self.begun) / now * self.left if now else None


class BatchRun:
    """One run over the slides of a batch."""

    def __init__(self, ledger: Ledger, crew: Crew, progress: Progress, again: bool = False) -> None:
        """Prepare.

        Args:
            ledger: Folder of the results.
            crew: Workers.
            progress: State to keep up to date.
            again: Whether slides that failed before are tried again.
        """
        self._ledger, self._crew, self.progress, self._again = ledger, crew, progress, again
        self._inputs: dict[str, str] = {}
        """Keys of the pictures of slides in work, by their id."""
        self._tries: dict[str, int] = {}
        self._repeated: deque[Slide] = deque()

    def run(
        self, slides: Sequence[Slide], step: Callable[[], None], stopped: Callable[[], bool] = lambda: False
    ) -> None:
        """Count the slides that have no outcome.

        Args:
            slides: Slides of the batch, or of its part.
            step: Called often, when the progress may have changed.
            stopped: Once it returns True, the slides already begun are the last ones.

        Raises:
            OutputError: A result cannot be written.
            ClusterError: The workers are lost, or one cannot count; its name is said.
        """
        coming = self._coming(slides, stopped)
        while True:
            while self._crew.room > 0 and not stopped():
                # Slides that ended a process come last: they may end others.
                slide = next(coming, None) or (self._repeated.popleft() if self._repeated else None)
                if slide is None:
                    break
                self._crew.start(slide, shared=True)
            if not self._crew.busy:
                if stopped() or not self._repeated:
                    return
                continue
            for slide, answer in self._crew.answered(WAIT_S):
                self._take(slide, answer)
            step()

    def _coming(self, slides: Sequence[Slide], stopped: Callable[[], bool]) -> Iterator[Slide]:
        """Yield the slides to count."""
        for slide in slides:
            if stopped():
                return
            inputs = inputs_key(slide.paths)
            before = self._ledger.entry(slide)
            if before and before.inputs == inputs and not (self._again and before.code):
                self.progress.before += 1
                continue
            self.progress.changed += before is not None and before.inputs != inputs
            self._inputs[slide.id] = inputs
            yield slide

    def _take(self, slide: Slide, answer: Answer) -> None:
        """Keep an answer, or try the slide again."""
        self.progress.seconds += answer.seconds
        self.progress.fetched += answer.fetched
        if answer.state == "done":
            self._keep(slide, dict(answer.row), answer.content)
        elif answer.state == "died":
            self._tries[slide.id] = self._tries.get(slide.id, 0) + 1
            self.progress.retried += 1
            if self._tries[slide.id] < TRIES:
                self._repeated.append(slide)
            else:
                self._give_up(slide, answer)
        elif answer.state == "unseen":
            self._unseen(slide, answer)
        else:
            raise ClusterError(
                f"{_worker(answer)} {answer.text}. Correct that, then run the same command again: what is done is kept."
            )

    def _unseen(self, slide: Slide, answer: Answer) -> None:
        """Take that a worker does not see a slide's pictures.

        Raises:
            ClusterError: They are visible here.
        """
        if not file_io.is_absent(Path(answer.text)):
            raise ClusterError(
                f"{_worker(answer)} does not see {answer.text}. Mount the file system at the same place there, then run the "
                "same command again: what is done is kept."
            )
        self._crew.start(slide, shared=False)  # removed meanwhile: the failure is the slide's

    def _give_up(self, slide: Slide, answer: Answer) -> None:
        facts = slide.facts
        error = UnforeseenError(
            f"slide {slide.name} was given up: the process that counted it ended {TRIES} times ({answer.text}). It may "
            "need more memory than there is, or hold a picture that a decoder does not survive. Analyse its pictures one "
            "by one to find it."
        )
        row = slides_table.failed(Identity(facts.site, facts.device, slide.name), error, slide.source)
        self._keep(slide, row, b"")

    def _keep(self, slide: Slide, row: dict[str, Any], content: bytes) -> None:
        text = zlib.decompress(content) if content else b""
        self._ledger.add(slide, self._inputs.pop(slide.id), row, text)
        self._tries.pop(slide.id, None)
        self.progress.received += len(content)
        if not row["exit_code"]:
            self.progress.counted += 1
            return
        self.progress.failed += 1
        if len(self.progress.failures) < TOLD:
            self.progress.failures.append((slide.name, row["exit_code"], str(row["verdict_text"])))


def _worker(answer: Answer) -> str:
    return f"worker {answer.worker}" if answer.worker else "this machine"
