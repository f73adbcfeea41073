"""Profile option: `--profile` together with `--mag`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from edgeleuk.errors import UsageError

if TYPE_CHECKING:
    from edgeleuk.device.profiles import Profile

ProfileOption = Annotated[
    str | None,
    typer.Option(
        "--profile",
        help="Device profile of the microscope and camera, see `edgeleuk calibrate`.",
        show_default=False,
    ),
]


def device(name: str | None, mag: str | None) -> tuple[Profile | None, str]:
    """Return the profile and the magnification.

    If --mag is not given, the magnification is the profile's.

    Raises:
        UsageError: There is no such profile, or it is for another objective than --mag.
    """
    from edgeleuk.device import profiles
    from edgeleuk.models import registry

    if name is None:
        return None, mag or "100x"
    profile = profiles.load(name)
    if mag and not registry.same_objective(mag, profile.magnification):
        raise UsageError(
            f"profile {profile.name} is of a {profile.magnification} objective, --mag says {mag}. Leave --mag out, or "
            "use the profile of that objective."
        )
    return profile, profile.magnification
