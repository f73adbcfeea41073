"""`edgeleuk teach`: a laboratory's own head from cells that people corrected."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edgeleuk.cli._console import print_json, report, results, tell, warn
from edgeleuk.cli._kept import reviewed, session_of
from edgeleuk.cli._learning import FiguresOption, NameOption, OutOption, Target, require_learnable
from edgeleuk.cli._model import MagOption, ModelOption, chosen
from edgeleuk.cli._options import NetworkThreadsOption
from edgeleuk.cli._rules import ReferenceOption, RulesOption, standards
from edgeleuk.cli._who import StoreOption
from edgeleuk.errors import EdgeleukError, InputError, NotBetterError, UsageError
from edgeleuk.system import file_io

if TYPE_CHECKING:
    from edgeleuk.adaptation.cells import TaughtCell
    from edgeleuk.adaptation.folders import Seen
    from edgeleuk.differential.rules import Reference, Rules
    from edgeleuk.models.registry import Model
    from edgeleuk.sessions import Store


@dataclass(slots=True)
class _Gathered:
    """Labelled cells, and what was left out."""

    cells: list[TaughtCell] = field(default_factory=list)
    failures: list[EdgeleukError] = field(default_factory=list)
    unread: list[EdgeleukError] = field(default_factory=list)
    """What is wrong with single pictures."""
    scales: list[float] = field(default_factory=list)
    """Scales of the sessions' pictures, um per pixel."""
    profiles: set[str] = field(default_factory=set)


