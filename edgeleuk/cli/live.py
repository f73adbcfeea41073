"""`edgeleuk live`: the camera on the microscope, counted as the stage moves."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from edgeleuk.cli._console import notices, results
from edgeleuk.cli._profile import ProfileOption, device
from edgeleuk.errors import MissingExtraError, UsageError

if TYPE_CHECKING:
    from edgeleuk.live.counter import LiveCounter
    from edgeleuk.live.keys import Command
    from edgeleuk.live.run import View
    from edgeleuk.live.state import Event, LiveState
    from edgeleuk.pipeline import Analyser
    from edgeleuk.profiles import Profile
    from edgeleuk.rules import Reference
    from edgeleuk.sources.camera import Source
    from edgeleuk.store import Session, SessionSummary
    from edgeleuk.types import Frame

Store = Annotated[
    Path | None,
    typer.Option(
        "--store",
        help="File of the sessions. Without it EDGELEUK_SESSIONS, or ~/.local/share/edgeleuk/sessions.db.",
        show_default=False,
    ),
]


@dataclass(frozen=True, slots=True)
class Options:
    """What the command line asked for, checked."""

    mag: str
    profile: Profile | None
    source: str
    target: int
    um_per_px: float | None
    size: tuple[int | None, int | None]
    fps: float | None
    manual: bool
    output: str
    """view, plain or json."""
    preview: bool
    keep: bool
    store: Path | None
    resume: str | None
    operator: str
    slide: str
    notes: str
    until_target: bool
    most_seconds: float | None
    reference: Path | None
    threads: int | None


def live(
    source: Annotated[
        str | None,
        typer.Option(
            "--source",
            help="usb:0, picamera, http://…, rtsp://…, a video, a folder, watch:DIR or simulated. "
            "See `edgeleuk cameras`.",
            show_default="the first camera",
        ),
    ] = None,
    mag: Annotated[
        str | None, typer.Option("--mag", help="Objective: 100x, 40x or 10x.", show_default="100x")
    ] = None,
    profile: ProfileOption = None,
    target: Annotated[
        int | None,
        typer.Option("--target", min=1, help="White cells to count, as 100, 200, 400.", show_default="200"),
    ] = None,
    um_per_px: Annotated[
        float | None,
        typer.Option(
            "--um-per-px", help="Micrometres per pixel. Without it the red cells tell.", show_default=False
        ),
    ] = None,
    manual: Annotated[bool, typer.Option("--manual", help="Count a field only at a key press (c).")] = False,
    plain: Annotated[bool, typer.Option("--plain", help="Print one line an event, for logs.")] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object an event, for pipes.")
    ] = False,
    preview: Annotated[bool, typer.Option("--preview", help="Open a window with the picture.")] = False,
    slide: Annotated[str, typer.Option("--slide", help="Slide id to keep with the session.")] = "",
    operator: Annotated[str, typer.Option("--operator", help="Who counts.")] = "",
    notes: Annotated[str, typer.Option("--notes", help="A remark to keep with the session.")] = "",
    resume: Annotated[
        str | None,
        typer.Option(
            "--resume", help="Go on with a session of `edgeleuk sessions list`.", show_default=False
        ),
    ] = None,
    store: Store = None,
    keep: Annotated[bool, typer.Option("--keep/--no-keep", help="Keep the session on disk.")] = True,
    until_target: Annotated[
        bool, typer.Option("--until-target", help="End when the target is reached.")
    ] = False,
    most_seconds: Annotated[
        float | None,
        typer.Option("--seconds", min=0.1, help="End after so many seconds.", show_default=False),
    ] = None,
    width: Annotated[
        int | None, typer.Option(min=64, help="Pixels to ask of the camera.", show_default=False)
    ] = None,
    height: Annotated[int | None, typer.Option(min=64, help="Likewise.", show_default=False)] = None,
    fps: Annotated[
        float | None, typer.Option(min=0.1, help="Frames a second to ask for.", show_default=False)
    ] = None,
    reference: Annotated[
        Path | None,
        typer.Option(
            "--reference", help="TOML file with your laboratory's reference ranges.", show_default=False
        ),
    ] = None,
    threads: Annotated[
        int | None, typer.Option(min=1, help="Threads of the networks.", show_default="all cores")
    ] = None,
) -> None:
    """Count the cells of a slide while the stage moves; each cell counts once, however often it is seen.

    A frame counts by itself when the stage stands still, the picture is in focus and well lit, and the ground is new;
    else a word says why not. Every counted field is on the disk before it is announced. Without a terminal the events
    are printed as lines. No patient name is asked for; do not enter one.
    """
    if plain and as_json:
        raise UsageError("--plain and --json are two forms of the same output. Choose one.")
    if um_per_px is not None and not 0.005 <= um_per_px <= 5:
        raise UsageError(
            f"--um-per-px {um_per_px} is outside 0.005 to 5. A 40x objective gives about 0.1 to 0.5."
        )
    if resume and not keep:
        raise UsageError("--resume goes on with a session on the disk; it cannot be combined with --no-keep.")
    output = "json" if as_json else "plain" if plain or not sys.stdout.isatty() else "view"
    known, wanted = device(profile, mag)
    before = _before(resume, store, wanted if known else mag) if resume else None
    _run(
        Options(
            mag=before.magnification if before else wanted,
            profile=known,
            source=source or (before.source if before else ""),
            target=target or (before.target if before else 200),
            um_per_px=um_per_px,
            size=(width, height),
            fps=fps,
            manual=manual,
            output=output,
            preview=preview,
            keep=keep,
            store=store,
            resume=before.id if before else None,
            operator=operator,
            slide=slide,
            notes=notes,
            until_target=until_target,
            most_seconds=most_seconds,
            reference=reference,
            threads=threads,
        )
    )


def _before(session: str, store: Path | None, mag: str | None) -> SessionSummary:
    """The session to go on with. Raises UsageError where it is of another objective."""
    from edgeleuk.store import open_store

    with open_store(store, create=False) as kept:
        summary = kept.get(session).summary
    if mag and mag != summary.magnification:
        raise UsageError(
            f"session {summary.id} was counted at {summary.magnification}, not at {mag}: cells of both do not lie on "
            "one map. Leave --mag out, or begin a new session."
        )
    return summary


def resume_session(session_id: str, store: Path | None) -> None:
    """Go on with a kept session on its own source, at its own magnification, for its own target."""
    live(resume=session_id, store=store)


def _run(options: Options) -> None:
    from edgeleuk import machine, zoo
    from edgeleuk.judge import judge_by
    from edgeleuk.live.counter import LiveCounter
    from edgeleuk.live.run import Loop
    from edgeleuk.live.watchdog import Watchdog
    from edgeleuk.pipeline import Analyser
    from edgeleuk.rules import load_reference
    from edgeleuk.sources import default_source, open_source
    from edgeleuk.sources.capture import Capture
    from edgeleuk.store import claim_source
    from edgeleuk.types import Scale

    machine.share_heap()
    ranges = load_reference(options.reference) if options.reference else load_reference()
    analyser = Analyser(zoo.load(options.mag), options.threads, profile=options.profile)
    spec = options.source or default_source()
    say = _speaker(options)

    def opened() -> Source:
        width, height = options.size
        return open_source(spec, width=width, height=height, fps=options.fps, magnification=options.mag)

    with ExitStack() as stack:
        capture = stack.enter_context(Capture(opened))
        info = capture.info
        if info.live:
            stack.enter_context(claim_source(info.name))
        for text in info.notes:
            notices.print(text, markup=False)
        session = _session(stack, options, analyser, spec) if options.keep else None
        counter = LiveCounter(
            analyser,
            judge_by(analyser.model.reader, ranges),
            source=info.name,
            target=options.target,
            scale=None if options.um_per_px is None else Scale.given(options.um_per_px),
            stills=info.stills,
            manual=options.manual,
            recorder=session,
            on_event=say,
        )
        if session and options.resume:
            _take_up(session, counter)
        _tell_start(say, counter, info.name, session)
        show = _preview(stack) if options.preview else None
        watchdog = stack.enter_context(Watchdog.from_environment(paced=not info.stills))
        # The screen last, so that it is the first to go: what is said after the count is said on the old one.
        with ExitStack() as screen:
            view, commands = _screen(screen, options, analyser, ranges)
            loop = Loop(
                capture, counter, view, commands=commands, show_frame=show, on_event=say, watchdog=watchdog,
                until_target=options.until_target, most_seconds=options.most_seconds,
            )  # fmt: skip
            reason = loop.run()
        if session:
            session.finish(reason)
        _close(options, analyser, counter, session, reason, say)


def _take_up(session: Session, counter: LiveCounter) -> None:
    """Go on with a kept session, whose fields, read for this, do not stay in memory."""
    from edgeleuk.cli.sessions import check_types

    counted = tuple(session.counted())
    check_types(session.summary, counted, counter.analyser.model)
    counter.resume(counted, session.marks())


def _session(stack: ExitStack, options: Options, analyser: Analyser, spec: str) -> Session:
    from edgeleuk import __version__
    from edgeleuk.store import open_store

    store = stack.enter_context(open_store(options.store))
    if options.resume:
        return store.resume(options.resume)
    return store.start(
        magnification=options.mag,
        source=spec,
        model_version=analyser.model.version,
        target=options.target,
        um_per_px=options.um_per_px,
        operator=options.operator,
        slide=options.slide,
        notes=options.notes,
        version=__version__,
    )


def _speaker(options: Options) -> Callable[[Event], None]:
    """Where events go: lines on stdout, or nowhere while the screen shows what they say."""
    from edgeleuk.render import events

    if options.output == "view":
        return lambda _: None
    line = events.as_json if options.output == "json" else events.plain

    def say(event: Event) -> None:
        sys.stdout.write(line(event) + "\n")
        sys.stdout.flush()

    return say


def _screen(
    stack: ExitStack, options: Options, analyser: Analyser, ranges: Reference
) -> tuple[View, Callable[[], Iterator[Command | str]]]:
    """The view and the operator's commands. Keys work wherever stdin is a terminal, also with --plain and --json."""
    from edgeleuk.live.keys import Controls, Keys
    from edgeleuk.render.live import LiveView

    if options.output != "view":
        keys = stack.enter_context(Keys())
        return _Nowhere(), Controls(keys.poll).commands
    controls = Controls(lambda: keys.poll())
    reader = analyser.reader
    view = LiveView(reader.labels, attributes=reader.attributes, reference=ranges, controls=controls)
    stack.enter_context(view)
    keys = stack.enter_context(Keys(aside=view.aside))
    return view, controls.commands


