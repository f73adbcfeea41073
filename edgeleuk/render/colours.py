"""One colour for each type, the same in pictures and on the terminal."""

from __future__ import annotations

from collections.abc import Sequence

from edgeleuk.types import PLATELET, RED_CELL, UNCLASSIFIED, WHITE_CELL

Colour = tuple[int, int, int]
"""R, G, B, 0 to 255."""

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
    """The colour of a type among all types of a reader."""
    if label == UNCLASSIFIED or label not in labels:
        return _GREY
    return _PALETTE[list(labels).index(label) % len(_PALETTE)]


LEAST_LUMA = 100
"""Of a colour on a terminal, 0 to 255: darker ones are hard to read on black, and these are not yet pale on white."""


def hexadecimal(colour: Colour) -> str:
    """The colour for text on a terminal, whose ground may be dark or light: lightened where it is too dark."""
    luma = 0.299 * colour[0] + 0.587 * colour[1] + 0.114 * colour[2]  # ITU-R BT.601
    white = max(0.0, (LEAST_LUMA - luma) / (255 - luma))
    return "#" + "".join(f"{round(part + white * (255 - part)):02x}" for part in colour)
