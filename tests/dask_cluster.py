"""A Dask cluster of processes on this machine, as a user would start one: a scheduler and its workers."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Self

import psutil
from distributed import Client

PATIENCE_S = 120.0
QUIET = {"DASK_DISTRIBUTED__SCHEDULER__WORKER_TTL": "60s", "DASK_LOGGING__DISTRIBUTED": "error"}


class DaskCluster:
    """A scheduler process with worker processes of one thread each, as a context manager."""

    def __init__(self, folder: Path, workers: int = 1, **environment: str) -> None:
        self.folder = folder
        self.environment = {**os.environ, **QUIET, **environment}
        self.workers: list[subprocess.Popen[bytes]] = []
        self._number = workers
        self.port = 0
        self.start_scheduler()
        for _ in range(workers):
            self.start_worker()

    @property
    def address(self) -> str:
        return f"tcp://127.0.0.1:{self.port}"

    def start_scheduler(self) -> None:
        """Start it, again at the same port."""
        told = self.folder / "scheduler.json"
        told.unlink(missing_ok=True)
        self.scheduler = self._start(
            "dask_scheduler", "--host", "127.0.0.1", "--port", str(self.port), "--scheduler-file", str(told),
            "--no-dashboard", "--no-show", "--no-jupyter",
        )  # fmt: skip
        until = time.monotonic() + PATIENCE_S
        while not told.is_file() or not told.read_text():
            assert time.monotonic() < until and self.scheduler.poll() is None
            time.sleep(0.05)
        self.port = int(json.loads(told.read_text())["address"].rpartition(":")[2])

    def start_worker(self) -> None:
        """Start one more, with its nanny."""
        where = ("--host", "127.0.0.1", "--local-directory", str(self.folder / "scratch"))
        alone = ("--nthreads", "1", "--no-dashboard", "--death-timeout", "60")
        self.workers.append(self._start("dask_worker", self.address, *where, *alone))

    def wait_for(self, workers: int) -> None:
        """Wait until so many workers are there."""
        with Client(self.address, set_as_default=False) as client:
            client.wait_for_workers(workers, PATIENCE_S)

    def worker_processes(self) -> list[psutil.Process]:
        """The processes that work, below their nannies; not those that count."""
        found = []
        for nanny in self.workers:
            if nanny.poll() is None:
                below = psutil.Process(nanny.pid).children()
                found += [each for each in below if "resource_tracker" not in " ".join(each.cmdline())]
        return found

    def _start(self, program: str, *arguments: str) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", f"distributed.cli.{program}", *arguments]
        with (self.folder / f"{program}.log").open("ab") as log:
            return subprocess.Popen(
                command,
                stdout=log,
                stderr=log,
                env=self.environment,
                cwd=self.folder,  # not where another edgeleuk may lie
                start_new_session=True,
            )

    def close(self) -> None:
        for each in (*self.workers, self.scheduler):
            if each.poll() is None:
                below = psutil.Process(each.pid).children(recursive=True)
                each.kill()
                for process in below:
                    if process.is_running():
                        process.kill()
            each.wait()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
