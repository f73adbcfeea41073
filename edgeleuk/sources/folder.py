"""Pictures that paths, folders and patterns name, and their frames."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from edgeleuk._addresses import shown_mistake
from edgeleuk._text import tamed
from edgeleuk.errors import InputError, NotAnImageError
from edgeleuk.sources._pages import pages
from edgeleuk.sources.decoding import FORMATS, decode, decode_file, shrinkable
from edgeleuk.types import Frame, PictureFile

__all__ = ["decode", "expand", "pages_of", "pictures", "read_picture", "shrinkable"]

SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".tif", ".tiff", ".bmp", ".webp", ".heic", ".heif", ".hif"})
TIFF_SUFFIXES = frozenset({".tif", ".tiff"})


def expand(paths: Sequence[str], recursive: bool = False) -> Iterator[Path | InputError]:
    """The picture files that paths, folders and globs name, each once, in order.

    What cannot be found or listed comes as the error it is, in its place, so that the rest goes on.
    """
    seen: set[str] = set()
    for path in paths:
        for found in _expand_one(path, recursive):
            if isinstance(found, Path):
                key = os.path.realpath(found)  # unlike Path.resolve it bears with links in a circle
                if key in seen:
                    continue
                seen.add(key)
            yield found


def pictures(paths: Sequence[str], recursive: bool = False) -> Iterator[PictureFile | InputError]:
    """The pictures of the files that `expand` gives: each page of a TIFF is one."""
    for found in expand(paths, recursive):
        if isinstance(found, InputError):
            yield found
        else:
            yield from pages_of(found)


def pages_of(path: Path) -> Iterator[PictureFile]:
    """The pictures of one file."""
    number = max(1, len(pages(path))) if path.suffix.lower() in TIFF_SUFFIXES else 1
    for page in range(number):
        yield PictureFile(path, page, number)


def _expand_one(text: str, recursive: bool) -> Iterator[Path | InputError]:
    if os.path.isdir(text):  # noqa: PTH112  # Path("") is the working directory; "" is a variable left empty
        yield from _folder(Path(text), recursive)
    elif os.path.lexists(text):
        yield Path(text)
    elif "://" in text:
        yield InputError(
            f"{tamed(shown_mistake(text), 200)} is an address. Download its pictures first, or count a camera with "
            "`edgeleuk live --source`."
        )
    elif glob.has_magic(text):
        matches = [Path(match) for match in sorted(glob.glob(text, recursive=True))]  # noqa: PTH207  # may be absolute
        files = [match for match in matches if not match.is_dir()]
        if not files:
            yield InputError(f"no file matches {shown_mistake(text)}. Check the pattern, or name a folder.")
        yield from files
    else:
        yield InputError(
            f"{shown_mistake(text) or 'an empty path'} does not exist. Check the path; a pattern needs quotes."
        )


def _folder(folder: Path, recursive: bool) -> Iterator[Path | InputError]:
    found = list(_walk(folder, recursive))
    if not found:
        hint = "" if recursive else " Its subfolders are read with -r."
        yield InputError(f"{folder} holds no pictures ({FORMATS}).{hint}")
    yield from found


def _walk(folder: Path, recursive: bool) -> Iterator[Path | InputError]:
    """The pictures of a folder, then those of its subfolders, in order of name. Hidden ones and links to folders
    are left out."""
    try:
        with os.scandir(folder) as listing:
            entries = sorted((e for e in listing if not e.name.startswith(".")), key=lambda e: e.name)
    except OSError as error:
        yield InputError(f"cannot list {folder}: {error.strerror}. Check its permissions.")
        return
    for entry in entries:
        if Path(entry.name).suffix.lower() in SUFFIXES and not entry.is_dir():
            yield folder / entry.name
    for entry in entries:
        if recursive and entry.is_dir(follow_symlinks=False):
            yield from _walk(folder / entry.name, recursive)


def read_picture(
    picture: Path | PictureFile, um_per_px: float | None = None, enough_um_per_px: float = 0.0
) -> Frame:
    """Decode a file, or a page of one, to an upright RGB frame.

    A picture that shows more than `enough_um_per_px` asks for is made smaller at once; a JPEG is decoded smaller, in a
    fraction of the time and the memory. Where its own scale `um_per_px` is not known, one of more than LARGEST_SIDE
    pixels is.

    Raises InputError where it cannot be read, NotAnImageError where it is no whole colour picture, and
    MissingExtraError for a HEIC without the extra that reads it.
    """
    one = picture if isinstance(picture, PictureFile) else PictureFile(picture)
    path, name = one.path, str(one)
    try:
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            done = decode_file(file, size, name, um_per_px, enough_um_per_px, _directory(one))
            return Frame(done.pixels, name, done.shrunk, one)
    except FileNotFoundError as error:
        raise InputError(f"{path} does not exist. Check the path.") from error
    except OSError as error:
        raise InputError(
            f"cannot read {path}: {error.strerror}. Check the path and its permissions."
        ) from error


def _directory(picture: PictureFile) -> int | None:
    """Place of the directory of a page of a TIFF; None for the first. Raises NotAnImageError where it is gone."""
    if picture.pages == 1:
        return None
    found = pages(picture.path)
    if picture.page >= len(found):
        raise NotAnImageError(
            f"{picture.path} has {len(found)} pages, and no page {picture.page + 1}. Copy it again."
        )
    return found[picture.page]
