"""The server's end of the process that analyses pictures."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path

import edgeleuk
from edgeleuk.errors import EdgeleukError, InputError, RecordError
from edgeleuk.results.codec import decode, encode
from edgeleuk.types import CountedField, Refusal
from edgeleuk.web import wire
from edgeleuk.web.limits import Limits

_PATH = re.compile(r"/proc/self/fd/\d+")
START_SECONDS = 120.0
"""Time for the first picture beside its own: the process loads libraries and networks."""


@dataclass(frozen=True, slots=True)
class Picture:
    """Picture to analyse, of one slide."""

    descriptor: int
    """Open file that holds it."""
    label: str
    """Name for people, not yet used on the slide; no path."""
    session: str
    """Session of the slide; empty for a new one."""
    number: int
    """Number of fields of the slide so far."""
    magnification: str
    um_per_px: float | None = None
    profile: str | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """Outcome of one picture."""

    counted: CountedField | None
    view: bytes = b""
    """The field's picture for the pages, JPEG."""
    refused: Refusal | None = None


class Analysis:
    """One process that analyses pictures, started when there is one.

    A process that dies or takes too long costs its picture, and the next one gets a new process. May be used from
    several threads; pictures wait for each other.
    """

    def __init__(self, limits: Limits, rules: Path | None = None, reference: Path | None = None) -> None:
        """Prepare; the process starts with the first picture.

        Args:
            limits: Its memory and time.
            rules: File of rules; None for those that ship.
            reference: File of reference ranges; None for those that ship.
        """
        self._limits = limits
        self._files = [str(each.resolve()) if each else "" for each in (rules, reference)]
        self._process: subprocess.Popen[bytes] | None = None
        self._socket: socket.socket | None = None
        self._holds = ("", -1)
        """Session and number of fields that the process has on its map."""
        self._lock = threading.Lock()

    def run(self, picture: Picture, fields: Callable[[], Iterable[CountedField]]) -> Outcome:
        """Analyse a picture.

        Args:
            picture: The picture.
            fields: Returns the counted fields of its slide so far, if the process does not have them.

        Raises:
            EdgeleukError: The process did not survive it, or took too long.
        """
        with self._lock:
            fresh = self._process is None or self._process.poll() is not None
            try:
                outcome = _outcome(self._tried(picture, fields, fresh), picture)
            except TimeoutError as error:
                self._end()
                raise InputError(
                    f"{picture.label} was not analysed within {self._limits.analysis_seconds:.0f} s, and was given up."
                    " Take it again, smaller."
                ) from error
            except (wire.BrokenError, OSError, RecordError) as error:
                self._end()
                raise InputError(
                    f"{picture.label} could not be analysed: it asked for more memory than a picture needs, or is damaged."
                    " Take it again."
                ) from error
            self._holds = (picture.session, picture.number + (outcome.counted is not None))
            return outcome

    def _tried(
        self, picture: Picture, fields: Callable[[], Iterable[CountedField]], fresh: bool
    ) -> wire.Told:
        """Return the process's answer.

        A process that is gone without a fault of the picture's is replaced once.
        """
        if not fresh:
            try:
                return self._asked(picture, self._holds != (picture.session, picture.number), fields, 0.0)
            except (wire.BrokenError, OSError) as error:
                if isinstance(error, TimeoutError):
                    raise
        self._start()
        return self._asked(picture, True, fields, START_SECONDS)

    def kept_as(self, session: str) -> None:
        """Tell which session the slide on the map was kept as."""
        self._holds = (session, self._holds[1])

    def forget(self) -> None:
        """Let the next picture bring its slide anew.

        This is needed after a field that could not be kept.
        """
        self._holds = ("", -1)

    def close(self) -> None:
        """End the process. Safe to call twice."""
        self._end()

    @property
    def pid(self) -> int | None:
        """Process id; None while there is no process."""
        return self._process.pid if self._process and self._process.poll() is None else None

    def _asked(
        self, picture: Picture, anew: bool, fields: Callable[[], Iterable[CountedField]], more: float
    ) -> wire.Told:
        server = self._socket
        assert server
        known = [encode(replace(each, crops={})) for each in fields()] if anew and picture.number else []
        server.settimeout(self._limits.analysis_seconds + more)
        header = {
            "anew": anew,
            "magnification": picture.magnification,
            "um_per_px": picture.um_per_px,
            "profile": picture.profile,
        }
        wire.send(server, header, known, picture.descriptor)
        return wire.receive(server)

    def _start(self) -> None:
        self._end()
        ours, theirs = socket.socketpair()
        command = [sys.executable, "-B", "-m", "edgeleuk.cli._picture_worker"]
        try:
            self._process = subprocess.Popen(
                [*command, str(theirs.fileno()), str(self._limits.analysis_bytes), *self._files],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=None if os.environ.get("EDGELEUK_DEBUG") else subprocess.DEVNULL,
                # Where this package lies: the user's folder may hold another `edgeleuk`, as a stick might.
                cwd=Path(edgeleuk.__file__).parents[1],
                start_new_session=True,
            )
        except OSError as error:
            ours.close()
            raise EdgeleukError(f"the analysis cannot be started: {error.strerror}.") from error
        finally:
            theirs.close()
        self._socket = ours

    def _end(self) -> None:
        if self._socket:
            self._socket.close()
            self._socket = None
        if self._process:
            self._process.kill()
            self._process.wait()
            self._process = None
        self.forget()


def _outcome(told: wire.Told, picture: Picture) -> Outcome:
    """Return what the process made of a picture.

    The outcome has the picture's own name.

    Raises:
        RecordError: The answer has not the form of one.
    """
    if not told.header.get("counted"):
        text = _renamed(str(told.header.get("text", "")), picture.label)
        if not told.blobs:
            raise InputError(text)
        refused = decode(told.blobs[0], Refusal)
        findings = tuple(replace(each, text=_renamed(each.text, picture.label)) for each in refused.findings)
        return Outcome(
            None,
            refused=replace(
                refused, name=picture.label, text=_renamed(refused.text, picture.label), findings=findings
            ),
        )
    if len(told.blobs) != 2:
        raise RecordError("an answer of the analysis has not the form of one.")
    counted = decode(told.blobs[0], CountedField)
    if counted.number != picture.number + 1:
        raise RecordError("an answer of the analysis is of another field.")
    return Outcome(replace(counted, field=replace(counted.field, name=picture.label)), told.blobs[1])


def _renamed(text: str, label: str) -> str:
    """Replace the process's name of the picture in a sentence."""
    return _PATH.sub(lambda _: label, text)
