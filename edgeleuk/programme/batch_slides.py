"""Slides of a batch.

They are a folder for each, or the rows of a table.
"""

from __future__ import annotations

import csv
import glob
import hashlib
import io
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Self

from edgeleuk._text import file_name
from edgeleuk.errors import InputError, UsageError
from edgeleuk.results import slide_id
from edgeleuk.sources.pictures.suffixes import SUFFIXES
from edgeleuk.system import file_io
from edgeleuk.system.addresses import shown_mistake
from edgeleuk.system.result_marks import MARKER
from edgeleuk.system.wording import option

NEEDED = ("slide", "picture")
FURTHER = ("site", "device", "operator")
"""Columns of a table of slides."""
ID_LENGTH = 16
"""Hexadecimal digits of a slide's id: of a million slides two have the same with a chance of 3 in 10^8."""


@dataclass(frozen=True, slots=True)
class Facts:
    """Who counted a slide, where and with what."""

    site: str = ""
    device: str = ""
    operator: str = ""


@dataclass(frozen=True, slots=True)
class Slide:
    """Slide to count."""

    name: str
    paths: tuple[str, ...]
    """Pictures, folders, patterns or addresses."""
    facts: Facts = Facts()

    @property
    def id(self) -> str:
        """Identity within a batch; slides of two sites may share a name."""
        own = json.dumps([self.facts.site, self.name])
        return hashlib.sha256(own.encode()).hexdigest()[:ID_LENGTH]

    @property
    def file(self) -> str:
        """Path of the slide's result below the batch's folder.

        It depends on the slide alone. A folder holds a 256th of all results.
        """
        return f"results/{self.id[:2]}/{file_name(self.name, f'-{self.id[:8]}.json', lambda _: False)}"

    @property
    def source(self) -> str:
        """Pictures as shown to people, as `analyze` names them."""
        first = self.paths[0]
        named = first if os.path.lexists(first) else shown_mistake(first)
        return f"{named}{f' and {len(self.paths) - 1} more' if len(self.paths) > 1 else ''}"

    def as_json(self) -> dict[str, Any]:
        return {"name": self.name, "paths": list(self.paths), "facts": asdict(self.facts)}

    @classmethod
    def of_json(cls, told: Mapping[str, Any]) -> Self:
        return cls(told["name"], tuple(told["paths"]), Facts(**told["facts"]))


@dataclass(frozen=True, slots=True)
class Shard:
    """One of several parts of a batch, counted by separate programs."""

    number: int
    """From 1."""
    of: int

    @classmethod
    def parsed(cls, text: str) -> Self:
        """Parse "2/8".

        Raises:
            UsageError: It has not that form.
        """
        number, _, of = text.partition("/")
        with suppress(ValueError):
            found = cls(int(number), int(of))
            if 1 <= found.number <= found.of <= 100_000:
                return found
        raise UsageError(
            f"{option('shard')} {text!r} is no part of a batch. Write it as 1/8 to 8/8 for eight parts."
        )

    def holds(self, slide: Slide) -> bool:
        """Return whether a slide belongs to this part.

        Its identity decides, so that slides added later move no other one.
        """
        return int(slide.id, 16) % self.of == self.number - 1

    def __str__(self) -> str:
        return f"{self.number}-of-{self.of}"


@dataclass(frozen=True, slots=True)
class Listing:
    """Slides of a batch, with what was left out."""

    slides: Sequence[Slide]
    beside: int = 0
    """Number of pictures that lie beside the folders of the slides."""


def slides_of(source: Path, facts: Facts, out: Path, recursive: bool = False) -> Listing:
    """List the slides of a folder or of a table.

    Args:
        source: Folder with a folder for each slide, or a CSV file.
        facts: Facts of all slides; those of a table replace them.
        out: Folder of the batch's results, which holds no slide.
        recursive: Whether each folder below `source` that holds files is a slide.

    Raises:
        InputError: There is no slide, one has a too long id, or the table cannot be read.
    """
    source = Path(os.path.abspath(source))  # noqa: PTH100  # workers have another working folder; links stay
    if file_io.is_folder(source):
        return _in_folder(source, facts, out, recursive)
    if file_io.is_absent(source):
        raise InputError(f"{source} does not exist. Name a folder with a folder for each slide, or a table.")
    return Listing(in_table(source, facts))


def _in_folder(source: Path, facts: Facts, out: Path, recursive: bool) -> Listing:
    beside = _pictures_beside(source)
    found = [
        Slide(_checked(folder.relative_to(source).as_posix(), str(source)), (str(folder),), facts)
        for folder in _folders(source, os.path.realpath(out), recursive)
    ]
    if not found:
        deeper = "" if recursive else f" Folders below these are read with {option('recursive')}."
        raise InputError(
            f"{source} holds no folder of a slide. Put the pictures of each slide into a folder of its own, or name "
            f"a table of slides.{deeper}"
        )
    return Listing(found, beside)


