"""Options that say which slide is counted, by whom, where and on which microscope. No patient name is asked for."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

SlideOption = Annotated[str, typer.Option("--slide", help="Slide id to keep with the result.")]
OperatorOption = Annotated[str, typer.Option("--operator", envvar="EDGELEUK_OPERATOR", help="Who counts.")]
SiteOption = Annotated[
    str,
    typer.Option("--site", envvar="EDGELEUK_SITE", help="Laboratory or health post to keep with the result."),
]
DeviceOption = Annotated[
    str,
    typer.Option("--device", envvar="EDGELEUK_DEVICE", help="Microscope or camera to keep with the result."),
]
NotesOption = Annotated[str, typer.Option("--notes", help="A remark to keep with the result.")]

StoreOption = Annotated[
    Path | None,
    typer.Option(
        "--store",
        help="File of the sessions. Without it EDGELEUK_SESSIONS, or ~/.local/share/edgeleuk/sessions.db.",
        show_default=False,
    ),
]


@dataclass(frozen=True, slots=True)
class Who:
    """What these options said."""

    slide: str = ""
    operator: str = ""
    site: str = ""
    device: str = ""
    notes: str = ""
