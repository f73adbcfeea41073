"""Live count of `edgeleuk live`: set-up, run and closing messages."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgeleuk._text import tamed
from edgeleuk.cli._console import notices, results, tell, warn
from edgeleuk.cli._control import entries_of, reasons_now
from edgeleuk.cli._rules import standards
from edgeleuk.cli._who import NOBODY, UNCHANGED, SessionChanges, SessionFacts
from edgeleuk.errors import EdgeleukError, StoreError
from edgeleuk.system.addresses import shown_mistake, shown_source

if TYPE_CHECKING:
    from edgeleuk.analysis.analyser import Analyser
    from edgeleuk.cli._starting import Start
    from edgeleuk.console.loop import View
    from edgeleuk.counting.live import LiveCounter
    from edgeleuk.counting.requests import Request
    from edgeleuk.counting.state import Event, LiveState
    from edgeleuk.device.profiles import Profile
    from edgeleuk.differential.rules import Reference
    from edgeleuk.differential.verdict import Reason, Verdict
    from edgeleuk.models.registry import Model
    from edgeleuk.quality_control.log import Entry
    from edgeleuk.sessions import Session
    from edgeleuk.sources.camera import Source
    from edgeleuk.types import Frame
    from edgeleuk.web.live import LiveHub


@dataclass(frozen=True, slots=True)
class Options:
    """Checked options of a live count."""

    model: Model
    source: str
    target: int
    output: str
    """Output form: view, plain or json."""
    profile: Profile | None = None
    um_per_px: float | None = None
    size: tuple[int | None, int | None] = (None, None)
    fps: float | None = None
    manual: bool = False
    keep: bool = True
    store: Path | None = None
    resume: str | None = None
    who: SessionFacts = NOBODY
    """Facts about a new session."""
    other: SessionChanges = UNCHANGED
    """Changed facts of a resumed session."""
    until_target: bool = False
    most_seconds: float | None = None
    rules: Path | None = None
    reference: Path | None = None
    threads: int | None = None
    control_log: tuple[Entry, ...] = ()
    """Log of control slides, which may speak against the result."""
    hub: LiveHub | None = None
    """Meeting point with browsers, under --serve."""


def count_live(options: Options, start: Start) -> str | None:
    """Count until the operator, the target or the time ends it.

    Args:
        options: Checked options of the command line.
        start: Screen and keys, already open.

    Returns:
        Id of the slide that the operator wants to count next; None for none.

    Raises:
        StoreError: The count ended while no field could be kept.
    """
    from edgeleuk.analysis.analyser import Analyser
    from edgeleuk.console.loop import Loop, LoopOptions
    from edgeleuk.console.systemd_watchdog import Watchdog
    from edgeleuk.counting.live import LiveCounter
    from edgeleuk.counting.scale_policy import ScalePolicy
    from edgeleuk.counting.slide import SlideCount, SlideOptions
    from edgeleuk.render.leftout import left_out_lines
    from edgeleuk.sessions import claim_source
    from edgeleuk.sources import default_source, open_source
    from edgeleuk.sources.capture import Capture
    from edgeleuk.system import machine
    from edgeleuk.types import Scale

    machine.share_heap()
    rules, ranges = standards(options.rules, options.reference)
    analyser = Analyser(options.model, options.threads, profile=options.profile, refusing=True)
    spec = options.source or default_source()
    given = None if options.um_per_px is None else Scale.given(options.um_per_px)
    scale = ScalePolicy(analyser, given)
    say = _speaker(options)

    def opened() -> Source:
        width, height = options.size
        return open_source(
            spec,
            width=width,
            height=height,
            fps=options.fps,
            magnification=options.model.magnification,
            reader=scale,
        )

    options = replace(options, control_log=tuple(entries_of(options.store)))
    start.step(f"opening {shown_mistake(spec)}")
    with ExitStack() as stack:
        capture = stack.enter_context(Capture(opened))
        info = capture.info
        if info.live:
            stack.enter_context(claim_source(info.name))
        for text in info.notes:
            tell(text)
        for each in reasons_now(options.control_log, options.model.magnification, options.who.device):
            warn(each.text)
        for line in left_out_lines(info.left_out, recursive=False):
            notices.print(line)
        session = _session(stack, options, analyser, spec) if options.keep else None
        slide = SlideCount(analyser, rules, ranges, scale, SlideOptions(stills=info.stills))
        counter = LiveCounter(
            slide,
            source=info.name,
            target=options.target,
            manual=options.manual,
            recorder=options.hub.recorder(session) if options.hub else session,
            on_event=say,
        )
        if session and options.resume:
            start.step(f"reading what session {session.id} counted")
            _take_up(session, counter)
        else:
            slide.leave_out(info.left_out)
        start.step("waiting for the first picture")
        _tell_start(say, counter, info.name, session)
        if session and options.resume:
            _describe(session, options.other, counter, say)
        watchdog = stack.enter_context(Watchdog.from_environment(paced=not info.stills))
        view, requests = _view(start, counter, ranges)
        show_frame = start.show_frame
        if hub := options.hub:
            hub.begin(analyser.reader.labels, next_slides=info.live)
            view, requests, show_frame = hub.view(view), hub.requests(requests), _shown(hub, show_frame)
        loop_options = LoopOptions(
            requests=requests,
            show_frame=show_frame,
            on_event=say,
            watchdog=watchdog,
            waits=not info.live,
            next_slides=info.live,
            until_target=options.until_target,
            most_seconds=options.most_seconds,
        )
        loop = Loop(capture, counter, view, loop_options)
        reason = loop.run()
        start.close()  # closing messages belong on the former screen
        if session:
            session.finish(reason)
        _close(options, counter, session, reason, say, capture.unreadable)
        if counter.refused_by_disk:
            raise StoreError(f"the count ended while no field could be kept. {counter.message}")
    return loop.next_slide


def count_slides(options: Options, start: Start, again: Callable[[], Start]) -> None:
    """Count one slide after the other.

    This goes on as long as the operator names a next slide.

    Args:
        options: Checked options of the first count.
        start: Screen and keys of the first count, already open.
        again: Makes those of a further count.
    """
    following = count_live(options, start)
    while following is not None:
        who = replace(options.who, slide=following, notes="")
        options = replace(options, who=who, resume=None, other=UNCHANGED)
        with again() as start:
            start.step(f"beginning slide {tamed(following)}")
            following = count_live(options, start)


def _take_up(session: Session, counter: LiveCounter) -> None:
    """Continue a kept session.

    Its fields are read for this and do not stay in memory.
    """
    from edgeleuk.cli._kept import tell_lost
    from edgeleuk.counting.kept import check_types

    lost: list[str] = []
    counted = tuple(session.counted(lost))
    check_types(session.readable_summary(lost), counted, counter.analyser.model)
    marks = session.marks(lost)
    last = session.drop_unreadable(counted, lost) if lost else 0
    tell_lost(lost)
    counter.resume(counted, marks, last=last)


def _describe(
    session: Session, other: SessionChanges, counter: LiveCounter, say: Callable[[Event], None]
) -> None:
    """Update the facts of a resumed session and report the changes."""
    from edgeleuk.counting.state import Event

    said = [str(change) for change in other.keep(session)]
    for text in [*said, *filter(None, [other.notes])]:
        say(Event("note", counter.seconds, text))
    counter.message = " ".join(said) or counter.message


def _session(stack: ExitStack, options: Options, analyser: Analyser, spec: str) -> Session:
    from edgeleuk.results.slide_result import identify
    from edgeleuk.sessions import NewSession, open_store

    store = stack.enter_context(open_store(options.store))
    if options.resume:
        return store.resume(options.resume)
    return store.start(
        NewSession(
            source=shown_source(spec),
            model=identify(analyser.model),
            target=options.target,
            um_per_px=options.um_per_px,
            slide=options.who.slide,
            operator=options.who.operator,
            site=options.who.site,
            device=options.who.device,
            profile=options.profile.name if options.profile else None,
            notes=options.who.notes,
        )
    )


def _speaker(options: Options) -> Callable[[Event], None]:
    """Return the function that prints events.

    Events are lines on stdout, or go nowhere while the screen shows them.
    """
    from edgeleuk.render import events

    if options.output == "view":
        return lambda _: None
    line = events.as_json if options.output == "json" else events.plain

    def say(event: Event) -> None:
        sys.stdout.write(line(event) + "\n")
        sys.stdout.flush()

    return say


def _view(
    start: Start, counter: LiveCounter, ranges: Reference
) -> tuple[View, Callable[[], Iterator[Request]]]:
    """Return the view and the source of operator requests.

    Keys work wherever stdin is a terminal, also with --plain and --json.
    """
    from edgeleuk.console.keys import Controls
    from edgeleuk.console.view import LiveView

    if start.screen is None:
        return _Nowhere(), Controls(start.keys.poll, counter.question, _notice).requests
    controls = Controls(start.keys.poll, counter.question)
    reader = counter.analyser.reader
    view = LiveView(
        reader.labels, start.screen, attributes=reader.attributes, reference=ranges, controls=controls
    )
    return view, controls.requests


def _shown(
    hub: LiveHub, also: Callable[[Frame, LiveState], None] | None
) -> Callable[[Frame, LiveState], None]:
    """Return the function that shows a frame.

    It goes to browsers, and to the preview if there is one.
    """

    def show(frame: Frame, state: LiveState) -> None:
        hub.show(frame, state)
        if also:
            also(frame, state)

    return show


def _notice(text: str) -> None:
    tell(text)


class _Nowhere:
    """Null view, for output as events."""

    def update(self, state: LiveState) -> None:
        """Ignore the state."""


def _tell_start(
    say: Callable[[Event], None], counter: LiveCounter, source: str, session: Session | None
) -> None:
    from edgeleuk.counting.state import Event
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
    counter: LiveCounter,
    session: Session | None,
    reason: str,
    say: Callable[[Event], None],
    unreadable: int,
) -> None:
    from edgeleuk.console.parts import damaged
    from edgeleuk.counting.state import Event
    from edgeleuk.differential import verdict
    from edgeleuk.differential.differential import as_json
    from edgeleuk.render import events
    from edgeleuk.render.control_warnings import with_reasons

    against = _against(options, session)
    result, said = counter.differential(), with_reasons(counter.slide.verdict(), against)
    text = f"{reason}. {events.target_text(result, options.target)}"
    if unreadable:
        text += f" {damaged(unreadable)}"
    text = " ".join((text, *(each.text for each in against)))
    data = {
        "reason": reason,
        "differential": as_json(result),
        "verdict": verdict.as_json(said),
        "unreadable": unreadable,
    }
    say(Event("finished", counter.seconds, text, data))
    if options.output == "view":
        _summarise(options, said, counter, session, reason, unreadable)
    if session and counter.refused_by_disk:
        warn(f"the last fields are not in session {session.id}: {counter.message}")
    elif session:
        tell(f"kept as session {session.id}: `edgeleuk sessions show {session.id}`")
    _tell_verdict(options, said)


def _against(options: Options, session: Session | None) -> tuple[Reason, ...]:
    """Return what a control slide says against the count."""
    device = options.who.device
    if options.control_log and session:
        with suppress(EdgeleukError):  # a disk that is gone must not cost the result
            device = session.summary.device
    return reasons_now(options.control_log, options.model.magnification, device)


def _summarise(
    options: Options,
    said: Verdict,
    counter: LiveCounter,
    session: Session | None,
    reason: str,
    unreadable: int,
) -> None:
    """Print a summary on the restored terminal.

    Before it come the attributes, if no session keeps them.
    """
    from edgeleuk.console.summary import Ended
    from edgeleuk.render import terminal

    result, out = counter.differential(), results()
    if session is None and result.supported and result.attributes:
        out.print(terminal.attributes(result))
    ended = Ended(
        said, result, options.model.magnification, counter.slide.number, options.target, reason,
        unreadable,
    )  # fmt: skip
    out.print(*ended.summary(out.width, out.height), sep="\n")


def _tell_verdict(options: Options, said: Verdict) -> None:
    """Print the verdict last, so that it stays on the screen.

    JSON has it in its last event.
    """
    from edgeleuk.console.findings import verdict_lines
    from edgeleuk.render._words import verdict_line

    out = results()
    if options.output == "view":
        out.print(*verdict_lines(said, out.width), sep="\n")
    elif options.output == "plain":
        out.print(verdict_line(said), soft_wrap=True)
