"""The screen of a live count: which line shows what. Positions follow from the window and the reader, never from counts.

From top to bottom: what is counted where; how the camera does; what the operator should do now; how far the count is;
the verdict; the tally by type; what lies outside of it; what the last field added; flags and what the count can exclude;
attributes; a message; the keys.
"""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from rich.console import Group, RenderableType
from rich.text import Text

from edgeleuk.live.state import LiveState
from edgeleuk.render.live_findings import findings, verdict
from edgeleuk.render.live_help import help_lines
from edgeleuk.render.live_parts import (
    ASKED,
    IDLE,
    NOTICE,
    Keyed,
    attributes,
    camera,
    footer,
    header,
    last_added,
    last_cell,
    progress,
    status,
    told,
)
from edgeleuk.render.live_table import attribute_lines, outside, table
from edgeleuk.render.live_text import fit, line
from edgeleuk.rules import Reference

LEAST_WIDTH, LEAST_HEIGHT = 80, 24
LEAST_FINDINGS = 5
"""Lines for flags: two of them with their advice, and how many more there are."""
_AROUND, _HEADS = 6, 3
"""Lines that are always there: four above, a message and the keys below; the table's head, the last field and the last cell."""
_USUAL = 8
"""Lines kept for attributes where nobody says which there are."""


@dataclass(frozen=True, slots=True)
class Extras:
    """What a screen shows beside the state."""

    reference: Reference
    """The ranges that the differential was judged by. They are marked where the differential names them."""
    attributes: Mapping[str, Sequence[str]] | None = None
    """The reader's attributes with their values. None: those that were met so far."""
    keyed: Keyed = IDLE
    helping: bool = False
    """Whether to explain keys and words in place of the tally."""


def view(state: LiveState, labels: Sequence[str], width: int, height: int, extras: Extras) -> RenderableType:
    """The whole screen, `height` lines of `width` cells. See `lines`."""
    return Group(*lines(state, labels, width, height, extras))


def lines(state: LiveState, labels: Sequence[str], width: int, height: int, extras: Extras) -> list[Text]:
    """`height` lines of exactly `width` cells each; a smaller window than 80 x 24 is told how large it must be.

    `labels` are all of the reader's, in its order.
    """
    if width < LEAST_WIDTH or height < LEAST_HEIGHT:
        return _too_small(state, width, height, extras.keyed)
    return framed(state, middle(state, labels, width, height, extras), width, extras)


def middle(state: LiveState, labels: Sequence[str], width: int, height: int, extras: Extras) -> list[Text]:
    """The part of the screen that changes only with the count, or where the operator asks for help."""
    if extras.helping:
        return help_lines(width, height - _AROUND - len(verdict(state.slide_verdict, width)))
    beside = outside(state.differential, labels, width)
    known = _met(state) if extras.attributes is None else extras.attributes
    about = attribute_lines(state.differential, known, width)
    wanted = _USUAL if extras.attributes is None else len(about)
    around = _AROUND + len(verdict(state.slide_verdict, width))
    rows = Rows.of(state, labels, height - around - _HEADS - len(beside), wanted)
    gap = [line(width)] * rows.gap
    return [
        *(*gap, *table(state.differential, labels, rows.types, width, extras.reference)),
        *(*gap, *beside),
        *(*gap, last_added(state, width)),
        last_cell(state, width),
        *findings(state, rows.findings, width),
        *attributes(about, rows.attributes, width),
    ]


def framed(state: LiveState, middle: list[Text], width: int, extras: Extras) -> list[Text]:
    """The whole screen around its middle, of which a long message takes the last line."""
    messages = told(state, extras.keyed, width)
    return [
        header(state, width),
        camera(state, width),
        status(state, width),
        progress(state, width),
        *verdict(state.slide_verdict, width),
        *(middle[:-1] if len(messages) > 1 else middle),
        *messages,
        footer(state, extras.keyed, width),
    ]


@dataclass(frozen=True, slots=True)
class Rows:
    """How many lines each part has."""

    types: int
    findings: int
    attributes: int
    gap: int
    """Blank lines above the table, below it and above the last field."""

    @classmethod
    def of(cls, state: LiveState, labels: Sequence[str], room: int, about: int) -> Rows:
        """Share `room` lines: the types first, then flags and attributes, of which `about` lines would be all."""
        inside = sum(label not in state.differential.outside for label in labels)
        # Where a line for each type would leave no room for flags, two types share one.
        types = inside if inside <= room - LEAST_FINDINGS else min((inside + 1) // 2, room - 1)
        least = min(LEAST_FINDINGS, room - types)
        spare = room - types - least
        gap = 1 if spare - about > 12 else 0
        spare -= 3 * gap
        attributes = min(about + 1, spare - spare // 3) if about else 0
        if attributes < min(about + 1, 4):
            attributes = 0
        return cls(types, least + spare - attributes, attributes, gap)


def _too_small(state: LiveState, width: int, height: int, keyed: Keyed) -> list[Text]:
    if keyed.asking:  # what waits for an answer comes before the size of the window
        asked = textwrap.wrap(keyed.asking.line, width)[:height]
        return [line(width, (fit(part, width), ASKED)) for part in asked] + [line(width)] * (
            height - len(asked)
        )
    # Spaces at which no line breaks: sizes stay in one piece, down to 20 x 3.
    sizes = (f"{width} x {height}", f"{LEAST_WIDTH} x {LEAST_HEIGHT}")
    now, least = (size.replace(" ", "\N{NO-BREAK SPACE}") for size in sizes)
    goes_on = f"Counting goes on: {state.differential.n} of {state.target} white cells."
    text = f"Too small: {now}. Make the window {least}. {goes_on} {NOTICE}."
    shown = [line(width, (fit(part, width), "")) for part in textwrap.wrap(text, width)[:height]]
    return shown + [line(width)] * (height - len(shown))


def _met(state: LiveState) -> dict[str, list[str]]:
    found = state.differential.attributes
    return {name: sorted(found[name]) for name in sorted(found)}