def teach(
    sources: Annotated[
        list[str],
        typer.Argument(
            metavar="SESSION|DIR...",
            help="Reviewed slides (slide id or session), or folders of single-cell pictures: DIR/TYPE/*.png.",
            show_default=False,
        ),
    ],
    name: NameOption,
    mag: MagOption = None,
    um_per_px: Annotated[
        float | None,
        typer.Option(
            min=0.01,
            max=10,
            help="Scale of the pictures in folders; those that `sessions export` writes have 0.125 or more: 20 um / width.",
            show_default=False,
        ),
    ] = None,
    flags: Annotated[
        list[str] | None,
        typer.Option(
            "--flag",
            metavar="KIND",
            help="Folder of a new kind, such as a parasite, to teach as a flag beside the type. Repeatable.",
            show_default=False,
        ),
    ] = None,
    out: OutOption = None,
    model_folder: ModelOption = None,
    store: StoreOption = None,
    rules: RulesOption = None,
    reference: ReferenceOption = None,
    as_json: FiguresOption = False,
    threads: NetworkThreadsOption = None,
) -> None:
    """Teach a model the cells that people of your laboratory labelled or confirmed.

    The new model is the old one with other weights of the types of which you labelled five cells or more. It is written only
    if it reads your cells better, in cross-validation over slides, and the guard cells of the model no worse; else the exit
    code is 13 and nothing is written. A hundred cells or more, of all types that you meet, are a good beginning. A slide whose
    cells' pictures are not kept any more teaches nothing, and that is said.
    """
    from edgeleuk.adaptation import learning
    from edgeleuk.adaptation.folders import Seen
    from edgeleuk.networks.reader import Reader
    from edgeleuk.render import learning as render

    model = chosen(model_folder, mag)
    require_learnable(model)
    target = Target.of(model, name, out)
    files = standards(rules, reference)
    found, seen = _Gathered(), Seen()
    folders, sessions = _divided(sources, um_per_px)
    for folder in folders:
        _from_folder(folder, model, um_per_px or 0.0, flags or (), found, seen)
    if seen.copies:
        warn(f"copies of pictures that were left out, as each picture counts once: {seen.copies}.")
    if seen.overlays:
        warn(
            f"annotated copies of edgeleuk that were left out, as they show no single cell: {seen.overlays}."
        )
    if sessions:
        _from_sessions(sessions, model, store, model_folder, files, found)
    failures = found.failures + found.unread
    if not found.cells:
        raise failures[0] if failures else InputError("there is no labelled cell to learn from.")
    reader = Reader(model.reader, threads)
    scale = sorted(found.scales)[len(found.scales) // 2] if found.scales else None
    profile = found.profiles.pop() if len(found.profiles) == 1 else ""
    lesson = learning.taught(model, reader, found.cells, learning.Circumstances(scale, profile, files[1]))
    written = ""
    if lesson.new:
        written = target.write(lesson.new)
    if as_json:
        print_json({"adopted": bool(lesson.new), "reason": lesson.refused, "name": name, **lesson.figures})
    else:
        results().print(render.lesson(lesson))
    for failure in found.failures:
        report(failure)
    for failure in found.unread:
        warn(str(failure))
    if not lesson.new:
        raise NotBetterError(f"nothing was written: {lesson.refused}.")
    tell(written)
    if failures:
        raise typer.Exit(failures[0].exit_code)


def _divided(sources: Sequence[str], um_per_px: float | None) -> tuple[list[Path], list[str]]:
    """Tell folders of pictures from sessions.

    Raises:
        UsageError: There are folders, and the scale of their pictures is not given.
    """
    folders = [each for each in sources if file_io.is_folder(Path(each))]
    if folders and um_per_px is None:
        raise UsageError(
            f"the scale of the pictures in {folders[0]} is not known. Give it with --um-per-px; pictures that"
            " `sessions export` wrote are 20 um wide."
        )
    return [Path(each) for each in folders], [each for each in sources if each not in folders]


def _from_folder(
    folder: Path, model: Model, um_per_px: float, flags: Sequence[str], found: _Gathered, seen: Seen
) -> None:
    from edgeleuk.adaptation.folders import cells_in, kind_folders, plain_kind

    wanted = {plain_kind(each) for each in flags}
    try:
        kinds = kind_folders(folder, model.reader)
    except EdgeleukError as error:
        found.failures.append(error)
        return
    for kind in kinds:
        if not kind.known and kind.kind not in wanted:
            warn(
                f"{kind.path} was left out: the {model.magnification} model has no type {kind.kind}. Name the folder as a type"
                f" that `edgeleuk models show {model.magnification}` lists, or teach a new kind with --flag {kind.kind}."
            )
            continue
        for cell in cells_in(kind, um_per_px, str(folder), seen):
            if isinstance(cell, EdgeleukError):
                found.unread.append(cell)
            else:
                found.cells.append(cell)


def _from_sessions(
    names: Sequence[str],
    model: Model,
    store: Path | None,
    model_folder: Path | None,
    files: tuple[Rules, Reference],
    found: _Gathered,
) -> None:
    from edgeleuk.sessions import open_store

    with open_store(store, create=False) as opened:
        for name in names:
            try:
                found.cells += _from_session(name, model, opened, model_folder, files, found)
            except EdgeleukError as error:
                found.failures.append(error)


def _from_session(
    name: str,
    model: Model,
    store: Store,
    model_folder: Path | None,
    files: tuple[Rules, Reference],
    found: _Gathered,
) -> list[TaughtCell]:
    """Return the confirmed cells of a slide.

    Raises:
        UsageError: There is no such session, it is of another objective, or nobody labelled a cell of it.
    """
    from edgeleuk.adaptation.cells import pictured
    from edgeleuk.review.confirmed import confirmed

    session = store.get(session_of(store, name))
    about = session.readable_summary([])
    if about.magnification != model.magnification:
        raise UsageError(
            f"session {about.id} was counted at {about.magnification}, and the model is of {model.magnification}. Teach one"
            " objective at a time."
        )
    _, review, lost = reviewed(store, about.id, model_folder, *files)
    told = confirmed(review, session.counted([]))
    for text in lost:
        warn(text)
    if told.without_picture:
        warn(
            f"session {about.id}: {told.without_picture} labelled cells teach nothing, as their pictures are not in the file"
            " any more."
        )
    if not told.cells:
        raise UsageError(
            f"session {about.id} has no labelled or confirmed cell with its picture. Review the slide first: `edgeleuk serve`."
        )
    found.profiles.add(about.profile or "")
    if told.um_per_px:
        found.scales.append(told.um_per_px)
    label = about.slide or about.id
    return [pictured(each.picture, each.side_um, each.label, label) for each in told.cells]