class _Nowhere:
    """A view for those who read the events."""

    def update(self, state: LiveState) -> None:
        """Nothing is shown."""


def _preview(stack: ExitStack) -> Callable[[Frame, LiveState], None]:
    try:
        from edgeleuk.live.preview import Preview
    except ImportError as error:
        raise MissingExtraError(
            "--preview needs Tk, which this Python lacks. `sudo apt install python3-tk`, or leave it out."
        ) from error
    return stack.enter_context(Preview()).show


def _tell_start(
    say: Callable[[Event], None], counter: LiveCounter, source: str, session: Session | None
) -> None:
    from edgeleuk.live.state import Event
    from edgeleuk.render.tables import RESEARCH_USE

    kept = f"session {session.id}" if session else "nothing is kept"
    data: dict[str, Any] = {
        "source": source,
        "session": session.id if session else None,
        "target": counter.target,
    }
    data["magnification"] = counter.analyser.model.magnification
    say(Event("started", counter.seconds, f"{source}, {kept}. {RESEARCH_USE}", data))


def _close(
    options: Options,
    analyser: Analyser,
    counter: LiveCounter,
    session: Session | None,
    reason: str,
    say: Callable[[Event], None],
) -> None:
    from edgeleuk.differential import as_json
    from edgeleuk.live.state import Event
    from edgeleuk.render import events, terminal

    result = counter.differential()
    text = f"{reason}. {events.target_text(result, options.target)}"
    say(Event("finished", counter.seconds, text, {"reason": reason, "differential": as_json(result)}))
    if options.output == "view":
        results().print(terminal.together(counter.map.fields(), result, analyser.model))
        notices.print(text, markup=False)
    if session:
        notices.print(f"kept as session {session.id}: `edgeleuk sessions show {session.id}`", markup=False)
