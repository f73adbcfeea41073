"""Step-by-step questions of `edgeleuk calibrate`.

Answers are kept; an answer that cannot be used is asked for again.
"""

from __future__ import annotations

import shlex
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from edgeleuk.cli._console import notices, report, tell
from edgeleuk.cli._model import in_use
from edgeleuk.errors import CameraError, EdgeleukError, InputError, UsageError
from edgeleuk.system.language import _
from edgeleuk.system.sentences import said

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edgeleuk.calibration.device import Calibrated, Pictures
    from edgeleuk.models.registry import Model
    from edgeleuk.networks.finder import Finder
    from edgeleuk.sources.capture import Capture
    from edgeleuk.types import Frame, PictureFile

CAMERA = "camera"
"""Answer that takes images with the camera."""
DONE = frozenset({"d", "done"})
WAIT_S = 10.0
"""Timeout for a camera image, seconds."""
STALE = 2
"""Number of camera frames to discard.

They may have been exposed before somebody pressed Enter: one here, one in the driver.
"""
SPACINGS_UM = (0.1, 2000.0)


@dataclass(frozen=True, slots=True)
class Step:
    """One question of the interview."""

    part: str
    """Name of the field in `Pictures`."""
    question: str
    explanation: str


STEPS = (
    Step(
        "micrometer",
        "Pictures of the ruling",
        "Scale. Put a stage micrometer or a counting chamber under the microscope, focus on its lines and take a picture, "
        "with the camera as you will use it. Without one, leave this empty: red cells will do, to about 7 %.",
    ),
    Step(
        "blank",
        "Empty fields",
        "Light. Move to an empty part of a slide, defocus a little, and take one to three pictures: they tell the shading "
        "of the field and the colour of the lamp. Leave this empty to skip it.",
    ),
    Step(
        "smear",
        "Smear fields",
        "Stain. Take three to ten fields of ordinary smears, in focus, red cells mostly apart, each with a white cell: they "
        "tell the colours of your stain, and how sharp a good picture is. Leave this empty to skip it.",
    ),
)


class Interview:
    """Interview for everything that a profile is made of."""

    def __init__(
        self,
        name: str,
        magnification: str | None,
        spacing_um: float | None,
        source: str | None,
        threads: int | None,
    ) -> None:
        """Set the answers known in advance.

        Args:
            name: Name of the new profile.
            magnification: Objective; None asks for it.
            spacing_um: Distance between the lines of the ruling, micrometres; None asks for it.
            source: Camera; None for the first one of the machine.
            threads: Threads of the network; None for all cores.
        """
        from edgeleuk.calibration.device import Pictures

        self._name, self._source, self._threads = name, source, threads
        self._magnification, self._spacing_um = magnification, spacing_um
        self._spacing_given = spacing_um is not None
        self._pictures = Pictures()
        self._done: Calibrated | None = None

    def held(self) -> Calibrated:
        """Hold the interview and return the profile.

        Raises:
            UsageError: Every question was skipped.
        """
        from edgeleuk.networks.finder import Finder

        tell(
            "Files, folders or patterns; several are separated by spaces. "
            f"`{CAMERA}`, or a camera's name as usb:0, takes pictures here."
        )
        notices.print()
        model = self._model()
        finder = Finder(model.finder, self._threads)
        for step in STEPS:
            self._take(step, model.magnification, finder)
        if self._done is None:
            raise UsageError("every question was skipped, so nothing was measured. Answer one at least.")
        return self._done

    def _model(self) -> Model:
        if self._magnification:
            return in_use(self._magnification)
        while True:
            try:
                return in_use(typer.prompt(said("Objective (100x, 40x or 10x)"), default="100x", err=True))
            except EdgeleukError as error:
                report(error)

    def _take(self, step: Step, magnification: str, finder: Finder) -> None:
        """Ask until the images can be measured, or there are none."""
        from edgeleuk.calibration.device import calibrate

        notices.print(f"\n{said(step.explanation)}")
        while True:
            try:
                pictures = self._shown(step, magnification)
                if not pictures:
                    return
                if step.part == "micrometer" and not self._spacing_given:
                    self._spacing_um = _spacing(self._spacing_um or 10.0)
                every: Pictures = replace(self._pictures, **{step.part: pictures})
                with notices.status(_("measuring"), spinner="line"):
                    done = calibrate(self._name, magnification, every, self._spacing_um, finder)
            except EdgeleukError as error:
                report(error)
                continue
            self._pictures, self._done = every, done
            self._tell(step, done)
            return

    def _tell(self, step: Step, done: Calibrated) -> None:
        """Print the measurement, while it can still be corrected."""
        scale = done.profile.scale
        if step.part == "micrometer" and scale:
            x, y = f"{scale.um_per_px_x:.4g}", f"{scale.um_per_px_y:.4g}"
            tell(f"measured: {x if x == y else f'{x} x {y}'} um per pixel")
        else:
            notices.print(_("measured"))

    def _shown(self, step: Step, magnification: str) -> Sequence[PictureFile | InputError | Frame]:
        """Ask for images, from files or from a camera.

        An empty answer gives none.
        """
        from edgeleuk.sources import default_source, is_camera

        answer = typer.prompt(said(step.question), default="", show_default=False, err=True)
        try:
            named = shlex.split(answer)
        except ValueError as error:
            raise UsageError(
                "a quotation mark of this answer is not closed. Put both around a name with spaces."
            ) from error
        if named == [CAMERA]:
            return stills(self._source or default_source(), magnification, step.question)
        if len(named) == 1 and is_camera(named[0]) and not _lies_here(named[0]):
            return stills(named[0], magnification, step.question)
        return files(named)


