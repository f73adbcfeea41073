"""Merging of archives into a database, and reading it back."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from edgeleuk.errors import EdgeleukError, InputError, StoreError
from edgeleuk.programme import archive
from edgeleuk.programme.conflicts import resolve
from edgeleuk.programme.documents import ControlDocument, SlideDocument, decode_control, decode_slide
from edgeleuk.programme.figures import Programme, figures
from edgeleuk.sessions.merged import MergedSessions


@dataclass(slots=True)
class MergeReport:
    """What a merge found."""

    files: int = 0
    outcomes: Counter[str] = field(default_factory=Counter)
    """Sessions by what they were to the database, see `merged.Outcome`."""
    controls: int = 0
    """Entries of logs of control slides that were new."""
    failed: list[tuple[str, EdgeleukError]] = field(default_factory=list)
    """Files that could not be read, with the reason."""


def merge(
    paths: Sequence[Path], database: MergedSessions, progress: Callable[[int, int], None] = lambda *_: None
) -> MergeReport:
    """Merge archives one by one.

    A file that cannot be read adds nothing, and the others go on. Each file is one transaction: a merge that
    was cut off is begun again.

    Args:
        paths: Files of `sessions export`.
        database: Where to.
        progress: Takes the number of files done and of all.

    Raises:
        StoreError: The database cannot be written.
    """
    done = MergeReport()
    for number, path in enumerate(paths, 1):
        try:
            contents = archive.read(path)
        except InputError as error:
            done.failed.append((str(path), error))
        else:
            outcomes = database.add(slide.state_of(content) for slide, content in contents.slides)
            done.outcomes.update(outcomes.values())
            done.controls += database.add_controls(
                (entry.store, entry.number, content) for entry, content in contents.controls
            )
            done.files += 1
        progress(number, len(paths))
    return done


def unreadable(paths: Sequence[Path]) -> list[tuple[str, EdgeleukError]]:
    """Return the failures of files of which none can be read.

    Empty as soon as one can be. A new database is then worth making.
    """
    failed: list[tuple[str, EdgeleukError]] = []
    for path in paths:
        try:
            archive.read(path)
        except InputError as error:
            failed.append((str(path), error))
        else:
            return []
    return failed


def programme_of(database: MergedSessions) -> Programme:
    """Return the figures of all that was merged.

    Raises:
        StoreError: The database cannot be read.
    """
    try:
        controls = (decode_control(each, str(database.path)) for _, _, each in database.controls())
        return figures(resolve(documents(database)), _once(controls))
    except InputError as error:
        raise StoreError(f"{error} Merge the exports into a new file.") from error


def _once(entries: Iterable[ControlDocument]) -> list[ControlDocument]:
    """Return each entry once.

    This holds also where its machine was renamed between two exports.
    """
    found: dict[tuple[str, int, str, str, str], ControlDocument] = {}
    for each in entries:
        key = (each.store, each.number, each.at, each.control, each.outcome)
        found[key] = max(found.get(key, each), each, key=lambda entry: (entry.site, entry.device))
    return list(found.values())


def documents(database: MergedSessions) -> Iterator[tuple[str, SlideDocument]]:
    """Yield hash and document of every state.

    The states come in the order of their UUIDs.

    Raises:
        InputError: One cannot be read.
        StoreError: The database cannot be read.
    """
    for _, digest, content in database.documents():
        yield digest, decode_slide(content, str(database.path))
