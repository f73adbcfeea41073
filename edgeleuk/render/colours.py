"""Colours of cell types, in pictures and on the terminal."""

from __future__ import annotations

from collections.abc import Sequence

from edgeleuk.types import PLATELET, RED_CELL, UNCLASSIFIED, WHITE_CELL

Colour = tuple[int, int, int]
"""Red, green and blue, 0 to 255."""

# Dark and saturated enough to read on a pale smear; neighbours in the list differ in hue and lightness.
_PALETTE: tuple[Colour, ...] = (
    (0, 98, 204), (214, 73, 0), (106, 27, 154), (0, 121, 64), (0, 131, 143),
    (85, 107, 47), (141, 80, 35), (173, 20, 87), (156, 39, 176), (94, 53, 177),
    (200, 0, 0), (69, 90, 100), (183, 28, 28), (117, 117, 117), (123, 31, 162),
    (130, 119, 23),
)  # fmt: skip
KINDS: dict[str, Colour] = {RED_CELL: (190, 110, 110), PLATELET: (150, 60, 170), WHITE_CELL: (90, 90, 90)}
_GREY: Colour = (90, 90, 90)


def of_label(label: str, labels: Sequence[str]) -> Colour:
    """Return the colour of a label.

    `labels`: all labels of the reader.
    """
    if label == UNCLASSIFIED or label not in labels:
        return _GREY
    return _PALETTE[list(labels).index(label) % len(_PALETTE)]


LEAST_LUMA = 100
"""Minimum luma of terminal colours, 0 to 255.

Darker colours are hard to read on black; at this luma they are not yet pale on white.
"""


def hexadecimal(colour: Colour) -> str:
    """Return a colour for terminal text, lightened if too dark.

    The background of a terminal may be dark or light.
    """
    luma = 0.299 * colour[0] + 0.587 * colour[1] + 0.114 * colour[2]  # ITU-R BT.601
    white = max(0.0, (LEAST_LUMA - luma) / (255 - luma))
    return "#" + "".join(f"{round(part + white * (255 - part)):02x}" for part in colour)
