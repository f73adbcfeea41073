"""Server of `edgeleuk serve` and `edgeleuk live --serve`."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edgeleuk.cli._console import notices, tell, warn, write
from edgeleuk.errors import MissingExtraError
from edgeleuk.system.language import _

if TYPE_CHECKING:
    from edgeleuk.differential.rules import Reference, Rules
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
    settings: Settings, *, token_file: Path | None = None, live: LiveHub | None = None, once: bool = False
) -> Running:
    """Return the server, and print how to reach it.

    Args:
        settings: Settings of the server.
        token_file: File for address and token; None to show them.
        live: Running count.
        once: Whether only the first token is shown, since a screen then hides what is said. The page of devices shows
            others.

    Raises:
        UsageError: It cannot listen there.
    """
    from edgeleuk.web import app
    from edgeleuk.web.hosts import address_text, shown_hosts
    from edgeleuk.web.server import Running, bound

    listening = bound(settings)
    addresses = [address_text(each, settings.port) for each in shown_hosts(settings.host)]
    show = _shower(addresses, token_file, once)
    server = app.make(settings, on_token=show, live=live)
    if settings.lan:
        server.access.new_token()
        if len(addresses) > 1:
            tell(f"further addresses of this machine: {', '.join(addresses[1:])}")
        warn("the network is not encrypted: use --lan in networks whose devices you trust.")
    else:
        tell(f"open {addresses[0]} in a browser on this machine. Ctrl-C ends.")
    return Running(server, listening, settings)


@dataclass(frozen=True, slots=True)
class Doors:
    """Options of `live --serve`."""

    host: str | None
    port: int
    lan: bool
    token_file: Path | None
    waits: bool
    """Whether the operator reads the address before a screen hides it."""


@contextmanager
def browsers(
    doors: Doors | None, store: Path | None, standards: tuple[Rules, Reference]
) -> Iterator[LiveHub | None]:
    """Run the server beside a live count.

    Args:
        doors: How browsers reach it; None for no server.
        store: Session file; None for the user's own.
        standards: Rules and reference ranges.

    Yields:
        The meeting point of the count and its browsers; None without a server.
    """
    if doors is None:
        yield None
        return
    require_extra()
    from edgeleuk.cli._model import in_use
    from edgeleuk.web.live import LiveHub
    from edgeleuk.web.settings import Settings

    hub = LiveHub(())
    settings = Settings(
        *standards, in_use, host=host_for(doors.host, doors.lan), port=doors.port, lan=doors.lan, store=store
    )
    with started(settings, token_file=doors.token_file, live=hub, once=doors.waits):
        if doors.waits and sys.stdin.isatty():
            tell("Enter begins the count.")
            sys.stdin.readline()
        yield hub


def _shower(addresses: list[str], token_file: Path | None, once: bool) -> Callable[[str], None]:
    """Return the function that shows a new token."""
    shown: list[bool] = []

    def show(token: str) -> None:
        address = f"{addresses[0]}/enter#{token}"
        if token_file:
            write(token_file, f"{address}\n{code_text(address)}", 0o600)
            tell(f"the address with its token is in {token_file}")
            return
        if once and shown:
            return
        shown.append(True)
        notices.print(_("open {address}").format(address=address), markup=False, soft_wrap=True)
        if sys.stderr.isatty() and notices.width >= NARROW:
            tell("or scan this with a phone in the same network; it works once:")
            sys.stderr.write(code_text(address))
            sys.stderr.flush()

    return show


def code_text(address: str) -> str:
    """Return a QR code as text, two rows a line."""
    import segno

    to = io.StringIO()
    segno.make(address, error="l").terminal(out=to, compact=True, border=2)
    return to.getvalue()
