"""`edgeleuk models`: list, show, verify and update models."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from edgeleuk.cli import models_update
from edgeleuk.cli._console import print_json, report, results
from edgeleuk.cli._model import ModelOption, chosen, in_use
from edgeleuk.cli._options import JsonOption
from edgeleuk.errors import ModelError
from edgeleuk.system.sentences import said

if TYPE_CHECKING:
    from edgeleuk.models.registry import Model

app = typer.Typer(
    help="Models on this machine: list, show, verify; install, use, roll back, remove, pack, trust.\n\n"
    "Installed ones lie in the folder that EDGELEUK_MODEL_STORE names, else in $XDG_DATA_HOME/edgeleuk/models, else in"
    " ~/.local/share/edgeleuk/models. One that is altered there is not used: the one that came with the program is.",
    no_args_is_help=True,
)


@app.command("list")
def list_models(as_json: JsonOption = False) -> None:
    """List the objectives that have a model, and every installed version."""
    from edgeleuk.models import registry, updates
    from edgeleuk.render import models as render

    found = [registry.read_manifest(folder) for folder in registry.available().values()]
    installed = {name: updates.versions(name) for name in registry.MAGNIFICATIONS}
    if as_json:
        print_json([render.summary(model, installed.get(model.magnification, ())) for model in found])
    else:
        results().print(render.listing(found, registry.roots()))
        if any(installed.values()):
            results().print(render.versions(installed, registry.shipped().keys()))


@app.command()
def show(
    magnification: Annotated[
        str | None, typer.Argument(help="100x, 40x or 10x.", show_default="100x")
    ] = None,
    model_folder: ModelOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show a model: its types, attributes, thresholds, figures and origin."""
    from edgeleuk.render import models as render
    from edgeleuk.system import file_io

    model = chosen(model_folder, magnification)
    if as_json:
        print_json(file_io.read_json(model.folder / "model.json"))
    else:
        results().print(render.card(model))


@app.command()
def verify(
    magnification: Annotated[
        str | None, typer.Argument(help="100x, 40x or 10x; without it all models.", show_default=False)
    ] = None,
    model_folder: ModelOption = None,
) -> None:
    """Check every model file against its SHA-256 and open it. Exit code 4 where one fails."""
    from edgeleuk.models import registry, updates

    if model_folder:
        _verified(chosen(model_folder, magnification))
        return
    names = [magnification] if magnification else list(registry.available())
    if not names:
        raise ModelError(
            f"no models in {' or '.join(map(str, registry.roots()))}. Install the package again."
        )
    failed = False
    for name in names:
        for version in updates.versions(name):
            if version.problem:
                report(ModelError(f"installed {name} model {version.version}: {version.problem}"))
                failed = True
    for name in names:
        try:
            _verified(in_use(name))
        except ModelError as error:
            report(error)
            failed = True
    if failed:
        raise typer.Exit(ModelError.exit_code)


def _verified(model: Model) -> None:
    """Open a model whose hashes are right, and report it.

    Raises:
        ModelError: The model does not open.
    """
    from edgeleuk.analysis.analyser import Analyser

    Analyser(model)
    results().print(
        said(f"{model.magnification}: finder and reader are as published (version {model.version})")
    )


app.command("install")(models_update.install)
app.command("use")(models_update.use)
app.command("rollback")(models_update.rollback)
app.command("remove")(models_update.remove)
app.command("pack")(models_update.pack)
app.command("trust")(models_update.trust)
