"""Workers of a batch on a Dask cluster.

The only connection that is opened is the one to the scheduler: results come through it, too. Deployments for SLURM,
Kubernetes or SSH are Dask's own.
"""

from __future__ import annotations

import logging
import queue
import re
import time
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import suppress
from types import TracebackType
from typing import Any, Self

from edgeleuk import __version__
from edgeleuk.errors import ClusterError, MissingExtraError, UsageError
from edgeleuk.models.registry import Model
from edgeleuk.programme.batch_answer import Answer
from edgeleuk.programme.batch_crew import Answered
from edgeleuk.programme.batch_models import Shipment
from edgeleuk.programme.batch_settings import Settings, packed
from edgeleuk.programme.batch_slides import Slide

INSTALL = "pip install 'edgeleuk[cluster]'"
ADDRESS = re.compile(r"(tcp|tls|ws|wss|ucx)://[^/\s]+:\d{1,5}")
"""Form of a scheduler's address."""
CONNECT_S = 15
"""Time in which the scheduler must answer."""
ASKED_S = 5.0
"""Time between two questions for the number of workers."""
PER_THREAD = 2
"""Slides in work for each thread of the workers, so that none waits for the next one."""
MOST_SHIPMENTS = 20
"""Maximum number of times that a worker gets the model: each time its nanny restarted it."""
AGAIN = "Run the same command again: what is done is kept."


class ClusterCrew:
    """Workers of a Dask cluster. For one thread."""

    def __init__(self, address: str, settings: Settings, model: Model, tell: Callable[[str], None]) -> None:
        """Connect to the scheduler and check its workers.

        The model is shipped to the workers that lack it.

        Args:
            address: Address of the scheduler, as tcp://host:8786.
            settings: Settings of the batch.
            model: Their model.
            tell: Called with notices for the user.

        Raises:
            MissingExtraError: Dask is not installed.
            ClusterError: The scheduler does not answer, or a worker cannot count.
        """
        self._address, self._tell = address, tell
        self._settings, self._model = packed(settings), settings.model.manifest_sha256
        self._shipment = Shipment.of(model, settings.model)
        self._threads, self._asked, self._told = 0, 0.0, False
        self._number = 0
        self._waiting: dict[str, tuple[Any, Slide, bool]] = {}
        """Dask's future, slide and whether its pictures are shared, by Dask's key."""
        self._shipped: Counter[str] = Counter()
        self._ready: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._client = _connected(address)
        try:
            self._check_workers()
        except BaseException:
            self._client.close(timeout=1)
            raise

    @property
    def room(self) -> int:
        """Number of slides that may be started now."""
        if time.monotonic() - self._asked > ASKED_S:
            self._asked = time.monotonic()
            with self._reaching():
                self._threads = sum(self._client.nthreads().values())
            if not self._threads and not self._told:
                self._tell(f"the scheduler {self._address} has no workers now; waiting for them.")
            self._told = not self._threads
        return max(1, PER_THREAD * self._threads) - len(self._waiting)

    @property
    def busy(self) -> int:
        return len(self._waiting)

    def start(self, slide: Slide, *, shared: bool) -> None:
        """Start a slide."""
        from edgeleuk.programme import batch_on_worker

        self._number += 1
        key = f"edgeleuk-{slide.id}-{self._number}-{time.time_ns()}"
        with self._reaching():
            future = self._client.submit(
                batch_on_worker.count, slide.as_json(), self._settings, self._model, shared, __version__,
                key=key, pure=False,
            )  # fmt: skip
        self._waiting[key] = (future, slide, shared)
        future.add_done_callback(lambda done: self._ready.put(done.key))

    def answered(self, seconds: float) -> list[Answered]:
        """Return the slides that were answered.

        Raises:
            ClusterError: The scheduler is lost, or a worker cannot run edgeleuk.
        """
        if self._client.status != "running":
            raise self._lost()
        keys: list[str] = []
        with suppress(queue.Empty):
            keys.append(self._ready.get(timeout=seconds))
            while True:
                keys.append(self._ready.get_nowait())
        found: list[Answered] = []
        taken = [self._waiting.pop(each) for each in keys]
        for (_, slide, shared), answer in zip(taken, self._answers([each[0] for each in taken]), strict=True):
            if answer.state == "lacks":
                self._ship(answer.worker)
                self.start(slide, shared=shared)
            else:
                found.append((slide, answer))
        return found

    def _answers(self, futures: list[Any]) -> list[Answer]:
        """Return the answers of finished work, those of all in one message."""
        from distributed import KilledWorker

        done = [each for each in futures if each.status == "finished"]
        with self._reaching():
            answers = dict(zip((each.key for each in done), self._client.gather(done), strict=True))
        for each in futures:
            if each.key in answers:
                continue
            try:
                with self._reaching():
                    answers[each.key] = each.result()
            except KilledWorker as error:
                last = str(error.last_worker.address)
                answers[each.key] = Answer("died", text="its worker was lost", worker=last)
        return [answers[each.key] for each in futures]

    def _check_workers(self) -> None:
        """Check the versions of the workers that are there.

        Those that come later are checked with each slide.

        Raises:
            ClusterError: A worker has no edgeleuk, or another version.
        """
        from edgeleuk.programme import batch_on_worker

        with self._reaching():
            told = self._client.run(batch_on_worker.about, self._model, on_error="return")
        ours = batch_on_worker.libraries()
        for worker, said in told.items():
            if not isinstance(said, Mapping):
                raise ClusterError(
                    f"worker {worker} cannot run edgeleuk {__version__} ({_first_line(said)}). Install the same version "
                    "there."
                )
            if said["edgeleuk"] != __version__:
                raise ClusterError(
                    f"worker {worker} {batch_on_worker.mismatch(said['edgeleuk'], __version__)}."
                )
            if other := [name for name in ours if ours[name] != said["libraries"].get(name)]:
                versions = ", ".join(
                    f"{name} {said['libraries'].get(name)}, here {ours[name]}" for name in other
                )
                self._tell(f"worker {worker} has other libraries ({versions}): last digits may differ.")
        for worker in (name for name, said in told.items() if not said["has"]):
            self._ship(worker)

    def _ship(self, worker: str) -> None:
        """Send the model to a worker.

        Raises:
            ClusterError: The worker cannot keep it, or loses it again and again.
        """
        from edgeleuk.programme import batch_on_worker

        self._shipped[worker] += 1
        if self._shipped[worker] > MOST_SHIPMENTS:
            raise ClusterError(
                f"worker {worker} has no model, though it was sent {MOST_SHIPMENTS} times. {AGAIN}"
            )
        self._tell(f"sending the model to worker {worker} ({self._shipment.size / 1e6:.1f} MB)")
        with self._reaching():
            told = self._client.run(batch_on_worker.take, self._shipment, workers=[worker], on_error="return")
        # A worker that is gone by now is replaced by others.
        if (fault := told.get(worker, "")) and not isinstance(fault, OSError):
            raise ClusterError(f"worker {worker} cannot keep the model: {_first_line(fault)} {AGAIN}")

    def _reaching(self) -> _Reaching:
        return _Reaching(self)

    def _lost(self) -> ClusterError:
        return ClusterError(f"the connection to the scheduler {self._address} is lost. {AGAIN}")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        from edgeleuk.programme import batch_on_worker

        with suppress(Exception):
            if self._client.status == "running":
                self._client.cancel([future for future, _, _ in self._waiting.values()])
                self._client.run(batch_on_worker.release, on_error="ignore")
        with suppress(Exception):
            self._client.close(timeout=2)


