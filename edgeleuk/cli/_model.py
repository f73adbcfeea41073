"""Model options: `--model` together with `--mag` and `--profile`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edgeleuk.cli._console import notices
from edgeleuk.errors import ModelMissingError, UsageError
from edgeleuk.system import user_paths

if TYPE_CHECKING:
    from edgeleuk.device.profiles import Profile
    from edgeleuk.models.registry import Model

ModelOption = Annotated[
    Path | None,
    typer.Option(
        "--model",
        metavar="DIR",
        help="Model folder to use, with its objective. Without it the model in use for the objective.",
        show_default=False,
    ),
]
MagOption = Annotated[
    str | None, typer.Option("--mag", help="Objective: 100x, 40x or 10x.", show_default="100x")
]


def chosen(folder: Path | None, mag: str | None, profile: Profile | None = None) -> Model:
    """Return the model that the options select.

    It is the model of a folder, else the one in use for the profile's objective or for --mag; 100x if nothing is given.

    Args:
        folder: Model folder of --model.
        mag: Objective of --mag.
        profile: Device profile.

    Raises:
        UsageError: The folder's model is for another objective than --mag or the profile.
        ModelError: The model cannot be trusted.
    """
    from edgeleuk.models import registry

    if folder is None:
        return in_use(profile.magnification if profile else mag or "100x")
    folder = user_paths.expanded(folder, "--model", ModelMissingError)
    model = registry.load_folder(folder)
    if mag and not registry.same_objective(mag, model.magnification):
        raise UsageError(
            f"{folder} holds a {model.magnification} model, --mag says {mag}. Leave --mag out, or name the folder of a "
            "model of that objective."
        )
    if profile and profile.magnification != model.magnification:
        raise UsageError(
            f"{folder} holds a {model.magnification} model, profile {profile.name} is of a {profile.magnification} "
            "objective. Name the folder of a model of that objective, or use another profile."
        )
    return _tried(model)


def in_use(magnification: str) -> Model:
    """Return the model in use for an objective.

    Raises:
        ModelError: The model cannot be trusted or does not work.
    """
    from edgeleuk.models import registry

    return _tried(registry.load(magnification))


def _tried(model: Model) -> Model:
    from edgeleuk.doctor.first_use import require_tried

    require_tried(model, lambda text: notices.print(text, markup=False))
    return model
