"""Bodies of requests, read and checked by their type."""

from __future__ import annotations

from typing import TypeVar

import msgspec
from starlette.requests import Request

from edgeleuk._text import LONGEST, tamed
from edgeleuk.errors import UsageError
from edgeleuk.results import slide_id
from edgeleuk.web.answers import Denied

T = TypeVar("T")
MOST_CELLS = 5_000


class Base(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Body of any change."""

    last: int = -1
    """Number of the last entry that the page knows; -1 for none."""


class Reclassify(Base, frozen=True):
    """Cells and the label that they get; None to go back."""

    cells: tuple[int, ...]
    label: str | None
    why: str = ""


class Look(Base, frozen=True):
    """Cells that were on the screen."""

    cells: tuple[int, ...]


class Add(Base, frozen=True):
    """Missed cell: its middle in pixels of the file."""

    label: str
    field: int
    x: float
    y: float
    why: str = ""


class NoteBody(Base, frozen=True):
    """Note."""

    text: str


class Undo(Base, frozen=True):
    """Undo of the reviewer's last action."""


class Sign(Base, frozen=True):
    """Signature of what the page showed."""

    seen: int
    pin: str = ""
    why: str = ""


class Amend(Base, frozen=True):
    """Reason for the next revision."""

    why: str


class Enter(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Token that lets a browser in."""

    token: str


class Operator(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Reviewer's name, with a PIN where operators have one."""

    name: str
    pin: str = ""


class LiveCommand(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Request to the running count."""

    command: str
    cell: int = 0
    text: str = ""


class Empty(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Body without content."""


async def read(request: Request, kind: type[T]) -> T:
    """Read a JSON body.

    Raises:
        Denied: It is none, or not of that kind.
    """
    if request.headers.get("content-type", "").partition(";")[0].strip() != "application/json":
        raise Denied(415, "content_type", "the request is no JSON.")
    content = await request.body()
    try:
        found = msgspec.json.decode(content, type=kind)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise Denied(400, "malformed", f"the request is malformed: {error}.") from error
    for name in ("cells",):
        if len(getattr(found, name, ())) > MOST_CELLS:
            raise Denied(400, "malformed", f"more than {MOST_CELLS} cells in one request.")
    for name, most in (("why", 400), ("text", 400), ("name", 60), ("label", 80), ("pin", 64)):
        text = getattr(found, name, None)
        if isinstance(text, str) and (len(text) > most or "\0" in text):
            raise Denied(400, "malformed", f"{name} has more than {most} characters, or some that are none.")
    for name in ("x", "y"):
        if not -1e6 < getattr(found, name, 0.0) < 1e6:
            raise Denied(400, "malformed", f"{name} lies outside every picture.")
    for name in ("last", "seen", "field", "cell"):
        if not -(2**53) < getattr(found, name, 0) < 2**53:
            raise Denied(400, "malformed", f"{name} is no number of the program's.")
    if any(not -(2**53) < each < 2**53 for each in getattr(found, "cells", ())):
        raise Denied(400, "malformed", "cells are no numbers of the program's.")
    return found


def slide_id_of(text: str) -> str:
    """Return a slide id that a browser sends, as one line.

    Raises:
        Denied: It is too long.
    """
    try:
        return slide_id.checked(tamed(text, LONGEST))
    except UsageError as error:
        raise Denied(400, "slide_id", str(error)) from error
