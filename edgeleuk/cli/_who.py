"""Options for slide, operator, site, device and notes.

No patient name is asked for.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from edgeleuk.sessions import Change, Session


def _of_this_machine(context: typer.Context, parameter: typer.CallbackParam, value: str) -> str:
    """Return what `edgeleuk site` says where neither option nor variable does.

    A file that cannot be read is told of, and is no reason to stop a count.
    """
    from edgeleuk.cli._console import warn
    from edgeleuk.errors import EdgeleukError
    from edgeleuk.system import site

    given = context.get_parameter_source(parameter.name or "")
    if value or context.resilient_parsing or (given and given.name == "COMMANDLINE"):
        return value
    name = {"microscope": "device"}.get(parameter.name or "", parameter.name or "")
    try:
        return str(getattr(site.load(), name))
    except EdgeleukError as error:
        warn(f"the {name} of this machine is not known: {error}")
        return ""


def checked_slide(value: str | None) -> str | None:
    """Return the value of an option for a slide id, checked."""
    from edgeleuk.results.slide_id import checked

    return checked(value) if value else value


SlideOption = Annotated[
    str, typer.Option("--slide", help="Slide id to keep with the result.", callback=checked_slide)
]
OperatorOption = Annotated[
    str,
    typer.Option(
        "--operator",
        envvar="EDGELEUK_OPERATOR",
        help="Name or initials of the person who counts.",
        show_default="that of `edgeleuk site`",
        callback=_of_this_machine,
    ),
]
SiteOption = Annotated[
    str,
    typer.Option(
        "--site",
        envvar="EDGELEUK_SITE",
        help="Laboratory or health post to keep with the result.",
        show_default="that of `edgeleuk site`",
        callback=_of_this_machine,
    ),
]
DeviceOption = Annotated[
    str,
    typer.Option(
        "--device",
        envvar="EDGELEUK_DEVICE",
        help="Microscope or camera to keep with the result.",
        show_default="that of `edgeleuk site`",
        callback=_of_this_machine,
    ),
]
NotesOption = Annotated[str, typer.Option("--notes", help="A remark to keep with the result.")]

StoreOption = Annotated[
    Path | None,
    typer.Option(
        "--store",
        help="File of the sessions. Without it EDGELEUK_SESSIONS, or sessions.db in ~/.local/share/edgeleuk.",
        show_default=False,
    ),
]


# These options have no environment variable: one meant for every new count must not rename an old one.
OtherSlide = Annotated[
    str | None,
    typer.Option(
        "--slide",
        help="Slide id, in place of the one that is kept.",
        show_default=False,
        callback=checked_slide,
    ),
]
OtherOperator = Annotated[
    str | None,
    typer.Option(
        "--operator", help="Person who counts, in place of the one that is kept.", show_default=False
    ),
]
OtherSite = Annotated[
    str | None,
    typer.Option(
        "--site", help="Laboratory or health post, in place of the one that is kept.", show_default=False
    ),
]
OtherDevice = Annotated[
    str | None,
    typer.Option(
        "--device", help="Microscope or camera, in place of the one that is kept.", show_default=False
    ),
]
MoreNotes = Annotated[
    str | None, typer.Option("--notes", help="A remark to add to those that are kept.", show_default=False)
]


@dataclass(frozen=True, slots=True)
class SessionChanges:
    """Changes to a kept session.

    None leaves a fact as it is; an empty text removes it.
    """

    slide: str | None = None
    operator: str | None = None
    site: str | None = None
    device: str | None = None
    notes: str | None = None

    def __bool__(self) -> bool:
        return self != SessionChanges()

    def keep(self, session: Session) -> tuple[Change, ...]:
        """Apply the changes to an open session, and return them.

        Notes are added, and none is lost.
        """
        facts = {"slide": self.slide, "operator": self.operator, "site": self.site, "device": self.device}
        changes = session.describe({name: text for name, text in facts.items() if text is not None})
        if self.notes:
            session.note(self.notes)
        return changes


@dataclass(frozen=True, slots=True)
class SessionFacts:
    """Values of these options."""

    slide: str = ""
    operator: str = ""
    site: str = ""
    device: str = ""
    notes: str = ""


NOBODY, UNCHANGED = SessionFacts(), SessionChanges()
