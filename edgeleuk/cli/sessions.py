"""`edgeleuk sessions`: kept counts."""

from __future__ import annotations

import sys
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from edgeleuk._text import escaped
from edgeleuk.cli import _second
from edgeleuk.cli._console import json_text, print_json, results, tell
from edgeleuk.cli._kept import only_session_of, reviewed, session_of, tell_lost
from edgeleuk.cli._model import ModelOption
from edgeleuk.cli._options import AnySlideArgument, JsonOption, SessionArgument, SlideArgument
from edgeleuk.cli._results import ResultFolder, Run
from edgeleuk.cli._rules import ReferenceOption, RulesOption, standards
from edgeleuk.cli._who import (
    MoreNotes,
    OtherDevice,
    OtherOperator,
    OtherSite,
    OtherSlide,
    SessionChanges,
    StoreOption,
)
from edgeleuk.errors import UsageError
from edgeleuk.system import file_io
from edgeleuk.system.language import _
from edgeleuk.system.sentences import said

app = typer.Typer(
    help="Kept counts of `live` and `analyze`: list, show, set, resume, export, delete.\n\n"
    "They are in one file: the one that --store or the environment variable EDGELEUK_SESSIONS names, else"
    " $XDG_DATA_HOME/edgeleuk/sessions.db, else ~/.local/share/edgeleuk/sessions.db. It holds pictures of cells,"
    " and no patient names unless somebody wrote one into a slide id or a note.",
    no_args_is_help=True,
)

app.command("share")(_second.share)
app.command("take")(_second.take)
app.command("compare")(_second.compare)


@app.command("list")
def list_sessions(as_json: JsonOption = False, store: StoreOption = None) -> None:
    """List the sessions, newest first, and the file that holds them."""
    from edgeleuk.render import sessions as render
    from edgeleuk.sessions import default_path, open_store

    path = store or default_path()
    lost: list[str] = []
    if store is None and file_io.is_absent(path):  # nothing was counted yet: no error
        found = []
    else:
        with open_store(path, create=False) as opened:
            found = opened.list(lost)
    if as_json:
        sessions = [render.summary(each) for each in found]
        print_json({"path": str(path), "sessions": sessions, "lost": lost})
    else:
        results().print(render.listing(found, path))
    tell_lost(lost)


@app.command()
def show(
    session: SlideArgument,
    as_json: JsonOption = False,
    store: StoreOption = None,
    model_folder: ModelOption = None,
    rules: RulesOption = None,
    reference: ReferenceOption = None,
) -> None:
    """Show the verdict, the differential and the notes of a session.

    Of a slide with several sessions the newest is shown. A second opinion is shown by its session id.
    """
    from edgeleuk.render import sessions as render
    from edgeleuk.sessions import open_store

    with open_store(store, create=False) as opened:
        found = session_of(opened, session)
        kept, review, lost = reviewed(opened, found, model_folder, *standards(rules, reference))
        first = opened.get(found).first
    if as_json:
        print_json(render.shown(kept, review))
    else:
        results().print(render.show(kept, review, first))
    tell_lost(lost)


@app.command()
def resume(
    session: SlideArgument,
    slide: OtherSlide = None,
    operator: OtherOperator = None,
    site: OtherSite = None,
    device: OtherDevice = None,
    notes: MoreNotes = None,
    store: StoreOption = None,
) -> None:
    """Continue a session with the same source, objective, slide map and tally, as `edgeleuk live --resume ID`.

    Facts that are given here replace the kept ones; a note keeps what was said before. Of a slide with
    several sessions, name one by its session id.
    """
    from edgeleuk.cli.live import resume_session
    from edgeleuk.sessions import open_store

    with open_store(store, create=False) as opened:
        found = only_session_of(opened, session)
    resume_session(found, store, SessionChanges(slide, operator, site, device, notes))


@app.command("set")
def set_facts(
    session: SlideArgument,
    slide: OtherSlide = None,
    operator: OtherOperator = None,
    site: OtherSite = None,
    device: OtherDevice = None,
    notes: MoreNotes = None,
    as_json: JsonOption = False,
    store: StoreOption = None,
) -> None:
    """Set the slide id, operator, site or device of a session that is over, or add a remark.

    A note with the time keeps what was said before. An empty text ("") takes it away. Of a slide with several sessions, name
    one by its session id.
    """
    from edgeleuk.render import sessions as render
    from edgeleuk.sessions import open_store

    if not (other := SessionChanges(slide, operator, site, device, notes)):
        raise UsageError(
            "nothing to set. Give one or more of --slide, --operator, --site, --device, --notes."
        )
    with open_store(store, create=False) as opened:
        found = opened.annotate(only_session_of(opened, session))
        changes = other.keep(found)
        found.release()  # a session that is held is said to be running
        summary = found.summary
    if as_json:
        print_json({"session": render.summary(summary), "changes": [asdict(change) for change in changes]})
    else:
        told = [*map(str, changes), *(["remark added."] if notes else [])]
        text = " ".join(map(said, told or ["nothing changed: it was so already."]))
        results().print(escaped(f"{said(f'session {summary.id}')}{_(': ')}{text}"), soft_wrap=True)


