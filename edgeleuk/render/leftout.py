"""Terminal lines on files that were left out.

Files are grouped by kind.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from rich.cells import cell_len
from rich.text import Text

from edgeleuk.render._words import short
from edgeleuk.system.wording import option
from edgeleuk.types import Refusal

WIDTH = 78
NAME = 22
"""Maximum width of a name, terminal cells."""
WORDS: Mapping[str, tuple[str, str, str]] = {
    "folder": ("subfolder", "subfolders", "{recursive} reads it"),
    "link": ("link to a folder", "links to folders", "name the folder"),
    "hidden": ("hidden file or folder", "hidden files or folders", ""),
    "special": ("pipe, device or socket", "pipes, devices or sockets", ""),
    "result": ("result of this program", "results of this program", ""),
    "video": ("video", "videos", "count it by `live {source}`"),
    "archive": ("archive", "archives", "unpack it"),
    "raw": ("raw file", "raw files", "save it as JPEG or TIFF"),
    "scan": ("file of microscope software", "files of microscope software", "export it as TIFF or JPEG"),
    "format": ("picture of another format", "pictures of other formats", "save it as JPEG or PNG"),
    "inside": (
        "file with more pictures in it",
        "files with more pictures in them",
        "only the main ones were read",
    ),
}
"""Singular, plural and advice for each code."""
OTHER = ("file that is no picture", "files that are no pictures", "")


def left_out_lines(left_out: Iterable[Refusal]) -> Iterator[Text]:
    """Yield a line per kind of file.

    It has as many names as fit.
    """
    kinds: defaultdict[tuple[str, str, str], dict[str, None]] = defaultdict(dict)
    for each in left_out:
        kinds[WORDS.get(each.code, OTHER)][each.name] = None
    for (one, several, advice), names in kinds.items():
        number = len(names)
        advice = advice.format(source=option("source"), recursive=option("recursive"))
        head = f"Left out: {number} {one if number == 1 else several}"
        advised = f": {advice.replace(' it', ' them', 1) if number > 1 else advice}." if advice else "."
        yield Text(f"{head}{_named(list(names), WIDTH - cell_len(head + advised))}{advised}", style="yellow")


def _named(names: list[str], room: int) -> str:
    """Return names in brackets, or "".

    As many as fit.
    """
    shown = [short(Path(name).name or name, NAME) for name in names]
    for number in range(min(3, len(names)), 0, -1):
        more = [f"{len(names) - number} more"] if number < len(names) else []
        text = f" ({', '.join([*shown[:number], *more])})"
        if cell_len(text) <= room:
            return text
    return ""