def _lies_here(name: str) -> bool:
    """Check for a file or folder, as opposed to a camera device."""
    return Path(name).is_file() or Path(name).is_dir()


def files(named: Sequence[str]) -> list[PictureFile | InputError]:
    """Resolve named images, with errors in place of unreadable ones.

    Other files beside them are reported.

    Raises:
        InputError: No image can be read.
    """
    from edgeleuk.render.leftout import left_out_lines
    from edgeleuk.sources.pictures.listing import pictures
    from edgeleuk.types import Refusal

    found = list(pictures(named, None))
    for line in left_out_lines([each for each in found if isinstance(each, Refusal)], recursive=False):
        notices.print(line)
    usable = [each for each in found if not isinstance(each, Refusal)]
    faults = [each for each in usable if isinstance(each, InputError)]
    if faults and len(faults) == len(usable):
        raise faults[0]
    return usable


def stills(spec: str, magnification: str, what: str) -> list[Frame]:
    """Take images with a camera, one for each press of Enter.

    Args:
        spec: Camera to open.
        magnification: Objective.
        what: Text of the question.

    Raises:
        CameraError: The camera cannot be opened.
        UsageError: The camera's name is not valid.
        StoreError: A count is using the camera.
    """
    from edgeleuk.sessions import claim_source
    from edgeleuk.sources import open_source
    from edgeleuk.sources.capture import Capture

    frames: list[Frame] = []
    with ExitStack() as stack:
        capture = stack.enter_context(Capture(lambda: open_source(spec, magnification=magnification)))
        if capture.info.live:
            stack.enter_context(claim_source(capture.info.name))
        tell(f"{capture.info.name}: Enter takes a picture, d and Enter ends.")
        while True:
            question = f"{what}, picture {len(frames) + 1}"
            answer = typer.prompt(said(question), default="", show_default=False, err=True).strip().lower()
            if answer in DONE:
                return frames
            if answer:
                tell("Enter takes a picture, d and Enter ends.")
                continue
            try:
                frame = still(capture)
            except CameraError as error:
                report(error)
                continue
            frames.append(replace(frame, name=f"{capture.info.name} picture {len(frames) + 1}"))
            tell(f"taken: {frame.width} x {frame.height} px")


def still(capture: Capture) -> Frame:
    """Take a current image.

    Raises:
        CameraError: No image arrives.
    """
    for _frame in range(STALE if capture.info.live else 0):
        _next(capture)
    return _next(capture)


def _next(capture: Capture) -> Frame:
    timed = capture.next(WAIT_S)
    if timed is None:
        why = capture.state().text or f"none came within {WAIT_S:g} s."
        raise CameraError(
            f"{capture.info.name} gave no picture: {why} Check the camera, and press Enter again."
        )
    return timed.frame


def _spacing(default: float) -> float:
    low, high = SPACINGS_UM
    while True:
        answer: float = typer.prompt(
            said("Distance of its finest lines, micrometres"), type=float, default=default, err=True
        )
        if low <= answer <= high:
            return answer
        tell(f"{answer:g} is outside {low:g} to {high:g}.")
