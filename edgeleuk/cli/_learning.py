"""Parts that `teach` and `adapt` share.

They are the new model's place, and how it gets there.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edgeleuk.cli._console import print_json, report, results, tell
from edgeleuk.errors import EdgeleukError, ModelError, NotBetterError, UsageError
from edgeleuk.system import user_paths

if TYPE_CHECKING:
    from edgeleuk.adaptation.learning import Lesson
    from edgeleuk.adaptation.writing import NewReader
    from edgeleuk.models.registry import Model

NameOption = Annotated[
    str,
    typer.Option(
        "--name", help="Version of the new model, as bench-2: a name of its own.", show_default=False
    ),
]
OutOption = Annotated[
    Path | None,
    typer.Option(
        "--out",
        help="Model folder to write, for --model.",
        show_default="installed beside the other models",
    ),
]
FieldsArgument = Annotated[
    list[str],
    typer.Argument(
        metavar="DIR...", help="Pictures of fields, their folder or a pattern.", show_default=False
    ),
]
FieldsScaleOption = Annotated[
    float | None,
    typer.Option(
        "--um-per-px", min=0.001, max=100, help="Scale of the pictures.", show_default="from red cells"
    ),
]
FiguresOption = Annotated[bool, typer.Option("--json", help="Print the figures as JSON.")]


@dataclass(frozen=True, slots=True)
class Target:
    """Place of a new model."""

    parent: Model
    name: str
    out: Path | None
    """Folder to write; None for the installed models."""

    @classmethod
    def of(cls, parent: Model, name: str, out: Path | None) -> Target:
        """Check the name and the place, before the work.

        Raises:
            UsageError: The name is not valid or taken, or the folder is there already.
        """
        from edgeleuk.models import updates
        from edgeleuk.models.updates.update import check_version

        try:
            check_version(name)
        except ValueError as error:
            raise UsageError(f"--name: {error}.") from error
        if name == parent.version:
            raise UsageError(f"the model that it comes from is {name} already. Give another --name.")
        if out:
            out = user_paths.expanded(out, "--out", UsageError)
            if os.path.lexists(out):
                raise UsageError(f"{out} is there already. Name a new folder with --out.")
        elif any(
            each.version.casefold() == name.casefold() for each in updates.versions(parent.magnification)
        ):
            raise UsageError(
                f"a {parent.magnification} model {name} is installed already. Give another --name, or remove it: "
                f"`edgeleuk models remove {parent.magnification} {name}`."
            )
        return cls(parent, name, out)

    def write(self, new: NewReader) -> str:
        """Write the model; return what to do with it.

        Raises:
            ModelError: The new model does not work.
            OutputError: It cannot be written.
        """
        from edgeleuk.adaptation import writing

        if self.out:
            writing.write(self.parent, self.out, self.name, new)
            return f"{self.out}: use it with --model {self.out}; to undo, remove the folder"
        self._install(new)
        mag, name = self.parent.magnification, self.name
        return (
            f"the {mag} model {name} is installed. `edgeleuk models use {mag} {name}` uses it from now on,"
            f" `edgeleuk models rollback {mag}` goes back, and `edgeleuk models remove {mag} {name}` removes it"
        )

    def _install(self, new: NewReader) -> None:
        from edgeleuk.adaptation import writing
        from edgeleuk.doctor.trial import tried
        from edgeleuk.models import updates

        with tempfile.TemporaryDirectory(prefix="edgeleuk-") as place:
            made = writing.write(self.parent, Path(place) / "model", self.name, new)
            updates.install(updates.pack(made), tried, unsigned=True, use_it=False)
        if os.environ.get("EDGELEUK_MODELS"):
            tell("EDGELEUK_MODELS is set, so that the models in that folder are used and no installed one.")


def finish(target: Target, lesson: Lesson, failures: Sequence[EdgeleukError], as_json: bool) -> None:
    """Write an adapted model and print the figures.

    Args:
        target: Place of the model.
        lesson: The adaptation.
        failures: Errors of pictures that were left out.
        as_json: Whether to print JSON.

    Raises:
        NotBetterError: Nothing is adopted.
        typer.Exit: A picture was left out; the exit code is that of its error.
    """
    from edgeleuk.render import learning as render

    written = target.write(lesson.new) if lesson.new else ""
    if as_json:
        told = {"adopted": bool(lesson.new), "reason": lesson.refused, "name": target.name}
        print_json({**told, **lesson.figures})
    else:
        results().print(render.adapted(lesson))
    for failure in failures:
        report(failure)
    if not lesson.new:
        raise NotBetterError(f"nothing was written: {lesson.refused}.")
    tell(written)
    if failures:
        raise typer.Exit(failures[0].exit_code)


def require_learnable(model: Model) -> None:
    """Check that a reader can get another head.

    Raises:
        ModelError: It has no head or no guard cells.
    """
    from edgeleuk.adaptation.writing import guard_of

    if model.reader.head is None:
        raise ModelError(
            f"the {model.magnification} model {model.version} has no separate head. Use a newer model."
        )
    guard_of(model)
