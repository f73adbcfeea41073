"""Layout of the live count's screen.

Positions depend on the window and the reader, never on counts. From top to bottom: objective, source and
session; state of the camera; what the operator should do now; progress; the verdict; the tally by cell type;
what lies outside it; what the last field added; flags and what the count can exclude; attributes; a message;
the keys.
"""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from rich.console import Group, RenderableType
from rich.text import Text

from edgeleuk.console.findings import findings, verdict
from edgeleuk.console.help import help_lines
from edgeleuk.console.parts import (
    ASKED,
    IDLE,
    Keyed,
    attributes,
    camera,
    footer,
    header,
    last_added,
    last_cell,
    notice,
    progress,
    status,
    told,
)
from edgeleuk.console.table import attribute_lines, outside_counts, table
from edgeleuk.console.text import fit, line
from edgeleuk.counting.state import LiveState
from edgeleuk.differential.rules import Reference
from edgeleuk.system.language import _
from edgeleuk.system.sentences import said

LEAST_WIDTH, LEAST_HEIGHT = 80, 24
LEAST_FINDINGS = 5
"""Minimum lines for flags.

Room for two flags with their advice, and for how many more there are.
"""
_AROUND, _HEADS = 6, 3
"""Numbers of lines that are always there.

_AROUND: four above, and a message and the keys below. _HEADS: the table's head, the last field and the last
cell.
"""
_USUAL = 8
"""Lines reserved for attributes if they are not known."""


@dataclass(frozen=True, slots=True)
class Extras:
    """Content of the screen beside the state."""

    reference: Reference
    """Reference ranges used for the differential.

    They are drawn only if the differential names them.
    """
    attributes: Mapping[str, Sequence[str]] | None = None
    """Attributes of the reader with their values.

    None: those that were met so far.
    """
    keyed: Keyed = IDLE
    helping: bool = False
    """Whether to show help in place of the tally."""


def view(state: LiveState, labels: Sequence[str], width: int, height: int, extras: Extras) -> RenderableType:
    """Return the whole screen as one renderable.

    Args:
        state: State of the count.
        labels: All labels of the reader, in its order.
        width: Width of the window, terminal cells.
        height: Height of the window, lines.
        extras: Content beside the state.
    """
    return Group(*lines(state, labels, width, height, extras))


def lines(state: LiveState, labels: Sequence[str], width: int, height: int, extras: Extras) -> list[Text]:
    """Return the whole screen as lines.

    A window smaller than 80 x 24 shows how large it must be.

    Args:
        state: State of the count.
        labels: All labels of the reader, in its order.
        width: Width of the window, terminal cells.
        height: Height of the window, lines.
        extras: Content beside the state.

    Returns:
        `height` lines of exactly `width` cells each.
    """
    if width < LEAST_WIDTH or height < LEAST_HEIGHT:
        return _too_small(state, width, height, extras.keyed)
    return framed(state, middle(state, labels, width, height, extras), width, extras)


def middle(state: LiveState, labels: Sequence[str], width: int, height: int, extras: Extras) -> list[Text]:
    """Return the part that depends on the count.

    It changes only with the count, or when the operator asks for help.

    Args:
        state: State of the count.
        labels: All labels of the reader, in its order.
        width: Width of the window, terminal cells.
        height: Height of the whole window, lines.
        extras: Content beside the state.
    """
    if extras.helping:
        return help_lines(width, height - _AROUND - len(verdict(state.slide_verdict, width)))
    beside = outside_counts(state.differential, labels, width)
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
    """Return the whole screen around its middle part.

    A long message takes the last line of the middle.

    Args:
        state: State of the count.
        middle: Lines that `middle` returned.
        width: Width of the window, terminal cells.
        extras: Content beside the state.
    """
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
    """Number of lines of each part."""

    types: int
    findings: int
    attributes: int
    gap: int
    """Blank lines in each of three gaps.

    The gaps are above the table, below it, and above the last field.
    """

    @classmethod
    def of(cls, state: LiveState, labels: Sequence[str], room: int, about: int) -> Rows:
        """Divide the lines: types first, then flags and attributes.

        Args:
            state: State of the count.
            labels: All labels of the reader.
            room: Lines to divide.
            about: Lines that all attributes would take.
        """
        inside = sum(label not in state.differential.outside for label in labels)
        # If one line per type leaves no room for flags, two types share a line.
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
    if keyed.asking:  # a pending question matters more than the size of the window
        asked = textwrap.wrap(said(keyed.asking.line), width)[:height]
        return [line(width, (fit(part, width), ASKED)) for part in asked] + [line(width)] * (
            height - len(asked)
        )
    # Non-breaking spaces keep each size in one piece, down to a window of 20 x 3.
    sizes = (f"{width} x {height}", f"{LEAST_WIDTH} x {LEAST_HEIGHT}")
    now, least = (size.replace(" ", "\N{NO-BREAK SPACE}") for size in sizes)
    text = _(
        "Too small: {now}. Make the window {least}. Counting goes on: {n} of {target} white cells. {notice}."
    ).format(now=now, least=least, n=state.differential.n, target=state.target, notice=notice())
    shown = [line(width, (fit(part, width), "")) for part in textwrap.wrap(text, width)[:height]]
    return shown + [line(width)] * (height - len(shown))


def _met(state: LiveState) -> dict[str, list[str]]:
    found = state.differential.attributes
    return {name: sorted(found[name]) for name in sorted(found)}
