"""Archive of exported sessions: a ZIP file with a manifest of hashes.

The same content gives the same bytes: members are in the order of their names, without times or rights.
"""

from __future__ import annotations

import hashlib
import io
import json
import re
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from edgeleuk import __version__
from edgeleuk.errors import InputError
from edgeleuk.programme.documents import ControlDocument, SlideDocument, decode_control, decode_slide
from edgeleuk.render.tables import RESEARCH_USE
from edgeleuk.system import file_io
from edgeleuk.system.wording import command

SCHEMA = "edgeleuk-export/1"
SHARE_SCHEMA = "edgeleuk-share/1"
SUFFIX = ".edgeleuk.zip"
MANIFEST = "manifest.json"
SLIDES, SLIDE = "slides", "slide.json"
CONTROLS = "controls"
MOST_MEMBERS = 200_000
MOST_BYTES = 64_000_000
"""Maximum size of one document, bytes. The largest have some thousand entries of a trail."""
MOST_TOTAL = 600_000_000
"""Maximum size of all documents of an archive together, bytes.

The fields of a large session for a second opinion are the most; ten thousand slides have 50 MB.
"""
MOST_CHECKED = 16_000_000_000
"""Maximum size of all members of an archive together, bytes.

Tables and pictures are hashed in pieces and not held. Beyond it a small file could keep the machine busy for hours.
"""
_PIECE = 1_000_000
_EPOCH = (1980, 1, 1, 0, 0, 0)
_DOCUMENT = re.compile(rf"({SLIDES}/[0-9a-f-]{{36}}/{SLIDE})|({CONTROLS}/[0-9a-f-]{{36}}/[0-9]+\.json)")


@dataclass(frozen=True, slots=True)
class Contents:
    """Documents of one archive, each as written."""

    slides: tuple[tuple[SlideDocument, bytes], ...]
    controls: tuple[tuple[ControlDocument, bytes], ...]


def pack(members: Mapping[str, bytes], schema: str = SCHEMA) -> bytes:
    """Return an archive of members by name, with its manifest.

    `schema` says what the archive is.
    """
    files = {
        name: {"sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)}
        for name, content in sorted(members.items())
    }
    manifest = {"schema": schema, "edgeleuk": __version__, "notice": RESEARCH_USE, "files": files}
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED, compresslevel=6) as archive:
        _add(archive, MANIFEST, json.dumps(manifest, indent=1).encode() + b"\n")
        for name in files:
            _add(archive, name, members[name])
    return target.getvalue()


def read(path: Path) -> Contents:
    """Read the documents of an archive, and check all of it.

    Nothing is unpacked onto the disk. What the archive holds beside the documents is hashed and not held.

    Raises:
        InputError: See `read_members`.
    """
    return _contents(read_members(path, _DOCUMENT), path)


def read_members(path: Path, wanted: re.Pattern[str], schema: str = SCHEMA) -> dict[str, bytes]:
    """Read the members whose names match, and check all of them.

    Every member must be in the manifest, with the hash that it has there.

    Args:
        path: The archive.
        wanted: Pattern of the whole names.
        schema: What the archive must be.

    Raises:
        InputError: It does not exist, cannot be read, is of another kind, is damaged, or was changed after it was written.
    """
    writer = command("sessions share") if schema == SHARE_SCHEMA else command("sessions export")
    try:
        file_io.require_regular(path)
        with zipfile.ZipFile(path) as archive:
            if len(archive.infolist()) > MOST_MEMBERS:
                raise ValueError(f"it has more than {MOST_MEMBERS} members")
            told = file_io.parse_json(_member(archive, MANIFEST))
            _require_kind(told, schema, path)
            files = _manifest(told, schema)
            _require_named(archive, files)
            return dict(_documents(archive, files, wanted))
    except FileNotFoundError as error:
        raise InputError(f"{path} does not exist. Check the path.") from error
    except (
        OSError,
        zipfile.BadZipFile,
        EOFError,
        NotImplementedError,
        RuntimeError,
        ValueError,
        zlib.error,
    ) as error:
        raise InputError(
            f"cannot read {path}: {file_io.plain(error)}. Is it a whole file of `{writer}`? Copy it again."
        ) from error


