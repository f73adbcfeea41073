"""Renderers: what they show, and that they count nothing."""

from __future__ import annotations

import io

import cv2
import numpy as np
from rich.console import Console

from edgeleuk.differential import differential, tally
from edgeleuk.render import overlay, tables, terminal
from edgeleuk.render.colours import of_label
from edgeleuk.types import Cell, Field, Frame, Reading, Scale
from edgeleuk.zoo import Model


def _text(renderable: object, width: int = 80) -> str:
    console = Console(file=io.StringIO(), width=width, highlight=False)
    console.print(renderable)
    return console.file.getvalue()  # type: ignore[attr-defined]


def _field(*labels: str) -> Field:
    cells = tuple(
        Cell("WBC", (30.0 * i, 10, 30.0 * i + 25, 35), 0.9, True, Reading(label, 0.9, {label: 0.9}, {}))
        for i, label in enumerate(labels)
    )
    return Field("a/very/long/path/" + "x" * 90 + "/field.jpg", 400, 300, Scale.given(0.1), cells)


def test_terminal_fits_80_columns(demo_field: Field, model: Model) -> None:
    """No line of the demo's result, or of a very long path's, is wider."""
    fields = [demo_field, _field("neutrophil", "blast", "unclassified")]
    result = differential(tally(fields), labels=model.reader.labels)
    assert max(map(len, _text(terminal.analysis(fields, result, model)).splitlines())) <= 80


def test_many_pictures_get_a_row_each(model: Model) -> None:
    """Beyond MANY pictures the terminal shows one table instead of one block a picture."""
    fields = [_field("neutrophil")] * (terminal.MANY + 1)
    result = differential(tally(fields), labels=model.reader.labels)
    assert _text(terminal.analysis(fields, result, model)).count("field.jpg") == len(fields)


def test_overlay_keeps_the_picture_and_adds_a_legend(
    demo_frame: Frame, demo_field: Field, model: Model
) -> None:
    """The annotated copy has the picture's size with the legend below, and changes only where something is drawn."""
    drawn = overlay.draw(demo_frame.pixels, demo_field, model.reader.labels)
    assert drawn.shape[1] == demo_frame.width
    assert drawn.shape[0] > demo_frame.height
    same = (drawn[: demo_frame.height] == demo_frame.pixels).all(axis=2).mean()
    assert 0.7 < same < 1


def test_small_picture_is_enlarged_for_its_labels() -> None:
    """A 400-pixel field is drawn at 1000, so that labels can be read."""
    drawn = overlay.draw(np.full((300, 400, 3), 200, np.uint8), _field("neutrophil"), ["neutrophil"])
    assert drawn.shape[1] == overlay.MIN_SIDE


def test_overlay_holds_no_metadata() -> None:
    """The written JPEG has no EXIF segment."""
    data = overlay.encode(np.full((64, 64, 3), 200, np.uint8))
    assert b"Exif" not in data
    assert cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR) is not None


def test_types_of_a_reader_have_colours_of_their_own(model: Model) -> None:
    """No two types share a colour, and unclassified is grey."""
    labels = model.reader.labels
    assert len({of_label(label, labels) for label in labels}) == len(labels)
    assert len(set(of_label("unclassified", labels))) == 1


def test_differential_csv_lists_types_and_what_lies_outside() -> None:
    """Exact rows of a small count."""
    result = differential(
        tally([_field("neutrophil", "neutrophil", "smudge")]), labels=["neutrophil", "smudge"]
    )
    assert tables.differential_csv(result).splitlines() == [
        "type,count,of,percent,low,high",
        "neutrophil,2,2,100.0,15.811,100.0",
        "smudge,1,,,,",
    ]
