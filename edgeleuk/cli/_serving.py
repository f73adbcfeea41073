"""Parts of `edgeleuk serve` and `edgeleuk live --serve`: the server, and how to reach it."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edgeleuk.cli._console import notices, tell, warn, write
from edgeleuk.errors import MissingExtraError

if TYPE_CHECKING:
    from edgeleuk.web.live import LiveHub
    from edgeleuk.web.server import Running
    from edgeleuk.web.settings import Settings

PORT = 8765
NARROW = 60
"""Columns that a code needs."""

HostOption = Annotated[
    str | None,
    typer.Option(
        "--host", help="Address to listen on.", show_default="127.0.0.1, with --lan all of this machine"
    ),
]
PortOption = Annotated[int, typer.Option("--port", min=1, max=65535, help="Port to listen on.")]
LanOption = Annotated[
    bool, typer.Option("--lan", help="Let other devices of the network in, by a one-time token.")
]
TokenFileOption = Annotated[
    Path | None,
    typer.Option(
        "--token-file",
        help="Write address and token into this file, which only you can read, instead of showing them.",
        show_default=False,
    ),
]


def require_extra() -> None:
    """Check that the parts of the server are installed.

    Raises:
        MissingExtraError: One of them is not.
    """
    try:
        import jinja2  # noqa: F401
        import python_multipart  # noqa: F401
        import segno  # noqa: F401
        import starlette  # noqa: F401
        import uvicorn  # noqa: F401
    except ImportError as error:
        raise MissingExtraError(
            f"the pages need {error.name}, which is not installed. `pip install 'edgeleuk[web]'` brings it."
        ) from error


def host_for(host: str | None, lan: bool) -> str:
    """Return the address to listen on."""
    return host or ("0.0.0.0" if lan else "127.0.0.1")


def started(
    settings: Settings, *, token_file: Path | None = None, live: LiveHub | None = None, quiet: bool = False
) -> Running:
    """Start the server, and tell how to reach it.

    Args:
        settings: Settings of the server.
        token_file: File for address and token; None to show them.
        live: Running count.
        quiet: Whether a screen hides what is said; the address then belongs into `token_file`.

    Raises:
        UsageError: It cannot listen there.
    """
    from edgeleuk.web import app
    from edgeleuk.web.hosts import address_text, shown_hosts
    from edgeleuk.web.server import Running, bound

    listening = bound(settings)
    addresses = [address_text(each, settings.port) for each in shown_hosts(settings.host)]
    show = _shower(addresses, token_file, quiet)
    server = app.make(settings, on_token=show, live=live)
    running = Running(server, listening, settings)
    running.__enter__()
    if settings.lan:
        server.access.new_token()
        if len(addresses) > 1:
            tell(f"further addresses of this machine: {', '.join(addresses[1:])}")
        warn("the network is not encrypted: use --lan in networks whose devices you trust.")
    else:
        tell(f"open {addresses[0]} in a browser on this machine. Ctrl-C ends.")
    return running


def _shower(addresses: list[str], token_file: Path | None, quiet: bool) -> Callable[[str], None]:
    """Return the function that shows a new token."""

    def show(token: str) -> None:
        address = f"{addresses[0]}/enter#{token}"
        if token_file:
            write(token_file, f"{address}\n{code_text(address)}", 0o600)
            tell(f"the address with its token is in {token_file}")
            return
        if quiet:
            return
        notices.print(f"open {address}", markup=False, soft_wrap=True)
        if sys.stderr.isatty() and notices.width >= NARROW:
            notices.print("or scan this with a phone in the same network; it works once:", markup=False)
            sys.stderr.write(code_text(address))
            sys.stderr.flush()

    return show


def code_text(address: str) -> str:
    """Return a QR code as text: two rows of it in a line."""
    import segno

    to = io.StringIO()
    segno.make(address, error="l").terminal(out=to, compact=True, border=2)
    return to.getvalue()