def _folders(folder: Path, results: str, recursive: bool) -> Iterator[Path]:
    """Yield the folders of slides, in order of name.

    Raises:
        InputError: A folder cannot be listed.
    """
    for entry in _entries(folder):
        path = folder / entry.name
        if entry.name.startswith(".") or not entry.is_dir() or os.path.realpath(path) == results:
            continue
        if file_io.is_regular(path / MARKER):  # results of `analyze`
            continue
        if not recursive:
            yield path
        elif not entry.is_symlink():
            if any(not each.name.startswith(".") and not each.is_dir() for each in _entries(path)):
                yield path
            yield from _folders(path, results, recursive)


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as listing:
            return sorted(listing, key=lambda each: each.name)
    except OSError as error:
        raise InputError(f"cannot list {folder}: {error.strerror}. Check its permissions.") from error


def _pictures_beside(folder: Path) -> int:
    return sum(
        Path(each.name).suffix.lower() in SUFFIXES and not each.name.startswith(".") and not each.is_dir()
        for each in _entries(folder)
    )


def in_table(table: Path, facts: Facts = Facts()) -> list[Slide]:
    """Read a table of slides.

    It has one row for each picture, or for each folder of pictures. The columns slide and picture are
    required; site, device and operator are optional. Rows with the same slide and site are one slide. A path
    is relative to the table's folder.

    Raises:
        InputError: The table cannot be read, lacks a column, or has an invalid row.
    """
    try:
        text = file_io.read_text(table, file_io.TABLE_BYTES)
        rows = csv.DictReader(io.StringIO(text, newline=""), strict=True)
        columns = set(rows.fieldnames or ())
        if not set(NEEDED) <= columns:
            raise InputError(
                f"{table} is no table of slides: it needs a header with the columns slide and picture. "
                f"Optional columns: {', '.join(FURTHER)}."
            )
        found: dict[str, Slide] = {}
        for row in rows:
            slide = _slide_of(row, table, facts, rows.line_num)
            before = found.get(slide.id)
            if before and before.facts != slide.facts:
                raise InputError(
                    f"{table}, line {rows.line_num}: slide {slide.name} has another device or operator than in a line "
                    "before. Give two slides two names, or one slide the same values."
                )
            found[slide.id] = replace(slide, paths=(*before.paths, *slide.paths)) if before else slide
    except (OSError, file_io.UnreadableError) as error:
        raise InputError(f"cannot read {table}: {file_io.plain(error)}.") from error
    except csv.Error as error:
        raise InputError(f"{table} is no CSV table: {error}. Save it as CSV with commas.") from error
    if not found:
        raise InputError(f"{table} names no slide. Write a row for each picture.")
    return list(found.values())


def _slide_of(row: Mapping[str, str | None], table: Path, facts: Facts, line: int) -> Slide:
    name, picture = ((row.get(column) or "").strip() for column in NEEDED)
    if not name or not picture or None in row:
        what = "has more cells than the header" if None in row else "needs a slide and a picture"
        raise InputError(f"{table}, line {line}: {what}. Correct the line.")
    own = {column: (row.get(column) or "").strip() for column in FURTHER}
    path = picture if is_address(picture) else str(table.parent / picture)
    return Slide(
        _checked(name, f"{table}, line {line}"),
        (path,),
        replace(facts, **{key: value for key, value in own.items() if value}),
    )


def _checked(name: str, where: str) -> str:
    """Return the slide id of a folder or a line.

    Raises:
        InputError: It is too long.
    """
    try:
        return slide_id.checked(name)
    except UsageError as error:
        raise InputError(f"{where}: {error}") from error


def is_address(path: str) -> bool:
    """Return whether a path is an address that fsspec reads, as s3://bucket/picture.jpg."""
    return "://" in path and not os.path.lexists(path)


def inputs_key(paths: Sequence[str]) -> str:
    """Return the key of a slide's pictures as they are now.

    It covers names, sizes and modification times; of addresses only the names. Nothing is opened.
    """
    found: list[Any] = []
    for path in paths:
        found.append(path)
        if is_address(path):
            continue
        if os.path.isdir(path):  # noqa: PTH112  # Path("") is the working directory
            with suppress(OSError), os.scandir(path) as listing:
                found += sorted(_stamp(each) for each in listing if each.name != MARKER)
        elif os.path.lexists(path):
            found.append(_stamp(Path(path)))
        elif glob.has_magic(path):
            found += [_stamp(Path(each)) for each in sorted(glob.glob(path, recursive=True))]  # noqa: PTH207
    return hashlib.sha256(json.dumps(found).encode()).hexdigest()[:ID_LENGTH]


def _stamp(entry: os.DirEntry[str] | Path) -> list[Any]:
    try:
        about = entry.stat()
    except OSError:
        return [entry.name, -1, -1]
    return [entry.name, about.st_size, about.st_mtime_ns]
