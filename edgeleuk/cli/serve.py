"""`edgeleuk serve`: pages for review and for pictures from a phone."""

from __future__ import annotations

import signal
import threading
from types import FrameType
from typing import Annotated

import typer

from edgeleuk.cli._console import tell
from edgeleuk.cli._profile import ProfileOption, device
from edgeleuk.cli._rules import ReferenceOption, RulesOption, standards
from edgeleuk.cli._serving import (
    PORT,
    HostOption,
    LanOption,
    PortOption,
    TokenFileOption,
    host_for,
    require_extra,
    started,
)
from edgeleuk.cli._who import DeviceOption, SiteOption, StoreOption
from edgeleuk.errors import InputError, OutputError
from edgeleuk.system import user_paths

ReviewerOption = Annotated[
    str, typer.Option("--operator", envvar="EDGELEUK_OPERATOR", help="Reviewer that a browser begins with.")
]
MagOption = Annotated[
    str | None, typer.Option("--mag", help="Objective that the pages propose.", show_default="100x")
]


def serve(
    host: HostOption = None,
    port: PortOption = PORT,
    lan: LanOption = False,
    mag: MagOption = None,
    profile: ProfileOption = None,
    operator: ReviewerOption = "",
    site: SiteOption = "",
    microscope: DeviceOption = "",
    store: StoreOption = None,
    rules: RulesOption = None,
    reference: ReferenceOption = None,
    token_file: TokenFileOption = None,
) -> None:
    """Serve pages to review, correct and sign slides, and to take pictures of them with a phone.

    Only this machine is let in unless --lan is given; then other devices of the network are, each by a token that works
    once, shown as an address and as a QR code. Nothing leaves the network. The slides are those of `edgeleuk sessions`.
    """
    require_extra()
    from edgeleuk.cli._model import in_use
    from edgeleuk.models import registry
    from edgeleuk.web.settings import Settings

    known, wanted = device(profile, mag)
    rule_set, ranges = standards(rules, reference)
    there = registry.available()
    settings = Settings(
        rule_set,
        ranges,
        in_use,
        host=host_for(host, lan),
        port=port,
        lan=lan,
        store=store,
        rules_file=user_paths.expanded(rules, "--rules", InputError) if rules else None,
        reference_file=user_paths.expanded(reference, "--reference", InputError) if reference else None,
        magnification=next((each for each in there if registry.same_objective(each, wanted)), "100x"),
        magnifications=(known.magnification,) if known else tuple(reversed(registry.MAGNIFICATIONS)),
        profile=known.name if known else None,
        operator=operator,
        site=site,
        device=microscope,
    )
    token_file = user_paths.expanded(token_file, "--token-file", OutputError) if token_file else None
    stop = threading.Event()

    def heard(_: int, __: FrameType | None) -> None:
        stop.set()

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, heard)
    try:
        with started(settings, token_file=token_file) as running:
            while not stop.wait(0.5) and running.wait(0):
                pass
    finally:
        if token_file:
            token_file.unlink(missing_ok=True)
    tell("the server has ended.")
