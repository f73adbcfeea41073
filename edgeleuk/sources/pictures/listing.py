"""List the pictures that paths, folders and patterns name.

What lies beside them is listed too: nothing is left out without a message.
"""

from __future__ import annotations

import glob
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from edgeleuk._text import tamed
from edgeleuk.errors import InputError
from edgeleuk.sources.pictures.directory import MAGIC
from edgeleuk.sources.pictures.inside import others_in
from edgeleuk.sources.pictures.kinds import FORMATS, HEAD, advice, kind_of, require_file, special
from edgeleuk.sources.pictures.pages import MOST, Pages, survey
from edgeleuk.sources.pictures.suffixes import SUFFIXES
from edgeleuk.system.addresses import shown_mistake
from edgeleuk.system.result_marks import MARKER, listed, mark_of
from edgeleuk.system.wording import command, option
from edgeleuk.types import PictureFile, Refusal

Found = PictureFile | Refusal | InputError
"""Picture, or something left out, or an error.

A Refusal has the reason; an InputError is for what should have been a picture and cannot be read.
"""


def pictures(
    paths: Sequence[str], recursive: bool | None = False, *, marked: bool = False
) -> Iterator[Found]:
    """List the pictures that paths, folders and patterns name.

    Each file comes once, in order; each page of a TIFF is one picture. What lies beside them in a folder
    comes as a Refusal without an exit code. What cannot be found, listed or read comes as the error it is, in
    its place, so that the rest goes on. Where there is neither a picture nor an error, an error says so.
    With `marked`, JPEGs that this program marked as its results are pictures too. `recursive` is None where a
    user has no way to ask for subfolders: no message then names one.
    """
    seen: set[str] = set()
    results = usable = 0
    for path in paths:
        for found in _named(path, recursive):
            if isinstance(found, Path):
                key = os.path.realpath(found)  # unlike Path.resolve it tolerates circular links
                if key in seen:
                    usable += 1
                    continue
                seen.add(key)
            for each in pages_of(found, marked=marked) if isinstance(found, Path) else (found,):
                usable += not isinstance(each, Refusal)
                results += isinstance(each, Refusal)
                yield each
    if results and not usable:
        yield InputError(f"no picture is among what was named ({FORMATS}). Name pictures, or their folder.")


def pages_of(path: Path, *, marked: bool = False) -> Iterator[Found]:
    """List the pictures and other contents of a file.

    Little more than its beginning is read. A file without a picture's suffix may be one: its content decides.
    A file with it that is no picture is an error when it is read. A JPEG that this program marked as a
    result is left out, except with `marked`.
    """
    try:
        require_file(path)
        with path.open("rb") as file:
            head = file.read(HEAD)
            kind = kind_of(path.name, head)
            if kind != "picture":
                yield from _no_picture(path, kind)
                return
            if mark_of(head) and not marked:
                yield left_out(path, "result")
                return
            others = 0 if head[:4] in MAGIC else others_in(file, head)
    except InputError as error:
        yield error
        return
    except OSError:
        yield PictureFile(path)  # reading it gives the reason
        return
    if head[:4] in MAGIC:
        yield from _paged(path, survey(path))
        return
    yield PictureFile(path)
    if others != 0:
        more = "more pictures" if others is None else _many(others, "more picture")
        yield _inside(
            path, f"holds {more}. Only the first one is analysed: save the rest as files of their own."
        )


def left_out(path: Path | str, code: str, text: str = "") -> Refusal:
    """Describe something left out, with its reason.

    Args:
        path: Path of what is left out.
        code: Code of ADVICE, or another.
        text: Reason, in place of that of `advice`.
    """
    return Refusal(str(path), code, f"{path} {text or advice(code)}")


def _inside(path: Path, text: str) -> Refusal:
    """Describe further pictures inside an analysed file."""
    return left_out(path, "inside", text)


def _no_picture(path: Path, kind: str) -> Iterator[Found]:
    """Handle a file whose content is no picture.

    It is an error where its name says that it is a picture.
    """
    if path.suffix.lower() in SUFFIXES:
        yield InputError(f"{path} {advice(kind)}") if kind not in ("other", "format") else PictureFile(path)
    else:
        yield left_out(path, kind)


def _paged(path: Path, found: Pages) -> Iterator[Found]:
    """List the pages and other contents of a TIFF."""
    number = len(found.places)
    if found.reduced and not number:
        yield InputError(
            f"{path} holds a preview and no picture that is read, as cameras' raw files do. Save it as JPEG or TIFF."
        )
        return
    for page in range(max(1, number)):
        yield PictureFile(path, page, max(1, number))
    if found.reduced:
        copies = _many(found.reduced, "smaller copy or mask", "smaller copies or masks")
        yield _inside(path, f"holds {copies} of its pictures. Only the pictures themselves are analysed.")
    if found.unlisted:
        yield _inside(
            path,
            f"holds {_many(found.unlisted, 'more picture')} in one stack. Save each as a page of its own.",
        )
    if found.more:
        yield _inside(
            path, f"holds more than {MOST} pages, of which the first are analysed. Save the others as a file."
        )
    if found.broken and number:
        yield _inside(
            path, f"says that there are more pages than these {number}: it may be damaged. Copy it again."
        )


