"""Options and arguments that several commands share, beside those of model, profile, rules and session facts."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from edgeleuk.errors import UsageError

JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]
UmPerPxOption = Annotated[
    float | None,
    typer.Option(
        "--um-per-px",
        help="Micrometres per pixel. Without it the scale is measured on red cells.",
        show_default=False,
    ),
]
RecursiveOption = Annotated[
    bool, typer.Option("-r", "--recursive", help="Search folders with their subfolders.")
]
SeparateOption = Annotated[
    bool, typer.Option("--separate", help="Do not look for overlaps: the pictures show different places.")
]
ThreadsOption = Annotated[
    int | None, typer.Option("--threads", min=1, help="Number of threads.", show_default="all cores")
]
NetworkThreadsOption = Annotated[
    int | None,
    typer.Option("--threads", min=1, help="Number of threads of the network.", show_default="all cores"),
]
NetworksThreadsOption = Annotated[
    int | None,
    typer.Option("--threads", min=1, help="Number of threads of the networks.", show_default="all cores"),
]

DataOption = Annotated[
    Path, typer.Option("--data", help="Folder that `data import` wrote.", show_default=False)
]

SessionArgument = Annotated[
    str,
    typer.Argument(metavar="ID", help="Session id or UUID; its beginning is enough.", show_default=False),
]
SlideArgument = Annotated[
    str,
    typer.Argument(
        metavar="SLIDE",
        help="Slide id, session id or UUID; the beginning of the last two is enough.",
        show_default=False,
    ),
]
AnySlideArgument = Annotated[
    str | None,
    typer.Argument(
        metavar="[SLIDE]",
        help="Slide id, session id or UUID; the beginning of the last two is enough.",
        show_default=False,
    ),
]


def require_scale(um_per_px: float | None) -> None:
    """Require that a scale is one of a microscope.

    Raises:
        UsageError: It is none.
    """
    if um_per_px is not None and not 0.005 <= um_per_px <= 5:
        raise UsageError(
            f"--um-per-px {um_per_px} is outside 0.005 to 5. A 100x objective gives about 0.03 to 0.2."
        )
