"""Exports of many sessions into one archive, or into an outbox."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from edgeleuk.cli._console import progress_bar, report, tell, write
from edgeleuk.cli._kept import reviewed, session_of, tell_lost
from edgeleuk.errors import EdgeleukError, OutputError, UsageError
from edgeleuk.system import user_paths

if TYPE_CHECKING:
    from edgeleuk.differential.rules import Reference, Rules
    from edgeleuk.programme.documents import SlideDocument
    from edgeleuk.sessions import SessionSummary, Store


@dataclass(frozen=True, slots=True)
class Wanted:
    """What to export, and where to."""

    session: str | None
    """One session; None for those of `since`."""
    since: datetime | None
    """Sessions that were counted or reviewed since then; None for all."""
    archive: Path | None
    outbox: Path | None
    pictures: bool
    model_folder: Path | None
    rules: Rules
    reference: Reference


@dataclass(slots=True)
class _Done:
    members: dict[str, bytes] = field(default_factory=dict)
    documents: list[SlideDocument] = field(default_factory=list)
    new: int = 0
    failed: list[EdgeleukError] = field(default_factory=list)


def since(text: str) -> datetime:
    """Return the time that an option names.

    Raises:
        UsageError: It is none.
    """
    try:
        return datetime.fromisoformat(text).astimezone()
    except ValueError as error:
        raise UsageError(
            f"--since {text} is no date. Write it as 2026-01-31, or with a time as 2026-01-31T08:00."
        ) from error


def export_many(opened: Store, wanted: Wanted) -> None:
    """Export sessions, and go on past those that cannot be.

    Raises:
        typer.Exit: With the code of the first session that could not be exported.
    """
    from edgeleuk.programme import archive, export
    from edgeleuk.quality_control import log

    lost: list[str] = []
    every = opened.list(lost)
    chosen = _chosen(opened, every, wanted)
    running = [each for each in chosen if each.state == "running"]
    done = _Done()
    with progress_bar("exporting", shown=len(chosen) > 1) as progress:
        for number, each in enumerate(chosen, 1):
            if each not in running:
                try:
                    _export_one(opened, each, wanted, done, lost)
                except EdgeleukError as error:
                    if isinstance(error, OutputError):
                        raise
                    done.failed.append(error)
            progress(number, len(chosen))
    site, device = _own(every)
    controls = export.control_members(log.read(opened, lost), opened.uuid, site, device)
    count = len(done.documents)
    if wanted.archive:
        content = archive.pack({**done.members, **controls, **export.slides_member(done.documents)})
        write(user_paths.expanded(wanted.archive, "--zip", OutputError), content, 0o600)
        tell(f"{count} session{'s' * (count != 1)} in {wanted.archive}")
    if wanted.outbox:
        folder = user_paths.expanded(wanted.outbox, "--outbox", OutputError)
        if controls:
            name = export.controls_name(controls, site, device)
            done.new += export.put(folder, name, archive.pack(controls))
        tell(f"{count} session{'s' * (count != 1)} in {folder}; {done.new} new file{'s' * (done.new != 1)}")
    for each in running:
        tell(f"session {each.id} is being counted and was left out: export again when it has ended.")
    tell_lost(lost)
    for fault in done.failed:
        report(fault)
    for fault in done.failed:
        raise typer.Exit(fault.exit_code)


def _export_one(opened: Store, each: SessionSummary, wanted: Wanted, done: _Done, lost: list[str]) -> None:
    from edgeleuk.programme import archive, export
    from edgeleuk.render.sessions import crops

    kept, review, own = reviewed(opened, each.id, wanted.model_folder, wanted.rules, wanted.reference)
    session = opened.get(each.id)
    document = export.slide_document(kept, review, opened.uuid, session.history())
    members = export.session_members(kept, document)
    if wanted.pictures:
        members |= export.picture_members(document.uuid, crops(kept, session.counted([])))
    if wanted.outbox:
        folder = user_paths.expanded(wanted.outbox, "--outbox", OutputError)
        content = archive.pack({**members, **export.slides_member([document])})
        done.new += export.put(folder, export.file_name(document, content), content)
    if wanted.archive:
        done.members |= members
    done.documents.append(document)
    lost.extend(own)


def _chosen(opened: Store, every: list[SessionSummary], wanted: Wanted) -> list[SessionSummary]:
    """Return the sessions to export, the first one first."""
    if wanted.session is not None:
        found = session_of(opened, wanted.session)
        return [each for each in every if each.id == found]
    if wanted.since is None:
        return every[::-1]
    return [each for each in reversed(every) if _is_later(opened, each, wanted.since)]


def _is_later(opened: Store, each: SessionSummary, time: datetime) -> bool:
    """Return whether a session was counted, reviewed or changed since a time."""
    trail = opened.trail(each.id).entries([])
    notes = opened.get(each.id).notes([])  # each change of a fact is one
    times = (each.started, each.last, each.ended, *(other[-1].at for other in (trail, notes) if other))
    return any(datetime.fromisoformat(text) >= time for text in times if text)


def _own(every: list[SessionSummary]) -> tuple[str, str]:
    """Return the site and device for this machine's control log.

    The log is that of its control slides. Without `edgeleuk site` both are those of the last session.
    """
    from edgeleuk.system import site as machine

    try:
        known = machine.load()
    except EdgeleukError:
        known = machine.Site()
    site, device = (every[0].site, every[0].device) if every else ("", "")
    return known.site or site, known.device or device
