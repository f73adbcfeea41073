"""Members of an archive.

They are what leaves the machine of a session and of a log of control slides.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from pathlib import Path

from edgeleuk import __version__
from edgeleuk.counting.kept import Kept
from edgeleuk.errors import OutputError
from edgeleuk.programme import archive
from edgeleuk.programme.documents import SlideDocument, control_document, encode
from edgeleuk.quality_control.log import Entry
from edgeleuk.render import sessions as render
from edgeleuk.render import slides_table, tables
from edgeleuk.render.review import as_json as review_json
from edgeleuk.render.sessions import clock_set_back
from edgeleuk.review import Review
from edgeleuk.system import file_io, private_files
from edgeleuk.types import UNCLASSIFIED

Members = dict[str, bytes]


def slide_document(kept: Kept, review: Review, store: str, history: frozenset[str]) -> SlideDocument:
    """Return the document of a session.

    Args:
        kept: The session.
        review: Its review.
        store: UUID of the file of sessions.
        history: Fingerprints of the session.
    """
    about = kept.summary
    return SlideDocument(
        uuid=about.uuid,
        store=store,
        sequence=about.sequence,
        id=about.id,
        kind=about.kind,
        state=about.state,
        program=__version__,
        last=about.ended or about.last or about.started,
        clock_set_back=clock_set_back(kept),
        row=slides_table.row(review.result),
        program_verdict=review.program.verdict.code,
        review=review_json(review),
        looked_at=review.reviewed,
        corrected=sum(cell.looked_at for cell in review.changed),
        history="".join(sorted(history)),
        second_of=about.second_of,
        labels=looked_at(review),
    )


def looked_at(review: Review) -> dict[str, str]:
    """Return the labels of cells that a reviewer looked at.

    They are given by the cell's number on the map.
    """
    return {
        str(number): cell.label or UNCLASSIFIED
        for number, cell in sorted(review.cells.items())
        if cell.looked_at
    }


def session_members(kept: Kept, document: SlideDocument) -> Members:
    """Return the members of one session: its document and its tables.

    Cells are the white ones alone.
    """
    made = {
        archive.SLIDE: encode(document),
        "verdict.csv": tables.verdict_csv(kept.result).encode(),
        "differential.csv": tables.differential_csv(kept.result).encode(),
        "pictures.csv": tables.pictures_csv(kept.result).encode(),
        "cells.csv": render.cells_csv(kept, only_white=True).encode(),
    }
    return {f"{archive.SLIDES}/{document.uuid}/{name}": content for name, content in made.items()}


def picture_members(uuid: str, crops: Iterable[tuple[str, bytes]]) -> Members:
    """Return pictures of cells as members; `crops` are those of `render.sessions.crops`."""
    return {f"pictures/{uuid}/{name.removeprefix('crops/')}": content for name, content in crops}


def control_members(entries: Iterable[Entry], store: str, site: str, device: str) -> Members:
    """Return the members of a log of control slides.

    Arguments are those of `control_document`.
    """
    return {
        f"{archive.CONTROLS}/{store}/{entry.number:06d}.json": encode(
            control_document(entry, store, site, device)
        )
        for entry in entries
    }


def slides_member(documents: Iterable[SlideDocument]) -> Members:
    """Return the table with one row a slide as a member.

    Second opinions are no slides, and have no row.
    """
    rows = [each.row for each in sorted(documents, key=lambda each: each.uuid) if not each.second_of]
    return {"slides.csv": slides_table.csv(rows).encode()}


def file_name(document: SlideDocument, content: bytes) -> str:
    """Return the name of a session's archive in an outbox.

    It ends with a part of the content's hash: another state of the session has another name.
    """
    return f"{_stem(document)}-{hashlib.sha256(content).hexdigest()[:12]}{archive.SUFFIX}"


def controls_name(members: Members, site: str, device: str) -> str:
    """Return the name of a control log's archive.

    The archive is in an outbox; the log is of control slides.
    """
    content = b"".join(members[name] for name in sorted(members))
    digest = hashlib.sha256(content).hexdigest()[:12]
    return f"{_plain(site)}-{_plain(device)}-controls-{digest}{archive.SUFFIX}"


def put(folder: Path, name: str, content: bytes) -> bool:
    """Write an archive into an outbox.

    The result is whether it was not there yet. An earlier state of the same session is removed, since this
    one has all of it.

    Raises:
        OutputError: It cannot be written.
    """
    path = folder / name
    try:
        private_files.make_folder(folder)
        new = file_io.is_absent(path)
        if new:
            file_io.write_whole(path, content, private_files.FILE)
        stem = name.rsplit("-", 1)[0]
        for each in file_io.listed(folder, f"{stem}-*{archive.SUFFIX}"):
            if each != path and re.fullmatch(
                rf"{re.escape(stem)}-[0-9a-f]{{12}}{re.escape(archive.SUFFIX)}", each.name
            ):
                each.unlink(missing_ok=True)
    except OSError as error:
        raise OutputError(
            f"cannot write {path}: {error.strerror}. Free some space, or name another folder."
        ) from error
    return new


def _stem(document: SlideDocument) -> str:
    site, device = document.row["site"], document.row["device"]
    return f"{_plain(site)}-{_plain(device)}-{document.uuid}"


def _plain(text: str) -> str:
    return re.sub(r"[^0-9A-Za-z_]+", "_", text)[:40].strip("_") or "unnamed"
