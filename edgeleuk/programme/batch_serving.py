"""Work of a counting process.

It counts one slide after the other, with one thread.
"""

from __future__ import annotations

import hashlib
import os
import select
import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import cv2

from edgeleuk import __version__
from edgeleuk.analysis.analyser import Analyser
from edgeleuk.errors import ClusterError, EdgeleukError, ModelAlteredError
from edgeleuk.models import registry
from edgeleuk.programme.batch_answer import Answer
from edgeleuk.programme.batch_counting import JsonText, Told, count
from edgeleuk.programme.batch_process import ALIVE
from edgeleuk.programme.batch_settings import Settings, unpacked
from edgeleuk.programme.batch_slides import Slide
from edgeleuk.results.slide_result import identify
from edgeleuk.system import machine
from edgeleuk.web import wire

IDLE_S = 300
"""Time after which a process without work ends: the program that gave it work may have been killed."""
OUT_OF_MEMORY_SCORE = "500"
"""Where memory is short, Linux ends this process before the one that started it."""


class Counter:
    """Counts slides with the networks of one model, which it keeps."""

    def __init__(self, json_text: JsonText) -> None:
        """Prepare; the networks are loaded with the first slide.

        Args:
            json_text: Writes a document as `analyze` does.
        """
        self._json_text = json_text
        self._loaded: tuple[str, Settings, Analyser] | None = None

    def answer(self, told: wire.Told, alive: Callable[[], None]) -> Answer:
        """Return the answer to a request.

        `alive` is called after each picture.
        """
        if (version := told.header["version"]) != __version__:
            return Answer("unfit", text=f"has edgeleuk {__version__}, and the batch is counted by {version}")
        try:
            settings, analyser = self._ready(told.blobs[0], Path(told.header["model"]))
        except EdgeleukError as error:
            return Answer("unfit", text=f"cannot use the model: {error}")
        slide = Slide.of_json(told.header["slide"])
        try:
            return count(slide, settings, analyser, Told(self._json_text, alive), told.header["shared"])
        except ClusterError as error:
            return Answer("unfit", text=str(error))
        except OSError as error:
            return Answer(
                "unfit", text=f"cannot keep a slide's pictures while it is counted: {error.strerror}"
            )

    def _ready(self, packed: bytes, folder: Path) -> tuple[Settings, Analyser]:
        """Return the settings with their model opened.

        Raises:
            ModelError: The folder does not hold the model of the settings.
        """
        key = hashlib.sha256(packed).hexdigest()
        if self._loaded is None or self._loaded[0] != key:
            self._loaded = None  # the old networks go before the new ones come
            settings = unpacked(packed)
            model = registry.load_folder(folder)
            if identify(model) != settings.model:
                raise ModelAlteredError(f"{folder} holds another model than the batch began with.")
            analyser = Analyser(model, 1, profile=settings.profile, refusing=settings.refusing)
            self._loaded = key, settings, analyser
        return self._loaded[1], self._loaded[2]


def serve(server: socket.socket, json_text: JsonText) -> None:
    """Count slides until the other end closes the connection.

    It also ends when no work comes for a while.
    """
    cv2.setNumThreads(1)
    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text(OUT_OF_MEMORY_SCORE, encoding="ascii")
    counter = Counter(json_text)
    threading.Thread(target=_end_with, args=(server,), daemon=True).start()
    with suppress(wire.BrokenError, BrokenPipeError, ConnectionResetError):
        alive = partial(wire.send, server, {"state": ALIVE})
        alive()
        while select.select([server], [], [], IDLE_S)[0]:
            answer = counter.answer(wire.receive(server), alive)
            header: dict[str, Any] = {"state": answer.state, "row": dict(answer.row), "text": answer.text}
            wire.send(
                server, header | {"seconds": answer.seconds, "fetched": answer.fetched}, [answer.content]
            )
            machine.give_back()


def _end_with(server: socket.socket, leave: Callable[[int], object] = os._exit) -> None:
    """End the process when the other end is gone.

    This also ends it in the middle of a slide.
    """
    watch = select.poll()
    watch.register(server, 0)  # a closed connection is always reported
    watch.poll()
    leave(0)
