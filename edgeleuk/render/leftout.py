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
from edgeleuk.system.language import _, msgid
from edgeleuk.system.wording import option
from edgeleuk.types import Refusal

WIDTH = 78
NAME = 22
"""Maximum width of a name, terminal cells."""
WORDS: Mapping[str, tuple[str, str, str]] = {
    "folder": (msgid("subfolder"), msgid("subfolders"), msgid("{recursive} reads it")),
    "link": (msgid("link to a folder"), msgid("links to folders"), msgid("name the folder")),
    "hidden": (msgid("hidden file or folder"), msgid("hidden files or folders"), ""),
    "special": (msgid("pipe, device or socket"), msgid("pipes, devices or sockets"), ""),
    "result": (msgid("result of this program"), msgid("results of this program"), ""),
    "video": (msgid("video"), msgid("videos"), msgid("count it by `live {source}`")),
    "archive": (msgid("archive"), msgid("archives"), msgid("unpack it")),
    "raw": (msgid("raw file"), msgid("raw files"), msgid("save it as JPEG or TIFF")),
    "scan": (
        msgid("file of microscope software"),
        msgid("files of microscope software"),
        msgid("export it as TIFF or JPEG"),
    ),
    "format": (
        msgid("picture of another format"),
        msgid("pictures of other formats"),
        msgid("save it as JPEG or PNG"),
    ),
    "inside": (
        msgid("file with more pictures in it"),
        msgid("files with more pictures in them"),
        msgid("only the main ones were read"),
    ),
}
"""Singular, plural and advice for each code."""
OTHER = (msgid("file that is no picture"), msgid("files that are no pictures"), "")


def left_out_lines(left_out: Iterable[Refusal], *, recursive: bool = True) -> Iterator[Text]:
    """Yield a line per kind of file.

    It has as many names as fit. `recursive`: whether the command has the option to read subfolders.
    """
    kinds: defaultdict[tuple[str, str, str], dict[str, None]] = defaultdict(dict)
    for each in left_out:
        kinds[WORDS.get(each.code, OTHER)][each.name] = None
    for (one, several, advice), names in kinds.items():
        number = len(names)
        if advice == WORDS["folder"][2] and not recursive:
            advice = WORDS["link"][2]
        shown = _(advice)
        if number > 1 and shown == advice:
            shown = advice.replace(" it", " them", 1)
        shown = shown.format(source=option("source"), recursive=option("recursive"))
        head = _("Left out: {n} {name}").format(n=number, name=_(one) if number == 1 else _(several))
        advised = f"{_(': ')}{shown}{_('.')}" if shown else _(".")
        yield Text(f"{head}{_named(list(names), WIDTH - cell_len(head + advised))}{advised}", style="yellow")


def _named(names: list[str], room: int) -> str:
    """Return names in brackets, or "".

    As many as fit.
    """
    shown = [short(Path(name).name or name, NAME) for name in names]
    for number in range(min(3, len(names)), 0, -1):
        more = [_("{n} more").format(n=len(names) - number)] if number < len(names) else []
        text = f" ({_(', ').join([*shown[:number], *more])})"
        if cell_len(text) <= room:
            return text
    return ""
