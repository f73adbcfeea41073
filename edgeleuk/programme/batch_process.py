"""The program's end of the processes that count slides.

A slide that ends its process costs that process alone. A worker of a cluster starts the same processes as the program
does on one machine.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import edgeleuk
from edgeleuk import __version__
from edgeleuk.programme.batch_answer import Answer
from edgeleuk.web import wire

ALIVE = "alive"
"""State of a message that a picture was done."""
STALL_S = 900.0
"""Longest time between two pictures: ten times what the largest takes on a Raspberry Pi."""
PATIENCE_S = 10.0
"""Time in which a process ends by itself when its connection is closed."""
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
"""Variables that limit the threads of numerical libraries."""


class CountingProcess:
    """One process that counts slides, started when there is one."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._socket: socket.socket | None = None
        self._ended = False

    def count(self, slide: Mapping[str, Any], settings: bytes, model: str, *, shared: bool) -> Answer:
        """Count a slide.

        Args:
            slide: The slide as JSON has it.
            settings: Packed settings of the batch.
            model: Folder of their model.
            shared: Whether an absent path is this machine's fault, see `batch_counting.count`.
        """
        header = {"slide": slide, "model": model, "shared": shared, "version": __version__}
        while not self._ended:
            fresh = self._socket is None
            if fresh and (fault := self._start()):
                return Answer("unfit", text=fault)
            assert self._socket
            try:
                wire.send(self._socket, header, [settings])
                while (told := wire.receive(self._socket)).header.get("state") == ALIVE:
                    pass
                return _answer(told)
            except TimeoutError:
                self._kill()
                return Answer("died", text=f"no picture was done in {STALL_S:.0f} s")
            except (wire.BrokenError, OSError):
                code = self._close()
                if fresh or code != 0:  # 0: it had no work for a while, and ended just now
                    return Answer("died", text=_how(code))
        return Answer("died", text="it was ended")

    def _kill(self) -> None:
        if self._process:
            self._process.kill()
        self._close()

    def end(self, *, idle: bool) -> None:
        """End the process for good.

        Args:
            idle: Whether no thread waits for an answer. Otherwise that thread closes the connection.
        """
        self._ended = True
        if process := self._process:
            process.kill()
            process.wait()
        if idle:
            self._close()

    def _close(self) -> int:
        """Let the process end and return its exit code.

        The code is negative for a signal.
        """
        if self._socket:
            self._socket.close()
            self._socket = None
        if not self._process:
            return 0
        try:
            code = self._process.wait(timeout=PATIENCE_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            code = self._process.wait()
        self._process = None
        return code

    def _start(self) -> str:
        """Start the process; return why it could not be started."""
        ours, theirs = socket.socketpair()
        command = [sys.executable, "-B", "-m", "edgeleuk.cli._batch_process", str(theirs.fileno())]
        try:
            self._process = subprocess.Popen(
                command,
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=None if os.environ.get("EDGELEUK_DEBUG") else subprocess.DEVNULL,
                env={**os.environ, **dict.fromkeys(THREADS, "1")},
                # Where this package lies: the user's folder may hold another `edgeleuk`.
                cwd=Path(edgeleuk.__file__).parents[1],
                start_new_session=True,
            )
        except OSError as error:
            ours.close()
            return f"cannot start a process: {error.strerror}"
        finally:
            theirs.close()
        self._socket = ours
        ours.settimeout(STALL_S)
        try:
            wire.receive(ours)  # the process is ready
        except (wire.BrokenError, OSError):
            return f"cannot start a process that counts ({_how(self._close())})"
        return ""


def _answer(told: wire.Told) -> Answer:
    """Return the answer that a process sent.

    Raises:
        BrokenError: It has not the form of one.
    """
    said = told.header
    try:
        return Answer(
            said["state"],
            said["row"],
            told.blobs[0],
            said["text"],
            float(said["seconds"]),
            int(said["fetched"]),
        )
    except (LookupError, TypeError, ValueError) as error:
        raise wire.BrokenError("an answer has not the form of one") from error


def _how(code: int) -> str:
    """Return in a clause how a process ended."""
    if code >= 0:
        return f"exit code {code}"
    with suppress(ValueError):
        return signal.Signals(-code).name
    return f"signal {-code}"


class Processes:
    """Counting processes of one machine: as many as threads ask for one.

    May be used from several threads.
    """

    def __init__(self) -> None:
        self._idle: list[CountingProcess] = []
        self._all: set[CountingProcess] = set()
        self._lock = threading.Lock()

    def count(self, slide: Mapping[str, Any], settings: bytes, model: str, *, shared: bool = False) -> Answer:
        """Count a slide in a process that is free.

        The arguments are those of `CountingProcess.count`.
        """
        with self._lock:
            process = self._idle.pop() if self._idle else CountingProcess()
            self._all.add(process)
        answer = process.count(slide, settings, model, shared=shared)
        with self._lock:
            self._idle.append(process)
        return answer

    def close(self) -> None:
        """End all processes."""
        with self._lock:
            for each in self._all:
                each.end(idle=each in self._idle)
            self._all.clear()
            self._idle.clear()
