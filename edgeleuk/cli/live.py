"""`edgeleuk live`: live counts with the microscope's camera."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edgeleuk.cli._counting import Options, count_slides
from edgeleuk.cli._model import MagOption, ModelOption, chosen
from edgeleuk.cli._options import NetworksThreadsOption, UmPerPxOption
from edgeleuk.cli._profile import ProfileOption, device
from edgeleuk.cli._rules import ReferenceOption, RulesOption, standards
from edgeleuk.cli._serving import (
    PORT,
    Doors,
    HostOption,
    LanOption,
    PortOption,
    TokenFileOption,
    browsers,
)
from edgeleuk.cli._who import (
    DeviceOption,
    NotesOption,
    OperatorOption,
    SessionChanges,
    SessionFacts,
    SiteOption,
    SlideOption,
    StoreOption,
)
from edgeleuk.errors import UsageError
from edgeleuk.system.addresses import is_incomplete

if TYPE_CHECKING:
    from edgeleuk.sessions import SessionSummary


def live(
    context: typer.Context,
    source: Annotated[
        str | None,
        typer.Option(
            "--source",
            help="usb:0, picamera, http://…, rtsp://…, a video, a folder, watch:DIR or simulated. "
            "See `edgeleuk cameras`.",
            show_default="the first camera",
        ),
    ] = None,
    mag: MagOption = None,
    model_folder: ModelOption = None,
    profile: ProfileOption = None,
    target: Annotated[
        int | None,
        typer.Option("--target", min=1, help="White cells to count, as 100, 200, 400.", show_default="200"),
    ] = None,
    um_per_px: UmPerPxOption = None,
    manual: Annotated[bool, typer.Option("--manual", help="Count a field only at a key press (c).")] = False,
    plain: Annotated[bool, typer.Option("--plain", help="Print one line per event, for logs.")] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object per event, for pipes.")
    ] = False,
    preview: Annotated[bool, typer.Option("--preview", help="Open a window with the picture.")] = False,
    slide: SlideOption = "",
    operator: OperatorOption = "",
    site: SiteOption = "",
    microscope: DeviceOption = "",
    notes: NotesOption = "",
    resume: Annotated[
        str | None,
        typer.Option(
            "--resume", help="Go on with a session of `edgeleuk sessions list`.", show_default=False
        ),
    ] = None,
    store: StoreOption = None,
    keep: Annotated[bool, typer.Option("--keep/--no-keep", help="Keep the session on disk.")] = True,
    until_target: Annotated[
        bool, typer.Option("--until-target", help="End when the target is reached.")
    ] = False,
    most_seconds: Annotated[
        float | None,
        typer.Option("--seconds", min=0.1, help="End after so many seconds.", show_default=False),
    ] = None,
    width: Annotated[
        int | None, typer.Option(min=64, help="Width to ask of the camera, pixels.", show_default=False)
    ] = None,
    height: Annotated[int | None, typer.Option(min=64, help="Height, pixels.", show_default=False)] = None,
    fps: Annotated[
        float | None, typer.Option(min=0.1, help="Frames a second to ask for.", show_default=False)
    ] = None,
    serve: Annotated[
        bool, typer.Option("--serve", help="Show the count to browsers too, as `edgeleuk serve` does.")
    ] = False,
    host: HostOption = None,
    port: PortOption = PORT,
    lan: LanOption = False,
    token_file: TokenFileOption = None,
    rules: RulesOption = None,
    reference: ReferenceOption = None,
    threads: NetworksThreadsOption = None,
) -> None:
    """Count the cells of a slide while the stage moves; each cell counts once.

    A frame counts by itself when the stage stands still, the picture is in focus and well lit, and the ground is new;
    else a word says why not. Every counted field is on the disk before it is announced. Without a terminal the events
    are printed as lines. No patient name is asked for; do not enter one.
    """
    from edgeleuk.cli._starting import Start, output_here

    if plain and as_json:
        raise UsageError("--plain and --json are two forms of the same output. Choose one.")
    if um_per_px is not None and not 0.005 <= um_per_px <= 5:
        raise UsageError(
            f"--um-per-px {um_per_px} is outside 0.005 to 5. A 40x objective gives about 0.1 to 0.5."
        )
    if resume and not keep:
        raise UsageError("--resume goes on with a session on the disk; it cannot be combined with --no-keep.")
    output = "json" if as_json else output_here(plain)
    if (lan or host or token_file) and not serve:
        raise UsageError("--lan, --host and --token-file go with --serve, which shows the count to browsers.")
    doors = Doors(host, port, lan, token_file, waits=output == "view") if serve else None
    with browsers(doors, store, standards(rules, reference)) as hub, Start(output, preview=preview) as start:
        start.step(_first_step(mag, model_folder, profile, resume))
        known, wanted = device(profile, mag)
        model = chosen(model_folder, mag, known) if model_folder or not resume else None
        said = model.magnification if model_folder and model else wanted if known else mag
        before = _before(resume, store, said, source) if resume else None
        options = Options(
            model or chosen(None, before.magnification if before else wanted),
            source or (before.source if before else ""),
            target or (before.target if before else 200),
            output,
            profile=known,
            um_per_px=um_per_px,
            size=(width, height),
            fps=fps,
            manual=manual,
            keep=keep,
            store=store,
            resume=before.id if before else None,
            who=SessionFacts(slide, operator, site, microscope, notes),
            other=_other(context, SessionFacts(slide, operator, site, microscope, notes)),
            until_target=until_target,
            most_seconds=most_seconds,
            rules=rules,
            reference=reference,
            threads=threads,
            hub=hub,
        )
        count_slides(options, start, lambda: Start(output, preview=preview))


def _first_step(mag: str | None, folder: Path | None, profile: str | None, resume: str | None) -> str:
    """Describe what is being loaded, as far as the options tell."""
    if folder:
        return f"loading the model in {folder}"
    if resume:
        return f"loading session {resume} and its model"
    return f"loading the model of profile {profile}" if profile else f"loading the {mag or '100x'} model"


def _before(session: str, store: Path | None, mag: str | None, source: str | None = None) -> SessionSummary:
    """Return the session to resume.

    Raises:
        UsageError: There is none, or its slide has several; the session is of another objective, of images, signed, or, without a `source`, of a camera whose address
            contained a password.
    """
    from edgeleuk.cli._kept import only_session_of
    from edgeleuk.models.registry import same_objective
    from edgeleuk.sessions import open_store

    with open_store(store, create=False) as kept:
        summary = kept.require_resumable(only_session_of(kept, session))
    if is_incomplete(summary.source) and not source:
        raise UsageError(
            f"the camera of session {summary.id} was {summary.source}; passwords are not kept. Give its whole address with "
            "`edgeleuk live --resume ID --source ADDRESS`."
        )
    if mag and not same_objective(mag, summary.magnification):
        raise UsageError(
            f"session {summary.id} was counted at {summary.magnification}, not at {mag}: cells of both do not lie on "
            "one map. Use the session's objective (without --mag it is), or begin a new session."
        )
    return summary


def _other(context: typer.Context, who: SessionFacts) -> SessionChanges:
    """Return the changes that the command line makes to a session.

    Environment variables are left out: they hold for new sessions.
    """
    named = {
        "slide": who.slide,
        "operator": who.operator,
        "site": who.site,
        "microscope": who.device,
        "notes": who.notes,
    }
    said = [text if _is_given(context, name) else None for name, text in named.items()]
    return SessionChanges(*said)


def _is_given(context: typer.Context, name: str) -> bool:
    source = context.get_parameter_source(name)
    return source is not None and source.name == "COMMANDLINE"


def resume_session(session_id: str, store: Path | None, other: SessionChanges) -> None:
    """Resume a kept session.

    It keeps its own source, magnification and target.

    Args:
        session_id: Session to resume.
        store: Session file; None for the user's own.
        other: Changes to the session.
    """
    from edgeleuk.cli._starting import Start, output_here

    output = output_here(plain=False)
    with Start(output) as start:
        start.step(_first_step(None, None, None, session_id))
        before = _before(session_id, store, None)
        model = chosen(None, before.magnification)
        who = SessionFacts(operator=before.operator, site=before.site, device=before.device)
        options = Options(
            model, before.source, before.target, output, store=store, resume=before.id, who=who, other=other
        )
        count_slides(options, start, lambda: Start(output))
