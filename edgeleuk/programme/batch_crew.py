"""Workers of a batch, wherever they run; those of one machine."""

from __future__ import annotations

from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from types import TracebackType
from typing import Protocol, Self

from edgeleuk.programme.batch_answer import Answer
from edgeleuk.programme.batch_process import Processes
from edgeleuk.programme.batch_slides import Slide

Answered = tuple[Slide, Answer]


class Crew(Protocol):
    """Workers that count slides. For one thread, as a context manager."""

    @property
    def room(self) -> int:
        """Number of slides that may be started now."""

    @property
    def busy(self) -> int:
        """Number of slides that were started and are not answered."""

    def start(self, slide: Slide, *, shared: bool) -> None:
        """Start a slide.

        Args:
            slide: The slide.
            shared: Whether its pictures exist: a worker that does not see them is at fault.
        """

    def answered(self, seconds: float) -> list[Answered]:
        """Return the slides that were answered.

        The call waits for one at most `seconds`.

        Raises:
            ClusterError: The workers are lost.
        """

    def __enter__(self) -> Self: ...
    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


class LocalCrew:
    """Counting processes on this machine."""

    def __init__(self, settings: bytes, model: str, jobs: int) -> None:
        """Prepare; each process starts with its first slide.

        Args:
            settings: Packed settings of the batch.
            model: Folder of their model.
            jobs: Number of processes.
        """
        self._settings, self._model, self._jobs = settings, model, jobs
        self._processes = Processes()
        self._pool = ThreadPoolExecutor(jobs)
        self._waiting: dict[Future[Answer], Slide] = {}

    @property
    def room(self) -> int:
        return self._jobs - len(self._waiting)

    @property
    def busy(self) -> int:
        return len(self._waiting)

    def start(self, slide: Slide, *, shared: bool) -> None:  # noqa: ARG002  # there is one file system
        """Start a slide."""
        future = self._pool.submit(self._processes.count, slide.as_json(), self._settings, self._model)
        self._waiting[future] = slide

    def answered(self, seconds: float) -> list[Answered]:
        """Return the slides that were answered."""
        done = wait(self._waiting, seconds, FIRST_COMPLETED).done
        return [(self._waiting.pop(each), each.result()) for each in done]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._processes.close()
        self._pool.shutdown(wait=False, cancel_futures=True)
