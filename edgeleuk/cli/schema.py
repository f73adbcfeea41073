"""`edgeleuk schema`: JSON Schemas of written and read documents."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from edgeleuk.system import file_io


class Document(StrEnum):
    """Documents with a schema."""

    ANALYSIS = "analysis"
    MODEL = "model"
    REPORT = "report"


def schema(
    document: Annotated[Document, typer.Argument(help="Which document.")] = Document.ANALYSIS,
) -> None:
    """Print the JSON Schema of `analyze --json`, of a model's model.json, or of `report --json`."""
    path = Path(__file__).parents[1] / "data" / f"{document}.schema.json"
    typer.echo(file_io.read_text(path), nl=False)
