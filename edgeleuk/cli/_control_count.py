"""Count of a control slide: from pictures, or a kept session."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from edgeleuk.cli._console import notices, progress_bar, report, warn
from edgeleuk.cli._keep import Keeper, pictures_session
from edgeleuk.cli._kept import reviewed, tell_lost
from edgeleuk.cli._model import chosen
from edgeleuk.cli._rules import standards
from edgeleuk.cli._stop import Stopping
from edgeleuk.cli._who import SessionFacts
from edgeleuk.errors import InputError, StoreError, UsageError
from edgeleuk.system.sentences import said

if TYPE_CHECKING:
    from edgeleuk.device.profiles import Profile
    from edgeleuk.models.registry import Model
    from edgeleuk.quality_control.control import Control, ControlRun, Measured
    from edgeleuk.quality_control.log import Entry
    from edgeleuk.results.slide_result import SlideResult
    from edgeleuk.sessions import SessionSummary, Store


@dataclass(frozen=True, slots=True)
class Counting:
    """How to count the pictures of a control slide."""

    paths: Sequence[str]
    recursive: bool
    profile: Profile | None
    um_per_px: float | None
    who: SessionFacts
    store: Path | None
    threads: int | None


def count_pictures(model: Model, options: Counting) -> SlideResult:
    """Count pictures as `analyze` does, and keep the session.

    Raises:
        InputError: There is no picture; nothing is kept then.
        StoreError: The session cannot be kept.
    """
    from edgeleuk.analysis.analyser import Analyser
    from edgeleuk.counting.pictures import Batch, Failed
    from edgeleuk.counting.scale_policy import ScalePolicy
    from edgeleuk.counting.slide import SlideCount, SlideOptions
    from edgeleuk.sources.pictures.listing import pictures as pictures_of
    from edgeleuk.types import PictureFile, Scale

    pictures = [*pictures_of(list(options.paths), options.recursive)]
    files = sum(isinstance(each, PictureFile) for each in pictures)
    if not files and (error := next((each for each in pictures if isinstance(each, InputError)), None)):
        raise error
    workers = max(1, min(options.threads or os.cpu_count() or 1, files))
    analyser = Analyser(model, options.threads if workers == 1 else 1, profile=options.profile)
    scale = None if options.um_per_px is None else Scale.given(options.um_per_px)
    new = pictures_session(analyser, list(options.paths), options.who, options.um_per_px, None)
    with Stopping() as stop, Keeper(new, options.store) as keeper:
        settings = SlideOptions(overlapping=files > 1, crops=keeper.keeping)
        recorder = keeper if keeper.keeping else None
        count = SlideCount(analyser, *standards(), ScalePolicy(analyser, scale), settings, recorder)
        with progress_bar(stop.instead("counting the control slide"), shown=files > 1) as progress:
            for number, done in enumerate(Batch(count, workers).analyse_all(pictures, lambda: bool(stop)), 1):
                progress(number, files)
                if isinstance(done, Failed):
                    report(done.error)
        if stop:
            notices.print(said("interrupted: the control slide was not evaluated."))
            raise typer.Exit(stop.exit_code)
        keeper.finish(f"counted {count.number} picture{'s' * (count.number != 1)} of a control slide")
        if keeper.failed:
            raise StoreError("the control slide was not evaluated, since its session could not be kept.")
        keeper.tell()
    return count.result(keeper.about)


def kept_result(opened: Store, control: Control, session: str, model: Model) -> SlideResult:
    """Return the result of a kept session of a control slide.

    Raises:
        UsageError: The session is of another slide or objective, or still running.
    """
    found = opened.get(session)
    _require_own(found.readable_summary([]), control)
    kept, _, lost = reviewed(opened, found.id, model.folder, *standards())
    tell_lost(lost)
    return kept.result


def _require_own(summary: SessionSummary, control: Control) -> None:
    if summary.magnification != control.magnification:
        raise UsageError(
            f"session {summary.id} was counted at {summary.magnification}, and control slide {control.name} is of"
            f" {control.magnification}. Name a session of that objective."
        )
    if summary.slide != control.slide:
        raise UsageError(
            f"session {summary.id} is of slide {summary.slide or '(none)'}, and control slide {control.name} of"
            f" {control.slide}. If it is the control slide: `edgeleuk sessions set {summary.id} --slide {control.slide}`."
        )
    if summary.state == "running":
        raise UsageError(f"session {summary.id} is still being counted. Finish it first.")


def established(opened: Store, control: Control, sessions: int, model: Model) -> list[Sequence[Measured]]:
    """Return the quantities of the first sessions of a control slide.

    They are those of the model in use, since another one reads other shares.

    Raises:
        UsageError: There are fewer sessions.
    """
    from edgeleuk.quality_control.quantities import LEAST_SESSIONS, measure

    if sessions < LEAST_SESSIONS:
        raise UsageError(
            f"--establish {sessions} is too few: an SD needs {LEAST_SESSIONS} sessions at least, 20 are better."
        )
    own = [
        each
        for each in reversed(opened.list())
        if each.slide == control.slide
        and each.magnification == control.magnification
        and not each.second_of  # the same fields again are no measurement of their own
    ]
    usable = [each for each in own if each.state == "finished" and each.model_version == model.version]
    found: list[Sequence[Measured]] = []
    for each in usable:
        result = kept_result(opened, control, each.id, model)
        if result.differential.n >= control.least_cells:
            found.append(measure(result))
        else:
            warn(
                f"session {each.id} has {result.differential.n} white cells, {control.least_cells} are needed; left out."
            )
        if len(found) == sessions:
            return found
    raise UsageError(
        f"{len(found)} of {sessions} sessions of slide {control.slide} can be used (finished, {control.magnification}, model"
        f" version {model.version}, {control.least_cells} white cells). Count it {sessions - len(found)} times more:"
        f" `edgeleuk qc run {control.name} PICTURES`."
    )


def run_of(result: SlideResult) -> ControlRun:
    """Return the facts of a run, not yet evaluated."""
    from edgeleuk.quality_control.control import ControlRun

    about = result.about
    return ControlRun(
        about.id, "collected", result.differential.n, (), about.model.version, about.operator, about.started
    )


def model_of(folder: Path | None, control: Control) -> Model:
    """Return the model that counts a control slide."""
    return chosen(folder, control.magnification)


def require_new(entries: list[Entry], name: str, session: str, shown: str) -> None:
    """Require that a session was not evaluated yet.

    `session` is its UUID, `shown` what the user called it.

    Raises:
        UsageError: It was.
    """
    from edgeleuk.quality_control import log
    from edgeleuk.render.quality_control import when

    for entry, run in log.runs(entries, name):
        if run.session == session and run.values:
            raise UsageError(
                f"session {shown} was evaluated already, on {when(entry.at)}. Count the control slide again."
            )


def warn_of_other_model(control: Control, version: str) -> None:
    """Warn if the expected values are of another model."""
    if control.model_version and control.model_version != version:
        warn(
            f"the expected values are of model version {control.model_version}, and this is {version}: counts may differ for"
            f" that alone. Establish them anew when there are 10 sessions: `edgeleuk qc set {control.name} --establish 10`."
        )