def _many(number: int, one: str, more: str = "") -> str:
    return f"{number} {one if number == 1 else more or f'{one}s'}"


def _named(text: str, recursive: bool | None) -> Iterator[Path | Found]:
    """List what a path, folder or pattern names.

    Only names are examined.
    """
    if os.path.isdir(text):  # noqa: PTH112  # Path("") is the working directory; "" is a variable left empty
        yield from _folder(Path(text), recursive)
    elif os.path.lexists(text):
        yield _file(Path(text))
    elif "://" in text:
        yield InputError(
            f"{tamed(shown_mistake(text), 200)} is an address. Download its pictures first, or count a camera with "
            f"`{command('live')} {option('source')}`."
        )
    elif glob.has_magic(text):
        matches = [Path(match) for match in sorted(glob.glob(text, recursive=True))]  # noqa: PTH207  # may be absolute
        folders = [match for match in matches if match.is_dir()]
        if len(matches) == len(folders):
            yield InputError(f"no file matches {shown_mistake(text)}. Check the pattern, or name a folder.")
        yield from (match for match in matches if match not in folders)
        if "**" not in text:  # such a pattern matches what is in them
            yield from (left_out(match, "folder") for match in folders)
    else:
        yield InputError(
            f"{shown_mistake(text) or 'an empty path'} does not exist. Check the path; a pattern, or a name with blanks, needs quotes."
        )


def _file(path: Path) -> Path | PictureFile | InputError:
    """Check a file that is named itself.

    One that is no picture is an error.
    """
    kind = _kind(path)
    if kind == "picture" or path.suffix.lower() in SUFFIXES:
        return path
    # A file of unknown kind is examined when it is read: empty, unreadable, or something else.
    return PictureFile(path) if kind == "other" else InputError(f"{path} {advice(kind)}")


def _folder(folder: Path, recursive: bool | None) -> Iterator[Path | Refusal | InputError]:
    found = False
    for each in walk(folder, recursive):
        found = found or not isinstance(each, Refusal)
        yield each
    if not found:
        hint = f" Its subfolders are read with {option('recursive')}."
        if recursive is None:
            hint = " Name the folder that holds them."
        elif recursive:
            hint = ""
        yield InputError(f"{folder} holds no pictures ({FORMATS}).{hint}")


def walk(folder: Path, recursive: bool | None) -> Iterator[Path | Refusal | InputError]:
    """List a folder's files, then those of subfolders.

    They come in order of name. What is no file, or hidden, is left out.
    """
    try:
        with os.scandir(folder) as listing:
            entries = sorted(listing, key=lambda e: e.name)
    except OSError as error:
        yield InputError(f"cannot list {folder}: {error.strerror}. Check its permissions.")
        return
    results = listed(folder) if any(each.name == MARKER for each in entries) else frozenset()
    for entry in entries:
        if not entry.is_dir() and entry.name != MARKER:
            yield _beside(folder / entry.name, entry, results)
    for entry in entries:
        if entry.is_dir() and (recursive and not entry.is_symlink() and not entry.name.startswith(".")):
            yield from walk(folder / entry.name, recursive)
        elif entry.is_dir():
            hidden = "hidden" if entry.name.startswith(".") else ""
            yield left_out(folder / entry.name, hidden or ("link" if entry.is_symlink() else "folder"))


def _beside(path: Path, entry: os.DirEntry[str], results: frozenset[str]) -> Path | Refusal | InputError:
    """Check a file of a folder.

    It is opened only if its name does not tell its kind.
    """
    picture = path.suffix.lower() in SUFFIXES
    if entry.name in results and not picture:
        return left_out(path, "result")
    if entry.name.startswith("."):
        return left_out(path, "hidden")
    if not entry.is_file() and (what := _special(path)):
        if picture:
            return InputError(f"{path} is {what}, not a file. Copy what it holds into a file, and name that.")
        return left_out(path, "special", f"is {what}, not a file.")
    if picture:
        return path
    if not path.exists():
        return left_out(path, "other", "is a link to nothing.")
    kind = _kind(path)
    return path if kind == "picture" else left_out(path, kind)


def _special(path: Path) -> str:
    """Describe a special file; "" for a broken link."""
    try:
        return special(path.stat().st_mode)
    except OSError:
        return ""


def _kind(path: Path) -> str:
    """Return the kind of a file, see `kind_of`.

    It is "other" where the path cannot be read, or is no file.
    """
    try:
        require_file(path)
        with path.open("rb", buffering=0) as file:
            return kind_of(path.name, file.read(HEAD))
    except (OSError, InputError):
        return "other"
