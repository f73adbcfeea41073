"""Annotated copy of a picture.

It has boxes coloured by cell type, labels, a legend, and a scale bar in micrometres.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

import cv2
import numpy as np

from edgeleuk.differential.verdict import Code, Verdict
from edgeleuk.imaging.field_of_view import inside
from edgeleuk.render.colours import KINDS, Colour, of_label
from edgeleuk.render.tables import RESEARCH_USE
from edgeleuk.types import UNCLASSIFIED, WHITE_CELL, Cell, Field, FieldOfView, Image, spoken

MIN_SIDE, MAX_SIDE = 1000, 2400
"""Range of the copy's long side, pixels.

Labels stay legible, and files stay small.
"""
INK: Colour = (33, 33, 33)
PAPER: Colour = (255, 255, 255)
RIM: Colour = (255, 200, 0)
DIMMED = 0.4
"""Brightness factor outside the field of view."""
FONT = cv2.FONT_HERSHEY_SIMPLEX
TEXT = 0.5
LINE = 26
"""Height of a legend line, pixels."""
VERDICTS: Mapping[Code, Colour] = {
    "not_usable": (255, 190, 185),
    "look_again": (255, 224, 130),
    "too_few_cells": (187, 222, 251),
    "nothing_flagged": (200, 230, 201),
}
"""Background colours of the verdicts.