@app.command()
def export(
    session: AnySlideArgument = None,
    out: Annotated[
        Path | None, typer.Option("--out", help="Folder for the files.", show_default="the session's id")
    ] = None,
    every: Annotated[bool, typer.Option("--all", help="Export all sessions, to --zip or --outbox.")] = False,
    since: Annotated[
        str | None,
        typer.Option(
            "--since",
            metavar="DATE",
            help="Export the sessions counted, reviewed or changed since then, to --zip or --outbox.",
            show_default=False,
        ),
    ] = None,
    archive: Annotated[
        Path | None,
        typer.Option("--zip", help="One file for `edgeleuk merge`, without pictures.", show_default=False),
    ] = None,
    outbox: Annotated[
        Path | None,
        typer.Option(
            "--outbox",
            help="Folder for a file a session, as for rsync or a share; what is there is not written again.",
            show_default=False,
        ),
    ] = None,
    pictures: Annotated[
        bool, typer.Option("--pictures", help="Put pictures of white cells into --zip or --outbox too.")
    ] = False,
    store: StoreOption = None,
    model_folder: ModelOption = None,
    rules: RulesOption = None,
    reference: ReferenceOption = None,
) -> None:
    """Write a session as files: session.json, *.csv, crops/TYPE/CELL-FIELD.jpg, result.edgeleuk.

    The CSV files are verdict, cells, differential and pictures. A crop is the best view of a white cell: whole where a field
    shows it whole, and sharpest. result.edgeleuk holds every number exactly, for programs: `edgeleuk.results.codec.read_result`
    reads it. The folder may hold an older export of this session, which is replaced, and no other result.

    With --zip or --outbox, sessions go to `edgeleuk merge`: their row of the slides' table, verdict, differential, pictures and
    white cells as CSV, the trail of the review and the log of control slides; no notes, and pictures only with --pictures. A
    manifest has the hash of each part. The same sessions give the same bytes, so that an export that was cut off is begun again.
    """
    from edgeleuk.cli._export import Wanted, export_many
    from edgeleuk.cli._export import since as parsed
    from edgeleuk.render import sessions as render
    from edgeleuk.render import tables
    from edgeleuk.results.codec import encode
    from edgeleuk.sessions import open_store

    if session is None and every and since is not None:
        raise UsageError("give --all or --since DATE, not both.")
    if (session is not None) + every + (since is not None) != 1:
        raise UsageError("name one slide or session, or give --all or --since DATE.")
    if session is None or archive or outbox:
        if not (archive or outbox) or out:
            raise UsageError("several sessions go to --zip FILE or --outbox DIR; --out is for one.")
        time = parsed(since) if since else None
        rule_set, ranges = standards(rules, reference)
        wanted = Wanted(session, time, archive, outbox, pictures, model_folder, rule_set, ranges)
        with open_store(store, create=False) as opened:
            export_many(opened, wanted)
        return
    with open_store(store, create=False) as opened:
        found = opened.get(session_of(opened, session))
        kept, review, lost = reviewed(opened, found.id, model_folder, *standards(rules, reference))
        about = kept.summary
        folder = ResultFolder(
            out or Path(about.id),
            Run(about.uuid, about.uuid, f"session {about.id}", about.about.started),
            private=True,
        )
        for name, picture in render.crops(kept, found.counted([])):
            folder.write(name, picture)
    folder.write("result.edgeleuk", encode(kept.result))
    folder.write("cells.csv", render.cells_csv(kept))
    folder.write("verdict.csv", tables.verdict_csv(kept.result))
    folder.write("differential.csv", tables.differential_csv(kept.result))
    folder.write("pictures.csv", tables.pictures_csv(kept.result))
    folder.write("session.json", json_text(render.document(kept, review)))
    folder.close()
    tell_lost(lost)
    tell(f"session {about.id} is in {folder.path}")


@app.command()
def delete(
    session: SessionArgument,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    store: StoreOption = None,
) -> None:
    """Remove a session and its pictures for good, and give their space back to the disk."""
    from edgeleuk.sessions import open_store

    with open_store(store, create=False) as opened:
        doomed = opened.get(session).readable_summary([])
        what = f"session {doomed.id} with {doomed.fields} fields and {doomed.white_cells} cells read"
        if not yes:
            if not sys.stdin.isatty():
                raise UsageError(f"nobody is there to ask whether to delete {what}. Give --yes to do so.")
            typer.confirm(said(f"Delete {what} for good?"), abort=True, err=True)
        opened.delete(doomed.id)
    tell(f"deleted {what}")