def _contents(members: Mapping[str, bytes], path: Path) -> Contents:
    slides, controls = [], []
    for name, content in members.items():
        where = f"{path}, {name}"
        if name.startswith(f"{SLIDES}/"):
            slide = decode_slide(content, where)
            if name.split("/")[1] != slide.uuid:
                raise InputError(f"{where} is of another session. Export it again.")
            slides.append((slide, content))
        else:
            controls.append((decode_control(content, where), content))
    return Contents(tuple(slides), tuple(controls))


def _require_kind(told: object, schema: str, path: Path) -> None:
    """Refuse an archive of the other kind, and name the command for it.

    Raises:
        InputError: It is of another kind.
    """
    theirs = told.get("schema") if isinstance(told, dict) else None
    if theirs == schema:
        return
    if theirs == SCHEMA:
        raise InputError(f"{path} is an export of sessions: use `{command('merge')}` for it.")
    if theirs == SHARE_SCHEMA:
        raise InputError(
            f"{path} is a session for a second opinion: use `{command('sessions take')}` for it."
        )


def _manifest(told: object, schema: str) -> Mapping[str, str]:
    """Return the hashes of the members by name."""
    if not isinstance(told, dict) or told.get("schema") != schema:
        theirs = str(told.get("schema"))[:60] if isinstance(told, dict) else "nothing"
        raise ValueError(f"its manifest should say {schema}, and says {theirs!r}")
    files = told.get("files")
    if not isinstance(files, dict) or not all(
        isinstance(each, dict) and isinstance(each.get("sha256"), str) for each in files.values()
    ):
        raise ValueError("its manifest has no hashes")
    return {name: each["sha256"] for name, each in files.items()}


def _require_named(archive: zipfile.ZipFile, files: Mapping[str, str]) -> None:
    """Check that the members are those of the manifest, each once.

    Raises:
        ValueError: They are others, or have a compression that no edgeleuk writes.
    """
    left = {*files, MANIFEST}
    for each in archive.infolist():
        name = each.filename
        if name not in left:
            raise ValueError(f"{name[:200]} was added after it was written")
        if each.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise ValueError(f"{name} has another compression")
        left.remove(name)


def _documents(
    archive: zipfile.ZipFile, files: Mapping[str, str], wanted: re.Pattern[str]
) -> Iterator[tuple[str, bytes]]:
    """Yield the members whose names match, and check the others."""
    total = checked = 0
    for name, digest in sorted(files.items()):
        if not wanted.fullmatch(name):
            theirs, size = _hash(archive, name)
            checked += size
            if checked > MOST_CHECKED:
                raise ValueError(f"its parts have more than {MOST_CHECKED / 1e6:.0f} MB together")
            if theirs != digest:
                raise ValueError(f"{name} was changed after it was written")
        else:
            content = _member(archive, name)
            total += len(content)
            if total > MOST_TOTAL:
                raise ValueError(f"its parts have more than {MOST_TOTAL / 1e6:.0f} MB together")
            if hashlib.sha256(content).hexdigest() != digest:
                raise ValueError(f"{name} was changed after it was written")
            yield name, content


def _hash(archive: zipfile.ZipFile, name: str) -> tuple[str, int]:
    """Return SHA-256 and size of a member, read in pieces."""
    digest, size = hashlib.sha256(), 0
    try:
        with archive.open(name) as file:
            while piece := file.read(_PIECE):
                digest.update(piece)
                size += len(piece)
                if size > MOST_BYTES:
                    raise ValueError(f"{name} has more than {MOST_BYTES / 1e6:.0f} MB")
    except KeyError as error:
        raise ValueError(f"it has no {name}") from error
    return digest.hexdigest(), size


def _member(archive: zipfile.ZipFile, name: str) -> bytes:
    """Read a member, at most MOST_BYTES of it."""
    try:
        with archive.open(name) as file:
            content = file.read(MOST_BYTES + 1)
    except KeyError as error:
        raise ValueError(f"it has no {name}") from error
    if len(content) > MOST_BYTES:
        raise ValueError(f"{name} has more than {MOST_BYTES / 1e6:.0f} MB")
    return content


def _add(archive: zipfile.ZipFile, name: str, content: bytes) -> None:
    about = zipfile.ZipInfo(name, _EPOCH)
    about.compress_type = zipfile.ZIP_DEFLATED
    about.create_system = 3
    about.external_attr = 0o600 << 16
    archive.writestr(about, content, compresslevel=6)
