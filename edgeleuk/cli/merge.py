"""`edgeleuk merge`: exports of many machines in one database."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from edgeleuk._text import escaped
from edgeleuk.cli._console import print_json, progress_bar, report, results
from edgeleuk.cli._options import JsonOption
from edgeleuk.errors import StoreError, UsageError
from edgeleuk.system import user_paths
from edgeleuk.system.language import _, word
from edgeleuk.system.sentences import said

SAID = {
    "new": "new",
    "later": "in a later state, such as an amended revision",
    "same": "there already",
    "older": "there in a later state already",
    "diverged": "in a state that contradicts another one: see `edgeleuk programme`",
}


def merge(
    files: Annotated[
        list[Path],
        typer.Argument(help="Files of `edgeleuk sessions export`, or folders of them.", show_default=False),
    ],
    into: Annotated[Path, typer.Option("--into", help="Database, made if it is absent.", show_default=False)],
    as_json: JsonOption = False,
) -> None:
    """Merge exported sessions of many machines into one database.

    The order does not matter, and merging a file again changes nothing. A later state of a session, such as an amended
    revision, replaces the earlier one; states that contradict each other are all kept, and `edgeleuk programme` says which one
    counts. A file that cannot be read, is damaged or was changed is named at the end and adds nothing; the exit code is then 3.
    """
    from edgeleuk.programme.conflicts import Conflict, resolve
    from edgeleuk.programme.merging import MergeReport, documents, unreadable
    from edgeleuk.programme.merging import merge as merged
    from edgeleuk.sessions.merged import MergedSessions
    from edgeleuk.system import file_io

    paths = _listed(files)
    target = user_paths.expanded(into, "--into", StoreError)
    conflicts: tuple[Conflict, ...] = ()
    content = None
    if file_io.is_absent(target) and (failed := unreadable(paths)):
        done = MergeReport(failed=failed)
    else:
        with MergedSessions(target, create=True) as database:
            with progress_bar("merging", shown=len(paths) > 1) as progress:
                done = merged(paths, database, progress)
            conflicts = resolve(documents(database)).conflicts
            content = database.content_hash()
    if as_json:
        print_json({
            "database": str(into),
            "files": done.files,
            "sessions": dict(done.outcomes),
            "control_entries": done.controls,
            "conflicts": [{"kind": each.kind, "text": each.text, "sessions": each.sessions} for each in conflicts],
            "failed": [{"path": path, "error": str(error)} for path, error in done.failed],
            "sha256": content,
        })  # fmt: skip
    else:
        out = results()
        out.print(
            escaped(said(f"{done.files} file{'s' * (done.files != 1)} merged into {into}")),
            soft_wrap=True,
            markup=False,
        )
        for outcome, text in SAID.items():
            if count := done.outcomes[outcome]:
                line = said(f"{count} session{'s' * (count != 1)} {text}")
                out.print(f"{' ' * (8 - len(str(count)))}{line}", soft_wrap=True, markup=False)
        for each in conflicts:
            out.print(escaped(f"{word(each.kind)}{_(': ')}{said(each.text)}"), soft_wrap=True, markup=False)
        if content is None:
            out.print(escaped(said(f"{into} was not made")), soft_wrap=True, markup=False)
        else:
            out.print(said(f"content: {content}"), soft_wrap=True, markup=False)
    for _path, error in done.failed:
        report(error)
    for _path, error in done.failed:
        raise typer.Exit(error.exit_code)


def _listed(files: list[Path]) -> list[Path]:
    """Return the files, and those in the folders."""
    from edgeleuk.programme.archive import SUFFIX
    from edgeleuk.system import file_io

    found: list[Path] = []
    for each in files:
        if file_io.is_folder(each):
            within = file_io.listed(each, f"*{SUFFIX}") or file_io.listed(each, "*.zip")
            if not within:
                raise UsageError(
                    f"{each} has no files of `edgeleuk sessions export`, whose names end with .zip."
                )
            found += within
        else:
            found.append(each)
    return list(dict.fromkeys(found))