They are pale, so that dark text is legible.
"""
BARS_UM = (1, 2, 5, 10, 20, 50, 100, 200, 500)


def draw(image: Image, field: Field, labels: Sequence[str]) -> Image:
    """Return a copy of a picture with its cells marked.

    A legend stands below it.

    Args:
        image: Picture of the field at any size, (H, W, 3) uint8 RGB.
        field: Field with its cells.
        labels: All labels of the reader, which set the colours.

    Returns:
        Array (H', W', 3) uint8 RGB.
    """
    long = max(field.width, field.height)
    zoom = float(np.clip(long, MIN_SIDE, MAX_SIDE)) / long
    size = (round(field.width * zoom), round(field.height * zoom))
    canvas = cv2.resize(image, size, interpolation=cv2.INTER_AREA if zoom < 1 else cv2.INTER_CUBIC)
    if field.field_of_view:
        _surround(canvas, field, field.field_of_view)
    white = [cell for cell in field.cells if cell.kind == WHITE_CELL]
    for cell in field.cells:
        if cell.kind != WHITE_CELL:
            _box(canvas, cell, zoom, KINDS.get(cell.kind, INK), 1)
    for cell in white:
        _box(canvas, cell, zoom, colour_of(cell, labels), 3)
    taken: list[tuple[int, int, int, int]] = []
    for cell in sorted(white, key=lambda cell: cell.number):
        _label(canvas, cell, zoom, colour_of(cell, labels), taken)
    _scale_bar(canvas, field, zoom)
    return np.vstack([canvas, _legend(field, labels, canvas.shape[1])])


def _surround(canvas: Image, field: Field, field_of_view: FieldOfView) -> None:
    """Dim the surroundings of the field of view.

    A thin rim marks its edge.
    """
    shown = inside(field_of_view, field.width, field.height, canvas.shape[1], canvas.shape[0])
    np.copyto(canvas, (canvas * DIMMED).astype(np.uint8), where=~shown[..., None])
    rim = cv2.findContours(shown.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)[0]
    cv2.drawContours(canvas, rim, -1, RIM, 1, cv2.LINE_AA)


def encode(image: Image) -> bytes:
    """Encode a picture as JPEG, without metadata."""
    return cv2.imencode(".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, 90])[
        1
    ].tobytes()


def colour_of(cell: Cell, labels: Sequence[str]) -> Colour:
    """Return the colour of a cell.

    It depends on the cell type for a white cell that was read, else on the cell class.
    """
    return of_label(cell.reading.label, labels) if cell.reading else KINDS.get(cell.kind, INK)


def _box(canvas: Image, cell: Cell, zoom: float, colour: Colour, thickness: int) -> None:
    x1, y1, x2, y2 = (round(value * zoom) for value in cell.box)
    if thickness > 2:
        cv2.rectangle(canvas, (x1, y1), (x2, y2), PAPER, thickness + 2, cv2.LINE_AA)
    cv2.rectangle(canvas, (x1, y1), (x2, y2), colour, thickness, cv2.LINE_AA)


def _label(
    canvas: Image, cell: Cell, zoom: float, colour: Colour, taken: list[tuple[int, int, int, int]]
) -> None:
    """Draw a cell's number, type and probability.

    The filled tab is above the box, or where there is room.
    """
    text = f"{cell.number} {_named(cell)}" if cell.number else _named(cell)
    (width, height), _ = cv2.getTextSize(text, FONT, TEXT, 1)
    width, height = width + 10, height + 10
    x1, y1, _, y2 = (round(value * zoom) for value in cell.box)
    x = int(np.clip(x1, 0, max(0, canvas.shape[1] - width)))
    spots = [(x, y1 - height), (x, y2), (x, y1), (x, y2 - height)]
    free = [s for s in spots if _fits(canvas, (*s, s[0] + width, s[1] + height), taken)]
    x, y = (free or spots[2:])[0]
    taken.append((x, y, x + width, y + height))
    cv2.rectangle(canvas, (x, y), (x + width, y + height), colour, -1)
    cv2.putText(canvas, text, (x + 5, y + height - 6), FONT, TEXT, PAPER, 1, cv2.LINE_AA)


def _named(cell: Cell) -> str:
    """Return the type of a white cell with its probability.

    For a cell that was not recognised, the most likely type.
    """
    reading = cell.reading
    if reading is None:
        return "cut by the edge"
    if reading.label != UNCLASSIFIED:
        return f"{spoken(reading.label)} {reading.probability:.0%}"
    best = max(reading.probabilities, key=lambda name: reading.probabilities[name])
    return f"{spoken(UNCLASSIFIED)} ({spoken(best)} {reading.probability:.0%}?)"


def with_verdict(picture: bytes, verdict: Verdict) -> bytes:
    """Add the verdict below an annotated picture.

    `picture`: JPEG bytes, with the legend at the bottom. Returns JPEG bytes.
    """
    levels = np.frombuffer(picture, np.uint8)
    canvas = cv2.cvtColor(cv2.imdecode(levels, cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)
    return encode(np.vstack([canvas, _verdict_strip(verdict, canvas.shape[1])]))


def _verdict_strip(verdict: Verdict, width: int) -> Image:
    """Draw the verdict as an image.

    Title and text stand on the verdict's colour, in as many lines as they need. Returns (h, width, 3) uint8
    RGB.
    """
    lines = _wrapped(_drawable(f"Slide: {verdict.line}"), width - 24)
    strip = np.full((LINE * len(lines) + 12, width, 3), VERDICTS[verdict.code], np.uint8)
    for i, text in enumerate(lines):
        cv2.putText(strip, text, (12, LINE * (i + 1) - 4), FONT, TEXT, INK, 1, cv2.LINE_AA)
    return strip


def _wrapped(text: str, width: int) -> list[str]:
    """Wrap a text to lines of at most `width` pixels.

    Lines break between words; a single longer word stays whole.
    """
    lines = [""]
    for word in text.split():
        longer = f"{lines[-1]} {word}".strip()
        if cv2.getTextSize(longer, FONT, TEXT, 1)[0][0] <= width or not lines[-1]:
            lines[-1] = longer
        else:
            lines.append(word)
    return lines


def _drawable(text: str) -> str:
    """Replace characters that the font lacks.

    A question mark stands for each.
    """
    return text.encode("ascii", "replace").decode()


def _fits(canvas: Image, spot: tuple[int, int, int, int], taken: Sequence[tuple[int, int, int, int]]) -> bool:
    x1, y1, x2, y2 = spot
    inside = x1 >= 0 and y1 >= 0 and x2 <= canvas.shape[1] and y2 <= canvas.shape[0]
    return inside and all(x2 <= a or c <= x1 or y2 <= b or d <= y1 for a, b, c, d in taken)


def _scale_bar(canvas: Image, field: Field, zoom: float) -> None:
    """Draw a scale bar, bottom right.

    It has the largest round length that takes at most a fifth of the width.
    """
    px_per_um = zoom / field.scale.um_per_px_x
    um = max([bar for bar in BARS_UM if bar * px_per_um <= canvas.shape[1] / 5] or [BARS_UM[0]])
    length = round(um * px_per_um)
    x2, y = canvas.shape[1] - 16, canvas.shape[0] - 16
    text = f"{um} um"
    (width, _), _ = cv2.getTextSize(text, FONT, 0.6, 1)
    left = x2 - max(length, width) - 8
    panel = canvas[y - 34 : y + 10, left : x2 + 8]
    panel[:] = (panel * 0.25 + np.array(PAPER) * 0.75).astype(np.uint8)
    cv2.rectangle(canvas, (x2 - length, y - 4), (x2, y), INK, -1)
    cv2.putText(
        canvas,
        text,
        (x2 - (length + width) // 2 if length > width else x2 - width, y - 12),
        FONT,
        0.6,
        INK,
        1,
        cv2.LINE_AA,
    )


def _legend(field: Field, labels: Sequence[str], width: int) -> Image:
    """Return a legend with colours, counts, scale and notice."""
    entries = [
        (f"{spoken(label)} {count}", of_label(label, labels))
        for label, count in Counter(cell.reading.label for cell in field.cells if cell.reading).most_common()
    ]
    unread = sum(cell.kind == WHITE_CELL and cell.reading is None for cell in field.cells)
    entries += [(f"white cell cut by the edge {unread}", KINDS[WHITE_CELL])] if unread else []
    entries += [
        (f"{kind} {'not counted' if kind in field.not_counted else len(field.of(kind))}", colour)
        for kind, colour in KINDS.items()
        if kind != WHITE_CELL
    ]
    rows: list[list[tuple[int, str, Colour]]] = [[]]
    x = 12
    for text, colour in entries:
        need = cv2.getTextSize(text, FONT, TEXT, 1)[0][0] + 48
        if x + need > width and rows[-1]:
            rows.append([])
            x = 12
        rows[-1].append((x, text, colour))
        x += need
    scale = field.scale
    sure = (
        "given"
        if scale.source == "given"
        else f"from {scale.red_cells} red cells, +/-{scale.relative_error:.0%}"
    )
    axes = f"{scale.um_per_px_x:.4f}" + ("" if scale.squeeze == 1 else f" x {scale.um_per_px_y:.4f}")
    closing = [f"{axes} um per px, {sure}", RESEARCH_USE]
    legend = np.full((LINE * (len(rows) + len(closing)) + 14, width, 3), 255, np.uint8)
    for i, row in enumerate(rows):
        y = LINE * (i + 1)
        for x, text, colour in row:
            cv2.rectangle(legend, (x, y - 12), (x + 16, y + 2), colour, -1)
            cv2.putText(legend, text, (x + 24, y), FONT, TEXT, INK, 1, cv2.LINE_AA)
    for i, text in enumerate(closing):
        cv2.putText(legend, text, (12, LINE * (len(rows) + i + 1)), FONT, TEXT, INK, 1, cv2.LINE_AA)
    return legend
