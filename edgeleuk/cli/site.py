"""`edgeleuk site`: identity of this machine."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.cells import set_cell_size

from edgeleuk._text import escaped
from edgeleuk.cli._console import print_json, results, tell, warn
from edgeleuk.cli._options import JsonOption
from edgeleuk.cli._who import StoreOption
from edgeleuk.errors import EdgeleukError, UsageError
from edgeleuk.system import file_io
from edgeleuk.system.language import _

if TYPE_CHECKING:
    from edgeleuk.system.site import Site


NAME_WIDTH = 11
"""Width of a value's name, terminal cells."""


def site(
    site_name: Annotated[
        str | None,
        typer.Option("--site", help="Set the laboratory or health post.", show_default=False),
    ] = None,
    device: Annotated[
        str | None,
        typer.Option("--device", help="Set the name of microscope and computer.", show_default=False),
    ] = None,
    operator: Annotated[
        str | None,
        typer.Option("--operator", help="Set who counts where nobody is named.", show_default=False),
    ] = None,
    fill: Annotated[
        bool,
        typer.Option("--fill", help="Give site and device to kept sessions that have none, too."),
    ] = False,
    as_json: JsonOption = False,
    store: StoreOption = None,
) -> None:
    """Show or set the site, the device and the usual operator of this machine.

    Every new count states them, unless an option or a variable (EDGELEUK_SITE, EDGELEUK_DEVICE, EDGELEUK_OPERATOR) says
    otherwise. No two machines of a programme should have the same site and device. An empty text ("") removes a value.
    They are in the file that EDGELEUK_SITE_FILE names; on an installed machine that is /etc/edgeleuk/site.toml, and sudo is
    needed to change it.
    """
    from edgeleuk.system import site as machine

    named = {"site": site_name, "device": device, "operator": operator}
    given = {name: text for name, text in named.items() if text is not None}
    if given:
        known = machine.checked(**{**asdict(_there()), **given})
        machine.save(known)
    else:
        known = machine.load()
    filled = _fill(known, store) if fill else 0
    if as_json:
        print_json(
            {"path": str(machine.path()), **asdict(known)} | ({"sessions_filled": filled} if fill else {})
        )
    else:
        for name, text in asdict(known).items():
            shown = set_cell_size(_labels()[name], NAME_WIDTH)
            results().print(escaped(f"{shown} {text or '-'}"), soft_wrap=True, markup=False)
        if fill:
            tell(f"{filled} sessions have site and device now that had not; each has a note of it.")
        if not (known.site and known.device):
            tell('set them with: edgeleuk site --site "NAME" --device "NAME"')


def _labels() -> dict[str, str]:
    return {"site": _("site"), "device": _("device"), "operator": _("operator")}


def _there() -> Site:
    """Return what is set; what cannot be read is written anew."""
    from edgeleuk.system import site as machine

    try:
        return machine.load()
    except EdgeleukError as error:
        warn(f"{error} It is written anew.")
        return machine.Site()


def _fill(known: Site, path: Path | None) -> int:
    """Set site and device of sessions that have none.

    The result is the number of these sessions.
    """
    from edgeleuk.sessions import default_path, open_store

    if not (known.site or known.device):
        raise UsageError("--fill needs a site or a device. Give --site and --device with it.")
    if path is None and file_io.is_absent(default_path()):
        return 0
    filled = 0
    with open_store(path, create=False) as opened:
        for each in opened.list([]):
            lacking = {
                name: text
                for name, text in asdict(replace(known, operator="")).items()
                if text and not getattr(each, name)
            }
            if lacking:
                try:
                    session = opened.annotate(each.id)
                except EdgeleukError as error:
                    warn(f"{error}")
                    continue
                session.describe(lacking)
                session.release()
                filled += 1
    return filled
