"""Report of an import as terminal tables."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from edgeleuk._text import escaped
from edgeleuk.lab.importing.findings import Kind
from edgeleuk.lab.importing.report import ImportReport
from edgeleuk.types import spoken

HEADINGS = {
    Kind.UNREADABLE: "Could not be read",
    Kind.LEFT_OUT: "Left out or left open",
    Kind.NOTE: "To know",
}


def render_import(report: ImportReport) -> RenderableType:
    """Render counts by subset, type, attribute and patient, then findings."""
    return Group(*_parts(report.as_json()))


def _parts(found: dict[str, Any]) -> Iterator[RenderableType]:
    yield _table(
        "Subsets",
        ("Subset", "Pictures", "Fields", "Boxes", "None", "Untyped", "um per px", "Labels"),
        [
            (
                name,
                own["pictures"],
                own["fields"],
                own["boxes"],
                own["none"],
                own["untyped"],
                _scale(own.get("scale")),
                ", ".join(own["labels"]),
            )
            for name, own in found["subsets"].items()
        ],
    )
    types = [(spoken(name), each["train"], each["val"]) for name, each in found["types"].items()]
    yield _table("Types", ("Type", "Train", "Val"), types)
    values = [
        (spoken(name), ", ".join(f"{value} {n}" for value, n in own.items()))
        for name, own in found["attributes"].items()
    ]
    yield _table("Attributes", ("Attribute", "Boxes by value"), values)
    patients = [
        (name, each["diagnosis"], each["split"], each["fields"], each.get("boxes", 0))
        for name, each in found["patients"].items()
        if each["diagnosis"]
    ]
    if patients:
        yield _table("Patients", ("Patient", "Group of the release", "Split", "Fields", "Boxes"), patients)
    yield Text(
        f"{found['fields']} fields with {found['boxes']} boxes of {found['physical_cells']} cells; "
        f"{found['cells']} pictures of cells."
    )
    for kind, heading in HEADINGS.items():
        if told := [each["text"] for each in found["findings"] if each["kind"] == kind]:
            yield Text(f"\n{heading}:")
            yield Text("\n".join(f"- {escaped(text)}" for text in told))


def _scale(scale: dict[str, Any] | None) -> str:
    return f"{scale['um_per_px_x']:.3f}x{scale['um_per_px_y']:.3f}" if scale else "–"


def _table(title: str, columns: tuple[str, ...], rows: list[tuple[Any, ...]]) -> Table:
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for number, name in enumerate(columns):
        numeric = bool(rows) and all(isinstance(row[number], int) for row in rows)
        table.add_column(name, justify="right" if numeric else "left", no_wrap=not number)
    for row in rows:
        table.add_row(*(escaped(str(each)) for each in row))
    return table