class _Reaching:
    """Translates the errors of Dask, as a context manager."""

    def __init__(self, crew: ClusterCrew) -> None:
        self._crew = crew

    def __enter__(self) -> None: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Raise a ClusterError in place of any other.

        Raises:
            ClusterError: The scheduler is lost, or a worker cannot run a function.
        """
        from concurrent.futures import CancelledError

        from distributed import KilledWorker
        from distributed.client import FutureCancelledError

        if (
            error is None
            or isinstance(error, ClusterError | KilledWorker)
            or not isinstance(error, Exception)
        ):
            return
        lost = (OSError, TimeoutError, CancelledError, FutureCancelledError)
        if isinstance(error, lost) or self._crew._client.status != "running":
            raise self._crew._lost() from error
        raise ClusterError(
            f"the scheduler or a worker cannot run edgeleuk {__version__} ({_first_line(error)}). Install the same version on "
            "the scheduler and every worker, then run the same command again: what is done is kept."
        ) from error


def _connected(address: str) -> Any:
    """Return a client of a scheduler.

    Raises:
        MissingExtraError: Dask is not installed.
        ClusterError: The scheduler does not answer.
        UsageError: The address has not the form of one.
    """
    if not ADDRESS.fullmatch(
        address
    ):  # before a client is made: a failed one ends with a traceback of its own
        raise UsageError(f"{address} is no address of a scheduler. Write it as tcp://host:8786.")
    try:
        from distributed import Client
    except ImportError as error:
        raise MissingExtraError(f"a cluster needs the extra `cluster`. Install it: {INSTALL}") from error
    logging.getLogger("distributed").setLevel(logging.CRITICAL)  # a lost scheduler is told once, by us
    try:
        return Client(  # type: ignore[no-untyped-call]
            address, timeout=CONNECT_S, set_as_default=False, direct_to_workers=False
        )
    except (OSError, TimeoutError) as error:
        raise ClusterError(
            f"the scheduler {address} does not answer ({_first_line(error)}). Check that it runs and that its address "
            "is right."
        ) from error
    except (ValueError, TypeError) as error:
        raise UsageError(f"{address} is no address of a scheduler. Write it as tcp://host:8786.") from error


def _first_line(error: object) -> str:
    return (str(error) or type(error).__name__).splitlines()[0][:200]
