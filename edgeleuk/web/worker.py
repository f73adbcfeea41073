"""Process that decodes and analyses pictures from strangers.

It has bounded memory, writes no file, and holds no secret. It takes one picture at a time, finds its place on the map of
its slide, and answers with the counted field, or with why there is none. It dies with the server.
"""

from __future__ import annotations

import os
import resource
import socket
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from edgeleuk.analysis.analyser import Analyser
from edgeleuk.counting.scale_policy import ScalePolicy
from edgeleuk.counting.slide import SlideCount, SlideOptions
from edgeleuk.device import profiles
from edgeleuk.differential.rules import Reference, Rules
from edgeleuk.models import registry
from edgeleuk.results.codec import decode, encode
from edgeleuk.system import machine
from edgeleuk.system.faults import to_user_error
from edgeleuk.types import CountedField, Frame, PictureFile, Scale
from edgeleuk.web import wire
from edgeleuk.web.view_picture import view_of


@dataclass(frozen=True, slots=True)
class Setting:
    """What the pictures of a slide were taken with."""

    magnification: str
    um_per_px: float | None = None
    profile: str | None = None


class Worker:
    """Analysis of one picture after another.

    It keeps the networks and the map of the slide before.
    """

    def __init__(self, rules: Rules, reference: Reference, load: Callable[[str], registry.Model]) -> None:
        """Prepare the analysis.

        Args:
            rules: Rules of counting.
            reference: Reference ranges.
            load: Returns the model for an objective.
        """
        self._rules, self._reference, self._load = rules, reference, load
        self._analyser: tuple[tuple[str, str | None], Analyser] | None = None
        self._slide: SlideCount | None = None

    def serve(self, server: socket.socket) -> None:
        """Answer until the server closes the connection."""
        with suppress(wire.BrokenError, BrokenPipeError, ConnectionResetError):
            while True:
                told = wire.receive(server)
                try:
                    self._answer(server, told)
                finally:
                    if told.descriptor is not None:
                        os.close(told.descriptor)
                    machine.give_back()

    def _answer(self, server: socket.socket, told: wire.Told) -> None:
        path = f"/proc/self/fd/{told.descriptor}"
        try:
            if told.header["anew"]:
                self._slide = None
                self._slide = self._restored(told)
            if self._slide is None:
                raise RuntimeError("no slide was begun")
            counted, frame = _counted(self._slide, path)
        except Exception as error:  # noqa: BLE001  # whatever a decoder or a network raises costs this picture
            found = to_user_error(error, path)
            left_out = self._slide.refuse(path, found) if self._slide else None
            wire.send(server, {"counted": False, "text": str(found)}, [encode(left_out)] if left_out else [])
            return
        wire.send(server, {"counted": True}, [encode(counted), view_of(frame)])

    def _restored(self, told: wire.Told) -> SlideCount:
        """Return the slide as the server knows it.

        It is a new one, or one with its fields so far.
        """
        header = told.header
        setting = Setting(header["magnification"], header["um_per_px"], header["profile"])
        analyser = self._analyser_for(setting)
        given = None if setting.um_per_px is None else Scale.given(setting.um_per_px)
        policy = ScalePolicy(analyser, given)
        slide = SlideCount(analyser, self._rules, self._reference, policy, SlideOptions())
        if told.blobs:
            slide.restore((decode(each, CountedField) for each in told.blobs), {})
        return slide

    def _analyser_for(self, setting: Setting) -> Analyser:
        key = setting.magnification, setting.profile
        if self._analyser is None or self._analyser[0] != key:
            self._analyser = None  # the old networks go before the new ones come
            profile = profiles.load(setting.profile) if setting.profile else None
            model = self._load(setting.magnification)
            self._analyser = key, Analyser(model, profile=profile, refusing=True)
        return self._analyser[1]


def _counted(slide: SlideCount, path: str) -> tuple[CountedField, Frame]:
    """Count the picture at a path.

    Raises:
        EdgeleukError: It is not counted.
    """
    seen = slide.scale.read(PictureFile(Path(path)))
    examined, counted = slide.count_examined(slide.examine(seen))
    return counted, examined.seen.frame


def limit(memory_bytes: int) -> None:
    """Limit memory and file writes of this process.

    It leaves no core dump on the disk, and can gain no rights.
    """
    for what, most in (
        (resource.RLIMIT_DATA, memory_bytes),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_NOFILE, 64),
    ):
        hard = resource.getrlimit(what)[1]
        own = most if hard == resource.RLIM_INFINITY else min(most, hard)
        resource.setrlimit(what, (own, own))
